/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reassembly: in whatever order fragments come, the datagram is what was cut; what does not fit
 * together is dropped whole, each fragment for one reason; and what waits is bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/frag.h"
#include "dataplane/ip_parse.h"
#include "dataplane/reassembly.h"
#include "dataplane/room.h"
#include "engine.h"
#include "frame.h"

#define MAX_SETS  16
#define MAX_BYTES (1u << 18)
#define TIMEOUT   5
#define IKE       RTE_BE16(500)

static struct engine e;
static uint8_t datagram[70000]; /* the payload that is cut */
static uint8_t frame[4096];

struct cut {
	uint8_t family;
	uint32_t number; /* identification */
	uint32_t start, end;
	bool more;
	uint8_t proto; /* 0: ESP */
	uint8_t tos;
	unsigned int host; /* which of the peer's addresses sends it */
};

static int
setup(void **state)
{
	engine_start(&e, *state != NULL ? 2 : 1);
	srand(31);
	for (size_t i = 0; i < sizeof(datagram); i++)
		datagram[i] = (uint8_t)rand();
	return 0;
}

static int
teardown(void **state)
{
	engine_stop(&e);
	return 0;
}

static uint8_t
proto_of(const struct cut *c)
{
	return c->proto != 0 ? c->proto : IPPROTO_ESP;
}

/* The fragment's IP packet at `at`. Returns its length. */
static size_t
put_v4(uint8_t *at, const struct cut *c)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)at;
	size_t len = put_ipv4(at, WAN_PEER + c->host, WAN_SELF, proto_of(c), c->end - c->start);

	ip->type_of_service = c->tos;
	ip->packet_id = rte_cpu_to_be_16((uint16_t)c->number);
	ip->fragment_offset = rte_cpu_to_be_16((uint16_t)(c->start / 8 | (c->more ? 0x2000 : 0)));
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, sizeof(*ip)));
	memcpy(ip + 1, datagram + c->start, c->end - c->start);
	return len;
}

static size_t
put_v6(uint8_t *at, const struct cut *c)
{
	uint16_t field = (uint16_t)(c->start | c->more);
	size_t len = put_ipv6(at, 0x99, 0x99, IPPROTO_FRAGMENT, 8 + c->end - c->start);

	at[0] |= (uint8_t)(c->tos >> 4);
	at[1] |= (uint8_t)(c->tos << 4);
	at[23] = (uint8_t)(2 + c->host);
	at[39] = 1; /* ourselves */
	memset(at + 40, 0, 8);
	at[40] = proto_of(c);
	at[42] = (uint8_t)(field >> 8);
	at[43] = (uint8_t)field;
	at[46] = (uint8_t)(c->number >> 8);
	at[47] = (uint8_t)c->number;
	memcpy(at + 48, datagram + c->start, c->end - c->start);
	return len;
}

static size_t
put_cut(uint8_t *at, const struct cut *c)
{
	return c->family == FAMILY_V4 ? put_v4(at, c) : put_v6(at, c);
}

/* Gives worker 0 a fragment as classify would. Returns the whole, if that completes it. */
static struct rte_mbuf *
add_packet(const uint8_t *ip, size_t len)
{
	struct worker *w = e.dp->workers[0];
	struct rte_mbuf *m = engine_frame(&e, ip, len);
	enum drop_reason reason;

	*packet(m) = (struct packet){.in = WAN, .out = IFACE_NONE};
	room_fit(m, 0);
	assert_true(ip_parse(m, true, &reason));
	assert_int_not_equal(packet(m)->fragment, 0);
	w->count.received++;
	m = reassembly_add(w, m);
	if (m != NULL)
		w->count.forwarded++;
	engine_check(&e);
	return m;
}

static struct rte_mbuf *
add(const struct cut *c)
{
	return add_packet(frame, put_cut(frame, c));
}

