/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ten thousand SAs and two workers that look up, reserve and claim, while the control thread adds,
 * deletes and adds again. What a worker holds is always whole; no IV and no packet occurs twice.
 * Built with -Db_sanitize=thread and -DRTE_USE_C11_MEM_MODEL=1 it is also a search for races.
 */
#include <pthread.h>
#include <unistd.h>

#include "sad_env.h"

#define SAS      10000
#define CHANGES  40000
#define FEW      8      /* SAs that everybody fights for */
#define CLAIMS   200000 /* numbers watched, of each of these */
#define RUNS_MAX 4000000

struct run { /* of IVs under one key */
	uint64_t first;
	uint32_t n, key;
};

struct reader {
	pthread_t thread;
	struct env *env;
	const _Atomic rte_be32_t *spi; /* relaxed, so that it orders nothing */
	_Atomic uint8_t (*accepted)[CLAIMS];
	_Atomic bool *stop;
	unsigned int id;
	uint64_t hits, torn, twice;
	struct run *runs;
	uint32_t runs_count;
};

static uint32_t
dst_of(uint32_t i)
{
	return HERE + 0x10000 + i;
}

/* Every field says which SA it is. */
static bool
whole(const struct sa *sa, uint32_t i, rte_be32_t spi)
{
	const uint8_t *last = sa->outer + sa->outer_len - 8;
	union ip_addr dst = addr4(dst_of(i));

	return sa->spi == spi && sa->reqid == i + 1 && sa->if_id == ~i && sa->icv_len == 16 &&
	       ip_addr_equal(&sa->dst, &dst) && memcmp(last, &spi, sizeof(spi)) == 0 &&
	       sa->replay->window == REPLAY_WINDOW_DEFAULT && memcmp(sa->key, &i, sizeof(i)) == 0;
}

/* As a worker would: numbers for packets out, and a claim for one in. */
static void
use(struct reader *r, struct sa *sa, uint32_t i, uint64_t random)
{
	uint64_t first, seq;
	uint32_t n = sa_seq_reserve(sa, random % 32 + 1, &first);

	if (n > 0 && r->runs_count < RUNS_MAX)
		r->runs[r->runs_count++] = (struct run){sa->iv_base + first, n, i};
	seq = atomic_load_explicit(&sa->replay->top, memory_order_relaxed) + random % 3;
	/* Even ones come back with another SPI, and so with another window. */
	if (i % 2 == 1 && seq < CLAIMS && replay_check(sa->replay, seq) &&
	    replay_claim(sa->replay, seq) &&
	    atomic_fetch_add_explicit(&r->accepted[i][seq], 1, memory_order_relaxed) != 0)
		r->twice++;
	sad_charge(r->env->sad, r->id, sa, 1, 100, 1);
}

static void *
read_on(void *arg)
{
	struct reader *r = arg;
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(r->env->reclaim);
	uint64_t x = 88172645463325252 + r->id;

	rte_rcu_qsbr_thread_register(qsbr, r->id);
	rte_rcu_qsbr_thread_online(qsbr, r->id);
	while (!atomic_load_explicit(r->stop, memory_order_relaxed)) {
		for (int k = 0; k < 32; k++) {
			rte_be32_t spi;
			struct sa *sa;
			uint32_t i;

			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			i = x & 1 ? (x >> 8) % FEW : (x >> 8) % SAS;
			spi = atomic_load_explicit(&r->spi[i], memory_order_relaxed);
			sad_prefetch_inbound(r->env->sad, spi, 1);
			sa = env_lookup(r->env, rte_be_to_cpu_32(spi), dst_of(i), NULL);
			if (!sa)
				continue;
			r->hits++;
			r->torn += !whole(sa, i, spi);
			if (i < FEW)
				use(r, sa, i, x >> 32);
		}
		rte_rcu_qsbr_quiescent(qsbr, r->id);
	}
	rte_rcu_qsbr_thread_offline(qsbr, r->id);
	rte_rcu_qsbr_thread_unregister(qsbr, r->id);
	return NULL;
}

