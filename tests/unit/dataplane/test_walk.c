/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The real walks from wire to wire: what becomes of each kind of frame, and that every packet is
 * accounted for and every buffer comes back, whatever comes in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine.h"
#include "frame.h"

static struct engine e;
static uint8_t frame[4096];

static size_t
put_frame4(unsigned int port, uint32_t src, uint32_t dst, uint8_t proto, size_t payload)
{
	size_t l2 = engine_put_l2(&e, frame, port, RTE_ETHER_TYPE_IPV4);

	memset(frame + l2 + 20, 0x5a, payload);
	return l2 + put_ipv4(frame + l2, src, dst, proto, payload);
}

static size_t
put_frame6(unsigned int port, uint16_t src_net, uint16_t dst_net, uint8_t proto, size_t payload)
{
	size_t l2 = engine_put_l2(&e, frame, port, RTE_ETHER_TYPE_IPV6);

	memset(frame + l2 + 40, 0x5a, payload);
	return l2 + put_ipv6(frame + l2, src_net, dst_net, proto, payload);
}

/* Tags the frame at hand. */
static size_t
put_tag(size_t len, uint16_t tpid, uint16_t id)
{
	memmove(frame + 16, frame + 12, len - 12);
	frame[12] = (uint8_t)(tpid >> 8);
	frame[13] = (uint8_t)tpid;
	frame[14] = (uint8_t)(id >> 8);
	frame[15] = (uint8_t)id;
	return len + 4;
}

static int
setup(void **state)
{
	engine_start(&e, *state != NULL ? 2 : 1);
	return 0;
}

static int
teardown(void **state)
{
	engine_stop(&e);
	return 0;
}

static void
ipv4_is_forwarded_by_its_route(void **state)
{
	size_t len = put_frame4(0, LAN_HOST, FAR_HOST, IPPROTO_UDP, 32);
	struct rte_mbuf *m;
	const struct rte_ether_hdr *eth;
	const struct rte_ipv4_hdr *ip;

	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	m = engine_sent(&e, 1);
	assert_non_null(m);
	eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	ip = (const struct rte_ipv4_hdr *)(eth + 1);
	assert_int_equal(m->pkt_len, len);
	assert_true(rte_is_same_ether_addr(&eth->src_addr, &e.dp->ports[1].mac));
	assert_int_equal(eth->dst_addr.addr_bytes[5], 0x42);
	assert_int_equal(ip->time_to_live, 63);
	assert_int_equal(naive_sum(0, ip, sizeof(*ip)), 0xffff);
	assert_memory_equal(ip + 1, frame + 34, 32);
	rte_pktmbuf_free(m);
}

static void
ipv6_is_forwarded_by_its_route(void **state)
{
	size_t len = put_frame6(0, 1, 2, IPPROTO_UDP, 32);
	struct rte_mbuf *m;

	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	m = engine_sent(&e, 1);
	assert_non_null(m);
	assert_int_equal(rte_pktmbuf_mtod(m, const uint8_t *)[14 + 7], 63);
	rte_pktmbuf_free(m);
}

static void
sub_ports_take_and_give_tags(void **state)
{
	size_t len = put_tag(put_frame4(0, LAN7_HOST, FAR_HOST, IPPROTO_UDP, 32), 0x8100, 7);
	struct rte_mbuf *m;

	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	m = engine_sent(&e, 1);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, len - 4);
	assert_int_equal(e.dp->workers[0]->count.iface[LAN7].rx_packets, 1);
	rte_pktmbuf_free(m);

	len = put_frame4(0, LAN_HOST, LAN7_HOST, IPPROTO_UDP, 32);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	m = engine_sent(&e, 0);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, len + 4);
	assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *) + 12, "\x81\x00\x00\x07\x08\x00",
			    6);
	rte_pktmbuf_free(m);

	/* A priority tag means the port itself. */
	len = put_tag(put_frame4(0, LAN_HOST, FAR_HOST, IPPROTO_UDP, 32), 0x8100, 0x6000);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	m = engine_sent(&e, 1);
	assert_non_null(m);
	rte_pktmbuf_free(m);
}

