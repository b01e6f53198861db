/* SPDX-License-Identifier: BSD-3-Clause */
/* The writer's side of the trie: nodes are grown, painted with a prefix's value, and pruned. */
#include "trie.h"

/* A table is a root or a node; level 0 is the root, level k ends at bit 16 + 8 * k. */

static struct trie_node *
node_at(const struct trie_nodes *nodes, uint32_t entry)
{
	return pool_at(&nodes->pool, entry & ~TRIE_CHILD, sizeof(struct trie_node));
}

/* Relaxed: only this thread stores. */
static uint32_t
load(const _Atomic uint32_t *entry)
{
	return atomic_load_explicit(entry, memory_order_relaxed);
}

/* Release: a worker that reads the entry sees the node or the group behind it. */
static void
store(_Atomic uint32_t *entry, uint32_t value)
{
	atomic_store_explicit(entry, value, memory_order_release);
}

static unsigned int
level_of(unsigned int len)
{
	return len <= 16 ? 0 : (len - 9) / 8;
}

static uint32_t
index_in(unsigned int level, const union ip_addr *addr)
{
	return level == 0 ? addr->bytes[0] << 8 | addr->bytes[1] : addr->bytes[level + 1];
}

static unsigned int
depth_of(uint32_t entry)
{
	return entry >> TRIE_VALUE_BITS;
}

int
trie_init(struct trie_nodes *nodes, struct reclaim *reclaim)
{
	uint32_t zero; /* the pool never takes number 0 back */

	nodes->reclaim = reclaim;
	return pool_take(&nodes->pool, sizeof(struct trie_node), &zero);
}

void
trie_free(struct trie_nodes *nodes)
{
	pool_free(&nodes->pool);
}

static void
node_release(void *ctx, struct reclaim_item *item)
{
	struct trie_nodes *nodes = ctx;

	pool_give(&nodes->pool, sizeof(struct trie_node),
		  container_of(item, struct trie_node, retired)->number);
}

/* Puts a node in the place of a leaf: every entry says what the leaf said. */
static int
split(struct trie_nodes *nodes, _Atomic uint32_t *entry)
{
	struct trie_node *node;
	uint32_t number;

	if (pool_take(&nodes->pool, sizeof(*node), &number) != 0)
		return -ENOMEM;
	node = node_at(nodes, number);
	node->number = number;
	for (unsigned int i = 0; i < TRIE_NODE_ENTRIES; i++)
		atomic_init(&node->entry[i], load(entry));
	store(entry, TRIE_CHILD | number);
	return 0;
}

/* Whether the node says no more than one leaf in its place would; `base` bits lead to it. */
static bool
is_uniform(const struct trie_node *node, unsigned int base)
{
	uint32_t first = load(&node->entry[0]);

	if ((first & TRIE_CHILD) || depth_of(first) > base)
		return false;
	for (unsigned int i = 1; i < TRIE_NODE_ENTRIES; i++)
		if (load(&node->entry[i]) != first)
			return false;
	return true;
}

/* Removes uniform nodes on the way to the address, the deepest first. */
static void
prune(struct trie_nodes *nodes, _Atomic uint32_t *table, unsigned int level,
      const union ip_addr *addr)
{
	_Atomic uint32_t *entry = &table[index_in(level, addr)];
	uint32_t e = load(entry);
	struct trie_node *node;

	if (!(e & TRIE_CHILD))
		return;
	node = node_at(nodes, e);
	prune(nodes, node->entry, level + 1, addr);
	if (!is_uniform(node, 16 + 8 * level))
		return;
	store(entry, load(&node->entry[0]));
	reclaim_defer(nodes->reclaim, node_release, nodes, &node->retired);
}

int
trie_grow(struct trie_nodes *nodes, _Atomic uint32_t *root, const union ip_addr *addr,
	  unsigned int len)
{
	_Atomic uint32_t *table = root;

	for (unsigned int level = 0; level < level_of(len); level++) {
		_Atomic uint32_t *entry = &table[index_in(level, addr)];

		if (!(load(entry) & TRIE_CHILD) && split(nodes, entry) != 0) {
			prune(nodes, root, 0, addr);
			return -ENOMEM;
		}
		table = node_at(nodes, load(entry))->entry;
	}
	return 0;
}

/* Stores the value in all entries of the range, and below it, that longer prefixes do not have. */
static void
paint(struct trie_nodes *nodes, _Atomic uint32_t *entry, uint32_t count, unsigned int len,
      uint32_t value)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t e = load(&entry[i]);

		if (e & TRIE_CHILD)
			paint(nodes, node_at(nodes, e)->entry, TRIE_NODE_ENTRIES, len, value);
		else if (depth_of(e) <= len)
			store(&entry[i], value);
	}
}

void
trie_set(struct trie_nodes *nodes, _Atomic uint32_t *root, const union ip_addr *addr,
	 unsigned int len, unsigned int from, uint32_t value)
{
	unsigned int last = level_of(len);
	_Atomic uint32_t *table = root;

	for (unsigned int level = 0; level < last; level++)
		table = node_at(nodes, load(&table[index_in(level, addr)]))->entry;
	paint(nodes, &table[index_in(last, addr)], 1u << (16 + 8 * last - len), len,
	      from << TRIE_VALUE_BITS | value);
	prune(nodes, root, 0, addr);
}
