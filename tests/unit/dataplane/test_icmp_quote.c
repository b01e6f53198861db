/* SPDX-License-Identifier: BSD-3-Clause */
/* What ICMP errors quote, read at every length it may be cut to, and where it is no packet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "dataplane/icmp_quote.h"
#include "dataplane/ip_parse.h"
#include "frame.h"

static struct frame f;
static uint8_t bytes[512];

/* An ICMP error of `len` bytes in all, whose quote begins at `bytes + *quote`. */
static struct rte_mbuf *
error(bool v4, size_t len, size_t *quote)
{
	size_t ip_len = v4 ? 20 : 40;
	enum drop_reason reason;
	struct rte_mbuf *m;

	if (v4)
		put_ipv4(bytes, 0x0a020003, 0x0a010002, IPPROTO_ICMP, len - ip_len);
	else
		put_ipv6(bytes, 2, 1, IPPROTO_ICMPV6, len - ip_len);
	memset(bytes + ip_len, 0, 8);
	bytes[ip_len] = v4 ? 11 : 3;
	*quote = ip_len + 8;
	m = frame_set(&f, bytes, len);
	assert_true(ip_parse(m, true, &reason));
	return m;
}

static void
a_quote_is_read_as_far_as_it_is_there(void **state)
{
	for (unsigned int v4 = 0; v4 < 2; v4++) {
		size_t quote = (v4 ? 20 : 40) + 8, ip_len = v4 ? 20 : 40;
		struct icmp_quote q;

		if (v4)
			put_ipv4(bytes + quote, 0x0a010002, 0x0a020003, IPPROTO_UDP, 100);
		else
			put_ipv6(bytes + quote, 1, 2, IPPROTO_UDP, 100);
		memcpy(bytes + quote + ip_len, "\x12\x34\x56\x78", 4);
		for (size_t there = 0; there < ip_len + 100; there++) {
			bool read = icmp_quote(error(v4, quote + there, &quote), &q);

			assert_int_equal(read, there >= ip_len);
			if (!read)
				continue;
			assert_int_equal(q.len, there - ip_len);
			assert_int_equal(q.flow.proto, IPPROTO_UDP);
			assert_int_equal(q.flow.ports_opaque, there < ip_len + 4);
			if (!q.flow.ports_opaque)
				assert_int_equal(q.flow.dport, RTE_BE16(0x5678));
		}
	}
}

/* Two extension headers in front of UDP, cut everywhere. */
static void
a_chain_that_is_cut_leaves_the_protocol_unknown(void **state)
{
	static const uint8_t chain[24] = {
		[0] = IPPROTO_FRAGMENT, [1] = 1, [16] = IPPROTO_UDP, [19] = 1};
	size_t quote = 48;
	struct icmp_quote q;

	put_ipv6(bytes + quote, 1, 2, IPPROTO_DSTOPTS, 100);
	memcpy(bytes + quote + 40, chain, sizeof(chain));
	for (size_t there = 0; there < 60; there++) {
		assert_true(icmp_quote(error(false, quote + 40 + there, &quote), &q));
		assert_int_equal(q.flow.proto_opaque, there < 24);
		assert_int_equal(q.flow.ports_opaque, there < 28);
	}
	/* Behind the header of a later fragment there is nothing to know. */
	memcpy(bytes + quote + 40, chain, sizeof(chain));
	bytes[quote + 40 + 18] = 1;
	assert_true(icmp_quote(error(false, quote + 40 + 60, &quote), &q));
	assert_true(q.flow.proto_opaque && q.flow.ports_opaque);
}

/* As many headers as a packet may have (ip_parse.c), and one more. */
static void
a_chain_too_long_leaves_the_protocol_unknown(void **state)
{
	for (unsigned int count = 1; count <= IP_EXT_MAX + 1; count++) {
		size_t quote = 48, len = quote + 40 + 8 * count + 8;
		struct icmp_quote q;

		put_ipv6(bytes + quote, 1, 2, IPPROTO_DSTOPTS, 8 * count + 8);
		for (unsigned int i = 0; i < count; i++) {
			memset(bytes + quote + 40 + 8 * i, 0, 8);
			bytes[quote + 40 + 8 * i] = i + 1 < count ? IPPROTO_DSTOPTS : IPPROTO_UDP;
		}
		assert_true(icmp_quote(error(false, len, &quote), &q));
		assert_int_equal(q.flow.proto_opaque, count > IP_EXT_MAX);
		assert_int_equal(q.flow.ports_opaque, count > IP_EXT_MAX);
	}
}

static void
any_bytes_may_be_quoted(void **state)
{
	for (unsigned int i = 0; i < 200000; i++) {
		bool v4 = (i & 1) != 0;
		size_t quote = v4 ? 28 : 48, len = quote + (size_t)rand() % 120;
		struct flow flow;

		for (size_t k = quote; k < len; k++)
			bytes[k] = (uint8_t)rand();
		if (len > quote && (i & 2) != 0)
			bytes[quote] = v4 ? (uint8_t)(0x40 | (rand() & 15)) : 0x60;
		if (len > quote + 6 && !v4 && (i & 4) != 0)
			bytes[quote + 6] = (uint8_t)(i & 8 ? IPPROTO_FRAGMENT : IPPROTO_HOPOPTS);
		icmp_return_flow(error(v4, len, &quote), &flow);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quote_is_read_as_far_as_it_is_there),
		cmocka_unit_test(a_chain_that_is_cut_leaves_the_protocol_unknown),
		cmocka_unit_test(a_chain_too_long_leaves_the_protocol_unknown),
		cmocka_unit_test(any_bytes_may_be_quoted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
