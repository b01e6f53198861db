/* SPDX-License-Identifier: BSD-3-Clause */
/* What an ICMP error says of the packet that it is about (RFC 792, RFC 4443 section 2.4). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "sadb/addr.h"

struct icmp_quote {
	struct flow flow;   /* of the quoted packet; ports that are not there are opaque */
	uint8_t type, code; /* of the error */
	uint32_t value;     /* its second word, host byte order: the MTU of packet-too-big */
	const uint8_t *l4;  /* what is quoted behind IP and extension headers, in the mbuf */
	uint32_t len;       /* bytes of that */
};

/*
 * Reads a parsed packet as an ICMP error. False where it is none, is a fragment, or quotes less
 * than an IP header. The ICMP checksum is not looked at.
 */
bool icmp_quote(const struct rte_mbuf *m, struct icmp_quote *quote);

/*
 * The flow that would answer the packet that an error is about (RFC 4301 section 6.2): what was
 * quoted, reversed. False where m is no such error, or goes to another than the quoted sender.
 */
bool icmp_return_flow(const struct rte_mbuf *m, struct flow *flow);
