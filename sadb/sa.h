/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A security association as workers see it (RFC 4301 section 4.4.2). Lines of 64 bytes: first what
 * packets only read, then the one line that they write, then the anti-replay window,
 * then the expanded key, in which the outer header stands if it leaves room. What only the control
 * thread needs is elsewhere (struct sa_control in sad.h). An SA is written before its publication
 * and then only through its atomics, until it has been unlinked and a grace period has passed.
 */
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_byteorder.h>

#include "addr.h"
#include "chash.h"
#include "crypto/suite.h"
#include "replay.h"
#include "tenant.h"

#define SA_MODE_TRANSPORT 0 /* the numbers of the kernel's XFRM_MODE_* */
#define SA_MODE_TUNNEL    1
#define SA_MODE_BEET      4 /* inner addresses are the selector's */

/* sa.flags */
#define SA_ESN             (1u << 0) /* 64-bit sequence numbers */
#define SA_REPLAY          (1u << 1) /* the window is used */
#define SA_IN_ONLY         (1u << 2) /* XFRMA_SA_DIR said so; without it an SA serves both */
#define SA_OUT_ONLY        (1u << 3)
#define SA_ENCAP_UDP       (1u << 4) /* RFC 3948 */
#define SA_NOPMTUDISC      (1u << 5) /* the outer DF bit is cleared, SA_DF_SET or not */
#define SA_NOECN           (1u << 6) /* ECN is not carried over */
#define SA_DONT_ENCAP_DSCP (1u << 7) /* the outer DSCP is 0 */
#define SA_DECAP_DSCP      (1u << 8) /* the outer DSCP is copied in */
#define SA_WILDRECV        (1u << 9)
#define SA_AF_UNSPEC       (1u << 10) /* both families inside, whatever the selector says */
#define SA_ICMP            (1u << 11)
#define SA_ALIGN4          (1u << 12)
#define SA_DF_SET          (1u << 13) /* the outer DF bit is set; neither: copied */
#define SA_MAY_WRAP        (1u << 14) /* numbers go round, without ESN and a counter mode */
#define SA_WATCH_PEER      (1u << 15) /* in UDP from a known port: it may move */

/* sa.traits, worked out from what was said of it */
#define SA_NARROW     (1u << 0) /* its own selector must be compared */
#define SA_PLAIN_AEAD (1u << 1) /* most AEADs: a salt of 4 bytes, a wire IV of 8, and no ESN */

/* sa.owner: the worker that numbers and orders outbound packets, and */
#define SA_OWNER      0xffu
#define SA_SPREAD     (1u << 8) /* workers share its crypto, in both directions */
#define SA_MOVING     (1u << 9) /* the owner is a new one; who it was before: */
#define SA_FROM_SHIFT 16

#define SA_SEQ_CLOSED UINT64_MAX /* value of `seq` when the SA has been retired */

/* The largest outer header: IPv6, UDP and ESP's SPI and sequence number. */
#define SA_OUTER_MAX 56

#define SA_AH_FIXED 12 /* bytes of AH in front of the ICV field */

struct sa {
	/* Line 0: inbound packets alone; they confirm the addresses. */
	union ip_addr src; /* outer, tunnel endpoints */
	union ip_addr dst;
	struct chash_node by_spi;   /* in the SAD's SPI index */
	struct sa_control *control; /* the control thread's part; workers read control->sel only */
	struct replay *replay; /* behind this struct, or in an allocation of its own if large */
	uint32_t if_id;        /* as the control side named it, 0 none */
	uint32_t reqid;

	/* Line 1: read by every packet. */
	alignas(64) rte_be32_t spi;
	_Atomic rte_be32_t published; /* spi while in the index: a lookup may look here first */
	uint32_t index;               /* place in the SAD, also of its counters */
	uint32_t salt;                /* as it stands in the nonce */
	uint64_t iv_base;             /* wire IV of a counter mode = iv_base + sequence number */
	void *key;                    /* expanded; behind this struct */
	uint8_t suite;                /* number in crypto_suites[] */
	uint8_t mode;                 /* SA_MODE_* */
	uint8_t family;               /* of the outer header */
	uint8_t outer_len; /* bytes of the outer header: IP, UDP if any, ESP or AH header */
	uint16_t flags;    /* SA_* */
	uint16_t tfcpad;   /* inner packets are made so long (RFC 4303 section 2.7), 0: not */
	uint8_t traits;    /* SA_NARROW, SA_PLAIN_AEAD */
	uint8_t iv_len, icv_len, align; /* copied from the suite */
	uint8_t proto;                  /* IPPROTO_ESP, IPPROTO_AH */
	uint8_t carrier;                /* behind the outer header: that, or IPPROTO_UDP */
	_Atomic uint16_t path_mtu;      /* learnt, of outer packets; 0 none: sa_path_mtu() */
	_Atomic uint64_t tenant;        /* whose decrypted packets are */
	/*
	 * The outer header, ready but for lengths, ID, TOS, checksum and numbers; in transport mode
	 * only UDP, if any, and ESP or AH, as the IP header is the packet's own. When the peer
	 * moves, another takes its place: a worker loads the pointer once for a packet, so it
	 * never sees half of a change.
	 */
	_Atomic(const uint8_t *) outer;

