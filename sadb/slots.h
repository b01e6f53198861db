/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbered places for objects: O(1) to take and to leave, and an iteration that survives changes
 * between its steps, which is what a dump to a slow reader needs. The control thread's alone; the
 * objects are their owner's.
 */
#pragma once

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

struct slots {
	uintptr_t *slot; /* an object, or next free number << 1 | 1 */
	uint32_t size, max;
	uint32_t free; /* number + 1 of the first free slot, 0 none */
	uint32_t count;
};

/* Appends free slots, twice as many as there were. */
static inline int
slots_grow(struct slots *s)
{
	uint32_t size = s->size ? s->size * 2 : 64;
	uintptr_t *slot;

	if (size > s->max)
		size = s->max;
	if (size <= s->size)
		return -ENOSPC;
	slot = realloc(s->slot, size * sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	for (uint32_t i = size; i-- > s->size;) {
		slot[i] = (uintptr_t)s->free << 1 | 1;
		s->free = i + 1;
	}
	s->slot = slot;
	s->size = size;
	return 0;
}

/* Puts the object into a free slot. 0, -ENOSPC where `max` are taken, -ENOMEM. */
static inline int
slots_take(struct slots *s, void *object, uint32_t *number)
{
	int error = s->free ? 0 : slots_grow(s);

	if (error)
		return error;
	*number = s->free - 1;
	s->free = s->slot[*number] >> 1;
	s->slot[*number] = (uintptr_t)object;
	s->count++;
	return 0;
}

static inline void
slots_leave(struct slots *s, uint32_t number)
{
	s->slot[number] = (uintptr_t)s->free << 1 | 1;
	s->free = number + 1;
	s->count--;
}

/* Another object takes over the number. */
static inline void
slots_replace(struct slots *s, uint32_t number, void *object)
{
	s->slot[number] = (uintptr_t)object;
}

static inline void *
slots_get(const struct slots *s, uint32_t number)
{
	return number < s->size && !(s->slot[number] & 1) ? (void *)s->slot[number] : NULL;
}

/* The next object from *cursor on (0 at the start), or NULL at the end. */
static inline void *
slots_next(const struct slots *s, uint32_t *cursor)
{
	void *object = NULL;

	while (!object && *cursor < s->size)
		object = slots_get(s, (*cursor)++);
	return object;
}

static inline void
slots_free(struct slots *s)
{
	free(s->slot);
}
