/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding the SA of inbound packets, by the stages of the packet path themselves: sad_stage, which
 * brings what it is about to read of a burst's SAs, and replay_stage. Buffers and headers are in
 * the cache, as they are behind the stages before; packets in a row of one SA are a run.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_ip.h>

#include "dataplane/esp.h"
#include "dataplane/walk.h"
#include "dataplane/worker.h"
#include "lookup.h"
#include "orders.h"

#define OURS    0xc0000201u /* 192.0.2.1 */
#define ROUNDS  5
#define PAYLOAD 80 /* of ESP behind its header: IV, text, ICV */

struct buffer {
	struct rte_mbuf m;
	struct packet p; /* its private area */
	struct rte_ipv4_hdr ip;
	struct esp_header esp;
};

static_assert(offsetof(struct buffer, p) == sizeof(struct rte_mbuf), "where packet() looks");

struct bench {
	struct crypto_ctx *crypto;
	struct dataplane dp;
	struct worker *w;
	struct buffer buffers[BURST_MAX];
	rte_be32_t *spis; /* of SAs, by number */
	uint32_t sas;
	bool named; /* SPIs are the engine's */
	uint32_t numbers[FLOWS];
};

static void
start(struct bench *b, uint32_t max)
{
	const struct fib_prefix self = {
		.addr = ip_addr_v4(rte_cpu_to_be_32(OURS)), .len = 32, .family = FAMILY_V4};
	const struct nexthop local = {.type = NEXTHOP_LOCAL, .weight = 1};
	struct sad_config config = {.max_sas = max, .workers = 1, .replay_window = 992};

	config.crypto = b->crypto = crypto_ctx_new(CRYPTO_IPSEC_MB, NULL);
	config.reclaim = b->dp.reclaim = reclaim_new(1);
	b->dp.sad = b->crypto && b->dp.reclaim ? sad_new(&config, NULL) : NULL;
	b->dp.fib = fib_new(b->dp.reclaim);
	b->w = calloc(1, sizeof(*b->w));
	b->spis = calloc(max, sizeof(*b->spis));
	must(!b->dp.sad || !b->dp.fib || !b->w || !b->spis);
	must(fib_vrf(b->dp.fib, 254, NULL) != 0);
	must(fib_set(b->dp.fib, 0, &self, 0, &local, 1, NULL));
	b->w->dp = &b->dp;
	b->sas = 0;
}

static void
stop(struct bench *b)
{
	free(b->spis);
	free(b->w);
	fib_free(b->dp.fib);
	sad_free(b->dp.sad);
	reclaim_free(b->dp.reclaim);
	crypto_ctx_free(b->crypto);
}

static void
add_sas(struct bench *b, uint32_t n)
{
	for (; b->sas < n; b->sas++) {
		struct sa_params p = {
			.id = {.dst = ip_addr_v4(rte_cpu_to_be_32(OURS)),
			       .spi = rte_cpu_to_be_32(0x80000000 | b->sas * SCATTER),
			       .family = FAMILY_V4,
			       .proto = IPPROTO_ESP},
			.src = ip_addr_v4(rte_cpu_to_be_32(0x0b000000 + b->sas)),
			.mode = SA_MODE_TUNNEL,
			.flags = SA_REPLAY,
			.reqid = b->sas + 1,
			.replay_window = 992,
			.suite = (uint8_t)crypto_suite_by_name("aes128gcm16"),
		};

		if (b->named)
			must(sad_alloc_spi(b->dp.sad, &p, 256, UINT32_MAX, 60, &p.id.spi, NULL));
		memcpy(p.key, &p.reqid, sizeof(p.reqid));
		must(sad_add(b->dp.sad, &p, NULL));
		b->spis[b->sas] = p.id.spi;
	}
}

