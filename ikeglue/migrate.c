/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MIGRATE: SAs and the template of their policy change their tunnel endpoints. SAs first: until
 * the policy names the new endpoints it finds no SA, and nothing leaves.
 */
#include <errno.h>

#include "ctl.h"

static bool
names_template(const struct xfrm_step *step, const struct spd_params *p)
{
	const struct spd_template *t = &p->tmpl;

	return p->action == SPD_PROTECT && t->family == step->old_family &&
	       t->proto == step->proto && t->mode == step->mode &&
	       (step->reqid == 0 || t->reqid == step->reqid) &&
	       ip_addr_equal(&t->src, &step->old_src) && ip_addr_equal(&t->dst, &step->old_dst);
}

static bool
names_sa(const struct xfrm_step *step, const struct sa_control *c)
{
	const struct sa_params *p = &c->params;

	return c->state == SA_VALID && p->id.family == step->old_family &&
	       p->id.proto == step->proto && p->mode == step->mode &&
	       (step->reqid == 0 || p->reqid == step->reqid) &&
	       ip_addr_equal(&p->src, &step->old_src) && ip_addr_equal(&p->id.dst, &step->old_dst);
}

static int
move_sas(struct sad *sad, const struct xfrm_step *step, struct reason *why)
{
	struct sa_control *c;
	uint32_t cursor = 0;
	int rc;

	while ((c = sad_next(sad, &cursor))) {
		if (!names_sa(step, c))
			continue;
		rc = sad_move(sad, c, step->new_family, &step->new_src, &step->new_dst, why);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The policy's parameters with the new endpoints. -ENODATA where no step is about it. */
static int
move_template(const struct xfrm_migration *m, struct spd_params *p, struct reason *why)
{
	for (uint32_t i = 0; i < m->steps; i++) {
		if (!names_template(&m->step[i], p))
			continue;
		p->tmpl.family = m->step[i].new_family;
		p->tmpl.src = m->step[i].new_src;
		p->tmpl.dst = m->step[i].new_dst;
		return 0;
	}
	return reason_set(why, ENODATA, "the policy's template has none of the old endpoints");
}

int
migrate(struct ctl *ctl, const struct xfrm_migration *m, struct reason *why)
{
	const struct policy *policy = spd_find(ctl->spd, &m->id, 0);
	struct spd_params p;
	int rc;

	if (!policy)
		return reason_set(why, ENOENT,
				  "no policy has this selector, direction, if_id and mark");
	p = policy->params;
	rc = move_template(m, &p, why);
	for (uint32_t i = 0; rc == 0 && i < m->steps; i++)
		rc = move_sas(ctl->sad, &m->step[i], why);
	return rc < 0 ? rc : spd_add(ctl->spd, &p, true, why);
}
