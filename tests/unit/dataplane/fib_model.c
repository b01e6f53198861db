/* SPDX-License-Identifier: BSD-3-Clause */
#include "fib_model.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADS 16384

struct route {
	struct route *next;
	struct fib_prefix prefix;
	uint32_t metric;
	uint16_t vrf;
	bool old;
	unsigned int count;
	struct nexthop paths[FIB_PATHS_MAX];
};

static struct route *routes[HEADS];
static struct neigh *neighs[HEADS];
static size_t routes_count, neighs_count;
unsigned int model_fib_changes;

struct fib *
model_fib(void)
{
	return (struct fib *)routes;
}

struct neigh_table *
model_neighs(void)
{
	return (struct neigh_table *)neighs;
}

static size_t
head_of(const union ip_addr *a)
{
	return (size_t)(chash_mix(a->u64[0], a->u64[1]) % HEADS);
}

/* ---- lines ---- */

void
lines_add(struct lines *l, const char *format, ...)
{
	va_list args;

	if (l->count == l->room) {
		l->room = l->room > 0 ? 2 * l->room : 64;
		l->line = realloc(l->line, l->room * sizeof(*l->line));
	}
	va_start(args, format);
	if (vasprintf(&l->line[l->count++], format, args) < 0)
		abort();
	va_end(args);
}

static int
line_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *
lines_sorted(struct lines *l)
{
	size_t size = 1, at = 0;
	char *all;

	if (l->count > 0)
		qsort(l->line, l->count, sizeof(*l->line), line_compare);
	for (size_t i = 0; i < l->count; i++)
		size += strlen(l->line[i]) + 1;
	all = malloc(size);
	all[0] = '\0';
	for (size_t i = 0; i < l->count; i++) {
		at += (size_t)sprintf(all + at, "%s\n", l->line[i]);
		free(l->line[i]);
	}
	free(l->line);
	*l = (struct lines){0};
	return all;
}

/* ---- routes ---- */

static struct route **
route_find(uint16_t vrf, const struct fib_prefix *prefix, uint32_t metric)
{
	struct route **link = &routes[head_of(&prefix->addr)];

	while (*link != NULL &&
	       ((*link)->vrf != vrf || (*link)->metric != metric ||
		(*link)->prefix.len != prefix->len || (*link)->prefix.family != prefix->family ||
		!ip_addr_equal(&(*link)->prefix.addr, &prefix->addr)))
		link = &(*link)->next;
	return link;
}

int
fib_set(struct fib *fib, uint16_t vrf, const struct fib_prefix *prefix, uint32_t metric,
	const struct nexthop *paths, unsigned int count, struct reason *why)
{
	struct route **link = route_find(vrf, prefix, metric), *r = *link;

	if (count == 0 || count > FIB_PATHS_MAX)
		abort();
	if (r == NULL) {
		r = *link = calloc(1, sizeof(*r));
		r->prefix = *prefix;
		r->vrf = vrf;
		r->metric = metric;
		routes_count++;
	}
	r->old = false;
	if (r->count != count || memcmp(r->paths, paths, count * sizeof(*paths)) != 0)
		model_fib_changes++;
	r->count = count;
	memcpy(r->paths, paths, count * sizeof(*paths));
	return 0;
}

static void
route_remove(struct route **link)
{
	struct route *r = *link;

	*link = r->next;
	free(r);
	routes_count--;
}

int
fib_unset(struct fib *fib, uint16_t vrf, const struct fib_prefix *prefix, uint32_t metric)
{
	struct route **link = route_find(vrf, prefix, metric);

	if (*link == NULL)
		return -ENOENT;
	route_remove(link);
	model_fib_changes++;
	return 0;
}

void
fib_mark(struct fib *fib)
{
	for (size_t i = 0; i < HEADS; i++)
		for (struct route *r = routes[i]; r != NULL; r = r->next)
			r->old = true;
}

unsigned int
fib_sweep(struct fib *fib)
{
	unsigned int swept = 0;

	for (size_t i = 0; i < HEADS; i++) {
		struct route **link = &routes[i];

		while (*link != NULL) {
			if ((*link)->old) {
				route_remove(link);
				swept++;
			} else {
				link = &(*link)->next;
			}
		}
	}
	model_fib_changes += swept;
	return swept;
}

static const char *const type_names[] = {
	"none", "unicast", "unicast", "local", "broadcast", "blackhole", "unreachable", "prohibit",
};

static void
route_print(const struct route *r, char *out, size_t room)
{
	char addr[INET6_ADDRSTRLEN], *end = out + room;
	int af = r->prefix.family == FAMILY_V4 ? AF_INET : AF_INET6;

	inet_ntop(af, r->prefix.addr.bytes, addr, sizeof(addr));
	out += snprintf(out, room, "%u %s/%u metric %u", r->vrf, addr, r->prefix.len, r->metric);
	for (unsigned int i = 0; i < r->count; i++) {
		const struct nexthop *nh = &r->paths[i];

		out += snprintf(out, (size_t)(end - out), " %s", type_names[nh->type]);
		if (nh->type == NEXTHOP_GATEWAY) {
			inet_ntop(nh->gateway_family == FAMILY_V4 ? AF_INET : AF_INET6,
				  nh->gateway.bytes, addr, sizeof(addr));
			out += snprintf(out, (size_t)(end - out), " via %s", addr);
		}
		if (nh->iface != IFACE_NONE)
			out += snprintf(out, (size_t)(end - out), " iface %u", nh->iface);
		if (nh->weight > 1)
			out += snprintf(out, (size_t)(end - out), " weight %u", nh->weight);
	}
}

