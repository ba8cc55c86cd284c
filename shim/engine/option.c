/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "../host/ask.h"
#include "../host/real.h"
#include "claim.h"
#include "engine.h"
#include "session.h"
#include "unseen.h"

/* The options a rule may ask for. */
static bool matters(int level, int name)
{
	if (level == IPPROTO_IPV6)
		return name == IPV6_V6ONLY && !session.mirror;
	if (level != SOL_SOCKET)
		return false;
	switch (name) {
	case SO_REUSEADDR:
	case SO_REUSEPORT:
	case SO_BINDTODEVICE:
	case SO_BINDTOIFINDEX:
	case SO_ATTACH_REUSEPORT_CBPF:
	case SO_ATTACH_REUSEPORT_EBPF:
		return true;
	default:
		return false;
	}
}

#define SETTABLE (OPTION_REUSEADDR | OPTION_REUSEPORT | OPTION_REUSEPORT_LB | OPTION_EXCLUSIVE | OPTION_OWN)

void claim_publish(int fd, struct slot *slot)
{
	struct holder holder;
	struct turn turn = { 0 };
	uint32_t options = slot->options, settable = SETTABLE;
	/* A connection whose options are not its listener's any more; beyond a mirrored host, it may have to be lent. */
	if (slot->flags & SLOT_CONNECTED)
		unseen_record(fd, slot, options & OPTION_CHILD ? OPTION_CHILD : OPTION_CLIENT | OPTION_AUTOBOUND);
	else if (session.beyond_host && !slot->record && slot->flags & SLOT_MET && ask_connected(fd))
		unseen_record(fd, slot, 0);
	slot->options = options;
	if (!slot->record || !slot_fits(fd, slot) || !registry_get(&session.registry, slot->record, &holder))
		return;
	bool shares = slot->options & OPTION_REUSEPORT & ~holder.options, marked = (slot->options ^ holder.options) & OPTION_OWN;
	if (!session.mirror)
		settable |= OPTION_V6ONLY;
	holder.options = (holder.options & ~settable) | slot->options;
	if (!shares && !marked) {
		registry_update(&session.registry, slot->record, holder.state, holder.options);
		return;
	}
	/* From now on it matters whose it is; and the family's marks are written with a turn only. */
	holder.uid = ask_uid(fd);
	registry_retake(&session.registry, slot->record, &turn);
	slot->record = registry_commit(&session.registry, &turn, &holder, MEMORY_KEEP, 0);
}

static void set_flag(uint32_t *options, uint32_t flag, bool on)
{
	*options = on ? *options | flag : *options & ~flag;
}

/* The host took it; remember what the program wants. */
static void note(int fd, struct slot *slot, int level, int name, const void *value)
{
	int number;
	if (level == IPPROTO_IPV6) {
		memcpy(&number, value, sizeof number);
		set_flag(&slot->options, OPTION_V6ONLY, number != 0);
		return;
	}
	switch (name) {
	case SO_REUSEADDR:
	case SO_REUSEPORT:
		memcpy(&number, value, sizeof number);
		set_flag(&slot->options, name == SO_REUSEADDR ? OPTION_REUSEADDR : OPTION_REUSEPORT, number != 0);
		claim_publish(fd, slot);
		break;
	case SO_BINDTODEVICE:
	case SO_BINDTOIFINDEX:
		slot->flags |= SLOT_DEVICE;
		break;
	default: /* a program attached before UDP's bind() or TCP's listen() makes the socket a group's only member */
		if (!slot->record || slot->protocol == PROTOCOL_TCP)
			slot->options |= OPTION_GROUP;
		claim_publish(fd, slot);
	}
}

/* True: the profile's own answer is final. */
static bool answered(const struct option_question *question, int fd, struct slot *slot, struct option_answer *answer)
{
	*answer = (struct option_answer){ .passes = true };
	session.profile->family->option(question, answer);
	if (answer->passes)
		return false;
	if (question->call == CALL_SETSOCKOPT && answer->error == 0) {
		if (slot->domain == AF_INET6 && (slot->options ^ answer->options) & OPTION_V6ONLY)
			tell_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, (answer->options & OPTION_V6ONLY) != 0);
		bool changed = slot->options != answer->options;
		slot->options = answer->options;
		if (changed || slot->record) /* a connection of the same options as before needs no record */
			claim_publish(fd, slot);
	}
	if (answer->error && answer->rule) {
		struct decision d = { .call = question->call, .fd = fd };
		d.verdict = (struct verdict){ .error = answer->error, .flags = answer->flags, .rule = answer->rule };
		decide_explain(&d, answer->error);
	}
	return true;
}

