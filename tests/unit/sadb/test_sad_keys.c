/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A key that goes and comes back: no number, no IV and no packet twice, in whatever order SAs are
 * added and deleted and wherever the clock stands. The clock is the test's.
 */
#include <time.h>

#include "sad_env.h"

static uint64_t clock_ns = UINT64_C(1800000000000000000);

int __wrap_clock_gettime(clockid_t id, struct timespec *now);

int
__wrap_clock_gettime(clockid_t id, struct timespec *now)
{
	now->tv_sec = (time_t)(clock_ns / 1000000000);
	now->tv_nsec = (long)(clock_ns % 1000000000);
	return 0;
}

static uint64_t
random_next(void)
{
	static uint64_t x = 0x2545f4914f6cdd1d;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* ---- one event after the other ---- */

static void
C71_C76_S10_a_re_added_key_goes_on_above_its_last_number(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 1);
	uint64_t first;

	sa_seq_reserve(env_add(&e, &p), 1000, &first);
	assert_int_equal(first, 1);
	env_delete(&e, &p);
	sa_seq_reserve(env_add(&e, &p), 1, &first);
	assert_int_equal(first, 1001);
	env_delete(&e, &p);

	p.out_seq = 5000; /* what the IKE daemon copied is larger */
	sa_seq_reserve(env_add(&e, &p), 1, &first);
	assert_int_equal(first, 5001);
	env_delete(&e, &p);

	p.id.dst = addr4(THERE + 7); /* MOBIKE */
	p.out_seq = 12;
	sa_seq_reserve(env_add(&e, &p), 1, &first);
	assert_int_equal(first, 5002);
	env_free(&e);
}

static void
C6_a_new_key_starts_at_one(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 1);
	struct sa_params q = sa_params(HERE, THERE, 0x1000, 2), salt = p;
	uint64_t first;

	sa_seq_reserve(env_add(&e, &p), 1000, &first);
	env_delete(&e, &p);
	sa_seq_reserve(env_add(&e, &q), 1, &first);
	assert_int_equal(first, 1);
	env_delete(&e, &q);
	salt.salt[2] = 1;
	sa_seq_reserve(env_add(&e, &salt), 1, &first);
	assert_int_equal(first, 1);
	env_free(&e);
}

static void
C17_a_re_added_key_accepts_no_replay(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	struct sa *sa = env_add(&e, &p);

	for (uint64_t n = 1; n <= 2000; n++)
		if (n != 1990)
			replay_claim(sa->replay, n);
	env_delete(&e, &p);
	p.replay_window = 4096;
	p.src = addr4(THERE + 9);
	sa = env_add(&e, &p);
	for (uint64_t n = 1; n <= 2000; n++)
		assert_int_equal(replay_claim(sa->replay, n), n == 1990);
	assert_true(replay_claim(sa->replay, 2001));
	env_free(&e);
}

static void
another_spi_has_a_window_of_its_own(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	struct sa *sa = env_add(&e, &p);

	replay_claim(sa->replay, 100);
	env_delete(&e, &p);
	p.id.spi = RTE_BE32(0x1001);
	sa = env_add(&e, &p);
	assert_true(replay_claim(sa->replay, 100));
	env_free(&e);
}

static void
C70_a_second_live_sa_with_a_counter_mode_key_is_refused(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 1);
	struct sa_params q = sa_params(HERE, THERE + 1, 0x1001, 1);

	env_add(&e, &p);
	assert_int_equal(sad_add(e.sad, &q, &e.why), -EINVAL);
	assert_non_null(strstr(e.why.text, "key in use by the SA with SPI 0x00001000"));
	assert_int_equal(sad_count(e.sad), 1);

	q.flags = SA_IN_ONLY; /* makes no IVs */
	env_add(&e, &q);
	env_delete(&e, &p);
	env_delete(&e, &q);
	q.flags = 0;
	env_add(&e, &q);
	env_free(&e);
}

