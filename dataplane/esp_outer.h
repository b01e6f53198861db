/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outer header of tunnel mode (RFC 4301 section 5.1.2), from the SA's template, whose IPv4
 * checksum field holds the sum of the rest.
 */
#pragma once

#include <string.h>

#include <rte_ip.h>
#include <rte_udp.h>

#include "checksum.h"
#include "esp.h"
#include "tos.h"
#include "worker.h"

/* DSCP and ECN (RFC 6040 section 4.1, normal mode) as the SA says. */
static inline uint8_t
outer_tos_mask(const struct sa *sa)
{
	uint8_t dscp = (sa->flags & SA_DONT_ENCAP_DSCP) != 0 ? 0 : DSCP_MASK;

	return dscp | ((sa->flags & SA_NOECN) != 0 ? 0 : ECN_MASK);
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
 * The identification of an outer IPv4 header. What nobody may cut needs none (RFC 6864
 * section 4.1): the others last longer so. AH covers it, so that none can be given later, should
 * the packet be cut here (fragment_sealed()).
 */
static inline uint16_t
outer_ip_id(struct worker *w, const struct sa *sa, uint16_t df)
{
	return df != 0 && sa->proto != IPPROTO_AH ? 0 : (uint16_t)worker_ip_id(w);
}

/*
 * Writes the header at `at`, which makes a packet of `len` bytes: template, lengths, TOS and
 * checksum. Nothing is read back that was just written in other pieces: that would stall.
 */
static inline void
outer_write(struct worker *w, const struct sa *sa, uint8_t *at, uint16_t len, const uint8_t *inner,
	    uint8_t inner_family)
{
	const uint8_t *made = sa_outer(sa);
	const uint16_t flags = sa->flags;
	uint64_t tos = tos_get(inner, inner_family), first;
	uint16_t ip_len = sizeof(struct rte_ipv4_hdr);
	rte_be64_t word;

	if (unlikely((flags & (SA_DONT_ENCAP_DSCP | SA_NOECN)) != 0))
		tos &= outer_tos_mask(sa);
	memcpy(&word, made, sizeof(word));
	first = rte_be_to_cpu_64(word);
	outer_copy(at, made, sa->outer_len);
	if (likely(sa->family == FAMILY_V4)) {
		uint16_t df = esp_outer_df(flags, inner, inner_family) ? RTE_IPV4_HDR_DF_FLAG : 0;
		uint16_t id = outer_ip_id(w, sa, df);
		uint32_t sum = rte_be_to_cpu_16(((const struct rte_ipv4_hdr *)made)->hdr_checksum);

		sum += (uint32_t)tos + len + id + df;
		first |= tos << 48 | (uint64_t)len << 32 | (uint64_t)id << 16 | df;
		sum = (sum & 0xffff) + (sum >> 16);
		sum += sum >> 16;
		((struct rte_ipv4_hdr *)at)->hdr_checksum = rte_cpu_to_be_16((uint16_t)~sum);
	} else {
		ip_len = sizeof(struct rte_ipv6_hdr);
		first |= tos << 52 | (uint64_t)(len - ip_len) << 16;
	}
	word = rte_cpu_to_be_64(first);
	memcpy(at, &word, sizeof(word));
	if (unlikely((flags & SA_ENCAP_UDP) != 0))
		((struct rte_udp_hdr *)(at + ip_len))->dgram_len =
			rte_cpu_to_be_16((uint16_t)(len - ip_len));
}
