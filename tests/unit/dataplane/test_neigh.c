/* SPDX-License-Identifier: BSD-3-Clause */
/* Neighbours: set, changed, swept, and read meanwhile. */
#include "dataplane/neigh.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../random.h"
#include "../readers.h"

#define MAX 1000

struct fixture {
	struct reclaim *reclaim;
	struct neigh_table *table;
};

static int
begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->reclaim = reclaim_new(READERS);
	f->table = neigh_new(MAX, f->reclaim);
	*state = f;
	return f->table ? 0 : -1;
}

static int
end(void **state)
{
	struct fixture *f = *state;

	neigh_free(f->table);
	reclaim_free(f->reclaim);
	free(f);
	return 0;
}

static union ip_addr
addr_of(uint32_t n)
{
	return ip_addr_v4(n);
}

/* The same byte six times. */
static struct rte_ether_addr
mac_of(uint8_t n)
{
	return (struct rte_ether_addr){{n, n, n, n, n, n}};
}

static int
set(struct fixture *f, uint32_t n, uint8_t mac, bool permanent)
{
	const union ip_addr addr = addr_of(n);
	const struct rte_ether_addr m = mac_of(mac);

	return neigh_set(f->table, 1, FAMILY_V4, &addr, &m, false, permanent);
}

static int
unset(struct fixture *f, uint32_t n)
{
	const union ip_addr addr = addr_of(n);

	return neigh_unset(f->table, 1, FAMILY_V4, &addr);
}

static struct neigh *
get(const struct fixture *f, uint32_t n)
{
	const union ip_addr addr = addr_of(n);

	return neigh_lookup(f->table, 1, FAMILY_V4, &addr);
}

static void
test_neighbours_are_found_by_interface_family_and_address(void **state)
{
	struct fixture *f = *state;
	const union ip_addr addr = addr_of(5);

	assert_int_equal(set(f, 5, 1, false), 0);
	assert_int_equal(get(f, 5)->mac.addr_bytes[0], 1);
	assert_null(get(f, 6));
	assert_null(neigh_lookup(f->table, 2, FAMILY_V4, &addr));
	assert_null(neigh_lookup(f->table, 1, FAMILY_V6, &addr));
	assert_int_equal(unset(f, 5), 0);
	assert_int_equal(unset(f, 5), -ENOENT);
	assert_null(get(f, 5));
}

static void
test_a_change_publishes_a_new_entry_and_keeps_that_it_was_used(void **state)
{
	struct fixture *f = *state;
	struct neigh *old;

	set(f, 5, 1, false);
	old = get(f, 5);
	atomic_store(&old->used, true);
	set(f, 5, 1, false);
	assert_ptr_equal(get(f, 5), old); /* no change */
	set(f, 5, 2, false);
	assert_ptr_not_equal(get(f, 5), old);
	assert_int_equal(old->mac.addr_bytes[0], 1); /* readers may still hold it */
	assert_int_equal(get(f, 5)->mac.addr_bytes[0], 2);
	assert_true(atomic_load(&get(f, 5)->used));
	assert_int_equal(neigh_count(f->table), 1);
}

static void
test_a_full_table_refuses_but_still_changes(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < MAX; i++)
		assert_int_equal(set(f, i, 1, false), 0);
	assert_int_equal(set(f, MAX, 1, false), -ENOSPC);
	assert_null(get(f, MAX));
	assert_int_equal(set(f, 7, 2, false), 0);
	assert_int_equal(unset(f, 8), 0);
	assert_int_equal(set(f, MAX, 1, false), 0);
	for (uint32_t i = 0; i <= MAX; i++)
		assert_int_equal(get(f, i) != NULL, i != 8);
}

static void
test_a_sweep_removes_what_was_not_set_again(void **state)
{
	struct fixture *f = *state;
	uint32_t cursor = 0, seen = 0;

	for (uint32_t i = 0; i < 100; i++)
		set(f, i, 1, i == 99);
	neigh_mark(f->table);
	for (uint32_t i = 0; i < 50; i++)
		set(f, i, i % 2 ? 1 : 2, false);
	assert_int_equal(neigh_sweep(f->table), 49);
	assert_int_equal(neigh_sweep(f->table), 0);
	while (neigh_next(f->table, &cursor))
		seen++;
	assert_int_equal(seen, 51);
	assert_int_equal(neigh_count(f->table), 51);
	assert_non_null(get(f, 99));
	assert_null(get(f, 60));
}

static void
test_the_kernel_does_not_change_a_permanent_neighbour(void **state)
{
	struct fixture *f = *state;

	set(f, 5, 1, true);
	assert_int_equal(set(f, 5, 2, false), 0);
	assert_int_equal(unset(f, 5), 0);
	assert_int_equal(get(f, 5)->mac.addr_bytes[0], 1);
}

/* Neighbour 0 is always there, among others that come and go; its MAC is of one piece. */
static bool
read_neigh(void *ctx, uint64_t *random)
{
	struct neigh *n = get(ctx, 0), *other = get(ctx, random_below(random, 64));
	struct rte_ether_addr mac;

	if (!n)
		return false;
	atomic_store_explicit(&n->used, true, memory_order_relaxed);
	mac = mac_of(n->mac.addr_bytes[0]);
	return rte_is_same_ether_addr(&n->mac, &mac) && (!other || other->iface == 1);
}

static void
test_readers_find_a_neighbour_while_it_changes(void **state)
{
	struct fixture *f = *state;
	struct readers readers = {0};
	uint64_t r = 9;

	set(f, 0, 1, false);
	readers_start(&readers, f->reclaim, read_neigh, f);
	for (int i = 0; i < 20000 || !readers_done(&readers, 300000); i++) {
		assert_int_equal(set(f, 0, (uint8_t)i, false), 0);
		assert_int_equal(set(f, 1 + random_below(&r, 63), 1, false), 0);
		unset(f, 1 + random_below(&r, 63));
		reclaim_poll(f->reclaim);
	}
	assert_int_equal(readers_stop(&readers), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_neighbours_are_found_by_interface_family_and_address),
		TEST(test_a_change_publishes_a_new_entry_and_keeps_that_it_was_used),
		TEST(test_a_full_table_refuses_but_still_changes),
		TEST(test_a_sweep_removes_what_was_not_set_again),
		TEST(test_the_kernel_does_not_change_a_permanent_neighbour),
		TEST(test_readers_find_a_neighbour_while_it_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
