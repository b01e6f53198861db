/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of ESP that comes in, wire to wire: the rows of bad input that a peer with the right
 * keys can send, and what moves for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "dataplane/esp.h"
#include "frame.h"
#include "peer.h"

enum { GCM, CBC, ESN, OPEN, TUNNELS };

static const struct tunnel tunnels[TUNNELS] = {
	[GCM] = {"aes128gcm16", FAMILY_V4, 3, false, false, 0x1000, 0, ESP_TUNNEL},
	[CBC] = {"aes128-sha256", FAMILY_V6, 4, false, false, 0x2000, 0, ESP_TUNNEL},
	[ESN] = {"aes256gcm16", FAMILY_V4, 5, true, false, 0x3000, 0, ESP_TUNNEL},
	[OPEN] = {"aes128-sha512", FAMILY_V4, 6, false, false, 0x4000, 0, ESP_TUNNEL},
};

static struct engine e;
static struct peer peer;
static const struct sa *sas[TUNNELS];
static uint8_t frame[2048], text[2048];

/* An inner packet in `text`, with `more` bytes behind its IP header. */
static size_t
put_inner(unsigned int tunnel, size_t more)
{
	return peer_inner(&tunnels[tunnel], text, more);
}

/* Seals `len` bytes of text as they are. How it ended: a drop reason, or DROP_COUNT. */
static enum drop_reason
fate_of_text(unsigned int tunnel, uint64_t seq, size_t len)
{
	size_t size = peer_seal(&peer, sas[tunnel], seq, text, len, frame);

	return engine_fate(&e, 1, frame, size);
}

static enum drop_reason
fate_of_inner(unsigned int tunnel, uint64_t seq, size_t len, uint8_t next_header)
{
	return fate_of_text(tunnel, seq, peer_trailer(sas[tunnel], text, len, next_header));
}

static enum drop_reason
fate_of_good(unsigned int tunnel, uint64_t seq)
{
	return fate_of_inner(tunnel, seq, put_inner(tunnel, 40), IPPROTO_IPIP);
}

/* Whether exactly one packet came out by the lan port; frees it. */
static bool
delivered(void)
{
	struct rte_mbuf *m = engine_sent(&e, 0);
	bool one = m != NULL;

	rte_pktmbuf_free(m);
	assert_null(engine_sent(&e, 0));
	return one;
}

static void
B15_B17_C16_C17_C18_C20_numbers_are_accepted_once_within_the_window(void **state)
{
	const uint32_t window = 992;

	assert_int_equal(fate_of_good(GCM, 0), DROP_REPLAY);
	assert_int_equal(fate_of_good(GCM, 5000), DROP_COUNT);
	assert_true(delivered());
	assert_int_equal(fate_of_good(GCM, 5000), DROP_REPLAY);
	assert_int_equal(fate_of_good(GCM, 5000 - window), DROP_REPLAY);
	assert_int_equal(fate_of_good(GCM, 5000 - window + 1), DROP_COUNT);
	assert_true(delivered());
	assert_int_equal(fate_of_good(GCM, 5000 - window + 1), DROP_REPLAY);
	assert_int_equal(fate_of_good(GCM, 4999), DROP_COUNT);
	assert_true(delivered());
	assert_int_equal(fate_of_good(GCM, UINT32_MAX), DROP_COUNT); /* a genuine huge jump */
	assert_true(delivered());
	assert_int_equal(fate_of_good(GCM, 1), DROP_REPLAY);
	assert_false(delivered());
}

/* Before any cryptography (RFC 4303 section 3.4.3): its ICV is not looked at. */
static void
C17_a_number_seen_before_is_dropped_whatever_its_icv(void **state)
{
	size_t len = put_inner(GCM, 40);

	assert_int_equal(fate_of_good(GCM, 1), DROP_COUNT);
	len = peer_seal(&peer, sas[GCM], 1, text, peer_trailer(sas[GCM], text, len, 4), frame);
	frame[len - 1] ^= 1;
	assert_int_equal(engine_fate(&e, 1, frame, len), DROP_REPLAY);
}

