/* SPDX-License-Identifier: MIT */
/*
 * The BSDs and macOS: socket options.  getsockopt() gives the option's own bit (kern/uipc_socket.c sogetopt(),
 * measured on FreeBSD 9.1 and 13.0 and macOS 11), but on NetBSD, which gives 1.
 */
#include "bsd.h"

#include <errno.h>
#include <fakebind.h>
#include <netinet/in.h>

static const struct rule option_unknown = { "option/unknown", "there is no such option", NULL, FOR_PEOPLE("kern/uipc_socket.c sosetopt()") };
static const struct rule option_level = { "option/level", "an IPv4 socket has no IPv6 options", NULL, FOR_PEOPLE("netinet/ip_output.c ip_ctloutput()") };
static const struct rule option_short = { "option/short", "the value is shorter than an int", NULL, FOR_PEOPLE("kern/uipc_socket.c sooptcopyin()") };
static const struct rule option_bound = { "option/bound", "IPV6_V6ONLY cannot change once the socket has a port", "it were set before bind()",
	FOR_PEOPLE("netinet6/ip6_output.c ip6_ctloutput()") };
static const struct rule option_fixed = { "option/fixed", "IPv6 sockets are for IPv6 alone", NULL,
	FOR_PEOPLE("netinet6/ip6_output.c ip6_ctloutput(), OpenBSD 2025, DragonFly 5.9") };
static const struct rule option_gone = { "option/ended", "a refused connect() or a shutdown() ended the socket", "it were set before", FOR_PEOPLE("netinet/tcp_usrreq.c tcp_ctloutput()") };
static const struct rule option_shut = { "option/shut-down", "the socket was shut down in both directions, or has ended", "it were set before",
	FOR_PEOPLE("kern/uipc_socket.c sosetoptlock(), xnu-7195.141.2") };
static const struct rule ok_option = { "ok/option", "nothing is to be checked", NULL, FOR_PEOPLE("kern/uipc_socket.c sosetopt(), sogetopt()") };

struct known {
	int level, name;
	uint32_t option;
	int32_t bit; /* what getsockopt() gives; 0: one */
};

static const struct known options[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, 0x4 },
	{ SOL_SOCKET, SO_REUSEPORT, OPTION_REUSEPORT, 0x200 },
	{ SOL_SOCKET, FAKEBIND_SO_REUSEPORT_LB, OPTION_REUSEPORT_LB, 0x10000 },
	{ IPPROTO_IPV6, IPV6_V6ONLY, OPTION_V6ONLY, 0 },
};

static const struct known *find(const struct option_question *question)
{
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (options[i].level == question->level && options[i].name == question->name)
			return &options[i];
	return NULL;
}

static void refuse(struct option_answer *result, int error, const struct rule *rule)
{
	result->passes = false;
	result->error = error;
	result->rule = rule;
}

static void get(const struct option_question *question, const struct known *known, struct option_answer *result)
{
	bool one = !known->bit || bsd_is(question->profile, trait_option_value, option_value_one);
	int32_t value = question->options & known->option ? one ? 1 : known->bit : 0;

	result->length = question->length < sizeof value ? question->length : (uint32_t)sizeof value;
	memcpy(result->value, &value, result->length);
}

static void set(const struct option_question *question, const struct known *known, struct option_answer *result)
{
	int32_t value;

	if (question->length < sizeof value) {
		refuse(result, EINVAL, &option_short);
		return;
	}
	memcpy(&value, question->value, sizeof value);
	result->options = value ? question->options | known->option : question->options & ~known->option;
}

/* Where IPV6_V6ONLY is fixed, or the socket has a port. */
static void check_v6only(const struct option_question *question, struct option_answer *result)
{
	uint32_t rule = question->profile->trait[trait_v6only_default];

	if (rule == v6only_default_fixed_einval || rule == v6only_default_fixed_eopnotsupp) {
		if (!(result->options & OPTION_V6ONLY))
			refuse(result, rule == v6only_default_fixed_einval ? EINVAL : EOPNOTSUPP, &option_fixed);
	} else if (question->state != STATE_UNBOUND) {
		refuse(result, EINVAL, &option_bound);
	}
}

/* tcp_ctloutput() comes first, where there is no pcb any more, and on FreeBSD 14. */
static bool asks_what_has_ended(const struct profile *profile)
{
	return bsd_is(profile, trait_refused_socket, refused_socket_nameless) || bsd_is(profile, trait_bind_order, bind_order_freebsd14);
}

void bsd_option(const struct option_question *question, struct option_answer *result)
{
	const struct known *known = find(question);

	*result = (struct option_answer){ .passes = true, .rule = &ok_option, .options = question->options };
	if (!known)
		return;
	if (known->option == OPTION_V6ONLY && question->domain != AF_INET6) {
		refuse(result, bsd_is(question->profile, trait_ipv4_v6only, ipv4_v6only_enoprotoopt) ? ENOPROTOOPT : EINVAL, &option_level);
		return;
	}
	if (IS_ALONE(question) && known->option == OPTION_V6ONLY && question->state == STATE_DEAD && asks_what_has_ended(question->profile)) {
		refuse(result, ECONNRESET, &option_gone);
		return;
	}
	if (known->option == OPTION_REUSEPORT_LB && !bsd_is(question->profile, trait_reuseport_lb, reuseport_lb_known)) {
		refuse(result, ENOPROTOOPT, &option_unknown);
		return;
	}
	result->passes = false;
	if (question->call == CALL_SETSOCKOPT && bsd_is(question->profile, trait_bind_order, bind_order_xnu) &&
	    (question->state == STATE_DEAD || (IS_ALONE(question) && question->shut & SHUT_OUT && question->shut & SHUT_IN))) {
		refuse(result, EINVAL, &option_shut);
		return;
	}
	if (question->call == CALL_GETSOCKOPT)
		get(question, known, result);
	else
		set(question, known, result);
	if (known->option == OPTION_V6ONLY && question->call == CALL_SETSOCKOPT && !result->error)
		check_v6only(question, result);
}
