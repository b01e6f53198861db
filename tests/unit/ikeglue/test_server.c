/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket with a real SAD and SPD behind it and clients in the same thread: what they
 * may do to it, and what it costs.
 */
#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/socket_path.h"
#include "ikeglue/ctl.h"
#include "ikeglue/xfrm_message.h"
#include "xfrm_sample.h"

#define MAX_SAS 4000

/* ---- allocations that fail when told (the linker wraps them) ---- */

static int until_failure; /* allocations until one fails; 0: none does */

static bool
fails(void)
{
	return until_failure > 0 && --until_failure == 0;
}

#define REFUSE_WHEN_TOLD(name, parameters, arguments)                                              \
	void *__real_##name parameters;                                                            \
	void *__wrap_##name parameters;                                                            \
	void *__wrap_##name parameters                                                             \
	{                                                                                          \
		return fails() ? NULL : __real_##name arguments;                                   \
	}

REFUSE_WHEN_TOLD(malloc, (size_t size), (size))
REFUSE_WHEN_TOLD(calloc, (size_t n, size_t size), (n, size))
REFUSE_WHEN_TOLD(realloc, (void *p, size_t size), (p, size))
REFUSE_WHEN_TOLD(aligned_alloc, (size_t to, size_t size), (to, size))

struct bench {
	struct reclaim *reclaim;
	struct crypto_ctx *crypto;
	struct sad *sad;
	struct spd *spd;
	struct ctl *ctl;
	struct sockaddr_un addr;
};

static int
setup_group(void **state, gid_t group)
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

static int
setup(void **state)
{
	return setup_group(state, (gid_t)-1);
}

#define NOBODY 65534 /* a user and a group without rights */

static int
setup_nogroup(void **state)
{
	return setup_group(state, geteuid() == 0 ? NOBODY : getegid());
}

static int
teardown(void **state)
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

/* Lets the server do all that it can do now. */
static void
settle(struct bench *b)
{
	for (unsigned int i = 0; i < 2000; i++)
		ctl_poll(b->ctl);
}

static int
dial(struct bench *b)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&b->addr, sizeof(b->addr)), 0);
	ctl_poll(b->ctl);
	return fd;
}

static void
greet(struct bench *b, int fd, uint32_t groups)
{
	const struct xfrm_head head = {.type = HELLO_TYPE};
	const struct hello hello = {HELLO_VERSION, 4711, groups, HELLO_EXT_ACK, 0};
	struct xfrm_buf buf = {.len = 0};

	xfrm_begin(&buf, &head, &hello, sizeof(hello));
	assert_true(xfrm_end(&buf));
	assert_int_equal(send(fd, buf.data, buf.len, 0), buf.len);
	ctl_poll(b->ctl);
}

static void
submit(int fd, const struct xfrm_buf *buf)
{
	assert_int_equal(send(fd, buf->data, buf->len, MSG_NOSIGNAL), buf->len);
}

/* The errno of the acknowledgement that comes next. */
static int
answer(struct bench *b, int fd)
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

/* The same, and the text of the extended acknowledgement. */
static int
answer_with_text(struct bench *b, int fd, char text[200])
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

/* An SA of its own for every number. */
static void
new_sa(struct xfrm_buf *buf, unsigned int number, uint16_t flags)
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

static void
add_sas(struct bench *b, int fd, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct xfrm_buf buf = {.len = 0};

		new_sa(&buf, i, NLM_F_ACK);
		submit(fd, &buf);
		assert_int_equal(answer(b, fd), 0);
	}
	assert_int_equal(sad_count(b->sad), count);
}

/* ---- when there is no more room ---- */

static void
a_full_sad_says_so_and_how_many_it_holds(void **state)
{
	struct bench *b = *state;
	struct xfrm_buf buf = {.len = 0};
	int fd = dial(b);
	char text[200];

	greet(b, fd, 0);
	add_sas(b, fd, MAX_SAS);
	new_sa(&buf, MAX_SAS, NLM_F_ACK);
	submit(fd, &buf);
	assert_int_equal(answer_with_text(b, fd, text), ENOSPC);
	assert_string_equal(text, "the SAD is full: 4000 SAs");
	assert_int_equal(sad_count(b->sad), MAX_SAS);
	close(fd);
}

