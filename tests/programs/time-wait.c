/* SPDX-License-Identifier: MIT */
/*
 * Leaves connections behind, and tries to come back: `time-wait PORT WORD...` does one thing a word, in order.
 * Exit status 1 as soon as a listen, bind or connect is refused, after its errno on stdout.
 */
#include "seed.h"

#include <errno.h>
#include <time.h>

static const char help[] =
	"time-wait PORT WORD...\n"
	"  reuse                        sockets made from here on have SO_REUSEADDR\n"
	"  listen, client, accept       the listener L on PORT, its client C, the accepted A\n"
	"  from-port                    C is bound to PORT, its listener L is elsewhere\n"
	"  close-L, close-C, close-A    and reset-A: with SO_LINGER 0\n"
	"  again                        C anew, bound to PORT, to the same listener\n"
	"  listening                    says so\n"
	"  until-listen                 tries to listen on PORT for 20 s\n"
	"  wait                         says so, and waits to be killed";

static uint16_t port;
static bool reuse;
static int listener = -1, client = -1, accepted = -1;

static struct sockaddr_in loopback(uint16_t number)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(number), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int bind_to(int fd, uint16_t number)
{
	struct sockaddr_in to = loopback(number);

	return bind(fd, (struct sockaddr *)&to, sizeof(to));
}

static bool try_listen(uint16_t number)
{
	listener = tcp_socket(reuse);
	if (bind_to(listener, number) == 0 && listen(listener, BACKLOG) == 0)
		return true;
	close(listener);
	return false;
}

static void must(bool done)
{
	if (done)
		return;
	puts(strerror(errno));
	exit(EXIT_FAILURE);
}

static void until_listen(void)
{
	const struct timespec pause = { 0, 20000000 };

	for (int tries = 0; !try_listen(port); tries++) {
		must(tries < 1000);
		nanosleep(&pause, NULL);
	}
}

static bool connect_to_listener(void)
{
	struct sockaddr_in to;
	socklen_t length = sizeof(to);

	if (listener >= 0)
		getsockname(listener, (struct sockaddr *)&to, &length);
	else
		to = loopback(port);
	return connect(client, (struct sockaddr *)&to, sizeof(to)) == 0;
}

static void connect_from_port(void)
{
	client = tcp_socket(reuse);
	must(bind_to(client, port) == 0);
	must(connect_to_listener());
}

static void say(const char *what)
{
	puts(what);
	fflush(stdout);
}

static void close_one(char name)
{
	close(name == 'L' ? listener : name == 'C' ? client : accepted);
}

static void reset_accepted(void)
{
	setsockopt(accepted, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(accepted);
}

static void perform(const char *word)
{
	if (!strcmp(word, "reuse")) {
		reuse = true;
	} else if (!strcmp(word, "listen")) {
		must(try_listen(port));
	} else if (!strcmp(word, "until-listen")) {
		until_listen();
	} else if (!strcmp(word, "client")) {
		client = tcp_socket(reuse);
		must(connect_to_listener());
	} else if (!strcmp(word, "from-port")) {
		must(try_listen(0));
		connect_from_port();
	} else if (!strcmp(word, "again")) {
		connect_from_port();
	} else if (!strcmp(word, "accept")) {
		accepted = tcp_accept(listener);
	} else if (!strncmp(word, "close-", 6)) {
		close_one(word[6]);
	} else if (!strcmp(word, "reset-A")) {
		reset_accepted();
	} else if (!strcmp(word, "wait")) {
		say("waiting");
		pause();
	} else if (!strcmp(word, "listening")) {
		say(word);
	} else {
		usage(help);
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		usage(help);
	port = parse_port(argv[1]);
	for (char **word = argv + 2; *word; word++)
		perform(*word);
	puts("ok");
	return EXIT_SUCCESS;
}
