/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets of a burst that are like the one before are not looked at as closely. Whatever comes
 * together, each of them fares as it does alone: random bursts of one flow, with random faults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_cycles.h>

#include "frame.h"
#include "peer.h"

#define ROUNDS 400
#define FRAMES 24
#define ROOM   400

/* What is sealed can be read. */
static const struct tunnel tunnels[] = {
	{"null-sha256", FAMILY_V4, 3, false, false, 0x1000, 0, ESP_TUNNEL},
	{"null-sha256", FAMILY_V6, 4, false, true, 0x2000, 0, ESP_TUNNEL},
	{"null-sha256", FAMILY_V4, 5, false, true, 0x3000, SA_DECAP_DSCP, ESP_TUNNEL},
	{"null-sha256", FAMILY_V4, 6, false, true, 0x4000, 0, ESP_TUNNEL},
	{"null-sha256", FAMILY_V4, 7, false, false, 0x5000, 0, ESP_TRANSPORT},
	{"null-sha256", FAMILY_V6, 8, false, false, 0x6000, 0, ESP_TRANSPORT},
	{"null-sha256", FAMILY_V4, 9, false, true, 0x7000, 0, ESP_BEET},
};

#define TUNNELS 4 /* the first are of tunnel mode */

static struct engine e;
static struct peer peer;
static const struct sa *sas[RTE_DIM(tunnels)];
static uint64_t numbers[RTE_DIM(tunnels)]; /* used by the peer */
static uint32_t state = 1;

static uint32_t
below(uint32_t n)
{
	state = state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)state * n >> 32);
}

/* A frame, or what is in one: as it was sent, and what the peer needs to seal it anew. */
struct sample {
	uint8_t bytes[ROOM];
	size_t len;
	unsigned int tunnel;
	size_t cut;  /* so many bytes of ESP are left, or 0 */
	uint8_t tos; /* of the outer header of IPv4 */
};

/* A packet of one of few flows, mostly the first, of any length; often with something wrong. */
static size_t
put_packet(uint8_t *ip, bool v6, uint32_t src, uint32_t dst)
{
	uint8_t proto = below(4) == 0 ? IPPROTO_TCP : IPPROTO_UDP;
	size_t payload = 40 + below(60);
	size_t len = v6 ? put_ipv6(ip, src, dst, proto, payload)
			: put_ipv4(ip, src, dst, proto, payload);

	memset(ip + len - payload, 7, 4);
	if (below(3) == 0) { /* a byte of the header, or one or two behind it */
		ip[below(below(4) == 0 ? 50 : 24)] ^= (uint8_t)(1 << below(8));
		if (!v6 && below(4) != 0) {
			struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)ip;

			h->hdr_checksum = 0;
			h->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, h, sizeof(*h)));
		}
	}
	return len - (below(16) == 0) + (below(4) == 0 ? below(9) : 0);
}

static void
make_clear(struct sample *s)
{
	bool v6 = below(8) == 0;
	size_t l2 = engine_put_l2(&e, s->bytes, 0, v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	const struct tunnel *t = &tunnels[below(8) == 0 ? below(TUNNELS) : 0];

	s->len = l2 + (v6 ? put_packet(s->bytes + l2, true, 1, 2)
			  : put_packet(s->bytes + l2, false, LAN_HOST, peer_host(t)));
	if (below(40) == 0)
		s->bytes[below(14)] ^= 1;
}

/* Sealed anew each time: a number is taken once. */
static struct rte_mbuf *
sealed(const struct sample *s)
{
	struct rte_ipv4_hdr *h;
	uint8_t frame[ROOM + 200];
	size_t len;

	len = peer_seal(&peer, sas[s->tunnel], ++numbers[s->tunnel], s->bytes, s->len, frame);
	h = (struct rte_ipv4_hdr *)(frame + 14);
	if (h->version_ihl == 0x45) {
		if (s->cut != 0 && h->next_proto_id == IPPROTO_ESP)
			len = 14 + sizeof(*h) + s->cut;
		h->type_of_service = s->tos;
		h->total_length = rte_cpu_to_be_16((uint16_t)(len - 14));
		h->hdr_checksum = 0;
		h->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, h, sizeof(*h)));
	}
	return engine_frame(&e, frame, len);
}

