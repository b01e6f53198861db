/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outer header of tunnel mode (RFC 4301 section 5.1.2), from the SA's template. What is the
 * same for all packets of an SA is worked out once for a run of them.
 */
#pragma once

#include <string.h>

#include <rte_ip.h>
#include <rte_udp.h>

#include "checksum.h"
#include "esp.h"
#include "tos.h"
#include "worker.h"

struct outer {
	const uint8_t *made; /* the template, good for this run */
	uint64_t first;      /* its first 8 bytes as a number, to which a packet's own are added */
	uint16_t sum;        /* of its IPv4 header */
	uint16_t flags;      /* the SA's */
	uint8_t len;         /* up to ESP's, or AH's, number */
	uint8_t tos_mask;    /* what of the inner TOS is copied */
	bool v4, udp;
	bool counts_all; /* those with DF have an identification, too */
};

/* DSCP and ECN (RFC 6040 section 4.1, normal mode) as the SA says. */
static inline uint8_t
outer_tos_mask(const struct sa *sa)
{
	uint8_t dscp = (sa->flags & SA_DONT_ENCAP_DSCP) != 0 ? 0 : DSCP_MASK;

	return dscp | ((sa->flags & SA_NOECN) != 0 ? 0 : ECN_MASK);
}

static inline void
outer_begin(struct outer *o, const struct sa *sa)
{
	rte_be64_t first;

	o->made = sa_outer(sa);
	memcpy(&first, o->made, sizeof(first));
	o->first = rte_be_to_cpu_64(first);
	o->len = sa->outer_len;
	o->v4 = sa->family == FAMILY_V4;
	o->sum = o->v4 ? rte_be_to_cpu_16(checksum_sum_ipv4(o->made, 0)) : 0;
	o->udp = (sa->flags & SA_ENCAP_UDP) != 0;
	o->tos_mask = outer_tos_mask(sa);
	o->flags = sa->flags;
	/*
	 * What nobody may cut needs none (RFC 6864 section 4.1): the others last longer so. AH
	 * covers it, so that none can be given later, should the packet be cut here
	 * (fragment_sealed()).
	 */
	o->counts_all = sa->proto == IPPROTO_AH;
}

/* Of 16 to 64 bytes, by parts that overlap. */
static inline void
outer_copy(uint8_t *to, const uint8_t *from, uint32_t len)
{
	if (unlikely(len > 32)) {
		memcpy(to + 16, from + 16, 16);
		memcpy(to + len - 32, from + len - 32, 16);
	}
	memcpy(to, from, 16);
	memcpy(to + len - 16, from + len - 16, 16);
}

/*
 * Writes the header at `at`, which makes a packet of `len` bytes: template, lengths, TOS and
 * checksum. Nothing is read back that was just written in other pieces: that would stall.
 */
static inline void
outer_write(struct worker *w, const struct outer *o, uint8_t *at, uint16_t len,
	    const uint8_t *inner, uint8_t inner_family)
{
	uint64_t tos = tos_get(inner, inner_family) & o->tos_mask, first;
	uint16_t ip_len = sizeof(struct rte_ipv4_hdr);
	rte_be64_t word;

	outer_copy(at, o->made, o->len);
	if (likely(o->v4)) {
		uint16_t df =
			esp_outer_df(o->flags, inner, inner_family) ? RTE_IPV4_HDR_DF_FLAG : 0;
		uint16_t id = df != 0 && !o->counts_all ? 0 : (uint16_t)worker_ip_id(w);
		uint32_t sum = o->sum + (uint32_t)tos + len + id + df;

		first = o->first | tos << 48 | (uint64_t)len << 32 | (uint64_t)id << 16 | df;
		sum = (sum & 0xffff) + (sum >> 16);
		sum += sum >> 16;
		((struct rte_ipv4_hdr *)at)->hdr_checksum = rte_cpu_to_be_16((uint16_t)~sum);
	} else {
		ip_len = sizeof(struct rte_ipv6_hdr);
		first = o->first | tos << 52 | (uint64_t)(len - ip_len) << 16;
	}
	word = rte_cpu_to_be_64(first);
	memcpy(at, &word, sizeof(word));
	if (unlikely(o->udp))
		((struct rte_udp_hdr *)(at + ip_len))->dgram_len =
			rte_cpu_to_be_16((uint16_t)(len - ip_len));
}
