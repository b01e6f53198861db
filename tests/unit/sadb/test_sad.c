/* SPDX-License-Identifier: BSD-3-Clause */
/* The SAD: adding, finding, changing and deleting SAs. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../readers.h"
#include "sad_env.h"

/* ---- adding, finding, deleting ---- */

static void
an_added_sa_is_found_by_workers_and_by_identity(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	struct sa *sa = env_add(&e, &p);
	enum sad_miss miss;

	assert_ptr_equal(env_lookup(&e, 0x1000, HERE, &miss), sa);
	assert_int_equal(miss, SAD_HIT);
	assert_int_equal(sad_count(e.sad), 1);
	assert_int_equal(sa->icv_len, 16);
	assert_int_equal(sa->flags & SA_REPLAY, SA_REPLAY);
	assert_int_equal(sa->replay->window, REPLAY_WINDOW_DEFAULT);
	env_free(&e);
}

static void
a_deleted_sa_is_not_found_any_more(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	enum sad_miss miss;

	env_add(&e, &p);
	env_delete(&e, &p);
	assert_null(env_lookup(&e, 0x1000, HERE, &miss));
	assert_int_equal(miss, SAD_NO_SA);
	assert_null(sad_find(e.sad, &p.id));
	assert_int_equal(sad_delete(e.sad, &p.id, &e.why), -ESRCH);
	assert_int_equal(sad_count(e.sad), 0);
	env_free(&e);
}

/* An identity has the protocol in it: SPIs of AH and of ESP are two spaces. */
static void
equal_spis_of_ah_and_esp_are_two_sas(void **state)
{
	struct env e = env_new(16);
	struct sa_params esp = sa_params(THERE, HERE, 0x1000, 1), ah = esp;
	union ip_addr here = addr4(HERE);
	enum sad_miss miss;
	struct sa *sa;

	ah.id.proto = IPPROTO_AH;
	ah.suite = (uint8_t)crypto_suite_by_name("null-sha256");
	env_add(&e, &esp);
	sa = env_add(&e, &ah);
	assert_ptr_equal(sad_lookup(e.sad, RTE_BE32(0x1000), &here, FAMILY_V4, IPPROTO_AH, &miss),
			 sa);
	assert_ptr_not_equal(env_lookup(&e, 0x1000, HERE, &miss), sa);
	assert_int_equal(sad_flush(e.sad, IPPROTO_ESP), 1);
	assert_null(env_lookup(&e, 0x1000, HERE, &miss));
	assert_int_equal(miss, SAD_MISMATCH);
	assert_int_equal(sad_flush(e.sad, IPPROTO_AH), 1);
	env_free(&e);
}

static void
C4_B12_B13_B14_a_miss_says_why(void **state)
{
	struct env e = env_new(16);
	struct sa_params in = sa_params(THERE, HERE, 0x1000, 1);
	struct sa_params out = sa_params(HERE, THERE, 0x2000, 2);
	union ip_addr here = addr4(HERE);
	enum sad_miss miss;

	out.flags = SA_OUT_ONLY;
	env_add(&e, &in);
	env_add(&e, &out);
	assert_null(env_lookup(&e, 0x3000, HERE, &miss));
	assert_int_equal(miss, SAD_NO_SA);
	assert_null(env_lookup(&e, 0x1000, THERE, &miss));
	assert_int_equal(miss, SAD_MISMATCH);
	assert_null(sad_lookup(e.sad, RTE_BE32(0x1000), &here, FAMILY_V6, IPPROTO_ESP, &miss));
	assert_int_equal(miss, SAD_MISMATCH);
	assert_null(sad_lookup(e.sad, RTE_BE32(0x1000), &here, FAMILY_V4, IPPROTO_UDP, &miss));
	assert_int_equal(miss, SAD_MISMATCH);
	assert_null(env_lookup(&e, 0x2000, THERE, &miss));
	assert_int_equal(miss, SAD_OUT_ONLY);
	assert_null(env_lookup(&e, 0, HERE, &miss));
	assert_int_equal(miss, SAD_NO_SA);
	env_free(&e);
}

