/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an SA does to the packets that go through it beside sealing them: path MTU, TOS, DF, padding
 * that hides lengths, TCP's MSS, and whose packets they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_cycles.h>

#include "dataplane/esp.h"
#include "dataplane/pmtu.h"
#include "frame.h"
#include "peer.h"

enum { T4, T6, GCM, TUNNELS };

/* What is sealed can be read. */
static const struct tunnel tunnels[TUNNELS] = {
	[T4] = {"null-sha256", FAMILY_V4, 3, false, false, 0x1000, 0, ESP_TUNNEL},
	[T6] = {"null-sha256", FAMILY_V6, 4, false, false, 0x2000, 0, ESP_TUNNEL},
	[GCM] = {"aes128gcm16", FAMILY_V4, 5, false, false, 0x3000, 0, ESP_TUNNEL},
};

static struct engine e;
static struct peer peer;
static const struct sa *sas[TUNNELS];
static uint8_t frame[2048], text[2048];
static uint8_t *const ip = frame + 14;

static struct sa *
outbound(unsigned int tunnel)
{
	return peer_outbound(&peer, &tunnels[tunnel])->sa;
}

static void
mend4(uint8_t *h)
{
	struct rte_ipv4_hdr *v4 = (struct rte_ipv4_hdr *)h;

	v4->hdr_checksum = 0;
	v4->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, h, (h[0] & 15u) * 4));
}

/* A packet of the lan's into the tunnel, of `len` bytes. */
static size_t
put_clear(unsigned int tunnel, uint8_t proto, size_t len)
{
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);

	memset(ip + 20, 0x5a, len - 20);
	put_ipv4(ip, LAN_HOST, peer_host(&tunnels[tunnel]), proto, len - 20);
	return l2 + len;
}

static struct rte_mbuf *
sealed(unsigned int tunnel, uint8_t tos, bool df)
{
	size_t len = put_clear(tunnel, IPPROTO_UDP, 100);
	struct rte_mbuf *m;
	const uint8_t *outer;

	ip[1] = tos;
	ip[6] = df ? 0x40 : 0;
	mend4(ip);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	m = engine_sent(&e, 1);
	assert_non_null(m);
	outer = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);
	if (outer[0] == 0x45)
		assert_int_equal(naive_sum(0, outer, 20), 0xffff);
	return m;
}

static uint8_t
outer_tos(const struct rte_mbuf *m)
{
	const uint8_t *o = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);

	return o[0] >> 4 == 4 ? o[1] : (uint8_t)(o[0] << 4 | o[1] >> 4);
}

static void
C46_C49_dscp_and_ecn_are_copied_out_unless_told_otherwise(void **state)
{
	static const struct {
		uint16_t flags;
		uint8_t mask;
	} cases[] = {{0, 0xff}, {SA_NOECN, 0xfc}, {SA_DONT_ENCAP_DSCP, 0x03}};

	for (unsigned int t = 0; t < GCM; t++) {
		for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
			outbound(t)->flags = cases[i].flags;
			for (unsigned int tos = 0; tos < 256; tos += 5) {
				struct rte_mbuf *m = sealed(t, (uint8_t)tos, false);

				assert_int_equal(outer_tos(m), tos & cases[i].mask);
				rte_pktmbuf_free(m);
			}
		}
	}
}

static void
C44_df_is_copied_set_or_cleared(void **state)
{
	static const struct {
		uint16_t flags;
		bool inner, outer;
	} cases[] = {{0, false, false},
		     {0, true, true},
		     {SA_DF_SET, false, true},
		     {SA_NOPMTUDISC, true, false}};

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mbuf *m;

		outbound(T4)->flags = cases[i].flags;
		m = sealed(T4, 0, cases[i].inner);
		assert_int_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 6)[0],
				 cases[i].outer ? 0x40 : 0);
		rte_pktmbuf_free(m);
	}
}

/* Leaves something in the buffers that come next. */
static void
dirty_buffers(void)
{
	struct rte_mbuf *m[64];

	memset(text, 0xee, sizeof(text));
	for (unsigned int i = 0; i < RTE_DIM(m); i++)
		m[i] = engine_frame(&e, text, 1800);
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
}

