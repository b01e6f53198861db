#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two gateways on this machine, each a Sealane engine that an unmodified strongSwan drives, and a
# tunnel between them that carries real traffic; then the same with strongSwan's own userspace ESP for
# gw-b, which shares nothing with Sealane:
#
#   host-a ---- gw-a ======== ESP ======== gw-b ---- host-b
#   10.1.0.2    192.0.2.1           192.0.2.2    10.2.0.2
#
# Each is a network namespace, each line a veth pair. Installs what it needs, builds, sets up, shows
# that the tunnel works, before, during and after a rekeying, and that the wire carries only ESP and
# IKE, and cleans up.
#
#   sudo scripts/demo.sh [--keep | --down] [--built FOLDER]
#
#   --keep           leave it running, and print what to try next
#   --down           remove what --keep left
#   --built FOLDER   use the programs there; install and build nothing
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/netns.sh
. scripts/lib/netns.sh
# shellcheck source=scripts/lib/ike.sh
. scripts/lib/ike.sh

keep='' built='' down=''
while [[ $# -gt 0 ]]; do
	case $1 in
	--keep) keep=yes ;;
	--down) down=yes ;;
	--built) built=${2:?} && shift ;;
	*)
		sed -n '4,19s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
	esac
	shift
done
if [[ $EUID -ne 0 ]]; then
	echo "the demo makes network namespaces: run it as root (sudo scripts/demo.sh)" >&2
	exit 2
fi

folder=/run/sealane-demo
netns=(sealane-host-a sealane-gw-a sealane-gw-b sealane-host-b)
background=()

# (In the background use ip netns exec itself: $! is then the command's.)
in_netns() {
	ip netns exec "sealane-$1" "${@:2}"
}

step() {
	printf '\n%s\n' "$*"
}

failures=()
# held WHAT COMMAND...: one of the things that the demo shows.
held() {
	local what=$1

	shift
	if "$@"; then
		printf '   ok    %s\n' "$what"
	else
		printf '   FAIL  %s\n' "$what"
		failures+=("$what")
	fi
}

# until_true WHAT COMMAND...: waits for a state that nothing announces.
until_true() {
	local what=$1 i

	shift
	for ((i = 0; i < 1500; i++)); do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		sleep 0.02
	done
	echo "waited in vain: $what" >&2
	return 1
}

# ends PID...: asks processes to end, and waits until they have.
ends() {
	local pid

	for pid in "$@"; do
		kill "$pid" 2>/dev/null || continue
		until_true "process $pid to end" gone "$pid" || kill -9 "$pid" 2>/dev/null || true
	done
}

gone() {
	[[ ! -e /proc/$1 || $(awk '{ print $3 }' "/proc/$1/stat") == Z ]]
}

# Whatever runs in a namespace of ours was started here, be it engine, capture or iperf3.
clean_up() {
	local name pids

	for name in "${netns[@]}"; do
		read -ra pids < <(ip netns pids "$name" 2>/dev/null | tr '\n' ' ') || true
		ends ${pids[@]+"${pids[@]}"}
	done
	netns_del "${netns[@]}"
	rm -rf "$folder"
}

