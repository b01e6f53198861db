/* SPDX-License-Identifier: BSD-3-Clause */
#include "show_page.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "host.h"
#include "put.h"
#include "rtnl.h"
#include "show_sadb.h"
#include "waiting.h"
#include "worker.h"

static const char *
iface_name(const struct dataplane *dp, uint16_t iface)
{
	return iface < dp->ifaces_count ? dp->ifaces[iface].name : NULL;
}

/* ---- the balance of packets (worker.h) ---- */

struct balance {
	struct worker_counters sum;
	uint64_t dropped, in, out;
};

static void
balance_read(const struct dataplane *dp, struct balance *b)
{
	unsigned int i;

	workers_sum(dp, &b->sum);
	b->dropped = 0;
	for (i = 0; i < DROP_COUNT; i++)
		b->dropped += b->sum.drops[i];
	b->in = b->sum.received + b->sum.made + b->sum.resumed;
	b->out = b->sum.forwarded + b->sum.punted + b->sum.consumed + b->sum.held + b->dropped;
}

/*
 * The workers count while they are read, so a snapshot may catch packets half way: it is taken
 * again a few times before a difference is believed.
 */
static void
balance_settle(const struct dataplane *dp, struct balance *b)
{
	unsigned int tries;

	for (tries = 0; tries < 100; tries++) {
		balance_read(dp, b);
		if (b->in == b->out)
			return;
	}
}

static json_t *
balance_head(const struct show_source *s)
{
	struct balance b;
	json_t *o = json_object();

	balance_settle(s->dp, &b);
	put_number(o, "received", b.sum.received);
	put_number(o, "made", b.sum.made);
	put_number(o, "resumed", b.sum.resumed);
	put_number(o, "forwarded", b.sum.forwarded);
	put_number(o, "punted", b.sum.punted);
	put_number(o, "consumed", b.sum.consumed);
	put_number(o, "held", b.sum.held);
	put_number(o, "dropped", b.dropped);
	put_number(o, "waiting", b.sum.held - b.sum.resumed);
	json_object_set_new(o, "difference", json_integer((json_int_t)(b.in - b.out)));
	put_bool(o, "holds", b.in == b.out);
	return json_pack("{s:o}", "balance", o);
}

/* ---- status ---- */

static json_t *
status_host(const struct dataplane *dp)
{
	struct host_stats stats = host_stats(dp);
	json_t *o = json_object();

	put_number(o, "to_kernel", stats.to_kernel);
	put_number(o, "from_kernel", stats.from_kernel);
	put_number(o, "write_errors", stats.write_errors);
	put_number(o, "read_errors", stats.read_errors);
	put_number(o, "inbox_full", stats.inbox_full);
	put_number(o, "no_buf", stats.no_buf);
	return o;
}

static json_t *
status_rtnl(const struct rtnl *rtnl)
{
	struct rtnl_stats stats = rtnl_stats(rtnl);
	json_t *o = json_object();

	put_number(o, "messages", stats.messages);
	put_number(o, "malformed", stats.malformed);
	put_number(o, "resyncs", stats.resyncs);
	put_number(o, "routes_followed", stats.routes_followed);
	put_number(o, "routes_refused", stats.routes_refused);
	put_number(o, "routes_foreign", stats.routes_foreign);
	put_number(o, "neighbours_refused", stats.neighbours_refused);
	return o;
}

/* Where the bytes are. */
static json_t *
status_memory(const struct dataplane *dp)
{
	const struct sad_memory sad = sad_memory(dp->sad);
	const struct spd_memory spd = spd_memory(dp->spd);
	json_t *o = json_object();

	put_number(o, "sa_places", sad.places);
	put_number(o, "sa_control", sad.control);
	put_number(o, "sa_counters", sad.counters);
	put_number(o, "sa_tables", sad.tables);
	put_number(o, "sa_tombstones", sad.tombstones);
	put_number(o, "policies", spd.entries);
	put_number(o, "policy_tables", spd.tables);
	return o;
}

