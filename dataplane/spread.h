/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One SA on several workers (SA_SPREAD). One worker does all for its packets as ever but the
 * crypto: that it offers in batches, oldest first, to whoever has time, itself included. Packets go
 * on in the order in which they were offered, so that numbers leave in order and inner flows stay
 * so.
 *
 * A batch holds its SA beyond the poll. So a worker is quiescent, for reclamation, only as of a
 * time whose batches are all back: the SA's key is neither overwritten nor freed before that.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto_stage.h"

#define SPREAD_JOBS  128 /* of a worker's; a power of two */
#define SPREAD_BATCH 32

struct worker;

/* A run of packets. */
struct spread_job {
	struct rte_mbuf *m[SPREAD_BATCH];
	uint64_t since; /* TSC */
	bool lost;      /* did not come back in time: what follows has gone on */
	/* What others read, */
	alignas(64) const struct sa *sa;
	uint8_t n;
	bool open; /* else to be sealed */
	struct crypto_text texts[SPREAD_BATCH];
	/* and write. */
	alignas(64) uint64_t failed; /* a bit for each packet */
	_Atomic bool done;           /* and the packets are the worker's again */
};

/* A worker's jobs, a ring. Its counts go on and on: retired <= passed <= taken <= offered. */
struct spread {
	alignas(64) _Atomic uint32_t offered; /* by the worker whose they are, */
	_Atomic uint32_t taken;               /* by any worker */
	alignas(64) uint32_t passed;          /* went on, in order; or were lost */
	uint32_t retired;                     /* their places are free again */
	uint32_t mark;                        /* offered when `token` was read (reclaim.h) */
	uint64_t token;
	uint64_t patience; /* TSC ticks after which a job is lost */
	uint64_t least;    /* ticks a packet that the worker took for a job of its own */
	uint32_t own;      /* jobs that it did itself */
	struct {           /* as of the last spread_review() */
		uint32_t offered, own;
		uint64_t until; /* TSC before which it does not try again */
	} review;
	struct spread_job jobs[SPREAD_JOBS];
};

/* NULL without memory. */
struct spread *spread_new(int socket);
void spread_free(struct spread *s); /* and the packets in it; no worker runs */

/*
 * Whether `n` packets of an SA in a row go this way, asked where it is SA_SPREAD or the worker is
 * `unusual`: an SA's packets do not overtake those of it that are under way.
 */
bool spread_takes(const struct worker *w, const struct sa *sa, unsigned int n);
/* The latter alone. */
bool spread_has(const struct worker *w, const struct sa *sa);

/*
 * Each poll, where spread_in_use(): does a part of the worker's own jobs, all of them if nothing
 * came otherwise (`came` packets); lets those go on that are done; and helps others if it has time.
 * Returns a number that is not 0 where there was something to do, or will be.
 */
unsigned int spread_turn(struct worker *w, unsigned int came);

/* Whether a worker has offered what nobody has taken yet. */
static inline bool
spread_offers(const struct spread *s)
{
	/* Relaxed: a hint. */
	return atomic_load_explicit(&s->taken, memory_order_relaxed) !=
	       atomic_load_explicit(&s->offered, memory_order_relaxed);
}

/*
 * Now and then, on the worker's own thread, told how busy it was, in percent: decides whether it
 * lends (workers.spread auto); to begin with that it must not have another remedy. In
 * spread_auto.c.
 */
void spread_review(struct worker *w, uint32_t busy, bool may_begin);

/* The quiescent state of a worker with jobs under way. */
void spread_quiescent(struct worker *w);
