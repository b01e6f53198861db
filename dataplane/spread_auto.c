/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a worker lends (workers.spread auto): while it has more to do than it can, another one has
 * time, others do take a part of what it offers, and the crypto of a packet takes longer than to
 * carry it to another core and back. How long that is the worker measures on its own batches, since
 * it is the machine's and the suite's: so it just tries.
 */
#include "spread.h"

#include <rte_cycles.h>

#include "worker.h"

#define FULL     90  /* percent of its time: it tries */
#define NEEDLESS 50  /* and less than that again: it stops */
#define IDLE     50  /* of another one's: that has time */
#define WORTH    330 /* ticks for a packet's crypto */
#define PART     8   /* one in so many of its jobs others do, at least */
#define PAUSE    4   /* seconds, after it tried in vain */

static bool
somebody_has_time(const struct worker *w)
{
	for (unsigned int i = 0; i < w->dp->workers_count; i++)
		/* Relaxed: a figure. */
		if (i != w->id && atomic_load_explicit(&w->dp->workers[i]->spread->busy,
						       memory_order_relaxed) < IDLE)
			return true;
	return false;
}

/* Whether it did good since the last review. */
static bool
pays(const struct spread *s)
{
	uint32_t jobs = atomic_load_explicit(&s->offered, memory_order_relaxed) - s->review.offered;
	uint32_t own = s->own - s->review.own;

	return own + jobs / PART < jobs && (own == 0 || s->least >= WORTH);
}

static void
set(struct worker *w, bool lends)
{
	w->lends = lends;
	/* Relaxed: a hint to look for offers. */
	if (lends)
		atomic_fetch_add_explicit(&w->dp->sharing, 1, memory_order_relaxed);
	else
		atomic_fetch_sub_explicit(&w->dp->sharing, 1, memory_order_relaxed);
}

static void
decide(struct worker *w, uint32_t busy)
{
	struct spread *s = w->spread;

	if (!w->lends && busy >= FULL && w->tsc >= s->review.until && somebody_has_time(w)) {
		set(w, true);
	} else if (w->lends && busy < NEEDLESS) {
		set(w, false);
	} else if (w->lends && !pays(s)) {
		set(w, false);
		s->review.until = w->tsc + PAUSE * rte_get_tsc_hz();
	}
}

void
spread_review(struct worker *w)
{
	struct spread *s = w->spread;
	uint64_t ticks;
	uint32_t busy;

	if (s == NULL || w->dp->config->workers.spread != SPREAD_AUTO)
		return;
	ticks = w->tsc - s->review.tsc;
	busy = ticks > 0 ? (uint32_t)((w->count.busy_cycles - s->review.busy) * 100 / ticks) : 0;
	atomic_store_explicit(&s->busy, busy, memory_order_relaxed);
	if (s->review.tsc != 0)
		decide(w, busy);
	s->review.tsc = w->tsc;
	s->review.busy = w->count.busy_cycles;
	s->review.offered = atomic_load_explicit(&s->offered, memory_order_relaxed);
	s->review.own = s->own;
	s->least = UINT64_MAX;
}
