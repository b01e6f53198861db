/* SPDX-License-Identifier: BSD-3-Clause */
/* The arithmetic around ESP: padding, tunnel MTU, TOS and ECN. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rte_ip.h>

#include "dataplane/esp.h"
#include "dataplane/rate_limit.h"
#include "dataplane/tos.h"

static void
C28_C29_padding_is_the_least_that_aligns_the_trailer(void **state)
{
	for (uint32_t align = 4; align <= 16; align *= 4) {
		for (uint32_t len = 0; len < 2000; len++) {
			uint32_t pad = esp_padding(len, align);

			assert_true(pad < align);
			assert_int_equal((len + pad + ESP_TRAILER) % align, 0);
		}
	}
}

static uint32_t
outer_size(const struct sa *sa, uint32_t inner)
{
	return sa->outer_len + sa->iv_len + inner + esp_padding(inner, sa->align) + ESP_TRAILER +
	       sa->icv_len;
}

static void
inner_mtu_is_the_largest_packet_that_fits(void **state)
{
	static const struct sa shapes[] = {
		{.outer_len = 28, .iv_len = 8, .icv_len = 16, .align = 4},
		{.outer_len = 36, .iv_len = 8, .icv_len = 16, .align = 4},
		{.outer_len = 48, .iv_len = 16, .icv_len = 16, .align = 16},
		{.outer_len = 56, .iv_len = 16, .icv_len = 12, .align = 16},
	};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		for (uint32_t mtu = 0; mtu < 3000; mtu++) {
			uint32_t inner = esp_inner_mtu(&shapes[i], mtu);

			if (inner > 0)
				assert_true(outer_size(&shapes[i], inner) <= mtu);
			assert_true(outer_size(&shapes[i], inner + 1) > mtu);
		}
	}
}

/* RFC 6040 figure 4, written out; -1 is a drop. */
static void
C50_ecn_leaves_the_tunnel_as_in_rfc_6040(void **state)
{
	enum { NOT_ECT, ECT1, ECT0, CE };
	static const int expected[4][4] = {
		/* outer:    Not-ECT  ECT(1)   ECT(0)   CE */
		[NOT_ECT] = {NOT_ECT, NOT_ECT, NOT_ECT, -1},
		[ECT1] = {ECT1, ECT1, ECT1, CE},
		[ECT0] = {ECT0, ECT1, ECT0, CE},
		[CE] = {CE, CE, CE, CE},
	};

	for (int inner = 0; inner < 4; inner++) {
		for (int outer = 0; outer < 4; outer++) {
			uint8_t result;
			bool passes = ecn_decap((uint8_t)(0xb8 | outer), (uint8_t)(0x28 | inner),
						&result);

			assert_int_equal(passes, expected[inner][outer] >= 0);
			if (passes)
				assert_int_equal(result, expected[inner][outer]);
		}
	}
}

static void
setting_tos_mends_the_ipv4_checksum(void **state)
{
	for (unsigned int from = 0; from < 256; from++) {
		for (unsigned int to = 0; to < 256; to++) {
			struct rte_ipv4_hdr ip = {
				.version_ihl = 0x45,
				.type_of_service = (uint8_t)from,
				.total_length = RTE_BE16(1000),
				.time_to_live = 64,
				.src_addr = rte_cpu_to_be_32(0x0a000001 + from * 7919),
				.dst_addr = rte_cpu_to_be_32(0xc0a80001 + to * 104729),
			};

			ip.hdr_checksum = rte_ipv4_cksum(&ip);
			tos_set(&ip, FAMILY_V4, (uint8_t)to);
			assert_int_equal(tos_get(&ip, FAMILY_V4), to);
			assert_int_equal(rte_raw_cksum(&ip, sizeof(ip)), 0xffff);
		}
	}
}

static void
setting_the_traffic_class_keeps_version_and_flow_label(void **state)
{
	struct rte_ipv6_hdr ip = {.vtc_flow = RTE_BE32(0x6abcdef1)};

	for (unsigned int to = 0; to < 256; to++) {
		tos_set(&ip, FAMILY_V6, (uint8_t)to);
		assert_int_equal(tos_get(&ip, FAMILY_V6), to);
		assert_int_equal(rte_be_to_cpu_32(ip.vtc_flow), 0x600cdef1 | to << 20);
	}
}

static void
a_rate_limit_gives_its_burst_then_its_rate(void **state)
{
	struct rate_limit r;
	unsigned int taken = 0;

	rate_limit_init(&r, 1000, 10, 5); /* a token in 100 ticks, 5 at most */
	while (rate_limit_take(&r, 50))
		taken++;
	assert_int_equal(taken, 5);
	assert_false(rate_limit_take(&r, 99));
	assert_true(rate_limit_take(&r, 100));
	assert_false(rate_limit_take(&r, 199));
	for (taken = 0; rate_limit_take(&r, 1000000);)
		taken++;
	assert_int_equal(taken, 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(C28_C29_padding_is_the_least_that_aligns_the_trailer),
		cmocka_unit_test(inner_mtu_is_the_largest_packet_that_fits),
		cmocka_unit_test(C50_ecn_leaves_the_tunnel_as_in_rfc_6040),
		cmocka_unit_test(setting_tos_mends_the_ipv4_checksum),
		cmocka_unit_test(setting_the_traffic_class_keeps_version_and_flow_label),
		cmocka_unit_test(a_rate_limit_gives_its_burst_then_its_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