static void
C32_padding_hides_lengths_up_to_the_mtu(void **state)
{
	size_t front = 14 + 20 + 8;
	struct rte_mbuf *m;

	dirty_buffers();
	outbound(T4)->tfcpad = 400;
	m = sealed(T4, 0, false);
	assert_int_equal(rte_pktmbuf_pkt_len(m), front + 400 + 4 + 16 - 400 % 4);
	for (size_t i = 100; i < 400; i++)
		assert_int_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, front)[i], 0);
	assert_int_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, front)[3], 100);
	rte_pktmbuf_free(m);
	outbound(T4)->tfcpad = 9000;
	m = sealed(T4, 0, false);
	assert_in_range(rte_pktmbuf_pkt_len(m), 14 + 1496, 14 + 1500);
	rte_pktmbuf_free(m);
}

/* To the byte what the peer would have sent, with the number's own IV. */
static void
C6_C7_C70_numbers_and_ivs_count(void **state)
{
	for (uint64_t seq = 1; seq < 5; seq++) {
		struct rte_mbuf *m = sealed(GCM, 0, false);
		rte_be64_t iv = rte_cpu_to_be_64(outbound(GCM)->iv_base + seq);
		size_t len;

		memcpy(text, ip, 100);
		text[8]--; /* it was forwarded */
		mend4(text);
		len = peer_trailer(outbound(GCM), text, 100, IPPROTO_IPIP);
		len = peer_seal(&peer, outbound(GCM), seq, text, len, frame);
		assert_int_equal(rte_pktmbuf_pkt_len(m), len);
		assert_memory_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20 + 8), &iv, 8);
		assert_memory_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20), ip + 20,
				    len - 14 - 20);
		rte_pktmbuf_free(m);
	}
}

static void
C63_C64_lifetimes_count_what_is_sealed_with_its_padding(void **state)
{
	struct sa_usage usage;

	rte_pktmbuf_free(sealed(GCM, 0, false));
	usage = sad_usage(e.dp->sad, peer_outbound(&peer, &tunnels[GCM]));
	assert_int_equal(usage.packets, 1);
	assert_int_equal(usage.bytes, 100 + 2 + 2);
}

/* ---- path MTU ---- */