at_exit() {
	local status=$?

	if [[ $status -ne 0 && -e $folder ]]; then
		for log in "$folder"/*.{log,out}; do
			[[ -s $log ]] && printf '\n--- %s\n' "$log" && tail -n 20 "$log"
		done
	fi
	if [[ $keep && $status -eq 0 ]]; then
		ends ${background[@]+"${background[@]}"}
	else
		clean_up
	fi
	exit "$status"
}

build() {
	if [[ $built ]]; then
		build=$built
		return
	fi
	scripts/install-deps.sh demo
	build=build
	if [[ ! -f $build/build.ninja ]]; then
		meson setup "$build" >"$folder/build.log" || return
	fi
	meson compile -C "$build" >"$folder/build.log"
	: >"$folder/build.log"
}

# The four namespaces and the three links. The veths below the engines' ports are called *-port; lan
# and wan are the host interfaces that the engines will make.
build_network() {
	local name side

	for name in "${netns[@]}"; do
		netns_new "$name"
	done
	veth_new sealane-host-a eth0 sealane-gw-a lan-port
	veth_new sealane-gw-a wan-port sealane-gw-b wan-port
	veth_new sealane-host-b eth0 sealane-gw-b lan-port
	for side in a b; do
		below_engine "sealane-gw-$side" lan-port
		below_engine "sealane-gw-$side" wan-port
	done
	address_host a 1
	address_host b 2
}

address_host() {
	ip -n "sealane-host-$1" -batch - <<-EOT
		address add 10.$2.0.2/24 dev eth0
		address add 2001:db8:$2::2/64 dev eth0 nodad
		route add default via 10.$2.0.1
		route add default via 2001:db8:$2::1
	EOT
}

# start_engine SIDE CORE: a gateway is a configuration, a process, and addresses on what it makes.
# (qdisc_bypass=0 costs a little, but captures on the interface then show what is sent, too.)
start_engine() {
	local name=gw-$1

	cat >"$folder/$name.yaml" <<-EOT
		workers:
		  cores: [$2]
		  polling: adaptive
		ports:
		  - name: lan
		    device: net_af_packet0,iface=lan-port
		    side: protected
		  - name: wan
		    device: net_af_packet1,iface=wan-port,qdisc_bypass=0
		    side: unprotected
		sockets:
		  xfrm: $folder/$name.xfrm
		  show: $folder/$name.show
	EOT
	ip netns exec "sealane-$name" "$build/sealaned" -c "$folder/$name.yaml" >"$folder/$name.log" 2>&1 &
	echo $! >"$folder/$name.pid"
}

await_engine() {
	until_true "gw-$1 to answer" "$build/sealanectl" -s "$folder/gw-$1.show" status
}

# address_gateway SIDE NEAR FAR: routes and addresses are the kernel's; the engine follows them.
address_gateway() {
	ip -n "sealane-gw-$1" -batch - <<-EOT
		link set lan up
		link set wan up
		address add 10.$2.0.1/24 dev lan
		address add 2001:db8:$2::1/64 dev lan nodad
		address add 192.0.2.$2/24 dev wan
		address add 2001:db8:f::$2/64 dev wan nodad
		route add 10.$3.0.0/16 via 192.0.2.$3
		route add 2001:db8:$3::/48 via 2001:db8:f::$3
	EOT
}

# xfrm SIDE WORDS...: iproute2 is the one of the distribution.
xfrm() {
	in_netns "gw-$1" env SEALANE_XFRM_SOCKET="$folder/gw-$1.xfrm" \
		"$build/sealane-xfrm" ip xfrm "${@:2}"
}

# spis SIDE: of the SAs that carry traffic now.
spis() {
	ike "$1" --list-sas | awk '/INSTALLED/ { now = 1 } /REKEYED/ { now = 0 }
		now && ($1 == "in" || $1 == "out") { printf "%s ", $2 }'
}

negotiate() {
	ike a --initiate --child net >"$folder/initiate" 2>&1 || {
		cat "$folder/initiate"
		return 1
	}
	ike a --list-sas | sed -n -e '/^gw/p' -e '/net:/p' -e '/  \(in\|out\|local\|remote\) /p' |
		sed 's/^/         /'
}

# start_captures: the beginning of everything on the wire, and all that is neither ESP nor IKE nor
# what finds neighbours, for as long as they run.
start_captures() {
	local other='not (ip proto 50 or ip6 proto 50) and not udp port 500 and not udp port 4500 and
		not arp and not (ip6[6] == 58 and ip6[40] >= 133 and ip6[40] <= 137) and
		not (ip6[6] == 0 and ip6[40] == 58)'

	rm -f "$folder"/{wire,other}.pcap
	ip netns exec sealane-gw-a dumpcap -q -i wan-port -c 400 -w "$folder/wire.pcap" 2>"$folder/capture" &
	background+=($!)
	ip netns exec sealane-gw-a dumpcap -q -i wan-port -f "$other" -w "$folder/other.pcap" \
		2>"$folder/capture-other" &
	background+=($!)
	until_true "the captures to start" grep -q File: "$folder/capture"
	until_true "the captures to start" grep -q File: "$folder/capture-other"
}

pings() {
	in_netns host-a ping -q -c 5 -i 0.05 -W 5 "$1" >"$folder/ping" &&
		awk -F/ '/^rtt/ { printf "         %s ms on average\n", $5 }' "$folder/ping"
}

# throughput ADDRESS [OPTION]: TCP for two seconds.
throughput() {
	local server

	rm -f "$folder/iperf-server"
	ip netns exec sealane-host-b iperf3 -s -1 --forceflush >"$folder/iperf-server" 2>&1 &
	server=$!
	background+=("$server")
	until_true "iperf3 to listen" grep -q listening "$folder/iperf-server" || return
	in_netns host-a iperf3 -c "$1" -t 2 -f m >"$folder/iperf" 2>&1 || {
		cat "$folder/iperf"
		return 1
	}
	awk '/receiver/ { printf "         %s %s\n", $7, $8; found = $7 > 0 }
		END { exit !found }' "$folder/iperf"
}

# read_wire [TSHARK OPTION...]: the capture, as tshark understands it.
read_wire() {
	tshark -r "$folder/wire.pcap" "$@" 2>"$folder/tshark.err"
}

end_captures() {
	ends "${background[@]}"
	background=()
}

only_esp() { # FILTER
	[[ $(read_wire -Y "$1" | wc -l) -gt 0 &&
		$(tshark -r "$folder/other.pcap" 2>/dev/null | wc -l) -eq 0 ]]
}

# save_keys: those of the SAs as they are now, in tshark's words. Root may ask for keys.
save_keys() {
	xfrm a state list | awk '
		$1 == "src" { src = $2; dst = $4 }
		$3 == "spi" { spi = $4 }
		$1 == "aead" { printf "-o\nuat:esp_sa:\"IPv4\",\"%s\",\"%s\",\"%s\",\"%s\",\"%s\",\"NULL\",\"\"\n",
			src, dst, spi, "AES-GCM with 16 octet ICV [RFC4106]", $3 }' >"$folder/keys"
}

show_decrypted() {
	local what keys

	mapfile -t keys <"$folder/keys"
	read_wire -o esp.enable_encryption_decode:TRUE "${keys[@]}" >"$folder/decrypted" || return
	for what in 'ICMP .*Echo (ping) request' 'ICMPv6 .*Echo (ping) reply' TCP; do
		grep -m 1 "$what" "$folder/decrypted" || return
	done | sed 's/^/         /'
}

# rekeyed: hundreds of echo requests of both families while both sides rekey in turn; every one is
# answered, and the SAs are new.
rekeyed() {
	local old side address status=0 pings=()

	old=$(spis a)
	for address in 10.2.0.2 2001:db8:2::2; do
		ip netns exec sealane-host-a ping -q -c 400 -i 0.005 -W 5 "$address" \
			>"$folder/rekey-${#pings[@]}" &
		pings+=($!)
	done
	for side in a b; do
		ike "$side" --rekey --child net >"$folder/rekey" || status=1
		until_true "a new SA" new_spis "$old" || status=1
		old=$(spis a)
	done
	wait "${pings[@]}" || status=1
	sed -n 's/^\([0-9]* packets.*loss\).*/         \1/p' "$folder"/rekey-*
	[[ $(cat "$folder"/rekey-* | grep -c ' 0% packet loss') -eq 2 && $status -eq 0 ]]
}

