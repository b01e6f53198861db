/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The workers' loop. A worker polls its queues and its inbox; when nothing came for a while
 * (adaptive polling, idle.h) it sleeps, and is offline for reclamation meanwhile.
 */
#include "worker.h"

#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "balance.h"
#include "icmp.h"
#include "idle.h"
#include "reassembly.h"
#include "walk.h"

#define ACQUIRE_RATE     100 /* requests for SAs of one worker in a second */
#define ACQUIRE_BURST    50
#define TOO_BIG_RATE     1000 /* path MTUs learnt by one worker in a second */
#define TOO_BIG_BURST    50
#define CLOCK_PER_SECOND 64 /* readings of the wall clock */
#define IP_IDS           64 /* identifications of a block */

/* Seconds of the wall clock, without asking the system at each poll. */
static void
read_clock(struct worker *w)
{
	struct timespec ts;

	if (w->tsc < w->clock_due)
		return;
	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	w->now = (uint64_t)ts.tv_sec;
	turns_clock(&w->turns, w->now);
	balance_review(w);
	w->clock_due = w->tsc + rte_get_tsc_hz() / CLOCK_PER_SECOND;
}

/* What the inbox gives was counted as held when it went in, but for frames of the kernel's. */
static void
count_inbox(struct worker *w, const struct burst *b)
{
	for (unsigned int i = 0; i < b->n; i++) {
		const struct packet *p = packet(b->m[i]);

		if (p->resume == RESUME_CLASSIFY && (p->flags & PACKET_FROM_HOST) != 0) {
			w->count.received++;
			w->count.iface[p->in].from_host++;
		} else if (p->resume == RESUME_MADE || p->resume == RESUME_DUMMY) {
			w->count.made++;
		} else {
			w->count.resumed++;
		}
	}
}

static unsigned int
poll_ring(struct worker *w, struct rte_ring *ring)
{
	struct burst b;
	unsigned int n;

	burst_clear(&b);
	b.n = (uint16_t)rte_ring_sc_dequeue_burst(ring, (void **)b.m, BURST_MAX, NULL);
	if (b.n == 0)
		return 0;
	n = b.n;
	count_inbox(w, &b);
	if (unlikely(ring != w->inbox))
		for (unsigned int i = 0; i < n; i++)
			packet(b.m[i])->flags |= PACKET_RELAYED;
	walk_resume(w, &b);
	return n;
}

/* The inbox comes first: what is in it came before what the queues hold. */
static unsigned int
poll_all(struct worker *w)
{
	if (unlikely((w->moves & MOVE_DRAINS) != 0))
		return poll_ring(w, w->move.held);
	return poll_ring(w, w->inbox) + worker_poll_queues(w, w->id);
}

unsigned int
worker_poll_queues(struct worker *w, unsigned int queue)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < w->dp->ports_count; i++) {
		struct burst b;

		burst_clear(&b);
		n += rx(w, &w->dp->ports[i], (uint16_t)queue, &b);
		if (b.n > 0)
			walk(w, &b);
	}
	return n;
}

unsigned int
worker_poll(struct worker *w)
{
	unsigned int n = poll_all(w);

	if (unlikely(spread_in_use(w)))
		n += spread_turn(w, n);
	if (n > 0)
		tx_flush(w);
	if (unlikely(w->moves != 0))
		n += move_turn(w);
	if (unlikely(w->tsc >= w->reassembly_due))
		reassembly_expire(w);
	return n + idle_watch(w);
}

static void
account(struct worker *w, bool busy)
{
	uint64_t tsc = turns_next(&w->turns, w->tsc);

	w->count.polls++;
	if (busy) {
		w->count.busy_polls++;
		w->count.busy_cycles += tsc - w->tsc;
	} else {
		w->count.idle_cycles += tsc - w->tsc;
	}
	w->tsc = tsc;
}

static int
worker_main(void *arg)
{
	struct worker *w = arg;
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(w->dp->reclaim);
	bool adaptive = w->dp->config->workers.polling == POLLING_ADAPTIVE;

	prctl(PR_SET_TIMERSLACK, 1UL);
	rte_rcu_qsbr_thread_online(qsbr, w->id);
	w->tsc = turns_start(&w->turns, w->now, rte_get_tsc_hz());
	/* Relaxed: seen a poll later at worst. */
	while (!atomic_load_explicit(&w->dp->stop, memory_order_relaxed)) {
		unsigned int n;

		read_clock(w);
		n = worker_poll(w);
		if (likely(w->lent == 0))
			rte_rcu_qsbr_quiescent(qsbr, w->id);
		else
			spread_quiescent(w);
		account(w, n > 0);
		if (adaptive)
			idle_turn(w, n);
	}
	rte_rcu_qsbr_thread_offline(qsbr, w->id);
	return 0;
}

/* One that its worker alone empties. */
static struct rte_ring *
ring_new(const char *kind, unsigned int id, int socket, unsigned int producers)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s_%u", kind, id);
	return rte_ring_create(name, INBOX_SIZE, socket, producers | RING_F_SC_DEQ);
}

