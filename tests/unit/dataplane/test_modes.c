/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP in transport and BEET mode, wire to wire: where it stands, what of the header is whose, and
 * what may not be inside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/esp.h"
#include "frame.h"
#include "peer.h"

#define BEETPH 94 /* the pseudo header of IPv4 options in BEET mode */

enum { T4, T6, BEET4, BEET6, TUNNELS };

static const struct tunnel tunnels[TUNNELS] = {
	[T4] = {"aes128gcm16", FAMILY_V4, 3, false, false, 0x1000, 0, ESP_TRANSPORT},
	[T6] = {"aes128-sha256", FAMILY_V6, 4, true, false, 0x2000, 0, ESP_TRANSPORT},
	[BEET4] = {"aes256gcm16", FAMILY_V4, 5, false, false, 0x3000, 0, ESP_BEET},
	[BEET6] = {"aes128-sha256", FAMILY_V6, 6, false, true, 0x4000, 0, ESP_BEET},
};
static const struct tunnel behind_nat = {"aes128gcm16", FAMILY_V4, 7, false,
					 true,          0x5000,    0, ESP_TRANSPORT};

static struct engine e;
static struct peer peer;
static const struct sa *sas[TUNNELS];
static uint8_t frame[2048], text[2048];
static uint8_t *const ip = frame + 14;

static void
mend4(uint8_t *h)
{
	struct rte_ipv4_hdr *v4 = (struct rte_ipv4_hdr *)h;

	v4->hdr_checksum = 0;
	v4->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, h, (h[0] & 15u) * 4));
}

/* Seals `len` bytes of text; how it ended. */
static enum drop_reason
fate_of_text(unsigned int tunnel, uint64_t seq, size_t len, uint8_t next_header)
{
	len = peer_trailer(sas[tunnel], text, len, next_header);
	return engine_fate(&e, 1, frame, peer_seal(&peer, sas[tunnel], seq, text, len, frame));
}

/* A UDP datagram of `len` bytes. */
static size_t
put_udp(uint8_t *at, size_t len)
{
	struct rte_udp_hdr udp = {.src_port = RTE_BE16(1111),
				  .dst_port = RTE_BE16(2222),
				  .dgram_len = rte_cpu_to_be_16((uint16_t)len)};

	for (size_t i = sizeof(udp); i < len; i++)
		at[i] = (uint8_t)(i * 5);
	memcpy(at, &udp, sizeof(udp));
	return len;
}

/* The one packet that the host got or the lan port sent, from its IP header on. */
static struct rte_mbuf *
taken(struct rte_mbuf *m, const uint8_t **at)
{
	assert_non_null(m);
	*at = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);
	return m;
}

static struct rte_mbuf *
sent_by_host(size_t len)
{
	struct rte_mbuf *m = engine_frame(&e, frame, len);

	*packet(m) = (struct packet){
		.in = WAN, .out = IFACE_NONE, .flags = PACKET_FROM_HOST, .resume = RESUME_CLASSIFY};
	assert_int_equal(rte_ring_enqueue(e.dp->workers[0]->inbox, m), 0);
	engine_settle(&e);
	engine_check(&e);
	return engine_sent(&e, 1);
}

/* What was sent has, `off` bytes from its IP header, the ESP that the peer would make. */
static void
assert_sealed(unsigned int tunnel, uint64_t seq, const struct rte_mbuf *m, size_t off, size_t len,
	      uint8_t next_header)
{
	static uint8_t expected[2048];
	const struct sa *sa = peer_outbound(&peer, &tunnels[tunnel])->sa;
	size_t all, head = 14u + (sa->family == FAMILY_V4 ? 20 : 40);

	if (tunnels[tunnel].udp) { /* whose checksum is not looked at here */
		off += 8;
		head += 8;
	}
	len = peer_trailer(sa, text, len, next_header);
	all = peer_seal(&peer, sa, seq, text, len, expected);
	assert_int_equal(rte_pktmbuf_pkt_len(m), 14 + off + all - head);
	assert_memory_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + off), expected + head,
			    all - head);
}

/* ---- transport mode ---- */

