/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host interfaces against the kernel, in a network namespace of its own, with the workers played
 * by the test: frames both ways, and neighbours that the kernel resolves through them. Root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_arp.h>
#include <rte_eal.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/host.h"
#include "dataplane/room.h"
#include "dataplane/rtnl.h"
#include "dataplane/worker.h"
#include "fib_model.h"

#define WORKERS 2

static struct dataplane dp;
static bool link_up = true;

static const struct rte_ether_addr peer_mac = {{0x02, 0, 0, 0, 0, 0x99}};

bool
port_link_up(const struct port *port)
{
	return link_up;
}

static void
command(const char *text)
{
	if (system(text) != 0)
		fail_msg("failed: %s", text);
}

/* ---- the world: two interfaces, two workers ---- */

static int
world_start(void **state)
{
	char *args[] = {"test", "--no-huge",   "--no-shconf",   "--no-pci",      "-m", "64", "-l",
			"0",    "--log-level", "lib.eal:error", "--no-telemetry"};

	if (unshare(CLONE_NEWNET) != 0)
		return -1;
	command("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad;"
		"echo 0 > /proc/sys/net/ipv6/conf/default/router_solicitations;"
		"ip link set lo up");
	if (rte_eal_init(RTE_DIM(args), args) < 0)
		return -1;
	dp.pool = room_pool_new("packets", 2047, 64, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	dp.fib = model_fib();
	dp.neighs = model_neighs();
	dp.workers_count = WORKERS;
	for (int i = 0; i < WORKERS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "inbox_%d", i);
		dp.workers[i] = aligned_alloc(64, RTE_ALIGN(sizeof(struct worker), 64));
		memset(dp.workers[i], 0, sizeof(struct worker));
		dp.workers[i]->inbox = rte_ring_create(name, 256, SOCKET_ID_ANY, RING_F_SC_DEQ);
	}
	dp.ifaces_count = 2;
	for (uint16_t i = 0; i < 2; i++) {
		struct iface *iface = &dp.ifaces[i];

		snprintf(iface->host_name, sizeof(iface->host_name), "host%u", i);
		iface->number = iface->port = i;
		iface->mtu = i == 0 ? 1400 : 1500;
		iface->table = 254;
		iface->mac = (struct rte_ether_addr){{0x02, 0, 0, 0, 1, (uint8_t)i}};
	}
	return 0;
}

static int
world_stop(void **state)
{
	for (int i = 0; i < WORKERS; i++) {
		rte_ring_free(dp.workers[i]->inbox);
		free(dp.workers[i]);
	}
	room_pool_free(dp.pool);
	model_reset();
	rte_eal_cleanup();
	return 0;
}

/* Any frame that a worker finds, or NULL. */
static struct rte_mbuf *
inbox_get(unsigned int worker)
{
	struct rte_mbuf *m = NULL;

	rte_ring_dequeue(dp.workers[worker]->inbox, (void **)&m);
	return m;
}

static int
host_up(void **state)
{
	struct reason why = {0};

	link_up = true;
	if (host_start(&dp, &why) != 0 || host_run(&dp, &why) != 0) {
		print_error("%s\n", why.text);
		return -1;
	}
	return 0;
}

static int
host_down(void **state)
{
	struct rte_mbuf *m;

	host_halt(&dp);
	host_stop(&dp);
	for (unsigned int w = 0; w < WORKERS; w++)
		while ((m = inbox_get(w)) != NULL)
			rte_pktmbuf_free(m);
	model_reset();
	/* No buffer was lost on any way. */
	assert_int_equal(rte_mempool_in_use_count(dp.pool), 0);
	return 0;
}

/* ---- frames ---- */

typedef bool frame_fn(const struct rte_mbuf *m, const void *arg);