new_spis() {
	local now

	now=$(spis a)
	[[ $(wc -w <<<"$now") -eq 2 && $now != "$1" ]]
}

# show SIDE PAGE EXPRESSION: something of a page of the engine's, by a Python expression.
show() {
	"$build/sealanectl" -s "$folder/gw-$1.show" --json "$2" show |
		python3 -c "import json, sys; page = json.load(sys.stdin); print($3)"
}

show_counters() {
	local side columns=(received forwarded punted sealed opened dropped) numbers

	printf '         %-6s %10s %10s %10s %10s %10s %10s\n' '' "${columns[@]}"
	for side in a b; do
		read -ra numbers < <(show "$side" worker \
			"*(sum(w[c] for w in page['worker']) for c in '${columns[*]}'.split())")
		printf '         %-6s %10s %10s %10s %10s %10s %10s\n' "gw-$side" "${numbers[@]}"
	done
}

# balanced SIDE: every packet is accounted for.
balanced() {
	[[ $(show "$1" drops "page['balance']['holds']") == True ]]
}

# Nanoseconds that an engine's threads have run.
runtime() {
	cat /proc/"$(<"$folder/gw-$1.pid")"/task/*/schedstat | awk '{ t += $1 } END { printf "%.0f", t }'
}

idle_use() {
	local begin end

	begin=$(runtime a)
	sleep 2
	end=$(runtime a)
	awk "BEGIN { printf \"         %.1f %% of a core over two idle seconds\\n\", ($end - $begin) / 2e7 }"
}

# replace_b: gw-b from now on is a plain Linux router with strongSwan's kernel-libipsec.
# shellcheck disable=SC2016 # the inner shell expands
replace_b() {
	ike a --terminate --ike gw >"$folder/terminate"
	ends "$(<"$folder/ike-b.pid")" "$(<"$folder/gw-b.pid")"
	in_netns gw-b sh -c '
		echo 1 >/proc/sys/net/ipv4/ip_forward
		echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
		for interface in lan wan; do
			tc qdisc del dev $interface-port clsact
			echo 0 >/proc/sys/net/ipv6/conf/$interface-port/disable_ipv6
			ip link set $interface-port down
			ip link set $interface-port name $interface
		done'
	address_gateway b 2 1
	ike_configure b 2 1 a "kernel-libipsec kernel-netlink"
	ike_start b env
}

try_next() {
	cat <<-EOT

		It stays up. Try:
		  ip netns exec sealane-host-a ping 10.2.0.2
		  $build/sealanectl -s $folder/gw-a.show sa show
		  $build/sealanectl -s $folder/gw-a.show drops show
		  SWANCTL_DIR=$folder/ike-a swanctl --list-sas --uri unix://$folder/ike-a/vici
		  ip netns exec sealane-gw-a env SEALANE_XFRM_SOCKET=$folder/gw-a.xfrm \\
		    $build/sealane-xfrm ip -s xfrm state
		  ip netns exec sealane-gw-a tcpdump -n -i wan-port
		and remove it with: sudo scripts/demo.sh --down
	EOT
}

clean_up # of an earlier --keep
[[ ! $down ]] || exit 0
trap at_exit EXIT
trap 'exit 130' INT TERM
mkdir -p "$folder"
chmod 700 "$folder"

step "1. Build"
build
echo "         programs are in $build/"

step "2. Two hosts, two gateways, one wire"
build_network
cores=$(nproc)
start_engine a 0
start_engine b $((cores > 1 ? 1 : 0))
await_engine a
await_engine b
address_gateway a 1 2
address_gateway b 2 1
for name in "${netns[@]}"; do
	echo "         namespace $name"
done

step "3. IKE: an unmodified charon on each side, certificates by pki"
ike_authority
for side in a b; do
	ike_enrol "$side"
done
ike_configure a 1 2 b kernel-netlink
ike_configure b 2 1 a kernel-netlink
start_captures
ike_start a "$build/sealane-xfrm"
ike_start b "$build/sealane-xfrm"
held "IKEv2 negotiates a CHILD_SA, and both engines have its SAs" negotiate
save_keys

step "4. Traffic"
held "ping over IPv4" pings 10.2.0.2
held "ping over IPv6" pings 2001:db8:2::2
held "TCP over IPv4" throughput 10.2.0.2
held "TCP over IPv6" throughput 2001:db8:2::2

step "5. Rekeying, from both sides, under traffic"
held "no echo request is lost, and the SAs are new" rekeyed
held "TCP goes on with the new keys" throughput 10.2.0.2

step "6. The wire"
end_captures
read_wire -Y esp | head -n 3 | sed 's/^/         /' || true
held "the wire carries only ESP and IKE (and what finds neighbours)" only_esp esp
held "the same capture, decrypted with the keys that IKE had negotiated" show_decrypted

step "7. Counters"
show_counters
held "gw-a: every packet that came in or was made here is accounted for" balanced a
held "gw-b: likewise" balanced b
idle_use

step "8. gw-b with strongSwan's own ESP (kernel-libipsec) instead of Sealane"
start_captures
replace_b
held "IKEv2 negotiates a CHILD_SA with it" negotiate
held "ping over IPv4" pings 10.2.0.2
held "ping over IPv6" pings 2001:db8:2::2
held "TCP over IPv4" throughput 10.2.0.2
held "TCP over IPv6" throughput 2001:db8:2::2
held "no echo request is lost over a rekeying" rekeyed
end_captures
held "the wire carries only ESP in UDP, and IKE" only_esp "udp.port == 4500 and esp"
held "gw-a: every packet is accounted for" balanced a

echo
if [[ ${#failures[@]} -eq 0 ]]; then
	echo "All held: strongSwan drove the engines, IPv4 and IPv6 went through the tunnels, and the wire"
	echo "showed only ESP and IKE."
	[[ ! $keep ]] || try_next
else
	printf 'Did not hold: %s\n' "$(printf '%s; ' "${failures[@]}" | sed 's/; $//')"
	exit 1
fi