static struct option_question question_of(enum call call, int fd, struct slot *slot, int level, int name)
{
	return (struct option_question){
		.call = call, .profile = session.profile, .domain = slot->domain, .protocol = slot->protocol,
		.state = claim_state(call, fd, slot), .options = slot->options, .level = level, .name = name,
	};
}

static bool is_reuse(int level, int name)
{
	return level == SOL_SOCKET && (name == SO_REUSEADDR || name == SO_REUSEPORT);
}

/* On a permissive host the program's options never are the host's.  And a profile that remembers what an option was
 * may allow a bind over a socket that has turned it off: the host's own stays on then. */
static bool stays(const struct slot *slot, int level, int name, const void *value, socklen_t length)
{
	int number;
	if (!is_reuse(level, name) || length < sizeof number)
		return false;
	if (!session.mirror)
		return true;
	if (!session.beyond_host || !slot->record || !ask_readable(value, sizeof number))
		return false;
	memcpy(&number, value, sizeof number);
	return number == 0;
}

int engine_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	struct slot own, *slot;
	if (!session.profile || (session.mirror && !matters(level, name)) || !slot_identify(fd, &own, &slot))
		return real.setsockopt(fd, level, name, value, length);
	if (session.reuseaddr && level == SOL_SOCKET && name == SO_REUSEADDR && value && length >= sizeof(int)) {
		static const int wanted[] = { [REUSEADDR_OFF] = 0, [REUSEADDR_ON] = 1 };
		value = &wanted[session.reuseaddr];
		length = sizeof *wanted;
	}
	/* SO_REUSEADDR is older than any version of the host's system. */
	if (session.as_host || (session.mirror && level == SOL_SOCKET && name == SO_REUSEADDR)) {
		int result = stays(slot, level, name, value, length) ? 0 : real.setsockopt(fd, level, name, value, length);
		if (result == 0) /* value was read: it is as long as the option wants */
			note(fd, slot, level, name, value);
		return result;
	}
	if (length > 256 || !ask_readable(value, length))
		return real.setsockopt(fd, level, name, value, length);
	struct option_question question = question_of(CALL_SETSOCKOPT, fd, slot, level, name);
	struct option_answer answer;
	question.value = value;
	question.length = length;
	if (!answered(&question, fd, slot, &answer)) {
		int saved = errno;
		int result = stays(slot, level, name, value, length) ? 0 : real.setsockopt(fd, level, name, value, length);
		if (result == 0 && matters(level, name))
			note(fd, slot, level, name, value);
		result = claim_host_answer(CALL_SETSOCKOPT, result);
		if (result == 0)
			errno = saved;
		return result;
	}
	if (answer.error) {
		errno = answer.error;
		return -1;
	}
	return 0;
}

/* Where the host's option is not the program's. */
static bool own_value(const struct option_question *question, struct option_answer *answer)
{
	uint32_t flag = question->name == SO_REUSEADDR ? OPTION_REUSEADDR : OPTION_REUSEPORT;
	int value = (question->options & flag) != 0;
	if ((session.mirror && !session.beyond_host) || !is_reuse(question->level, question->name) || question->length < sizeof value)
		return false;
	memcpy(answer->value, &value, sizeof value);
	answer->length = sizeof value;
	return true;
}

int engine_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	struct slot own, *slot;
	if (!session.profile || session.as_host || (session.mirror && !matters(level, name)) || !slot_identify(fd, &own, &slot) ||
	    !ask_readable(length, sizeof *length))
		return real.getsockopt(fd, level, name, value, length);
	struct option_question question = question_of(CALL_GETSOCKOPT, fd, slot, level, name);
	struct option_answer answer;
	question.length = *length;
	if (!answered(&question, fd, slot, &answer) && !own_value(&question, &answer))
		return claim_host_answer(CALL_GETSOCKOPT, real.getsockopt(fd, level, name, value, length));
	if (answer.error) {
		errno = answer.error;
		return -1;
	}
	if (answer.length == 0)
		return 0;
	/* The kernel writes for us: a bad pointer is EFAULT, not a signal. */
	return tell_memory(value, answer.value, answer.length) && tell_memory(length, &answer.length, sizeof *length) ? 0 : (errno = EFAULT, -1);
}