static void
new_policy(struct xfrm_buf *buf)
{
	const struct xfrm_head head = {XFRM_MSG_NEWPOLICY, NLM_F_REQUEST | NLM_F_ACK, 1, 0};
	const struct spd_params p = sample_policy(0); /* with limits */
	const struct xfrm_policy policy = {.params = &p};

	assert_true(xfrm_encode_policy(buf, &head, &policy));
}

/* A larger window than places have, and a policy: what takes the most memory. */
static void
new_large_sa(struct xfrm_buf *buf)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, NLM_F_REQUEST | NLM_F_ACK, 1, 0};
	struct sa_params p = sample_sa(16); /* with a selector */
	struct xfrm_sa sa;

	sample_replay(&p, 2000, 7);
	sa = sample_snapshot(&p);
	assert_true(xfrm_encode_sa(buf, &head, &sa));
}

/* How many allocations of the request failed in turn before one was carried out. */
static int
refused_for_memory(struct bench *b, const struct xfrm_buf *buf)
{
	struct reclaim *r = b->reclaim;
	int fd = dial(b), n = 0, err;
	uint32_t count[SPD_DIRS];
	char text[200];

	greet(b, fd, 0);
	do {
		reclaim_poll(r);
		submit(fd, buf);
		until_failure = ++n;
		err = answer_with_text(b, fd, text);
		until_failure = 0;
		spd_count(b->spd, count);
		if (err == 0)
			continue;
		assert_int_equal(err, ENOMEM);
		assert_non_null(strstr(text, "no memory for"));
		assert_int_equal(sad_count(b->sad), 0);
		assert_int_equal(count[0] + count[1] + count[2], 0);
		assert_int_equal(spd_tuples(b->spd), 0);
	} while (err != 0);
	close(fd);
	return n - 1;
}

static void
S9_a_request_without_memory_is_refused_whole(void **state)
{
	struct bench *b = *state;
	struct xfrm_buf sa = {.len = 0}, policy = {.len = 0};

	new_policy(&policy);
	assert_in_range(refused_for_memory(b, &policy), 4, 20);
	spd_flush(b->spd);
	new_large_sa(&sa);
	assert_in_range(refused_for_memory(b, &sa), 4, 20);
	assert_int_equal(sad_count(b->sad), 1);
}

static void
request_dump(int fd, uint16_t type)
{
	const struct xfrm_head head = {type, NLM_F_REQUEST | NLM_F_DUMP, 5, 0};
	struct xfrm_buf buf = {.len = 0};

	xfrm_begin(&buf, &head, NULL, 0);
	assert_true(xfrm_end(&buf));
	submit(fd, &buf);
}

/* Reads a dump to its end; how many messages it had. */
static unsigned int
read_dump(struct bench *b, int fd)
{
	uint32_t data[8192];
	unsigned int count = 0;

	for (;;) {
		const uint8_t *at = (const uint8_t *)data;
		const struct nlmsghdr *msg;
		ssize_t n = recv(fd, data, sizeof(data), 0);
		size_t left = (size_t)n;

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			ctl_poll(b->ctl);
			continue;
		}
		assert_in_range(n, 1, XFRM_DATAGRAM_MAX);
		while ((msg = xfrm_next(&at, &left))) {
			assert_true(msg->nlmsg_flags & NLM_F_MULTI);
			assert_int_equal(msg->nlmsg_pid, 4711);
			assert_int_equal(msg->nlmsg_seq, 5);
			if (msg->nlmsg_type == NLMSG_DONE)
				return count;
			count++;
		}
		assert_int_equal(left, 0);
	}
}

