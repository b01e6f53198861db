/* SPDX-License-Identifier: BSD-3-Clause */
#include "move.h"

#include <rte_cycles.h>

#include "balance.h"
#include "worker.h"

#define PATIENCE_MS 100 /* for workers that do not come round */
#define PAUSE       1   /* seconds between looks */
#define LEAST_PART  16  /* of a worker's packets are worth a move */

/* ---- which ---- */

/* Misra and Gries: what many SAs have takes from all entries alike, what one has stays. */
static void
note(struct sa_move *v, uint32_t index, uint32_t n)
{
	unsigned int least = 0;
	uint32_t taken;

	v->packets += n;
	for (unsigned int i = 0; i < MOVE_SHARES; i++) {
		if (v->shares[i].packets != 0 && v->shares[i].index == index) {
			v->shares[i].packets += n;
			return;
		}
		if (v->shares[i].packets < v->shares[least].packets)
			least = i;
	}
	taken = RTE_MIN(n, v->shares[least].packets);
	for (unsigned int i = 0; i < MOVE_SHARES; i++)
		v->shares[i].packets -= taken;
	if (n > taken) {
		v->shares[least].index = index;
		v->shares[least].packets = n - taken;
	}
}

/*
 * The SA with the most packets whose move leaves the other worker less busy than this one was: of
 * two that share a worker's time one goes, one that has it alone stays.
 */
static bool
choose(struct worker *w, uint32_t busy)
{
	struct sa_move *v = &w->move;
	uint32_t to = balance_idlest(w), best = 0;
	uint32_t gap = to != w->id ? busy - RTE_MIN(busy, balance_busy(w->dp->workers[to])) : 0;

	for (unsigned int i = 0; i < MOVE_SHARES; i++) {
		uint32_t packets = v->shares[i].packets;
		uint64_t share = v->packets > 0 ? (uint64_t)packets * busy / v->packets : 0;

		if (packets <= best || packets < v->packets / LEAST_PART || share * 4 > gap * 3)
			continue;
		best = packets;
		v->index = v->shares[i].index;
	}
	v->to = to;
	return best > 0;
}

bool
move_review(struct worker *w, uint32_t busy)
{
	struct sa_move *v = &w->move;

	if (v->phase > MOVE_CHOSEN)
		return true;
	if (v->phase == MOVE_CHOSEN) { /* it has no packets any more */
		v->phase = MOVE_NONE;
		w->moves &= (uint8_t)~MOVE_GIVES;
	}
	if ((w->moves & MOVE_LOOKS) != 0) {
		w->moves &= (uint8_t)~MOVE_LOOKS;
		v->until = w->tsc + PAUSE * rte_get_tsc_hz();
		if (!choose(w, busy))
			return false;
		v->phase = MOVE_CHOSEN;
		w->moves |= MOVE_GIVES;
		return true;
	}
	if (busy < BALANCE_FULL || w->lends || w->tsc < v->until || balance_idlest(w) == w->id)
		return false;
	memset(v->shares, 0, sizeof(v->shares));
	v->packets = 0;
	w->moves |= MOVE_LOOKS;
	return true;
}

/* ---- the old owner ---- */

static struct rte_mbuf *
marker_new(struct worker *w)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->dp->pool);

	if (m == NULL)
		return NULL;
	*packet_open(m) =
		(struct packet){.in = (uint16_t)w->id, .out = IFACE_NONE, .resume = RESUME_MARKER};
	w->count.made++;
	return m;
}

/* False where the inbox is full: later, then. */
static bool
put_marker(struct worker *w, struct worker *to)
{
	if (rte_ring_enqueue(to->inbox, w->move.marker) != 0)
		return false;
	w->count.held++;
	w->move.marker = NULL;
	return true;
}

/* Nothing of the SA is under way here, so the next that is numbered may be another worker's. */
static void
give(struct worker *w, struct sa *sa)
{
	struct sa_move *v = &w->move;
	struct worker *to = w->dp->workers[v->to];
	uint32_t owner = atomic_load_explicit(&sa->owner, memory_order_relaxed), nobody = 0;

	if (spread_has(w, sa) || (v->marker = marker_new(w)) == NULL)
		return;
	/* Acquire: the last move to it is over. */
	if (!atomic_compare_exchange_strong_explicit(&to->move.from, &nobody, w->id + 1,
						     memory_order_acquire, memory_order_relaxed)) {
		packet_consume(w, v->marker);
		v->marker = NULL;
		return;
	}
	/* Release: who sees the new owner sees that as well. */
	atomic_store_explicit(&sa->owner,
			      (owner & SA_SPREAD) | v->to | SA_MOVING | w->id << SA_FROM_SHIFT,
			      memory_order_release);
	v->token = rte_rcu_qsbr_start(reclaim_qsbr(w->dp->reclaim));
	v->since = w->tsc;
	v->phase = MOVE_GRACE;
	w->count.moved++;
}

