/* SPDX-License-Identifier: BSD-3-Clause */
/* What AH does as ESP does it, on a worker's thread (esp_in.c, esp_out.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "drop.h"
#include "packet.h"

struct worker;

/*
 * The sequence number on the wire against the SA's window: keeps all 64 bits (packet_seq()), and
 * is false, the SA blamed, for one that was seen or is too old.
 */
bool inbound_number(struct worker *w, struct rte_mbuf *m, uint32_t seq);

/*
 * What an authentic packet has behind its first `front` bytes, and `len` bytes of it, becomes the
 * packet, at `route`. DROP_COUNT where it may go on.
 */
enum drop_reason inbound_inner(struct worker *w, struct rte_mbuf *m, uint8_t next_header,
			       uint32_t front, uint32_t len);

/* The same beside tunnel mode. */
enum drop_reason inbound_mode(struct worker *w, struct rte_mbuf *m, uint8_t next_header,
			      uint32_t front, uint32_t len);

/* The inner packet joins `clear`, in a buffer that ports may be given. */
void inbound_join(struct worker *w, struct rte_mbuf *m);