static void
tags_of_no_sub_port_are_dropped(void **state)
{
	size_t len = put_tag(put_frame4(0, LAN_HOST, FAR_HOST, IPPROTO_UDP, 32), 0x8100, 8);

	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_VLAN);
	len = put_tag(put_tag(put_frame4(0, LAN_HOST, FAR_HOST, IPPROTO_UDP, 32), 0x8100, 7),
		      0x8100, 7);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_VLAN);
	len = put_tag(put_frame4(0, LAN_HOST, FAR_HOST, IPPROTO_UDP, 32), 0x88a8, 7);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_VLAN);
	put_tag(put_frame4(0, LAN_HOST, FAR_HOST, IPPROTO_UDP, 32), 0x8100, 7);
	assert_int_equal(engine_fate(&e, 0, frame, 17), DROP_VLAN);
}

static void
B1_B2_frames_that_are_not_ours_have_a_stated_fate(void **state)
{
	size_t len = put_frame4(0, LAN_HOST, FAR_HOST, IPPROTO_UDP, 32);

	assert_int_equal(engine_fate(&e, 0, frame, 13), DROP_ETH_RUNT);
	assert_int_equal(engine_fate(&e, 0, frame, 14), DROP_IP_HDR);
	frame[5] ^= 1;
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_ETH_DST);
	memset(frame, 0xff, 6); /* a broadcast frame with a unicast packet */
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_MULTICAST);
	len = put_frame4(0, LAN_HOST, 0xef010203, IPPROTO_UDP, 32);
	memcpy(frame, "\x01\x00\x5e\x01\x02\x03", 6);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_MULTICAST);
	len = put_frame4(0, LAN_HOST, FAR_HOST, IPPROTO_UDP, 32);
	frame[12] = 0x88;
	frame[13] = 0xcc; /* LLDP */
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_ETH_TYPE);
	len = put_frame4(0, LAN_HOST, FAR_HOST, IPPROTO_UDP, 32);
	frame[12] = 0x86;
	frame[13] = 0xdd; /* IPv4 under IPv6's ethertype */
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_IP_HDR);
}

static void
the_host_gets_what_is_the_hosts(void **state)
{
	struct rte_mbuf *m;
	size_t len = put_frame4(0, LAN_HOST, LAN_SELF, IPPROTO_UDP, 32);

	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	m = engine_punted(&e, LAN);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, len);
	assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *), frame, len);
	rte_pktmbuf_free(m);

	/* ARP, broadcast and of a sub-port: the tag is taken off. */
	len = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_ARP) + 28;
	memset(frame, 0xff, 6);
	len = put_tag(len, 0x8100, 7);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	m = engine_punted(&e, LAN7);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, 42);
	assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *) + 12, "\x08\x06", 2);
	rte_pktmbuf_free(m);

	/* Multicast of the link, and the network's broadcast. */
	len = put_frame4(0, LAN_HOST, 0xe0000005, 89, 32);
	memcpy(frame, "\x01\x00\x5e\x00\x00\x05", 6);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	m = engine_punted(&e, LAN);
	assert_non_null(m);
	rte_pktmbuf_free(m);
	len = put_frame4(0, LAN_HOST, 0x0a01ffff, IPPROTO_UDP, 32);
	memset(frame, 0xff, 6);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	m = engine_punted(&e, LAN);
	assert_non_null(m);
	rte_pktmbuf_free(m);
}

static void
neighbour_discovery_goes_to_the_host_from_the_link_only(void **state)
{
	size_t len = put_frame6(1, 0x99, 0x99, IPPROTO_ICMPV6, 24);
	struct rte_mbuf *m;

	frame[14 + 40] = 135;
	frame[14 + 7] = 255;
	e.config.spd.no_match = NO_MATCH_DISCARD;
	assert_int_equal(engine_fate(&e, 1, frame, len), DROP_COUNT);
	m = engine_punted(&e, WAN);
	assert_non_null(m);
	rte_pktmbuf_free(m);
	frame[14 + 7] = 254; /* came over a router */
	assert_int_equal(engine_fate(&e, 1, frame, len), DROP_POLICY_IN);
}

