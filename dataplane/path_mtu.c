/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Path MTU discovery for ESP and AH (RFC 4301 section 8.2). A message about ours comes in clear
 * text from any router, so it moves no more than it must: the MTU of the one SA whose SPI,
 * addresses and sequence number it knows, downwards only, never below what every path has, for a
 * time, and limited in rate.
 */
#include "path_mtu.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <rte_cycles.h>

#include "ah.h"
#include "checksum.h"
#include "esp.h"
#include "icmp_quote.h"
#include "worker.h"

#define IPV4_MTU_MIN 576  /* RFC 791: what every host takes */
#define IPV6_MTU_MIN 1280 /* RFC 8200 section 5 */
#define SEQ_RECENT   (1u << 24)

static bool
is_too_big(const struct packet *p, const struct icmp_quote *q)
{
	if (p->family == FAMILY_V6) /* RFC 8201 section 4: less is to be discarded */
		return q->type == ICMP6_PACKET_TOO_BIG && q->value >= IPV6_MTU_MIN;
	return q->type == ICMP_UNREACH && q->code == ICMP_UNREACH_NEEDFRAG;
}

/* Whether the number is among the last that the SA has sent. */
static bool
sent_lately(const struct sa *sa, uint32_t seq)
{
	/* Relaxed: nothing else is read by it. */
	uint64_t last = atomic_load_explicit(&sa->seq, memory_order_relaxed);

	return last != SA_SEQ_CLOSED && (uint32_t)last - seq < RTE_MIN(last, SEQ_RECENT);
}

/* Bytes in front of SPI and number in what is quoted; -1 where it is none of our protocols. */
static int
spi_lead(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_ESP:
		return 0;
	case IPPROTO_UDP:
		return UDP_HEADER;
	case IPPROTO_AH:
		return AH_SPI_LEAD;
	default:
		return -1;
	}
}

/* The SA of ours that sent what is quoted; NULL for none. */
static struct sa *
find_sa(const struct worker *w, const struct icmp_quote *q)
{
	int off = spi_lead(q->flow.proto);
	struct esp_header esp;
	struct sa *sa;

	if (off < 0 || q->flow.proto_opaque || q->flow.ports_opaque ||
	    q->len < (uint32_t)off + sizeof(esp))
		return NULL;
	memcpy(&esp, q->l4 + off, sizeof(esp));
	sa = sad_lookup_outbound(w->dp->sad, esp.spi, &q->flow.src, &q->flow.dst, q->flow.family,
				 q->flow.proto);
	return sa != NULL && sent_lately(sa, rte_be_to_cpu_32(esp.seq)) ? sa : NULL;
}

static bool
checksum_right(const struct rte_mbuf *m, const struct packet *p)
{
	uint32_t len = rte_pktmbuf_pkt_len(m) - p->l4_off;

	if (p->family == FAMILY_V6)
		return checksum_l4(m) == 0;
	return rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const void *, p->l4_off), len) == 0xffff;
}

/* The SA that a packet-too-big message concerns, with the MTU for it; NULL for none. */
static struct sa *
concerned(const struct worker *w, const struct rte_mbuf *m, uint16_t *mtu)
{
	const struct packet *p = packet(m);
	struct icmp_quote q;

	if (w->dp->config->tunnels.too_big == TOO_BIG_IGNORE || !icmp_quote(m, &q) ||
	    !is_too_big(p, &q) || !checksum_right(m, p))
		return NULL;
	if (p->family == FAMILY_V4) /* 0 is said by routers that know no MTU (RFC 1191) */
		*mtu = (uint16_t)RTE_MAX(q.value & UINT16_MAX, (uint32_t)IPV4_MTU_MIN);
	else
		*mtu = (uint16_t)RTE_MIN(q.value, (uint32_t)UINT16_MAX);
	return find_sa(w, &q);
}

bool
path_mtu_concerns_us(const struct worker *w, const struct rte_mbuf *m)
{
	uint16_t mtu;

	return concerned(w, m, &mtu) != NULL;
}

bool
path_mtu_learn(struct worker *w, const struct rte_mbuf *m)
{
	uint64_t age = w->dp->config->tunnels.path_mtu_age * rte_get_tsc_hz();
	uint16_t mtu;
	struct sa *sa = concerned(w, m, &mtu);

	if (sa == NULL)
		return false;
	if (rate_limit_take(&w->too_big_rate, w->tsc) && sa_path_mtu_learn(sa, mtu, w->tsc, age))
		w->count.path_mtus++;
	return true;
}
