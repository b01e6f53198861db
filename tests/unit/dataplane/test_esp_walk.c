/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The real stages, two gateways in one process: what the outbound walk of one seals, the inbound
 * walk of the other opens, for every suite, family and kind of sequence number; and packets that
 * were tampered with get their one reason, without anything having moved. No ports, no root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "dataplane/esp.h"
#include "dataplane/ip_parse.h"
#include "dataplane/room.h"
#include "dataplane/sa_wait.h"
#include "dataplane/walk.h"
#include "dataplane/worker.h"

#define SPI       0x12345678
#define POOL_SIZE 255

static struct rte_mempool *pool;
static struct crypto_ctx *contexts[CRYPTO_BACKENDS];

/* A gateway without ports: interface 0 protected, 1 unprotected. */
struct gateway {
	struct config config;
	struct dataplane *dp;
	struct worker *w;
	struct crypto_ctx *crypto;
};

static union ip_addr
address(uint8_t family, uint8_t last)
{
	union ip_addr a = {.bytes = {10, 0, 0, last}};

	if (family == FAMILY_V6)
		a = (union ip_addr){.bytes = {0x20, 0x01, 0x0d, 0xb8, [15] = last}};
	return a;
}

/* That backend where it has the suite, and else the one that has all. */
static enum crypto_backend
backend_for(enum crypto_backend wanted, unsigned int suite)
{
	return crypto_key_size(contexts[wanted], suite) != 0 ? wanted : CRYPTO_OPENSSL;
}

static void
gateway_start(struct gateway *g, enum crypto_backend backend)
{
	struct reason why = {0};
	struct sad_config sad = {.max_sas = 16, .workers = 1, .replay_window = 992};

	memset(g, 0, sizeof(*g));
	g->dp = calloc(1, sizeof(*g->dp));
	g->w = aligned_alloc(64, (sizeof(*g->w) + 63) & ~63UL);
	memset(g->w, 0, sizeof(*g->w));
	g->crypto = contexts[backend];
	g->dp->config = &g->config;
	g->dp->pool = pool;
	g->dp->reclaim = reclaim_new(1);
	sad.crypto = g->crypto;
	sad.reclaim = g->dp->reclaim;
	g->dp->sad = sad_new(&sad, &why);
	g->dp->spd = spd_new(16, g->dp->sad, g->dp->reclaim, &why);
	g->dp->fib = fib_new(g->dp->reclaim);
	assert_int_equal(fib_vrf(g->dp->fib, 254, &why), 0);
	g->dp->ifaces_count = 2;
	for (uint16_t i = 0; i < 2; i++) {
		g->dp->ifaces[i].number = i;
		g->dp->ifaces[i].mtu = 1500;
		g->dp->ifaces[i].side = i == 0 ? SIDE_PROTECTED : SIDE_UNPROTECTED;
	}
	g->w->dp = g->dp;
	g->w->crypto = g->crypto;
	g->w->now = 1000;
	rate_limit_init(&g->w->icmp_rate, rte_get_tsc_hz(), 1000, 100);
	rate_limit_init(&g->w->acquire_rate, rte_get_tsc_hz(), 1000, 100);
}

