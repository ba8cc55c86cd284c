/* SPDX-License-Identifier: MIT */
/* fakebind why: would a bind succeed now, and who is in the way?  Answered by the rules; nothing is bound. */
#define _GNU_SOURCE
#include "cmd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "colour.h"
#include "errno_name.h"
#include "holding.h"
#include "include/fakebind.h"
#include "print_json.h"
#include "sessions.h"
#include "shim/host/ask.h"
#include "systems.h"
#include "terminal.h"

struct query {
	struct holder claim;
	int v6only; /* -1: as the system has it */
	bool listen, json;
	const char *session;
	struct systems systems; /* asked for */
};

struct answer {
	const struct profile *profile;
	struct verdict verdict;
	enum call call; /* whose verdict it is */
};

/* What there is now. */
struct scene {
	const struct query *query;
	struct session_file session;
	char system[REGISTRY_SYSTEM_MAX]; /* "": in no session */
	const struct profile *profile;    /* the session's, if it is built in */
	struct registry registry;
	struct kernel kernel;
	struct holdings holdings;
	struct openers openers;
};

static const struct rule held_outside = {
	"host/held-outside", "that socket is not known to fakebind, and the host does not share it",
	"the other program also ran under fakebind, or let go of the port", NULL,
};

static const char help[] =
	"Usage: fakebind why [ADDRESS:]PORT [OPTION]...\n"
	"\n"
	"Says whether a bind would succeed now, on the session's system and all others,\n"
	"and who is in the way.  It only looks: nothing is bound.  ADDRESS is 0.0.0.0 if\n"
	"not given; [::]:80 and the like are IPv6.\n"
	"\n"
	"      --as WORDS        what the program sets and does, commas between them:\n"
	"                        reuseaddr, reuseport, reuseport_lb, exclusive, v6only or\n"
	"                        v6only=0, uid=N, listen\n"
	"  -t, --tcp             TCP (the default)\n"
	"  -u, --udp             UDP\n"
	"  -o, --os NAME|FILE    on this system alone; may be repeated, or a list with\n"
	"                        commas\n"
	"  -s, --session NAME    among its programs; default: the one this is in, or the\n"
	"                        only one there is\n"
	"      --json            for programs\n"
	"  -h, --help            show this text\n"
	"\n"
	"The exit status is 0 if the bind would succeed (on all systems asked for; else\n"
	"on the session's; else on all), 1 if it would be refused, 125 after an error.\n";

/* ---- what is asked ---- */

static bool parse_number(const char *text, unsigned long most, unsigned long *number)
{
	char *end;

	errno = 0;
	*number = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *number <= most;
}

/* PORT, A.B.C.D:PORT, [V6]:PORT, *:PORT */
static bool parse_place(const char *text, struct holder *claim)
{
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
	char address[64] = "0.0.0.0";
	size_t length = colon ? (size_t)(colon - text) : 0;
	unsigned long number;
	bool good = length < sizeof(address);

	claim->domain = *text == '[' ? AF_INET6 : AF_INET;
	if (good && claim->domain == AF_INET6) {
		good = length > 2 && text[length - 1] == ']';
		snprintf(address, sizeof(address), "%.*s", good ? (int)length - 2 : 0, text + 1);
	} else if (good && colon && strncmp(text, "*", length)) {
		snprintf(address, sizeof(address), "%.*s", (int)length, text);
	}
	good = good && inet_pton(claim->domain, address, claim->address) == 1 && parse_number(port, UINT16_MAX, &number) && number;
	if (!good) {
		complain("%s: expected PORT, ADDRESS:PORT or [IPV6-ADDRESS]:PORT, the port from 1 to 65535", text);
		return false;
	}
	claim->port = (uint16_t)number;
	return true;
}

static bool parse_word(const char *word, struct query *query)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} options[] = {
		{ "reuseaddr", OPTION_REUSEADDR }, { "reuseport", OPTION_REUSEPORT }, { "reuseport_lb", OPTION_REUSEPORT_LB },
		{ "exclusive", OPTION_EXCLUSIVE },
	};
	unsigned long number;

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (!strcmp(word, options[i].name)) {
			query->claim.options |= options[i].bit;
			return true;
		}
	if (!strcmp(word, "v6only") || !strcmp(word, "v6only=1") || !strcmp(word, "v6only=0")) {
		query->v6only = strcmp(word, "v6only=0") != 0;
		return true;
	}
	if (!strcmp(word, "listen"))
		return query->listen = true;
	if (!strncmp(word, "uid=", 4) && parse_number(word + 4, UINT32_MAX - 1, &number)) {
		query->claim.uid = (uint32_t)number;
		return true;
	}
	complain("--as %s: expected reuseaddr, reuseport, reuseport_lb, exclusive, v6only, v6only=0, uid=NUMBER or listen", word);
	return false;
}

