/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sealane-feed: the wires of an engine that bench/ports.py measures. Sends UDP packets by the first
 * device as fast as that takes them, and throws away what comes by any.
 *
 *     sealane-feed CORE BYTES MAC DEVICE...
 *
 * BYTES of an IP packet, from 10.1.0.2 to 10.2.0.2, for the gateway with that MAC address. Ends by
 * SIGTERM.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_udp.h>

#define BURST       64
#define DESCRIPTORS 1024
#define BUFFERS     16383
#define DEVICES_MAX 4

struct headers {
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
};

static volatile sig_atomic_t stop;

static void
on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void
start_eal(const char *core, char **devices, unsigned int count)
{
	char prefix[64], vdev[DEVICES_MAX][256];
	char *args[16] = {
		"sealane-feed", "-l",       (char *)(uintptr_t)core, "--no-huge",   "-m",
		"128",          "--no-pci", "--no-telemetry",        "--no-shconf", prefix};
	int n = 10;

	snprintf(prefix, sizeof(prefix), "--file-prefix=feed-%d", getpid());
	for (unsigned int i = 0; i < count; i++) {
		snprintf(vdev[i], sizeof(vdev[i]), "--vdev=%s", devices[i]);
		args[n++] = vdev[i];
	}
	if (rte_eal_init(n, args) < 0)
		exit(EXIT_FAILURE);
}

static void
start_port(uint16_t port, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {.rxmode.mtu = RTE_ETHER_MTU};

	if (rte_eth_dev_configure(port, 1, 1, &conf) != 0 ||
	    rte_eth_rx_queue_setup(port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, pool) != 0 ||
	    rte_eth_tx_queue_setup(port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL) != 0 ||
	    rte_eth_dev_start(port) != 0) {
		fprintf(stderr, "sealane-feed: port %u does not start\n", port);
		exit(EXIT_FAILURE);
	}
}

static struct headers
make_headers(uint16_t size, const char *mac)
{
	struct headers h = {
		.ether = {.src_addr = {{0x02, 0, 0, 0, 0, 0x42}},
			  .ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4)},
		.ip = {.version_ihl = RTE_IPV4_VHL_DEF,
		       .total_length = rte_cpu_to_be_16(size),
		       .time_to_live = 64,
		       .next_proto_id = IPPROTO_UDP,
		       .src_addr = RTE_BE32(0x0a010002),
		       .dst_addr = RTE_BE32(0x0a020002)},
		.udp = {.src_port = RTE_BE16(4000),
			.dst_port = RTE_BE16(5000),
			.dgram_len = rte_cpu_to_be_16((uint16_t)(size - sizeof(h.ip)))},
	};

	if (rte_ether_unformat_addr(mac, &h.ether.dst_addr) != 0)
		exit(EXIT_FAILURE);
	h.ip.hdr_checksum = rte_ipv4_cksum(&h.ip);
	return h;
}

static void
send_burst(struct rte_mempool *pool, const struct headers *h, uint16_t size)
{
	struct rte_mbuf *m[BURST];
	unsigned int sent;

	if (rte_pktmbuf_alloc_bulk(pool, m, BURST) != 0)
		return;
	for (unsigned int i = 0; i < BURST; i++)
		memcpy(rte_pktmbuf_append(m[i], (uint16_t)(sizeof(h->ether) + size)), h,
		       sizeof(*h));
	sent = rte_eth_tx_burst(0, 0, m, BURST);
	rte_pktmbuf_free_bulk(m + sent, BURST - sent);
}

static void
receive_burst(uint16_t port)
{
	struct rte_mbuf *m[BURST];

	rte_pktmbuf_free_bulk(m, rte_eth_rx_burst(port, 0, m, BURST));
}

int
main(int argc, char **argv)
{
	unsigned int ports = (unsigned int)argc - 4;
	struct rte_mempool *pool;
	struct headers headers;
	uint16_t size;

	if (argc < 5 || ports > DEVICES_MAX) {
		fprintf(stderr, "usage: sealane-feed CORE BYTES MAC DEVICE...\n");
		return EXIT_FAILURE;
	}
	start_eal(argv[1], argv + 4, ports);
	size = (uint16_t)atoi(argv[2]);
	headers = make_headers(size, argv[3]);
	pool = rte_pktmbuf_pool_create("feed", BUFFERS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	for (uint16_t port = 0; port < ports; port++)
		start_port(port, pool);
	signal(SIGTERM, on_signal);
	while (!stop) {
		send_burst(pool, &headers, size);
		for (uint16_t port = 0; port < ports; port++)
			receive_burst(port);
	}
	for (uint16_t port = 0; port < ports; port++)
		rte_eth_dev_stop(port);
	return rte_eal_cleanup();
}
