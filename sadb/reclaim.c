/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deferred freeing on top of rte_rcu_qsbr: a first-in, first-out list of records, each with the
 * token of the grace period that it waits for. Tokens ascend, so only the head needs a look.
 */
#include "reclaim.h"

#include <stdlib.h>

struct deferred {
	struct deferred *next;
	uint64_t token;
	void (*fn)(void *ctx, void *object);
	void *ctx, *object;
};

struct reclaim {
	struct rte_rcu_qsbr *qsbr;
	struct deferred *head, **tail;
	uint64_t waiting;
};

struct reclaim *
reclaim_new(unsigned int threads)
{
	size_t size = rte_rcu_qsbr_get_memsize(threads);
	struct reclaim *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->tail = &r->head;
	r->qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(size, RTE_CACHE_LINE_SIZE));
	if (!r->qsbr || rte_rcu_qsbr_init(r->qsbr, threads) != 0) {
		free(r->qsbr);
		free(r);
		return NULL;
	}
	return r;
}

static void
release_head(struct reclaim *r)
{
	struct deferred *d = r->head;

	r->head = d->next;
	if (!r->head)
		r->tail = &r->head;
	r->waiting--;
	d->fn(d->ctx, d->object);
	free(d);
}

void
reclaim_free(struct reclaim *r)
{
	if (!r)
		return;
	while (r->head)
		release_head(r);
	free(r->qsbr);
	free(r);
}

struct rte_rcu_qsbr *
reclaim_qsbr(struct reclaim *r)
{
	return r->qsbr;
}

void
reclaim_defer(struct reclaim *r, void (*fn)(void *ctx, void *object), void *ctx, void *object)
{
	struct deferred *d = malloc(sizeof(*d));

	if (!d) {
		rte_rcu_qsbr_synchronize(r->qsbr, RTE_QSBR_THRID_INVALID);
		fn(ctx, object);
		return;
	}
	*d = (struct deferred){.fn = fn, .ctx = ctx, .object = object};
	d->token = rte_rcu_qsbr_start(r->qsbr);
	*r->tail = d;
	r->tail = &d->next;
	r->waiting++;
}

uint64_t
reclaim_poll(struct reclaim *r)
{
	while (r->head && rte_rcu_qsbr_check(r->qsbr, r->head->token, false) == 1)
		release_head(r);
	return r->waiting;
}
