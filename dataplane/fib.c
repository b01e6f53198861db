/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routes. Workers read a trie for each table and family (trie.h) whose values are numbers of path
 * groups; routes with equal paths share a group. The control thread keeps all routes beside
 * that, by prefix and with every metric: it takes from there which one is active, and what covers a
 * prefix whose last route went.
 */
#include "fib.h"

#include <sys/queue.h>

#include <rte_branch_prediction.h>

#include "sadb/chash.h"
#include "sadb/slots.h"
#include "trie.h"

/* The paths of a route: one line where there is only one. Immutable while workers can find it. */
struct group {
	struct nexthop first;
	uint32_t count, weights; /* paths, and the sum of their weights */
	struct nexthop *paths;   /* of a multipath route */

	/* The control thread's. */
	uint32_t number, routes; /* in the pool; that share it */
	LIST_ENTRY(group) link;
	struct reclaim_item retired;
};

struct route {
	LIST_ENTRY(route) link; /* in the chain of its prefix */
	struct fib_prefix prefix;
	uint16_t vrf;
	bool permanent, old;
	uint32_t metric, slot;
	struct group *group;
};

LIST_HEAD(route_list, route);
LIST_HEAD(group_list, group);

struct vrf {
	uint32_t table;
	uint32_t lengths[2][129]; /* routes by family and prefix length */
};

#define GROUP_LISTS 1024

struct fib {
	/* Workers read this. */
	_Atomic uint32_t *root[FIB_VRFS_MAX][2]; /* set once, before workers start */
	struct trie_nodes nodes;
	struct pool groups; /* number 0: no route */

	/* The control thread's. */
	struct reclaim *reclaim;
	struct reclaim_item retired;
	struct vrf *vrf[FIB_VRFS_MAX];
	unsigned int vrfs;
	struct slots slots; /* of routes */
	struct route_list *routes;
	uint32_t routes_mask;
	struct group_list group_lists[GROUP_LISTS];
};

/* ---- path groups ---- */

static struct group *
group_at(const struct fib *fib, uint32_t number)
{
	return pool_at(&fib->groups, number, sizeof(struct group));
}

/* Paths that compare byte by byte. */
static void
paths_copy(struct nexthop *to, const struct nexthop *from, unsigned int count)
{
	memset(to, 0, count * sizeof(*to));
	for (unsigned int i = 0; i < count; i++) {
		to[i].type = from[i].type;
		to[i].gateway_family = from[i].gateway_family;
		to[i].iface = from[i].iface;
		to[i].weight = count > 1 ? from[i].weight : 1;
		to[i].gateway = from[i].gateway;
	}
}

static const struct nexthop *
group_paths(const struct group *g)
{
	return g->count > 1 ? g->paths : &g->first;
}

static uint32_t
paths_hash(const struct nexthop *paths, unsigned int count)
{
	const char *bytes = (const char *)paths;
	uint64_t h = count, word;

	for (size_t i = 0; i < count * sizeof(*paths); i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		h = chash_mix(h, word);
	}
	return (uint32_t)h;
}

static_assert(sizeof(struct nexthop) % sizeof(uint64_t) == 0, "paths_hash takes whole words");

static struct group *
group_find(const struct group_list *list, const struct nexthop *paths, unsigned int count)
{
	struct group *g;

	for (g = LIST_FIRST(list); g; g = LIST_NEXT(g, link))
		if (g->count == count && !memcmp(group_paths(g), paths, count * sizeof(*paths)))
			return g;
	return NULL;
}

static struct group *
group_new(struct fib *fib, const struct nexthop *paths, unsigned int count)
{
	struct nexthop *copy = NULL;
	struct group *g;
	uint32_t number;

	if (count > 1) {
		copy = malloc(count * sizeof(*paths));
		if (!copy)
			return NULL;
		memcpy(copy, paths, count * sizeof(*paths));
	}
	if (pool_take(&fib->groups, sizeof(*g), &number) != 0) {
		free(copy);
		return NULL;
	}
	g = group_at(fib, number);
	*g = (struct group){.first = paths[0], .count = count, .paths = copy, .number = number};
	for (unsigned int i = 0; i < count; i++)
		g->weights += paths[i].weight;
	return g;
}

/* The group of these paths, an existing one if there is one; for one more route. NULL: no memory.
 */
static struct group *
group_get(struct fib *fib, const struct nexthop *given, unsigned int count)
{
	struct nexthop paths[FIB_PATHS_MAX];
	struct group_list *list;
	struct group *g;

	paths_copy(paths, given, count);
	list = &fib->group_lists[paths_hash(paths, count) % GROUP_LISTS];
	g = group_find(list, paths, count);
	if (!g) {
		g = group_new(fib, paths, count);
		if (!g)
			return NULL;
		LIST_INSERT_HEAD(list, g, link);
	}
	g->routes++;
	return g;
}