/* Waits for the frame on any inbox that `wanted` likes; others (the kernel's own) are freed. */
static struct rte_mbuf *
wait_frame(frame_fn *wanted, const void *arg)
{
	for (unsigned int w = 0;; w = (w + 1) % WORKERS) {
		struct rte_mbuf *m = inbox_get(w);

		if (m == NULL) {
			sched_yield();
			continue;
		}
		if (wanted(m, arg))
			return m;
		rte_pktmbuf_free(m);
	}
}

static struct rte_mbuf *
frame_new(const struct rte_ether_addr *dst, uint16_t type, size_t payload)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp.pool);
	struct rte_ether_hdr *eth;

	assert_non_null(m);
	eth = (void *)rte_pktmbuf_append(m, (uint16_t)(sizeof(*eth) + payload));
	memset(eth, 0, sizeof(*eth) + payload);
	eth->dst_addr = *dst;
	eth->src_addr = peer_mac;
	eth->ether_type = rte_cpu_to_be_16(type);
	return m;
}

static void
to_host(unsigned int iface, struct rte_mbuf *m)
{
	assert_int_equal(rte_ring_enqueue(dp.ifaces[iface].to_host, m), 0);
}

static struct rte_mbuf *
arp_new(uint16_t op, const struct rte_ether_addr *dst, const char *sender, const char *target)
{
	struct rte_mbuf *m = frame_new(dst, RTE_ETHER_TYPE_ARP, sizeof(struct rte_arp_hdr));
	struct rte_arp_hdr *arp = rte_pktmbuf_mtod_offset(m, void *, sizeof(struct rte_ether_hdr));

	arp->arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = 6;
	arp->arp_plen = 4;
	arp->arp_opcode = rte_cpu_to_be_16(op);
	arp->arp_data.arp_sha = peer_mac;
	arp->arp_data.arp_sip = inet_addr(sender);
	arp->arp_data.arp_tip = inet_addr(target);
	return m;
}

/* ARP for, or from, that address. */
static bool
is_arp(const struct rte_mbuf *m, uint16_t op, const char *sender, const char *target)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const void *);
	const struct rte_arp_hdr *arp = (const void *)(eth + 1);

	return m->data_len >= sizeof(*eth) + sizeof(*arp) &&
	       eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP) &&
	       arp->arp_opcode == rte_cpu_to_be_16(op) &&
	       arp->arp_data.arp_sip == inet_addr(sender) &&
	       arp->arp_data.arp_tip == inet_addr(target);
}

static bool
is_arp_reply(const struct rte_mbuf *m, const void *arg)
{
	return is_arp(m, RTE_ARP_OP_REPLY, "10.1.0.1", "10.1.0.9");
}

static bool
is_arp_request(const struct rte_mbuf *m, const void *arg)
{
	return is_arp(m, RTE_ARP_OP_REQUEST, "10.1.0.1", "10.1.0.9");
}

/* The link flags and such, as `ip -j link` has them. */
static json_t *
link_of(const char *name)
{
	char text[64];
	json_t *all;
	FILE *f;

	snprintf(text, sizeof(text), "ip -j link show %s", name);
	f = popen(text, "r");
	all = json_loadf(f, 0, NULL);
	pclose(f);
	assert_int_equal(json_array_size(all), 1);
	return all;
}

static bool
link_has_flag(const char *name, const char *flag)
{
	json_t *all = link_of(name), *f;
	bool found = false;
	size_t i;

	json_array_foreach(json_object_get(json_array_get(all, 0), "flags"), i, f) found |=
		strcmp(json_string_value(f), flag) == 0;
	json_decref(all);
	return found;
}

/* ---- behaviour ---- */

static void
a_name_that_is_taken_is_refused(void **state)
{
	struct reason why = {0};

	command("ip tuntap add host1 mode tap");
	assert_int_equal(host_start(&dp, &why), -EEXIST);
	assert_non_null(strstr(why.text, "\"host1\""));
	assert_null(dp.host);
	assert_int_not_equal(system("ip link show host0 2> /dev/null"), 0); /* nothing half */
	command("ip link del host1; ip link add host1 type veth peer name other");
	assert_int_equal(host_start(&dp, &why), -EEXIST);
	command("ip link del host1");
}

