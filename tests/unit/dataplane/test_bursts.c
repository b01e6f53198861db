/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whatever comes together fares as it would one by one: the same random packets go through two
 * engines, in bursts of up to 64 and each alone, and of each flow the same bytes come out in the
 * same order, and all counters are equal. A burst is mostly of few flows, with all that may differ
 * between two packets: every header, lengths, what a port knows of a frame, how they were sealed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_cycles.h>
#include <rte_random.h>
#include <rte_ring.h>

#include "dataplane/natt.h"
#include "dataplane/sa_wait.h"
#include "frame.h"
#include "peer.h"

#define ROUNDS 150 /* of each pair of engines */
#define ROOM   1800
#define FLOWS  256

#define NET_BYPASS  77
#define NET_DISCARD 78
#define NET_NO_SA   79

/* What is sealed can be read. */
static const struct tunnel tunnels[] = {
	{"null-sha256", FAMILY_V4, 3, false, false, 0x1000, 0, ESP_TUNNEL},
	{"null-sha256", FAMILY_V6, 4, true, false, 0x2000, 0, ESP_TUNNEL},
	{"null-sha256", FAMILY_V4, 5, false, true, 0x3000, SA_DECAP_DSCP, ESP_TUNNEL},
	{"null-sha256", FAMILY_V4, 6, false, false, 0x4000, SA_NOECN | SA_DF_SET, ESP_TUNNEL},
	{"null-sha256", FAMILY_V4, 7, false, true, 0x5000, 0, ESP_BEET},
	{"null-sha256", FAMILY_V4, 8, false, false, 0x6000, 0, AH_TUNNEL},
	{"null-sha256", FAMILY_V4, 9, false, false, 0x7000, 0, ESP_TRANSPORT},
	{"null-sha256", FAMILY_V6, 10, false, false, 0x8000, 0, AH_TRANSPORT},
};

static struct engine e;
static struct peer peer;
static const struct sa *sas[RTE_DIM(tunnels)];
static uint64_t numbers[RTE_DIM(tunnels)]; /* used by the peer */
static unsigned int seeds = 3;
static uint64_t state;

static uint32_t
below(uint32_t n)
{
	state = state * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)((state >> 32) * n >> 32);
}

static bool
one_in(uint32_t n)
{
	return below(n) == 0;
}

enum entry { FROM_LAN, FROM_WAN, FROM_WAN_SEALED, FROM_HOST, ENTRIES };

/* A packet and what its frame looks like. */
struct sample {
	uint8_t bytes[ROOM];
	size_t len;
	uint64_t ol_flags; /* what the port says */
	uint16_t tci;
	uint16_t split; /* bytes of the first segment; 0 for all */
};

/* ---- packets ---- */

static void
put_tcp(uint8_t *at)
{
	static const uint8_t options[] = {1, 1, 2, 4, 0x05, 0xb4, 1, 0};

	at[12] = 7 << 4;
	at[13] = one_in(2) ? RTE_TCP_SYN_FLAG : RTE_TCP_ACK_FLAG;
	memcpy(at + 20, options, sizeof(options));
}

static void
put_ports(uint8_t *at)
{
	static const uint16_t ports[] = {500, 4500, 53, 7000};
	rte_be16_t sport = rte_cpu_to_be_16(ports[below(4)]);
	rte_be16_t dport = rte_cpu_to_be_16(ports[below(4)]);

	memcpy(at, &sport, sizeof(sport));
	memcpy(at + 2, &dport, sizeof(dport));
}