	/* Line 2: packets write here, those of one direction. */
	alignas(64) _Atomic uint64_t seq; /* last number used, or SA_SEQ_CLOSED */
	_Atomic uint32_t owner;           /* sa_owner(), and SA_*; the owner itself names another */
	_Atomic uint32_t state;           /* enum sa_state */
	_Atomic uint64_t path_mtu_until;  /* TSC at which it is forgotten */
	_Atomic uint64_t peer;            /* inbound in UDP: sa_peer() of where packets come from */
	uint64_t seq_limit; /* the last number that may be sent: 2^32 - 1, or far up with ESN */
	alignas(8) uint8_t window[sizeof(struct replay)]; /* whose slots are behind the SA */
};

enum sa_state {
	SA_LARVAL, /* an SPI was allocated, keys are to come; never seen by a worker */
	SA_VALID,
	SA_EXPIRED, /* hard lifetime: passes nothing more */
};

static_assert(offsetof(struct sa, spi) == 64, "line 1");
static_assert(offsetof(struct sa, seq) == 128, "line 2");
static_assert(sizeof(struct sa) == 192, "whole lines, and slots begin one");

static inline uint32_t
sa_owner(const struct sa *sa)
{
	/* Relaxed: an owner seen late costs a hand-over, the numbers are atomic anyway. */
	return atomic_load_explicit(&sa->owner, memory_order_relaxed) & SA_OWNER;
}

/* The window in the SA's own place. */
static inline struct replay *
sa_window(const struct sa *sa)
{
	return (struct replay *)(uintptr_t)sa->window;
}

/* The path MTU that was learnt for outer packets and is not too old at TSC `tsc`; 0 for none. */
static inline uint16_t
sa_path_mtu(struct sa *sa, uint64_t tsc)
{
	/* Relaxed, here and below: either value serves while it changes. */
	uint16_t mtu = atomic_load_explicit(&sa->path_mtu, memory_order_relaxed);

	if (mtu != 0 &&
	    (int64_t)(tsc - atomic_load_explicit(&sa->path_mtu_until, memory_order_relaxed)) >= 0) {
		mtu = 0;
		atomic_store_explicit(&sa->path_mtu, mtu, memory_order_relaxed);
	}
	return mtu;
}

/* Lowers the path MTU, or confirms it, for `age` ticks. False, and no change, for a larger one. */
static inline bool
sa_path_mtu_learn(struct sa *sa, uint16_t mtu, uint64_t tsc, uint64_t age)
{
	uint16_t known = sa_path_mtu(sa, tsc);

	if (known != 0 && mtu > known)
		return false;
	atomic_store_explicit(&sa->path_mtu_until, tsc + age, memory_order_relaxed);
	atomic_store_explicit(&sa->path_mtu, mtu, memory_order_release);
	return true;
}

/* Any thread: the outer header, good for this packet. */
static inline const uint8_t *
sa_outer(const struct sa *sa)
{
	/* Acquire: pairs with the release of another one (sa_fill.c). */
	return atomic_load_explicit(&sa->outer, memory_order_acquire);
}

/* Address and port of a peer in one word: other ones have another word. */
static inline uint64_t
sa_peer(const union ip_addr *addr, rte_be16_t port)
{
	return chash_mix(chash_mix(addr->u64[0], addr->u64[1]), port);
}

/*
 * Bytes of AH with its ICV field, padded to 64 bits, or with IPv4 and XFRM_STATE_ALIGN4 to 32 (RFC
 * 4302 section 2.6).
 */
static inline uint32_t
sa_ah_len(const struct sa *sa)
{
	uint32_t align = sa->family == FAMILY_V4 && (sa->flags & SA_ALIGN4) != 0 ? 4 : 8;

	return (SA_AH_FIXED + sa->iv_len + sa->icv_len + align - 1) & -align;
}

/*
 * Reserves up to `n` consecutive sequence numbers (RFC 4303 section 3.3.3). Returns how many were
 * granted, and the first in *first. The counter never passes seq_limit and never wraps: numbers
 * beyond it, and all of a closed SA's, are refused. Any worker.
 */
static inline uint32_t
sa_seq_reserve(struct sa *sa, uint32_t n, uint64_t *first)
{
	/* Relaxed: numbers only have to be unique; packets carry no other state through them. */
	uint64_t last = atomic_load_explicit(&sa->seq, memory_order_relaxed);
	uint32_t granted;

	do {
		if (last >= sa->seq_limit)
			return 0;
		granted = sa->seq_limit - last < n ? (uint32_t)(sa->seq_limit - last) : n;
	} while (!atomic_compare_exchange_weak_explicit(
		&sa->seq, &last, last + granted, memory_order_relaxed, memory_order_relaxed));
	*first = last + 1;
	return granted;
}