static void
C43_transport_mode_keeps_the_ipv4_header(void **state)
{
	static const uint8_t options[8] = {1, 148, 4, 0, 0, 1, 1, 0};
	const uint8_t *sent;
	struct rte_mbuf *m;
	size_t l2 = engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_IPV4);

	put_ipv4(ip, WAN_SELF, WAN_PEER, IPPROTO_UDP, 8 + 100);
	ip[0] = 0x47;
	ip[1] = 0xb9;
	memcpy(ip + 20, options, sizeof(options));
	memcpy(text, ip + 28, put_udp(ip + 28, 100));
	mend4(ip);
	m = taken(sent_by_host(l2 + 128), &sent);
	assert_sealed(T4, 1, m, 28, 100, IPPROTO_UDP);
	assert_memory_equal(sent, ip, 2);
	assert_int_equal(rte_be_to_cpu_16(((const struct rte_ipv4_hdr *)sent)->total_length),
			 rte_pktmbuf_pkt_len(m) - l2);
	assert_memory_equal(sent + 4, ip + 4, 5); /* identification, fragment field, TTL */
	assert_int_equal(sent[9], IPPROTO_ESP);
	assert_memory_equal(sent + 12, ip + 12, 16);
	assert_int_equal(naive_sum(0, sent, 28), 0xffff);
	rte_pktmbuf_free(m);
}

/* RFC 4303 section 3.1.1: behind what routers read, in front of what is the receiver's alone. */
static void
transport_mode_stands_behind_what_routers_read(void **state)
{
	static const struct {
		uint8_t kinds[4];
		unsigned int outside; /* how many of them */
	} chains[] = {
		{{IPPROTO_UDP}, 0},
		{{IPPROTO_HOPOPTS, IPPROTO_UDP}, 1},
		{{IPPROTO_DSTOPTS, IPPROTO_UDP}, 0},
		{{IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_UDP}, 1},
		{{IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_UDP}, 2},
		{{IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_UDP}, 2},
	};
	size_t l2 = engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_IPV6);

	for (unsigned int i = 0; i < RTE_DIM(chains); i++) {
		unsigned int outside = chains[i].outside, n = 0;
		size_t front = 40 + 8 * outside, end = 40;
		struct rte_mbuf *m;
		const uint8_t *sent;

		put_ipv6(ip, 0, 0, chains[i].kinds[0], 0);
		put_address6(ip + 8, 0x99, 1);
		put_address6(ip + 24, 0x99, 2);
		for (; chains[i].kinds[n] != IPPROTO_UDP; n++, end += 8) {
			const uint8_t padn[8] = {chains[i].kinds[n + 1], 0, 1, 4};
			const uint8_t route[8] = {chains[i].kinds[n + 1], 0, 4, 0};

			memcpy(ip + end, chains[i].kinds[n] == IPPROTO_ROUTING ? route : padn, 8);
		}
		end += put_udp(ip + end, 50);
		((struct rte_ipv6_hdr *)ip)->payload_len = rte_cpu_to_be_16((uint16_t)(end - 40));
		memcpy(text, ip + front, end - front);
		m = taken(sent_by_host(l2 + end), &sent);
		assert_sealed(T6, i + 1, m, front, end - front, chains[i].kinds[outside]);
		assert_int_equal(rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)sent)->payload_len),
				 rte_pktmbuf_pkt_len(m) - l2 - 40);
		assert_int_equal(outside == 0 ? sent[6] : sent[front - 8], IPPROTO_ESP);
		rte_pktmbuf_free(m);
	}
}

static void
what_comes_in_transport_mode_is_the_packet_again(void **state)
{
	const uint8_t *got;
	struct rte_mbuf *m;

	put_udp(text, 90);
	assert_int_equal(fate_of_text(T4, 1, 90, IPPROTO_UDP), DROP_COUNT);
	m = taken(engine_punted(&e, WAN), &got);
	assert_int_equal(rte_pktmbuf_pkt_len(m), 14 + 20 + 90);
	assert_int_equal(rte_be_to_cpu_16(((const struct rte_ipv4_hdr *)got)->total_length), 110);
	assert_int_equal(got[9], IPPROTO_UDP);
	assert_int_equal(naive_sum(0, got, 20), 0xffff);
	assert_memory_equal(got + 12, ip + 12, 8);
	assert_memory_equal(got + 20, text, 90);
	rte_pktmbuf_free(m);
}

