/* SPDX-License-Identifier: BSD-3-Clause */
/* Policies beside the real SAD: what it announces moves their SA pointers. */
#include "sad_env.h"
#include "sadb/spd.h"

#define REQID 7 /* of sa_params() */

static struct spd_params
protect(uint32_t n, rte_be32_t spi)
{
	return (struct spd_params){
		.action = SPD_PROTECT,
		.id = {.dir = SPD_OUT,
		       .sel = {.family = FAMILY_V4, .dst = addr4(0x0b000000 + n), .dst_len = 32}},
		.tmpl = {.proto = IPPROTO_ESP,
			 .mode = SA_MODE_TUNNEL,
			 .family = FAMILY_V4,
			 .src = addr4(HERE),
			 .dst = addr4(THERE),
			 .spi = spi,
			 .reqid = REQID},
	};
}

/* The SPI of a policy's SA in host order, 0 where it has none. */
static uint32_t
spi_of(struct spd *spd, const struct spd_params *p)
{
	const struct sa *sa = spd_find(spd, &p->id, 0)->sa;

	return sa ? rte_be_to_cpu_32(sa->spi) : 0;
}

static void
test_policies_follow_the_sad_through_a_rekeying(void **state)
{
	struct env e = env_new(16);
	struct spd *spd = spd_new(16, e.sad, e.reclaim, &e.why);
	struct spd_params by_reqid = protect(1, 0), by_spi = protect(2, rte_cpu_to_be_32(0x1001));
	struct sa_params old = sa_params(HERE, THERE, 0x1001, 1);
	struct sa_params new = sa_params(HERE, THERE, 0x1002, 2);
	struct sa_params in = sa_params(THERE, HERE, 0x1003, 3);

	assert_int_equal(spd_add(spd, &by_reqid, false, &e.why), 0);
	assert_int_equal(spd_add(spd, &by_spi, false, &e.why), 0);
	assert_int_equal(spi_of(spd, &by_reqid), 0);
	assert_int_equal(sad_add(e.sad, &in, &e.why), 0);
	assert_int_equal(spi_of(spd, &by_reqid), 0);
	assert_int_equal(sad_add(e.sad, &old, &e.why), 0);
	assert_int_equal(spi_of(spd, &by_reqid), 0x1001);
	assert_int_equal(spi_of(spd, &by_spi), 0x1001);
	assert_int_equal(sad_add(e.sad, &new, &e.why), 0);
	assert_int_equal(spi_of(spd, &by_reqid), 0x1002);
	assert_int_equal(spi_of(spd, &by_spi), 0x1001);

	/* Before the grace period of the deleted one: nothing was polled. */
	assert_int_equal(sad_delete(e.sad, &old.id, &e.why), 0);
	assert_int_equal(spi_of(spd, &by_reqid), 0x1002);
	assert_int_equal(spi_of(spd, &by_spi), 0);
	assert_int_equal(sad_flush(e.sad, 0), 2);
	assert_int_equal(spi_of(spd, &by_reqid), 0);
	spd_free(spd);
	env_free(&e);
}

static void
test_an_sa_that_expires_is_no_policys_any_more(void **state)
{
	struct env e = env_new(16);
	struct spd *spd = spd_new(16, e.sad, e.reclaim, &e.why);
	struct spd_params p = protect(1, 0);
	struct sa_params sa = sa_params(HERE, THERE, 0x1001, 1);
	const struct sa_limits none = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 0, 0, 0, 0};
	uint64_t added;

	sa.limits = none;
	sa.limits.hard_add_seconds = 10;
	assert_int_equal(sad_add(e.sad, &sa, &e.why), 0);
	assert_int_equal(spd_add(spd, &p, false, &e.why), 0);
	assert_int_equal(spi_of(spd, &p), 0x1001);
	added = sad_find(e.sad, &sa.id)->added_ms / 1000;
	sad_tick(e.sad, (added + 9) * 1000);
	assert_int_equal(spi_of(spd, &p), 0x1001);
	sad_tick(e.sad, (added + 11) * 1000);
	assert_int_equal(spi_of(spd, &p), 0);
	spd_free(spd);
	env_free(&e);
}

/* What an SA of no mark decrypts is of its inbound policies' mark, whichever of the two came first.
 */
static void
test_inbound_policies_give_their_mark_to_sas_that_name_none(void **state)
{
	struct env e = env_new(16);
	struct spd *spd = spd_new(16, e.sad, e.reclaim, &e.why);
	struct sa_params p = sa_params(THERE, HERE, 0x1001, 1),
			 q = sa_params(THERE, HERE, 0x1002, 2);
	struct spd_params in = protect(1, 0), fwd = protect(1, 0);
	struct sa *sa = env_add(&e, &p), *own;

	in.id.dir = SPD_IN;
	fwd.id.dir = SPD_FWD;
	in.id.mark = fwd.id.mark = 10;
	assert_int_equal(spd_add(spd, &in, false, &e.why), 0);
	assert_int_equal(sa->tenant, tenant_make(0, 10));
	assert_int_equal(spd_add(spd, &fwd, false, &e.why), 0);
	q.flags = SA_IN_ONLY; /* a rekeying */
	assert_int_equal(env_add(&e, &q)->tenant, tenant_make(0, 10));
	env_delete(&e, &q);
	q.key[0]++;
	q.set_mark = 5;
	own = env_add(&e, &q);
	assert_int_equal(own->tenant, tenant_make(0, 5));

	assert_int_equal(spd_add(spd, &fwd, true, &e.why), 0);
	assert_int_equal(sa->tenant, tenant_make(0, 10));
	assert_int_equal(spd_delete(spd, &in.id, 0, &e.why), 0);
	assert_int_equal(sa->tenant, tenant_make(0, 10));
	in.id.mark = 20; /* now they are not of one mind */
	assert_int_equal(spd_add(spd, &in, false, &e.why), 0);
	assert_int_equal(sa->tenant, 0);
	spd_flush(spd);
	assert_int_equal(sa->tenant, 0);
	assert_int_equal(own->tenant, tenant_make(0, 5));
	spd_free(spd);
	env_free(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policies_follow_the_sad_through_a_rekeying),
		cmocka_unit_test(test_inbound_policies_give_their_mark_to_sas_that_name_none),
		cmocka_unit_test(test_an_sa_that_expires_is_no_policys_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
