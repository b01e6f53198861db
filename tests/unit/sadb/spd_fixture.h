/* SPDX-License-Identifier: BSD-3-Clause */
/* A policy database for a test, beside a fake SAD. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_sad.h"
#include "sadb/spd.h"

struct fixture {
	struct sad sad;
	struct reclaim *reclaim;
	struct spd *spd;
	struct reason why;
};

static inline struct fixture *
begin(uint32_t max)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->reclaim = reclaim_new(1);
	f->spd = spd_new(max, &f->sad, f->reclaim, &f->why);
	assert_non_null(f->spd);
	return f;
}

static inline void
end(struct fixture *f)
{
	spd_free(f->spd);
	reclaim_free(f->reclaim);
	free(f);
}

static inline union ip_addr
v4(uint32_t host)
{
	return ip_addr_v4(rte_cpu_to_be_32(host));
}
