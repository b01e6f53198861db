/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What finding costs: TSC ticks a lookup of policies (by tuples searched and policies held) and of
 * routes (by family and routes held), one JSON line each. Flows come in random order, so that
 * what is large is found in memory, not in cache. `ticks` is for lookups that follow upon each
 * other's heels, as in a burst; `alone` for those that wait for the result before.
 *
 *     lookup [MAX_POLICIES]
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "dataplane/fib.h"
#include "sadb/spd.h"

#define FLOWS  (1u << 18)
#define SLICE  1024
#define ROUNDS 5
#define BASE   0x0a000000 /* 10.0.0.0 */

static struct flow flows[FLOWS];
static uint64_t random_state = 88172645463325252;

static uint32_t
random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) * n >> 32);
}

/* Address n of a family, in a /8 of its own. */
static union ip_addr
addr_of(uint8_t family, uint32_t n)
{
	union ip_addr a = {.v4 = rte_cpu_to_be_32(BASE + n)};

	if (family == FAMILY_V4)
		return a;
	a = (union ip_addr){.u64 = {rte_cpu_to_be_64(0x20010db800000000 + ((uint64_t)n << 8))}};
	return a;
}

static void
flows_fill(uint8_t family, uint32_t hosts)
{
	for (uint32_t i = 0; i < FLOWS; i++)
		flows[i] = (struct flow){.family = family,
					 .proto = IPPROTO_UDP,
					 .src = addr_of(family, 1),
					 .dst = addr_of(family, random_below(hosts))};
}

/* One lookup; something of its result, for the next to depend on. */
typedef uint64_t lookup_fn(void *table, const struct flow *flow);

static uint64_t
find_policy(void *spd, const struct flow *flow)
{
	const struct policy *p = spd_lookup(spd, 0, SPD_OUT, flow);

	if (!p)
		abort();
	return p->params.action;
}

static uint64_t
find_route(void *fib, const struct flow *flow)
{
	const struct nexthop *nh = fib_lookup(fib, 0, flow->family, &flow->dst, 0);

	if (nh->type == NEXTHOP_NONE)
		abort();
	return nh->type;
}

/* Ticks for a slice of the flows. With `alone` a flow's place depends on the last result. */
static uint64_t
measure_slice(lookup_fn *lookup, void *table, bool alone, const struct flow *slice)
{
	uint64_t sum = 0, begin = rte_rdtsc_precise();

	for (uint32_t i = 0; i < SLICE; i++)
		sum += lookup(table, &slice[alone ? i + (sum >> 63) : i]);
	return rte_rdtsc_precise() - begin + (sum >> 63);
}

/* Ticks a lookup: of each slice the least of several rounds, so that interruptions do not count. */
static double
measure(lookup_fn *lookup, void *table, bool alone)
{
	static uint64_t least[FLOWS / SLICE];
	uint64_t sum = 0;

	memset(least, 0xff, sizeof(least));
	for (int round = 0; round < ROUNDS; round++)
		for (uint32_t i = 0; i < FLOWS / SLICE; i++) {
			uint64_t ticks = measure_slice(lookup, table, alone, &flows[i * SLICE]);

			least[i] = ticks < least[i] ? ticks : least[i];
		}
	for (uint32_t i = 0; i < FLOWS / SLICE; i++)
		sum += least[i];
	return (double)sum / FLOWS;
}

static void
report(const char *what, uint8_t family, uint32_t tuples, uint32_t entries, lookup_fn *lookup,
       void *table)
{
	printf("{\"lookup\": \"%s\", \"family\": %u, \"tuples\": %u, \"entries\": %u, "
	       "\"ticks\": %.1f, \"alone\": %.1f}\n",
	       what, family, tuples, entries, measure(lookup, table, false),
	       measure(lookup, table, true));
	fflush(stdout);
}

static void
must(int error)
{
	if (error)
		abort();
}

/* ---- policies ---- */

/* Policies of hosts, and before them in every search tuples that hold one that does not match. */
static void
bench_spd(struct reclaim *reclaim, struct sad *sad, uint8_t family, uint32_t tuples, uint32_t n)
{
	uint8_t host = family == FAMILY_V4 ? 32 : 64;
	struct spd *spd = spd_new(n + tuples, sad, reclaim, NULL);
	struct spd_params p = {.action = SPD_BYPASS,
			       .id = {.dir = SPD_OUT, .sel = {.family = family, .dst_len = host}}};

	if (!spd)
		abort();
	for (uint32_t i = 1; i < tuples; i++) {
		p.id.sel.src_len = (uint8_t)(i % 32 + 1);
		p.priority = i;
		must(spd_add(spd, &p, false, NULL));
	}
	p.id.sel.src_len = 0;
	p.priority = 1000;
	for (uint32_t i = 0; i < n; i++) {
		p.id.sel.dst = addr_of(family, i);
		must(spd_add(spd, &p, false, NULL));
	}
	flows_fill(family, n);
	report("spd", family, spd_tuples(spd), n, find_policy, spd);
	spd_free(spd);
	reclaim_poll(reclaim);
}

/* ---- routes ---- */

/* Routes of n networks: as in the Internet's table, most at /24 (IPv6: /48), behind some /16. */
static void
bench_fib(struct reclaim *reclaim, uint8_t family, uint32_t n)
{
	struct fib *fib = fib_new(reclaim);
	struct fib_prefix p = {.family = family};
	struct nexthop nh = {.type = NEXTHOP_GATEWAY, .gateway_family = family, .weight = 1};

	if (!fib || fib_vrf(fib, 254, NULL) != 0)
		abort();
	must(fib_set(fib, 0, &p, 0, &nh, 1, NULL));
	for (uint32_t i = 0; i < n; i++) {
		p.len = family == FAMILY_V4 ? 24 : 48;
		p.addr = addr_of(family, i << 8);
		nh.gateway = addr_of(family, i % 64);
		must(fib_set(fib, 0, &p, 0, &nh, 1, NULL));
	}
	flows_fill(family, n << 8);
	report("fib", family, 0, n, find_route, fib);
	fib_free(fib);
	reclaim_poll(reclaim);
}

int
main(int argc, char **argv)
{
	uint32_t max = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1000000;
	struct crypto_ctx *crypto = crypto_ctx_new(CRYPTO_OPENSSL, NULL);
	struct reclaim *reclaim = reclaim_new(1);
	const struct sad_config config = {.max_sas = 16,
					  .workers = 1,
					  .replay_window = 992,
					  .crypto = crypto,
					  .reclaim = reclaim};
	struct sad *sad = crypto && reclaim ? sad_new(&config, NULL) : NULL;

	if (!sad)
		return 1;
	for (uint32_t tuples = 1; tuples <= 32; tuples *= 2) {
		bench_spd(reclaim, sad, FAMILY_V4, tuples, 1000);
		bench_spd(reclaim, sad, FAMILY_V6, tuples, 1000);
	}
	for (uint32_t n = 1; n <= max; n *= 10) {
		bench_spd(reclaim, sad, FAMILY_V4, 1, n);
		bench_spd(reclaim, sad, FAMILY_V4, 4, n);
	}
	for (uint32_t n = 10; n <= 100000 && n <= max; n *= 10) {
		bench_fib(reclaim, FAMILY_V4, n);
		bench_fib(reclaim, FAMILY_V6, n);
	}
	sad_free(sad);
	reclaim_free(reclaim);
	crypto_ctx_free(crypto);
	return 0;
}
