/* SPDX-License-Identifier: BSD-3-Clause */
/* Two workers look policies up while the control thread adds, moves and removes them. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../random.h"
#include "../readers.h"
#include "fake_sad.h"
#include "sadb/spd.h"

#define READS   500000
#define ROUNDS  20000 /* of changes, at least */
#define FILLERS 12    /* policies around the one that moves, in its bucket */

static struct spd_params
policy_of(uint8_t action, uint8_t len, uint8_t proto, uint32_t priority)
{
	return (struct spd_params){
		.action = action,
		.priority = priority,
		.id = {.dir = SPD_OUT,
		       .sel = {.family = FAMILY_V4,
			       .src_len = len,
			       .dst_len = len,
			       .proto = proto}},
		.tmpl = {.proto = IPPROTO_ESP,
			 .mode = SA_MODE_TUNNEL,
			 .family = FAMILY_V4,
			 .reqid = 1},
	};
}

/*
 * A flow that is protected all the time, behind it a bypass for everything: a lookup that finds the
 * bypass has let clear text out.
 */
static const struct flow flow = {.family = FAMILY_V4, .proto = IPPROTO_UDP};

static bool
read_protect(void *ctx, uint64_t *random)
{
	const struct policy *p = spd_lookup(ctx, 0, SPD_OUT, &flow);
	const struct sa *sa;

	if (!p || p->action != SPD_PROTECT)
		return false;
	sa = atomic_load_explicit(&p->sa, memory_order_acquire);
	return !sa || sa->reqid == 1;
}

/* An SA of this test's own making. */
struct own_sa {
	struct sa sa;
	struct reclaim_item retired;
};

static void
release_sa(void *ctx, struct reclaim_item *item)
{
	struct own_sa *own = container_of(item, struct own_sa, retired);

	memset(own, 0xee, sizeof(*own));
	free(own);
}

/* A new SA in the place of the old one, which goes after its grace period. */
static void
rekey(struct sad *sad, struct reclaim *reclaim, struct sa_control *c)
{
	static rte_be32_t spi;
	struct sa *old = c->sa;

	if (old) {
		fake_sad_delete(sad, c);
		reclaim_defer(reclaim, release_sa, NULL, &((struct own_sa *)old)->retired);
	}
	c->sa = aligned_alloc(64, sizeof(struct own_sa));
	memset(c->sa, 0, sizeof(struct own_sa));
	c->sa->reqid = 1;
	c->sa->mode = SA_MODE_TUNNEL;
	c->sa->proto = IPPROTO_ESP;
	c->sa->spi = ++spi;
	fake_sad_add(sad, c);
}

static void
churn(struct spd *spd, uint64_t *r)
{
	struct spd_params moving = policy_of(SPD_PROTECT, 32, IPPROTO_UDP, random_below(r, 100));
	struct spd_params filler =
		policy_of(SPD_DISCARD, 32, 100 + random_below(r, FILLERS), random_below(r, 100));
	struct spd_params tuple =
		policy_of(SPD_DISCARD, 1 + random_below(r, 31), 99, random_below(r, 100));

	assert_int_equal(spd_add(spd, &moving, true, NULL), 0);
	if (random_below(r, 2))
		assert_int_equal(spd_add(spd, &filler, true, NULL), 0);
	else
		spd_delete(spd, &filler.id, 0, NULL);
	if (random_below(r, 2))
		assert_int_equal(spd_add(spd, &tuple, true, NULL), 0);
	else
		spd_delete(spd, &tuple.id, 0, NULL);
}

static void
test_a_protected_flow_is_never_found_unprotected(void **state)
{
	struct reclaim *reclaim = reclaim_new(READERS);
	struct sad sad = {0};
	struct spd *spd = spd_new(256, &sad, reclaim, NULL);
	struct spd_params all = policy_of(SPD_BYPASS, 0, 0, 1000);
	struct sa_control control = {0};
	struct readers readers = {0};
	uint64_t r = 1;

	churn(spd, &r);
	assert_int_equal(spd_add(spd, &all, false, NULL), 0);
	readers_start(&readers, reclaim, read_protect, spd);
	for (int i = 0; i < ROUNDS || !readers_done(&readers, READS); i++) {
		churn(spd, &r);
		rekey(&sad, reclaim, &control);
		reclaim_poll(reclaim);
	}
	assert_int_equal(readers_stop(&readers), 0);
	fake_sad_delete(&sad, &control);
	free(control.sa);
	spd_free(spd);
	reclaim_free(reclaim);
}

/* While everything is removed at once, a bypass behind a protect policy is not found either. */
static bool
read_protect_or_nothing(void *ctx, uint64_t *random)
{
	const struct policy *p = spd_lookup(ctx, 0, SPD_OUT, &flow);

	return !p || p->action == SPD_PROTECT;
}

static void
test_a_flush_bares_no_bypass(void **state)
{
	struct reclaim *reclaim = reclaim_new(READERS);
	struct sad sad = {0};
	struct spd *spd = spd_new(256, &sad, reclaim, NULL);
	struct spd_params all = policy_of(SPD_BYPASS, 0, 0, 1000);
	struct spd_params protect = policy_of(SPD_PROTECT, 32, IPPROTO_UDP, 50);
	struct readers readers = {0};

	readers_start(&readers, reclaim, read_protect_or_nothing, spd);
	for (int i = 0; i < ROUNDS || !readers_done(&readers, READS); i++) {
		assert_int_equal(spd_add(spd, &protect, false, NULL), 0);
		for (uint8_t len = 1; len < 20; len++) { /* tuples that are searched before */
			struct spd_params filler = policy_of(SPD_DISCARD, len, 99, len);

			assert_int_equal(spd_add(spd, &filler, false, NULL), 0);
		}
		assert_int_equal(spd_add(spd, &all, false, NULL), 0);
		assert_int_equal(spd_flush(spd), 21);
		reclaim_poll(reclaim);
	}
	assert_int_equal(readers_stop(&readers), 0);
	spd_free(spd);
	reclaim_free(reclaim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_protected_flow_is_never_found_unprotected),
		cmocka_unit_test(test_a_flush_bares_no_bypass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
