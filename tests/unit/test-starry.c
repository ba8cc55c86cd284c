/* SPDX-License-Identifier: MIT */
/* The Starry family: the whole matrix through a small model of a machine, and what the matrix does not
 * reach by single questions. */
#include "tests/unit/judge.h"
#include "tests/unit/matrix.h"

#include <netinet/tcp.h>

#define ROWS 64
#define EXTRAS 64

/* ---- a machine: sockets, what outlives them, and what the buckets remember ---- */

struct machine {
	const struct profile *profile;
	bool mirror;                           /* Linux: children and remnants count */
	struct holder sockets[MATRIX_SOCKETS]; /* pid != 0: open */
	int peer[MATRIX_SOCKETS];              /* of a connection, -1: none or closed */
	bool caller[MATRIX_SOCKETS];           /* connected by itself, not accepted */
	struct holder extras[EXTRAS];          /* anchors, TIME_WAIT */
	size_t extra_count;
	struct { uint32_t bucket; uint32_t flags; struct holder source; } remembered[EXTRAS];
	size_t remembered_count;
	uint64_t order;
	uint16_t ephemeral;
	int pending; /* the client that accept() will take */
};

static void boot(struct machine *m, const struct profile *profile)
{
	*m = (struct machine){ .profile = profile, .ephemeral = 49152, .mirror = profile->family == &family_linux };
}

static void close_all(struct machine *m)
{
	memset(m->sockets, 0, sizeof m->sockets);
}

static uint32_t bucket_of(const struct machine *m, const struct holder *holder)
{
	return m->profile->family->bucket(m->profile, holder->protocol, holder->port);
}

/* An anchor lies where either protocol would look. */
static bool anchor_in(const struct machine *m, const struct holder *anchor, uint32_t bucket)
{
	return m->profile->family->bucket(m->profile, PROTOCOL_TCP, anchor->port) == bucket ||
	       m->profile->family->bucket(m->profile, PROTOCOL_UDP, anchor->port) == bucket;
}

static void add_extra(struct machine *m, const struct holder *holder, enum state state)
{
	cr_assert_lt(m->extra_count, EXTRAS);
	m->extras[m->extra_count] = *holder;
	m->extras[m->extra_count++].state = state;
}

static void add_anchor(struct machine *m, const struct holder *holder)
{
	if (!m->profile->family->anchors(m->profile, holder))
		return;
	for (size_t i = 0; i < m->extra_count; i++)
		if (!memcmp(m->extras[i].address, holder->address, 16) && anchor_in(m, &m->extras[i], bucket_of(m, holder)))
			return;
	add_extra(m, holder, STATE_ANCHOR);
}

static size_t memory_at(const struct machine *m, uint32_t bucket)
{
	size_t i = 0;

	while (i < m->remembered_count && m->remembered[i].bucket != bucket)
		i++;
	return i;
}

static void machine_judge(struct machine *m, enum call call, int name, const struct holder *claim, struct verdict *verdict)
{
	uint32_t bucket = bucket_of(m, claim);
	size_t at = memory_at(m, bucket);
	struct memory memory = { .flags = 0 };
	struct judgement judgement;

	if (at < m->remembered_count) {
		memory.flags = m->remembered[at].flags;
		memory.source = &m->remembered[at].source;
	}
	judge_begin(&judgement, m->profile, call, claim, &memory);
	for (int i = 0; i < MATRIX_SOCKETS; i++) {
		const struct holder *holder = &m->sockets[i];
		bool child = holder->state == STATE_CONNECTED && !m->caller[i];
		if (i != name && holder->pid && holder->state != STATE_UNBOUND && bucket_of(m, holder) == bucket && (m->mirror || !child))
			judge_holder(&judgement, holder);
	}
	for (size_t i = 0; i < m->extra_count; i++) {
		const struct holder *extra = &m->extras[i];
		if (extra->state == STATE_ANCHOR ? anchor_in(m, extra, bucket) : bucket_of(m, extra) == bucket)
			judge_holder(&judgement, extra);
	}
	judge_end(&judgement, verdict);
	cr_assert_not_null(verdict->rule);
	if (!judgement.seen)
		m->remembered_count = at < m->remembered_count ? at : m->remembered_count;
}

static void machine_remember(struct machine *m, const struct holder *claim, const struct verdict *verdict)
{
	size_t at = memory_at(m, bucket_of(m, claim));

	if (verdict->memory == MEMORY_KEEP)
		return;
	cr_assert_lt(at, EXTRAS);
	if (at == m->remembered_count)
		m->remembered_count++;
	m->remembered[at].bucket = bucket_of(m, claim);
	m->remembered[at].flags = verdict->memory == MEMORY_CLAIM ? verdict->memory_flags : 0;
	m->remembered[at].source = *claim;
}

static struct question ask(const struct machine *m, enum call call, int name)
{
	const struct holder *socket = &m->sockets[name];

