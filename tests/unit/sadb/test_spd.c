/* SPDX-License-Identifier: BSD-3-Clause */
/* The SPD by its contract: refusals, identity, order, roll-back. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <time.h>

#include "sadb/index.h"
#include "sadb/spd_private.h"
#include "spd_fixture.h"

/* ---- allocations that fail on demand (the linker wraps them) ---- */

static int fail_after = -1; /* allocations that still succeed, or -1: all */

static bool
fails(void)
{
	if (fail_after < 0)
		return false;
	if (fail_after == 0)
		return true;
	fail_after--;
	return false;
}

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *
__wrap_aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(align, size);
}

/* ---- policies and flows ---- */

static struct spd_params
bypass(uint32_t src, uint8_t src_len, uint32_t dst, uint8_t dst_len, uint32_t priority)
{
	return (struct spd_params){
		.priority = priority,
		.action = SPD_BYPASS,
		.id.dir = SPD_OUT,
		.id.sel = {.family = FAMILY_V4,
			   .src = v4(src),
			   .dst = v4(dst),
			   .src_len = src_len,
			   .dst_len = dst_len},
	};
}

static struct flow
udp(uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport)
{
	return (struct flow){.src = v4(src),
			     .dst = v4(dst),
			     .family = FAMILY_V4,
			     .proto = IPPROTO_UDP,
			     .sport = rte_cpu_to_be_16(sport),
			     .dport = rte_cpu_to_be_16(dport)};
}

#define HOST_A 0x0a000001 /* 10.0.0.1 */
#define HOST_B 0x0a000002

/* ---- contract ---- */

static void
test_same_identity_is_refused_unless_replaced(void **state)
{
	struct fixture *f = begin(16);
	struct spd_params p = bypass(HOST_A, 32, 0, 0, 5);
	struct flow flow = udp(HOST_A, HOST_B, 1, 2);
	uint32_t index;

	assert_int_equal(spd_add(f->spd, &p, false, &f->why), 0);
	index = spd_lookup(f->spd, 0, SPD_OUT, &flow)->index;
	p.action = SPD_DISCARD;
	assert_int_equal(spd_add(f->spd, &p, false, &f->why), -EEXIST);
	assert_int_equal(spd_lookup(f->spd, 0, SPD_OUT, &flow)->action, SPD_BYPASS);

	assert_int_equal(spd_add(f->spd, &p, true, &f->why), 0);
	assert_int_equal(spd_lookup(f->spd, 0, SPD_OUT, &flow)->action, SPD_DISCARD);
	assert_int_equal(spd_lookup(f->spd, 0, SPD_OUT, &flow)->index, index);

	p.id.if_id = 1; /* is part of the identity */
	assert_int_equal(spd_add(f->spd, &p, false, &f->why), 0);
	end(f);
}

static void
test_what_is_not_there_cannot_be_deleted(void **state)
{
	struct fixture *f = begin(16);
	struct spd_params p = bypass(HOST_A, 32, 0, 0, 5);
	uint32_t index;

	assert_int_equal(spd_delete(f->spd, &p.id, 0, &f->why), -ENOENT);
	assert_int_equal(spd_add(f->spd, &p, false, &f->why), 0);
	index = spd_find(f->spd, &p.id, 0)->index;
	assert_int_equal(index & 7, SPD_OUT);
	assert_ptr_equal(spd_find(f->spd, NULL, index), spd_find(f->spd, &p.id, 0));
	assert_int_equal(spd_delete(f->spd, NULL, index ^ SPD_FWD, &f->why), -ENOENT);
	assert_int_equal(spd_delete(f->spd, NULL, index, &f->why), 0);
	assert_int_equal(spd_delete(f->spd, &p.id, 0, &f->why), -ENOENT);

	/* The next policy takes the place, but not the index. */
	assert_int_equal(spd_add(f->spd, &p, false, &f->why), 0);
	assert_null(spd_find(f->spd, NULL, index));
	end(f);
}

