/* SPDX-License-Identifier: MIT */
/*
 * Who still has a port, told as small stories: lifetimes STORY PORT [tcp | udp].
 *
 * Every step is one line.  "own" is what this process gets for the port, "other" what a program
 * started anew gets: a plain bind, one with SO_REUSEADDR, and one of 0.0.0.0 with SO_REUSEADDR.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/host/raw.h"

enum { NOBODY = 65534, MANY = 8 };

extern char **environ;

static char *port_text;
static uint16_t port;
static int type = SOCK_STREAM;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static int check(int result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

/* ---- steps ---- */

static const char *name_of(int error)
{
	static char number[16];

	switch (error) {
	case 0: return "ok";
	case EADDRINUSE: return "EADDRINUSE";
	case EADDRNOTAVAIL: return "EADDRNOTAVAIL";
	case EBADF: return "EBADF";
	case EINVAL: return "EINVAL";
	case EPERM: return "EPERM";
	default: snprintf(number, sizeof number, "%d", error); return number;
	}
}

static int error_of(int result)
{
	return result < 0 ? errno : 0;
}

static void step(const char *what, int result)
{
	printf("%s: %s\n", what, name_of(error_of(result)));
}

static void yes_or_no(const char *what, bool yes)
{
	printf("%s: %s\n", what, yes ? "yes" : "no");
}

/* ---- sockets ---- */

static int make(bool reuse)
{
	int fd = check(socket(AF_INET, type, 0), "socket");

	if (reuse)
		check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)), "SO_REUSEADDR");
	return fd;
}

static struct sockaddr_in place(in_addr_t address)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address) };
}

static int take(int fd, in_addr_t address)
{
	struct sockaddr_in to = place(address);

	return bind(fd, (struct sockaddr *)&to, sizeof to);
}

/* What every story is about. */
static int holder(void)
{
	int fd = make(true);

	check(take(fd, INADDR_LOOPBACK), "bind");
	if (type == SOCK_STREAM)
		check(listen(fd, 5), "listen");
	return fd;
}

static int attempt(in_addr_t address, bool reuse)
{
	int fd = make(reuse), error = error_of(take(fd, address));

	close(fd);
	return error;
}

static void probe(FILE *to)
{
	fprintf(to, "%s", name_of(attempt(INADDR_LOOPBACK, false)));
	fprintf(to, " %s", name_of(attempt(INADDR_LOOPBACK, true)));
	fprintf(to, " %s", name_of(attempt(INADDR_ANY, true)));
}

/* ---- processes ---- */

static int ready[2]; /* who writes here has done its part */

static void await(int count)
{
	char byte;

	while (count--)
		if (read(ready[0], &byte, 1) != 1)
			die("a child did not get ready");
}

static _Noreturn void sleep_until_killed(void)
{
	for (;;)
		pause();
}

static _Noreturn void hold(void)
{
	if (write(ready[1], "r", 1) != 1)
		_exit(EXIT_FAILURE);
	sleep_until_killed();
}

/* It does not outlive the story. */
static pid_t child(void)
{
	pid_t pid = check(fork(), "fork");

	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0), "waitpid");
}

static void end(pid_t pid)
{
	check(kill(pid, SIGKILL), "kill");
	reap(pid);
}

/* This program, from the start. */
static _Noreturn void become(const char *part)
{
	char number[16], path[4096] = "";

	if (readlink("/proc/self/exe", path, sizeof path - 1) < 0)
		_exit(EXIT_FAILURE);
	snprintf(number, sizeof number, "%d", ready[1]);
	fcntl(ready[1], F_SETFD, 0);
	execl(path, "lifetimes", part, port_text, type == SOCK_STREAM ? "tcp" : "udp", number, (char *)NULL);
	_exit(EXIT_FAILURE);
}

static pid_t run_as(const char *part)
{
	pid_t pid = child();

	if (pid == 0)
		become(part);
	return pid;
}