	return (struct question){
		.call = call, .profile = m->profile, .domain = socket->domain, .protocol = socket->protocol,
		.state = socket->state, .options = socket->options,
	};
}

static int host_says(const struct machine *m, enum call call, int error)
{
	return m->profile->family->error(m->profile, call, error);
}

static struct sockaddr_in place(enum matrix_host host, uint16_t offset)
{
	static const uint32_t hosts[] = { [MATRIX_LO] = 0x7f000001, [MATRIX_ANY] = 0, [MATRIX_ETH] = 0x0a4d0001, [MATRIX_FAR] = 0xc0000207 };

	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(PORT + offset), .sin_addr.s_addr = htonl(hosts[host]) };
}

/* ---- the player ---- */

static int model_socket(void *context, int name, bool udp)
{
	struct machine *m = context;

	m->sockets[name] = (struct holder){
		.pid = 1, .fd = name, .cookie = ++m->order, .domain = AF_INET, .protocol = udp ? PROTOCOL_UDP : PROTOCOL_TCP,
	};
	m->peer[name] = -1;
	m->caller[name] = false;
	return 0;
}

static int model_set(void *context, int name, enum matrix_verb option, int value)
{
	struct machine *m = context;
	struct holder *socket = &m->sockets[name];
	struct option_question question = {
		.call = CALL_SETSOCKOPT, .profile = m->profile, .domain = AF_INET, .protocol = socket->protocol, .options = socket->options,
		.level = SOL_SOCKET, .name = option == MATRIX_REUSEADDR ? SO_REUSEADDR : SO_REUSEPORT, .value = &value, .length = sizeof value,
	};
	uint32_t bit = option == MATRIX_REUSEADDR ? OPTION_REUSEADDR : OPTION_REUSEPORT;
	struct option_answer answer;

	m->profile->family->option(&question, &answer);
	if (answer.passes)
		socket->options = value ? socket->options | bit : socket->options & ~bit;
	else
		socket->options = answer.options;
	return answer.error;
}

static void settle(struct machine *m, int name, const struct holder *claim)
{
	m->sockets[name] = *claim;
	m->sockets[name].state = STATE_BOUND;
	m->sockets[name].order = ++m->order;
	add_anchor(m, &m->sockets[name]);
}

static int host_bind(const struct machine *m, int name, enum matrix_host host)
{
	bool freebind = m->profile->trait[trait_foreign_address] == foreign_address_bound;

	if (m->sockets[name].state != STATE_UNBOUND)
		return EINVAL;
	return host == MATRIX_FAR && !freebind ? EADDRNOTAVAIL : 0;
}

static int model_bind(void *context, int name, enum matrix_host host, uint16_t offset)
{
	struct machine *m = context;
	struct sockaddr_in address = place(host, offset);
	struct question question = ask(m, CALL_BIND, name);
	struct sockaddr_storage to;
	struct verdict verdict = { .error = 0 };
	uint32_t length = 0;

	question.address = (const uint8_t *)&address;
	question.length = sizeof address;
	bool final = m->profile->family->before(&question, &verdict, &to, &length);
	if (length)
		memcpy(&address, &to, sizeof address);
	struct holder claim = m->sockets[name];
	claim.port = ntohs(address.sin_port);
	memcpy(claim.address, &address.sin_addr, 4);
	if (final && (verdict.flags & VERDICT_BINDS))
		settle(m, name, &claim);
	if (!final && host_bind(m, name, host))
		return host_says(m, CALL_BIND, host_bind(m, name, host));
	if (!final)
		machine_judge(m, CALL_BIND, name, &claim, &verdict);
	if (verdict.error)
		return verdict.error;
	machine_remember(m, &claim, &verdict);
	settle(m, name, &claim);
	return 0;
}

static int model_listen(void *context, int name)
{
	struct machine *m = context;
	struct question question = ask(m, CALL_LISTEN, name);
	struct holder claim = m->sockets[name];
	struct sockaddr_storage to;
	struct verdict verdict = { .error = 0 };
	uint32_t length = 0;

	question.argument = 5;
	if (m->profile->family->before(&question, &verdict, &to, &length))
		return verdict.error;
	if (claim.protocol == PROTOCOL_UDP)
		return host_says(m, CALL_LISTEN, EOPNOTSUPP);
	if (claim.state == STATE_UNBOUND)
		claim.port = m->ephemeral++;
	machine_judge(m, CALL_LISTEN, name, &claim, &verdict);
	if (verdict.error)
		return verdict.error;
	m->sockets[name] = claim;
	m->sockets[name].state = STATE_LISTENING;
	return 0;
}

/* Linux takes 0.0.0.0 for the machine itself; who refuses it did so before. */
static int listener_for(const struct machine *m, const struct sockaddr_in *address)
{
	for (int i = 0; i < MATRIX_SOCKETS; i++) {
		const struct holder *socket = &m->sockets[i];
		if (socket->pid && socket->state == STATE_LISTENING && socket->port == ntohs(address->sin_port) &&
		    (address_is_any(socket) || !address->sin_addr.s_addr || !memcmp(socket->address, &address->sin_addr, 4)))
			return i;
	}
	return -1;
}