static void
test_a_full_database_refuses_but_still_replaces(void **state)
{
	struct fixture *f = begin(3);
	struct spd_params p;
	uint32_t count[SPD_DIRS];

	for (uint32_t i = 0; i < 3; i++) {
		p = bypass(HOST_A + i, 32, 0, 0, 5);
		assert_int_equal(spd_add(f->spd, &p, false, &f->why), 0);
	}
	p = bypass(HOST_A + 3, 32, 0, 0, 5);
	assert_int_equal(spd_add(f->spd, &p, false, &f->why), -ENOSPC);
	assert_null(spd_find(f->spd, &p.id, 0));
	p = bypass(HOST_A, 32, 0, 0, 1);
	assert_int_equal(spd_add(f->spd, &p, true, &f->why), 0);
	spd_count(f->spd, count);
	assert_int_equal(count[SPD_OUT], 3);
	assert_int_equal(spd_delete(f->spd, &p.id, 0, &f->why), 0);
	p = bypass(HOST_A + 3, 32, 0, 0, 5);
	assert_int_equal(spd_add(f->spd, &p, false, &f->why), 0);
	end(f);
}

static void
refused(struct fixture *f, struct spd_params p)
{
	f->why.text[0] = 0;
	assert_int_equal(spd_add(f->spd, &p, false, &f->why), -EINVAL);
	assert_string_not_equal(f->why.text, "");
}

static void
test_what_cannot_be_is_refused_with_a_reason(void **state)
{
	struct fixture *f = begin(3);
	struct spd_params p, ok = bypass(HOST_A, 32, 0, 0, 5);

	p = ok, p.id.dir = 3, refused(f, p);
	p = ok, p.action = 3, refused(f, p);
	p = ok, p.id.sel.family = 2, refused(f, p);
	p = ok, p.id.sel.src_len = 33, refused(f, p);
	p = ok, p.id.sel.family = 0, refused(f, p);
	p = ok, p.id.sel.family = p.id.sel.src_len = 0, p.id.sel.proto = 17, refused(f, p);
	p = ok, p.action = SPD_PROTECT, p.tmpl.proto = IPPROTO_COMP, refused(f, p);
	p = ok, p.action = SPD_PROTECT, p.tmpl.proto = IPPROTO_ESP, p.tmpl.mode = 4, refused(f, p);
	p = ok, p.action = SPD_PROTECT, p.tmpl.proto = IPPROTO_ESP, p.tmpl.mode = SA_MODE_TUNNEL;
	refused(f, p);
	assert_int_equal(spd_tuples(f->spd), 0);
	end(f);
}

static void
test_of_equal_priorities_the_older_wins(void **state)
{
	struct fixture *f = begin(16);
	struct spd_params wide = bypass(0, 0, 0, 0, 5), narrow = bypass(HOST_A, 32, 0, 0, 5);
	struct flow flow = udp(HOST_A, HOST_B, 1, 2);

	spd_add(f->spd, &wide, false, NULL);
	spd_add(f->spd, &narrow, false, NULL);
	assert_int_equal(spd_params(spd_lookup(f->spd, 0, SPD_OUT, &flow)).id.sel.src_len, 0);
	spd_add(f->spd, &wide, true, NULL); /* a replacement keeps its age */
	assert_int_equal(spd_params(spd_lookup(f->spd, 0, SPD_OUT, &flow)).id.sel.src_len, 0);
	spd_delete(f->spd, &wide.id, 0, NULL);
	spd_add(f->spd, &wide, false, NULL);
	assert_int_equal(spd_params(spd_lookup(f->spd, 0, SPD_OUT, &flow)).id.sel.src_len, 32);
	end(f);
}

