/* SPDX-License-Identifier: BSD-3-Clause */
/* What ip_parse() accepts, what it refuses and why, and the flow that it leaves for selectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/ip_parse.h"
#include "frame.h"

#define SRC 0x0a010002
#define DST 0x0a020003

static struct frame f;
static uint8_t bytes[70000];

/* The quick way takes only what the other takes, and finds the same. */
static void
compare_with_plain(size_t len, bool passes)
{
	struct rte_mbuf *m = frame_set(&f, bytes, len);
	struct packet *p = packet(m), found;
	uint32_t data_len;

	if (!ip_parse_plain(m, 0, m->data_len, true))
		return;
	assert_true(passes);
	found = *p;
	data_len = m->data_len;
	m = frame_set(&f, bytes, len);
	assert_true(ip_parse(m, true, &(enum drop_reason){0}));
	assert_int_equal(data_len, m->data_len);
	assert_int_equal(found.family, p->family);
	assert_int_equal(found.proto, p->proto);
	assert_int_equal(found.l4_off, p->l4_off);
	assert_int_equal(found.fragment, p->fragment);
	assert_int_equal(found.flow_hash, p->flow_hash);
	assert_true(ip_may_lead(m));
}

static enum drop_reason
parse(size_t len)
{
	enum drop_reason reason;
	bool passes = ip_parse(frame_set(&f, bytes, len), true, &reason);

	compare_with_plain(len, passes);
	ip_parse(frame_set(&f, bytes, len), true, &reason);
	return passes ? DROP_COUNT : reason;
}

/* After a change of the IPv4 header, which has `len` bytes. */
static void
resum(size_t len)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)bytes;

	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, len));
}

static void
B2_B3_B4_ipv4_header_is_checked_whole(void **state)
{
	size_t len = put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 30);

	assert_int_equal(parse(len), DROP_COUNT);
	for (size_t cut = 0; cut < 20; cut++)
		assert_int_equal(parse(cut), DROP_IP_HDR);
	assert_int_equal(parse(len - 1), DROP_IP_LEN);
	bytes[0] = 0x55;
	assert_int_equal(parse(len), DROP_IP_HDR);
	bytes[0] = 0x44;
	assert_int_equal(parse(len), DROP_IP_HDR);
	bytes[0] = 0x4f;
	assert_int_equal(parse(len), DROP_IP_HDR);
	put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 30);
	bytes[3] = 19;
	resum(20);
	assert_int_equal(parse(len), DROP_IP_LEN);
}

static void
B4_every_flipped_bit_of_an_ipv4_header_is_seen(void **state)
{
	size_t len = put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 30);

	for (unsigned int bit = 0; bit < 20 * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(parse(len), DROP_COUNT);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(parse(len), DROP_COUNT);
}

static void
B5_ethernet_trailer_is_cut(void **state)
{
	size_t len = put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 8);

	assert_int_equal(parse(len + 18), DROP_COUNT);
	assert_int_equal(f.m.pkt_len, len);
	assert_int_equal(f.m.data_len, len);
	len = put_ipv6(bytes, 1, 2, IPPROTO_UDP, 8);
	assert_int_equal(parse(len + 9), DROP_COUNT);
	assert_int_equal(f.m.pkt_len, len);
}