/* Packet-too-big about the packet that `of` was, as if a router had sent it. */
static size_t
put_too_big(unsigned int tunnel, uint32_t mtu, const uint8_t *of)
{
	bool v4 = tunnels[tunnel].family == FAMILY_V4;
	size_t l2 = engine_put_l2(&e, frame, 1, v4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	size_t head = v4 ? 20 : 40, len = 8 + 64;
	uint8_t *icmp = ip + head;
	rte_be32_t value = rte_cpu_to_be_32(mtu);
	uint16_t sum;

	if (v4) {
		put_ipv4(ip, WAN_PEER, WAN_SELF, IPPROTO_ICMP, len);
	} else {
		put_ipv6(ip, 0x99, 0x99, IPPROTO_ICMPV6, len);
		put_address6(ip + 24, 0x99, 1);
	}
	memset(icmp, 0, 8);
	icmp[0] = v4 ? 3 : 2;
	icmp[1] = v4 ? 4 : 0;
	memcpy(icmp + 4, &value, sizeof(value));
	memcpy(icmp + 8, of, 64);
	sum = v4 ? naive_sum(0, icmp, len) : naive_l4_sum(ip, head, head + len, IPPROTO_ICMPV6);
	sum = rte_cpu_to_be_16((uint16_t)~sum);
	memcpy(icmp + 2, &sum, sizeof(sum));
	return l2 + head + len;
}

/* The last packet that left by the tunnel. */
static void
send_one(unsigned int tunnel, uint8_t of[64])
{
	struct rte_mbuf *m = sealed(tunnel, 0, true);

	memcpy(of, rte_pktmbuf_mtod_offset(m, uint8_t *, 14), 64);
	rte_pktmbuf_free(m);
}

static void
too_big(unsigned int tunnel, uint32_t mtu, const uint8_t *of)
{
	engine_fate(&e, 1, frame, put_too_big(tunnel, mtu, of));
	rte_pktmbuf_free(engine_punted(&e, WAN));
}

static uint16_t
learnt(unsigned int tunnel)
{
	return sa_path_mtu(outbound(tunnel), e.dp->workers[0]->tsc);
}

static void
C60_B36_a_path_mtu_is_learnt_downwards_and_has_a_floor(void **state)
{
	uint8_t of[64];

	e.config.tunnels.path_mtu_age = 600;
	send_one(T4, of);
	assert_int_equal(learnt(T4), 0);
	too_big(T4, 1400, of);
	assert_int_equal(learnt(T4), 1400);
	too_big(T4, 1401, of);
	assert_int_equal(learnt(T4), 1400);
	too_big(T4, 575, of);
	assert_int_equal(learnt(T4), 576);
	send_one(T6, of);
	too_big(T6, 1279, of);
	assert_int_equal(learnt(T6), 0);
	too_big(T6, 1280, of);
	assert_int_equal(learnt(T6), 1280);
}

static void
C60_C61_what_is_longer_than_the_path_takes_is_answered(void **state)
{
	uint8_t of[64];
	size_t len;
	uint32_t room = esp_inner_mtu(outbound(T4), 1000);

	e.config.tunnels.path_mtu_age = 600;
	send_one(T4, of);
	too_big(T4, 1000, of);
	len = put_clear(T4, IPPROTO_UDP, room);
	ip[6] = 0x40;
	mend4(ip);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	rte_pktmbuf_free(engine_sent(&e, 1));
	len = put_clear(T4, IPPROTO_UDP, room + 1);
	ip[6] = 0x40;
	mend4(ip);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_MTU);
	rte_pktmbuf_free(engine_sent(&e, 0)); /* what says so */
	assert_null(engine_sent(&e, 1));
}

/* What no policy protects, too: to the byte. */
static void
C61_B32_what_is_longer_than_the_interface_takes_is_answered(void **state)
{
	static const struct tunnel nobodys = {.net = 99};
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);

	for (size_t len = 1500; len < 1502; len++) {
		put_ipv4(ip, LAN_HOST, peer_host(&nobodys), IPPROTO_UDP, len - 20);
		ip[6] = 0x40;
		mend4(ip);
		assert_int_equal(engine_fate(&e, 0, frame, l2 + len),
				 len == 1500 ? DROP_COUNT : DROP_MTU);
	}
}

static void
C62_a_learnt_path_mtu_ages(void **state)
{
	struct worker *w = e.dp->workers[0];
	uint8_t of[64];

	e.config.tunnels.path_mtu_age = 600;
	send_one(T4, of);
	too_big(T4, 1400, of);
	w->tsc += 599 * rte_get_tsc_hz();
	assert_int_equal(learnt(T4), 1400);
	w->tsc += 2 * rte_get_tsc_hz();
	assert_int_equal(learnt(T4), 0);
}

/* SPI, addresses, a number sent lately, a right checksum, and a configuration that wants it. */
static void
C59_B35_B37_what_does_not_know_the_sa_changes_nothing(void **state)
{
	static const size_t wrong[] = {12, 15, 16, 19, 20, 23, 24, 9};
	uint8_t of[64], bad[64];
	size_t len;

	e.config.tunnels.path_mtu_age = 600;
	send_one(T4, of);
	for (unsigned int i = 0; i < RTE_DIM(wrong); i++) {
		memcpy(bad, of, sizeof(bad));
		bad[wrong[i]] ^= 0x10;
		too_big(T4, 1400, bad);
		assert_int_equal(learnt(T4), 0);
	}
	memcpy(bad, of, sizeof(bad));
	bad[27]++; /* the next number: not sent yet */
	too_big(T4, 1400, bad);
	bad[27] = 0;
	too_big(T4, 1400, bad);
	len = put_too_big(T4, 1400, of);
	frame[len - 1] ^= 1; /* the checksum is wrong then */
	engine_fate(&e, 1, frame, len);
	rte_pktmbuf_free(engine_punted(&e, WAN));
	assert_int_equal(learnt(T4), 0);
	e.config.tunnels.too_big = TOO_BIG_IGNORE;
	too_big(T4, 1400, of);
	assert_int_equal(learnt(T4), 0);
	e.config.tunnels.too_big = TOO_BIG_ACCEPT;
	too_big(T4, 1400, of);
	assert_int_equal(learnt(T4), 1400);
}

