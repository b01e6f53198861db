/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AH (RFC 4302), wire to wire: what is under the ICV and what may change on the way, its length,
 * its numbers, and what stands behind it. The ICVs are the peer's own reading of the RFC.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "frame.h"
#include "peer.h"

enum { V4, V4_GMAC, V6_ESN, V6_BACK, V4_HOST, V6_HOST, TUNNELS };

static const struct tunnel tunnels[TUNNELS] = {
	[V4] = {"null-sha256", FAMILY_V4, 3, false, false, 0x1000, 0, AH_TUNNEL},
	[V4_GMAC] = {"aes128gmac", FAMILY_V4, 4, true, false, 0x2000, SA_ALIGN4, AH_TUNNEL},
	[V6_ESN] = {"null-sha256", FAMILY_V6, 5, true, false, 0x3000, 0, AH_TUNNEL},
	[V6_BACK] = {"aes128gmac", FAMILY_V6, 6, false, false, 0x4000, 0, AH_TUNNEL},
	[V4_HOST] = {"null-sha256", FAMILY_V4, 7, false, false, 0x5000, SA_ALIGN4, AH_TRANSPORT},
	[V6_HOST] = {"null-sha256", FAMILY_V6, 8, true, false, 0x6000, 0, AH_TRANSPORT},
};

static struct engine e;
static struct peer peer;
static const struct sa *sas[TUNNELS];
static uint8_t frame[2048], text[1024];
static uint8_t *const ip = frame + 14;

static bool
is_v4(unsigned int tunnel)
{
	return tunnels[tunnel].family == FAMILY_V4;
}

static size_t
ip_header(unsigned int tunnel)
{
	return is_v4(tunnel) ? 20 : 40;
}

/* A packet for the tunnel's other end: an inner one, or 40 bytes of UDP for the host. */
static size_t
seal(unsigned int tunnel, uint64_t seq)
{
	size_t len = 40;

	if (tunnels[tunnel].kind == AH_TUNNEL) {
		len = peer_inner(&tunnels[tunnel], text, 40);
		text[len] = IPPROTO_IPIP;
	} else {
		memset(text, 0x11, len);
		text[len] = IPPROTO_UDP;
	}
	return peer_seal(&peer, sas[tunnel], seq, text, len, frame);
}

static void
mend4(void)
{
	struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)ip;

	h->hdr_checksum = 0;
	h->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, h, (h->version_ihl & 15u) * 4));
}

static enum drop_reason
fate(unsigned int tunnel, size_t len)
{
	if (is_v4(tunnel))
		mend4();
	return engine_fate(&e, 1, frame, len);
}

static void
free_all(void)
{
	struct rte_mbuf *m;

	for (unsigned int port = 0; port < 2; port++)
		while ((m = engine_sent(&e, port)) != NULL)
			rte_pktmbuf_free(m);
	while ((m = engine_punted(&e, WAN)) != NULL)
		rte_pktmbuf_free(m);
}

/* Bits that routers may change (RFC 4302 section 3.3.3.1); but for the checksum, which must fit. */
static bool
may_change(unsigned int tunnel, size_t byte, unsigned int bit)
{
	if (is_v4(tunnel)) /* TOS, TTL, DF and the reserved flag */
		return byte == 1 || byte == 8 || (byte == 6 && bit >= 6);
	return (byte == 0 && bit < 4) || (byte >= 1 && byte <= 3) || byte == 7;
}

/* A header that says something else, or is a fragment's, is not AH of the same length any more. */
static bool
is_left_out(unsigned int tunnel, size_t byte, unsigned int bit)
{
	if (is_v4(tunnel))
		return (byte == 6 && bit < 6) || byte == 7 || byte == 10 || byte == 11;
	return false;
}

static uint64_t
authentic(unsigned int tunnel)
{
	return sad_usage(e.dp->sad, peer_inbound(&peer, &tunnels[tunnel])).packets;
}

