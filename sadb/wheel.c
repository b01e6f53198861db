/* SPDX-License-Identifier: BSD-3-Clause */
#include "wheel.h"

#define SLOT_BITS 8
#define JUMP      (UINT64_C(1) << 20) /* ticks at once from which on every timer is looked at instead \
				       */

void
wheel_init(struct wheel *w, uint64_t now)
{
	*w = (struct wheel){.now = now};
}

/* Where a timer belongs at this time: by the highest bits in which its time differs from now. */
static struct wheel_list *
place(struct wheel *w, uint64_t due)
{
	uint64_t differs = due ^ w->now;
	unsigned int level = 0;

	while (differs >> SLOT_BITS * (level + 1) != 0)
		if (++level == WHEEL_LEVELS)
			return &w->far;
	return &w->slot[level][due >> SLOT_BITS * level & (WHEEL_SLOTS - 1)];
}

void
wheel_start(struct wheel *w, struct wheel_timer *t, uint64_t due)
{
	wheel_stop(t);
	t->due = due > w->now ? due : w->now + 1;
	LIST_INSERT_HEAD(place(w, t->due), t, link);
}

void
wheel_stop(struct wheel_timer *t)
{
	if (t->due == 0)
		return;
	LIST_REMOVE(t, link);
	t->due = 0;
}

typedef void expired_fn(void *ctx, struct wheel_timer *t);

/* Takes a list apart: timers that are due are given out, the others placed anew. */
static void
empty(struct wheel *w, struct wheel_list *from, expired_fn *expired, void *ctx)
{
	struct wheel_list list = *from;
	struct wheel_timer *t = LIST_FIRST(&list);

	LIST_INIT(from);
	if (t)
		t->link.le_prev = &LIST_FIRST(&list);
	while ((t = LIST_FIRST(&list))) {
		if (t->due <= w->now) {
			wheel_stop(t);
			expired(ctx, t);
		} else {
			LIST_REMOVE(t, link);
			LIST_INSERT_HEAD(place(w, t->due), t, link);
		}
	}
}

/* One tick: what of the levels above has come near comes down first. */
static void
tick(struct wheel *w, expired_fn *expired, void *ctx)
{
	unsigned int top = 0;

	w->now++;
	while (top < WHEEL_LEVELS && (w->now >> SLOT_BITS * top & (WHEEL_SLOTS - 1)) == 0)
		top++;
	if (top == WHEEL_LEVELS)
		empty(w, &w->far, expired, ctx);
	for (unsigned int level = top < WHEEL_LEVELS ? top + 1 : WHEEL_LEVELS; level-- > 0;)
		empty(w, &w->slot[level][w->now >> SLOT_BITS * level & (WHEEL_SLOTS - 1)], expired,
		      ctx);
}

/* A clock that was set: every timer is placed anew. */
static void
jump(struct wheel *w, uint64_t now, expired_fn *expired, void *ctx)
{
	w->now = now;
	for (unsigned int level = 0; level < WHEEL_LEVELS; level++)
		for (unsigned int i = 0; i < WHEEL_SLOTS; i++)
			empty(w, &w->slot[level][i], expired, ctx);
	empty(w, &w->far, expired, ctx);
}

void
wheel_turn(struct wheel *w, uint64_t now, expired_fn *expired, void *ctx)
{
	if (now > w->now + JUMP)
		jump(w, now, expired, ctx);
	while (w->now < now)
		tick(w, expired, ctx);
}