static void
an_mtu_beyond_the_packet_buffers_is_refused(void **state)
{
	struct reason why = {0};

	dp.ifaces[1].mtu = 9000;
	assert_int_equal(host_start(&dp, &why), -EINVAL);
	assert_non_null(strstr(why.text, "9000"));
	dp.ifaces[1].mtu = 1500;
}

static void
the_device_looks_like_the_port(void **state)
{
	json_t *all = link_of("host0"), *o = json_array_get(all, 0);

	assert_string_equal(json_string_value(json_object_get(o, "address")), "02:00:00:00:01:00");
	assert_int_equal(json_integer_value(json_object_get(o, "mtu")), 1400);
	assert_int_equal(json_integer_value(json_object_get(o, "ifindex")), dp.ifaces[0].ifindex);
	json_decref(all);
	assert_true(link_has_flag("host0", "UP"));
}

static void
carrier_follows_the_port(void **state)
{
	assert_true(link_has_flag("host0", "LOWER_UP"));
	host_carrier(&dp, 0, false);
	assert_false(link_has_flag("host0", "LOWER_UP"));
	assert_true(link_has_flag("host1", "LOWER_UP"));
	host_carrier(&dp, 0, true);
	assert_true(link_has_flag("host0", "LOWER_UP"));
}

static void
carrier_is_the_ports_from_the_start(void **state)
{
	struct reason why = {0};

	link_up = false;
	assert_int_equal(host_start(&dp, &why), 0);
	assert_false(link_has_flag("host0", "LOWER_UP"));
	host_stop(&dp);
}

static void
the_kernel_answers_a_punted_frame(void **state)
{
	struct rte_mbuf *m;

	command("ip addr add 10.1.0.1/24 dev host0");
	to_host(0, arp_new(RTE_ARP_OP_REQUEST, &dp.ifaces[0].mac, "10.1.0.9", "10.1.0.1"));
	m = wait_frame(is_arp_reply, NULL);
	assert_int_equal(packet(m)->in, 0);
	assert_int_equal(packet(m)->out, IFACE_NONE);
	assert_int_equal(packet(m)->flags, PACKET_FROM_HOST);
	assert_int_equal(packet(m)->resume, RESUME_CLASSIFY);
	assert_int_equal(m->pkt_len, m->data_len);
	rte_pktmbuf_free(m);
}

static void
a_frame_in_segments_arrives_whole(void **state)
{
	struct rte_mbuf *m, *tail = rte_pktmbuf_alloc(dp.pool);
	uint16_t half = 20;

	command("ip addr add 10.1.0.1/24 dev host0");
	m = arp_new(RTE_ARP_OP_REQUEST, &dp.ifaces[0].mac, "10.1.0.9", "10.1.0.1");
	memcpy(rte_pktmbuf_append(tail, half),
	       rte_pktmbuf_mtod_offset(m, void *, m->data_len - half), half);
	rte_pktmbuf_trim(m, half);
	rte_pktmbuf_chain(m, tail);
	to_host(0, m);
	rte_pktmbuf_free(wait_frame(is_arp_reply, NULL));
}

/* Datagrams of some flows, numbered, from the kernel. */
#define FLOWS     16
#define DATAGRAMS 8
#define BURSTS    6

static void
send_flows(int af)
{
	for (uint32_t n = 0; n < FLOWS * DATAGRAMS; n++) {
		static int sockets[FLOWS];
		uint32_t flow = n % FLOWS;
		struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(9)};
		struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
		const void *to = af == AF_INET ? (void *)&v4 : (void *)&v6;

		v4.sin_addr.s_addr = inet_addr("10.1.0.9");
		inet_pton(AF_INET6, "2001:db8::9", &v6.sin6_addr);
		if (n < FLOWS)
			sockets[flow] = socket(af, SOCK_DGRAM, 0);
		assert_int_equal(sendto(sockets[flow], &n, sizeof(n), 0, to,
					af == AF_INET ? sizeof(v4) : sizeof(v6)),
				 sizeof(n));
		if (n >= FLOWS * (DATAGRAMS - 1))
			close(sockets[flow]);
	}
}

