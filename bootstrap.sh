#!/bin/bash
# SPDX-License-Identifier: MIT
# From a clone to a result in one command:
#   ./bootstrap.sh demo     builds fakebind and shows what it does, on real sockets
#   ./bootstrap.sh check    builds fakebind and passes its tests
#   ./bootstrap.sh build    only builds it
# What is missing is installed with apt, which is said first; nothing else needs root.
# More arguments go to configure, e.g. ./bootstrap.sh check CC=clang --enable-werror
set -eu
cd "$(dirname "$0")"
export LC_ALL=C

build_packages='autoconf automake libtool gcc libc6-dev make pkg-config libinih-dev libjson-c-dev liblzma-dev'
test_packages='libcriterion-dev iproute2 xz-utils'
demo_packages='iproute2 python3'
log=bootstrap.log

say() { echo "bootstrap: $*"; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# services deny, services allow: the servers that the tests run are not to be started as services when
# they are installed; Debian's maintainer scripts ask this file.
services()
{
	local policy=/usr/sbin/policy-rc.d

	if [ "$1" = allow ]; then
		rm -f ${denied:+"$denied"}
	elif [ ! -e "$policy" ]; then
		denied=$policy
		trap 'services allow' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
	fi
}
denied=

# need PACKAGE...: installs those that are missing.
need()
{
	local package missing=

	if ! command -v dpkg-query >/dev/null; then
		return # not a Debian: configure will tell what is missing
	fi
	for package; do
		installed "$package" || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		say "these packages are missing, run as root: apt-get install$missing"
		exit 1
	fi
	say "installing with apt:$missing"
	services deny
	quietly apt-get update
	quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
	services allow
}

# quietly COMMAND...: its output goes to the log and is shown only if it fails.
quietly()
{
	echo "+ $*" >>"$log"
	if ! "$@" >>"$log" 2>&1 </dev/null; then
		tail -n 40 "$log"
		say "failed: $* (all of it is in $log)"
		exit 1
	fi
}

# configured PURPOSE: is there a Makefile, and if for tests, one with Criterion?
configured()
{
	[ -e Makefile ] && { [ "$1" != tests ] || grep -q '^S\["WITH_CRITERION_TRUE"\]=""' config.status; }
}

# build PURPOSE [CONFIGURE-ARGUMENT]...
build()
{
	local purpose=$1

	shift
	: >"$log"
	need $build_packages
	case $purpose in
	demo) need $demo_packages ;;
	tests) need $test_packages $(sed 's/#.*//' tests/programs/packages.txt) ;;
	esac
	[ -e configure ] || quietly autoreconf -i
	if [ $# -gt 0 ] || ! configured "$purpose"; then
		[ "$purpose" != tests ] || set -- --enable-tests "$@"
		quietly ./configure "$@"
		quietly make clean # what another compiler or other flags made
	fi
	quietly make -j "$(nproc)"
}

# Adds up what the TAP drivers wrote: N passed, N failed, N skipped.
count()
{
	find . -name '*.trs' -exec cat {} + | awk '
		$1 == ":test-result:" { seen[$2]++ }
		END {
			printf "%d passed, %d failed, %d skipped\n", seen["PASS"] + seen["XFAIL"],
			       seen["FAIL"] + seen["XPASS"] + seen["ERROR"], seen["SKIP"]
		}'
}

check()
{
	local result=0

	rm -f test-suite.log
	find . -name '*.trs' -delete
	echo '+ make check' >>"$log"
	make -j "$(nproc)" check >>"$log" 2>&1 </dev/null || result=$?
	if [ "$result" != 0 ]; then
		if [ -e test-suite.log ]; then
			grep -aEv '^(ok|PASS)' test-suite.log | cut -c 1-200
		else
			tail -n 40 "$log"
		fi
		say "make check failed (all of it is in $log)"
	fi
	count
	return "$result"
}

what=${1-}
[ $# = 0 ] || shift
case $what in
build)
	build use "$@"
	;;
demo)
	build demo "$@"
	quietly make -j "$(nproc)" demo-programs
	exec tests/programs/demo.sh
	;;
check)
	build tests "$@"
	check
	;;
*)
	sed -n '3,8s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac
