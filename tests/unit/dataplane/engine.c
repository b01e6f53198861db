/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "dataplane/balance.h"
#include "dataplane/natt.h"
#include "dataplane/sa_wait.h"
#include "dataplane/waiting.h"
#include "frame.h"

static const struct rte_ether_addr peer_mac = {{0x02, 0, 0, 0, 0, 0x42}};

void
engine_eal(void)
{
	char *args[] = {"test", "--no-huge",      "--no-shconf",   "--no-pci", "-m",
			"96",   "--no-telemetry", "--log-level=4", NULL};
	int n = RTE_DIM(args) - 1;

	assert_true(rte_eal_init(n, args) >= 0);
}

static void
make_wires(struct engine *e)
{
	static const char *const names[] = {"lan", "wan"};

	for (unsigned int i = 0; i < 2; i++) {
		char name[32];

		snprintf(name, sizeof(name), "to_%s", names[i]);
		e->to_port[i] = rte_ring_create(name, 1024, SOCKET_ID_ANY, 0);
		snprintf(name, sizeof(name), "from_%s", names[i]);
		e->from_port[i] = rte_ring_create(name, 4096, SOCKET_ID_ANY, 0);
		assert_true(rte_eth_from_rings(names[i], &e->to_port[i], 1, &e->from_port[i], 1,
					       0) >= 0);
	}
}

static void
make_config(struct engine *e, unsigned int workers)
{
	e->vlan = (struct config_vlan){
		.name = "lan7",
		.id = 7,
		.side = SIDE_PROTECTED,
		.mtu = 1500,
		.host_interface = "lan7",
		.table = 254,
	};
	e->ports[0] = (struct config_port){
		.name = "lan",
		.device = "net_ring_lan",
		.side = SIDE_PROTECTED,
		.mtu = 1500,
		.host_interface = "lan",
		.table = 254,
		.vlans = &e->vlan,
		.vlans_count = 1,
	};
	e->ports[1] = (struct config_port){
		.name = "wan",
		.device = "net_ring_wan",
		.side = SIDE_UNPROTECTED,
		.mtu = 1500,
		.host_interface = "wan",
		.table = 254,
	};
	e->config.workers.cores_count = workers;
	e->config.workers.spread = SPREAD_ALWAYS; /* but of no SA, until a test makes one so */
	e->config.ports = e->ports;
	e->config.ports_count = 2;
	e->config.spd.no_match = NO_MATCH_BYPASS;
	e->config.host.punt_rate = 1000 * 1000 * 1000; /* the tests' clock stands still */
	e->config.reassembly = (struct config_reassembly){16, 1u << 18, 5};
}

static void
make_tables(struct engine *e, unsigned int workers)
{
	struct dataplane *dp = e->dp;
	struct reason why = {""};
	struct sad_config sad = {.max_sas = 64, .workers = workers, .replay_window = 992};

	e->crypto = crypto_ctx_new(CRYPTO_OPENSSL, &why);
	assert_non_null(e->crypto);
	dp->backend = CRYPTO_OPENSSL;
	dp->reclaim = reclaim_new(workers);
	sad.crypto = e->crypto;
	sad.reclaim = dp->reclaim;
	dp->sad = sad_new(&sad, &why);
	dp->spd = spd_new(256, dp->sad, dp->reclaim, &why);
	dp->fib = fib_new(dp->reclaim);
	dp->neighs = neigh_new(64, dp->reclaim);
	dp->acquires =
		rte_ring_create_elem("acquires", sizeof(struct acquire), 64, SOCKET_ID_ANY, 0);
	assert_int_equal(waiting_start(dp, &why), 0);
	assert_int_equal(sa_wait_start(dp, &why), 0);
	assert_int_equal(natt_start(dp, &why), 0);
}

static union ip_addr
address(uint8_t family, uint32_t v4, uint16_t net, uint16_t host)
{
	union ip_addr a = {0};

	if (family == FAMILY_V4)
		a.v4 = rte_cpu_to_be_32(v4);
	else
		put_address6(a.bytes, net, host);
	return a;
}

static void
add_route(struct engine *e, uint8_t family, union ip_addr addr, uint8_t len, uint8_t type,
	  uint16_t iface, union ip_addr gateway)
{
	struct fib_prefix prefix = {.addr = addr, .len = len, .family = family};
	struct nexthop nh = {
		.type = type,
		.gateway_family = family,
		.iface = iface,
		.weight = 1,
		.gateway = gateway,
	};
	struct reason why = {""};

	assert_int_equal(fib_set(e->dp->fib, e->dp->ifaces[LAN].vrf, &prefix, 0, &nh, 1, &why), 0);
}

