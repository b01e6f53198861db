/* SPDX-License-Identifier: BSD-3-Clause */
/* ip_parse.c has checked the headers: nothing here reads beyond a packet's end. */
#include "frag.h"

#include <netinet/in.h>

#include <rte_ip.h>

#include "ip_parse.h"
#include "worker.h"

#define IPV6_MORE 1 /* in the field of IPv6's offset */

uint32_t
frag_header6(const struct rte_mbuf *m, uint32_t *next)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t off = sizeof(struct rte_ipv6_hdr);

	*next = offsetof(struct rte_ipv6_hdr, proto);
	while (ip[*next] != IPPROTO_FRAGMENT) {
		*next = off;
		off += (ip[off + 1] + 1) * 8u;
	}
	return off;
}

static void
read_v4(const struct rte_mbuf *m, struct frag *f)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint16_t field = rte_be_to_cpu_16(ip->fragment_offset);

	f->id.number = ip->packet_id;
	f->id.proto = ip->next_proto_id;
	f->payload = rte_ipv4_hdr_len(ip);
	f->start = (field & RTE_IPV4_HDR_OFFSET_MASK) * 8u;
	f->more = (field & RTE_IPV4_HDR_MF_FLAG) != 0;
}

static void
read_v6(const struct rte_mbuf *m, struct frag *f)
{
	uint32_t next, off = frag_header6(m, &next);
	const uint8_t *h = rte_pktmbuf_mtod_offset(m, const uint8_t *, off);
	uint16_t field = (uint16_t)(h[2] << 8 | h[3]);

	memcpy(&f->id.number, h + 4, sizeof(f->id.number));
	f->payload = off + 8;
	f->start = field & 0xfff8;
	f->more = (field & IPV6_MORE) != 0;
}

void
frag_read(const struct worker *w, const struct rte_mbuf *m, struct frag *f)
{
	const struct packet *p = packet(m);
	bool decrypted = (p->flags & PACKET_DECRYPTED) != 0;
	bool from_host = (p->flags & PACKET_FROM_HOST) != 0;

	f->id = (struct frag_id){
		.src = ip_src(m),
		.dst = ip_dst(m),
		.tenant = p->tenant,
		.vrf = p->vrf,
		.origin = (uint8_t)(w->dp->ifaces[p->in].side + 2 * decrypted + 4 * from_host),
	};
	if (p->family == FAMILY_V4)
		read_v4(m, f);
	else
		read_v6(m, f);
	f->end = f->start + rte_pktmbuf_data_len(m) - f->payload;
}

/* By addresses alone, as network cards spread fragments: what two hosts send keeps its order. */
unsigned int
frag_worker(const struct worker *w, const struct rte_mbuf *m)
{
	union ip_addr src = ip_src(m), dst = ip_dst(m);
	uint64_t h =
		chash_mix(chash_mix(src.u64[0], src.u64[1]), chash_mix(dst.u64[0], dst.u64[1]));

	return (unsigned int)((h >> 32) * w->dp->workers_count >> 32);
}
