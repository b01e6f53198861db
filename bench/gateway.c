/* SPDX-License-Identifier: BSD-3-Clause */
#include "gateway.h"

#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "dataplane/eal.h"
#include "dataplane/sa_wait.h"
#include "dataplane/waiting.h"

#define OVERHEAD_MAX 160 /* bytes that ESP puts around a packet, at most */

/* Of the hosts of the LAN, in transport mode. */
#define TENANT       1
#define TENANT_TABLE 100

static const struct rte_ether_addr next_mac = {{0x02, 0, 0, 0, 0, 0x42}};

void
bench_fail(const char *format, ...)
{
	va_list list;

	fputs("sealane-bench: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

/* 172.16.0.0/16, 192.0.2.0/24, 10.0.0.0/8, 100.64.0.0/10, or 2001:db8:NET::/48. */
union ip_addr
gateway_addr(uint8_t family, enum net net, uint32_t host)
{
	static const uint32_t v4[] = {0xac100000, 0xc0000200, 0x0a000000, 0x64400000};
	union ip_addr a = {0};

	if (family == FAMILY_V4) {
		a.v4 = rte_cpu_to_be_32(v4[net] + host);
	} else {
		a.u64[0] = rte_cpu_to_be_64(UINT64_C(0x20010db800000000) | (net + 1u) << 16);
		a.u64[1] = rte_cpu_to_be_64(host);
	}
	return a;
}

void
gateway_key(bool out, uint32_t number, uint8_t *key, uint8_t *auth_key)
{
	for (unsigned int i = 0; i < SAD_KEY_MAX; i++) {
		key[i] = (uint8_t)(i * 7 + 1);
		auth_key[i] = (uint8_t)(i * 11 + 3);
	}
	key[0] ^= out;
	memcpy(key + 1, &number, sizeof(number));
}

static void
make_config(struct gateway *g, const struct options *o)
{
	static char *const names[] = {"lan", "wan"}, *const devices[] = {"net_null0", "net_null1"};
	uint16_t mtu = (uint16_t)RTE_MAX(1500u, o->size + OVERHEAD_MAX);
	unsigned int found = 0;
	cpu_set_t cpus;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && found < o->workers; cpu--)
		if (CPU_ISSET(cpu, &cpus))
			g->cores[found++] = (unsigned int)cpu;
	for (unsigned int i = found; i < o->workers; i++)
		g->cores[i] = g->cores[i % found];
	for (unsigned int i = 0; i < SIDES; i++)
		g->ports[i] = (struct config_port){
			.name = names[i],
			.device = devices[i],
			.side = i == LAN ? SIDE_PROTECTED : SIDE_UNPROTECTED,
			.mtu = mtu,
			.host_interface = names[i],
			.table = 254,
		};
	if (o->transport) {
		g->ports[LAN].tenant = g->ports[LAN].tenant_in = TENANT;
		g->ports[LAN].table = TENANT_TABLE;
	}
	g->config = (struct config){
		.workers = {.cores = g->cores,
			    .cores_count = o->workers,
			    .spread = o->shared ? SPREAD_ALWAYS : SPREAD_OFF},
		.ports = g->ports,
		.ports_count = SIDES,
		.sad = {.max_sas = 2 * o->sas, .replay_window = 992},
		.spd = {.max_policies = 2 * o->policies},
		.host = {.punt_rate = 10000},
		.reassembly = {.max_sets = 1, .max_bytes = 1, .timeout = 1},
	};
}

static void
make_tables(struct gateway *g, const struct options *o)
{
	struct dataplane *dp = g->dp;
	struct reason why = {""};
	struct sad_config sad = {.max_sas = g->config.sad.max_sas,
				 .workers = o->workers,
				 .spread = o->shared && o->workers > 1,
				 .replay_window = g->config.sad.replay_window};

	g->crypto = crypto_ctx_new(o->backend, &why);
	if (g->crypto == NULL)
		bench_fail("%s", why.text);
	if (crypto_key_size(g->crypto, o->suite) == 0)
		bench_fail("the backend cannot do %s", crypto_suites[o->suite].name);
	dp->config = &g->config;
	dp->backend = o->backend;
	atomic_init(&dp->sharing, sad.spread);
	dp->reclaim = reclaim_new(o->workers);
	sad.crypto = g->crypto;
	sad.reclaim = dp->reclaim;
	dp->sad = sad_new(&sad, &why);
	if (dp->sad != NULL)
		dp->spd = spd_new(g->config.spd.max_policies, dp->sad, dp->reclaim, &why);
	if (dp->spd == NULL)
		bench_fail("%s", why.text);
	dp->fib = fib_new(dp->reclaim);
	dp->neighs = neigh_new(16, dp->reclaim);
	dp->acquires = rte_ring_create_elem("acquires", sizeof(struct acquire), 64, SOCKET_ID_ANY,
					    RING_F_SC_DEQ);
	if (sa_wait_start(dp, &why) != 0 || waiting_start(dp, &why) != 0 ||
	    ports_start(dp, &why) != 0)
		bench_fail("%s", why.text);
}

static void
add_route(struct gateway *g, uint16_t vrf, uint8_t family, enum net net, uint32_t host, uint8_t len,
	  uint8_t type, uint16_t iface)
{
	struct fib_prefix prefix = {
		.addr = gateway_addr(family, net, host), .len = len, .family = family};
	struct nexthop nh = {.type = type,
			     .gateway_family = family,
			     .iface = iface,
			     .weight = 1,
			     .gateway = gateway_addr(family, NET_WAN, HOST_NEXT)};
	struct reason why = {""};

	if (fib_set(g->dp->fib, vrf, &prefix, 0, &nh, 1, &why) != 0)
		bench_fail("%s", why.text);
}

static void
make_routes(struct gateway *g, uint8_t family, uint16_t vrf)
{
	static const uint8_t v4_len[] = {16, 24, 8, 10};
	uint8_t full = family == FAMILY_V4 ? 32 : 128;

	for (enum net net = NET_LAN; net <= NET_PEERS; net++)
		add_route(g, vrf, family, net, 0, family == FAMILY_V4 ? v4_len[net] : 48,
			  net <= NET_WAN ? NEXTHOP_CONNECTED : NEXTHOP_GATEWAY,
			  net == NET_LAN ? LAN : WAN);
	for (uint16_t side = LAN; side < SIDES; side++)
		add_route(g, vrf, family, (enum net)side, HOST_SELF, full, NEXTHOP_LOCAL, side);
}

static void
make_links(struct gateway *g, const struct options *o)
{
	uint8_t full = o->family == FAMILY_V4 ? 32 : 128;

	for (uint16_t side = LAN; side < SIDES; side++) {
		union ip_addr next = gateway_addr(o->family, (enum net)side, HOST_NEXT);

		make_routes(g, o->family, g->dp->ifaces[side].vrf);
		if (neigh_set(g->dp->neighs, side, o->family, &next, &next_mac, false, true) != 0)
			bench_fail("no memory for a neighbour");
		atomic_store(&g->dp->ifaces[side].up, true);
	}
	if (o->transport)
		add_route(g, g->dp->ifaces[WAN].vrf, o->family, NET_LAN, HOST_NEXT, full,
			  NEXTHOP_LOCAL, WAN);
}

/* The ends of an SA: gateways, or, in transport mode, hosts. */
static union ip_addr
end(const struct options *o, bool far, uint32_t number)
{
	if (o->transport)
		return far ? gateway_addr(o->family, NET_FAR, number + 1)
			   : gateway_addr(o->family, NET_LAN, HOST_NEXT);
	return far ? gateway_addr(o->family, NET_PEERS, number + 1)
		   : gateway_addr(o->family, NET_WAN, HOST_SELF);
}

static struct sa_params
sa_params(const struct options *o, bool out, uint32_t number)
{
	struct sa_params p = {
		.id = {.dst = end(o, out, number),
		       .spi = rte_cpu_to_be_32(0x10000 + number),
		       .family = o->family,
		       .proto = IPPROTO_ESP},
		.src = end(o, !out, number),
		.mode = o->transport ? SA_MODE_TRANSPORT : SA_MODE_TUNNEL,
		.if_id = o->transport ? TENANT : 0,
		.flags = SA_REPLAY,
		.reqid = number + 1,
		.replay_window = 64,
		.limits = {.soft_bytes = UINT64_MAX,
			   .hard_bytes = UINT64_MAX,
			   .soft_packets = UINT64_MAX,
			   .hard_packets = UINT64_MAX},
		.suite = (uint8_t)o->suite,
		.salt = {1, 2, 3, 4},
	};

	if (o->udp_encap) {
		p.flags |= SA_ENCAP_UDP;
		p.encap_type = 2; /* UDP_ENCAP_ESPINUDP */
		p.encap_sport = p.encap_dport = RTE_BE16(4500);
	}
	gateway_key(out, number, p.key, p.auth_key);
	return p;
}

/* Inbound, the SPI is of the engine's own choice, as with an IKE daemon. */
static struct sa *
add_sa(struct gateway *g, const struct options *o, bool out, uint32_t number)
{
	struct sa_params p = sa_params(o, out, number);
	struct reason why = {""};

	if (!out)
		sad_alloc_spi(g->dp->sad, &p, 256, UINT32_MAX, 60, &p.id.spi, &why);
	if (sad_add(g->dp->sad, &p, &why) != 0)
		bench_fail("SA %u: %s", number, why.text);
	return sad_find(g->dp->sad, &p.id)->sa;
}

static void
add_policy(struct gateway *g, const struct options *o, bool out, uint32_t number)
{
	struct sa_params sa = sa_params(o, out, number);
	union ip_addr far = gateway_addr(o->family, NET_FAR, number + 1);
	union ip_addr near = gateway_addr(o->family, NET_LAN, HOST_NEXT);
	uint8_t len = o->family == FAMILY_V4 ? 32 : 128;
	struct spd_params p = {
		.id = {.dir = out ? SPD_OUT : SPD_FWD,
		       .if_id = sa.if_id,
		       .sel = {.src = out ? near : far,
			       .dst = out ? far : near,
			       .src_len = len,
			       .dst_len = len,
			       .family = o->family}},
		.action = SPD_PROTECT,
		.tmpl = {.src = sa.src,
			 .dst = sa.id.dst,
			 .family = o->family,
			 .proto = IPPROTO_ESP,
			 .mode = sa.mode,
			 .reqid = number + 1},
	};
	struct reason why = {""};

	if (spd_add(g->dp->spd, &p, false, &why) != 0)
		bench_fail("policy %u: %s", number, why.text);
}

static struct sa **
add_tunnels(struct gateway *g, const struct options *o, bool out)
{
	struct sa **sas = calloc(o->sas, sizeof(*sas));

	if (sas == NULL)
		bench_fail("no memory");
	for (uint32_t i = 0; i < o->sas; i++)
		sas[i] = add_sa(g, o, out, i);
	for (uint32_t i = 0; i < o->policies; i++)
		add_policy(g, o, out, i);
	return sas;
}

void
gateway_start(struct gateway *g, const struct options *o)
{
	struct reason why = {""};

	*g = (struct gateway){.dp = calloc(1, sizeof(*g->dp))};
	make_config(g, o);
	if (eal_start(&g->config, dataplane_memory(&g->config), &why) != 0)
		bench_fail("%s", why.text);
	make_tables(g, o);
	make_links(g, o);
	if (options_carry(o, DIRECTION_OUT))
		g->out = add_tunnels(g, o, true);
	if (options_carry(o, DIRECTION_IN))
		g->in = add_tunnels(g, o, false);
	for (unsigned int i = 0; i < o->workers; i++) {
		struct worker *w = worker_new(g->dp, i, i + 1, &why);

		if (w == NULL)
			bench_fail("%s", why.text);
		w->now = (uint64_t)time(NULL);
		w->tsc = rte_rdtsc();
		g->dp->workers[i] = w;
	}
	g->dp->workers_count = o->workers;
}

void
gateway_stop(struct gateway *g)
{
	struct dataplane *dp = g->dp;

	for (unsigned int i = 0; i < dp->workers_count; i++)
		worker_free(dp->workers[i]);
	waiting_stop(dp);
	sa_wait_stop(dp);
	ports_stop(dp);
	rte_ring_free(dp->acquires);
	neigh_free(dp->neighs);
	fib_free(dp->fib);
	spd_free(dp->spd);
	sad_free(dp->sad);
	reclaim_free(dp->reclaim);
	crypto_ctx_free(g->crypto);
	free(g->out);
	free(g->in);
	free(dp);
}