char *
model_routes(void)
{
	struct lines l = {0};
	char line[2048];

	for (size_t i = 0; i < HEADS; i++) {
		for (const struct route *r = routes[i]; r != NULL; r = r->next) {
			route_print(r, line, sizeof(line));
			lines_add(&l, "%s", line);
		}
	}
	return lines_sorted(&l);
}

const char *
model_route(uint16_t vrf, const char *prefix, uint32_t metric)
{
	static char line[2048];
	char addr[INET6_ADDRSTRLEN];
	struct fib_prefix p = {0};
	unsigned int len;
	struct route *r;

	if (sscanf(prefix, "%45[^/]/%u", addr, &len) != 2)
		abort();
	p.family = strchr(addr, ':') != NULL ? FAMILY_V6 : FAMILY_V4;
	p.len = (uint8_t)len;
	inet_pton(p.family == FAMILY_V4 ? AF_INET : AF_INET6, addr, p.addr.bytes);
	r = *route_find(vrf, &p, metric);
	line[0] = '\0';
	if (r != NULL)
		route_print(r, line, sizeof(line));
	return line;
}

size_t
model_routes_count(void)
{
	return routes_count;
}

/* ---- neighbours: chained by the node's `next` ---- */

static struct neigh *
neigh_after(const struct neigh *n)
{
	return (struct neigh *)atomic_load(&n->node.next);
}

static struct neigh *
neigh_find(uint16_t iface, uint8_t family, const union ip_addr *addr)
{
	struct neigh *n = neighs[head_of(addr)];

	while (n != NULL &&
	       (n->iface != iface || n->family != family || !ip_addr_equal(&n->addr, addr)))
		n = neigh_after(n);
	return n;
}

int
neigh_set(struct neigh_table *t, uint16_t iface, uint8_t family, const union ip_addr *addr,
	  const struct rte_ether_addr *mac, bool stale, bool permanent)
{
	struct neigh *n = neigh_find(iface, family, addr);

	if (n == NULL) {
		n = calloc(1, sizeof(*n));
		n->addr = *addr;
		n->iface = iface;
		n->family = family;
		atomic_store(&n->node.next, (struct chash_node *)neighs[head_of(addr)]);
		neighs[head_of(addr)] = n;
		neighs_count++;
	}
	n->mac = *mac;
	n->stale = stale;
	n->permanent = permanent;
	n->old = false;
	return 0;
}

static void
neigh_remove(size_t head, struct neigh *n)
{
	struct neigh *before = neighs[head];

	if (before == n) {
		neighs[head] = neigh_after(n);
	} else {
		while (neigh_after(before) != n)
			before = neigh_after(before);
		atomic_store(&before->node.next, atomic_load(&n->node.next));
	}
	free(n);
	neighs_count--;
}

int
neigh_unset(struct neigh_table *t, uint16_t iface, uint8_t family, const union ip_addr *addr)
{
	struct neigh *n = neigh_find(iface, family, addr);

	if (n == NULL)
		return -ENOENT;
	neigh_remove(head_of(addr), n);
	return 0;
}

void
neigh_mark(struct neigh_table *t)
{
	for (size_t i = 0; i < HEADS; i++)
		for (struct neigh *n = neighs[i]; n != NULL; n = neigh_after(n))
			n->old = true;
}

unsigned int
neigh_sweep(struct neigh_table *t)
{
	unsigned int swept = 0;

	for (size_t i = 0; i < HEADS; i++) {
		struct neigh *n = neighs[i], *next;

		for (; n != NULL; n = next) {
			next = neigh_after(n);
			if (n->old) {
				neigh_remove(i, n);
				swept++;
			}
		}
	}
	return swept;
}

struct neigh *
neigh_next(struct neigh_table *t, uint32_t *cursor)
{
	uint32_t skip = (*cursor)++;

	for (size_t i = 0; i < HEADS; i++)
		for (struct neigh *n = neighs[i]; n != NULL; n = neigh_after(n))
			if (skip-- == 0)
				return n;
	return NULL;
}

char *
model_neighbours(void)
{
	char addr[INET6_ADDRSTRLEN];
	struct lines l = {0};

	for (size_t i = 0; i < HEADS; i++) {
		for (const struct neigh *n = neighs[i]; n != NULL; n = neigh_after(n)) {
			inet_ntop(n->family == FAMILY_V4 ? AF_INET : AF_INET6, n->addr.bytes, addr,
				  sizeof(addr));
			lines_add(&l, "iface %u %s " RTE_ETHER_ADDR_PRT_FMT "%s", n->iface, addr,
				  RTE_ETHER_ADDR_BYTES(&n->mac), n->stale ? " stale" : "");
		}
	}
	return lines_sorted(&l);
}

size_t
model_neighbours_count(void)
{
	return neighs_count;
}

void
model_reset(void)
{
	fib_mark(NULL);
	fib_sweep(NULL);
	neigh_mark(NULL);
	neigh_sweep(NULL);
	model_fib_changes = 0;
}
