/* SPDX-License-Identifier: BSD-3-Clause */
#include "spread.h"

#include <netinet/in.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "pmtu.h"
#include "walk.h"
#include "worker.h"

#define LEAST         16 /* packets at once that are worth sharing, */
#define LEAST_RUN     8  /* those of one SA */
#define AHEAD         2  /* jobs that are left to others while more comes */
#define PATIENCE_MS   100
#define PLACES_ENOUGH (SPREAD_JOBS * 3 / 4)

struct spread *
spread_new(int socket)
{
	struct spread *s = rte_zmalloc_socket("spread", sizeof(*s), RTE_CACHE_LINE_SIZE, socket);

	if (s != NULL)
		s->patience = rte_get_tsc_hz() / 1000 * PATIENCE_MS;
	return s;
}

static struct spread_job *
job_at(struct spread *s, uint32_t number)
{
	return &s->jobs[number % SPREAD_JOBS];
}

/* Relaxed, here and in waits(): the worker's own count. */
static uint32_t
offered(const struct spread *s)
{
	return atomic_load_explicit(&s->offered, memory_order_relaxed);
}

static bool
waits(const struct spread *s)
{
	return s->passed != offered(s);
}

void
spread_free(struct spread *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = s->retired; i != offered(s); i++)
		if (i - s->passed < SPREAD_JOBS || job_at(s, i)->lost)
			rte_pktmbuf_free_bulk(job_at(s, i)->m, job_at(s, i)->n);
	rte_free(s);
}

/* Whether packets of an SA are in a burst that is about to be offered. */
static bool
is_in(const struct burst *b, const struct sa *sa)
{
	for (unsigned int i = 0; i < b->n; i += burst_run(b, i))
		if (packet(b->m[i])->sa == sa)
			return true;
	return false;
}

bool
spread_has(const struct worker *w, const struct sa *sa)
{
	struct spread *s = w->spread;

	if (s == NULL)
		return false;
	for (uint32_t i = s->passed; i != offered(s); i++)
		if (job_at(s, i)->sa == sa)
			return true;
	return is_in(&w->outbound_spread, sa) || is_in(&w->inbound_spread, sa);
}

bool
spread_takes(const struct worker *w, const struct sa *sa, unsigned int n)
{
	if (w->spread == NULL || n == 0)
		return false;
	if (spread_has(w, sa))
		return true;
	if (n < LEAST_RUN || sa->proto != IPPROTO_ESP)
		return false;
	/* Relaxed: from the next burst on, at worst. */
	return w->lends ||
	       (atomic_load_explicit(&sa->owner, memory_order_relaxed) & SA_SPREAD) != 0;
}

/* ---- jobs are offered ---- */

static bool
has_place(const struct spread *s)
{
	return offered(s) - s->retired < SPREAD_JOBS;
}

static void
offer(struct worker *w, struct rte_mbuf *const *m, unsigned int n, bool open)
{
	struct spread *s = w->spread;
	struct spread_job *job = job_at(s, offered(s));

	if (unlikely(!has_place(s))) {
		for (unsigned int i = 0; i < n; i++)
			packet_drop(w, m[i], DROP_HANDOVER);
		return;
	}
	atomic_store_explicit(&job->done, false, memory_order_relaxed);
	job->open = open;
	job->lost = false;
	job->n = (uint8_t)n;
	job->since = w->tsc;
	job->sa = packet(m[0])->sa;
	memcpy(job->m, m, n * sizeof(*m));
	crypto_texts(m, n, open, job->texts);
	w->count.held += n;
	w->count.offered += n;
	w->lent++;
	/* Release: whoever takes the job sees it, and its packets as they are. */
	atomic_store_explicit(&s->offered, offered(s) + 1, memory_order_release);
}

/* Whether somebody still has a job that was given up. */
static bool
misses_one(const struct spread *s)
{
	return s->retired != s->passed;
}

/* Of a burst that is small, or while one is missing, if nothing is in front: it is done at once. */
static bool
alone(const struct spread *s, const struct burst *b)
{
	return !waits(s) && (b->n < LEAST || misses_one(s));
}

static void
offer_all(struct worker *w, struct burst *b, bool open)
{
	unsigned int n, run;

	for (unsigned int i = 0; i < b->n; i += n) {
		run = burst_run(b, i);
		n = RTE_MIN(run, (unsigned int)SPREAD_BATCH);
		if (n < run) /* the rest, a run of its own */
			burst_part(b, i + n, 0);
		offer(w, b->m + i, n, open);
	}
	burst_clear(b);
}

void
spread_open(struct worker *w, struct burst *b)
{
	if (alone(w->spread, b))
		crypto_open_stage(w, b);
	else
		offer_all(w, b, true);
}

void
spread_seal(struct worker *w, struct burst *b)
{
	if (alone(w->spread, b))
		crypto_seal_stage(w, b);
	else
		offer_all(w, b, false);
}

/* ---- taken, by any worker, and done ---- */

static struct spread_job *
take(struct spread *s)
{
	uint32_t number = atomic_load_explicit(&s->taken, memory_order_relaxed);

	do { /* Acquire: see offer(). */
		if (number == atomic_load_explicit(&s->offered, memory_order_acquire))
			return NULL;
	} while (!atomic_compare_exchange_weak_explicit(
		&s->taken, &number, number + 1, memory_order_acquire, memory_order_relaxed));
	return job_at(s, number);
}

static void
work(struct worker *w, struct spread_job *job, bool far)
{
	job->failed = crypto_lot(w, job->sa, job->texts, job->n, job->open, far);
	/* Release: the worker whose job it is sees the packets as they are now. */
	atomic_store_explicit(&job->done, true, memory_order_release);
}

