/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An IKE daemon comes back to an engine that has begun anew, and says which SAs it had. Those that
 * are not here it shall replace: it is told that their soft lifetime is over, and each leaves a
 * larval SA, so that its SPI is not given out again as long as the daemon has the old one, and can
 * be deleted.
 */
#include "ctl.h"
#include "xfrm_uapi.h"

#define REPLACE_SECONDS 165 /* as long as strongSwan tries to reach the peer */

/* The SA with that identity, larval unless it is there, or NULL where there can be none. */
static struct sa_control *
stand_in(struct sad *sad, struct sa_params *p)
{
	struct sa_control *c = sad_find(sad, &p->id);
	uint32_t spi = rte_be_to_cpu_32(p->id.spi);
	struct reason why;

	if (c)
		return c;
	p->seq = 0; /* no repetition of another request */
	if (sad_alloc_spi(sad, p, spi, spi, REPLACE_SECONDS, &p->id.spi, &why) < 0)
		CTL_LOG(WARNING, "SPI 0x%08x of a lost SA: %s\n", spi, why.text);
	return sad_find(sad, &p->id);
}

void
lost_sa(struct ctl *ctl, struct client *client, struct sa_params *p)
{
	const struct xfrm_head head = {.type = XFRM_MSG_EXPIRE};
	struct sa_control *c = stand_in(ctl->sad, p);
	struct xfrm_buf buf = {.len = 0};
	struct sa_params params;
	struct xfrm_sa sa;

	if (c && c->state != SA_LARVAL)
		owner_claim(ctl, client, c);
	if (!c || c->state != SA_LARVAL)
		return;
	CTL_LOG(INFO, "process %d had an SA with SPI 0x%08x: to be replaced\n", (int)client->pid,
		rte_be_to_cpu_32(p->id.spi));
	params = sad_params(c);
	sa = sa_snapshot(ctl, c, &params);
	if (xfrm_encode_expire(&buf, &head, &sa, false))
		client_event(ctl, client, &buf);
}