static void
make_iface(struct engine *e, uint16_t number, uint32_t self, uint16_t net)
{
	struct iface *iface = &e->dp->ifaces[number];

	for (uint8_t family = FAMILY_V4; family <= FAMILY_V6; family += 2) {
		bool v4 = family == FAMILY_V4;
		union ip_addr own = address(family, self, net, 1);
		union ip_addr prefix = ip_addr_mask(&own, v4 ? 16 : 48);
		union ip_addr host = address(family, self + 1, net, 2), none = {0};

		add_route(e, family, prefix, v4 ? 16 : 48, NEXTHOP_CONNECTED, number, none);
		add_route(e, family, own, v4 ? 32 : 128, NEXTHOP_LOCAL, number, none);
		assert_int_equal(
			neigh_set(e->dp->neighs, number, family, &host, &peer_mac, false, true), 0);
		atomic_store(v4 ? &iface->addr4.half[0] : &iface->addr6.half[0], own.u64[0]);
		if (!v4)
			atomic_store(&iface->addr6.half[1], own.u64[1]);
	}
	atomic_store(&iface->up, true);
	iface->to_host = rte_ring_create(iface->name, 1024, SOCKET_ID_ANY, 0);
	assert_non_null(iface->to_host);
}

static void
make_routes(struct engine *e)
{
	union ip_addr none = {0};

	make_iface(e, LAN, LAN_SELF, 1);
	make_iface(e, LAN7, LAN7_HOST - 1, 7);
	make_iface(e, WAN, WAN_SELF, 0x99);
	for (uint8_t family = FAMILY_V4; family <= FAMILY_V6; family += 2) {
		bool v4 = family == FAMILY_V4;
		uint8_t len = v4 ? 16 : 48;

		add_route(e, family, address(family, 0x0a020000, 2, 0), len, NEXTHOP_GATEWAY, WAN,
			  address(family, WAN_PEER, 0x99, 2));
		add_route(e, family, address(family, 0x0a030000, 0x33, 0), len, NEXTHOP_BLACKHOLE,
			  IFACE_NONE, none);
		add_route(e, family, address(family, 0x0a040000, 0x34, 0), len, NEXTHOP_UNREACHABLE,
			  IFACE_NONE, none);
		add_route(e, family, address(family, 0x0a050000, 0x35, 0), len, NEXTHOP_PROHIBIT,
			  IFACE_NONE, none);
	}
	add_route(e, FAMILY_V4, address(FAMILY_V4, 0x0a01ffff, 0, 0), 32, NEXTHOP_BROADCAST, LAN,
		  none);
}

void
engine_start(struct engine *e, unsigned int workers)
{
	struct reason why = {""};

	memset(e, 0, sizeof(*e));
	make_wires(e);
	make_config(e, workers);
	e->dp = calloc(1, sizeof(*e->dp));
	e->dp->config = &e->config;
	make_tables(e, workers);
	if (ports_start(e->dp, &why) != 0)
		fail_msg("%s", why.text);
	assert_int_equal(e->dp->ifaces_count, ENGINE_IFACES);
	make_routes(e);
	for (unsigned int i = 0; i < workers; i++) {
		e->dp->workers[i] = worker_new(e->dp, i, rte_get_main_lcore(), &why);
		assert_non_null(e->dp->workers[i]);
		e->dp->workers[i]->tsc = rte_rdtsc();
	}
	e->dp->workers_count = workers;
}

static void
drain(struct rte_ring *ring)
{
	struct rte_mbuf *m;

	while (rte_ring_dequeue(ring, (void **)&m) == 0)
		rte_pktmbuf_free(m);
}

