/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The modes beside tunnel mode, each in a file of its own. What they do to a packet's headers
 * differs; numbers, crypto and windows do not.
 */
#pragma once

#include "drop.h"
#include "esp_op.h"
#include "packet.h"

/*
 * Where ESP or AH goes in a parsed packet that an SA of transport mode protects: bytes of header in
 * front of it, and where among them the next header's number stands.
 */
struct esp_front {
	uint16_t len, next_at;
};
struct esp_front esp_transport_front(const struct rte_mbuf *m, const struct packet *p);

/* Completes a header in front of a payload that became another: its protocol, lengths, checksum. */
void esp_transport_mend(struct rte_mbuf *m, uint8_t family, uint32_t next_at, uint8_t next);

/*
 * Puts ESP into a packet of which `inner` is known, but for the crypto, which `op` is told. Returns
 * the bytes of IP header in front; 0 where the mbuf has no room: it is unchanged then.
 */
uint16_t esp_transport_encap(struct rte_mbuf *m, const struct packet *inner, struct crypto_op *op);
uint16_t esp_beet_encap(struct rte_mbuf *m, const struct packet *inner, struct crypto_op *op);

/*
 * Takes ESP, and UDP if any, or AH out of an opened packet of which `outer` is known, and which has
 * `len` bytes of payload behind its first `front`. It is to be parsed again, without L2 header.
 * DROP_COUNT where it may go on.
 */
enum drop_reason esp_transport_decap(struct rte_mbuf *m, const struct packet *outer,
				     uint8_t next_header, uint32_t front, uint32_t len);
enum drop_reason esp_beet_decap(struct rte_mbuf *m, const struct packet *outer, uint8_t next_header,
				uint32_t front, uint32_t len);

/* The largest packet that the packet's SA fits into `mtu` bytes with the headers of this one. */
uint32_t esp_transport_mtu(const struct rte_mbuf *m, uint32_t mtu);
uint32_t esp_beet_mtu(const struct rte_mbuf *m, uint32_t mtu);

/* Each of them by the mode of the packet's SA. */
static inline uint16_t
esp_mode_encap(struct rte_mbuf *m, const struct packet *inner, struct crypto_op *op)
{
	return inner->sa->mode == SA_MODE_BEET ? esp_beet_encap(m, inner, op)
					       : esp_transport_encap(m, inner, op);
}

static inline enum drop_reason
esp_mode_decap(struct rte_mbuf *m, const struct packet *outer, uint8_t next_header, uint32_t front,
	       uint32_t len)
{
	return outer->sa->mode == SA_MODE_BEET
		       ? esp_beet_decap(m, outer, next_header, front, len)
		       : esp_transport_decap(m, outer, next_header, front, len);
}

static inline uint32_t
esp_mode_mtu(const struct rte_mbuf *m, uint32_t mtu)
{
	return packet(m)->sa->mode == SA_MODE_BEET ? esp_beet_mtu(m, mtu)
						   : esp_transport_mtu(m, mtu);
}
