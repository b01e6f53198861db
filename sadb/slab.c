/* SPDX-License-Identifier: BSD-3-Clause */
/* Large mappings, cut into objects as they are needed; free ones form a list (slab.h). */
#include "slab.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

#define CHUNK (UINT32_C(16) << 20) /* so large that it holds whole huge pages wherever it lies */

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else /* a build without it finds no use of what was given back */
#define ASAN_POISON_MEMORY_REGION(base, size)
#define ASAN_UNPOISON_MEMORY_REGION(base, size)
#endif

struct slab_chunk {
	struct slab_chunk *next;
	struct memory memory;
};

static int
slab_grow(struct slab *s)
{
	struct slab_chunk *c = malloc(sizeof(*c));

	if (!c || memory_map(&c->memory, CHUNK) != 0) {
		free(c);
		return -1;
	}
	c->next = s->chunks;
	s->chunks = c;
	s->next = c->memory.base;
	s->end = s->next + CHUNK / s->size * s->size;
	return 0;
}

void *
slab_take(struct slab *s)
{
	void *object = s->free;

	if (object) {
		ASAN_UNPOISON_MEMORY_REGION(object, s->size);
		memcpy(&s->free, object, sizeof(s->free));
	} else {
		if (s->next == s->end && slab_grow(s) != 0)
			return NULL;
		object = s->next;
		s->next += s->size;
	}
	s->taken++;
	return object;
}

void
slab_give(struct slab *s, void *object)
{
	memcpy(object, &s->free, sizeof(s->free));
	s->free = object;
	s->taken--;
	ASAN_POISON_MEMORY_REGION(object, s->size);
}

void
slab_end(struct slab *s)
{
	struct slab_chunk *next;

	for (struct slab_chunk *c = s->chunks; c; c = next) {
		next = c->next;
		ASAN_UNPOISON_MEMORY_REGION(c->memory.base, c->memory.size);
		memory_unmap(&c->memory);
		free(c);
	}
}
