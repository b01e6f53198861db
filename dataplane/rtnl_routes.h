/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's routes as it tells them, and what of them the FIB gets. One prefix and metric may
 * have several routes at once in the kernel (IPv4: appended ones, of which the first counts; IPv6:
 * one on each link, and equal-cost paths that come and go one by one), while the FIB has one. So
 * all are kept here, in the kernel's order, and the FIB follows the first that can be used.
 *
 * Routes of the local table go into every VRF that their interface belongs to, or into all where
 * the device is none of ours; other tables go into the VRF of the interfaces that name the table.
 * Unicast routes of these by way of devices that are none of ours are unreachable in the FIB.
 */
#pragma once

#include <stdint.h>

#include "rtnl_msg.h"

struct dataplane;
struct rtnl_routes;

/* The interfaces of dp have their ifindex and vrf. NULL without memory. Control thread only. */
struct rtnl_routes *rtnl_routes_new(struct dataplane *dp);
void rtnl_routes_free(struct rtnl_routes *routes); /* the FIB keeps what it has */

/* Forgets all, leaving the FIB alone: a resynchronisation follows. */
void rtnl_routes_clear(struct rtnl_routes *routes);

/* 0, or -ENOMEM: what is here and in the FIB then lacks the change. */
int rtnl_routes_add(struct rtnl_routes *routes, const struct rtnl_route *route);
int rtnl_routes_delete(struct rtnl_routes *routes, const struct rtnl_route *route);

/* Whether one of them, followed or not, has a path by that device. */
bool rtnl_routes_lead_to(const struct rtnl_routes *routes, int ifindex);

struct rtnl_routes_count { /* routes that the kernel has now */
	uint64_t followed;
	uint64_t refused; /* through our interfaces, with something that the FIB has not */
	uint64_t foreign; /* by way of other devices, or in tables of none of our interfaces */
};
struct rtnl_routes_count rtnl_routes_count(const struct rtnl_routes *routes);
