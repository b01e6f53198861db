/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets that the control thread makes and a worker sends: keepalives, dummy packets. */
#pragma once

#include "dataplane.h"
#include "packet.h"

/*
 * A packet from where the SA's packets come to `dst`, as if parsed: an IP header with `proto`, and
 * zero behind it up to `len` bytes in all. NULL where the SA does not begin here, there is no way
 * or no buffer. Control thread.
 */
struct rte_mbuf *made_new(struct dataplane *dp, const struct sa *sa, const union ip_addr *dst,
			  uint8_t proto, uint16_t len);

/* Gives it to the SA's owner, where it goes on as `resume` says. A full inbox loses it. */
void made_send(struct dataplane *dp, const struct sa *sa, struct rte_mbuf *m, enum resume resume);