static void
make_inner(struct sample *s)
{
	const struct tunnel *claimed; /* whose host it says to be from */

	s->tunnel = below(6) == 0 ? below(TUNNELS) : 0;
	s->cut = below(12) == 0 ? below(30) : 0;
	s->tos = (uint8_t)(below(12) == 0 ? below(8) : 0);
	claimed = &tunnels[below(8) == 0 ? 0 : s->tunnel];
	s->len = put_packet(s->bytes, false, peer_host(claimed), LAN_HOST);
	s->len = peer_trailer(sas[s->tunnel], s->bytes, s->len, below(20) == 0 ? 41 : 4);
}

/* Beside tunnel mode there is no header inside. Mostly of the SA of the packet before. */
static void
make_mode(struct sample *s)
{
	static unsigned int last = TUNNELS;
	bool v6;
	size_t head, len;
	uint8_t proto;

	if (below(5) == 0)
		last = TUNNELS + below(RTE_DIM(tunnels) - TUNNELS);
	v6 = tunnels[last].family == FAMILY_V6;
	head = v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	s->tunnel = last;
	s->cut = below(12) == 0 ? below(30) : 0;
	s->tos = (uint8_t)(below(12) == 0 ? below(8) : 0);
	len = put_packet(s->bytes, v6, 1, 2) - head;
	proto = s->bytes[v6 ? 6 : 9];
	memmove(s->bytes, s->bytes + head, len);
	s->len = peer_trailer(sas[s->tunnel], s->bytes, len, below(20) == 0 ? 41 : proto);
}

/* Bytes up to the end of an ESP header, or 0. */
static uint32_t
esp_end(const uint8_t *frame)
{
	const uint8_t *header = frame + 14;
	uint32_t len = header[0] >> 4 == 4 ? 20 : 40;
	uint8_t proto = header[len == 20 ? 9 : 6];
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(header + len);

	if (proto == IPPROTO_UDP && udp->src_port == RTE_BE16(4500))
		len += 8;
	else if (proto != IPPROTO_ESP)
		return 0;
	return 14 + len + 8;
}

/* A packet that came out, but for what is different each time: of ESP, its headers and the ICV. */
static uint64_t
digest(const struct rte_mbuf *m)
{
	const uint8_t *b = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t begin = esp_end(b), end = m->data_len - (begin > 0 ? 16u : 0);
	uint64_t sum = chash_mix(1, m->data_len);

	for (uint32_t i = begin; i < end; i++)
		sum = chash_mix(sum, b[i]);
	return sum;
}

/* What became of packets: counters, and what came out of each port, or went to the host. */
struct fate {
	struct worker_counters count;
	uint64_t sent[2], punted;
};

static uint64_t
digest_and_free(struct rte_mbuf *m)
{
	uint64_t sum = digest(m);

	rte_pktmbuf_free(m);
	return sum;
}

static void
receive(unsigned int port, const struct sample *s)
{
	engine_receive(&e, port, port == 0 ? engine_frame(&e, s->bytes, s->len) : sealed(s));
}

static void
settle(struct fate *f)
{
	struct rte_mbuf *m;

	rate_limit_init(&e.dp->workers[0]->icmp_rate, rte_get_tsc_hz(), 1000, 1000);
	engine_settle(&e);
	for (unsigned int port = 0; port < 2; port++)
		while ((m = engine_sent(&e, port)) != NULL)
			f->sent[port] += digest_and_free(m);
	for (unsigned int iface = 0; iface < ENGINE_IFACES; iface++)
		while ((m = engine_punted(&e, iface)) != NULL)
			f->punted += digest_and_free(m);
	workers_sum(e.dp, &f->count);
	engine_check(&e);
	engine_drain(&e);
}

static struct worker_counters
difference(const struct worker_counters *from, const struct worker_counters *to)
{
	struct worker_counters d = *to;

	for (size_t i = 0; i < sizeof(d) / sizeof(uint64_t); i++)
		((uint64_t *)&d)[i] -= ((const uint64_t *)from)[i];
	d.polls = d.busy_polls = 0;
	return d;
}

