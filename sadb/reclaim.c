/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deferred freeing on top of rte_rcu_qsbr: a first-in, first-out list of what waits. Tokens of
 * grace periods ascend, so only the head needs a look.
 */
#include "reclaim.h"

#include <stdlib.h>
#include <time.h>

struct reclaim {
	struct rte_rcu_qsbr *qsbr;
	struct reclaim_item *head, **tail;
	uint64_t waiting;
	uint64_t held_token, held_since; /* of the head, as reclaim_stalled() last saw it */
	uint64_t in_vain;                /* token that reclaim_wait() does not wait for */
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
	struct reclaim_item *item = r->head;

	r->head = item->next;
	if (!r->head)
		r->tail = &r->head;
	r->waiting--;
	item->release(item->ctx, item);
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
reclaim_defer(struct reclaim *r, void (*release)(void *ctx, struct reclaim_item *item), void *ctx,
	      struct reclaim_item *item)
{
	*item = (struct reclaim_item){.release = release, .ctx = ctx};
	item->token = rte_rcu_qsbr_start(r->qsbr);
	*r->tail = item;
	r->tail = &item->next;
	r->waiting++;
}

uint64_t
reclaim_poll(struct reclaim *r)
{
	while (r->head && rte_rcu_qsbr_check(r->qsbr, r->head->token, false) == 1)
		release_head(r);
	return r->waiting;
}

void
reclaim_wait(struct reclaim *r)
{
	const struct timespec pause = {.tv_nsec = 100000};
	uint64_t before = r->waiting;

	for (uint32_t turns = 0; reclaim_poll(r) == before && r->head; turns++) {
		if (r->head->token == r->in_vain)
			return;
		if (turns == RECLAIM_WAIT_MS * UINT32_C(1000000) / (uint32_t)pause.tv_nsec)
			r->in_vain = r->head->token;
		nanosleep(&pause, NULL);
	}
}

uint64_t
reclaim_token(const struct reclaim *r)
{
	/* Acquire: what is looked up from here on does not have what was unlinked before it. */
	return __atomic_load_n(&r->qsbr->token, __ATOMIC_ACQUIRE);
}

/* As rte_rcu_qsbr_quiescent(), which knows the current token only. */
void
reclaim_quiescent(struct reclaim *r, unsigned int thread, uint64_t token)
{
	uint64_t *cnt = &r->qsbr->qsbr_cnt[thread].cnt;

	/* Release: no read of what may be freed now comes after it. */
	if (token > __atomic_load_n(cnt, __ATOMIC_RELAXED))
		__atomic_store_n(cnt, token, __ATOMIC_RELEASE);
}

/* A reader that is online and has not been quiescent since the token was given out, or -1. */
static int
holder(const struct rte_rcu_qsbr *qsbr, uint64_t token)
{
	for (uint32_t i = 0; i < qsbr->max_threads; i++) {
		uint64_t cnt = __atomic_load_n(&qsbr->qsbr_cnt[i].cnt, __ATOMIC_RELAXED);

		if (cnt != __RTE_QSBR_CNT_THR_OFFLINE && cnt < token)
			return (int)i;
	}
	return -1;
}

int
reclaim_stalled(struct reclaim *r, uint64_t milliseconds)
{
	if (!r->head)
		return -1;
	if (r->head->token != r->held_token) {
		r->held_token = r->head->token;
		r->held_since = milliseconds;
	}
	if (milliseconds - r->held_since < RECLAIM_STALL_MS)
		return -1;
	return holder(r->qsbr, r->held_token);
}
