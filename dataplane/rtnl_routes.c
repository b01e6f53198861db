/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeping the kernel's routes and publishing them: a hash table by key (table, metric, prefix),
 * each key with its list of alternatives. A change rewrites what the FIB has for that key.
 */
#include "rtnl_routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/rtnetlink.h>
#include <rte_common.h>
#include <rte_log.h>

#include "dataplane.h"

RTE_LOG_REGISTER(routes_log, sealane.routes, NOTICE);

/* What becomes of an alternative. */
enum fate { FOLLOWED, REFUSED, FOREIGN, FATES };

struct alternative {
	struct alternative *next;
	uint8_t type; /* enum nexthop_type */
	uint8_t fate;
	const char *refused;
	unsigned int count;
	struct rtnl_path paths[];
};

struct entry {
	struct entry *next; /* of its hash chain */
	struct rtnl_route_key key;
	struct alternative *first;
};

struct rtnl_routes {
	struct dataplane *dp;
	struct entry **heads;
	size_t heads_count; /* a power of two */
	size_t entries;
	uint64_t fates[FATES];
	struct {
		uint32_t table;
		uint16_t vrf;
	} vrfs[FIB_VRFS_MAX]; /* of our interfaces, each once */
	unsigned int vrfs_count;
};

#define HEADS_MIN 256

/* ---- interfaces and tables ---- */

static const struct iface *
iface_of(const struct rtnl_routes *routes, int ifindex)
{
	const struct dataplane *dp = routes->dp;

	for (unsigned int i = 0; i < dp->ifaces_count; i++)
		if (dp->ifaces[i].ifindex == ifindex && ifindex != 0)
			return &dp->ifaces[i];
	return NULL;
}

static void
collect_vrfs(struct rtnl_routes *routes)
{
	const struct dataplane *dp = routes->dp;

	for (unsigned int i = 0; i < dp->ifaces_count; i++) {
		unsigned int v = 0;

		while (v < routes->vrfs_count && routes->vrfs[v].vrf != dp->ifaces[i].vrf)
			v++;
		if (v < routes->vrfs_count || v == FIB_VRFS_MAX)
			continue;
		routes->vrfs[v].table = dp->ifaces[i].table;
		routes->vrfs[v].vrf = dp->ifaces[i].vrf;
		routes->vrfs_count++;
	}
}

/* Whether a route of that table may be in the VRF. */
static bool
table_in(const struct rtnl_routes *routes, uint32_t table, unsigned int v)
{
	return table == RT_TABLE_LOCAL || table == routes->vrfs[v].table;
}

static bool
table_known(const struct rtnl_routes *routes, uint32_t table)
{
	for (unsigned int v = 0; v < routes->vrfs_count; v++)
		if (table_in(routes, table, v))
			return true;
	return false;
}

/* ---- alternatives ---- */

/* Whether a route of that type leads to a device. */
static bool
has_device(uint8_t type)
{
	return type == NEXTHOP_NONE || type == NEXTHOP_CONNECTED || type == NEXTHOP_BROADCAST;
}

static enum fate
fate_of(const struct rtnl_routes *routes, const struct rtnl_route *route, const char **refused)
{
	bool ours = !has_device(route->type) || route->count == 0;

	for (unsigned int i = 0; i < route->count; i++)
		ours |= iface_of(routes, route->paths[i].ifindex) != NULL;
	if (!ours)
		return FOREIGN;
	*refused = route->refused;
	if (*refused == NULL && !table_known(routes, route->key.table))
		return FOREIGN; /* nothing of ours is routed by it, as by strongSwan's table 220 */
	if (*refused == NULL && has_device(route->type) && route->count == 0)
		*refused = "nexthop object without its paths";
	return *refused == NULL ? FOLLOWED : REFUSED;
}

static struct alternative *
alternative_new(struct rtnl_routes *routes, const struct rtnl_route *route)
{
	struct alternative *a = malloc(sizeof(*a) + route->count * sizeof(a->paths[0]));

	if (a == NULL)
		return NULL;
	a->next = NULL;
	a->type = route->type;
	a->refused = NULL;
	a->fate = fate_of(routes, route, &a->refused);
	a->count = route->count;
	memcpy(a->paths, route->paths, route->count * sizeof(a->paths[0]));
	routes->fates[a->fate]++;
	if (a->fate == REFUSED)
		rte_log(RTE_LOG_INFO, routes_log, "routes: one refused: %s\n", a->refused);
	return a;
}

static void
alternative_free(struct rtnl_routes *routes, struct alternative *a)
{
	routes->fates[a->fate]--;
	free(a);
}