static void
sas_with_equal_spis_are_told_apart(void **state)
{
	struct env e = env_new(64);
	struct sa *sa[32];

	for (uint32_t i = 0; i < 32; i++) {
		struct sa_params p = sa_params(THERE, HERE + 16 + i, 0x1000, i);

		sa[i] = env_add(&e, &p);
	}
	for (uint32_t i = 0; i < 32; i++)
		assert_ptr_equal(env_lookup(&e, 0x1000, HERE + 16 + i, NULL), sa[i]);
	for (uint32_t i = 0; i < 32; i += 2) {
		struct sa_params p = sa_params(THERE, HERE + 16 + i, 0x1000, i);

		env_delete(&e, &p);
	}
	for (uint32_t i = 0; i < 32; i++)
		assert_ptr_equal(env_lookup(&e, 0x1000, HERE + 16 + i, NULL), i % 2 ? sa[i] : NULL);
	env_free(&e);
}

static void
S6_an_identity_exists_once(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1), q = p, said;

	env_add(&e, &p);
	q.key[0] ^= 1;
	assert_int_equal(sad_add(e.sad, &q, &e.why), -EEXIST);
	sad_params_and_keys(sad_find(e.sad, &p.id), &said);
	assert_memory_equal(said.key, p.key, sizeof(p.key));
	q.id.dst = addr4(HERE + 1);
	env_add(&e, &q);
	assert_ptr_not_equal(sad_find(e.sad, &p.id), sad_find(e.sad, &q.id));
	env_free(&e);
}

static void
refused(struct env *e, const struct sa_params *p, const char *word)
{
	e->why.text[0] = 0;
	assert_int_equal(sad_add(e->sad, p, &e->why), -EINVAL);
	if (!strstr(e->why.text, word))
		fail_msg("\"%s\" does not say \"%s\"", e->why.text, word);
	assert_int_equal(sad_count(e->sad), 0);
}

static void
what_cannot_be_is_refused_with_a_reason(void **state)
{
	struct env e = env_new(16);
	const struct sa_params good = sa_params(THERE, HERE, 0x1000, 1);
	struct sa_params p;

	p = good, p.id.spi = 0, refused(&e, &p, "SPI");
	p = good, p.id.spi = RTE_BE32(255), refused(&e, &p, "SPI");
	p = good, p.id.proto = IPPROTO_COMP, refused(&e, &p, "protocol");
	p = good, p.id.proto = IPPROTO_AH, refused(&e, &p, "integrity");
	p.suite = (uint8_t)crypto_suite_by_name("aes128gmac"), p.flags |= SA_ENCAP_UDP;
	refused(&e, &p, "UDP");
	p.flags = good.flags, p.mode = SA_MODE_BEET, refused(&e, &p, "selector of one address");
	p.sel.family = FAMILY_V4, p.sel.src_len = p.sel.dst_len = 32;
	refused(&e, &p, "AH does not go with BEET mode");
	p = good, p.id.family = 0, refused(&e, &p, "family");
	p = good, p.mode = 4, refused(&e, &p, "mode");
	p = good, p.flags = SA_IN_ONLY | SA_OUT_ONLY, refused(&e, &p, "inbound only");
	p = good, p.suite = 200, refused(&e, &p, "algorithm");
	p = good, p.replay_window = 65537, refused(&e, &p, "replay window");
	p = good, p.out_seq = UINT64_C(1) << 32, refused(&e, &p, "sequence number");
	env_free(&e);
}

/* But one that only sends has no window at all, and may. */
static void
C15_without_anti_replay_there_are_no_extended_numbers(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);

	p.replay_window = 0;
	p.flags = SA_ESN, refused(&e, &p, "ESN");
	p.flags = SA_ESN | SA_IN_ONLY, refused(&e, &p, "ESN");
	p.id.proto = IPPROTO_AH, p.suite = (uint8_t)crypto_suite_by_name("aes128gmac");
	p.flags = SA_ESN, refused(&e, &p, "ESN");
	p = sa_params(HERE, THERE, 0x1000, 1);
	p.replay_window = 0;
	p.flags = SA_ESN | SA_OUT_ONLY;
	env_add(&e, &p);
	env_free(&e);
}

