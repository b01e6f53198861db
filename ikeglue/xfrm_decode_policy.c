/* SPDX-License-Identifier: BSD-3-Clause */
/* Policies: selectors, templates, identities. */
#include <errno.h>

#include "xfrm_parts.h"

int
xfrm_decode_policy_type(const struct xfrm_attrs *attrs, struct reason *why)
{
	struct xfrm_userpolicy_type x;

	if (xfrm_attr_get(attrs, XFRMA_POLICY_TYPE, &x) && x.type != XFRM_POLICY_TYPE_MAIN &&
	    x.type != XFRM_POLICY_TYPE_ANY)
		return reason_set(why, EOPNOTSUPP,
				  "policy type %u is not supported, only main (%u)", x.type,
				  XFRM_POLICY_TYPE_MAIN);
	return 0;
}

/* `by_index`: then the selector is not looked at, and may be anything. */
static int
decode_identity(const struct xfrm_selector *sel, uint8_t dir, bool by_index,
		const struct xfrm_attrs *attrs, struct spd_id *id, struct reason *why)
{
	int rc;

	if (dir >= SPD_DIRS)
		return reason_set(why, EINVAL,
				  "bad direction: %u, expected in (%u), out (%u) or "
				  "fwd (%u)",
				  dir, SPD_IN, SPD_OUT, SPD_FWD);
	rc = xfrm_decode_policy_type(attrs, why);
	if (rc < 0)
		return rc;
	id->dir = dir;
	xfrm_attr_get(attrs, XFRMA_IF_ID, &id->if_id);
	rc = xfrm_attr_mark(attrs, &id->mark, why);
	if (rc < 0)
		return rc;
	if (by_index)
		return 0;
	rc = xfrm_decode_selector(sel, 0, &id->sel, why);
	if (rc == 0 && id->sel.family == 0)
		return reason_set(why, EINVAL, "the policy's selector needs a family");
	return rc;
}

int
xfrm_decode_policy_id(const struct xfrm_userpolicy_id *x, const struct xfrm_attrs *attrs,
		      struct spd_id *id, uint32_t *index, struct reason *why)
{
	*index = x->index;
	return decode_identity(&x->sel, x->dir, x->index != 0, attrs, id, why);
}

static int
decode_template(const struct xfrm_user_tmpl *x, uint8_t family, struct spd_template *tmpl,
		struct reason *why)
{
	int rc;

	if (x->id.proto != IPPROTO_ESP && x->id.proto != IPPROTO_AH)
		return reason_set(
			why, EPROTONOSUPPORT,
			"a template's protocol %u is not supported, only ESP (%u) and AH (%u)",
			x->id.proto, IPPROTO_ESP, IPPROTO_AH);
	rc = xfrm_decode_mode(x->mode, "template", why);
	if (rc < 0)
		return rc;
	tmpl->family = family;
	if (x->family != AF_UNSPEC) {
		rc = xfrm_decode_family(x->family, "template", &tmpl->family, why);
		if (rc < 0)
			return rc;
	}
	tmpl->src = xfrm_decode_address(&x->saddr, tmpl->family);
	tmpl->dst = xfrm_decode_address(&x->id.daddr, tmpl->family);
	tmpl->proto = x->id.proto;
	tmpl->mode = x->mode;
	tmpl->optional = x->optional != 0;
	tmpl->spi = x->id.spi;
	tmpl->reqid = x->reqid;
	return 0;
}

static int
decode_templates(const struct xfrm_attrs *attrs, struct spd_params *p, struct reason *why)
{
	size_t len = attrs->len[XFRMA_TMPL];
	struct xfrm_user_tmpl x;

	if (!attrs->data[XFRMA_TMPL])
		return 0;
	if (len % sizeof(x) != 0)
		return reason_set(why, EINVAL,
				  "bad length of XFRMA_TMPL: %zu, expected a multiple "
				  "of %zu",
				  len, sizeof(x));
	if (len > sizeof(x))
		return reason_set(why, EOPNOTSUPP,
				  "templates of more than one step are not supported: %zu steps",
				  len / sizeof(x));
	if (p->action == SPD_DISCARD)
		return reason_set(why, EINVAL, "a policy that blocks has no template");
	memcpy(&x, attrs->data[XFRMA_TMPL], sizeof(x));
	p->action = SPD_PROTECT;
	return decode_template(&x, p->id.sel.family, &p->tmpl, why);
}

static bool
ends(uint64_t limit)
{
	return limit != 0 && limit != XFRM_INF;
}

/* Only time ends a policy, as in the kernel, which would not say so. */
static int
decode_limits(const struct xfrm_lifetime_cfg *x, struct sa_limits *limits, struct reason *why)
{
	xfrm_decode_limits(x, limits);
	if (ends(limits->hard_bytes) || ends(limits->hard_packets))
		return reason_set(why, EOPNOTSUPP,
				  "hard limits of a policy in bytes and packets are not "
				  "supported, only in seconds");
	return 0;
}

int
xfrm_decode_policy(const struct xfrm_userpolicy_info *x, const struct xfrm_attrs *attrs,
		   struct spd_params *p, struct reason *why)
{
	int rc;

	rc = decode_identity(&x->sel, x->dir, false, attrs, &p->id, why);
	if (rc < 0)
		return rc;
	if (x->index != 0)
		return reason_set(why, EOPNOTSUPP, "a policy's index is the engine's choice");
	if (x->action != XFRM_POLICY_ALLOW && x->action != XFRM_POLICY_BLOCK)
		return reason_set(why, EINVAL, "bad action: %u, expected allow (%u) or block (%u)",
				  x->action, XFRM_POLICY_ALLOW, XFRM_POLICY_BLOCK);
	if (x->flags & ~(XFRM_POLICY_LOCALOK | XFRM_POLICY_ICMP | XFRM_POLICY_CPU_ACQUIRE))
		return reason_set(why, EINVAL, "bad policy flags: 0x%x", x->flags);
	if (x->share > XFRM_SHARE_UNIQUE)
		return reason_set(why, EINVAL, "bad share: %u", x->share);
	p->action = x->action == XFRM_POLICY_ALLOW ? SPD_BYPASS : SPD_DISCARD;
	p->priority = x->priority;
	p->flags = x->flags;
	p->share = x->share;
	rc = decode_limits(&x->lft, &p->limits, why);
	if (rc < 0)
		return rc;
	return decode_templates(attrs, p, why);
}
