#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two Sealane gateways on this machine, and a tunnel between them that carries real traffic:
#
#   host-a ---- gw-a ======== ESP ======== gw-b ---- host-b
#   10.1.0.2    192.0.2.1           192.0.2.2    10.2.0.2
#
# Each is a network namespace, each line a veth pair. Installs what it needs, builds, sets up, shows
# that the tunnel works and that the wire carries only ESP, and cleans up.
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

keep='' built='' down=''
while [[ $# -gt 0 ]]; do
	case $1 in
	--keep) keep=yes ;;
	--down) down=yes ;;
	--built) built=${2:?} && shift ;;
	*)
		sed -n '4,16s/^# \{0,1\}//p' "$0" >&2
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
		for log in "$folder"/*.log; do
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

random_key() { # AES-128 and 4 bytes of salt
	printf '0x%s' "$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')"
}

# xfrm SIDE WORDS...: what an administrator would type; iproute2 is the one of the distribution.
xfrm() {
	in_netns "gw-$1" env SEALANE_XFRM_SOCKET="$folder/gw-$1.xfrm" \
		"$build/sealane-xfrm" ip xfrm "${@:2}"
}

# install_tunnel SIDE NEAR FAR: both SAs, and policies that require them for what lies behind.
install_tunnel() {
	local side=$1 near=$2 far=$3 nets

	xfrm "$side" state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001 reqid 1 mode tunnel \
		flag af-unspec replay-window 64 aead 'rfc4106(gcm(aes))' "$key_ab" 128
	xfrm "$side" state add src 192.0.2.2 dst 192.0.2.1 proto esp spi 0x1002 reqid 1 mode tunnel \
		flag af-unspec replay-window 64 aead 'rfc4106(gcm(aes))' "$key_ba" 128
	for nets in "10.$near.0.0/16 10.$far.0.0/16" "2001:db8:$near::/48 2001:db8:$far::/48"; do
		# shellcheck disable=SC2086 # two words
		policies "$side" "192.0.2.$near" "192.0.2.$far" $nets
	done
}

policies() { # SIDE OWN PEER NEAR FAR
	xfrm "$1" policy add src "$4" dst "$5" dir out \
		tmpl src "$2" dst "$3" proto esp reqid 1 mode tunnel
	xfrm "$1" policy add src "$5" dst "$4" dir fwd \
		tmpl src "$3" dst "$2" proto esp reqid 1 mode tunnel
	xfrm "$1" policy add src "$5" dst "$4" dir in \
		tmpl src "$3" dst "$2" proto esp reqid 1 mode tunnel
}

# start_captures: the beginning of everything on the wire, and all that is neither ESP nor what
# finds neighbours, for as long as the demo runs.
start_captures() {
	local other='not (ip proto 50 or ip6 proto 50) and not arp and
		not (ip6[6] == 58 and ip6[40] >= 133 and ip6[40] <= 137)'

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

sa_entry() { # SRC DST SPI KEY
	printf 'uat:esp_sa:"IPv4","%s","%s","%s","AES-GCM with 16 octet ICV [RFC4106]","%s","NULL",""' \
		"$@"
}

only_esp() {
	[[ $(read_wire -Y 'esp' | wc -l) -gt 0 &&
		$(tshark -r "$folder/other.pcap" 2>/dev/null | wc -l) -eq 0 ]]
}

show_decrypted() {
	local what

	read_wire -o esp.enable_encryption_decode:TRUE \
		-o "$(sa_entry 192.0.2.1 192.0.2.2 0x00001001 "$key_ab")" \
		-o "$(sa_entry 192.0.2.2 192.0.2.1 0x00001002 "$key_ba")" >"$folder/decrypted" || return
	for what in 'ICMP .*Echo (ping) request' 'ICMPv6 .*Echo (ping) reply' TCP; do
		grep -m 1 "$what" "$folder/decrypted" || return
	done | sed 's/^/         /'
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

try_next() {
	cat <<-EOT

		It stays up. Try:
		  ip netns exec sealane-host-a ping 10.2.0.2
		  $build/sealanectl -s $folder/gw-a.show sa show
		  $build/sealanectl -s $folder/gw-a.show drops show
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

step "3. SAs and policies, by ip xfrm"
key_ab=$(random_key)
key_ba=$(random_key)
install_tunnel a 1 2
install_tunnel b 2 1
xfrm a state list | sed -n '/^src/s/^/         /p'

step "4. Traffic"
start_captures
held "ping over IPv4" pings 10.2.0.2
held "ping over IPv6" pings 2001:db8:2::2
held "TCP over IPv4" throughput 10.2.0.2
held "TCP over IPv6" throughput 2001:db8:2::2

step "5. The wire"
ends "${background[@]}"
background=()
read_wire -Y esp | head -n 3 | sed 's/^/         /' || true
held "the wire carries only ESP (and what finds neighbours)" only_esp
held "the same capture, decrypted with the demo's keys" show_decrypted

step "6. Counters"
show_counters
held "gw-a: every packet that came in or was made here is accounted for" balanced a
held "gw-b: likewise" balanced b

step "7. Idle"
idle_use

echo
if [[ ${#failures[@]} -eq 0 ]]; then
	echo "All held: two engines carried IPv4 and IPv6 through the tunnel, and the wire showed only ESP."
	[[ ! $keep ]] || try_next
else
	printf 'Did not hold: %s\n' "$(printf '%s; ' "${failures[@]}" | sed 's/; $//')"
	exit 1
fi
