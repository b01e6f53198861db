/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP in BEET mode (draft-nikander-esp-beet-mode, as Linux does it): outside a tunnel's addresses,
 * inside those of the SA's selector, which both ends know and nobody sends. What else an IP header
 * says is the outer one's: TOS, TTL, IPv4's ID and DF, IPv6's flow label. IPv4 options travel
 * behind a pseudo header of their own.
 */
#include <netinet/in.h>

#include <rte_ip.h>
#include <rte_udp.h>

#include "checksum.h"
#include "esp_mode.h"
#include "esp_write.h"
#include "room.h"
#include "sadb/sad.h"
#include "tos.h"

#define IPV4_OPTIONS_MAX 40

/* In front of IPv4 options, which end on a multiple of 8 bytes from where it begins. */
struct beet_options {
	uint8_t next_header;
	uint8_t len;     /* of all in units of 8 bytes, the first not counted */
	uint8_t pad_len; /* bytes of padding in front of the options: 4 or 0 */
	uint8_t reserved;
};

/* What of an IP header is neither address nor length. */
struct fields {
	uint8_t tos, ttl;
	rte_be16_t id, fragment_offset; /* IPv4's */
	rte_be32_t flow;                /* IPv6's version, class and label */
};

static struct fields
get_fields(const void *header, uint8_t family)
{
	const struct rte_ipv4_hdr *ip = header;
	const struct rte_ipv6_hdr *ip6 = header;

	if (family == FAMILY_V4)
		return (struct fields){.tos = ip->type_of_service,
				       .ttl = ip->time_to_live,
				       .id = ip->packet_id,
				       .fragment_offset =
					       ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
				       .flow = RTE_BE32(UINT32_C(6) << 28)};
	return (struct fields){.tos = tos_get(ip6, FAMILY_V6),
			       .ttl = ip6->hop_limits,
			       .fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
			       .flow = ip6->vtc_flow};
}

/* Writes them, the length and the checksum to a header that has addresses and protocol. */
static void
put_fields(void *header, uint8_t family, const struct fields *f, uint32_t len)
{
	struct rte_ipv4_hdr *ip = header;
	struct rte_ipv6_hdr *ip6 = header;

	if (family == FAMILY_V4) {
		ip->type_of_service = f->tos;
		ip->time_to_live = f->ttl;
		ip->packet_id = f->id;
		ip->fragment_offset = f->fragment_offset;
		ip->total_length = rte_cpu_to_be_16((uint16_t)len);
		checksum_ipv4(ip);
	} else {
		ip6->vtc_flow = f->flow;
		tos_set(ip6, FAMILY_V6, f->tos);
		ip6->hop_limits = f->ttl;
		ip6->payload_len = rte_cpu_to_be_16((uint16_t)(len - sizeof(*ip6)));
	}
}

static uint32_t
header_len(uint8_t family)
{
	return family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
}

/* Bytes of the options of a parsed packet. */
static uint32_t
options_len(const struct packet *p)
{
	return p->family == FAMILY_V4 ? p->l4_off - (uint32_t)sizeof(struct rte_ipv4_hdr) : 0;
}

/* Bytes of pseudo header and padding in front of so many bytes of options. */
static uint32_t
pseudo_len(uint32_t options)
{
	return options == 0 ? 0 : (uint32_t)sizeof(struct beet_options) + (4 - (options & 4));
}

static void
write_pseudo(uint8_t *at, uint32_t options, uint8_t next_header)
{
	struct beet_options h = {
		.next_header = next_header,
		.len = (uint8_t)(options / 8),
		.pad_len = 4 - (options & 4),
	};

	memcpy(at, &h, sizeof(h));
	memset(at + sizeof(h), 1, h.pad_len); /* options that do nothing */
}

/* The outer header, UDP if any, and ESP. Returns where the IV goes. */
static uint8_t *
write_outer(uint8_t *at, const struct sa *sa, const struct fields *f, uint32_t len, uint64_t seq)
{
	uint32_t ip_len = header_len(sa->family);
	struct esp_header *esp = (struct esp_header *)(at + sa->outer_len - sizeof(*esp));

	memcpy(at, sa_outer(sa), sa->outer_len);
	put_fields(at, sa->family, f, len);
	if (sa->carrier == IPPROTO_UDP)
		((struct rte_udp_hdr *)(at + ip_len))->dgram_len =
			rte_cpu_to_be_16((uint16_t)(len - ip_len));
	esp->seq = rte_cpu_to_be_32((uint32_t)seq);
	return (uint8_t *)(esp + 1);
}

