/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket with a real SAD and SPD behind it, and clients in the same thread. */
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include "ikeglue/ctl.h"
#include "ikeglue/xfrm_encode.h"

#define MAX_SAS 4000

struct bench {
	struct reclaim *reclaim;
	struct crypto_ctx *crypto;
	struct sad *sad;
	struct spd *spd;
	struct ctl *ctl;
	struct sockaddr_un addr;
};

/* For cmocka: makes the bench, whose socket is the group's, -1 for nobody's; and takes it down. */
int bench_setup(void **state, gid_t group);
int bench_teardown(void **state);

/* Lets the server do all that it can do now. */
void bench_settle(struct bench *b);

/* A client's connection; the caller's. */
int bench_dial(struct bench *b);
void bench_greet(struct bench *b, int fd, uint32_t groups);
void bench_submit(int fd, const struct xfrm_buf *buf);

/* The errno of the acknowledgement that comes next, and the text of an extended one. */
int bench_answer(struct bench *b, int fd);
int bench_answer_with_text(struct bench *b, int fd, char text[200]);

/* A request for an SA of its own for every number. */
void bench_new_sa(struct xfrm_buf *buf, unsigned int number, uint16_t flags);
