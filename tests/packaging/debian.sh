#!/bin/bash
# SPDX-License-Identifier: MIT
# make deb-check: builds the Debian packages of HEAD, asks lintian, and tries them in a root of their own.  It takes
# a few minutes, a mirror of Debian, root, and: debhelper lintian mmdebstrap.
#   tests/packaging/debian.sh [DIRECTORY]    DIRECTORY: where the packages are left
set -eu
cd "$(dirname "$0")/../.."
export LC_ALL=C
work=$(mktemp -d "${TMPDIR:-/tmp}/fakebind-debian.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT

# step WHAT COMMAND...: its output is shown only if it fails.
step()
{
	local began=$SECONDS

	if ! "${@:2}" >"$work/log" 2>&1 </dev/null; then
		cat "$work/log"
		echo "failed: $1"
		exit 1
	fi
	echo "ok: $1 ($((SECONDS - began)) s)"
}

for program in dpkg-buildpackage dh lintian mmdebstrap; do
	command -v "$program" >/dev/null || { echo "missing: $program (apt-get install debhelper lintian mmdebstrap)"; exit 1; }
done

mkdir "$work/fakebind"
git archive HEAD | tar -x -C "$work/fakebind"
build() { (cd "$work/fakebind" && dpkg-buildpackage -us -uc -b -j"$(nproc)"); }
step 'the packages are built' build
lint() { lintian --fail-on error,warning --info "$work"/*.changes; }
step 'lintian finds neither errors nor warnings' lint

codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
packages=$(cd "$work" && echo *.deb | tr ' ' '\n' | grep -v dbgsym)
root=$work/root
# Only what the packages themselves ask for is there.
new_root()
{
	mmdebstrap --variant=apt --mode=root --include=pkg-config \
		--customize-hook="mkdir \"\$1/packages\" && cd '$work' && cp $(echo $packages) \"\$1/packages\"" \
		--customize-hook="cp '$work/fakebind/debian/tests/smoke' \"\$1/packages\"" \
		--customize-hook="chroot \"\$1\" sh -c 'apt-get install -y --no-install-recommends /packages/*.deb'" \
		"$codename" "$root"
}
step "they are installed in a clean $codename" new_root
# With a network, /proc and /dev/shm of its own, as a user has it there.
inside() { unshare -mn bash -c 'ip link set lo up; mount -t proc proc "$1/proc"; mount -t tmpfs -o mode=1777 tmpfs "$1/dev"; mkdir -m 1777 "$1/dev/shm"
	mknod -m 666 "$1/dev/null" c 1 3; shift; exec chroot "$@"' - "$root" "$root" "$@"; }
step 'the installed command works' inside sh /packages/smoke
step 'as another user, too' inside setpriv --reuid 65534 --regid 65534 --clear-groups sh /packages/smoke
pkg_config() { inside sh -c 'test -e "$(pkg-config --variable=library fakebind)" && test -e "$(pkg-config --variable=includedir fakebind)/fakebind.h"'; }
step 'pkg-config finds library and header' pkg_config
for file in usr/share/bash-completion/completions/fakebind usr/share/zsh/vendor-completions/_fakebind \
	usr/share/fish/vendor_completions.d/fakebind.fish usr/share/man/man1/fakebind.1.gz usr/share/man/man5/fakebind-scenario.5.gz; do
	step "$file" test -e "$root/$file"
done
library=$(echo "$root"/usr/lib/*/fakebind/libfakebind.so)
step "the library has $(stat -c %s "$library") bytes, at most 204800" test "$(stat -c %s "$library")" -le 204800
remove() { inside dpkg --purge fakebind libfakebind-dev && test -z "$(find "$root/usr" -name '*fakebind*')"; }
step 'nothing is left when they are removed' remove
[ $# = 0 ] || cp "$work"/*.deb "$1"