/* Its key stream is the same, under one integrity and another, and as AES-GCM's. */
static void
C70_a_counter_mode_key_counts_without_its_integrity(void **state)
{
	static const char *const suites[] = {"aes128ctr-sha256", "aes128ctr-aesxcbc", "aes128gcm8"};
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 1);

	p.suite = (uint8_t)crypto_suite_by_name("aes128ctr-sha256");
	env_add(&e, &p);
	for (unsigned int i = 0; i < 3; i++) {
		struct sa_params q = sa_params(HERE, THERE + 1, 0x1001, 1);

		q.suite = (uint8_t)crypto_suite_by_name(suites[i]);
		q.auth_key[0] = 7;
		assert_int_equal(sad_add(e.sad, &q, &e.why), -EINVAL);
		assert_non_null(strstr(e.why.text, "must not serve two SAs"));
		q.salt[0] ^= 1;
		env_add(&e, &q);
		env_delete(&e, &q);
	}
	env_free(&e);
}

static void
a_larval_sa_stays_when_its_key_is_refused(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 1),
			 q = sa_params(HERE, THERE + 1, 0, 1);

	env_add(&e, &p);
	assert_int_equal(sad_alloc_spi(e.sad, &q, 0x1000, 0xffff, 30, &q.id.spi, &e.why), 0);
	assert_int_equal(sad_update(e.sad, &q, &e.why), -EINVAL);
	assert_int_equal(sad_find(e.sad, &q.id)->state, SA_LARVAL);
	q.key[1] ^= 1;
	assert_int_equal(sad_update(e.sad, &q, &e.why), 0);
	env_free(&e);
}

/* All IVs that the SA can ever make lie in one half of their space. */
static void
assert_one_half(const struct sa *sa)
{
	uint64_t used = (sa->iv_base + sa->seq) & INT64_MAX;

	assert_true(sa->seq_limit - sa->seq <= INT64_MAX - used);
}

static void
C70_one_key_for_both_directions_never_meets_in_its_ivs(void **state)
{
	const uint16_t flags[] = {0, SA_ESN};

	for (int i = 0; i < 2; i++) {
		struct env e = env_new(16);
		struct sa_params p = sa_params(HERE, THERE, 0x1000, 1);
		struct sa_params q = sa_params(THERE, HERE, 0x1001, 1);
		struct sa *a, *b;

		p.flags = q.flags = flags[i];
		p.out_seq = 77777;
		a = env_add(&e, &p);
		b = env_add(&e, &q);
		assert_int_not_equal((a->iv_base + a->seq) >> 63, (b->iv_base + b->seq) >> 63);
		assert_one_half(a);
		assert_one_half(b);
		env_free(&e);
	}
}

/* Outer addresses are not authenticated: a twin would take the other's packets once more. */
static void
a_key_and_an_spi_serve_one_sa_whatever_the_suite(void **state)
{
	const uint16_t flags[] = {0, SA_IN_ONLY, SA_OUT_ONLY};
	const char *const suites[] = {"aes128gcm16", "aes128-sha256"};

	for (int i = 0; i < 2 * 3; i++) {
		struct env e = env_new(16);
		struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
		struct sa_params back = sa_params(HERE, THERE, 0x1000, 1), beside;

		p.suite = back.suite = (uint8_t)crypto_suite_by_name(suites[i / 3]);
		p.flags = flags[i % 3];
		beside = p;
		beside.id.dst = addr4(HERE + 1);
		env_add(&e, &p);
		assert_int_equal(sad_add(e.sad, &back, &e.why), -EINVAL);
		assert_non_null(strstr(e.why.text, "SPI 0x00001000: a key and an SPI must not"));
		assert_int_equal(sad_add(e.sad, &beside, &e.why), -EINVAL);
		assert_int_equal(sad_count(e.sad), 1);
		env_delete(&e, &p);
		env_add(&e, &beside);
		env_free(&e);
	}
}