static void
C33_B18_every_bit_is_under_the_icv_but_for_what_routers_change(void **state)
{
	for (unsigned int t = 0; t < TUNNELS; t++) {
		uint64_t passed = 0;
		size_t len = seal(t, 1);

		for (size_t bit = 0; bit < (len - 14) * 8; bit++) {
			if (is_left_out(t, bit / 8, bit % 8))
				continue;
			seal(t, passed + 1);
			ip[bit / 8] ^= (uint8_t)(1u << bit % 8);
			fate(t, len);
			passed += may_change(t, bit / 8, bit % 8);
			assert_int_equal(authentic(t), passed);
		}
		assert_true(passed > 0);
		free_all();
	}
}

/* RFC 4302 section 2.6: to 64 bits, with IPv4 to 32; Linux to 64 with IPv4, too. */
static void
B9_the_length_is_that_of_the_algorithm_with_its_padding(void **state)
{
	for (unsigned int t = 0; t < TUNNELS; t++) {
		size_t len = seal(t, 1), at = ip_header(t) + 1;
		uint8_t right = ip[at];
		/* With the other padding that IPv4 may have, the ICV stands where it did. */
		uint8_t other = (sas[t]->flags & SA_ALIGN4) != 0 ? right + 1 : right - 1;

		for (unsigned int words = 0; words < 256; words++) {
			ip[at] = (uint8_t)words;
			if (words != right)
				assert_int_equal(fate(t, len),
						 is_v4(t) && words == other ? DROP_ICV : DROP_RUNT);
		}
		ip[at] = right;
		assert_int_equal(fate(t, len), DROP_COUNT);
	}
	free_all();
}

static void
both_paddings_are_right_with_ipv4(void **state)
{
	struct sa *sa = (struct sa *)(uintptr_t)sas[V4];

	assert_int_equal(peer_ah_len(sa), 32);
	assert_int_equal(fate(V4, seal(V4, 1)), DROP_COUNT);
	sa->flags |= SA_ALIGN4;
	((uint8_t *)(uintptr_t)sa->outer)[20 + 1]--; /* AH's length */
	assert_int_equal(peer_ah_len(sa), 28);
	assert_int_equal(fate(V4, seal(V4, 2)), DROP_COUNT);
	free_all();
}

static void
B9_ah_beyond_the_packet_is_a_runt(void **state)
{
	for (unsigned int t = 0; t < TUNNELS; t++) {
		size_t head = ip_header(t), ah_len = peer_ah_len(sas[t]);

		for (size_t cut = head; cut < head + ah_len; cut++) {
			seal(t, 1);
			if (is_v4(t))
				((struct rte_ipv4_hdr *)ip)->total_length =
					rte_cpu_to_be_16((uint16_t)cut);
			else
				((struct rte_ipv6_hdr *)ip)->payload_len =
					rte_cpu_to_be_16((uint16_t)(cut - head));
			assert_int_equal(fate(t, 14 + cut), DROP_RUNT);
		}
	}
}

static void
C17_C33_C63_numbers_and_lifetimes_are_those_of_authentic_packets(void **state)
{
	struct sa_control *c = peer_inbound(&peer, &tunnels[V4]);
	size_t len = seal(V4, 5000);

	frame[len - 1] ^= 1;
	assert_int_equal(fate(V4, len), DROP_ICV);
	assert_int_equal(fate(V4, seal(V4, 1)), DROP_COUNT); /* so nothing has moved */
	assert_int_equal(fate(V4, seal(V4, 1)), DROP_REPLAY);
	assert_int_equal(fate(V4, seal(V4, 0)), DROP_REPLAY);
	assert_int_equal(fate(V4, seal(V4, 3000)), DROP_COUNT);
	assert_int_equal(fate(V4, seal(V4, 3000 - 992)), DROP_REPLAY);
	assert_int_equal(fate(V4, seal(V4, 3000 - 991)), DROP_COUNT);
	assert_int_equal(sad_usage(e.dp->sad, c).packets, 3);
	assert_int_equal(sad_usage(e.dp->sad, c).bytes, 3 * (len - 14));
	assert_int_equal(sad_usage(e.dp->sad, c).auth_drops, 1);
	assert_int_equal(sad_usage(e.dp->sad, c).replay_drops, 3);
	free_all();
}

