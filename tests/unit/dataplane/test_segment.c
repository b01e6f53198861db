/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A long frame is cut into segments that are right, and these, merged, are the frame again. What
 * would not come back as it was is not merged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/segment.h"
#include "frame.h"

#define L2        14
#define PARTS     8
#define FRAME_MAX 20000
#define GSO_UDP   5 /* VIRTIO_NET_HDR_GSO_UDP_L4, newer than Debian 12's headers */

enum { TCP4, TCP6, UDP4, UDP6, KINDS };

static struct frame frames[PARTS + 1];
static struct rte_mbuf *parts[PARTS + 1];
static uint8_t whole[FRAME_MAX];
static struct virtio_net_hdr about;
static uint32_t l4, head;

static bool
is_tcp(int kind)
{
	return kind < UDP4;
}

static bool
is_v4(int kind)
{
	return kind == TCP4 || kind == UDP4;
}

static struct rte_tcp_hdr *
tcp_in(uint8_t *frame)
{
	return (struct rte_tcp_hdr *)(frame + l4);
}

static void
put_tcp(uint8_t *at)
{
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)at;

	memset(at, 0, 32);
	tcp->src_port = RTE_BE16(1000);
	tcp->dst_port = RTE_BE16(2000);
	tcp->sent_seq = RTE_BE32(0xfffff000); /* it wraps */
	tcp->recv_ack = RTE_BE32(77);
	tcp->data_off = 8 << 4;
	tcp->tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG;
	tcp->rx_win = RTE_BE16(501);
	memcpy(at + 20, "\1\1\10\12tmstecho", 12);
}

/* The pseudo-header's sum where the checksum will be, as a sender leaves it. */
static void
put_pseudo(uint8_t *ip, uint32_t l4_off, uint32_t len, uint8_t proto, uint32_t field)
{
	bool v4 = ip[0] >> 4 == 4;
	uint16_t sum = naive_sum(proto + len - l4_off, ip + (v4 ? 12 : 8), v4 ? 8 : 32);
	rte_be16_t be = rte_cpu_to_be_16(sum);

	memcpy(ip + l4_off + field, &be, sizeof(be));
}

/* A frame that a sender left to its card; returns its bytes. */
static uint32_t
make(int kind, uint32_t payload, uint16_t size)
{
	uint32_t l4_head = is_tcp(kind) ? 32 : 8, field = is_tcp(kind) ? 16 : 6;
	uint8_t *ip = whole + L2, proto = is_tcp(kind) ? IPPROTO_TCP : IPPROTO_UDP;
	struct rte_udp_hdr *udp;
	uint32_t len;

	memset(whole, 0x42, 12);
	memcpy(whole + 12, is_v4(kind) ? "\x08\x00" : "\x86\xdd", 2);
	len = (uint32_t)(is_v4(kind)
				 ? put_ipv4(ip, 0x0a010002, 0x0a020003, proto, l4_head + payload)
				 : put_ipv6(ip, 1, 2, proto, l4_head + payload));
	l4 = L2 + (is_v4(kind) ? 20 : 40);
	head = l4 + l4_head;
	udp = (struct rte_udp_hdr *)(whole + l4);
	if (is_tcp(kind))
		put_tcp(whole + l4);
	else
		*udp = (struct rte_udp_hdr){RTE_BE16(4500), RTE_BE16(4500),
					    rte_cpu_to_be_16((uint16_t)(8 + payload)), 0};
	for (uint32_t i = 0; i < payload; i++)
		whole[head + i] = (uint8_t)rand();
	put_pseudo(ip, l4 - L2, len, proto, field);
	about = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = !is_tcp(kind) ? GSO_UDP
			    : is_v4(kind) ? VIRTIO_NET_HDR_GSO_TCPV4
					  : VIRTIO_NET_HDR_GSO_TCPV6,
		.hdr_len = (uint16_t)head,
		.gso_size = size,
		.csum_start = (uint16_t)l4,
		.csum_offset = (uint16_t)field,
	};
	return L2 + len;
}

/* Into `parts`; returns how many. */
static unsigned int
cut(uint32_t len)
{
	struct segments s;
	unsigned int n = 0;
	uint8_t part[FRAME_MAX];

	assert_true(segments_read(&s, whole, len, &about));
	for (uint32_t offset = 0; s.head + offset < len; offset += s.size) {
		uint32_t bytes = segments_cut(&s, offset, part);

		assert_in_range(n, 0, PARTS - 1);
		parts[n] = frame_set(&frames[n], part, bytes);
		n++;
	}
	return n;
}