static void
C65_B11_B12_B25_B26_B27_B28_encapsulation_port_tells_esp_ike_and_keepalives_apart(void **state)
{
	static const struct {
		uint16_t udp_len, payload;
		uint8_t bytes[4];
		int fate; /* DROP_COUNT: consumed or punted */
		uint64_t consumed, punted;
	} cases[] = {
		{9, 1, {0xff}, DROP_COUNT, 1, 0},
		{9, 1, {0xfe}, DROP_NATT_SHORT, 0, 0},
		{10, 2, {0xff, 0xff}, DROP_NATT_SHORT, 0, 0},
		{11, 3, {0}, DROP_NATT_SHORT, 0, 0},
		{28, 20, {0, 0, 0, 0}, DROP_COUNT, 0, 1},
		{7, 20, {0, 0, 0, 0}, DROP_UDP_LEN, 0, 0},
		{29, 20, {0, 0, 0, 0}, DROP_UDP_LEN, 0, 0},
		{28, 20, {0x12, 0x34, 0x56, 0x78}, DROP_NO_SA, 0, 0},
		{28, 20, {0, 0, 0, 0xff}, DROP_SPI_RESERVED, 0, 0},
	};

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct worker_counters before, after;
		size_t len = put_frame4(1, WAN_PEER, WAN_SELF, IPPROTO_UDP, 8 + cases[i].payload);
		struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(frame + 34);

		*udp = (struct rte_udp_hdr){.dst_port = RTE_BE16(4500),
					    .dgram_len = rte_cpu_to_be_16(cases[i].udp_len)};
		memcpy(udp + 1, cases[i].bytes, RTE_MIN(cases[i].payload, 4));
		workers_sum(e.dp, &before);
		assert_int_equal(engine_fate(&e, 1, frame, len), cases[i].fate);
		workers_sum(e.dp, &after);
		assert_int_equal(after.consumed - before.consumed, cases[i].consumed);
		assert_int_equal(after.punted - before.punted, cases[i].punted);
	}
}

static void
routes_that_refuse_are_counted_apart(void **state)
{
	static const struct {
		uint32_t dst;
		enum drop_reason reason;
	} cases[] = {
		{0x0a030001, DROP_BLACKHOLE},   {0x0a040001, DROP_UNREACHABLE},
		{0x0a050001, DROP_UNREACHABLE}, {0x0b000001, DROP_NO_ROUTE},
		{0xe1000001, DROP_MULTICAST},
	};

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		size_t len = put_frame4(0, LAN_HOST, cases[i].dst, IPPROTO_UDP, 32);

		assert_int_equal(engine_fate(&e, 0, frame, len), cases[i].reason);
	}
}

static void
nothing_leaves_by_a_port_that_is_down(void **state)
{
	size_t len = put_frame4(0, LAN_HOST, FAR_HOST, IPPROTO_UDP, 32);

	atomic_store(&e.dp->ifaces[WAN].up, false);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_PORT_DOWN);
	assert_null(engine_sent(&e, 1));
}

static void
link_local_sources_are_not_forwarded(void **state)
{
	size_t len = put_frame6(0, 1, 2, IPPROTO_UDP, 32);

	memcpy(frame + 14 + 8, "\xfe\x80", 2);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_MARTIAN);
}

static void
an_unresolved_neighbour_makes_the_packet_wait(void **state)
{
	struct worker_counters c;
	size_t len = put_frame4(1, WAN_PEER, LAN_HOST + 7, IPPROTO_UDP, 32);

	assert_int_equal(engine_fate(&e, 1, frame, len), DROP_COUNT);
	workers_sum(e.dp, &c);
	assert_int_equal(c.held - c.resumed, 1);
}

static struct rte_mbuf *
from_host(unsigned int iface, size_t len)
{
	struct rte_mbuf *m = engine_frame(&e, frame, len);

	*packet(m) = (struct packet){
		.in = (uint16_t)iface,
		.out = IFACE_NONE,
		.flags = PACKET_FROM_HOST,
		.resume = RESUME_CLASSIFY,
	};
	assert_int_equal(rte_ring_enqueue(e.dp->workers[0]->inbox, m), 0);
	engine_settle(&e);
	engine_check(&e);
	return m;
}

static void
what_the_host_sends_keeps_its_addresses_and_ttl(void **state)
{
	size_t len = put_frame4(0, LAN_SELF, LAN_HOST, IPPROTO_UDP, 32);
	struct rte_mbuf *m;

	from_host(LAN, len);
	m = engine_sent(&e, 0);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, len);
	assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *), frame, len);
	rte_pktmbuf_free(m);

	from_host(LAN7, len); /* gets the tag on the way */
	m = engine_sent(&e, 0);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, len + 4);
	rte_pktmbuf_free(m);
}

