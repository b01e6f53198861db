/* SPDX-License-Identifier: BSD-3-Clause */
#include "turns.h"

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
	for (unsigned int kind = 0; kind < TURN_KINDS; kind++)
		__atomic_store_n(&p->longest[kind], 0, __ATOMIC_RELAXED);
	/* Release: whoever sees the number does not see what the last one's longest were. */
	__atomic_store_n(&p->number, number, __ATOMIC_RELEASE);
	t->now = p;
}

uint64_t
turns_start(struct turns *t, uint64_t seconds)
{
	struct rseq *area = thread_area();

	t->armed = area ? (volatile uint64_t *)&area->rseq_cs : &t->never;
	t->section = (uintptr_t)&nowhere;
	turns_clock(t, seconds);
	return turns_begin(t);
}

uint64_t
turns_longest(const struct turns *t, enum turn kind, uint64_t seconds)
{
	uint64_t longest = 0, last = seconds / TURNS_PERIOD;

	for (unsigned int i = 0; i < TURNS_PERIODS; i++) {
		const struct turns_period *p = &t->periods[i];
		uint64_t ago = last - __atomic_load_n(&p->number, __ATOMIC_ACQUIRE);
		uint64_t ticks = __atomic_load_n(&p->longest[kind], __ATOMIC_RELAXED);

		if (ago < TURNS_PERIODS && ticks > longest)
			longest = ticks;
	}
	return longest;
}