static void
a_full_sad_refuses_and_takes_again_after_a_deletion(void **state)
{
	struct env e = env_new(8);
	struct sa_params p;

	for (uint32_t i = 0; i < 8; i++) {
		p = sa_params(THERE, HERE, 0x1000 + i, i);
		env_add(&e, &p);
	}
	p = sa_params(THERE, HERE, 0x2000, 99);
	assert_int_equal(sad_add(e.sad, &p, &e.why), -ENOSPC);
	for (uint32_t round = 0; round < 500; round++) {
		struct sa_params old = sa_params(THERE, HERE, 0x1000 + round % 8, round % 8);

		env_delete(&e, &old);
		env_add(&e, &old);
	}
	assert_int_equal(sad_count(e.sad), 8);
	env_free(&e);
}

static bool
take_a_turn(void *ctx, uint64_t *random)
{
	(void)ctx;
	(void)random;
	usleep(1000);
	return true;
}

/* Many more than there are places for, in each turn of a worker. */
static void
a_full_sad_takes_again_once_the_workers_have_been_round(void **state)
{
	struct env e = env_new(1);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	struct readers readers = {.ctx = NULL};

	readers_start(&readers, e.reclaim, take_a_turn, NULL);
	for (uint32_t round = 0; round < 5000; round++) {
		env_add(&e, &p);
		env_delete(&e, &p);
	}
	readers_stop(&readers);
	env_free(&e);
}

static void
a_worker_that_does_not_come_round_is_not_waited_for_twice(void **state)
{
	struct env e = env_new(1);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(e.reclaim);
	uint32_t refused = 0;

	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	for (uint32_t i = 0; i < 10000; i++)
		if (sad_add(e.sad, &p, &e.why) == 0)
			env_delete(&e, &p);
		else
			refused++;
	assert_in_range(refused, 9000, 9999); /* an hour, were each to wait */
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	env_add(&e, &p);
	env_free(&e);
}

static void
flushing_leaves_nothing(void **state)
{
	struct env e = env_new(64);
	uint32_t cursor = 0;

	for (uint32_t i = 0; i < 50; i++) {
		struct sa_params p = sa_params(THERE, HERE, 0x1000 + i, i);

		env_add(&e, &p);
	}
	assert_int_equal(sad_flush(e.sad, IPPROTO_AH), 0);
	assert_int_equal(sad_flush(e.sad, IPPROTO_ESP), 50);
	assert_null(sad_next(e.sad, &cursor));
	assert_null(env_lookup(&e, 0x1000, HERE, NULL));
	env_free(&e);
}

static void
iteration_survives_deletions(void **state)
{
	struct env e = env_new(64);
	uint32_t cursor = 0, seen = 0;
	struct sa_control *c;

	for (uint32_t i = 0; i < 50; i++) {
		struct sa_params p = sa_params(THERE, HERE, 0x1000 + i, i);

		env_add(&e, &p);
	}
	while ((c = sad_next(e.sad, &cursor)) != NULL) {
		struct sa_id id = sad_id(c);

		assert_int_equal(sad_delete(e.sad, &id, &e.why), 0);
		seen++;
	}
	assert_int_equal(seen, 50);
	env_free(&e);
}

/* Also where memory has been given back. */
__attribute__((no_sanitize_address)) static bool
has_word(const uint64_t *words, unsigned int n, const uint8_t *bytes)
{
	bool has = false;

	for (unsigned int i = 0; i < n; i++)
		has |= words[i] == *(const uint64_t *)(const void *)bytes;
	return has;
}