static void
outbound_policy_holds_for_the_host_but_not_for_arp(void **state)
{
	size_t len = put_frame4(1, WAN_SELF, WAN_PEER, IPPROTO_UDP, 32);
	struct worker_counters c;
	struct rte_mbuf *m;

	e.config.spd.no_match = NO_MATCH_DISCARD;
	from_host(WAN, len);
	assert_null(engine_sent(&e, 1));
	workers_sum(e.dp, &c);
	assert_int_equal(c.drops[DROP_POLICY_OUT], 1);
	len = engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_ARP) + 28;
	from_host(WAN, len);
	m = engine_sent(&e, 1);
	assert_non_null(m);
	rte_pktmbuf_free(m);
}

static void
B31_B32_B33_shared_and_chained_buffers_are_copied_first(void **state)
{
	size_t len = put_frame4(0, LAN_HOST, FAR_HOST, IPPROTO_UDP, 600);
	struct rte_mbuf *shared = engine_frame(&e, frame, len), *head, *tail, *sent;

	/* A reference that somebody else holds sees no change. */
	rte_mbuf_refcnt_update(shared, 1);
	engine_receive(&e, 0, shared);
	engine_settle(&e);
	assert_memory_equal(rte_pktmbuf_mtod(shared, const uint8_t *), frame, len);
	assert_int_equal(rte_mbuf_refcnt_read(shared), 1);
	rte_pktmbuf_free(shared);
	sent = engine_sent(&e, 1);
	assert_non_null(sent);
	assert_int_equal(sent->pkt_len, len);
	rte_pktmbuf_free(sent);

	/* Headers across a boundary. */
	for (size_t cut = 1; cut < 60; cut++) {
		head = engine_frame(&e, frame, cut);
		tail = engine_frame(&e, frame + cut, len - cut);
		assert_int_equal(rte_pktmbuf_chain(head, tail), 0);
		engine_receive(&e, 0, head);
		engine_settle(&e);
		sent = engine_sent(&e, 1);
		assert_non_null(sent);
		assert_int_equal(sent->nb_segs, 1);
		assert_memory_equal(rte_pktmbuf_mtod(sent, const uint8_t *) + 34, frame + 34,
				    len - 34);
		rte_pktmbuf_free(sent);
	}

	/* Longer than a buffer. */
	memset(frame, 0, sizeof(frame));
	head = engine_frame(&e, frame, 1500);
	tail = engine_frame(&e, frame, 1500);
	assert_int_equal(rte_pktmbuf_chain(head, tail), 0);
	engine_receive(&e, 0, head);
	engine_settle(&e);
	assert_int_equal(e.dp->workers[0]->count.drops[DROP_NO_BUF], 1);
}

/* Turns the first bytes of the payload into options, a source route among them. */
static void
put_options(void)
{
	static const uint8_t options[][4] = {{131, 4, 4, 0}, {1, 1, 1, 1}, {7, 9, 0, 0}};
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + 14);

	ip->version_ihl = 0x46;
	memcpy(ip + 1, options[(size_t)rand() % RTE_DIM(options)], 4);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, 24));
}

/* Plausible frames with random damage, so that every stage sees some. */
static size_t
put_garbage(unsigned int port)
{
	static const uint8_t protos[] = {
		IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ESP, IPPROTO_ICMPV6,
		0,           43,          44,           60,          99};
	static const uint32_t dsts[] = {FAR_HOST,   LAN_HOST,   LAN_SELF,   WAN_SELF,   0xe0000001,
					0xffffffff, 0x0a030001, 0x0a040001, 0x0a010009, 0x0b000001};
	static const uint32_t srcs[] = {LAN_HOST, LAN_HOST, WAN_PEER, WAN_PEER, 0x7f000001};
	static const uint16_t nets[] = {1, 2, 7, 0x99, 0x33, 0x34, 0x77};
	uint8_t proto = protos[(size_t)rand() % RTE_DIM(protos)];
	size_t payload = (size_t)rand() % (rand() % 8 == 0 ? 3000 : 100), len, l4;

	if (rand() % 2 == 0)
		len = put_frame4(port, srcs[(size_t)rand() % RTE_DIM(srcs)],
				 dsts[(size_t)rand() % RTE_DIM(dsts)], proto, payload);
	else
		len = put_frame6(port, nets[(size_t)rand() % RTE_DIM(nets)],
				 nets[(size_t)rand() % RTE_DIM(nets)], proto, payload);
	l4 = frame[14] == 0x60 ? 54 : 34;
	for (size_t i = l4; i < len && i < 100; i++)
		frame[i] = (uint8_t)rand();
	if (frame[14] == 0x45 && payload >= 4 && rand() % 16 == 0)
		put_options();
	if (frame[14] == 0x60 && rand() % 16 == 0)
		frame[14 + 7] = (uint8_t)(rand() % 3); /* hop limit */
	if (proto == IPPROTO_UDP && rand() % 2 == 0)
		memcpy(frame + l4 + 2, "\x11\x94", 2); /* 4500 */
	if (rand() % 4 == 0)
		len = put_tag(len, 0x8100, (uint16_t)(rand() % 2 == 0 ? 7 : rand()));
	for (int flips = rand() % 8 == 0 ? rand() % 20 : 0; flips > 0; flips--)
		frame[(size_t)rand() % len] ^= (uint8_t)(1 << rand() % 8);
	return rand() % 8 == 0 ? (size_t)rand() % (len + 1) : len;
}

