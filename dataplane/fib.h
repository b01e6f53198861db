/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routes: one multibit trie per routing table and family, the same code for IPv4 and IPv6 (DPDK
 * 22.11 has no IPv6 table that readers may share with a writer). Stride 8 behind a first stride
 * of 16; entries are leaf-pushed, so a lookup is at most 3 dependent reads for IPv4.
 *
 * The control thread is the sole writer; workers read without locks. What is replaced is freed
 * after a grace period.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/reason.h"
#include "iface.h"
#include "sadb/addr.h"
#include "sadb/reclaim.h"

struct fib;

#define FIB_VRFS_MAX  256
#define FIB_PATHS_MAX 16 /* of one equal-cost multipath route */

enum nexthop_type {
	NEXTHOP_NONE,      /* no route; number 0 */
	NEXTHOP_GATEWAY,   /* by way of `gateway` */
	NEXTHOP_CONNECTED, /* the destination itself is the neighbour */
	NEXTHOP_LOCAL,     /* an address of the host */
	NEXTHOP_BROADCAST, /* of a connected network: the host's, never forwarded */
	NEXTHOP_BLACKHOLE,
	NEXTHOP_UNREACHABLE, /* answered with ICMP unreachable */
	NEXTHOP_PROHIBIT,    /* answered with ICMP administratively prohibited */
};

struct nexthop {
	uint8_t type; /* enum nexthop_type */
	uint8_t gateway_family;
	uint16_t iface;  /* IFACE_NONE where there is none */
	uint16_t weight; /* in a multipath route, 1 or more */
	union ip_addr gateway;
};

struct fib_prefix {
	union ip_addr addr;
	uint8_t len, family;
};

struct fib *fib_new(struct reclaim *reclaim);
/* Before reclaim_free(), which ends it: what was deferred earlier still needs it. */
void fib_free(struct fib *fib);

/* The number of a kernel routing table's VRF, made if it is new. Control thread, at start. */
int fib_vrf(struct fib *fib, uint32_t table, struct reason *why);

/*
 * Sets the route of a prefix at a metric, replacing one of the same prefix and metric; of several
 * metrics the lowest is used. 0, -EINVAL or -ENOMEM (nothing changed).
 * fib_unset(): -ENOENT where there is none.
 */
int fib_set(struct fib *fib, uint16_t vrf, const struct fib_prefix *prefix, uint32_t metric,
	    const struct nexthop *paths, unsigned int count, struct reason *why);
int fib_unset(struct fib *fib, uint16_t vrf, const struct fib_prefix *prefix, uint32_t metric);

/*
 * For a resynchronisation: fib_mark() makes every route that the kernel gave old, fib_set() makes
 * it new again, fib_sweep() removes what stayed old and says how many. Permanent routes (the
 * configuration's) are beside the kernel's, win over them at any metric, and are never old.
 */
void fib_mark(struct fib *fib);
unsigned int fib_sweep(struct fib *fib);
int fib_set_permanent(struct fib *fib, uint16_t vrf, const struct fib_prefix *prefix,
		      const struct nexthop *path, struct reason *why);

/* Control thread: routes in no special order, for show. Cursor as in sad_next(). */
struct fib_route {
	struct fib_prefix prefix;
	uint32_t table, metric;
	bool active; /* the lowest metric of its prefix */
	unsigned int count;
	struct nexthop paths[FIB_PATHS_MAX];
};
bool fib_next(struct fib *fib, uint64_t *cursor, struct fib_route *route);
uint32_t fib_count(const struct fib *fib);

/* ---- workers ---- */

/*
 * The next hop of a destination; of a multipath route, the one that `flow_hash` chooses. Never
 * NULL: without a route its type is NEXTHOP_NONE. Valid until the worker's next quiescent state.
 */
const struct nexthop *fib_lookup(const struct fib *fib, uint16_t vrf, uint8_t family,
				 const union ip_addr *dst, uint32_t flow_hash);
