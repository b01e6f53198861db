/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two stages that run the crypto of a whole burst, all of it finished on return. Outbound,
 * esp_encap has prepared worker.ops one stage earlier.
 */
#include <netinet/in.h>

#include <rte_udp.h>

#include "checksum.h"
#include "esp_op.h"
#include "walk.h"
#include "worker.h"

/* Packets of one SA. */
static void
prepare_open(const struct worker *w, struct crypto_op *ops, struct rte_mbuf *const *m,
	     unsigned int n)
{
	const struct sa *sa = packet(m[0])->sa;
	uint32_t fixed = (uint32_t)sizeof(struct esp_header) + esp_crypto_overhead(sa);
	bool plain = esp_op_is_plain(sa);

	sad_prefetch_counters(w->dp->sad, w->id, sa);
	for (unsigned int i = 0; i < n; i++) {
		const struct packet *p = packet(m[i]);
		uint32_t offset = p->l4_off + p->spi_lead;
		uint32_t len = rte_pktmbuf_pkt_len(m[i]) - offset - fixed;
		uint8_t *esp = rte_pktmbuf_mtod_offset(m[i], uint8_t *, offset);

		if (i == 0)
			crypto_key_fetch(w->crypto, sa->suite, sa->key, len);
		if (likely(plain))
			esp_op_plain(&ops[i], sa, esp, len);
		else
			esp_op_open(&ops[i], sa, esp, len, p->seq);
	}
}

void
crypto_open_stage(struct worker *w, struct burst *b)
{
	unsigned int kept = 0, run;

	for (unsigned int i = 0; i < b->n; i += run) {
		run = burst_run(b, i);
		prepare_open(w, &w->ops[i], b->m + i, run);
	}
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
udp6_checksum(struct rte_mbuf *m, struct packet *p)
{
	struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, p->l4_off);

	p->proto = IPPROTO_UDP;
	udp->dgram_cksum = 0;
	udp->dgram_cksum = checksum_l4(m);
	if (udp->dgram_cksum == 0)
		udp->dgram_cksum = 0xffff;
}

/* What is behind the crypto for packets of one SA. */
static void
finish_sealed(struct worker *w, struct rte_mbuf *const *m, const struct crypto_op *ops,
	      unsigned int n)
{
	const struct sa *sa = packet(m[0])->sa;
	bool udp6 = (sa->flags & SA_ENCAP_UDP) != 0 && sa->family == FAMILY_V6;
	uint32_t fixed = (sa->carrier == IPPROTO_UDP ? UDP_HEADER : 0) +
			 (uint32_t)sizeof(struct esp_header) + esp_crypto_overhead(sa);
	struct rte_mbuf **leaving = w->leaving.m + w->leaving.n;
	uint32_t packets = 0, bytes = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct packet *p = packet(m[i]);

		if (unlikely(!ops[i].ok)) {
			packet_drop(w, m[i], DROP_CRYPTO);
			continue;
		}
		/* Lifetimes count the payload with its trailer (RFC 4301 section 4.4.2.1). */
		bytes += rte_pktmbuf_pkt_len(m[i]) - p->l4_off - fixed;
		if (unlikely(udp6))
			udp6_checksum(m[i], p);
		p->flags |= PACKET_SEALED;
		p->sa = NULL;
		leaving[packets++] = m[i];
	}
	w->leaving.n += (uint16_t)packets;
	if (packets > 0)
		sad_charge(w->dp->sad, w->id, sa, packets, bytes, w->now);
	w->count.sealed += packets;
}

void
crypto_seal_stage(struct worker *w, struct burst *b)
{
	unsigned int run;

	crypto_seal(w->crypto, w->ops, b->n);
	for (unsigned int i = 0; i < b->n; i += run) {
		run = burst_run(b, i);
		finish_sealed(w, b->m + i, w->ops + i, run);
	}
	b->n = 0;
}