static json_t *
status_databases(const struct show_source *s)
{
	const struct dataplane *dp = s->dp;
	uint32_t policies[SPD_DIRS], orphans;
	json_t *o = json_object();
	uint64_t removed;

	s->peers.orphans(s->peers.ctx, &orphans, &removed);
	spd_count(dp->spd, policies);
	put_number(o, "sas", sad_count(dp->sad));
	put_number(o, "orphans", orphans);
	put_number(o, "orphans_removed", removed);
	put_number(o, "max_sas", sad_max(dp->sad));
	put_number(o, "sad_bytes", sad_bytes(dp->sad));
	json_object_set_new(o, "memory", status_memory(dp));
	put_number(o, "policies_in", policies[SPD_IN]);
	put_number(o, "policies_out", policies[SPD_OUT]);
	put_number(o, "policies_fwd", policies[SPD_FWD]);
	put_number(o, "max_policies", dp->config->spd.max_policies);
	put_number(o, "policy_tuples", spd_tuples(dp->spd));
	put_number(o, "routes", fib_count(dp->fib));
	put_number(o, "neighbours", neigh_count(dp->neighs));
	return o;
}

static json_t *
status_head(const struct show_source *s)
{
	const struct dataplane *dp = s->dp;
	json_t *o = json_object();

	put_text(o, "version", SEALANE_VERSION);
	put_number(o, "pid", (uint64_t)getpid());
	put_age(o, "uptime_seconds", s->started);
	put_text(o, "crypto_backend", crypto_backend_name(dp->backend));
	put_number(o, "workers", dp->workers_count);
	put_text(o, "polling", dp->config->workers.polling == POLLING_BUSY ? "busy" : "adaptive");
	put_number(o, "ports", dp->ports_count);
	put_number(o, "interfaces", dp->ifaces_count);
	put_text(o, "no_match", dp->config->spd.no_match == NO_MATCH_BYPASS ? "bypass" : "discard");
	put_number(o, "buffers", dp->pool->size);
	put_number(o, "buffers_free", rte_mempool_avail_count(dp->pool));
	json_object_set_new(o, "databases", status_databases(s));
	json_object_set_new(o, "host", status_host(dp));
	json_object_set_new(o, "rtnetlink", status_rtnl(s->rtnl));
	return json_pack("{s:o}", "status", o);
}

/* ---- ports ---- */

/* What the driver counts itself; once a port, in the row of its untagged interface. */
static void
port_driver(json_t *o, struct port *port)
{
	struct rte_eth_stats stats = port_stats(port);

	put_text(o, "device", port->config->device);
	put_number(o, "rx_queues", port->rx_queues);
	put_number(o, "tx_queues", port->tx_queues);
	put_number(o, "rx_missed", stats.imissed);
	put_number(o, "rx_errors", stats.ierrors);
	put_number(o, "rx_no_buf", stats.rx_nombuf);
	put_number(o, "tx_errors", stats.oerrors);
}

