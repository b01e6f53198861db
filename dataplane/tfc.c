/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic flow confidentiality (RFC 4303 section 2.7): packets of an SA that asks for it are made
 * longer behind their end, which the inner header tells, before ESP is put around them.
 */
#include "tfc.h"

#include <rte_common.h>

#include "pmtu.h"
#include "room.h"
#include "walk.h"
#include "worker.h"

unsigned int
tfc_pad(struct worker *w, struct rte_mbuf **m, unsigned int n)
{
	uint32_t len = RTE_MIN(packet(m[0])->sa->tfcpad, pmtu_room(w, m[0]));
	unsigned int kept = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t lacks = len - RTE_MIN(len, rte_pktmbuf_pkt_len(m[i]));
		void *at = packet_append(m[i], (uint16_t)lacks);

		if (at == NULL) {
			packet_drop(w, m[i], DROP_NO_BUF);
			continue;
		}
		memset(at, 0, lacks);
		m[kept++] = m[i];
	}
	return kept;
}
