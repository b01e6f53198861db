/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events: what the subscribers of a multicast group are told, as the kernel tells it. Keys are
 * zeros in them: only who asks for an SA by GETSA gets its keys.
 */
#include "ctl.h"
#include "xfrm_uapi.h"

struct xfrm_sa
sa_snapshot(const struct ctl *ctl, const struct sa_control *c, const struct sa_params *params)
{
	struct xfrm_sa sa = {
		.params = params,
		.added = c->added_ms / 1000,
		.larval = c->state == SA_LARVAL,
	};

	if (sa.larval)
		return sa;
	sa.usage = sad_usage(ctl->sad, c);
	sad_sequences(ctl->sad, c, &sa.out_seq, &sa.in_seq, sa.bitmap,
		      sizeof(sa.bitmap) / sizeof(sa.bitmap[0]));
	return sa;
}

struct xfrm_policy
policy_snapshot(const struct policy *policy, const struct spd_params *params)
{
	return (struct xfrm_policy){
		.params = params,
		.index = policy->index,
		.added = spd_added(policy),
		/* Relaxed: a time for people, read alone. */
		.used = atomic_load_explicit(&policy->used, memory_order_relaxed),
	};
}

bool
event_wanted(const struct ctl *ctl, uint32_t group)
{
	for (const struct client *client = ctl->clients; client; client = client->next)
		if (client->groups >> (group - 1) & 1)
			return true;
	return false;
}

static void
publish(struct ctl *ctl, uint32_t group, const struct xfrm_buf *buf)
{
	for (struct client *client = ctl->clients; client; client = client->next)
		if (client->groups >> (group - 1) & 1)
			client_event(ctl, client, buf);
}

/* Events carry the number of the request that caused them, and no flags of it. */
static struct xfrm_head
event_head(const struct xfrm_head *cause)
{
	return (struct xfrm_head){.type = cause->type, .seq = cause->seq, .port = cause->port};
}

void
event_sa(struct ctl *ctl, const struct xfrm_head *cause, const struct sa_control *c)
{
	const struct xfrm_head head = event_head(cause);
	struct xfrm_buf buf = {.len = 0};
	struct sa_params params;
	struct xfrm_sa sa;

	if (!event_wanted(ctl, XFRMNLGRP_SA))
		return;
	params = sad_params(c);
	sa = sa_snapshot(ctl, c, &params);
	sa.hide_keys = true;
	if (xfrm_encode_sa(&buf, &head, &sa))
		publish(ctl, XFRMNLGRP_SA, &buf);
}

void
event_sa_deleted(struct ctl *ctl, const struct xfrm_head *cause, const struct sa_control *c)
{
	const struct xfrm_head head = event_head(cause);
	struct xfrm_buf buf = {.len = 0};
	struct sa_params params;
	struct xfrm_sa sa;

	if (!event_wanted(ctl, XFRMNLGRP_SA))
		return;
	params = sad_params(c);
	sa = sa_snapshot(ctl, c, &params);
	sa.hide_keys = true;
	if (xfrm_encode_sa_deleted(&buf, &head, &sa))
		publish(ctl, XFRMNLGRP_SA, &buf);
}

void
event_sa_flushed(struct ctl *ctl, const struct xfrm_head *cause, uint8_t proto)
{
	const struct xfrm_head head = event_head(cause);
	struct xfrm_buf buf = {.len = 0};

	if (xfrm_encode_flush_sa(&buf, &head, proto))
		publish(ctl, XFRMNLGRP_SA, &buf);
}

void
event_policy(struct ctl *ctl, const struct xfrm_head *cause, const struct policy *policy)
{
	const struct xfrm_head head = event_head(cause);
	const struct spd_params params = spd_params(policy);
	const struct xfrm_policy p = policy_snapshot(policy, &params);
	struct xfrm_buf buf = {.len = 0};

	if (xfrm_encode_policy(&buf, &head, &p))
		publish(ctl, XFRMNLGRP_POLICY, &buf);
}