static bool parse_words(char *words, struct query *query)
{
	for (char *word; (word = strsep(&words, ","));)
		if (*word && !parse_word(word, query))
			return false;
	return true;
}

/* -1: go on, else the exit status. */
static int parse(int argc, char **argv, struct query *query)
{
	static const struct option options[] = {
		{ "as", required_argument, NULL, 'a' },
		{ "tcp", no_argument, NULL, 't' },
		{ "udp", no_argument, NULL, 'u' },
		{ "os", required_argument, NULL, 'o' },
		{ "session", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "tuo:s:h", options, NULL)) != -1) {
		switch (letter) {
		case 'a':
			if (!parse_words(optarg, query))
				return EXIT_OURS;
			break;
		case 't': query->claim.protocol = PROTOCOL_TCP; break;
		case 'u': query->claim.protocol = PROTOCOL_UDP; break;
		case 'o':
			if (!systems_add(&query->systems, optarg))
				return EXIT_OURS;
			break;
		case 's': query->session = optarg; break;
		case 'j': query->json = true; break;
		default:
			return help_or_misuse(letter, help);
		}
	}
	if (optind + 1 != argc) {
		complain(optind == argc ? "no port given" : "one address at a time: %s", argv[argc - 1]);
		return misuse();
	}
	return parse_place(argv[optind], &query->claim) ? GO_ON : EXIT_OURS;
}

/* ---- what there is ---- */

/* The one asked for, the one we are in, or the only one.  False after an error. */
static bool choose_session(const char *name, struct session_file *session, bool *found)
{
	struct session_list list;

	*found = true;
	if (name)
		return session_find(name, session);
	if (session_of_ours(session))
		return true;
	if (!sessions_read(&list))
		return false;
	*found = list.count == 1;
	if (*found)
		*session = list.files[0];
	if (list.count > 1)
		complain("there are %zu sessions: choose one with --session (fakebind sessions lists them)", list.count);
	sessions_free(&list);
	return list.count <= 1 || *found;
}

static bool open_scene(struct scene *scene, const struct query *query)
{
	enum registry_error error;
	bool found;

	*scene = (struct scene){ .query = query };
	if (!choose_session(query->session, &scene->session, &found))
		return false;
	kernel_read(&scene->kernel);
	if (!scene->kernel.known)
		complain("the kernel does not say who holds what (sock_diag): only what fakebind has registered is known");
	openers_read(&scene->openers);
	if (found) {
		error = session_open(&scene->session, &scene->registry, scene->kernel.netns, scene->system, &scene->profile);
		if (error != REGISTRY_OK) {
			complain("%s: %s", scene->session.path, registry_error_text(error));
			return false;
		}
	}
	holdings_read(&scene->holdings, &scene->registry, scene->profile, &scene->kernel);
	return true;
}

/* The options of a socket that did not tell the registry: through a copy of the descriptor, where that is permitted. */
static void ask_options(const struct scene *scene, const struct holding *holding, struct holder *holder)
{
	size_t count;
	const struct opener *opener = openers_of(&scene->openers, holding->inode, &count);
	long process = opener ? syscall(SYS_pidfd_open, opener->pid, 0) : -1;
	long fd = process < 0 ? -1 : syscall(SYS_pidfd_getfd, process, opener->fd, 0);

	if (fd >= 0 && ask_cookie((int)fd) == holder->cookie) {
		holder->options |= ask_option((int)fd, SOL_SOCKET, SO_REUSEADDR) > 0 ? OPTION_REUSEADDR : 0;
		holder->options |= ask_option((int)fd, SOL_SOCKET, SO_REUSEPORT) > 0 ? OPTION_REUSEPORT : 0;
	}
	if (fd >= 0)
		close((int)fd);
	if (process >= 0)
		close((int)process);
}

/* ---- the rules ---- */