/* An extension header in front of ESP stays, and the last of the chain says what is behind it. */
static void
what_comes_behind_extension_headers_is_the_packet_again(void **state)
{
	static const uint8_t chain[16] = {IPPROTO_ROUTING, 0, 1, 4, 0, 0, 0, 0, IPPROTO_ESP, 0, 4};
	const uint8_t *got;
	struct rte_mbuf *m;
	size_t len;

	put_udp(text, 90);
	len = peer_trailer(sas[T6], text, 90, IPPROTO_UDP);
	len = peer_seal(&peer, sas[T6], 1, text, len, frame);
	memmove(ip + 56, ip + 40, len - 14 - 40);
	memcpy(ip + 40, chain, sizeof(chain));
	ip[6] = IPPROTO_HOPOPTS;
	((struct rte_ipv6_hdr *)ip)->payload_len = rte_cpu_to_be_16((uint16_t)(len - 14 - 40 + 16));
	assert_int_equal(engine_fate(&e, 1, frame, len + 16), DROP_COUNT);
	m = taken(engine_punted(&e, WAN), &got);
	assert_int_equal(rte_pktmbuf_pkt_len(m), 14 + 56 + 90);
	assert_int_equal(rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)got)->payload_len), 106);
	assert_int_equal(got[6], IPPROTO_HOPOPTS);
	assert_int_equal(got[40], IPPROTO_ROUTING);
	assert_int_equal(got[48], IPPROTO_UDP);
	assert_memory_equal(got + 56, text, 90);
	rte_pktmbuf_free(m);
}

static void
B20_what_belongs_in_front_of_esp_is_not_taken_out_of_it(void **state)
{
	static const uint8_t wrong[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT};
	static const uint8_t options[8] = {IPPROTO_UDP, 0, 1, 4};
	uint64_t seq = 1;

	memset(text, 0, 100);
	for (unsigned int i = 0; i < sizeof(wrong); i++) {
		assert_int_equal(fate_of_text(T4, seq, 90, wrong[i]), DROP_NEXT_HEADER);
		assert_int_equal(fate_of_text(T6, seq++, 90, wrong[i]), DROP_NEXT_HEADER);
	}
	assert_int_equal(fate_of_text(T4, seq, 90, IPPROTO_DSTOPTS), DROP_NEXT_HEADER);
	memcpy(text, options, sizeof(options));
	put_udp(text + 8, 82);
	assert_int_equal(fate_of_text(T6, seq, 90, IPPROTO_DSTOPTS), DROP_COUNT);
	rte_pktmbuf_free(engine_punted(&e, WAN));
}

static void
C38_a_fragment_does_not_come_out_of_transport_mode(void **state)
{
	static const uint8_t options[16] = {IPPROTO_FRAGMENT, 0, 1, 4, 0, 0, 0, 0,
					    IPPROTO_UDP,      0, 0, 1};

	memcpy(text, options, sizeof(options));
	put_udp(text + 16, 64);
	assert_int_equal(fate_of_text(T6, 1, 80, IPPROTO_DSTOPTS), DROP_INNER);
	assert_null(engine_punted(&e, WAN));
}

static void
C38_fragments_do_not_go_into_transport_mode(void **state)
{
	size_t l2 = engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_IPV4);
	struct worker_counters c;

	for (unsigned int later = 0; later < 2; later++) {
		put_ipv4(ip, WAN_SELF, WAN_PEER, IPPROTO_UDP, 80);
		put_udp(ip + 20, 80);
		((struct rte_ipv4_hdr *)ip)->fragment_offset =
			later ? RTE_BE16(10) : RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
		mend4(ip);
		assert_null(sent_by_host(l2 + 100));
	}
	workers_sum(e.dp, &c);
	assert_int_equal(c.drops[DROP_FRAGMENT_OUT], 2);
	assert_int_equal(c.sealed, 0);
}

