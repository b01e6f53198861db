/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sealane-feed: the wires of an engine that bench/ports.py measures. Sends UDP packets by the first
 * device as fast as that takes them, and throws away what comes by any.
 *
 *     sealane-feed CORE BYTES clear|esp MAC DEVICE...
 *
 * BYTES of an IP packet, for the gateway with that MAC address: from 10.1.0.2 to 10.2.0.2, or from
 * there to here in ESP with AES-GCM-128, number after number. Ends by SIGTERM.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "crypto/crypto.h"

#define BURST       64
#define DESCRIPTORS 1024
#define BUFFERS     16383
#define DEVICES_MAX 4
#define KEY_BYTE    0x5a /* each of key and salt */

struct datagram {
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
};

/* RFC 4303 section 2, RFC 4106 section 3. */
struct esp {
	struct rte_ipv4_hdr ip;
	rte_be32_t spi, seq;
	rte_be64_t iv;
	uint8_t text[];
} __rte_packed;

struct feed {
	struct rte_mempool *pool;
	uint8_t frame[RTE_ETHER_MAX_LEN]; /* each is this one, but for numbers */
	uint16_t length;
	bool esp;
	uint16_t text_len; /* what is encrypted */
	uint64_t sent;
	struct crypto_ctx *crypto;
	int suite;
	uint8_t key[CRYPTO_EXPANDED_MAX] __rte_aligned(64);
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

static struct rte_ipv4_hdr
make_ip(uint8_t protocol, uint16_t length, uint32_t from, uint32_t to)
{
	struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
				  .total_length = rte_cpu_to_be_16(length),
				  .time_to_live = 64,
				  .next_proto_id = protocol,
				  .src_addr = rte_cpu_to_be_32(from),
				  .dst_addr = rte_cpu_to_be_32(to)};

	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	return ip;
}

static void
make_datagram(uint8_t *at, uint16_t size, uint32_t from, uint32_t to)
{
	struct datagram d = {
		.ip = make_ip(IPPROTO_UDP, size, from, to),
		.udp = {.src_port = RTE_BE16(4000),
			.dst_port = RTE_BE16(5000),
			.dgram_len = rte_cpu_to_be_16((uint16_t)(size - sizeof(d.ip)))},
	};

	memcpy(at, &d, sizeof(d));
}

/* All of an ESP packet that no number changes: headers, the datagram, padding and trailer. */
static uint16_t
make_esp(struct feed *f, uint8_t *at, uint16_t size)
{
	uint8_t pad_len = (uint8_t)((4 - (size + 2) % 4) % 4);
	struct esp *esp = (struct esp *)at;
	uint16_t length;

	f->text_len = (uint16_t)(size + pad_len + 2);
	length = (uint16_t)(sizeof(*esp) + f->text_len + crypto_suites[f->suite].icv_len);
	esp->ip = make_ip(IPPROTO_ESP, length, RTE_IPV4(192, 0, 2, 2), RTE_IPV4(192, 0, 2, 1));
	esp->spi = RTE_BE32(4097);
	make_datagram(esp->text, size, RTE_IPV4(10, 2, 0, 2), RTE_IPV4(10, 1, 0, 2));
	for (uint8_t i = 1; i <= pad_len; i++)
		esp->text[size + i - 1] = i;
	esp->text[f->text_len - 2] = pad_len;
	esp->text[f->text_len - 1] = IPPROTO_IPIP;
	return length;
}

static void
make_frame(struct feed *f, uint16_t size, const char *mac)
{
	struct rte_ether_hdr ether = {.src_addr = {{0x02, 0, 0, 0, 0, 0x42}},
				      .ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4)};
	uint8_t *packet = f->frame + sizeof(ether);

	if (rte_ether_unformat_addr(mac, &ether.dst_addr) != 0 || size < sizeof(struct datagram) ||
	    size > RTE_ETHER_MTU - 64)
		exit(EXIT_FAILURE);
	memcpy(f->frame, &ether, sizeof(ether));
	f->length = size;
	if (f->esp)
		f->length = make_esp(f, packet, size);
	else
		make_datagram(packet, size, RTE_IPV4(10, 1, 0, 2), RTE_IPV4(10, 2, 0, 2));
	f->length = (uint16_t)(f->length + sizeof(ether));
}

static void
start_crypto(struct feed *f)
{
	uint8_t key[16];
	struct reason why;

	f->crypto = crypto_ctx_new(CRYPTO_IPSEC_MB, &why);
	if (f->crypto == NULL)
		exit(EXIT_FAILURE);
	memset(key, KEY_BYTE, sizeof(key));
	f->suite = crypto_suite_by_name("aes128gcm16");
	crypto_key_expand(f->crypto, (unsigned int)f->suite, key, NULL, f->key);
}

static void
number(struct feed *f, struct esp *esp, struct crypto_op *op)
{
	esp->seq = rte_cpu_to_be_32((uint32_t)++f->sent);
	esp->iv = rte_cpu_to_be_64(f->sent);
	*op = (struct crypto_op){.suite = (uint8_t)f->suite,
				 .key = f->key,
				 .auth = (uint8_t *)&esp->spi,
				 .auth_len = 8,
				 .text = esp->text,
				 .text_len = f->text_len,
				 .icv = esp->text + f->text_len};
	memset(op->iv, KEY_BYTE, 4);
	memcpy(op->iv + 4, &esp->iv, sizeof(esp->iv));
}

static void
send_burst(struct feed *f)
{
	struct crypto_op ops[BURST];
	struct rte_mbuf *m[BURST];
	unsigned int sent;

	if (rte_pktmbuf_alloc_bulk(f->pool, m, BURST) != 0)
		return;
	for (unsigned int i = 0; i < BURST; i++) {
		uint8_t *frame = memcpy(rte_pktmbuf_append(m[i], f->length), f->frame, f->length);

		if (f->esp)
			number(f, (struct esp *)(frame + sizeof(struct rte_ether_hdr)), &ops[i]);
	}
	if (f->esp)
		crypto_seal(f->crypto, ops, BURST);
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
	unsigned int ports = (unsigned int)argc - 5;
	static struct feed f;

	if (argc < 6 || ports > DEVICES_MAX) {
		fprintf(stderr, "usage: sealane-feed CORE BYTES clear|esp MAC DEVICE...\n");
		return EXIT_FAILURE;
	}
	start_eal(argv[1], argv + 5, ports);
	f.esp = strcmp(argv[3], "esp") == 0;
	if (f.esp)
		start_crypto(&f);
	make_frame(&f, (uint16_t)atoi(argv[2]), argv[4]);
	f.pool = rte_pktmbuf_pool_create("feed", BUFFERS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					 SOCKET_ID_ANY);
	for (uint16_t port = 0; port < ports; port++)
		start_port(port, f.pool);
	signal(SIGTERM, on_signal);
	while (!stop) {
		send_burst(&f);
		for (uint16_t port = 0; port < ports; port++)
			receive_burst(port);
	}
	for (uint16_t port = 0; port < ports; port++)
		rte_eth_dev_stop(port);
	return rte_eal_cleanup();
}