static uint32_t bucket_of(const struct profile *profile, const struct holder *holder)
{
	if (holder->state == STATE_ANCHOR) /* they are kept in one place: shim/engine/claim.c */
		return profile->family->bucket(profile, PROTOCOL_UDP, 0);
	return profile->family->bucket(profile, holder->protocol, holder->port);
}

/* False: it is nothing to this system. */
static bool counts(const struct scene *scene, const struct profile *profile, const struct holding *holding, struct holder *holder)
{
	uint32_t left;

	if (holding->evidence == EVIDENCE_GONE || holding->holder.state == STATE_DEAD || holding->holder.state == STATE_ENDED ||
	    holding->netns != scene->kernel.netns)
		return false;
	if (holding->holder.state == STATE_ANCHOR && scene->holdings.family != profile->family)
		return false;
	*holder = holding_as(&scene->holdings, holding, profile, &left);
	return holder->state != STATE_UNBOUND;
}

/* outside: with those that do not run under fakebind; what their options are is not known to it. */
static void judge(const struct scene *scene, const struct profile *profile, enum call call, const struct holder *claim, bool outside,
		  struct verdict *verdict)
{
	uint32_t bucket = bucket_of(profile, claim);
	struct judgement judgement;
	struct registry registry = scene->registry;
	struct memory memory = { 0 };
	struct holder source, holder;

	if (profile == scene->profile && holdings_has_port(&scene->holdings, claim->protocol, claim->port))
		registry_memory(&registry, bucket, &memory, &source);
	judge_begin(&judgement, profile, call, claim, &memory);
	for (size_t i = 0; i < scene->holdings.count; i++) {
		const struct holding *holding = &scene->holdings.all[i];

		if (!counts(scene, profile, holding, &holder) || bucket_of(profile, &holder) != bucket)
			continue;
		if (holding->origin == ORIGIN_OUTSIDE)
			holder.options |= OPTION_CLIENT | OPTION_AUTOBOUND; /* shim/engine/unseen.c */
		if (outside || holding->origin != ORIGIN_OUTSIDE)
			judge_holder(&judgement, &holder);
	}
	judge_end(&judgement, verdict);
}

/* Do those that do not run under fakebind keep a host socket with these options out? */
static bool host_minds(const struct scene *scene, enum call call, const struct holder *claim, uint32_t options, struct verdict *verdict)
{
	const struct profile *host = profile_find("linux-6.18");
	struct holder ours = *claim, holder;
	struct judgement judgement;

	ours.options = (claim->options & ~(OPTION_REUSEADDR | OPTION_REUSEPORT)) | options;
	judge_begin(&judgement, host, call, &ours, NULL);
	for (size_t i = 0; i < scene->holdings.count; i++) {
		const struct holding *holding = &scene->holdings.all[i];

		if (holding->origin != ORIGIN_OUTSIDE || holding->holder.port != claim->port || holding->holder.protocol != claim->protocol ||
		    !counts(scene, host, holding, &holder))
			continue;
		ask_options(scene, holding, &holder);
		judge_holder(&judgement, &holder);
	}
	judge_end(&judgement, verdict);
	return verdict->error != 0;
}

/* The host decides about those outside, as shim/engine/bind.c has it: where the system may allow more than the host, a bind
 * that meets somebody is judged by its rules over all that the kernel has, and then made with all options on. */
static void ask_host(const struct scene *scene, const struct profile *profile, enum call call, const struct holder *claim, struct verdict *allowed)
{
	const uint32_t reuse = OPTION_REUSEADDR | (claim->protocol == PROTOCOL_TCP ? OPTION_REUSEPORT : 0);
	bool mirror = !scene->holdings.own_time && profile->trait[trait_host] == host_mirror;
	bool forces = !mirror || profile->trait[trait_beyond_host] == beyond_host_yes;
	uint32_t own = mirror ? claim->options & (OPTION_REUSEADDR | OPTION_REUSEPORT) : call == CALL_LISTEN ? reuse : 0;
	struct verdict verdict;

	if (!host_minds(scene, call, claim, own, &verdict))
		return;
	if (forces && call == CALL_BIND && profile->family->asks(profile) & ASKS_UNSEEN) {
		struct verdict unseen;

		judge(scene, profile, call, claim, true, &unseen);
		if (unseen.error) {
			*allowed = unseen;
			return;
		}
	}
	if (forces && !host_minds(scene, call, claim, reuse, &verdict))
		return;
	*allowed = verdict;
	allowed->rule = &held_outside;
	allowed->error = profile->family->error(profile, call, EADDRINUSE);
}