/* A burst as classify leaves it, from a flow on. */
static void
prepare(struct bench *b, struct burst *burst, uint32_t first)
{
	const uint32_t *number = &b->numbers[first];

	burst_clear(burst);
	for (uint32_t i = 0; i < BURST_MAX; i++) {
		struct buffer *at = &b->buffers[i];

		at->m.buf_addr = &at->ip;
		at->m.pkt_len = sizeof(at->ip) + sizeof(at->esp) + PAYLOAD;
		*packet_open(&at->m) = (struct packet){
			.family = FAMILY_V4, .proto = IPPROTO_ESP, .l4_off = sizeof(at->ip)};
		at->ip = (struct rte_ipv4_hdr){.dst_addr = rte_cpu_to_be_32(OURS)};
		at->esp.spi = b->spis[number[i]];
		at->esp.seq = rte_cpu_to_be_32(first + i + 1);
		if (i > 0 && number[i] == number[i - 1])
			burst_add_like(burst, &at->m);
		else
			burst_add(burst, &at->m);
	}
}

static void
find(struct bench *b, struct burst *burst)
{
	sad_stage(b->w, burst);
}

static void
find_and_check(struct bench *b, struct burst *burst)
{
	sad_stage(b->w, burst);
	replay_stage(b->w, burst);
}

/* One after the other, where each depends on the one before. */
static void
find_alone(struct bench *b, struct burst *burst)
{
	const union ip_addr ours = ip_addr_v4(rte_cpu_to_be_32(OURS));
	uint32_t before = 0;

	for (uint32_t i = 0; i < burst->n; i++) {
		enum sad_miss miss;

		before = sad_lookup(b->dp.sad, b->buffers[i + (before >> 31)].esp.spi, &ours,
				    FAMILY_V4, IPPROTO_ESP, &miss)
				 ->index;
	}
}

/* Nanoseconds a packet: of each burst the least of several rounds. */
static double
measure(struct bench *b, void (*look_up)(struct bench *, struct burst *))
{
	static uint64_t least[FLOWS / BURST_MAX];
	struct burst burst;
	uint64_t sum = 0;

	memset(least, 0xff, sizeof(least));
	for (int round = 0; round < ROUNDS; round++)
		for (uint32_t i = 0; i < FLOWS / BURST_MAX; i++) {
			uint64_t begin;

			prepare(b, &burst, i * BURST_MAX);
			begin = rte_rdtsc_precise();
			look_up(b, &burst);
			least[i] = RTE_MIN(least[i], rte_rdtsc_precise() - begin);
			must(burst.n != BURST_MAX);
		}
	for (uint32_t i = 0; i < FLOWS / BURST_MAX; i++)
		sum += least[i];
	return (double)sum / FLOWS / ticks_per_ns;
}

/* Each packet gets its own SA. */
static void
check(struct bench *b)
{
	struct burst burst;

	for (uint32_t first = 0; first < FLOWS; first += BURST_MAX) {
		prepare(b, &burst, first);
		find_and_check(b, &burst);
		must(burst.n != BURST_MAX);
		for (uint32_t i = 0; i < BURST_MAX; i += burst_run(&burst, i))
			must(b->buffers[i].p.sa->reqid != b->numbers[first + i] + 1);
	}
}

static void
report(struct bench *b, enum order order)
{
	orders_fill(b->numbers, FLOWS, b->sas, order);
	check(b);
	printf("{\"lookup\": \"sad\", \"spis\": \"%s\", \"sas\": %u, \"order\": \"%s\", "
	       "\"burst\": %.1f, \"checked\": %.1f, \"alone\": %.1f}\n",
	       b->named ? "engine" : "other", b->sas, order_names[order], measure(b, find),
	       measure(b, find_and_check), measure(b, find_alone));
	fflush(stdout);
}

void
bench_sad(uint32_t max)
{
	static struct bench b;

	for (int named = 1; named >= 0; named--) {
		b.named = named;
		start(&b, max);
		for (uint32_t n = 1; n <= max; n *= 10) {
			add_sas(&b, n);
			for (enum order order = SEQUENTIAL; order < ORDERS; order++)
				report(&b, order);
		}
		stop(&b);
	}
}
