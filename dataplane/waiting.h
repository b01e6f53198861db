/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that wait for their next hop to be resolved: workers put them on a bounded ring, the
 * control thread keeps a few for each neighbour, asks the kernel, and gives them back to a worker's
 * inbox: to go on at RESUME_ADJACENCY, or, when time is up or their queue is full, to be dropped
 * there (RESUME_DROP_NO_NEIGHBOUR), so that workers alone count packets. A waiting packet carries
 * no SA pointer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/reason.h"

#define WAITING_PER_NEIGHBOUR 16
#define WAITING_MAX           1024 /* for all neighbours together; a power of two */
#define WAITING_SECONDS       3

struct dataplane;
struct rtnl;
struct rte_mbuf;

int waiting_start(struct dataplane *dp, struct reason *why); /* makes dp->waiting */
void waiting_stop(struct dataplane *dp);                     /* frees what waits */

/* Worker: hands over a packet with next_hop and out filled. False where the ring is full. */
bool waiting_put(struct dataplane *dp, struct rte_mbuf *m);

/* Control thread: after neighbours changed, and every few ms, as a worker cannot wake it. */
void waiting_poll(struct dataplane *dp, struct rtnl *rtnl);

struct waiting_stats {
	uint64_t waiting, expired, overflowed; /* now; dropped so far, by reason of their end */
};
struct waiting_stats waiting_stats(const struct dataplane *dp);