static void look(const char *when)
{
	printf("%s: own ", when);
	probe(stdout);
	printf(", other ");
	fflush(stdout);
	reap(run_as("probe"));
}

/* ---- stories: fork and exec ---- */

static void story_fork(void)
{
	int fd = holder();
	pid_t pid = child();

	if (pid == 0)
		hold();
	await(1);
	look("both have it");
	close(fd);
	look("the parent closed it");
	end(pid);
	look("the child ended");
}

static void story_child_exits(void)
{
	int fd = holder();
	pid_t pid = child();

	if (pid == 0)
		_exit(0);
	reap(pid);
	look("a child exited");
	if ((pid = child()) == 0) {
		close(fd);
		hold();
	}
	await(1);
	look("a child closed it");
	close(fd);
	look("the parent closed it");
	end(pid);
}

static void story_born_in_child(void)
{
	pid_t pid = child();

	if (pid == 0) {
		holder();
		hold();
	}
	await(1);
	look("a child has it");
	end(pid);
	look("it ended");
}

/* The master ends first; workers become children of this process (PR_SET_CHILD_SUBREAPER). */
static void story_prefork(void)
{
	pid_t *workers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), master = child();

	if (master == 0) {
		holder();
		for (int i = 0; i < 3; i++) {
			pid_t pid = child();

			if (pid == 0) {
				prctl(PR_SET_PDEATHSIG, 0);
				hold();
			}
			workers[i] = pid;
		}
		hold();
	}
	await(4);
	look("a master and three workers");
	end(master);
	look("the master was killed");
	end(workers[0]);
	end(workers[2]);
	look("one worker is left");
	end(workers[1]);
	look("none is left");
	munmap(workers, 4096);
}

static void story_exec(void)
{
	int fd = holder();
	pid_t pid = run_as("hold");

	await(1);
	close(fd);
	look("a program that was started has it");
	end(pid);
	look("it ended");

	fd = holder();
	check(fcntl(fd, F_SETFD, FD_CLOEXEC), "FD_CLOEXEC");
	pid = run_as("hold");
	await(1);
	look("close-on-exec, the parent has it");
	close(fd);
	look("the parent closed it");
	end(pid);
}

/* The process that bound it becomes another program. */
static void story_exec_self(void)
{
	for (int flags = 0; flags <= FD_CLOEXEC; flags += FD_CLOEXEC) {
		pid_t pid = child();

		if (pid == 0) {
			fcntl(holder(), F_SETFD, flags);
			become("hold");
		}
		await(1);
		look(flags ? "replaced, close-on-exec" : "replaced");
		end(pid);
		look("it ended");
	}
}

/* ---- stories: descriptors ---- */

static void story_dup(void)
{
	int fd = holder(), copy = dup(fd), second = fcntl(fd, F_DUPFD_CLOEXEC, 50);

	close(fd);
	look("dup: the first is closed");
	close(copy);
	look("dup: the second is closed");
	close(second);
	look("dup: the last is closed");

	fd = holder();
	copy = open("/dev/null", O_RDONLY);
	check(dup2(copy, fd), "dup2");
	look("dup2 over it");
	close(fd);

	fd = holder();
	check(dup3(copy, fd, O_CLOEXEC), "dup3");
	look("dup3 over it");
	close(fd);

	fd = holder();
	check(dup2(fd, copy), "dup2");
	close(fd);
	look("dup2 to another number, the first is closed");
	close(copy);
	look("that one is closed, too");
}

static void story_dup_listens(void)
{
	int fd = make(true), copy = dup(fd);

	check(take(copy, INADDR_LOOPBACK), "bind");
	look("bound by the duplicate");
	step("again by the first", take(fd, INADDR_LOOPBACK));
	if (type == SOCK_STREAM)
		step("the first listens", listen(fd, 5));
	close(fd);
	look("the first is closed");
	close(copy);
	look("the duplicate is closed");
}

