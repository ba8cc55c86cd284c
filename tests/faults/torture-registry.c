/* SPDX-License-Identifier: MIT */
/*
 * Tortures the registry:  torture-registry [KILLS | SECONDSs] [PORTS] [WORKERS]
 *
 * Workers claim a few ports under the strictest rule, one holder a port.  They are killed from outside at random and
 * kill themselves at chosen points inside the registry; a timer's handler claims the same ports in the
 * middle of everything, and sometimes leaves by longjmp; vfork children claim, some die there.
 *
 * The kernel is played by one word a port: who is granted exchanges it for his cookie, and must find nobody alive
 * there.  At the end every port must be free to take.  Exits 1 on any violation.
 */
#define _GNU_SOURCE
#include "../../shim/registry/internal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_PORTS 64
#define FIRST_PORT 5000u

struct kernel {
	word64 cookies;
	struct port {
		word64 bound;    /* cookie of the socket that has the port */
		word64 last;     /* the latest that was about to */
		word64 promised; /* the latest whose commit everybody must see */
		word64 grants;
	} port[MOST_PORTS];
	word64 grants, refusals, undecided, without, withdrawn, lost, nested, handlers, jumps, vforks, take_overs, suicides;
	word64 doubles, forgotten;
};

static struct kernel *kernel;
static struct registry registry;
static uint32_t ports = 4;

/* What the innermost claim of this worker is about; a handler and a vfork child put it back. */
static volatile uint32_t current_port;
static volatile uint64_t current_cookie;
static volatile int armed = -1, delay;
static volatile sig_atomic_t may_jump;
static sigjmp_buf out;
static uint32_t seed;

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

	registry_first(&registry, FIRST_PORT + port, turn->record, &cursor);
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
	registry_memory(&registry, FIRST_PORT + port, &memory, &source);
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

static bool bind_once(uint32_t port, uint32_t hold)
{
	struct holder claim = {
		.cookie = new_cookie(), .port = (uint16_t)(FIRST_PORT + port), .domain = 2, .state = STATE_BOUND, .fd = -1
	};
	struct turn turn;
	reference reference;

	current_port = port;
	current_cookie = claim.cookie;
	registry_claim(&registry, FIRST_PORT + port, &claim, &turn);
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
	spin(hold);
	release(port, claim.cookie, reference);
	return true;
}

static void handler(int signal)
{
	uint32_t port = current_port;
	uint64_t cookie = current_cookie;

	(void)signal;
	count(&kernel->handlers);
	bind_once(random_below(2) ? port : random_below(ports), 300);
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
		bind_once(random_below(ports), 300);
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
		delay = (int)random_below(200);
	}
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	if (sigsetjmp(out, 1))
		jumped();
	for (;;) {
		may_jump = 1;
		bind_once(random_below(ports), 3000);
		may_jump = 0;
		if (random_below(30) == 0)
			claim_in_vfork_child();
	}
}

static pid_t start(uint32_t number)
{
	pid_t child = fork();

	if (!child)
		work(number);
	return child;
}

static void run(uint32_t kills, time_t seconds, int workers)
{
	pid_t worker[64];
	uint32_t started = 0, killed = 0;
	time_t end = time(NULL) + seconds;

	for (int i = 0; i < workers; i++)
		worker[i] = start(++started);
	while (seconds ? time(NULL) < end : killed < kills) {
		int victim = (int)random_below((uint32_t)workers);

		usleep(random_below(4000));
		kill(worker[victim], SIGKILL);
		waitpid(worker[victim], NULL, 0);
		worker[victim] = start(++started);
		killed++;
	}
	for (int i = 0; i < workers; i++) {
		kill(worker[i], SIGKILL);
		waitpid(worker[i], NULL, 0);
	}
	printf("%u killed from outside\n", killed);
}

/* All are dead: every port must be had, at the second try at the latest. */
static int stuck_ports(void)
{
	int stuck = 0;

	for (uint32_t port = 0; port < ports; port++) {
		if (bind_once(port, 0) || bind_once(port, 0))
			continue;
		fprintf(stderr, "port %u is stuck\n", port);
		stuck++;
	}
	return stuck;
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
	registry_usage(&registry, &usage);
	printf("\nrecords used %u, live %u, processes %u\ngrants a port:", usage.records_used, usage.records_live, usage.processes);
	for (uint32_t port = 0; port < ports; port++)
		printf(" %llu", (unsigned long long)atomic_load(&kernel->port[port].grants));
	printf("\n");
}

int main(int argc, char **argv)
{
	const char *amount = argc > 1 ? argv[1] : "500";
	uint32_t number = (uint32_t)atoi(amount);
	char folder[] = "/dev/shm/torture-registry.XXXXXX", path[64];
	bool failed;
	int stuck;

	if (argc > 2)
		ports = (uint32_t)atoi(argv[2]);
	if (!number || ports < 1 || ports > MOST_PORTS || !mkdtemp(folder)) {
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

	seed = (uint32_t)time(NULL) | 1;
	printf("seed %u\n", seed);
	fflush(stdout);
	run(number, amount[strlen(amount) - 1] == 's' ? (time_t)number : 0, argc > 3 ? atoi(argv[3]) : 4);
	stuck = stuck_ports();
	report();
	failed = stuck || atomic_load(&kernel->doubles) || atomic_load(&kernel->forgotten) || !atomic_load(&kernel->grants);
	printf("1..1\n%s 1 - one holder a port, and no port lost\n", failed ? "not ok" : "ok");
	return failed;
}