static void
C12_C13_extended_numbers_pass_2_to_the_32_in_any_order(void **state)
{
	const uint64_t edge = UINT64_C(1) << 32;
	uint64_t order[] = {edge - 2, edge + 5, edge - 1, edge, edge + 900, edge + 1};

	/* The window gets there by packets a half space apart at most. */
	for (uint64_t seq = UINT64_C(1) << 30; seq < edge - 2; seq += UINT64_C(1) << 30)
		assert_int_equal(fate_of_good(ESN, seq), DROP_COUNT);
	for (size_t i = 0; i < RTE_DIM(order); i++)
		assert_int_equal(fate_of_good(ESN, order[i]), DROP_COUNT);
	for (size_t i = 0; i < RTE_DIM(order); i++)
		assert_int_equal(fate_of_good(ESN, order[i]), DROP_REPLAY);
}

static void
C23_without_anti_replay_the_number_is_not_looked_at(void **state)
{
	peer_inbound(&peer, &tunnels[OPEN])->sa->flags &= (uint16_t)~SA_REPLAY;
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(fate_of_good(OPEN, 7), DROP_COUNT);
		assert_true(delivered());
	}
	assert_int_equal(fate_of_good(OPEN, 0), DROP_COUNT);
	assert_true(delivered());
}

static void
C25_C26_B19_padding_of_every_length_is_inspected_to_the_byte(void **state)
{
	uint64_t seq = 1;

	for (unsigned int pad = 0; pad < 256; pad++) {
		size_t len = put_inner(GCM, 20 + -(pad + 2 + 40) % 4u), end = len + pad;

		for (unsigned int i = 0; i < pad; i++)
			text[len + i] = (uint8_t)(i + 1);
		text[end] = (uint8_t)pad;
		text[end + 1] = IPPROTO_IPIP;
		assert_int_equal(fate_of_text(GCM, seq++, end + 2), DROP_COUNT);
		assert_true(delivered());
		for (unsigned int wrong = 0; wrong<pad; wrong += pad> 20 ? pad - 1 : 1) {
			text[len + wrong] ^= 0x80;
			assert_int_equal(fate_of_text(GCM, seq++, end + 2), DROP_PAD);
			text[len + wrong] ^= 0x80;
		}
	}
	assert_false(delivered());
}

static void
C27_B19_padding_longer_than_the_payload_is_dropped(void **state)
{
	for (unsigned int i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i + 1);
	for (unsigned int pad = 31; pad < 256; pad += 7) {
		text[30] = (uint8_t)pad;
		text[31] = IPPROTO_IPIP;
		assert_int_equal(fate_of_text(GCM, pad, 32), DROP_PAD);
	}
	/* All of it padding: then there is no packet inside. */
	text[30] = 30;
	assert_int_equal(fate_of_text(GCM, 1000, 32), DROP_INNER);
}

/* One byte too long, where the byte in front, which is the IV's last, is a right one. */
static void
C27_B19_padding_does_not_reach_into_the_iv(void **state)
{
	uint64_t seq = 1 + (uint8_t) - (uint8_t)sas[GCM]->iv_base;

	assert_int_equal((uint8_t)(sas[GCM]->iv_base + seq), 1);
	for (unsigned int i = 0; i < 30; i++)
		text[i] = (uint8_t)(i + 2);
	text[30] = 31;
	text[31] = IPPROTO_IPIP;
	assert_int_equal(fate_of_text(GCM, seq, 32), DROP_PAD);
}

static void
B10_ciphertext_is_a_multiple_of_the_block(void **state)
{
	size_t len = put_inner(CBC, 40);
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)(frame + 14);

	len = peer_seal(&peer, sas[CBC], 1, text, peer_trailer(sas[CBC], text, len, 4), frame);
	for (uint16_t cut = 1; cut < 16; cut++) {
		ip->payload_len = rte_cpu_to_be_16((uint16_t)(len - 14 - 40 - cut));
		assert_int_equal(engine_fate(&e, 1, frame, len - cut), DROP_ALIGN);
	}
}

