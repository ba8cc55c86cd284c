/* SPDX-License-Identifier: MIT */
/*
 * Tortures the registry:  torture-registry [KILLS | SECONDSs] [PORTS] [WORKERS]
 *
 * Workers claim a few ports under the strictest rule, one holder a port.  They are killed from outside at random and
 * kill themselves at chosen points inside the registry; a timer's handler claims the same ports in the
 * middle of everything, and sometimes leaves by longjmp; vfork children claim, some die there.
 *
 * The kernel is played by one word a port: who is granted exchanges it for his cookie, and must find nobody alive
 * there.  Each round ends with some workers killed in the act and the others stopped with what they hold: then the registry
 * must know every port that is held and give every other; and without holders it must have no live record left.
 * Exits 1 on any violation.
 */
#define _GNU_SOURCE
#include "../../shim/registry/internal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_PORTS 64
#define MOST_WORKERS 64
#define FIRST_PORT 5000u
#define LAST_PORT 55000u
#define ROUND 100 /* kills */
#define HANG 1000 /* ms */
#define ROUND_TIME 60 /* s, of less than one: longer is for ever */

struct kernel {
	word64 cookies;
	struct port {
		word64 bound;    /* cookie of the socket that has the port */
		word64 last;     /* the latest that was about to */
		word64 promised; /* the latest whose commit everybody must see */
		word64 grants;
	} port[MOST_PORTS];
	word64 grants, refusals, undecided, without, withdrawn, lost, nested, handlers, jumps, vforks, take_overs, suicides;
	word64 doubles, forgotten, held, wrong, leaked, hangs, slowest;
	word64 killed_at[POINTS];
	atomic_bool stop;                  /* workers keep what they get now */
	atomic_bool stopped[MOST_WORKERS];
};

static struct kernel *kernel;
static struct registry registry;
static uint32_t ports = 4, first_port = FIRST_PORT;

/* What the innermost claim of this worker is about; a handler and a vfork child put it back. */
static volatile uint32_t current_port;
static volatile uint64_t current_cookie;
static volatile int armed = -1, delay;
static volatile sig_atomic_t may_jump;
static sigjmp_buf out;
static uint32_t seed, slot;

static uint32_t random_below(uint32_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % limit;
}

