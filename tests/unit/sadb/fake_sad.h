/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two functions of the SAD that the SPD calls, over an array: tests of policies need no keys.
 * An SA is announced as the real SAD announces it: when it can be found, and when it no longer can.
 */
#pragma once

#include "sadb/sad.h"

#define FAKE_SAS 8

struct sad {
	struct sad_observer *observer;
	struct sa_control *sas[FAKE_SAS]; /* valid ones, the newest last */
	unsigned int n;
	unsigned int asked; /* how often somebody looked for an SA */
};

void
sad_observe(struct sad *sad, struct sad_observer *observer)
{
	sad->observer = observer;
}

static bool
fits(const struct sa_control *c, const union ip_addr *src, const union ip_addr *dst, rte_be32_t spi,
     uint8_t proto, uint32_t reqid, uint64_t tenant, uint8_t mode)
{
	const struct sa *sa = c->sa;

	return sa->proto == proto && (spi == 0 || spi == sa->spi) &&
	       (reqid == 0 || reqid == sa->reqid) && tenant_if_id(tenant) == sa->if_id &&
	       (c->mark == 0 || c->mark == tenant_mark(tenant)) && mode == sa->mode &&
	       (ip_addr_is_any(src) || ip_addr_equal(src, &sa->src)) &&
	       (ip_addr_is_any(dst) || ip_addr_equal(dst, &sa->dst));
}

struct sa *
sad_find_outbound(struct sad *sad, const union ip_addr *src, const union ip_addr *dst,
		  uint8_t family, uint8_t proto, rte_be32_t spi, uint32_t reqid, uint64_t tenant,
		  uint8_t mode)
{
	sad->asked++;
	for (unsigned int i = sad->n; i-- > 0;)
		if (fits(sad->sas[i], src, dst, spi, proto, reqid, tenant, mode))
			return sad->sas[i]->sa;
	return NULL;
}

void
sad_give_mark(struct sa_control *c, uint32_t mark)
{
	c->sa->tenant = tenant_make(c->sa->if_id, mark);
}

void
sad_give_marks(struct sad *sad, uint32_t reqid, uint32_t if_id, uint32_t mark)
{
	for (unsigned int i = 0; i < sad->n; i++)
		if (sad->sas[i]->sa->reqid == reqid && sad->sas[i]->sa->if_id == if_id)
			sad_give_mark(sad->sas[i], mark);
}

static inline void
fake_sad_add(struct sad *sad, struct sa_control *c)
{
	sad->sas[sad->n++] = c;
	sad->observer->changed(sad->observer->ctx, c, true);
}

static inline void
fake_sad_delete(struct sad *sad, struct sa_control *c)
{
	unsigned int i = 0;

	while (sad->sas[i] != c)
		i++;
	memmove(&sad->sas[i], &sad->sas[i + 1], (--sad->n - i) * sizeof(sad->sas[0]));
	sad->observer->changed(sad->observer->ctx, c, false);
}
