/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MIGRATE: SAs and the template of their policy change their tunnel endpoints, and SAs their UDP
 * encapsulation: what the message says, or none. SAs first: until the policy names the new
 * endpoints it finds no SA, and nothing leaves.
 */
#include <errno.h>
#include <string.h>

#include "ctl.h"

/* ---- the policy ---- */

/* In transport mode a template may leave the addresses to its policy. */
static bool
names_template(const struct xfrm_step *step, const struct spd_params *p)
{
	const struct spd_template *t = &p->tmpl;

	if (p->action != SPD_PROTECT || t->proto != step->proto || t->mode != step->mode ||
	    (step->reqid != 0 && t->reqid != step->reqid))
		return false;
	if (t->mode == SA_MODE_TRANSPORT && ip_addr_is_any(&t->src) && ip_addr_is_any(&t->dst))
		return true;
	return t->family == step->old_family && ip_addr_equal(&t->src, &step->old_src) &&
	       ip_addr_equal(&t->dst, &step->old_dst);
}

static const struct xfrm_step *
step_of(const struct xfrm_migration *m, const struct spd_params *p)
{
	for (uint32_t i = 0; i < m->steps; i++)
		if (names_template(&m->step[i], p))
			return &m->step[i];
	return NULL;
}

static bool
same_prefixes(const struct selector *a, const struct selector *b)
{
	return a->family == b->family && a->src_len == b->src_len && a->dst_len == b->dst_len &&
	       ip_addr_equal(&a->src, &b->src) && ip_addr_equal(&a->dst, &b->dst);
}

static bool
names_policy(const struct spd_id *name, const struct spd_id *id)
{
	return name->dir == id->dir && (name->if_id == 0 || name->if_id == id->if_id) &&
	       (name->mark == 0 || name->mark == id->mark) &&
	       (name->sel.proto == 0 ? same_prefixes(&name->sel, &id->sel)
				     : selector_equal(&name->sel, &id->sel));
}

/*
 * As in the kernel, a name without a protocol (libreswan says none), if_id or mark is also that of
 * policies that have one: of several the first, of which a template is to move.
 */
static const struct policy *
find_policy(struct spd *spd, const struct xfrm_migration *m)
{
	const struct policy *first = spd_find(spd, &m->id, 0), *policy;
	uint32_t cursor = 0, best = 0;
	struct spd_params p;

	if (first)
		return first;
	while ((policy = spd_next(spd, &cursor))) {
		p = spd_params(policy);
		if (!names_policy(&m->id, &p.id) || !step_of(m, &p) ||
		    (first && p.priority >= best))
			continue;
		first = policy;
		best = p.priority;
	}
	return first;
}

static void
move_template(const struct xfrm_step *step, struct spd_template *t)
{
	if (t->mode == SA_MODE_TRANSPORT && ip_addr_is_any(&t->dst))
		return;
	t->family = step->new_family;
	t->src = step->new_src;
	t->dst = step->new_dst;
}

/* ---- its SAs ---- */

static bool
names_sa(const struct xfrm_step *step, uint32_t if_id, const struct sa_control *c)
{
	const struct sa *sa = c->sa;

	return c->state == SA_VALID && sa->family == step->old_family && sa->proto == step->proto &&
	       sa->mode == step->mode && sa->if_id == if_id &&
	       (step->reqid == 0 || sa->reqid == step->reqid) &&
	       ip_addr_equal(&sa->src, &step->old_src) && ip_addr_equal(&sa->dst, &step->old_dst);
}

/* What goes with UDP encapsulation goes with it (decode_nat()). */
static void
set_encap(struct sa_params *p, const struct xfrm_encap_tmpl *x)
{
	p->flags &= (uint16_t)~SA_ENCAP_UDP;
	p->encap_type = x->encap_type;
	p->encap_sport = x->encap_sport;
	p->encap_dport = x->encap_dport;
	memset(&p->encap_oa, 0, sizeof(p->encap_oa));
	memcpy(&p->encap_oa, &x->encap_oa, p->id.family == FAMILY_V4 ? 4 : 16);
	if (x->encap_type)
		p->flags |= SA_ENCAP_UDP;
	else
		p->nat_keepalive = p->mapping_seconds = 0;
}

/* sad_move(), or before it of all sad_may_move(), so that one in the way leaves all where they are.
 */
typedef int move_fn(struct sad *sad, struct sa_control *c, struct sa_params *to,
		    struct reason *why);

/* One that is where it is to be stays: it may be met again while others move. */
static int
move_sa(struct sad *sad, struct sa_control *c, const struct xfrm_step *step,
	const struct xfrm_encap_tmpl *encap, move_fn *move, struct reason *why)
{
	struct sa_params from, to;
	int rc = 0;

	sad_params_and_keys(c, &from);
	memcpy(&to, &from, sizeof(to));
	to.id.family = step->new_family;
	to.id.dst = step->new_dst;
	to.src = step->new_src;
	set_encap(&to, encap);
	if (memcmp(&to, &from, sizeof(to)) != 0)
		rc = move(sad, c, &to, why);
	crypto_zeroize(&from, sizeof(from));
	crypto_zeroize(&to, sizeof(to));
	return rc;
}

static int
move_sas(struct sad *sad, const struct xfrm_migration *m, uint32_t if_id, move_fn *move,
	 struct reason *why)
{
	struct sa_control *c;
	int rc = 0;

	for (uint32_t i = 0; i < m->steps; i++)
		for (uint32_t cursor = 0; rc == 0 && (c = sad_next(sad, &cursor));)
			if (names_sa(&m->step[i], if_id, c))
				rc = move_sa(sad, c, &m->step[i], &m->encap, move, why);
	return rc;
}

int
migrate(struct ctl *ctl, const struct xfrm_migration *m, struct reason *why)
{
	const struct policy *policy = find_policy(ctl->spd, m);
	const struct xfrm_step *step;
	struct spd_params p;
	int rc;

	if (!policy)
		return reason_set(why, ENOENT,
				  "no policy has this selector, direction, if_id and mark");
	p = spd_params(policy);
	step = step_of(m, &p);
	if (!step)
		return reason_set(why, ENODATA,
				  "the policy's template has none of the old endpoints");
	move_template(step, &p.tmpl);
	rc = move_sas(ctl->sad, m, p.id.if_id, sad_may_move, why);
	if (rc == 0)
		rc = move_sas(ctl->sad, m, p.id.if_id, sad_move, why);
	return rc < 0 ? rc : spd_add(ctl->spd, &p, true, why);
}
