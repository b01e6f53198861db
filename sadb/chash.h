/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An intrusive chained hash for one writer and any number of lock-free readers: the SPI index, the
 * identities of SAs, the policies and the neighbours hang in one of these. Its size is fixed at
 * creation (the configuration bounds what it holds), so an insert or a removal is O(1) and never
 * a rebuild. A removed node keeps its `next` and must live on for a grace period (reclaim.h).
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"

struct chash_node {
	_Atomic(struct chash_node *) next;
};

struct chash {
	_Atomic(struct chash_node *) *heads;
	uint32_t mask;        /* heads - 1, heads being a power of two */
	struct memory memory; /* of the heads: huge pages where there are many */
};

/* Room for about `entries` nodes. 0 or -ENOMEM. */
int chash_init(struct chash *h, uint32_t entries);
void chash_free(struct chash *h); /* the nodes are their owners' */

/* Writer only. `hash` must be the same at insertion and removal. */
static inline void
chash_insert(struct chash *h, uint32_t hash, struct chash_node *node)
{
	_Atomic(struct chash_node *) *head = &h->heads[hash & h->mask];

	/* Relaxed: only the writer stores. The release below publishes the node's contents. */
	atomic_store_explicit(&node->next, atomic_load_explicit(head, memory_order_relaxed),
			      memory_order_relaxed);
	atomic_store_explicit(head, node, memory_order_release);
}

/* Writer only. The node must be in the table. */
static inline void
chash_remove(struct chash *h, uint32_t hash, struct chash_node *node)
{
	_Atomic(struct chash_node *) *link = &h->heads[hash & h->mask];

	while (atomic_load_explicit(link, memory_order_relaxed) != node)
		link = &atomic_load_explicit(link, memory_order_relaxed)->next;
	/* Release: what a reader finds behind the node was published before it. */
	atomic_store_explicit(link, atomic_load_explicit(&node->next, memory_order_relaxed),
			      memory_order_release);
}

/* Writer only. Puts a node in another's place by one store: readers find the one or the other. */
static inline void
chash_replace(struct chash *h, uint32_t hash, struct chash_node *old, struct chash_node *node)
{
	_Atomic(struct chash_node *) *link = &h->heads[hash & h->mask];

	while (atomic_load_explicit(link, memory_order_relaxed) != old)
		link = &atomic_load_explicit(link, memory_order_relaxed)->next;
	atomic_store_explicit(&node->next, atomic_load_explicit(&old->next, memory_order_relaxed),
			      memory_order_relaxed);
	/* Release: publishes the node's contents, as chash_insert() does. */
	atomic_store_explicit(link, node, memory_order_release);
}

/* Readers: the first node of a chain and the next. Acquire pairs with the insert's release. */
static inline struct chash_node *
chash_first(const struct chash *h, uint32_t hash)
{
	return atomic_load_explicit(&h->heads[hash & h->mask], memory_order_acquire);
}

static inline struct chash_node *
chash_next(const struct chash_node *node)
{
	return atomic_load_explicit(&node->next, memory_order_acquire);
}

/* Two words in one: of a product both halves. */
static inline uint64_t
chash_fold(uint64_t a, uint64_t b)
{
	__uint128_t p = (__uint128_t)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* Mixes 64 bits into a hash; `seed` is random per table, so that chains cannot be aimed at. */
static inline uint64_t
chash_mix(uint64_t seed, uint64_t value)
{
	return chash_fold(seed ^ value, 0x9e3779b97f4a7c15ULL);
}
