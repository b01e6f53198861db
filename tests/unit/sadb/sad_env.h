/* SPDX-License-Identifier: BSD-3-Clause */
/* A SAD on the OpenSSL backend, and SAs for it, as the tests of the SAD need them. */
#pragma once

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sadb/sad.h"

#define ENV_WORKERS 2

struct env {
	struct crypto_ctx *crypto;
	struct reclaim *reclaim;
	struct sad *sad;
	struct reason why;
};

static inline struct env
env_new(uint32_t max_sas)
{
	struct env e = {0};

	e.crypto = crypto_ctx_new(CRYPTO_OPENSSL, &e.why);
	assert_non_null(e.crypto);
	e.reclaim = reclaim_new(ENV_WORKERS + 1);
	assert_non_null(e.reclaim);
	e.sad = sad_new(&(struct sad_config){.max_sas = max_sas,
					     .workers = ENV_WORKERS,
					     .replay_window = REPLAY_WINDOW_DEFAULT,
					     .crypto = e.crypto,
					     .reclaim = e.reclaim},
			&e.why);
	assert_non_null(e.sad);
	return e;
}

static inline void
env_free(struct env *e)
{
	sad_free(e->sad);
	reclaim_free(e->reclaim);
	crypto_ctx_free(e->crypto);
}

static inline union ip_addr
addr4(uint32_t host_order)
{
	union ip_addr a = {0};

	a.v4 = rte_cpu_to_be_32(host_order);
	return a;
}

#define HERE  0x0a000001 /* 10.0.0.1 */
#define THERE 0x0a000002 /* 10.0.0.2 */

/* A tunnel from `src` to `dst`; every `key` number is another key. */
static inline struct sa_params
sa_params(uint32_t src, uint32_t dst, uint32_t spi, uint32_t key)
{
	struct sa_params p = {
		.id = {.spi = rte_cpu_to_be_32(spi), .family = FAMILY_V4, .proto = IPPROTO_ESP},
		.mode = SA_MODE_TUNNEL,
		.replay_window = 32,
		.reqid = 7,
		.suite = (uint8_t)crypto_suite_by_name("aes128gcm16"),
	};

	p.id.dst = addr4(dst);
	p.src = addr4(src);
	memcpy(p.key, &key, sizeof(key));
	p.key[15] = 0x5a;
	return p;
}

static inline struct sa *
env_lookup(struct env *e, uint32_t spi, uint32_t dst, enum sad_miss *miss)
{
	union ip_addr a = addr4(dst);
	enum sad_miss ignored;

	return sad_lookup(e->sad, rte_cpu_to_be_32(spi), &a, FAMILY_V4, IPPROTO_ESP,
			  miss ? miss : &ignored);
}

static inline struct sa *
env_add(struct env *e, const struct sa_params *p)
{
	struct sa_control *c;

	if (sad_add(e->sad, p, &e->why) != 0)
		fail_msg("not added: %s", e->why.text);
	c = sad_find(e->sad, &p->id);
	assert_non_null(c);
	return c->sa;
}

static inline void
env_delete(struct env *e, const struct sa_params *p)
{
	assert_int_equal(sad_delete(e->sad, &p->id, &e->why), 0);
}
