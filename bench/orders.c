/* SPDX-License-Identifier: BSD-3-Clause */
#include "orders.h"

#include <stdlib.h>
#include <time.h>

#include <rte_cycles.h>

const char *const order_names[] = {"sequential", "random", "zipf"};

uint64_t
orders_random(void)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Sums of the shares 1/1, 1/2 ... 1/n. */
static double *
shares_new(uint32_t n)
{
	double *shares = calloc(n, sizeof(*shares));

	if (!shares)
		abort();
	for (uint32_t i = 0; i < n; i++)
		shares[i] = (i > 0 ? shares[i - 1] : 0) + 1.0 / (i + 1);
	return shares;
}

/* Those that are asked most stand anywhere among the others. */
static uint32_t
zipf_next(const double *shares, uint32_t n)
{
	double at = (double)(orders_random() >> 11) * 0x1p-53 * shares[n - 1];
	uint32_t low = 0, high = n - 1;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (shares[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return (uint32_t)((uint64_t)low * SCATTER % n);
}

void
orders_fill(uint32_t *numbers, uint32_t count, uint32_t n, enum order order)
{
	double *shares = order == ZIPF ? shares_new(n) : NULL;

	for (uint32_t i = 0; i < count; i++)
		numbers[i] = order == ZIPF     ? zipf_next(shares, n)
			     : order == RANDOM ? (uint32_t)((orders_random() >> 32) * n >> 32)
					       : i % n;
	free(shares);
}

double
orders_nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double
orders_ticks_per_ns(void)
{
	const struct timespec tenth = {.tv_nsec = 100000000};
	double begin = orders_nanoseconds();
	uint64_t tsc = rte_rdtsc_precise();

	nanosleep(&tenth, NULL);
	return (double)(rte_rdtsc_precise() - tsc) / (orders_nanoseconds() - begin);
}
