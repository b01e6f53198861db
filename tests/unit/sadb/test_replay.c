/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The anti-replay window against a naive model: exhaustively for small windows, at random for large
 * ones, and from several threads at once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sadb/replay.h"

/* ---- the model: RFC 4303 section 3.4.3 in the plainest way ---- */

#define MODEL_SIZE (UINT32_C(1) << 17) /* more than any window, so that numbers do not collide */

struct model {
	uint64_t top;
	uint32_t window;
	uint64_t *accepted; /* at number % MODEL_SIZE: the last number accepted there */
};

static bool
model_admits(const struct model *m, uint64_t seq)
{
	if (seq == 0)
		return false;
	if (seq > m->top)
		return true;
	return m->top - seq < m->window && m->accepted[seq % MODEL_SIZE] != seq;
}

static bool
model_claim(struct model *m, uint64_t seq)
{
	if (!model_admits(m, seq))
		return false;
	m->accepted[seq % MODEL_SIZE] = seq;
	if (seq > m->top)
		m->top = seq;
	return true;
}

static struct model
model_new(uint32_t window)
{
	struct model m = {.window = window, .accepted = calloc(MODEL_SIZE, sizeof(uint64_t))};

	assert_non_null(m.accepted);
	return m;
}

static struct replay *
window_new(uint32_t window)
{
	struct replay *r = malloc(replay_size(window));

	assert_non_null(r);
	replay_init(r, window);
	return r;
}

static uint64_t
random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One number to both. Cheap assertion: cmocka's macros cost more than the claim. */
static void
step(struct replay *r, struct model *m, uint64_t seq)
{
	bool admits = model_admits(m, seq);

	if (replay_check(r, seq) != admits || replay_claim(r, seq) != admits)
		fail_msg("window %u, top %lu: number %lu should%s be accepted", m->window, m->top,
			 seq, admits ? "" : " not");
	model_claim(m, seq);
	if (atomic_load(&r->top) != m->top)
		fail_msg("top is %lu, expected %lu", atomic_load(&r->top), m->top);
}

/* ---- exhaustive ---- */

#define DEPTH    6
#define ALPHABET 9

/* Every sequence of DEPTH numbers out of the alphabet, each followed from the same state. */
static void
all_sequences(uint32_t window, uint64_t base, const uint64_t *alphabet)
{
	size_t size = replay_size(window);
	struct replay *start = window_new(window), *r = malloc(size);
	struct model m = model_new(window);
	uint64_t sequences = 1, top;

	for (int i = 0; i < DEPTH; i++)
		sequences *= ALPHABET;
	if (base != 0)
		step(start, &m, base);
	top = m.top;
	for (uint64_t s = 0; s < sequences; s++) {
		uint64_t rest = s;

		memcpy((void *)r, (void *)start, size);
		m.top = top;
		for (int i = 0; i < ALPHABET; i++)
			if (base + alphabet[i] != base)
				m.accepted[(base + alphabet[i]) % MODEL_SIZE] = 0;
		for (int i = 0; i < DEPTH; i++, rest /= ALPHABET)
			step(r, &m, base + alphabet[rest % ALPHABET]);
	}
	free(start);
	free(r);
	free(m.accepted);
}

static const uint64_t around_an_edge[ALPHABET] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
static const uint64_t around_blocks[ALPHABET] = {1, 31, 32, 33, 63, 64, 65, 97, 129};

static void
C17_C18_C20_small_windows_agree_with_the_model_on_every_sequence(void **state)
{
	const uint64_t bases[] = {0, 28, 60, UINT32_MAX - 4, UINT64_MAX - 130};

	for (unsigned int b = 0; b < sizeof(bases) / sizeof(bases[0]); b++) {
		all_sequences(1, bases[b], around_an_edge);
		all_sequences(3, bases[b], around_an_edge);
		all_sequences(32, bases[b], around_blocks);
		all_sequences(34, bases[b], around_blocks);
	}
}

/* ---- random ---- */