void
engine_stop(struct engine *e)
{
	struct dataplane *dp = e->dp;

	engine_check(e);
	for (unsigned int i = 0; i < dp->workers_count; i++)
		worker_free(dp->workers[i]);
	sa_wait_stop(dp);
	waiting_stop(dp);
	for (unsigned int i = 0; i < dp->ifaces_count; i++)
		drain(dp->ifaces[i].to_host);
	for (unsigned int i = 0; i < 2; i++) {
		drain(e->to_port[i]);
		drain(e->from_port[i]);
	}
	assert_int_equal(rte_mempool_in_use_count(dp->pool), 0);
	assert_int_equal(rte_mempool_in_use_count(dp->large_pool), 0);
	for (unsigned int i = 0; i < dp->ifaces_count; i++)
		rte_ring_free(dp->ifaces[i].to_host);
	ports_stop(dp);
	rte_eal_hotplug_remove("vdev", e->ports[0].device);
	rte_eal_hotplug_remove("vdev", e->ports[1].device);
	for (unsigned int i = 0; i < 2; i++) {
		rte_ring_free(e->to_port[i]);
		rte_ring_free(e->from_port[i]);
	}
	natt_stop(dp);
	rte_ring_free(dp->acquires);
	neigh_free(dp->neighs);
	fib_free(dp->fib);
	spd_free(dp->spd);
	sad_free(dp->sad);
	reclaim_free(dp->reclaim);
	crypto_ctx_free(e->crypto);
	free(dp);
}

struct rte_mbuf *
engine_frame(struct engine *e, const void *data, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(e->dp->pool);
	char *at;

	assert_non_null(m);
	at = rte_pktmbuf_append(m, (uint16_t)len);
	assert_non_null(at);
	memcpy(at, data, len);
	return m;
}

void
engine_receive(struct engine *e, unsigned int port, struct rte_mbuf *m)
{
	assert_int_equal(rte_ring_enqueue(e->to_port[port], m), 0);
}

void
engine_settle(struct engine *e)
{
	unsigned int moved;

	do {
		moved = 0;
		for (unsigned int i = 0; i < e->dp->workers_count; i++)
			moved += worker_poll(e->dp->workers[i]);
	} while (moved > 0);
}

void
engine_pass_busy(struct worker *w, uint64_t percent)
{
	uint64_t period = rte_get_tsc_hz() / 64;

	w->tsc += period;
	w->count.busy_cycles += period * percent / 100;
	balance_review(w);
}

static struct rte_mbuf *
take(struct rte_ring *ring)
{
	struct rte_mbuf *m;

	return rte_ring_dequeue(ring, (void **)&m) == 0 ? m : NULL;
}

struct rte_mbuf *
engine_sent(struct engine *e, unsigned int port)
{
	return take(e->from_port[port]);
}

struct rte_mbuf *
engine_punted(struct engine *e, unsigned int iface)
{
	return take(e->dp->ifaces[iface].to_host);
}

enum drop_reason
engine_fate(struct engine *e, unsigned int port, const void *data, size_t len)
{
	struct worker_counters before, after;
	enum drop_reason reason = DROP_COUNT;

	workers_sum(e->dp, &before);
	engine_receive(e, port, engine_frame(e, data, len));
	engine_settle(e);
	workers_sum(e->dp, &after);
	assert_int_equal(after.received - before.received, 1);
	for (unsigned int i = 0; i < DROP_COUNT; i++) {
		if (after.drops[i] == before.drops[i])
			continue;
		assert_int_equal(reason, DROP_COUNT);
		assert_int_equal(after.drops[i] - before.drops[i], 1);
		reason = (enum drop_reason)i;
	}
	engine_check(e);
	return reason;
}

void
engine_check(const struct engine *e)
{
	struct worker_counters c;
	uint64_t drops = 0;

	workers_sum(e->dp, &c);
	for (unsigned int i = 0; i < DROP_COUNT; i++)
		drops += c.drops[i];
	assert_int_equal(c.received + c.made + c.resumed,
			 c.forwarded + c.punted + c.consumed + c.held + drops);
}

size_t
engine_put_l2(const struct engine *e, uint8_t *at, unsigned int port, uint16_t type)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)at;

	eth->dst_addr = e->dp->ports[port].mac;
	eth->src_addr = peer_mac;
	eth->ether_type = rte_cpu_to_be_16(type);
	return sizeof(*eth);
}

void
engine_drain(struct engine *e)
{
	struct rte_mbuf *m;

	for (unsigned int port = 0; port < 2; port++)
		while ((m = engine_sent(e, port)) != NULL)
			rte_pktmbuf_free(m);
	for (unsigned int i = 0; i < ENGINE_IFACES; i++)
		while ((m = engine_punted(e, i)) != NULL)
			rte_pktmbuf_free(m);
}