static void
keys_are_overwritten_after_the_grace_period_and_not_before(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	struct sa *sa = env_add(&e, &p);
	struct sa_control *c = sad_find(e.sad, &p.id);
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(e.reclaim);
	size_t size = crypto_key_size(e.crypto, p.suite);
	const uint64_t *words = c->kept.words;
	const uint8_t *key = sa->key;
	uint8_t zero[64] = {0};
	struct sa_params said;

	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	env_delete(&e, &p);
	assert_int_equal(reclaim_poll(e.reclaim), 1);
	assert_memory_not_equal(key, zero, sizeof(zero));
	sad_params_and_keys(c, &said);
	assert_memory_equal(said.key, p.key, sizeof(p.key));
	assert_true(has_word(words, 8, p.key));
	rte_rcu_qsbr_quiescent(qsbr, 0);
	assert_int_equal(reclaim_poll(e.reclaim), 0);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(key[i], 0);
	assert_false(has_word(words, 8, p.key));
	assert_int_equal(sa->salt, 0);
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	rte_rcu_qsbr_thread_unregister(qsbr, 0);
	env_free(&e);
}

/* The VmFlags of the mapping that holds an address (proc(5), smaps). */
static void
vm_flags(const void *address, char *flags, size_t size)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned long from, to;
	bool inside = false;
	char line[512];

	assert_non_null(smaps);
	flags[0] = 0;
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)address >= from && (uintptr_t)address < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(flags, size, "%s", line + 8);
	}
	fclose(smaps);
}

static void
keys_are_never_in_a_core_file_and_root_keeps_them_from_swap(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	struct sa *sa = env_add(&e, &p);
	const void *secrets[] = {sa->key, sa->control->kept.words};
	char flags[512];

	for (int i = 0; i < 2; i++) {
		vm_flags(secrets[i], flags, sizeof(flags));
		assert_non_null(strstr(flags, " dd "));
		/* Pages of the huge pool are never swapped, and no lock is shown for them. */
		if (geteuid() == 0)
			assert_true(strstr(flags, " lo ") || strstr(flags, " ht "));
	}
	env_free(&e);
}

static void
a_retired_sa_gives_no_number_and_accepts_none(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	struct sa *sa = env_add(&e, &p);
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(e.reclaim);
	uint64_t first;

	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	assert_int_equal(sa_seq_reserve(sa, 3, &first), 3);
	assert_true(replay_claim(sa->replay, 1));
	env_delete(&e, &p);
	assert_int_equal(sa_seq_reserve(sa, 1, &first), 0);
	assert_false(replay_claim(sa->replay, 2));
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	rte_rcu_qsbr_thread_unregister(qsbr, 0);
	env_free(&e);
}

/* ---- places ---- */

static void
places_are_an_odd_number_of_lines_and_waste_none(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1),
			 q = sa_params(THERE, HERE, 0x1001, 2);
	const struct sa *first = env_add(&e, &p), *second = env_add(&e, &q);
	size_t key = 0, size, stride = (uintptr_t)second - (uintptr_t)first;

	for (unsigned int i = 0; i < crypto_suites_count; i++) {
		size = crypto_key_size(e.crypto, i);
		key = size > key ? size : key;
	}
	assert_int_equal(stride / 64 % 2, 1);
	assert_int_equal(stride, (offsetof(struct sa, window) + replay_size(992) + key) | 64);
	env_free(&e);
}

/* ---- the outer header ---- */

static void
the_outer_header_is_ready_made(void **state)
{
	static const uint8_t v4_udp[] = {
		0x45, 0, 0,    0,    0,    0,    0, 0, 64, 17, 0x99, 0x14, 10,   0,    0, 1, 10, 0,
		0,    2, 0x11, 0x94, 0x22, 0x33, 0, 0, 0,  0,  0x12, 0x34, 0x56, 0x78, 0, 0, 0,  0};
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0x12345678, 1);
	struct sa *sa;

	p.flags = SA_ENCAP_UDP;
	p.encap_sport = RTE_BE16(4500);
	p.encap_dport = RTE_BE16(0x2233);
	sa = env_add(&e, &p);
	assert_int_equal(sa->outer_len, sizeof(v4_udp));
	assert_memory_equal(sa->outer, v4_udp, sizeof(v4_udp));
	p.encap_dport = RTE_BE16(0x4455);
	assert_int_equal(sad_update(e.sad, &p, &e.why), 0);
	assert_int_equal(sa->outer[22], 0x44);

	p = sa_params(HERE, THERE, 0x1001, 2);
	p.id.family = FAMILY_V6;
	sa = env_add(&e, &p);
	assert_int_equal(sa->outer_len, 48);
	assert_int_equal(sa->outer[0], 0x60);
	assert_int_equal(sa->outer[6], IPPROTO_ESP);
	assert_memory_equal(sa->outer + 24, &p.id.dst, 16);
	env_free(&e);
}

