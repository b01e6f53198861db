/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sealane-bench: the real stage lists of real workers between a source and a sink in memory
 * (wire.h), in one process, without root. A lap is 256 packets, far under a millisecond; of many
 * laps the fastest but one in 1,000 counts (with several workers the median, as the fastest would
 * be one during which the others rested). Beside it, from the same run: what the source and the
 * sink cost alone, which is taken off, what the crypto costs alone (limit.h), what each stage costs
 * (stages.h), and how long packets are under way (latency.h).
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>

#include "frame.h"
#include "latency.h"
#include "limit.h"
#include "stages.h"
#include "verify.h"
#include "wire.h"

#define STAGE_LAPS 1000
#define STAGES_MAX 32
#define LONGEST    100000000 /* polls for what another worker has a part in */

/* A lane's laps, ticks for all packets of one. */
struct laps {
	uint64_t *path, *idle; /* by lap */
	uint64_t stages[STAGES_MAX];
	uint64_t bytes, packets;
};

struct result {
	double path, source, median, spread; /* ticks a packet; spread: median over least, less 1 */
	double limit, known;
	double mpps, gbps;
	double stages[STAGES_MAX];
	double bytes_per_sa;
	struct latency latency;
};

struct bench {
	struct options options;
	struct gateway gateway;
	struct lane lanes[WORKERS_MAX];
	struct laps laps[WORKERS_MAX];
	struct latency latency; /* of worker 0's packets */
	atomic_bool over;       /* the last lap */
};

static void
poll_lap(struct lane *lane)
{
	for (unsigned int i = 0; i < wire_polls(lane->options); i++)
		worker_poll(lane->worker);
	for (unsigned int i = 0; wire_under_way(lane) && i < LONGEST; i++)
		worker_poll(lane->worker);
}

static uint64_t
time_lap(struct lane *lane, void (*run)(struct lane *))
{
	uint64_t begin;

	wire_fill(lane);
	begin = limit_ticks();
	run(lane);
	begin = limit_ticks() - begin;
	wire_check(lane);
	return begin;
}

/* On the worker's own core. */
static int
run_lane(void *arg)
{
	struct bench *b = arg;
	unsigned int id = rte_lcore_id() - 1;
	struct lane *lane = &b->lanes[id];
	struct laps *laps = &b->laps[id];

	if (id >= lanes_with_packets(&b->options)) {
		while (!atomic_load(&b->over))
			worker_poll(lane->worker);
		return 0;
	}
	wire_fill(lane);
	poll_lap(lane);
	wire_check(lane);
	verify_lap(lane);
	for (unsigned int i = 0; i < b->options.repeat; i++) {
		laps->path[i] = time_lap(lane, poll_lap);
		laps->bytes += lane->out.bytes + lane->in.bytes;
		laps->packets += lane->out.end + lane->in.end;
		laps->idle[i] = time_lap(lane, wire_idle);
	}
	if (b->options.shared)
		atomic_store(&b->over, true);
	return 0;
}

/* The stages one by one: of each the least of many laps. Worker 0 alone. */
static int
run_stages(void *arg)
{
	struct bench *b = arg;
	struct laps *laps = &b->laps[0];
	uint64_t ticks[STAGES_MAX];

	memset(laps->stages, 0xff, sizeof(laps->stages));
	for (unsigned int i = 0; i < RTE_MIN(b->options.repeat, (unsigned int)STAGE_LAPS); i++) {
		wire_fill(&b->lanes[0]);
		stages_begin();
		poll_lap(&b->lanes[0]);
		stages_end(ticks);
		wire_check(&b->lanes[0]);
		for (unsigned int k = 0; k < stage_count; k++)
			laps->stages[k] = RTE_MIN(laps->stages[k], ticks[k]);
	}
	return 0;
}

static int
run_latency(void *arg)
{
	struct bench *b = arg;

	b->latency = latency_measure(&b->lanes[0], b->options.latency);
	return 0;
}

/* rte_eal_wait_lcore() would spin meanwhile, perhaps on a worker's core. */
static void
wait_for_lanes(const struct options *o)
{
	for (unsigned int i = 0; i < o->workers; i++) {
		while (rte_eal_get_lcore_state(i + 1) == RUNNING)
			usleep(1000);
		rte_eal_wait_lcore(i + 1);
	}
}

