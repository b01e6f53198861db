/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes: against a naive longest-prefix search, while workers read, and by their contract. */
#include "dataplane/fib.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../random.h"
#include "../readers.h"

static struct fib_prefix
v4(uint32_t host, uint8_t len)
{
	struct fib_prefix p = {
		.family = FAMILY_V4, .len = len, .addr = ip_addr_v4(rte_cpu_to_be_32(host))};

	p.addr = ip_addr_mask(&p.addr, len);
	return p;
}

static union ip_addr
host4(uint32_t host)
{
	return ip_addr_v4(rte_cpu_to_be_32(host));
}

static struct nexthop
via(uint16_t iface)
{
	return (struct nexthop){.type = NEXTHOP_CONNECTED, .iface = iface, .weight = 1};
}

static int
set(struct fib *fib, struct fib_prefix p, uint32_t metric, uint16_t iface)
{
	struct nexthop nh = via(iface);

	return fib_set(fib, 0, &p, metric, &nh, 1, NULL);
}

static uint16_t
iface_to(const struct fib *fib, uint32_t host)
{
	const union ip_addr dst = host4(host);

	return fib_lookup(fib, 0, FAMILY_V4, &dst, 0)->iface;
}

struct fixture {
	struct reclaim *reclaim;
	struct fib *fib;
};

static int
begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->reclaim = reclaim_new(READERS);
	f->fib = fib_new(f->reclaim);
	*state = f;
	return fib_vrf(f->fib, 254, NULL) == 0 ? 0 : -1;
}

static int
end(void **state)
{
	struct fixture *f = *state;

	fib_free(f->fib);
	reclaim_free(f->reclaim);
	free(f);
	return 0;
}

/* ---- contract ---- */

static void
test_without_a_route_there_is_a_next_hop_of_no_type(void **state)
{
	struct fixture *f = *state;
	const union ip_addr dst = host4(1);
	const struct nexthop *nh = fib_lookup(f->fib, 0, FAMILY_V4, &dst, 0);

	assert_non_null(nh);
	assert_int_equal(nh->type, NEXTHOP_NONE);
	assert_int_equal(nh->iface, IFACE_NONE);
}

static void
test_the_lowest_metric_is_used_and_the_next_takes_over(void **state)
{
	struct fixture *f = *state;
	struct fib_prefix p = v4(0x0a000000, 24);

	set(f->fib, v4(0, 0), 0, 1);
	set(f->fib, p, 20, 20);
	set(f->fib, p, 10, 10);
	set(f->fib, p, 30, 30);
	assert_int_equal(fib_count(f->fib), 4);
	assert_int_equal(iface_to(f->fib, 0x0a000001), 10);
	assert_int_equal(fib_unset(f->fib, 0, &p, 10), 0);
	assert_int_equal(iface_to(f->fib, 0x0a000001), 20);
	assert_int_equal(fib_unset(f->fib, 0, &p, 10), -ENOENT);
	set(f->fib, p, 20, 21);
	assert_int_equal(iface_to(f->fib, 0x0a000001), 21);
	fib_unset(f->fib, 0, &p, 20);
	fib_unset(f->fib, 0, &p, 30);
	assert_int_equal(iface_to(f->fib, 0x0a000001), 1);
}

static void
test_what_cannot_be_is_refused_with_a_reason(void **state)
{
	struct fixture *f = *state;
	struct reason why = {0};
	struct nexthop nh[2] = {via(1), via(2)};
	struct fib_prefix p = v4(0, 0);

	assert_int_equal(fib_set(f->fib, 1, &p, 0, nh, 1, &why), -EINVAL);
	assert_string_not_equal(why.text, "");
	p.len = 33;
	assert_int_equal(fib_set(f->fib, 0, &p, 0, nh, 1, NULL), -EINVAL);
	p.len = 0, p.family = 5;
	assert_int_equal(fib_set(f->fib, 0, &p, 0, nh, 1, NULL), -EINVAL);
	p.family = FAMILY_V4;
	assert_int_equal(fib_set(f->fib, 0, &p, 0, nh, 0, NULL), -EINVAL);
	nh[1].weight = 0;
	assert_int_equal(fib_set(f->fib, 0, &p, 0, nh, 2, NULL), -EINVAL);
	assert_int_equal(fib_count(f->fib), 0);
}