static bool
disconnected(struct bench *b, int fd)
{
	uint8_t data[XFRM_DATAGRAM_MAX];
	ssize_t n;

	settle(b);
	while ((n = recv(fd, data, sizeof(data), 0)) > 0)
		settle(b);
	return n == 0 || errno == ECONNRESET;
}

static void
dump_of_any_size_fits_its_datagrams(void **state)
{
	struct bench *b = *state;
	int fd = dial(b), other = dial(b);

	greet(b, fd, 0);
	greet(b, other, 0);
	request_dump(fd, XFRM_MSG_GETSA);
	assert_int_equal(read_dump(b, fd), 0);
	add_sas(b, fd, 3000);
	request_dump(fd, XFRM_MSG_GETSA);
	/* Another client is served while the first one's dump waits to be read. */
	settle(b);
	request_dump(other, XFRM_MSG_GETPOLICY);
	assert_int_equal(read_dump(b, other), 0);
	assert_int_equal(read_dump(b, fd), 3000);
	close(fd);
	close(other);
}

static void
dump_survives_deletions_meanwhile(void **state)
{
	struct bench *b = *state;
	int fd = dial(b);
	unsigned int n;

	greet(b, fd, 0);
	add_sas(b, fd, 3000);
	request_dump(fd, XFRM_MSG_GETSA);
	settle(b);
	sad_flush(b->sad, 0);
	n = read_dump(b, fd);
	assert_in_range(n, 1, 2999);
	close(fd);
}

static void
messages_of_one_datagram_are_answered_in_order(void **state)
{
	struct bench *b = *state;
	struct xfrm_buf buf = {.len = 0};
	int fd = dial(b);

	greet(b, fd, 0);
	new_sa(&buf, 1, NLM_F_ACK);
	new_sa(&buf, 1, NLM_F_ACK);
	new_sa(&buf, 2, NLM_F_ACK);
	new_sa(&buf, 2, 0); /* errors are told without NLM_F_ACK too */
	submit(fd, &buf);
	assert_int_equal(answer(b, fd), 0);
	assert_int_equal(answer(b, fd), EEXIST);
	assert_int_equal(answer(b, fd), 0);
	assert_int_equal(answer(b, fd), EEXIST);
	close(fd);
}

static void
S2_garbage_disconnects_only_who_sent_it(void **state)
{
	struct bench *b = *state;
	struct xfrm_buf good = {.len = 0};
	static uint8_t bytes[2 * CTL_DATAGRAM_MAX];
	const size_t lengths[] = {1, 15, 17, 100, CTL_DATAGRAM_MAX, CTL_DATAGRAM_MAX + 1};
	int fd = dial(b);

	greet(b, fd, 0);
	memset(bytes, 0xa5, sizeof(bytes));
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		int bad = dial(b);

		assert_int_equal(send(bad, bytes, lengths[i], 0), lengths[i]);
		assert_true(disconnected(b, bad));
		close(bad);
	}
	new_sa(&good, 1, NLM_F_ACK);
	submit(fd, &good);
	assert_int_equal(answer(b, fd), 0);
	close(fd);
}

/* A whole message before the garbage is carried out; the datagram's rest ends the connection. */
static void
S3_half_closed_client_is_let_go(void **state)
{
	struct bench *b = *state;
	int fd = dial(b);

	shutdown(fd, SHUT_WR);
	assert_true(disconnected(b, fd));
	assert_int_equal(b->ctl->clients_count, 0);
	close(fd);
}

static void
S4_connections_are_bounded(void **state)
{
	struct bench *b = *state;
	struct xfrm_buf buf = {.len = 0};
	int first = dial(b), fds[1000];

	greet(b, first, 0);
	for (unsigned int i = 0; i < 1000; i++)
		fds[i] = dial(b);
	settle(b);
	assert_int_equal(b->ctl->clients_count, CTL_CLIENTS_MAX);
	assert_true(disconnected(b, fds[999]));
	new_sa(&buf, 1, NLM_F_ACK);
	submit(first, &buf);
	assert_int_equal(answer(b, first), 0);
	for (unsigned int i = 0; i < 1000; i++)
		close(fds[i]);
	settle(b);
	assert_int_equal(b->ctl->clients_count, 1);
	close(first);
}

