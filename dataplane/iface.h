/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interfaces: what routes lead to. A port (a DPDK ethdev) is one, and each of its 802.1Q sub-ports
 * is another. Every interface has a TAP of its own in the kernel, the host interface.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_ring.h>

#include "config.h"
#include "sadb/addr.h"

#define IFACES_MAX      256
#define IFACE_NONE      UINT16_MAX
#define IFACE_ADDRS_MAX 16

struct iface {
	char name[32];
	uint16_t number;    /* its index in dataplane.ifaces */
	uint16_t port;      /* index in dataplane.ports */
	uint16_t vlan;      /* 802.1Q id, 0 untagged */
	uint16_t mtu;       /* of IP packets */
	uint8_t side;       /* enum config_side */
	uint64_t tenant;    /* sadb/tenant.h: what policies and SAs its packets leave by, */
	uint64_t tenant_in; /* and those of decrypted packets that are routed in its table */
	uint32_t table;     /* kernel routing table */
	uint16_t vrf;       /* the FIB's number for that table */
	struct rte_ether_addr mac;
	_Atomic bool up; /* the host interface is up and the port has carrier: the rtnl follower */
	/* The source of our ICMP errors: the first address of each family, any while none. */
	struct {
		_Atomic uint64_t half[2]; /* union ip_addr; v4 in [0], read on its own */
	} addr4, addr6;

	/* The host interface. Owned by the host thread (host.c) but for the ring's ends. */
	char host_name[16];
	int tap_fd;
	int ifindex;              /* of the TAP, as rtnetlink names it */
	struct rte_ring *to_host; /* frames from any worker to the host thread */
};
