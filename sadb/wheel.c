/* SPDX-License-Identifier: BSD-3-Clause */
#include "wheel.h"

void
wheel_init(struct wheel *w, uint64_t now)
{
	w->now = now;
}

static struct wheel_list *
slot_of_time(struct wheel *w, uint64_t due)
{
	return &w->slot[due % WHEEL_SLOTS];
}

void
wheel_start(struct wheel *w, struct wheel_timer *t, uint64_t due)
{
	wheel_stop(t);
	t->due = due > w->now ? due : w->now + 1;
	LIST_INSERT_HEAD(slot_of_time(w, t->due), t, link);
}

void
wheel_stop(struct wheel_timer *t)
{
	if (t->due == 0)
		return;
	LIST_REMOVE(t, link);
	t->due = 0;
}

/* The list is taken apart from its head, since whoever is told may change any timer. */
static void
look(struct wheel *w, struct wheel_list *slot, void (*expired)(void *ctx, struct wheel_timer *t),
     void *ctx)
{
	struct wheel_list seen = LIST_HEAD_INITIALIZER(seen);
	struct wheel_timer *t;

	while ((t = LIST_FIRST(slot))) {
		LIST_REMOVE(t, link);
		LIST_INSERT_HEAD(&seen, t, link);
		if (t->due <= w->now) {
			wheel_stop(t);
			expired(ctx, t);
		}
	}
	*slot = seen;
	if (LIST_FIRST(slot))
		LIST_FIRST(slot)->link.le_prev = &LIST_FIRST(slot);
}

void
wheel_turn(struct wheel *w, uint64_t now, void (*expired)(void *ctx, struct wheel_timer *t),
	   void *ctx)
{
	uint64_t ticks = now > w->now ? now - w->now : 0;

	/* A clock that was set forward by more than a round: each slot once will do. */
	if (ticks > WHEEL_SLOTS)
		ticks = WHEEL_SLOTS;
	w->now = now > w->now ? now : w->now;
	for (uint64_t tick = w->now - ticks + 1; tick <= w->now; tick++)
		look(w, slot_of_time(w, tick), expired, ctx);
}
