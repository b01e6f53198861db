/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors. One is a packet of ours: it walks from `route` like any other, and so is subject to
 * outbound policy where it leaves by an unprotected interface.
 */
#include "icmp.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <rte_ip.h>

#include "checksum.h"
#include "ip_parse.h"
#include "rate_limit.h"
#include "room.h"
#include "worker.h"

#define IPV4_ERROR_MAX 576  /* RFC 1812 section 4.3.2.3 */
#define IPV6_ERROR_MAX 1280 /* RFC 4443 section 2.4 (c) */
#define ERROR_TTL      64
#define TOS_CONTROL    0xc0 /* internetwork control, RFC 1812 section 4.3.2.5 */

struct icmp_header {
	uint8_t type, code;
	rte_be16_t checksum;
	rte_be32_t value; /* the MTU of too-big */
};

static const struct {
	uint8_t type4, code4, type6, code6;
} kinds[] = {
	[ICMP_ERR_TTL] = {ICMP_TIMXCEED, ICMP_TIMXCEED_INTRANS, ICMP6_TIME_EXCEEDED,
			  ICMP6_TIME_EXCEED_TRANSIT},
	[ICMP_ERR_NO_ROUTE] = {ICMP_UNREACH, ICMP_UNREACH_NET, ICMP6_DST_UNREACH,
			       ICMP6_DST_UNREACH_NOROUTE},
	[ICMP_ERR_HOST] = {ICMP_UNREACH, ICMP_UNREACH_HOST, ICMP6_DST_UNREACH,
			   ICMP6_DST_UNREACH_ADDR},
	[ICMP_ERR_POLICY] = {ICMP_UNREACH, ICMP_UNREACH_FILTER_PROHIB, ICMP6_DST_UNREACH,
			     ICMP6_DST_UNREACH_ADMIN},
	[ICMP_ERR_TOO_BIG] = {ICMP_UNREACH, ICMP_UNREACH_NEEDFRAG, ICMP6_PACKET_TOO_BIG, 0},
};

/* An ICMP message that may be answered: not an error itself, and its type is there to be read. */
static bool
answerable_icmp(const struct rte_mbuf *m, const struct packet *p)
{
	uint8_t type;

	if (p->proto != IPPROTO_ICMP && p->proto != IPPROTO_ICMPV6)
		return true;
	if (rte_pktmbuf_data_len(m) <= p->l4_off)
		return false;
	type = *rte_pktmbuf_mtod_offset(m, const uint8_t *, p->l4_off);
	if (p->family == FAMILY_V6)
		return type >= ICMP6_ECHO_REQUEST && type != ND_REDIRECT;
	return type == ICMP_ECHO || type == ICMP_ECHOREPLY || type == ICMP_TSTAMP ||
	       type == ICMP_TSTAMPREPLY;
}

/* RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 (e). */
static bool
answerable(const struct rte_mbuf *m, const struct packet *p)
{
	union ip_addr src, dst;

	if ((p->flags & (PACKET_ICMP_ERROR | PACKET_SEALED | PACKET_L2_GROUP)) != 0 ||
	    p->family == 0 || p->fragment == 2 || !answerable_icmp(m, p))
		return false;
	src = ip_src(m);
	dst = ip_dst(m);
	return !ip_addr_is_any(&src) && !ip_addr_is_group(p->family, &src) &&
	       !ip_addr_is_group(p->family, &dst);
}

/* An interface's address of that family. False where it has none. */
static bool
iface_address(const struct iface *iface, uint8_t family, union ip_addr *addr)
{
	/* Relaxed: an address that is just changing makes one odd error at worst. */
	*addr = (union ip_addr){0};
	if (family == FAMILY_V4) {
		addr->u64[0] = atomic_load_explicit(&iface->addr4.half[0], memory_order_relaxed);
	} else {
		addr->u64[0] = atomic_load_explicit(&iface->addr6.half[0], memory_order_relaxed);
		addr->u64[1] = atomic_load_explicit(&iface->addr6.half[1], memory_order_relaxed);
	}
	return !ip_addr_is_any(addr);
}

/*
 * The source of the error: the address of the interface that the packet came by. For a decrypted
 * packet one of the protected side, which is what the tunnel's selectors know. To the host's own
 * kernel it comes from where its packet was to go: a kernel takes nothing from an address of its
 * own.
 */
static bool
find_source(const struct worker *w, const struct rte_mbuf *m, union ip_addr *src)
{
	const struct packet *p = packet(m);
	const struct dataplane *dp = w->dp;

	if ((p->flags & PACKET_FROM_HOST) != 0) {
		*src = ip_dst(m);
		return true;
	}
	for (unsigned int i = 0; (p->flags & PACKET_DECRYPTED) != 0 && i < dp->ifaces_count; i++) {
		const struct iface *iface = &dp->ifaces[i];

		if (iface->side == SIDE_PROTECTED && iface->vrf == p->vrf &&
		    iface_address(iface, p->family, src))
			return true;
	}
	return iface_address(&dp->ifaces[p->in], p->family, src);
}

