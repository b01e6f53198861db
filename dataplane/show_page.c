/* SPDX-License-Identifier: BSD-3-Clause */
#include "show_page.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "host.h"
#include "rtnl.h"
#include "sa_wait.h"
#include "waiting.h"
#include "worker.h"

#define TEXT_MAX (INET6_ADDRSTRLEN + 8)

/* Members of a JSON object, one call each: json_pack() takes them by type letters alone. */
static void
put_text(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, value ? json_string(value) : json_null());
}

static void
put_number(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

static void
put_bool(json_t *o, const char *key, bool value)
{
	json_object_set_new(o, key, json_boolean(value));
}

static void
put_address(json_t *o, const char *key, uint8_t family, const union ip_addr *addr)
{
	char text[TEXT_MAX];

	put_text(o, key,
		 inet_ntop(family == FAMILY_V6 ? AF_INET6 : AF_INET, addr, text, sizeof(text)));
}

static void
put_prefix(json_t *o, const char *key, uint8_t family, const union ip_addr *addr, uint8_t len)
{
	char text[TEXT_MAX];
	size_t used;

	if (family == 0) {
		put_text(o, key, "any");
		return;
	}
	inet_ntop(family == FAMILY_V6 ? AF_INET6 : AF_INET, addr, text, sizeof(text));
	used = strlen(text);
	snprintf(text + used, sizeof(text) - used, "/%u", len);
	put_text(o, key, text);
}

static void
put_spi(json_t *o, const char *key, rte_be32_t spi)
{
	char text[16];

	snprintf(text, sizeof(text), "0x%08x", rte_be_to_cpu_32(spi));
	put_text(o, key, spi ? text : NULL);
}

static void
put_mac(json_t *o, const char *key, const struct rte_ether_addr *mac)
{
	char text[RTE_ETHER_ADDR_FMT_SIZE];

	rte_ether_format_addr(text, sizeof(text), mac);
	put_text(o, key, text);
}

/* Seconds since a wall-clock time, null where it never came. */
static void
put_age(json_t *o, const char *key, uint64_t then)
{
	uint64_t now = (uint64_t)time(NULL);

	json_object_set_new(o, key,
			    then ? json_integer(now > then ? (json_int_t)(now - then) : 0)
				 : json_null());
}

static void
put_limit(json_t *o, const char *key, uint64_t limit, uint64_t none)
{
	json_object_set_new(o, key, limit == none ? json_null() : json_integer((json_int_t)limit));
}

static const char *
iface_name(const struct dataplane *dp, uint16_t iface)
{
	return iface < dp->ifaces_count ? dp->ifaces[iface].name : NULL;
}

static const char *
mode_name(uint8_t mode)
{
	return mode == SA_MODE_TUNNEL ? "tunnel" : mode == SA_MODE_BEET ? "beet" : "transport";
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

/* ---- SAs ---- */

static json_t *
sa_limits(const struct sa_limits *l)
{
	json_t *o = json_object();

	put_limit(o, "soft_bytes", l->soft_bytes, UINT64_MAX);
	put_limit(o, "hard_bytes", l->hard_bytes, UINT64_MAX);
	put_limit(o, "soft_packets", l->soft_packets, UINT64_MAX);
	put_limit(o, "hard_packets", l->hard_packets, UINT64_MAX);
	put_limit(o, "soft_add_seconds", l->soft_add_seconds, 0);
	put_limit(o, "hard_add_seconds", l->hard_add_seconds, 0);
	put_limit(o, "soft_use_seconds", l->soft_use_seconds, 0);
	put_limit(o, "hard_use_seconds", l->hard_use_seconds, 0);
	return o;
}

static const char *
sa_state_name(enum sa_state state)
{
	static const char *const names[] = {
		[SA_LARVAL] = "larval",
		[SA_VALID] = "valid",
		[SA_EXPIRED] = "expired",
	};

	return names[state];
}

/* What traffic an SA may carry, as far as the IKE daemon said. */
static const char *
sa_direction(uint16_t flags)
{
	return flags & SA_IN_ONLY ? "in" : flags & SA_OUT_ONLY ? "out" : "both";
}

static void
sa_identity(json_t *o, const struct sa_control *c, const struct sa_params *p)
{
	char encap[32];

	put_spi(o, "spi", p->id.spi);
	put_address(o, "src", p->id.family, &p->src);
	put_address(o, "dst", p->id.family, &p->id.dst);
	put_text(o, "protocol", p->id.proto == IPPROTO_AH ? "ah" : "esp");
	put_text(o, "mode", mode_name(p->mode));
	put_text(o, "suite", c->sa ? crypto_suites[p->suite].name : NULL);
	put_text(o, "state", sa_state_name(c->state));
	put_text(o, "direction", sa_direction(p->flags));
	put_bool(o, "orphan", c->orphan);
	put_number(o, "reqid", p->reqid);
	put_number(o, "if_id", p->if_id);
	put_number(o, "mark", p->id.mark);
	snprintf(encap, sizeof(encap), "udp %u %u", rte_be_to_cpu_16(p->encap_sport),
		 rte_be_to_cpu_16(p->encap_dport));
	put_text(o, "encap", p->encap_type ? encap : NULL);
}

static void
sa_traffic(json_t *o, const struct sad *sad, const struct sa_control *c)
{
	struct sa_usage usage = sad_usage(sad, c);
	uint64_t out_seq = 0, in_seq = 0;
	uint32_t bitmap;

	if (c->sa)
		sad_sequences(sad, c, &out_seq, &in_seq, &bitmap, 1);
	put_number(o, "path_mtu", c->sa ? sa_path_mtu(c->sa, rte_rdtsc()) : 0);
	put_bool(o, "esn", c->sa && c->sa->flags & SA_ESN);
	put_number(o, "window", c->sa && c->sa->replay ? c->sa->replay->window : 0);
	put_number(o, "out_seq", out_seq);
	put_number(o, "in_seq", in_seq);
	put_number(o, "packets", usage.packets);
	put_number(o, "bytes", usage.bytes);
	put_number(o, "replay_drops", usage.replay_drops);
	put_number(o, "auth_drops", usage.auth_drops);
	put_age(o, "age_seconds", c->added_ms / 1000);
	put_age(o, "idle_seconds", usage.last_used);
}

static json_t *
sa_next(const struct show_source *s, union show_cursor *cursor)
{
	struct sa_control *c = sad_next(s->dp->sad, &cursor->number);
	struct sa_params params;
	json_t *o;

	if (!c)
		return NULL;
	params = sad_params(c);
	o = json_object();
	sa_identity(o, c, &params);
	sa_traffic(o, s->dp->sad, c);
	json_object_set_new(o, "limits", sa_limits(&params.limits));
	return o;
}

/* ---- policies ---- */

/* A port as "443", "1024/0xfc00", or "any". */
static void
put_port(json_t *o, const char *key, rte_be16_t port, rte_be16_t mask)
{
	char text[16];

	if (mask == 0)
		snprintf(text, sizeof(text), "any");
	else if (mask == 0xffff)
		snprintf(text, sizeof(text), "%u", rte_be_to_cpu_16(port));
	else
		snprintf(text, sizeof(text), "%u/0x%x", rte_be_to_cpu_16(port),
			 rte_be_to_cpu_16(mask));
	put_text(o, key, text);
}

static void
policy_selector(json_t *o, const struct selector *sel)
{
	char proto[8];

	put_prefix(o, "src", sel->family, &sel->src, sel->src_len);
	put_prefix(o, "dst", sel->family, &sel->dst, sel->dst_len);
	snprintf(proto, sizeof(proto), "%u", sel->proto);
	put_text(o, "protocol", sel->proto ? proto : "any");
	put_port(o, "sport", sel->sport, sel->sport_mask);
	put_port(o, "dport", sel->dport, sel->dport_mask);
}

static json_t *
policy_template(const struct spd_template *t)
{
	json_t *o = json_object();

	put_text(o, "mode", mode_name(t->mode));
	put_address(o, "src", t->family, &t->src);
	put_address(o, "dst", t->family, &t->dst);
	put_number(o, "reqid", t->reqid);
	put_spi(o, "spi", t->spi);
	put_bool(o, "optional", t->optional);
	return o;
}

/* Packets that wait: now, and dropped so far, as it was in vain or too many waited. */
static json_t *
waiting(uint64_t now, uint64_t expired, uint64_t overflowed)
{
	json_t *o = json_object();

	put_number(o, "packets", now);
	put_number(o, "expired", expired);
	put_number(o, "overflowed", overflowed);
	return o;
}

static json_t *
policy_head(const struct show_source *s)
{
	struct sa_wait_stats stats = sa_wait_stats(s->dp);
	json_t *o = waiting(stats.waiting, stats.expired, stats.overflowed);

	put_bool(o, "daemon_listens", stats.heard);
	return json_pack("{s:o}", "waiting", o);
}

static json_t *
policy_next(const struct show_source *s, union show_cursor *cursor)
{
	static const char *const dirs[] = {"in", "out", "fwd"};
	static const char *const actions[] = {"protect", "bypass", "discard"};
	struct policy *p = spd_next(s->dp->spd, &cursor->number);
	struct spd_params said;
	const struct sa *sa;
	json_t *o;

	if (!p)
		return NULL;
	said = spd_params(p);
	/* Relaxed: the control thread wrote these itself, or they are counters. */
	sa = atomic_load_explicit(&p->sa, memory_order_relaxed);
	o = json_object();
	put_text(o, "direction", dirs[said.id.dir]);
	put_number(o, "priority", said.priority);
	put_text(o, "action", actions[said.action]);
	policy_selector(o, &said.id.sel);
	put_number(o, "if_id", said.id.if_id);
	put_number(o, "mark", said.id.mark);
	put_number(o, "index", p->index);
	json_object_set_new(o, "template",
			    said.action == SPD_PROTECT ? policy_template(&said.tmpl) : json_null());
	put_spi(o, "sa_spi", sa ? sa->spi : 0);
	put_age(o, "age_seconds", spd_added(p));
	put_age(o, "idle_seconds", atomic_load_explicit(&p->used, memory_order_relaxed));
	return o;
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

	return json_pack("{s:o}", "waiting",
			 waiting(stats.waiting, stats.expired, stats.overflowed));
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
		{"status", status_head, NULL},        {"sa", NULL, sa_next},
		{"policy", policy_head, policy_next}, {"port", balance_head, port_next},
		{"route", NULL, route_next},          {"neighbour", neighbour_head, neighbour_next},
		{"drops", balance_head, drops_next},  {"worker", NULL, worker_next},
		{"client", NULL, client_next},
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(pages); i++)
		if (strcmp(pages[i].name, name) == 0)
			return &pages[i];
	return NULL;
}
