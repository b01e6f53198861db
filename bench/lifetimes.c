/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What time costs the control thread: adds SAs with soft and hard lifetimes between 50 and 70
 * minutes, and lets an hour pass, tick by tick. Prints nanoseconds an add, microseconds a tick, and
 * the share of a core that ticks take.
 *
 *   lifetimes [SAS]     default 1000000
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sadb/sad.h"

#define TICKS (3600 * 1000 / SAD_TICK_MS)

static double
nanoseconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int
add(struct sad *sad, uint32_t i, struct reason *why)
{
	struct sa_params p = {
		.id = {.dst = ip_addr_v4(rte_cpu_to_be_32(0x0a000000 + i)),
		       .spi = rte_cpu_to_be_32(0x1000 + i),
		       .family = FAMILY_V4,
		       .proto = IPPROTO_ESP},
		.src = ip_addr_v4(RTE_BE32(0xc0000201)),
		.mode = SA_MODE_TUNNEL,
		.replay_window = 992,
		.limits = {.soft_add_seconds = 3000 + i % 500, .hard_add_seconds = 3400 + i % 800},
	};

	memcpy(p.key, &i, sizeof(i));
	return sad_add(sad, &p, why);
}

int
main(int argc, char **argv)
{
	uint32_t sas = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
	struct reason why = {""};
	struct sad_config config = {
		.max_sas = sas,
		.workers = 2,
		.replay_window = 992,
		.crypto = crypto_ctx_new(CRYPTO_IPSEC_MB, &why),
		.reclaim = reclaim_new(2),
	};
	struct sad *sad = config.crypto && config.reclaim ? sad_new(&config, &why) : NULL;
	double begin = nanoseconds(CLOCK_MONOTONIC), worst = 0, all = 0;
	uint64_t now;

	for (uint32_t i = 0; sad && i < sas; i++)
		if (add(sad, i, &why) != 0)
			sad = NULL;
	if (!sad) {
		fprintf(stderr, "lifetimes: %s\n", why.text);
		return 1;
	}
	printf("%u SAs: %.0f ns an add\n", sas, (nanoseconds(CLOCK_MONOTONIC) - begin) / sas);
	now = (uint64_t)(nanoseconds(CLOCK_REALTIME) / 1e6);
	for (unsigned int i = 0; i < TICKS; i++) {
		double took = nanoseconds(CLOCK_THREAD_CPUTIME_ID);

		sad_tick(sad, now += SAD_TICK_MS);
		reclaim_poll(config.reclaim);
		took = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - took;
		all += took;
		worst = took > worst ? took : worst;
	}
	printf("%u left after an hour: %.1f us a tick, the longest %.1f us, %.3f %% of a core\n",
	       sad_count(sad), all / TICKS / 1e3, worst / 1e3, all / TICKS / SAD_TICK_MS / 1e4);
	return 0;
}
