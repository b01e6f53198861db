/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the stages know of a packet beyond its bytes: one cache line in the mbuf's private area.
 * From `classify` on, an mbuf's data begins at the IP header; the Ethernet header of a received
 * frame stays untouched in the headroom until decapsulation.
 */
#pragma once

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include <rte_mbuf.h>

#include "sadb/addr.h"
#include "sadb/sa.h"

#ifdef __SANITIZE_ADDRESS__ /* gcc's way to say so; clang's is the other */
#define ROOM_GUARDED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ROOM_GUARDED
#endif
#endif

#ifdef ROOM_GUARDED
#include <sanitizer/asan_interface.h>
#endif

#define BURST_MAX 64

/* Headroom that the engine's pools give: outer IPv6, UDP, ESP and IV, Ethernet and 802.1Q. */
#define PACKET_HEADROOM RTE_PKTMBUF_HEADROOM
/* Tailroom that sealing may need: padding to 16, pad length, next header, ICV. */
#define PACKET_TAILROOM 64

/* Where a packet that waited or changed workers goes on. It carries no SA pointer then. */
enum resume {
	RESUME_CLASSIFY,          /* an Ethernet frame, as if received on `in` */
	RESUME_FRAGMENT,          /* a parsed fragment, to be put together or classified */
	RESUME_SPD_LOOKUP,        /* clear, on its way out of an unprotected interface */
	RESUME_ADJACENCY,         /* next hop to be found (again) */
	RESUME_TX,                /* a finished frame for `out` */
	RESUME_MADE,              /* a packet of the control thread's, next hop to be found */
	RESUME_DUMMY,             /* likewise, to become ESP of no content */
	RESUME_MARKER,            /* no packet: an SA's move (move.h) */
	RESUME_DROP_NO_NEIGHBOUR, /* waited in vain for `next_hop` on `out`: to be dropped so */
	RESUME_DROP_NO_SA,        /* likewise for an SA */
};

/* packet.flags */
#define PACKET_FROM_HOST  (1u << 0)  /* the kernel sent it: no TTL decrement, L2 header known */
#define PACKET_DECRYPTED  (1u << 1)  /* came out of an SA of ours */
#define PACKET_SEALED     (1u << 2)  /* ESP of ours: exempt from outbound policy */
#define PACKET_ICMP_ERROR (1u << 3)  /* made here, never answered with another error */
#define PACKET_LOCAL      (1u << 4)  /* for the host itself */
#define PACKET_UDP_ENCAP  (1u << 5)  /* ESP in UDP */
#define PACKET_L4_PARTIAL (1u << 7)  /* L4 checksum covers only the pseudo-header */
#define PACKET_L2_GROUP   (1u << 8)  /* came as a multicast or broadcast frame */
#define PACKET_QUOTES     (1u << 10) /* an ICMP error that quotes what may not leave in clear */
#define PACKET_MERGED     (1u << 9) /* TCP, longer than the MTU of its way in: merged on that way */
#define PACKET_CUT        (1u << 12) /* a fragment or segment that was made here */
#define PACKET_TOO_LONG   (1u << 13) /* to be cut once it has been sealed */
#define PACKET_RELAYED    (1u << 14) /* by the old owner of an SA that moves (move.h) */
#define PACKET_LARGE      (1u << 11) /* put together, in a buffer that no port may be given */

struct nexthop;

struct packet {
	uint16_t in, out;   /* iface numbers; IFACE_NONE where there is none */
	uint16_t flags;     /* PACKET_* */
	uint8_t family;     /* FAMILY_V4, FAMILY_V6 */
	uint8_t proto;      /* of the payload, behind IPv6 extension headers */
	uint16_t l4_off;    /* from the IP header; behind IPv6 extension headers */
	uint8_t resume;     /* enum resume */
	uint8_t fragment;   /* 0 whole, 1 first fragment, 2 later fragment */
	uint32_t flow_hash; /* of addresses, protocol and ports */
	uint64_t tenant;    /* sadb/tenant.h; of a decrypted packet, to leave with */
	uint16_t l2_len;    /* bytes of L2 header in front of the IP header, as received */
	uint16_t vrf;       /* the FIB's number of the table to route in */
	union {
		struct { /* valid within one poll */
			struct sa *sa;
			const struct nexthop *nh; /* of route */
		};
		struct { /* while it waits for a neighbour on `out` */
			union ip_addr next_hop;
			uint8_t next_hop_family;
		};
		struct { /* a fragment, while it waits for the others of its datagram */
			struct rte_mbuf *later;
			uint16_t start, end; /* its part of the datagram */
			uint16_t payload;    /* bytes in front of that */
		};
	};
	uint8_t spi_lead;      /* of what comes protected: bytes from l4_off to the SPI */
	uint8_t dummy_carrier; /* of a dummy packet, before it has its SA: sa.carrier, and SPI */
	uint8_t spare[2];
	rte_be32_t dummy_spi;
};

static_assert(sizeof(struct packet) == 64, "one line");

static inline struct packet *
packet(const struct rte_mbuf *m)
{
	return rte_mbuf_to_priv((struct rte_mbuf *)(uintptr_t)m);
}

/*
 * Of a packet that is like another one, struct packet says nothing (burst.h): it is as if it were
 * not there, and its line stays where it is, until it is told again what is known of the other.
 */
static inline void
packet_hide(const struct rte_mbuf *m)
{
#ifdef ROOM_GUARDED
	ASAN_POISON_MEMORY_REGION(packet(m), sizeof(struct packet));
#endif
}

/* Where all of it is written next. */
static inline struct packet *
packet_open(const struct rte_mbuf *m)
{
#ifdef ROOM_GUARDED
	ASAN_UNPOISON_MEMORY_REGION(packet(m), sizeof(struct packet));
#endif
	return packet(m);
}

static inline void
packet_tell(const struct rte_mbuf *m, const struct packet *known)
{
	*packet_open(m) = *known;
}

/*
 * A packet's number in its SA, all 64 bits: each has its own, so it stands in the mbuf's first
 * line, where the port may have left a hash.
 */
static inline uint64_t
packet_seq(const struct rte_mbuf *m)
{
	uint64_t seq;

	memcpy(&seq, &m->hash, sizeof(seq));
	return seq;
}

static inline void
packet_set_seq(struct rte_mbuf *m, uint64_t seq)
{
	static_assert(sizeof(m->hash) == sizeof(seq), "room for a number");
	memcpy(&m->hash, &seq, sizeof(seq));
}
