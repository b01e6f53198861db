/* SPDX-License-Identifier: BSD-3-Clause */
/* Tombstones and the index that finds them: what is kept, what is forgotten, in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sadb/tombstone.h"

static struct replay *
window_new(void)
{
	struct replay *r = malloc(replay_size(32));

	replay_init(r, 32);
	return r;
}

static void
put(struct tombstones *t, uint64_t key, rte_be32_t spi, uint64_t top, bool window)
{
	struct tombstone new = {.print = {{key, key}},
				.spi = spi,
				.in_top = top,
				.window = window ? window_new() : NULL};

	tombstone_put(t, &new);
}

static struct tombstone *
find(struct tombstones *t, uint64_t key)
{
	return tombstone_next(t, &(struct key_print){{key, key}}, NULL);
}

static void
the_oldest_is_forgotten_first(void **state)
{
	struct tombstones t;

	assert_int_equal(tombstones_init(&t, 4), 0);
	for (uint64_t key = 1; key <= 6; key++)
		put(&t, key, 0, 10 * key, key % 2);
	for (uint64_t key = 1; key <= 6; key++)
		assert_int_equal(find(&t, key) != NULL, key > 2);
	assert_int_equal(find(&t, 5)->in_top, 50);
	assert_int_equal(t.used, 4);
	tombstones_free(&t);
}

static void
one_that_comes_again_takes_its_own_place(void **state)
{
	struct tombstones t;

	assert_int_equal(tombstones_init(&t, 4), 0);
	put(&t, 1, 0, 10, true);
	put(&t, 2, 0, 20, true);
	put(&t, 1, 0, 11, true);
	put(&t, 1, 7, 12, true); /* another SPI: another tombstone, the newer one */
	assert_int_equal(t.used, 3);
	assert_int_equal(t.window_bytes, 3 * replay_size(32));
	assert_int_equal(find(&t, 1)->in_top, 12);
	assert_int_equal(tombstone_next(&t, &find(&t, 1)->print, find(&t, 1))->in_top, 11);
	tombstones_free(&t);
}

static void
of_windows_only_the_newest_are_kept(void **state)
{
	const uint64_t last = TOMBSTONE_WINDOWS + 10;
	struct tombstones t;

	assert_int_equal(tombstones_init(&t, (uint32_t)last), 0);
	for (uint64_t key = 1; key <= last; key++)
		put(&t, key, 0, key, true);
	for (uint64_t key = 1; key <= last; key++) {
		assert_int_equal(find(&t, key)->in_top, key);
		assert_int_equal(find(&t, key)->window != NULL, key > 10);
	}
	assert_int_equal(t.window_bytes, TOMBSTONE_WINDOWS * replay_size(32));
	tombstones_free(&t);
}

#define LINKS 200

/* Newest first, by hash: compared with a plain list of what was inserted. */
static void
assert_chains(const struct index *index, const uint32_t *hashes, const uint32_t *order, uint32_t n)
{
	for (uint32_t hash = 0; hash < 8; hash++) {
		uint32_t at = index_first(index, hash);

		for (uint32_t i = n; i-- > 0;) {
			if (hashes[order[i]] != hash)
				continue;
			assert_int_equal(at, order[i]);
			at = index_next(index, at);
		}
		assert_int_equal(at, INDEX_NONE);
	}
}

static void
an_index_has_what_is_in_it_newest_first(void **state)
{
	uint32_t hashes[LINKS], order[LINKS], n = 0;
	struct index index;

	srand(1);
	assert_int_equal(index_init(&index, 4, LINKS), 0);
	for (int step = 0; step < 20000; step++) {
		uint32_t link = (uint32_t)rand() % LINKS, i = 0;

		while (i < n && order[i] != link)
			i++;
		assert_int_equal(index_has(&index, link), i < n);
		index_remove(&index, link);
		if (i < n) {
			memmove(&order[i], &order[i + 1], (--n - i) * sizeof(*order));
		} else {
			hashes[link] = (uint32_t)rand() % 8;
			index_insert(&index, hashes[link], link);
			order[n++] = link;
		}
		if (step % 50 == 0)
			assert_chains(&index, hashes, order, n);
	}
	index_free(&index);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_is_forgotten_first),
		cmocka_unit_test(one_that_comes_again_takes_its_own_place),
		cmocka_unit_test(of_windows_only_the_newest_are_kept),
		cmocka_unit_test(an_index_has_what_is_in_it_newest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