static void
gateway_stop(struct gateway *g)
{
	fib_free(g->dp->fib);
	spd_free(g->dp->spd);
	sad_free(g->dp->sad);
	reclaim_free(g->dp->reclaim);
	free(g->w);
	free(g->dp);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

struct tunnel {
	unsigned int suite;
	uint8_t outer, inner; /* families */
	bool esn;
	uint64_t start; /* last number used before */
};

static struct sa_params
tunnel_sa(const struct tunnel *t)
{
	struct sa_params p = {
		.id = {.dst = address(t->outer, 2),
		       .spi = RTE_BE32(SPI),
		       .family = t->outer,
		       .proto = IPPROTO_ESP},
		.src = address(t->outer, 1),
		.mode = SA_MODE_TUNNEL,
		.flags = (uint16_t)(SA_REPLAY | (t->esn ? SA_ESN : 0)),
		.reqid = 7,
		.replay_window = 64,
		.limits = {.soft_bytes = UINT64_MAX,
			   .hard_bytes = UINT64_MAX,
			   .soft_packets = UINT64_MAX,
			   .hard_packets = UINT64_MAX},
		.suite = (uint8_t)t->suite,
		.salt = {1, 2, 3, 4},
	};

	for (unsigned int i = 0; i < sizeof(p.key); i++) {
		p.key[i] = (uint8_t)(i * 7 + 1);
		p.auth_key[i] = (uint8_t)(i * 11 + 3);
	}
	return p;
}

static struct spd_params
tunnel_policy(const struct tunnel *t, enum spd_dir dir)
{
	return (struct spd_params){
		.id = {.dir = (uint8_t)dir,
		       .sel = {.src = address(t->inner, 11),
			       .dst = address(t->inner, 22),
			       .src_len = t->inner == FAMILY_V4 ? 32 : 128,
			       .dst_len = t->inner == FAMILY_V4 ? 32 : 128,
			       .family = t->inner}},
		.action = SPD_PROTECT,
		.tmpl = {.src = address(t->outer, 1),
			 .dst = address(t->outer, 2),
			 .family = t->outer,
			 .proto = IPPROTO_ESP,
			 .mode = SA_MODE_TUNNEL,
			 .reqid = 7},
	};
}

static void
add_local(struct gateway *g, uint8_t family, uint8_t last)
{
	const struct fib_prefix host = {address(family, last), family == FAMILY_V4 ? 32 : 128,
					family};
	const struct nexthop local = {.type = NEXTHOP_LOCAL, .iface = 1};

	assert_int_equal(fib_set(g->dp->fib, 0, &host, 0, &local, 1, NULL), 0);
}

static void
tunnel_install(struct gateway *a, struct gateway *b, const struct tunnel *t)
{
	struct sa_params out = tunnel_sa(t), in = tunnel_sa(t);
	struct spd_params policy_out = tunnel_policy(t, SPD_OUT);
	struct spd_params policy_fwd = tunnel_policy(t, SPD_FWD);
	struct reason why = {0};

	add_local(a, t->outer, 1);
	add_local(b, t->outer, 2);
	out.out_seq = t->start;
	in.in_seq = t->start;
	if (sad_add(a->dp->sad, &out, &why) != 0 || sad_add(b->dp->sad, &in, &why) != 0 ||
	    spd_add(a->dp->spd, &policy_out, false, &why) != 0 ||
	    spd_add(b->dp->spd, &policy_fwd, false, &why) != 0)
		fail_msg("%s: %s", crypto_suites[t->suite].name, why.text);
}

/* A packet of `len` bytes from inner 11 to inner 22, at the place of spd_lookup. */
static struct rte_mbuf *
clear_packet(const struct tunnel *t, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *ip = (uint8_t *)rte_pktmbuf_append(m, len);
	union ip_addr src = address(t->inner, 11), dst = address(t->inner, 22);
	enum drop_reason reason;

	memset(packet_open(m), 0, sizeof(struct packet));
	for (uint16_t i = 0; i < len; i++)
		ip[i] = (uint8_t)(i * 13 + len);
	if (t->inner == FAMILY_V4) {
		struct rte_ipv4_hdr h = {.version_ihl = 0x45,
					 .type_of_service = 0xb8,
					 .total_length = rte_cpu_to_be_16(len),
					 .time_to_live = 9,
					 .next_proto_id = 99,
					 .src_addr = src.v4,
					 .dst_addr = dst.v4};

		h.hdr_checksum = rte_ipv4_cksum(&h);
		memcpy(ip, &h, sizeof(h));
	} else {
		struct rte_ipv6_hdr h = {.vtc_flow = RTE_BE32(0x6b800000),
					 .payload_len = rte_cpu_to_be_16(len - sizeof(h)),
					 .proto = 99,
					 .hop_limits = 9};

		memcpy(&h.src_addr, src.bytes, 16);
		memcpy(&h.dst_addr, dst.bytes, 16);
		memcpy(ip, &h, sizeof(h));
	}
	assert_true(ip_parse(m, true, &reason));
	packet(m)->out = 1;
	return m;
}

/* Through the outbound stages; the sealed packets stay in `leaving`. */
static void
seal(struct gateway *g, struct burst *b)
{
	static stage_fn *const stages[] = {spd_stage, pmtu, seq_reserve, esp_encap,
					   crypto_seal_stage};

	burst_clear(&g->w->leaving);
	for (unsigned int i = 0; i < RTE_DIM(stages); i++)
		stages[i](g->w, b);
}

/* Through the inbound stages, as if received on the unprotected interface; the rest is in `clear`.
 */
static void
open(struct gateway *g, struct burst *b)
{
	static stage_fn *const stages[] = {sad_stage, replay_stage, crypto_open_stage,
					   replay_commit, esp_decap};

	burst_clear(&g->w->clear);
	for (unsigned int i = 0; i < b->n; i++) {
		enum drop_reason reason;

		memset(packet_open(b->m[i]), 0, sizeof(struct packet));
		packet(b->m[i])->in = 1;
		assert_true(ip_parse(b->m[i], true, &reason));
	}
	for (unsigned int i = 0; i < RTE_DIM(stages); i++)
		stages[i](g->w, b);
	spd_check(g->w, &g->w->clear);
}

static void
free_burst(struct burst *b)
{
	rte_pktmbuf_free_bulk(b->m, b->n);
	b->n = 0;
}

static uint64_t
drops(const struct gateway *g)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < DROP_COUNT; i++)
		sum += g->w->count.drops[i];
	return sum;
}