static int model_connect(void *context, int name, enum matrix_host host, uint16_t offset)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };
	struct machine *m = context;
	struct sockaddr_in address = place(host, offset);
	struct question question = ask(m, CALL_CONNECT, name);
	struct holder *socket = &m->sockets[name];
	struct sockaddr_storage to;
	struct verdict verdict = { .error = 0 };
	uint32_t length = 0;

	question.address = (const uint8_t *)&address;
	question.length = sizeof address;
	if (m->profile->family->before(&question, &verdict, &to, &length))
		return verdict.error;
	if (listener_for(m, &address) < 0) {
		if (verdict.flags & VERDICT_UNBINDS)
			socket->state = STATE_UNBOUND;
		return host_says(m, CALL_CONNECT, ECONNREFUSED);
	}
	if (socket->state == STATE_UNBOUND)
		socket->port = m->ephemeral++;
	socket->state = STATE_CONNECTED;
	add_anchor(m, socket);
	memcpy(socket->address, loopback, sizeof loopback);
	m->caller[name] = true;
	m->pending = name;
	return 0;
}

static int model_accept(void *context, int listener, int name)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };
	struct machine *m = context;

	m->sockets[name] = m->sockets[listener];
	m->sockets[name].state = STATE_CONNECTED;
	m->sockets[name].order = ++m->order;
	memcpy(m->sockets[name].address, loopback, sizeof loopback);
	m->caller[name] = false;
	m->peer[name] = m->pending;
	m->peer[m->pending] = name;
	return 0;
}

/* Who closes a connection first is left with its TIME_WAIT. */
static int model_close(void *context, int name)
{
	struct machine *m = context;
	struct holder *socket = &m->sockets[name];

	if (socket->state == STATE_CONNECTED && m->peer[name] >= 0) {
		add_extra(m, socket, STATE_TIME_WAIT);
		m->peer[m->peer[name]] = -1;
	}
	memset(socket, 0, sizeof *socket);
	return 0;
}

static const struct matrix_player model_player = {
	.socket = model_socket, .set = model_set, .bind = model_bind, .listen = model_listen,
	.connect = model_connect, .accept = model_accept, .close = model_close,
};

/* ---- the matrix ---- */

static struct matrix_row rows[ROWS];

static size_t matrix(void)
{
	size_t count = matrix_read(STARRY_MATRIX, rows, ROWS);

	cr_assert_eq(count, 39, "%zu rows in %s", count, STARRY_MATRIX);
	return count;
}

static void play_column(const char *name)
{
	const struct profile *profile = profile_of(name);
	size_t count = matrix();

	for (size_t i = 0; i < count; i++) {
		struct machine m;
		char answers[MATRIX_ANSWERS];
		boot(&m, profile);
		matrix_play(&rows[i], &model_player, &m, answers);
		cr_expect_str_eq(answers, matrix_expected(&rows[i], name), "%s %s: %s, expected %s", name, rows[i].id, answers,
				 matrix_expected(&rows[i], name));
	}
}

Test(starry, matrix_starry_before) { play_column("starry-before"); }
Test(starry, matrix_starry) { play_column("starry"); }
Test(starry, matrix_starryos) { play_column("starryos"); }
Test(starry, matrix_tgoskits) { play_column("tgoskits"); }
Test(starry, matrix_linux) { play_column("linux-6.18"); }

/* The addresses of TCP binds stay for good, and poison the UDP binds of later rows. */
Test(starry, matrix_without_reboot)
{
	size_t count = matrix(), other = 0;
	struct machine m;

	boot(&m, profile_of("starry"));
	for (size_t i = 0; i < count; i++) {
		char answers[MATRIX_ANSWERS];
		const char *expected = matrix_expected(&rows[i], "starry/no-reboot");
		other += expected != matrix_expected(&rows[i], "starry");
		matrix_play(&rows[i], &model_player, &m, answers);
		cr_expect_str_eq(answers, expected, "%s: %s, expected %s", rows[i].id, answers, expected);
		close_all(&m);
	}
	cr_expect_eq(other, 7);
}

/* ---- single questions ---- */

static struct verdict before(const struct question *question)
{
	struct sockaddr_storage to;
	struct verdict verdict = { .error = 0 };
	uint32_t length = 0;

	if (!question->profile->family->before(question, &verdict, &to, &length))
		verdict.error = -1;
	return verdict;
}

static int socket_answer(const char *profile, int domain, int type)
{
	struct question question = { .call = CALL_SOCKET, .profile = profile_of(profile), .domain = (uint8_t)domain, .argument = type };

	return before(&question).error;
}

