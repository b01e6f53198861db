#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs what Sealane needs on Debian 12 (and to build it, on 13), and only what is missing. Does
# nothing, quickly, where all is there.
#
#   scripts/install-deps.sh [build | demo | test | bench]     test is the default
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
	"${demo[@]}" clang clang-format libclang-rt-14-dev llvm-14 shellcheck git tcpdump spin debootstrap
	user-mode-linux kmod systemd valgrind
	python3-pytest python3-scapy python3-cryptography python3-yaml python3-z3
	nftables apparmor
	# what libreswan wants, which itself conflicts with strongSwan's packages and is unpacked below
	libnss3-tools libldns3 libunbound8 libcurl3-nss libevent-core-2.1-7 libevent-pthreads-2.1-7
	libcap-ng0 libaudit1 libldap-2.5-0 libselinux1 libsystemd0
)
# The peers that Sealane is measured beside, and what draws.
bench=("${demo[@]}" openvpn wireguard-go wireguard-tools dpdk-dev gnuplot-nox valgrind python3-yaml)
# What excludes a package above, or is of another Debian, is unpacked into folders where tests/system
# looks: FOLDER PACKAGE..., of this Debian, and RELEASE PACKAGE... with all that they depend on.
unpacked=/var/lib/sealane-test
folders=("libreswan libreswan" "strongswan-starter strongswan-charon strongswan-starter")
releases=("trixie charon-systemd" "forky charon-systemd")

case "${1:-test}" in
build) wanted=("${build[@]}") ;;
demo) wanted=("${demo[@]}") ;;
test) wanted=("${test[@]}") ;;
bench) wanted=("${bench[@]}") ;;
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
absent=()
if [[ ${1:-test} == test ]]; then
	for folder in "${folders[@]%% *}" "${releases[@]%% *}"; do
		[[ -d $unpacked/$folder/usr ]] || absent+=("$folder")
	done
fi
[[ ${#missing[@]} -gt 0 || ${#absent[@]} -gt 0 ]] || exit 0

if [[ $EUID -ne 0 ]]; then
	echo "missing packages: ${missing[*]}${absent[*]:+; to be unpacked: ${absent[*]}}" >&2
	echo "install them as root: scripts/install-deps.sh ${1:-test}" >&2
	exit 1
fi
echo "installing ${missing[*]}${absent[*]:+; unpacking ${absent[*]}}"
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
	for folder in "${absent[@]}"; do
		[[ -d $unpacked/$folder/usr ]] || unpack "$folder" >>"$log" 2>&1 || return
	done
}

# unpack FOLDER: its programs and libraries, without what installing them would do.
unpack() {
	local apt new=$unpacked/$1.new line words deb

	apt=$(mktemp -d)
	mkdir -p "$apt/archives/partial"
	for line in "${folders[@]}" "${releases[@]}"; do
		read -ra words <<<"$line"
		[[ ${words[0]} == "$1" ]] || continue
		download "$apt" "${words[@]}" || return
	done
	rm -rf "$new" "${unpacked:?}/$1"
	mkdir -p "$new"
	for deb in "$apt"/archives/*.deb; do
		dpkg-deb -x "$deb" "$new" || return
	done
	mv "$new" "$unpacked/$1"
	rm -rf "$apt"
}

# download FOLDER NAME PACKAGE...: into FOLDER/archives. Where the name is a release's, from there and
# with what they depend on: sealane-xfrm is a shell script.
download() {
	local apt=$1 options

	if [[ " ${releases[*]%% *} " != *" $2 "* ]]; then
		(cd "$apt/archives" && apt-get -q download "${@:3}")
		return
	fi
	mkdir -p "$apt/lists/partial" "$apt/state"
	: >"$apt/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
		"http://deb.debian.org/debian $2 main" >"$apt/sources.list"
	options=(-q -y --no-install-recommends -o Dir::Etc::sourcelist="$apt/sources.list"
		-o Dir::Etc::sourceparts=- -o Dir::State="$apt/state" -o Dir::State::lists="$apt/lists"
		-o Dir::State::status="$apt/status" -o Dir::Cache="$apt" -o APT::Sandbox::User=root)
	apt-get "${options[@]}" update && apt-get "${options[@]}" -d install "${@:3}" dash coreutils
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