static void
test_a_selector_of_both_families_matches_both(void **state)
{
	struct fixture *f = begin(16);
	struct spd_params any = {.action = SPD_DISCARD, .priority = 9, .id.dir = SPD_OUT};
	struct spd_params p = bypass(HOST_A, 32, 0, 0, 5);
	struct flow four = udp(HOST_A, HOST_B, 1, 2), other = udp(HOST_B, HOST_A, 1, 2);
	struct flow six = {.family = FAMILY_V6, .proto = 58, .ports_opaque = true};

	six.src.bytes[15] = 1;
	spd_add(f->spd, &p, false, NULL);
	spd_add(f->spd, &any, false, NULL);
	assert_int_equal(spd_lookup(f->spd, 0, SPD_OUT, &four)->action, SPD_BYPASS);
	assert_int_equal(spd_lookup(f->spd, 0, SPD_OUT, &other)->action, SPD_DISCARD);
	assert_int_equal(spd_lookup(f->spd, 0, SPD_OUT, &six)->action, SPD_DISCARD);
	assert_null(spd_lookup(f->spd, 0, SPD_FWD, &six));
	assert_null(spd_lookup(f->spd, 1, SPD_OUT, &six));
	spd_delete(f->spd, &any.id, 0, NULL);
	assert_null(spd_lookup(f->spd, 0, SPD_OUT, &six));
	end(f);
}

static void
test_C40_unseen_ports_match_what_protects_and_no_bypass(void **state)
{
	struct fixture *f = begin(16);
	struct spd_params p = bypass(HOST_A, 32, 0, 0, 5);
	struct flow flow = udp(HOST_A, HOST_B, 1, 500);

	p.id.sel.proto = IPPROTO_UDP;
	p.id.sel.dport = rte_cpu_to_be_16(500);
	p.id.sel.dport_mask = 0xffff;
	spd_add(f->spd, &p, false, NULL);
	assert_non_null(spd_lookup(f->spd, 0, SPD_OUT, &flow));
	flow.ports_opaque = true;
	assert_null(spd_lookup(f->spd, 0, SPD_OUT, &flow));
	p.action = SPD_DISCARD;
	spd_add(f->spd, &p, true, NULL);
	assert_non_null(spd_lookup(f->spd, 0, SPD_OUT, &flow));
	flow.proto = IPPROTO_TCP;
	assert_null(spd_lookup(f->spd, 0, SPD_OUT, &flow));
	flow.proto_opaque = true;
	assert_non_null(spd_lookup(f->spd, 0, SPD_OUT, &flow));
	end(f);
}

static void
test_flush_leaves_nothing(void **state)
{
	struct fixture *f = begin(100);
	struct flow flow = udp(HOST_A, HOST_B, 1, 2);
	uint32_t count[SPD_DIRS], cursor = 0;

	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 100; i++) {
			struct spd_params p = bypass(HOST_A, i % 33, HOST_B, i / 33, i);

			p.id.if_id = i % 2;
			assert_int_equal(spd_add(f->spd, &p, false, NULL), 0);
		}
		assert_int_equal(spd_flush(f->spd), 100);
		assert_int_equal(spd_flush(f->spd), 0);
		assert_null(spd_lookup(f->spd, 0, SPD_OUT, &flow));
		assert_null(spd_next(f->spd, &cursor));
		assert_int_equal(spd_tuples(f->spd), 0);
		spd_count(f->spd, count);
		assert_int_equal(count[SPD_OUT], 0);
	}
	end(f);
}

static void
test_ten_thousand_policies_are_all_found_and_all_go(void **state)
{
	struct fixture *f = begin(10000);
	uint32_t cursor = 0, seen = 0;

	for (uint32_t i = 0; i < 10000; i++) {
		struct spd_params p = bypass(0, 0, 0x0a000000 + i, 32, 1000 - i % 100);

		assert_int_equal(spd_add(f->spd, &p, false, NULL), 0);
	}
	assert_int_equal(spd_tuples(f->spd), 1);
	for (uint32_t i = 0; i < 10000; i++) {
		struct flow flow = udp(HOST_A, 0x0a000000 + i, 1, 2);
		struct policy *p = spd_lookup(f->spd, 0, SPD_OUT, &flow);

		assert_non_null(p);
		assert_int_equal(spd_params(p).id.sel.dst.v4, rte_cpu_to_be_32(0x0a000000 + i));
	}
	while (spd_next(f->spd, &cursor))
		seen++;
	assert_int_equal(seen, 10000);
	for (uint32_t i = 0; i < 10000; i++) {
		struct spd_params p = bypass(0, 0, 0x0a000000 + i, 32, 0);

		assert_int_equal(spd_delete(f->spd, &p.id, 0, NULL), 0);
	}
	assert_int_equal(spd_tuples(f->spd), 0);
	end(f);
}

