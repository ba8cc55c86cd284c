# SPDX-License-Identifier: MIT
# For the .test scripts here: TAP, programs under a system, waiting, cleaning up.
#
# Source it first, as `. "$(dirname "$0")/lib.sh"`: where the host permits, it starts the script
# again in a network namespace of its own.  Environment:
#   FAKEBIND          the launcher (default: the built one)
#   FAKEBIND_LIBRARY  the library; without a launcher it is preloaded by hand
#   FAKEBIND_SYSTEMS  the systems to test under, "host" is none (default: all that the script knows)
set -u
PATH=$PATH:/usr/sbin:/sbin

enter_private_network()
{
	local flags

	for flags in -n -Urn; do
		if unshare $flags ip link set lo up 2>/dev/null; then
			exec env FAKEBIND_TEST_NETWORK=private unshare $flags \
				sh -c 'ip link set lo up && exec bash "$0" "$@"' "$0" "$@"
		fi
	done
	export FAKEBIND_TEST_NETWORK=shared
}
[ -n "${FAKEBIND_TEST_NETWORK-}" ] || enter_private_network "$@"

# ---- TAP ----

tests=0
failures=0

ok() { tests=$((tests + 1)); echo "ok $tests - $1"; }
not_ok() { tests=$((tests + 1)); failures=$((failures + 1)); echo "not ok $tests - $1"; }
skip() { tests=$((tests + 1)); echo "ok $tests - $1 # SKIP $2"; }
comment() { printf '%s\n' "$1" | sed 's/^/#   /'; }

# is DESCRIPTION ACTUAL EXPECTED
is()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1"
		echo "# got:"
		comment "$2"
		echo "# expected:"
		comment "$3"
	fi
}

# agrees DESCRIPTION RULES COMMAND...: the command plays scenarios on real sockets, and answers as the file RULES does; what
# differs is played again.
agrees()
{
	local description=$1 rules=$2 said

	shift 2
	if ! "$@" >"$work/answers"; then
		not_ok "$description: the player failed"
	elif said=$("$top_srcdir/tests/conformance/compare" "$rules" "$work/answers" "$@" 2>&1); then
		ok "$description ($said)"
	else
		not_ok "$description"
		comment "$said"
	fi
}

# contains DESCRIPTION TEXT LINE...: every LINE is a whole line of TEXT.
contains()
{
	local description=$1 text=$2 line

	shift 2
	for line; do
		if ! printf '%s\n' "$text" | grep -qxF -e "$line"; then
			not_ok "$description"
			echo "# no line \"$line\" in:"
			comment "$text"
			return
		fi
	done
	ok "$description"
}

# succeeds DESCRIPTION COMMAND...
succeeds()
{
	local description=$1 said

	shift
	if said=$("$@" 2>&1); then
		ok "$description"
	else
		not_ok "$description"
		comment "failed: $*"
		[ -z "$said" ] || comment "$said"
	fi
}

done_testing() { echo "1..$tests"; [ "$failures" -eq 0 ]; exit; }
skip_all() { echo "1..0 # SKIP $1"; exit 0; }
bail_out() { echo "Bail out! $1"; exit 1; }

# require PROGRAM...: the test set-up installs them (packages.txt).
require()
{
	local program

	for program; do
		command -v "$program" >/dev/null || skip_all "$program is not installed"
	done
}

# require_built FILE...: `make check` builds them.
require_built()
{
	local file

	for file; do
		[ -e "$file" ] || skip_all "$(basename "$file") is not built"
	done
}

# has_terminals: can a test make itself a terminal?
has_terminals() { python3 -c 'import pty; pty.openpty()' 2>/dev/null; }

# ---- cleaning up ----

: "${top_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}"
: "${top_builddir:=$top_srcdir}"
programs=$top_builddir/tests/programs
FAKEBIND=${FAKEBIND:-$top_builddir/fakebind}
FAKEBIND_LIBRARY=${FAKEBIND_LIBRARY:-$top_builddir/.libs/libfakebind.so}
[ ! -e "$FAKEBIND_LIBRARY" ] || export FAKEBIND_LIBRARY
unset FAKEBIND_OS FAKEBIND_REGISTRY FAKEBIND_EXPLAIN LD_PRELOAD

work=$(mktemp -d "${TMPDIR:-/tmp}/fakebind-programs.XXXXXX") || bail_out "no temporary directory"
chmod 755 "$work" # a server that drops root reads its files here
mkdir -m 700 "$work/run"
export XDG_RUNTIME_DIR=$work/run
started=

