/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deferred freeing: what was unlinked is freed once every worker has been quiescent since
 * (quiescent-state based reclamation, DPDK's rte_rcu_qsbr). The control thread defers, and polls;
 * it waits only where it can do nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_rcu_qsbr.h>

struct reclaim;

/* Part of what may once be freed, beside what readers may still read. */
struct reclaim_item {
	struct reclaim_item *next;
	uint64_t token; /* of the grace period that it waits for */
	void (*release)(void *ctx, struct reclaim_item *item);
	void *ctx;
};

/* For up to `threads` reader threads, ids 0 to threads - 1. NULL without memory. */
struct reclaim *reclaim_new(unsigned int threads);

/* Frees everything still deferred (the readers have ended), then the queue. */
void reclaim_free(struct reclaim *r);

/* The QSBR variable: readers register, go online and report quiescent states on it. */
struct rte_rcu_qsbr *reclaim_qsbr(struct reclaim *r);

/*
 * Control thread: calls release(ctx, item) after a grace period. The caller has already unlinked
 * what the item is part of. Never fails.
 */
void reclaim_defer(struct reclaim *r, void (*release)(void *ctx, struct reclaim_item *item),
		   void *ctx, struct reclaim_item *item);

/* Control thread: frees what may be freed, without waiting. Returns how many are still waiting. */
uint64_t reclaim_poll(struct reclaim *r);

/*
 * Control thread: the same, once something was freed, which takes a turn of the readers;
 * RECLAIM_WAIT_MS at the longest, and not again for what it has waited for in vain.
 */
#define RECLAIM_WAIT_MS 200
void reclaim_wait(struct reclaim *r);

/*
 * Reader: a later quiescent state, for one that lets go of things only some time after it has found
 * them. With the token that was current at some time it says that it has let go of everything it
 * had found by then. Tokens ascend; an older one than before changes nothing.
 */
uint64_t reclaim_token(const struct reclaim *r);
void reclaim_quiescent(struct reclaim *r, unsigned int thread, uint64_t token);

/*
 * Control thread, now and then: the reader that has held up what waits longest for RECLAIM_STALL_MS
 * or more, by its id; -1 for none. A reader that sleeps holds up nothing.
 */
#define RECLAIM_STALL_MS 1000
int reclaim_stalled(struct reclaim *r, uint64_t milliseconds);