/* The queue of a client, and everyone else's service, while it never reads. */
static void
S5_requests_of_a_client_that_never_reads_wait(void **state)
{
	struct bench *b = *state;
	int fd = dial(b), other = dial(b);
	struct xfrm_buf buf = {.len = 0};
	unsigned int sent = 0;

	greet(b, fd, 0);
	greet(b, other, 0);
	while (buf.len < 3000)
		new_sa(&buf, 1, NLM_F_ACK);
	for (unsigned int i = 0; i < 20000; i++) {
		if (send(fd, buf.data, buf.len, MSG_NOSIGNAL) > 0)
			sent++;
		ctl_poll(b->ctl);
		for (struct client *c = b->ctl->clients; c; c = c->next)
			assert_in_range(c->queued, 0, CTL_QUEUE_MAX);
	}
	assert_in_range(sent, 1, 19999); /* its own socket filled up */
	request_dump(other, XFRM_MSG_GETSA);
	assert_int_equal(read_dump(b, other), 1);
	close(fd);
	close(other);
}

static void
S5_replies_beyond_the_bound_disconnect(void **state)
{
	const struct xfrm_head head = {XFRM_MSG_GETSA, NLM_F_REQUEST, 1, 0};
	struct bench *b = *state;
	static uint8_t datagram[CTL_DATAGRAM_MAX];
	struct sa_params p = sample_sa(8);
	struct xfrm_usersa_id id = {.spi = p.id.spi, .family = AF_INET, .proto = IPPROTO_ESP};
	struct xfrm_buf buf = {.len = 0};
	struct reason why;
	size_t len = 0;
	int fd = dial(b);

	p.id.mark = 0;
	sample_replay(&p, 4096, 1); /* an answer of a kilobyte */
	assert_int_equal(sad_add(b->sad, &p, &why), 0);
	memcpy(&id.daddr, &p.id.dst, 4);
	xfrm_begin(&buf, &head, &id, sizeof(id));
	assert_true(xfrm_end(&buf));
	while (len + buf.len <= sizeof(datagram)) {
		memcpy(datagram + len, buf.data, buf.len);
		len += buf.len;
	}
	assert_int_equal(send(fd, datagram, len, 0), len);
	ctl_poll(b->ctl);
	assert_int_equal(b->ctl->clients_count, 0);
	close(fd);
}

static void
lost_events_are_told_once(void **state)
{
	struct bench *b = *state;
	int fd = dial(b), requester = dial(b);
	unsigned int events = 0, overruns = 0;
	uint32_t data[XFRM_DATAGRAM_MAX / 4];
	const struct nlmsghdr *msg = (const struct nlmsghdr *)data;

	greet(b, fd, 1u << (XFRMNLGRP_SA - 1));
	greet(b, requester, 0);
	add_sas(b, requester, 3000); /* nobody reads the events */
	while (recv(fd, data, sizeof(data), 0) > 0) {
		overruns += msg->nlmsg_type == NLMSG_OVERRUN;
		events += msg->nlmsg_type == XFRM_MSG_NEWSA;
		ctl_poll(b->ctl);
	}
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(overruns, 1);
	assert_in_range(events, 1, 2999);
	/* And it is a subscriber as before. */
	sad_flush(b->sad, 0);
	add_sas(b, requester, 1);
	assert_true(recv(fd, data, sizeof(data), 0) > 0);
	assert_int_equal(msg->nlmsg_type, XFRM_MSG_NEWSA);
	close(fd);
	close(requester);
}

