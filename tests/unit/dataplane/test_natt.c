/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NAT traversal beside the packet path: whose ports are told, what moves a peer, and when a
 * keepalive goes out. The clock is the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/natt.h"
#include "frame.h"
#include "peer.h"

static const struct tunnel tunnel = {"aes128gcm16", FAMILY_V4, 3, false,
				     true,          0x1000,    0, ESP_TUNNEL};

static struct engine e;
static struct peer peer;
static const struct sa *sa;
static uint8_t frame[1024];
static uint64_t now;

/* What the control socket would hear. */
static struct heard {
	unsigned int mappings;
	union ip_addr src;
	rte_be16_t port;
} heard;

static void
hear(void *ctx, struct sa_control *c, const union ip_addr *src, rte_be16_t sport)
{
	assert_ptr_equal(c, peer_inbound(&peer, &tunnel));
	heard.mappings++;
	heard.src = *src;
	heard.port = sport;
}

static struct sad_observer observer = {.mapped = hear};

/* An authentic packet from there; how many mappings it makes. */
static unsigned int
mappings_from(uint32_t addr, uint64_t seq, uint16_t port, bool authentic)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + 14);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(frame + 34);
	unsigned int before = heard.mappings;
	uint8_t text[256];
	size_t len = peer_inner(&tunnel, text, 40);

	len = peer_seal(&peer, sa, seq, text, peer_trailer(sa, text, len, 4), frame);
	udp->src_port = rte_cpu_to_be_16(port);
	ip->src_addr = rte_cpu_to_be_32(addr);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	frame[len - 1] ^= !authentic;
	assert_int_equal(engine_fate(&e, 1, frame, len), authentic ? DROP_COUNT : DROP_ICV);
	rte_pktmbuf_free(engine_sent(&e, 0));
	natt_poll(e.dp);
	return heard.mappings - before;
}

static unsigned int
mappings_of(uint64_t seq, uint16_t port, bool authentic)
{
	return mappings_from(WAN_PEER, seq, port, authentic);
}

static void
B29_B30_a_peer_that_moved_is_told_once_and_believed_if_authentic(void **state)
{
	uint64_t known;

	assert_int_equal(mappings_of(1, 4500, true), 0);
	assert_int_equal(mappings_of(2, 4711, false), 0);
	assert_int_equal(mappings_of(2, 4711, true), 1);
	assert_int_equal(heard.port, RTE_BE16(4711));
	assert_int_equal(heard.src.v4, rte_cpu_to_be_32(WAN_PEER));
	assert_int_equal(mappings_of(3, 4711, true), 0);
	/* A late one from where it was before, and then a new one. */
	assert_int_equal(mappings_of(10, 4712, true), 1);
	known = atomic_load(&peer_inbound(&peer, &tunnel)->sa->peer);
	assert_int_equal(mappings_of(9, 4711, true), 0);
	assert_int_equal(heard.port, RTE_BE16(4712));
	assert_int_equal(atomic_load(&peer_inbound(&peer, &tunnel)->sa->peer), known);
	assert_int_equal(mappings_of(11, 4712, true), 0);
}

/* As one by one: of two that come in order each says where the peer is, a late one nothing. */
static void
B29_of_a_burst_the_newest_packet_counts(void **state)
{
	static const struct {
		uint64_t seq;
		uint16_t port;
	} packets[] = {{5, 5005}, {8, 5009}, {9, 5009}, {7, 5007}};

	for (unsigned int i = 0; i < RTE_DIM(packets); i++) {
		uint8_t text[256];
		size_t len = peer_inner(&tunnel, text, 40);
		rte_be16_t port = rte_cpu_to_be_16(packets[i].port);

		len = peer_seal(&peer, sa, packets[i].seq, text, peer_trailer(sa, text, len, 4),
				frame);
		memcpy(frame + 34, &port, sizeof(port));
		engine_receive(&e, 1, engine_frame(&e, frame, len));
	}
	engine_settle(&e);
	natt_poll(e.dp);
	assert_int_equal(heard.mappings, 2);
	assert_int_equal(heard.port, RTE_BE16(5009));
}

