/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker does while nothing comes (adaptive polling). It sleeps, longer and longer, but
 * never so long that a packet waits a millisecond. Since waking is what an idle core pays for, only
 * worker 0 goes on like that: it keeps the watch. The others doze until somebody wakes them, and
 * meanwhile the watch polls their queues: carries what it finds itself, in order, and wakes the
 * queues' owner.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct worker;

/* Who polls a worker's queues. Changed from IDLE_AWAKE by itself, from IDLE_DOZING by anyone. */
enum idle_state {
	IDLE_AWAKE,  /* itself */
	IDLE_DOZING, /* nobody at this moment */
	IDLE_LENT,   /* the watch, for one burst */
};

/* After a poll: `n` packets came. Sleeps when that has been none for long enough. */
void idle_turn(struct worker *w, unsigned int n);

/*
 * The watch polls the queues of those that doze, and wakes whoever has work. Other workers, and a
 * watch among awake workers, do nothing. Returns how many packets came.
 */
unsigned int idle_watch(struct worker *w);