/* Mostly near the top, on either side; now and then far to the left or the right. */
static uint64_t
random_number(uint64_t *seed, const struct model *m)
{
	uint64_t r = random_next(seed), offset = r >> 8;

	switch (r & 15) {
	case 0:
		return m->top - offset % (m->window * UINT64_C(4));
	case 1:
		return m->top - m->window + 2 - offset % 4;
	case 2:
		return offset % 64 == 0 ? m->top + offset % (m->window * UINT64_C(4)) : m->top + 1;
	case 3:
	case 4:
	case 5:
		return m->top + offset % 4;
	default:
		return m->top - offset % m->window;
	}
}

static void
random_steps(uint32_t window, uint64_t base, uint64_t steps)
{
	struct replay *r = window_new(window);
	struct model m = model_new(window);
	uint64_t seed = 0x9e3779b97f4a7c15 ^ window ^ base;

	if (base != 0)
		step(r, &m, base);
	for (uint64_t i = 0; i < steps; i++) {
		uint64_t seq = random_number(&seed, &m);

		if (seq > m.top && seq - m.top > UINT32_MAX)
			continue; /* below 0 or above 2^64 */
		step(r, &m, seq);
	}
	free(r);
	free(m.accepted);
}

static void
C16_C17_C18_C20_ten_million_random_steps_agree_with_the_model(void **state)
{
	const uint32_t windows[] = {32, 33, 64, 992, 1000, 4096, 65536};
	const uint64_t bases[] = {0, UINT32_MAX - UINT64_C(100000), UINT64_MAX - 400000};

	for (unsigned int w = 0; w < sizeof(windows) / sizeof(windows[0]); w++)
		for (unsigned int b = 0; b < sizeof(bases) / sizeof(bases[0]); b++)
			random_steps(windows[w], bases[b], 500000);
}

/* ---- edges, by name ---- */

static void
B15_number_zero_is_never_accepted(void **state)
{
	struct replay *r = window_new(64);

	assert_false(replay_check(r, 0));
	assert_false(replay_claim(r, 0));
	assert_true(replay_claim(r, 1));
	free(r);
}

static void
C16_C18_B15_the_left_edge_is_accepted_and_its_neighbour_is_not(void **state)
{
	for (uint32_t window = 32; window < 300; window++) {
		struct replay *r = window_new(window);

		assert_true(replay_claim(r, 100000));
		assert_false(replay_claim(r, 100000 - window));
		assert_true(replay_claim(r, 100000 - window + 1));
		assert_false(replay_claim(r, 100000 - window + 1));
		free(r);
	}
}

/* Mostly ascending, with repetitions, numbers out of order, and some from far away. */
static void
a_run_is_claimed_like_its_numbers_in_turn(void **state)
{
	static const uint32_t windows[] = {32, 33, 64, 992};
	uint64_t seed = 88172645463325252;

	for (unsigned int i = 0; i < 4; i++) {
		struct replay *r = window_new(windows[i]);
		struct model m = model_new(windows[i]);

		for (int turn = 0; turn < 100000; turn++) {
			uint64_t seq[64];
			bool claimed[64];
			unsigned int n = (unsigned int)(random_next(&seed) % 64) + 1;

			for (unsigned int k = 0; k < n; k++) {
				uint64_t dice = random_next(&seed) >> 16;

				seq[k] = m.top + k + 1;
				if (dice % 8 == 0)
					seq[k] = m.top + dice / 8 % 40;
				else if (dice % 64 == 1)
					seq[k] -= dice / 64 % ((seq[k] < 99 ? seq[k] : 99) + 1);
			}
			replay_claim_run(r, seq, claimed, n);
			for (unsigned int k = 0; k < n; k++)
				if (claimed[k] != model_claim(&m, seq[k]))
					fail_msg("window %u: number %lu of a run", windows[i],
						 seq[k]);
			assert_int_equal(atomic_load(&r->top), m.top);
		}
		free(r);
		free(m.accepted);
	}
}

