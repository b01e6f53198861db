/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports: DPDK ethdevs, any driver. Each worker has a receive and a transmit queue where the port
 * has that many; of a port with fewer, some workers own the queues and the rest hand over.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ethdev.h>
#include <rte_ether.h>

#include "config.h"
#include "crypto/reason.h"

#define PORTS_MAX 32

/* Buffers of 64 KiB, for what is put together of fragments and fits no other. */
#define LARGE_PACKETS 63

struct dataplane;
struct rte_mempool;
struct vnet;

struct port {
	const struct config_port *config;
	uint16_t number;   /* index in dataplane.ports */
	uint16_t ethdev;   /* DPDK's port id */
	struct vnet *vnet; /* where it is one, else NULL (vnet.h) */
	uint16_t rx_queues,
		tx_queues;    /* at most one per worker: worker w has queue w if it exists */
	uint16_t mtu;         /* of IP packets */
	uint64_t tx_offloads; /* RTE_ETH_TX_OFFLOAD_* that were enabled */
	bool rx_csum;         /* the port says whether IPv4 checksums are good */
	bool rx_partial;      /* a veth's frames may carry pseudo-header checksums, unmarked */
	uint32_t max_frame;   /* bytes that a frame may have on the way out, L2 included */
	/* The kernel's interface below, where the driver does not know its carrier; else 0. */
	unsigned int lower;
	bool lower_up;   /* what the rtnl follower says of it; the control thread's */
	uint64_t missed; /* frames, where the driver does not count them; the control thread's */
	struct rte_ether_addr mac;
	uint16_t iface;            /* of untagged frames */
	uint16_t vlan_iface[4096]; /* by 802.1Q id, IFACE_NONE where there is no sub-port */
};

/*
 * Probes, configures and starts every port of the configuration and makes the interfaces of
 * dataplane.ifaces (without their TAPs). All or nothing; the reason names the port.
 */
int ports_start(struct dataplane *dp, struct reason *why);
void ports_stop(struct dataplane *dp);

/* A pool of `count` packet buffers with `room` bytes for each frame; NULL with the reason. */
struct rte_mempool *packet_pool_new(unsigned int count, unsigned int room, int socket,
				    struct reason *why);

/* What the driver counts, with what the kernel below it missed. Control thread. */
struct rte_eth_stats port_stats(struct port *port);

/* Whether the port has carrier. Control thread. */
bool port_link_up(const struct port *port);
