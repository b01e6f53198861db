/* SPDX-License-Identifier: BSD-3-Clause */
/* Dummy packets (RFC 4303 section 2.6): how many, to whom, and what is sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/dummy.h"
#include "dataplane/esp.h"
#include "peer.h"

#define TUNNELS 3
#define RATE    50 /* packets a second */
#define SECONDS 40
#define TURN_MS 10

/* What is in a packet can be seen: nothing is encrypted. */
static const struct tunnel tunnels[TUNNELS] = {
	{"null-sha256", FAMILY_V4, 3, false, false, 0x1000, 0, ESP_TUNNEL},
	{"null-sha256", FAMILY_V6, 4, true, false, 0x2000, 0, ESP_TUNNEL},
	{"null-sha256", FAMILY_V4, 5, false, true, 0x3000, 0, ESP_TUNNEL},
};

static struct engine e;
static struct peer peer;

/* What left by the tunnel. */
struct seen {
	unsigned int packets, dummies, shortest, longest;
};

static void
take(struct rte_mbuf *m, struct seen seen[TUNNELS])
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);

	for (unsigned int i = 0; i < TUNNELS; i++) {
		const struct sa *sa = peer_outbound(&peer, &tunnels[i])->sa;
		const uint8_t *spi = frame + 14 + sa->outer_len - sizeof(struct esp_header);
		struct seen *s = &seen[i];

		if (memcmp(spi, &sa->spi, sizeof(sa->spi)) != 0)
			continue;
		s->packets++;
		s->dummies += frame[m->pkt_len - sa->icv_len - 1u] == ESP_NEXT_NONE;
		s->longest = RTE_MAX(s->longest, m->pkt_len);
		s->shortest = RTE_MIN(s->shortest, m->pkt_len);
	}
}

static void
run(unsigned int seconds, struct seen seen[TUNNELS])
{
	struct dummies d = {0};
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < TUNNELS; i++)
		seen[i] = (struct seen){.shortest = UINT_MAX};
	for (uint64_t ms = 1; ms <= seconds * UINT64_C(1000) + 1; ms += TURN_MS) {
		dummies_tick(&d, e.dp, ms);
		engine_settle(&e);
		while ((m = engine_sent(&e, 1)) != NULL) {
			take(m, seen);
			rte_pktmbuf_free(m);
		}
	}
	engine_check(&e);
}

static void
C31_each_sa_sends_at_the_rate(void **state)
{
	struct seen seen[TUNNELS];

	(void)state;
	e.config.tunnels.dummy_rate = RATE;
	run(SECONDS, seen);
	for (unsigned int i = 0; i < TUNNELS; i++) {
		/* The sum of many random steps: a fifth off is out of any chance. */
		assert_in_range(seen[i].packets, RATE * SECONDS * 4 / 5, RATE * SECONDS * 6 / 5);
		assert_int_equal(seen[i].dummies, seen[i].packets);
		assert_true(seen[i].shortest < 300);
		assert_in_range(seen[i].longest, 1400, 14 + 1500);
	}
}

static void
C31_dummies_are_as_long_as_padded_packets(void **state)
{
	struct sa *sa = peer_outbound(&peer, &tunnels[0])->sa;
	struct seen seen[TUNNELS];

	(void)state;
	sa->tfcpad = 700;
	run(2, seen);
	assert_true(seen[0].packets > 0);
	assert_int_equal(seen[0].shortest, seen[0].longest);
	assert_int_equal(seen[0].longest, 14 + sa->outer_len + 700 + 2 + 2 + sa->icv_len);
	sa->tfcpad = 0;
}

static void
C31_dummies_are_numbered_and_charged_as_others(void **state)
{
	const struct sa_control *c = peer_outbound(&peer, &tunnels[0]);
	uint64_t before = sad_usage(e.dp->sad, c).packets, out, in;
	struct seen seen[TUNNELS];
	uint32_t bitmap;

	(void)state;
	run(2, seen);
	sad_sequences(e.dp->sad, c, &out, &in, &bitmap, 1);
	assert_int_equal(sad_usage(e.dp->sad, c).packets, before + seen[0].packets);
	assert_int_equal(out, before + seen[0].packets);
}

static void
without_a_rate_nothing_is_sent(void **state)
{
	struct seen seen[TUNNELS];

	(void)state;
	e.config.tunnels.dummy_rate = 0;
	run(2, seen);
	assert_int_equal(seen[0].packets + seen[1].packets + seen[2].packets, 0);
	e.config.tunnels.dummy_rate = RATE;
}

static void
a_dummy_whose_sa_is_gone_ends_here(void **state)
{
	const struct sa_id id = sad_id(peer_outbound(&peer, &tunnels[2]));
	uint64_t consumed = e.dp->workers[0]->count.consumed;
	struct dummies d = {0};
	struct reason why;

	(void)state;
	dummies_tick(&d, e.dp, 1);
	while (rte_ring_empty(e.dp->workers[0]->inbox))
		dummies_tick(&d, e.dp, d.then + 1000);
	assert_int_equal(sad_delete(e.dp->sad, &id, &why), 0);
	engine_settle(&e);
	assert_true(e.dp->workers[0]->count.consumed > consumed);
	engine_check(&e);
	engine_drain(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(C31_each_sa_sends_at_the_rate),
		cmocka_unit_test(C31_dummies_are_as_long_as_padded_packets),
		cmocka_unit_test(C31_dummies_are_numbered_and_charged_as_others),
		cmocka_unit_test(without_a_rate_nothing_is_sent),
		cmocka_unit_test(a_dummy_whose_sa_is_gone_ends_here),
	};
	const struct sa *sas[TUNNELS];
	int failed;

	engine_eal();
	peer_begin(&peer, &e, 1, tunnels, TUNNELS, sas);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	peer_end(&peer);
	return failed;
}