static void
B17_a_huge_jump_is_accepted_and_leaves_the_past_behind(void **state)
{
	struct replay *r = window_new(992);

	assert_true(replay_claim(r, 1));
	assert_true(replay_claim(r, UINT64_C(1) << 40));
	assert_false(replay_claim(r, 2));
	assert_true(replay_claim(r, (UINT64_C(1) << 40) - 991));
	assert_false(replay_claim(r, (UINT64_C(1) << 40) - 992));
	free(r);
}

static void
a_restored_window_refuses_what_the_old_one_had(void **state)
{
	const uint32_t bitmap[2] = {0x5, 0x80000000}; /* top, top - 2, top - 63 */
	struct replay *r = window_new(992);
	uint32_t given_back[2];
	uint64_t top;

	replay_restore(r, 5000, bitmap, 2);
	assert_false(replay_claim(r, 5000));
	assert_false(replay_claim(r, 4998));
	assert_false(replay_claim(r, 4937));
	assert_false(replay_claim(r, 4936)); /* beyond the bitmap */
	replay_export(r, &top, given_back, 2);
	assert_int_equal(top, 5000);
	assert_memory_equal(given_back, bitmap, sizeof(bitmap));
	assert_true(replay_claim(r, 4999));
	assert_true(replay_claim(r, 4938));
	free(r);
}

/* What `to` accepts must be what neither the old window nor itself had seen. */
static void
inherit_into(uint32_t from_window, uint32_t to_window)
{
	struct replay *from = window_new(from_window), *copy = malloc(replay_size(from_window));
	struct replay *to = window_new(to_window);
	struct model m = model_new(from_window);
	uint64_t seed = from_window + to_window;

	for (int i = 0; i < 3000; i++) {
		uint64_t seq = random_number(&seed, &m);

		if (seq <= m.top || seq - m.top < UINT32_MAX)
			step(from, &m, seq);
	}
	assert_int_equal(replay_close(from, copy), m.top);
	assert_false(replay_check(from, m.top + 1));
	assert_false(replay_claim(from, m.top + 1));
	replay_inherit(to, copy);
	assert_int_equal(atomic_load(&to->top), m.top);
	for (uint64_t seq = m.top + 5; seq > 0 && m.top + 5 - seq < 3 * to_window; seq--) {
		bool left = seq <= m.top && m.top - seq >= to_window;

		if (replay_check(to, seq) != (model_admits(&m, seq) && !left))
			fail_msg("%u to %u: top %lu, number %lu", from_window, to_window, m.top,
				 seq);
	}
	free(from);
	free(copy);
	free(to);
	free(m.accepted);
}

static void
an_inherited_window_is_exact_in_the_reach_of_both(void **state)
{
	const uint32_t windows[] = {32, 33, 64, 992, 4096};

	for (int i = 0; i < 5; i++)
		for (int k = 0; k < 5; k++)
			inherit_into(windows[i], windows[k]);
}

/* ---- inference of the high half ---- */

/* RFC 4303 appendix A2.2, as it is printed there, but for its corner. */
static uint64_t
infer_as_printed(uint64_t top, uint32_t window, uint32_t lo)
{
	uint32_t tl = (uint32_t)top, th = (uint32_t)(top >> 32), bl = tl - window + 1;

	if (tl >= window - 1) {
		if (lo < bl)
			th++;
	} else if (lo >= bl && th != 0) {
		th--;
	}
	return (uint64_t)th << 32 | lo;
}