static json_t *
port_next(const struct show_source *s, union show_cursor *cursor)
{
	struct dataplane *dp = s->dp;
	struct worker_counters sum;
	const struct iface *iface;
	struct port *port;
	json_t *o;

	if (cursor->number >= dp->ifaces_count)
		return NULL;
	iface = &dp->ifaces[cursor->number++];
	port = &dp->ports[iface->port];
	workers_sum(dp, &sum);
	o = json_object();
	put_text(o, "port", iface->name);
	put_text(o, "side", iface->side == SIDE_PROTECTED ? "protected" : "unprotected");
	put_text(o, "state",
		 atomic_load_explicit(&iface->up, memory_order_relaxed) ? "up" : "down");
	put_bool(o, "carrier", port_link_up(port));
	put_number(o, "vlan", iface->vlan);
	put_mac(o, "mac", &iface->mac);
	put_number(o, "mtu", iface->mtu);
	put_text(o, "host_interface", iface->host_name);
	put_number(o, "table", iface->table);
	put_number(o, "tenant", tenant_if_id(iface->tenant));
	put_number(o, "mark", tenant_mark(iface->tenant));
	put_number(o, "rx_packets", sum.iface[iface->number].rx_packets);
	put_number(o, "rx_bytes", sum.iface[iface->number].rx_bytes);
	put_number(o, "tx_packets", sum.iface[iface->number].tx_packets);
	put_number(o, "tx_bytes", sum.iface[iface->number].tx_bytes);
	put_number(o, "punted", sum.iface[iface->number].punted);
	put_number(o, "from_host", sum.iface[iface->number].from_host);
	if (iface->vlan == 0)
		port_driver(o, port);
	return o;
}

/* ---- routes and neighbours ---- */

static json_t *
route_path(const struct dataplane *dp, const struct nexthop *nh)
{
	static const char *const types[] = {
		[NEXTHOP_NONE] = "none",
		[NEXTHOP_GATEWAY] = "gateway",
		[NEXTHOP_CONNECTED] = "connected",
		[NEXTHOP_LOCAL] = "local",
		[NEXTHOP_BROADCAST] = "broadcast",
		[NEXTHOP_BLACKHOLE] = "blackhole",
		[NEXTHOP_UNREACHABLE] = "unreachable",
		[NEXTHOP_PROHIBIT] = "prohibit",
	};
	json_t *o = json_object();

	put_text(o, "type", types[nh->type]);
	if (nh->type == NEXTHOP_GATEWAY)
		put_address(o, "gateway", nh->gateway_family, &nh->gateway);
	if (nh->iface != IFACE_NONE)
		put_text(o, "port", iface_name(dp, nh->iface));
	return o;
}

static json_t *
route_next(const struct show_source *s, union show_cursor *cursor)
{
	struct fib_route route;
	json_t *o, *paths;
	unsigned int i;

	if (!fib_next(s->dp->fib, &cursor->place, &route))
		return NULL;
	o = json_object();
	paths = json_array();
	put_prefix(o, "prefix", route.prefix.family, &route.prefix.addr, route.prefix.len);
	put_number(o, "table", route.table);
	put_number(o, "metric", route.metric);
	put_bool(o, "active", route.active);
	for (i = 0; i < route.count; i++) {
		json_t *path = route_path(s->dp, &route.paths[i]);

		if (route.count > 1)
			put_number(path, "weight", route.paths[i].weight);
		json_array_append_new(paths, path);
	}
	json_object_set_new(o, "paths", paths);
	return o;
}

static json_t *
neighbour_head(const struct show_source *s)
{
	struct waiting_stats stats = waiting_stats(s->dp);
	json_t *o = json_object();

	put_waiting(o, stats.waiting, stats.expired, stats.overflowed);
	return json_pack("{s:o}", "waiting", o);
}

static json_t *
neighbour_next(const struct show_source *s, union show_cursor *cursor)
{
	struct neigh *n = neigh_next(s->dp->neighs, &cursor->number);
	json_t *o;

	if (!n)
		return NULL;
	o = json_object();
	put_address(o, "address", n->family, &n->addr);
	put_text(o, "port", iface_name(s->dp, n->iface));
	put_mac(o, "mac", &n->mac);
	put_text(o, "state", n->permanent ? "permanent" : n->stale ? "stale" : "reachable");
	return o;
}

/* ---- drops and workers ---- */

static json_t *
drops_next(const struct show_source *s, union show_cursor *cursor)
{
	struct worker_counters sum;
	json_t *o;

	if (cursor->number >= DROP_COUNT)
		return NULL;
	workers_sum(s->dp, &sum);
	o = json_object();
	put_text(o, "reason", drop_names[cursor->number]);
	put_number(o, "packets", sum.drops[cursor->number]);
	put_text(o, "meaning", drop_help[cursor->number]);
	cursor->number++;
	return o;
}