static void
ring_free(struct rte_ring *ring)
{
	struct rte_mbuf *m;

	while (ring != NULL && rte_ring_sc_dequeue(ring, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

void
worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	ring_free(w->inbox);
	ring_free(w->move.held);
	rte_pktmbuf_free(w->move.marker);
	rte_pktmbuf_free(w->move.finished);
	reassembly_free(w->reassembly);
	crypto_ctx_free(w->crypto);
	spread_free(w->spread);
	rte_free(w);
}

struct worker *
worker_new(struct dataplane *dp, unsigned int id, unsigned int lcore, struct reason *why)
{
	int socket = (int)rte_lcore_to_socket_id(lcore);
	struct worker *w = rte_zmalloc_socket("worker", sizeof(*w), RTE_CACHE_LINE_SIZE, socket);
	const struct config_workers *workers = &dp->config->workers;
	bool shares = workers->spread != SPREAD_OFF && workers->cores_count > 1;

	if (w == NULL) {
		reason_set(why, ENOMEM, "worker %u: no memory", id);
		return NULL;
	}
	w->dp = dp;
	w->id = id;
	w->lcore = lcore;
	rate_limit_init(&w->icmp_rate, rte_get_tsc_hz(), ICMP_PER_SECOND, ICMP_BURST);
	rate_limit_init(&w->acquire_rate, rte_get_tsc_hz(), ACQUIRE_RATE, ACQUIRE_BURST);
	rate_limit_init(&w->too_big_rate, rte_get_tsc_hz(), TOO_BIG_RATE, TOO_BIG_BURST);
	source_rate_init(&w->punt_rate, rte_rand(), rte_get_tsc_hz(), dp->config->host.punt_rate);
	w->frag_ports.seed = rte_rand();
	w->frag_ports.patience = dp->config->reassembly.timeout * rte_get_tsc_hz();
	/*
	 * Producers of an inbox may be preempted (the host and control threads): a ring in relaxed
	 * tail synchronisation never makes a worker wait for one.
	 */
	w->inbox = ring_new("inbox", id, socket, RING_F_MP_RTS_ENQ);
	w->move.held = ring_new("held", id, socket, RING_F_SP_ENQ);
	w->reassembly = reassembly_new(&dp->config->reassembly, rte_get_tsc_hz(), socket);
	w->reassembly_due = UINT64_MAX;
	if (shares)
		w->spread = spread_new(socket);
	if (w->inbox == NULL || w->move.held == NULL || w->reassembly == NULL ||
	    (shares && w->spread == NULL)) {
		reason_set(why, ENOMEM, "worker %u: no memory for its inbox, fragments or jobs",
			   id);
		worker_free(w);
		return NULL;
	}
	w->crypto = crypto_ctx_new(dp->backend, why);
	if (w->crypto == NULL) {
		worker_free(w);
		return NULL;
	}
	return w;
}

void
worker_take_ip_ids(struct worker *w)
{
	/* Relaxed: the blocks only have to differ. */
	w->ip_id = atomic_fetch_add_explicit(&w->dp->ip_ids, IP_IDS, memory_order_relaxed);
	w->ip_id_end = w->ip_id + IP_IDS;
}

/* Frees all workers; none runs. */
static void
workers_free(struct dataplane *dp)
{
	for (unsigned int i = 0; i < WORKERS_MAX; i++) {
		worker_free(dp->workers[i]);
		dp->workers[i] = NULL;
	}
	dp->workers_count = 0;
}

static void
workers_launch(struct dataplane *dp)
{
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(dp->reclaim);

	atomic_store_explicit(&dp->stop, false, memory_order_relaxed);
	for (unsigned int i = 0; i < dp->workers_count; i++) {
		rte_rcu_qsbr_thread_register(qsbr, i);
		/* An idle worker lcore takes the work: it cannot fail. */
		rte_eal_remote_launch(worker_main, dp->workers[i], dp->workers[i]->lcore);
	}
}

int
workers_start(struct dataplane *dp, struct reason *why)
{
	unsigned int lcore = RTE_MAX_LCORE, wanted = dp->config->workers.cores_count;

	if (wanted > WORKERS_MAX)
		return reason_set(why, EINVAL, "workers: %u, expected at most %u", wanted,
				  WORKERS_MAX);
	for (unsigned int i = 0; i < wanted; i++) {
		lcore = i == 0 ? rte_get_next_lcore(-1, 1, 0) : rte_get_next_lcore(lcore, 1, 0);
		if (lcore >= RTE_MAX_LCORE) {
			workers_free(dp);
			return reason_set(why, EINVAL, "worker %u: EAL has no lcore for it", i);
		}
		dp->workers[i] = worker_new(dp, i, lcore, why);
		if (dp->workers[i] == NULL) {
			workers_free(dp);
			return -ENOMEM;
		}
	}
	dp->workers_count = wanted;
	workers_launch(dp);
	return 0;
}

void
workers_stop(struct dataplane *dp)
{
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(dp->reclaim);

	/* Relaxed: rte_eal_wait_lcore() orders what follows. */
	atomic_store_explicit(&dp->stop, true, memory_order_relaxed);
	for (unsigned int i = 0; i < dp->workers_count; i++) {
		rte_eal_wait_lcore(dp->workers[i]->lcore);
		rte_rcu_qsbr_thread_unregister(qsbr, i);
	}
	workers_free(dp);
}

void
workers_sum(const struct dataplane *dp, struct worker_counters *sum)
{
	uint64_t *to = (uint64_t *)sum;

	static_assert(sizeof(*sum) % sizeof(*to) == 0, "counters are 64-bit words");
	*sum = (struct worker_counters){0};
	for (unsigned int i = 0; i < dp->workers_count; i++) {
		const uint64_t *from = (const uint64_t *)&dp->workers[i]->count;

		/* Relaxed: each word whole; the worker goes on counting. */
		for (size_t k = 0; k < sizeof(*sum) / sizeof(*to); k++)
			to[k] += __atomic_load_n(&from[k], __ATOMIC_RELAXED);
	}
}