static bool
path_equal(const struct rtnl_path *a, const struct rtnl_path *b)
{
	return a->ifindex == b->ifindex && a->gateway_family == b->gateway_family &&
	       ip_addr_equal(&a->gateway, &b->gateway);
}

static bool
same_route(const struct alternative *a, const struct rtnl_route *route)
{
	if (a->type != route->type || a->count != route->count)
		return false;
	for (unsigned int i = 0; i < a->count; i++)
		if (!path_equal(&a->paths[i], &route->paths[i]))
			return false;
	return true;
}

/*
 * IPv6 gateway routes of one prefix and metric are one multipath route, told as a whole when it
 * grows and path by path when it shrinks.
 */
static bool
grouped(const struct rtnl_route *route)
{
	return route->key.prefix.family == FAMILY_V6 && route->type == NEXTHOP_CONNECTED &&
	       route->count > 0 && route->paths[0].gateway_family != 0;
}

static bool
is_group(const struct alternative *a)
{
	return a->type == NEXTHOP_CONNECTED && a->count > 0 && a->paths[0].gateway_family != 0;
}

/* The link that points to the alternative, or to the end of the list. */
static struct alternative **
find_same(struct entry *e, const struct rtnl_route *route)
{
	struct alternative **link = &e->first;

	while (*link != NULL && !same_route(*link, route))
		link = &(*link)->next;
	return link;
}

static struct alternative **
find_group(struct entry *e, bool group)
{
	struct alternative **link = &e->first;

	while (*link != NULL && is_group(*link) != group)
		link = &(*link)->next;
	return link;
}

static int
put_at(struct rtnl_routes *routes, struct alternative **link, const struct rtnl_route *route,
       bool instead)
{
	struct alternative *a = alternative_new(routes, route), *old = *link;

	if (a == NULL)
		return -ENOMEM;
	a->next = old;
	*link = a;
	if (instead && old != NULL) {
		a->next = old->next;
		alternative_free(routes, old);
	}
	return 0;
}

static void
remove_at(struct rtnl_routes *routes, struct alternative **link)
{
	struct alternative *a = *link;

	*link = a->next;
	alternative_free(routes, a);
}

/* ---- entries ---- */

static struct entry **
head_of(const struct rtnl_routes *routes, const struct rtnl_route_key *key)
{
	uint64_t h = chash_mix(key->prefix.addr.u64[0], key->prefix.addr.u64[1]);

	h = chash_mix(h, (uint64_t)key->table << 32 | key->metric);
	h = chash_mix(h, (uint64_t)key->prefix.len << 8 | key->prefix.family);
	return &routes->heads[h & (routes->heads_count - 1)];
}

static bool
key_equal(const struct rtnl_route_key *a, const struct rtnl_route_key *b)
{
	return ip_addr_equal(&a->prefix.addr, &b->prefix.addr) && a->prefix.len == b->prefix.len &&
	       a->prefix.family == b->prefix.family && a->table == b->table &&
	       a->metric == b->metric && a->tos == b->tos && a->src_len == b->src_len;
}

static struct entry *
entry_find(const struct rtnl_routes *routes, const struct rtnl_route_key *key)
{
	struct entry *e = *head_of(routes, key);

	while (e != NULL && !key_equal(&e->key, key))
		e = e->next;
	return e;
}

/* Doubles the table. Without memory the chains stay long, and that is all. */
static void
grow(struct rtnl_routes *routes)
{
	struct entry **old = routes->heads, **heads;
	size_t old_count = routes->heads_count;

	heads = calloc(2 * old_count, sizeof(*heads));
	if (heads == NULL)
		return;
	routes->heads = heads;
	routes->heads_count = 2 * old_count;
	for (size_t i = 0; i < old_count; i++) {
		while (old[i] != NULL) {
			struct entry *e = old[i], **head = head_of(routes, &e->key);

			old[i] = e->next;
			e->next = *head;
			*head = e;
		}
	}
	free(old);
}

static struct entry *
entry_make(struct rtnl_routes *routes, const struct rtnl_route_key *key)
{
	struct entry *e = entry_find(routes, key), **head;

	if (e != NULL)
		return e;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	if (routes->entries >= routes->heads_count)
		grow(routes);
	e->key = *key;
	head = head_of(routes, key);
	e->next = *head;
	*head = e;
	routes->entries++;
	return e;
}

static void
entry_drop_if_empty(struct rtnl_routes *routes, struct entry *e)
{
	struct entry **link = head_of(routes, &e->key);

	if (e->first != NULL)
		return;
	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	routes->entries--;
	free(e);
}

/* ---- to the FIB ---- */

