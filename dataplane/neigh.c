/* SPDX-License-Identifier: BSD-3-Clause */
/* Neighbours in a chained hash: every change publishes a new entry in the old one's place. */
#include "neigh.h"

#include <stdlib.h>
#include <sys/random.h>

#include "sadb/slots.h"

struct neigh_table {
	struct chash hash;
	uint64_t seed;

	/* The control thread's. */
	struct slots slots;
	struct reclaim *reclaim;
};

static uint32_t
hash_of(const struct neigh_table *t, uint16_t iface, uint8_t family, const union ip_addr *addr)
{
	uint64_t h = chash_mix(t->seed, addr->u64[0] ^ (uint64_t)family << 56 ^ iface);

	return (uint32_t)chash_mix(h, addr->u64[1]);
}

static uint32_t
hash_of_neigh(const struct neigh_table *t, const struct neigh *n)
{
	return hash_of(t, n->iface, n->family, &n->addr);
}

struct neigh_table *
neigh_new(uint32_t max, struct reclaim *reclaim)
{
	struct neigh_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->slots.max = max;
	t->reclaim = reclaim;
	if (getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed) ||
	    chash_init(&t->hash, max) != 0) {
		free(t);
		return NULL;
	}
	return t;
}

void
neigh_free(struct neigh_table *t)
{
	uint32_t cursor = 0;
	struct neigh *n;

	if (!t)
		return;
	while ((n = neigh_next(t, &cursor)))
		free(n);
	slots_free(&t->slots);
	chash_free(&t->hash);
	free(t);
}

static void
neigh_release(void *ctx, struct reclaim_item *item)
{
	free(container_of(item, struct neigh, retired));
}

static struct neigh *
neigh_make(uint16_t iface, uint8_t family, const union ip_addr *addr,
	   const struct rte_ether_addr *mac, bool stale, bool permanent)
{
	struct neigh *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->addr = *addr;
	n->iface = iface;
	n->family = family;
	n->mac = *mac;
	n->stale = stale;
	n->permanent = permanent;
	return n;
}

static bool
says_the_same(const struct neigh *n, const struct rte_ether_addr *mac, bool stale, bool permanent)
{
	return rte_is_same_ether_addr(&n->mac, mac) && n->stale == stale &&
	       n->permanent == permanent;
}

static void
exchange(struct neigh_table *t, struct neigh *old, struct neigh *n)
{
	/* Relaxed: a hint, and the kernel is told only that somebody used it lately. */
	atomic_init(&n->used, atomic_load_explicit(&old->used, memory_order_relaxed));
	n->slot = old->slot;
	slots_replace(&t->slots, n->slot, n);
	chash_replace(&t->hash, hash_of_neigh(t, n), &old->node, &n->node);
	reclaim_defer(t->reclaim, neigh_release, NULL, &old->retired);
}

int
neigh_set(struct neigh_table *t, uint16_t iface, uint8_t family, const union ip_addr *addr,
	  const struct rte_ether_addr *mac, bool stale, bool permanent)
{
	struct neigh *old = neigh_lookup(t, iface, family, addr), *n;
	int error;

	if (old && old->permanent && !permanent)
		return 0;
	if (old && says_the_same(old, mac, stale, permanent)) {
		old->old = false;
		return 0;
	}
	n = neigh_make(iface, family, addr, mac, stale, permanent);
	if (!n)
		return -ENOMEM;
	if (old) {
		exchange(t, old, n);
		return 0;
	}
	error = slots_take(&t->slots, n, &n->slot);
	if (error) {
		free(n);
		return error;
	}
	chash_insert(&t->hash, hash_of_neigh(t, n), &n->node);
	return 0;
}

static void
neigh_remove(struct neigh_table *t, struct neigh *n)
{
	slots_leave(&t->slots, n->slot);
	chash_remove(&t->hash, hash_of_neigh(t, n), &n->node);
	reclaim_defer(t->reclaim, neigh_release, NULL, &n->retired);
}

int
neigh_unset(struct neigh_table *t, uint16_t iface, uint8_t family, const union ip_addr *addr)
{
	struct neigh *n = neigh_lookup(t, iface, family, addr);

	if (!n)
		return -ENOENT;
	if (!n->permanent)
		neigh_remove(t, n);
	return 0;
}

void
neigh_mark(struct neigh_table *t)
{
	uint32_t cursor = 0;
	struct neigh *n;

	while ((n = neigh_next(t, &cursor)))
		n->old = !n->permanent;
}

unsigned int
neigh_sweep(struct neigh_table *t)
{
	unsigned int swept = 0;
	uint32_t cursor = 0;
	struct neigh *n;

	while ((n = neigh_next(t, &cursor))) {
		if (!n->old)
			continue;
		neigh_remove(t, n);
		swept++;
	}
	return swept;
}

struct neigh *
neigh_next(struct neigh_table *t, uint32_t *cursor)
{
	return slots_next(&t->slots, cursor);
}

uint32_t
neigh_count(const struct neigh_table *t)
{
	return t->slots.count;
}

struct neigh *
neigh_lookup(const struct neigh_table *t, uint16_t iface, uint8_t family, const union ip_addr *addr)
{
	struct chash_node *node = chash_first(&t->hash, hash_of(t, iface, family, addr));

	for (; node; node = chash_next(node)) {
		struct neigh *n = (struct neigh *)((char *)node - offsetof(struct neigh, node));

		if (ip_addr_equal(&n->addr, addr) && n->iface == iface && n->family == family)
			return n;
	}
	return NULL;
}
