/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP MSS clamping, by choice (`tunnels.mss_clamp`): a SYN that goes through a tunnel, in or out,
 * announces no larger segments than the tunnel carries, so that TCP fits where nobody hears of
 * path MTUs. Who does not choose it pays for a look at the configuration once a burst.
 */
#include <netinet/in.h>

#include <rte_tcp.h>

#include "checksum.h"
#include "ip_parse.h"
#include "pmtu.h"
#include "walk.h"
#include "worker.h"

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_MSS 2 /* RFC 9293 section 3.2; 4 bytes long */

/* The announced value at `at`, at an odd offset in the header maybe: its bytes then change sides.
 */
static void
lower(struct rte_tcp_hdr *tcp, uint8_t *at, uint16_t max)
{
	bool odd = ((at - (uint8_t *)tcp) & 1) != 0;
	rte_be16_t from, to = rte_cpu_to_be_16(max);

	memcpy(&from, at, sizeof(from));
	if (rte_be_to_cpu_16(from) <= max)
		return;
	memcpy(at, &to, sizeof(to));
	tcp->cksum = odd ? checksum_replace(tcp->cksum, rte_bswap16(from), rte_bswap16(to))
			 : checksum_replace(tcp->cksum, from, to);
}

/* Options are walked as far as they make sense. */
static void
lower_options(struct rte_tcp_hdr *tcp, uint8_t *end, uint16_t max)
{
	uint8_t *o = (uint8_t *)(tcp + 1);

	while (o < end && *o != OPTION_END) {
		if (*o == OPTION_NOP) {
			o++;
			continue;
		}
		if (end - o < 2 || o[1] < 2 || o[1] > end - o)
			return;
		if (*o == OPTION_MSS && o[1] == 4)
			lower(tcp, o + 2, max);
		o += o[1];
	}
}

/* `p`: what is known of it. */
static bool
is_syn(const struct rte_mbuf *m, const struct packet *p)
{
	return p->proto == IPPROTO_TCP && p->fragment == 0 &&
	       rte_pktmbuf_data_len(m) >= p->l4_off + sizeof(struct rte_tcp_hdr) &&
	       (rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, p->l4_off)->tcp_flags &
		RTE_TCP_SYN_FLAG) != 0;
}

static void
clamp(struct rte_mbuf *m, uint32_t mtu)
{
	const struct packet *p = packet(m);
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, p->l4_off);
	uint32_t len = (tcp->data_off >> 4) * 4u;
	/* RFC 6691: headers without options. */
	uint32_t headers = sizeof(*tcp) + (p->family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr)
								  : sizeof(struct rte_ipv6_hdr));

	if (p->l4_off + len > rte_pktmbuf_data_len(m) || mtu <= headers)
		return;
	lower_options(tcp, (uint8_t *)tcp + len,
		      (uint16_t)RTE_MIN(mtu - headers, (uint32_t)UINT16_MAX));
}

void
mss_out(struct worker *w, struct burst *b)
{
	if (w->dp->config->tunnels.mss_clamp == MSS_KEEP)
		return;
	for (unsigned int i = 0; i < b->n; i++) {
		if (likely(!is_syn(b->m[i], packet(b->m[burst_first(b, i)]))))
			continue;
		burst_part(b, i, 1);
		clamp(b->m[i], pmtu_room(w, b->m[i]));
	}
}

/* The SA that the answers to a decrypted packet will take; NULL for none. */
static struct sa *
return_sa(const struct worker *w, const struct rte_mbuf *m)
{
	struct policy *policy;
	struct flow there, back;

	packet_flow(m, &there);
	back = there;
	back.src = there.dst;
	back.dst = there.src;
	back.sport = there.dport;
	back.dport = there.sport;
	policy = spd_lookup(w->dp->spd, packet(m)->tenant, SPD_OUT, &back);
	/* Acquire: pairs with the control thread's release once the SA is complete. */
	return policy ? atomic_load_explicit(&policy->sa, memory_order_acquire) : NULL;
}

void
mss_in(struct worker *w, struct burst *b)
{
	if (w->dp->config->tunnels.mss_clamp == MSS_KEEP)
		return;
	for (unsigned int i = 0; i < b->n; i++) {
		const struct packet *p = packet(b->m[burst_first(b, i)]);
		struct sa *sa;

		if ((p->flags & PACKET_DECRYPTED) == 0 || likely(!is_syn(b->m[i], p)))
			continue;
		burst_part(b, i, 1);
		sa = return_sa(w, b->m[i]);
		if (sa != NULL)
			clamp(b->m[i], pmtu_inner(w, sa, p->in));
	}
}