static struct nexthop
nexthop_of(const struct alternative *a, const struct rtnl_path *path, const struct iface *iface)
{
	struct nexthop nh = {
		.type = a->type,
		.iface = iface != NULL ? iface->number : IFACE_NONE,
		.weight = path != NULL && path->weight > 0 ? path->weight : 1,
	};

	if (a->type == NEXTHOP_CONNECTED && path->gateway_family != 0) {
		nh.type = NEXTHOP_GATEWAY;
		nh.gateway_family = path->gateway_family;
		nh.gateway = path->gateway;
	}
	return nh;
}

/* The paths that an alternative has in a VRF: none where it cannot be used there. */
static unsigned int
paths_in(const struct rtnl_routes *routes, const struct alternative *a, uint32_t table,
	 uint16_t vrf, struct nexthop paths[FIB_PATHS_MAX])
{
	unsigned int n = 0;
	bool elsewhere = false;

	if (a->fate != FOLLOWED)
		return 0;
	for (unsigned int i = 0; i < a->count; i++) {
		const struct iface *iface = iface_of(routes, a->paths[i].ifindex);

		if (iface != NULL && table == RT_TABLE_LOCAL && iface->vrf != vrf)
			elsewhere = true;
		else if (iface != NULL && (!a->paths[i].dead || !has_device(a->type)))
			paths[n++] = nexthop_of(a, &a->paths[i], iface);
	}
	if (n == 0 && !elsewhere && !has_device(a->type))
		paths[n++] = nexthop_of(a, NULL, NULL);
	return has_device(a->type) ? n : RTE_MIN(n, 1u);
}

/*
 * Whether the kernel sends by way of a device that is none of ours. We cannot, but a route that
 * covers this one must not take its packets out of a port of ours.
 */
static bool
leads_elsewhere(const struct rtnl_routes *routes, const struct alternative *a, uint32_t table)
{
	if (a->fate == REFUSED || a->type != NEXTHOP_CONNECTED || table == RT_TABLE_LOCAL)
		return false;
	for (unsigned int i = 0; i < a->count; i++)
		if (!a->paths[i].dead && iface_of(routes, a->paths[i].ifindex) == NULL)
			return true;
	return false;
}

/* What is published where nothing of ours is: ours come first, as link-local prefixes are all
 * alike. */
static unsigned int
paths_elsewhere(const struct rtnl_routes *routes, const struct entry *e, struct nexthop *path)
{
	for (const struct alternative *a = e->first; a != NULL; a = a->next) {
		if (leads_elsewhere(routes, a, e->key.table)) {
			*path = (struct nexthop){
				.type = NEXTHOP_UNREACHABLE, .iface = IFACE_NONE, .weight = 1};
			return 1;
		}
	}
	return 0;
}

static void
publish_in(struct rtnl_routes *routes, const struct entry *e, uint16_t vrf)
{
	struct nexthop paths[FIB_PATHS_MAX];
	struct reason why = {0};
	unsigned int n = 0;

	for (const struct alternative *a = e->first; a != NULL && n == 0; a = a->next)
		n = paths_in(routes, a, e->key.table, vrf, paths);
	if (n == 0)
		n = paths_elsewhere(routes, e, paths);
	if (n == 0)
		fib_unset(routes->dp->fib, vrf, &e->key.prefix, e->key.metric);
	else if (fib_set(routes->dp->fib, vrf, &e->key.prefix, e->key.metric, paths, n, &why) != 0)
		rte_log(RTE_LOG_ERR, routes_log, "routes: one is lost: %s\n", why.text);
}

static void
publish(struct rtnl_routes *routes, const struct entry *e)
{
	/* Refused keys share the FIB's key with one that is not. */
	if (e->key.tos != 0 || e->key.src_len != 0)
		return;
	for (unsigned int v = 0; v < routes->vrfs_count; v++)
		if (table_in(routes, e->key.table, v))
			publish_in(routes, e, routes->vrfs[v].vrf);
}

/* ---- the kernel's changes ---- */

/* The group's paths and the new ones, each once. */
static void
merge_paths(const struct alternative *group, struct rtnl_route *merged,
	    const struct rtnl_route *route)
{
	merged->count = group->count;
	memcpy(merged->paths, group->paths, group->count * sizeof(group->paths[0]));
	for (unsigned int i = 0; i < route->count; i++) {
		unsigned int k = 0;

		while (k < merged->count && !path_equal(&merged->paths[k], &route->paths[i]))
			k++;
		if (k == FIB_PATHS_MAX) {
			merged->refused = "more paths than a route may have";
			return;
		}
		merged->paths[k] = route->paths[i];
		merged->count = RTE_MAX(merged->count, k + 1);
	}
}