/* The template has the sum of its IPv4 header, ready for what a packet adds. */
static void
sum_is_right(const uint8_t *outer)
{
	struct rte_ipv4_hdr ip;
	uint16_t sum;

	memcpy(&ip, outer, sizeof(ip));
	sum = ip.hdr_checksum;
	ip.hdr_checksum = 0;
	assert_int_equal(sum, rte_raw_cksum(&ip, sizeof(ip)));
}

static rte_be16_t
sends_to(void)
{
	const uint8_t *outer = sa_outer(peer_outbound(&peer, &tunnel)->sa);
	rte_be16_t port;

	sum_is_right(outer);

	memcpy(&port, outer + 20 + 2, sizeof(port));
	return port;
}

static void
B29_packets_follow_a_peer_where_the_configuration_says_so(void **state)
{
	mappings_of(1, 4711, true);
	assert_int_equal(sends_to(), RTE_BE16(4500));
	e.config.sad.nat_rebinding = NAT_REBINDING_FOLLOW;
	mappings_of(2, 4712, true);
	assert_int_equal(sends_to(), RTE_BE16(4712));
	mappings_from(WAN_PEER + 0x10001, 3, 4713, true);
	assert_int_equal(sends_to(), RTE_BE16(4713));
}

/* An old packet could come again from anywhere. */
static void
without_anti_replay_nobody_is_followed(void **state)
{
	struct sa_control *c = peer_inbound(&peer, &tunnel);

	e.config.sad.nat_rebinding = NAT_REBINDING_FOLLOW;
	c->sa->flags &= (uint16_t)~SA_REPLAY;
	assert_int_equal(mappings_of(5, 4712, true), 1);
	assert_int_equal(mappings_of(4, 4711, true), 0);
	assert_int_equal(mappings_of(6, 4713, true), 1);
	assert_int_equal(sends_to(), RTE_BE16(4500));
}

static void
pass_seconds(unsigned int seconds)
{
	for (unsigned int i = 0; i < seconds; i++) {
		natt_tick(e.dp, ++now);
		engine_settle(&e);
		engine_check(&e);
	}
}

static unsigned int
keepalives(void)
{
	unsigned int n = 0;
	struct rte_mbuf *m;

	while ((m = engine_sent(&e, 1)) != NULL) {
		const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);

		assert_int_equal(rte_pktmbuf_pkt_len(m), 14 + 20 + 8 + 1);
		assert_int_equal(naive_sum(0, ip, 20), 0xffff);
		assert_int_equal(ip[9], IPPROTO_UDP);
		assert_memory_equal(ip + 20, "\x11\x94\x11\x94\0\x09\0\0\xff", 9);
		rte_pktmbuf_free(m);
		n++;
	}
	return n;
}

static void
want_keepalives(struct sa_params *p)
{
	if ((p->flags & SA_ENCAP_UDP) != 0 && p->id.dst.v4 == rte_cpu_to_be_32(WAN_PEER))
		p->nat_keepalive = 20;
}

static void
C67_a_keepalive_goes_out_after_so_much_silence_only(void **state)
{
	struct tunnel t = tunnel;
	const struct sa *out;

	t.spi += 1;
	t.net += 1;
	peer.change = want_keepalives;
	peer_tunnel(&peer, &t);
	out = peer_outbound(&peer, &t)->sa;
	now = (uint64_t)time(NULL);
	natt_tick(e.dp, now);
	pass_seconds(18);
	assert_int_equal(keepalives(), 0);
	pass_seconds(3);
	assert_int_equal(keepalives(), 1);
	pass_seconds(17);
	assert_int_equal(keepalives(), 0);
	/* Something is sent: twenty seconds begin anew. */
	sad_charge(e.dp->sad, 0, out, 1, 100, now);
	pass_seconds(19);
	assert_int_equal(keepalives(), 0);
	pass_seconds(3);
	assert_int_equal(keepalives(), 1);
	pass_seconds(41);
	assert_int_equal(keepalives(), 2);
}