static void story_dup_meets_listener(void)
{
	int fd = make(true), copy = dup(fd), other = make(true);

	check(take(copy, INADDR_LOOPBACK), "bind");
	step("another on all addresses", take(other, INADDR_ANY));
	step("listens", listen(other, 5));
	step("the first listens, by the descriptor that did not bind it", listen(fd, 5));
	close(other);
	look("the other is closed");
	close(fd);
	close(copy);
	look("all are closed");
}

static void story_fclose(void)
{
	int fd = holder();
	FILE *stream = fdopen(fd, "r+");

	fclose(stream);
	look("fclose");
	int again = make(false);
	yes_or_no("its number is used again", again == fd);
	step("and bound", take(again, INADDR_LOOPBACK));
	look("bound");
	close(again);
}

static void story_raw_close(void)
{
	int fd = holder();

	syscall(SYS_close, fd);
	look("syscall(SYS_close)");
	fd = holder();
	raw_call(SYS_close, fd);
	look("a raw close");
	fd = holder();
	int copy = (int)raw_call(SYS_dup, fd);
	close(fd);
	look("a raw dup, the first is closed");
	raw_call(SYS_close, copy);
	look("a raw close of the duplicate");
	fd = (int)raw_call(SYS_socket, AF_INET, type, 0);
	step("a raw socket call, then bind()", take(fd, INADDR_LOOPBACK));
	look("bound");
	raw_call(SYS_close, fd);
	look("closed");
}

/* ---- stories: descriptors that travel ---- */

static void send_descriptor(int channel, int fd)
{
	union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	struct iovec byte = { "x", 1 };
	struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };

	control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	check((int)sendmsg(channel, &message, 0), "sendmsg");
}

static int receive_descriptor(int channel)
{
	union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control;
	char text;
	struct iovec byte = { &text, 1 };
	struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	int fd;

	check((int)recvmsg(channel, &message, 0), "recvmsg");
	memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	return fd;
}

static void story_passed(void)
{
	int channel[2], fd;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, channel), "socketpair");
	pid_t pid = child();
	if (pid == 0) {
		close(channel[0]);
		fd = receive_descriptor(channel[1]);
		step("the receiver binds it again", take(fd, INADDR_LOOPBACK));
		hold();
	}
	close(channel[1]);
	fd = holder();
	send_descriptor(channel[0], fd);
	await(1);
	close(fd);
	look("the sender closed it");
	end(pid);
	look("the receiver ended");
	close(channel[0]);
}

static void story_in_flight(void)
{
	int channel[2], fd = holder();

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, channel), "socketpair");
	send_descriptor(channel[0], fd);
	close(fd);
	look("in flight, closed here");
	fd = receive_descriptor(channel[1]);
	look("received");
	close(fd);
	look("closed");

	fd = holder();
	send_descriptor(channel[0], fd);
	close(fd);
	close(channel[0]);
	look("in flight from a socket that is gone");
	close(channel[1]);
	look("nobody can receive it any more");
}

/* An unbound socket is bound by who receives it. */
static void story_bound_by_receiver(void)
{
	int channel[2], fd = make(true);

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, channel), "socketpair");
	pid_t pid = child();
	if (pid == 0) {
		fd = receive_descriptor(channel[1]);
		step("the receiver binds it", take(fd, INADDR_LOOPBACK));
		hold();
	}
	send_descriptor(channel[0], fd);
	await(1);
	look("bound");
	step("the sender binds it, too", take(fd, INADDR_LOOPBACK));
	end(pid);
	look("the receiver ended");
	close(fd);
	look("the sender closed it");
	close(channel[0]);
	close(channel[1]);
}

/* ---- stories: services ---- */

/* A connection that leaves no TIME_WAIT. */
static void talk(int listener)
{
	struct sockaddr_in to = place(INADDR_LOOPBACK);
	struct linger now = { 1, 0 };
	int client = check(socket(AF_INET, SOCK_STREAM, 0), "socket");

	check(setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now), "SO_LINGER");
	step("connect", connect(client, (struct sockaddr *)&to, sizeof to));
	int server = accept(listener, NULL, NULL);
	step("accept", server);
	close(client);
	close(server);
}