static void
run(struct bench *b)
{
	const struct options *o = &b->options;

	for (unsigned int i = 0; i < o->workers; i++) {
		b->laps[i].path = calloc(o->repeat, sizeof(uint64_t));
		b->laps[i].idle = calloc(o->repeat, sizeof(uint64_t));
		if (b->laps[i].path == NULL || b->laps[i].idle == NULL)
			bench_fail("no memory");
	}
	for (unsigned int i = 0; i < o->workers; i++)
		rte_eal_remote_launch(run_lane, b, i + 1);
	wait_for_lanes(o);
	rte_eal_remote_launch(run_stages, b, 1);
	wait_for_lanes(o);
	if (o->latency > 0)
		rte_eal_remote_launch(run_latency, b, 1);
	wait_for_lanes(o);
}

/* ---- what comes of it ---- */

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The crypto's share of a packet: over the sizes of the mix and over the directions. */
static double
measure_limit(const struct options *o)
{
	unsigned int sizes = o->size != 0 ? 1 : FRAME_MIX;
	double sum = 0, n = 0;

	for (unsigned int i = 0; i < sizes; i++)
		for (int open = 0; open < 2; open++)
			if (options_carry(o, open ? DIRECTION_IN : DIRECTION_OUT)) {
				sum += limit_measure(o, open, frame_size(o, i));
				n++;
			}
	return sum / n;
}

static double
known_limit(const struct options *o)
{
	double out = limit_known(o, false, o->size), in = limit_known(o, true, o->size);

	if (o->direction == DIRECTION_BOTH)
		return (out + in) / 2;
	return o->direction == DIRECTION_OUT ? out : in;
}

static void
summarise_lane(struct bench *b, unsigned int id, struct result *r)
{
	const struct options *o = &b->options;
	struct laps *laps = &b->laps[id];
	unsigned int lanes = lanes_with_packets(o);
	double lap = wire_lap(o), least, median, source, path;
	/* Of some ten thousand laps one is faster than the crypto alone can be: a clock's error. */
	unsigned int first = o->repeat / 1000;

	qsort(laps->path, o->repeat, sizeof(*laps->path), compare);
	qsort(laps->idle, o->repeat, sizeof(*laps->idle), compare);
	source = (double)laps->idle[lanes > 1 ? o->repeat / 2 : first] / lap;
	least = (double)laps->path[first] / lap;
	median = (double)laps->path[o->repeat / 2] / lap;
	path = (lanes > 1 ? median : least) - source;
	r->path += path / lanes;
	r->source += source / lanes;
	r->median += (median - source) / lanes;
	r->spread += (median / least - 1) / lanes;
	r->mpps += (double)rte_get_tsc_hz() / path / 1e6;
	r->gbps += (double)rte_get_tsc_hz() / path * 8 / 1e9 * (double)laps->bytes /
		   (double)laps->packets;
}

static struct result
summarise(struct bench *b)
{
	const struct options *o = &b->options;
	struct result r = {.known = known_limit(o), .latency = b->latency};

	r.limit = measure_limit(o);
	for (unsigned int i = 0; i < lanes_with_packets(o); i++)
		summarise_lane(b, i, &r);
	for (unsigned int k = 0; k < stage_count; k++)
		r.stages[k] = (double)b->laps[0].stages[k] / wire_lap(o);
	r.bytes_per_sa = (double)sad_bytes(b->gateway.dp->sad) / sad_count(b->gateway.dp->sad);
	if (o->sas == 1 && o->workers == 1 && r.path < r.limit * 0.98)
		bench_fail("%.1f ticks a packet are implausible: the crypto alone takes %.1f",
			   r.path, r.limit);
	return r;
}

static double
microseconds(double ticks)
{
	return ticks / (double)rte_get_tsc_hz() * 1e6;
}