/* Without its own addresses a packet would leave for somebody who has no such SA. */
static void
transport_mode_is_for_its_own_addresses(void **state)
{
	struct spd_params wide = {
		.action = SPD_PROTECT,
		.tmpl = {.family = FAMILY_V4,
			 .proto = IPPROTO_ESP,
			 .mode = SA_MODE_TRANSPORT,
			 .reqid = tunnels[T4].spi},
		.id = {.sel = {.dst = ip_addr_v4(RTE_BE32(0xc0000200)),
			       .dst_len = 24,
			       .family = FAMILY_V4},
		       .dir = SPD_OUT},
	};
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);

	wide.tmpl.src = sas[T4]->dst;
	wide.tmpl.dst = sas[T4]->src;
	assert_int_equal(spd_add(e.dp->spd, &wide, false, NULL), 0);
	put_udp(ip + 20, 60);
	put_ipv4(ip, LAN_HOST, WAN_PEER, IPPROTO_UDP, 60);
	assert_int_equal(engine_fate(&e, 0, frame, l2 + 80), DROP_NO_SA_OUT);
	assert_null(engine_sent(&e, 1));
}

/* RFC 3948 section 3.1.2: the NAT changed the address under the checksum. */
static void
know_original(struct sa_params *p)
{
	p->encap_oa = ip_addr_v4(RTE_BE32(0xc0a80005));
}

static void
know_coaddr(struct sa_params *p)
{
	p->coaddr = ip_addr_v4(RTE_BE32(0xc0a80005));
}

static void
know_nothing(struct sa_params *p)
{
}

/* As its sender made it. */
static void
put_original(uint8_t *at)
{
	uint16_t sum;

	put_ipv4(at, 0xc0a80005, WAN_SELF, IPPROTO_UDP, 64);
	put_udp(at + 20, 64);
	sum = rte_cpu_to_be_16((uint16_t)~naive_l4_sum(at, 20, 84, IPPROTO_UDP));
	memcpy(at + 26, &sum, sizeof(sum));
}

static void
C68_checksums_are_mended_behind_a_nat(void **state)
{
	static void (*const known[])(struct sa_params *) = {know_original, know_coaddr,
							    know_nothing};

	for (unsigned int i = 0; i < RTE_DIM(known); i++) {
		struct tunnel t = behind_nat;
		uint8_t original[20 + 64];
		const struct sa *sa;
		const uint8_t *got;
		struct rte_mbuf *m;
		bool right;
		size_t len;

		t.spi += i;
		t.net += (uint8_t)i;
		peer.change = known[i];
		spd_flush(e.dp->spd);
		sa = peer_tunnel(&peer, &t);
		for (unsigned int wrong = 0; wrong < 2; wrong++) {
			put_original(original);
			memcpy(text, original + 20, 64);
			text[63] ^= (uint8_t)wrong;
			len = peer_trailer(sa, text, 64, IPPROTO_UDP);
			len = peer_seal(&peer, sa, 1 + wrong, text, len, frame);
			assert_int_equal(engine_fate(&e, 1, frame, len), DROP_COUNT);
			m = taken(engine_punted(&e, WAN), &got);
			/* Where it is made anew, what was wrong is not seen any more. */
			right = naive_l4_sum(got, 20, 84, IPPROTO_UDP) == 0xffff;
			assert_int_equal(right, !wrong || known[i] == know_nothing);
			assert_memory_equal(got + 28, text + 8, 56);
			rte_pktmbuf_free(m);
		}
	}
}

/* Cut behind sealing, as ESP is for the whole packet (RFC 4303 section 3.3.4). */
static void
C38_what_is_too_long_in_transport_mode_is_cut_behind_it(void **state)
{
	size_t l2 = engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_IPV4), esp = 0;
	struct rte_mbuf *m;

	put_ipv4(ip, WAN_SELF, WAN_PEER, IPPROTO_UDP, 1480);
	memcpy(text, ip + 20, put_udp(ip + 20, 1480));
	for (m = sent_by_host(l2 + 1500); m != NULL; m = engine_sent(&e, 1)) {
		const struct rte_ipv4_hdr *h =
			rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, l2);
		uint16_t field = rte_be_to_cpu_16(h->fragment_offset);

		assert_int_equal(h->next_proto_id, IPPROTO_ESP);
		assert_int_equal((field & RTE_IPV4_HDR_OFFSET_MASK) * 8, esp);
		assert_int_equal(naive_sum(0, h, 20), 0xffff);
		assert_true(rte_pktmbuf_pkt_len(m) <= l2 + 1500);
		esp += rte_pktmbuf_pkt_len(m) - l2 - 20;
		memcpy(frame, rte_pktmbuf_mtod(m, const void *), l2 + 20);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(rte_be_to_cpu_16(((struct rte_ipv4_hdr *)ip)->fragment_offset) &
				 RTE_IPV4_HDR_MF_FLAG,
			 0);
	assert_int_equal(esp, 8 + 8 + 1480 + 2 + 2 + 16); /* header, IV, padding, trailer, ICV */
}