static int part_activated(void)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");

	yes_or_no("the service was given a socket", count && !strcmp(count, "1") && pid && atoi(pid) == getpid());
	step("it listens", listen(3, 5));
	step("it binds it again", take(3, INADDR_LOOPBACK));
	printf("a socket of its own: ");
	probe(stdout);
	puts("");
	talk(3);
	fflush(stdout);
	hold();
}

/* As descriptor 3, to the program that comes next. */
static void give(int fd)
{
	if (ready[1] == 3)
		ready[1] = dup(3);
	if (fd == 3)
		fcntl(3, F_SETFD, 0);
	else
		dup2(fd, 3);
}

static pid_t activate(int listener)
{
	pid_t pid = child();
	char number[16];

	if (pid)
		return pid;
	snprintf(number, sizeof number, "%d", (int)getpid());
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_PID", number, 1);
	give(listener);
	become("activated");
}

static void story_activation(void)
{
	int fd = make(true);

	check(take(fd, INADDR_LOOPBACK), "bind");
	check(listen(fd, 5), "listen");
	check(fcntl(fd, F_SETFD, FD_CLOEXEC), "FD_CLOEXEC");
	pid_t pid = activate(fd);
	await(1);
	look("the service runs");
	end(pid);
	look("the service ended");
	pid = activate(fd);
	await(1);
	close(fd);
	look("started again, its manager closed it");
	end(pid);
	look("it ended");
}

/* Closes all descriptors, leaves /proc behind, drops its user, and then binds. */
static void story_daemon(void)
{
	char directory[] = "/tmp/lifetimes.XXXXXX";
	int *report = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	volatile int *state = report + 2, *pid = report, *error = report + 1;

	if (!mkdtemp(directory))
		die(directory);
	pid_t first = child();
	if (first == 0) {
		setsid();
		if (fork())
			_exit(0);
		*pid = (int)getpid();
		for (int fd = 0; fd < 1024; fd++)
			close(fd);
		if (chroot(directory) < 0 || chdir("/") < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0) {
			*error = errno;
			*state = 2;
			_exit(0);
		}
		int fd = socket(AF_INET, type, 0);
		*error = error_of(take(fd, INADDR_LOOPBACK)); /* and no listen(): the host lets no two users listen here */
		*state = 1;
		sleep_until_killed();
	}
	reap(first);
	for (int i = 0; *state == 0 && i < 1000; i++)
		usleep(10000);
	if (*state == 2) {
		printf("skip: chroot and setuid: %s\n", strerror(*error));
		reap(*pid);
	} else {
		printf("the daemon: %s\n", name_of(*error));
		look("it has it");
		end(*pid);
		look("it was killed");
	}
	rmdir(directory);
	munmap(report, 4096);
}

