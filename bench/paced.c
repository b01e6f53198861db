/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sealaned-paced: the daemon, the whole of it, between a source and a sink in memory. The link puts
 * this file between the daemon and two functions of its ports; everything else is what runs
 * anywhere, workers, control thread and sockets. bench/changes.py runs it.
 *
 * The first port receives UDP to one host after the other of 10.0.0.0 and up, and the second sends.
 * Packets come by the clock, to the first worker, into a ring as long as a NIC's. What finds it
 * full is lost, and counts as the port's `rx_missed`. Clear text that is about to leave ends the
 * program.
 *
 *     SEALANE_PACKETS   a second; 0: whenever they are asked for
 *     SEALANE_HOSTS     how many
 *     SEALANE_SIZE      bytes of an IP packet
 *     SEALANE_ORDER     1: numbers of an SA that leave out of order end the program, too
 *     SEALANE_HURRY     the minute in which a worker remembers long turns is so many times shorter
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_esp.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/dataplane.h"
#include "dataplane/room.h"
#include "dataplane/turns.h"

#define RING       4096
#define FIRST_HOST 0x0a000000

struct headers {
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
};

static_assert(sizeof(struct headers) == 14 + 20 + 8, "headers stand as on the wire");

/* The first worker's, but for `missed`. */
static struct {
	void *queue; /* the one that packets come by */
	struct rte_mempool *pool;
	struct headers headers;
	uint64_t rate, begin; /* packets a second, TSC */
	uint64_t came;        /* given to the worker, or missed */
	uint64_t missed;      /* written by the worker, read by the control thread */
	uint32_t hosts, host;
	uint16_t size, in; /* the port that it plays */
	uint64_t hurry;
	bool order; /* of numbers is looked at */
} wire;

/* By the low bits of an SPI: the SPI, and the number that left last, whichever worker sent it. */
static _Atomic uint64_t last[1 << 16];

int __real_ports_start(struct dataplane *dp, struct reason *why);
int __wrap_ports_start(struct dataplane *dp, struct reason *why);
struct rte_eth_stats __real_port_stats(struct port *port);
struct rte_eth_stats __wrap_port_stats(struct port *port);
uint64_t __real_turns_start(struct turns *t, uint64_t seconds, uint64_t hz);
uint64_t __wrap_turns_start(struct turns *t, uint64_t seconds, uint64_t hz);
void __real_turns_clock(struct turns *t, uint64_t seconds);
void __wrap_turns_clock(struct turns *t, uint64_t seconds);
uint64_t __real_turns_longest(const struct turns *t, enum turn kind, uint64_t seconds);
uint64_t __wrap_turns_longest(const struct turns *t, enum turn kind, uint64_t seconds);
uint64_t __real_turns_long(const struct turns *t, uint64_t seconds);
uint64_t __wrap_turns_long(const struct turns *t, uint64_t seconds);

static uint64_t
setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

/* How many are in the ring. */
static uint64_t
arrived(void)
{
	uint64_t tsc = rte_rdtsc(), due;

	if (wire.begin == 0)
		wire.begin = tsc;
	due = (uint64_t)((double)(tsc - wire.begin) * (double)wire.rate /
			 (double)rte_get_tsc_hz()) -
	      wire.came;
	if (due > RING) {
		wire.came += due - RING;
		__atomic_store_n(&wire.missed, wire.missed + due - RING, __ATOMIC_RELAXED);
		due = RING;
	}
	return due;
}

static void
fill(struct rte_mbuf *m)
{
	struct headers *h;

	room_open(m);
	h = rte_pktmbuf_mtod(m, struct headers *);
	memcpy(h, &wire.headers, sizeof(*h));
	h->ip.dst_addr = rte_cpu_to_be_32(FIRST_HOST + wire.host);
	h->ip.hdr_checksum = rte_ipv4_cksum(&h->ip);
	wire.host = wire.host + 1 < wire.hosts ? wire.host + 1 : 0;
	m->data_len = (uint16_t)(sizeof(h->ether) + wire.size);
	m->pkt_len = m->data_len;
	m->port = wire.in;
}

static uint16_t
source(void *queue, struct rte_mbuf **frames, uint16_t n)
{
	uint64_t most = wire.rate != 0 ? arrived() : n;

	if (queue != wire.queue)
		return 0;
	if (most < n)
		n = (uint16_t)most;
	if (n == 0 || rte_pktmbuf_alloc_bulk(wire.pool, frames, n) != 0)
		return 0;
	for (uint16_t i = 0; i < n; i++)
		fill(frames[i]);
	wire.came += n;
	return n;
}

