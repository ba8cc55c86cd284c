# SPDX-License-Identifier: MIT
# The life of a server, told the same way for every one.  A .test script sources this instead of lib.sh
# and sets or defines:
#   server        its name
#   prepare       makes what it needs in $home, for $port; sets the array command
#   ask OS        a real client, under the same system; prints
#   $answer       this
#   $farewell     what to send so that the server answers and closes the connection first
#   refusal       the second instance's message, from $call, $number and $text (see second_listener)
#   message       takes that message out of $out and $err
#   $refused      its exit status
#   graceful OS   asks it to stop
. "$(dirname "$0")/lib.sh"

systems='host linux-6.18 starry-before starry starryos tgoskits'
refused=1
graceful() { kill -TERM "$pid"; }

# serve OS WHAT: starts it, and it answers.  If it does not start, that is one failure and an end.
serve()
{
	start "$1" "${command[@]}"
	if ! wait_for_port "$port" "$pid"; then
		not_ok "$1: $server $2"
		comment "$(cat "$work/out.$pid" "$work/err.$pid")"
		return 1
	fi
	is "$1: $server $2" "$(ask "$1" 2>&1)" "$answer"
}

second_instance()
{
	local os=$1

	run "$os" "${command[@]}"
	second_listener "$os"
	is "$os: a second $server is refused in its own words" "$(message)" "$(refusal)"
	is "$os: its exit status" "$status" "$refused"
	is "$os: the first $server still answers" "$(ask "$os" 2>&1)" "$answer"
}

server_life()
{
	local os=$1

	new_port
	home=$work/life-$os
	mkdir -m 755 "$home"
	prepare

	serve "$os" 'starts and answers' || return
	second_instance "$os"

	talk "$port" "$farewell" >/dev/null
	finish KILL
	succeeds "$os: killed, it leaves TIME_WAIT" within 5 in_time_wait "$port"
	serve "$os" 'starts again after kill -9' || return

	talk "$port" "$farewell" >/dev/null
	graceful "$os"
	await_end "$pid"
	if [ "$status" -ne 124 ]; then
		ok "$os: $server stops when asked"
	else
		not_ok "$os: $server stops when asked"
	fi
	serve "$os" 'starts again after that'
	finish KILL
}