Test(starry, socket)
{
	cr_expect_eq(socket_answer("starry", AF_UNIX, SOCK_RAW), -1);
	cr_expect_eq(socket_answer("starry", AF_INET6, SOCK_STREAM | SOCK_CLOEXEC), -1);
	cr_expect_eq(socket_answer("starry", AF_INET, SOCK_RAW), ENOTRECOVERABLE);
	cr_expect_eq(socket_answer("starry", AF_INET, 7), EINVAL);
	cr_expect_eq(socket_answer("starryos", AF_INET6, SOCK_STREAM), EAFNOSUPPORT);
	cr_expect_eq(socket_answer("starryos", AF_INET, SOCK_RAW), ESOCKTNOSUPPORT);
	cr_expect_eq(socket_answer("tgoskits", AF_INET6, SOCK_DGRAM), -1);
	cr_expect_eq(socket_answer("tgoskits", AF_INET, SOCK_RAW), -1);
	cr_expect_eq(socket_answer("tgoskits", AF_INET6, SOCK_RAW), ESOCKTNOSUPPORT);
	cr_expect_eq(socket_answer("tgoskits", AF_INET, 11), EINVAL);
	cr_expect_eq(socket_answer("arceos", AF_INET6, SOCK_STREAM), EINVAL);
	cr_expect_eq(socket_answer("arceos", AF_INET, SOCK_STREAM), -1);
	cr_expect_eq(socket_answer("arceos", AF_INET, SOCK_STREAM | SOCK_CLOEXEC), EINVAL);
}

static int bind_answer(const char *profile, const void *address, uint32_t length, enum state state)
{
	struct question question = {
		.call = CALL_BIND, .profile = profile_of(profile), .domain = AF_INET, .state = (uint8_t)state, .options = OPTION_REUSEADDR,
		.address = address, .length = length,
	};

	return before(&question).error;
}

Test(starry, bind_arguments)
{
	struct sockaddr_in good = place(MATRIX_LO, 0), odd = good;

	odd.sin_family = AF_APPLETALK;
	cr_expect_eq(bind_answer("starry", &odd, 8, STATE_UNBOUND), 0);
	cr_expect_eq(bind_answer("starryos", &odd, sizeof odd, STATE_UNBOUND), EAFNOSUPPORT);
	cr_expect_eq(bind_answer("starryos", &odd, 1, STATE_UNBOUND), EINVAL);
	cr_expect_eq(bind_answer("tgoskits", &good, 20, STATE_UNBOUND), EINVAL);
	cr_expect_eq(bind_answer("tgoskits", &good, sizeof good, STATE_UNBOUND), -1);
	cr_expect_eq(bind_answer("arceos", NULL, sizeof good, STATE_UNBOUND), EFAULT);
	cr_expect_eq(bind_answer("arceos", &odd, sizeof odd, STATE_UNBOUND), EINVAL);
	cr_expect_eq(bind_answer("arceos", &good, sizeof good, STATE_UNBOUND), 0);
	cr_expect_eq(bind_answer("arceos", &good, sizeof good, STATE_BOUND), EINVAL);
	/* The address is read before the socket's state is looked at. */
	cr_expect_eq(bind_answer("starryos", &odd, sizeof odd, STATE_LISTENING), EAFNOSUPPORT);
	cr_expect_eq(bind_answer("starry", &odd, sizeof odd, STATE_LISTENING), EPERM);
}

/* The sockaddr is rewritten as the system reads it: domain of the socket, sixteen bytes. */
Test(starry, bind_rewrites)
{
	struct sockaddr_in6 given = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) }, *ipv6;
	struct question question = {
		.call = CALL_BIND, .profile = profile_of("starry"), .domain = AF_INET, .protocol = PROTOCOL_UDP,
		.address = (const uint8_t *)&given, .length = sizeof given,
	};
	struct sockaddr_storage to;
	struct verdict verdict = { .error = 0 };
	uint32_t length = 0;

	given.sin6_flowinfo = htonl(0x7f000001);
	cr_expect_not(question.profile->family->before(&question, &verdict, &to, &length));
	cr_expect_eq(length, sizeof(struct sockaddr_in));
	cr_expect_eq(((struct sockaddr_in *)&to)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	cr_expect_eq(((struct sockaddr_in *)&to)->sin_port, htons(PORT));

	given.sin6_flowinfo = 0;
	inet_pton(AF_INET6, "2001:db8::1", &given.sin6_addr);
	question.domain = AF_INET6;
	cr_expect_not(question.profile->family->before(&question, &verdict, &to, &length));
	cr_expect_eq(length, sizeof given);
	ipv6 = (struct sockaddr_in6 *)&to;
	struct in6_addr read;
	inet_pton(AF_INET6, "0:0:120:b80d::", &read);
	cr_expect_arr_eq(&ipv6->sin6_addr, &read, sizeof read);
}

