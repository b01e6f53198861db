/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a worker lends (workers.spread auto): while it has more to do than it can, another one has
 * time, others do take a part of what it offers, and the crypto of a packet takes longer than to
 * carry it to another core and back. How long that is the worker measures on its own batches, since
 * it is the machine's and the suite's: so it just tries.
 */
#include "spread.h"

#include <rte_cycles.h>

#include "balance.h"
#include "worker.h"

#define NEEDLESS   50  /* percent of its time again: it stops */
#define WORTH      330 /* ticks for a packet's crypto */
#define PART       8   /* one in so many of its jobs others do, at least */
#define PAUSE      1   /* seconds, after it tried in vain, */
#define LONG_PAUSE 4   /* or with loss */

/* Since the last review: whether others took their part, */
static bool
is_helped(const struct spread *s)
{
	uint32_t jobs = atomic_load_explicit(&s->offered, memory_order_relaxed) - s->review.offered;

	return s->own - s->review.own + jobs / PART < jobs;
}

/* and whether it was worth it. */
static bool
pays(const struct spread *s)
{
	return s->own == s->review.own || s->least >= WORTH;
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
decide(struct worker *w, uint32_t busy, bool may_begin)
{
	struct spread *s = w->spread;

	if (!w->lends) {
		if (may_begin && busy >= BALANCE_FULL && w->tsc >= s->review.until &&
		    balance_idlest(w) != w->id)
			set(w, true);
	} else if (busy < NEEDLESS) {
		set(w, false);
	} else if (!pays(s) || !is_helped(s)) {
		set(w, false);
		s->review.until = w->tsc + (pays(s) ? PAUSE : LONG_PAUSE) * rte_get_tsc_hz();
	}
}

void
spread_review(struct worker *w, uint32_t busy, bool may_begin)
{
	struct spread *s = w->spread;

	if (s == NULL || w->dp->config->workers.spread != SPREAD_AUTO)
		return;
	decide(w, busy, may_begin);
	s->review.offered = atomic_load_explicit(&s->offered, memory_order_relaxed);
	s->review.own = s->own;
	s->least = UINT64_MAX;
}
