/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control thread goes round the SAD at the speed that the rate asks for and gives each SA's
 * owner a packet; the stages here make ESP of it. A dummy has the header of its SA's addresses,
 * with which each mode makes the outer header that data would have.
 */
#include "dummy.h"

#include <netinet/in.h>

#include <rte_random.h>

#include "esp.h"
#include "ip_parse.h"
#include "made.h"
#include "pmtu.h"
#include "room.h"
#include "walk.h"
#include "worker.h"

#define PAUSE_MAX UINT64_C(1000) /* milliseconds of the control thread's that are made up for */
#define TURN_MAX  UINT64_C(2048) /* SAs that are looked at in one turn: half of an inbox */

/* ---- control thread ---- */

static void
send_dummy(struct dataplane *dp, const struct sa_control *c)
{
	const struct sa *sa = c->sa;
	struct rte_mbuf *m;

	if (c->state != SA_VALID || sa->proto != IPPROTO_ESP || (sa->flags & SA_IN_ONLY) != 0)
		return;
	m = made_new(dp, sa, &sa->dst, ESP_NEXT_NONE,
		     sa->family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr)
					     : sizeof(struct rte_ipv6_hdr));
	if (m == NULL)
		return;
	packet(m)->dummy_spi = sa->spi;
	packet(m)->dummy_carrier = sa->carrier;
	made_send(dp, sa, m, RESUME_DUMMY);
}

/* How many SAs are to be looked at. */
static unsigned int
due(struct dummies *d, const struct dataplane *dp, uint64_t milliseconds)
{
	uint64_t passed = d->then == 0 ? 0 : milliseconds - d->then;
	uint64_t mean =
		RTE_MIN(passed, PAUSE_MAX) * dp->config->tunnels.dummy_rate * sad_count(dp->sad);
	uint64_t n;

	d->then = milliseconds;
	d->owed += rte_rand_max(2 * mean + 1);
	n = RTE_MIN(d->owed / 1000, TURN_MAX);
	d->owed = n == TURN_MAX ? 0 : d->owed % 1000;
	return (unsigned int)n;
}

/* The next SA on the way round. NULL where there is none at all. */
static const struct sa_control *
next_sa(struct dummies *d, const struct dataplane *dp)
{
	const struct sa_control *c = sad_next(dp->sad, &d->cursor);

	if (c != NULL)
		return c;
	d->cursor = 0;
	return sad_next(dp->sad, &d->cursor);
}

void
dummies_tick(struct dummies *d, struct dataplane *dp, uint64_t milliseconds)
{
	const struct sa_control *c;

	if (dp->config->tunnels.dummy_rate == 0)
		return;
	for (unsigned int n = due(d, dp, milliseconds); n > 0; n--) {
		c = next_sa(d, dp);
		if (c != NULL)
			send_dummy(dp, c);
	}
}

/* ---- workers ---- */

static struct sa *
sa_of_dummy(const struct worker *w, const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	union ip_addr src = ip_src(m), dst = ip_dst(m);

	return sad_lookup_outbound(w->dp->sad, p->dummy_spi, &src, &dst, p->family,
				   p->dummy_carrier);
}

/* As long as all others where the SA has it so, else of any length that its way takes. */
static void
lengthen(struct worker *w, struct rte_mbuf *m)
{
	uint32_t tfcpad = packet(m)->sa->tfcpad, len = rte_pktmbuf_pkt_len(m);
	uint32_t buffer = len + rte_pktmbuf_tailroom(m) - PACKET_TAILROOM, room = pmtu_room(w, m);
	uint32_t longest = RTE_MIN(buffer, room), more;

	if (tfcpad != 0)
		longest = RTE_MIN(longest, tfcpad);
	more = longest - RTE_MIN(len, longest);
	if (tfcpad == 0)
		more = (uint32_t)rte_rand_max(more + UINT64_C(1));
	memset(packet_append(m, (uint16_t)more), 0, more);
}

/*
 * Its SA may be gone meanwhile, or another worker's, or have so many packets that some are sealed
 * elsewhere, whom a dummy must not overtake.
 */
static bool
may_send(const struct worker *w, const struct sa *sa)
{
	return sa_owner(sa) == w->id && (w->lent == 0 || !spread_has(w, sa));
}

void
dummy_number(struct worker *w, struct burst *b)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];
		struct sa *sa = sa_of_dummy(w, m);
		uint64_t seq;

		if (sa == NULL || !may_send(w, sa) || sa_seq_reserve(sa, 1, &seq) == 0) {
			packet_consume(w, m);
			continue;
		}
		packet(m)->sa = sa;
		packet_set_seq(m, seq);
		lengthen(w, m);
		b->m[kept++] = m;
	}
	b->n = (uint16_t)kept;
}

/* What makes it a dummy stands in front of the ICV, before the crypto. */
void
dummy_mark(struct worker *w, struct burst *b)
{
	(void)w;
	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];
		uint32_t end = rte_pktmbuf_pkt_len(m) - packet(m)->sa->icv_len;

		*rte_pktmbuf_mtod_offset(m, uint8_t *, end - 1) = ESP_NEXT_NONE;
	}
}
