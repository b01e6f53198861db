/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two stages that run the crypto of a whole burst, all of it finished on return. Outbound,
 * esp_encap has prepared worker.ops one stage earlier.
 */
#include <netinet/in.h>

#include <rte_udp.h>

#include "checksum.h"
#include "crypto_stage.h"
#include "esp_op.h"
#include "walk.h"
#include "worker.h"

#define AT_ONCE 2 /* packets that are fetched while as many others are sealed or opened */

/* A run. */
static void
prepare_open(const struct worker *w, struct crypto_op *ops, struct rte_mbuf *const *m,
	     unsigned int n)
{
	const struct packet *p = packet(m[0]);
	const struct sa *sa = p->sa;
	uint32_t offset = p->l4_off + p->spi_lead;
	uint32_t fixed = offset + (uint32_t)sizeof(struct esp_header) + esp_crypto_overhead(sa);
	bool plain = esp_op_is_plain(sa);

	sad_prefetch_counters(w->dp->sad, w->id, sa);
	for (unsigned int i = 0; i < n; i++) {
		uint32_t len = rte_pktmbuf_pkt_len(m[i]) - fixed;
		uint8_t *esp = rte_pktmbuf_mtod_offset(m[i], uint8_t *, offset);

		if (i == 0)
			crypto_key_fetch(w->crypto, sa->suite, sa->key, len);
		if (likely(plain))
			esp_op_plain(&ops[i], sa, esp, len);
		else
			esp_op_open(&ops[i], sa, esp, len, packet_seq(m[i]));
	}
}

static void
drop_forged(struct worker *w, struct rte_mbuf *m)
{
	sad_blame(w->dp->sad, w->id, packet(m)->sa, SAD_FAULT_AUTH);
	packet_drop(w, m, DROP_ICV);
}