/* The ICV by another way: HMAC over SPI to ciphertext, and the high half behind it. */
static void
C10_C11_the_high_half_is_under_the_icv_and_not_on_the_wire(void **state)
{
	static const struct tunnel t = {"aes128-sha256", FAMILY_V4, 9, true,
					false,           0x9000,    0, ESP_TUNNEL};
	const uint64_t seq = (UINT64_C(7) << 32) + 5;
	const struct sa *sa = peer_tunnel(&peer, &t);
	size_t len = put_inner(GCM, 40), esp = 14 + 20, end;
	struct sa_params params;
	uint8_t digest[EVP_MAX_MD_SIZE], signed_text[1024];
	unsigned int size;

	sad_params_and_keys(peer_inbound(&peer, &t), &params);
	len = peer_seal(&peer, sa, seq, text, peer_trailer(sa, text, len, 4), frame);
	end = len - sa->icv_len;
	assert_memory_equal(frame + esp + 4, "\0\0\0\5", 4);
	memcpy(signed_text, frame + esp, end - esp);
	memcpy(signed_text + end - esp, "\0\0\0\7", 4);
	assert_non_null(
		HMAC(EVP_sha256(), params.auth_key, 32, signed_text, end - esp + 4, digest, &size));
	assert_memory_equal(frame + end, digest, sa->icv_len);
}

/* ESP behind a routing header in a fragment: not of those that are put together. */
static void
C36_a_fragment_of_esp_that_is_left_is_dropped(void **state)
{
	static const uint8_t chain[16] = {IPPROTO_ROUTING, 0, 0, 1, 1, 2, 3, 4, IPPROTO_ESP, 0, 4};
	uint8_t *ip = frame + 14;
	size_t len = put_inner(CBC, 40);

	len = peer_seal(&peer, sas[CBC], 1, text, peer_trailer(sas[CBC], text, len, 4), frame);
	memmove(ip + 56, ip + 40, len - 54);
	memcpy(ip + 40, chain, sizeof(chain));
	ip[6] = IPPROTO_FRAGMENT;
	((struct rte_ipv6_hdr *)ip)->payload_len = rte_cpu_to_be_16((uint16_t)(len - 54 + 16));
	assert_int_equal(engine_fate(&e, 1, frame, len + 16), DROP_FRAGMENT);
	assert_false(delivered());
}

static void
C30_dummy_packets_are_consumed_and_count_as_received(void **state)
{
	struct worker_counters c;

	memset(text, 0, 64);
	assert_int_equal(fate_of_inner(GCM, 1, 64, ESP_NEXT_NONE), DROP_COUNT);
	workers_sum(e.dp, &c);
	assert_int_equal(c.consumed, 1);
	assert_int_equal(sad_usage(e.dp->sad, peer_inbound(&peer, &tunnels[GCM])).packets, 1);
	assert_int_equal(fate_of_inner(GCM, 1, 64, ESP_NEXT_NONE), DROP_REPLAY);
	assert_false(delivered());
}

static void
B20_B21_what_is_inside_fits_the_mode_and_its_place(void **state)
{
	static const uint8_t wrong[] = {0, 1, 6, 17, 43, 44, 50, 51, 60, 255};
	uint64_t seq = 1;
	size_t len;

	for (size_t i = 0; i < sizeof(wrong); i++)
		assert_int_equal(fate_of_inner(GCM, seq++, put_inner(GCM, 40), wrong[i]),
				 DROP_NEXT_HEADER);
	assert_int_equal(fate_of_inner(GCM, seq++, put_inner(GCM, 40), IPPROTO_IPV6), DROP_INNER);
	len = put_inner(GCM, 40);
	assert_int_equal(fate_of_inner(GCM, seq++, len - 1, IPPROTO_IPIP), DROP_INNER);
	assert_int_equal(fate_of_inner(GCM, seq++, 19, IPPROTO_IPIP), DROP_INNER);
	assert_int_equal(fate_of_inner(GCM, seq++, 0, IPPROTO_IPIP), DROP_INNER);
	text[10] ^= 1; /* the inner header's own checksum */
	assert_int_equal(fate_of_inner(GCM, seq++, len, IPPROTO_IPIP), DROP_INNER);
	assert_false(delivered());
}

