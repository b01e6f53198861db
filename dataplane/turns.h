/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a worker was away from its queues within the last minute, as it measures it itself: the
 * longest turn of its loop, apart for turns in which it had its core all the time and for those in
 * which it had not, and how many of the former were long. Which of the two it was takes no system
 * call: when a thread goes on that was switched out, the kernel clears `rseq_cs` in its area of
 * restartable sequences, unless the thread was in the section that this names. Here it names one
 * where no thread ever is.
 */
#pragma once

#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>

#define TURNS_PERIODS 8
#define TURNS_PERIOD  8 /* seconds */
#define TURNS_LONG_US 100

enum turn {
	TURN_WHOLE,  /* with the core all the time */
	TURN_BROKEN, /* without it for a while: another thread had it, or the worker was blocked */
	TURN_KINDS
};

struct turns_period {
	uint64_t number;              /* of periods since 1970 */
	uint64_t longest[TURN_KINDS]; /* in TSC ticks */
	uint64_t long_ones;           /* whole turns of more than TURNS_LONG_US */
};

/* The worker's; the control thread reads the periods. */
struct turns {
	volatile uint64_t *armed;   /* 0 since the thread was switched out */
	uint64_t section;           /* what it is armed with */
	uint64_t never;             /* is armed where the system has no restartable sequences */
	uint64_t long_ticks;        /* TURNS_LONG_US */
	uint64_t noted[TURN_KINDS]; /* what is longer than this is noted in *now */
	struct turns_period *now, periods[TURNS_PERIODS];
};

/*
 * On the worker's thread, before all others: a turn begins. Gives its TSC, of which there are `hz`
 * ticks in a second.
 */
uint64_t turns_start(struct turns *t, uint64_t seconds, uint64_t hz);

/* Seconds of the wall clock, now and then: what was more than a minute ago is forgotten. */
void turns_clock(struct turns *t, uint64_t seconds);

/* A turn that is longer than what was noted. */
void turns_note(struct turns *t, enum turn kind, uint64_t ticks);

/* A turn begins after a sleep that is no part of any. Gives its TSC. */
static inline uint64_t
turns_begin(struct turns *t)
{
	*t->armed = t->section;
	return rte_rdtsc();
}

/*
 * The turn that began at TSC `begin` ends and the next begins: gives its TSC. A switch between two
 * lines here may break both turns, never none.
 */
static inline uint64_t
turns_next(struct turns *t, uint64_t begin)
{
	uint64_t tsc = rte_rdtsc();
	enum turn kind = *t->armed != 0 ? TURN_WHOLE : TURN_BROKEN;

	if (unlikely(tsc - begin > t->noted[kind]))
		turns_note(t, kind, tsc - begin);
	return likely(kind == TURN_WHOLE) ? tsc : turns_begin(t);
}

/* Any thread: TSC ticks of the longest turn within the minute before `seconds`. */
uint64_t turns_longest(const struct turns *t, enum turn kind, uint64_t seconds);

/* Any thread: how many whole turns of more than TURNS_LONG_US there were within that minute. */
uint64_t turns_long(const struct turns *t, uint64_t seconds);