static void story_spawn(void)
{
	char *argv[] = { "true", NULL };
	int fd = make(true), status;
	posix_spawn_file_actions_t actions;
	pid_t pid;

	check(take(fd, INADDR_LOOPBACK), "bind");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclose(&actions, fd);
	if (posix_spawnp(&pid, "true", &actions, NULL, argv, environ) != 0)
		die("posix_spawn");
	reap(pid);
	posix_spawn_file_actions_destroy(&actions);
	look("posix_spawn, the child closed it");
	if ((pid = vfork()) == 0) {
		close(fd);
		dup2(STDERR_FILENO, fd);
		close_range(3, ~0u, 0);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	look("a vfork child closed everything");
	if (type == SOCK_STREAM)
		step("it listens still", listen(fd, 5));
	look("then");
	close(fd);
	look("closed");
}

/* Leaves the socket to a program it starts, and says who that is. */
static void leave_to_heir(bool lives)
{
	int fd = holder();
	pid_t pid = fork();

	if (pid == 0) {
		dup2(fd, 9);
		close(fd);
		become("hold");
	}
	await(1);
	close(fd);
	printf("%d\n", (int)pid);
	if (lives)
		sleep_until_killed();
}

/* ---- stories: at once ---- */

static volatile int holders, doubles, odd;

static void *bind_and_close(void *nothing)
{
	for (int i = 0; i < 200; i++) {
		int fd = make(false), error = error_of(take(fd, INADDR_LOOPBACK));

		if (error == 0 && __atomic_add_fetch(&holders, 1, __ATOMIC_SEQ_CST) > 1)
			doubles++;
		if (error != 0 && error != EADDRINUSE)
			odd++;
		if (error == 0)
			__atomic_sub_fetch(&holders, 1, __ATOMIC_SEQ_CST);
		close(fd);
	}
	return nothing;
}

static void story_threads(void)
{
	pthread_t threads[MANY];

	for (int i = 0; i < MANY; i++)
		if (pthread_create(&threads[i], NULL, bind_and_close, NULL) != 0)
			die("pthread_create");
	for (int i = 0; i < MANY; i++)
		pthread_join(threads[i], NULL);
	yes_or_no("two had it at once", doubles != 0);
	yes_or_no("an error but EADDRINUSE", odd != 0);
	look("all are done");
}

/* One closes a descriptor while the other binds it. */
static int shared_fd;
static pthread_barrier_t barrier;

static void *close_shared(void *nothing)
{
	for (int i = 0; i < 200; i++) {
		pthread_barrier_wait(&barrier);
		close(shared_fd);
		pthread_barrier_wait(&barrier);
	}
	return nothing;
}

static void story_close_while_binding(void)
{
	pthread_t thread;
	int left = 0;

	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&thread, NULL, close_shared, NULL) != 0)
		die("pthread_create");
	for (int i = 0; i < 200; i++) {
		shared_fd = make(false);
		pthread_barrier_wait(&barrier);
		int error = error_of(take(shared_fd, INADDR_LOOPBACK));
		pthread_barrier_wait(&barrier);
		odd += error != 0 && error != EBADF;
		left += attempt(INADDR_LOOPBACK, false) != 0;
	}
	pthread_join(thread, NULL);
	yes_or_no("an error but EBADF", odd != 0);
	yes_or_no("a port that stayed taken", left != 0);
}

static volatile sig_atomic_t spare = -1, bound_in_main, events;

/* Every other time it binds the port that the interrupted bind() is about; then it closes that. */
static void interrupt(int number)
{
	int saved = errno;

	(void)number;
	events++;
	if (spare >= 0) {
		close(spare);
		spare = -1;
	} else {
		int fd = make(false), error = error_of(take(fd, INADDR_LOOPBACK));

		doubles += error == 0 && bound_in_main;
		odd += error != 0 && error != EADDRINUSE;
		if (error == 0)
			spare = fd;
		else
			close(fd);
	}
	errno = saved;
}

static void story_signal(void)
{
	struct itimerval often = { { 0, 60 }, { 0, 60 } }, never = { 0 };
	struct sigaction action = { .sa_handler = interrupt, .sa_flags = SA_RESTART };

	check(sigaction(SIGALRM, &action, NULL), "sigaction");
	check(setitimer(ITIMER_REAL, &often, NULL), "setitimer");
	for (int i = 0; i < 3000; i++) {
		int fd = make(false), before = events;
		bool taken = spare >= 0;
		int error = error_of(take(fd, INADDR_LOOPBACK));

		bound_in_main = error == 0;
		doubles += error == 0 && taken && events == before;
		odd += error != 0 && error != EADDRINUSE;
		bound_in_main = 0;
		close(fd);
	}
	check(setitimer(ITIMER_REAL, &never, NULL), "setitimer");
	yes_or_no("the handler came", events > 10);
	yes_or_no("two had it at once", doubles != 0);
	yes_or_no("an error but EADDRINUSE", odd != 0);
	if (spare >= 0)
		close(spare);
	look("the timer is off");
}