static void
print(const struct options *o, const struct result *r)
{
	char size[16] = "64 to 1420";

	if (o->size != 0)
		snprintf(size, sizeof(size), "%u", o->size);
	printf("%s, %s by %s, %s mode, IPv%u%s, %s bytes, %u SA(s) %s, %u policies, %u "
	       "worker(s)%s, "
	       "bursts of %u\n",
	       direction_words[o->direction], crypto_suites[o->suite].name,
	       crypto_backend_name(o->backend), mode_words[o->transport], o->family,
	       o->udp_encap ? " in UDP" : "", size, o->sas, order_words[o->order], o->policies,
	       o->workers, o->shared ? " on the first's packets" : "", o->burst);
	printf("  ticks a packet      %8.1f  (median %.1f, spread %.1f %%, source and sink %.1f "
	       "more)\n",
	       r->path, r->median, r->spread * 100, r->source);
	printf("  the crypto alone    %8.1f  (%+.1f, ratio %.2f)\n", r->limit, r->path - r->limit,
	       r->path / r->limit);
	if (r->known != 0 && (r->limit > r->known * 1.1 || r->limit < r->known * 0.9))
		printf("  NOTE: that is more than 10 %% off the %.0f of the table: another "
		       "machine, "
		       "or a loaded one\n",
		       r->known);
	printf("  %.2f million packets and %.2f Gbit (of inner packets) a second; %.0f bytes an "
	       "SA\n",
	       r->mpps, r->gbps, r->bytes_per_sa);
	if (o->latency > 0)
		printf("  from port to port   %8.2f us for half of %u packets, %.2f for 99 %%, "
		       "%.2f for "
		       "99.9 %%\n",
		       microseconds(r->latency.p50), o->latency, microseconds(r->latency.p99),
		       microseconds(r->latency.p999));
	for (unsigned int k = 0; k < stage_count; k++)
		if (r->stages[k] >= 0.05)
			printf("    %-18s %8.1f\n", stage_names[k], r->stages[k]);
}

static void
write_json(const struct options *o, const struct result *r)
{
	json_t *stages = json_object(), *all;

	for (unsigned int k = 0; k < stage_count; k++)
		json_object_set_new(stages, stage_names[k], json_real(r->stages[k]));
	all = json_pack("{s:s, s:s, s:s, s:i, s:s, s:o, s:i, s:s, s:i, s:i, s:b, s:s, s:i, s:i}",
			"direction", direction_words[o->direction], "suite",
			crypto_suites[o->suite].name, "mode", mode_words[o->transport], "family",
			o->family, "encap", o->udp_encap ? "udp" : "none", "size",
			o->size != 0 ? json_integer(o->size) : json_string("imix"), "sas", o->sas,
			"order", order_words[o->order], "policies", o->policies, "workers",
			o->workers, "shared", o->shared, "backend", crypto_backend_name(o->backend),
			"burst", o->burst, "repeats", o->repeat);
	json_object_set_new(all, "ticks_per_packet", json_real(r->path));
	json_object_set_new(all, "ticks_with_source", json_real(r->path + r->source));
	json_object_set_new(all, "median_ticks_per_packet", json_real(r->median));
	json_object_set_new(all, "limit_ticks_per_packet", json_real(r->limit));
	json_object_set_new(all, "spread", json_real(r->spread));
	json_object_set_new(all, "mpps", json_real(r->mpps));
	json_object_set_new(all, "gbps", json_real(r->gbps));
	json_object_set_new(all, "bytes_per_sa", json_real(r->bytes_per_sa));
	json_object_set_new(all, "stages", stages);
	if (o->latency > 0)
		json_object_set_new(
			all, "latency_us",
			json_pack("{s:f, s:f, s:f, s:f, s:i}", "p50", microseconds(r->latency.p50),
				  "p99", microseconds(r->latency.p99), "p99.9",
				  microseconds(r->latency.p999), "most",
				  microseconds(r->latency.most), "packets", o->latency));
	if (json_dump_file(all, o->json, JSON_INDENT(8)) != 0)
		bench_fail("%s cannot be written", o->json);
	json_decref(all);
}

int
main(int argc, char **argv)
{
	static struct bench b;
	struct result r;

	b.options = options_read(argc, argv);
	gateway_start(&b.gateway, &b.options);
	wire_start(b.lanes, &b.gateway, &b.options);
	run(&b);
	r = summarise(&b);
	print(&b.options, &r);
	if (b.options.json != NULL)
		write_json(&b.options, &r);
	wire_stop(b.lanes, &b.gateway);
	gateway_stop(&b.gateway);
	rte_eal_cleanup();
	return EXIT_SUCCESS;
}