/* The number in a datagram, or -1 where it is none of ours. */
static int
datagram_number(const struct rte_mbuf *m, int af)
{
	size_t ip = af == AF_INET ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
	size_t offset = sizeof(struct rte_ether_hdr) + ip;
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, const void *, offset);
	uint32_t n;

	if (m->data_len < offset + sizeof(*udp) + sizeof(n) || udp->dst_port != RTE_BE16(9))
		return -1;
	memcpy(&n, udp + 1, sizeof(n));
	return (int)n;
}

static void
flows_keep_their_order(int af)
{
	unsigned int got = 0, workers_used = 0, flow_worker[FLOWS], next[FLOWS] = {0};

	send_flows(af);
	while (got < FLOWS * DATAGRAMS) {
		for (unsigned int w = 0; w < WORKERS; w++) {
			struct rte_mbuf *m = inbox_get(w);
			int n = m != NULL ? datagram_number(m, af) : -1;

			rte_pktmbuf_free(m);
			if (n < 0)
				continue;
			if (next[n % FLOWS] == 0)
				flow_worker[n % FLOWS] = w;
			assert_int_equal(flow_worker[n % FLOWS], w);
			assert_int_equal(n / FLOWS, next[n % FLOWS]++);
			workers_used |= 1u << w;
			got++;
		}
	}
	assert_int_equal(workers_used, (1u << WORKERS) - 1);
}

static void
ipv4_flows_are_spread_and_keep_their_order(void **state)
{
	command("ip addr add 10.1.0.1/24 dev host0;"
		"ip neigh add 10.1.0.9 dev host0 lladdr 2:0:0:0:0:99");
	flows_keep_their_order(AF_INET);
}

static void
ipv6_flows_are_spread_and_keep_their_order(void **state)
{
	command("ip addr add 2001:db8::1/64 dev host0;"
		"ip neigh add 2001:db8::9 dev host0 lladdr 2:0:0:0:0:99");
	flows_keep_their_order(AF_INET6);
}

static void
checksums_are_complete(void **state)
{
	struct rte_mbuf *m = NULL;
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;
	rte_be16_t sum;

	command("ip addr add 10.1.0.1/24 dev host0;"
		"ip neigh add 10.1.0.9 dev host0 lladdr 2:0:0:0:0:99");
	send_flows(AF_INET);
	for (unsigned int w = 0; m == NULL || datagram_number(m, AF_INET) < 0; w ^= 1) {
		rte_pktmbuf_free(m);
		m = inbox_get(w);
	}
	ip = rte_pktmbuf_mtod_offset(m, void *, sizeof(struct rte_ether_hdr));
	udp = (void *)(ip + 1);
	assert_int_equal(rte_ipv4_cksum(ip), 0);
	sum = udp->dgram_cksum;
	udp->dgram_cksum = 0;
	assert_int_equal(rte_ipv4_udptcp_cksum(ip, udp), sum);
	rte_pktmbuf_free(m);
}

static void
a_full_inbox_is_counted(void **state)
{
	struct host_stats stats;

	command("ip addr add 10.1.0.1/24 dev host0;"
		"ip neigh add 10.1.0.9 dev host0 lladdr 2:0:0:0:0:99");
	/* More than two inboxes of 255 take, fewer than the device's queue of 1000. */
	for (int i = 0; i < BURSTS; i++)
		send_flows(AF_INET);
	do
		stats = host_stats(&dp);
	while (stats.from_kernel + stats.inbox_full < BURSTS * FLOWS * DATAGRAMS);
	assert_true(stats.inbox_full > 0);
	assert_true(stats.from_kernel <= 2 * 255);
}