static void
B6_ipv4_options_pass_but_source_routes(void **state)
{
	static const struct {
		uint8_t options[8];
		enum drop_reason reason;
	} cases[] = {
		{{1, 1, 1, 0}, DROP_COUNT},
		{{1, 1, 1, 1, 1, 1, 1, 1}, DROP_COUNT},
		{{148, 4, 0, 0}, DROP_COUNT},            /* router alert */
		{{131, 7, 4, 1, 2, 3, 4}, DROP_IP_OPTS}, /* loose source route */
		{{1, 137, 7, 4, 1, 2, 3, 4}, DROP_IP_OPTS},
		{{7, 9, 4}, DROP_IP_HDR}, /* longer than the header */
		{{7, 1}, DROP_IP_HDR},    /* shorter than itself */
		{{7, 0}, DROP_IP_HDR},
		{{1, 1, 1, 1, 1, 1, 1, 7}, DROP_IP_HDR}, /* no length */
		{{0, 131, 7, 4}, DROP_COUNT},            /* behind the end */
	};

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 16);
		bytes[0] = 0x47;
		memcpy(bytes + 20, cases[i].options, 8);
		resum(28);
		assert_int_equal(parse(36), cases[i].reason);
		if (cases[i].reason == DROP_COUNT)
			assert_int_equal(f.p.l4_off, 28);
	}
}

static void
ipv4_fragments_are_told_apart(void **state)
{
	static const struct {
		uint16_t field;
		uint8_t fragment;
	} cases[] = {{0x0000, 0}, {0x4000, 0}, {0x2000, 1}, {0x2001, 2}, {0x0001, 2}};
	size_t len = put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 64);

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		bytes[6] = (uint8_t)(cases[i].field >> 8);
		bytes[7] = (uint8_t)cases[i].field;
		resum(20);
		assert_int_equal(parse(len), DROP_COUNT);
		assert_int_equal(f.p.fragment, cases[i].fragment);
	}
	/* The last bytes would lie behind 65,535. */
	bytes[6] = 0x1f;
	bytes[7] = 0xff;
	resum(20);
	assert_int_equal(parse(len), DROP_IP_LEN);
}

static void
martians_are_refused(void **state)
{
	static const struct {
		uint32_t src, dst;
		bool martian;
	} cases[] = {
		{0x7f000001, DST, true},  {SRC, 0x7f000001, true}, {0, DST, true},
		{0x00000001, DST, true},  {SRC, 0, true},          {0xe0000001, DST, true},
		{0xffffffff, DST, true},  {0, 0xffffffff, false}, /* DHCP */
		{SRC, 0xe0000005, false}, {SRC, DST, false},       {0x01000001, 0xdfffffff, false},
	};

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		size_t len = put_ipv4(bytes, cases[i].src, cases[i].dst, IPPROTO_UDP, 8);

		assert_int_equal(parse(len), cases[i].martian ? DROP_MARTIAN : DROP_COUNT);
	}
}

static void
ipv6_martians_are_refused(void **state)
{
	uint8_t *src = bytes + 8, *dst = bytes + 24;
	size_t len = put_ipv6(bytes, 1, 2, IPPROTO_UDP, 8);

	assert_int_equal(parse(len), DROP_COUNT);
	memset(src, 0, 16);
	assert_int_equal(parse(len), DROP_MARTIAN);
	dst[0] = 0xff; /* duplicate address detection */
	dst[1] = 0x02;
	assert_int_equal(parse(len), DROP_COUNT);
	src[15] = 1; /* ::1 */
	assert_int_equal(parse(len), DROP_MARTIAN);
	src[0] = 0xff;
	assert_int_equal(parse(len), DROP_MARTIAN);
	put_ipv6(bytes, 1, 2, IPPROTO_UDP, 8);
	memset(dst, 0, 16);
	assert_int_equal(parse(len), DROP_MARTIAN);
	dst[15] = 1;
	assert_int_equal(parse(len), DROP_MARTIAN);
	dst[0] = 0xff; /* interface-local multicast */
	dst[1] = 0x01;
	assert_int_equal(parse(len), DROP_MARTIAN);
}

static void
B2_B3_ipv6_header_is_checked_whole(void **state)
{
	size_t len = put_ipv6(bytes, 1, 2, IPPROTO_UDP, 20);

	assert_int_equal(parse(len), DROP_COUNT);
	assert_int_equal(f.p.l4_off, 40);
	assert_int_equal(parse(39), DROP_IP_HDR);
	assert_int_equal(parse(len - 1), DROP_IP_LEN);
}

