/* SPDX-License-Identifier: BSD-3-Clause */
#include "idle.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "walk.h"
#include "worker.h"

#define IDLE_POLLS   2048              /* empty polls before the first sleep */
#define DOZE_POLLS   (IDLE_POLLS + 64) /* and before dozing */
#define SLEEP_MIN_NS 20000
#define SLEEP_MAX_NS 750000    /* and what the scheduler adds: back within a millisecond */
#define DOZE_NS      100000000 /* to see whether the daemon stops */

static void
sleep_short(const struct worker *w)
{
	uint32_t doublings = RTE_MIN(w->idle_polls - IDLE_POLLS, 8u);
	struct timespec ts = {.tv_nsec = RTE_MIN(SLEEP_MIN_NS << doublings, SLEEP_MAX_NS)};

	nanosleep(&ts, NULL);
}

/* A wake that comes before the wait is not lost: the watch looks again and again. */
static void
doze(struct worker *w)
{
	const struct timespec ts = {.tv_nsec = DOZE_NS};
	uint32_t dozing = IDLE_DOZING;

	/* Release: whoever polls the queues next sees them as they are left. */
	atomic_store_explicit(&w->idle, IDLE_DOZING, memory_order_release);
	syscall(SYS_futex, &w->idle, FUTEX_WAIT_PRIVATE, IDLE_DOZING, &ts, NULL, 0);
	/* Acquire: and sees what the watch did with them. It returns them after a burst. */
	while (!atomic_compare_exchange_weak_explicit(&w->idle, &dozing, IDLE_AWAKE,
						      memory_order_acquire, memory_order_relaxed)) {
		dozing = IDLE_DOZING;
		sched_yield();
	}
}

void
idle_turn(struct worker *w, unsigned int n)
{
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(w->dp->reclaim);

	w->idle_polls = n > 0 ? 0 : w->idle_polls + 1;
	if (w->idle_polls <= IDLE_POLLS)
		return;
	if (w->idle_polls == IDLE_POLLS + 1)
		tx_remind(w);
	rte_rcu_qsbr_thread_offline(qsbr, w->id);
	if (w->id == 0 || w->idle_polls <= DOZE_POLLS)
		sleep_short(w);
	else
		doze(w);
	rte_rcu_qsbr_thread_online(qsbr, w->id);
	w->count.sleeps++;
	w->tsc = turns_begin(&w->turns);
}

/* Whether there is crypto to be shared (spread.h). */
static bool
has_offers(const struct dataplane *dp)
{
	/* Relaxed: seen a poll later at worst. */
	if (atomic_load_explicit(&dp->sharing, memory_order_relaxed) == 0)
		return false;
	for (unsigned int i = 0; i < dp->workers_count; i++)
		if (spread_offers(dp->workers[i]->spread))
			return true;
	return false;
}

/* The queues of one that dozes; what was found leaves before they are given back. */
static unsigned int
stand_in(struct worker *w, struct worker *other)
{
	unsigned int n = worker_poll_queues(w, other->id);

	if (n > 0)
		tx_flush(w);
	atomic_store_explicit(&other->idle, IDLE_DOZING, memory_order_release);
	if (n > 0 || !rte_ring_empty(other->inbox) || has_offers(w->dp))
		syscall(SYS_futex, &other->idle, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	return n;
}

unsigned int
idle_watch(struct worker *w)
{
	unsigned int n = 0;

	if (w->id != 0)
		return 0;
	for (unsigned int i = 1; i < w->dp->workers_count; i++) {
		struct worker *other = w->dp->workers[i];
		uint32_t dozing = IDLE_DOZING;

		/* Relaxed: only a hint that saves the exchange. */
		if (likely(atomic_load_explicit(&other->idle, memory_order_relaxed) != dozing))
			continue;
		/* Acquire and, in stand_in(), release: see doze(). */
		if (atomic_compare_exchange_strong_explicit(&other->idle, &dozing, IDLE_LENT,
							    memory_order_acquire,
							    memory_order_relaxed))
			n += stand_in(w, other);
	}
	return n;
}
