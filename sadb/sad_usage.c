/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters and lifetimes (RFC 4301 section 4.4.2.1). Each worker counts in memory of its own, a
 * line for an SA, and memory that was never written is never there. The control thread sums them
 * ten times a second and compares: a limit in bytes or packets is passed by a tenth of a second's
 * traffic at most.
 */
#include <time.h>

#include "sad_private.h"

uint64_t
wall_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t
wall_seconds(void)
{
	return wall_nanoseconds() / UINT64_C(1000000000);
}

/* Relaxed throughout: one thread writes a counter, and a reader needs no other memory by it. */
static uint64_t
get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void
set(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

void
sad_charge(struct sad *sad, unsigned int worker, const struct sa *sa, uint32_t packets,
	   uint32_t bytes, uint64_t now)
{
	struct sa_counters *c = &sad->counters[worker][sa->index];

	set(&c->packets, get(&c->packets) + packets);
	set(&c->bytes, get(&c->bytes) + bytes);
	if (get(&c->first_used) == 0)
		set(&c->first_used, now);
	set(&c->last_used, now);
}

void
sad_prefetch_outbound(const struct sad *sad, unsigned int worker, const struct sa *sa)
{
	__builtin_prefetch(sa);
	__builtin_prefetch(&sa->src);
	__builtin_prefetch(sa->outer);
	__builtin_prefetch((const void *)&sa->seq, 1);
	__builtin_prefetch(&sad->counters[worker][sa->index], 1);
}

void
sad_blame(struct sad *sad, unsigned int worker, const struct sa *sa, enum sad_fault fault)
{
	struct sa_counters *c = &sad->counters[worker][sa->index];
	_Atomic uint64_t *drops = fault == SAD_FAULT_REPLAY ? &c->replay_drops : &c->auth_drops;

	set(drops, get(drops) + 1);
}

struct sa_usage
sad_usage(const struct sad *sad, const struct sa_control *control)
{
	struct sa_usage sum = {0};

	for (uint32_t w = 0; w < sad->config.workers; w++) {
		const struct sa_counters *c = &sad->counters[w][control->index];
		uint64_t first = get(&c->first_used), last = get(&c->last_used);

		sum.packets += get(&c->packets);
		sum.bytes += get(&c->bytes);
		sum.replay_drops += get(&c->replay_drops);
		sum.auth_drops += get(&c->auth_drops);
		if (first != 0 && (sum.first_used == 0 || first < sum.first_used))
			sum.first_used = first;
		if (last > sum.last_used)
			sum.last_used = last;
	}
	return sum;
}

/* After the grace period, so that no worker still counts. Untouched memory stays untouched. */
void
usage_reset(struct sad *sad, uint32_t place)
{
	for (uint32_t w = 0; w < sad->config.workers; w++) {
		struct sa_counters *c = &sad->counters[w][place];

		if (get(&c->packets) == 0 && get(&c->replay_drops) == 0 && get(&c->auth_drops) == 0)
			continue;
		set(&c->packets, 0);
		set(&c->bytes, 0);
		set(&c->first_used, 0);
		set(&c->last_used, 0);
		set(&c->replay_drops, 0);
		set(&c->auth_drops, 0);
	}
}

static bool
reached(uint64_t limit, uint64_t value)
{
	return limit != 0 && value >= limit; /* none is UINT64_MAX, which nothing reaches */
}

/* `since` 0 is "not yet". */
static bool
elapsed(uint64_t limit, uint64_t since, uint64_t now)
{
	return since != 0 && now > since && reached(limit, now - since);
}

static bool
soft_reached(const struct sa_control *c, const struct sa_usage *u, uint64_t now)
{
	const struct sa_limits *l = &c->params.limits;

	return reached(l->soft_bytes, u->bytes) || reached(l->soft_packets, u->packets) ||
	       elapsed(l->soft_add_seconds, c->added, now) ||
	       elapsed(l->soft_use_seconds, u->first_used, now);
}

static bool
hard_reached(const struct sa_control *c, const struct sa_usage *u, uint64_t now)
{
	const struct sa_limits *l = &c->params.limits;

	return reached(l->hard_bytes, u->bytes) || reached(l->hard_packets, u->packets) ||
	       elapsed(l->hard_add_seconds, c->added, now) ||
	       elapsed(l->hard_use_seconds, u->first_used, now);
}

static void
tell_expired(struct sad *sad, struct sa_control *c, bool hard)
{
	struct sad_observer *next;

	for (struct sad_observer *o = sad->observers; o; o = next) {
		next = o->next;
		if (o->expire)
			o->expire(o->ctx, c, hard);
	}
}

static void
tick_valid(struct sad *sad, struct slot *slot, uint64_t now)
{
	struct sa_control *c = &slot->control;
	struct sa_usage usage = sad_usage(sad, c);
	uint32_t generation = slot->generation;

	if (hard_reached(c, &usage, now)) {
		c->state = SA_EXPIRED;
		/* Relaxed: a worker that sees it a packet later is within the limit's blur. */
		atomic_store_explicit(&c->sa->state, SA_EXPIRED, memory_order_relaxed);
		tell_expired(sad, c, true);
		if (slot->used && slot->generation == generation)
			slot_retire(sad, slot);
	} else if (!c->soft_sent && soft_reached(c, &usage, now)) {
		c->soft_sent = true;
		tell_expired(sad, c, false);
	}
}

void
sad_tick(struct sad *sad, uint64_t now)
{
	for (uint32_t i = 0; i < sad->high_water; i++) {
		struct slot *slot = &sad->slots[i];

		if (!slot->used)
			continue;
		if (slot->control.state == SA_VALID)
			tick_valid(sad, slot, now);
		else if (slot->control.state == SA_LARVAL && now >= slot->larval_until)
			slot_retire(sad, slot);
	}
}