static void
udp_encapsulation_keeps_a_key_to_one_direction(void **state)
{
	const uint16_t flags[] = {0, SA_IN_ONLY};

	for (int i = 0; i < 2 * 3; i++) {
		struct env e = env_new(16);
		struct sa_params p = sa_params(HERE, THERE, 0x1000, 1);
		struct sa_params q = sa_params(THERE, HERE, 0x1001, 1);

		p.flags = i % 3 != 0 ? SA_ENCAP_UDP : 0;
		q.flags = flags[i / 3] | (i % 3 != 1 ? SA_ENCAP_UDP : 0);
		env_add(&e, &p);
		assert_int_equal(sad_add(e.sad, &q, &e.why), -EINVAL);
		assert_non_null(strstr(e.why.text, "UDP encapsulation"));
		/* Without counters there is no nonce to meet. */
		env_delete(&e, &p);
		p.suite = q.suite = (uint8_t)crypto_suite_by_name("aes128-sha256");
		env_add(&e, &p);
		env_add(&e, &q);
		env_free(&e);
	}
}

static void
an_sa_that_received_nothing_takes_no_window_away(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 1), q = p;

	q.id.dst = addr4(THERE + 1);
	replay_claim(env_add(&e, &p)->replay, 100);
	env_delete(&e, &p);
	env_add(&e, &q);
	env_delete(&e, &q);
	assert_false(replay_claim(env_add(&e, &p)->replay, 100));
	env_free(&e);
}

static void
C71_a_tombstone_lost_to_its_number_still_leaves_the_clock(void **state)
{
	struct env e = env_new(4);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 0), q;
	struct sa *sa = env_add(&e, &p);
	uint64_t first = 0, last;

	sa_seq_reserve(sa, 1000, &first);
	last = sa->iv_base + 1000;
	env_delete(&e, &p);
	for (uint32_t i = 1; i <= 2 * 4; i++) {
		q = sa_params(HERE, THERE, 0x1000 + i, i);
		env_add(&e, &q);
		env_delete(&e, &q);
	}
	clock_ns += 1000000;
	sa = env_add(&e, &p);
	sa_seq_reserve(sa, 1, &first);
	assert_int_equal(first, 1);
	assert_true(sa->iv_base + first > last);
	env_free(&e);
}

/* ---- any order of events ---- */

#define KEYS        3
#define SPIS        2
#define IVS_MAX     400000
#define STEPS       120000
#define NUMBERS_MAX (1 << 20)

struct run { /* of IVs under one key */
	uint64_t first, n;
	uint32_t key;
};

struct history {
	struct run *runs;
	uint32_t runs_count;
	uint64_t last_seq[KEYS][SPIS][2]; /* by key, SPI and direction */
	uint8_t *accepted[KEYS][SPIS][2];
};