/* Whether what the error quotes was protected on the wire, or comes from the protected side. */
static bool
quotes_protected(const struct worker *w, const struct packet *p)
{
	return (p->flags & PACKET_DECRYPTED) != 0 || w->dp->ifaces[p->in].side == SIDE_PROTECTED;
}

static uint32_t
header_len(uint8_t family)
{
	return family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
}

static void
write_v4(struct worker *w, struct rte_ipv4_hdr *ip, const union ip_addr *src,
	 const union ip_addr *dst, uint32_t len)
{
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.type_of_service = TOS_CONTROL,
		.total_length = rte_cpu_to_be_16((uint16_t)len),
		.packet_id = rte_cpu_to_be_16((uint16_t)worker_ip_id(w)),
		.time_to_live = ERROR_TTL,
		.next_proto_id = IPPROTO_ICMP,
		.src_addr = src->v4,
		.dst_addr = dst->v4,
	};
	checksum_ipv4(ip);
}

static void
write_v6(struct rte_ipv6_hdr *ip, const union ip_addr *src, const union ip_addr *dst, uint32_t len)
{
	*ip = (struct rte_ipv6_hdr){
		.vtc_flow = RTE_BE32(6u << 28 | TOS_CONTROL << 20),
		.payload_len = rte_cpu_to_be_16((uint16_t)(len - sizeof(*ip))),
		.proto = IPPROTO_ICMPV6,
		.hop_limits = ERROR_TTL,
	};
	memcpy(&ip->src_addr, src->bytes, sizeof(ip->src_addr));
	memcpy(&ip->dst_addr, dst->bytes, sizeof(ip->dst_addr));
}

static void
write_error(struct worker *w, struct rte_mbuf *e, const struct rte_mbuf *m, enum icmp_error error,
	    uint32_t mtu, const union ip_addr *src)
{
	const struct packet *p = packet(m);
	struct packet *ep = packet(e);
	uint32_t len = rte_pktmbuf_pkt_len(e), ip_len = header_len(p->family);
	uint8_t *ip = rte_pktmbuf_mtod(e, uint8_t *);
	struct icmp_header *icmp = (struct icmp_header *)(ip + ip_len);
	union ip_addr dst = ip_src(m);

	*ep = (struct packet){
		.in = p->in,
		.out = IFACE_NONE,
		.flags = PACKET_ICMP_ERROR | (quotes_protected(w, p) ? PACKET_QUOTES : 0),
		.family = p->family,
		.proto = p->family == FAMILY_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
		.l4_off = (uint16_t)ip_len,
		.tenant = p->tenant,
		.flow_hash = p->flow_hash,
		.vrf = p->vrf,
	};
	*icmp = (struct icmp_header){
		.type = p->family == FAMILY_V4 ? kinds[error].type4 : kinds[error].type6,
		.code = p->family == FAMILY_V4 ? kinds[error].code4 : kinds[error].code6,
		.value = error == ICMP_ERR_TOO_BIG ? rte_cpu_to_be_32(mtu) : 0,
	};
	memcpy(icmp + 1, rte_pktmbuf_mtod(m, const void *), len - ip_len - sizeof(*icmp));
	if (p->family == FAMILY_V4) {
		write_v4(w, (struct rte_ipv4_hdr *)ip, src, &dst, len);
		icmp->checksum = (rte_be16_t)~rte_raw_cksum(icmp, len - ip_len);
	} else {
		write_v6((struct rte_ipv6_hdr *)ip, src, &dst, len);
		icmp->checksum = checksum_l4(e);
	}
}

void
icmp_error(struct worker *w, struct rte_mbuf *m, enum icmp_error error, uint32_t mtu)
{
	const struct packet *p = packet(m);
	uint32_t max = p->family == FAMILY_V4 ? IPV4_ERROR_MAX : IPV6_ERROR_MAX;
	uint32_t len = header_len(p->family) + sizeof(struct icmp_header) + rte_pktmbuf_pkt_len(m);
	union ip_addr src;
	struct rte_mbuf *e;

	if (!answerable(m, p) || burst_full(&w->errors) || !find_source(w, m, &src) ||
	    !rate_limit_take(&w->icmp_rate, w->tsc))
		return;
	e = rte_pktmbuf_alloc(w->dp->pool);
	if (e == NULL)
		return;
	if (packet_append(e, (uint16_t)RTE_MIN(len, max)) == NULL) {
		rte_pktmbuf_free(e);
		return;
	}
	write_error(w, e, m, error, mtu, &src);
	w->count.made++;
	burst_add(&w->errors, e);
}
