/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an SA costs in memory: fills a SAD and an SPD with tunnels of AES-GCM-128 (a window of 992,
 * a policy each, counted by one worker) and prints bytes an SA, by what for, and what the process
 * has really come to hold. "idle" is without the packet that makes a worker count.
 *
 *     memory [--sas N] [--suite NAME] [--json FILE]
 */
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "sadb/spd.h"

struct bench {
	uint32_t sas;
	const char *suite, *json;
	struct crypto_ctx *crypto;
	struct reclaim *reclaim;
	struct sad *sad;
	struct spd *spd;
	json_t *all;
};

static void
fail(const char *what)
{
	fprintf(stderr, "memory: %s\n", what);
	exit(1);
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Bytes of memory that the process has: pages of its own, no text of libraries, and of the huge
 * page pool. */
static uint64_t
resident(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	uint64_t kib, sum = 0;
	char line[256];

	if (!status)
		fail("/proc/self/status cannot be read");
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "RssAnon: %lu", &kib) == 1 ||
		    sscanf(line, "HugetlbPages: %lu", &kib) == 1)
			sum += kib * 1024;
	fclose(status);
	return sum;
}

static struct sa_params
sa_of(const struct bench *b, uint32_t i)
{
	struct sa_params p = {
		.id = {.dst = ip_addr_v4(rte_cpu_to_be_32(0x0b000000 + i)),
		       .spi = rte_cpu_to_be_32(0x10000 + i),
		       .family = FAMILY_V4,
		       .proto = IPPROTO_ESP},
		.src = ip_addr_v4(RTE_BE32(0xc0000201)),
		.mode = SA_MODE_TUNNEL,
		.flags = SA_REPLAY,
		.reqid = i + 1,
		.replay_window = 992,
		.sel.family = FAMILY_V4,
		.limits = {.soft_bytes = UINT64_MAX,
			   .hard_bytes = UINT64_MAX,
			   .soft_packets = UINT64_MAX,
			   .hard_packets = UINT64_MAX,
			   .soft_add_seconds = 3000 + i % 500,
			   .hard_add_seconds = 3600},
		.suite = (uint8_t)crypto_suite_by_name(b->suite),
		.replay_bitmap_words = 31,
	};

	/* Keys without a zero byte, as random ones mostly are. */
	memset(p.key, 0x5a, crypto_suites[p.suite].key_len);
	memset(p.auth_key, 0xa5, crypto_suites[p.suite].auth_key_len);
	for (uint32_t k = 0; k < 4; k++)
		p.key[k] = (uint8_t)(i >> 6 * k | 0x40);
	memcpy(p.salt, p.key, sizeof(p.salt));
	return p;
}

static struct spd_params
policy_of(const struct sa_params *sa, uint32_t i)
{
	return (struct spd_params){
		.id = {.sel = {.dst = ip_addr_v4(rte_cpu_to_be_32(0x0a000000 + i)),
			       .dst_len = 32,
			       .family = FAMILY_V4},
		       .dir = SPD_OUT},
		.action = SPD_PROTECT,
		.priority = 1000,
		.tmpl = {.src = sa->src,
			 .dst = sa->id.dst,
			 .family = FAMILY_V4,
			 .proto = IPPROTO_ESP,
			 .reqid = sa->reqid,
			 .mode = SA_MODE_TUNNEL},
		.limits = {.soft_bytes = UINT64_MAX,
			   .hard_bytes = UINT64_MAX,
			   .soft_packets = UINT64_MAX,
			   .hard_packets = UINT64_MAX},
	};
}

static void
report(struct bench *b, const char *what, double value)
{
	printf("%-28s %12.1f\n", what, value);
	json_object_set_new(b->all, what, json_real(value));
}

/* Times in nanoseconds, after which memory is that of another phase. */
static void
add_sas(struct bench *b)
{
	double begin = seconds();
	struct reason why;

	for (uint32_t i = 0; i < b->sas; i++) {
		const struct sa_params p = sa_of(b, i);

		if (sad_add(b->sad, &p, &why) != 0)
			fail(why.text);
	}
	report(b, "ns an SA added", (seconds() - begin) * 1e9 / b->sas);
}

static void
add_policies(struct bench *b)
{
	double begin = seconds();
	struct reason why;

	for (uint32_t i = 0; i < b->sas; i++) {
		const struct sa_params sa = sa_of(b, i);
		const struct spd_params p = policy_of(&sa, i);

		if (spd_add(b->spd, &p, false, &why) != 0)
			fail(why.text);
	}
	report(b, "ns a policy added", (seconds() - begin) * 1e9 / b->sas);
}

static void
use_sas(struct bench *b)
{
	struct sa_control *c;
	uint32_t cursor = 0;

	while ((c = sad_next(b->sad, &cursor)) != NULL)
		sad_charge(b->sad, 0, c->sa, 1, 100, 1);
}

static void
report_parts(struct bench *b)
{
	const struct sad_memory sad = sad_memory(b->sad);
	const struct spd_memory spd = spd_memory(b->spd);

	report(b, "bytes: places", (double)sad.places / b->sas);
	report(b, "bytes: control", (double)sad.control / b->sas);
	report(b, "bytes: counters", (double)sad.counters / b->sas);
	report(b, "bytes: SAD tables", (double)sad.tables / b->sas);
	report(b, "bytes: tombstones", (double)sad.tombstones / b->sas);
	report(b, "bytes: policies", (double)spd.entries / b->sas);
	report(b, "bytes: SPD tables", (double)spd.tables / b->sas);
	report(b, "bytes: sum", (double)(sad_bytes(b->sad) + spd.entries + spd.tables) / b->sas);
}

static void
start(struct bench *b)
{
	struct reason why = {.text = ""};
	struct sad_config config = {.max_sas = b->sas, .workers = 1, .replay_window = 992};

	config.crypto = b->crypto = crypto_ctx_new(CRYPTO_IPSEC_MB, &why);
	config.reclaim = b->reclaim = reclaim_new(1);
	if (b->crypto && b->reclaim)
		b->sad = sad_new(&config, &why);
	if (b->sad)
		b->spd = spd_new(b->sas, b->sad, b->reclaim, &why);
	if (!b->spd)
		fail(why.text);
}

static void
parse(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {
		{"sas", required_argument, NULL, 'n'},
		{"suite", required_argument, NULL, 's'},
		{"json", required_argument, NULL, 'j'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'n')
			b->sas = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 's')
			b->suite = optarg;
		else if (option == 'j')
			b->json = optarg;
		else
			exit(2);
	}
	if (b->sas == 0 || crypto_suite_by_name(b->suite) < 0)
		fail("usage: memory [--sas N] [--suite NAME] [--json FILE]");
}

int
main(int argc, char **argv)
{
	struct bench b = {.sas = 1000000, .suite = "aes128gcm16", .all = json_object()};
	uint64_t before = resident();

	parse(&b, argc, argv);
	start(&b);
	report(&b, "SAs", b.sas);
	add_sas(&b);
	report(&b, "resident: SAs alone, idle", (double)(resident() - before) / b.sas);
	add_policies(&b);
	use_sas(&b);
	report(&b, "resident: with policies", (double)(resident() - before) / b.sas);
	report_parts(&b);
	if (b.json != NULL && json_dump_file(b.all, b.json, JSON_INDENT(8)) != 0)
		fail("the results cannot be written");
	json_decref(b.all);
	spd_free(b.spd);
	sad_free(b.sad);
	reclaim_free(b.reclaim);
	crypto_ctx_free(b.crypto);
	return 0;
}