static void
drop(const struct cut *c, enum drop_reason reason, uint64_t drops)
{
	uint64_t *count = &e.dp->workers[0]->count.drops[reason], before = *count;

	assert_null(add(c));
	assert_int_equal(*count - before, drops);
}

static uint64_t
waiting(void)
{
	const struct worker_counters *c = &e.dp->workers[0]->count;

	return c->held - c->resumed;
}

/* The packet is the datagram of `len` bytes, and says nothing of fragments. Frees it. */
static void
check_whole(struct rte_mbuf *m, const struct cut *c, uint32_t len)
{
	uint32_t header = c->family == FAMILY_V4 ? 20 : 40;
	const uint8_t *ip;
	enum drop_reason reason;

	assert_non_null(m);
	ip = rte_pktmbuf_mtod(m, const uint8_t *);
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->pkt_len, header + len);
	assert_int_equal(m->data_len, header + len);
	assert_true(ip_parse(m, true, &reason)); /* lengths and checksum are right */
	assert_int_equal(m->pkt_len, header + len);
	assert_int_equal(packet(m)->fragment, 0);
	assert_int_equal(packet(m)->proto, proto_of(c));
	assert_int_equal(packet(m)->l4_off, header);
	if (c->family == FAMILY_V4)
		assert_memory_equal(ip + 6, "\0\0", 2); /* offset and MF */
	assert_memory_equal(ip + header, datagram, len);
	assert_int_equal(waiting(), 0);
	rte_pktmbuf_free(m);
}

/* The next permutation of n numbers in the order of their rank; false behind the last. */
static bool
next_order(unsigned int *order, unsigned int n)
{
	unsigned int i = n - 1, k = n - 1;

	while (i > 0 && order[i - 1] > order[i])
		i--;
	if (i == 0)
		return false;
	while (order[k] < order[i - 1])
		k--;
	RTE_SWAP(order[i - 1], order[k]);
	for (k = n - 1; i < k; i++, k--)
		RTE_SWAP(order[i], order[k]);
	return true;
}

static void
C37_fragments_in_every_order_make_the_datagram_again(void **state)
{
	for (unsigned int n = 2; n <= 5; n++) {
		unsigned int order[] = {0, 1, 2, 3, 4};
		uint32_t len = n * 200 - 37;

		for (uint32_t number = 1; number == 1 || next_order(order, n); number++) {
			for (uint8_t family = FAMILY_V4; family <= FAMILY_V6; family += 2) {
				struct rte_mbuf *m = NULL;
				struct cut c = {.family = family, .number = number};

				for (unsigned int i = 0; i < n; i++) {
					assert_null(m);
					c.start = order[i] * 200;
					c.more = order[i] + 1 < n;
					c.end = c.more ? c.start + 200 : len;
					m = add(&c);
				}
				check_whole(m, &c, len);
			}
		}
	}
	assert_true(e.dp->workers[0]->count.consumed > 0);
}

static void
any_cuts_in_any_order_make_the_datagram_again(void **state)
{
	for (uint32_t round = 0; round < 3000; round++) {
		uint32_t len = 16 + (uint32_t)rand() % 1400, n = 0;
		struct cut c[64] = {{0}}, swap;
		struct rte_mbuf *m = NULL;

		for (uint32_t at = 0; at < len; n++) {
			uint32_t size = 8 + (uint32_t)rand() % 30 * 8;

			c[n] = (struct cut){.family = round % 2 ? FAMILY_V4 : FAMILY_V6,
					    .number = round,
					    .start = at,
					    .end = RTE_MIN(at + size, len),
					    .more = at + size < len};
			at = c[n].end;
		}
		if (n == 1)
			continue;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t k = i + (uint32_t)rand() % (n - i);

			swap = c[i];
			c[i] = c[k];
			c[k] = swap;
		}
		for (uint32_t i = 0; i < n; i++) {
			m = add(&c[i]);
			if (i + 1 < n && rand() % 4 == 0)
				drop(&c[(uint32_t)rand() % (i + 1)], DROP_FRAG_DUPLICATE, 1);
		}
		check_whole(m, &c[0], len);
	}
}

