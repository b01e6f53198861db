/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The map of the program: the two walks as lists of stages.
 *
 *   inbound   rx -> classify -> sad_lookup ... esp_decap -> route, spd_check, forward -> leaving
 *   outbound  rx -> classify -> route, spd_check, forward -> spd_lookup ... crypto_seal -> leaving
 *
 * classify puts each frame on the list where it starts, forward decides the direction, and the
 * lists are run in the one order in which packets can go from list to list.
 */
#include "walk.h"

#include <rte_common.h>

#include "icmp.h"
#include "worker.h"

static stage_fn *const inbound[] = {
	sad_stage, replay_stage, crypto_open_stage, replay_commit, esp_decap, /* joins `clear` */
};

static stage_fn *const inbound_spread[] = {
	spread_open, replay_commit, esp_decap, /* joins `clear`; others' crypto: walk_opened() */
};

static stage_fn *const opened[] = {replay_commit, esp_decap /* joins `clear` */};

static stage_fn *const inbound_ah[] = {
	sad_stage, ah_check, ah_open, ah_decap, /* joins `clear` */
};

static stage_fn *const clear[] = {
	route, spd_check, mss_in, forward, /* joins `outbound` or `leaving` */
};

static stage_fn *const outbound[] = {
	spd_stage,     /* what policy lets go in clear joins `leaving` */
	mss_out, pmtu, /* fragments beyond a full burst: walk_sealing() */
};

static stage_fn *const sealing[] = {
	seq_reserve, esp_encap, crypto_seal_stage, /* joins `leaving`; AH goes to `outbound_ah` */
};

static stage_fn *const sealing_spread[] = {
	esp_encap, spread_seal, /* joins `leaving`, now or later */
};

static stage_fn *const dummies[] = {
	dummy_number, esp_encap, dummy_mark, crypto_seal_stage, /* joins `leaving` */
};

static stage_fn *const outbound_ah[] = {
	ah_encap, ah_seal, /* joins `leaving` */
};

static stage_fn *const leaving[] = {adjacency};

static void
run(struct worker *w, stage_fn *const *stages, unsigned int count, struct burst *b)
{
	for (unsigned int i = 0; i < count && b->n > 0; i++)
		stages[i](w, b);
}

#define RUN(list, w, b) run(w, list, RTE_DIM(list), b)

void
walk_seal(struct worker *w, struct burst *b)
{
	RUN(sealing, w, b);
	RUN(sealing_spread, w, &w->outbound_spread);
	RUN(outbound_ah, w, &w->outbound_ah);
}

void
walk_leave(struct worker *w)
{
	RUN(leaving, w, &w->leaving);
}

void
walk_sealing(struct worker *w, struct burst *b)
{
	if (w->leaving.n + b->n > BURST_MAX)
		walk_leave(w);
	walk_seal(w, b);
	walk_leave(w);
}

static void
run_ways_out(struct worker *w)
{
	RUN(clear, w, &w->clear);
	RUN(outbound, w, &w->outbound);
	walk_sealing(w, &w->outbound);
}

static void
run_clear(struct worker *w)
{
	run_ways_out(w);
	/* Errors cause no errors: one more turn empties everything. */
	if (w->errors.n > 0) {
		w->clear = w->errors;
		burst_clear(&w->errors);
		run_ways_out(w);
	}
}

void
walk(struct worker *w, struct burst *frames)
{
	classify(w, frames);
	RUN(inbound, w, &w->inbound);
	RUN(inbound_spread, w, &w->inbound_spread);
	RUN(inbound_ah, w, &w->inbound_ah);
	run_clear(w);
}

void
walk_opened(struct worker *w, struct burst *b)
{
	if (b->n == 0)
		return;
	RUN(opened, w, b);
	run_clear(w);
}

/* Its neighbour was not found in time: said to its sender, where that is not ourselves. */
static void
drop_unresolved(struct worker *w, struct rte_mbuf *m)
{
	icmp_error(w, m, ICMP_ERR_HOST, 0);
	packet_drop(w, m, DROP_NO_NEIGHBOUR);
}

/* Of a received frame is known where it came from: such frames in a row are a run. */
static void
add_frame(struct burst *b, struct rte_mbuf *m)
{
	const struct packet *p = packet(m), *first;

	first = b->n > 0 ? packet(b->m[burst_first(b, b->n - 1)]) : NULL;
	if (first != NULL && p->flags == 0 && first->flags == 0 && p->in == first->in)
		burst_add_like(b, m);
	else
		burst_add(b, m);
}

void
walk_resume(struct worker *w, struct burst *b)
{
	struct burst frames, finished, made;

	burst_clear(&frames);
	burst_clear(&finished);
	burst_clear(&made);
	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];
		struct packet *p = packet(m);

		p->sa = NULL;
		p->nh = NULL;
		switch ((enum resume)p->resume) {
		case RESUME_CLASSIFY:
			add_frame(&frames, m);
			break;
		case RESUME_FRAGMENT:
			classify_fragment(w, m);
			break;
		case RESUME_SPD_LOOKUP:
			burst_add(&w->outbound, m);
			break;
		case RESUME_ADJACENCY:
		case RESUME_MADE:
			burst_add(&w->leaving, m);
			break;
		case RESUME_DUMMY:
			burst_add(&made, m);
			break;
		case RESUME_MARKER:
			move_marker(w, m);
			break;
		case RESUME_TX:
			burst_add(&finished, m);
			break;
		case RESUME_DROP_NO_NEIGHBOUR:
			drop_unresolved(w, m);
			break;
		case RESUME_DROP_NO_SA:
			packet_drop(w, m, DROP_NO_SA_OUT);
			break;
		}
	}
	burst_clear(b);
	RUN(dummies, w, &made);
	tx(w, &finished);
	walk(w, &frames);
}
