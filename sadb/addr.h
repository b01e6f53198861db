/* SPDX-License-Identifier: BSD-3-Clause */
/* IP addresses, prefixes and traffic selectors, with the layout of the kernel's xfrm_address_t. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>

#define FAMILY_V4 4 /* families are written as IP versions, in one byte */
#define FAMILY_V6 6

/*
 * An IPv4 address stands in the first four bytes and the rest is zero: write it by ip_addr_v4().
 * The longest member stands first, since {0} is sure to clear no other.
 */
union ip_addr {
	uint64_t u64[2];
	uint8_t bytes[16];
	rte_be32_t v4;
};

/* Written by the words that it is soon read by: narrower stores would hold the loads up. */
static inline union ip_addr
ip_addr_v4(rte_be32_t v4)
{
	return (union ip_addr){.u64 = {rte_cpu_to_le_64(rte_le_to_cpu_32(v4)), 0}};
}

/* Word by word, as they were written: gcc 14 makes one wide load of an or over both. */
static inline bool
ip_addr_equal(const union ip_addr *a, const union ip_addr *b)
{
	return a->u64[0] == b->u64[0] && a->u64[1] == b->u64[1];
}

static inline bool
ip_addr_is_any(const union ip_addr *a)
{
	return (a->u64[0] | a->u64[1]) == 0;
}

/* The address with everything behind the first `len` bits cleared. IPv4: len at most 32. */
static inline union ip_addr
ip_addr_mask(const union ip_addr *a, unsigned int len)
{
	uint64_t hi = len >= 64 ? UINT64_MAX : ~(UINT64_MAX >> len);
	uint64_t lo = len <= 64 ? 0 : len >= 128 ? UINT64_MAX : ~(UINT64_MAX >> (len - 64));
	union ip_addr r;

	r.u64[0] = a->u64[0] & rte_cpu_to_be_64(hi);
	r.u64[1] = a->u64[1] & rte_cpu_to_be_64(lo);
	return r;
}

/* What a policy or an SA applies to (RFC 4301 section 4.4.1.1), as the kernel writes it. */
struct selector {
	union ip_addr src, dst;   /* masked to their prefix */
	uint8_t src_len, dst_len; /* prefix bits */
	uint8_t family;           /* FAMILY_V4, FAMILY_V6, or 0 for a selector that matches both */
	uint8_t proto;            /* IP protocol, 0 any */
	rte_be16_t sport, sport_mask; /* ICMP: type; mask 0 any */
	rte_be16_t dport, dport_mask; /* ICMP: code */
};

static inline bool
selector_equal(const struct selector *a, const struct selector *b)
{
	return ip_addr_equal(&a->src, &b->src) && ip_addr_equal(&a->dst, &b->dst) &&
	       a->src_len == b->src_len && a->dst_len == b->dst_len && a->family == b->family &&
	       a->proto == b->proto && a->sport == b->sport && a->sport_mask == b->sport_mask &&
	       a->dport == b->dport && a->dport_mask == b->dport_mask;
}

/* What of a packet selectors are compared with. */
struct flow {
	union ip_addr src, dst;
	rte_be16_t sport, dport; /* ICMP: type and code as numbers in network order */
	uint8_t family;
	uint8_t proto;       /* of the payload, behind IPv6 extension headers */
	bool ports_opaque;   /* a non-initial fragment or a cut header: ports are unknown */
	bool proto_opaque;   /* a non-initial fragment behind extension headers: not even that */
	bool ports_of_first; /* opaque, but protocol and ports are known from the first fragment */
};

/* Whether the selector asks for something of the flow that cannot be seen. */
static inline bool
selector_blind(const struct selector *s, const struct flow *f)
{
	return (f->proto_opaque && s->proto != 0) ||
	       (f->ports_opaque && (s->sport_mask | s->dport_mask) != 0);
}

/* Whether the flow lies inside the selector, as far as that can be seen: what cannot does not. */
static inline bool
selector_match(const struct selector *s, const struct flow *f)
{
	union ip_addr src, dst;

	if (s->family == 0)
		return true;
	if (s->family != f->family || selector_blind(s, f))
		return false;
	if ((s->proto != 0 && s->proto != f->proto) ||
	    ((f->sport ^ s->sport) & s->sport_mask) != 0 ||
	    ((f->dport ^ s->dport) & s->dport_mask) != 0)
		return false;
	src = ip_addr_mask(&f->src, s->src_len);
	dst = ip_addr_mask(&f->dst, s->dst_len);
	return ip_addr_equal(&src, &s->src) && ip_addr_equal(&dst, &s->dst);
}