uint16_t
esp_beet_encap(struct rte_mbuf *m, const struct packet *inner, struct crypto_op *op)
{
	const struct sa *sa = inner->sa;
	uint64_t seq = packet_seq(m);
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *), family = inner->family;
	struct fields fields = get_fields(ip, family);
	uint32_t options = options_len(inner), pseudo = pseudo_len(options);
	uint32_t taken = header_len(family), len = rte_pktmbuf_pkt_len(m) - taken + pseudo;
	uint32_t pad_len = esp_padding(len, sa->align);
	uint32_t front = pseudo + sa->outer_len + sa->iv_len;
	uint32_t back = pad_len + ESP_TRAILER + sa->icv_len;
	uint8_t next = family == FAMILY_V4 ? ((struct rte_ipv4_hdr *)ip)->next_proto_id
					   : ((struct rte_ipv6_hdr *)ip)->proto;
	uint8_t *at;

	if (rte_pktmbuf_headroom(m) + taken < front || rte_pktmbuf_tailroom(m) < back)
		return 0;

	/* 1. Trailer behind the payload. */
	at = packet_append(m, (uint16_t)back);
	esp_write_trailer(at, pad_len, options != 0 ? IPPROTO_BEETPH : next);

	/* 2. The inner header goes, but for its options. */
	packet_narrow(m, taken, rte_pktmbuf_pkt_len(m) - taken);
	at = packet_prepend(m, (uint16_t)front);
	if (options != 0)
		write_pseudo(at + front - pseudo, options, next);

	/* 3. The outer one, with what the inner one said. */
	if ((sa->flags & SA_NOPMTUDISC) != 0)
		fields.fragment_offset = 0;
	at = write_outer(at, sa, &fields, rte_pktmbuf_pkt_len(m), seq);
	esp_write_iv(at, sa->iv_len, sa->iv_base + seq);

	/* 4. What the crypto stage is to do. */
	esp_op_seal(op, sa, at - sizeof(struct esp_header), len + pad_len + ESP_TRAILER, seq);
	return (uint16_t)header_len(sa->family);
}

uint32_t
esp_beet_mtu(const struct rte_mbuf *m, uint32_t mtu)
{
	const struct packet *p = packet(m);
	uint32_t payload = esp_inner_mtu(p->sa, mtu), pseudo = pseudo_len(options_len(p));

	return payload <= pseudo ? 0 : payload - pseudo + header_len(p->family);
}

/*
 * Takes the pseudo header off the payload: how many bytes of options follow, and what behind them.
 * False where it is not right.
 */
static bool
take_pseudo(struct rte_mbuf *m, uint32_t *options, uint8_t *next_header)
{
	struct beet_options h;
	uint32_t all, taken;

	if (rte_pktmbuf_pkt_len(m) < sizeof(h))
		return false;
	memcpy(&h, rte_pktmbuf_mtod(m, const void *), sizeof(h));
	all = (h.len + 1u) * 8;
	if (h.pad_len > 4 || h.pad_len % 4 != 0 || all > rte_pktmbuf_pkt_len(m))
		return false;
	taken = (uint32_t)sizeof(h) + h.pad_len;
	*options = all - taken;
	*next_header = h.next_header;
	packet_narrow(m, taken, rte_pktmbuf_pkt_len(m) - taken);
	return *options <= IPV4_OPTIONS_MAX;
}

/* The inner header in front of options and payload. False without room. */
static bool
write_inner(struct rte_mbuf *m, const struct selector *sel, const struct fields *f,
	    uint32_t options, uint8_t next_header)
{
	uint8_t *at = packet_prepend(m, (uint16_t)header_len(sel->family));
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)at;
	struct rte_ipv6_hdr *ip6 = (struct rte_ipv6_hdr *)at;

	if (at == NULL)
		return false;
	if (sel->family == FAMILY_V4) {
		ip->version_ihl = (uint8_t)(RTE_IPV4_VHL_DEF + options / 4);
		ip->next_proto_id = next_header;
		ip->src_addr = sel->src.v4;
		ip->dst_addr = sel->dst.v4;
	} else {
		ip6->proto = next_header;
		memcpy(&ip6->src_addr, sel->src.bytes, sizeof(ip6->src_addr));
		memcpy(&ip6->dst_addr, sel->dst.bytes, sizeof(ip6->dst_addr));
	}
	put_fields(at, sel->family, f, rte_pktmbuf_pkt_len(m));
	return true;
}

static bool
next_header_fits(uint8_t family, uint8_t next_header)
{
	switch (next_header) {
	case IPPROTO_FRAGMENT:
		return false;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		return family == FAMILY_V6;
	case IPPROTO_BEETPH:
		return family == FAMILY_V4;
	default:
		return true;
	}
}

enum drop_reason
esp_beet_decap(struct rte_mbuf *m, const struct packet *outer, uint8_t next_header, uint32_t front,
	       uint32_t len)
{
	const struct selector *sel = &outer->sa->control->detail->sel;
	struct fields fields = get_fields(rte_pktmbuf_mtod(m, const void *), outer->family);
	uint32_t options = 0;

	if (!next_header_fits(sel->family, next_header))
		return DROP_NEXT_HEADER;
	packet_narrow(m, front, len);
	if (next_header == IPPROTO_BEETPH && !take_pseudo(m, &options, &next_header))
		return DROP_INNER;
	if (!next_header_fits(sel->family, next_header) || next_header == IPPROTO_BEETPH)
		return DROP_NEXT_HEADER;
	return write_inner(m, sel, &fields, options, next_header) ? DROP_COUNT : DROP_NO_BUF;
}