/* Extension headers of 8 bytes each, whose types are given, in front of UDP. */
static size_t
put_chain(const uint8_t *types, unsigned int count)
{
	size_t len = put_ipv6(bytes, 1, 2, count > 0 ? types[0] : IPPROTO_UDP, count * 8 + 8);

	memset(bytes + 40, 0, count * 8 + 8);
	for (unsigned int i = 0; i < count; i++) {
		bytes[40 + i * 8] = i + 1 < count ? types[i + 1] : IPPROTO_UDP;
		if (types[i] == IPPROTO_ROUTING)
			bytes[40 + i * 8 + 2] = 4; /* segment routing */
	}
	return len;
}

static void
B7_ipv6_chains_are_walked_to_the_payload(void **state)
{
	static const uint8_t types[] = {0, 60, 43, 60, 60, 60, 60, 60, 60};
	size_t len;

	for (unsigned int count = 0; count <= IP_EXT_MAX; count++) {
		len = put_chain(types, count);
		assert_int_equal(parse(len), DROP_COUNT);
		assert_int_equal(f.p.proto, IPPROTO_UDP);
		assert_int_equal(f.p.l4_off, 40 + count * 8);
	}
	len = put_chain(types, IP_EXT_MAX + 1);
	assert_int_equal(parse(len), DROP_IP_EXT);
}

static void
B7_bad_ipv6_chains_are_refused(void **state)
{
	static const uint8_t hop_late[] = {60, 0}, routing[] = {43}, options[] = {60},
			     twice[] = {44, 44};
	size_t len = put_chain(hop_late, 2);

	assert_int_equal(parse(len), DROP_IP_EXT);
	len = put_chain(routing, 1);
	bytes[42] = 0; /* routing header 0 */
	assert_int_equal(parse(len), DROP_IP_EXT);
	len = put_chain(options, 1);
	bytes[41] = 1; /* 16 bytes, just all there is */
	assert_int_equal(parse(len), DROP_COUNT);
	bytes[41] = 2; /* past the end */
	assert_int_equal(parse(len), DROP_IP_EXT);
	len = put_chain(twice, 2);
	assert_int_equal(parse(len), DROP_IP_EXT);
	put_ipv6(bytes, 1, 2, 60, 7); /* cut */
	assert_int_equal(parse(47), DROP_IP_EXT);
	put_ipv6(bytes, 1, 2, 0, 0);
	assert_int_equal(parse(40), DROP_IP_EXT);
}

static void
ipv6_fragments_are_told_apart(void **state)
{
	static const uint8_t types[] = {44};
	struct flow flow;
	size_t len = put_chain(types, 1);

	assert_int_equal(parse(len), DROP_COUNT);
	assert_int_equal(f.p.fragment, 0); /* an atomic fragment is whole, RFC 6946 */
	bytes[43] = 1;
	assert_int_equal(parse(len), DROP_COUNT);
	assert_int_equal(f.p.fragment, 1);
	bytes[42] = 1;
	assert_int_equal(parse(len), DROP_COUNT);
	assert_int_equal(f.p.fragment, 2);
	assert_int_equal(f.p.proto, IPPROTO_UDP);
	packet_flow(&f.m, &flow);
	assert_true(flow.ports_opaque);
}

/* RFC 7112: what a policy is chosen by does not hide in a later one. */
static void
B8_a_tiny_first_ipv6_fragment_is_refused(void **state)
{
	static const uint8_t protocols[] = {IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ESP, IPPROTO_ICMPV6};

	for (unsigned int i = 0; i < RTE_DIM(protocols); i++) {
		size_t least = protocols[i] == IPPROTO_TCP ? 20 : 8;

		for (size_t there = 0; there < 24; there++) {
			size_t len = put_ipv6(bytes, 1, 2, IPPROTO_FRAGMENT, 8 + there);

			memset(bytes + 40, 0, 8 + there);
			bytes[40] = protocols[i];
			bytes[43] = 1; /* more to come */
			assert_int_equal(parse(len), there < least ? DROP_IP_EXT : DROP_COUNT);
		}
	}
}