/* The same in one burst, where both copies pass the first look at the number. */
static void
C17_a_number_passes_once_within_a_burst(void **state)
{
	struct worker_counters c;

	for (unsigned int i = 0; i < 2; i++)
		engine_receive(&e, 1, engine_frame(&e, frame, seal(V4, 7)));
	engine_settle(&e);
	workers_sum(e.dp, &c);
	assert_int_equal(c.opened, 1);
	assert_int_equal(c.drops[DROP_REPLAY], 1);
	assert_int_equal(sad_usage(e.dp->sad, peer_inbound(&peer, &tunnels[V4])).packets, 1);
	free_all();
}

static void
C10_the_high_half_is_under_the_icv_and_not_on_the_wire(void **state)
{
	const uint64_t edge = UINT64_C(1) << 32;
	static const unsigned int with_esn[] = {V4_GMAC, V6_ESN, V6_HOST};

	for (unsigned int i = 0; i < RTE_DIM(with_esn); i++) {
		unsigned int t = with_esn[i];

		assert_int_equal(fate(t, seal(t, 3 * edge + 1)), DROP_ICV);
		for (uint64_t seq = edge / 4; seq <= edge + edge / 4; seq += edge / 4)
			assert_int_equal(fate(t, seal(t, seq)), DROP_COUNT);
		assert_int_equal(fate(t, seal(t, edge / 4 + 9)), DROP_ICV);
		assert_int_equal(fate(t, seal(t, edge + edge / 4 + 9)), DROP_COUNT);
	}
	free_all();
}

static void
C43_what_comes_out_of_a_tunnel_is_what_went_in(void **state)
{
	for (unsigned int t = 0; t < V4_HOST; t++) {
		size_t len = seal(t, 1), inner = ip_header(t) + peer_ah_len(sas[t]);
		struct rte_mbuf *m;

		ip[inner + 8]--; /* what forwarding does to the TTL, and its checksum */
		assert_int_equal(fate(t, len), DROP_ICV);
		assert_int_equal(fate(t, seal(t, 1)), DROP_COUNT);
		m = engine_sent(&e, 0);
		assert_non_null(m);
		assert_int_equal(rte_pktmbuf_pkt_len(m), len - inner);
		assert_memory_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20), ip + inner + 20,
				    len - 14 - inner - 20);
		assert_int_equal(naive_sum(0, rte_pktmbuf_mtod_offset(m, uint8_t *, 14), 20),
				 0xffff);
		rte_pktmbuf_free(m);
	}
}

static void
B20_the_next_header_fits_the_mode(void **state)
{
	size_t len = peer_inner(&tunnels[V4], text, 40);

	text[len] = IPPROTO_UDP;
	len = peer_seal(&peer, sas[V4], 1, text, len, frame);
	assert_int_equal(fate(V4, len), DROP_NEXT_HEADER);
	text[40] = IPPROTO_HOPOPTS;
	len = peer_seal(&peer, sas[V6_HOST], 1, text, 40, frame);
	assert_int_equal(fate(V6_HOST, len), DROP_NEXT_HEADER);
}

/* A transport packet with options, or an extension header, in front of AH. */
static size_t
seal_behind(unsigned int tunnel, uint64_t seq, const uint8_t *more, size_t more_len, uint8_t kind)
{
	size_t len = seal(tunnel, seq);

	return peer_insert(&peer, sas[tunnel], seq, frame, len, more, more_len, kind);
}

/* RFC 4302 appendix A1. */
static void
ipv4_options_are_covered_unless_they_change(void **state)
{
	static const struct {
		uint8_t type;
		bool stays;
	} options[] = {{130, true}, {133, true}, {134, true}, {148, true},  {149, true},
		       {7, false},  {68, false}, {82, false}, {136, false}, {158, false}};
	uint64_t seq = 1;

	for (unsigned int i = 0; i < RTE_DIM(options); i++) {
		const uint8_t bytes[8] = {1, options[i].type, 6, 4, 5, 6, 7, 0};
		size_t len = seal_behind(V4_HOST, seq, bytes, sizeof(bytes), 0);

		assert_int_equal(fate(V4_HOST, len), DROP_COUNT);
		seal_behind(V4_HOST, ++seq, bytes, sizeof(bytes), 0);
		ip[20 + 5] ^= 0xff;
		assert_int_equal(fate(V4_HOST, len), options[i].stays ? DROP_ICV : DROP_COUNT);
		seq++;
	}
	free_all();
}