/* ---- BEET mode ---- */

/* The lan's packet to the tunnel's far host, with options or none. */
static size_t
put_inner_out(unsigned int tunnel, const uint8_t *options, size_t options_len)
{
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);

	put_ipv4(ip, LAN_HOST, peer_host(&tunnels[tunnel]), IPPROTO_UDP, options_len + 64);
	ip[0] = (uint8_t)(0x45 + options_len / 4);
	ip[1] = 0x2a;
	((struct rte_ipv4_hdr *)ip)->fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	memcpy(ip + 20, options, options_len);
	put_udp(ip + 20 + options_len, 64);
	mend4(ip);
	return l2 + 20 + options_len + 64;
}

static void
beet_mode_sends_the_payload_alone(void **state)
{
	struct rte_mbuf *m;
	const uint8_t *sent;

	assert_int_equal(engine_fate(&e, 0, frame, put_inner_out(BEET4, (const uint8_t *)"", 0)),
			 DROP_COUNT);
	put_udp(text, 64);
	m = taken(engine_sent(&e, 1), &sent);
	assert_sealed(BEET4, 1, m, 20, 64, IPPROTO_UDP);
	assert_int_equal(sent[1], 0x2a);
	assert_memory_equal(sent + 4, ip + 4, 4); /* identification and DF */
	assert_int_equal(sent[8], 63);
	assert_int_equal(sent[9], IPPROTO_ESP);
	assert_memory_equal(sent + 12, &sas[BEET4]->dst, 4);
	assert_memory_equal(sent + 16, &sas[BEET4]->src, 4);
	assert_int_equal(naive_sum(0, sent, 20), 0xffff);
	rte_pktmbuf_free(m);

	assert_int_equal(engine_fate(&e, 0, frame, put_inner_out(BEET6, (const uint8_t *)"", 0)),
			 DROP_COUNT);
	m = taken(engine_sent(&e, 1), &sent);
	assert_sealed(BEET6, 1, m, 40, 64, IPPROTO_UDP);
	assert_memory_equal(sent, "\x62\xa0\0\0", 4);
	assert_int_equal(rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)sent)->payload_len),
			 rte_pktmbuf_pkt_len(m) - 14 - 40);
	assert_int_equal(sent[7], 63);
	rte_pktmbuf_free(m);
}

static void
beet_mode_clears_df_where_it_is_told_to(void **state)
{
	struct rte_mbuf *m;
	const uint8_t *sent;

	peer_outbound(&peer, &tunnels[BEET4])->sa->flags |= SA_NOPMTUDISC;
	assert_int_equal(engine_fate(&e, 0, frame, put_inner_out(BEET4, (const uint8_t *)"", 0)),
			 DROP_COUNT);
	m = taken(engine_sent(&e, 1), &sent);
	assert_memory_equal(sent + 6, "\0\0", 2);
	rte_pktmbuf_free(m);
}

/* Options of any length that there is, out and in: a pseudo header that ends on 8 bytes. */
static void
beet_mode_carries_ipv4_options_behind_a_pseudo_header(void **state)
{
	for (size_t len = 4; len <= 40; len += 4) {
		uint8_t options[40];
		size_t pad = len % 8 == 0 ? 4 : 0;
		const uint8_t *at;
		struct rte_mbuf *m;

		memset(options, 1, sizeof(options));
		options[len - 1] = 0;
		assert_int_equal(engine_fate(&e, 0, frame, put_inner_out(BEET4, options, len)),
				 DROP_COUNT);
		memcpy(text,
		       (uint8_t[]){IPPROTO_UDP, (uint8_t)(len / 8), (uint8_t)pad, 0, 1, 1, 1, 1},
		       8);
		memcpy(text + 4 + pad, options, len);
		put_udp(text + 4 + pad + len, 64);
		m = taken(engine_sent(&e, 1), &at);
		assert_sealed(BEET4, len / 4, m, 20, 4 + pad + len + 64, BEETPH);
		rte_pktmbuf_free(m);

		assert_int_equal(fate_of_text(BEET4, len / 4, 4 + pad + len + 64, BEETPH),
				 DROP_COUNT);
		m = taken(engine_sent(&e, 0), &at);
		assert_int_equal(rte_pktmbuf_pkt_len(m), 14 + 20 + len + 64);
		assert_int_equal(at[0], 0x45 + len / 4);
		assert_int_equal(at[9], IPPROTO_UDP);
		assert_int_equal(naive_sum(0, at, 20 + len), 0xffff);
		assert_memory_equal(at + 20, options, len);
		assert_memory_equal(at + 20 + len, text + 4 + pad + len, 64);
		rte_pktmbuf_free(m);
	}
}

