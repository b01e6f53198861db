/* SPDX-License-Identifier: BSD-3-Clause */
/* The data plane's assembly: its parts in order, and their end in the reverse. */
#include "dataplane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_random.h>
#include <rte_ring_elem.h>

#include "host.h"
#include "natt.h"
#include "packet.h"
#include "sa_wait.h"
#include "waiting.h"
#include "worker.h"

#define NEIGHBOURS_MAX 65536
#define ACQUIRES_MAX   1024

/* For dataplane_memory(): packets in a port's queues and a worker's hands, at most. */
#define PACKETS_PER_QUEUE  2048
#define PACKETS_PER_WORKER INBOX_SIZE
#define MEMORY_PER_PORT    (16u << 20) /* the driver's own */
#define LARGE_SIZE         (66u << 10)
#define MEMORY_EXTRA       (64u << 20)

/* Bytes that a packet buffer has for a frame, at most: the driver's slots may exceed the MTU. */
static size_t
frame_room(const struct config_port *port)
{
	const char *slot = strstr(port->device, "framesz=");
	size_t room = slot ? strtoul(slot + strlen("framesz="), NULL, 10) : 2048;

	return RTE_MAX(room, (size_t)port->mtu);
}

size_t
dataplane_memory(const struct config *config)
{
	size_t workers = config->workers.cores_count, ports = config->ports_count;
	size_t packets = workers * (ports * PACKETS_PER_QUEUE + PACKETS_PER_WORKER) + WAITING_MAX +
			 SA_WAIT_MAX;
	size_t room = 0;
	unsigned int i;

	for (i = 0; i < config->ports_count; i++) {
		packets += config->ports[i].vlans_count * PACKETS_PER_QUEUE;
		room = RTE_MAX(room, frame_room(&config->ports[i]));
	}
	return packets * (room + 512) + ports * MEMORY_PER_PORT +
	       workers * config->reassembly.max_bytes + LARGE_PACKETS * LARGE_SIZE + MEMORY_EXTRA;
}

/* What becomes of the DF bit (RFC 4301 section 8.1); an SA may ask for a cleared one by itself. */
static uint16_t
df_flags(enum config_df df)
{
	static const uint16_t flags[] = {
		[DF_COPY] = 0,
		[DF_SET] = SA_DF_SET,
		[DF_CLEAR] = SA_NOPMTUDISC,
	};

	return flags[df];
}

static int
start_databases(struct dataplane *dp, struct crypto_ctx *crypto, struct reason *why)
{
	const struct config *config = dp->config;
	struct sad_config sad = {
		.max_sas = config->sad.max_sas,
		.workers = config->workers.cores_count,
		.replay_window = config->sad.replay_window,
		.flags = df_flags(config->tunnels.df),
		.spread =
			config->workers.spread == SPREAD_ALWAYS && config->workers.cores_count > 1,
		.crypto = crypto,
		.reclaim = dp->reclaim,
	};

	atomic_init(&dp->sharing, sad.spread);
	dp->sad = sad_new(&sad, why);
	if (!dp->sad)
		goto err;
	dp->spd = spd_new(config->spd.max_policies, dp->sad, dp->reclaim, why);
	if (!dp->spd)
		goto err_sad;
	dp->fib = fib_new(dp->reclaim);
	dp->neighs = neigh_new(NEIGHBOURS_MAX, dp->reclaim);
	if (dp->fib && dp->neighs)
		return 0;
	reason_set(why, ENOMEM, "no memory for routes and neighbours");
	if (dp->neighs)
		neigh_free(dp->neighs);
	if (dp->fib)
		fib_free(dp->fib);
	spd_free(dp->spd);
err_sad:
	sad_free(dp->sad);
err:
	return -1;
}

static void
stop_databases(struct dataplane *dp)
{
	neigh_free(dp->neighs);
	fib_free(dp->fib);
	spd_free(dp->spd);
	sad_free(dp->sad);
}

