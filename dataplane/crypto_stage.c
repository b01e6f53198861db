/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two stages that run the crypto of a whole burst, all of it finished on return. Outbound,
 * esp_encap has prepared worker.ops one stage earlier.
 */
#include <rte_ip.h>
#include <rte_udp.h>

#include "esp_op.h"
#include "walk.h"
#include "worker.h"

static void
prepare_open(struct crypto_op *op, struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	uint32_t offset = p->l4_off + ((p->flags & PACKET_UDP_ENCAP) != 0 ? UDP_HEADER : 0);
	uint32_t len = rte_pktmbuf_pkt_len(m) - offset - sizeof(struct esp_header) -
		       esp_crypto_overhead(p->sa);

	esp_op_open(op, p->sa, rte_pktmbuf_mtod_offset(m, uint8_t *, offset), len, p->seq);
}

void
crypto_open_stage(struct worker *w, struct burst *b)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < b->n; i++)
		prepare_open(&w->ops[i], b->m[i]);
	crypto_open(w->crypto, w->ops, b->n);
	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];

		if (w->ops[i].ok) {
			b->m[kept++] = m;
			continue;
		}
		sad_blame(w->dp->sad, w->id, packet(m)->sa, SAD_FAULT_AUTH);
		packet_drop(w, m, DROP_ICV);
	}
	b->n = kept;
}

/* Over IPv6 the checksum of encapsulating UDP may not be zero (RFC 8200 section 8.1). */
static void
udp6_checksum(struct rte_mbuf *m, const struct packet *p)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, p->l4_off);

	udp->dgram_cksum = rte_ipv6_udptcp_cksum(ip, udp);
}

static void
sealed(struct worker *w, struct rte_mbuf *m)
{
	struct packet *p = packet(m);
	const struct sa *sa = p->sa;

	/* Lifetimes count the payload with its trailer (RFC 4301 section 4.4.2.1). */
	sad_charge(w->dp->sad, w->id, sa, 1,
		   rte_pktmbuf_pkt_len(m) - sa->outer_len - esp_crypto_overhead(sa), w->now);
	if ((sa->flags & SA_ENCAP_UDP) != 0 && sa->family == FAMILY_V6)
		udp6_checksum(m, p);
	p->flags |= PACKET_SEALED;
	p->sa = NULL;
	w->count.sealed++;
	burst_add(&w->leaving, m);
}

void
crypto_seal_stage(struct worker *w, struct burst *b)
{
	crypto_seal(w->crypto, w->ops, b->n);
	for (unsigned int i = 0; i < b->n; i++) {
		if (w->ops[i].ok)
			sealed(w, b->m[i]);
		else
			packet_drop(w, b->m[i], DROP_CRYPTO);
	}
	b->n = 0;
}
