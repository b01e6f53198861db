/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What finding costs, and what change costs, one JSON line each.
 *
 * Policies: one for each device (a whole address), and RANGES for ranges of ports of a network's
 * devices, which have better priorities and share out all tuples but the devices' own: each is
 * searched for each packet and has nothing for it. `burst` is nanoseconds a lookup in bursts of 64,
 * as workers ask; `alone` when each waits for the result before. Flows come in the order of
 * devices, at random, or by Zipf's law (exponent 1); there are enough of them that what is large is
 * found in memory, not in cache. Then policies added and deleted a second, deleted in another
 * order.
 *
 * SAs, inbound, by SPIs of the engine's choice, which name the SA's place, and by others, which a
 * hash finds (lookup_sad.c): `burst` is nanoseconds a packet of the stage that finds the SAs of 64
 * packets, `checked` with the one behind it, which looks at the window; `alone` a lookup when each
 * waits for the result before.
 *
 * Routes: by family and routes held, `burst` for lookups upon each other's heels.
 *
 *     lookup [MAX]    of policies, and of SAs
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "dataplane/fib.h"
#include "lookup.h"
#include "orders.h"
#include "sadb/spd.h"

#define SLICE   1024
#define ROUNDS  5
#define BASE    0x0a000000 /* 10.0.0.0 */
#define RANGES  300
#define NETWORK 12 /* bits: the devices of one */

static struct spd_query queries[FLOWS]; /* of routes, the flows alone */
double ticks_per_ns;

void
must(int error)
{
	if (error)
		abort();
}

/* ---- flows ---- */

/* Address n of a family, in a /8 of its own; IPv6's devices differ in the last 32 bits. */
static union ip_addr
addr_of(uint8_t family, uint32_t n)
{
	if (family == FAMILY_V4)
		return ip_addr_v4(rte_cpu_to_be_32(BASE + n));
	return (union ip_addr){.u64 = {rte_cpu_to_be_64(0x20010db800000000), rte_cpu_to_be_64(n)}};
}

static void
flows_fill(uint8_t family, uint32_t hosts, enum order order)
{
	static uint32_t host[FLOWS];

	orders_fill(host, FLOWS, hosts, order);
	for (uint32_t i = 0; i < FLOWS; i++)
		queries[i] = (struct spd_query){
			.flow = {.family = family,
				 .proto = IPPROTO_UDP,
				 .sport = RTE_BE16(40000),
				 .dport = RTE_BE16(5683),
				 .src = addr_of(family, 1),
				 .dst = addr_of(family, host[i])},
			.dir = SPD_OUT,
		};
}

/* ---- measuring ---- */

/* Looks a slice of the flows up; something of the results, so that they are needed. */
typedef uint64_t slice_fn(void *table, struct spd_query *slice);

static uint64_t
policies_in_bursts(void *spd, struct spd_query *slice)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < SLICE; i += SPD_BURST) {
		spd_lookup_burst(spd, &slice[i], SPD_BURST);
		for (uint32_t k = i; k < i + SPD_BURST; k++)
			sum += slice[k].policy->index;
	}
	return sum;
}

/* The place of each flow depends on the last result, which is small. */
static uint64_t
policies_alone(void *spd, struct spd_query *slice)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < SLICE; i++)
		sum += spd_lookup(spd, 0, SPD_OUT, &slice[i + (sum >> 63)].flow)->index;
	return sum;
}

static uint64_t
routes_in_bursts(void *fib, struct spd_query *slice)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < SLICE; i++)
		sum += fib_lookup(fib, 0, slice[i].flow.family, &slice[i].flow.dst, 0)->type;
	return sum;
}

static uint64_t
routes_alone(void *fib, struct spd_query *slice)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < SLICE; i++) {
		const struct flow *flow = &slice[i + (sum >> 63)].flow;

		sum += fib_lookup(fib, 0, flow->family, &flow->dst, 0)->type;
	}
	return sum;
}

/* Nanoseconds a lookup: of each slice the least of several rounds, so that interruptions do not
 * count. */
static double
measure(slice_fn *look_up, void *table)
{
	static uint64_t least[FLOWS / SLICE];
	uint64_t sum = 0, results = 0;

	memset(least, 0xff, sizeof(least));
	for (int round = 0; round < ROUNDS; round++)
		for (uint32_t i = 0; i < FLOWS / SLICE; i++) {
			uint64_t begin = rte_rdtsc_precise();

			results += look_up(table, &queries[i * SLICE]);
			least[i] = RTE_MIN(least[i], rte_rdtsc_precise() - begin);
		}
	must(results == 0);
	for (uint32_t i = 0; i < FLOWS / SLICE; i++)
		sum += least[i];
	return (double)sum / FLOWS / ticks_per_ns;
}

/* ---- policies ---- */

struct devices {
	struct reclaim *reclaim;
	struct spd *spd;
	uint8_t family, whole; /* bits of an address */
	uint32_t tuples, count;
};

static struct spd_params
device(const struct devices *d, uint32_t i)
{
	return (struct spd_params){
		.priority = 1000,
		.action = SPD_PROTECT,
		.tmpl = {.family = FAMILY_V4,
			 .proto = IPPROTO_ESP,
			 .mode = SA_MODE_TUNNEL,
			 .reqid = i + 1},
		.limits = {.soft_bytes = UINT64_MAX,
			   .hard_bytes = UINT64_MAX,
			   .soft_packets = UINT64_MAX,
			   .hard_packets = UINT64_MAX},
		.id = {.dir = SPD_OUT,
		       .sel = {.family = d->family,
			       .dst = addr_of(d->family, i),
			       .dst_len = d->whole}},
	};
}

