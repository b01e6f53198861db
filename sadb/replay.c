/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shared anti-replay window (replay.h). What a slot holds:
 *
 *   bitmap 0, tag 0   nothing was claimed yet: any block may move in (fresh memory is a fresh ring)
 *   bitmap 0, tag 1   closed: refuses every claim (replay_close)
 *   bitmap not 0      the numbers claimed of block tag * slots + slot
 *
 * Why a number is accepted once: a slot's tag only ever grows, and a bit is only set while its tag
 * stands in the slot. So a number that was claimed finds either its bit, or a newer tag. `top` has
 * no part in that: it makes the window exact on its left side, where old slots would still take
 * numbers that nobody sent for long.
 *
 * Why a newer tag means "left of the window": two blocks of one slot are at least `slots` blocks
 * apart, and slots * 32 - 31 >= window. Tags are 32 bits of a longer number, compared as serial
 * numbers: a peer would have to leave a slot out for 2^37 numbers or more to confuse the two.
 */
#include "replay.h"

#include <string.h>

#define SLOT_CLOSED (UINT64_C(1) << 32)

static inline uint32_t
slot_tag(uint64_t slot)
{
	return (uint32_t)(slot >> 32);
}

static inline uint32_t
slot_bitmap(uint64_t slot)
{
	return (uint32_t)slot;
}

/* Where a number is written down. */
struct place {
	uint32_t slot, tag, bit;
};

static inline struct place
place_of(const struct replay *r, uint64_t seq)
{
	uint64_t block = seq >> 5;

	return (struct place){
		.slot = (uint32_t)block & r->slot_mask,
		.tag = (uint32_t)(block >> r->slot_shift),
		.bit = UINT32_C(1) << (seq & 31),
	};
}

/* Whether the number at `p` may still be claimed in a slot of that content. */
static inline bool
slot_admits(uint64_t slot, struct place p)
{
	int32_t ahead = (int32_t)(p.tag - slot_tag(slot));

	if (slot_bitmap(slot) == 0)
		return slot != SLOT_CLOSED;
	return ahead > 0 || (ahead == 0 && (slot_bitmap(slot) & p.bit) == 0);
}

/* Left of the window, or number 0, which is never sent (RFC 4303 section 3.3.3). */
static inline bool
out_of_reach(const struct replay *r, uint64_t top, uint64_t seq)
{
	return seq == 0 || (seq <= top && top - seq >= r->window);
}

static inline uint64_t
load_top(const struct replay *r)
{
	/* Relaxed: a stale top lets in a number further left, and that one is claimed once too. */
	return atomic_load_explicit(&r->top, memory_order_relaxed);
}

static inline uint64_t
load_slot(const struct replay *r, uint32_t slot)
{
	/* Relaxed: a slot is whole in itself and says nothing of other memory. */
	return atomic_load_explicit(&r->slot[slot], memory_order_relaxed);
}

uint32_t
replay_slots(uint32_t window)
{
	/* `window` numbers in a row touch at most so many blocks of 32, however they lie. */
	uint32_t blocks = (window + 30) / 32 + 1;
	uint32_t slots = 1;

	while (slots < blocks)
		slots *= 2;
	return slots;
}

size_t
replay_size(uint32_t window)
{
	return sizeof(struct replay) + replay_slots(window) * sizeof(uint64_t);
}

void
replay_init(struct replay *r, uint32_t window)
{
	uint32_t slots = replay_slots(window);

	memset(r, 0, replay_size(window));
	r->window = window;
	r->slot_mask = slots - 1;
	r->slot_shift = (uint32_t)__builtin_ctz(slots);
}

uint64_t
replay_infer(uint64_t top, uint32_t window, uint32_t seq_lo)
{
	/*
	 * Both cases of appendix A2.2 in one: of the 2^32 numbers that begin with the left edge,
	 * the one whose low half is on the wire. The left edge ends at 0, so that the high
	 * half is never -1.
	 */
	uint64_t edge = top >= window ? top - window + 1 : 0;

	return edge + (uint32_t)(seq_lo - (uint32_t)edge);
}

void
replay_prefetch(const struct replay *r, uint32_t slot_mask, uint32_t seq_lo)
{
	__builtin_prefetch(r, 1);
	__builtin_prefetch((const void *)&r->slot[(seq_lo >> 5) & slot_mask], 1);
}

bool
replay_check(const struct replay *r, uint64_t seq)
{
	struct place p = place_of(r, seq);

	return !out_of_reach(r, load_top(r), seq) && slot_admits(load_slot(r, p.slot), p);
}

static void
raise_top(struct replay *r, uint64_t seq)
{
	uint64_t top = load_top(r);

	/* Relaxed: top only has to grow; what it stands for is in the slots. */
	while (top < seq && !atomic_compare_exchange_weak_explicit(
				    &r->top, &top, seq, memory_order_relaxed, memory_order_relaxed))
		;
}

/*
 * Claims the numbers of one block whose bits are in p.bit, by one compare-and-swap. Returns the
 * bits that nobody had claimed before.
 */