/* What stands behind the IP header. */
static void
put_payload(uint8_t *at, uint8_t proto, size_t len)
{
	static const uint8_t types[] = {8, 0, 3, 11, 128, 129, 135, 136, 1, 2};
	rte_be16_t udp_len = rte_cpu_to_be_16((uint16_t)(len - below(2)));

	memset(at, 7, len);
	put_ports(at);
	switch (proto) {
	case IPPROTO_TCP:
		put_tcp(at);
		break;
	case IPPROTO_UDP:
		memcpy(at + 4, &udp_len, sizeof(udp_len));
		memset(at + 8, one_in(2) ? 0 : 1, 4);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		at[0] = types[below(RTE_DIM(types))];
		at[1] = (uint8_t)below(2);
		break;
	case IPPROTO_ESP: /* often of an SA that there is */
		memset(at, 0, 8);
		at[2] = (uint8_t)(16 * below(4));
		at[7] = (uint8_t)below(256);
		break;
	case IPPROTO_HOPOPTS:
	case IPPROTO_DSTOPTS:
	case IPPROTO_FRAGMENT:
	case IPPROTO_MH:
		memset(at, 0, 8);
		at[0] = IPPROTO_UDP;
		at[1] = proto == IPPROTO_FRAGMENT ? 0 : (uint8_t)below(4);
		at[2] = proto == IPPROTO_FRAGMENT ? 0 : 1;
		at[3] = proto == IPPROTO_FRAGMENT ? (uint8_t)(below(4) * 8 | below(2)) : 4;
		break;
	}
}

static size_t
payload_len(void)
{
	switch (below(8)) {
	case 0:
		return 1300 + below(300);
	case 1:
		return below(40);
	default:
		return 40 + below(20);
	}
}

static void
resum(uint8_t *ip)
{
	size_t len = (ip[0] & 15u) * 4;
	rte_be16_t sum = 0;

	if (ip[0] >> 4 != 4 || len < 20)
		return;
	memcpy(ip + 10, &sum, sizeof(sum));
	sum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, len));
	memcpy(ip + 10, &sum, sizeof(sum));
}

static size_t
make_v4(uint8_t *ip, uint32_t src, uint32_t dst)
{
	static const uint8_t protos[] = {IPPROTO_UDP,  IPPROTO_UDP, IPPROTO_TCP,
					 IPPROTO_ICMP, IPPROTO_ESP, IPPROTO_AH,
					 IPPROTO_SCTP, IPPROTO_GRE, IPPROTO_UDPLITE};
	uint8_t proto = protos[below(RTE_DIM(protos))];
	size_t payload = payload_len(), len = put_ipv4(ip, src, dst, proto, payload);

	put_payload(ip + 20, proto, RTE_MAX(payload, 40u));
	if (one_in(3))
		ip[6] = 0x40;
	if (one_in(8)) { /* a fragment, or options that do nothing */
		ip[6] = one_in(2) ? 0x20 : 0;
		ip[7] = (uint8_t)below(3);
	} else if (one_in(8) && payload >= 4) {
		ip[0] = 0x46;
		memset(ip + 20, 1, 4);
	}
	resum(ip);
	return len;
}

static size_t
make_v6(uint8_t *ip, uint16_t src_net, uint16_t dst_net, uint8_t src, uint8_t dst)
{
	static const uint8_t protos[] = {IPPROTO_UDP,     IPPROTO_TCP,     IPPROTO_ICMPV6,
					 IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_FRAGMENT,
					 IPPROTO_MH,      IPPROTO_ESP,     IPPROTO_SCTP};
	uint8_t proto = protos[below(RTE_DIM(protos))];
	size_t payload = payload_len(), len = put_ipv6(ip, src_net, dst_net, proto, payload);

	ip[8 + 7] = src;
	ip[24 + 7] = dst;
	ip[8 + 15] = 2; /* put_ipv6() has 3 for the destination */
	put_payload(ip + 40, proto, RTE_MAX(payload, 40u));
	if (proto == IPPROTO_ICMPV6 && one_in(2))
		ip[7] = 255;
	return len;
}

static uint8_t
some_net(void)
{
	static const uint8_t others[] = {NET_BYPASS, NET_DISCARD, NET_NO_SA};

	return one_in(3) ? others[below(RTE_DIM(others))] : tunnels[below(RTE_DIM(tunnels))].net;
}

/* Places to go to that are not behind the peer, too. */
static uint32_t
some_v4(void)
{
	static const uint32_t odd[] = {0x0a030001, 0x0a040001, 0x0a050001, 0x0a090001, LAN_SELF,
				       LAN7_HOST,  0x0a010009, 0xe0000005, 0x0a01ffff, WAN_PEER,
				       WAN_SELF,   0x7f000001, LAN_HOST};

	return one_in(4) ? odd[below(RTE_DIM(odd))] : 0x0a020003u + ((uint32_t)some_net() << 8);
}

