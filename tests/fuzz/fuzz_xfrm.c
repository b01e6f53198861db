/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzing the control socket's decoder: a datagram of any bytes. What it accepts is encoded again,
 * and that must decode to the same: nothing that a client said is lost or made up.
 *
 * With clang this is a libFuzzer target. Everywhere it is a test as well (FUZZ_SMOKE): a fixed
 * sequence of good messages with some bytes changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ikeglue/xfrm_encode.h"
#include "ikeglue/xfrm_uapi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static void
encode_again(const struct xfrm_request *req, struct xfrm_buf *buf)
{
	const struct xfrm_head head = {req->type, req->flags, req->seq, 0};
	const struct sa_params *p = &req->sa.params;
	struct xfrm_sa sa = {.params = p, .out_seq = p->out_seq, .in_seq = p->in_seq};
	const struct xfrm_policy policy = {.params = &req->policy};

	switch (req->type) {
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
		memcpy(sa.bitmap, p->replay_bitmap, sizeof(sa.bitmap));
		CHECK(xfrm_encode_sa(buf, &head, &sa));
		break;
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
		CHECK(xfrm_encode_policy(buf, &head, &policy));
		break;
	case XFRM_MSG_MIGRATE:
		CHECK(xfrm_encode_migration(buf, &head, &req->migration));
		break;
	case XFRM_MSG_FLUSHSA:
		CHECK(xfrm_encode_flush_sa(buf, &head, req->proto));
		break;
	default:
		break;
	}
}

/* A window that grows at the re-encoding (legacy state becomes a ring) keeps its meaning only. */
static void
same_request(struct xfrm_request *a, struct xfrm_request *b)
{
	/* An event has an attribute for each step; of a request the last one counts. */
	if (a->type == XFRM_MSG_MIGRATE) {
		a->migration.step[0] = a->migration.step[a->migration.steps - 1];
		memset(&a->migration.step[1], 0,
		       sizeof(a->migration.step) - sizeof(a->migration.step[0]));
		a->migration.steps = 1;
	}
	if (a->type == XFRM_MSG_NEWSA || a->type == XFRM_MSG_UPDSA) {
		a->sa.params.replay_bitmap_words = b->sa.params.replay_bitmap_words;
		a->sa.params.counted = b->sa.params.counted;       /* not the SA's own */
		a->sa.params.ae_numbers = b->sa.params.ae_numbers; /* GETAE alone tells them */
		a->sa.params.ae_tenths = b->sa.params.ae_tenths;
	}
	CHECK(memcmp(a, b, sizeof(*a)) == 0);
}

static void
one_message(const struct nlmsghdr *msg)
{
	static struct xfrm_buf buf;
	struct xfrm_request req, again;
	struct reason why;
	int rc = xfrm_decode(msg, msg->nlmsg_len, &req, &why);

	CHECK(rc <= 0 && (rc == 0 || why.text[0] != '\0'));
	buf.len = 0;
	CHECK(xfrm_encode_ack(&buf, 1, msg, rc, rc < 0 ? why.text : NULL));
	if (rc < 0)
		return;
	buf.len = 0;
	encode_again(&req, &buf);
	if (buf.len == 0)
		return;
	CHECK(xfrm_decode((const struct nlmsghdr *)buf.data, buf.len, &again, &why) == 0);
	same_request(&req, &again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct nlmsghdr *msg;
	uint8_t *exact = malloc(size + 1); /* aligned, and its end is where the datagram's is */
	const uint8_t *at = exact;
	size_t left = size;

	CHECK(exact);
	if (size > 0)
		memcpy(exact, data, size);
	while ((msg = xfrm_next(&at, &left)))
		one_message(msg);
	free(exact);
	return 0;
}

#ifdef FUZZ_SMOKE
#include "tests/unit/ikeglue/xfrm_sample.h"

#define ROUNDS 300000

static uint64_t
draw(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* A good datagram of one or two messages. */
static void
sample(struct xfrm_buf *buf)
{
	const struct xfrm_head sa_head = {XFRM_MSG_NEWSA, NLM_F_REQUEST, 1, 0};
	const struct xfrm_head policy_head = {XFRM_MSG_UPDPOLICY, NLM_F_REQUEST, 1, 0};
	const struct xfrm_head ae_head = {XFRM_MSG_NEWAE, NLM_F_REQUEST | NLM_F_REPLACE, 1, 0};
	const struct xfrm_head migrate_head = {XFRM_MSG_MIGRATE, NLM_F_REQUEST, 1, 0};
	const struct xfrm_migration migration = sample_migration((unsigned int)(draw() % 64));
	struct sa_params p = sample_sa((unsigned int)(draw() % 64));
	struct spd_params policy = sample_policy((unsigned int)(draw() % 64));
	const struct xfrm_policy encoded = {.params = &policy};
	struct xfrm_sa sa;

	buf->len = 0;
	sample_replay(&p, (uint32_t)(draw() % 300), (uint32_t)draw());
	sa = sample_snapshot(&p);
	if (draw() & 1)
		CHECK(xfrm_encode_sa(buf, &sa_head, &sa));
	if (draw() % 4 == 0)
		CHECK(xfrm_encode_ae(buf, &ae_head, &sa, 0));
	if (draw() % 4 == 0)
		CHECK(xfrm_encode_migration(buf, &migrate_head, &migration));
	if (buf->len == 0 || draw() & 1)
		CHECK(xfrm_encode_policy(buf, &policy_head, &encoded));
}

static void
mutate(struct xfrm_buf *buf)
{
	for (uint64_t n = draw() % 4; n > 0; n--) {
		uint8_t *byte = &buf->data[draw() % buf->len];

		if (draw() & 1)
			*byte ^= (uint8_t)(1u << draw() % 8);
		else
			*byte = (uint8_t)draw();
	}
	if (draw() % 8 == 0)
		buf->len = (uint32_t)(draw() % (buf->len + 1));
}

int
main(int argc, char **argv)
{
	static struct xfrm_buf buf;
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : ROUNDS;

	for (unsigned long i = 0; i < rounds; i++) {
		sample(&buf);
		mutate(&buf);
		LLVMFuzzerTestOneInput(buf.data, buf.len);
	}
	return 0;
}
#endif