/* RFC 4302 section 3.3.3.1.2.2, RFC 8200 section 4.2. */
static void
ipv6_options_are_covered_unless_their_type_says_that_they_change(void **state)
{
	static const uint8_t kinds[] = {IPPROTO_HOPOPTS, IPPROTO_DSTOPTS};
	uint64_t seq = 1;

	for (unsigned int i = 0; i < 4; i++) {
		bool changes = i % 2 != 0;
		uint8_t kind = kinds[i / 2];
		/* Behind Pad1; 0x1e and 0x3e are for experiments (RFC 4727). */
		const uint8_t bytes[8] = {IPPROTO_AH, 0, 0, changes ? 0x3e : 0x1e, 3, 7, 7, 7};
		size_t len = seal_behind(V6_HOST, seq, bytes, sizeof(bytes), kind);

		assert_int_equal(fate(V6_HOST, len), DROP_COUNT);
		seal_behind(V6_HOST, ++seq, bytes, sizeof(bytes), kind);
		ip[40 + 7] ^= 0xff; /* the option's last byte */
		assert_int_equal(fate(V6_HOST, len), changes ? DROP_COUNT : DROP_ICV);
		seal_behind(V6_HOST, ++seq, bytes, sizeof(bytes), kind);
		ip[40 + 3] ^= 0x01; /* its type */
		assert_int_equal(fate(V6_HOST, len), DROP_ICV);
	}
	free_all();
}

static void
B7_options_that_are_cut_and_routes_under_way_are_dropped(void **state)
{
	static const uint8_t cut[8] = {IPPROTO_AH, 0, 0x1e, 5, 7, 7, 7, 7};
	static const uint8_t alone[8] = {IPPROTO_AH, 0, 1, 3, 0, 0, 0, 0x1e};
	static const uint8_t one_left[8] = {IPPROTO_AH, 0, 4, 1};
	static const uint8_t none_left[8] = {IPPROTO_AH, 0, 4, 0};
	size_t len = seal_behind(V6_HOST, 1, cut, sizeof(cut), IPPROTO_DSTOPTS);

	assert_int_equal(fate(V6_HOST, len), DROP_IP_EXT);
	seal_behind(V6_HOST, 1, alone, sizeof(alone), IPPROTO_DSTOPTS);
	assert_int_equal(fate(V6_HOST, len), DROP_IP_EXT);
	seal_behind(V6_HOST, 1, one_left, sizeof(one_left), IPPROTO_ROUTING);
	assert_int_equal(fate(V6_HOST, len), DROP_IP_EXT);
	seal_behind(V6_HOST, 1, none_left, sizeof(none_left), IPPROTO_ROUTING);
	assert_int_equal(fate(V6_HOST, len), DROP_COUNT);
	free_all();
}

/* The longest chain that is kept while its mutable fields are zero; 8 bytes more are too much. */
static void
B7_a_chain_longer_than_what_is_kept_is_dropped(void **state)
{
	static uint8_t options[224] = {IPPROTO_AH, 26};
	size_t len;

	options[2] = 1; /* PadN */
	options[3] = 212;
	len = seal_behind(V6_HOST, 1, options, 216, IPPROTO_DSTOPTS);
	assert_int_equal(fate(V6_HOST, len), DROP_COUNT);
	options[1] = 27;
	options[3] = 220;
	len = seal_behind(V6_HOST, 2, options, 224, IPPROTO_DSTOPTS);
	assert_int_equal(fate(V6_HOST, len), DROP_IP_EXT);
	free_all();
}

