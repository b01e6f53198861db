/* SPDX-License-Identifier: BSD-3-Clause */
/* ESP on the wire (RFC 4303 section 2), and the arithmetic of its trailer. */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <rte_ip.h>

#include "sadb/sa.h"

struct esp_header {
	rte_be32_t spi;
	rte_be32_t seq; /* low half with ESN */
} __rte_packed;         /* it stands where the IP header ends: aligned to 2 bytes */

#define ESP_TRAILER   2  /* pad length and next header */
#define ESP_NEXT_NONE 59 /* a dummy packet */

#define UDP_HEADER 8

/* Bytes of padding behind `len` bytes of payload: the least that aligns the trailer's end. */
static inline uint32_t
esp_padding(uint32_t len, uint32_t align)
{
	return -(len + ESP_TRAILER) & (align - 1);
}

/* Bytes of wire IV and ICV. */
static inline uint32_t
esp_crypto_overhead(const struct sa *sa)
{
	return sa->iv_len + sa->icv_len;
}

/* What chooses among equal-cost paths: all of an SA's packets go one way, or they lose their order.
 */
static inline uint32_t
esp_flow_hash(const struct sa *sa)
{
	return sa->spi;
}

/*
 * The outer DF bit for an inner packet (RFC 4301 section 8.1): as sa.flags say, or copied, where
 * every IPv6 packet has one. Over IPv6 it says whether the outer packet may be cut, too.
 */
static inline bool
esp_outer_df(uint16_t flags, const void *inner, uint8_t family)
{
	if ((flags & (SA_NOPMTUDISC | SA_DF_SET)) != 0)
		return (flags & SA_NOPMTUDISC) == 0;
	return family == FAMILY_V6 || (((const struct rte_ipv4_hdr *)inner)->fragment_offset &
				       RTE_BE16(RTE_IPV4_HDR_DF_FLAG)) != 0;
}

/* The largest inner packet that the SA fits into an outer packet of `mtu` bytes; 0 if none. */
static inline uint32_t
esp_inner_mtu(const struct sa *sa, uint32_t mtu)
{
	uint32_t fixed = sa->outer_len + esp_crypto_overhead(sa);

	if (unlikely(sa->proto == IPPROTO_AH)) {
		fixed = sa->outer_len + sa_ah_len(sa) - SA_AH_FIXED;
		return mtu > fixed ? mtu - fixed : 0;
	}
	return mtu < fixed + sa->align ? 0 : ((mtu - fixed) & -(uint32_t)sa->align) - ESP_TRAILER;
}
