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
tfc_pad(struct worker *w, struct burst *b, unsigned int i, unsigned int n)
{
	unsigned int kept = 0;
	uint32_t len;

	burst_part(b, i, n);
	len = RTE_MIN(packet(b->m[i])->sa->tfcpad, pmtu_room(w, b->m[i]));
	for (; n > 0; n--) {
		struct rte_mbuf *m = b->m[i + kept];
		uint32_t lacks = len - RTE_MIN(len, rte_pktmbuf_pkt_len(m));
		void *at = packet_append(m, (uint16_t)lacks);

		if (at == NULL) {
			packet_drop(w, burst_take(b, i + kept), DROP_NO_BUF);
			continue;
		}
		memset(at, 0, lacks);
		kept++;
	}
	return kept;
}
