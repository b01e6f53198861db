/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AH on the wire (RFC 4302 section 2), and what sealing and opening have in common: the packet is
 * authenticated in place, from its IP header on, while all that may change on the way is zero.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "burst.h"
#include "crypto/crypto.h"
#include "drop.h"

struct worker;

struct ah_header {
	uint8_t next_header;
	uint8_t len; /* of all AH, in words of 32 bits, less 2 */
	rte_be16_t reserved;
	rte_be32_t spi;
	rte_be32_t seq; /* low half with ESN; behind it the IV of GMAC, the ICV, padding */
} __rte_packed;

/* Bytes from the IP header's protocol's header to its SPI: packet.spi_lead. */
#define AH_SPI_LEAD 4

/* What may stand in front of AH: an IP header with its options or extension headers. */
#define AH_FRONT_MAX 256

struct ah_front { /* as it was before its mutable fields became zero */
	uint32_t len;
	uint8_t bytes[AH_FRONT_MAX];
};

/*
 * Makes worker.ops of a burst of packets with AH at l4_off, whose lengths are right, each under the
 * SA and the number in its struct packet; drops those of which it cannot. Until ah_reveal(),
 * mutable fields and the whole ICV field are zero, and the high half of an extended number stands
 * behind the packet. `set_icv` says beforehand where an operation's ICV goes to, or for opening
 * came from.
 */
void ah_hide(struct worker *w, struct burst *b, struct ah_front *fronts,
	     void (*set_icv)(const struct rte_mbuf *m, struct crypto_op *op));

/* Puts back what stood in front of AH, and the IV. The rest of the ICV field stays. */
void ah_reveal(struct rte_mbuf *m, const struct ah_front *front, const struct crypto_op *op);