static int
start_acquires(struct dataplane *dp, struct reason *why)
{
	dp->acquires = rte_ring_create_elem("acquires", sizeof(struct acquire), ACQUIRES_MAX,
					    SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (!dp->acquires)
		return reason_set(why, rte_errno, "no memory for the ring of acquires: %s",
				  rte_strerror(rte_errno));
	return 0;
}

/* The interface that the configuration names; its check found that there is one. */
static const struct iface *
iface_by_name(const struct dataplane *dp, const char *name)
{
	const struct iface *iface = dp->ifaces;

	while (strcmp(iface->name, name) != 0)
		iface++;
	return iface;
}

static int
set_route(struct dataplane *dp, const struct config_route *route, struct reason *why)
{
	struct nexthop path = {.type = NEXTHOP_BLACKHOLE, .iface = IFACE_NONE, .weight = 1};
	int vrf = fib_vrf(dp->fib, route->table, why);
	struct fib_prefix prefix;

	if (vrf < 0)
		return vrf;
	if (route->port) {
		path.type = route->via ? NEXTHOP_GATEWAY : NEXTHOP_CONNECTED;
		path.iface = iface_by_name(dp, route->port)->number;
	}
	if (route->via)
		config_address(route->via, &path.gateway, &path.gateway_family);
	config_prefix(route->prefix, &prefix, why);
	return fib_set_permanent(dp->fib, (uint16_t)vrf, &prefix, &path, why);
}

static int
set_neighbour(struct dataplane *dp, const struct config_neighbour *n, struct reason *why)
{
	struct rte_ether_addr mac;
	union ip_addr addr;
	uint8_t family;

	config_address(n->address, &addr, &family);
	rte_ether_unformat_addr(n->mac, &mac);
	if (neigh_set(dp->neighs, iface_by_name(dp, n->port)->number, family, &addr, &mac, false,
		      true))
		return reason_set(why, ENOMEM, "no memory for a neighbour");
	return 0;
}

/* What the configuration says of routes and neighbours, beside what the kernel will say. */
static int
set_static(struct dataplane *dp, struct reason *why)
{
	const struct config *config = dp->config;
	struct reason inner = {""};
	unsigned int i;

	for (i = 0; i < config->routes_count; i++)
		if (set_route(dp, &config->routes[i], &inner))
			return reason_set(why, EINVAL, "routes[%u]: %s", i, inner.text);
	for (i = 0; i < config->neighbours_count; i++)
		if (set_neighbour(dp, &config->neighbours[i], &inner))
			return reason_set(why, EINVAL, "neighbours[%u]: %s", i, inner.text);
	return 0;
}

struct dataplane *
dataplane_new(const struct config *config, struct crypto_ctx *crypto, enum crypto_backend backend,
	      struct reason *why)
{
	struct dataplane *dp = calloc(1, sizeof(*dp));

	if (!dp) {
		reason_set(why, ENOMEM, "out of memory");
		return NULL;
	}
	dp->config = config;
	dp->backend = backend;
	atomic_init(&dp->ip_ids, (uint32_t)rte_rand());
	dp->reclaim = reclaim_new(config->workers.cores_count);
	if (!dp->reclaim) {
		reason_set(why, ENOMEM, "no memory for deferred freeing");
		goto err_dp;
	}
	if (start_databases(dp, crypto, why))
		goto err_reclaim;
	if (start_acquires(dp, why))
		goto err_databases;
	if (natt_start(dp, why))
		goto err_acquires;
	if (ports_start(dp, why))
		goto err_natt;
	if (host_start(dp, why))
		goto err_ports;
	if (waiting_start(dp, why))
		goto err_host;
	if (sa_wait_start(dp, why))
		goto err_waiting;
	if (set_static(dp, why))
		goto err_sa_wait;
	return dp;

err_sa_wait:
	sa_wait_stop(dp);
err_waiting:
	waiting_stop(dp);
err_host:
	host_stop(dp);
err_ports:
	ports_stop(dp);
err_natt:
	natt_stop(dp);
err_acquires:
	rte_ring_free(dp->acquires);
err_databases:
	reclaim_poll(dp->reclaim);
	stop_databases(dp);
err_reclaim:
	reclaim_free(dp->reclaim);
err_dp:
	free(dp);
	return NULL;
}

void
dataplane_free(struct dataplane *dp)
{
	sa_wait_stop(dp);
	waiting_stop(dp);
	host_stop(dp);
	ports_stop(dp);
	natt_stop(dp);
	rte_ring_free(dp->acquires);
	/* What was deferred is given back to the databases, so it goes first: no reader is left. */
	reclaim_poll(dp->reclaim);
	stop_databases(dp);
	reclaim_free(dp->reclaim);
	free(dp);
}

int
dataplane_vrf(const struct dataplane *dp, uint8_t family, const union ip_addr *addr)
{
	for (unsigned int i = 0; i < dp->ifaces_count; i++)
		if (fib_lookup(dp->fib, dp->ifaces[i].vrf, family, addr, 0)->type == NEXTHOP_LOCAL)
			return dp->ifaces[i].vrf;
	return -1;
}
