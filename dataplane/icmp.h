/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP errors that the gateway makes itself (RFC 792, RFC 1812 section 4.3, RFC 4443), limited in
 * rate. */
#pragma once

#include <stdint.h>

#include "packet.h"

struct worker;

#define ICMP_PER_SECOND 1000 /* errors of one worker */
#define ICMP_BURST      50

enum icmp_error {
	ICMP_ERR_TTL,
	ICMP_ERR_NO_ROUTE, /* 3/0 or v6 1/0 */
	ICMP_ERR_HOST,     /* 3/1 or v6 1/3 */
	ICMP_ERR_POLICY,   /* 3/13 or v6 1/1: by policy */
	ICMP_ERR_TOO_BIG,  /* 3/4 or v6 2/0, with the MTU */
};

/*
 * Answers the packet (parsed, data at its IP header) with an error to its source, unless RFC 1812
 * section 4.3.2.7 forbids it or the rate is used up. The error joins worker.errors; the packet
 * stays the caller's.
 */
void icmp_error(struct worker *w, struct rte_mbuf *m, enum icmp_error error, uint32_t mtu);
