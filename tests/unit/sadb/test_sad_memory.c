/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When memory ends: each allocation in turn fails once, by way of the linker, and whatever was
 * begun is taken back. The sanitizers watch for what is lost.
 */
#include <sys/mman.h>

#include "sad_env.h"

static int until_failure; /* allocations until one fails; 0: none does */

static bool
fails(void)
{
	return until_failure > 0 && --until_failure == 0;
}

#define REFUSE_WHEN_TOLD(type, name, parameters, arguments)                                        \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		return fails() ? NULL : __real_##name arguments;                                   \
	}

REFUSE_WHEN_TOLD(void *, malloc, (size_t size), (size))
REFUSE_WHEN_TOLD(void *, calloc, (size_t n, size_t size), (n, size))
REFUSE_WHEN_TOLD(void *, aligned_alloc, (size_t to, size_t size), (to, size))

/* The name that mmap() has where offsets are 64 bits. */
void *__real_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);

void *
__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	if ((flags & MAP_HUGETLB) != 0)
		return MAP_FAILED; /* whatever the machine has, ordinary pages are what is tested */
	return fails() ? MAP_FAILED : __real_mmap64(at, size, prot, flags, fd, offset);
}

REFUSE_WHEN_TOLD(void *, EVP_MAC_CTX_new, (void *mac), (mac))

int __real_EVP_MAC_init(void *ctx, const unsigned char *key, size_t len, const void *params);
int __wrap_EVP_MAC_init(void *ctx, const unsigned char *key, size_t len, const void *params);

int
__wrap_EVP_MAC_init(void *ctx, const unsigned char *key, size_t len, const void *params)
{
	return fails() ? 0 : __real_EVP_MAC_init(ctx, key, len, params);
}

static void
a_sad_is_made_whole_or_not_at_all(void **state)
{
	struct env e = env_new(16);
	struct sad_config config = {.max_sas = 1000,
				    .workers = 3,
				    .replay_window = 992,
				    .crypto = e.crypto,
				    .reclaim = e.reclaim};
	struct sad *sad = NULL;
	int failures = 0;

	while (!sad) {
		until_failure = ++failures;
		e.why.text[0] = 0;
		sad = sad_new(&config, &e.why);
		assert_true(sad || strstr(e.why.text, "no memory"));
	}
	until_failure = 0;
	assert_true(failures > 10);
	sad_free(sad);
	env_free(&e);
}

static void
a_queue_of_deferred_frees_is_made_whole_or_not_at_all(void **state)
{
	struct reclaim *r = NULL;

	for (int n = 1; !r; n++) {
		until_failure = n;
		r = reclaim_new(3);
	}
	until_failure = 0;
	reclaim_free(r);
}

/* The SAD looks as if the request had never been made. */
static void
assert_untouched(struct env *e, const struct sa_params *p, uint64_t bytes)
{
	union ip_addr dst = p->id.dst, src = p->src;
	enum sad_miss miss;

	assert_null(sad_lookup(e->sad, p->id.spi, &dst, FAMILY_V4, IPPROTO_ESP, &miss));
	assert_null(sad_find_outbound(e->sad, &src, &dst, FAMILY_V4, IPPROTO_ESP, 0, p->reqid, 0,
				      SA_MODE_TUNNEL));
	assert_int_equal(sad_bytes(e->sad), bytes);
}

static void
S9_an_sa_is_added_whole_or_not_at_all(void **state)
{
	struct env e = env_new(16);
	struct sa_params first = sa_params(HERE, THERE + 5, 0x999, 1);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 2);
	uint64_t bytes;
	int n = 0, err;

	p.replay_window = 20000; /* larger than the places of the arena */
	env_add(&e, &first);
	env_delete(&e, &first);
	reclaim_poll(e.reclaim);
	bytes = sad_bytes(e.sad);
	do {
		until_failure = ++n;
		err = sad_add(e.sad, &p, &e.why);
		until_failure = 0;
		if (err != 0) {
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(sad_count(e.sad), 0);
			assert_null(sad_find(e.sad, &p.id));
			assert_untouched(&e, &p, bytes);
		}
	} while (err != 0);
	assert_true(n > 2);
	assert_int_equal(sad_find(e.sad, &p.id)->sa->replay->window, 20000);
	env_free(&e);
}

static void
a_larval_sa_outlives_a_failed_completion(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0, 2);
	uint64_t bytes;
	int n = 0, err;

	p.replay_window = 20000;
	assert_int_equal(sad_alloc_spi(e.sad, &p, 0x1000, 0xffff, 30, &p.id.spi, &e.why), 0);
	bytes = sad_bytes(e.sad);
	do {
		until_failure = ++n;
		err = sad_update(e.sad, &p, &e.why);
		until_failure = 0;
		if (err != 0) {
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(sad_find(e.sad, &p.id)->state, SA_LARVAL);
			assert_untouched(&e, &p, bytes);
		}
	} while (err != 0);
	assert_true(n > 2);
	env_free(&e);
}

static void
deleting_needs_no_memory_and_forgets_no_number(void **state)
{
	for (int n = 1; n <= 3; n++) {
		struct env e = env_new(16);
		struct sa_params p = sa_params(HERE, THERE, 0x1000, 2);
		struct sa *sa = env_add(&e, &p);
		uint64_t first;

		sa_seq_reserve(sa, 500, &first);
		replay_claim(sa->replay, 300);
		until_failure = n;
		env_delete(&e, &p);
		until_failure = 0;
		sa = env_add(&e, &p);
		assert_int_equal(sa_seq_reserve(sa, 1, &first), 1);
		assert_int_equal(first, 501);
		assert_false(replay_claim(sa->replay, 300));
		assert_true(replay_claim(sa->replay, 301));
		env_free(&e);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sad_is_made_whole_or_not_at_all),
		cmocka_unit_test(a_queue_of_deferred_frees_is_made_whole_or_not_at_all),
		cmocka_unit_test(S9_an_sa_is_added_whole_or_not_at_all),
		cmocka_unit_test(a_larval_sa_outlives_a_failed_completion),
		cmocka_unit_test(deleting_needs_no_memory_and_forgets_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
