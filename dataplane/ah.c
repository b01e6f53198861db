/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What AH's ICV covers (RFC 4302 section 3.3.3): the whole packet, with zero for what routers may
 * change and for the ICV field, which with GMAC has the IV in it (RFC 4543).
 *
 * What a sender would have to predict never comes here: packets with an IPv4 source route or an
 * IPv6 routing header of type 0 are dropped before (RFC 7126, RFC 5095), and a routing header of
 * another type only passes once no segment is left, when it is as its receiver sees it.
 */
#include "ah.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_ip.h>

#include "room.h"
#include "worker.h"

#define OPTION_END               0 /* IPv4 options: copied flag, class and number */
#define OPTION_NOP               1
#define OPTION_SECURITY          130
#define OPTION_EXTENDED_SECURITY 133
#define OPTION_CIPSO             134
#define OPTION_ROUTER_ALERT      148
#define OPTION_MULTI_DESTINATION 149

#define OPTION6_PAD1    0
#define OPTION6_CHANGES 0x20 /* its data may change on the way, RFC 8200 section 4.2 */

/* RFC 4302 appendix A1. All others may change, or nobody knows. */
static bool
option_stays(uint8_t type)
{
	switch (type) {
	case OPTION_END:
	case OPTION_NOP:
	case OPTION_SECURITY:
	case OPTION_EXTENDED_SECURITY:
	case OPTION_CIPSO:
	case OPTION_ROUTER_ALERT:
	case OPTION_MULTI_DESTINATION:
		return true;
	default:
		return false;
	}
}

/* Section 3.3.3.1.1. An option that may change is hidden wholly. Lengths were checked (ip_parse.c).
 */
static void
hide_v4(uint8_t *header, uint32_t len)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)header;
	uint32_t size;

	ip->type_of_service = 0;
	ip->fragment_offset = 0;
	ip->time_to_live = 0;
	ip->hdr_checksum = 0;
	for (uint32_t at = sizeof(*ip); at < len && header[at] != OPTION_END; at += size) {
		size = header[at] == OPTION_NOP ? 1 : header[at + 1];
		if (!option_stays(header[at]))
			memset(header + at, 0, size);
	}
}

/* Section 3.3.3.1.2.2: type and length of an option stay. False where one is cut. */
static bool
hide_options6(uint8_t *o, uint32_t len)
{
	uint32_t size;

	for (uint32_t at = 0; at < len; at += size) {
		size = 1;
		if (o[at] == OPTION6_PAD1)
			continue;
		if (len - at < 2 || len - at < 2u + o[at + 1])
			return false;
		size = 2u + o[at + 1];
		if ((o[at] & OPTION6_CHANGES) != 0)
			memset(o + at + 2, 0, size - 2);
	}
	return true;
}

/* One extension header of `size` bytes. */
static bool
hide_extension(uint8_t type, uint8_t *h, uint32_t size)
{
	switch (type) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_DSTOPTS:
		return hide_options6(h + 2, size - 2);
	case IPPROTO_ROUTING:
		return h[3] == 0; /* segments left */
	default:
		return true;
	}
}

/* Section 3.3.3.1.2. The chain up to AH was walked once already (ip_parse.c). */
static bool
hide_v6(uint8_t *header, uint32_t len)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)header;
	uint8_t type = ip->proto;
	uint32_t size;

	ip->vtc_flow &= RTE_BE32(0xf0000000);
	ip->hop_limits = 0;
	for (uint32_t at = sizeof(*ip); at < len; at += size) {
		uint8_t *h = header + at;

		size = type == IPPROTO_FRAGMENT ? 8 : (h[1] + 1) * 8u;
		if (!hide_extension(type, h, size))
			return false;
		type = h[0];
	}
	return true;
}

/* The high half is not on the wire: it is behind all that is (section 3.3.3.2.1). */
static bool
append_high_half(struct rte_mbuf *m, uint64_t seq)
{
	rte_be32_t high = rte_cpu_to_be_32((uint32_t)(seq >> 32));
	void *at = packet_append(m, sizeof(high));

	if (at == NULL)
		return false;
	memcpy(at, &high, sizeof(high));
	return true;
}

/* DROP_COUNT, or why not: then the packet is spoilt. */
static enum drop_reason
hide(struct rte_mbuf *m, struct ah_front *front, struct crypto_op *op)
{
	const struct packet *p = packet(m);
	const struct sa *sa = p->sa;
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *iv = ip + p->l4_off + sizeof(struct ah_header);

	front->len = p->l4_off;
	if (front->len > sizeof(front->bytes))
		return DROP_IP_EXT;
	memcpy(front->bytes, ip, front->len);
	if (p->family == FAMILY_V4)
		hide_v4(ip, front->len);
	else if (!hide_v6(ip, front->len))
		return DROP_IP_EXT;
	memcpy(op->iv, &sa->salt, sizeof(sa->salt));
	memcpy(op->iv + sizeof(sa->salt), iv, sa->iv_len);
	memset(iv, 0, sa->iv_len + sa->icv_len);
	if ((sa->flags & SA_ESN) != 0 && !append_high_half(m, packet_seq(m)))
		return DROP_NO_BUF;
	op->key = sa->key;
	op->suite = sa->suite;
	op->auth = ip;
	op->auth_len = rte_pktmbuf_pkt_len(m);
	op->text = ip + op->auth_len; /* none */
	op->text_len = 0;
	return DROP_COUNT;
}

void
ah_hide(struct worker *w, struct burst *b, struct ah_front *fronts,
	void (*set_icv)(const struct rte_mbuf *m, struct crypto_op *op))
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];
		enum drop_reason reason;

		set_icv(m, &w->ops[n]);
		reason = hide(m, &fronts[n], &w->ops[n]);
		if (reason == DROP_COUNT)
			b->m[n++] = m;
		else
			packet_drop(w, m, reason);
	}
	b->n = (uint16_t)n;
}

void
ah_reveal(struct rte_mbuf *m, const struct ah_front *front, const struct crypto_op *op)
{
	const struct sa *sa = packet(m)->sa;
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

	memcpy(ip, front->bytes, front->len);
	memcpy(ip + front->len + sizeof(struct ah_header), op->iv + sizeof(sa->salt), sa->iv_len);
	if ((sa->flags & SA_ESN) != 0)
		packet_cut(m, rte_pktmbuf_pkt_len(m) - sizeof(uint32_t));
}
