#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs what Sealane needs on Debian 12, and only what is missing. Does nothing, quickly, where all
# is there.
#
#   scripts/install-deps.sh [build | demo | test]     test, the largest set, is the default
set -euo pipefail

# What compiles and runs the engine. libdpdk-dev brings every driver of DPDK along.
build=(
	meson ninja-build pkg-config gcc libc6-dev python3
	libdpdk-dev libipsec-mb-dev libssl-dev libmnl-dev libcyaml-dev libyaml-dev libjansson-dev
	libcmocka-dev
	iproute2 procps
)
strongswan=(
	charon-systemd strongswan-swanctl strongswan-pki libstrongswan-standard-plugins
	libcharon-extra-plugins libcharon-extauth-plugins
)
demo=("${build[@]}" "${strongswan[@]}" ethtool iputils-ping iperf3 tshark)
test=(
	"${demo[@]}" clang clang-format libclang-rt-14-dev llvm-14 shellcheck git tcpdump spin
	user-mode-linux kmod systemd
	python3-pytest python3-scapy python3-cryptography python3-yaml python3-z3
	nftables apparmor
	# what libreswan wants, which itself conflicts with strongSwan's packages and is unpacked below
	libnss3-tools libldns3 libunbound8 libcurl3-nss libevent-core-2.1-7 libevent-pthreads-2.1-7
	libcap-ng0 libaudit1 libldap-2.5-0 libselinux1 libsystemd0
)
unpacked=/var/lib/sealane-test/libreswan # tests/system/pluto.py looks there

case "${1:-test}" in
build) wanted=("${build[@]}") ;;
demo) wanted=("${demo[@]}") ;;
test) wanted=("${test[@]}") ;;
*)
	sed -n '3,7s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac

there=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
	grep -qx "installed $package" <<<"$there" || missing+=("$package")
done
libreswan=
[[ ${1:-test} != test || -x $unpacked/usr/libexec/ipsec/pluto ]] || libreswan=yes
[[ ${#missing[@]} -gt 0 || $libreswan ]] || exit 0

if [[ $EUID -ne 0 ]]; then
	echo "missing packages: ${missing[*]}${libreswan:+ libreswan (unpacked)}" >&2
	echo "install them as root: apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi
echo "installing ${missing[*]}${libreswan:+ libreswan (unpacked)}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# An IKE daemon that starts by being installed would take ports 500 and 4500 of this machine.
if [[ ! -e /usr/sbin/policy-rc.d ]]; then
	trap 'rm -f "$log" /usr/sbin/policy-rc.d' EXIT
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod 755 /usr/sbin/policy-rc.d
fi
install() {
	apt-get -y -q --no-install-recommends -o Dpkg::Use-Pty=0 install "${missing[@]}" \
		>"$log" 2>&1 || return
	[[ ! $libreswan ]] || unpack_libreswan >>"$log" 2>&1
}

unpack_libreswan() {
	local folder

	folder=$(mktemp -d)
	(cd "$folder" && apt-get -q download libreswan) && mkdir -p "$unpacked" &&
		dpkg -x "$folder"/libreswan_*.deb "$unpacked" && rm -rf "$folder"
}
# A package list that is there may be good enough; one that is not, or is too old, is fetched.
if ! install; then
	apt-get -q update >"$log" 2>&1 || true
	if ! install; then
		cat "$log" >&2
		echo "installing packages failed" >&2
		exit 1
	fi
fi