static bool
all_know(const struct worker *w)
{
	const struct sa_move *v = &w->move;

	return rte_rcu_qsbr_check(reclaim_qsbr(w->dp->reclaim), v->token, false) == 1 ||
	       w->tsc - v->since > rte_get_tsc_hz() / 1000 * PATIENCE_MS;
}

static void
give_turn(struct worker *w)
{
	struct sa_move *v = &w->move;
	struct sa *sa = v->sa;

	v->sa = NULL;
	if (v->phase == MOVE_CHOSEN && sa != NULL) {
		give(w, sa);
	} else if (v->phase == MOVE_GRACE && all_know(w) && put_marker(w, w)) {
		v->phase = MOVE_OWN;
	} else if (v->phase == MOVE_PASS && put_marker(w, w->dp->workers[v->to])) {
		v->phase = MOVE_NONE;
		w->moves &= (uint8_t)~MOVE_GIVES;
	}
}

bool
move_relays(const struct worker *w, uint32_t owner)
{
	return (owner & SA_MOVING) != 0 && owner >> SA_FROM_SHIFT == w->id &&
	       w->move.phase > MOVE_CHOSEN;
}

/* ---- the new owner ---- */

static void
hold(struct worker *w, struct rte_mbuf *m)
{
	struct packet *p = packet(m);

	p->resume = RESUME_SPD_LOOKUP;
	p->sa = NULL;
	p->nh = NULL;
	if (rte_ring_sp_enqueue(w->move.held, m) != 0)
		packet_drop(w, m, DROP_HANDOVER);
	else
		w->count.held++;
}

/* A run of an SA that is moving here. */
static unsigned int
arrive(struct worker *w, struct burst *b, unsigned int i, struct sa *sa, uint32_t owner)
{
	unsigned int n = burst_run(b, i);

	/* Relaxed: only the worker itself ends it. */
	if (atomic_load_explicit(&w->move.from, memory_order_relaxed) == 0) {
		atomic_store_explicit(&sa->owner, owner & (SA_OWNER | SA_SPREAD),
				      memory_order_relaxed);
		return n;
	}
	if ((packet(b->m[i])->flags & PACKET_RELAYED) != 0)
		return n;
	w->moves |= MOVE_RECEIVES;
	burst_part(b, i, n);
	for (unsigned int k = i; k < i + n; k++)
		hold(w, b->m[k]);
	burst_cut(b, i, n);
	return 0;
}

unsigned int
move_numbers(struct worker *w, struct burst *b, unsigned int i, unsigned int n)
{
	struct sa *sa = packet(b->m[i])->sa;
	/* Acquire: see give(). */
	uint32_t owner = atomic_load_explicit(&sa->owner, memory_order_acquire);

	if (unlikely((owner & SA_MOVING) != 0))
		return arrive(w, b, i, sa, owner);
	if ((w->moves & MOVE_LOOKS) != 0)
		note(&w->move, sa->index, n);
	if (w->move.phase == MOVE_CHOSEN && sa->index == w->move.index)
		w->move.sa = sa;
	return n;
}

static void
receive_turn(struct worker *w)
{
	struct sa_move *v = &w->move;

	if (v->finished == NULL)
		return;
	if (!rte_ring_empty(v->held)) {
		w->moves |= MOVE_DRAINS;
		return;
	}
	packet_consume(w, v->finished);
	v->finished = NULL;
	w->moves &= (uint8_t) ~(MOVE_RECEIVES | MOVE_DRAINS);
	/* Release: the next giver finds all in order. */
	atomic_store_explicit(&v->from, 0, memory_order_release);
}

/* ---- both ---- */

/* What was in front of it in the inbox is done only at the end of the poll: move_turn(). */
void
move_marker(struct worker *w, struct rte_mbuf *m)
{
	if (packet(m)->in == w->id) {
		w->move.marker = m;
		w->move.phase = MOVE_PASS;
	} else {
		w->move.finished = m;
		w->moves |= MOVE_RECEIVES;
	}
}

unsigned int
move_turn(struct worker *w)
{
	give_turn(w);
	receive_turn(w);
	return (w->moves & (MOVE_RECEIVES | MOVE_DRAINS)) != 0 || w->move.phase > MOVE_CHOSEN;
}