/* A child does all it can with the port; whenever it dies, the port is free. */
static void story_killed(void)
{
	int refused = 0;

	srand(1);
	for (int round = 0; round < 60; round++) {
		pid_t pid = child();

		while (pid == 0) {
			int fd = holder();

			close(dup(fd));
			if (fork() == 0)
				_exit(0);
			wait(NULL);
			close(fd);
		}
		usleep((useconds_t)(rand() % 1500));
		end(pid);
		while (wait(NULL) > 0)
			;
		refused += attempt(INADDR_LOOPBACK, false) != 0;
	}
	yes_or_no("a port that stayed taken", refused != 0);
	look("all were killed");
}

/* ---- stories: io_uring ---- */

struct ring {
	int fd;
	unsigned *head, *tail, *mask, *array;
	unsigned *done_head, *done_mask;
	struct io_uring_sqe *entries;
	struct io_uring_cqe *results;
};

static bool ring_open(struct ring *ring)
{
	struct io_uring_params p = { 0 };
	const int protection = PROT_READ | PROT_WRITE;

	ring->fd = (int)raw_call(SYS_io_uring_setup, 4, (long)&p);
	if (ring->fd < 0) {
		printf("skip: io_uring_setup: %s\n", strerror(-ring->fd));
		return false;
	}
	char *submit = mmap(NULL, p.sq_off.array + p.sq_entries * 4, protection, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	char *done = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof *ring->results, protection, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
	ring->entries = mmap(NULL, p.sq_entries * sizeof *ring->entries, protection, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	if (submit == MAP_FAILED || done == MAP_FAILED || ring->entries == MAP_FAILED)
		die("io_uring");
	ring->head = (unsigned *)(submit + p.sq_off.head);
	ring->tail = (unsigned *)(submit + p.sq_off.tail);
	ring->mask = (unsigned *)(submit + p.sq_off.ring_mask);
	ring->array = (unsigned *)(submit + p.sq_off.array);
	ring->done_head = (unsigned *)(done + p.cq_off.head);
	ring->done_mask = (unsigned *)(done + p.cq_off.ring_mask);
	ring->results = (struct io_uring_cqe *)(done + p.cq_off.cqes);
	return true;
}

static int ring_do(struct ring *ring, const struct io_uring_sqe *what)
{
	unsigned tail = *ring->tail, at = tail & *ring->mask;

	ring->entries[at] = *what;
	ring->array[at] = at;
	__atomic_store_n(ring->tail, tail + 1, __ATOMIC_RELEASE);
	if (raw_call(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS) != 1)
		die("io_uring_enter");
	int result = ring->results[*ring->done_head & *ring->done_mask].res;
	__atomic_store_n(ring->done_head, *ring->done_head + 1, __ATOMIC_RELEASE);
	errno = result < 0 ? -result : 0;
	return result < 0 ? -1 : result;
}

static void story_io_uring(void)
{
	struct sockaddr_in to = place(INADDR_LOOPBACK);
	struct linger now = { 1, 0 };
	struct ring ring;

	if (!ring_open(&ring))
		return;
	int fd = holder();
	step("close", ring_do(&ring, &(struct io_uring_sqe){ .opcode = IORING_OP_CLOSE, .fd = fd }));
	look("closed");
	fd = holder();
	int client = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
	check(setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now), "SO_LINGER");
	check(connect(client, (struct sockaddr *)&to, sizeof to), "connect");
	int server = ring_do(&ring, &(struct io_uring_sqe){ .opcode = IORING_OP_ACCEPT, .fd = fd });
	step("accept", server);
	step("close the listener", ring_do(&ring, &(struct io_uring_sqe){ .opcode = IORING_OP_CLOSE, .fd = fd }));
	look("the connection is there");
	close(client);
	step("close the connection", ring_do(&ring, &(struct io_uring_sqe){ .opcode = IORING_OP_CLOSE, .fd = server }));
	look("all is closed");
	close(ring.fd);
}

/* ---- stories: network namespaces ---- */

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = check(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	check(ioctl(fd, SIOCSIFFLAGS, &request), "lo up");
	close(fd);
}

static bool leave(bool raw)
{
	if ((raw ? (int)syscall(SYS_unshare, CLONE_NEWNET) : unshare(CLONE_NEWNET)) < 0) {
		printf("skip: unshare: %s\n", strerror(errno));
		return false;
	}
	loopback_up();
	return true;
}

static void story_unshare(void)
{
	int home = check(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "ns/net");
	int before = make(true), fd = holder();

	if (!leave(false))
		return;
	look("in a new namespace");
	step("a socket from before", take(before, INADDR_LOOPBACK));
	int here = holder();
	look("bound in both");
	step("a socket from before", take(before, INADDR_LOOPBACK));
	check(setns(home, CLONE_NEWNET), "setns");
	look("back, bound in both");
	close(fd);
	look("bound in the other");
	step("a socket from before", take(before, INADDR_LOOPBACK));
	look("bound in both");
	close(before);
	close(here);
	look("closed");
	close(home);
}

/* Made there, bound from here: the host cannot be asked about that namespace. */
static void story_elsewhere(void)
{
	int home = check(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "ns/net");

	if (!leave(false))
		return;
	int first = make(false), second = make(false);
	pid_t pid = child();
	if (pid == 0) {
		holder();
		hold();
	}
	await(1);
	check(setns(home, CLONE_NEWNET), "setns");
	step("a child has it there", take(first, INADDR_LOOPBACK));
	look("here");
	end(pid);
	step("it ended", take(first, INADDR_LOOPBACK));
	step("bound there", take(second, INADDR_LOOPBACK));
	close(first);
	step("closed there", take(second, INADDR_LOOPBACK));
	look("here");
	close(second);
	close(home);
}

/* A service in a namespace of its own that was given a socket of its manager's (systemd's PrivateNetwork=). */
static int part_inherits(void)
{
	step("what it was given, bound again", take(3, INADDR_LOOPBACK));
	step("what it was given listens", listen(3, 5));
	printf("the service: ");
	probe(stdout);
	puts("");
	holder();
	printf("bound in both: ");
	probe(stdout);
	puts("");
	fflush(stdout);
	hold();
}

static void story_inherit_elsewhere(void)
{
	int fd = make(true);

	check(take(fd, INADDR_LOOPBACK), "bind");
	pid_t pid = child();
	if (pid == 0) {
		if (!leave(false))
			exit(EXIT_SUCCESS);
		give(fd);
		become("inherits");
	}
	await(1);
	look("its manager");
	close(fd);
	look("its manager closed it");
	end(pid);
	look("it ended");
}

static int part_inherits_unbound(void)
{
	step("its manager listens there", take(3, INADDR_LOOPBACK));
	printf("the service: ");
	probe(stdout);
	puts("");
	fflush(stdout);
	hold();
}

static void story_inherit_unbound(void)
{
	int fd = holder(), given = make(false);
	pid_t pid = child();

	if (pid == 0) {
		if (!leave(false))
			exit(EXIT_SUCCESS);
		give(given);
		become("inherits-unbound");
	}
	await(1);
	look("its manager");
	end(pid);
	close(fd);
	close(given);
}

static void story_raw_unshare(void)
{
	int fd = holder();

	if (!leave(true))
		return;
	look("in a new namespace");
	int here = holder();
	pid_t pid = child();
	if (pid == 0)
		hold();
	await(1);
	close(here);
	look("its child has it");
	end(pid);
	look("its child ended");
	close(fd);
}

/* clone(2) puts a child into a namespace that no call of its own asked for. */
static void story_clone(void)
{
	int fd = holder(), before = make(false);
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid < 0) {
		printf("skip: clone: %s\n", strerror(errno));
		return;
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		loopback_up();
		look("in a child with a new namespace");
		int here = holder();
		look("bound in both");
		close(fd);
		look("closed its own of the first");
		step("a socket from before", take(before, INADDR_LOOPBACK));
		close(here);
		hold();
	}
	await(1);
	look("its parent");
	close(fd);
	look("closed in its parent");
	end(pid);
	close(before);
}