static void
assert_wire_format(const struct tunnel *t, struct rte_mbuf *m, uint64_t seq)
{
	uint32_t ip_len = t->outer == FAMILY_V4 ? 20 : 40;
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct esp_header *esp = (const struct esp_header *)(ip + ip_len);

	assert_int_equal(ip[0] >> 4, t->outer);
	assert_int_equal(rte_be_to_cpu_32(esp->spi), SPI);
	assert_int_equal(rte_be_to_cpu_32(esp->seq), (uint32_t)seq);
	if (t->outer == FAMILY_V4)
		assert_int_equal(rte_raw_cksum(ip, 20), 0xffff);
}

/* Packets of 40 bytes up to (at least) `end`. */
static void
carry_sizes(struct gateway *a, struct gateway *b, const struct tunnel *t, uint16_t end)
{
	uint64_t seq = t->start;

	for (uint16_t len = 40; len < end;) {
		struct burst burst = {0};
		uint16_t first = len;

		while (!burst_full(&burst))
			burst_add(&burst, clear_packet(t, len++));
		seal(a, &burst);
		assert_int_equal(a->w->leaving.n, BURST_MAX);
		for (unsigned int i = 0; i < BURST_MAX; i++)
			assert_wire_format(t, a->w->leaving.m[i], ++seq);
		open(b, &a->w->leaving);
		assert_int_equal(b->w->clear.n, BURST_MAX);
		for (unsigned int i = 0; i < BURST_MAX; i++) {
			struct rte_mbuf *want = clear_packet(t, (uint16_t)(first + i));
			struct rte_mbuf *got = b->w->clear.m[i];

			assert_int_equal(rte_pktmbuf_pkt_len(got), rte_pktmbuf_pkt_len(want));
			assert_memory_equal(rte_pktmbuf_mtod(got, void *),
					    rte_pktmbuf_mtod(want, void *), first + i);
			rte_pktmbuf_free(want);
		}
		free_burst(&b->w->clear);
	}
	assert_int_equal(drops(a) + drops(b), 0);
}

static void
C10_C11_C12_C43_C72_every_suite_family_and_number_size_carries_every_packet(void **state)
{
	for (unsigned int i = 0; i < crypto_suites_count * 2 * 2 * 2 * 2; i++) {
		struct tunnel t = {.suite = i / 16,
				   .outer = (i & 1) != 0 ? FAMILY_V6 : FAMILY_V4,
				   .inner = (i & 2) != 0 ? FAMILY_V6 : FAMILY_V4,
				   .esn = (i & 4) != 0,
				   .start = (i & 4) != 0 ? UINT32_MAX - 100 : 0};
		/* Sealing and opening by different backends, either way round. */
		enum crypto_backend out = (i & 8) != 0 ? CRYPTO_OPENSSL : CRYPTO_IPSEC_MB;
		enum crypto_backend in = (i & 8) != 0 ? CRYPTO_IPSEC_MB : CRYPTO_OPENSSL;
		struct gateway a, b;

		gateway_start(&a, backend_for(out, t.suite));
		gateway_start(&b, backend_for(in, t.suite));
		tunnel_install(&a, &b, &t);
		/* Families change where the packets begin, not how the sizes are dealt with. */
		carry_sizes(&a, &b, &t, (i & 3) == 0 ? 1300 : 41);
		gateway_stop(&a);
		gateway_stop(&b);
	}
}