static uint32_t
claim_bits(struct replay *r, struct place p)
{
	uint64_t old = load_slot(r, p.slot), new;
	uint32_t won;

	do {
		bool same = slot_bitmap(old) != 0 && slot_tag(old) == p.tag;

		won = same ? p.bit & ~slot_bitmap(old) : slot_admits(old, p) ? p.bit : 0;
		if (won == 0)
			return 0;
		new = (uint64_t)p.tag << 32 | won | (same ? slot_bitmap(old) : 0);
		/* Relaxed: one slot's own order of changes decides who claimed a number. */
	} while (!atomic_compare_exchange_weak_explicit(
		&r->slot[p.slot], &old, new, memory_order_relaxed, memory_order_relaxed));
	return won;
}

/* How many of n numbers, from the first on, follow one upon another within its block. */
static unsigned int
in_succession(const uint64_t *seq, unsigned int n)
{
	unsigned int room = 32 - (seq[0] & 31), count = 1;

	n = n < room ? n : room;
	while (count < n && seq[count] == seq[0] + count)
		count++;
	return count;
}

void
replay_claim_run(struct replay *r, const uint64_t *seq, bool *claimed, unsigned int n)
{
	unsigned int count;

	for (unsigned int i = 0; i < n; i += count) {
		struct place p = place_of(r, seq[i]);
		uint32_t won;

		count = 1;
		claimed[i] = false;
		if (out_of_reach(r, load_top(r), seq[i]))
			continue;
		/* Where the first is in reach, so are those after it. */
		count = in_succession(seq + i, n - i);
		p.bit *= (uint32_t)((UINT64_C(1) << count) - 1);
		won = claim_bits(r, p);
		for (unsigned int k = i; k < i + count; k++)
			claimed[k] = (won >> (seq[k] & 31) & 1) != 0;
		if (won != 0)
			raise_top(r, (seq[i] | 31) - (uint32_t)__builtin_clz(won));
	}
}

bool
replay_claim(struct replay *r, uint64_t seq)
{
	if (out_of_reach(r, load_top(r), seq) || claim_bits(r, place_of(r, seq)) == 0)
		return false;
	raise_top(r, seq);
	return true;
}

/* The highest number claimed in a slot, its tag being near that of `top`; 0 in an empty one. */
static uint64_t
slot_highest(const struct replay *r, uint64_t top, uint32_t slot, uint64_t content)
{
	uint64_t top_tag = top >> 5 >> r->slot_shift;
	uint64_t tag = top_tag + (uint64_t)(int32_t)(slot_tag(content) - (uint32_t)top_tag);
	uint32_t bitmap = slot_bitmap(content);

	if (bitmap == 0)
		return 0;
	return (tag << r->slot_shift | slot) << 5 | (31 - (uint32_t)__builtin_clz(bitmap));
}

uint64_t
replay_close(struct replay *r, struct replay *copy)
{
	uint64_t top = load_top(r), highest, content;

	for (uint32_t i = 0; i <= r->slot_mask; i++) {
		/* Relaxed: a claim comes before the exchange in its slot's order, or fails. */
		content = atomic_exchange_explicit(&r->slot[i], SLOT_CLOSED, memory_order_relaxed);
		if (copy)
			atomic_init(&copy->slot[i], content);
		/* Its claimer may not have raised top yet. */
		highest = slot_highest(r, top, i, content);
		if (highest > top)
			top = highest;
	}
	if (copy) {
		copy->window = r->window;
		copy->slot_mask = r->slot_mask;
		copy->slot_shift = r->slot_shift;
		copy->reserved = 0;
		atomic_init(&copy->top, top);
	}
	return top;
}

/* Whether the number must not be accepted any more. */
static bool
seen(const struct replay *r, uint64_t top, uint64_t seq)
{
	struct place p = place_of(r, seq);

	return seq <= top && (out_of_reach(r, top, seq) || !slot_admits(load_slot(r, p.slot), p));
}

/* The first number that a window would accept once its top were `top`. */
static uint64_t
left_edge(const struct replay *r, uint64_t top)
{
	return top >= r->window ? top - r->window + 1 : 1;
}

void
replay_inherit(struct replay *to, const struct replay *from)
{
	uint64_t top = load_top(from);

	/* In ascending order; what the old, smaller window could not tell counts as seen. */
	for (uint64_t n = left_edge(to, top); top - n < to->window; n++)
		if (seen(from, top, n))
			replay_claim(to, n);
}

void
replay_restore(struct replay *r, uint64_t top, const uint32_t *bitmap, uint32_t words)
{
	for (uint64_t n = left_edge(r, top); top - n < r->window; n++) {
		uint64_t i = top - n;

		if (i == 0 || i / 32 >= words || (bitmap[i / 32] >> (i % 32) & 1) != 0)
			replay_claim(r, n);
	}
}

void
replay_export(const struct replay *r, uint64_t *top, uint32_t *bitmap, uint32_t words)
{
	*top = load_top(r);
	memset(bitmap, 0, words * sizeof(*bitmap));
	for (uint64_t i = 0; i < words * UINT64_C(32) && i < *top; i++)
		if (seen(r, *top, *top - i))
			bitmap[i / 32] |= UINT32_C(1) << (i % 32);
}
