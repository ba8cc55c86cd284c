# SPDX-License-Identifier: MIT
# Bugs that users met on other systems, met again under fakebind.  A case-*.test script sources this
# instead of lib.sh.  Its clients are in cases/; @ among their arguments is the port.
. "$(dirname "$0")/lib.sh"

require python3
[ -x "$FAKEBIND" ] || skip_all "the launcher is not built"
unset FAKEBIND_SET FAKEBIND_LOOPBACK_ALIAS
python=$(command -v /usr/bin/python3 || command -v python3)
cases=$top_srcdir/tests/programs/cases
ephemeral=/proc/sys/net/ipv4/ip_local_port_range

# thread NAME SENTENCE: what the following tests are about.
thread()
{
	thread=$1
	echo "# $1: $2"
}

# fresh: a machine that has just booted, and a port that nobody uses.
fresh()
{
	stop_servers
	boot
	new_port
}

stop_servers()
{
	for pid in $started; do
		finish KILL
	done
	started=
}

# client NAME ARGUMENT...: sets the array command.  No cached bytecode in the sources, nothing of the site.
client()
{
	command=("$python" -BES "$cases/$1.py" "${@:2}")
	command=("${command[@]/#@/$port}")
}

# gives OS ANSWER CLIENT ARGUMENT...
gives()
{
	fresh
	answers "$@"
}

# answers: the same beside what runs already.
answers()
{
	client "${@:3}"
	run "$1" "${command[@]}"
	is "$thread: ${1##*/}: ${*:3}" "$out$err" "$2"
}

# serve OS WORD SOCKET [COMMAND...]: a server that tells WORD; sets $pid, and $said: how its start went.
serve()
{
	client serve "$2" @ "${@:3}"
	start "$1" "${command[@]}"
	within 10 has_said
	said=$(cat "$work/out.$pid" "$work/err.$pid")
}

has_said() { [ -s "$work/out.$pid" ] || ended "$pid"; }

# serves OS ANSWER WORD SOCKET...
serves()
{
	serve "$1" "${@:3}"
	is "$thread: ${1##*/}: serve ${*:3}" "$said" "$2"
}

# profile NAME BASE TRAIT...: $work/NAME.conf
profile()
{
	printf '%s\n' '[profile]' "base = $2" '[traits]' "${@:3}" >"$work/$1.conf"
}
