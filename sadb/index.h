/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash of the control thread's own: insert and remove in O(1) however many entries share a key,
 * and the newest entry of a key comes first. An entry is a number, that of its link, and links are
 * the index's: 12 bytes each, so that several for an SA cost little. (Workers read a chash
 * instead.)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "memory.h"

#define INDEX_NONE UINT32_MAX

/* Numbers of links are counted from 1 here: zeroed memory is an empty index. */
struct link {
	uint32_t next; /* 0 at the end of a chain */
	uint32_t prev; /* 0: in no chain; LINK_FIRST: none before it */
	uint32_t hash;
};

#define LINK_FIRST UINT32_MAX

struct index {
	uint32_t *heads;
	struct link *links;
	uint32_t mask;
	struct memory heads_memory, links_memory;
};

static inline void
index_free(struct index *index)
{
	memory_unmap(&index->heads_memory);
	memory_unmap(&index->links_memory);
	index->links = NULL;
}

/* Chains for about `heads` entries, and numbers below `links`. 0 or -ENOMEM. */
static inline int
index_init(struct index *index, uint64_t heads, uint64_t links)
{
	uint64_t size = 1;
	int err;

	while (size < heads)
		size *= 2;
	err = memory_map(&index->heads_memory, size * sizeof(*index->heads));
	if (err == 0)
		err = memory_map(&index->links_memory, links * sizeof(*index->links));
	if (err != 0)
		index_free(index);
	index->heads = index->heads_memory.base;
	index->links = index->links_memory.base;
	index->mask = (uint32_t)(size - 1);
	return err;
}

static inline bool
index_has(const struct index *index, uint32_t number)
{
	return index->links[number].prev != 0;
}

static inline void
index_insert(struct index *index, uint64_t hash, uint32_t number)
{
	uint32_t *head = &index->heads[hash & index->mask];

	index->links[number] =
		(struct link){.next = *head, .prev = LINK_FIRST, .hash = (uint32_t)hash};
	if (*head != 0)
		index->links[*head - 1].prev = number + 1;
	*head = number + 1;
}

/* Does nothing for what is in no chain. */
static inline void
index_remove(struct index *index, uint32_t number)
{
	struct link *link = &index->links[number];

	if (link->prev == 0)
		return;
	if (link->prev == LINK_FIRST)
		index->heads[link->hash & index->mask] = link->next;
	else
		index->links[link->prev - 1].next = link->next;
	if (link->next != 0)
		index->links[link->next - 1].prev = link->prev;
	link->prev = 0;
}

/* The entry of that hash which the chain has from `at` on. */
static inline uint32_t
index_match(const struct index *index, uint32_t at, uint32_t hash)
{
	while (at != 0 && index->links[at - 1].hash != hash)
		at = index->links[at - 1].next;
	return at - 1; /* 0 becomes INDEX_NONE */
}

/* The newest entry of that hash, and the one behind an entry; INDEX_NONE at the end. The caller
 * compares keys. */
static inline uint32_t
index_first(const struct index *index, uint64_t hash)
{
	return index_match(index, index->heads[hash & index->mask], (uint32_t)hash);
}

static inline uint32_t
index_next(const struct index *index, uint32_t number)
{
	return index_match(index, index->links[number].next, index->links[number].hash);
}

#define INDEX_FOREACH(number, index, key)                                                          \
	for ((number) = index_first((index), (key)); (number) != INDEX_NONE;                       \
	     (number) = index_next((index), (number)))