static void
beet_mode_gives_the_inner_header_back(void **state)
{
	for (unsigned int t = BEET4; t <= BEET6; t++) {
		const uint8_t *got;
		struct rte_mbuf *m;
		uint32_t far = rte_cpu_to_be_32(peer_host(&tunnels[t]));

		put_udp(text, 64);
		assert_int_equal(fate_of_text(t, 1, 64, IPPROTO_UDP), DROP_COUNT);
		m = taken(engine_sent(&e, 0), &got);
		assert_int_equal(rte_pktmbuf_pkt_len(m), 14 + 20 + 64);
		assert_int_equal(got[0], 0x45);
		assert_int_equal(got[8], 63); /* 64 outside */
		assert_int_equal(got[9], IPPROTO_UDP);
		assert_memory_equal(got + 12, &far, 4);
		assert_memory_equal(got + 16, "\x0a\x01\0\x02", 4);
		assert_int_equal(naive_sum(0, got, 20), 0xffff);
		assert_memory_equal(got + 20, text, 64);
		rte_pktmbuf_free(m);
	}
}

static void
B20_B21_a_pseudo_header_that_is_not_right_is_dropped(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t len;
		enum drop_reason reason;
	} wrong[] = {
		{{IPPROTO_UDP, 0, 4, 0, 1, 1, 1, 1}, 3, DROP_INNER}, /* cut */
		{{IPPROTO_UDP, 0, 4, 0, 1, 1, 1, 1}, 5, DROP_INNER},
		{{IPPROTO_UDP, 1, 0, 0, 1, 1, 1, 1}, 15, DROP_INNER}, /* beyond its place */
		{{IPPROTO_UDP, 0, 3, 0, 1, 1, 1, 1}, 64, DROP_INNER},
		{{IPPROTO_UDP, 0, 8, 0, 1, 1, 1, 1}, 64, DROP_INNER},
		{{IPPROTO_UDP, 5, 0, 0, 1, 1, 1, 1}, 128, DROP_INNER},    /* 44 bytes of options */
		{{IPPROTO_UDP, 128, 4, 0, 1, 1, 1, 1}, 1100, DROP_INNER}, /* 1024 */
		{{BEETPH, 0, 4, 0, 1, 1, 1, 1}, 64, DROP_NEXT_HEADER},
		{{IPPROTO_FRAGMENT, 0, 4, 0, 1, 1, 1, 1}, 64, DROP_NEXT_HEADER},
		{{IPPROTO_HOPOPTS, 0, 4, 0, 1, 1, 1, 1}, 64, DROP_NEXT_HEADER},
	};
	uint64_t seq = 1;

	for (unsigned int i = 0; i < RTE_DIM(wrong); i++) {
		memset(text, 1, 1100);
		memcpy(text, wrong[i].bytes, 8);
		assert_int_equal(fate_of_text(BEET4, seq++, wrong[i].len, BEETPH), wrong[i].reason);
	}
	assert_int_equal(fate_of_text(BEET4, seq++, 64, IPPROTO_FRAGMENT), DROP_NEXT_HEADER);
	assert_int_equal(fate_of_text(BEET4, seq++, 64, IPPROTO_ROUTING), DROP_NEXT_HEADER);
	assert_null(engine_sent(&e, 0));
}

static void
C38_fragments_do_not_go_into_beet_mode(void **state)
{
	size_t len = put_inner_out(BEET4, (const uint8_t *)"", 0);

	((struct rte_ipv4_hdr *)ip)->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
	mend4(ip);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_FRAGMENT_OUT);
	assert_null(engine_sent(&e, 1));
}

