/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The anti-replay window (RFC 4303 section 3.4.3) that any number of workers share without a lock,
 * and the inference of extended sequence numbers (RFC 4303 appendix A2).
 *
 * The window is a ring of 64-bit slots {tag : 32, bitmap : 32}, one for a block of 32 numbers:
 * block = seq >> 5, slot = block mod slots, tag = block / slots. One compare-and-swap claims a
 * number. `top`, the highest number claimed, is raised after the claim; what lies left of
 * top - window + 1 is refused at the check and again at the claim. The ring has as many slots as
 * the window can touch blocks, so the left edge never shares a slot with the newest block.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLAY_WINDOW_MIN     32
#define REPLAY_WINDOW_DEFAULT 992 /* 32 slots */
#define REPLAY_WINDOW_MAX     65536

struct replay {
	_Atomic uint64_t top; /* highest number claimed, 0 before the first */
	uint32_t window;      /* numbers that are accepted left of and including top */
	uint32_t slot_mask;   /* slots - 1 */
	uint32_t slot_shift;  /* log2(slots) */
	uint32_t reserved;
	_Atomic uint64_t slot[];
};

/* Slots that a window of so many numbers needs: a power of two. */
uint32_t replay_slots(uint32_t window);

/* Bytes of a struct replay for that window, slots included. */
size_t replay_size(uint32_t window);

/* Makes an empty window in replay_size(window) bytes. Before publication. */
void replay_init(struct replay *r, uint32_t window);

/*
 * Control thread: ends a window that workers may still hold. From here on every claim is refused,
 * and what was claimed before, whatever the interleaving, is in `copy` (replay_size(r->window)
 * bytes, or NULL where only the answer is wanted). Returns the highest number claimed.
 */
uint64_t replay_close(struct replay *r, struct replay *copy);

/*
 * Adds what a closed window's copy knows to a new one, perhaps of another size, before the new one
 * is published: top, and every number seen in reach (re-added keys must not accept replays). What
 * lies left of the old window counts as seen.
 */
void replay_inherit(struct replay *to, const struct replay *from);

/*
 * Sets the state that an IKE daemon hands over: the highest number seen and a bitmap whose bit i
 * (bit i % 32 of word i / 32) says that top - i was received; what the bitmap does not reach counts
 * as received. And gives it back likewise.
 */
void replay_restore(struct replay *r, uint64_t top, const uint32_t *bitmap, uint32_t words);
void replay_export(const struct replay *r, uint64_t *top, uint32_t *bitmap, uint32_t words);

/*
 * The 64-bit number that a 32-bit wire number stands for, next to the window (RFC 4303 appendix
 * A2.2). May be called with a stale `top`: the caller carries the result from check to claim.
 */
uint64_t replay_infer(uint64_t top, uint32_t window, uint32_t seq_lo);

/*
 * Any worker: brings the lines that a number with that low half is checked and claimed in, in a
 * window of slot_mask + 1 slots.
 */
void replay_prefetch(const struct replay *r, uint32_t slot_mask, uint32_t seq_lo);

/* Any worker: false where the number lies left of the window or was claimed. Changes nothing. */
bool replay_check(const struct replay *r, uint64_t seq);

/*
 * The same in short, for a number that will be claimed or not: what is right of `top` passes,
 * though another worker may have claimed it and not raised top yet.
 */
static inline bool
replay_may_pass(const struct replay *r, uint64_t seq)
{
	/* Relaxed: any top that there was. */
	return seq > atomic_load_explicit(&r->top, memory_order_relaxed) || replay_check(r, seq);
}

/*
 * Any worker, after the ICV was found right: true for exactly one caller per number, whatever the
 * interleaving. Raises top.
 */
bool replay_claim(struct replay *r, uint64_t seq);

/*
 * The same for n numbers in turn, with one compare-and-swap for those that follow one upon another
 * in one block of 32. claimed[i] says it of seq[i].
 */
void replay_claim_run(struct replay *r, const uint64_t *seq, bool *claimed, unsigned int n);