static void
group_release(void *ctx, struct reclaim_item *item)
{
	struct fib *fib = ctx;
	struct group *g = container_of(item, struct group, retired);

	free(g->paths);
	pool_give(&fib->groups, sizeof(*g), g->number);
}

/* One route less; no entry of the trie leads to the group when the last one goes. */
static void
group_put(struct fib *fib, struct group *g)
{
	if (--g->routes > 0)
		return;
	LIST_REMOVE(g, link);
	reclaim_defer(fib->reclaim, group_release, fib, &g->retired);
}

/* ---- the store of routes ---- */

static struct route_list *
routes_of(const struct fib *fib, uint16_t vrf, const struct fib_prefix *p)
{
	uint64_t h = chash_mix(p->addr.u64[0], vrf << 16 | p->family << 8 | p->len);

	return &fib->routes[chash_mix(h, p->addr.u64[1]) & fib->routes_mask];
}

static bool
route_is_of(const struct route *r, uint16_t vrf, const struct fib_prefix *p)
{
	return r->vrf == vrf && r->prefix.family == p->family && r->prefix.len == p->len &&
	       ip_addr_equal(&r->prefix.addr, &p->addr);
}

static struct route *
route_find(const struct fib *fib, uint16_t vrf, const struct fib_prefix *p, uint32_t metric,
	   bool permanent)
{
	struct route *r;

	for (r = LIST_FIRST(routes_of(fib, vrf, p)); r; r = LIST_NEXT(r, link))
		if (route_is_of(r, vrf, p) && r->metric == metric && r->permanent == permanent)
			return r;
	return NULL;
}

/* Of a prefix's routes the one in use, or NULL. */
static struct route *
route_active(const struct fib *fib, uint16_t vrf, const struct fib_prefix *p)
{
	struct route *r, *best = NULL;

	for (r = LIST_FIRST(routes_of(fib, vrf, p)); r; r = LIST_NEXT(r, link))
		if (route_is_of(r, vrf, p) &&
		    (!best || r->permanent > best->permanent ||
		     (r->permanent == best->permanent && r->metric < best->metric)))
			best = r;
	return best;
}

/* The active route of the longest prefix around this one, or NULL. */
static struct route *
route_covering(const struct fib *fib, uint16_t vrf, const struct fib_prefix *p)
{
	const uint32_t *lengths = fib->vrf[vrf]->lengths[p->family == FAMILY_V6];
	struct fib_prefix shorter = *p;
	struct route *r = NULL;

	while (!r && shorter.len-- > 0) {
		if (lengths[shorter.len] == 0)
			continue;
		shorter.addr = ip_addr_mask(&p->addr, shorter.len);
		r = route_active(fib, vrf, &shorter);
	}
	return r;
}

/* Twice as many lists; without memory the chains only grow longer. */
static void
routes_rehash(struct fib *fib)
{
	uint32_t size = (fib->routes_mask + 1) * 2, cursor = 0;
	struct route_list *lists = calloc(size, sizeof(*lists));
	struct route *r;

	if (!lists)
		return;
	free(fib->routes);
	fib->routes = lists;
	fib->routes_mask = size - 1;
	while ((r = slots_next(&fib->slots, &cursor)))
		LIST_INSERT_HEAD(routes_of(fib, r->vrf, &r->prefix), r, link);
}

static struct route *
route_new(struct fib *fib, uint16_t vrf, const struct fib_prefix *p, uint32_t metric,
	  bool permanent)
{
	struct route *r = calloc(1, sizeof(*r));

	if (!r || slots_take(&fib->slots, r, &r->slot) != 0) {
		free(r);
		return NULL;
	}
	r->prefix = *p;
	r->vrf = vrf;
	r->metric = metric;
	r->permanent = permanent;
	LIST_INSERT_HEAD(routes_of(fib, vrf, p), r, link);
	fib->vrf[vrf]->lengths[p->family == FAMILY_V6][p->len]++;
	if (fib->slots.count > fib->routes_mask)
		routes_rehash(fib);
	return r;
}

static void
route_free(struct fib *fib, struct route *r)
{
	fib->vrf[r->vrf]->lengths[r->prefix.family == FAMILY_V6][r->prefix.len]--;
	LIST_REMOVE(r, link);
	slots_leave(&fib->slots, r->slot);
	free(r);
}

/* ---- setting and removing ---- */