static int
add_grouped(struct rtnl_routes *routes, struct entry *e, const struct rtnl_route *route)
{
	struct alternative **link = find_group(e, true);
	struct rtnl_route merged = *route;

	if (*link == NULL && route->replace)
		link = &e->first;
	if (*link != NULL && !route->replace)
		merge_paths(*link, &merged, route);
	return put_at(routes, link, &merged, true);
}

static int
add_single(struct rtnl_routes *routes, struct entry *e, const struct rtnl_route *route)
{
	struct alternative **link = find_same(e, route);
	bool v6 = route->key.prefix.family == FAMILY_V6;

	if (*link != NULL) /* known: a dump's, or one whose flags changed */
		return put_at(routes, link, route, true);
	if (route->replace) {
		link = v6 ? find_group(e, false) : &e->first;
		return put_at(routes, *link != NULL ? link : &e->first, route, true);
	}
	if (!v6 && !route->append) /* IPv4 puts a new one before its equals */
		link = &e->first;
	return put_at(routes, link, route, false);
}

int
rtnl_routes_add(struct rtnl_routes *routes, const struct rtnl_route *route)
{
	struct entry *e = entry_make(routes, &route->key);
	int error;

	if (e == NULL)
		return -ENOMEM;
	error = grouped(route) ? add_grouped(routes, e, route) : add_single(routes, e, route);
	if (error == 0)
		publish(routes, e);
	entry_drop_if_empty(routes, e);
	return error;
}

static int
delete_grouped(struct rtnl_routes *routes, struct entry *e, const struct rtnl_route *route)
{
	struct alternative **link = find_group(e, true);
	struct rtnl_route left = *route;

	if (*link == NULL)
		return 0;
	left.refused = (*link)->refused; /* one with too many paths knows not all of them */
	left.count = 0;
	for (unsigned int i = 0; i < (*link)->count; i++) {
		unsigned int k = 0;

		while (k < route->count && !path_equal(&(*link)->paths[i], &route->paths[k]))
			k++;
		if (k == route->count)
			left.paths[left.count++] = (*link)->paths[i];
	}
	if (left.count > 0)
		return put_at(routes, link, &left, true);
	remove_at(routes, link);
	return 0;
}

int
rtnl_routes_delete(struct rtnl_routes *routes, const struct rtnl_route *route)
{
	struct entry *e = entry_find(routes, &route->key);
	struct alternative **link;
	int error = 0;

	if (e == NULL)
		return 0;
	if (grouped(route)) {
		error = delete_grouped(routes, e, route);
	} else {
		link = find_same(e, route);
		if (*link != NULL)
			remove_at(routes, link);
	}
	publish(routes, e);
	entry_drop_if_empty(routes, e);
	return error;
}

/* ---- as a whole ---- */

static bool
has_path(const struct entry *e, int ifindex)
{
	for (const struct alternative *a = e->first; a != NULL; a = a->next)
		for (unsigned int i = 0; i < a->count; i++)
			if (a->paths[i].ifindex == ifindex)
				return true;
	return false;
}

bool
rtnl_routes_lead_to(const struct rtnl_routes *routes, int ifindex)
{
	for (size_t i = 0; i < routes->heads_count; i++)
		for (const struct entry *e = routes->heads[i]; e != NULL; e = e->next)
			if (has_path(e, ifindex))
				return true;
	return false;
}

struct rtnl_routes *
rtnl_routes_new(struct dataplane *dp)
{
	struct rtnl_routes *routes = calloc(1, sizeof(*routes));

	if (routes == NULL)
		return NULL;
	routes->dp = dp;
	routes->heads_count = HEADS_MIN;
	routes->heads = calloc(HEADS_MIN, sizeof(struct entry *));
	if (routes->heads == NULL) {
		free(routes);
		return NULL;
	}
	collect_vrfs(routes);
	return routes;
}

void
rtnl_routes_clear(struct rtnl_routes *routes)
{
	for (size_t i = 0; i < routes->heads_count; i++) {
		struct entry *e = routes->heads[i];

		routes->heads[i] = NULL;
		while (e != NULL) {
			struct entry *next = e->next;

			while (e->first != NULL)
				remove_at(routes, &e->first);
			free(e);
			e = next;
		}
	}
	routes->entries = 0;
}

void
rtnl_routes_free(struct rtnl_routes *routes)
{
	if (routes == NULL)
		return;
	rtnl_routes_clear(routes);
	free(routes->heads);
	free(routes);
}

struct rtnl_routes_count
rtnl_routes_count(const struct rtnl_routes *routes)
{
	return (struct rtnl_routes_count){
		.followed = routes->fates[FOLLOWED],
		.refused = routes->fates[REFUSED],
		.foreign = routes->fates[FOREIGN],
	};
}
