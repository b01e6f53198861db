/* SPDX-License-Identifier: BSD-3-Clause */
#include "balance.h"

#include "worker.h"

uint32_t
balance_busy(const struct worker *w)
{
	/* Relaxed: a figure. */
	return atomic_load_explicit(&w->busy, memory_order_relaxed);
}

uint32_t
balance_idlest(const struct worker *w)
{
	uint32_t idlest = w->id, least = BALANCE_IDLE;

	for (unsigned int i = 0; i < w->dp->workers_count; i++) {
		uint32_t busy = i != w->id ? balance_busy(w->dp->workers[i]) : BALANCE_IDLE;

		if (busy < least) {
			idlest = i;
			least = busy;
		}
	}
	return idlest;
}

void
balance_review(struct worker *w)
{
	uint64_t ticks = w->tsc - w->reviewed.tsc, busy = w->count.busy_cycles - w->reviewed.busy;
	bool first = w->reviewed.tsc == 0, moves;
	uint32_t percent;

	w->reviewed.tsc = w->tsc;
	w->reviewed.busy = w->count.busy_cycles;
	if (first || ticks == 0)
		return;
	percent = (uint32_t)(busy * 100 / ticks);
	atomic_store_explicit(&w->busy, percent, memory_order_relaxed);
	moves = move_review(w, percent);
	spread_review(w, percent, !moves);
}
