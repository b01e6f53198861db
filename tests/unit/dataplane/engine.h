/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A data plane for tests: real ports (rings in place of wires), workers driven by hand, real tables
 * and policies; no kernel, no root. Interface 0 is "lan" (protected, 10.1.0.1/16), 1 its sub-port
 * "lan7" (VLAN 7, 10.7.0.1/16), 2 is "wan" (unprotected, 192.0.2.1/24); 10.2.0.0/16 is behind
 * 192.0.2.2. IPv6 likewise: 2001:db8:1::/48, :7::/48 and :99::/48, and :2::/48 behind :99::2.
 */
#pragma once

#include <stdint.h>

#include "dataplane/worker.h"

enum { LAN, LAN7, WAN, ENGINE_IFACES };

#define LAN_HOST  0x0a010002u /* 10.1.0.2, resolved */
#define LAN7_HOST 0x0a070002u
#define FAR_HOST  0x0a020003u /* 10.2.0.3, behind the peer */
#define WAN_PEER  0xc0000202u /* 192.0.2.2, resolved */
#define WAN_SELF  0xc0000201u
#define LAN_SELF  0x0a010001u

struct engine {
	struct config config;
	struct config_port ports[2];
	struct config_vlan vlan;
	struct crypto_ctx *crypto;
	struct dataplane *dp;
	struct rte_ring *to_port[2], *from_port[2]; /* the wires: port 0 lan, 1 wan */
};

/* Once for the program: EAL without huge pages, devices or files. */
void engine_eal(void);

/* Makes an engine whose policies let everything pass; ends with the pool full, or fails. */
void engine_start(struct engine *e, unsigned int workers);
void engine_stop(struct engine *e);

/* A frame for a port's wire, in a buffer of the engine's pool. */
struct rte_mbuf *engine_frame(struct engine *e, const void *data, size_t len);
void engine_receive(struct engine *e, unsigned int port, struct rte_mbuf *m);

/* Lets the workers turn until nothing moves any more. */
void engine_settle(struct engine *e);

/* The time between a worker's reviews (balance.h) passes, in which it was so busy. */
void engine_pass_busy(struct worker *w, uint64_t percent);

/* What came out: of a port, or for the host. NULL for nothing. The caller frees it. */
struct rte_mbuf *engine_sent(struct engine *e, unsigned int port);
struct rte_mbuf *engine_punted(struct engine *e, unsigned int iface);

/* Throws away what came out, of ports and for the host. */
void engine_drain(struct engine *e);

/* Sends one frame in at a port; returns how it ended: a drop reason, or DROP_COUNT. */
enum drop_reason engine_fate(struct engine *e, unsigned int port, const void *data, size_t len);

/* Fails unless the counters' equation holds. */
void engine_check(const struct engine *e);

/* The Ethernet header that the port's peer writes to us. Returns 14. */
size_t engine_put_l2(const struct engine *e, uint8_t *at, unsigned int port, uint16_t type);