/* ---- MSS ---- */

/* A SYN whose option stands at an even or an odd place, its checksum right. */
static size_t
put_syn(uint8_t *at, size_t tcp_at, uint16_t mss, bool odd, uint8_t flags)
{
	uint8_t *tcp = at + tcp_at;
	uint16_t sum;

	memset(tcp, 0, 28);
	tcp[12] = 7 << 4;
	tcp[13] = flags;
	memset(tcp + 20, 1, 8);
	memcpy(tcp + 20 + odd, (uint8_t[]){2, 4, (uint8_t)(mss >> 8), (uint8_t)mss}, 4);
	sum = rte_cpu_to_be_16((uint16_t)~naive_l4_sum(at, tcp_at, tcp_at + 28, IPPROTO_TCP));
	memcpy(tcp + 16, &sum, sizeof(sum));
	return 28;
}

static uint16_t
mss_of(const uint8_t *at, bool odd)
{
	assert_int_equal(naive_l4_sum(at, 20, 48, IPPROTO_TCP), 0xffff);
	return (uint16_t)(at[42 + odd] << 8 | at[43 + odd]);
}

static uint16_t
mss_sent(uint16_t mss, bool odd, uint8_t flags)
{
	size_t len = put_clear(T4, IPPROTO_TCP, 48);
	struct rte_mbuf *m;
	uint16_t got;

	put_syn(ip, 20, mss, odd, flags);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	m = engine_sent(&e, 1);
	got = mss_of(rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20 + 8), odd);
	rte_pktmbuf_free(m);
	return got;
}

static uint16_t
mss_received(uint64_t seq, uint16_t mss)
{
	size_t len = put_ipv4(text, peer_host(&tunnels[T4]), LAN_HOST, IPPROTO_TCP, 28);
	struct rte_mbuf *m;
	uint16_t got;

	put_syn(text, 20, mss, false, RTE_TCP_SYN_FLAG);
	len = peer_trailer(sas[T4], text, len, IPPROTO_IPIP);
	len = peer_seal(&peer, sas[T4], seq, text, len, frame);
	assert_int_equal(engine_fate(&e, 1, frame, len), DROP_COUNT);
	m = engine_sent(&e, 0);
	got = mss_of(rte_pktmbuf_mtod_offset(m, uint8_t *, 14), false);
	rte_pktmbuf_free(m);
	return got;
}

static void
a_syn_announces_what_the_tunnel_carries(void **state)
{
	uint16_t most = (uint16_t)(esp_inner_mtu(outbound(T4), 1500) - 40);

	assert_int_equal(mss_sent(1460, false, RTE_TCP_SYN_FLAG), 1460);
	assert_int_equal(mss_received(1, 1460), 1460);
	e.config.tunnels.mss_clamp = MSS_CLAMP;
	for (unsigned int odd = 0; odd < 2; odd++) {
		assert_int_equal(mss_sent(1460, odd, RTE_TCP_SYN_FLAG), most);
		assert_int_equal(mss_sent(most + 1, odd, RTE_TCP_SYN_FLAG), most);
		assert_int_equal(mss_sent(most - 1, odd, RTE_TCP_SYN_FLAG), most - 1);
		assert_int_equal(mss_sent(1460, odd, RTE_TCP_ACK_FLAG), 1460);
	}
	assert_int_equal(mss_received(2, 1460), most);
	assert_int_equal(mss_received(3, 500), 500);
}

/* ---- tenants ---- */