static void
C32_what_stands_behind_the_inner_packet_is_trimmed(void **state)
{
	size_t len = put_inner(GCM, 40);
	struct rte_mbuf *m;

	memset(text + len, 0xee, 100);
	assert_int_equal(fate_of_inner(GCM, 1, len + 100, IPPROTO_IPIP), DROP_COUNT);
	m = engine_sent(&e, 0);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, 14 + len);
	rte_pktmbuf_free(m);
}

static void
C52_B22_inner_addresses_are_those_of_the_sa(void **state)
{
	size_t len = put_inner(CBC, 40);

	/* Those of another SA's policy, and of nobody's. */
	assert_int_equal(fate_of_inner(GCM, 1, len, IPPROTO_IPIP), DROP_SELECTOR);
	len = put_ipv4(text, 0x0a630001, LAN_HOST, IPPROTO_UDP, 40);
	assert_int_equal(fate_of_inner(GCM, 2, len, IPPROTO_IPIP), DROP_SELECTOR);
	len = put_ipv4(text, peer_host(&tunnels[GCM]), 0x0a070002, IPPROTO_UDP, 40);
	assert_int_equal(fate_of_inner(GCM, 3, len, IPPROTO_IPIP), DROP_SELECTOR);
	assert_false(delivered());
	assert_int_equal(fate_of_good(GCM, 4), DROP_COUNT);
	assert_true(delivered());
}

static void
C53_clear_text_passes_neither_where_it_must_be_protected_nor_discarded(void **state)
{
	struct spd_params discard = {
		.action = SPD_DISCARD,
		.id = {.sel = {.src = ip_addr_v4(RTE_BE32(0x0a020000)),
			       .src_len = 16,
			       .family = FAMILY_V4},
		       .dir = SPD_FWD},
	};
	size_t l2 = engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_IPV4), len;

	memset(frame + l2 + 20, 0x5a, 40);
	len = l2 + put_ipv4(frame + l2, peer_host(&tunnels[GCM]), LAN_HOST, IPPROTO_UDP, 40);
	assert_int_equal(engine_fate(&e, 1, frame, len), DROP_POLICY_IN);
	assert_int_equal(spd_add(e.dp->spd, &discard, false, NULL), 0);
	len = l2 + put_ipv4(frame + l2, 0x0a02f003, LAN_HOST, IPPROTO_UDP, 40);
	assert_int_equal(engine_fate(&e, 1, frame, len), DROP_POLICY_IN);
	assert_false(delivered());
}

/* The host gets it, where policy lets it in; it does not go round. */
static void
B23_a_packet_inside_for_our_own_endpoint_makes_no_loop(void **state)
{
	struct spd_params all = {.action = SPD_PROTECT,
				 .tmpl = {.family = FAMILY_V4,
					  .proto = IPPROTO_ESP,
					  .mode = SA_MODE_TUNNEL,
					  .reqid = 0x1000},
				 .id = {.sel = {.family = FAMILY_V4}, .dir = SPD_IN}};
	static uint8_t outer[1024];
	struct worker_counters c;
	size_t len = put_inner(GCM, 40);

	all.tmpl.src.v4 = rte_cpu_to_be_32(WAN_PEER);
	all.tmpl.dst.v4 = rte_cpu_to_be_32(WAN_SELF);
	assert_int_equal(spd_add(e.dp->spd, &all, false, NULL), 0);
	len = peer_seal(&peer, sas[GCM], 1, text, peer_trailer(sas[GCM], text, len, 4), outer);
	memcpy(text, outer + 14, len - 14);
	assert_int_equal(fate_of_inner(GCM, 2, len - 14, IPPROTO_IPIP), DROP_COUNT);
	workers_sum(e.dp, &c);
	assert_int_equal(c.opened, 1);
	assert_int_equal(c.punted, 1);
	assert_false(delivered());
}

