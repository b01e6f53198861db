/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about policies, and the acquire that a policy without an SA gives rise to. */
#include "xfrm_message.h"

static void
write_policy(struct xfrm_userpolicy_info *info, const struct xfrm_policy *policy)
{
	const struct spd_params *p = policy->params;

	memset(info, 0, sizeof(*info));
	xfrm_write_selector(&info->sel, &p->id.sel);
	xfrm_write_limits(&info->lft, &p->limits);
	info->curlft.add_time = policy->added;
	info->curlft.use_time = policy->used;
	info->priority = p->priority;
	info->index = policy->index;
	info->dir = p->id.dir;
	info->action = p->action == SPD_DISCARD ? XFRM_POLICY_BLOCK : XFRM_POLICY_ALLOW;
	info->flags = p->flags;
	info->share = p->share;
}

static void
put_template(struct xfrm_buf *buf, const struct spd_params *p)
{
	const struct spd_template *t = &p->tmpl;
	struct xfrm_user_tmpl x;

	if (p->action != SPD_PROTECT)
		return;
	memset(&x, 0, sizeof(x));
	x.id.spi = t->spi;
	x.id.proto = t->proto;
	x.family = xfrm_write_family(t->family);
	x.reqid = t->reqid;
	x.mode = t->mode;
	x.optional = t->optional;
	x.aalgos = x.ealgos = x.calgos = UINT32_MAX;
	xfrm_write_address(&x.id.daddr, &t->dst);
	xfrm_write_address(&x.saddr, &t->src);
	xfrm_attr_put(buf, XFRMA_TMPL, &x, sizeof(x));
}

static void
put_attributes(struct xfrm_buf *buf, const struct spd_params *p)
{
	put_template(buf, p);
	xfrm_put_policy_type(buf);
	xfrm_put_tenant(buf, p->id.if_id, p->id.mark);
}

bool
xfrm_encode_policy(struct xfrm_buf *buf, const struct xfrm_head *head,
		   const struct xfrm_policy *policy)
{
	struct xfrm_userpolicy_info info;

	write_policy(&info, policy);
	xfrm_begin(buf, head, &info, sizeof(info));
	put_attributes(buf, policy->params);
	return xfrm_end(buf);
}

bool
xfrm_encode_policy_deleted(struct xfrm_buf *buf, const struct xfrm_head *head,
			   const struct xfrm_policy *policy, bool by_index)
{
	struct xfrm_userpolicy_info info;
	struct xfrm_userpolicy_id id;

	memset(&id, 0, sizeof(id));
	id.dir = policy->params->id.dir;
	if (by_index)
		id.index = policy->index;
	else
		xfrm_write_selector(&id.sel, &policy->params->id.sel);
	write_policy(&info, policy);
	xfrm_begin(buf, head, &id, sizeof(id));
	xfrm_attr_put(buf, XFRMA_POLICY, &info, sizeof(info));
	put_attributes(buf, policy->params);
	return xfrm_end(buf);
}

bool
xfrm_encode_policy_expire(struct xfrm_buf *buf, const struct xfrm_head *head,
			  const struct xfrm_policy *policy, bool hard)
{
	struct xfrm_user_polexpire x;

	memset(&x, 0, sizeof(x));
	x.hard = hard;
	write_policy(&x.pol, policy);
	xfrm_begin(buf, head, &x, sizeof(x));
	put_attributes(buf, policy->params);
	return xfrm_end(buf);
}

bool
xfrm_encode_flush_policy(struct xfrm_buf *buf, const struct xfrm_head *head)
{
	xfrm_begin(buf, head, NULL, 0);
	xfrm_put_policy_type(buf);
	return xfrm_end(buf);
}

/* The flow that asks, as a selector of one address each. */
static void
write_flow(struct xfrm_selector *to, const struct flow *flow)
{
	uint8_t bits = flow->family == FAMILY_V4 ? 32 : 128;
	struct selector sel = {
		.src = flow->src,
		.dst = flow->dst,
		.src_len = bits,
		.dst_len = bits,
		.family = flow->family,
		.proto = flow->proto,
	};

	if (!flow->ports_opaque) {
		sel.sport = flow->sport;
		sel.dport = flow->dport;
		sel.sport_mask = sel.dport_mask = 0xffff;
	}
	xfrm_write_selector(to, &sel);
}

bool
xfrm_encode_acquire(struct xfrm_buf *buf, const struct xfrm_head *head,
		    const struct xfrm_policy *policy, const struct flow *flow, uint32_t acquire_seq)
{
	const struct spd_template *t = &policy->params->tmpl;
	struct xfrm_user_acquire x;

	memset(&x, 0, sizeof(x));
	x.id.spi = t->spi;
	x.id.proto = t->proto;
	x.aalgos = x.ealgos = x.calgos = UINT32_MAX;
	x.seq = acquire_seq;
	xfrm_write_address(&x.id.daddr, &t->dst);
	xfrm_write_address(&x.saddr, &t->src);
	write_flow(&x.sel, flow);
	write_policy(&x.policy, policy);
	xfrm_begin(buf, head, &x, sizeof(x));
	put_attributes(buf, policy->params);
	return xfrm_end(buf);
}