static void
C12_C13_inference_is_the_one_of_rfc_4303_appendix_a2(void **state)
{
	const uint64_t near[] = {0, UINT64_C(1) << 32, UINT64_C(7) << 32, UINT64_C(1) << 63};
	const uint32_t windows[] = {32, 64, 992, 65536};
	uint64_t seed = 1;

	for (int i = 0; i < 4000000; i++) {
		uint64_t r = random_next(&seed);
		uint32_t window = windows[r & 3];
		uint64_t top =
			near[r >> 2 & 3] + (r >> 8) % (4 * window) - (r & 16 ? 2 * window : 0);
		uint32_t lo =
			(uint32_t)top + (uint32_t)(random_next(&seed) % (6 * window)) - 3 * window;

		if (top > UINT64_MAX - 4 * window)
			continue;
		if (r & 32)
			lo = (uint32_t)random_next(&seed);
		if (replay_infer(top, window, lo) != infer_as_printed(top, window, lo))
			fail_msg("top %lx window %u low %x", top, window, lo);
	}
}

static void
C13_the_high_half_is_never_inferred_as_minus_one(void **state)
{
	assert_int_equal(replay_infer(0, 64, UINT32_MAX), UINT32_MAX);
	assert_int_equal(replay_infer(10, 64, UINT32_MAX - 5), UINT32_MAX - 5);
	assert_int_equal(replay_infer((UINT64_C(1) << 32) + 10, 64, UINT32_MAX), UINT32_MAX);
}

static void
B17_behind_the_last_number_nothing_is_accepted(void **state)
{
	struct replay *r = window_new(64);

	assert_true(replay_claim(r, UINT64_MAX));
	for (uint32_t lo = 0; lo < 1000; lo++)
		assert_false(replay_check(r, replay_infer(UINT64_MAX, 64, lo)));
	free(r);
}

/* ---- several threads on one window ---- */

#define NUMBERS 300000
#define WINDOW  992

struct shared {
	struct replay *window;
	_Atomic uint8_t *accepted; /* how often, by number */
	pthread_barrier_t meet;
	uint64_t base;
	_Atomic bool go;
};

struct racer {
	struct shared *shared;
	unsigned int id, of;
	bool every; /* each thread tries every number, else its share */
};

/* In order, and never further apart than half a window. */
static void *
race(void *arg)
{
	struct racer *t = arg;
	struct shared *s = t->shared;

	for (uint32_t n = 1; n <= NUMBERS; n++) {
		if (n % (WINDOW / 2) == 1)
			pthread_barrier_wait(&s->meet);
		if (!t->every && n % t->of != t->id)
			continue;
		replay_check(s->window, s->base + n);
		if (replay_claim(s->window, s->base + n))
			atomic_fetch_add(&s->accepted[n], 1);
	}
	return NULL;
}

static void
run_race(unsigned int threads, bool every, uint64_t base)
{
	struct shared s = {.window = window_new(WINDOW), .base = base};
	struct racer t[3];
	pthread_t id[3];

	s.accepted = calloc(NUMBERS + 1, 1);
	if (base != 0)
		assert_true(replay_claim(s.window, base));
	pthread_barrier_init(&s.meet, NULL, threads);
	for (unsigned int i = 0; i < threads; i++) {
		t[i] = (struct racer){&s, i, threads, every};
		assert_int_equal(pthread_create(&id[i], NULL, race, &t[i]), 0);
	}
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
	for (uint32_t n = 1; n <= NUMBERS; n++)
		if (s.accepted[n] != 1)
			fail_msg("number %u accepted %u times", n, s.accepted[n]);
	assert_int_equal(atomic_load(&s.window->top), base + NUMBERS);
	pthread_barrier_destroy(&s.meet);
	free((void *)s.accepted);
	free(s.window);
}

static void
C21_threads_that_share_a_window_accept_each_number_once(void **state)
{
	for (unsigned int threads = 2; threads <= 3; threads++) {
		run_race(threads, true, 0);
		run_race(threads, false, 0);
		run_race(threads, true, UINT32_MAX - NUMBERS / 2);
		run_race(threads, false, UINT64_MAX - NUMBERS - 10);
	}
}