static void
B24_esp_inside_esp_for_a_protected_host_is_delivered_as_it_is(void **state)
{
	struct rte_mbuf *m;
	size_t len;

	memset(text + 20, 0x77, 64);
	len = put_ipv4(text, peer_host(&tunnels[GCM]), LAN_HOST, IPPROTO_ESP, 64);
	assert_int_equal(fate_of_inner(GCM, 1, len, IPPROTO_IPIP), DROP_COUNT);
	m = engine_sent(&e, 0);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, 14 + len);
	assert_memory_equal(rte_pktmbuf_mtod(m, uint8_t *) + 34, text + 20, 64);
	rte_pktmbuf_free(m);
}

/* Of three SAs in one burst, each number twice: in turn, or those of an SA in a row. */
static void
copies_in_one_burst(bool in_a_row)
{
	struct worker_counters c;
	unsigned int came = 0;
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < 24; i++) {
		unsigned int tunnel = in_a_row ? i / 8 : i % 3; /* GCM, CBC, ESN */
		uint64_t seq = 1 + (in_a_row ? i % 8 / 2 : i / 6);
		size_t len = put_inner(tunnel, 40);

		len = peer_trailer(sas[tunnel], text, len, IPPROTO_IPIP);
		len = peer_seal(&peer, sas[tunnel], seq, text, len, frame);
		if (i == 0)
			frame[len - 1] ^= 1; /* the first is bad, and its number still free */
		engine_receive(&e, 1, engine_frame(&e, frame, len));
	}
	engine_settle(&e);
	engine_check(&e);
	while ((m = engine_sent(&e, 0)) != NULL) {
		rte_pktmbuf_free(m);
		came++;
	}
	workers_sum(e.dp, &c);
	assert_int_equal(c.drops[DROP_ICV], 1);
	assert_int_equal(c.drops[DROP_REPLAY], 11);
	assert_int_equal(came, 12);
}

static void
B34_packets_of_one_burst_are_judged_each_alone(void **state)
{
	copies_in_one_burst(false);
}

static void
C17_of_copies_in_a_row_one_passes(void **state)
{
	copies_in_one_burst(true);
}

static void
C50_ecn_and_the_checksum_come_out_of_the_tunnel_right(void **state)
{
	/* [inner][outer], 4: dropped. RFC 6040 section 4.2, figure 4. */
	static const uint8_t result[4][4] = {
		{0, 0, 0, 4}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
	struct rte_ipv4_hdr *outer = (struct rte_ipv4_hdr *)(frame + 14);

	for (unsigned int i = 0; i < 16; i++) {
		uint8_t want = result[i / 4][i % 4];
		size_t len = put_inner(GCM, 40);
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)text;
		enum drop_reason reason;
		struct rte_mbuf *m;

		ip->type_of_service = (uint8_t)(0x48 | i / 4);
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, 20));
		len = peer_trailer(sas[GCM], text, len, IPPROTO_IPIP);
		len = peer_seal(&peer, sas[GCM], i + 1, text, len, frame);
		outer->type_of_service = (uint8_t)(0xb8 | i % 4);
		outer->hdr_checksum = 0;
		outer->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, outer, 20));
		reason = engine_fate(&e, 1, frame, len);
		m = engine_sent(&e, 0);
		assert_int_equal(reason, want == 4 ? DROP_ECN : DROP_COUNT);
		if (want == 4)
			continue;
		assert_non_null(m);
		ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, 14);
		assert_int_equal(ip->type_of_service, 0x48 | want);
		assert_int_equal(naive_sum(0, ip, 20), 0xffff);
		rte_pktmbuf_free(m);
	}
}