static void
test_tables_are_apart(void **state)
{
	struct fixture *f = *state;
	const union ip_addr dst = host4(0x0a000001);
	struct fib_prefix p = v4(0x0a000000, 8);
	struct nexthop nh = via(2);
	int vrf = fib_vrf(f->fib, 1000, NULL);

	assert_int_equal(vrf, 1);
	assert_int_equal(fib_vrf(f->fib, 1000, NULL), 1);
	fib_set(f->fib, 1, &p, 0, &nh, 1, NULL);
	set(f->fib, p, 0, 1);
	assert_int_equal(fib_lookup(f->fib, 0, FAMILY_V4, &dst, 0)->iface, 1);
	assert_int_equal(fib_lookup(f->fib, 1, FAMILY_V4, &dst, 0)->iface, 2);
	for (uint32_t table = 2; table < FIB_VRFS_MAX; table++)
		assert_int_equal(fib_vrf(f->fib, 2000 + table, NULL), table);
	assert_int_equal(fib_vrf(f->fib, 9999, NULL), -ENOSPC);
}

static void
test_a_sweep_removes_what_was_not_set_again(void **state)
{
	struct fixture *f = *state;
	struct nexthop nh = via(9);
	struct fib_prefix p = v4(0x0a030000, 24);

	for (uint16_t i = 0; i < 100; i++)
		set(f->fib, v4(0x0a000000 + (i << 8), 24), 5, i);
	fib_set_permanent(f->fib, 0, &p, &nh, NULL);
	fib_mark(f->fib);
	for (uint16_t i = 0; i < 100; i += 2)
		set(f->fib, v4(0x0a000000 + (i << 8), 24), 5, i);
	assert_int_equal(iface_to(f->fib, 0x0a000101), 1); /* still there before the sweep */
	assert_int_equal(fib_sweep(f->fib), 50);
	assert_int_equal(fib_sweep(f->fib), 0);
	assert_int_equal(fib_count(f->fib), 51);
	assert_int_equal(iface_to(f->fib, 0x0a000101), IFACE_NONE);
	assert_int_equal(iface_to(f->fib, 0x0a000201), 2);
	assert_int_equal(iface_to(f->fib, 0x0a030001), 9);
}

static void
test_the_kernel_does_not_take_a_permanent_route_away(void **state)
{
	struct fixture *f = *state;
	struct nexthop nh = via(9);
	struct fib_prefix p = v4(0x0a000000, 24);

	fib_set_permanent(f->fib, 0, &p, &nh, NULL);
	set(f->fib, p, 0, 1);
	assert_int_equal(iface_to(f->fib, 0x0a000001), 9);
	assert_int_equal(fib_unset(f->fib, 0, &p, 0), 0);
	assert_int_equal(fib_unset(f->fib, 0, &p, 0), -ENOENT);
	assert_int_equal(iface_to(f->fib, 0x0a000001), 9);
}

static void
test_flows_spread_over_paths_by_their_weight(void **state)
{
	struct fixture *f = *state;
	struct nexthop paths[3] = {via(0), via(1), via(2)};
	const union ip_addr dst = host4(0x0a000001);
	struct fib_prefix p = v4(0x0a000000, 8);
	unsigned int taken[3] = {0};
	uint64_t r = 42;

	paths[1].weight = 2;
	paths[2].weight = 5;
	fib_set(f->fib, 0, &p, 0, paths, 3, NULL);
	for (int i = 0; i < 80000; i++) {
		uint32_t hash = (uint32_t)random_next(&r);
		const struct nexthop *nh = fib_lookup(f->fib, 0, FAMILY_V4, &dst, hash);

		assert_ptr_equal(nh, fib_lookup(f->fib, 0, FAMILY_V4, &dst, hash));
		taken[nh->iface]++;
	}
	assert_in_range(taken[0], 9000, 11000);
	assert_in_range(taken[1], 19000, 21000);
	assert_in_range(taken[2], 48500, 51500);
	/* Hashes that count up, as poor ones do, spread as well. */
	memset(taken, 0, sizeof(taken));
	for (uint32_t hash = 0; hash < 8000; hash++)
		taken[fib_lookup(f->fib, 0, FAMILY_V4, &dst, hash)->iface]++;
	assert_in_range(taken[0], 800, 1200);
	assert_in_range(taken[2], 4600, 5400);
}

static void
test_routes_are_listed_as_they_were_set(void **state)
{
	struct fixture *f = *state;
	struct nexthop paths[2] = {via(1), via(2)};
	struct fib_prefix p = v4(0x0a000000, 8);
	struct fib_route route;
	uint64_t cursor = 0;
	int active = 0, seen = 0;

	fib_set(f->fib, 0, &p, 7, paths, 2, NULL);
	set(f->fib, p, 8, 3);
	while (fib_next(f->fib, &cursor, &route)) {
		seen++;
		active += route.active;
		assert_int_equal(route.table, 254);
		assert_int_equal(route.active, route.metric == 7);
		assert_int_equal(route.count, route.metric == 7 ? 2 : 1);
		assert_int_equal(route.paths[0].iface, route.metric == 7 ? 1 : 3);
	}
	assert_int_equal(seen, 2);
	assert_int_equal(active, 1);
}

