/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a fragment: of which datagram it is, which bytes of it it has, and whose it is. All
 * fragments of one datagram are one worker's business, whichever queue they came by.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

struct worker;

/*
 * What fragments of one datagram have in common (RFC 791 section 3.2, RFC 8200 section 4.5). What
 * came from the protected side, from the unprotected one and out of a tunnel never mixes: a
 * stranger's fragment cannot become part of a packet of ours. Without padding, to be compared as
 * bytes.
 */
struct frag_id {
	union ip_addr src, dst;
	uint64_t tenant;
	uint32_t number;
	uint16_t vrf;
	uint8_t proto;  /* IPv4's; of IPv6 it may differ between fragments, and is 0 */
	uint8_t origin; /* enum config_side, and more where it was decrypted, or the host sent it */
};

static_assert(sizeof(struct frag_id) == 48, "no padding");

struct frag {
	struct frag_id id;
	uint32_t payload;    /* bytes in front of the fragment's part of the datagram */
	uint32_t start, end; /* that part */
	bool more;           /* follows behind it */
};

static inline uint64_t
frag_id_hash(const struct frag_id *id, uint64_t seed)
{
	uint64_t words[sizeof(*id) / sizeof(uint64_t)];

	memcpy(words, id, sizeof(words));
	for (unsigned int i = 0; i < RTE_DIM(words); i++)
		seed = chash_mix(seed, words[i]);
	return seed;
}

/* Reads a parsed packet whose packet.fragment is not 0. Any thread. */
void frag_read(const struct worker *w, const struct rte_mbuf *m, struct frag *f);

/* The number of the worker that has all fragments of the datagram of a parsed packet. */
unsigned int frag_worker(const struct worker *w, const struct rte_mbuf *m);

/*
 * The IPv6 fragment header of a parsed packet that has one: bytes in front of it. *next is where
 * the byte stands that says so, the next header field before.
 */
uint32_t frag_header6(const struct rte_mbuf *m, uint32_t *next);