static void
check_part(int kind, const uint8_t *part, uint32_t len, unsigned int i, bool last)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(part + L2);
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(part + l4);

	assert_int_equal(naive_l4_sum(part + L2, l4 - L2, len - L2,
				      is_tcp(kind) ? IPPROTO_TCP : IPPROTO_UDP),
			 0xffff);
	if (is_v4(kind)) {
		assert_int_equal(naive_sum(0, ip, 20), 0xffff);
		assert_int_equal(rte_be_to_cpu_16(ip->total_length), len - L2);
		assert_int_equal(rte_be_to_cpu_16(ip->packet_id), 0x1234 + i);
	}
	if (is_tcp(kind))
		assert_int_equal((tcp->tcp_flags & RTE_TCP_PSH_FLAG) != 0, last);
}

static void
segments_are_right_and_make_the_frame_again(void **state)
{
	for (int kind = 0; kind < KINDS; kind++) {
		for (uint32_t payload = 1; payload < PARTS * 1400; payload += 173) {
			uint32_t len = make(kind, payload, 1400), seen = 0;
			unsigned int n = cut(len);
			struct segment_head h;

			for (unsigned int i = 0; i < n; i++) {
				const uint8_t *part = rte_pktmbuf_mtod(parts[i], const uint8_t *);

				check_part(kind, part, parts[i]->data_len, i, i == n - 1);
				assert_memory_equal(part + head, whole + head + seen,
						    parts[i]->data_len - head);
				seen += parts[i]->data_len - head;
			}
			assert_int_equal(seen, payload);
			assert_int_equal(segments_merge(parts, n, &h), n);
			if (n == 1)
				continue;
			assert_int_equal(h.len, head);
			assert_memory_equal(h.bytes, whole, head);
			assert_memory_equal(&h.about, &about, sizeof(about));
		}
	}
}

static void
flags_of_the_beginning_and_of_the_end_stay_there(void **state)
{
	uint32_t len = make(TCP4, 3000, 1000);

	tcp_in(whole)->tcp_flags |= RTE_TCP_CWR_FLAG | RTE_TCP_FIN_FLAG;
	about.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	assert_int_equal(cut(len), 3);
	for (unsigned int i = 0; i < 3; i++) {
		uint8_t flags = tcp_in(rte_pktmbuf_mtod(parts[i], uint8_t *))->tcp_flags;

		assert_int_equal((flags & RTE_TCP_CWR_FLAG) != 0, i == 0);
		assert_int_equal((flags & RTE_TCP_FIN_FLAG) != 0, i == 2);
	}
}

/* The parts' checksum again, after a change. */
static void
mend(struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + L2);
	bool tcp = ip->next_proto_id == IPPROTO_TCP;
	uint8_t *field = frame + l4 + (tcp ? 16 : 6);
	rte_be16_t sum;

	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, 20));
	memset(field, 0, 2);
	sum = rte_cpu_to_be_16(
		(uint16_t)~naive_l4_sum(frame + L2, l4 - L2, m->data_len - L2, ip->next_proto_id));
	memcpy(field, &sum, 2);
}

/* One byte of the second of three segments differs: only the first is left. */
static void
differs(int kind, uint32_t at, uint8_t bits)
{
	struct segment_head h;

	assert_int_equal(cut(make(kind, 3000, 1000)), 3);
	assert_int_equal(segments_merge(parts, 3, &h), 3);
	rte_pktmbuf_mtod(parts[1], uint8_t *)[at] ^= bits;
	mend(parts[1]);
	assert_int_equal(segments_merge(parts, 3, &h), 1);
	assert_int_equal(segments_merge(parts + 1, 2, &h), 1);
}

static void
what_differs_is_not_merged(void **state)
{
	static const struct {
		uint32_t at;
		uint8_t bits;
	} changes[] = {
		{0, 1},                     /* destination, on the link */
		{6, 1},                     /* source */
		{L2 + 1, 4},                /* DSCP */
		{L2 + 5, 7},                /* identification */
		{L2 + 6, 64},               /* DF */
		{L2 + 8, 1},                /* TTL */
		{L2 + 15, 1},               /* addresses */
		{L2 + 19, 1}, {L2 + 21, 1}, /* ports */
		{L2 + 23, 1},
	};
	static const uint32_t tcp[] = {4, 7, 8, 11, 14, 19, 24, 31}; /* numbers, window, options */

	for (size_t i = 0; i < RTE_DIM(changes); i++) {
		differs(TCP4, changes[i].at, changes[i].bits);
		differs(UDP4, changes[i].at, changes[i].bits);
	}
	for (size_t i = 0; i < RTE_DIM(tcp); i++)
		differs(TCP4, L2 + 20 + tcp[i], 1);
	for (uint8_t flag = RTE_TCP_FIN_FLAG; flag != 0; flag = (uint8_t)(flag << 1))
		if (flag != RTE_TCP_PSH_FLAG)
			differs(TCP4, L2 + 20 + 13, flag);
}