static void
transport_mode_leaves_the_packet_as_it_was_before(void **state)
{
	static const uint8_t options[8] = {148, 4, 0, 0, 7, 3, 4, 0};
	size_t len = seal_behind(V4_HOST, 1, options, sizeof(options), 0);
	size_t rest = len - 14 - 28 - peer_ah_len(sas[V4_HOST]);
	struct rte_mbuf *m;
	uint8_t *got;

	assert_int_equal(fate(V4_HOST, len), DROP_COUNT);
	m = engine_punted(&e, WAN);
	assert_non_null(m);
	got = rte_pktmbuf_mtod_offset(m, uint8_t *, 14);
	assert_int_equal(rte_pktmbuf_pkt_len(m), 14 + 28 + rest);
	assert_int_equal(rte_be_to_cpu_16(((struct rte_ipv4_hdr *)got)->total_length), 28 + rest);
	assert_int_equal(got[9], IPPROTO_UDP);
	assert_int_equal(got[8], ip[8]);
	assert_int_equal(naive_sum(0, got, 28), 0xffff);
	assert_memory_equal(got + 20, options, sizeof(options));
	assert_memory_equal(got + 28, frame + len - rest, rest);
	rte_pktmbuf_free(m);
}

/* ---- outbound ---- */

/* What the engine sent: its ICV is the one that the peer's reading gives. */
static void
assert_signed(unsigned int tunnel, uint64_t seq, struct rte_mbuf *m, size_t off)
{
	const struct sa *sa = peer_outbound(&peer, &tunnels[tunnel])->sa;
	size_t len = rte_pktmbuf_pkt_len(m) - 14, ah_len = peer_ah_len(sa);
	const uint8_t *sent = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);
	rte_be32_t low = rte_cpu_to_be_32((uint32_t)seq);

	assert_int_equal(sent[off + 1], ah_len / 4 - 2);
	assert_memory_equal(sent + off + 2, "\0", 2);
	assert_memory_equal(sent + off + 4, &sa->spi, 4);
	assert_memory_equal(sent + off + 8, &low, 4);
	memcpy(ip, sent, len);
	peer_sign(&peer, sa, seq, ip, off, len);
	assert_memory_equal(ip, sent, len);
	if (is_v4(tunnel))
		assert_int_equal(naive_sum(0, sent, (sent[0] & 15u) * 4), 0xffff);
}

static void
C10_what_leaves_by_a_tunnel_is_signed(void **state)
{
	for (unsigned int t = 0; t < V4_HOST; t++) {
		struct sa *sa = peer_outbound(&peer, &tunnels[t])->sa;
		uint64_t seq = (sa->flags & SA_ESN) != 0 ? UINT64_C(7) << 32 : 41;
		size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4), len;
		struct rte_mbuf *m;
		const uint8_t *sent;

		atomic_store(&sa->seq, seq);
		memset(frame + l2 + 20, 0x77, 60);
		len = put_ipv4(frame + l2, LAN_HOST, peer_host(&tunnels[t]), IPPROTO_UDP, 60);
		assert_int_equal(engine_fate(&e, 0, frame, l2 + len), DROP_COUNT);
		m = engine_sent(&e, 1);
		assert_non_null(m);
		sent = rte_pktmbuf_mtod_offset(m, const uint8_t *, l2);
		assert_int_equal(sent[ip_header(t)], IPPROTO_IPIP);
		assert_memory_equal(sent + ip_header(t) + peer_ah_len(sa) + 20, frame + l2 + 20,
				    60);
		assert_int_equal(sent[is_v4(t) ? 8 : 7], 64);
		assert_signed(t, seq + 1, m, ip_header(t));
		assert_int_equal(sad_usage(e.dp->sad, peer_outbound(&peer, &tunnels[t])).bytes,
				 rte_pktmbuf_pkt_len(m) - l2);
		rte_pktmbuf_free(m);
	}
}

/* It is under the ICV: who cuts the packet on its way out cannot give it one any more. */
static void
packets_that_may_not_be_cut_have_an_identification_too(void **state)
{
	uint16_t ids[2];

	for (unsigned int i = 0; i < RTE_DIM(ids); i++) {
		size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4), len;
		struct rte_mbuf *m;

		len = put_ipv4(ip, LAN_HOST, peer_host(&tunnels[V4_GMAC]), IPPROTO_UDP, 60);
		ip[6] = 0x40;
		mend4();
		assert_int_equal(engine_fate(&e, 0, frame, l2 + len), DROP_COUNT);
		m = engine_sent(&e, 1);
		assert_non_null(m);
		memcpy(&ids[i], rte_pktmbuf_mtod_offset(m, uint8_t *, l2 + 4), sizeof(ids[i]));
		rte_pktmbuf_free(m);
	}
	assert_int_not_equal(ids[0], ids[1]);
}

