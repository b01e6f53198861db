/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reader threads for tests of lock-free structures: each calls a function over and over, as a
 * worker would, and is quiescent between the calls. What they find wrong they count.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sadb/reclaim.h"

#define READERS 2

struct readers {
	struct reclaim *reclaim;
	bool (*read)(void *ctx, uint64_t *random); /* false: something is wrong */
	void *ctx;
	_Atomic bool stop;
	_Atomic uint64_t reads, wrong;
	pthread_t thread[READERS];
	struct reader {
		struct readers *readers;
		unsigned int id;
	} reader[READERS];
};

static inline void *
readers_run(void *arg)
{
	struct reader *me = arg;
	struct readers *all = me->readers;
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(all->reclaim);
	uint64_t random = 0x5eed + me->id;

	rte_rcu_qsbr_thread_register(qsbr, me->id);
	rte_rcu_qsbr_thread_online(qsbr, me->id);
	while (!atomic_load_explicit(&all->stop, memory_order_relaxed)) {
		bool right = all->read(all->ctx, &random);

		atomic_fetch_add_explicit(&all->wrong, !right, memory_order_relaxed);
		atomic_fetch_add_explicit(&all->reads, 1, memory_order_relaxed);
		rte_rcu_qsbr_quiescent(qsbr, me->id);
	}
	rte_rcu_qsbr_thread_offline(qsbr, me->id);
	rte_rcu_qsbr_thread_unregister(qsbr, me->id);
	return NULL;
}

static inline void
readers_start(struct readers *all, struct reclaim *reclaim,
	      bool (*read)(void *ctx, uint64_t *random), void *ctx)
{
	all->reclaim = reclaim;
	all->read = read;
	all->ctx = ctx;
	for (unsigned int i = 0; i < READERS; i++) {
		all->reader[i] = (struct reader){all, i};
		pthread_create(&all->thread[i], NULL, readers_run, &all->reader[i]);
	}
}

/* Whether the readers have read so often: churn goes on until then. */
static inline bool
readers_done(struct readers *all, uint64_t reads)
{
	return atomic_load_explicit(&all->reads, memory_order_relaxed) >= reads;
}

/* How many reads went wrong. */
static inline uint64_t
readers_stop(struct readers *all)
{
	atomic_store_explicit(&all->stop, true, memory_order_relaxed);
	for (unsigned int i = 0; i < READERS; i++)
		pthread_join(all->thread[i], NULL);
	return atomic_load_explicit(&all->wrong, memory_order_relaxed);
}