static void
tell_again(struct sa_params *p)
{
	p->mapping_seconds = 30;
}

static void
a_mapping_is_told_again_after_its_time(void **state)
{
	sad_flush(e.dp->sad, 0);
	sad_flush(peer.sad, 0);
	spd_flush(e.dp->spd);
	peer.change = tell_again;
	sa = peer_tunnel(&peer, &tunnel);
	now = (uint64_t)time(NULL);
	natt_tick(e.dp, now);
	assert_int_equal(mappings_of(101, 4711, true), 1);
	pass_seconds(29);
	assert_int_equal(mappings_of(102, 4711, true), 0);
	pass_seconds(2);
	assert_int_equal(mappings_of(103, 4711, true), 1);
}

/* What comes by a port that no SA has is no ESP. */
static void
C66_ports_are_those_of_sas_while_they_live(void **state)
{
	struct sa_params p;

	sad_params_and_keys(peer_inbound(&peer, &tunnel), &p);
	assert_true(natt_is_port(e.dp, RTE_BE16(4500)));
	assert_false(natt_is_port(e.dp, RTE_BE16(4600)));
	p.id.spi = RTE_BE32(0x7001);
	p.encap_dport = RTE_BE16(4600);
	p.key[0] ^= 1;
	assert_int_equal(sad_add(e.dp->sad, &p, NULL), 0);
	assert_true(natt_is_port(e.dp, RTE_BE16(4600)));
	assert_false(natt_is_port(e.dp, RTE_BE16(4601)));
	assert_int_equal(sad_delete(e.dp->sad, &p.id, NULL), 0);
	assert_false(natt_is_port(e.dp, RTE_BE16(4600)));
	assert_true(natt_is_port(e.dp, RTE_BE16(4500)));
}

/* Set by hand, before the host has an address: whose end is ours shows later. */
static void
C66_an_address_may_come_after_the_sa(void **state)
{
	struct sa_params p;
	const struct nexthop local = {.type = NEXTHOP_LOCAL, .iface = WAN};
	struct fib_prefix host = {.len = 32, .family = FAMILY_V4};

	sad_params_and_keys(peer_inbound(&peer, &tunnel), &p);
	p.flags &= (uint16_t) ~(SA_IN_ONLY | SA_OUT_ONLY);
	p.id.spi = RTE_BE32(0x7002);
	p.id.dst = host.addr = ip_addr_v4(RTE_BE32(0xc6336401));
	p.encap_dport = RTE_BE16(4700);
	p.key[0] ^= 2;
	assert_int_equal(sad_add(e.dp->sad, &p, NULL), 0);
	now = (uint64_t)time(NULL) + 10;
	natt_tick(e.dp, now);
	assert_false(natt_is_port(e.dp, p.encap_dport));
	assert_int_equal(fib_set(e.dp->fib, e.dp->ifaces[WAN].vrf, &host, 0, &local, 1, NULL), 0);
	natt_tick(e.dp, ++now);
	assert_true(natt_is_port(e.dp, p.encap_dport));
	assert_int_equal(sad_delete(e.dp->sad, &p.id, NULL), 0);
	assert_false(natt_is_port(e.dp, p.encap_dport));
	natt_tick(e.dp, ++now);
}

static int
setup(void **state)
{
	peer_begin(&peer, &e, 1, NULL, 0, NULL);
	*state = &peer;
	memset(&heard, 0, sizeof(heard));
	observer.next = NULL;
	sad_observe(e.dp->sad, &observer);
	sa = peer_tunnel(&peer, &tunnel);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, peer_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(B29_B30_a_peer_that_moved_is_told_once_and_believed_if_authentic),
		TEST(B29_of_a_burst_the_newest_packet_counts),
		TEST(B29_packets_follow_a_peer_where_the_configuration_says_so),
		TEST(without_anti_replay_nobody_is_followed),
		TEST(C67_a_keepalive_goes_out_after_so_much_silence_only),
		TEST(a_mapping_is_told_again_after_its_time),
		TEST(C66_ports_are_those_of_sas_while_they_live),
		TEST(C66_an_address_may_come_after_the_sa),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
