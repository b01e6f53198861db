/* SPDX-License-Identifier: BSD-3-Clause */
/* Outbound policies point at the right SA, in whatever order SAs and policies come and go. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../random.h"
#include "fake_sad.h"
#include "sadb/spd.h"

#define PEER  0x0100a8c0 /* 192.168.0.1, as on the wire */
#define OTHER 0x0200a8c0

struct fixture {
	struct sad sad;
	struct reclaim *reclaim;
	struct spd *spd;
	struct sa sas[FAKE_SAS];
	struct sa_control control[FAKE_SAS];
};

static int
begin(void **state)
{
	struct fixture *f = aligned_alloc(64, sizeof(*f));

	memset(f, 0, sizeof(*f));
	f->reclaim = reclaim_new(1);
	f->spd = spd_new(1024, &f->sad, f->reclaim, NULL);
	*state = f;
	return f->spd ? 0 : -1;
}

static int
end(void **state)
{
	struct fixture *f = *state;

	spd_free(f->spd);
	reclaim_free(f->reclaim);
	free(f);
	return 0;
}

static struct sa_control *
sa_new(struct fixture *f, unsigned int n, rte_be32_t spi, uint32_t reqid, rte_be32_t dst)
{
	struct sa_control *c = &f->control[n];

	c->sa = &f->sas[n];
	c->sa->dst.v4 = dst;
	c->sa->spi = spi;
	c->sa->family = FAMILY_V4;
	c->sa->proto = IPPROTO_ESP;
	c->sa->reqid = reqid;
	c->sa->mode = SA_MODE_TUNNEL;
	return c;
}

/* Policies that differ in their selector's destination. */
static struct spd_params
protect(uint32_t n, rte_be32_t spi, uint32_t reqid, rte_be32_t dst)
{
	return (struct spd_params){
		.action = SPD_PROTECT,
		.id = {.dir = SPD_OUT,
		       .sel = {.family = FAMILY_V4, .dst = ip_addr_v4(n), .dst_len = 32}},
		.tmpl = {.proto = IPPROTO_ESP,
			 .mode = SA_MODE_TUNNEL,
			 .family = FAMILY_V4,
			 .spi = spi,
			 .reqid = reqid,
			 .dst = ip_addr_v4(dst)},
	};
}

static struct sa *
sa_of(struct fixture *f, const struct spd_params *p)
{
	return spd_find(f->spd, &p->id, 0)->sa;
}

static void
test_a_policy_finds_its_sa_whichever_comes_first(void **state)
{
	struct fixture *f = *state;
	struct spd_params early = protect(1, 0, 5, PEER), late = protect(2, 0, 5, PEER);
	struct sa_control *c = sa_new(f, 0, 100, 5, PEER);

	spd_add(f->spd, &early, false, NULL);
	assert_null(sa_of(f, &early));
	fake_sad_add(&f->sad, c);
	spd_add(f->spd, &late, false, NULL);
	assert_ptr_equal(sa_of(f, &early), c->sa);
	assert_ptr_equal(sa_of(f, &late), c->sa);
	fake_sad_delete(&f->sad, c);
	assert_null(sa_of(f, &early));
	assert_null(sa_of(f, &late));
}

static void
test_rekeying_moves_a_policy_by_reqid_to_the_new_sa(void **state)
{
	struct fixture *f = *state;
	struct spd_params p = protect(1, 0, 5, PEER);
	struct sa_control *old = sa_new(f, 0, 100, 5, PEER), *new = sa_new(f, 1, 101, 5, PEER);

	spd_add(f->spd, &p, false, NULL);
	fake_sad_add(&f->sad, old);
	fake_sad_add(&f->sad, new);
	assert_ptr_equal(sa_of(f, &p), new->sa);
	fake_sad_delete(&f->sad, old);
	assert_ptr_equal(sa_of(f, &p), new->sa);
	fake_sad_delete(&f->sad, new);
	assert_null(sa_of(f, &p));
}

static void
test_a_policy_with_an_spi_stays_with_it_until_it_is_updated(void **state)
{
	struct fixture *f = *state;
	struct spd_params p = protect(1, 100, 5, PEER);
	struct sa_control *old = sa_new(f, 0, 100, 5, PEER), *new = sa_new(f, 1, 101, 5, PEER);

	spd_add(f->spd, &p, false, NULL);
	fake_sad_add(&f->sad, old);
	fake_sad_add(&f->sad, new);
	assert_ptr_equal(sa_of(f, &p), old->sa);
	p.tmpl.spi = 101;
	spd_add(f->spd, &p, true, NULL);
	assert_ptr_equal(sa_of(f, &p), new->sa);
	fake_sad_delete(&f->sad, old);
	assert_ptr_equal(sa_of(f, &p), new->sa);
	fake_sad_delete(&f->sad, new);
	assert_null(sa_of(f, &p));
	fake_sad_add(&f->sad, new);
	assert_ptr_equal(sa_of(f, &p), new->sa);
}