/* One sealed packet of `t`, alone in `leaving` of a. */
static struct rte_mbuf *
sealed_packet(struct gateway *a, const struct tunnel *t)
{
	struct burst burst = {0};

	burst_add(&burst, clear_packet(t, 100));
	seal(a, &burst);
	assert_int_equal(a->w->leaving.n, 1);
	return a->w->leaving.m[0];
}

static void
C33_C19_C17_B18_a_flipped_bit_is_dropped_and_moves_nothing(void **state)
{
	for (unsigned int suite = 0; suite < crypto_suites_count * 2; suite++) {
		struct tunnel t = {suite / 2, FAMILY_V4, FAMILY_V4, (suite & 1) != 0, 0};
		struct gateway a, b;
		struct rte_mbuf *m;
		struct sa_id id;
		uint32_t len;

		gateway_start(&a, backend_for(CRYPTO_IPSEC_MB, t.suite));
		gateway_start(&b, backend_for(CRYPTO_IPSEC_MB, t.suite));
		tunnel_install(&a, &b, &t);
		id = tunnel_sa(&t).id;
		m = sealed_packet(&a, &t);
		len = rte_pktmbuf_pkt_len(m);
		/* Behind the SPI, whose bits find no SA: sequence number, IV, text, ICV. */
		for (uint32_t bit = 24 * 8; bit < len * 8; bit++) {
			struct burst burst = {0};
			struct rte_mbuf *copy = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
			uint32_t bitmap[1];
			uint64_t out_seq, in_seq;

			rte_pktmbuf_mtod(copy, uint8_t *)[bit / 8] ^= (uint8_t)(1u << bit % 8);
			burst_add(&burst, copy);
			open(&b, &burst);
			assert_int_equal(b.w->clear.n, 0);
			sad_sequences(b.dp->sad, sad_find(b.dp->sad, &id), &out_seq, &in_seq,
				      bitmap, 1);
			assert_int_equal(in_seq, 0);
		}
		/* Sequence number 0 is a replay; every other flip fails the integrity check. */
		assert_int_equal(b.w->count.drops[DROP_ICV] + b.w->count.drops[DROP_REPLAY],
				 (len - 24) * 8);
		assert_true(b.w->count.drops[DROP_REPLAY] <= 1);
		assert_int_equal(drops(&b), (len - 24) * 8);
		assert_int_equal(sad_usage(b.dp->sad, sad_find(b.dp->sad, &id)).packets, 0);

		/* The good packet still passes, and only once: C17. */
		for (unsigned int pass = 0; pass < 2; pass++) {
			struct burst burst = {0};

			burst_add(&burst, rte_pktmbuf_copy(m, pool, 0, UINT32_MAX));
			open(&b, &burst);
			assert_int_equal(b.w->clear.n, pass == 0);
			free_burst(&b.w->clear);
		}
		rte_pktmbuf_free(m);
		gateway_stop(&a);
		gateway_stop(&b);
	}
}

