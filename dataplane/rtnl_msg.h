/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The codec of rtnetlink: what the kernel's messages say, as structs. Pure functions; rtnl.c
 * holds the sockets.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/netlink.h>
#include <rte_ether.h>

#include "fib.h"
#include "sadb/addr.h"

/* What a decoder found. */
enum rtnl_verdict {
	RTNL_OK,
	RTNL_SKIP, /* nothing that concerns a router: multicast, cached routes, proxies */
	RTNL_BAD,  /* cut, or not as rtnetlink has it */
};

struct rtnl_link {
	int ifindex;
	bool up; /* set up by the administrator, and with carrier */
};

struct rtnl_addr {
	int ifindex;
	uint8_t family; /* FAMILY_V4, FAMILY_V6 */
	uint8_t scope;  /* RT_SCOPE_*: the lower, the farther it reaches */
	bool usable;    /* no duplicate address detection under way or lost */
	union ip_addr addr;
};

struct rtnl_neigh {
	int ifindex;
	uint8_t family;
	bool valid; /* its MAC address may be used */
	bool stale; /* and the kernel should hear of it */
	union ip_addr addr;
	struct rte_ether_addr mac;
};

struct rtnl_path {
	int ifindex; /* 0 none */
	uint16_t weight;
	uint8_t gateway_family; /* 0: on link */
	bool dead;              /* its link is down */
	union ip_addr gateway;
};

/* What the kernel tells routes apart by, with their paths for IPv6 (rtnl_routes.h). */
struct rtnl_route_key {
	uint32_t table, metric;
	struct fib_prefix prefix;
	uint8_t tos;     /* IPv4; the FIB knows none, routes with one are refused */
	uint8_t src_len; /* IPv6 source prefix, likewise */
};

struct rtnl_route {
	struct rtnl_route_key key;
	uint8_t type; /* enum nexthop_type; CONNECTED for every unicast route */
	bool append, replace;
	const char *refused; /* why it cannot be followed, or NULL */
	unsigned int count;
	struct rtnl_path paths[FIB_PATHS_MAX];
};

enum rtnl_verdict rtnl_link_decode(const struct nlmsghdr *h, struct rtnl_link *link);
enum rtnl_verdict rtnl_addr_decode(const struct nlmsghdr *h, struct rtnl_addr *addr);
enum rtnl_verdict rtnl_neigh_decode(const struct nlmsghdr *h, struct rtnl_neigh *neigh);
enum rtnl_verdict rtnl_route_decode(const struct nlmsghdr *h, struct rtnl_route *route);

#define RTNL_REQUEST_MAX 128

/* Requests, built in `buf` of RTNL_REQUEST_MAX bytes, aligned to 4. */
struct nlmsghdr *rtnl_dump_request(void *buf, uint16_t type, uint8_t family, uint32_t seq);
/* To resolve a neighbour, or to confirm a stale one: as if the kernel had a packet for it. */
struct nlmsghdr *rtnl_use_request(void *buf, int ifindex, uint8_t family,
				  const union ip_addr *addr);