static void
time_out(void)
{
	e.dp->workers[0]->tsc += TIMEOUT * rte_get_tsc_hz();
	engine_settle(&e);
	assert_int_equal(waiting(), 0);
}

static void
B8_overlaps_of_every_kind_discard_the_datagram(void **state)
{
	uint32_t number = 0;

	for (uint8_t family = FAMILY_V4; family <= FAMILY_V6; family += 2) {
		for (uint32_t start = 0; start < 56; start += 8) {
			for (uint32_t end = start + 8; end <= 64; end += 8) {
				struct cut base = {family, ++number, 16, 40, true, 0, 0, 0};
				struct cut c = {family, number, start, end, true, 0, 0, 0};
				struct cut rest = {family, number, 72, 80, false, 0, 0, 0};

				assert_null(add(&base));
				if (end <= 16 || start >= 40) {
					assert_null(add(&c));
					assert_int_equal(waiting(), 2);
				} else if (start == 16 && end == 40) {
					drop(&c, DROP_FRAG_DUPLICATE, 1);
					assert_int_equal(waiting(), 1);
					datagram[20] ^= 1; /* not the same, only the same place */
					drop(&c, DROP_FRAG_OVERLAP, 2);
					datagram[20] ^= 1;
				} else {
					drop(&c, DROP_FRAG_OVERLAP, 2);
				}
				if (waiting() == 0) /* what is still to come is lost as well */
					drop(&rest, DROP_FRAG_OVERLAP, 1);
				time_out();
			}
		}
	}
}

static void
fragments_that_cannot_be_are_dropped_alone(void **state)
{
	static const struct cut bad[] = {
		{FAMILY_V4, 1, 0, 0, true, 0, 0, 0},
		{FAMILY_V4, 1, 8, 8, false, 0, 0, 0},
		{FAMILY_V4, 1, 8, 17, true, 0, 0, 0},
		{FAMILY_V4, 1, 0, 7, true, 0, 0, 0},
		{FAMILY_V6, 1, 8, 8, false, 0, 0, 0},
		{FAMILY_V6, 1, 8, 17, true, 0, 0, 0},
		{FAMILY_V6, 1, 65528, 65534, false, 0, 0, 0},
		{FAMILY_V6, 1, 65480, 65500, false, 0, 0, 0},
	};

	for (size_t i = 0; i < RTE_DIM(bad); i++) {
		drop(&bad[i], DROP_FRAG_BAD, 1);
		assert_int_equal(waiting(), 0);
	}
}

static void
ends_that_contradict_each_other_discard_the_datagram(void **state)
{
	static const struct {
		struct cut first, second;
	} pairs[] = {
		{{.start = 80, .end = 90}, {.start = 96, .end = 104, .more = true}},
		{{.start = 96, .end = 104, .more = true}, {.start = 80, .end = 90}},
		{{.start = 80, .end = 96}, {.start = 96, .end = 99}},
		{{.start = 80, .end = 99}, {.start = 64, .end = 72}},
		{{.start = 80, .end = 96, .more = true}, {.start = 64, .end = 80}},
	};

	for (uint32_t i = 0; i < 2 * RTE_DIM(pairs); i++) {
		struct cut first = pairs[i / 2].first, second = pairs[i / 2].second;

		first.family = second.family = i % 2 ? FAMILY_V4 : FAMILY_V6;
		first.number = second.number = i;
		assert_null(add(&first));
		drop(&second, DROP_FRAG_BAD, 2);
		assert_int_equal(waiting(), 0);
	}
}