/* An SA without a direction could open what it sealed, and its window and lifetimes would move. */
static void
our_own_packet_sent_back_to_us_moves_nothing(void **state)
{
	struct tunnel t = {0, FAMILY_V4, FAMILY_V4, false, 0};
	struct burst burst = {0};
	struct gateway a, b;
	struct sa_id id = tunnel_sa(&t).id;
	uint64_t out_seq, in_seq;
	uint32_t bitmap[1];

	gateway_start(&a, CRYPTO_IPSEC_MB);
	gateway_start(&b, CRYPTO_IPSEC_MB);
	tunnel_install(&a, &b, &t);
	burst_add(&burst, sealed_packet(&a, &t));
	assert_int_equal(sad_usage(a.dp->sad, sad_find(a.dp->sad, &id)).packets, 1);
	memset(packet_open(burst.m[0]), 0, sizeof(struct packet));
	packet(burst.m[0])->in = 1;
	assert_true(ip_parse(burst.m[0], true, &(enum drop_reason){0}));
	sad_stage(a.w, &burst);
	assert_int_equal(burst.n, 0);
	assert_int_equal(a.w->clear.n, 1); /* somebody else's: forwarded, if policy lets it */
	sad_sequences(a.dp->sad, sad_find(a.dp->sad, &id), &out_seq, &in_seq, bitmap, 1);
	assert_int_equal(in_seq, 0);
	assert_int_equal(sad_usage(a.dp->sad, sad_find(a.dp->sad, &id)).packets, 1);
	free_burst(&a.w->clear);
	gateway_stop(&a);
	gateway_stop(&b);
}

static void
B9_B10_B18_truncated_packets_get_a_reason_at_every_length(void **state)
{
	for (unsigned int suite = 0; suite < crypto_suites_count; suite++) {
		struct tunnel t = {suite, FAMILY_V4, FAMILY_V4, false, 0};
		struct gateway a, b;
		struct rte_mbuf *m;
		uint16_t len;

		gateway_start(&a, backend_for(CRYPTO_IPSEC_MB, t.suite));
		gateway_start(&b, backend_for(CRYPTO_IPSEC_MB, t.suite));
		tunnel_install(&a, &b, &t);
		m = sealed_packet(&a, &t);
		len = (uint16_t)rte_pktmbuf_pkt_len(m);
		for (uint16_t cut = 20; cut < len; cut++) {
			struct burst burst = {0};
			struct rte_mbuf *copy = rte_pktmbuf_copy(m, pool, 0, cut);
			struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(copy, struct rte_ipv4_hdr *);

			ip->total_length = rte_cpu_to_be_16(cut);
			ip->hdr_checksum = 0;
			ip->hdr_checksum = rte_ipv4_cksum(ip);
			burst_add(&burst, copy);
			open(&b, &burst);
			assert_int_equal(b.w->clear.n, 0);
		}
		assert_int_equal(drops(&b), len - 20);
		assert_int_equal(b.w->count.drops[DROP_RUNT] + b.w->count.drops[DROP_ALIGN] +
					 b.w->count.drops[DROP_ICV],
				 len - 20);
		rte_pktmbuf_free(m);
		gateway_stop(&a);
		gateway_stop(&b);
	}
}

static void
C53_C55_B38_B39_without_an_sa_or_a_policy_nothing_leaves(void **state)
{
	struct tunnel t = {0, FAMILY_V4, FAMILY_V4, false, 0};
	struct spd_params policy = tunnel_policy(&t, SPD_OUT);
	struct burst burst = {0};
	struct gateway g;

	gateway_start(&g, CRYPTO_IPSEC_MB);
	g.dp->acquires = rte_ring_create_elem("acquires", sizeof(struct acquire), 16, SOCKET_ID_ANY,
					      RING_F_SC_DEQ);
	assert_int_equal(sa_wait_start(g.dp, NULL), 0);
	burst_add(&burst, clear_packet(&t, 100));
	seal(&g, &burst);
	assert_int_equal(g.w->leaving.n, 0);
	assert_int_equal(g.w->count.drops[DROP_POLICY_OUT], 1);

	assert_int_equal(spd_add(g.dp->spd, &policy, false, NULL), 0);
	for (unsigned int i = 0; i < 3; i++) {
		burst_add(&burst, clear_packet(&t, 100));
		seal(&g, &burst);
		assert_int_equal(g.w->leaving.n, 0);
	}
	assert_int_equal(g.w->count.drops[DROP_NO_SA_OUT], 3);
	/* One acquire a second for a policy. */
	assert_int_equal(rte_ring_count(g.dp->acquires), 1);
	rte_ring_free(g.dp->acquires);
	sa_wait_stop(g.dp);
	free_burst(&g.w->errors);
	gateway_stop(&g);
}