/* :: counts as a specific address, so a first bind without SO_REUSEADDR meets itself. */
Test(starry, bind_ipv6)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	struct question question = {
		.call = CALL_BIND, .profile = profile_of("starry"), .domain = AF_INET6, .protocol = PROTOCOL_TCP,
		.address = (const uint8_t *)&any, .length = sizeof any,
	};
	struct verdict verdict = before(&question);

	cr_expect_eq(verdict.error, EPERM);
	cr_expect_str_eq(verdict.rule->id, "bind/self-conflict");
	cr_expect(verdict.flags & VERDICT_BINDS);
	question.options = OPTION_REUSEADDR;
	cr_expect_eq(before(&question).error, 0);

	question.profile = profile_of("tgoskits");
	cr_expect_eq(before(&question).error, -1);
	inet_pton(AF_INET6, "2001:db8::1", &any.sin6_addr);
	cr_expect_eq(before(&question).error, EADDRNOTAVAIL);
	question.call = CALL_CONNECT;
	cr_expect_eq(before(&question).error, ENETUNREACH);
	any.sin6_addr = in6addr_any;
	cr_expect_eq(before(&question).error, EINVAL);
}

static int pair(const char *profile, const struct holder *claim, const struct holder *holder, const char *rule)
{
	struct verdict verdict = judge_pair(profile_of(profile), CALL_BIND, claim, holder);

	cr_expect_str_eq(verdict.rule->id, rule, "%s, expected %s", verdict.rule->id, rule);
	cr_expect_eq(verdict.blamed, verdict.error != 0 && verdict.error != ENXIO);
	return verdict.error;
}

Test(starry, tgoskits_pairs)
{
	struct holder any = { .domain = AF_INET, .port = PORT, .state = STATE_LISTENING }, six = { .domain = AF_INET6, .port = PORT, .state = STATE_BOUND };
	struct holder lo = { .domain = AF_INET, .port = PORT, .address = { 127, 0, 0, 1 } }, lo2 = { .domain = AF_INET, .port = PORT, .address = { 127, 0, 0, 2 } };

	/* The listen table comes before the look at the interfaces, the side table after it. */
	cr_expect_eq(pair("tgoskits", &lo2, &any, "bind/port-taken"), EADDRINUSE);
	lo2.options = OPTION_REUSEADDR;
	cr_expect_eq(pair("tgoskits", &lo2, &any, "bind/foreign-address"), ENXIO);
	lo2.options = 0;
	any.state = STATE_BOUND;
	cr_expect_eq(pair("tgoskits", &lo2, &any, "bind/foreign-address"), ENXIO);
	/* IPv6 is IPv4 under another name. */
	cr_expect_eq(pair("tgoskits", &lo, &six, "bind/port-taken"), EADDRINUSE);
	six.address[15] = 1;
	cr_expect_eq(pair("tgoskits", &six, &lo, "bind/port-taken"), EADDRINUSE);
	lo.options = six.options = OPTION_REUSEPORT;
	cr_expect_eq(pair("tgoskits", &lo, &six, "ok/reuseport"), 0);
	/* Groups need the same address. */
	any.options = OPTION_REUSEPORT;
	cr_expect_eq(pair("tgoskits", &lo, &any, "bind/port-taken"), EADDRINUSE);
	/* Another protocol, another port. */
	any.protocol = PROTOCOL_UDP;
	cr_expect_eq(pair("tgoskits", &lo, &any, "ok/free"), 0);
	any.protocol = PROTOCOL_TCP;
	any.port++;
	cr_expect_eq(pair("tgoskits", &lo, &any, "ok/free"), 0);
	six.state = STATE_TIME_WAIT;
	six.options = 0;
	cr_expect_eq(pair("tgoskits", &lo, &six, "ok/free"), 0);
}

Test(starry, compared_addresses)
{
	struct holder claim = { .domain = AF_INET6, .port = PORT, .protocol = PROTOCOL_UDP }, holder = claim;

	holder.port++;
	holder.state = STATE_BOUND;
	cr_expect_eq(pair("starry", &claim, &holder, "bind/same-address"), EPERM);
	claim.domain = holder.domain = AF_INET;
	cr_expect_eq(pair("starry", &claim, &holder, "ok/wildcard"), 0);
	claim.address[0] = holder.address[0] = 127;
	cr_expect_eq(pair("starryos", &claim, &holder, "ok/free"), 0);
	holder.port = claim.port;
	cr_expect_eq(pair("starryos", &claim, &holder, "bind/same-endpoint"), EADDRINUSE);
	claim.options = OPTION_REUSEADDR;
	cr_expect_eq(pair("starryos", &claim, &holder, "ok/reuseaddr"), 0);
}

Test(starry, blames_the_eldest)
{
	struct holder claim = { .domain = AF_INET, .port = PORT, .protocol = PROTOCOL_UDP, .address = { 127, 0, 0, 1 } };
	struct holder young = claim, old = claim;
	struct judgement judgement;
	struct verdict verdict;

	young.order = 9, old.order = 3, young.port = 1, old.port = 2;
	judge_begin(&judgement, profile_of("starry"), CALL_BIND, &claim, NULL);
	judge_holder(&judgement, &young);
	judge_holder(&judgement, &old);
	judge_end(&judgement, &verdict);
	cr_expect_eq(verdict.error, EPERM);
	cr_expect(verdict.blamed);
	cr_expect_eq(verdict.holder.order, 3);
}