static void *bind_elsewhere(void *nothing)
{
	if (!leave(false))
		exit(EXIT_SUCCESS);
	int fd = holder();
	printf("a thread in a new namespace: ");
	probe(stdout);
	puts("");
	close(fd);
	printf("closed there: ");
	probe(stdout);
	puts("");
	return nothing;
}

/* unshare() is a thread's own affair. */
static void story_thread_unshares(void)
{
	pthread_t thread;
	int fd = holder();

	if (pthread_create(&thread, NULL, bind_elsewhere, NULL) != 0)
		die("pthread_create");
	pthread_join(thread, NULL);
	look("the other thread");
	close(fd);
	look("closed");
}

/* ---- */

static const struct story {
	const char *name;
	void (*tell)(void);
} stories[] = {
	{ "fork", story_fork },
	{ "child-exits", story_child_exits },
	{ "born-in-child", story_born_in_child },
	{ "prefork", story_prefork },
	{ "exec", story_exec },
	{ "exec-self", story_exec_self },
	{ "dup", story_dup },
	{ "dup-listens", story_dup_listens },
	{ "dup-meets-listener", story_dup_meets_listener },
	{ "fclose", story_fclose },
	{ "raw-close", story_raw_close },
	{ "passed", story_passed },
	{ "in-flight", story_in_flight },
	{ "bound-by-receiver", story_bound_by_receiver },
	{ "activation", story_activation },
	{ "daemon", story_daemon },
	{ "spawn", story_spawn },
	{ "threads", story_threads },
	{ "close-while-binding", story_close_while_binding },
	{ "signal", story_signal },
	{ "killed", story_killed },
	{ "io-uring", story_io_uring },
	{ "unshare", story_unshare },
	{ "elsewhere", story_elsewhere },
	{ "inherit-elsewhere", story_inherit_elsewhere },
	{ "inherit-unbound", story_inherit_unbound },
	{ "raw-unshare", story_raw_unshare },
	{ "clone", story_clone },
	{ "thread-unshares", story_thread_unshares },
};