/* Without order or distance: still nothing twice. */
static void *
scramble(void *arg)
{
	struct racer *t = arg;
	struct shared *s = t->shared;
	uint64_t seed = 77 + t->id, n = 1;

	for (uint32_t i = 0; i < 2 * NUMBERS && n < NUMBERS - WINDOW; i++) {
		uint64_t seq = n + random_next(&seed) % (2 * WINDOW);

		if (i % 3 == 0)
			n++;
		if (seq <= NUMBERS && replay_claim(s->window, seq))
			atomic_fetch_add(&s->accepted[seq], 1);
	}
	return NULL;
}

static void
C21_no_number_is_accepted_twice_however_threads_interleave(void **state)
{
	struct shared s = {.window = window_new(WINDOW)};
	struct racer t[3];
	pthread_t id[3];

	s.accepted = calloc(NUMBERS + 1, 1);
	for (unsigned int i = 0; i < 3; i++) {
		t[i] = (struct racer){&s, i, 3, true};
		assert_int_equal(pthread_create(&id[i], NULL, scramble, &t[i]), 0);
	}
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(id[i], NULL);
	for (uint32_t n = 1; n <= NUMBERS; n++)
		if (s.accepted[n] > 1)
			fail_msg("number %u accepted %u times", n, s.accepted[n]);
	free((void *)s.accepted);
	free(s.window);
}

static void *
claim_until_closed(void *arg)
{
	struct racer *t = arg;
	struct shared *s = t->shared;

	atomic_store(&s->go, true);
	for (uint32_t n = 1; n <= NUMBERS; n++) {
		if (!replay_claim(s->window, n))
			break;
		atomic_fetch_add(&s->accepted[n], 1);
	}
	return NULL;
}

static void
a_window_closed_under_way_knows_exactly_what_was_accepted(void **state)
{
	struct shared s = {.accepted = calloc(NUMBERS + 1, 1)};
	struct replay *copy = malloc(replay_size(WINDOW));
	struct racer t = {&s, 0, 1, true};
	pthread_t id;

	for (int round = 0; round < 300; round++) {
		uint64_t top;

		s.window = window_new(WINDOW);
		atomic_store(&s.go, false);
		memset((void *)s.accepted, 0, NUMBERS + 1);
		assert_int_equal(pthread_create(&id, NULL, claim_until_closed, &t), 0);
		while (!atomic_load(&s.go))
			;
		for (volatile int spin = 0; spin < round * 50; spin++)
			;
		top = replay_close(s.window, copy);
		pthread_join(id, NULL);
		assert_true(top == NUMBERS || s.accepted[top + 1] == 0);
		for (uint64_t n = top; n > 0 && top - n < WINDOW; n--)
			if (replay_check(copy, n) != (s.accepted[n] == 0))
				fail_msg("top %lu, number %lu accepted %u times", top, n,
					 s.accepted[n]);
		free(s.window);
	}
	free(copy);
	free((void *)s.accepted);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(C17_C18_C20_small_windows_agree_with_the_model_on_every_sequence),
		cmocka_unit_test(C16_C17_C18_C20_ten_million_random_steps_agree_with_the_model),
		cmocka_unit_test(B15_number_zero_is_never_accepted),
		cmocka_unit_test(C16_C18_B15_the_left_edge_is_accepted_and_its_neighbour_is_not),
		cmocka_unit_test(a_run_is_claimed_like_its_numbers_in_turn),
		cmocka_unit_test(B17_a_huge_jump_is_accepted_and_leaves_the_past_behind),
		cmocka_unit_test(a_restored_window_refuses_what_the_old_one_had),
		cmocka_unit_test(an_inherited_window_is_exact_in_the_reach_of_both),
		cmocka_unit_test(C12_C13_inference_is_the_one_of_rfc_4303_appendix_a2),
		cmocka_unit_test(C13_the_high_half_is_never_inferred_as_minus_one),
		cmocka_unit_test(B17_behind_the_last_number_nothing_is_accepted),
		cmocka_unit_test(C21_threads_that_share_a_window_accept_each_number_once),
		cmocka_unit_test(C21_no_number_is_accepted_twice_however_threads_interleave),
		cmocka_unit_test(a_window_closed_under_way_knows_exactly_what_was_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
