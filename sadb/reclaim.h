/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deferred freeing: what was unlinked is freed once every worker has been quiescent since
 * (quiescent-state based reclamation, DPDK's rte_rcu_qsbr). Nothing here blocks: the control
 * thread defers, and polls.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_rcu_qsbr.h>

struct reclaim;

/* For up to `threads` reader threads, ids 0 to threads - 1. NULL without memory. */
struct reclaim *reclaim_new(unsigned int threads);

/* Frees everything still deferred (the readers have ended), then the queue. */
void reclaim_free(struct reclaim *r);

/* The QSBR variable: readers register, go online and report quiescent states on it. */
struct rte_rcu_qsbr *reclaim_qsbr(struct reclaim *r);

/*
 * Control thread: calls fn(ctx, object) after a grace period. The caller has already unlinked
 * `object`. Never fails: without memory for the record it waits for the grace period.
 */
void reclaim_defer(struct reclaim *r, void (*fn)(void *ctx, void *object), void *ctx, void *object);

/* Control thread: frees what may be freed, without waiting. Returns how many are still waiting. */
uint64_t reclaim_poll(struct reclaim *r);
