/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An outbound SA moves from the worker that owns it (seq_reserve) to one that has more time.
 * Numbers are the SA's own counter's, so none is used twice whoever takes them. The order stays:
 * the new owner numbers nothing until all that the old one had is before it.
 *
 *   1. At the end of a poll, with all that it numbered sent, the old owner names the new one. What
 *      still comes to it of the SA it relays; the new owner numbers that, and holds what comes by
 *      another way.
 *   2. When every worker has seen the new owner, a marker goes through the old one's inbox, behind
 *      what others had put there, and then through the new one's, behind all that was relayed.
 *   3. When it arrives, what was held goes on, before anything else.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "burst.h"

struct rte_ring;
struct sa;
struct worker;

/* worker.moves */
#define MOVE_LOOKS    (1u << 0) /* which SAs have the most packets */
#define MOVE_GIVES    (1u << 1) /* one of its SAs away */
#define MOVE_RECEIVES (1u << 2) /* packets of one are held, or the marker has come */
#define MOVE_DRAINS   (1u << 3) /* what was held goes on */

enum move_phase {
	MOVE_NONE,
	MOVE_CHOSEN, /* when a packet of the SA comes */
	MOVE_GRACE,  /* some may not know of the new owner yet */
	MOVE_OWN,    /* the marker is in the old owner's inbox */
	MOVE_PASS,   /* or has gone through that */
};

#define MOVE_SHARES 8

/* A worker's part in moves: of one SA away from it, and of one to it. */
struct sa_move {
	struct { /* packets of an SA, less than that by what many small ones had */
		uint32_t index, packets;
	} shares[MOVE_SHARES];
	uint32_t packets; /* of all its SAs, since it looks */
	uint64_t until;   /* TSC before which it does not look again */

	enum move_phase phase; /* of the one that goes away */
	uint32_t index, to;
	struct sa *sa; /* has been seen in this poll */
	uint64_t token, since;
	struct rte_mbuf *marker;

	_Atomic uint32_t from;     /* whose SA comes, plus one: the giver sets it, 0 none */
	struct rte_ring *held;     /* its packets that came another way */
	struct rte_mbuf *finished; /* the marker of that move */
};

/*
 * Of packets in a row from b->m[i] on, of one SA that the worker owns: how many may be numbered.
 * 0: they were held, and are not in the burst any more.
 */
unsigned int move_numbers(struct worker *w, struct burst *b, unsigned int i, unsigned int n);

/* Whether packets handed over to this owner (sa.owner) are to be told from others. */
bool move_relays(const struct worker *w, uint32_t owner);

/* A marker from the inbox. */
void move_marker(struct worker *w, struct rte_mbuf *m);

/* The end of a poll with `moves` other than 0. Returns 1 where there will be something to do. */
unsigned int move_turn(struct worker *w);

/*
 * Now and then, told how busy the worker was, in percent: decides whether it gives an SA away. True
 * while that may be the remedy.
 */
bool move_review(struct worker *w, uint32_t busy);