/* ---- outbound ---- */

static struct sa *
outbound(struct env *e, uint32_t src, uint32_t dst, uint32_t spi, uint32_t reqid)
{
	union ip_addr s = addr4(src), d = addr4(dst);

	return sad_find_outbound(e->sad, &s, &d, FAMILY_V4, IPPROTO_ESP, rte_cpu_to_be_32(spi),
				 reqid, 0, SA_MODE_TUNNEL);
}

static void
a_template_finds_the_newest_sa_that_fits(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 1),
			 q = sa_params(HERE, THERE, 0x1001, 2);
	struct sa_params in = sa_params(HERE, THERE, 0x1002, 3);
	struct sa *old = env_add(&e, &p), *new = env_add(&e, &q);

	in.flags = SA_IN_ONLY;
	env_add(&e, &in);
	assert_ptr_equal(outbound(&e, HERE, THERE, 0, 7), new);
	assert_ptr_equal(outbound(&e, HERE, THERE, 0, 0), new);
	assert_ptr_equal(outbound(&e, 0, 0, 0, 7), new);
	assert_ptr_equal(outbound(&e, HERE, THERE, 0x1000, 7), old);
	assert_null(outbound(&e, HERE, THERE, 0x1002, 7));
	assert_null(outbound(&e, HERE, THERE, 0, 8));
	assert_null(outbound(&e, THERE, HERE, 0, 7));
	assert_null(outbound(&e, THERE + 1, THERE, 0, 7));
	env_delete(&e, &q);
	assert_ptr_equal(outbound(&e, HERE, THERE, 0, 7), old);
	env_delete(&e, &p);
	assert_null(outbound(&e, HERE, THERE, 0, 7));
	env_free(&e);
}

/* ---- marks: the kernel's rules ---- */

static void
a_mark_is_part_of_the_identity_and_finds_the_unmarked_too(void **state)
{
	struct env e = env_new(16);
	struct sa_params none = sa_params(HERE, THERE, 0x1000, 1), ten = none, other = none;
	struct sa *marked, *unmarked;

	ten.id.mark = 10;
	ten.key[0] = 2;
	other.id.mark = 20;
	other.key[0] = 3;
	marked = env_add(&e, &ten);
	assert_null(sad_find(e.sad, &none.id));
	assert_null(sad_find(e.sad, &other.id));
	assert_int_equal(sad_add(e.sad, &ten, &e.why), -EEXIST);
	assert_int_equal(sad_delete(e.sad, &none.id, &e.why), -ESRCH);
	unmarked = env_add(&e, &none);
	assert_ptr_equal(sad_find(e.sad, &ten.id)->sa, marked);
	assert_ptr_equal(sad_find(e.sad, &none.id)->sa, unmarked);
	assert_ptr_equal(sad_find(e.sad, &other.id)->sa, unmarked);
	assert_int_equal(sad_add(e.sad, &other, &e.why), -EEXIST);
	env_delete(&e, &ten);
	assert_ptr_equal(sad_find(e.sad, &ten.id)->sa, unmarked);
	env_free(&e);
}

static void
a_larval_sa_is_completed_with_a_mark(void **state)
{
	struct env e = env_new(16);
	struct sa_params larval = sa_params(THERE, HERE, 0, 0), p;
	rte_be32_t spi;

	assert_int_equal(sad_alloc_spi(e.sad, &larval, 0x1000, 0x1fff, 10, &spi, &e.why), 0);
	p = sa_params(THERE, HERE, rte_be_to_cpu_32(spi), 1);
	p.id.mark = 10;
	assert_int_equal(sad_update(e.sad, &p, &e.why), 0);
	assert_int_equal(sad_count(e.sad), 1);
	assert_int_equal(sad_find(e.sad, &p.id)->sa->tenant, tenant_make(0, 10));
	p.id.mark = 0;
	assert_null(sad_find(e.sad, &p.id));
	env_free(&e);
}

