/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queues of packets that wait for a neighbour. A queue lives from its first packet until the
 * neighbour is known or WAITING_SECONDS are over, which is as long as the kernel tries. The latest
 * packets are kept (RFC 1122 section 2.3.2.2), in their order.
 */
#include "waiting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "packet.h"
#include "rtnl.h"
#include "worker.h"

#define QUEUE_HEADS 256
#define EXPIRY_NS   (WAITING_SECONDS * UINT64_C(1000000000))

struct queue {
	struct queue *next;
	uint64_t deadline;
	union ip_addr addr;
	uint16_t iface;
	uint8_t family;
	uint8_t count;
	struct rte_mbuf *packets[WAITING_PER_NEIGHBOUR]; /* the oldest first */
};

struct waiting {
	struct rte_ring *ring; /* from workers */
	struct queue *heads[QUEUE_HEADS];
	struct rte_mbuf *returning; /* dropped here, but its worker's inbox was full */
	struct waiting_stats stats;
};

int
waiting_start(struct dataplane *dp, struct reason *why)
{
	struct waiting *w = calloc(1, sizeof(*w));
	ssize_t size = rte_ring_get_memsize(WAITING_MAX);

	if (w == NULL)
		return reason_set(why, ENOMEM, "waiting packets: no memory");
	w->ring = aligned_alloc(RTE_CACHE_LINE_SIZE, (size_t)size);
	/* RTS: a worker that the scheduler stopped within an enqueue does not hold up others. */
	if (w->ring == NULL || rte_ring_init(w->ring, "waiting", WAITING_MAX,
					     RING_F_MP_RTS_ENQ | RING_F_SC_DEQ) != 0) {
		free(w->ring);
		free(w);
		return reason_set(why, ENOMEM, "waiting packets: no memory for their ring");
	}
	dp->waiting = w;
	return 0;
}

static void
queue_free(struct queue *q)
{
	rte_pktmbuf_free_bulk(q->packets, q->count);
	free(q);
}

void
waiting_stop(struct dataplane *dp)
{
	struct waiting *w = dp->waiting;
	struct rte_mbuf *m;

	if (w == NULL)
		return;
	for (unsigned int i = 0; i < QUEUE_HEADS; i++) {
		while (w->heads[i] != NULL) {
			struct queue *q = w->heads[i];

			w->heads[i] = q->next;
			queue_free(q);
		}
	}
	while (rte_ring_dequeue(w->ring, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_pktmbuf_free(w->returning);
	free(w->ring);
	free(w);
	dp->waiting = NULL;
}

bool
waiting_put(struct dataplane *dp, struct rte_mbuf *m)
{
	return rte_ring_enqueue(dp->waiting->ring, m) == 0;
}

/* False where the worker's inbox is full: try again later. */
static bool
give_back(struct dataplane *dp, struct rte_mbuf *m, enum resume resume)
{
	/* By flow, and all of one neighbour one after the other, so a flow keeps its order. */
	const struct worker *worker = dp->workers[packet(m)->flow_hash % dp->workers_count];

	packet(m)->resume = resume;
	if (rte_ring_enqueue(worker->inbox, m) != 0)
		return false;
	dp->waiting->stats.waiting--;
	return true;
}

/* ---- queues ---- */

static struct queue **
queue_head(struct waiting *w, const struct packet *p)
{
	uint64_t h = chash_mix(p->next_hop.u64[0], p->next_hop.u64[1] ^ p->out);

	return &w->heads[h % QUEUE_HEADS];
}

static struct queue *
queue_find(struct waiting *w, const struct packet *p)
{
	struct queue *q = *queue_head(w, p);

	while (q != NULL && (q->iface != p->out || q->family != p->next_hop_family ||
			     !ip_addr_equal(&q->addr, &p->next_hop)))
		q = q->next;
	return q;
}

static struct queue *
queue_new(struct waiting *w, const struct packet *p, uint64_t now)
{
	struct queue **head = queue_head(w, p), *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->deadline = now + EXPIRY_NS;
	q->addr = p->next_hop;
	q->iface = p->out;
	q->family = p->next_hop_family;
	q->next = *head;
	*head = q;
	return q;
}

static struct rte_mbuf *
queue_shift(struct queue *q)
{
	struct rte_mbuf *first = q->packets[0];

	q->count--;
	memmove(&q->packets[0], &q->packets[1], q->count * sizeof(q->packets[0]));
	return first;
}

/* ---- each turn ---- */

static void
overflow(struct dataplane *dp, struct rte_mbuf *m)
{
	dp->waiting->stats.overflowed++;
	if (!give_back(dp, m, RESUME_DROP_NO_NEIGHBOUR))
		dp->waiting->returning = m;
}

static void
take(struct dataplane *dp, struct rtnl *rtnl, struct rte_mbuf *m, uint64_t now)
{
	struct waiting *w = dp->waiting;
	const struct packet *p = packet(m);
	struct queue *q = queue_find(w, p);

	w->stats.waiting++;
	if (q == NULL && w->stats.waiting <= WAITING_MAX) {
		q = queue_new(w, p, now);
		if (q != NULL && neigh_lookup(dp->neighs, q->iface, q->family, &q->addr) == NULL)
			rtnl_resolve(rtnl, q->iface, q->family, &q->addr);
	}
	if (q == NULL || (q->count < WAITING_PER_NEIGHBOUR && w->stats.waiting > WAITING_MAX)) {
		overflow(dp, m);
		return;
	}
	if (q->count == WAITING_PER_NEIGHBOUR)
		overflow(dp, queue_shift(q));
	q->packets[q->count++] = m;
}

/*
 * Where a packet goes on that need not wait any longer. A clear one for the unprotected side asks
 * policy again: it may want it protected by now.
 */
static enum resume
resume_of(const struct dataplane *dp, const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	bool clear = (p->flags & PACKET_SEALED) == 0;

	return clear && dp->ifaces[p->out].side == SIDE_UNPROTECTED ? RESUME_SPD_LOOKUP
								    : RESUME_ADJACENCY;
}

/* Gives back what need not wait any longer. True where nothing is left. */
static bool
release(struct dataplane *dp, struct queue *q, uint64_t now)
{
	bool known = neigh_lookup(dp->neighs, q->iface, q->family, &q->addr) != NULL;

	if (!known && now < q->deadline)
		return false;
	while (q->count > 0) {
		if (!give_back(dp, q->packets[0],
			       known ? resume_of(dp, q->packets[0]) : RESUME_DROP_NO_NEIGHBOUR))
			return false;
		queue_shift(q);
		dp->waiting->stats.expired += !known;
	}
	return true;
}

static uint64_t
monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void
waiting_poll(struct dataplane *dp, struct rtnl *rtnl)
{
	struct waiting *w = dp->waiting;
	uint64_t now = monotonic_ns();
	struct rte_mbuf *m;

	if (w->returning != NULL && give_back(dp, w->returning, RESUME_DROP_NO_NEIGHBOUR))
		w->returning = NULL;
	while (w->returning == NULL && rte_ring_dequeue(w->ring, (void **)&m) == 0)
		take(dp, rtnl, m, now);
	if (w->stats.waiting == 0)
		return;
	for (unsigned int i = 0; i < QUEUE_HEADS; i++) {
		struct queue **link = &w->heads[i];

		while (*link != NULL) {
			struct queue *q = *link;

			if (release(dp, q, now)) {
				*link = q->next;
				free(q);
			} else {
				link = &q->next;
			}
		}
	}
}

struct waiting_stats
waiting_stats(const struct dataplane *dp)
{
	return dp->waiting->stats;
}