static void
test_hosts_are_the_endpoints_of_a_transport_policy(void **state)
{
	struct fixture *f = *state;
	struct spd_params p = protect(PEER, 0, 5, 0);
	struct sa_control *out = sa_new(f, 0, 100, 5, PEER), *in = sa_new(f, 1, 101, 5, OTHER);

	p.tmpl.mode = out->sa->mode = in->sa->mode = SA_MODE_TRANSPORT;
	p.id.sel.src.v4 = out->sa->src.v4 = OTHER;
	p.id.sel.src_len = 32;
	in->sa->src.v4 = PEER;
	spd_add(f->spd, &p, false, NULL);
	fake_sad_add(&f->sad, out);
	fake_sad_add(&f->sad, in); /* the newest of its reqid, but the other way round */
	assert_ptr_equal(sa_of(f, &p), out->sa);
}

static void
test_only_the_policies_concerned_are_looked_at(void **state)
{
	struct fixture *f = *state;
	struct sa_control *c = sa_new(f, 0, 100, 5, PEER);

	for (uint32_t i = 0; i < 1000; i++) {
		struct spd_params p = protect(i, i < 500 ? 1000 + i : 0, i, PEER);

		spd_add(f->spd, &p, false, NULL);
	}
	f->sad.asked = 0;
	fake_sad_add(&f->sad, c);
	assert_in_range(f->sad.asked, 0, 1); /* i = 5 has another SPI, no policy has reqid 0 */
	fake_sad_delete(&f->sad, c);
	assert_in_range(f->sad.asked, 0, 2);
}

static void
test_inbound_and_bypass_policies_have_no_sa(void **state)
{
	struct fixture *f = *state;
	struct spd_params in = protect(1, 0, 5, PEER), bypass = protect(2, 0, 5, PEER);

	in.id.dir = SPD_IN;
	bypass.action = SPD_BYPASS;
	spd_add(f->spd, &in, false, NULL);
	spd_add(f->spd, &bypass, false, NULL);
	fake_sad_add(&f->sad, sa_new(f, 0, 100, 5, PEER));
	assert_null(sa_of(f, &in));
	assert_null(sa_of(f, &bypass));
	/* A replacement may start and stop protecting. */
	bypass.action = SPD_PROTECT;
	spd_add(f->spd, &bypass, true, NULL);
	assert_ptr_equal(sa_of(f, &bypass), &f->sas[0]);
	bypass.action = SPD_DISCARD;
	spd_add(f->spd, &bypass, true, NULL);
	assert_null(sa_of(f, &bypass));
}

/* SAs and policies of few SPIs, reqids and peers at random: each always points where it should. */
static void
test_every_order_ends_at_the_sa_that_a_fresh_search_finds(void **state)
{
	struct fixture *f = *state;
	uint64_t r = 4301;

	for (int round = 0; round < 20000; round++) {
		unsigned int n = random_below(&r, FAKE_SAS), at = 0;
		struct spd_params p = protect(random_below(&r, 6), random_below(&r, 3),
					      random_below(&r, 3), random_below(&r, 2) ? PEER : 0);
		struct policy *q;
		uint32_t cursor = 0;

		if (random_below(&r, 3) == 0)
			spd_delete(f->spd, &p.id, 0, NULL);
		else
			spd_add(f->spd, &p, true, NULL);
		while (at < f->sad.n && f->sad.sas[at] != &f->control[n])
			at++;
		if (at < f->sad.n)
			fake_sad_delete(&f->sad, &f->control[n]);
		else
			fake_sad_add(&f->sad,
				     sa_new(f, n, 1 + random_below(&r, 2), random_below(&r, 3),
					    random_below(&r, 2) ? PEER : OTHER));
		reclaim_poll(f->reclaim);
		while ((q = spd_next(f->spd, &cursor))) {
			const struct spd_template *t = &q->tmpl;

			assert_ptr_equal(q->sa,
					 sad_find_outbound(&f->sad, &t->src, &t->dst, t->family,
							   t->proto, t->spi, t->reqid, 0, t->mode));
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_policy_finds_its_sa_whichever_comes_first),
		TEST(test_rekeying_moves_a_policy_by_reqid_to_the_new_sa),
		TEST(test_a_policy_with_an_spi_stays_with_it_until_it_is_updated),
		TEST(test_hosts_are_the_endpoints_of_a_transport_policy),
		TEST(test_only_the_policies_concerned_are_looked_at),
		TEST(test_inbound_and_bypass_policies_have_no_sa),
		TEST(test_every_order_ends_at_the_sa_that_a_fresh_search_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