static bool is_loopback(const struct holder *claim)
{
	return claim->domain == AF_INET ? claim->address[0] == 127 : IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)(const void *)claim->address);
}

/* From here on the host lets everybody bind. */
static unsigned first_free_port(void)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
	unsigned port = 1024;

	if (file && fscanf(file, "%u", &port) != 1)
		port = 1024;
	if (file)
		fclose(file);
	return port;
}

static socklen_t sockaddr_of(const struct holder *claim, struct sockaddr_storage *to)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(claim->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(claim->port) };

	memcpy(&in.sin_addr, claim->address, sizeof(in.sin_addr));
	memcpy(&in6.sin6_addr, claim->address, sizeof(in6.sin6_addr));
	*to = (struct sockaddr_storage){ 0 };
	memcpy(to, claim->domain == AF_INET ? (void *)&in : (void *)&in6, claim->domain == AF_INET ? sizeof(in) : sizeof(in6));
	return claim->domain == AF_INET ? sizeof(in) : sizeof(in6);
}

/* Errors of the arguments.  The rules know a machine with a loopback interface; what other addresses this one has they
 * leave to the host. */
static bool before(const struct profile *profile, enum call call, struct holder *claim, struct verdict *verdict)
{
	struct sockaddr_storage address, rewritten;
	const char *alias = getenv(FAKEBIND_ENV_LOOPBACK_ALIAS);
	uint32_t length = 0;
	struct question question = {
		.call = call, .profile = profile, .domain = claim->domain, .protocol = claim->protocol,
		.state = call == CALL_LISTEN ? STATE_BOUND : STATE_UNBOUND, .options = claim->options, .uid = claim->uid,
		.address = (const void *)&address, .length = sockaddr_of(claim, &address), .argument = call == CALL_LISTEN ? 128 : 0,
		.alone = address_is_any(claim) || is_loopback(claim), .loopback_alias = alias && !strcmp(alias, "1"),
	};

	if (profile->trait[trait_host] == host_mirror && claim->port >= first_free_port())
		question.uid = 0;
	*verdict = (struct verdict){ 0 };
	if (profile->family->before(&question, verdict, &rewritten, &length))
		return true;
	if (length)
		address_parse(claim->domain, &rewritten, length, claim);
	return false;
}

static uint32_t options_of(const struct query *query, const struct profile *profile)
{
	const struct holder *claim = &query->claim;
	uint32_t fresh = profile->family->fresh ? profile->family->fresh(profile, claim->domain, claim->protocol) : 0;
	uint32_t options = claim->options | fresh;

	if (query->v6only >= 0 && claim->domain == AF_INET6)
		options = (options & ~OPTION_V6ONLY) | (query->v6only ? OPTION_V6ONLY : 0);
	if (claim->domain == AF_INET6 && claim->protocol == PROTOCOL_UDP && options & OPTION_REUSEPORT)
		options |= OPTION_TAIL;
	return options;
}

static void ask_call(const struct scene *scene, struct answer *answer, enum call call, struct holder *claim)
{
	answer->call = call;
	if (!before(answer->profile, call, claim, &answer->verdict))
		judge(scene, answer->profile, call, claim, false, &answer->verdict);
	if (answer->verdict.error == 0)
		ask_host(scene, answer->profile, call, claim, &answer->verdict);
}

static struct answer ask(const struct scene *scene, const struct profile *profile)
{
	struct answer answer = { .profile = profile };
	struct holder claim = scene->query->claim;

	claim.options = options_of(scene->query, profile);
	claim.fd = -1;
	ask_call(scene, &answer, CALL_BIND, &claim);
	if (answer.verdict.error || !scene->query->listen)
		return answer;
	if (profile->family->bound)
		claim.options = profile->family->bound(profile, &claim, 0);
	ask_call(scene, &answer, CALL_LISTEN, &claim);
	return answer;
}

/* ---- for people ---- */

static const struct holding *blamed(const struct scene *scene, const struct verdict *verdict)
{
	for (size_t i = 0; verdict->blamed && i < scene->holdings.count; i++) {
		const struct holder *holder = &scene->holdings.all[i].holder;

		if (holder->reference == verdict->holder.reference && holder->cookie == verdict->holder.cookie && holder->state != STATE_DEAD)
			return &scene->holdings.all[i];
	}
	return NULL;
}