/* A packet that is new in all. `far`: its source is behind the peer, by that tunnel. */
static size_t
make_packet(uint8_t *ip, enum entry entry, uint8_t net)
{
	uint32_t near = one_in(8) ? some_v4() : LAN_HOST;

	switch (entry) {
	case FROM_LAN:
		return one_in(4) ? make_v6(ip, 1, 2, 0, some_net()) : make_v4(ip, near, some_v4());
	case FROM_HOST:
		return one_in(4) ? make_v6(ip, 0x99, 0x99, 0, 0)
				 : make_v4(ip, WAN_SELF, one_in(2) ? WAN_PEER : some_v4());
	default:
		return one_in(4) ? make_v6(ip, 2, 1, net, 0)
				 : make_v4(ip, 0x0a020003u + ((uint32_t)net << 8), near);
	}
}

/* One thing or a few that may differ between packets of one flow, or that make another flow. */
static size_t
vary(uint8_t *ip, size_t len)
{
	size_t more = 1 + below(50);
	bool v4 = ip[0] >> 4 == 4;

	switch (below(8)) {
	case 0:
		ip[v4 ? 8 : 7] = (uint8_t)below(3);
		break;
	case 1:
		ip[v4 ? 4 : 3] ^= (uint8_t)below(256);
		break;
	case 2:
		ip[below(one_in(4) ? 60 : v4 ? 24 : 44)] ^= (uint8_t)(1 << below(8));
		break;
	case 3:
		ip[1] ^= (uint8_t)(1 << below(6));
		break;
	case 4: /* longer or shorter */
		if (len > 100 + more && len < 1500) {
			len = one_in(2) ? len - more : len + more;
			ip[v4 ? 2 : 4] = (uint8_t)((len - (v4 ? 0 : 40)) >> 8);
			ip[v4 ? 3 : 5] = (uint8_t)(len - (v4 ? 0 : 40));
		}
		break;
	}
	if (!one_in(16))
		resum(ip);
	return len;
}

/* ---- frames ---- */

/* Sealed by a tunnel of the peer's; the outer header may be changed on the way. */
static size_t
seal(uint8_t *frame, unsigned int t, uint8_t *ip, size_t len)
{
	static const uint8_t odd[] = {41, 4, 59, 17};
	uint8_t next = one_in(20) ? odd[below(4)] : ip[0] >> 4 == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	bool again = one_in(30);
	const struct sa *sa = sas[t];
	uint8_t *outer = frame + 14;

	if (sa->mode != SA_MODE_TUNNEL) {
		size_t header = RTE_MIN(ip[0] >> 4 == 4 ? 20u : 40u, len);

		next = ip[0] >> 4 == 4 ? ip[9] : ip[6];
		len -= header;
		memmove(ip, ip + header, len);
	}
	if (sa->proto == IPPROTO_AH)
		ip[len] = next;
	else
		len = peer_trailer(sa, ip, len + (one_in(4) ? below(30) : 0), next);
	len = peer_seal(&peer, sa, again ? numbers[t] : ++numbers[t], ip, len, frame);
	/* Of a number that came before, what is wrong first depends on when the other one came. */
	if (again)
		return len;
	if (sa->family == FAMILY_V4 && one_in(3)) {
		if (one_in(2))
			outer[1] ^= (uint8_t)below(256);
		outer[8] = (uint8_t)below(256);
		if (sa->carrier == IPPROTO_UDP && one_in(2))
			outer[20 + 1] ^= 1; /* the peer's NAT has another port */
		if (one_in(4))
			outer[15] ^= 1; /* or another address */
		resum(outer);
	}
	if (one_in(30))
		frame[len - 1 - below(30)] ^= 2;
	return len;
}

