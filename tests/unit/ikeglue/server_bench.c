/* SPDX-License-Identifier: BSD-3-Clause */
#include "server_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ikeglue/xfrm_message.h"
#include "xfrm_sample.h"

int
bench_setup(void **state, gid_t group)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct reason why = {.text = ""};
	struct sad_config sad = {.max_sas = MAX_SAS, .workers = 1, .replay_window = 32};
	struct ctl_config ctl = {.path = b->addr.sun_path, .group = group};

	b->addr.sun_family = AF_UNIX;
	snprintf(b->addr.sun_path, sizeof(b->addr.sun_path), "/tmp/sealane-test-%d.sock",
		 (int)getpid());
	b->reclaim = reclaim_new(1);
	b->crypto = crypto_ctx_new(CRYPTO_OPENSSL, &why);
	sad.crypto = b->crypto;
	sad.reclaim = b->reclaim;
	b->sad = sad_new(&sad, &why);
	b->spd = spd_new(MAX_SAS, b->sad, b->reclaim, &why);
	ctl.sad = b->sad;
	ctl.spd = b->spd;
	b->ctl = ctl_open(&ctl, &why);
	*state = b;
	return b->ctl ? 0 : -1;
}

int
bench_teardown(void **state)
{
	struct bench *b = *state;

	ctl_close(b->ctl);
	spd_free(b->spd);
	sad_free(b->sad);
	reclaim_free(b->reclaim);
	crypto_ctx_free(b->crypto);
	assert_int_equal(access(b->addr.sun_path, F_OK), -1);
	free(b);
	return 0;
}

void
bench_settle(struct bench *b)
{
	for (unsigned int i = 0; i < 2000; i++)
		ctl_poll(b->ctl);
}

int
bench_dial(struct bench *b)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&b->addr, sizeof(b->addr)), 0);
	ctl_poll(b->ctl);
	return fd;
}

void
bench_greet(struct bench *b, int fd, uint32_t groups)
{
	const struct xfrm_head head = {.type = HELLO_TYPE};
	const struct hello hello = {HELLO_VERSION, 4711, groups, HELLO_EXT_ACK, 0};
	struct xfrm_buf buf = {.len = 0};

	xfrm_begin(&buf, &head, &hello, sizeof(hello));
	assert_true(xfrm_end(&buf));
	assert_int_equal(send(fd, buf.data, buf.len, 0), buf.len);
	ctl_poll(b->ctl);
}

void
bench_submit(int fd, const struct xfrm_buf *buf)
{
	assert_int_equal(send(fd, buf->data, buf->len, MSG_NOSIGNAL), buf->len);
}

int
bench_answer(struct bench *b, int fd)
{
	uint32_t data[XFRM_DATAGRAM_MAX / 4];
	const struct nlmsghdr *msg = (const struct nlmsghdr *)data;
	const struct nlmsgerr *err = (const struct nlmsgerr *)(msg + 1);

	ctl_poll(b->ctl);
	assert_true(recv(fd, data, sizeof(data), 0) >= (ssize_t)(sizeof(*msg) + sizeof(*err)));
	assert_int_equal(msg->nlmsg_type, NLMSG_ERROR);
	assert_int_equal(msg->nlmsg_pid, 4711);
	return -err->error;
}

int
bench_answer_with_text(struct bench *b, int fd, char text[200])
{
	uint32_t data[XFRM_DATAGRAM_MAX / 4];
	const struct nlmsghdr *msg = (const struct nlmsghdr *)data;
	const struct nlmsgerr *err = (const struct nlmsgerr *)(msg + 1);
	const struct nlattr *attr = (const struct nlattr *)(err + 1);

	ctl_poll(b->ctl);
	assert_true(recv(fd, data, sizeof(data), 0) >= (ssize_t)(sizeof(*msg) + sizeof(*err)));
	assert_int_equal(msg->nlmsg_type, NLMSG_ERROR);
	text[0] = '\0';
	if ((msg->nlmsg_flags & NLM_F_ACK_TLVS) != 0) {
		assert_int_equal(attr->nla_type, NLMSGERR_ATTR_MSG);
		snprintf(text, 200, "%.199s", (const char *)(attr + 1));
	}
	return -err->error;
}

void
bench_new_sa(struct xfrm_buf *buf, unsigned int number, uint16_t flags)
{
	static uint32_t seq; /* the same one again would be the same request */
	const struct xfrm_head head = {XFRM_MSG_NEWSA, (uint16_t)(NLM_F_REQUEST | flags), ++seq, 0};
	struct sa_params p = sample_sa(0);
	struct xfrm_sa sa = {.params = &p};

	p.id.spi = rte_cpu_to_be_32(0x10000 + number);
	memcpy(p.key, &number, sizeof(number));
	p.key[7] = 1;
	assert_true(xfrm_encode_sa(buf, &head, &sa));
}
