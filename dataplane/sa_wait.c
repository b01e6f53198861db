/* SPDX-License-Identifier: BSD-3-Clause */
#include "sa_wait.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <rte_ring_elem.h>

#include "packet.h"
#include "policy.h"
#include "worker.h"

#define ASK_MS        1000
#define ASKED_AT_ONCE 100
#define RING_SIZE     (2 * SA_WAIT_MAX) /* a power of two that has room for all */

/* A packet and what it waits for. */
struct waiter {
	struct rte_mbuf *m;
	uint64_t deadline; /* the control thread's: monotonic milliseconds */
	struct flow flow;
	uint32_t policy_index; /* of the policy that has no SA, */
	uint32_t policy_slot;  /* and where it is counted */
	uint32_t worker;       /* who asked: it knows the ports of later fragments */
};

struct sa_wait {
	struct rte_ring *ring; /* of struct waiter, from workers */
	_Atomic bool heard;
	_Atomic uint32_t total;      /* in the ring and in the queue, */
	_Atomic uint32_t *of_policy; /* and of these by the policy's slot */

	/* The control thread's. */
	uint64_t expired;
	uint64_t ask_due; /* when SAs are asked for again */
	uint32_t asked;   /* rounds of that */
	uint64_t version; /* of the SPD that all in the queue were looked at with */
	bool again;       /* but for those that a full inbox stopped */
	uint32_t count;
	struct waiter queue[SA_WAIT_MAX]; /* the oldest first */
};

static_assert(SA_WAIT_MAX <= INBOX_SIZE / 4, "all that wait may come back to one worker at once");

int
sa_wait_start(struct dataplane *dp, struct reason *why)
{
	ssize_t size = rte_ring_get_memsize_elem(sizeof(struct waiter), RING_SIZE);
	struct sa_wait *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return reason_set(why, ENOMEM, "packets that wait for SAs: no memory");
	dp->sa_wait = s;
	s->of_policy = calloc(spd_max_policies(dp->spd), sizeof(*s->of_policy));
	s->ring = aligned_alloc(RTE_CACHE_LINE_SIZE, (size_t)size);
	/* RTS: a worker that the scheduler stopped within an enqueue does not hold up others. */
	if (s->of_policy != NULL && s->ring != NULL &&
	    rte_ring_init(s->ring, "sa_wait", RING_SIZE, RING_F_MP_RTS_ENQ | RING_F_SC_DEQ) == 0)
		return 0;
	free(s->ring);
	s->ring = NULL;
	sa_wait_stop(dp);
	return reason_set(why, ENOMEM, "packets that wait for SAs: no memory for their ring");
}

void
sa_wait_stop(struct dataplane *dp)
{
	struct sa_wait *s = dp->sa_wait;
	struct waiter waiter;

	if (s == NULL)
		return;
	while (s->ring != NULL && rte_ring_dequeue_elem(s->ring, &waiter, sizeof(waiter)) == 0)
		rte_pktmbuf_free(waiter.m);
	for (uint32_t i = 0; i < s->count; i++)
		rte_pktmbuf_free(s->queue[i].m);
	free(s->ring);
	free(s->of_policy);
	free(s);
	dp->sa_wait = NULL;
}

/* ---- workers ---- */

/* Relaxed, as all of these counts: they bound, and order nothing. */
static bool
take_place(_Atomic uint32_t *count, uint32_t most)
{
	/* Read first: in a flood the line stays shared. */
	if (atomic_load_explicit(count, memory_order_relaxed) >= most)
		return false;
	if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < most)
		return true;
	atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
	return false;
}