static void
set_frame(struct sample *s)
{
	static const uint64_t known[] = {
		RTE_MBUF_F_RX_IP_CKSUM_GOOD, RTE_MBUF_F_RX_IP_CKSUM_BAD,
		RTE_MBUF_F_RX_IP_CKSUM_NONE, RTE_MBUF_F_RX_L4_CKSUM_GOOD,
		RTE_MBUF_F_RX_L4_CKSUM_BAD,  RTE_MBUF_F_RX_L4_CKSUM_NONE,
		RTE_MBUF_F_RX_VLAN_STRIPPED,
	};

	s->ol_flags = one_in(8) ? known[below(RTE_DIM(known))] : 0;
	s->tci = (uint16_t)(one_in(2) ? 7 : below(2));
	s->split = (uint16_t)(one_in(20) ? below((uint32_t)s->len) : 0);
	if (one_in(40))
		s->bytes[below(14)] ^= 1;
	if (one_in(40)) { /* a tag */
		memmove(s->bytes + 16, s->bytes + 12, s->len - 12);
		memcpy(s->bytes + 12, (const uint8_t[]){0x81, 0, 0, (uint8_t)s->tci}, 4);
		s->len += 4;
	}
}

/* `base`: the packet that the others are mostly like. */
static void
make_sample(struct sample *s, enum entry entry, struct sample *base, unsigned int *tunnel)
{
	unsigned int port = entry == FROM_LAN ? 0 : 1;
	uint8_t ip[ROOM];
	size_t len;

	if (base->len == 0 || one_in(8)) {
		*tunnel = one_in(2) ? 0 : below(RTE_DIM(tunnels));
		memset(base->bytes, 0, sizeof(base->bytes));
		base->len = make_packet(base->bytes, entry,
					entry == FROM_WAN ? some_net() : tunnels[*tunnel].net);
	}
	memcpy(ip, base->bytes, sizeof(ip));
	len = vary(ip, base->len);
	if (entry == FROM_WAN_SEALED) {
		s->len = seal(s->bytes, *tunnel, ip, RTE_MIN(len, 1350u));
	} else {
		engine_put_l2(&e, s->bytes, port,
			      ip[0] >> 4 == 6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
		memcpy(s->bytes + 14, ip, len);
		s->len = 14 + len;
	}
	set_frame(s);
}

static struct rte_mbuf *
frame_of(const struct sample *s)
{
	struct rte_mbuf *m = engine_frame(&e, s->bytes, s->split != 0 ? s->split : s->len);

	m->ol_flags = s->ol_flags;
	m->vlan_tci = s->tci;
	if (s->split != 0)
		assert_int_equal(rte_pktmbuf_chain(m, engine_frame(&e, s->bytes + s->split,
								   s->len - s->split)),
				 0);
	return m;
}

static void
enter(enum entry entry, const struct sample *s)
{
	struct rte_mbuf *m;

	if (entry != FROM_HOST) {
		engine_receive(&e, entry == FROM_LAN ? 0 : 1, frame_of(s));
		return;
	}
	m = engine_frame(&e, s->bytes, s->len);
	*packet(m) = (struct packet){
		.in = WAN, .out = IFACE_NONE, .flags = PACKET_FROM_HOST, .resume = RESUME_CLASSIFY};
	assert_int_equal(rte_ring_enqueue(e.dp->workers[0]->inbox, m), 0);
}

/* ---- what comes out ---- */

struct flow_fate {
	uint64_t key, sum;
};

/* What became of the packets of a round: counters, and what came out for each flow, in order. */
struct fate {
	struct worker_counters count;
	uint64_t waiting;
	unsigned int flows_count;
	struct flow_fate flows[FLOWS];
};

static uint64_t
hash(uint64_t h, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x100000001b3;
	return h;
}

static bool
is_ours(const uint8_t *ip)
{
	static const uint8_t v6[] = {0x20, 0x01, 0x0d, 0xb8};

	static const uint8_t v4[][4] = {{192, 0, 2, 1}, {10, 1, 0, 1}, {10, 7, 0, 1}};

	if (ip[0] >> 4 == 6)
		return memcmp(ip + 8, v6, sizeof(v6)) == 0 && ip[8 + 15] == 1;
	for (unsigned int i = 0; i < RTE_DIM(v4); i++)
		if (memcmp(ip + 12, v4[i], 4) == 0)
			return true;
	return ip[0] == 0x45 && ip[1] == 0xc0 &&
	       ip[9] == IPPROTO_ICMP; /* an error, from the host's peer to it */
}

/* Zeroes numbers that are of the moment, and what covers them: IDs, ESP's and AH's, and ICVs. */
static void
blank(uint8_t *ip, size_t len)
{
	bool v4 = ip[0] >> 4 == 4;
	size_t l4 = v4 ? (ip[0] & 15u) * 4 : 40;
	uint8_t proto = v4 ? ip[9] : ip[6];

	if (!is_ours(ip))
		return;
	if (v4)
		memset(ip + 4, 0, 2), memset(ip + 10, 0, 2);
	if ((v4 && ((ip[6] & 0x3f) | ip[7]) != 0) || proto == IPPROTO_FRAGMENT) {
		memset(ip + l4, 0, len - l4);
		return;
	}
	if (proto == IPPROTO_UDP && ip[l4] == 4500 >> 8 && ip[l4 + 1] == (4500 & 0xff))
		l4 += 8, proto = IPPROTO_ESP;
	if (proto == IPPROTO_AH) {
		memset(ip + l4 + 8, 0, (ip[l4 + 1] + 2u) * 4 - 8);
		if (len > l4 + 32 + 20)
			blank(ip + l4 + 32, len - l4 - 32);
	} else if (proto == IPPROTO_ESP && len >= l4 + 24) {
		memset(ip + l4 + 4, 0, 4);
		memset(ip + len - 16, 0, 16);
		if (len > l4 + 24 + 20)
			blank(ip + l4 + 8, len - l4 - 24);
	}
}

/*
 * Its flow: addresses, protocol, and ports where they show; of a tunnel what is inside as well.
 * What may be ESP in UDP walks apart from other packets until its SA was looked for. What is `cut`,
 * or has left its IP header behind, does not show any more whether it did.
 */
static uint64_t
flow_key(const uint8_t *ip, size_t len, uint64_t key, bool *cut)
{
	bool v4 = ip[0] >> 4 == 4;
	size_t l4 = v4 ? 20 : 40;
	uint8_t proto = v4 ? ip[9] : ip[6];

	if (len < l4)
		return key;
	key = hash(key, ip + (v4 ? 12 : 8), v4 ? 8 : 32) ^ proto;
	*cut |= v4 ? ((ip[6] & 0x3f) | ip[7]) != 0 : proto == IPPROTO_FRAGMENT;
	/* Discovery of the link's own goes by its type, and its hop limit. */
	if (!v4 && proto == IPPROTO_ICMPV6 && len > l4)
		key = hash(key, ip + l4, 1) ^ (uint64_t)(ip[7] == 255) << 8;
	if ((proto == IPPROTO_UDP || proto == IPPROTO_TCP) && len >= l4 + 4 && ip[0] != 0x46 &&
	    (!v4 || ((ip[6] & 0x3f) | ip[7]) == 0))
		key = hash(key, ip + l4,
			   ip[l4 + 3] == (4500 & 0xff) && !is_ours(ip) ? len - l4 : 4);
	/* Whether UDP is ESP hangs on the lengths that both headers tell, too. */
	if (!is_ours(ip) && proto == IPPROTO_UDP)
		key = hash(key, ip + (v4 ? 2 : 4), 2) ^ ip[0];
	if ((proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6) && len >= l4 + 28)
		return flow_key(ip + l4 + 8, len - l4 - 8, hash(key, ip + l4, 2), cut);
	if (is_ours(ip) && proto == IPPROTO_UDP)
		l4 += 8, proto = IPPROTO_ESP;
	if (is_ours(ip) && proto == IPPROTO_ESP && len > l4 + 24) {
		/* Beside tunnel mode the protocol stands in the trailer alone, or in BEET's header.
		 */
		uint8_t inner = ip[len - 17];

		key ^= (uint64_t)(inner == IPPROTO_BEETPH ? ip[l4 + 8] : inner) << 8;
		*cut |= inner == IPPROTO_UDP;
		return flow_key(ip + l4 + 8, len - l4 - 24, key, cut);
	}
	if (is_ours(ip) && proto == IPPROTO_AH && len > l4 + 32)
		return flow_key(ip + l4 + 32, len - l4 - 32, key, cut);
	return key;
}

static void
note(struct fate *f, struct rte_mbuf *m, uint64_t where)
{
	uint8_t *b = rte_pktmbuf_mtod(m, uint8_t *), *ip = b + (b[12] == 0x81 ? 18 : 14);
	size_t len = m->data_len - (size_t)(ip - b);
	bool cut = false;
	uint64_t key;
	unsigned int i = 0;

	assert_int_equal(m->nb_segs, 1);
	room_open(m);
	key = flow_key(ip, len, where, &cut);
	blank(ip, len);
	memset(b + 6, 0, 6); /* our own address */
	while (i < f->flows_count && f->flows[i].key != key)
		i++;
	assert_true(i < FLOWS);
	if (i == f->flows_count)
		f->flows[f->flows_count++] = (struct flow_fate){key, 0};
	if (cut) /* in any order */
		f->flows[i].sum += hash(0, b, m->data_len);
	else
		f->flows[i].sum = hash(f->flows[i].sum, b, m->data_len);
	rte_pktmbuf_free(m);
}

static void
settle(void)
{
	for (unsigned int i = 0; i < e.dp->workers_count; i++)
		rate_limit_init(&e.dp->workers[i]->icmp_rate, rte_get_tsc_hz(), 1000, 1000);
	engine_settle(&e);
	engine_check(&e);
}

static int
by_key(const void *a, const void *b)
{
	uint64_t x = ((const struct flow_fate *)a)->key, y = ((const struct flow_fate *)b)->key;

	return (x > y) - (x < y);
}

static void
collect(struct fate *f)
{
	struct rte_mbuf *m;

	memset(f, 0, sizeof(*f));
	for (unsigned int port = 0; port < 2; port++)
		while ((m = engine_sent(&e, port)) != NULL)
			note(f, m, port);
	for (unsigned int i = 0; i < ENGINE_IFACES; i++)
		while ((m = engine_punted(&e, i)) != NULL)
			note(f, m, 2 + i);
	qsort(f->flows, f->flows_count, sizeof(f->flows[0]), by_key);
	workers_sum(e.dp, &f->count);
	f->count.polls = f->count.busy_polls = 0;
	/* A forged number is known to be used only where the packet that used it came polls ago. */
	f->count.drops[DROP_ICV] += f->count.drops[DROP_REPLAY];
	f->count.drops[DROP_REPLAY] = 0;
	f->waiting = sa_wait_stats(e.dp).waiting;
}

/* ---- the two engines ---- */

static void
add_rule(uint8_t net, enum spd_action action, enum spd_dir dir)
{
	union ip_addr near = {.bytes = {10, 1}}, far = {.bytes = {10, 2, net}};
	bool out = dir == SPD_OUT;
	struct spd_params p = {
		.priority = 1,
		.action = (uint8_t)action,
		.tmpl = {.src = ip_addr_v4(RTE_BE32(WAN_SELF)),
			 .dst = ip_addr_v4(RTE_BE32(WAN_PEER)),
			 .family = FAMILY_V4,
			 .proto = IPPROTO_ESP,
			 .mode = SA_MODE_TUNNEL,
			 .reqid = 4711},
		.id = {.sel = {.src = out ? near : far,
			       .dst = out ? far : near,
			       .src_len = out ? 16 : 24,
			       .dst_len = out ? 24 : 16,
			       .family = FAMILY_V4},
		       .dir = (uint8_t)dir},
	};

	assert_int_equal(spd_add(e.dp->spd, &p, false, NULL), 0);
	if (action != SPD_BYPASS)
		return;
	p.action = SPD_DISCARD; /* but for some ports */
	p.priority = 0;
	p.id.sel.proto = IPPROTO_UDP;
	p.id.sel.dport = RTE_BE16(53);
	p.id.sel.dport_mask = UINT16_MAX;
	assert_int_equal(spd_add(e.dp->spd, &p, false, NULL), 0);
}

static void
begin(unsigned int seed, unsigned int workers)
{
	rte_srand(1);
	memset(numbers, 0, sizeof(numbers));
	peer_begin(&peer, &e, workers, tunnels, RTE_DIM(tunnels), sas);
	for (unsigned int i = 0; i < workers; i++)
		e.dp->workers[i]->frag_ports.seed = 1;
	state = seed;
	e.config.tunnels.mss_clamp = one_in(2) ? MSS_CLAMP : MSS_KEEP;
	e.config.tunnels.fragment = one_in(2) ? FRAGMENT_AFTER : FRAGMENT_BEFORE;
	e.config.spd.errors = one_in(2) ? ERRORS_SILENT : ERRORS_ANSWER;
	e.config.spd.fragments = one_in(4) ? FRAGMENTS_DISCARD : FRAGMENTS_PASS;
	e.dp->ifaces[WAN].mtu = one_in(2) ? 1500 : (uint16_t)(1300 + below(200));
	for (unsigned int dir = 0; dir < SPD_DIRS; dir++) {
		add_rule(NET_BYPASS, SPD_BYPASS, dir);
		add_rule(NET_DISCARD, SPD_DISCARD, dir);
		add_rule(NET_NO_SA, SPD_PROTECT, dir);
	}
	if (one_in(2))
		sa_wait_poll(e.dp, true, 0);
}

/* From time to time an SA goes, and comes back: those that wait for it go on together. */
static void
change(unsigned int round)
{
	static struct sa_params lost;

	if (round % 8 == 5) {
		sad_params_and_keys(peer_outbound(&peer, &tunnels[0]), &lost);
		assert_int_equal(sad_delete(e.dp->sad, &lost.id, NULL), 0);
	} else if (round % 8 == 7) {
		assert_int_equal(sad_add(e.dp->sad, &lost, NULL), 0);
	}
	if (sa_wait_stats(e.dp).heard)
		sa_wait_poll(e.dp, true, (uint64_t)round * 5000);
}

static void
run(unsigned int seed, unsigned int workers, bool together, struct fate *fates)
{
	static struct sample samples[BURST_MAX], base;

	begin(seed, workers);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int n = 1 + below(BURST_MAX), tunnel = 0;
		enum entry entry = (enum entry)below(ENTRIES);

		base.len = 0;
		for (unsigned int i = 0; i < n; i++)
			make_sample(&samples[i], entry, &base, &tunnel);
		for (unsigned int i = 0; i < n; i++) {
			enter(entry, &samples[i]);
			if (!together)
				settle();
		}
		settle();
		change(round);
		settle();
		collect(&fates[round]);
	}
	peer_end(&peer);
}