static void
test_ten_thousand_routes_are_all_found_and_all_go(void **state)
{
	struct fixture *f = *state;

	set(f->fib, v4(0, 0), 0, 1);
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(set(f->fib, v4(0x0a000000 + i * 64, 26), 0, 2 + i % 5000), 0);
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(iface_to(f->fib, 0x0a000000 + i * 64 + i % 64), 2 + i % 5000);
	assert_int_equal(iface_to(f->fib, 0x0a000000 + 10000 * 64), 1);
	for (uint32_t i = 0; i < 10000; i++) {
		struct fib_prefix p = v4(0x0a000000 + i * 64, 26);

		assert_int_equal(fib_unset(f->fib, 0, &p, 0), 0);
	}
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(iface_to(f->fib, 0x0a000000 + i * 64), 1);
	assert_int_equal(fib_count(f->fib), 1);
}

/* ---- against a list that is searched from end to end ---- */

#define MODEL_MAX 200

struct model {
	struct fib_prefix prefix[MODEL_MAX];
	uint32_t metric[MODEL_MAX];
	uint16_t iface[MODEL_MAX];
	unsigned int n;
};

static uint16_t
model_lookup(const struct model *m, uint8_t family, const union ip_addr *dst)
{
	int best = -1;

	for (unsigned int i = 0; i < m->n; i++) {
		const struct fib_prefix *p = &m->prefix[i];
		union ip_addr masked = ip_addr_mask(dst, p->len);

		if (p->family != family || !ip_addr_equal(&masked, &p->addr))
			continue;
		if (best < 0 || p->len > m->prefix[best].len ||
		    (p->len == m->prefix[best].len && m->metric[i] < m->metric[best]))
			best = (int)i;
	}
	return best < 0 ? IFACE_NONE : m->iface[best];
}

/* Addresses whose bytes are 0 or 255 but for a few bits, so that prefixes of all lengths nest. */
static union ip_addr
random_addr(uint64_t *r, uint8_t family)
{
	union ip_addr a = {0};

	for (unsigned int i = 0; i < (family == FAMILY_V4 ? 4 : 16); i++)
		a.bytes[i] = (random_below(r, 4) ? 0 : 255) ^
			     (random_below(r, 3) ? 0 : 1u << random_below(r, 8));
	return a;
}

static void
model_change(struct fib *fib, struct model *m, uint8_t family, uint64_t *r)
{
	uint8_t len = (uint8_t)random_below(r, family == FAMILY_V4 ? 33 : 129);
	union ip_addr addr = random_addr(r, family);
	struct fib_prefix p = {.addr = ip_addr_mask(&addr, len), .len = len, .family = family};
	struct nexthop nh = via((uint16_t)random_below(r, 8));
	uint32_t metric = random_below(r, 3);
	unsigned int i = 0;

	if (m->n > 0 && (m->n == MODEL_MAX || random_below(r, MODEL_MAX) < m->n)) {
		i = random_below(r, m->n);
		assert_int_equal(fib_unset(fib, 0, &m->prefix[i], m->metric[i]), 0);
		m->n--;
		m->prefix[i] = m->prefix[m->n];
		m->metric[i] = m->metric[m->n];
		m->iface[i] = m->iface[m->n];
	}
	while (i = 0, m->n > 0 && random_below(r, 3) == 0) { /* another metric of an old prefix */
		p = m->prefix[random_below(r, m->n)];
		break;
	}
	while (i < m->n && (m->metric[i] != metric || m->prefix[i].len != p.len ||
			    !ip_addr_equal(&m->prefix[i].addr, &p.addr)))
		i++;
	assert_int_equal(fib_set(fib, 0, &p, metric, &nh, 1, NULL), 0);
	m->prefix[i] = p;
	m->metric[i] = metric;
	m->iface[i] = nh.iface;
	m->n += i == m->n;
}

static void
agree(struct fixture *f, uint8_t family)
{
	struct model *m = calloc(1, sizeof(*m));
	uint64_t r = family * 791;

	for (int round = 0; round < 6000; round++) {
		model_change(f->fib, m, family, &r);
		assert_int_equal(fib_count(f->fib), m->n);
		for (int i = 0; i < 30; i++) {
			union ip_addr dst = random_addr(&r, family);
			const struct nexthop *nh = fib_lookup(f->fib, 0, family, &dst, 0);

			assert_int_equal(nh->iface, model_lookup(m, family, &dst));
		}
		reclaim_poll(f->reclaim);
	}
	free(m);
}