static void
frames_to_an_interface_that_is_down_are_counted(void **state)
{
	command("ip link set host0 down");
	to_host(0, arp_new(RTE_ARP_OP_REQUEST, &dp.ifaces[0].mac, "10.1.0.9", "10.1.0.1"));
	while (host_stats(&dp).write_errors < 1)
		sched_yield();

	/* And it comes back. */
	command("ip link set host0 up; ip addr add 10.1.0.1/24 dev host0");
	to_host(0, arp_new(RTE_ARP_OP_REQUEST, &dp.ifaces[0].mac, "10.1.0.9", "10.1.0.1"));
	rte_pktmbuf_free(wait_frame(is_arp_reply, NULL));
}

static void
a_device_that_somebody_removed_is_given_up(void **state)
{
	command("ip link del host0");
	while (host_stats(&dp).read_errors < 1)
		sched_yield();
	command("ip addr add 10.1.0.1/24 dev host1"); /* the others go on */
	to_host(1, arp_new(RTE_ARP_OP_REQUEST, &dp.ifaces[1].mac, "10.1.0.9", "10.1.0.1"));
	rte_pktmbuf_free(wait_frame(is_arp_reply, NULL));
	assert_int_equal(host_stats(&dp).read_errors, 1);
}

/* ---- neighbours ---- */

static bool
neighbours_are(const char *want)
{
	char *have = model_neighbours();
	bool equal = strcmp(have, want) == 0;

	free(have);
	return equal;
}

static void
follow_until_neighbours(struct rtnl *rtnl, const char *want)
{
	struct pollfd p = {.fd = rtnl_fd(rtnl), .events = POLLIN};

	while (!neighbours_are(want)) {
		assert_true(poll(&p, 1, -1) > 0);
		rtnl_poll(rtnl);
	}
}

/* Asks the kernel, and answers what it asks, until the neighbour is known. */
static void
resolve(struct rtnl *rtnl, uint8_t family, const union ip_addr *addr, frame_fn *asks,
	struct rte_mbuf *(*answer)(void), const char *want)
{
	unsigned int answered = 0;

	rtnl_resolve(rtnl, 0, family, addr);
	while (!neighbours_are(want)) {
		struct rte_mbuf *m = wait_frame(asks, NULL);
		struct pollfd p = {.fd = rtnl_fd(rtnl), .events = POLLIN};

		rte_pktmbuf_free(m);
		to_host(0, answer());
		answered++;
		/* An address may be too new to receive; the kernel asks again in a second. */
		while (!neighbours_are(want) && poll(&p, 1, 500) > 0)
			rtnl_poll(rtnl);
	}
	assert_true(answered > 0);
}

static struct rte_mbuf *
arp_reply_new(void)
{
	return arp_new(RTE_ARP_OP_REPLY, &dp.ifaces[0].mac, "10.1.0.9", "10.1.0.1");
}

static void
ipv4_neighbours_are_resolved_and_confirmed_by_the_kernel(void **state)
{
	union ip_addr addr = ip_addr_v4(inet_addr("10.1.0.9"));
	struct reason why = {0};
	struct rtnl *rtnl;
	uint32_t cursor = 0;

	command("ip addr add 10.1.0.1/24 dev host0;"
		"echo 0 > /proc/sys/net/ipv4/neigh/host0/delay_first_probe_time");
	rtnl = rtnl_open(&dp, &why);
	assert_non_null(rtnl);
	resolve(rtnl, FAMILY_V4, &addr, is_arp_request, arp_reply_new,
		"iface 0 10.1.0.9 02:00:00:00:00:99\n");

	command("ip neigh change 10.1.0.9 dev host0 lladdr 2:0:0:0:0:99 nud stale");
	follow_until_neighbours(rtnl, "iface 0 10.1.0.9 02:00:00:00:00:99 stale\n");
	atomic_store(&neigh_next(dp.neighs, &cursor)->used, true);
	rtnl_tick(rtnl);
	rte_pktmbuf_free(wait_frame(is_arp_request, NULL));
	to_host(0, arp_reply_new());
	follow_until_neighbours(rtnl, "iface 0 10.1.0.9 02:00:00:00:00:99\n");
	rtnl_close(rtnl);
}

