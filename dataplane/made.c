/* SPDX-License-Identifier: BSD-3-Clause */
#include "made.h"

#include <rte_ip.h>

#include "esp.h"
#include "room.h"
#include "worker.h"

#define TTL 64

static void
write_header(uint8_t *at, const struct sa *sa, const union ip_addr *dst, uint8_t proto,
	     uint16_t len)
{
	struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
				  .total_length = rte_cpu_to_be_16(len),
				  .fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
				  .time_to_live = TTL,
				  .next_proto_id = proto,
				  .src_addr = sa->src.v4,
				  .dst_addr = dst->v4};
	struct rte_ipv6_hdr ip6 = {.vtc_flow = RTE_BE32(UINT32_C(6) << 28),
				   .payload_len = rte_cpu_to_be_16(len - sizeof(ip6)),
				   .proto = proto,
				   .hop_limits = TTL};

	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	memcpy(&ip6.src_addr, sa->src.bytes, sizeof(ip6.src_addr));
	memcpy(&ip6.dst_addr, dst->bytes, sizeof(ip6.dst_addr));
	if (sa->family == FAMILY_V4)
		memcpy(at, &ip, sizeof(ip));
	else
		memcpy(at, &ip6, sizeof(ip6));
}

struct rte_mbuf *
made_new(struct dataplane *dp, const struct sa *sa, const union ip_addr *dst, uint8_t proto,
	 uint16_t len)
{
	int vrf = dataplane_vrf(dp, sa->family, &sa->src);
	const struct nexthop *nh;
	struct rte_mbuf *m;
	uint8_t *at;

	if (vrf < 0)
		return NULL;
	nh = fib_lookup(dp->fib, (uint16_t)vrf, sa->family, dst, esp_flow_hash(sa));
	m = nh->iface == IFACE_NONE ? NULL : rte_pktmbuf_alloc(dp->pool);
	if (m == NULL)
		return NULL;
	*packet(m) = (struct packet){
		.in = nh->iface,
		.out = nh->iface,
		.family = sa->family,
		.proto = proto,
		.l4_off = sa->family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr)
						  : sizeof(struct rte_ipv6_hdr),
		.flow_hash = esp_flow_hash(sa),
		.vrf = (uint16_t)vrf,
	};
	at = packet_append(m, len);
	memset(at, 0, len);
	write_header(at, sa, dst, proto, len);
	return m;
}

void
made_send(struct dataplane *dp, const struct sa *sa, struct rte_mbuf *m, enum resume resume)
{
	packet(m)->resume = (uint8_t)resume;
	if (rte_ring_enqueue(dp->workers[sa_owner(sa)]->inbox, m) != 0)
		rte_pktmbuf_free(m);
}