static void
flow_has_ports_or_icmp_type_and_code(void **state)
{
	struct flow flow;
	size_t len = put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 8);

	memcpy(bytes + 20, "\x01\x02\x03\x04", 4);
	assert_int_equal(parse(len), DROP_COUNT);
	packet_flow(&f.m, &flow);
	assert_int_equal(flow.src.v4, RTE_BE32(SRC));
	assert_int_equal(flow.dst.v4, RTE_BE32(DST));
	assert_int_equal(flow.sport, RTE_BE16(0x0102));
	assert_int_equal(flow.dport, RTE_BE16(0x0304));
	assert_false(flow.ports_opaque);

	len = put_ipv4(bytes, SRC, DST, IPPROTO_ICMP, 8);
	bytes[20] = 3;
	bytes[21] = 4;
	assert_int_equal(parse(len), DROP_COUNT);
	packet_flow(&f.m, &flow);
	assert_int_equal(flow.sport, RTE_BE16(3));
	assert_int_equal(flow.dport, RTE_BE16(4));

	len = put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 3);
	assert_int_equal(parse(len), DROP_COUNT);
	packet_flow(&f.m, &flow);
	assert_true(flow.ports_opaque);
}

/* The IPv4 header in `g` is right again after a change, or there is none. */
static void
resum_frame(struct frame *g, bool v6)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(&g->m, struct rte_ipv4_hdr *);

	if (!v6) {
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, sizeof(*ip)));
	}
}

/* What of the first bytes may differ between packets that are alike: IDs, TTLs, checksums. */
static bool
may_differ(bool v6, size_t byte)
{
	return v6 ? byte == 7 : byte == 4 || byte == 5 || byte == 8 || byte == 10 || byte == 11;
}

static void
what_any_stage_could_tell_apart_is_not_alike(void **state)
{
	static struct frame g;
	struct ip_like like;

	for (int v6 = 0; v6 < 2; v6++) {
		size_t flow = v6 ? 44 : 24;
		size_t len = v6 ? put_ipv6(bytes, 1, 2, IPPROTO_UDP, 30)
				: put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 30);

		assert_int_equal(parse(len), DROP_COUNT);
		f.p.flow_hash = 42;
		assert_true(ip_may_lead(&f.m));
		ip_like_begin(&like, &f.m, 4, (uint32_t)len);
		for (size_t bit = 0; bit < len * 8; bit++) {
			bool length = v6 ? bit / 16 == 2 : bit / 16 == 1;

			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			frame_set(&g, bytes, len);
			resum_frame(&g, v6);
			if (!length)
				assert_int_equal(ip_like_parse(&like, &g.m, 0, (uint32_t)len, true),
						 bit / 8 >= flow || may_differ(v6, bit / 8));
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		/* What lies behind it is cut. */
		frame_set(&g, bytes, len + 3);
		assert_true(ip_like_parse(&like, &g.m, 0, (uint32_t)len + 3, true));
		assert_int_equal(g.m.data_len, len);
		assert_int_equal(g.m.pkt_len, len);
	}
}