static int usage(void)
{
	fputs("usage: lifetimes STORY PORT [tcp | udp]\n", stderr);
	for (size_t i = 0; i < sizeof stories / sizeof *stories; i++)
		puts(stories[i].name);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return usage();
	setlinebuf(stdout);
	port_text = argv[2];
	port = (uint16_t)atoi(port_text);
	type = argc > 3 && !strcmp(argv[3], "udp") ? SOCK_DGRAM : SOCK_STREAM;
	if (!strcmp(argv[1], "probe")) {
		probe(stdout);
		puts("");
		return 0;
	}
	if (argc > 4)
		ready[1] = atoi(argv[4]);
	if (!strcmp(argv[1], "hold"))
		hold();
	if (!strcmp(argv[1], "activated"))
		return part_activated();
	if (!strcmp(argv[1], "inherits"))
		return part_inherits();
	if (!strcmp(argv[1], "inherits-unbound"))
		return part_inherits_unbound();
	check(pipe2(ready, O_CLOEXEC), "pipe");
	if (!strncmp(argv[1], "leave-", 6)) {
		leave_to_heir(!strcmp(argv[1], "leave-and-live"));
		return 0;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (size_t i = 0; i < sizeof stories / sizeof *stories; i++)
		if (!strcmp(argv[1], stories[i].name)) {
			stories[i].tell();
			return 0;
		}
	return usage();
}
