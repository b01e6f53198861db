/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects of one size under 32-bit numbers, for one writer and lock-free readers: they lie in
 * chunks that never move. Who gives a number back makes sure, by a grace period, that no reader
 * holds it.
 */
#pragma once

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define POOL_CHUNK_BITS 10
#define POOL_CHUNK      (1u << POOL_CHUNK_BITS)
#define POOL_CHUNKS     4096

struct pool {
	_Atomic(char *) chunk[POOL_CHUNKS];
	uint32_t used; /* numbers ever given out */
	uint32_t free; /* head of the list of free ones, 0 none: number 0 is never given back */
	uint32_t taken;
};

static inline void *
pool_at(const struct pool *p, uint32_t number, size_t size)
{
	/* Acquire: pairs with the release that added the chunk. */
	char *chunk =
		atomic_load_explicit(&p->chunk[number >> POOL_CHUNK_BITS], memory_order_acquire);

	return chunk + (number & (POOL_CHUNK - 1)) * size;
}

/* Writer: a number, 0 the first. -ENOMEM. What the object held before is undefined. */
static inline int
pool_take(struct pool *p, size_t size, uint32_t *number)
{
	uint32_t chunk = p->used >> POOL_CHUNK_BITS;

	if (p->free) {
		*number = p->free;
		memcpy(&p->free, pool_at(p, *number, size), sizeof(p->free));
		p->taken++;
		return 0;
	}
	if ((p->used & (POOL_CHUNK - 1)) == 0) {
		char *memory = chunk < POOL_CHUNKS ? aligned_alloc(64, POOL_CHUNK * size) : NULL;

		if (!memory)
			return -ENOMEM;
		atomic_store_explicit(&p->chunk[chunk], memory, memory_order_release);
	}
	*number = p->used++;
	p->taken++;
	return 0;
}

/* Writer, after the grace period. */
static inline void
pool_give(struct pool *p, size_t size, uint32_t number)
{
	memcpy(pool_at(p, number, size), &p->free, sizeof(p->free));
	p->free = number;
	p->taken--;
}

static inline void
pool_free(struct pool *p)
{
	for (uint32_t i = 0; i < POOL_CHUNKS; i++)
		free(atomic_load_explicit(&p->chunk[i], memory_order_relaxed));
}
