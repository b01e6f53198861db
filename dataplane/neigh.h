/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours: the kernel resolves them on the host interface, the engine follows (rtnl.c). A packet
 * whose next hop is not resolved waits in a bounded queue of the control thread, which asks
 * the kernel to resolve it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "crypto/reason.h"
#include "sadb/addr.h"
#include "sadb/chash.h"
#include "sadb/reclaim.h"

struct neigh_table;

/* A resolved neighbour. Immutable once published but for `used`; a change publishes a new one. */
struct neigh {
	struct chash_node node;
	union ip_addr addr;
	uint16_t iface;
	uint8_t family;
	bool permanent; /* the configuration's */
	bool stale;     /* the kernel would like to hear that it is in use */
	struct rte_ether_addr mac;
	_Atomic bool used; /* set by workers, cleared by the control thread's sweep */
	bool old;          /* resynchronisation, as fib_mark(); the control thread's */
	uint32_t slot;     /* likewise: its number in the table */
	struct reclaim_item retired;
};

/* max bounds the neighbours. NULL without memory. */
struct neigh_table *neigh_new(uint32_t max, struct reclaim *reclaim);
void neigh_free(struct neigh_table *t);

/*
 * Control thread. Sets, replaces or removes a neighbour. 0, -ENOSPC, -ENOMEM, -ENOENT. What the
 * kernel says (!permanent) about a permanent neighbour changes nothing and is no error.
 */
int neigh_set(struct neigh_table *t, uint16_t iface, uint8_t family, const union ip_addr *addr,
	      const struct rte_ether_addr *mac, bool stale, bool permanent);
int neigh_unset(struct neigh_table *t, uint16_t iface, uint8_t family, const union ip_addr *addr);
void neigh_mark(struct neigh_table *t);
unsigned int neigh_sweep(struct neigh_table *t);
struct neigh *neigh_next(struct neigh_table *t, uint32_t *cursor);
uint32_t neigh_count(const struct neigh_table *t);

/* Worker: the resolved neighbour, or NULL. */
struct neigh *neigh_lookup(const struct neigh_table *t, uint16_t iface, uint8_t family,
			   const union ip_addr *addr);
