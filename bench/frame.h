/* SPDX-License-Identifier: BSD-3-Clause */
/* The frames that are sent to the gateway, byte by byte, and what their sizes are. */
#pragma once

#include "gateway.h"

/* Inner sizes of a mix: 64, 570 and 1420 bytes at 7:4:1. */
#define FRAME_MIX 12
extern const uint16_t frame_mix[FRAME_MIX];

/* Bytes of inner packet i. */
uint32_t frame_size(const struct options *o, uint32_t i);

/* Bytes of an IP header. */
uint32_t frame_head(uint8_t family);

/* Completes one that stands in front of what it was not made for: protocol, lengths, checksum. */
void frame_mend(uint8_t *ip, uint8_t family, uint8_t proto, uint16_t len);

/* Bytes that the suite encrypts of an inner packet. */
uint32_t frame_text_len(const struct options *o, uint32_t size);

/* The Ethernet header of a frame that comes by that side. Returns what is behind it. */
uint8_t *frame_l2(uint8_t *at, const struct gateway *g, uint8_t family, unsigned int side);

/* The inner packet of SA `number`: between the far host and the near one. */
void frame_inner(uint8_t *at, const struct options *o, bool out, uint32_t number, uint16_t size,
		 uint8_t ttl);

/* What the inbound SA's peer would send, but for the crypto that `op` is to do. Its length. */
uint16_t frame_esp(uint8_t *outer, const struct options *o, const struct sa *sa, uint32_t number,
		   uint16_t size, uint32_t seq, struct crypto_op *op);
