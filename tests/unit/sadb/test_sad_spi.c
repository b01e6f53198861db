/* SPDX-License-Identifier: BSD-3-Clause */
/* SPIs that the engine chooses, and larval SAs: sad_spi.c. */
#include <time.h>

#include "sad_env.h"

static rte_be32_t
alloc(struct env *e, uint32_t seq, uint32_t min, uint32_t max)
{
	struct sa_params p = sa_params(THERE, HERE, 0, 0);
	rte_be32_t spi = 0;

	p.seq = seq;
	if (sad_alloc_spi(e->sad, &p, min, max, 30, &spi, &e->why) != 0)
		return 0;
	return spi;
}

static void
C2_allocated_spis_lie_in_their_range_and_differ(void **state)
{
	const uint32_t ranges[][2] = {{0xc0000000, 0xcfffffff},
				      {0x1000, 0xffffffff},
				      {0x100, 0xffff},
				      {0xfffffff0, 0xffffffff}};
	struct env e = env_new(256);

	for (int r = 0; r < 4; r++) {
		rte_be32_t got[16];

		for (int i = 0; i < 16; i++) {
			got[i] = alloc(&e, 0, ranges[r][0], ranges[r][1]);
			assert_in_range(rte_be_to_cpu_32(got[i]), ranges[r][0], ranges[r][1]);
			for (int k = 0; k < i; k++)
				assert_int_not_equal(got[i], got[k]);
		}
	}
	assert_int_equal(alloc(&e, 0, 0xfffffff0, 0xffffffff), 0); /* all 16 are taken */
	assert_int_equal(sad_count(e.sad), 64);
	env_free(&e);
}

static void
a_completed_larval_sa_is_found_in_the_place_that_its_spi_names(void **state)
{
	struct env e = env_new(1000);

	for (uint32_t i = 0; i < 1000; i++) {
		struct sa_params p = sa_params(THERE, HERE, 0, i);
		struct sa *sa;

		p.id.spi = alloc(&e, 0, 0xc0000000, 0xcfffffff);
		assert_null(env_lookup(&e, rte_be_to_cpu_32(p.id.spi), HERE, NULL));
		assert_int_equal(sad_find(e.sad, &p.id)->state, SA_LARVAL);
		assert_int_equal((i & 1 ? sad_update : sad_add)(e.sad, &p, &e.why), 0);
		sa = env_lookup(&e, rte_be_to_cpu_32(p.id.spi), HERE, NULL);
		assert_non_null(sa);
		assert_int_equal(rte_be_to_cpu_32(p.id.spi) & 0x7ff, sa->index);
	}
	assert_int_equal(sad_count(e.sad), 1000);
	env_free(&e);
}

static void
a_freed_spi_is_not_given_out_again_at_once(void **state)
{
	struct env e = env_new(16);
	rte_be32_t last[100];

	for (int i = 0; i < 100; i++) {
		struct sa_id id = {.family = FAMILY_V4, .proto = IPPROTO_ESP, .dst = addr4(HERE)};

		id.spi = last[i] = alloc(&e, 0, 0xc0000000, 0xcfffffff);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(last[i], last[k]);
		assert_int_equal(sad_delete(e.sad, &id, &e.why), 0);
	}
	env_free(&e);
}

static void
give_back(struct env *e, uint32_t spi)
{
	struct sa_id id = {.family = FAMILY_V4, .proto = IPPROTO_ESP, .dst = addr4(HERE)};

	id.spi = rte_cpu_to_be_32(spi);
	assert_int_equal(sad_delete(e->sad, &id, &e->why), 0);
}

static uint32_t
alloc_and_free(struct env *e)
{
	uint32_t spi = rte_be_to_cpu_32(alloc(e, 0, 0xc0000000, 0xcfffffff));

	give_back(e, spi);
	return spi;
}

/* Places go round: the first that was freed is the first to be used again. */
static void
nor_is_one_that_stood_in_for_a_taken_one(void **state)
{
	struct env e = env_new(16);
	uint32_t first = alloc_and_free(&e), step = alloc_and_free(&e) - first;
	uint32_t one = rte_be_to_cpu_32(alloc(&e, 0, 0xc0000000, 0xcfffffff));
	uint32_t two = rte_be_to_cpu_32(alloc(&e, 0, 0xc0000000, 0xcfffffff)), instead;
	struct sa_params p = sa_params(HERE, THERE, two + step, 1); /* a peer's choice */

	give_back(&e, one);
	give_back(&e, two);
	assert_int_equal(sad_add(e.sad, &p, &e.why), 0);
	instead = alloc_and_free(&e);
	assert_int_equal(instead, two + 2 * step);
	assert_int_not_equal(alloc_and_free(&e), instead);
	env_free(&e);
}

static void
a_repeated_request_gets_the_same_spi(void **state)
{
	struct env e = env_new(16);
	rte_be32_t spi = alloc(&e, 77, 0xc0000000, 0xcfffffff);

	assert_int_equal(alloc(&e, 77, 0xc0000000, 0xcfffffff), spi);
	assert_int_not_equal(alloc(&e, 78, 0xc0000000, 0xcfffffff), spi);
	assert_int_equal(sad_count(e.sad), 2);
	env_free(&e);
}

static void
C2_reserved_spis_are_not_allocated(void **state)
{
	struct env e = env_new(16);

	assert_int_equal(alloc(&e, 0, 1, 255), 0);
	assert_int_equal(alloc(&e, 0, 0, 256), RTE_BE32(256));
	env_free(&e);
}

static void
a_larval_sa_times_out(void **state)
{
	struct env e = env_new(16);
	rte_be32_t spi = alloc(&e, 0, 0xc0000000, 0xcfffffff);
	struct sa_id id = {.family = FAMILY_V4, .proto = IPPROTO_ESP, .dst = addr4(HERE)};
	uint64_t now = (uint64_t)time(NULL);

	id.spi = spi;
	sad_tick(e.sad, (now + 28) * 1000);
	assert_non_null(sad_find(e.sad, &id));
	sad_tick(e.sad, (now + 31) * 1000);
	assert_null(sad_find(e.sad, &id));
	assert_int_equal(sad_count(e.sad), 0);
	env_free(&e);
}

static void
an_sa_chosen_by_hand_with_the_spi_of_another_place_is_found(void **state)
{
	struct env e = env_new(16);
	struct sa *sa[8];

	/* Places are given out from 0: each SPI names the place of another SA, or none. */
	for (uint32_t i = 0; i < 8; i++) {
		struct sa_params p = sa_params(THERE, HERE, 0x1000 + 7 - i, i);

		sa[i] = env_add(&e, &p);
	}
	for (uint32_t i = 0; i < 8; i++)
		assert_ptr_equal(env_lookup(&e, 0x1000 + 7 - i, HERE, NULL), sa[i]);
	env_free(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(C2_allocated_spis_lie_in_their_range_and_differ),
		cmocka_unit_test(a_completed_larval_sa_is_found_in_the_place_that_its_spi_names),
		cmocka_unit_test(a_freed_spi_is_not_given_out_again_at_once),
		cmocka_unit_test(nor_is_one_that_stood_in_for_a_taken_one),
		cmocka_unit_test(a_repeated_request_gets_the_same_spi),
		cmocka_unit_test(C2_reserved_spis_are_not_allocated),
		cmocka_unit_test(a_larval_sa_times_out),
		cmocka_unit_test(an_sa_chosen_by_hand_with_the_spi_of_another_place_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