static void
damaged_or_padded_ones_are_not_merged(void **state)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct segment_head h;

		assert_int_equal(cut(make(kind, 3000, 1000)), 3);
		rte_pktmbuf_mtod(parts[1], uint8_t *)[head + 500] ^= 1;
		assert_int_equal(segments_merge(parts, 3, &h), 1);
		assert_int_equal(cut(make(kind, 3000, 1000)), 3);
		rte_pktmbuf_mtod(parts[0], uint8_t *)[head + 500] ^= 1;
		assert_int_equal(segments_merge(parts, 3, &h), 1);
		assert_int_equal(cut(make(kind, 3000, 1000)), 3);
		parts[0]->data_len--;
		assert_int_equal(segments_merge(parts, 3, &h), 1);
	}
}

static void
a_udp_checksum_may_be_left_out_of_ipv4_alone(void **state)
{
	for (int kind = UDP4; kind < KINDS; kind++) {
		struct segment_head h;
		unsigned int n = cut(make(kind, 3000, 1000));

		for (unsigned int i = 0; i < n; i++)
			memset(rte_pktmbuf_mtod_offset(parts[i], uint8_t *, l4 + 6), 0, 2);
		assert_int_equal(segments_merge(parts, n, &h), kind == UDP4 ? n : 1);
	}
}

static void
a_short_or_pushed_one_is_the_last(void **state)
{
	struct segment_head h;
	unsigned int n = cut(make(UDP4, 2500, 1000));

	assert_int_equal(n, 3);
	parts[3] = parts[0]; /* an identification of its own, so: */
	assert_int_equal(segments_merge(parts + 2, 2, &h), 1);
	assert_int_equal(segments_merge(parts, 4, &h), 3);
	assert_int_equal(cut(make(TCP4, 4000, 1000)), 4);
	tcp_in(rte_pktmbuf_mtod(parts[1], uint8_t *))->tcp_flags |= RTE_TCP_PSH_FLAG;
	mend(parts[1]);
	assert_int_equal(segments_merge(parts, 4, &h), 2);
	assert_true((tcp_in(h.bytes)->tcp_flags & RTE_TCP_PSH_FLAG) != 0);
}

static void
no_more_than_a_length_can_tell(void **state)
{
	struct rte_mbuf *many[70];
	struct segment_head h;
	unsigned int n;

	cut(make(UDP4, 1000, 1000));
	((struct rte_ipv4_hdr *)(rte_pktmbuf_mtod(parts[0], uint8_t *) + L2))->fragment_offset =
		RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	mend(parts[0]);
	for (size_t i = 0; i < RTE_DIM(many); i++)
		many[i] = parts[0];
	n = segments_merge(many, RTE_DIM(many), &h);
	assert_int_equal(n, (65535 - 42) / 1000);
	assert_int_equal(rte_be_to_cpu_16(((struct rte_udp_hdr *)(h.bytes + l4))->dgram_len),
			 8 + n * 1000);
}

static void
what_cannot_be_cut_is_refused(void **state)
{
	uint32_t len = make(TCP4, 3000, 1000);
	struct segments s;

	about.gso_type = GSO_UDP;
	assert_false(segments_read(&s, whole, len, &about));
	about.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	assert_false(segments_read(&s, whole, len, &about));
	make(TCP4, 3000, 0);
	assert_false(segments_read(&s, whole, len, &about));
	make(TCP4, 3000, 1000);
	about.csum_start += 8; /* TCP in a tunnel of the sender's */
	assert_false(segments_read(&s, whole, len, &about));
	make(TCP4, 3000, 1000);
	for (uint32_t cut_len = 0; cut_len < head; cut_len++)
		assert_false(segments_read(&s, whole, cut_len, &about));
	tcp_in(whole)->data_off = 4 << 4;
	assert_false(segments_read(&s, whole, len, &about));
	make(TCP4, 3000, 1000);
	whole[L2 + 6] |= 0x20; /* a fragment */
	assert_false(segments_read(&s, whole, len, &about));
	make(TCP4, 3000, 1000);
	whole[12] = 0x88;
	assert_false(segments_read(&s, whole, len, &about));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_are_right_and_make_the_frame_again),
		cmocka_unit_test(flags_of_the_beginning_and_of_the_end_stay_there),
		cmocka_unit_test(what_differs_is_not_merged),
		cmocka_unit_test(damaged_or_padded_ones_are_not_merged),
		cmocka_unit_test(a_udp_checksum_may_be_left_out_of_ipv4_alone),
		cmocka_unit_test(a_short_or_pushed_one_is_the_last),
		cmocka_unit_test(no_more_than_a_length_can_tell),
		cmocka_unit_test(what_cannot_be_cut_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
