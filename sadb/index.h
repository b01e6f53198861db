/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An intrusive hash of the control thread's own: insert and remove in O(1) however many entries
 * share a key, and the newest entry of a key comes first. (Workers read a chash instead.)
 */
#pragma once

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

struct link {
	struct link *next, **prev; /* prev is NULL while in no index */
	uint64_t hash;
	void *owner; /* the entry that the link is part of */
};

struct index {
	struct link **heads;
	uint64_t mask;
};

/* Room for about `entries`. 0 or -ENOMEM. */
static inline int
index_init(struct index *index, uint64_t entries)
{
	uint64_t heads = 1;

	while (heads < entries)
		heads *= 2;
	index->heads = calloc(heads, sizeof(struct link *));
	index->mask = heads - 1;
	return index->heads ? 0 : -ENOMEM;
}

static inline void
index_free(struct index *index)
{
	free(index->heads);
	index->heads = NULL;
}

static inline void
index_insert(struct index *index, uint64_t hash, struct link *link, void *owner)
{
	struct link **head = &index->heads[hash & index->mask];

	*link = (struct link){.next = *head, .prev = head, .hash = hash, .owner = owner};
	if (*head)
		(*head)->prev = &link->next;
	*head = link;
}

/* Does nothing for a link that is in no index. */
static inline void
index_remove(struct link *link)
{
	if (!link->prev)
		return;
	*link->prev = link->next;
	if (link->next)
		link->next->prev = link->prev;
	link->prev = NULL;
}

/* `link`, or the first one behind it, of that hash; NULL at the end. The caller compares keys. */
static inline struct link *
index_match(struct link *link, uint64_t hash)
{
	while (link && link->hash != hash)
		link = link->next;
	return link;
}

#define INDEX_FOREACH(link, index, key)                                                            \
	for ((link) = index_match((index)->heads[(key) & (index)->mask], (key)); (link);           \
	     (link) = index_match((link)->next, (key)))
