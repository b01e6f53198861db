/* SPDX-License-Identifier: BSD-3-Clause */
/* The path MTU of an SA, learnt from packet-too-big messages about its packets. */
#pragma once

#include <stdbool.h>

#include <rte_mbuf.h>

struct worker;

/*
 * Whether a parsed packet is a packet-too-big message (RFC 792, RFC 8201) about a packet that an
 * SA of ours sent, as far as that can be told: the quote has the SPI, addresses and a recent
 * sequence number of a live outbound SA. Nobody has signed it.
 */
bool path_mtu_concerns_us(const struct worker *w, const struct rte_mbuf *m);

/* The same; and that SA's path MTU is what the message says from now on, if that is less. */
bool path_mtu_learn(struct worker *w, const struct rte_mbuf *m);