/* Policies of one host, each for a port of its own: more than a tuple counts for a hash. */
static void
test_policies_of_one_hash_are_found_until_the_last_has_gone(void **state)
{
	enum { PORTS = 600 };
	struct fixture *f = begin(PORTS);

	for (uint32_t port = 1; port <= PORTS; port++) {
		struct spd_params p = bypass(0, 0, HOST_B, 32, 1);

		p.id.sel.dport = rte_cpu_to_be_16((uint16_t)port);
		p.id.sel.dport_mask = RTE_BE16(0xffff);
		assert_int_equal(spd_add(f->spd, &p, false, NULL), 0);
	}
	for (uint32_t port = 1; port <= PORTS; port++) {
		struct flow flow = udp(HOST_A, HOST_B, 1, (uint16_t)port);
		struct policy *p = spd_lookup(f->spd, 0, SPD_OUT, &flow);

		assert_non_null(p);
		assert_int_equal(spd_delete(f->spd, NULL, p->index, NULL), 0);
		assert_null(spd_lookup(f->spd, 0, SPD_OUT, &flow));
	}
	end(f);
}

/* Whichever bytes of two addresses differ, hashes do: those of 256 by 256 networks or hosts. */
static void
test_addresses_that_differ_in_two_bytes_have_their_own_hashes(void **state)
{
	struct fixture *f = begin(1);

	for (uint32_t pair = 0; pair < 32 * 32; pair++) {
		uint32_t first = pair / 32, second = pair % 32;
		union ip_addr addr[2] = {0};
		struct index seen;
		uint32_t n;

		if (first >= second)
			continue;
		assert_int_equal(index_init(&seen, 65536, 65536), 0);
		for (uint32_t i = 0; i < 65536; i++) {
			uint64_t hash;

			addr[first / 16].bytes[first % 16] = (uint8_t)i;
			addr[second / 16].bytes[second % 16] = (uint8_t)(i >> 8);
			hash = spd_hash(f->spd, 1, &addr[0], &addr[1]);
			index_insert(&seen, hash ^ hash >> 32, i);
		}
		n = 0;
		for (uint32_t i = 0; i < 65536; i++)
			n += index_next(&seen, i) != INDEX_NONE;
		assert_in_range(n, 0, 16); /* 0.5 to be expected of 32 bits */
		index_free(&seen);
	}
	end(f);
}

/* However far an addition gets before memory ends, nothing of it is left. */
static void
test_without_memory_nothing_changes(void **state)
{
	struct fixture *f = begin(1000);
	struct flow flow = udp(HOST_A, HOST_B, 1, 2);

	for (uint32_t i = 0; i < 200; i++) {
		uint32_t n = i % 100, priority = i < 100 ? i : 200 - i;
		struct spd_params p = bypass(HOST_A, n % 33, HOST_B, n / 33, priority);
		struct policy *before = spd_lookup(f->spd, i % 3, SPD_OUT, &flow);
		uint32_t tuples = spd_tuples(f->spd), count[SPD_DIRS];
		uint64_t bytes = spd_memory(f->spd).entries;
		int error, allowed = 0;

		p.id.if_id = i % 3;
		spd_count(f->spd, count);
		while (fail_after = allowed, error = spd_add(f->spd, &p, i >= 100, NULL), error) {
			uint32_t now[SPD_DIRS];

			fail_after = -1;
			assert_int_equal(error, -ENOMEM);
			assert_ptr_equal(spd_lookup(f->spd, i % 3, SPD_OUT, &flow), before);
			spd_count(f->spd, now);
			assert_int_equal(now[SPD_OUT], count[SPD_OUT]);
			assert_int_equal(spd_memory(f->spd).entries, bytes);
			if (i < 100)
				assert_null(spd_find(f->spd, &p.id, 0));
			allowed++;
		}
		fail_after = -1;
		assert_in_range(spd_tuples(f->spd), tuples, tuples + 1);
		assert_int_equal(spd_params(spd_find(f->spd, &p.id, 0)).priority, p.priority);
		/* Deletion does without. */
		if (i % 5 == 0) {
			fail_after = 0;
			assert_int_equal(spd_delete(f->spd, &p.id, 0, NULL), 0);
			assert_null(spd_find(f->spd, &p.id, 0));
			fail_after = -1;
		}
	}
	end(f);
}

