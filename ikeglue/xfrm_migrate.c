/* SPDX-License-Identifier: BSD-3-Clause */
/* MIGRATE, both ways: a policy, and for which of its SAs tunnel endpoints change to which. */
#include <errno.h>

#include "xfrm_message.h"
#include "xfrm_parts.h"

static int
decode_step(const struct xfrm_user_migrate *x, struct xfrm_step *step, struct reason *why)
{
	int rc = xfrm_decode_family(x->old_family, "old endpoints", &step->old_family, why);

	if (rc < 0)
		return rc;
	rc = xfrm_decode_family(x->new_family, "new endpoints", &step->new_family, why);
	if (rc < 0)
		return rc;
	step->old_src = xfrm_decode_address(&x->old_saddr, step->old_family);
	step->old_dst = xfrm_decode_address(&x->old_daddr, step->old_family);
	step->new_src = xfrm_decode_address(&x->new_saddr, step->new_family);
	step->new_dst = xfrm_decode_address(&x->new_daddr, step->new_family);
	step->proto = x->proto;
	step->mode = x->mode;
	step->reqid = x->reqid;
	if (ip_addr_is_any(&step->new_src) || ip_addr_is_any(&step->new_dst))
		return reason_set(why, EINVAL, "a new endpoint is no address");
	return 0;
}

int
xfrm_decode_migration(const struct xfrm_userpolicy_id *x, const struct xfrm_attrs *attrs,
		      struct xfrm_migration *to, struct reason *why)
{
	size_t len = attrs->len[XFRMA_MIGRATE];
	struct xfrm_user_migrate step;
	uint32_t index;
	int rc = xfrm_decode_policy_id(x, attrs, &to->id, &index, why);

	if (rc < 0)
		return rc;
	if (index != 0)
		return reason_set(why, EOPNOTSUPP, "a migration names its policy by the selector");
	to->steps = (uint32_t)(len / sizeof(step));
	if (to->steps == 0 || to->steps > XFRM_MAX_DEPTH || len % sizeof(step) != 0)
		return reason_set(why, EINVAL,
				  "bad length of XFRMA_MIGRATE: %zu, expected 1 to %u times %zu",
				  len, XFRM_MAX_DEPTH, sizeof(step));
	for (uint32_t i = 0; i < to->steps; i++) {
		memcpy(&step, attrs->data[XFRMA_MIGRATE] + i * sizeof(step), sizeof(step));
		rc = decode_step(&step, &to->step[i], why);
		if (rc < 0)
			return rc;
	}
	to->has_ends = xfrm_attr_get(attrs, XFRMA_KMADDRESS, &to->ends);
	return xfrm_decode_encap(attrs, false, &to->encap, why);
}

static struct xfrm_user_migrate
write_step(const struct xfrm_step *step)
{
	struct xfrm_user_migrate x = {
		.proto = step->proto,
		.mode = step->mode,
		.reqid = step->reqid,
		.old_family = xfrm_write_family(step->old_family),
		.new_family = xfrm_write_family(step->new_family),
	};

	xfrm_write_address(&x.old_saddr, &step->old_src);
	xfrm_write_address(&x.old_daddr, &step->old_dst);
	xfrm_write_address(&x.new_saddr, &step->new_src);
	xfrm_write_address(&x.new_daddr, &step->new_dst);
	return x;
}

bool
xfrm_encode_migration(struct xfrm_buf *buf, const struct xfrm_head *head,
		      const struct xfrm_migration *m)
{
	struct xfrm_userpolicy_id id;

	memset(&id, 0, sizeof(id));
	id.dir = m->id.dir;
	xfrm_write_selector(&id.sel, &m->id.sel);
	xfrm_begin(buf, head, &id, sizeof(id));
	if (m->has_ends)
		xfrm_attr_put(buf, XFRMA_KMADDRESS, &m->ends, sizeof(m->ends));
	if (m->encap.encap_type)
		xfrm_attr_put(buf, XFRMA_ENCAP, &m->encap, sizeof(m->encap));
	xfrm_put_policy_type(buf);
	xfrm_put_tenant(buf, m->id.if_id, m->id.mark);
	/* An attribute each, unlike in a request. */
	for (uint32_t i = 0; i < m->steps; i++) {
		const struct xfrm_user_migrate x = write_step(&m->step[i]);

		xfrm_attr_put(buf, XFRMA_MIGRATE, &x, sizeof(x));
	}
	return xfrm_end(buf);
}