/* High ports of a network's devices, for some of the sources. With one tuple: of one device. */
static struct spd_params
range(const struct devices *d, uint32_t i)
{
	struct spd_params p = device(d, i << NETWORK);
	struct selector *sel = &p.id.sel;

	p.priority = 1 + i % RTE_MAX(1u, d->tuples - 1);
	sel->proto = IPPROTO_UDP;
	sel->dport = sel->dport_mask = RTE_BE16(0x8000);
	if (d->tuples > 1) {
		sel->dst_len = (uint8_t)(d->whole - NETWORK);
		sel->src = addr_of(d->family, 1);
		sel->src_len = (uint8_t)(i % (d->tuples - 1) + 1);
	}
	return p;
}

static void
change_all(struct devices *d, bool add)
{
	for (uint32_t i = 0; i < d->count; i++) {
		const struct spd_params p =
			device(d, add ? i : (uint32_t)((uint64_t)i * SCATTER % d->count));

		must(add ? spd_add(d->spd, &p, false, NULL) : spd_delete(d->spd, &p.id, 0, NULL));
		if (i % SLICE == 0)
			reclaim_poll(d->reclaim);
	}
}

static double
per_second(struct devices *d, bool add)
{
	double begin = orders_nanoseconds();

	change_all(d, add);
	return d->count / (orders_nanoseconds() - begin) * 1e9;
}

/* Each flow has its device's policy, and no other. */
static void
check(struct devices *d)
{
	for (uint32_t i = 0; i < FLOWS; i += SPD_BURST) {
		spd_lookup_burst(d->spd, &queries[i], SPD_BURST);
		for (uint32_t k = i; k < i + SPD_BURST; k++) {
			const struct policy *policy = queries[k].policy;
			struct spd_params said;

			must(!policy);
			said = spd_params(policy);
			must(!ip_addr_equal(&said.id.sel.dst, &queries[k].flow.dst));
		}
	}
	must(spd_tuples(d->spd) != d->tuples);
}

static void
report_lookup(struct devices *d, enum order order)
{
	flows_fill(d->family, d->count, order);
	check(d);
	printf("{\"lookup\": \"spd\", \"family\": %u, \"policies\": %u, \"ranges\": %u, "
	       "\"tuples\": %u, \"order\": \"%s\", \"burst\": %.1f, \"alone\": %.1f}\n",
	       d->family, d->count, RANGES, d->tuples, order_names[order],
	       measure(policies_in_bursts, d->spd), measure(policies_alone, d->spd));
	fflush(stdout);
}

static void
bench_devices(struct reclaim *reclaim, struct sad *sad, uint8_t family, uint32_t tuples,
	      uint32_t count, bool all_orders)
{
	struct devices d = {.reclaim = reclaim,
			    .spd = spd_new(count + RANGES, sad, reclaim, NULL),
			    .family = family,
			    .whole = family == FAMILY_V4 ? 32 : 128,
			    .tuples = tuples,
			    .count = count};
	double added;

	if (!d.spd)
		abort();
	for (uint32_t i = 0; i < RANGES; i++) {
		const struct spd_params p = range(&d, i);

		must(spd_add(d.spd, &p, false, NULL));
	}
	added = per_second(&d, true);
	for (enum order order = SEQUENTIAL; order < ORDERS; order++)
		if (all_orders || order == RANDOM)
			report_lookup(&d, order);
	printf("{\"change\": \"spd\", \"family\": %u, \"policies\": %u, \"tuples\": %u, "
	       "\"added_per_second\": %.0f, \"deleted_per_second\": %.0f}\n",
	       family, count, tuples, added, per_second(&d, false));
	spd_free(d.spd);
	reclaim_poll(reclaim);
}

/* ---- routes ---- */

/* Network n of a family: a /24, a /48. */
static union ip_addr
network_of(uint8_t family, uint32_t n)
{
	if (family == FAMILY_V4)
		return addr_of(family, n << 8);
	return (union ip_addr){.u64 = {rte_cpu_to_be_64(0x20010db800000000 + ((uint64_t)n << 16))}};
}

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
		p.addr = network_of(family, i);
		nh.gateway = addr_of(family, i % 64);
		must(fib_set(fib, 0, &p, 0, &nh, 1, NULL));
	}
	flows_fill(family, 1, RANDOM);
	for (uint32_t i = 0; i < FLOWS; i++)
		queries[i].flow.dst =
			network_of(family, (uint32_t)((orders_random() >> 32) * n >> 32));
	printf("{\"lookup\": \"fib\", \"family\": %u, \"routes\": %u, \"burst\": %.1f, "
	       "\"alone\": %.1f}\n",
	       family, n, measure(routes_in_bursts, fib), measure(routes_alone, fib));
	fflush(stdout);
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
	ticks_per_ns = orders_ticks_per_ns();
	for (uint32_t n = 1000; n < max; n *= 10) {
		bench_devices(reclaim, sad, FAMILY_V4, 2, n, false);
		bench_devices(reclaim, sad, FAMILY_V6, 2, n, false);
	}
	for (uint32_t tuples = 1; tuples <= 32; tuples *= 2) {
		bench_devices(reclaim, sad, FAMILY_V4, tuples, max, true);
		bench_devices(reclaim, sad, FAMILY_V6, tuples, max, true);
	}
	bench_sad(max);
	for (uint32_t n = 10; n <= 100000 && n <= max; n *= 10) {
		bench_fib(reclaim, FAMILY_V4, n);
		bench_fib(reclaim, FAMILY_V6, n);
	}
	sad_free(sad);
	reclaim_free(reclaim);
	crypto_ctx_free(crypto);
	return 0;
}
