#!/bin/bash
# SPDX-License-Identifier: MIT
# The story that `./bootstrap.sh demo` plays: the same programs on Starry, on Linux 6.18 and on the bare
# host, and why each refusal came.  Ends in failure if anything went otherwise than told here.
. "$(dirname "$0")/lib.sh"

in_use='Address already in use'
not_permitted='Operation not permitted'
wrong=0

bold= green= red= faint= plain=
if [ -t 1 ]; then
	bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' faint=$'\e[2m' plain=$'\e[0m'
fi

# chapter TITLE COMMAND TEXT
chapter()
{
	printf '\n%s%s%s\n%s$ %s%s\n' "$bold" "$1" "$plain" "$faint" "$2" "$plain"
	printf '%s\n\n' "$3"
}

complain()
{
	wrong=$((wrong + 1))
	printf '  %s*** not as told: %s%s\n' "$bold" "$1" "$plain"
}

# heard OUT ERR: sets $said, the program's own last words, and $why, fakebind's.
heard()
{
	said=$(cat "$@" | grep -v '^fakebind: ' | tail -n 1)
	why=$(sed -n 's/^fakebind: //p' "$2")
}

# tell OS EXPECTED: what was heard.
tell()
{
	local name=$1 colour=$green refused=

	[ "$1" != host ] || name='bare host'
	case $said in *"$in_use" | *"$not_permitted") colour=$red refused=yes ;; esac
	printf '  %-10s  %s%s%s\n' "$name" "$colour" "$said" "$plain"
	[ -z "$why" ] || printf '%s\n' "$why" | fold -s -w 60 |
		sed 's/ *$//; 1s/^/              why: /; 2,$s/^/                   /'
	[ "$said" = "$2" ] || complain "expected \"$2\""
	[ -z "$refused" ] || [ "$1" = host ] || [ -n "$why" ] || complain 'refused, and no explanation'
}

# ---- the programs ----

multi_bind()
{
	boot
	under "$1" "$programs/multi-bind" "$2" "$port" >"$work/out" 2>"$work/err"
	heard "$work/out" "$work/err"
}

reconnect()
{
	boot
	start "$1" "$programs/reconnect" --no-reuse "$port"
	wait_for_port "$port" "$pid"
	echo 'a message' >"/dev/tcp/127.0.0.1/$port"
	await_end "$pid"
	heard "$work/out.$pid" "$work/err.$pid"
}

serve_once()
{
	start "$1" "$programs/echo-server" --once --no-reuse "$port"
	if wait_for_port "$port" "$pid"; then
		under "$1" "$programs/echo-client" 127.0.0.1 "$port" >/dev/null
	fi
	await_end "$pid"
	heard "$work/out.$pid" "$work/err.$pid"
}

restart()
{
	boot
	serve_once "$1"
	within 5 in_time_wait "$port"
	serve_once "$1"
}

second_python()
{
	local first

	boot
	start "$1" "$python" -m http.server --bind 0.0.0.0 --directory "$work" "$port"
	first=$pid
	wait_for_port "$port" "$first"
	under "$1" timeout 10 "$python" -m http.server --bind 0.0.0.0 "$port" >"$work/out" 2>"$work/err"
	heard "$work/out" "$work/err"
	finish TERM "$first"
}

# ---- the story ----

python=$(command -v /usr/bin/python3 || command -v python3) ||
	{ echo 'python3 is missing: apt-get install python3' >&2; exit 1; }
for program in multi-bind reconnect echo-server echo-client; do
	[ -x "$programs/$program" ] || { echo "$programs/$program is not built: make check TESTS=" >&2; exit 1; }
done
export FAKEBIND_EXPLAIN=1
[ "$FAKEBIND_TEST_NETWORK" != private ] || port=12344
systems='starry linux-6.18 host'

cat <<END
${bold}One program, three systems${plain}

Each program below runs unchanged: as \`fakebind --os starry --explain PROGRAM',
as \`fakebind --os linux-6.18 --explain PROGRAM', and on its own.  What it printed
comes first, fakebind's reason after it.
END

new_port
chapter '1. Two sockets on one address' "multi-bind --no-reuse $port" \
	'The first sets SO_REUSEADDR, the second does not.  Starry refuses it as well,
but its system calls lose the reason: every error arrives as EPERM.'
for os in $systems; do
	multi_bind "$os" --no-reuse
	case $os in
	starry) tell "$os" "ERROR on binding second socket: $not_permitted" ;;
	*) tell "$os" "ERROR on binding second socket: $in_use" ;;
	esac
done

new_port
chapter '2. The same, and both set SO_REUSEADDR' "multi-bind --reuse $port" 'Everybody agrees.'
for os in $systems; do
	multi_bind "$os" --reuse
	tell "$os" "Both sockets bound successfully to port $port"
done

chapter '3. A server closes its listener and binds again' "reconnect --no-reuse PORT" \
	'On Linux the connection that is still open stands in the way.  On Starry the
address would be refused without any connection: the new socket meets itself.'
for os in $systems; do
	new_port
	reconnect "$os"
	case $os in
	starry) tell "$os" "Bind failed for socket 2: $not_permitted" ;;
	*) tell "$os" "Bind failed for socket 2: $in_use" ;;
	esac
done

chapter '4. A server is restarted on 0.0.0.0 while its port is in TIME_WAIT' \
	'echo-server --once --no-reuse PORT' \
	'Here Starry is the lenient one: a closed connection leaves no TIME_WAIT there,
and 0.0.0.0 is never checked.'
for os in $systems; do
	new_port
	restart "$os"
	case $os in
	starry) tell "$os" "Echo server on port $port" ;;
	*) tell "$os" "bind failed: $in_use" ;;
	esac
done

chapter '5. A real server is started twice' 'python3 -m http.server --bind 0.0.0.0 PORT' \
	'Linux refuses the second one in bind(), Starry only in listen().'
for os in $systems; do
	new_port
	second_python "$os"
	case $os in
	starry) tell "$os" "PermissionError: [Errno 1] $not_permitted" ;;
	*) tell "$os" "OSError: [Errno 98] $in_use" ;;
	esac
done

echo
if [ "$wrong" -gt 0 ]; then
	echo "$wrong answers were not as told."
	exit 1
fi
echo "All as told.  Your own program: ./fakebind --os starry --explain -- PROGRAM"