static struct rte_mbuf *
garbage_mbuf(unsigned int port)
{
	size_t len = put_garbage(port), room = 2000;
	struct rte_mbuf *m = engine_frame(&e, frame, RTE_MIN(len, room));

	if (len > room)
		rte_pktmbuf_chain(m, engine_frame(&e, frame + room, len - room));
	else if (len > 1 && rand() % 16 == 0) {
		rte_pktmbuf_trim(m, (uint16_t)(len / 2));
		rte_pktmbuf_chain(m, engine_frame(&e, frame + len - len / 2, len / 2));
	}
	return m;
}

static unsigned long rounds = 400; /* of about 100 frames each; or the program's argument */

static void
B42_every_packet_is_accounted_for(void **state)
{
	struct worker_counters c;
	uint64_t sent = 0;
	struct rte_mbuf *m;

	srand(20);
	for (unsigned long round = 0; round < rounds; round++) {
		unsigned int n = (unsigned int)rand() % 200;

		for (unsigned int i = 0; i < n; i++) {
			unsigned int port = (unsigned int)rand() % 2;

			engine_receive(&e, port, garbage_mbuf(port));
		}
		sent += n;
		engine_settle(&e);
		engine_check(&e);
		for (unsigned int port = 0; port < 2; port++)
			while ((m = engine_sent(&e, port)) != NULL)
				rte_pktmbuf_free(m);
		for (unsigned int i = 0; i < ENGINE_IFACES; i++)
			while ((m = engine_punted(&e, i)) != NULL)
				rte_pktmbuf_free(m);
	}
	workers_sum(e.dp, &c);
	assert_int_equal(c.received, sent);
	/* The mixture reached all corners. */
	assert_true(c.forwarded > 1000 && c.punted > 1000 && c.consumed == 0);
	for (enum drop_reason i = DROP_ETH_RUNT; i <= DROP_UNREACHABLE; i++)
		if (c.drops[i] == 0)
			fail_msg("no packet was dropped as %s", drop_names[i]);
}

#define engine_test(f, workers)                                                                    \
	{                                                                                          \
#f " with " #workers, f, setup, teardown, (workers) == 2 ? &e : NULL               \
	}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		engine_test(ipv4_is_forwarded_by_its_route, 1),
		engine_test(ipv6_is_forwarded_by_its_route, 1),
		engine_test(ipv4_is_forwarded_by_its_route, 2),
		engine_test(ipv6_is_forwarded_by_its_route, 2),
		engine_test(sub_ports_take_and_give_tags, 1),
		engine_test(tags_of_no_sub_port_are_dropped, 1),
		engine_test(B1_B2_frames_that_are_not_ours_have_a_stated_fate, 1),
		engine_test(the_host_gets_what_is_the_hosts, 1),
		engine_test(neighbour_discovery_goes_to_the_host_from_the_link_only, 1),
		engine_test(
			C65_B11_B12_B25_B26_B27_B28_encapsulation_port_tells_esp_ike_and_keepalives_apart,
			1),
		engine_test(routes_that_refuse_are_counted_apart, 1),
		engine_test(nothing_leaves_by_a_port_that_is_down, 1),
		engine_test(link_local_sources_are_not_forwarded, 1),
		engine_test(an_unresolved_neighbour_makes_the_packet_wait, 1),
		engine_test(what_the_host_sends_keeps_its_addresses_and_ttl, 1),
		engine_test(outbound_policy_holds_for_the_host_but_not_for_arp, 1),
		engine_test(B31_B32_B33_shared_and_chained_buffers_are_copied_first, 1),
		engine_test(B42_every_packet_is_accounted_for, 1),
		engine_test(B42_every_packet_is_accounted_for, 2),
	};

	if (argc > 1)
		rounds = strtoul(argv[1], NULL, 10);
	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
