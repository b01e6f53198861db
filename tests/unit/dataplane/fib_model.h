/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FIB and the neighbour table as plain lists, in the place of the real ones: what the follower
 * of rtnetlink did to them can be read back line by line.
 */
#pragma once

#include <stddef.h>

#include "dataplane/fib.h"
#include "dataplane/neigh.h"

struct fib *model_fib(void);            /* what struct dataplane points to: */
struct neigh_table *model_neighs(void); /* the one of each that there is */
void model_reset(void);

extern unsigned int
	model_fib_changes; /* calls of fib_set() and fib_unset() that changed something */

/* One line a route: "VRF PREFIX metric N TYPE [via GATEWAY] [iface N] ...", sorted. Free it. */
char *model_routes(void);
/* The same for one route, or "" where there is none. Static. */
const char *model_route(uint16_t vrf, const char *prefix, uint32_t metric);
size_t model_routes_count(void);

/* One line a neighbour: "iface N ADDRESS MAC [stale]", sorted. Free it. */
char *model_neighbours(void);
size_t model_neighbours_count(void);

/* Joins lines in sorted order, frees them, and leaves the array empty. */
struct lines {
	char **line;
	size_t count, room;
};
void lines_add(struct lines *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *lines_sorted(struct lines *l);
