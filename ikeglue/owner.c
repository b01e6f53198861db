/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose SAs are whose. An IKE daemon is a process that subscribed to EXPIRE events and installs
 * something: what iproute2 adds belongs to nobody, as it goes at once, and its monitor installs
 * nothing. When a daemon's last connection has closed its SAs are orphans, which go on; a daemon
 * that is at work afterwards has negotiated, or will, what it needs, so that some time later they
 * are removed.
 */
#include <inttypes.h>

#include "ctl.h"
#include "xfrm_uapi.h"

static struct client *
other_connection(const struct ctl *ctl, const struct client *of)
{
	for (struct client *c = ctl->clients; c; c = c->next)
		if (c != of && !c->dead && c->process == of->process)
			return c;
	return NULL;
}

static bool
process_subscribed(const struct ctl *ctl, const struct client *of)
{
	for (const struct client *c = ctl->clients; c; c = c->next)
		if (c->process == of->process && c->groups >> (XFRMNLGRP_EXPIRE - 1) & 1)
			return true;
	return false;
}

/* The number that other connections of the process have, or a new one. */
static uint32_t
number_of(struct ctl *ctl, const struct client *of)
{
	for (const struct client *c = ctl->clients; c; c = c->next)
		if (c->process == of->process && c->daemon)
			return c->daemon;
	return ++ctl->daemons;
}

void
owner_works(struct ctl *ctl, struct client *client)
{
	if (client->daemon || !process_subscribed(ctl, client))
		return;
	client->daemon = number_of(ctl, client);
	if (!ctl->orphans || ctl->orphans_due != 0)
		return;
	ctl->orphans_due = ctl->now + UINT64_C(1000) * ctl->orphan_grace;
	ctl->orphans_cursor = 0;
	CTL_LOG(NOTICE,
		"process %d is an IKE daemon: in %u seconds what one before it left behind is "
		"removed\n",
		(int)client->pid, ctl->orphan_grace);
}

void
owner_claim(struct ctl *ctl, struct client *client, struct sa_control *c)
{
	owner_works(ctl, client);
	if (!client->daemon)
		return;
	c->owner = client->daemon;
	c->orphan = false;
}

static unsigned int
orphan_all(struct ctl *ctl, uint32_t owner)
{
	unsigned int count = 0;
	struct sa_control *c;
	uint32_t cursor = 0;

	while ((c = sad_next(ctl->sad, &cursor))) {
		if (c->owner != owner)
			continue;
		c->owner = 0;
		c->orphan = true;
		count++;
	}
	return count;
}

void
owner_leaves(struct ctl *ctl, struct client *client)
{
	struct client *other = other_connection(ctl, client);
	uint32_t owner = client->daemon;
	unsigned int count;

	client->daemon = 0;
	if (owner == 0)
		return;
	if (other) {
		other->daemon = owner;
		return;
	}
	count = orphan_all(ctl, owner);
	if (count == 0)
		return;
	ctl->orphans = true;
	ctl->orphans_due = 0; /* until another one is there */
	CTL_LOG(NOTICE, "process %d, an IKE daemon, has gone and left %u SAs behind: they go on\n",
		(int)client->pid, count);
}

static void
remove_orphan(struct ctl *ctl, const struct sa_control *c)
{
	const struct xfrm_head head = {.type = XFRM_MSG_DELSA};
	const struct sa_id id = sad_id(c);
	struct reason why;

	CTL_LOG(INFO, "removed the orphan with SPI 0x%08x\n", rte_be_to_cpu_32(id.spi));
	event_sa_deleted(ctl, &head, c);
	sad_delete(ctl->sad, &id, &why);
}

/* So many that they cost a while are removed a few at a time: other requests come in between. */
void
owner_tick(struct ctl *ctl)
{
	struct sa_control *c = NULL;

	if (ctl->orphans_due == 0 || ctl->now < ctl->orphans_due)
		return;
	for (unsigned int i = 0; i < CTL_SAS_BURST; i++) {
		c = sad_next(ctl->sad, &ctl->orphans_cursor);
		if (!c)
			break;
		if (c->orphan) {
			remove_orphan(ctl, c);
			ctl->orphans_removed++;
		}
	}
	if (c)
		return;
	ctl->orphans = false;
	ctl->orphans_due = 0;
	CTL_LOG(NOTICE, "removed what an IKE daemon had left behind (%" PRIu64 " SAs in all)\n",
		ctl->orphans_removed);
}

void
ctl_orphans(const struct ctl *ctl, uint32_t *now, uint64_t *removed)
{
	const struct sa_control *c;
	uint32_t cursor = 0;

	*now = 0;
	*removed = ctl->orphans_removed;
	while (ctl->orphans && (c = sad_next(ctl->sad, &cursor)))
		*now += c->orphan;
}