static void
fill_with_sets(uint8_t family)
{
	const uint64_t *limit = &e.dp->workers[0]->count.drops[DROP_FRAG_LIMIT], before = *limit;
	struct cut c = {.family = family, .end = 80, .more = true};
	struct rte_mbuf *m;

	for (c.number = 0; c.number < MAX_SETS; c.number++)
		assert_null(add(&c));
	assert_int_equal(*limit, before);
	assert_null(add(&c));
	assert_int_equal(*limit, before + 1);
	assert_int_equal(waiting(), MAX_SETS);
	/* The second is still there: it completes. */
	c = (struct cut){.family = family, .number = 1, .start = 80, .end = 99};
	m = add(&c);
	assert_non_null(m);
	rte_pktmbuf_free(m);
	assert_int_equal(waiting(), MAX_SETS - 1);
	/* The first is not. */
	c.number = 0;
	assert_null(add(&c));
}

static void
B8_the_oldest_datagram_gives_way_when_there_are_too_many(void **state)
{
	fill_with_sets(FAMILY_V4);
	time_out();
	fill_with_sets(FAMILY_V6);
}

static void
B8_buffers_are_bounded_in_bytes(void **state)
{
	struct cut c = {.more = true};
	struct rte_mbuf *m = engine_frame(&e, frame, 1);
	uint64_t fit = MAX_BYTES / reassembly_cost(m);

	rte_pktmbuf_free(m);
	for (uint32_t i = 0; i < 300; i++) {
		c.family = i % 2 ? FAMILY_V4 : FAMILY_V6;
		c.number = i / 100;
		c.start = i % 100 * 8;
		c.end = c.start + 8;
		assert_null(add(&c));
		assert_true(waiting() <= fit);
	}
	assert_true(e.dp->workers[0]->count.drops[DROP_FRAG_LIMIT] >= 300 - fit);
}

static void
B8_a_datagram_is_bounded_in_fragments(void **state)
{
	struct rte_mbuf *m = engine_frame(&e, frame, 1);

	/* The bytes must not be what ends it here. */
	assert_true(MAX_BYTES / reassembly_cost(m) < REASSEMBLY_FRAGMENTS_MAX);
	rte_pktmbuf_free(m);
	worker_free(e.dp->workers[0]);
	e.config.reassembly.max_bytes *= 4;
	e.dp->workers[0] = worker_new(e.dp, 0, rte_get_main_lcore(), NULL);
	for (uint8_t family = FAMILY_V4; family <= FAMILY_V6; family += 2) {
		struct cut c = {.family = family, .end = 8, .more = true};

		for (uint32_t i = 0; i < REASSEMBLY_FRAGMENTS_MAX; i++) {
			assert_null(add(&c));
			c.start += 8;
			c.end += 8;
		}
		drop(&c, DROP_FRAG_LIMIT, REASSEMBLY_FRAGMENTS_MAX + 1);
		assert_int_equal(waiting(), 0);
	}
}

static void
B8_what_waits_too_long_is_dropped(void **state)
{
	struct worker *w = e.dp->workers[0];
	uint64_t second = rte_get_tsc_hz();
	struct cut c = {.family = FAMILY_V6, .number = 1, .end = 80, .more = true};

	assert_null(add(&c));
	w->tsc += second;
	c.number = 2;
	assert_null(add(&c));
	c = (struct cut){.family = FAMILY_V6, .number = 2, .start = 160, .end = 200, .more = true};
	assert_null(add(&c));
	w->tsc += (TIMEOUT - 1) * second - 1;
	engine_settle(&e);
	assert_int_equal(waiting(), 3);
	w->tsc++;
	engine_settle(&e);
	assert_int_equal(waiting(), 2);
	assert_int_equal(w->count.drops[DROP_FRAG_TIMEOUT], 1);
	w->tsc += second;
	engine_settle(&e);
	assert_int_equal(waiting(), 0);
	assert_int_equal(w->count.drops[DROP_FRAG_TIMEOUT], 3);
	assert_int_equal(w->reassembly_due, UINT64_MAX);
	engine_check(&e);
}