static void
C8_B41_the_sequence_space_ends_in_a_drop(void **state)
{
	struct tunnel t = {0, FAMILY_V4, FAMILY_V4, false, UINT32_MAX - 3};
	struct burst burst = {0};
	struct gateway a, b;

	gateway_start(&a, CRYPTO_IPSEC_MB);
	gateway_start(&b, CRYPTO_IPSEC_MB);
	tunnel_install(&a, &b, &t);
	for (unsigned int i = 0; i < 10; i++)
		burst_add(&burst, clear_packet(&t, 100));
	seal(&a, &burst);
	assert_int_equal(a.w->leaving.n, 3);
	assert_int_equal(a.w->count.drops[DROP_SEQ_EXHAUSTED], 7);
	free_burst(&a.w->leaving);
	gateway_stop(&a);
	gateway_stop(&b);
}

/* A rekeying while a worker is between lookup and number: nothing of the burst is lost. */
static void
an_sa_that_is_retired_under_a_packet_has_a_successor(void **state)
{
	struct tunnel t = {0, FAMILY_V4, FAMILY_V4, false, 0};
	struct sa_params old = tunnel_sa(&t), new = tunnel_sa(&t);
	struct burst burst = {0};
	struct gateway a, b;

	gateway_start(&a, CRYPTO_IPSEC_MB);
	gateway_start(&b, CRYPTO_IPSEC_MB);
	tunnel_install(&a, &b, &t);
	a.dp->workers[0] = a.w;
	a.w->inbox = rte_ring_create("inbox", 16, SOCKET_ID_ANY, RING_F_SC_DEQ);
	for (unsigned int i = 0; i < 3; i++)
		burst_add(&burst, clear_packet(&t, 100));
	spd_stage(a.w, &burst);
	new.id.spi = RTE_BE32(SPI + 1);
	new.key[0] ^= 1;
	assert_int_equal(sad_add(a.dp->sad, &new, NULL), 0);
	assert_int_equal(sad_delete(a.dp->sad, &old.id, NULL), 0);
	seq_reserve(a.w, &burst);
	assert_int_equal(burst.n, 0);
	assert_int_equal(a.w->count.held, 3);
	burst.n = (uint16_t)rte_ring_dequeue_burst(a.w->inbox, (void **)burst.m, BURST_MAX, NULL);
	assert_int_equal(burst.n, 3);
	seal(&a, &burst);
	assert_int_equal(a.w->leaving.n, 3);
	free_burst(&a.w->leaving);
	rte_ring_free(a.w->inbox);
	gateway_stop(&a);
	gateway_stop(&b);
}

static int
start(void **state)
{
	char *args[] = {(char *)"test",
			(char *)"--no-huge",
			(char *)"--no-shconf",
			(char *)"-m",
			(char *)"64",
			(char *)"--no-pci",
			(char *)"-l",
			(char *)"0",
			(char *)"--log-level=error",
			(char *)"--no-telemetry"};

	if (rte_eal_init(RTE_DIM(args), args) < 0)
		return -1;
	for (int i = 0; i < CRYPTO_BACKENDS; i++) {
		contexts[i] = crypto_ctx_new(i, NULL);
		if (contexts[i] == NULL)
			return -1;
	}
	pool = room_pool_new("test", POOL_SIZE, 0, 2048 + 256, 0);
	return pool == NULL ? -1 : 0;
}

static int
stop(void **state)
{
	for (int i = 0; i < CRYPTO_BACKENDS; i++)
		crypto_ctx_free(contexts[i]);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			C10_C11_C12_C43_C72_every_suite_family_and_number_size_carries_every_packet),
		cmocka_unit_test(C33_C19_C17_B18_a_flipped_bit_is_dropped_and_moves_nothing),
		cmocka_unit_test(our_own_packet_sent_back_to_us_moves_nothing),
		cmocka_unit_test(B9_B10_B18_truncated_packets_get_a_reason_at_every_length),
		cmocka_unit_test(C53_C55_B38_B39_without_an_sa_or_a_policy_nothing_leaves),
		cmocka_unit_test(C8_B41_the_sequence_space_ends_in_a_drop),
		cmocka_unit_test(an_sa_that_is_retired_under_a_packet_has_a_successor),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
