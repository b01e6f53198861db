/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data plane that is measured: real ports of a driver that moves nothing (the wire puts its own
 * functions there), real tables, workers, SAs and policies. Interface 0 is protected (LAN),
 * interface 1 unprotected (WAN). SA and policy number i belong to host i behind peer i.
 *
 * Transport mode is for hosts, whose packets end here. So that they go all the way as in tunnel
 * mode, they are a tenant's: their addresses are this host's on the unprotected side, and those of
 * hosts on the LAN in the tenant's routing table.
 */
#pragma once

#include "dataplane/worker.h"
#include "options.h"

enum { LAN, WAN, SIDES };

struct gateway {
	struct config config;
	struct config_port ports[SIDES];
	unsigned int cores[WORKERS_MAX];
	struct crypto_ctx *crypto;
	struct dataplane *dp;
	struct sa **out, **in; /* by number */
};

enum net { NET_LAN, NET_WAN, NET_FAR, NET_PEERS };

#define HOST_SELF 1 /* of the LAN and WAN: us, and who is beyond us */
#define HOST_NEXT 2

union ip_addr gateway_addr(uint8_t family, enum net net, uint32_t host);

/* The raw key of an SA. `key` and `auth_key` have SAD_KEY_MAX bytes. */
void gateway_key(bool out, uint32_t number, uint8_t *key, uint8_t *auth_key);

/* Starts DPDK and makes everything; ends the program where that fails. */
void gateway_start(struct gateway *g, const struct options *o);
void gateway_stop(struct gateway *g);

void __attribute__((noreturn, format(printf, 1, 2))) bench_fail(const char *format, ...);