Test(starry, buckets)
{
	const struct profile *starry = profile_of("starry"), *starryos = profile_of("starryos"), *tgoskits = profile_of("tgoskits");

	cr_expect_eq(starry->family->bucket(starry, PROTOCOL_TCP, 80), 80);
	cr_expect_eq(starry->family->bucket(starry, PROTOCOL_UDP, 80), 65536);
	cr_expect_eq(starryos->family->bucket(starryos, PROTOCOL_UDP, 80), 80);
	cr_expect_eq(tgoskits->family->bucket(tgoskits, PROTOCOL_UDP, 80), 65616);
}

Test(starry, anchors)
{
	struct holder holder = { .domain = AF_INET, .state = STATE_BOUND };
	const struct family *family = &family_starry;

	cr_expect_not(family->anchors(profile_of("starry"), &holder));
	holder.state = STATE_CONNECTED;
	cr_expect(family->anchors(profile_of("tgoskits"), &holder));
	cr_expect_not(family->anchors(profile_of("starryos"), &holder));
	holder.state = STATE_BOUND;
	cr_expect_not(family->anchors(profile_of("tgoskits"), &holder));
	holder.address[0] = 127;
	cr_expect(family->anchors(profile_of("starry"), &holder));
	cr_expect_not(family->anchors(profile_of("starry-before"), &holder));
	holder.protocol = PROTOCOL_UDP;
	cr_expect_not(family->anchors(profile_of("starry"), &holder));
}

Test(starry, other_calls)
{
	struct question question = { .profile = profile_of("starry"), .domain = AF_INET, .state = STATE_LISTENING };
	uint8_t room[sizeof(struct sockaddr_in)];

	question.call = CALL_ACCEPT;
	cr_expect_eq(before(&question).error, EFAULT);
	question.address = room;
	cr_expect_eq(before(&question).error, -1);
	question.state = STATE_BOUND;
	cr_expect_eq(before(&question).error, EPERM);

	question.state = STATE_LISTENING;
	question.call = CALL_SHUTDOWN;
	question.argument = SHUT_RDWR;
	cr_expect_eq(before(&question).error, 0);
	question.argument = 3;
	cr_expect_eq(before(&question).error, EINVAL);
	question.argument = SHUT_WR;
	question.protocol = PROTOCOL_UDP;
	question.state = STATE_BOUND;
	cr_expect_eq(before(&question).error, -1);
	cr_expect_eq(before(&question).flags, VERDICT_KILLS); /* in nobody's way, but bind() says that it is bound */
	question.argument = SHUT_RD;
	cr_expect_eq(before(&question).flags, 0);

	question.call = CALL_LISTEN;
	question.protocol = PROTOCOL_TCP;
	question.state = STATE_CONNECTED;
	cr_expect_eq(before(&question).error, 0);
	question.profile = profile_of("starryos");
	question.argument = -2;
	cr_expect_eq(before(&question).error, EINVAL);

	question.call = CALL_CONNECT;
	question.address = NULL;
	cr_expect_eq(before(&question).error, -1);
	question.profile = profile_of("starry");
	cr_expect_eq(before(&question).error, EISCONN);
	question.profile = profile_of("arceos");
	cr_expect_eq(before(&question).error, EFAULT);

	struct sockaddr_in nowhere = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	question.address = (const uint8_t *)&nowhere;
	question.length = sizeof nowhere;
	cr_expect_eq(before(&question).error, EEXIST);
	question.state = STATE_BOUND;
	cr_expect_eq(before(&question).error, ECONNREFUSED);
	cr_expect_eq(before(&question).flags, 0);
	nowhere.sin_port = htons(PORT);
	cr_expect_eq(before(&question).error, -1);
	cr_expect_eq(before(&question).flags, VERDICT_UNBINDS);
}