static void count(word64 *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void registry_point(enum registry_point point)
{
	if (point == POINT_LIVE && current_cookie)
		atomic_store(&kernel->port[current_port].promised, current_cookie);
	if (point == POINT_JUDGED)
		count(&kernel->take_overs);
	if (armed == (int)point && delay-- <= 0) {
		count(&kernel->suicides);
		count(&kernel->killed_at[point]);
		syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
		for (;;)
			pause();
	}
}

static uint64_t new_cookie(void)
{
	return (atomic_fetch_add(&kernel->cookies, 1) + 1) << 22 | (uint64_t)syscall(SYS_getpid);
}

/* The kernel's view: a killed task has no sockets. */
static bool task_alive(uint64_t cookie)
{
	char path[32], text[256], state = 'X';
	unsigned int flags = 0;
	ssize_t length;
	char *at;
	int fd;

	snprintf(path, sizeof path, "/proc/%u/stat", (unsigned int)(cookie & 0x3fffff));
	fd = (int)syscall(SYS_openat, -100, path, 0);
	if (fd < 0)
		return false;
	length = read(fd, text, sizeof text - 1);
	syscall(SYS_close, fd);
	if (length <= 0)
		return false;
	text[length] = '\0';
	at = strrchr(text, ')');
	if (!at || sscanf(at + 2, "%c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
		return false;
	return state != 'Z' && state != 'X' && !(flags & 4);
}

static bool kernel_knows(uint32_t port, uint64_t cookie)
{
	return atomic_load(&kernel->port[port].bound) == cookie && task_alive(cookie);
}

static void spin(uint32_t most)
{
	for (volatile uint32_t i = random_below(most + 1); i; i--)
		;
}

/* One holder a port; refusals only on the kernel's word, or while the registry will not let go. */
static bool refused(uint32_t port, struct turn *turn)
{
	struct cursor cursor;
	struct holder found;
	bool doubtful;

	registry_first(&registry, first_port + port, turn->record, &cursor);
	while (registry_next(&registry, &cursor, &found, &doubtful)) {
		if (kernel_knows(port, found.cookie))
			return true;
		if (!registry_remove(&registry, found.reference)) {
			count(&kernel->undecided);
			return true;
		}
	}
	return false;
}

static void check_memory(uint32_t port)
{
	uint64_t promised = atomic_load(&kernel->port[port].promised);
	struct memory memory;
	struct holder source;

	if (!promised || atomic_load(&kernel->port[port].last) != promised)
		return;
	registry_memory(&registry, first_port + port, &memory, &source);
	if (!memory.source || source.cookie != promised || memory.flags != (promised >> 22 & 0xff))
		count(&kernel->forgotten);
}

static void kernel_bind(uint32_t port, uint64_t cookie)
{
	uint64_t before;

	atomic_store(&kernel->port[port].last, cookie);
	before = atomic_exchange(&kernel->port[port].bound, cookie);
	if (before && task_alive(before)) {
		count(&kernel->doubles);
		fprintf(stderr, "port %u: %llx and %llx\n", port, (unsigned long long)before, (unsigned long long)cookie);
	}
}

static void kernel_close(uint32_t port, uint64_t cookie)
{
	atomic_compare_exchange_strong(&kernel->port[port].bound, &cookie, 0);
}

static void release(uint32_t port, uint64_t cookie, reference reference)
{
	kernel_close(port, cookie);
	switch (random_below(4)) {
	case 0:
		break; /* closed behind the registry's back */
	case 1:
		registry_remove(&registry, reference);
		break;
	default:
		registry_let_go(&registry, reference);
	}
}

static void stop_here(void)
{
	atomic_store(&kernel->stopped[slot], true);
	for (;;)
		pause();
}

/* stop_here() in a handler or a vfork child would stop more than the holder. */
static bool bind_once(uint32_t port, uint32_t hold, bool keep)
{
	struct holder claim = {
		.cookie = new_cookie(), .port = (uint16_t)(first_port + port), .domain = 2, .state = STATE_BOUND, .fd = -1
	};
	struct turn turn;
	reference reference;

	current_port = port;
	current_cookie = claim.cookie;
	registry_claim(&registry, first_port + port, &claim, &turn);
	if (turn.state == TURN_NONE) {
		count(&kernel->without);
		return false;
	}
	if (turn.state == TURN_NESTED)
		count(&kernel->nested);
	if (refused(port, &turn)) {
		count(&kernel->refusals);
		registry_abandon(&registry, &turn);
		return false;
	}
	if (turn.state == TURN_TAKEN)
		check_memory(port);
	spin(hold);
	if (!registry_turn_stands(&registry, &turn)) {
		count(&kernel->withdrawn);
		registry_abandon(&registry, &turn);
		return false;
	}
	kernel_bind(port, claim.cookie);
	spin(hold);
	reference = registry_commit(&registry, &turn, &claim, MEMORY_CLAIM, claim.cookie >> 22 & 0xff);
	if (!reference)
		count(&kernel->lost);
	count(&kernel->grants);
	count(&kernel->port[port].grants);
	if (reference && random_below(4) == 0) {
		registry_retake(&registry, reference, &turn);
		claim.state = STATE_LISTENING;
		registry_commit(&registry, &turn, &claim, MEMORY_KEEP, 0);
	}
	if (keep && atomic_load(&kernel->stop))
		stop_here();
	spin(hold);
	release(port, claim.cookie, reference);
	return true;
}

/* ms that this process was ready to run and did not. */
static uint64_t delayed(void)
{
	FILE *file = fopen("/proc/self/schedstat", "r");
	unsigned long long delay = 0;

	if (file && fscanf(file, "%*u %llu", &delay) != 1)
		delay = 0;
	if (file)
		fclose(file);
	return delay / 1000000;
}

static bool try_port(uint32_t port, uint32_t hold)
{
	uint64_t start = process_now(), slowest = atomic_load(&kernel->slowest), spent;
	bool result = bind_once(port, hold, true);

	spent = process_now() - start;
	while (spent > slowest && !atomic_compare_exchange_weak(&kernel->slowest, &slowest, spent))
		;
	if (spent > HANG && spent - delayed() > HANG)
		count(&kernel->hangs);
	return result;
}

static void handler(int signal)
{
	uint32_t port = current_port;
	uint64_t cookie = current_cookie;

	(void)signal;
	if (atomic_load(&kernel->stop))
		return;
	count(&kernel->handlers);
	bind_once(random_below(2) ? port : random_below(ports), 300, false);
	current_port = port;
	current_cookie = cookie;
	if (may_jump && random_below(500) == 0)
		siglongjmp(out, 1);
}

static void arm(void)
{
	armed = (int)random_below(POINTS);
	delay = (int)random_below(3);
}

static void claim_in_vfork_child(void)
{
	int before = armed, before_delay = delay;
	pid_t child;

	count(&kernel->vforks);
	child = vfork();
	if (!child) {
		if (random_below(4) == 0)
			arm();
		bind_once(random_below(ports), 300, false);
		_exit(0);
	}
	armed = before;
	delay = before_delay;
	current_cookie = 0;
	waitpid(child, NULL, 0);
}

/* The program closes the socket whose bind it left. */
static void jumped(void)
{
	may_jump = 0;
	count(&kernel->jumps);
	kernel_close(current_port, current_cookie);
}

static _Noreturn void work(uint32_t number)
{
	struct sigaction action = { .sa_handler = handler };
	struct itimerval timer = { { 0, 311 }, { 0, 311 } };

	seed = number * 2654435761u + 1;
	current_cookie = 0;
	armed = -1;
	if (random_below(3) == 0) {
		arm();
		if (random_below(2))
			delay = (int)random_below(200);
	}
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	if (sigsetjmp(out, 1))
		jumped();
	for (;;) {
		if (atomic_load(&kernel->stop) && random_below(4) == 0)
			stop_here();
		may_jump = 1;
		try_port(random_below(ports), 3000);
		may_jump = 0;
		if (random_below(30) == 0)
			claim_in_vfork_child();
	}
}

static pid_t worker[MOST_WORKERS]; /* each leads a process group */
static pid_t ended[ROUND + MOST_WORKERS];
static uint32_t ended_count;

static void start(uint32_t which)
{
	static uint32_t started;

	started++;
	slot = which;
	atomic_store(&kernel->stopped[which], false);
	worker[which] = fork();
	if (!worker[which]) {
		setpgid(0, 0);
		work(started);
	}
	setpgid(worker[which], worker[which]);
}

static void forget_worker(uint32_t which)
{
	ended[ended_count++] = worker[which];
	worker[which] = 0;
}

static void end(uint32_t which)
{
	kill(worker[which], SIGKILL);
	waitpid(worker[which], NULL, 0);
	forget_worker(which);
}

/* A vfork child outlives its parent, and is ours then (PR_SET_CHILD_SUBREAPER). */
static void await_orphans(void)
{
	while (ended_count) {
		if (kill(-ended[ended_count - 1], 0)) {
			ended_count--;
			continue;
		}
		if (waitpid(-ended[ended_count - 1], NULL, WNOHANG) == 0)
			usleep(200);
	}
}

/* It stopped, or killed itself. */
static bool at_rest(uint32_t which)
{
	if (!worker[which] || atomic_load(&kernel->stopped[which]))
		return true;
	if (waitpid(worker[which], NULL, WNOHANG) == 0)
		return false;
	forget_worker(which);
	return true;
}

static void complain_about(uint32_t port, const char *what)
{
	fprintf(stderr, "port %u: %s\n", port, what);
	count(&kernel->wrong);
}

static bool registry_knows(uint32_t port, uint64_t cookie)
{
	struct holder found;

	return registry_find(&registry, first_port + port, &(struct holder){ .cookie = cookie }, &found) != 0;
}

/* A vfork child that was killed in the middle of a claim went by the name of its parent, who lives: for a second
 * (registry_remove()) its bind may come yet. */
static bool get_port(uint32_t port)
{
	uint64_t until = process_now() + 2 * HANG;

	while (!try_port(port, 0)) {
		if (process_now() > until)
			return false;
		usleep(20000);
	}
	return true;
}

/* Nobody moves: the registry's answers are those of the kernel. */
static void check_port(uint32_t port)
{
	uint64_t bound = atomic_load(&kernel->port[port].bound);
	bool held = bound && task_alive(bound), got = held ? try_port(port, 0) : get_port(port);

	if (held)
		count(&kernel->held);
	if (held && got)
		complain_about(port, "given away under its holder");
	if (held && !registry_knows(port, bound))
		complain_about(port, "its holder is lost");
	if (!held && !got)
		complain_about(port, "stuck");
}

/* Claims it and removes whatever is found there. */
static void sweep(uint32_t port)
{
	struct holder claim = { .cookie = new_cookie(), .port = (uint16_t)(first_port + port), .domain = 2, .fd = -1 };
	struct turn turn;

	registry_claim(&registry, first_port + port, &claim, &turn);
	if (turn.state == TURN_NONE || refused(port, &turn))
		complain_about(port, "cannot be swept");
	registry_abandon(&registry, &turn);
}

static void check_all(void)
{
	for (uint32_t port = 0; port < ports; port++)
		check_port(port);
}

static void check_round(uint32_t workers)
{
	struct registry_usage usage;

	atomic_store(&kernel->stop, true);
	for (uint32_t i = 0; i < workers; i += 2)
		end(i);
	for (uint32_t i = 0; i < workers; i++)
		while (!at_rest(i))
			usleep(200);
	await_orphans();
	/* The checker gives back what it gets. */
	atomic_store(&kernel->stop, false);
	check_all();
	for (uint32_t i = 0; i < workers; i++)
		if (worker[i])
			end(i);
	await_orphans();
	check_all();
	for (uint32_t port = 0; port < ports; port++)
		sweep(port);
	registry_usage(&registry, &usage);
	if (usage.records_live) {
		fprintf(stderr, "%u records live without a holder\n", usage.records_live);
		count(&kernel->leaked);
	}
}

static void round_hangs(int signal)
{
	static const char text[] = "not ok 1 - a call does not come back\n";

	(void)signal;
	for (uint32_t i = 0; i < MOST_WORKERS; i++)
		if (worker[i])
			kill(-worker[i], SIGKILL);
	while (ended_count)
		kill(-ended[--ended_count], SIGKILL);
	_exit(write(1, text, sizeof text - 1) > 0 ? 1 : 2);
}

static uint32_t run_round(uint32_t kills, uint32_t workers)
{
	alarm(ROUND_TIME);
	/* Fresh ports: records are new, and what the port before remembered is nobody's. */
	first_port = first_port + 2 * ports < LAST_PORT ? first_port + ports : FIRST_PORT;
	for (uint32_t port = 0; port < ports; port++)
		atomic_store(&kernel->port[port].promised, 0);
	for (uint32_t i = 0; i < workers; i++)
		start(i);
	for (uint32_t killed = 0; killed < kills; killed++) {
		uint32_t victim = random_below(workers);

		usleep(random_below(4000));
		end(victim);
		start(victim);
	}
	check_round(workers);
	return kills;
}

static void run(uint32_t kills, time_t seconds, uint32_t workers)
{
	uint32_t killed = 0;
	time_t until = time(NULL) + seconds;

	while (seconds ? time(NULL) < until : killed < kills)
		killed += run_round(seconds || kills - killed > ROUND ? ROUND : kills - killed, workers);
	printf("%u killed from outside\n", killed);
}

/* Numbers handed out to processes that were killed before they put the record in a chain. */
static uint32_t count_lost(void)
{
	struct layout *map = registry.map;
	uint32_t handed_out = atomic_load(&map->header.next_record), lost = 0;

	for (uint32_t number = 1; number < handed_out && number < RECORDS; number++) {
		struct record *record = record_at(map, number);

		lost += !record || !atomic_load(&record->bucket);
	}
	return lost;
}

/* Once all numbers are handed out, those that were lost are found again. */
static void find_lost(void)
{
	uint32_t lost = count_lost(), left, used = atomic_load(&registry.map->header.next_record);
	struct holder claim = { .domain = 2, .fd = -1 };

	atomic_store(&registry.map->header.next_record, RECORDS);
	for (uint32_t i = 0; i < RECORDS / 32 && i < BUCKETS - LAST_PORT; i++) {
		struct turn turn;

		claim.cookie = new_cookie();
		registry_claim(&registry, LAST_PORT + i, &claim, &turn);
		registry_abandon(&registry, &turn);
	}
	atomic_store(&registry.map->header.next_record, used);
	left = count_lost();
	printf("%u record numbers lost, %u of them found again\n", lost, lost - left);
	if (left)
		count(&kernel->leaked);
}

static void report(void)
{
	struct registry_usage usage;

#define FIGURE(name) printf("%s %llu  ", #name, (unsigned long long)atomic_load(&kernel->name))
	FIGURE(grants);
	FIGURE(refusals);
	FIGURE(undecided);
	FIGURE(without);
	FIGURE(withdrawn);
	FIGURE(lost);
	FIGURE(nested);
	FIGURE(handlers);
	FIGURE(jumps);
	FIGURE(vforks);
	FIGURE(suicides);
	FIGURE(take_overs);
	FIGURE(forgotten);
	FIGURE(doubles);
	FIGURE(held);
	FIGURE(wrong);
	FIGURE(leaked);
	FIGURE(hangs);
	printf("slowest %llu ms\nkilled at each point:", (unsigned long long)atomic_load(&kernel->slowest));
	for (int point = 0; point < POINTS; point++)
		printf(" %llu", (unsigned long long)atomic_load(&kernel->killed_at[point]));
	registry_usage(&registry, &usage);
	printf("\nrecords used %u, live %u, processes %u\ngrants a port:", usage.records_used, usage.records_live, usage.processes);
	for (uint32_t port = 0; port < ports; port++)
		printf(" %llu", (unsigned long long)atomic_load(&kernel->port[port].grants));
	printf("\n");
}

static bool violated(void)
{
	return atomic_load(&kernel->doubles) || atomic_load(&kernel->forgotten) || atomic_load(&kernel->wrong) ||
	       atomic_load(&kernel->leaked) || atomic_load(&kernel->hangs) || !atomic_load(&kernel->grants);
}

int main(int argc, char **argv)
{
	const char *amount = argc > 1 ? argv[1] : "2000";
	uint32_t number = (uint32_t)atoi(amount), workers = argc > 3 ? (uint32_t)atoi(argv[3]) : 4;
	char folder[] = "/dev/shm/torture-registry.XXXXXX", path[64];
	bool failed;

	if (argc > 2)
		ports = (uint32_t)atoi(argv[2]);
	if (!number || ports < 1 || ports > MOST_PORTS || workers < 1 || workers > MOST_WORKERS || !mkdtemp(folder)) {
		fprintf(stderr, "usage: torture-registry [KILLS | SECONDSs] [PORTS] [WORKERS]\n");
		return 2;
	}
	snprintf(path, sizeof path, "%s/registry", folder);
	kernel = mmap(NULL, sizeof *kernel, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (kernel == MAP_FAILED || registry_open(&registry, path, "torture", 1)) {
		perror(path);
		return 2;
	}
	unlink(path);
	rmdir(folder);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGALRM, round_hangs);

	seed = (uint32_t)time(NULL) | 1;
	printf("seed %u\n", seed);
	fflush(stdout);
	run(number, amount[strlen(amount) - 1] == 's' ? (time_t)number : 0, workers);
	alarm(0);
	find_lost();
	report();
	failed = violated();
	printf("1..1\n%s 1 - one holder a port, no port stuck, no holder lost, no record leaked, no call hung\n", failed ? "not ok" : "ok");
	return failed;
}