/* A neighbour solicitation for 2001:db8::9. */
static bool
is_solicitation(const struct rte_mbuf *m, const void *arg)
{
	static const uint8_t target[16] = {0x20, 1, 0x0d, 0xb8, [15] = 9};
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);

	return m->data_len >= 14 + 40 + 24 && frame[14 + 6] == IPPROTO_ICMPV6 && frame[54] == 135 &&
	       memcmp(&frame[62], target, sizeof(target)) == 0;
}

static struct rte_mbuf *
advertisement_new(void)
{
	struct rte_mbuf *m = frame_new(&dp.ifaces[0].mac, RTE_ETHER_TYPE_IPV6, 40 + 32);
	struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod_offset(m, void *, sizeof(struct rte_ether_hdr));
	uint8_t *icmp = (uint8_t *)(ip + 1);
	uint16_t sum;

	ip->vtc_flow = RTE_BE32(6u << 28);
	ip->payload_len = RTE_BE16(32);
	ip->proto = IPPROTO_ICMPV6;
	ip->hop_limits = 255;
	inet_pton(AF_INET6, "2001:db8::9", &ip->src_addr);
	inet_pton(AF_INET6, "2001:db8::1", &ip->dst_addr);
	icmp[0] = 136;
	icmp[4] = 0x60; /* solicited, override */
	memcpy(&icmp[8], &ip->src_addr, 16);
	icmp[24] = 2; /* target's link-layer address */
	icmp[25] = 1;
	memcpy(&icmp[26], &peer_mac, 6);
	sum = rte_ipv6_udptcp_cksum(ip, icmp); /* the same sum over any protocol */
	memcpy(&icmp[2], &sum, sizeof(sum));
	return m;
}

static void
ipv6_neighbours_are_resolved_by_the_kernel(void **state)
{
	union ip_addr addr = {0};
	struct reason why = {0};
	struct rtnl *rtnl;

	inet_pton(AF_INET6, "2001:db8::9", addr.bytes);
	command("ip addr add 2001:db8::1/64 dev host0");
	rtnl = rtnl_open(&dp, &why);
	assert_non_null(rtnl);
	resolve(rtnl, FAMILY_V6, &addr, is_solicitation, advertisement_new,
		"iface 0 2001:db8::9 02:00:00:00:00:99\n");
	rtnl_close(rtnl);
}

#define with_host(f) cmocka_unit_test_setup_teardown(f, host_up, host_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_that_is_taken_is_refused),
		cmocka_unit_test(an_mtu_beyond_the_packet_buffers_is_refused),
		cmocka_unit_test(carrier_is_the_ports_from_the_start),
		with_host(the_device_looks_like_the_port),
		with_host(carrier_follows_the_port),
		with_host(the_kernel_answers_a_punted_frame),
		with_host(a_frame_in_segments_arrives_whole),
		with_host(ipv4_flows_are_spread_and_keep_their_order),
		with_host(ipv6_flows_are_spread_and_keep_their_order),
		with_host(checksums_are_complete),
		with_host(a_full_inbox_is_counted),
		with_host(frames_to_an_interface_that_is_down_are_counted),
		with_host(a_device_that_somebody_removed_is_given_up),
		with_host(ipv4_neighbours_are_resolved_and_confirmed_by_the_kernel),
		with_host(ipv6_neighbours_are_resolved_by_the_kernel),
	};

	if (geteuid() != 0) {
		puts("needs root: skipped");
		return 77;
	}
	return cmocka_run_group_tests(tests, world_start, world_stop);
}
