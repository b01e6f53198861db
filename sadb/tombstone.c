/* SPDX-License-Identifier: BSD-3-Clause */
/* Tombstones in order of age and by key print (tombstone.h). */
#include "tombstone.h"

#include <string.h>

int
tombstones_init(struct tombstones *t, uint32_t size)
{
	t->size = size;
	t->window_bytes = 0;
	TAILQ_INIT(&t->oldest);
	t->all = calloc(size, sizeof(*t->all));
	if (!t->all)
		return -ENOMEM;
	if (index_init(&t->index, size) != 0) {
		free(t->all);
		t->all = NULL;
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < size; i++)
		TAILQ_INSERT_TAIL(&t->oldest, &t->all[i], age);
	return 0;
}

void
tombstones_free(struct tombstones *t)
{
	if (!t->all)
		return;
	for (uint32_t i = 0; i < t->size; i++)
		free(t->all[i].window);
	free(t->all);
	index_free(&t->index);
	t->all = NULL;
}

struct tombstone *
tombstone_next(struct tombstones *t, const struct key_print *print, struct tombstone *after)
{
	/* The print is a keyed hash: half of it is as good a hash as any. */
	uint64_t hash = print->word[0];
	struct link *l = after ? after->link.next : t->index.heads[hash & t->index.mask];

	for (l = index_match(l, hash); l; l = index_match(l->next, hash)) {
		struct tombstone *found = l->owner;

		if (memcmp(&found->print, print, sizeof(*print)) == 0)
			return found;
	}
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

void
tombstone_put(struct tombstones *t, struct tombstone *new)
{
	struct tombstone *place = predecessor(t, new);

	if (!place)
		place = TAILQ_FIRST(&t->oldest);
	if (place->window)
		t->window_bytes -= replay_size(place->window->window);
	free(place->window);
	TAILQ_REMOVE(&t->oldest, place, age);
	index_remove(&place->link);
	*place = *new;
	index_insert(&t->index, new->print.word[0], &place->link, place);
	TAILQ_INSERT_TAIL(&t->oldest, place, age);
	if (new->window)
		t->window_bytes += replay_size(new->window->window);
}