static bool
is_clear(const struct rte_mbuf *m)
{
	const struct headers *h = rte_pktmbuf_mtod(m, const struct headers *);

	return h->ether.ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
	       h->ip.next_proto_id != IPPROTO_ESP;
}

/* ESP whose number is not greater than the last one of its SA. */
static bool
is_late(const struct rte_mbuf *m)
{
	const struct headers *h = rte_pktmbuf_mtod(m, const struct headers *);
	const struct rte_esp_hdr *esp = (const struct rte_esp_hdr *)&h->udp;
	uint32_t spi = rte_be_to_cpu_32(esp->spi), seq = rte_be_to_cpu_32(esp->seq);
	uint64_t before;

	if (h->ip.next_proto_id != IPPROTO_ESP)
		return false;
	before = atomic_exchange(&last[spi % RTE_DIM(last)], (uint64_t)spi << 32 | seq);
	return before >> 32 == spi && (uint32_t)before >= seq;
}

static uint16_t
sink(void *queue, struct rte_mbuf **frames, uint16_t n)
{
	(void)queue;
	for (uint16_t i = 0; i < n; i++)
		if (is_clear(frames[i])) {
			fputs("sealaned-paced: clear text leaves\n", stderr);
			abort();
		} else if (wire.order && is_late(frames[i])) {
			fputs("sealaned-paced: numbers leave out of order\n", stderr);
			abort();
		}
	rte_pktmbuf_free_bulk(frames, n);
	return n;
}

static uint16_t
nothing(void *queue, struct rte_mbuf **frames, uint16_t n)
{
	(void)queue;
	(void)frames;
	(void)n;
	return 0;
}

static void
prepare(const struct dataplane *dp)
{
	struct headers *h = &wire.headers;

	wire.rate = setting("SEALANE_PACKETS", 0);
	wire.hosts = (uint32_t)setting("SEALANE_HOSTS", 1000);
	wire.size = (uint16_t)setting("SEALANE_SIZE", 512);
	wire.hurry = setting("SEALANE_HURRY", 1);
	wire.order = setting("SEALANE_ORDER", 0) != 0;
	wire.pool = dp->pool;
	wire.in = dp->ports[0].ethdev;
	wire.queue = rte_eth_fp_ops[wire.in].rxq.data[0];
	rte_eth_macaddr_get(wire.in, &h->ether.dst_addr);
	h->ether.src_addr = (struct rte_ether_addr){{0x02, 0, 0, 0, 0, 0x42}};
	h->ether.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	h->ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF,
				      .total_length = rte_cpu_to_be_16(wire.size),
				      .time_to_live = 64,
				      .next_proto_id = IPPROTO_UDP,
				      .src_addr = RTE_BE32(0xac100002)};
	h->udp.dgram_len = rte_cpu_to_be_16((uint16_t)(wire.size - sizeof(h->ip)));
}

int
__wrap_ports_start(struct dataplane *dp, struct reason *why)
{
	int error = __real_ports_start(dp, why);

	if (error)
		return error;
	prepare(dp);
	rte_eth_fp_ops[dp->ports[0].ethdev].rx_pkt_burst = source;
	rte_eth_fp_ops[dp->ports[1].ethdev].rx_pkt_burst = nothing;
	rte_eth_fp_ops[dp->ports[0].ethdev].tx_pkt_burst = sink;
	rte_eth_fp_ops[dp->ports[1].ethdev].tx_pkt_burst = sink;
	return 0;
}

struct rte_eth_stats
__wrap_port_stats(struct port *port)
{
	struct rte_eth_stats stats = __real_port_stats(port);

	if (port->ethdev == wire.in)
		stats.imissed = __atomic_load_n(&wire.missed, __ATOMIC_RELAXED);
	return stats;
}

/* Seconds, for whoever notes turns: ports are there before the workers. */

uint64_t
__wrap_turns_start(struct turns *t, uint64_t seconds, uint64_t hz)
{
	return __real_turns_start(t, seconds * wire.hurry, hz);
}

void
__wrap_turns_clock(struct turns *t, uint64_t seconds)
{
	__real_turns_clock(t, seconds * wire.hurry);
}

uint64_t
__wrap_turns_longest(const struct turns *t, enum turn kind, uint64_t seconds)
{
	return __real_turns_longest(t, kind, seconds * wire.hurry);
}

uint64_t
__wrap_turns_long(const struct turns *t, uint64_t seconds)
{
	return __real_turns_long(t, seconds * wire.hurry);
}