void
crypto_open_stage(struct worker *w, struct burst *b)
{
	unsigned int n = b->n, kept = 0, run;

	for (unsigned int i = 0; i < n; i += run) {
		run = burst_run(b, i);
		prepare_open(w, &w->ops[i], b->m + i, run);
	}
	crypto_open(w->crypto, w->ops, n);
	for (unsigned int i = 0; i < n; i++) {
		if (likely(w->ops[i].ok))
			kept++;
		else
			drop_forged(w, burst_take(b, kept));
	}
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

/* What of a run the library failed to seal goes; how many of its `n` are left. */
static unsigned int
drop_failed(struct worker *w, struct burst *b, unsigned int i, const struct crypto_op *ops,
	    unsigned int n)
{
	unsigned int kept = 0;

	for (unsigned int k = 0; k < n; k++) {
		if (likely(ops[k].ok))
			kept++;
		else
			packet_drop(w, burst_take(b, i + kept), DROP_CRYPTO);
	}
	return kept;
}

/* What is behind the crypto for a run of `n`, which is not empty. */
static void
finish_sealed(struct worker *w, struct burst *b, unsigned int i, unsigned int n)
{
	struct packet *p = packet(b->m[i]);
	const struct sa *sa = p->sa;
	uint32_t fixed = p->l4_off + (sa->carrier == IPPROTO_UDP ? UDP_HEADER : 0) +
			 (uint32_t)sizeof(struct esp_header) + esp_crypto_overhead(sa);
	uint32_t bytes = 0;

	/* Lifetimes count the payload with its trailer (RFC 4301 section 4.4.2.1). */
	for (unsigned int k = i; k < i + n; k++)
		bytes += rte_pktmbuf_pkt_len(b->m[k]) - fixed;
	p->flags |= PACKET_SEALED;
	p->sa = NULL;
	if (unlikely((sa->flags & SA_ENCAP_UDP) != 0) && sa->family == FAMILY_V6) {
		burst_part(b, i, n);
		for (unsigned int k = i; k < i + n; k++)
			udp6_checksum(b->m[k], packet(b->m[k]));
	}
	sad_charge(w->dp->sad, w->id, sa, n, bytes, w->now);
	w->count.sealed += n;
}

/* Joins `leaving`. */
void
crypto_seal_stage(struct worker *w, struct burst *b)
{
	const struct crypto_op *ops = w->ops;
	unsigned int run, kept;

	crypto_seal(w->crypto, w->ops, b->n);
	for (unsigned int i = 0; i < b->n; i += kept, ops += run) {
		run = burst_run(b, i);
		kept = drop_failed(w, b, i, ops, run);
		if (likely(kept > 0))
			finish_sealed(w, b, i, kept);
	}
	burst_append(&w->leaving, b, 0, b->n);
	burst_clear(b);
}

/* ---- in parts ---- */

void
crypto_texts(struct rte_mbuf *const *m, unsigned int n, bool open, struct crypto_text *texts)
{
	const struct packet *p = packet(m[0]);
	uint32_t udp = p->sa->carrier == IPPROTO_UDP ? UDP_HEADER : 0;
	uint32_t offset = p->l4_off + (open ? p->spi_lead : udp);
	uint32_t fixed = offset + (uint32_t)sizeof(struct esp_header) + esp_crypto_overhead(p->sa);

	for (unsigned int i = 0; i < n; i++)
		texts[i] = (struct crypto_text){
			.esp = rte_pktmbuf_mtod_offset(m[i], uint8_t *, offset),
			.seq = packet_seq(m[i]),
			.len = rte_pktmbuf_pkt_len(m[i]) - fixed,
		};
}

/* The lines of an ESP packet, to be written. */
CRYPTO_PREFETCHW static void
prefetch_texts(const struct crypto_text *texts, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		for (uint32_t at = 0; at < texts[i].len + 48; at += 64)
			__builtin_prefetch(texts[i].esp + at, 1);
}

/* As esp_encap and prepare_open() do it. */
static void
prepare(struct crypto_op *ops, const struct sa *sa, const struct crypto_text *texts, unsigned int n,
	bool open)
{
	bool plain = esp_op_is_plain(sa);

	for (unsigned int i = 0; i < n; i++) {
		const struct crypto_text *t = &texts[i];

		if (likely(plain))
			esp_op_plain(&ops[i], sa, t->esp, t->len);
		else if (open)
			esp_op_open(&ops[i], sa, t->esp, t->len, t->seq);
		else
			esp_op_seal(&ops[i], sa, t->esp, t->len, t->seq);
	}
}

/*
 * While some are sealed, the next ones come from the other core's cache. Suites with separate
 * integrity are fast with many at once.
 */
uint64_t
crypto_lot(struct worker *w, const struct sa *sa, const struct crypto_text *texts, unsigned int n,
	   bool open, bool far)
{
	unsigned int part = far && esp_op_is_plain(sa) ? AT_ONCE : n, next;
	uint64_t failed = 0;

	if (far)
		prefetch_texts(texts, RTE_MIN(part, n));
	for (unsigned int i = 0; i < n; i = next) {
		next = RTE_MIN(i + part, n);
		if (far)
			prefetch_texts(texts + next, RTE_MIN(part, n - next));
		prepare(w->ops + i, sa, texts + i, next - i, open);
		(open ? crypto_open : crypto_seal)(w->crypto, w->ops + i, next - i);
	}
	for (unsigned int i = 0; i < n; i++)
		failed |= (uint64_t)!w->ops[i].ok << i;
	return failed;
}

void
crypto_sealed(struct worker *w, struct rte_mbuf *const *m, unsigned int n, uint64_t failed)
{
	struct burst b = {0};

	burst_add(&b, m[0]);
	burst_add_all_like(&b, m + 1, n - 1);
	for (unsigned int i = 0; i < n; i++)
		w->ops[i].ok = (failed >> i & 1) == 0;
	n = drop_failed(w, &b, 0, w->ops, n);
	if (likely(n > 0))
		finish_sealed(w, &b, 0, n);
	burst_append(&w->leaving, &b, 0, n);
}

void
crypto_opened(struct worker *w, struct rte_mbuf *const *m, unsigned int n, uint64_t failed,
	      struct burst *to)
{
	unsigned int kept = to->n;

	burst_add(to, m[0]);
	burst_add_all_like(to, m + 1, n - 1);
	for (unsigned int i = 0; i < n; i++) {
		if (likely((failed >> i & 1) == 0))
			kept++;
		else
			drop_forged(w, burst_take(to, kept));
	}
}