Test(starry, host_errors)
{
	const struct { const char *profile; enum call call; int host, program; } cases[] = {
		{ "starry", CALL_BIND, EADDRINUSE, EPERM }, { "starry", CALL_BIND, EBADF, EBADF }, { "starry", CALL_BIND, ENOTSOCK, ENOTSOCK },
		{ "starry", CALL_LISTEN, EINVAL, EPERM }, { "starry", CALL_ACCEPT, EINVAL, EPERM }, { "starry", CALL_ACCEPT, EAGAIN, EAGAIN },
		{ "starry", CALL_ACCEPT, EMFILE, ENFILE }, { "starry", CALL_CONNECT, ETIMEDOUT, ECONNREFUSED },
		{ "starry", CALL_CONNECT, EALREADY, EISCONN }, { "starry", CALL_CONNECT, EINPROGRESS, EINPROGRESS },
		{ "starry", CALL_SHUTDOWN, ENOTCONN, 0 }, { "starry", CALL_CLOSE, EBADF, EPERM }, { "starry", CALL_SETSOCKOPT, ENOPROTOOPT, 0 },
		{ "starryos", CALL_BIND, EADDRNOTAVAIL, EADDRNOTAVAIL }, { "tgoskits", CALL_BIND, EADDRNOTAVAIL, ENXIO },
		{ "tgoskits", CALL_CONNECT, EADDRNOTAVAIL, EADDRNOTAVAIL }, { "arceos", CALL_CONNECT, EISCONN, EEXIST },
		{ "arceos", CALL_CONNECT, EINPROGRESS, EAGAIN }, { "arceos", CALL_BIND, ENOTSOCK, EINVAL },
		{ "arceos", CALL_SOCKET, EPROTONOSUPPORT, EINVAL }, { "arceos", CALL_LISTEN, EADDRINUSE, EADDRINUSE },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(family_starry.error(profile_of(cases[i].profile), cases[i].call, cases[i].host), cases[i].program, "case %zu", i);
}

/* ---- options ---- */

static struct option_answer set(const char *profile, enum protocol protocol, int level, int name, int value, uint32_t length)
{
	struct option_question question = {
		.call = CALL_SETSOCKOPT, .profile = profile_of(profile), .domain = AF_INET, .protocol = (uint8_t)protocol,
		.level = level, .name = name, .value = &value, .length = length,
	};
	struct option_answer answer;

	family_starry.option(&question, &answer);
	return answer;
}

static struct option_answer get(const char *profile, enum protocol protocol, uint32_t options, int level, int name, uint32_t room)
{
	struct option_question question = {
		.call = CALL_GETSOCKOPT, .profile = profile_of(profile), .domain = AF_INET, .protocol = (uint8_t)protocol,
		.options = options, .level = level, .name = name, .length = room,
	};
	struct option_answer answer;

	family_starry.option(&question, &answer);
	return answer;
}

static int number(struct option_answer answer)
{
	int value = -1;

	if (answer.length == sizeof value && !answer.error && !answer.passes)
		memcpy(&value, answer.value, sizeof value);
	return value;
}

static void expect_halt(struct option_answer answer)
{
	cr_expect_eq(answer.error, ENOTRECOVERABLE);
	cr_expect_eq(answer.flags, VERDICT_HALTS);
}

Test(starry, options_starry)
{
	cr_expect_eq(set("starry", PROTOCOL_TCP, SOL_SOCKET, SO_REUSEADDR, 7, 4).options, OPTION_REUSEADDR);
	cr_expect_eq(set("starry", PROTOCOL_TCP, SOL_SOCKET, SO_DONTROUTE, 1, 4).options, OPTION_REUSEADDR);
	cr_expect_eq(set("starry-before", PROTOCOL_TCP, SOL_SOCKET, SO_REUSEADDR, 1, 4).options, 0);
	cr_expect_eq(set("starry-before", PROTOCOL_UDP, SOL_SOCKET, SO_DONTROUTE, 1, 4).options, OPTION_REUSEADDR);
	cr_expect_eq(set("starry", PROTOCOL_TCP, SOL_SOCKET, SO_REUSEPORT, 1, 4).options, 0);
	cr_expect_eq(set("starry", PROTOCOL_TCP, SOL_SOCKET, SO_REUSEPORT, 1, 4).error, 0);
	cr_expect_eq(set("starry", PROTOCOL_TCP, SOL_SOCKET, SO_SNDTIMEO, 1, 4).error, EPERM);
	cr_expect(set("starry", PROTOCOL_TCP, SOL_SOCKET, SO_RCVBUF, 1, 4).passes);
	cr_expect_eq(set("starry", PROTOCOL_TCP, IPPROTO_IPV6, IPV6_V6ONLY, 1, 4).error, 0);
	cr_expect_not(set("starry", PROTOCOL_TCP, IPPROTO_IPV6, IPV6_V6ONLY, 1, 4).passes);
	expect_halt(set("starry", PROTOCOL_TCP, SOL_SOCKET, SO_REUSEADDR, 1, 2));
	expect_halt(set("starry", PROTOCOL_TCP, SOL_SOCKET, SO_ERROR, 1, 4));
	expect_halt(set("starry", PROTOCOL_UDP, IPPROTO_TCP, TCP_NODELAY, 1, 4));
	expect_halt(set("starry", PROTOCOL_TCP, IPPROTO_SCTP, 1, 1, 4));
	cr_expect_eq(set("starry", PROTOCOL_UDP, IPPROTO_TCP, TCP_FASTOPEN, 1, 4).error, 0);

	cr_expect_eq(number(get("starry", PROTOCOL_TCP, OPTION_REUSEADDR, SOL_SOCKET, SO_REUSEADDR, 4)), 1);
	cr_expect_eq(number(get("starry", PROTOCOL_TCP, OPTION_REUSEADDR, SOL_SOCKET, SO_DONTROUTE, 4)), 0);
	expect_halt(get("starry-before", PROTOCOL_TCP, 0, SOL_SOCKET, SO_REUSEADDR, 4));
	cr_expect_eq(number(get("starry-before", PROTOCOL_UDP, 0, SOL_SOCKET, SO_REUSEADDR, 4)), 0);
	expect_halt(get("starry", PROTOCOL_TCP, 0, SOL_SOCKET, SO_REUSEPORT, 4));
	expect_halt(get("starry", PROTOCOL_TCP, 0, SOL_SOCKET, SO_TYPE, 4));
	expect_halt(get("starry", PROTOCOL_TCP, 0, SOL_SOCKET, SO_REUSEADDR, 3));
	struct option_answer nothing = get("starry", PROTOCOL_TCP, 0, SOL_SOCKET, SO_ERROR, 4);
	cr_expect(!nothing.passes && !nothing.error && !nothing.length);
	nothing = get("starry", PROTOCOL_TCP, 0, IPPROTO_IP, IP_TTL, 4);
	cr_expect(!nothing.passes && !nothing.error && !nothing.length);
	cr_expect_eq(get("starry", PROTOCOL_TCP, 0, IPPROTO_TCP, TCP_INFO, 4).error, ENOPROTOOPT);
	cr_expect_eq(get("starry", PROTOCOL_TCP, 0, IPPROTO_TCP, TCP_MAXSEG, 8).length, 8);
	cr_expect_eq(get("starry", PROTOCOL_TCP, 0, IPPROTO_TCP, TCP_MAXSEG, 4).length, 4);
	cr_expect_arr_eq(get("starry", PROTOCOL_TCP, 0, IPPROTO_TCP, TCP_CONGESTION, 16).value, "reno", 4);
}

Test(starry, options_later)
{
	cr_expect_eq(set("starryos", PROTOCOL_TCP, SOL_SOCKET, SO_REUSEPORT, 1, 4).error, ENOPROTOOPT);
	cr_expect_eq(set("starryos", PROTOCOL_TCP, SOL_SOCKET, SO_DONTROUTE, 1, 4).error, ENOPROTOOPT);
	cr_expect_eq(set("starryos", PROTOCOL_TCP, SOL_SOCKET, SO_REUSEADDR, 1, 4).options, OPTION_REUSEADDR);
	cr_expect_eq(set("starryos", PROTOCOL_TCP, SOL_SOCKET, SO_REUSEADDR, 1, 8).error, EINVAL);
	cr_expect_eq(set("starryos", PROTOCOL_TCP, SOL_SOCKET, SO_RCVBUF, -1, 4).error, EINVAL);
	cr_expect_eq(number(get("starryos", PROTOCOL_TCP, 0, SOL_SOCKET, SO_RCVBUF, 8)), 65536);
	cr_expect_eq(get("starryos", PROTOCOL_TCP, 0, SOL_SOCKET, SO_REUSEADDR, 3).error, EINVAL);
	cr_expect_eq(get("starryos", PROTOCOL_TCP, 0, IPPROTO_IP, IP_TTL, 4).error, ENOPROTOOPT);
	cr_expect(get("starryos", PROTOCOL_UDP, 0, IPPROTO_IP, IP_TTL, 4).passes);
	cr_expect_eq(number(get("starryos", PROTOCOL_TCP, 0, SOL_SOCKET, SO_ERROR, 4)), 0);
	cr_expect_eq(set("starryos", PROTOCOL_UDP, SOL_SOCKET, SO_KEEPALIVE, 1, 4).error, ENOPROTOOPT);

	cr_expect_eq(set("tgoskits", PROTOCOL_TCP, SOL_SOCKET, SO_REUSEPORT, 1, 4).options, OPTION_REUSEPORT);
	cr_expect_eq(number(get("tgoskits", PROTOCOL_TCP, OPTION_REUSEPORT, SOL_SOCKET, SO_REUSEPORT, 4)), 1);
	cr_expect_eq(set("tgoskits", PROTOCOL_TCP, SOL_SOCKET, SO_PRIORITY, 7, 4).error, EPERM);
	cr_expect(set("tgoskits", PROTOCOL_TCP, SOL_SOCKET, SO_PRIORITY, 6, 4).passes);
	cr_expect_eq(set("tgoskits", PROTOCOL_TCP, SOL_SOCKET, SO_LINGER, 0, 8).error, ENOPROTOOPT);
	cr_expect_eq(get("tgoskits", PROTOCOL_TCP, 0, SOL_SOCKET, SO_ACCEPTCONN, 4).error, ENOPROTOOPT);
	cr_expect(get("tgoskits", PROTOCOL_TCP, 0, SOL_SOCKET, SO_ERROR, 4).passes);

	cr_expect_eq(set("arceos", PROTOCOL_TCP, 99, 99, 1, 4).error, 0);
	cr_expect_not(set("arceos", PROTOCOL_TCP, SOL_SOCKET, SO_RCVBUF, 1, 4).passes);
	cr_expect_eq(get("arceos", PROTOCOL_TCP, 0, SOL_SOCKET, SO_REUSEADDR, 4).error, ENOSYS);
}