cleanup()
{
	local group

	for group in $started; do
		kill -9 -- "-$group" 2>/dev/null
	done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# ---- programs under a system ----

sessions=0

# A new session is a machine that has just booted.
boot()
{
	sessions=$((sessions + 1))
	session=programs-$$-$sessions
}
boot

prefix=()
launch()
{
	local os=$1

	shift
	if [ "$os" = host ]; then
		exec "${prefix[@]}" "$@"
	elif [ -x "$FAKEBIND" ]; then
		exec "${prefix[@]}" "$FAKEBIND" --os "$os" --session "$session" -- "$@"
	else
		export LD_PRELOAD=$FAKEBIND_LIBRARY FAKEBIND_OS=$os FAKEBIND_REGISTRY=$XDG_RUNTIME_DIR/$session
		exec "${prefix[@]}" "$@"
	fi
}

# under OS COMMAND...
under() { (launch "$@"); }

# run OS COMMAND...: to its end, but 20 s at most; sets $status, $out and $err.  Ports read PORT.
run()
{
	local os=$1

	shift
	under "$os" timeout -k 1 20 "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	out=$(plain "$work/out")
	err=$(plain "$work/err")
}

plain() { sed "s/\\b$port\\b/PORT/g" "$1"; }

# start OS COMMAND...: in the background, as a process group; sets $pid.  Output goes to $work/out.PID
# and err.PID; input comes from $input (default: none).
input=/dev/null
start()
{
	(
		exec >"$work/out.$BASHPID" 2>"$work/err.$BASHPID" <"$input"
		prefix=(setsid)
		launch "$@"
	) &
	pid=$!
	started="$started $pid"
}

# finish SIGNAL [PID]: sends it to the process group of PID (default: $pid) and waits; sets $status.
finish()
{
	local group=${2:-$pid}

	kill "-$1" -- "-$group" 2>/dev/null
	await_end "$group"
}

# await_end PID: sets $status; 124 if it had to be killed.  (bash reports a killed job on stderr.)
await_end()
{
	{
		if within 10 ended "$1"; then
			wait "$1"
			status=$?
		else
			kill -9 -- "-$1"
			wait "$1"
			status=124
		fi
	} 2>/dev/null
}

# ---- waiting ----

# within SECONDS CONDITION...: polls it.
within()
{
	local until=$((SECONDS + $1))

	shift
	while ! "$@"; do
		[ "$SECONDS" -le "$until" ] || return 1
		sleep 0.02
	done
}

ended() { ! kill -0 "$1" 2>/dev/null; }

# in_state PORT STATE: a TCP socket of the host with this local port (10 LISTEN, 6 TIME_WAIT).
in_state()
{
	local pattern

	pattern=$(printf ':%04X [0-9A-F]+:[0-9A-F]{4} %02X ' "$1" "$2")
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -Eq "^ *[0-9]+: [0-9A-F]+$pattern"
}

listening() { in_state "$1" 10; }
in_time_wait() { in_state "$1" 6; }
listening_or_ended() { listening "$1" || ended "$2"; }

# wait_for_port PORT PID: until PID listens there; fails if it ended instead.
wait_for_port()
{
	within 10 listening_or_ended "$1" "$2"
	listening "$1" && ! ended "$2"
}

# ---- ports ----

port=$((20000 + $$ % 10000))

# A port that nobody uses; below the range of ephemeral ports.
new_port()
{
	local hex

	while
		port=$((port + 1))
		hex=$(printf %04X "$port")
		cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -Eq "^ *[0-9]+: [0-9A-F]+:$hex "
	do
		:
	done
}

# talk PORT TEXT: sends TEXT, prints what comes back until the server closes.  The server has closed
# first, so that its port is in TIME_WAIT.
talk()
{
	local connection

	exec {connection}<>"/dev/tcp/127.0.0.1/$1" || return
	printf '%b' "$2" >&"$connection"
	timeout 10 cat <&"$connection"
	exec {connection}>&-
}

# ---- systems ----

# each_system FUNCTION SYSTEM...: calls it for those the user wants, each freshly booted.
each_system()
{
	local each=$1 os

	shift
	for os in ${FAKEBIND_SYSTEMS:-"$@"}; do
		[ "$os" = host ] || [ -x "$FAKEBIND" ] || [ -e "$FAKEBIND_LIBRARY" ] ||
			bail_out "neither $FAKEBIND nor $FAKEBIND_LIBRARY is there"
		boot
		"$each" "$os"
	done
}

# second_listener OS: what refuses a second server beside one that listens on the same port, when
# both set SO_REUSEADDR (or bind 0.0.0.0): sets $call, $number and $text.  Starry looks at ports
# in listen() only, and its system calls turn every error into -1, which the C library reads as EPERM.
second_listener()
{
	call=bind number=98 text='Address already in use'
	case $1 in
	starry | starry-before) call=listen number=1 text='Operation not permitted' ;;
	starryos) call=listen ;;
	esac
}