static void
test_ipv4_lookups_agree_with_a_linear_search(void **state)
{
	agree(*state, FAMILY_V4);
}

static void
test_ipv6_lookups_agree_with_a_linear_search(void **state)
{
	agree(*state, FAMILY_V6);
}

/* ---- over time ---- */

static void
churn(struct fixture *f, uint64_t *r, unsigned int rounds)
{
	for (unsigned int i = 0; i < rounds; i++) {
		struct fib_prefix p =
			v4(0x0a000000 | random_below(r, 1 << 16), 17 + random_below(r, 16));
		struct nexthop paths[2] = {via((uint16_t)random_below(r, 9)),
					   via(random_below(r, 9))};

		if (random_below(r, 2))
			assert_int_equal(fib_set(f->fib, 0, &p, random_below(r, 2), paths,
						 1 + random_below(r, 2), NULL),
					 0);
		else
			fib_unset(f->fib, 0, &p, random_below(r, 2));
		reclaim_poll(f->reclaim);
	}
}

static void
test_memory_is_flat_however_long_routes_come_and_go(void **state)
{
	struct fixture *f = *state;
	uint64_t r = 5;
	size_t before;

	fib_mark(f->fib);
	churn(f, &r, 50000);
	fib_mark(f->fib);
	fib_sweep(f->fib);
	reclaim_poll(f->reclaim);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	for (int i = 0; i < 5; i++) {
		churn(f, &r, 50000);
		fib_mark(f->fib);
		fib_sweep(f->fib);
		assert_int_equal(reclaim_poll(f->reclaim), 0);
	}
	assert_in_range(mallinfo2().uordblks + mallinfo2().hblkhd, 0, before + 4096);
}

/*
 * 10.1.2.3 is always covered: by /8, and by a /24 whose metrics and paths change. Readers find one
 * of the interfaces that these had, and a default route never.
 */
static bool
read_route(void *ctx, uint64_t *random)
{
	const struct fixture *f = ctx;
	const union ip_addr dst = host4(0x0a010203);
	const struct nexthop *nh =
		fib_lookup(f->fib, 0, FAMILY_V4, &dst, (uint32_t)random_next(random));

	return nh->type == NEXTHOP_CONNECTED && nh->iface >= 100 && nh->iface < 110;
}

static void
change_routes(struct fixture *f, uint64_t *r)
{
	struct fib_prefix wide = v4(0x0a000000, 8),
			  narrow = v4(0x0a010200, 17 + random_below(r, 16));
	struct nexthop paths[3] = {via(100 + random_below(r, 10)), via(100 + random_below(r, 10)),
				   via(100 + random_below(r, 10))};
	unsigned int n = 1 + random_below(r, 3);

	assert_int_equal(fib_set(f->fib, 0, &wide, 0, paths, n, NULL), 0);
	if (random_below(r, 3))
		fib_unset(f->fib, 0, &narrow, random_below(r, 2));
	else
		assert_int_equal(fib_set(f->fib, 0, &narrow, random_below(r, 2), paths, n, NULL),
				 0);
	reclaim_poll(f->reclaim);
}

static void
test_readers_find_the_old_route_or_the_new_one_and_never_none(void **state)
{
	struct fixture *f = *state;
	struct readers readers = {0};
	uint64_t r = 3;

	set(f->fib, v4(0, 0), 0, 1);
	change_routes(f, &r);
	readers_start(&readers, f->reclaim, read_route, f);
	for (int i = 0; i < 20000 || !readers_done(&readers, 300000); i++)
		change_routes(f, &r);
	assert_int_equal(readers_stop(&readers), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_without_a_route_there_is_a_next_hop_of_no_type),
		TEST(test_the_lowest_metric_is_used_and_the_next_takes_over),
		TEST(test_what_cannot_be_is_refused_with_a_reason),
		TEST(test_tables_are_apart),
		TEST(test_a_sweep_removes_what_was_not_set_again),
		TEST(test_the_kernel_does_not_take_a_permanent_route_away),
		TEST(test_flows_spread_over_paths_by_their_weight),
		TEST(test_routes_are_listed_as_they_were_set),
		TEST(test_ten_thousand_routes_are_all_found_and_all_go),
		TEST(test_ipv4_lookups_agree_with_a_linear_search),
		TEST(test_ipv6_lookups_agree_with_a_linear_search),
		TEST(test_memory_is_flat_however_long_routes_come_and_go),
		TEST(test_readers_find_the_old_route_or_the_new_one_and_never_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
