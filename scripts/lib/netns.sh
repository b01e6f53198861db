# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Network namespaces and veth pairs for the demo and the system tests: what they share is here, so
# that an engine's port looks the same in both. To be sourced; needs root and iproute2.

# netns_new NAME: a namespace with loopback up, forwarding of the kernel off, and no waiting for
# duplicate address detection (nobody else is there).
# shellcheck disable=SC2016 # the inner shell expands
netns_new() {
	ip netns add "$1" &&
		ip -n "$1" link set lo up &&
		ip netns exec "$1" sh -c '
			cd /proc/sys/net/ipv6/conf &&
			for conf in all default; do
				echo 0 >$conf/accept_dad && echo 0 >$conf/accept_ra &&
					echo 0 >$conf/router_solicitations || exit
			done
			echo 0 >/proc/sys/net/ipv4/ip_forward'
}

# netns_del NAME...: removes namespaces and whatever lives in them; silent where there are none.
netns_del() {
	local name

	for name in "$@"; do
		ip netns del "$name" 2>/dev/null || true
	done
}

# veth_new NETNS IF PEER_NETNS PEER_IF [QUEUES]: a veth pair, both ends up. Checksum and segmentation
# offloads are off: nobody behind an af_packet or af_xdp port would finish what the kernel left open.
veth_new() {
	local netns=$1 ifname=$2 peer_netns=$3 peer=$4 queues=${5:-1}

	ip link add name "$ifname" netns "$netns" numrxqueues "$queues" numtxqueues "$queues" \
		type veth peer name "$peer" netns "$peer_netns" \
		numrxqueues "$queues" numtxqueues "$queues" || return
	offloads_off "$netns" "$ifname" &&
		offloads_off "$peer_netns" "$peer" &&
		ip -n "$netns" link set "$ifname" up &&
		ip -n "$peer_netns" link set "$peer" up
}

# offloads_off NETNS IF: frames leave and arrive as they would on a wire.
offloads_off() {
	ip netns exec "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null
}

# offloads_on NETNS IF: long frames and unfinished checksums, as Linux has it by itself; for vnet ports.
offloads_on() {
	ip netns exec "$1" ethtool -K "$2" tx on tso on gso on gro on >/dev/null
}

# below_engine NETNS IF: makes the interface that carries an engine's port deaf, or the kernel would
# answer beside the engine: no address, no IPv6, everything that arrives is dropped. The engine still
# gets it all, since packet sockets listen before this filter. One instruction of classic BPF
# ("return TC_ACT_SHOT") does it on every kernel that has any classifier.
below_engine() {
	ip netns exec "$1" sh -c "echo 1 >/proc/sys/net/ipv6/conf/$2/disable_ipv6" &&
		ip -n "$1" address flush dev "$2" &&
		tc -n "$1" qdisc add dev "$2" clsact &&
		tc -n "$1" filter add dev "$2" ingress protocol all \
			bpf direct-action bytecode '1,6 0 0 2'
}

# mute NETNS IF: nothing that the kernel sends leaves by this interface. On a host interface it makes
# the kernel's own chatter (multicast listener reports and the like) no part of a count.
mute() {
	tc -n "$1" qdisc add dev "$2" clsact &&
		tc -n "$1" filter add dev "$2" egress protocol all \
			bpf direct-action bytecode '1,6 0 0 2'
}
