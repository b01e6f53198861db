/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that wait for their next hop to be resolved: workers put them on a bounded ring, the
 * control thread keeps a few for each neighbour, asks the kernel, and gives them back to a worker's
 * inbox (packet.resume) or, when time is up, drops them as `no_neighbour`. A waiting packet
 * carries no SA pointer.
 */
#pragma once

#include <stdint.h>

#include "crypto/reason.h"

#define WAITING_PER_NEIGHBOUR 16
#define WAITING_MAX 1024
#define WAITING_SECONDS 3

struct dataplane;
struct rtnl;
struct rte_mbuf;

int waiting_start(struct dataplane *dp, struct reason *why); /* makes dp->waiting */
void waiting_stop(struct dataplane *dp);		     /* frees what waits */

/* Worker: hands over a packet with next_hop and out filled. False where the ring is full. */
_Bool waiting_put(struct dataplane *dp, struct rte_mbuf *m);

/* Control thread, often (each turn of its loop) and after neighbours changed. */
void waiting_poll(struct dataplane *dp, struct rtnl *rtnl);

struct waiting_stats {
	uint64_t waiting, expired, overflowed; /* now; dropped so far, by reason of their end */
};
struct waiting_stats waiting_stats(const struct dataplane *dp);
