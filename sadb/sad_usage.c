/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters and lifetimes (RFC 4301 section 4.4.2.1). Each worker counts in memory of its own, a
 * line for an SA, which is there before the SA is.
 *
 * Nobody looks at SAs for which nothing happens. Limits in seconds stand in a timing wheel. Limits
 * in bytes and packets are watched by who counts: what is left of them is dealt out to the workers,
 * and a worker that has used its share sets the SA's bit in its alarms, which the control thread
 * reads ten times a second; so a limit is passed by a tenth of a second's traffic at most. Fresh
 * counters are zero, shares too: the first packet that a worker sees of an SA is an alarm, and
 * starts the limits in seconds of use. The end of the sequence numbers is a soft limit, too.
 */
#include <time.h>

#include <rte_branch_prediction.h>

#include "sad_private.h"

uint64_t
wall_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t
wall_milliseconds(void)
{
	return wall_nanoseconds() / UINT64_C(1000000);
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

/* What is dealt out next has to wait for the control thread. */
static void
alarm_control(struct sad *sad, unsigned int worker, struct sa_counters *c, uint32_t place)
{
	set(&c->share_packets, UINT64_MAX);
	set(&c->share_bytes, UINT64_MAX);
	/* Release: who sees the bit sees the counters that set it. */
	atomic_fetch_or_explicit(&sad->alarms[worker][place / 64], UINT64_C(1) << place % 64,
				 memory_order_release);
}

void
sad_charge(struct sad *sad, unsigned int worker, const struct sa *sa, uint32_t packets,
	   uint32_t bytes, uint64_t now)
{
	struct sa_counters *c = &sad->counters[worker][sa->index];
	uint64_t all_packets = get(&c->packets) + packets, all_bytes = get(&c->bytes) + bytes;

	set(&c->packets, all_packets);
	set(&c->bytes, all_bytes);
	set(&c->last_used, now);
	if (unlikely(all_packets >= get(&c->share_packets) || all_bytes >= get(&c->share_bytes))) {
		if (get(&c->first_used) == 0)
			set(&c->first_used, now);
		alarm_control(sad, worker, c, sa->index);
	}
}

void
sad_prefetch_outbound(const struct sa *sa)
{
	__builtin_prefetch(&sa->spi);
	__builtin_prefetch((const void *)&sa->seq, 1);
}

void
sad_prefetch_counters(const struct sad *sad, unsigned int worker, const struct sa *sa)
{
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
	struct sa_usage sum = control->extra ? control->extra->start : (struct sa_usage){0};

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

struct sa_extra *
sad_extra(struct sa_control *c)
{
	if (!c->extra)
		c->extra = calloc(1, sizeof(*c->extra));
	return c->extra;
}

int
usage_prepare(struct sa_control *c, const struct sa_counted *from)
{
	bool needed = from->given || from->last_used != 0;

	return !needed || sad_extra(c) ? 0 : -ENOMEM;
}

void
usage_start(const struct sad *sad, struct sa_control *c, const struct sa_counted *from)
{
	struct sa_usage *start, now;

	if (!c->extra)
		return;
	start = &c->extra->start;
	start->last_used = from->last_used;
	if (!from->given)
		return;
	start->packets = start->bytes = 0;
	now = sad_usage(sad, c);
	/* Modulo 2^64: the sum is right, whichever is the greater. */
	start->packets = from->packets - now.packets;
	start->bytes = from->bytes - now.bytes;
	start->first_used = from->first_used;
	if (from->added != 0)
		c->added_ms = from->added * 1000;
}

#define BROUGHT 4096 /* places at a time: of their counters whole pages */

/*
 * A worker that came to a page first would wait for as long as it takes to clear it, which of a
 * huge one is a quarter of a millisecond.
 */
void
usage_bring(const struct sad *sad, uint32_t place)
{
	uint32_t n = sad->places - place < BROUGHT ? sad->places - place : BROUGHT;

	if (place % BROUGHT != 0)
		return;
	for (uint32_t w = 0; w < sad->config.workers; w++) {
		memory_touch(&sad->counters[w][place], n * sizeof(struct sa_counters));
		memory_touch((void *)(uintptr_t)&sad->alarms[w][place / 64], n / 8);
	}
}

/* After the grace period, so that no worker still counts. */
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
		set(&c->share_packets, 0);
		set(&c->share_bytes, 0);
		set(&c->replay_drops, 0);
		set(&c->auth_drops, 0);
	}
}

/* ---- lifetimes ---- */

/* A point in time `seconds` after `since`, both in milliseconds; never for no limit, or none yet.
 */
static uint64_t
time_of(uint64_t seconds, uint64_t since)
{
	if (seconds == 0 || since == 0 || seconds >= (UINT64_MAX - since) / 1000)
		return UINT64_MAX;
	return since + seconds * 1000;
}

static uint64_t
limit_of(uint64_t limit)
{
	return limit != 0 ? limit : UINT64_MAX;
}

/*
 * The packet with which the end of the sequence numbers is near: time to negotiate a successor. An
 * SA that receives as well gets there a little later, and is asked again then.
 */
#define NUMBERS_LEFT (UINT64_C(1) << 28)

static uint64_t
numbers_end(const struct sa_control *c, const struct sa_usage *u)
{
	uint64_t limit = c->sa->seq_limit, seq = get(&c->sa->seq);
	uint64_t near = limit > NUMBERS_LEFT ? limit - NUMBERS_LEFT : 0;

	if (seq >= near)
		return u->packets;
	return near - seq > UINT32_MAX ? UINT64_MAX : u->packets + (near - seq);
}