/* The host's own packet in `frame`; what leaves for it. */
static struct rte_mbuf *
sent_by_host(size_t len)
{
	struct rte_mbuf *m = engine_frame(&e, frame, len);

	*packet(m) = (struct packet){
		.in = WAN, .out = IFACE_NONE, .flags = PACKET_FROM_HOST, .resume = RESUME_CLASSIFY};
	assert_int_equal(rte_ring_enqueue(e.dp->workers[0]->inbox, m), 0);
	engine_settle(&e);
	return engine_sent(&e, 1);
}

static void
in_transport_mode_ah_stands_behind_options_and_is_signed(void **state)
{
	static const uint8_t options[8] = {148, 4, 0, 0, 7, 3, 4, 0};
	size_t l2 = engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_IPV4);
	struct rte_mbuf *m;
	const uint8_t *sent;

	put_ipv4(ip, WAN_SELF, WAN_PEER, IPPROTO_UDP, 8 + 40);
	ip[0] = 0x47;
	memcpy(ip + 20, options, sizeof(options));
	memset(ip + 28, 0x55, 40);
	mend4();
	m = sent_by_host(l2 + 68);
	assert_non_null(m);
	sent = rte_pktmbuf_mtod_offset(m, const uint8_t *, l2);
	assert_int_equal(sent[9], IPPROTO_AH);
	assert_int_equal(sent[28], IPPROTO_UDP);
	assert_memory_equal(sent + 20, options, sizeof(options));
	assert_signed(V4_HOST, 1, m, 28);
	rte_pktmbuf_free(m);
}

static void
in_transport_mode_ah_stands_behind_what_routers_read(void **state)
{
	size_t l2 = engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_IPV6);
	static const uint8_t hop_by_hop[8] = {IPPROTO_UDP, 0, 0x3e, 4, 1, 2, 3, 4};
	struct rte_mbuf *m;
	const uint8_t *sent;

	put_ipv6(ip, 0, 0, IPPROTO_HOPOPTS, 48);
	put_address6(ip + 8, 0x99, 1);
	put_address6(ip + 24, 0x99, 2);
	memcpy(ip + 40, hop_by_hop, sizeof(hop_by_hop));
	memset(ip + 48, 0x55, 40);
	m = sent_by_host(l2 + 88);
	assert_non_null(m);
	sent = rte_pktmbuf_mtod_offset(m, const uint8_t *, l2);
	assert_int_equal(sent[40], IPPROTO_AH);
	assert_int_equal(sent[48], IPPROTO_UDP);
	assert_memory_equal(sent + 42, hop_by_hop + 2, 6);
	assert_signed(V6_HOST, 1, m, 48);
	rte_pktmbuf_free(m);
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
		TEST(C33_B18_every_bit_is_under_the_icv_but_for_what_routers_change),
		TEST(B9_the_length_is_that_of_the_algorithm_with_its_padding),
		TEST(both_paddings_are_right_with_ipv4),
		TEST(B9_ah_beyond_the_packet_is_a_runt),
		TEST(C17_C33_C63_numbers_and_lifetimes_are_those_of_authentic_packets),
		TEST(C17_a_number_passes_once_within_a_burst),
		TEST(C10_the_high_half_is_under_the_icv_and_not_on_the_wire),
		TEST(C43_what_comes_out_of_a_tunnel_is_what_went_in),
		TEST(B20_the_next_header_fits_the_mode),
		TEST(ipv4_options_are_covered_unless_they_change),
		TEST(ipv6_options_are_covered_unless_their_type_says_that_they_change),
		TEST(B7_options_that_are_cut_and_routes_under_way_are_dropped),
		TEST(B7_a_chain_longer_than_what_is_kept_is_dropped),
		TEST(transport_mode_leaves_the_packet_as_it_was_before),
		TEST(C10_what_leaves_by_a_tunnel_is_signed),
		TEST(packets_that_may_not_be_cut_have_an_identification_too),
		TEST(in_transport_mode_ah_stands_behind_options_and_is_signed),
		TEST(in_transport_mode_ah_stands_behind_what_routers_read),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