static void
other_protocol_versions_are_refused(void **state)
{
	const struct xfrm_head head = {.type = HELLO_TYPE};
	const struct hello hello = {HELLO_VERSION + 1, 4711, 0, 0, 0};
	struct bench *b = *state;
	uint32_t data[64];
	const struct nlmsghdr *msg = (const struct nlmsghdr *)data;
	struct xfrm_buf buf = {.len = 0};
	int fd = dial(b);

	xfrm_begin(&buf, &head, &hello, sizeof(hello));
	assert_true(xfrm_end(&buf));
	submit(fd, &buf);
	ctl_poll(b->ctl);
	assert_true(recv(fd, data, sizeof(data), 0) > 0);
	assert_int_equal(((const struct nlmsgerr *)(msg + 1))->error, -EPROTO);
	close(fd);
}

static void
submit_had(int fd, uint32_t spi)
{
	const struct xfrm_head head = {.type = HAD_TYPE};
	const struct sa_params p = sample_sa(0);
	struct xfrm_usersa_info info = {.family = AF_INET, .id = {.proto = p.id.proto}};
	struct xfrm_buf buf = {.len = 0};

	info.id.spi = rte_cpu_to_be_32(spi);
	memcpy(&info.id.daddr, &p.id.dst, 4);
	memcpy(&info.saddr, &p.src, 4);
	xfrm_begin(&buf, &head, &info, sizeof(info));
	assert_true(xfrm_end(&buf));
	submit(fd, &buf);
}

/* Each of the two that are not here is told once a time, the one that is here never. */
static void
lost_sas_are_told(void **state)
{
	struct bench *b = *state;
	uint32_t data[XFRM_DATAGRAM_MAX / 4];
	const struct nlmsghdr *msg = (const struct nlmsghdr *)data;
	const struct xfrm_user_expire *expire = NLMSG_DATA(data);
	int fd = dial(b);

	greet(b, fd, 1u << (XFRMNLGRP_EXPIRE - 1));
	add_sas(b, fd, 1);
	submit_had(fd, 0x10000); /* of add_sas() */
	for (unsigned int i = 0; i < 3; i++) {
		submit_had(fd, 0x10001 + i % 2);
		settle(b);
		assert_true(recv(fd, data, sizeof(data), 0) > 0);
		assert_int_equal(msg->nlmsg_type, XFRM_MSG_EXPIRE);
		assert_int_equal(expire->state.id.spi, rte_cpu_to_be_32(0x10001 + i % 2));
		assert_int_equal(expire->hard, 0);
	}
	assert_int_equal(recv(fd, data, sizeof(data), 0), -1);
	assert_int_equal(sad_count(b->sad), 3);
	close(fd);
}

static void
socket_in_use_is_left_alone(void **state)
{
	struct bench *b = *state;
	const struct ctl_config config = {
		.path = b->addr.sun_path, .group = (gid_t)-1, .sad = b->sad, .spd = b->spd};
	struct reason why = {.text = ""};

	assert_null(ctl_open(&config, &why));
	assert_non_null(strstr(why.text, "another engine"));
	assert_int_equal(access(b->addr.sun_path, F_OK), 0);
}

