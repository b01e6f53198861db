/* SPDX-License-Identifier: BSD-3-Clause */
/* The SPD against a list that is searched from end to end. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "../random.h"
#include "spd_fixture.h"

#define MODEL_MAX 300

struct model {
	struct spd_params policy[MODEL_MAX];
	uint64_t age[MODEL_MAX];
	unsigned int n;
	uint64_t ages;
};

static bool
same_id(const struct spd_id *a, const struct spd_id *b)
{
	return selector_equal(&a->sel, &b->sel) && a->dir == b->dir && a->if_id == b->if_id &&
	       a->mark == b->mark;
}

static int
model_find(const struct model *m, const struct spd_id *id)
{
	for (unsigned int i = 0; i < m->n; i++)
		if (same_id(&m->policy[i].id, id))
			return (int)i;
	return -1;
}

static const struct spd_params *
model_lookup(const struct model *m, uint64_t tenant, uint8_t dir, const struct flow *flow)
{
	int best = -1;

	for (unsigned int i = 0; i < m->n; i++) {
		const struct spd_params *p = &m->policy[i];

		struct selector sel = p->id.sel;

		if (p->action != SPD_BYPASS && flow->ports_opaque)
			sel.sport_mask = sel.dport_mask = 0;
		if (p->action != SPD_BYPASS && flow->proto_opaque)
			sel.proto = 0;
		if (p->id.if_id != tenant_if_id(tenant) || p->id.dir != dir ||
		    (p->id.mark != 0 && p->id.mark != tenant_mark(tenant)) ||
		    !selector_match(&sel, flow))
			continue;
		if (best < 0 || p->priority < m->policy[best].priority ||
		    (p->priority == m->policy[best].priority && m->age[i] < m->age[best]))
			best = (int)i;
	}
	return best < 0 ? NULL : &m->policy[best];
}

/* Few distinct bits, so that prefixes nest and flows hit them. */
static union ip_addr
random_addr(uint64_t *r, uint8_t family)
{
	union ip_addr a = {0};

	if (family == FAMILY_V4)
		return v4(0x0a000000 | (random_below(r, 4) << 22) | random_below(r, 4));
	a.bytes[0] = 0x20;
	a.bytes[3] = (uint8_t)random_below(r, 3);
	a.bytes[9] = (uint8_t)random_below(r, 2);
	a.bytes[15] = (uint8_t)random_below(r, 3);
	return a;
}

static uint8_t
random_len(uint64_t *r, uint8_t family)
{
	static const uint8_t four[] = {0, 8, 10, 24, 31, 32}, six[] = {0, 32, 64, 80, 127, 128};

	return family == FAMILY_V4 ? four[random_below(r, 6)] : six[random_below(r, 6)];
}

static struct spd_params
random_policy(uint64_t *r)
{
	static const uint8_t protos[] = {0, IPPROTO_UDP, IPPROTO_TCP};
	struct spd_params p;
	struct selector *s = &p.id.sel;

	memset(&p, 0, sizeof(p)); /* identities are compared byte by byte */
	p.priority = random_below(r, 6);
	p.action = SPD_BYPASS + (uint8_t)random_below(r, 2);
	p.id.dir = (uint8_t)random_below(r, SPD_DIRS);
	p.id.if_id = random_below(r, 2) * 7;
	p.id.mark = random_below(r, 3) * 7;
	if (random_below(r, 20) == 0)
		return p;
	s->family = random_below(r, 2) ? FAMILY_V4 : FAMILY_V6;
	s->src_len = random_len(r, s->family);
	s->dst_len = random_len(r, s->family);
	s->src = random_addr(r, s->family);
	s->dst = random_addr(r, s->family);
	s->src = ip_addr_mask(&s->src, s->src_len);
	s->dst = ip_addr_mask(&s->dst, s->dst_len);
	s->proto = protos[random_below(r, 3)];
	if (s->proto && random_below(r, 2)) {
		s->dport = rte_cpu_to_be_16((uint16_t)random_below(r, 4) << 2);
		s->dport_mask = rte_cpu_to_be_16(random_below(r, 2) ? 0xffff : 0xfffc);
	}
	if (s->proto && random_below(r, 4) == 0) {
		s->sport = rte_cpu_to_be_16((uint16_t)random_below(r, 2));
		s->sport_mask = 0xffff;
	}
	return p;
}

static struct flow
random_flow(uint64_t *r)
{
	struct flow f = {.family = random_below(r, 2) ? FAMILY_V4 : FAMILY_V6};

	f.src = random_addr(r, f.family);
	f.dst = random_addr(r, f.family);
	f.proto = random_below(r, 2) ? IPPROTO_UDP : IPPROTO_TCP;
	f.sport = rte_cpu_to_be_16((uint16_t)random_below(r, 2));
	f.dport = rte_cpu_to_be_16((uint16_t)random_below(r, 16));
	f.ports_opaque = random_below(r, 8) == 0;
	f.proto_opaque = f.ports_opaque && random_below(r, 3) == 0;
	return f;
}

static void
model_change(struct fixture *f, struct model *m, uint64_t *r)
{
	struct spd_params p = random_policy(r);
	bool replace = random_below(r, 2);
	int at;

	if (m->n > 0 && random_below(r, MODEL_MAX) < m->n) { /* delete one */
		at = (int)random_below(r, m->n);
		assert_int_equal(spd_delete(f->spd, &m->policy[at].id, 0, NULL), 0);
		m->policy[at] = m->policy[--m->n];
		m->age[at] = m->age[m->n];
	}
	if (m->n > 0 && random_below(r, 3) == 0) /* one that exists, another priority and action */
		p.id = m->policy[random_below(r, m->n)].id;
	at = model_find(m, &p.id);
	if (at >= 0 && !replace) {
		assert_int_equal(spd_add(f->spd, &p, replace, NULL), -EEXIST);
		return;
	}
	assert_int_equal(spd_add(f->spd, &p, replace, NULL), 0);
	if (at < 0) {
		at = (int)m->n++;
		m->age[at] = m->ages++;
	}
	m->policy[at] = p;
}

static void
test_lookups_agree_with_a_linear_search(void **state)
{
	struct fixture *f = begin(MODEL_MAX + 1);
	struct model *m = calloc(1, sizeof(*m));
	uint64_t r = 20221128, hits = 0, lookups = 0;

	for (int round = 0; round < 8000; round++) {
		struct spd_query queries[SPD_BURST];
		unsigned int n = 1 + random_below(&r, SPD_BURST);

		model_change(f, m, &r);
		for (unsigned int i = 0; i < n; i++)
			queries[i] = (struct spd_query){
				.flow = random_flow(&r),
				.tenant = tenant_make(random_below(&r, 2) * 7,
						      random_below(&r, 3) * 7),
				.dir = random_below(&r, SPD_DIRS),
			};
		spd_lookup_burst(f->spd, queries, n);
		for (unsigned int i = 0; i < n; i++, lookups++) {
			const struct spd_query *q = &queries[i];
			const struct spd_params *want =
				model_lookup(m, q->tenant, (uint8_t)q->dir, &q->flow);
			const struct policy *got = q->policy;
			struct spd_params said;

			assert_int_equal(got != NULL, want != NULL);
			if (!want)
				continue;
			hits++;
			said = spd_params(got);
			assert_true(same_id(&said.id, &want->id));
			assert_int_equal(said.priority, want->priority);
			assert_int_equal(said.action, want->action);
		}
		reclaim_poll(f->reclaim);
	}
	assert_in_range(hits, lookups / 4, lookups - lookups / 20); /* the test sees both */
	free(m);
	end(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookups_agree_with_a_linear_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