void
event_policy_deleted(struct ctl *ctl, const struct xfrm_head *cause, const struct policy *policy,
		     bool by_index)
{
	const struct xfrm_head head = event_head(cause);
	const struct spd_params params = spd_params(policy);
	const struct xfrm_policy p = policy_snapshot(policy, &params);
	struct xfrm_buf buf = {.len = 0};

	if (xfrm_encode_policy_deleted(&buf, &head, &p, by_index))
		publish(ctl, XFRMNLGRP_POLICY, &buf);
}

void
event_policies_flushed(struct ctl *ctl, const struct xfrm_head *cause)
{
	const struct xfrm_head head = event_head(cause);
	struct xfrm_buf buf = {.len = 0};

	if (xfrm_encode_flush_policy(&buf, &head))
		publish(ctl, XFRMNLGRP_POLICY, &buf);
}

void
event_expire(void *ctx, struct sa_control *c, bool hard)
{
	const struct xfrm_head head = {.type = XFRM_MSG_EXPIRE};
	struct xfrm_buf buf = {.len = 0};
	struct ctl *ctl = ctx;
	struct sa_params params;
	struct xfrm_sa sa;

	if (!event_wanted(ctl, XFRMNLGRP_EXPIRE))
		return;
	params = sad_params(c);
	sa = sa_snapshot(ctl, c, &params);
	if (xfrm_encode_expire(&buf, &head, &sa, hard))
		publish(ctl, XFRMNLGRP_EXPIRE, &buf);
}

void
event_policy_expire(void *ctx, const struct policy *policy, bool hard)
{
	const struct xfrm_head head = {.type = XFRM_MSG_POLEXPIRE};
	const struct spd_params params = spd_params(policy);
	const struct xfrm_policy p = policy_snapshot(policy, &params);
	struct xfrm_buf buf = {.len = 0};

	if (xfrm_encode_policy_expire(&buf, &head, &p, hard))
		publish(ctx, XFRMNLGRP_EXPIRE, &buf);
}

void
event_migrate(struct ctl *ctl, const struct xfrm_head *cause,
	      const struct xfrm_migration *migration)
{
	const struct xfrm_head head = event_head(cause);
	struct xfrm_buf buf = {.len = 0};

	if (xfrm_encode_migration(&buf, &head, migration))
		publish(ctl, XFRMNLGRP_MIGRATE, &buf);
}

void
event_ae(struct ctl *ctl, const struct xfrm_head *cause, const struct sa_control *c, uint32_t why)
{
	const struct xfrm_head head = event_head(cause);
	struct xfrm_buf buf = {.len = 0};
	struct sa_params params;
	struct xfrm_sa sa;

	if (!event_wanted(ctl, XFRMNLGRP_AEVENTS))
		return;
	params = sad_params(c);
	sa = sa_snapshot(ctl, c, &params);
	if (xfrm_encode_ae(&buf, &head, &sa, why))
		publish(ctl, XFRMNLGRP_AEVENTS, &buf);
}

void
ctl_tick(struct ctl *ctl, uint64_t now)
{
	ctl->now = now;
	owner_tick(ctl);
	numbers_tick(ctl);
}

void
event_mapped(void *ctx, struct sa_control *c, const union ip_addr *src, rte_be16_t sport)
{
	const struct xfrm_head head = {.type = XFRM_MSG_MAPPING};
	const struct sa_params params = sad_params(c);
	struct xfrm_buf buf = {.len = 0};
	struct ctl *ctl = ctx;

	if (xfrm_encode_mapping(&buf, &head, &params, src, sport))
		publish(ctl, XFRMNLGRP_MAPPING, &buf);
}

void
ctl_acquire(struct ctl *ctl, const struct policy *policy, const struct flow *flow)
{
	const struct xfrm_head head = {.type = XFRM_MSG_ACQUIRE};
	const struct spd_params params = spd_params(policy);
	const struct xfrm_policy p = policy_snapshot(policy, &params);
	struct xfrm_buf buf = {.len = 0};

	if (++ctl->acquire_seq == 0)
		ctl->acquire_seq = 1; /* 0 means none */
	if (xfrm_encode_acquire(&buf, &head, &p, flow, ctl->acquire_seq))
		publish(ctl, XFRMNLGRP_ACQUIRE, &buf);
}

bool
ctl_acquire_heard(const struct ctl *ctl)
{
	return event_wanted(ctl, XFRMNLGRP_ACQUIRE);
}
