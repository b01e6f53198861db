/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data plane as a whole: what all its parts share. main.c makes it in the order of
 * dataplane_start()'s list and ends it in the reverse.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "config.h"
#include "crypto/crypto.h"
#include "fib.h"
#include "iface.h"
#include "neigh.h"
#include "port.h"
#include "sadb/reclaim.h"
#include "sadb/sad.h"
#include "sadb/spd.h"

#define WORKERS_MAX 32

struct worker;
struct host;
struct natt;
struct sa_wait;
struct waiting;

struct dataplane {
	const struct config *config;
	struct reclaim *reclaim; /* workers are its threads, by worker number */
	struct sad *sad;
	struct spd *spd;
	struct fib *fib;
	struct neigh_table *neighs;
	struct rte_mempool *pool;       /* made with the ports, to fit their frames */
	struct rte_mempool *large_pool; /* for packets put together of fragments, up to 64 KiB */
	enum crypto_backend backend;

	struct port ports[PORTS_MAX];
	unsigned int ports_count;
	struct iface ifaces[IFACES_MAX];
	unsigned int ifaces_count;
	uint16_t least_mtu; /* of all interfaces */
	struct worker *workers[WORKERS_MAX];
	unsigned int workers_count;

	_Atomic uint32_t sharing; /* not 0 while workers may offer each other batches, spread.h */
	struct host *host;        /* the helper thread of the TAPs */
	struct waiting *waiting;  /* packets without a neighbour, see waiting.h */
	struct sa_wait *sa_wait;  /* packets without an SA, see sa_wait.h */
	struct natt *natt;        /* NAT traversal, natt.h */
	_Atomic uint64_t natt_ports[(UINT16_MAX + 1) / 64]; /* a bit for each, see natt_is_port() */
	struct rte_ring *acquires;    /* struct acquire, from workers to the control thread */
	_Atomic uint32_t ip_ids;      /* identifications given out to workers, see worker_ip_id() */
	uint64_t stalls[WORKERS_MAX]; /* of workers, see stall_log.h; the control thread's */
	_Atomic bool stop;
};

/* A worker's request for an SA: the flow that found none. */
struct acquire {
	uint32_t policy_index;
	struct flow flow;
};

/* Bytes of DPDK's memory that a data plane of this configuration takes, with some to spare. */
size_t dataplane_memory(const struct config *config);

/*
 * Makes everything that a configuration asks for, in order: databases, pool and ports, host
 * interfaces, static routes and neighbours. All or nothing; `crypto` is the control thread's
 * context of `backend`. Workers start last and separately (workers_start()), once the kernel's
 * routes are read.
 */
struct dataplane *dataplane_new(const struct config *config, struct crypto_ctx *crypto,
				enum crypto_backend backend, struct reason *why);
void dataplane_free(struct dataplane *dp); /* workers have been stopped */

/* The VRF in which an address is the host's, or -1. */
int dataplane_vrf(const struct dataplane *dp, uint8_t family, const union ip_addr *addr);