/* ---- packets of a burst ---- */

static void
discard_port(enum spd_dir dir, uint16_t port)
{
	struct spd_params p = {
		.action = SPD_DISCARD,
		.id = {.dir = (uint8_t)dir,
		       .sel = {.family = FAMILY_V4,
			       .proto = IPPROTO_UDP,
			       .dport = rte_cpu_to_be_16(port),
			       .dport_mask = UINT16_MAX}},
	};

	assert_int_equal(spd_add(e.dp->spd, &p, false, NULL), 0);
}

/* Receives a datagram, after `front` bytes that stand in the text, and lets nobody look at it yet.
 */
static void
receive_udp(unsigned int tunnel, uint64_t seq, size_t front, uint8_t next, uint16_t sport,
	    uint16_t dport)
{
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(text + front);
	size_t len = front + put_udp(text + front, 64);

	udp->src_port = rte_cpu_to_be_16(sport);
	udp->dst_port = rte_cpu_to_be_16(dport);
	len = peer_trailer(sas[tunnel], text, len, next);
	len = peer_seal(&peer, sas[tunnel], seq, text, len, frame);
	engine_receive(&e, 1, engine_frame(&e, frame, len));
}

static void
assert_outside_the_selectors(uint64_t n)
{
	struct worker_counters c;

	engine_settle(&e);
	workers_sum(e.dp, &c);
	assert_int_equal(c.drops[DROP_SELECTOR], n);
	engine_drain(&e);
}

static void
C52_each_packet_of_a_burst_has_ports_of_its_own(void **state)
{
	static const uint8_t pseudo[8] = {IPPROTO_UDP, 0, 4, 0, 1, 1, 1, 1};

	discard_port(SPD_IN, 53);
	discard_port(SPD_FWD, 53);
	for (uint64_t seq = 1; seq < 9; seq++)
		receive_udp(T4, seq, 0, IPPROTO_UDP, 1111, seq % 4 == 0 ? 53 : 2222);
	assert_outside_the_selectors(2);
	for (uint64_t seq = 1; seq < 9; seq++)
		receive_udp(BEET4, seq, 0, IPPROTO_UDP, 1111, seq % 4 == 0 ? 53 : 2222);
	assert_outside_the_selectors(4);
	/* A pseudo header that looks like the ports of the datagram before. */
	memcpy(text, pseudo, sizeof(pseudo));
	for (uint64_t seq = 9; seq < 17; seq++)
		receive_udp(BEET4, seq, sizeof(pseudo), BEETPH, IPPROTO_UDP << 8,
			    seq % 4 == 0 ? 53 : 4 << 8);
	assert_outside_the_selectors(6);
}

static int
setup(void **state)
{
	peer_begin(&peer, &e, 1, tunnels, TUNNELS, sas);
	*state = &peer;
	return 0;
}

static int
setup_nat(void **state)
{
	peer_begin(&peer, &e, 1, NULL, 0, NULL);
	*state = &peer;
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, peer_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(C43_transport_mode_keeps_the_ipv4_header),
		TEST(transport_mode_stands_behind_what_routers_read),
		TEST(what_comes_in_transport_mode_is_the_packet_again),
		TEST(what_comes_behind_extension_headers_is_the_packet_again),
		TEST(B20_what_belongs_in_front_of_esp_is_not_taken_out_of_it),
		TEST(C38_a_fragment_does_not_come_out_of_transport_mode),
		TEST(C38_fragments_do_not_go_into_transport_mode),
		TEST(transport_mode_is_for_its_own_addresses),
		cmocka_unit_test_setup_teardown(C68_checksums_are_mended_behind_a_nat, setup_nat,
						peer_teardown),
		TEST(C38_what_is_too_long_in_transport_mode_is_cut_behind_it),
		TEST(beet_mode_sends_the_payload_alone),
		TEST(beet_mode_clears_df_where_it_is_told_to),
		TEST(beet_mode_carries_ipv4_options_behind_a_pseudo_header),
		TEST(beet_mode_gives_the_inner_header_back),
		TEST(B20_B21_a_pseudo_header_that_is_not_right_is_dropped),
		TEST(C38_fragments_do_not_go_into_beet_mode),
		TEST(C52_each_packet_of_a_burst_has_ports_of_its_own),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
