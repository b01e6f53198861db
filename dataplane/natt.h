/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NAT traversal (RFC 3948) beside the packet path: which local ports carry ESP in UDP, keepalives,
 * and peers whose address or port changes. The ports are those of the installed SAs, and 4500
 * always; workers look them up in a bitmap.
 */
#pragma once

#include "dataplane.h"
#include "esp.h"

struct worker;

#define NATT_PORT RTE_BE16(4500)

/* Worker: whether UDP to (or from) that port of the host's is ESP, IKE or a keepalive. */
static inline bool
natt_is_port(const struct dataplane *dp, rte_be16_t port)
{
	/* Relaxed: a port that comes or goes is seen a packet later at worst. */
	return port == NATT_PORT ||
	       (atomic_load_explicit(&dp->natt_ports[port / 64], memory_order_relaxed) >>
			port % 64 &
		1) != 0;
}

/*
 * Worker: the newest authenticated packet of a UDP-encapsulated SA, its IP header still outside.
 * Tells the control thread if it comes from elsewhere than those before. `seq` is its number; `m`
 * may be one of its run.
 */
void natt_seen(struct worker *w, struct sa *sa, const struct rte_mbuf *m, uint64_t seq);

/* Makes dp->natt. */
int natt_start(struct dataplane *dp, struct reason *why);
void natt_stop(struct dataplane *dp);

/* Control thread: takes what workers told. */
void natt_poll(struct dataplane *dp);

/* Control thread, about ten times a second: keepalives and what is to be told again. */
void natt_tick(struct dataplane *dp, uint64_t now);