static void
a_template_of_a_mark_finds_sas_of_that_mark_and_of_none(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 1);
	const union ip_addr here = addr4(HERE), there = addr4(THERE);
	struct sa *sa;

#define FOUND(mark)                                                                                \
	sad_find_outbound(e.sad, &here, &there, FAMILY_V4, IPPROTO_ESP, 0, 7,                      \
			  tenant_make(0, mark), SA_MODE_TUNNEL)
	p.id.mark = 10;
	sa = env_add(&e, &p);
	assert_ptr_equal(FOUND(10), sa);
	assert_null(FOUND(0));
	assert_null(FOUND(20));
	p = sa_params(HERE, THERE, 0x1001, 2);
	sa = env_add(&e, &p);
	assert_ptr_equal(FOUND(0), sa);
	assert_ptr_equal(FOUND(20), sa);
#undef FOUND
	env_free(&e);
}

/* ---- what was said of an SA ---- */

/* A request in which anything may be said, also what nobody says. */
static void
say_something(struct sa_params *p, uint64_t seed)
{
	uint8_t *bytes = (uint8_t *)p;

	for (size_t i = 0; i < sizeof(*p); i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		bytes[i] = seed >> 62 == 0 ? (uint8_t)(seed >> 40) : 0;
	}
}

static void
what_was_said_of_an_sa_is_kept_to_the_byte(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1), q, zero = {0};
	const struct sa *sa = env_add(&e, &p);
	struct kept_memory memory = {0};
	struct kept kept;

	kept_memory_init(&memory);
	for (uint64_t seed = 0; seed < 1000; seed++) {
		say_something(&p, seed);
		assert_int_equal(kept_pack(&memory, &p, seed % 2 ? sa : NULL, &kept), 0);
		kept_unpack(&kept, seed % 2 ? sa : NULL, true, &q);
		assert_memory_equal(&q, &p, sizeof(p));
		kept_unpack(&kept, seed % 2 ? sa : NULL, false, &q);
		assert_memory_equal(q.key, zero.key, sizeof(q.key));
		assert_memory_equal(q.auth_key, zero.auth_key, sizeof(q.auth_key));
		assert_memory_equal(q.salt, zero.salt, sizeof(q.salt));
		assert_memory_equal(&q, &p, offsetof(struct sa_params, suite));
		kept_drop(&memory, &kept);
	}
	assert_int_equal(kept_bytes(&memory), 0);
	kept_memory_end(&memory);
	env_free(&e);
}

static void
what_is_said_of_a_plain_tunnel_takes_four_words(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	uint64_t before = sad_memory(e.sad).control;

	p.flags = SA_REPLAY;
	p.replay_window = 992;
	p.replay_bitmap_words = 31;
	p.sel.family = FAMILY_V4;
	p.limits.soft_bytes = p.limits.hard_bytes = UINT64_MAX;
	p.limits.soft_packets = p.limits.hard_packets = UINT64_MAX;
	p.limits.soft_add_seconds = 3000;
	p.limits.hard_add_seconds = 3600;
	memset(p.key, 0x5a, 16);
	env_add(&e, &p);
	assert_int_equal(sad_memory(e.sad).control - before, 128 + 32);
	env_free(&e);
}

/* ---- changing a live SA ---- */

static void
S6_an_update_changes_lifetimes_and_refuses_other_keys(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);

	env_add(&e, &p);
	p.limits.hard_bytes = 12345;
	assert_int_equal(sad_update(e.sad, &p, &e.why), 0);
	assert_int_equal(sad_params(sad_find(e.sad, &p.id)).limits.hard_bytes, 12345);
	p.key[3] ^= 1;
	assert_int_equal(sad_update(e.sad, &p, &e.why), -EINVAL);
	p.id.spi = RTE_BE32(0x1001);
	assert_int_equal(sad_update(e.sad, &p, &e.why), -ESRCH);
	env_free(&e);
}