/* One of its own; others count what they do themselves. */
static void
work_timed(struct worker *w, struct spread_job *job)
{
	struct spread *s = w->spread;
	uint64_t begin = rte_rdtsc();

	work(w, job, false);
	s->least = RTE_MIN(s->least, (rte_rdtsc() - begin) / job->n);
	s->own++;
}

/* One job, of another worker's. */
static unsigned int
help(struct worker *w)
{
	for (unsigned int i = 1; i < w->dp->workers_count; i++) {
		struct worker *other = w->dp->workers[(w->id + i) % w->dp->workers_count];
		struct spread_job *job = take(other->spread);

		if (job == NULL)
			continue;
		w->count.helped += job->n;
		work(w, job, true);
		return 1;
	}
	return 0;
}

/* ---- they go on, in order ---- */

/* Acquire: pairs with work(). */
static bool
is_done(const struct spread_job *job)
{
	return atomic_load_explicit(&job->done, memory_order_acquire);
}

/* Whether somebody has had the next one for too long, or while places run short: it is given up. */
static bool
is_lost(const struct worker *w, const struct spread_job *job)
{
	const struct spread *s = w->spread;

	return unlikely(w->tsc - job->since > s->patience ||
			offered(s) - s->retired > PLACES_ENOUGH) &&
	       s->passed != atomic_load_explicit(&s->taken, memory_order_relaxed);
}

/* What the stages to come read and write of packets that another worker has sealed or opened. */
CRYPTO_PREFETCHW static void
prefetch_heads(const struct spread_job *job)
{
	for (unsigned int i = 0; i < job->n; i++) {
		const uint8_t *data = rte_pktmbuf_mtod(job->m[i], const uint8_t *);

		__builtin_prefetch(data, 1);
		if (job->open) {
			__builtin_prefetch(data + 64, 1);
			__builtin_prefetch(data + rte_pktmbuf_data_len(job->m[i]) - 32);
		}
	}
}

/* The next that may go on, or NULL. */
static struct spread_job *
next_done(struct worker *w)
{
	struct spread *s = w->spread;

	while (waits(s)) {
		struct spread_job *job = job_at(s, s->passed);

		if (is_done(job)) {
			prefetch_heads(job);
			s->passed++;
			return job;
		}
		if (!is_lost(w, job))
			return NULL;
		job->lost = true;
		s->passed++;
	}
	return NULL;
}

/* One that is cut now came alone (pmtu.c). */
static void
sealed(struct worker *w, const struct spread_job *job)
{
	const struct packet *p = packet(job->m[0]);
	uint32_t mtu = UINT32_MAX;

	if (unlikely((p->flags & PACKET_TOO_LONG) != 0))
		mtu = pmtu_outer(w, p->sa, p->out);
	if (likely(mtu >= rte_pktmbuf_pkt_len(job->m[0]))) {
		crypto_sealed(w, job->m, job->n, job->failed);
		return;
	}
	walk_leave(w);
	crypto_sealed(w, job->m, job->n, job->failed);
	pmtu_cut_sealed(w, mtu);
}

/* Those of an inbound and an outbound SA take turns in `leaving`. */
static void
pass_on(struct worker *w)
{
	struct burst opened = {0};
	struct spread_job *job;

	while ((job = next_done(w)) != NULL) {
		w->count.resumed += job->n;
		if (!job->open || opened.n + job->n > BURST_MAX)
			walk_opened(w, &opened);
		if (job->open || w->leaving.n + job->n > BURST_MAX)
			walk_leave(w);
		if (job->open)
			crypto_opened(w, job->m, job->n, job->failed, &opened);
		else
			sealed(w, job);
	}
	walk_leave(w);
	walk_opened(w, &opened);
}

/* Frees the places of those that went on, and of the lost ones that came back after all. */
static void
retire(struct worker *w)
{
	struct spread *s = w->spread;

	for (; s->retired != s->passed; s->retired++, w->lent--) {
		struct spread_job *job = job_at(s, s->retired);

		if (likely(!job->lost))
			continue;
		if (!is_done(job))
			return;
		w->count.resumed += job->n;
		for (unsigned int i = 0; i < job->n; i++)
			packet_drop(w, job->m[i], DROP_HANDOVER);
	}
}

/*
 * Not while places are short, nor of an SA that is to move (move.h), nor when it has stopped to
 * lend: an SA of which there always is some under way would go on so.
 */
static bool
leaves_some(const struct worker *w)
{
	return !misses_one(w->spread) && (w->moves & MOVE_GIVES) == 0 &&
	       (w->lends || w->dp->config->workers.spread != SPREAD_AUTO);
}

static void
own(struct worker *w, unsigned int ahead)
{
	struct spread *s = w->spread;
	struct spread_job *job;

	/* Relaxed: others may have taken more by now. */
	while (offered(s) - atomic_load_explicit(&s->taken, memory_order_relaxed) > ahead &&
	       (job = take(s)) != NULL)
		work_timed(w, job);
	pass_on(w);
	retire(w);
}

unsigned int
spread_turn(struct worker *w, unsigned int came)
{
	unsigned int jobs = w->lent;

	if (jobs > 0)
		own(w, came > 0 && leaves_some(w) ? AHEAD : 0);
	if (came < LEAST)
		jobs += help(w);
	return jobs;
}

void
spread_quiescent(struct worker *w)
{
	struct spread *s = w->spread;

	if ((int32_t)(s->retired - s->mark) < 0)
		return;
	reclaim_quiescent(w->dp->reclaim, w->id, s->token);
	s->token = reclaim_token(w->dp->reclaim);
	s->mark = offered(s);
}