static void
explain(const struct fate *a, const struct fate *b)
{
	const uint64_t *x = (const uint64_t *)&a->count, *y = (const uint64_t *)&b->count;

	for (unsigned int i = 0; i < sizeof(a->count) / sizeof(*x); i++)
		if (x[i] != y[i])
			print_error("counter %u: %lu alone, %lu together\n", i, x[i], y[i]);
	for (unsigned int i = 0; i < RTE_MAX(a->flows_count, b->flows_count); i++)
		if (memcmp(&a->flows[i], &b->flows[i], sizeof(a->flows[0])) != 0)
			print_error("flow %lx alone, %lx together: %lx, %lx\n", a->flows[i].key,
				    b->flows[i].key, a->flows[i].sum, b->flows[i].sum);
}

static void
compare(unsigned int workers)
{
	static struct fate alone[ROUNDS], together[ROUNDS];

	for (unsigned int seed = 1; seed <= seeds; seed++) {
		run(seed, workers, false, alone);
		run(seed, workers, true, together);
		for (unsigned int round = 0; round < ROUNDS; round++)
			if (memcmp(&alone[round], &together[round], sizeof(alone[0])) != 0) {
				explain(&alone[round], &together[round]);
				fail_msg("seed %u, round %u: not the same", seed, round);
			}
	}
}

static void
B34_packets_of_a_burst_fare_as_one_by_one(void **unused)
{
	compare(1);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(B34_packets_of_a_burst_fare_as_one_by_one),
	};

	if (argc > 1)
		seeds = (unsigned int)strtoul(argv[1], NULL, 10);
	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