static void
C37_congestion_seen_by_one_fragment_is_seen_by_the_whole(void **state)
{
	for (uint8_t first = 0; first < 4; first++) {
		for (uint8_t second = 0; second < 4; second++) {
			uint8_t family = (first + second) % 2 ? FAMILY_V4 : FAMILY_V6;
			struct cut a = {family, first * 4u + second, 0, 80, true, 0, first, 0};
			struct cut b = {family, a.number, 80, 90, false, 0, second, 0};
			bool ce = first == 3 || second == 3, not_ect = first == 0 || second == 0;
			struct rte_mbuf *m;
			const uint8_t *ip;

			assert_null(add(&a));
			if (ce && not_ect) {
				drop(&b, DROP_FRAG_BAD, 2);
				continue;
			}
			m = add(&b);
			assert_non_null(m);
			ip = rte_pktmbuf_mtod(m, const uint8_t *);
			assert_int_equal(family == FAMILY_V4 ? ip[1] : ip[1] >> 4, ce ? 3 : first);
			check_whole(m, &a, 90);
		}
	}
}

/* Hop-by-hop options stand in every fragment, destination options in the first. */
static void
ipv6_extension_headers_stay_where_they_stood(void **state)
{
	static const uint8_t options[8] = {IPPROTO_FRAGMENT, 0, 1, 4, 0, 0, 0, 0};
	struct cut c = {.family = FAMILY_V6, .proto = IPPROTO_DSTOPTS, .more = true, .end = 80};
	struct rte_mbuf *m = NULL;

	memcpy(datagram, "\x32\x00\x01\x04\x00\x00\x00\x00", 8); /* then ESP */
	for (unsigned int i = 0; i < 2; i++) {
		size_t len = put_v6(frame, &c);

		memmove(frame + 48, frame + 40, len - 40);
		memcpy(frame + 40, options, 8);
		frame[6] = IPPROTO_HOPOPTS;
		frame[5] = (uint8_t)(frame[5] + 8);
		m = add_packet(frame, len + 8);
		c = (struct cut){.family = FAMILY_V6, .proto = 60, .start = 80, .end = 100};
	}
	assert_non_null(m);
	assert_true(ip_parse(m, true, &(enum drop_reason){0}));
	assert_int_equal(m->pkt_len, 40 + 8 + 100);
	assert_int_equal(packet(m)->proto, IPPROTO_ESP);
	assert_int_equal(packet(m)->l4_off, 56);
	assert_int_equal(rte_pktmbuf_mtod(m, const uint8_t *)[40], IPPROTO_DSTOPTS);
	assert_memory_equal(rte_pktmbuf_mtod_offset(m, const uint8_t *, 48), datagram, 100);
	rte_pktmbuf_free(m);
}

static void
strangers_fragments_do_not_mix(void **state)
{
	struct cut a = {.family = FAMILY_V4, .number = 5, .end = 80, .more = true};
	struct cut b = {.family = FAMILY_V4, .number = 5, .start = 80, .end = 100};

	assert_null(add(&a));
	b.number = 6;
	assert_null(add(&b));
	b.number = 5;
	b.host = 1;
	assert_null(add(&b));
	b.host = 0;
	b.proto = IPPROTO_AH;
	assert_null(add(&b));
	b.proto = 0;
	e.dp->ifaces[WAN].side = SIDE_PROTECTED; /* as if it came from there */
	assert_null(add(&b));
	e.dp->ifaces[WAN].side = SIDE_UNPROTECTED;
	assert_int_equal(waiting(), 5);
	rte_pktmbuf_free(add(&b));
	assert_int_equal(waiting(), 4);
}

/* ---- from the wire ---- */

static void
receive(const struct cut *c)
{
	size_t l2 = engine_put_l2(
		&e, frame, 1, c->family == FAMILY_V4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);

	engine_receive(&e, 1, engine_frame(&e, frame, l2 + put_cut(frame + l2, c)));
	engine_settle(&e);
	engine_check(&e);
}

