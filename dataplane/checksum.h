/* SPDX-License-Identifier: BSD-3-Clause */
/* Internet checksums (RFC 1071): the IPv4 header's, its increments (RFC 1624), and L4 completion.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_ip.h>

#include "packet.h"

/*
 * Changes a checksum for a 16-bit word under it that changes (RFC 1624, equation 3), or for two,
 * of which `from` and `to` are the sums.
 */
static inline rte_be16_t
checksum_replace(rte_be16_t sum, uint32_t from, uint32_t to)
{
	uint32_t s = (uint16_t)~sum + 2 * UINT32_C(0xffff) - from + to;

	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (rte_be16_t)~s;
}

/* One less in the TTL of an IPv4 header, which is above 0. */
static inline void
checksum_ttl_decrement(struct rte_ipv4_hdr *ip)
{
	uint32_t sum = ip->hdr_checksum + (uint32_t)RTE_BE16(0x0100);

	ip->time_to_live--;
	ip->hdr_checksum = (rte_be16_t)(sum + (sum >= 0xffff));
}

/* The folded sum of an IPv4 header without options and of `more`; 0xffff for a right header. */
static inline uint16_t
checksum_sum_ipv4(const void *header, uint32_t more)
{
	uint32_t word[sizeof(struct rte_ipv4_hdr) / sizeof(uint32_t)];
	uint64_t sum;

	memcpy(word, header, sizeof(word)); /* it is aligned to 2 bytes */
	sum = (uint64_t)word[0] + word[1] + word[2] + word[3] + word[4] + more;
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/*
 * Whether the sum is right, which is to say a multiple of 0xffff other than 0: that is quicker to
 * see than to fold it.
 */
static inline bool
checksum_ipv4_right(const struct rte_ipv4_hdr *ip, uint32_t header_len)
{
	uint64_t first, second;
	uint32_t last;

	if (unlikely(header_len != sizeof(*ip)))
		return rte_raw_cksum(ip, header_len) == UINT16_MAX;
	memcpy(&first, ip, sizeof(first));
	memcpy(&second, (const uint8_t *)ip + 8, sizeof(second));
	memcpy(&last, (const uint8_t *)ip + 16, sizeof(last));
	/* Two words of 32 bits in each: version and length are in the first, so it is not 0. */
	return ((uint32_t)first + (first >> 32) + (uint32_t)second + (second >> 32) + last) %
		       UINT16_MAX ==
	       0;
}

/* Writes the header checksum of an IPv4 header, options included. */
void checksum_ipv4(struct rte_ipv4_hdr *ip);

/*
 * The sum, not yet complemented, of the pseudo-header of an L4 packet behind the parsed packet's
 * IP header (RFC 793, RFC 8200 section 8.1), `l4_len` bytes long.
 */
uint16_t checksum_pseudo(const struct rte_mbuf *m, uint32_t l4_len);

/* The checksum of the parsed packet's L4 part, whose own checksum field is zero. */
rte_be16_t checksum_l4(const struct rte_mbuf *m);

/*
 * Mends the TCP or UDP checksum of a packet whose source a NAT changed while it was protected (RFC
 * 3948 section 3.1.2): from the source that the sender had, or, where that is any, by summing up
 * anew what integrity protected. A UDP checksum of zero stays.
 */
void checksum_mend(struct rte_mbuf *m, const union ip_addr *original);

/*
 * Completes a TCP or UDP checksum that so far covers only the pseudo-header, as a sender with
 * checksum offload leaves it. `certain`: the port said so (PACKET_L4_PARTIAL); else it is done
 * only where the field equals the pseudo-header's sum.
 */
void checksum_complete(struct rte_mbuf *m, bool certain);
