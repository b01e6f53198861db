/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AE events: whoever keeps a second gateway ready is told the numbers of SAs that move: of an SA
 * that has XFRMA_REPLAY_THRESH once so many have been used, and, as of every other, once a while
 * has passed (XFRMA_ETIMER_THRESH). Workers know nothing of it: while somebody subscribes, SAs are
 * looked at, a few at a time.
 */
#include "ctl.h"
#include "xfrm_uapi.h"

#define LOOK_MS 10

static uint64_t
numbers_of(const struct ctl *ctl, const struct sa_control *c)
{
	uint64_t out, in;
	uint32_t none;

	sad_sequences(ctl->sad, c, &out, &in, &none, 0);
	return out + in; /* an SA uses one of them */
}

/* XFRM_AE_CR, XFRM_AE_CE or 0: why they are to be told now. */
static uint32_t
reason_to_tell(const struct ctl *ctl, const struct sa_control *c, uint64_t numbers)
{
	uint64_t told = c->extra ? c->extra->told : 0, told_at = c->extra ? c->extra->told_at : 0;
	struct sa_params p;

	if (numbers == told)
		return 0;
	p = sad_params(c);
	if (p.ae_numbers != 0 && numbers - told >= p.ae_numbers)
		return XFRM_AE_CR;
	if (p.ae_tenths != 0 && ctl->now - told_at >= UINT64_C(100) * p.ae_tenths)
		return XFRM_AE_CE;
	return 0;
}

void
numbers_set(struct ctl *ctl, const struct xfrm_head *cause, struct sa_control *c)
{
	if (sad_extra(c))
		c->extra->told = numbers_of(ctl, c);
	event_ae(ctl, cause, c, XFRM_AE_CU);
}

static void
look(struct ctl *ctl, struct sa_control *c)
{
	const struct xfrm_head nobody = {.type = XFRM_MSG_NEWAE};
	uint64_t numbers = numbers_of(ctl, c);
	uint32_t why = reason_to_tell(ctl, c, numbers);

	if (why == 0 || !sad_extra(c))
		return;
	c->extra->told = numbers;
	c->extra->told_at = ctl->now;
	event_ae(ctl, &nobody, c, why);
}

void
numbers_tick(struct ctl *ctl)
{
	struct sa_control *c = NULL;

	if (ctl->now < ctl->numbers_due || !event_wanted(ctl, XFRMNLGRP_AEVENTS))
		return;
	ctl->numbers_due = ctl->now + LOOK_MS;
	for (unsigned int i = 0; i < CTL_SAS_BURST; i++) {
		c = sad_next(ctl->sad, &ctl->numbers_cursor);
		if (!c)
			break;
		if (c->state == SA_VALID)
			look(ctl, c);
	}
	if (!c)
		ctl->numbers_cursor = 0;
}