/* A UDP datagram of `len` bytes in fragments of at most `size`, from the peer. */
static void
receive_all(struct cut c, uint32_t len, uint32_t size)
{
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)datagram;

	*udp = (struct rte_udp_hdr){
		.src_port = IKE, .dst_port = IKE, .dgram_len = rte_cpu_to_be_16((uint16_t)len)};
	c.proto = IPPROTO_UDP;
	for (c.start = 0; c.start < len; c.start = c.end) {
		c.end = RTE_MIN(c.start + size, len);
		c.more = c.end < len;
		receive(&c);
	}
}

static void
ike_in_fragments_goes_to_the_host_as_one_packet(void **state)
{
	static const uint32_t sizes[] = {1500, 2000, 3000, 9000, 65340};

	e.config.spd.no_match = NO_MATCH_DISCARD; /* later fragments show no ports */
	for (uint8_t family = FAMILY_V4; family <= FAMILY_V6; family += 2) {
		for (uint32_t i = 0; i < RTE_DIM(sizes); i++) {
			uint32_t len = sizes[i], ip_len = family == FAMILY_V4 ? 20 : 40;
			struct cut c = {.family = family, .number = i, .host = i};
			struct rte_mbuf *m;

			receive_all(c, len, i % 2 ? 1480 : 1232);
			m = engine_punted(&e, WAN);
			assert_non_null(m);
			assert_int_equal(m->pkt_len, 14 + ip_len + len);
			assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *), frame, 14);
			assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *) + 14 + ip_len,
					    datagram, len);
			rte_pktmbuf_free(m);
			assert_null(engine_punted(&e, WAN));
		}
	}
}

static void
workers_put_together_what_each_has_a_part_of(void **state)
{
	e.config.spd.no_match = NO_MATCH_DISCARD;
	for (uint32_t host = 0; host < 60; host++) {
		struct cut c = {.family = FAMILY_V4, .number = 9, .host = host};

		receive_all(c, 3000, 1480);
		assert_int_equal(rte_ring_count(e.dp->ifaces[WAN].to_host), host + 1);
	}
	for (unsigned int i = 0; i < 2; i++) /* both had some */
		assert_true(e.dp->workers[i]->count.consumed > 10);
}

static void
one_byte_more_than_a_buffer_has_is_too_much(void **state)
{
	struct cut c = {.family = FAMILY_V4, .number = 1};
	struct worker_counters count;
	struct rte_mbuf *m;
	uint32_t most = UINT16_MAX - RTE_PKTMBUF_HEADROOM - 20;

	receive_all(c, most, 1480);
	m = engine_punted(&e, WAN);
	assert_non_null(m);
	rte_pktmbuf_free(m);
	c.number++;
	receive_all(c, most + 1, 1480);
	assert_null(engine_punted(&e, WAN));
	workers_sum(e.dp, &count);
	assert_int_equal(count.drops[DROP_NO_BUF], (most + 1479) / 1480);
}

static void
without_large_buffers_large_packets_are_dropped(void **state)
{
	struct rte_mbuf *all[LARGE_PACKETS];
	struct cut c = {.family = FAMILY_V4, .number = 1};
	struct worker_counters count;

	assert_int_equal(rte_pktmbuf_alloc_bulk(e.dp->large_pool, all, LARGE_PACKETS), 0);
	receive_all(c, 5000, 1480);
	assert_null(engine_punted(&e, WAN));
	workers_sum(e.dp, &count);
	assert_int_equal(count.drops[DROP_NO_BUF], 4);
	rte_pktmbuf_free_bulk(all, LARGE_PACKETS);
}