static void
give_tenant(struct sa_params *p)
{
	p->if_id = 7;
}

/* The tunnel's policies are nobody's in particular: what belongs to a tenant passes only by his. */
static void
C52_C69_a_tenants_packets_pass_by_his_own_policies_and_table(void **state)
{
	static const struct tunnel t = {"null-sha256", FAMILY_V4, 9, false,
					false,         0x9000,    0, ESP_TUNNEL};
	struct spd_params rule = {.action = SPD_PROTECT,
				  .tmpl = {.family = FAMILY_V4,
					   .proto = IPPROTO_ESP,
					   .mode = SA_MODE_TUNNEL,
					   .reqid = t.spi},
				  .id = {.sel = {.family = FAMILY_V4}, .dir = SPD_FWD, .if_id = 7}};
	const struct sa *sa;
	size_t len, size;

	peer.change = give_tenant;
	sa = peer_tunnel(&peer, &t);
	len = peer_inner(&t, text, 40);
	size = peer_trailer(sa, text, len, IPPROTO_IPIP);
	assert_int_equal(engine_fate(&e, 1, frame, peer_seal(&peer, sa, 1, text, size, frame)),
			 DROP_TENANT); /* no interface is his */
	e.dp->ifaces[LAN7].tenant = e.dp->ifaces[LAN7].tenant_in = 7;
	assert_int_equal(engine_fate(&e, 1, frame, peer_seal(&peer, sa, 2, text, size, frame)),
			 DROP_SELECTOR);
	rule.tmpl.src = sa->src;
	rule.tmpl.dst = sa->dst;
	assert_int_equal(spd_add(e.dp->spd, &rule, false, NULL), 0);
	assert_int_equal(engine_fate(&e, 1, frame, peer_seal(&peer, sa, 3, text, size, frame)),
			 DROP_COUNT);
	rte_pktmbuf_free(engine_sent(&e, 0));
	/* His own table leads nowhere. */
	e.dp->ifaces[LAN7].vrf = (uint16_t)fib_vrf(e.dp->fib, 100, NULL);
	len = peer_seal(&peer, sa, 4, text, size, frame);
	engine_receive(&e, 1, engine_frame(&e, frame, len));
	engine_settle(&e);
	assert_null(engine_sent(&e, 0));
}

/* What comes by a tenant's interface does not see policies of others. */
static void
C69_a_tenants_interface_asks_his_policies_alone(void **state)
{
	size_t len = put_clear(T4, IPPROTO_UDP, 100);

	e.config.spd.no_match = NO_MATCH_DISCARD;
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_COUNT);
	rte_pktmbuf_free(engine_sent(&e, 1));
	e.dp->ifaces[LAN].tenant = 8;
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_POLICY_OUT);
	assert_null(engine_sent(&e, 1));
}

/* ---- policy ---- */

static unsigned int
received_by(unsigned int port, uint8_t version, uint8_t proto)
{
	unsigned int n = 0;
	struct rte_mbuf *m;

	while ((m = engine_sent(&e, port)) != NULL) {
		const uint8_t *at = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);

		n += at[0] >> 4 == version && at[version == 4 ? 9 : 6] == proto;
		rte_pktmbuf_free(m);
	}
	return n;
}

/* In turn: none has the policy, or the way, of the one before it. */
static void
B34_packets_of_one_burst_go_each_their_own_way(void **state)
{
	const uint32_t to[] = {peer_host(&tunnels[T4]), LAN7_HOST, peer_host(&tunnels[T6]),
			       0x0a026309};
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);
	struct worker_counters c;

	for (unsigned int i = 0; i < 12; i++) {
		put_ipv4(ip, LAN_HOST, to[i % 4], IPPROTO_UDP, 60);
		engine_receive(&e, 0, engine_frame(&e, frame, l2 + 80));
	}
	engine_settle(&e);
	workers_sum(e.dp, &c);
	assert_int_equal(c.iface[LAN7].tx_packets, 3);
	assert_int_equal(c.iface[WAN].tx_packets, 9);
	assert_int_equal(c.sealed, 6);
	assert_int_equal(sad_usage(e.dp->sad, peer_outbound(&peer, &tunnels[T4])).packets, 3);
	assert_int_equal(sad_usage(e.dp->sad, peer_outbound(&peer, &tunnels[T6])).packets, 3);
}

