/* SPDX-License-Identifier: BSD-3-Clause */
/* The TOS byte of IPv4 or the traffic class of IPv6: DSCP (RFC 2474) and ECN (RFC 3168, RFC 6040).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ip.h>

#include "sadb/addr.h"

#define ECN_MASK  0x03
#define ECN_CE    0x03
#define DSCP_MASK 0xfc

static inline uint8_t
tos_get(const void *ip, uint8_t family)
{
	const uint8_t *b = ip;

	return family == FAMILY_V4 ? b[1] : (uint8_t)(b[0] << 4 | b[1] >> 4);
}

/* Sets it, and mends the IPv4 checksum for the change (RFC 1624, equation 3). */
static inline void
tos_set(void *ip, uint8_t family, uint8_t tos)
{
	uint8_t *b = ip;

	if (family == FAMILY_V4) {
		struct rte_ipv4_hdr *h = ip;
		uint32_t sum = (uint16_t)~rte_be_to_cpu_16(h->hdr_checksum);

		sum += (uint16_t) ~(b[0] << 8 | b[1]) + (uint32_t)(b[0] << 8 | tos);
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		b[1] = tos;
		h->hdr_checksum = rte_cpu_to_be_16((uint16_t)~sum);
	} else {
		b[0] = (uint8_t)((b[0] & 0xf0) | tos >> 4);
		b[1] = (uint8_t)((b[1] & 0x0f) | tos << 4);
	}
}

/*
 * Whether no correct sender, router or tunnel makes the two of these (RFC 6040 section 4.2, the
 * combinations that figure 4 marks): worth a line in the log.
 */
static inline bool
ecn_is_odd(uint8_t outer, uint8_t inner)
{
	static const bool odd[4][4] = {
		/* outer: Not-ECT, ECT(1), ECT(0), CE */
		{false, true, true, true}, /* inner Not-ECT */
		{false, false, true, false},
		{false, false, false, false},
		{false, true, false, false}, /* inner CE */
	};

	return odd[inner & ECN_MASK][outer & ECN_MASK];
}

/*
 * The ECN field that leaves a tunnel (RFC 6040 section 4.2, figure 4), from those of the outer
 * header and of the inner one. False where the packet must be dropped: congestion was experienced
 * by a packet whose sender does not know ECN.
 */
static inline bool
ecn_decap(uint8_t outer, uint8_t inner, uint8_t *result)
{
	/* [inner][outer]: Not-ECT 0, ECT(1) 1, ECT(0) 2, CE 3 */
	static const uint8_t out[4][4] = {
		{0, 0, 0, ECN_CE},
		{1, 1, 1, ECN_CE},
		{2, 1, 2, ECN_CE},
		{ECN_CE, ECN_CE, ECN_CE, ECN_CE},
	};

	*result = out[inner & ECN_MASK][outer & ECN_MASK];
	return !((inner & ECN_MASK) == 0 && (outer & ECN_MASK) == ECN_CE);
}