static int
compare_runs(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static void
use(struct history *h, struct sa *sa, uint32_t key, uint32_t spi, uint32_t dir)
{
	uint64_t r = random_next(), first = 0, seq;
	uint32_t n = sa_seq_reserve(sa, r % 64 + 1, &first);

	if (n > 0) {
		assert_true(first > h->last_seq[key][spi][dir]);
		h->last_seq[key][spi][dir] = first + n - 1;
		assert_in_range(h->runs_count, 0, IVS_MAX - 1);
		h->runs[h->runs_count++] = (struct run){sa->iv_base + first, n, key};
	}
	seq = atomic_load(&sa->replay->top) + (r >> 8) % 40;
	seq -= (r >> 16) % 60 < seq ? (r >> 16) % 60 : 0;
	if (seq < NUMBERS_MAX && replay_claim(sa->replay, seq))
		assert_int_equal(h->accepted[key][spi][dir][seq]++, 0);
}

static struct sa_params
draw_params(uint32_t key, uint32_t spi, uint32_t dir)
{
	uint64_t r = random_next();
	uint32_t src = dir ? THERE : HERE, dst = dir ? HERE : THERE;
	struct sa_params p = sa_params(src, dst, 0x1000 + 2 * (SPIS * key + spi) + dir, key);

	p.flags = r & 1 ? SA_ESN : 0;
	p.replay_window = 32 + (r >> 8) % 2000;
	p.out_seq = (r >> 20) % 16 == 0 ? (r >> 24) % 1000 : 0;
	return p;
}

static void
move_clock(void)
{
	uint64_t r = random_next();

	if (r % 3 == 0)
		clock_ns += r >> 40;
	else if (r % 11 == 0)
		clock_ns -= r >> 44;
}

static void
C70_C71_C76_in_any_order_no_iv_no_number_and_no_packet_twice(void **state)
{
	struct env e = env_new(64);
	struct history h = {.runs = calloc(IVS_MAX, sizeof(struct run))};

	for (int i = 0; i < KEYS * SPIS * 2; i++)
		h.accepted[i / 4][i / 2 % 2][i % 2] = calloc(NUMBERS_MAX, 1);
	for (int i = 0; i < STEPS; i++) {
		uint64_t r = random_next();
		uint32_t key = r % KEYS, spi = (r >> 8) % SPIS, dir = (r >> 16) % 2;
		struct sa_params p = draw_params(key, spi, dir);
		struct sa_control *c = sad_find(e.sad, &p.id);

		move_clock();
		if (!c)
			sad_add(e.sad, &p, &e.why);
		else if ((r >> 24) % 8 == 0)
			env_delete(&e, &p);
		else
			use(&h, c->sa, key, spi, dir);
		reclaim_poll(e.reclaim);
	}
	qsort(h.runs, h.runs_count, sizeof(h.runs[0]), compare_runs);
	assert_true(h.runs_count > STEPS / 8);
	for (uint32_t i = 1; i < h.runs_count; i++)
		if (h.runs[i].key == h.runs[i - 1].key &&
		    h.runs[i].first - h.runs[i - 1].first < h.runs[i - 1].n)
			fail_msg("IV 0x%lx twice under key %u", h.runs[i].first, h.runs[i].key);
	for (int i = 0; i < KEYS * SPIS * 2; i++)
		free(h.accepted[i / 4][i / 2 % 2][i % 2]);
	free(h.runs);
	env_free(&e);
}

/* RFC 4303 section 3.3.3. */
static void
C9_numbers_go_round_only_where_no_iv_depends_on_them(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 1);
	uint64_t first = 1;
	struct sa *sa;

	p.flags = SA_MAY_WRAP;
	p.out_seq = UINT32_MAX;
	assert_int_equal(sa_seq_reserve(env_add(&e, &p), 4, &first), 0);
	p = sa_params(HERE, THERE, 0x1001, 2);
	p.suite = (uint8_t)crypto_suite_by_name("aes128-sha256");
	p.out_seq = UINT32_MAX;
	assert_int_equal(sa_seq_reserve(env_add(&e, &p), 4, &first), 0);
	p = sa_params(HERE, THERE, 0x1002, 3);
	p.suite = (uint8_t)crypto_suite_by_name("aes128-sha256");
	p.flags = SA_MAY_WRAP;
	p.out_seq = UINT32_MAX;
	sa = env_add(&e, &p);
	assert_int_equal(sa_seq_reserve(sa, 4, &first), 4);
	assert_int_equal((uint32_t)first, 0);
	env_free(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(C71_C76_S10_a_re_added_key_goes_on_above_its_last_number),
		cmocka_unit_test(C6_a_new_key_starts_at_one),
		cmocka_unit_test(C17_a_re_added_key_accepts_no_replay),
		cmocka_unit_test(another_spi_has_a_window_of_its_own),
		cmocka_unit_test(C70_a_second_live_sa_with_a_counter_mode_key_is_refused),
		cmocka_unit_test(C70_a_counter_mode_key_counts_without_its_integrity),
		cmocka_unit_test(a_larval_sa_stays_when_its_key_is_refused),
		cmocka_unit_test(C70_one_key_for_both_directions_never_meets_in_its_ivs),
		cmocka_unit_test(a_key_and_an_spi_serve_one_sa_whatever_the_suite),
		cmocka_unit_test(udp_encapsulation_keeps_a_key_to_one_direction),
		cmocka_unit_test(an_sa_that_received_nothing_takes_no_window_away),
		cmocka_unit_test(C71_a_tombstone_lost_to_its_number_still_leaves_the_clock),
		cmocka_unit_test(C70_C71_C76_in_any_order_no_iv_no_number_and_no_packet_twice),
		cmocka_unit_test(C9_numbers_go_round_only_where_no_iv_depends_on_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