static void
give_place(_Atomic uint32_t *count)
{
	atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

static bool
take_places(struct sa_wait *s, uint32_t slot)
{
	if (!take_place(&s->of_policy[slot], SA_WAIT_PER_POLICY))
		return false;
	if (take_place(&s->total, SA_WAIT_MAX))
		return true;
	give_place(&s->of_policy[slot]);
	return false;
}

static void
give_places(struct sa_wait *s, uint32_t slot)
{
	give_place(&s->total);
	give_place(&s->of_policy[slot]);
}

bool
sa_wait_put(struct worker *w, struct rte_mbuf *m, const struct policy *policy,
	    const struct flow *flow)
{
	struct sa_wait *s = w->dp->sa_wait;
	struct waiter waiter = {
		.m = m,
		.flow = *flow,
		.policy_index = policy->index,
		.policy_slot = spd_slot(w->dp->spd, policy),
		.worker = w->id,
	};

	/* Relaxed: the daemon that comes or goes is noticed a turn later. Large buffers are few. */
	if (!atomic_load_explicit(&s->heard, memory_order_relaxed) ||
	    (packet(m)->flags & PACKET_LARGE) != 0)
		return false;
	if (!take_places(s, waiter.policy_slot)) {
		w->count.sa_wait_overflows++;
		return false;
	}
	/* It has room for all that have a place. */
	rte_ring_enqueue_elem(s->ring, &waiter, sizeof(waiter));
	w->count.held++;
	return true;
}

/* ---- the control thread ---- */

/* Whether a worker that asked policy now would find what it found then. */
static bool
must_wait(const struct dataplane *dp, const struct waiter *waiter)
{
	const struct policy *policy =
		spd_lookup(dp->spd, packet(waiter->m)->tenant, SPD_OUT, &waiter->flow);

	return policy != NULL && policy->index == waiter->policy_index &&
	       policy->action == SPD_PROTECT && policy_sa_for(policy, &waiter->flow) == NULL;
}

/* False where the inbox is full. */
static bool
give_back(struct dataplane *dp, const struct waiter *waiter, enum resume resume)
{
	packet(waiter->m)->resume = (uint8_t)resume;
	if (rte_ring_enqueue(dp->workers[waiter->worker]->inbox, waiter->m) != 0)
		return false;
	give_places(dp->sa_wait, waiter->policy_slot);
	dp->sa_wait->expired += resume == RESUME_DROP_NO_SA;
	return true;
}

/* Gives it back if it need not wait any longer. False where it stays. */
static bool
settle(struct dataplane *dp, const struct waiter *waiter, uint64_t now)
{
	bool in_vain = must_wait(dp, waiter);

	if (in_vain && now < waiter->deadline)
		return false;
	if (give_back(dp, waiter, in_vain ? RESUME_DROP_NO_SA : RESUME_SPD_LOOKUP))
		return true;
	dp->sa_wait->again = true;
	return false;
}

/* Up to a full inbox, so flows keep their order. */
static void
look_at_all(struct dataplane *dp, uint64_t now)
{
	struct sa_wait *s = dp->sa_wait;
	uint32_t left = 0;

	s->again = false;
	for (uint32_t i = 0; i < s->count; i++)
		if (s->again || !settle(dp, &s->queue[i], now))
			s->queue[left++] = s->queue[i];
	s->count = left;
}

/*
 * Asks for SAs on behalf of those that wait: an earlier request may have been one too many within a
 * second, or about another flow of a policy that became several SAs, or its daemon is gone. Each
 * round begins with another packet.
 */
static void
ask_again(struct dataplane *dp)
{
	const struct sa_wait *s = dp->sa_wait;
	uint64_t second = (uint64_t)time(NULL);
	unsigned int left = ASKED_AT_ONCE;

	for (uint32_t i = 0; i < s->count && left > 0; i++) {
		const struct waiter *waiter = &s->queue[(i + s->asked) % s->count];
		struct policy *policy = spd_find(dp->spd, NULL, waiter->policy_index);

		left -= policy != NULL && policy_acquire(dp, policy, &waiter->flow, second);
	}
}

static bool
take_new(struct sa_wait *s, uint64_t now)
{
	uint32_t before = s->count;
	struct waiter *next = &s->queue[before];

	while (s->count < SA_WAIT_MAX && rte_ring_dequeue_elem(s->ring, next, sizeof(*next)) == 0) {
		next->deadline = now + SA_WAIT_SECONDS * UINT64_C(1000);
		next++;
		s->count++;
	}
	return s->count > before;
}

void
sa_wait_poll(struct dataplane *dp, bool heard, uint64_t now)
{
	struct sa_wait *s = dp->sa_wait;
	uint64_t version = spd_version(dp->spd);
	bool news = take_new(s, now) || s->again || s->version != version;

	atomic_store_explicit(&s->heard, heard, memory_order_relaxed);
	s->version = version;
	if (s->count > 0 && (news || now >= s->queue[0].deadline))
		look_at_all(dp, now);
	if (now >= s->ask_due) {
		s->ask_due = now + ASK_MS;
		s->asked++;
		ask_again(dp);
	}
}

struct sa_wait_stats
sa_wait_stats(const struct dataplane *dp)
{
	struct worker_counters sum;

	workers_sum(dp, &sum);
	return (struct sa_wait_stats){
		.waiting = atomic_load_explicit(&dp->sa_wait->total, memory_order_relaxed),
		.expired = dp->sa_wait->expired,
		.overflowed = sum.sa_wait_overflows,
		.heard = atomic_load_explicit(&dp->sa_wait->heard, memory_order_relaxed),
	};
}
