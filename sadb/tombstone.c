/* SPDX-License-Identifier: BSD-3-Clause */
/* Tombstones in order of age and by key print (tombstone.h). */
#include "tombstone.h"

#include <errno.h>

#include <stdlib.h>
#include <string.h>

int
tombstones_init(struct tombstones *t, uint32_t size)
{
	t->size = size;
	t->used = t->windows = 0;
	t->window_bytes = 0;
	TAILQ_INIT(&t->oldest);
	TAILQ_INIT(&t->oldest_window);
	if (memory_map(&t->memory, size * sizeof(*t->all)) != 0)
		return -ENOMEM;
	if (index_init(&t->index, size, size) != 0) {
		memory_unmap(&t->memory);
		return -ENOMEM;
	}
	t->all = t->memory.base;
	return 0;
}

void
tombstones_free(struct tombstones *t)
{
	for (uint32_t i = 0; i < t->used; i++)
		free(t->all[i].window);
	memory_unmap(&t->memory);
	index_free(&t->index);
}

struct tombstone *
tombstone_next(struct tombstones *t, const struct key_print *print, struct tombstone *after)
{
	/* The print is a keyed hash: half of it is as good a hash as any. */
	uint32_t n = after ? index_next(&t->index, (uint32_t)(after - t->all))
			   : index_first(&t->index, print->word[0]);

	for (; n != INDEX_NONE; n = index_next(&t->index, n))
		if (memcmp(&t->all[n].print, print, sizeof(*print)) == 0)
			return &t->all[n];
	return NULL;
}

/* Two tombstones of one SA that came and went twice. */
static bool
same(const struct tombstone *a, const struct tombstone *b)
{
	return memcmp(&a->print, &b->print, sizeof(a->print)) == 0 && a->spi == b->spi &&
	       a->half == b->half;
}

static struct tombstone *
predecessor(struct tombstones *t, const struct tombstone *new)
{
	struct tombstone *old = NULL;

	while ((old = tombstone_next(t, &new->print, old)) != NULL)
		if (same(old, new))
			return old;
	return NULL;
}

static void
lose_window(struct tombstones *t, struct tombstone *place)
{
	if (!place->window)
		return;
	t->windows--;
	t->window_bytes -= replay_size(place->window->window);
	TAILQ_REMOVE(&t->oldest_window, place, window_age);
	free(place->window);
	place->window = NULL;
}

static void
keep_window(struct tombstones *t, struct tombstone *place)
{
	if (!place->window)
		return;
	t->windows++;
	t->window_bytes += replay_size(place->window->window);
	TAILQ_INSERT_TAIL(&t->oldest_window, place, window_age);
	if (t->windows > TOMBSTONE_WINDOWS)
		lose_window(t, TAILQ_FIRST(&t->oldest_window));
}

/* Where a new one is to stand: nowhere yet, if there is room, or in another's place. */
static struct tombstone *
place_for(struct tombstones *t, const struct tombstone *new)
{
	struct tombstone *place = predecessor(t, new);

	if (!place && t->used < t->size)
		return &t->all[t->used++];
	if (!place)
		place = TAILQ_FIRST(&t->oldest);
	lose_window(t, place);
	TAILQ_REMOVE(&t->oldest, place, age);
	index_remove(&t->index, (uint32_t)(place - t->all));
	return place;
}

void
tombstone_put(struct tombstones *t, struct tombstone *new)
{
	struct tombstone *place = place_for(t, new);

	*place = *new;
	index_insert(&t->index, new->print.word[0], (uint32_t)(place - t->all));
	TAILQ_INSERT_TAIL(&t->oldest, place, age);
	keep_window(t, place);
}