/* ICMP errors have identifications of their own: where there were some, counters tell enough. */
static void
compare(unsigned int port, void (*make)(struct sample *s))
{
	static struct sample samples[FRAMES];
	static struct fate start, alone, together;
	struct worker_counters a, b;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int n = 2 + below(FRAMES - 1);

		for (unsigned int i = 0; i < n; i++)
			make(&samples[i]);
		start.sent[0] = start.sent[1] = start.punted = 0;
		settle(&start);
		alone = start;
		for (unsigned int i = 0; i < n; i++) {
			receive(port, &samples[i]);
			settle(&alone);
		}
		together = (struct fate){.sent = {0, 0}};
		for (unsigned int i = 0; i < n; i++)
			receive(port, &samples[i]);
		settle(&together);
		a = difference(&start.count, &alone.count);
		b = difference(&alone.count, &together.count);
		assert_memory_equal(&a, &b, sizeof(a));
		if (a.made == 0) {
			assert_int_equal(alone.sent[0], together.sent[0]);
			assert_int_equal(alone.sent[1], together.sent[1]);
			assert_int_equal(alone.punted, together.punted);
		}
	}
}

static void
B34_clear_packets_of_a_burst_fare_as_each_alone(void **unused)
{
	compare(0, make_clear);
}

static void
B34_decrypted_packets_of_a_burst_fare_as_each_alone(void **unused)
{
	compare(1, make_inner);
}

static void
B34_packets_beside_tunnel_mode_fare_as_each_alone(void **unused)
{
	compare(1, make_mode);
}

static void
route(uint16_t vrf, uint32_t addr, uint8_t len)
{
	struct fib_prefix prefix = {
		.addr = ip_addr_v4(rte_cpu_to_be_32(addr)), .len = len, .family = FAMILY_V4};
	struct nexthop nh = {
		.type = NEXTHOP_GATEWAY,
		.gateway_family = FAMILY_V4,
		.iface = LAN7,
		.weight = 1,
		.gateway = ip_addr_v4(RTE_BE32(LAN7_HOST)),
	};
	struct reason why = {""};

	assert_int_equal(fib_set(e.dp->fib, vrf, &prefix, 0, &nh, 1, &why), 0);
}

static unsigned int
count_sent(unsigned int port)
{
	struct rte_mbuf *m;
	unsigned int n = 0;

	for (; (m = engine_sent(&e, port)) != NULL; n++)
		rte_pktmbuf_free(m);
	return n;
}

/* One SA's, of which every second is routed to another unprotected interface, in a VRF of its own.
 */
static void
B34_packets_of_one_sa_leave_by_the_interfaces_that_they_were_routed_to(void **unused)
{
	struct reason why = {""};
	int vrf = fib_vrf(e.dp->fib, 700, &why);
	uint8_t frame[ROOM];

	assert_true(vrf > 0);
	e.dp->ifaces[LAN7].side = SIDE_UNPROTECTED;
	e.dp->ifaces[LAN7].vrf = (uint16_t)vrf;
	route((uint16_t)vrf, WAN_PEER, 32);
	route(e.dp->ifaces[LAN].vrf, peer_host(&tunnels[0]) + 1, 32);
	for (uint32_t i = 0; i < 8; i++) {
		size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);
		size_t len = put_ipv4(frame + l2, LAN_HOST, peer_host(&tunnels[0]) + i % 2,
				      IPPROTO_UDP, 40);

		engine_receive(&e, 0, engine_frame(&e, frame, l2 + len));
	}
	engine_settle(&e);
	assert_int_equal(count_sent(0), 4); /* whose sub-port it is */
	assert_int_equal(count_sent(1), 4);
	engine_check(&e);
}

static int
setup(void **unused)
{
	peer_begin(&peer, &e, 1, tunnels, RTE_DIM(tunnels), sas);
	return 0;
}

static int
teardown(void **unused)
{
	engine_drain(&e);
	peer_end(&peer);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(B34_clear_packets_of_a_burst_fare_as_each_alone,
						setup, teardown),
		cmocka_unit_test_setup_teardown(B34_decrypted_packets_of_a_burst_fare_as_each_alone,
						setup, teardown),
		cmocka_unit_test_setup_teardown(B34_packets_beside_tunnel_mode_fare_as_each_alone,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			B34_packets_of_one_sa_leave_by_the_interfaces_that_they_were_routed_to,
			setup, teardown),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