/* ---- what was said of a policy ---- */

static const struct sa_limits no_limits = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
					   0,          0,          0,          0};

static struct spd_params
full_of_words(const struct sa_limits *limits)
{
	return (struct spd_params){
		.priority = 1,
		.action = SPD_PROTECT,
		.flags = 2,
		.share = 3,
		.tmpl = {.src = v4(4),
			 .dst = v4(5),
			 .family = FAMILY_V4,
			 .proto = IPPROTO_ESP,
			 .mode = SA_MODE_TUNNEL,
			 .optional = true,
			 .spi = 6,
			 .reqid = 7},
		.id = {.sel = {.src = v4(HOST_A),
			       .dst = v4(HOST_B),
			       .src_len = 32,
			       .dst_len = 31,
			       .family = FAMILY_V4,
			       .proto = IPPROTO_UDP,
			       .sport = 8,
			       .sport_mask = 9,
			       .dport = 10,
			       .dport_mask = 11},
		       .dir = SPD_FWD,
		       .if_id = 12,
		       .mark = 13},
		.limits = *limits,
	};
}

static void
assert_given_back(struct fixture *f, const struct sa_limits *limits)
{
	struct spd_params p = full_of_words(limits), back;
	struct policy *policy;

	assert_int_equal(spd_add(f->spd, &p, true, &f->why), 0);
	policy = spd_find(f->spd, &p.id, 0);
	back = spd_params(policy);
	p.id.sel.dst = v4(HOST_B & ~1u);
	assert_true(selector_equal(&back.id.sel, &p.id.sel));
	assert_int_equal(back.id.dir, p.id.dir);
	assert_int_equal(back.id.if_id, p.id.if_id);
	assert_int_equal(back.id.mark, p.id.mark);
	assert_int_equal(back.priority, p.priority);
	assert_int_equal(back.action, p.action);
	assert_int_equal(back.flags, p.flags);
	assert_int_equal(back.share, p.share);
	assert_memory_equal(&back.tmpl, &p.tmpl, offsetof(struct spd_template, reqid) + 4);
	assert_memory_equal(&back.limits, limits, sizeof(*limits));
	assert_in_range(spd_added(policy), time(NULL) - 60, time(NULL));
}