static void
C63_C64_lifetimes_count_authentic_packets_with_their_padding(void **state)
{
	struct sa_control *c = peer_inbound(&peer, &tunnels[CBC]);
	size_t len = put_inner(CBC, 41), size;

	size = peer_trailer(sas[CBC], text, len, IPPROTO_IPIP);
	assert_true(size > len + 2);
	assert_int_equal(fate_of_text(CBC, 1, size), DROP_COUNT);
	assert_true(delivered());
	assert_int_equal(sad_usage(e.dp->sad, c).packets, 1);
	assert_int_equal(sad_usage(e.dp->sad, c).bytes, size);
	assert_int_equal(fate_of_text(CBC, 1, size), DROP_REPLAY);
	assert_int_equal(sad_usage(e.dp->sad, c).packets, 1);
	assert_int_equal(sad_usage(e.dp->sad, c).bytes, size);
}

static void
B40_an_expired_sa_opens_and_seals_nothing(void **state)
{
	struct sa_control *out = peer_outbound(&peer, &tunnels[GCM]);
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);

	atomic_store(&peer_inbound(&peer, &tunnels[GCM])->sa->state, SA_EXPIRED);
	atomic_store(&out->sa->state, SA_EXPIRED);
	assert_int_equal(fate_of_good(GCM, 1), DROP_SA_EXPIRED);
	engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);
	l2 += put_ipv4(frame + l2, LAN_HOST, peer_host(&tunnels[GCM]), IPPROTO_UDP, 40);
	assert_int_equal(engine_fate(&e, 0, frame, l2), DROP_NO_SA_OUT);
	assert_null(engine_sent(&e, 1));
}

static void
B14_the_spi_of_an_outbound_sa_opens_nothing(void **state)
{
	const struct sa *out = peer_outbound(&peer, &tunnels[GCM])->sa;
	size_t len = put_inner(GCM, 40);

	len = peer_seal(&peer, sas[GCM], 1, text, peer_trailer(sas[GCM], text, len, 4), frame);
	memcpy(frame + 14 + 20, &out->spi, sizeof(out->spi));
	assert_int_equal(engine_fate(&e, 1, frame, len), DROP_SA_DIR);
}

static int
setup(void **state)
{
	peer_begin(&peer, &e, 1, tunnels, TUNNELS, sas);
	*state = &peer;
	return 0;
}

#define inbound_test(f) cmocka_unit_test_setup_teardown(f, setup, peer_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		inbound_test(B15_B17_C16_C17_C18_C20_numbers_are_accepted_once_within_the_window),
		inbound_test(C17_a_number_seen_before_is_dropped_whatever_its_icv),
		inbound_test(C12_C13_extended_numbers_pass_2_to_the_32_in_any_order),
		inbound_test(C23_without_anti_replay_the_number_is_not_looked_at),
		inbound_test(C25_C26_B19_padding_of_every_length_is_inspected_to_the_byte),
		inbound_test(C27_B19_padding_longer_than_the_payload_is_dropped),
		inbound_test(C27_B19_padding_does_not_reach_into_the_iv),
		inbound_test(B10_ciphertext_is_a_multiple_of_the_block),
		inbound_test(C10_C11_the_high_half_is_under_the_icv_and_not_on_the_wire),
		inbound_test(C36_a_fragment_of_esp_that_is_left_is_dropped),
		inbound_test(C30_dummy_packets_are_consumed_and_count_as_received),
		inbound_test(B20_B21_what_is_inside_fits_the_mode_and_its_place),
		inbound_test(C32_what_stands_behind_the_inner_packet_is_trimmed),
		inbound_test(C52_B22_inner_addresses_are_those_of_the_sa),
		inbound_test(
			C53_clear_text_passes_neither_where_it_must_be_protected_nor_discarded),
		inbound_test(B23_a_packet_inside_for_our_own_endpoint_makes_no_loop),
		inbound_test(B24_esp_inside_esp_for_a_protected_host_is_delivered_as_it_is),
		inbound_test(B34_packets_of_one_burst_are_judged_each_alone),
		inbound_test(C17_of_copies_in_a_row_one_passes),
		inbound_test(C50_ecn_and_the_checksum_come_out_of_the_tunnel_right),
		inbound_test(C63_C64_lifetimes_count_authentic_packets_with_their_padding),
		inbound_test(B40_an_expired_sa_opens_and_seals_nothing),
		inbound_test(B14_the_spi_of_an_outbound_sa_opens_nothing),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