static void
send_from_host(uint16_t port)
{
	size_t l2 = engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_IPV4);
	rte_be16_t number = rte_cpu_to_be_16(port);
	struct rte_mbuf *m;

	put_ipv4(ip, WAN_SELF, WAN_PEER, IPPROTO_UDP, 60);
	memcpy(ip + 20, &number, 2);
	memcpy(ip + 22, &number, 2);
	m = engine_frame(&e, frame, l2 + 80);
	*packet(m) = (struct packet){
		.in = WAN, .out = IFACE_NONE, .flags = PACKET_FROM_HOST, .resume = RESUME_CLASSIFY};
	assert_int_equal(rte_ring_enqueue(e.dp->workers[0]->inbox, m), 0);
	engine_settle(&e);
}

static void
C54_ike_of_the_host_needs_no_policy(void **state)
{
	struct spd_params all = {.action = SPD_PROTECT,
				 .tmpl = {.family = FAMILY_V4,
					  .proto = IPPROTO_ESP,
					  .mode = SA_MODE_TUNNEL,
					  .reqid = 0x7777},
				 .id = {.sel = {.family = FAMILY_V4}, .dir = SPD_OUT}};

	all.tmpl.src = outbound(T4)->src;
	all.tmpl.dst = outbound(T4)->dst;
	assert_int_equal(spd_add(e.dp->spd, &all, false, NULL), 0);
	send_from_host(500);
	send_from_host(4500);
	assert_int_equal(received_by(1, 4, IPPROTO_UDP), 2);
	send_from_host(501);
	assert_int_equal(received_by(1, 4, IPPROTO_UDP), 0);
}

static void
B42_what_a_full_queue_does_not_take_is_dropped(void **state)
{
	struct rte_ring *wire = e.from_port[1];
	size_t len = put_clear(T4, IPPROTO_UDP, 100);
	struct worker_counters c;
	unsigned int full = 0;
	void *filler;

	while (rte_ring_enqueue(wire, &filler) == 0)
		full++;
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_TX_FULL);
	while (full-- > 0)
		assert_int_equal(rte_ring_dequeue(wire, &filler), 0);
	workers_sum(e.dp, &c);
	assert_int_equal(c.forwarded, 0);
	assert_int_equal(c.iface[WAN].tx_packets, 0);
	assert_int_equal(c.iface[WAN].tx_bytes, 0);
}

static int
setup(void **state)
{
	peer_begin(&peer, &e, 1, tunnels, TUNNELS, sas);
	*state = &peer;
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, peer_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(C46_C49_dscp_and_ecn_are_copied_out_unless_told_otherwise),
		TEST(C44_df_is_copied_set_or_cleared),
		TEST(C32_padding_hides_lengths_up_to_the_mtu),
		TEST(C6_C7_C70_numbers_and_ivs_count),
		TEST(C63_C64_lifetimes_count_what_is_sealed_with_its_padding),
		TEST(C60_B36_a_path_mtu_is_learnt_downwards_and_has_a_floor),
		TEST(C60_C61_what_is_longer_than_the_path_takes_is_answered),
		TEST(C61_B32_what_is_longer_than_the_interface_takes_is_answered),
		TEST(C62_a_learnt_path_mtu_ages),
		TEST(C59_B35_B37_what_does_not_know_the_sa_changes_nothing),
		TEST(a_syn_announces_what_the_tunnel_carries),
		TEST(C52_C69_a_tenants_packets_pass_by_his_own_policies_and_table),
		TEST(C69_a_tenants_interface_asks_his_policies_alone),
		TEST(B34_packets_of_one_burst_go_each_their_own_way),
		TEST(C54_ike_of_the_host_needs_no_policy),
		TEST(B42_what_a_full_queue_does_not_take_is_dropped),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