static void
test_all_that_was_said_of_a_policy_is_given_back(void **state)
{
	const struct sa_limits limits[] = {no_limits, {0}, {1, 2, 3, 4, 5, 6, 7, 8}, no_limits};
	struct fixture *f = begin(3);

	for (unsigned int i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		assert_given_back(f, &limits[i]);
	end(f);
}

static void
test_a_policy_takes_three_lines_and_more_for_limits_alone(void **state)
{
	const struct sa_limits limited = {.hard_use_seconds = 5};
	struct spd_params p = full_of_words(&no_limits);
	struct fixture *f = begin(3);

	assert_int_equal(spd_add(f->spd, &p, false, &f->why), 0);
	assert_int_equal(spd_memory(f->spd).entries, 192);
	p.limits = limited;
	assert_int_equal(spd_add(f->spd, &p, true, &f->why), 0);
	assert_true(spd_memory(f->spd).entries > 2 * 192);
	reclaim_poll(f->reclaim);
	spd_flush(f->spd);
	reclaim_poll(f->reclaim);
	assert_int_equal(spd_memory(f->spd).entries, 0);
	end(f);
}

/* ---- RFC 4301 section 5.2 ---- */

static void
test_C52_B22_a_decrypted_packet_needs_a_policy_whose_template_fits_its_sa(void **state)
{
	const struct sa sa = {.proto = IPPROTO_ESP,
			      .spi = 7,
			      .reqid = 3,
			      .if_id = 9,
			      .mode = SA_MODE_TUNNEL,
			      .family = FAMILY_V4,
			      .src = ip_addr_v4(1),
			      .dst = ip_addr_v4(2)};
	const struct policy ok = {.action = SPD_PROTECT,
				  .if_id = 9,
				  .tmpl = {.proto = IPPROTO_ESP,
					   .mode = SA_MODE_TUNNEL,
					   .family = FAMILY_V4,
					   .src = ip_addr_v4(1),
					   .dst = ip_addr_v4(2),
					   .reqid = 3}};
	struct policy p = ok;
	struct sa transport = sa;

	assert_true(spd_allows(&ok, &sa));
	p = ok, p.action = SPD_BYPASS, assert_false(spd_allows(&p, &sa));
	p = ok, p.action = SPD_DISCARD, assert_false(spd_allows(&p, &sa));
	p = ok, p.if_id = 0, assert_false(spd_allows(&p, &sa));
	p = ok, p.tmpl.mode = SA_MODE_TRANSPORT, assert_false(spd_allows(&p, &sa));
	p = ok, p.tmpl.proto = IPPROTO_AH, assert_false(spd_allows(&p, &sa));
	p = ok, p.tmpl.family = FAMILY_V6, assert_false(spd_allows(&p, &sa));
	p = ok, p.tmpl.src.v4 = 3, assert_false(spd_allows(&p, &sa));
	p = ok, p.tmpl.dst.v4 = 3, assert_false(spd_allows(&p, &sa));
	p = ok, p.tmpl.reqid = 4, assert_false(spd_allows(&p, &sa));
	p = ok, p.tmpl.spi = 8, assert_false(spd_allows(&p, &sa));
	p = ok, p.tmpl.spi = 7, assert_true(spd_allows(&p, &sa));
	p = ok, p.tmpl.reqid = 0, assert_true(spd_allows(&p, &sa));
	p = ok, p.tmpl.src.v4 = p.tmpl.dst.v4 = 0, assert_true(spd_allows(&p, &sa));
	transport.mode = SA_MODE_TRANSPORT;
	p = ok, p.tmpl.mode = SA_MODE_TRANSPORT, p.tmpl.src.v4 = 0;
	assert_true(spd_allows(&p, &transport));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_identity_is_refused_unless_replaced),
		cmocka_unit_test(test_what_is_not_there_cannot_be_deleted),
		cmocka_unit_test(test_a_full_database_refuses_but_still_replaces),
		cmocka_unit_test(test_what_cannot_be_is_refused_with_a_reason),
		cmocka_unit_test(test_of_equal_priorities_the_older_wins),
		cmocka_unit_test(test_a_selector_of_both_families_matches_both),
		cmocka_unit_test(test_C40_unseen_ports_match_what_protects_and_no_bypass),
		cmocka_unit_test(test_flush_leaves_nothing),
		cmocka_unit_test(test_ten_thousand_policies_are_all_found_and_all_go),
		cmocka_unit_test(test_policies_of_one_hash_are_found_until_the_last_has_gone),
		cmocka_unit_test(test_addresses_that_differ_in_two_bytes_have_their_own_hashes),
		cmocka_unit_test(test_without_memory_nothing_changes),
		cmocka_unit_test(test_all_that_was_said_of_a_policy_is_given_back),
		cmocka_unit_test(test_a_policy_takes_three_lines_and_more_for_limits_alone),
		cmocka_unit_test(
			test_C52_B22_a_decrypted_packet_needs_a_policy_whose_template_fits_its_sa),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
