/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trie in which workers find routes: a root of 2^16 entries, nodes of 2^8 behind it, the same
 * for IPv4 and IPv6. An entry is one 32-bit word, stored at once: a child node's number, or a value
 * with the length of the prefix that it came from. Every leaf is filled (leaf-pushed), so a
 * lookup never goes back up. Value 0 is that of no prefix.
 */
#pragma once

#include "pool.h"
#include "sadb/addr.h"
#include "sadb/reclaim.h"

#define TRIE_ROOT_ENTRIES (1u << 16)
#define TRIE_NODE_ENTRIES (1u << 8)

#define TRIE_CHILD      (1u << 31)
#define TRIE_VALUE_BITS 23
#define TRIE_VALUE_MAX  ((1u << TRIE_VALUE_BITS) - 1)

struct trie_node {
	_Atomic uint32_t entry[TRIE_NODE_ENTRIES];
	struct reclaim_item retired;
	uint32_t number; /* its own in the pool */
};

/* The nodes of all tries. A root is an array of TRIE_ROOT_ENTRIES, zero at first. */
struct trie_nodes {
	struct pool pool;
	struct reclaim *reclaim;
};

int trie_init(struct trie_nodes *nodes, struct reclaim *reclaim); /* 0 or -ENOMEM */
void trie_free(struct trie_nodes *nodes);

/*
 * Makes the nodes that trie_set() of this prefix needs. Lookups do not change. -ENOMEM; then, as
 * after trie_set(), nodes that nobody needs are gone.
 */
int trie_grow(struct trie_nodes *nodes, _Atomic uint32_t *root, const union ip_addr *addr,
	      unsigned int len);

/*
 * Gives what belongs to the prefix, and to none longer, the value of a prefix of `from` bits: its
 * own, or when it is removed the one that covers it. After trie_grow() of the prefix, or while it
 * is set.
 */
void trie_set(struct trie_nodes *nodes, _Atomic uint32_t *root, const union ip_addr *addr,
	      unsigned int len, unsigned int from, uint32_t value);

/* Worker: the value of the longest prefix of an address. */
static inline uint32_t
trie_lookup(const struct trie_nodes *nodes, const _Atomic uint32_t *root, const union ip_addr *addr)
{
	const uint8_t *b = addr->bytes;
	/* Acquire, here and below: what an entry leads to was written before it was stored. */
	uint32_t e = atomic_load_explicit(&root[b[0] << 8 | b[1]], memory_order_acquire);

	for (b += 2; e & TRIE_CHILD; b++) {
		const struct trie_node *node =
			pool_at(&nodes->pool, e & ~TRIE_CHILD, sizeof(*node));

		e = atomic_load_explicit(&node->entry[*b], memory_order_acquire);
	}
	return e & TRIE_VALUE_MAX;
}