/* One kind of limits, soft or hard: when, and after how much, the first of them is reached. */
struct end {
	uint64_t time, packets, bytes;
};

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct end
end_of(const struct sa_control *c, const struct sa_limits *l, const struct sa_usage *u, bool hard)
{
	uint64_t used = u->first_used * 1000;

	if (hard)
		return (struct end){least(time_of(l->hard_add_seconds, c->added_ms),
					  time_of(l->hard_use_seconds, used)),
				    limit_of(l->hard_packets), limit_of(l->hard_bytes)};
	return (struct end){least(time_of(l->soft_add_seconds, c->added_ms),
				  time_of(l->soft_use_seconds, used)),
			    least(limit_of(l->soft_packets), numbers_end(c, u)),
			    limit_of(l->soft_bytes)};
}

static bool
reached(const struct end *end, const struct sa_usage *u, uint64_t now)
{
	return now >= end->time || u->packets >= end->packets || u->bytes >= end->bytes;
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

/* A worker's part of what is left, at least one; no limit stays none. */
static uint64_t
share(const struct sad *sad, uint64_t end, uint64_t used, uint64_t mine)
{
	uint64_t part = end > used ? (end - used) / sad->config.workers : 0;

	return end == UINT64_MAX ? UINT64_MAX : mine + (part > 0 ? part : 1);
}

/* To the workers that have seen the SA: the others ask with their first packet. */
static void
deal_out(struct sad *sad, uint32_t place, const struct end *end, const struct sa_usage *u)
{
	for (uint32_t w = 0; w < sad->config.workers; w++) {
		struct sa_counters *c = &sad->counters[w][place];

		if (get(&c->packets) == 0)
			continue;
		set(&c->share_packets, share(sad, end->packets, u->packets, get(&c->packets)));
		set(&c->share_bytes, share(sad, end->bytes, u->bytes, get(&c->bytes)));
	}
}

/* Waits for the next limit: the soft one, once that was told the hard one. */
static void
watch(struct sad *sad, struct slot *slot, const struct sa_limits *l, const struct sa_usage *u)
{
	struct end end = end_of(&slot->control, l, u, true);

	if (!slot->control.soft_sent) {
		struct end soft = end_of(&slot->control, l, u, false);

		end = (struct end){least(end.time, soft.time), least(end.packets, soft.packets),
				   least(end.bytes, soft.bytes)};
	}
	deal_out(sad, slot->control.index, &end, u);
	if (end.time == UINT64_MAX)
		wheel_stop(&slot->timer);
	else
		wheel_start(&sad->wheel, &slot->timer, ticks_until(end.time));
}

void
usage_watch(struct sad *sad, struct slot *slot, const struct sa_limits *limits)
{
	struct sa_usage usage = sad_usage(sad, &slot->control);

	watch(sad, slot, limits, &usage);
}

static void
check_valid(struct sad *sad, struct slot *slot, uint64_t now)
{
	struct sa_control *c = &slot->control;
	struct sa_usage usage = sad_usage(sad, c);
	const struct sa_limits limits = sad_params(c).limits;
	struct end hard = end_of(c, &limits, &usage, true);
	struct end soft = end_of(c, &limits, &usage, false);
	uint32_t generation = slot->generation;

	if (reached(&hard, &usage, now)) {
		c->state = SA_EXPIRED;
		/* Relaxed: a worker that sees it a packet later is within the limit's blur. */
		atomic_store_explicit(&c->sa->state, SA_EXPIRED, memory_order_relaxed);
		tell_expired(sad, c, true);
		if (slot->used && slot->generation == generation)
			slot_retire(sad, slot);
		return;
	}
	if (!c->soft_sent && reached(&soft, &usage, now)) {
		c->soft_sent = true;
		tell_expired(sad, c, false);
		if (!slot->used || slot->generation != generation)
			return;
	}
	watch(sad, slot, &limits, &usage);
}

static void
check(struct sad *sad, struct slot *slot)
{
	if (!slot->used)
		return;
	if (slot->control.state == SA_VALID)
		check_valid(sad, slot, sad->now);
	else if (slot->control.state == SA_LARVAL)
		slot_retire(sad, slot); /* only its time-out comes here */
}

static void
time_came(void *ctx, struct wheel_timer *timer)
{
	check(ctx, (struct slot *)((char *)timer - offsetof(struct slot, timer)));
}

static void
take_alarms(struct sad *sad, _Atomic uint64_t *alarms)
{
	for (uint32_t i = 0; i * 64 < sad->high_water; i++) {
		uint64_t bits = 0;

		/* Relaxed: a bit that is missed is seen at the next tick. */
		if (atomic_load_explicit(&alarms[i], memory_order_relaxed) != 0)
			/* Acquire: see alarm_control(). */
			bits = atomic_exchange_explicit(&alarms[i], 0, memory_order_acquire);
		for (; bits != 0; bits &= bits - 1)
			check(sad, &sad->slots[i * 64 + (uint32_t)__builtin_ctzll(bits)]);
	}
}

void
sad_tick(struct sad *sad, uint64_t now)
{
	sad->now = now;
	for (uint32_t w = 0; w < sad->config.workers; w++)
		take_alarms(sad, sad->alarms[w]);
	wheel_turn(&sad->wheel, now / SAD_TICK_MS, time_came, sad);
}
