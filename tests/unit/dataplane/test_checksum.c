/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums against a naive sum: increments, and the completion of partial ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/checksum.h"
#include "dataplane/ip_parse.h"
#include "frame.h"

static struct frame f;
static uint8_t bytes[2048];

static void
fill(uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)rand();
}

static struct rte_mbuf *
parsed(size_t len)
{
	struct rte_mbuf *m = frame_set(&f, bytes, len);
	enum drop_reason reason;

	assert_true(ip_parse(m, false, &reason));
	return m;
}

static void
ttl_decrement_keeps_the_header_sum_right(void **state)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)bytes;

	for (unsigned int i = 0; i < 200000; i++) {
		put_ipv4(bytes, (uint32_t)rand(), (uint32_t)rand(), (uint8_t)i, i & 0x3ff);
		ip->time_to_live = (uint8_t)(1 + i % 255);
		ip->packet_id = (rte_be16_t)rand();
		checksum_ipv4(ip);
		assert_int_equal(naive_sum(0, ip, sizeof(*ip)), 0xffff);
		checksum_ttl_decrement(ip);
		assert_int_equal(ip->time_to_live, i % 255);
		assert_int_equal(naive_sum(0, ip, sizeof(*ip)), 0xffff);
	}
}

static void
a_replaced_word_keeps_the_sum_right(void **state)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)bytes;

	put_ipv4(bytes, 0x0a010002, 0x0a020003, IPPROTO_UDP, 0);
	for (uint32_t id = 0; id <= UINT16_MAX; id++) {
		rte_be16_t new = rte_cpu_to_be_16((uint16_t)(id * 40503));

		ip->hdr_checksum = checksum_replace(ip->hdr_checksum, ip->packet_id, new);
		ip->packet_id = new;
		assert_int_equal(naive_sum(0, ip, sizeof(*ip)), 0xffff);
	}
}

/* The field as a kernel with checksum offload leaves it. */
static void
put_partial(size_t l4_off, size_t len, uint8_t proto, size_t field)
{
	bool v4 = bytes[0] >> 4 == 4;
	uint16_t sum =
		naive_sum(proto + (uint32_t)(len - l4_off), bytes + (v4 ? 12 : 8), v4 ? 8 : 32);

	bytes[l4_off + field] = (uint8_t)(sum >> 8);
	bytes[l4_off + field + 1] = (uint8_t)sum;
}

static size_t
put_packet(bool v4, uint8_t proto, size_t l4_len)
{
	size_t l4_off = v4 ? 20 : 40;

	if (v4)
		put_ipv4(bytes, (uint32_t)rand() | 0x01000000, 0x0a020003, proto, l4_len);
	else
		put_ipv6(bytes, (uint16_t)rand(), 2, proto, l4_len);
	bytes[v4 ? 12 : 8] = 0x20;
	fill(bytes + l4_off, l4_len);
	return l4_off + l4_len;
}

static void
partial_checksums_are_completed(void **state)
{
	for (size_t l4_len = 8; l4_len < 1400; l4_len += 4) {
		for (unsigned int kind = 0; kind < 8; kind++) {
			bool v4 = (kind & 1) != 0, tcp = (kind & 2) != 0, certain = (kind & 4) != 0;
			uint8_t proto = tcp ? IPPROTO_TCP : IPPROTO_UDP;
			size_t len = put_packet(v4, proto, l4_len), l4_off = len - l4_len;

			if (tcp && l4_len < 20)
				continue;
			put_partial(l4_off, len, proto, tcp ? 16 : 6);
			checksum_complete(parsed(len), certain);
			assert_int_equal(naive_l4_sum(f.room + PACKET_HEADROOM, l4_off, len, proto),
					 0xffff);
		}
	}
}

static void
a_wrong_checksum_stays_wrong(void **state)
{
	for (unsigned int i = 0; i < 1000; i++) {
		size_t len = put_packet(i % 2 == 0, IPPROTO_TCP, 100), l4_off = len - 100;

		put_partial(l4_off, len, IPPROTO_TCP, 16);
		bytes[l4_off + 17] ^= (uint8_t)(1 + i % 255);
		checksum_complete(parsed(len), false);
		assert_memory_equal(f.room + PACKET_HEADROOM, bytes, len);
	}
}

static void
what_has_no_checksum_is_left_alone(void **state)
{
	size_t len = put_packet(true, IPPROTO_UDP, 50);

	bytes[26] = bytes[27] = 0; /* UDP without one */
	checksum_complete(parsed(len), true);
	assert_memory_equal(f.room + PACKET_HEADROOM, bytes, len);
	len = put_packet(true, IPPROTO_TCP, 19); /* a cut header */
	checksum_complete(parsed(len), true);
	assert_memory_equal(f.room + PACKET_HEADROOM, bytes, len);
	len = put_packet(true, IPPROTO_TCP, 40);
	bytes[6] = 0x20; /* a fragment */
	checksum_complete(parsed(len), true);
	assert_memory_equal(f.room + PACKET_HEADROOM, bytes, len);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ttl_decrement_keeps_the_header_sum_right),
		cmocka_unit_test(a_replaced_word_keeps_the_sum_right),
		cmocka_unit_test(partial_checksums_are_completed),
		cmocka_unit_test(a_wrong_checksum_stays_wrong),
		cmocka_unit_test(what_has_no_checksum_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