static _Atomic uint32_t *
root_of(const struct fib *fib, uint16_t vrf, uint8_t family)
{
	return fib->root[vrf][family == FAMILY_V6];
}

/* Makes workers find what the store says about a prefix now. */
static void
refresh(struct fib *fib, uint16_t vrf, const struct fib_prefix *p)
{
	const struct route *r = route_active(fib, vrf, p);

	if (!r)
		r = route_covering(fib, vrf, p);
	trie_set(&fib->nodes, root_of(fib, vrf, p->family), &p->addr, p->len, r ? r->prefix.len : 0,
		 r ? r->group->number : 0);
}

static int
check(const struct fib *fib, uint16_t vrf, const struct fib_prefix *p, struct reason *why)
{
	unsigned int max = p->family == FAMILY_V4 ? 32 : 128;

	if (vrf >= fib->vrfs)
		return reason_set(why, EINVAL, "no routing table has number %u", vrf);
	if (p->family != FAMILY_V4 && p->family != FAMILY_V6)
		return reason_set(why, EINVAL, "bad family of a prefix: %u", p->family);
	if (p->len > max)
		return reason_set(why, EINVAL, "bad prefix length: %u, at most %u", p->len, max);
	return 0;
}

static int
check_paths(const struct nexthop *paths, unsigned int count, struct reason *why)
{
	if (count == 0 || count > FIB_PATHS_MAX)
		return reason_set(why, EINVAL, "a route of %u paths: expected 1 to %u", count,
				  FIB_PATHS_MAX);
	for (unsigned int i = 0; count > 1 && i < count; i++)
		if (paths[i].weight == 0)
			return reason_set(why, EINVAL, "path %u of a route has weight 0", i);
	return 0;
}

static struct fib_prefix
prefix_masked(const struct fib_prefix *p)
{
	return (struct fib_prefix){
		.addr = ip_addr_mask(&p->addr, p->len), .len = p->len, .family = p->family};
}

/* Everything that can fail comes first. */
static int
set(struct fib *fib, uint16_t vrf, const struct fib_prefix *given, uint32_t metric, bool permanent,
    const struct nexthop *paths, unsigned int count, struct reason *why)
{
	const struct fib_prefix p = prefix_masked(given);
	struct group *group, *old;
	struct route *r;

	group = group_get(fib, paths, count);
	if (!group)
		goto err;
	if (trie_grow(&fib->nodes, root_of(fib, vrf, p.family), &p.addr, p.len) != 0)
		goto err_group;
	r = route_find(fib, vrf, &p, metric, permanent);
	if (!r)
		r = route_new(fib, vrf, &p, metric, permanent);
	if (!r)
		goto err_grown;
	old = r->group;
	r->group = group;
	r->old = false;
	refresh(fib, vrf, &p);
	if (old)
		group_put(fib, old);
	return 0;

err_grown:
	refresh(fib, vrf, &p); /* as it was: the nodes go */
err_group:
	group_put(fib, group);
err:
	return reason_set(why, ENOMEM, "no memory for a route");
}

static void
unset(struct fib *fib, struct route *r)
{
	const struct fib_prefix p = r->prefix;
	struct group *group = r->group;
	uint16_t vrf = r->vrf;

	route_free(fib, r);
	refresh(fib, vrf, &p);
	group_put(fib, group);
}

int
fib_set(struct fib *fib, uint16_t vrf, const struct fib_prefix *prefix, uint32_t metric,
	const struct nexthop *paths, unsigned int count, struct reason *why)
{
	int error = check(fib, vrf, prefix, why);

	if (!error)
		error = check_paths(paths, count, why);
	return error ? error : set(fib, vrf, prefix, metric, false, paths, count, why);
}

int
fib_set_permanent(struct fib *fib, uint16_t vrf, const struct fib_prefix *prefix,
		  const struct nexthop *path, struct reason *why)
{
	int error = check(fib, vrf, prefix, why);

	return error ? error : set(fib, vrf, prefix, 0, true, path, 1, why);
}

int
fib_unset(struct fib *fib, uint16_t vrf, const struct fib_prefix *prefix, uint32_t metric)
{
	struct fib_prefix p;
	struct route *r;

	if (check(fib, vrf, prefix, NULL) != 0)
		return -EINVAL;
	p = prefix_masked(prefix);
	r = route_find(fib, vrf, &p, metric, false);
	if (!r)
		return -ENOENT;
	unset(fib, r);
	return 0;
}

void
fib_mark(struct fib *fib)
{
	uint32_t cursor = 0;
	struct route *r;

	while ((r = slots_next(&fib->slots, &cursor)))
		r->old = !r->permanent;
}