static void
C36_lost_fragments_of_esp_are_counted(void **state)
{
	struct cut c = {.family = FAMILY_V4, .number = 1, .end = 80, .more = true};

	receive(&c);
	for (unsigned int i = 0; i < e.dp->workers_count; i++)
		e.dp->workers[i]->tsc += TIMEOUT * rte_get_tsc_hz();
	engine_settle(&e);
	engine_check(&e);
	struct worker_counters count;
	workers_sum(e.dp, &count);
	assert_int_equal(count.drops[DROP_FRAG_TIMEOUT], 1);
}

static void
C37_esp_put_together_is_looked_up(void **state)
{
	struct cut c = {.family = FAMILY_V6, .number = 1, .end = 80, .more = true};
	struct worker_counters count;

	memcpy(datagram, "\0\1\0\1", 4); /* an SPI that no SA has */
	receive(&c);
	c = (struct cut){.family = FAMILY_V6, .number = 1, .start = 80, .end = 100};
	receive(&c);
	workers_sum(e.dp, &count);
	assert_int_equal(count.drops[DROP_NO_SA], 1);
	assert_int_equal(count.consumed, 1);
}

static void
atomic_fragments_wait_for_nothing(void **state)
{
	struct cut c = {.family = FAMILY_V6, .number = 1, .end = 80};
	struct worker_counters count;

	receive(&c); /* RFC 6946 */
	workers_sum(e.dp, &count);
	assert_int_equal(count.held, 0);
	assert_int_equal(count.drops[DROP_NO_SA], 1);
}

static void
fragments_for_others_are_forwarded_as_they_are(void **state)
{
	for (uint32_t start = 0; start < 200; start += 80) {
		struct cut c = {.family = FAMILY_V4,
				.number = 1,
				.start = start,
				.end = start + 80,
				.more = start < 160};
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + 14);
		size_t l2 = engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_IPV4), len;
		struct rte_mbuf *m;

		len = l2 + put_v4(frame + l2, &c);
		ip->dst_addr = rte_cpu_to_be_32(LAN_HOST);
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, sizeof(*ip)));
		assert_int_equal(engine_fate(&e, 1, frame, len), DROP_COUNT);
		m = engine_sent(&e, 0);
		assert_non_null(m);
		assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *) + 34, frame + 34, 80);
		rte_pktmbuf_free(m);
	}
}

#define one(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define two(f)                                                                                     \
	{                                                                                          \
#f " with two workers", f, setup, teardown, &e                                     \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		one(C37_fragments_in_every_order_make_the_datagram_again),
		one(any_cuts_in_any_order_make_the_datagram_again),
		one(B8_overlaps_of_every_kind_discard_the_datagram),
		one(fragments_that_cannot_be_are_dropped_alone),
		one(ends_that_contradict_each_other_discard_the_datagram),
		one(B8_the_oldest_datagram_gives_way_when_there_are_too_many),
		one(B8_buffers_are_bounded_in_bytes),
		one(B8_a_datagram_is_bounded_in_fragments),
		one(B8_what_waits_too_long_is_dropped),
		one(C37_congestion_seen_by_one_fragment_is_seen_by_the_whole),
		one(ipv6_extension_headers_stay_where_they_stood),
		one(strangers_fragments_do_not_mix),
		one(ike_in_fragments_goes_to_the_host_as_one_packet),
		two(ike_in_fragments_goes_to_the_host_as_one_packet),
		two(workers_put_together_what_each_has_a_part_of),
		one(one_byte_more_than_a_buffer_has_is_too_much),
		one(without_large_buffers_large_packets_are_dropped),
		one(C36_lost_fragments_of_esp_are_counted),
		two(C36_lost_fragments_of_esp_are_counted),
		one(C37_esp_put_together_is_looked_up),
		two(C37_esp_put_together_is_looked_up),
		one(atomic_fragments_wait_for_nothing),
		one(fragments_for_others_are_forwarded_as_they_are),
		two(fragments_for_others_are_forwarded_as_they_are),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
