/* SPDX-License-Identifier: BSD-3-Clause */
#include "turns.h"

#include <stdbool.h>

#include <sys/rseq.h>

/*
 * A section of no length. The kernel wants an abort handler with a signature in front of it, which
 * it reads even where nothing is to be aborted.
 */
static const uint32_t handler[] = {RSEQ_SIG, 0};
static const struct rseq_cs nowhere = {
	.start_ip = (uintptr_t)handler,
	.abort_ip = (uintptr_t)&handler[1],
};

/* The thread's area, which the C library has registered; NULL where the kernel has none. */
static struct rseq *
thread_area(void)
{
	uint8_t *thread;

	if (__rseq_size == 0)
		return NULL;
	__asm__("mov %%fs:0, %0" : "=r"(thread));
	return (struct rseq *)(thread + __rseq_offset);
}

void
turns_clock(struct turns *t, uint64_t seconds)
{
	uint64_t number = seconds / TURNS_PERIOD;
	struct turns_period *p = &t->periods[number % TURNS_PERIODS];

	if (p == t->now && p->number == number)
		return;
	for (unsigned int kind = 0; kind < TURN_KINDS; kind++) {
		__atomic_store_n(&p->longest[kind], 0, __ATOMIC_RELAXED);
		t->noted[kind] = 0;
	}
	__atomic_store_n(&p->long_ones, 0, __ATOMIC_RELAXED);
	/* Release: whoever sees the number does not see what the last one's longest were. */
	__atomic_store_n(&p->number, number, __ATOMIC_RELEASE);
	t->now = p;
}

/* Relaxed, all of them: each stands alone. */
void
turns_note(struct turns *t, enum turn kind, uint64_t ticks)
{
	struct turns_period *p = t->now;
	bool is_long = kind == TURN_WHOLE && ticks > t->long_ticks;

	if (ticks > p->longest[kind])
		__atomic_store_n(&p->longest[kind], ticks, __ATOMIC_RELAXED);
	if (is_long)
		__atomic_store_n(&p->long_ones, p->long_ones + 1, __ATOMIC_RELAXED);
	t->noted[kind] = is_long ? t->long_ticks : p->longest[kind];
}

uint64_t
turns_start(struct turns *t, uint64_t seconds, uint64_t hz)
{
	struct rseq *area = thread_area();

	t->armed = area ? (volatile uint64_t *)&area->rseq_cs : &t->never;
	t->section = (uintptr_t)&nowhere;
	t->long_ticks = hz * TURNS_LONG_US / 1000000;
	turns_clock(t, seconds);
	return turns_begin(t);
}

/* A period, if it is of the minute before `seconds`; else NULL. */
static const struct turns_period *
period(const struct turns *t, unsigned int i, uint64_t seconds)
{
	const struct turns_period *p = &t->periods[i];
	uint64_t ago = seconds / TURNS_PERIOD - __atomic_load_n(&p->number, __ATOMIC_ACQUIRE);

	return ago < TURNS_PERIODS ? p : NULL;
}

uint64_t
turns_longest(const struct turns *t, enum turn kind, uint64_t seconds)
{
	uint64_t longest = 0;

	for (unsigned int i = 0; i < TURNS_PERIODS; i++) {
		const struct turns_period *p = period(t, i, seconds);
		uint64_t ticks = p ? __atomic_load_n(&p->longest[kind], __ATOMIC_RELAXED) : 0;

		if (ticks > longest)
			longest = ticks;
	}
	return longest;
}

uint64_t
turns_long(const struct turns *t, uint64_t seconds)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < TURNS_PERIODS; i++) {
		const struct turns_period *p = period(t, i, seconds);

		sum += p ? __atomic_load_n(&p->long_ones, __ATOMIC_RELAXED) : 0;
	}
	return sum;
}
