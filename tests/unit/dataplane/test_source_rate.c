/* SPDX-License-Identifier: BSD-3-Clause */
/* Each sender has its own pace, whatever the others do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/source_rate.h"

#define HZ   1000000u
#define RATE 1000u /* one in 1000 ticks, bursts of 25 */

static struct source_rate r;

static int
setup(void **state)
{
	source_rate_init(&r, 0x1234567, HZ, RATE);
	return 0;
}

static unsigned int
flood(uint64_t source, uint64_t tsc, unsigned int n)
{
	unsigned int passed = 0;

	while (n-- > 0)
		passed += source_rate_take(&r, source, tsc);
	return passed;
}

static void
a_source_has_its_rate_and_a_burst(void **state)
{
	uint64_t tsc = 1u << 30;
	unsigned int burst = flood(7, tsc, 1000);

	assert_int_equal(burst, RATE / 40 + 1);
	assert_int_equal(flood(7, tsc + 999, 1000), 0);
	assert_int_equal(flood(7, tsc + 1000, 1000), 1);
	assert_int_equal(flood(7, tsc + 1999, 1000), 0);
	assert_int_equal(flood(7, tsc + 1000 + HZ / 100, 1000), RATE / 100);
	/* After a long silence no more than a burst. */
	assert_int_equal(flood(7, tsc + 1000 * HZ, 1000), burst);
}

static void
a_flood_from_one_source_starves_no_other(void **state)
{
	uint64_t tsc = 1u << 30;
	unsigned int starved = 0;

	flood(0, tsc, 100000);
	for (uint64_t source = 1; source <= 1000; source++)
		starved += flood(source, tsc, 1) == 0;
	assert_true(starved <= 2); /* those that share its bucket, one in 4096 */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_source_has_its_rate_and_a_burst, setup),
		cmocka_unit_test_setup(a_flood_from_one_source_starves_no_other, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