/* Nor does its prober wait for it: no queue of connections is left. */
static void
socket_of_a_stopped_engine_is_left_alone(void **state)
{
	struct bench *b = *state;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ctl_config config = {
		.path = addr.sun_path, .group = (gid_t)-1, .sad = b->sad, .spd = b->spd};
	struct reason why = {.text = ""};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0), queued;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/sealane-test-%d.stopped",
		 (int)getpid());
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 0), 0);
	queued = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(connect(queued, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_null(ctl_open(&config, &why));
	assert_non_null(strstr(why.text, "another engine"));
	assert_int_equal(access(addr.sun_path, F_OK), 0);
	close(queued);
	close(listener);
	/* Now nobody listens. */
	assert_int_equal(socket_path_clear(&addr, SOCK_SEQPACKET, &why), 0);
	assert_int_equal(access(addr.sun_path, F_OK), -1);
}

static void
what_is_no_socket_is_left_alone(void **state)
{
	struct bench *b = *state;
	char path[sizeof(b->addr.sun_path) + 8];
	const struct ctl_config config = {
		.path = path, .group = (gid_t)-1, .sad = b->sad, .spd = b->spd};
	struct reason why = {.text = ""};
	struct stat found;
	FILE *file;

	snprintf(path, sizeof(path), "%s.file", b->addr.sun_path);
	file = fopen(path, "w");
	fputs("precious", file);
	fclose(file);
	assert_null(ctl_open(&config, &why));
	assert_non_null(strstr(why.text, path));
	assert_non_null(strstr(why.text, "is no socket"));
	assert_int_equal(stat(path, &found), 0);
	assert_int_equal(found.st_size, 8);
	unlink(path);
	/* A link is judged itself, not what it leads to. */
	assert_int_equal(symlink(b->addr.sun_path, path), 0);
	assert_null(ctl_open(&config, &why));
	assert_non_null(strstr(why.text, "is no socket"));
	unlink(path);
}

/* Whether a process of that user and group is served: a child tries. */
static bool
served(struct bench *b, uid_t uid, gid_t gid, gid_t supplementary)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		uint8_t data[64];
		struct xfrm_buf buf = {.len = 0};
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		if (setgroups(1, &supplementary) < 0 || setresgid(gid, gid, gid) < 0 ||
		    setresuid(uid, uid, uid) < 0 ||
		    connect(fd, (struct sockaddr *)&b->addr, sizeof(b->addr)) < 0)
			_exit(2);
		new_sa(&buf, 1, NLM_F_ACK);
		send(fd, buf.data, buf.len, MSG_NOSIGNAL);
		_exit(recv(fd, data, sizeof(data), 0) > 0 ? 0 : 1);
	}
	while (waitpid(child, &status, WNOHANG) == 0)
		ctl_poll(b->ctl);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
S1_others_are_refused(void **state)
{
	struct bench *b = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(b->addr.sun_path, 0666), 0); /* credentials are checked besides */
	assert_false(served(b, NOBODY, NOBODY, NOBODY));
	assert_int_equal(sad_count(b->sad), 0);
	assert_true(served(b, 0, 0, 0));
}

static void
members_of_the_group_are_served(void **state)
{
	struct bench *b = *state;
	struct stat stat_buf;

	assert_int_equal(stat(b->addr.sun_path, &stat_buf), 0);
	assert_int_equal(stat_buf.st_mode & 0777, 0660);
	if (geteuid() != 0)
		skip();
	assert_true(served(b, NOBODY, NOBODY, 1));
	assert_true(served(b, NOBODY, 1, NOBODY));
	assert_false(served(b, NOBODY, 1, 1));
}

int
main(void)
{
#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		SERVER_TEST(dump_of_any_size_fits_its_datagrams),
		SERVER_TEST(dump_survives_deletions_meanwhile),
		SERVER_TEST(messages_of_one_datagram_are_answered_in_order),
		SERVER_TEST(a_full_sad_says_so_and_how_many_it_holds),
		SERVER_TEST(S9_a_request_without_memory_is_refused_whole),
		SERVER_TEST(S2_garbage_disconnects_only_who_sent_it),
		SERVER_TEST(S3_half_closed_client_is_let_go),
		SERVER_TEST(S4_connections_are_bounded),
		SERVER_TEST(S5_requests_of_a_client_that_never_reads_wait),
		SERVER_TEST(S5_replies_beyond_the_bound_disconnect),
		SERVER_TEST(lost_events_are_told_once),
		SERVER_TEST(other_protocol_versions_are_refused),
		SERVER_TEST(lost_sas_are_told),
		SERVER_TEST(socket_in_use_is_left_alone),
		SERVER_TEST(socket_of_a_stopped_engine_is_left_alone),
		SERVER_TEST(what_is_no_socket_is_left_alone),
		SERVER_TEST(S1_others_are_refused),
		cmocka_unit_test_setup_teardown(members_of_the_group_are_served, setup_nogroup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