static void print_answer_word(const struct answer *answer)
{
	const bool colours = terminal_colours();

	printf("%s%s%s", colour_on(colours, answer->verdict.error ? COLOUR_BAD : COLOUR_GOOD), errno_name(answer->verdict.error),
	       colour_off(colours));
}

static void print_blamed(const struct scene *scene, const struct answer *answer)
{
	const struct holding *holding = blamed(scene, &answer->verdict);
	const struct holder *holder = &answer->verdict.holder;
	char address[ADDRESS_TEXT], options[OPTIONS_TEXT];

	if (!answer->verdict.blamed)
		return;
	printf("    in the way: %s %s %s", protocol_text(holder->protocol), address_text(holder, address), state_text(holder->state));
	if (*options_text(holder->options, holder->domain, options))
		printf(" with %s", options);
	if (holding && holder->state != STATE_ANCHOR && holder->state != STATE_TIME_WAIT) {
		fputs(holding->origin == ORIGIN_OUTSIDE ? ", held outside fakebind by " : ", held by ", stdout);
		print_owners(stdout, holding, &scene->openers);
	}
	putchar('\n');
}

static void print_in_detail(const struct scene *scene, const struct answer *answer)
{
	const struct rule *rule = answer->verdict.rule;

	printf("%s: ", answer->profile->name);
	print_answer_word(answer);
	printf(", %s %s/%s", answer->verdict.error ? "refused by" : "allowed by", answer->profile->name, rule ? rule->id : "-");
	printf("%s\n", answer->call == CALL_LISTEN ? " (listen)" : "");
	print_blamed(scene, answer);
	if (rule && rule->because)
		printf("    because %s\n", rule->because);
	if (answer->verdict.flags & VERDICT_HALTS)
		puts("    the real system would halt here");
	if (answer->verdict.error && rule && rule->remedy)
		printf("    allowed if %s\n", rule->remedy);
}

static bool is_alike(const struct answer *one, const struct answer *other)
{
	return one->verdict.error == other->verdict.error && one->call == other->call &&
	       (one->verdict.rule == other->verdict.rule ||
	        (one->verdict.rule && other->verdict.rule && !strcmp(one->verdict.rule->id, other->verdict.rule->id)));
}

/* On a terminal in lines that fit, else in one line. */
static void print_names(const struct answer *answers, size_t count, size_t first)
{
	const unsigned columns = terminal_width();
	unsigned used = 4;

	fputs("   ", stdout);
	for (size_t i = first; i < count; i++) {
		unsigned length = (unsigned)strlen(answers[i].profile->name) + 1;

		if (!is_alike(&answers[i], &answers[first]))
			continue;
		if (columns && used + length > columns) {
			fputs("\n   ", stdout);
			used = 4;
		}
		printf(" %s", answers[i].profile->name);
		used += length;
	}
	putchar('\n');
}

static bool is_first_of_its_kind(const struct answer *answers, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (is_alike(&answers[i], &answers[index]))
			return false;
	return true;
}

static void print_groups(const struct answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!is_first_of_its_kind(answers, i))
			continue;
		print_answer_word(&answers[i]);
		printf(", %s%s\n", answers[i].verdict.rule ? answers[i].verdict.rule->id : "-", answers[i].call == CALL_LISTEN ? " (listen)" : "");
		print_names(answers, count, i);
	}
}

static void print_claim(const struct scene *scene)
{
	const struct holder *claim = &scene->query->claim;
	char address[ADDRESS_TEXT], options[OPTIONS_TEXT];

	options_text(claim->options, claim->domain, options);
	printf("bind %s %s%s%s%s", protocol_text(claim->protocol), address_text(claim, address), *options ? " with " : "", options,
	       scene->query->listen ? ", then listen" : "");
	if (*scene->system)
		printf(", in session %s (%s)\n", scene->session.name, scene->system);
	else
		puts(", in no session");
}

/* detailed: so many of the first; the others by groups. */
static void print_answers(const struct scene *scene, const struct answer *answers, size_t count, size_t detailed)
{
	print_claim(scene);
	for (size_t i = 0; i < detailed; i++)
		print_in_detail(scene, &answers[i]);
	if (count == detailed)
		return;
	printf("%s%s\n", detailed ? "\n" : "", detailed ? "other systems:" : "systems:");
	print_groups(answers + detailed, count - detailed);
}

