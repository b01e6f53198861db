#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds Sealane and runs the unit tests with the compiler and the libraries of another release of
# Debian; as root. debootstrap puts it into a folder, of which only the tests' report is kept.
#
#   sudo scripts/test-release.sh RELEASE REPORT     trixie has DPDK 24.11 and IPsec-MB 2.0
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $# -ne 2 || $EUID -ne 0 ]]; then
	sed -n '4,7s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
release=$1
report=$2
root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
chmod 755 "$root"

# What is mounted in a namespace of its own is gone with it.
rm -f "$report"
status=0
# shellcheck disable=SC2016 # the shell inside expands
unshare --mount --propagation private bash -euo pipefail -c '
	debootstrap --variant=minbase "$1" "$2" http://deb.debian.org/debian
	mkdir "$2/sealane"
	git ls-files -z | tar -c --null -T - | tar -x -C "$2/sealane"
	for folder in proc sys dev; do
		mount --rbind "/$folder" "$2/$folder"
	done
	chroot "$2" bash -euc "
		cd sealane
		scripts/install-deps.sh build
		apt-get -y -q --no-install-recommends install python3-z3 # for a proof among the tests
		meson setup build --werror
		meson compile -C build
		meson test -C build --no-rebuild --suite unit --print-errorlogs"
' - "$release" "$root" || status=$?
cp "$root/sealane/build/meson-logs/testlog.json" "$report"
exit "$status"