static struct sa_params
params_of(uint32_t i, rte_be32_t spi)
{
	struct sa_params p = sa_params(HERE, dst_of(i), rte_be_to_cpu_32(spi), i);

	p.reqid = i + 1;
	p.if_id = ~i;
	return p;
}

/* One in two SPIs is the engine's choice, the others are chosen by hand, in pairs of equal ones. */
static int
add(struct env *e, _Atomic rte_be32_t *spi, uint32_t i)
{
	struct sa_params p = params_of(i, rte_cpu_to_be_32(0x10000 + i / 4));
	int err = 0;

	if (i % 2 == 0)
		err = sad_alloc_spi(e->sad, &p, 0xc0000000, 0xcfffffff, 30, &p.id.spi, &e->why);
	if (err == 0)
		err = sad_add(e->sad, &p, &e->why);
	if (err == 0)
		atomic_store_explicit(&spi[i], p.id.spi, memory_order_relaxed);
	return err;
}

static void
churn(struct env *e, _Atomic rte_be32_t *spi)
{
	uint64_t x = 1234567;

	for (int n = 0; n < CHANGES; n++) {
		struct sa_params p;
		uint32_t i;

		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		i = x & 1 ? (x >> 8) % FEW : (x >> 8) % SAS;
		p = params_of(i, spi[i]);
		if (sad_find(e->sad, &p.id))
			assert_int_equal(sad_delete(e->sad, &p.id, &e->why), 0);
		else if (add(e, spi, i) == -ENOSPC)
			usleep(0); /* deleted SAs wait for the workers */
		reclaim_poll(e->reclaim);
		if (n % 1000 == 0)
			sad_tick(e->sad, 2);
	}
}

static int
compare_runs(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static void
assert_disjoint(struct reader *r)
{
	uint32_t n = r[0].runs_count + r[1].runs_count;
	struct run *all = calloc(n + 1, sizeof(*all));

	memcpy(all, r[0].runs, r[0].runs_count * sizeof(*all));
	memcpy(all + r[0].runs_count, r[1].runs, r[1].runs_count * sizeof(*all));
	qsort(all, n, sizeof(*all), compare_runs);
	for (uint32_t i = 1; i < n; i++)
		if (all[i].key == all[i - 1].key && all[i].first - all[i - 1].first < all[i - 1].n)
			fail_msg("IV 0x%lx twice under key %u", all[i].first, all[i].key);
	free(all);
}

static void
workers_see_whole_sas_while_others_come_and_go(void **state)
{
	struct env e = env_new(SAS + 16);
	_Atomic rte_be32_t *spi = calloc(SAS, sizeof(*spi));
	_Atomic uint8_t(*accepted)[CLAIMS] = calloc(FEW, sizeof(*accepted));
	struct reader readers[ENV_WORKERS];
	_Atomic bool stop = false;

	for (uint32_t i = 0; i < SAS; i++)
		assert_int_equal(add(&e, spi, i), 0);
	for (unsigned int i = 0; i < ENV_WORKERS; i++) {
		readers[i] = (struct reader){
			.env = &e, .spi = spi, .accepted = accepted, .stop = &stop, .id = i};
		readers[i].runs = calloc(RUNS_MAX, sizeof(struct run));
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
	}
	churn(&e, spi);
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < ENV_WORKERS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].torn, 0);
		assert_int_equal(readers[i].twice, 0);
	}
	assert_true(readers[0].hits + readers[1].hits > 0);
	assert_disjoint(readers);
	assert_int_equal(reclaim_poll(e.reclaim), 0);
	sad_flush(e.sad, 0);
	assert_int_equal(reclaim_poll(e.reclaim), 0);
	assert_int_equal(sad_count(e.sad), 0);
	for (unsigned int i = 0; i < ENV_WORKERS; i++)
		free(readers[i].runs);
	free(accepted);
	free((void *)spi);
	env_free(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_see_whole_sas_while_others_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