/* ---- for programs ---- */

static struct json_object *answer_json(const struct scene *scene, const struct answer *answer)
{
	struct json_object *object = json_object_new_object();
	const struct holding *holding = blamed(scene, &answer->verdict);
	const struct rule *rule = answer->verdict.rule;

	json_add_text(object, "system", answer->profile->name);
	json_add_text(object, "call", answer->call == CALL_LISTEN ? "listen" : "bind");
	json_add_text(object, "answer", errno_name(answer->verdict.error));
	json_add_text(object, "rule", rule ? rule->id : NULL);
	json_add_text(object, "because", rule ? rule->because : NULL);
	json_add_text(object, "remedy", rule && answer->verdict.error ? rule->remedy : NULL);
	json_object_object_add(object, "holder", holding ? holding_json(holding, &answer->verdict.holder, &scene->openers) : NULL);
	return object;
}

static void print_json(const struct scene *scene, const struct answer *answers, size_t count)
{
	struct json_object *object = json_object_new_object(), *array = json_object_new_array(), *claim = json_object_new_object();
	const struct holder *wanted = &scene->query->claim;
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop(wanted->domain, wanted->address, address, sizeof(address));
	json_add_text(claim, "protocol", protocol_text(wanted->protocol));
	json_add_text(claim, "address", address);
	json_object_object_add(claim, "port", json_object_new_int(wanted->port));
	json_object_object_add(claim, "options", options_json(wanted->options, wanted->domain));
	json_object_object_add(claim, "uid", json_object_new_int64(wanted->uid));
	json_object_object_add(claim, "listen", json_object_new_boolean(scene->query->listen));
	json_object_object_add(object, "claim", claim);
	json_add_text(object, "session", *scene->system ? scene->session.name : NULL);
	json_add_text(object, "system", *scene->system ? scene->system : NULL);
	for (size_t i = 0; i < count; i++)
		json_object_array_add(array, answer_json(scene, &answers[i]));
	json_object_object_add(object, "answers", array);
	json_print(object);
}

/* ---- the command ---- */

static int by_answer(const void *left, const void *right)
{
	const struct answer *one = left, *other = right;
	int order = (one->verdict.error != 0) - (other->verdict.error != 0);

	if (!order)
		order = strcmp(errno_name(one->verdict.error), errno_name(other->verdict.error));
	return order ? order : strverscmp(one->profile->name, other->profile->name);
}

/* Those asked for; else the session's own, and then all others. */
static size_t ask_all(const struct scene *scene, struct answer *answers, size_t *detailed)
{
	const struct query *query = scene->query;
	size_t count = 0;

	for (size_t i = 0; i < query->systems.count; i++)
		answers[count++] = ask(scene, query->systems.profiles[i]);
	if (!count && scene->profile)
		answers[count++] = ask(scene, scene->profile);
	*detailed = count;
	for (size_t i = 0; !query->systems.count && i < profile_count; i++)
		if (&profiles[i] != scene->profile)
			answers[count++] = ask(scene, &profiles[i]);
	qsort(answers + *detailed, count - *detailed, sizeof(*answers), by_answer);
	return count;
}

static int answer_query(const struct query *query)
{
	struct answer *answers = calloc(profile_count + query->systems.count, sizeof(*answers));
	struct scene scene;
	size_t count, detailed, deciding;
	bool refused = false;

	if (!answers || !open_scene(&scene, query))
		return EXIT_OURS;
	count = ask_all(&scene, answers, &detailed);
	deciding = detailed ? detailed : count;
	for (size_t i = 0; i < deciding; i++)
		refused |= answers[i].verdict.error != 0;
	if (query->json)
		print_json(&scene, answers, count);
	else
		print_answers(&scene, answers, count, detailed);
	free(answers);
	holdings_free(&scene.holdings);
	openers_free(&scene.openers);
	kernel_free(&scene.kernel);
	registry_close(&scene.registry);
	return finish_output() || refused;
}

int why_main(int argc, char **argv)
{
	struct query query = { .v6only = -1, .claim = { .uid = (uint32_t)geteuid() } };
	int result = parse(argc, argv, &query);

	if (result == GO_ON)
		result = answer_query(&query);
	systems_free(&query.systems);
	return result;
}
