/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects of one size from huge pages: a million policies in pages of 4 KiB would cost a lookup a
 * page walk each. The control thread's; memory goes back to the system at the end.
 */
#pragma once

#include <stddef.h>

struct slab {
	size_t size; /* of an object, a multiple of 64 */
	struct slab_chunk *chunks;
	char *next, *end; /* what of the newest chunk was never taken */
	void *free;       /* given back; each begins with the address of the next */
	size_t taken;     /* objects that are out */
};

/* An object at a cache line's start, its contents undefined, or NULL without memory. */
void *slab_take(struct slab *s);
void slab_give(struct slab *s, void *object);
void slab_end(struct slab *s);
