/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hashed timing wheel (Varghese and Lauck, 1987, scheme 6): any number of timers, each started
 * and stopped in O(1). Time is counted in ticks, whatever those are. A tick looks at the timers of
 * one slot, those included that are due some rounds later: a round is so long that these are few,
 * and there is no moment at which many timers have to move. One thread's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define WHEEL_SLOTS 65536

/* Lives in what it is a timer of. Zeroed memory is a timer that does not run. */
struct wheel_timer {
	LIST_ENTRY(wheel_timer) link;
	uint64_t due; /* 0: does not run */
};

LIST_HEAD(wheel_list, wheel_timer);

struct wheel {
	uint64_t now; /* every timer due until then has been given out */
	struct wheel_list slot[WHEEL_SLOTS];
};

/* Of zeroed memory. */
void wheel_init(struct wheel *w, uint64_t now);

/* Starts a timer, or moves it. What is due already comes with the next tick. */
void wheel_start(struct wheel *w, struct wheel_timer *t, uint64_t due);
void wheel_stop(struct wheel_timer *t);

/*
 * Lets time pass until `now`: gives each timer that became due to `expired`, stopped. That may
 * start and stop any timer. Time that goes back is ignored.
 */
void wheel_turn(struct wheel *w, uint64_t now, void (*expired)(void *ctx, struct wheel_timer *t),
		void *ctx);