static void
an_update_of_what_cannot_change_is_refused(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1), q;
	struct sa_params before, now;

	env_add(&e, &p);
	sad_params_and_keys(sad_find(e.sad, &p.id), &before);
#define REFUSED(change, words)                                                                     \
	do {                                                                                       \
		q = p;                                                                             \
		change;                                                                            \
		assert_int_equal(sad_update(e.sad, &q, &e.why), -EINVAL);                          \
		assert_non_null(strstr(e.why.text, words));                                        \
		sad_params_and_keys(sad_find(e.sad, &p.id), &now);                                 \
		assert_memory_equal(&now, &before, sizeof(before));                                \
	} while (0)
	REFUSED(q.reqid++, "reqid");
	REFUSED(q.if_id = 5, "if_id");
	REFUSED(q.id.mark = 5, "marks");
	REFUSED(q.set_mark = 5, "marks");
	REFUSED(q.flags |= SA_ESN, "flags");
	REFUSED(q.flags |= SA_IN_ONLY, "direction");
	REFUSED(q.xfrm_flags = 1, "flags");
	REFUSED(q.xfrm_extra_flags = 1, "flags");
	REFUSED(q.replay_window = 64, "replay window");
	REFUSED(q.in_seq = 9, "sequence numbers");
	REFUSED(q.out_seq = 9, "sequence numbers");
	REFUSED(q.replay_bitmap[0] = 1, "replay window");
	REFUSED(q.mode = SA_MODE_TRANSPORT, "mode");
	REFUSED(q.sel.src_len = 8, "selector");
#undef REFUSED
	assert_int_equal(sad_update(e.sad, &p, &e.why), 0);
	env_free(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_added_sa_is_found_by_workers_and_by_identity),
		cmocka_unit_test(a_deleted_sa_is_not_found_any_more),
		cmocka_unit_test(equal_spis_of_ah_and_esp_are_two_sas),
		cmocka_unit_test(C4_B12_B13_B14_a_miss_says_why),
		cmocka_unit_test(sas_with_equal_spis_are_told_apart),
		cmocka_unit_test(S6_an_identity_exists_once),
		cmocka_unit_test(what_cannot_be_is_refused_with_a_reason),
		cmocka_unit_test(C15_without_anti_replay_there_are_no_extended_numbers),
		cmocka_unit_test(a_full_sad_refuses_and_takes_again_after_a_deletion),
		cmocka_unit_test(a_full_sad_takes_again_once_the_workers_have_been_round),
		cmocka_unit_test(a_worker_that_does_not_come_round_is_not_waited_for_twice),
		cmocka_unit_test(flushing_leaves_nothing),
		cmocka_unit_test(iteration_survives_deletions),
		cmocka_unit_test(what_was_said_of_an_sa_is_kept_to_the_byte),
		cmocka_unit_test(what_is_said_of_a_plain_tunnel_takes_four_words),
		cmocka_unit_test(keys_are_overwritten_after_the_grace_period_and_not_before),
		cmocka_unit_test(keys_are_never_in_a_core_file_and_root_keeps_them_from_swap),
		cmocka_unit_test(a_retired_sa_gives_no_number_and_accepts_none),
		cmocka_unit_test(places_are_an_odd_number_of_lines_and_waste_none),
		cmocka_unit_test(the_outer_header_is_ready_made),
		cmocka_unit_test(a_template_finds_the_newest_sa_that_fits),
		cmocka_unit_test(a_mark_is_part_of_the_identity_and_finds_the_unmarked_too),
		cmocka_unit_test(a_larval_sa_is_completed_with_a_mark),
		cmocka_unit_test(a_template_of_a_mark_finds_sas_of_that_mark_and_of_none),
		cmocka_unit_test(S6_an_update_changes_lifetimes_and_refuses_other_keys),
		cmocka_unit_test(an_update_of_what_cannot_change_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
