/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Follows the kernel over rtnetlink: links, addresses, routes and neighbours of the host interfaces
 * go into the FIB, the neighbour table and the interfaces. Control thread.
 */
#pragma once

#include <stdint.h>

#include "crypto/reason.h"
#include "sadb/addr.h"

struct dataplane;
struct rtnl;

/* Opens the sockets, subscribes, and reads the kernel's state. NULL with the reason. */
struct rtnl *rtnl_open(struct dataplane *dp, struct reason *why);
void rtnl_close(struct rtnl *rtnl);

int rtnl_fd(const struct rtnl *rtnl); /* readable when rtnl_poll() has work */
void rtnl_poll(struct rtnl *rtnl);

/* Asks the kernel to resolve a neighbour, or to confirm one in use. */
void rtnl_resolve(struct rtnl *rtnl, uint16_t iface, uint8_t family, const union ip_addr *addr);

/* About once a second: confirms stale neighbours that are in use. */
void rtnl_tick(struct rtnl *rtnl);

struct rtnl_stats {               /* what was seen, and what is not followed, for show */
	uint64_t messages;        /* so far */
	uint64_t malformed;       /* of those, not understood */
	uint64_t resyncs;         /* times that all was read again, the start included */
	uint64_t routes_followed; /* routes that the kernel has now: in the FIB */
	uint64_t routes_refused;  /* through our interfaces, but what the FIB cannot do */
	uint64_t routes_foreign; /* by way of other devices: unreachable in the FIB; of other tables
				  */
	uint64_t neighbours_refused; /* so far: the table was full */
};
struct rtnl_stats rtnl_stats(const struct rtnl *rtnl);