/* Such a packet is parsed by itself, which says what is wrong with it. */
static void
packets_with_faults_are_not_alike(void **state)
{
	static struct frame g;
	struct ip_like like;

	for (int v6 = 0; v6 < 2; v6++) {
		size_t flow = v6 ? 44 : 24, header = flow - 4;
		size_t len = v6 ? put_ipv6(bytes, 1, 2, IPPROTO_UDP, 30)
				: put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 30);
		uint8_t *ip_len = &bytes[v6 ? 5 : 3];

		assert_int_equal(parse(len), DROP_COUNT);
		ip_like_begin(&like, &f.m, 4, (uint32_t)len);
		frame_set(&g, bytes, len);
		assert_false(ip_like_parse(&like, &g.m, 0, (uint32_t)len - 1, true));
		like.most--;
		assert_false(ip_like_parse(&like, &g.m, 0, (uint32_t)len, true));
		like.most++;
		assert_int_equal(g.m.data_len, len);
		for (size_t wrong = 0; wrong < flow; wrong++) {
			*ip_len = (uint8_t)(v6 ? wrong - header : wrong);
			if (v6 && wrong < header)
				continue;
			frame_set(&g, bytes, len);
			resum_frame(&g, v6);
			assert_false(ip_like_parse(&like, &g.m, 0, (uint32_t)len, true));
		}
		*ip_len = (uint8_t)(v6 ? len - header : len);
		frame_set(&g, bytes, len);
		rte_pktmbuf_mtod(&g.m, uint8_t *)[v6 ? 7 : 8]--;
		assert_int_equal(ip_like_parse(&like, &g.m, 0, (uint32_t)len, true), v6);
		rte_pktmbuf_mtod(&g.m, uint8_t *)[v6 ? 7 : 8]--;
		assert_true(ip_like_parse(&like, &g.m, 0, (uint32_t)len, false));
	}
}

/* Mobility says its own length, which is checked of each packet. */
static void
nothing_is_like_ipv6_mobility(void **state)
{
	size_t len = put_ipv6(bytes, 1, 2, IPPROTO_MH, 32);

	bytes[40] = 59;
	bytes[41] = 3;
	assert_int_equal(parse(len), DROP_COUNT);
	assert_false(ip_may_lead(&f.m));
}

/* Of them too little is known. */
static void
nothing_is_like_a_fragment_or_a_cut_header(void **state)
{
	size_t len = put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 3);

	assert_int_equal(parse(len), DROP_COUNT);
	assert_false(ip_may_lead(&f.m));
	len = put_ipv4(bytes, SRC, DST, IPPROTO_UDP, 32);
	bytes[6] = 0x20;
	resum(20);
	assert_int_equal(parse(len), DROP_COUNT);
	assert_false(ip_may_lead(&f.m));
	bytes[6] = 0;
	resum(20);
	for (unsigned int i = 0; i < 3; i++) {
		static const uint16_t flags[] = {PACKET_MERGED, PACKET_FROM_HOST, PACKET_LARGE};

		assert_int_equal(parse(len), DROP_COUNT);
		f.p.flags = flags[i];
		assert_false(ip_may_lead(&f.m));
		f.p.flags = 0;
		assert_true(ip_may_lead(&f.m));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(B2_B3_B4_ipv4_header_is_checked_whole),
		cmocka_unit_test(B4_every_flipped_bit_of_an_ipv4_header_is_seen),
		cmocka_unit_test(B5_ethernet_trailer_is_cut),
		cmocka_unit_test(B6_ipv4_options_pass_but_source_routes),
		cmocka_unit_test(ipv4_fragments_are_told_apart),
		cmocka_unit_test(martians_are_refused),
		cmocka_unit_test(ipv6_martians_are_refused),
		cmocka_unit_test(B2_B3_ipv6_header_is_checked_whole),
		cmocka_unit_test(B7_ipv6_chains_are_walked_to_the_payload),
		cmocka_unit_test(B7_bad_ipv6_chains_are_refused),
		cmocka_unit_test(ipv6_fragments_are_told_apart),
		cmocka_unit_test(B8_a_tiny_first_ipv6_fragment_is_refused),
		cmocka_unit_test(what_any_stage_could_tell_apart_is_not_alike),
		cmocka_unit_test(packets_with_faults_are_not_alike),
		cmocka_unit_test(nothing_is_like_a_fragment_or_a_cut_header),
		cmocka_unit_test(nothing_is_like_ipv6_mobility),
		cmocka_unit_test(flow_has_ports_or_icmp_type_and_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
