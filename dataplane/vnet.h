/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports on an interface of the kernel, with what its hosts leave to a network card: the device
 * "vnet0,iface=NAME". A veth's other end, a bridge or a tunnel interface sends frames of up to 64
 * KiB that a card would cut, with checksums that a card would complete, and takes such frames; a
 * kernel that has to pass every segment by itself is what net_af_packet spends most of its time on.
 *
 * To DPDK it is a port of net_null, whose queues have callbacks: they receive from a packet
 * socket's ring, cutting long frames as they are copied into buffers, and send by sendmmsg(),
 * putting segments together that stand in a row. Stages see frames as on a wire.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ethdev.h>

#include "crypto/reason.h"

struct rte_mempool;
struct vnet;

/* Whether a port's device is one of these. */
bool vnet_is(const char *device);

/* The DPDK device that such a device is to be known by. */
void vnet_device(const char *device, char *name, size_t size);

/* Opens the interface. Control thread, privileged. */
int vnet_open(const char *device, struct vnet **made, struct reason *why);
void vnet_close(struct vnet *v); /* NULL as well */

unsigned int vnet_ifindex(const struct vnet *v);

/*
 * The configured port of that DPDK id sends and receives by it from now on, on queue 0, with
 * buffers of the pool. 0 or -errno.
 */
int vnet_start(struct vnet *v, uint16_t ethdev, struct rte_mempool *pool);

/* Adds what was lost beside what the kernel counts (packet_socket.h) to the port's errors. */
void vnet_count(const struct vnet *v, struct rte_eth_stats *stats);