unsigned int
fib_sweep(struct fib *fib)
{
	unsigned int swept = 0;
	uint32_t cursor = 0;
	struct route *r;

	while ((r = slots_next(&fib->slots, &cursor))) {
		if (!r->old)
			continue;
		unset(fib, r);
		swept++;
	}
	return swept;
}

/* ---- for show ---- */

bool
fib_next(struct fib *fib, uint64_t *cursor, struct fib_route *route)
{
	uint32_t slot = (uint32_t)*cursor;
	const struct route *r = slots_next(&fib->slots, &slot);

	*cursor = slot;
	if (!r)
		return false;
	route->prefix = r->prefix;
	route->table = fib->vrf[r->vrf]->table;
	route->metric = r->metric;
	route->active = route_active(fib, r->vrf, &r->prefix) == r;
	route->count = r->group->count;
	memcpy(route->paths, group_paths(r->group), r->group->count * sizeof(struct nexthop));
	return true;
}

uint32_t
fib_count(const struct fib *fib)
{
	return fib->slots.count;
}

/* ---- tables ---- */

int
fib_vrf(struct fib *fib, uint32_t table, struct reason *why)
{
	unsigned int n = fib->vrfs;

	for (unsigned int i = 0; i < n; i++)
		if (fib->vrf[i]->table == table)
			return (int)i;
	if (n == FIB_VRFS_MAX)
		return reason_set(why, ENOSPC, "more than %u routing tables", FIB_VRFS_MAX);
	fib->vrf[n] = calloc(1, sizeof(*fib->vrf[n]));
	for (int v6 = 0; v6 < 2; v6++)
		fib->root[n][v6] = calloc(TRIE_ROOT_ENTRIES, sizeof(*fib->root[n][v6]));
	if (!fib->vrf[n] || !fib->root[n][0] || !fib->root[n][1]) {
		free(fib->root[n][0]);
		free(fib->root[n][1]);
		free(fib->vrf[n]);
		return reason_set(why, ENOMEM, "no memory for routing table %u", table);
	}
	fib->vrf[n]->table = table;
	fib->vrfs++;
	return (int)n;
}

struct fib *
fib_new(struct reclaim *reclaim)
{
	struct fib *fib = calloc(1, sizeof(*fib));
	uint32_t none;

	if (!fib)
		return NULL;
	fib->reclaim = reclaim;
	fib->slots.max = TRIE_VALUE_MAX;
	fib->routes_mask = 1023;
	fib->routes = calloc(fib->routes_mask + 1, sizeof(*fib->routes));
	if (!fib->routes || trie_init(&fib->nodes, reclaim) != 0 ||
	    pool_take(&fib->groups, sizeof(struct group), &none) != 0) {
		trie_free(&fib->nodes);
		free(fib->routes);
		free(fib);
		return NULL;
	}
	*group_at(fib, none) =
		(struct group){.first = {.type = NEXTHOP_NONE, .iface = IFACE_NONE}, .count = 1};
	return fib;
}

static void
fib_end(void *ctx, struct reclaim_item *item)
{
	struct fib *fib = container_of(item, struct fib, retired);

	for (unsigned int i = 0; i < fib->vrfs; i++) {
		free(fib->root[i][0]);
		free(fib->root[i][1]);
		free(fib->vrf[i]);
	}
	pool_free(&fib->groups);
	trie_free(&fib->nodes);
	slots_free(&fib->slots);
	free(fib->routes);
	free(fib);
}

void
fib_free(struct fib *fib)
{
	uint32_t cursor = 0;
	struct route *r;

	if (!fib)
		return;
	while ((r = slots_next(&fib->slots, &cursor))) {
		group_put(fib, r->group);
		route_free(fib, r);
	}
	reclaim_defer(fib->reclaim, fib_end, NULL, &fib->retired);
}

/* ---- workers ---- */

/* The path whose share of the weights the hash falls into. */
static const struct nexthop *
group_pick(const struct group *g, uint32_t flow_hash)
{
	uint32_t at = (uint32_t)((uint64_t)(flow_hash * 0x9e3779b1u) * g->weights >> 32);
	const struct nexthop *path = g->paths;

	for (; at >= path->weight; path++)
		at -= path->weight;
	return path;
}

const struct nexthop *
fib_lookup(const struct fib *fib, uint16_t vrf, uint8_t family, const union ip_addr *dst,
	   uint32_t flow_hash)
{
	const _Atomic uint32_t *root = root_of(fib, vrf, family);
	const struct group *g = group_at(fib, trie_lookup(&fib->nodes, root, dst));

	return likely(g->count == 1) ? &g->first : group_pick(g, flow_hash);
}
