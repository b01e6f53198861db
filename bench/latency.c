/* SPDX-License-Identifier: BSD-3-Clause */
#include "latency.h"

#include <inttypes.h>
#include <stdlib.h>

#include "limit.h"

#define TICKS_MAX (1U << 20) /* longer ones count as this long */

static unsigned int
left(const struct lane *lane)
{
	return lane->out.sent_count + lane->in.sent_count;
}

/* Times each poll of a lap; each has a burst in each direction that carries. */
static void
time_polls(struct lane *lane, uint64_t *counts, uint64_t *most)
{
	unsigned int polls = wire_polls(lane->options), burst = wire_lap(lane->options) / polls;

	wire_fill(lane);
	for (unsigned int i = 0; i < polls; i++) {
		uint64_t ticks = limit_ticks();

		worker_poll(lane->worker);
		ticks = limit_ticks() - ticks;
		if (left(lane) != (i + 1) * burst)
			bench_fail("of %u packets %u had left when their poll ended",
				   (i + 1) * burst, left(lane));
		*most = RTE_MAX(*most, ticks);
		counts[RTE_MIN(ticks, TICKS_MAX - 1)] += burst;
	}
}

/* The ticks that a share of the packets at most took. */
static double
quantile(const uint64_t *counts, uint64_t packets, double share)
{
	uint64_t sum = 0;
	unsigned int ticks = 0;

	for (; ticks < TICKS_MAX - 1; ticks++) {
		sum += counts[ticks];
		if ((double)sum >= share * (double)packets)
			break;
	}
	return ticks;
}

struct latency
latency_measure(struct lane *lane, uint64_t packets)
{
	uint64_t *counts = calloc(TICKS_MAX, sizeof(*counts)), done = 0, most = 0;
	struct latency l;

	if (counts == NULL)
		bench_fail("no memory");
	for (; done < packets; done += wire_lap(lane->options))
		time_polls(lane, counts, &most);
	l.p50 = quantile(counts, done, 0.5);
	l.p99 = quantile(counts, done, 0.99);
	l.p999 = quantile(counts, done, 0.999);
	l.most = (double)most;
	free(counts);
	return l;
}