static json_t *
client_next(const struct show_source *s, union show_cursor *cursor)
{
	struct show_peer peer;
	json_t *o;

	if (!s->peers.get(s->peers.ctx, cursor->number, &peer))
		return NULL;
	cursor->number++;
	o = json_object();
	put_number(o, "pid", (uint64_t)peer.pid);
	put_number(o, "groups", peer.groups);
	put_number(o, "queued_bytes", peer.queued);
	return o;
}

static void
worker_time(json_t *o, const struct worker_counters *count)
{
	uint64_t cycles = count->busy_cycles + count->idle_cycles;

	put_number(o, "polls", count->polls);
	put_number(o, "busy_polls", count->busy_polls);
	put_number(o, "sleeps", count->sleeps);
	put_number(o, "busy_cycles", count->busy_cycles);
	put_number(o, "idle_cycles", count->idle_cycles);
	put_number(o, "busy_percent",
		   cycles ? (uint64_t)(100.0 * (double)count->busy_cycles / (double)cycles) : 0);
}

/* Turns of the last minute: the longest, in microseconds, and how many were long. */
static void
worker_turns(json_t *o, const struct worker *w)
{
	double us = (double)rte_get_tsc_hz() / 1e6;
	uint64_t now = (uint64_t)time(NULL);

	put_number(o, "gap_us", (uint64_t)((double)turns_longest(&w->turns, TURN_WHOLE, now) / us));
	put_number(o, "long_gaps", turns_long(&w->turns, now));
	put_number(o, "switched_gap_us",
		   (uint64_t)((double)turns_longest(&w->turns, TURN_BROKEN, now) / us));
}

static json_t *
worker_next(const struct show_source *s, union show_cursor *cursor)
{
	const struct worker_counters *count;
	const struct worker *w;
	uint64_t dropped = 0;
	unsigned int i;
	json_t *o;

	if (cursor->number >= s->dp->workers_count)
		return NULL;
	w = s->dp->workers[cursor->number++];
	count = &w->count;
	for (i = 0; i < DROP_COUNT; i++)
		dropped += count->drops[i];
	o = json_object();
	put_number(o, "worker", w->id);
	put_number(o, "core", s->dp->config->workers.cores[w->id]);
	put_number(o, "received", count->received);
	put_number(o, "made", count->made);
	put_number(o, "forwarded", count->forwarded);
	put_number(o, "punted", count->punted);
	put_number(o, "consumed", count->consumed);
	put_number(o, "held", count->held);
	put_number(o, "resumed", count->resumed);
	put_number(o, "dropped", dropped);
	put_number(o, "sealed", count->sealed);
	put_number(o, "opened", count->opened);
	put_number(o, "path_mtus", count->path_mtus);
	put_number(o, "ecn_odd", count->ecn_odd);
	put_number(o, "moved", count->moved);
	put_number(o, "offered", count->offered);
	put_number(o, "helped", count->helped);
	put_number(o, "inbox", rte_ring_count(w->inbox));
	put_number(o, "stalls", s->dp->stalls[w->id]);
	worker_time(o, count);
	worker_turns(o, w);
	return o;
}

const struct show_page *
show_page_find(const char *name)
{
	static const struct show_page pages[] = {
		{"status", status_head, NULL},
		{"sa", NULL, show_sa_next},
		{"policy", show_policy_head, show_policy_next},
		{"port", balance_head, port_next},
		{"route", NULL, route_next},
		{"neighbour", neighbour_head, neighbour_next},
		{"drops", balance_head, drops_next},
		{"worker", NULL, worker_next},
		{"client", NULL, client_next},
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(pages); i++)
		if (strcmp(pages[i].name, name) == 0)
			return &pages[i];
	return NULL;
}
