/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket with a real SAD and SPD behind it and clients in the same thread: what they
 * may do to it, and what it costs.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ikeglue/xfrm_message.h"
#include "server_bench.h"
#include "xfrm_sample.h"

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

static int
setup(void **state)
{
	return bench_setup(state, (gid_t)-1);
}

static void
add_sas(struct bench *b, int fd, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct xfrm_buf buf = {.len = 0};

		bench_new_sa(&buf, i, NLM_F_ACK);
		bench_submit(fd, &buf);
		assert_int_equal(bench_answer(b, fd), 0);
	}
	assert_int_equal(sad_count(b->sad), count);
}

/* ---- when there is no more room ---- */

static void
a_full_sad_says_so_and_how_many_it_holds(void **state)
{
	struct bench *b = *state;
	struct xfrm_buf buf = {.len = 0};
	int fd = bench_dial(b);
	char text[200];

	bench_greet(b, fd, 0);
	add_sas(b, fd, MAX_SAS);
	bench_new_sa(&buf, MAX_SAS, NLM_F_ACK);
	bench_submit(fd, &buf);
	assert_int_equal(bench_answer_with_text(b, fd, text), ENOSPC);
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
	int fd = bench_dial(b), n = 0, err;
	uint32_t count[SPD_DIRS];
	char text[200];

	bench_greet(b, fd, 0);
	do {
		reclaim_poll(r);
		bench_submit(fd, buf);
		until_failure = ++n;
		err = bench_answer_with_text(b, fd, text);
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
	bench_submit(fd, &buf);
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

	bench_settle(b);
	while ((n = recv(fd, data, sizeof(data), 0)) > 0)
		bench_settle(b);
	return n == 0 || errno == ECONNRESET;
}

static void
dump_of_any_size_fits_its_datagrams(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b), other = bench_dial(b);

	bench_greet(b, fd, 0);
	bench_greet(b, other, 0);
	request_dump(fd, XFRM_MSG_GETSA);
	assert_int_equal(read_dump(b, fd), 0);
	add_sas(b, fd, 3000);
	request_dump(fd, XFRM_MSG_GETSA);
	/* Another client is served while the first one's dump waits to be read. */
	bench_settle(b);
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
	int fd = bench_dial(b);
	unsigned int n;

	bench_greet(b, fd, 0);
	add_sas(b, fd, 3000);
	request_dump(fd, XFRM_MSG_GETSA);
	bench_settle(b);
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
	int fd = bench_dial(b);

	bench_greet(b, fd, 0);
	bench_new_sa(&buf, 1, NLM_F_ACK);
	bench_new_sa(&buf, 1, NLM_F_ACK);
	bench_new_sa(&buf, 2, NLM_F_ACK);
	bench_new_sa(&buf, 2, 0); /* errors are told without NLM_F_ACK too */
	bench_submit(fd, &buf);
	assert_int_equal(bench_answer(b, fd), 0);
	assert_int_equal(bench_answer(b, fd), EEXIST);
	assert_int_equal(bench_answer(b, fd), 0);
	assert_int_equal(bench_answer(b, fd), EEXIST);
	close(fd);
}

static void
S2_garbage_disconnects_only_who_sent_it(void **state)
{
	struct bench *b = *state;
	struct xfrm_buf good = {.len = 0};
	static uint8_t bytes[2 * CTL_DATAGRAM_MAX];
	const size_t lengths[] = {1, 15, 17, 100, CTL_DATAGRAM_MAX, CTL_DATAGRAM_MAX + 1};
	int fd = bench_dial(b);

	bench_greet(b, fd, 0);
	memset(bytes, 0xa5, sizeof(bytes));
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		int bad = bench_dial(b);

		assert_int_equal(send(bad, bytes, lengths[i], 0), lengths[i]);
		assert_true(disconnected(b, bad));
		close(bad);
	}
	bench_new_sa(&good, 1, NLM_F_ACK);
	bench_submit(fd, &good);
	assert_int_equal(bench_answer(b, fd), 0);
	close(fd);
}

/* A whole message before the garbage is carried out; the datagram's rest ends the connection. */
static void
S3_half_closed_client_is_let_go(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

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
	int first = bench_dial(b), fds[1000];

	bench_greet(b, first, 0);
	for (unsigned int i = 0; i < 1000; i++)
		fds[i] = bench_dial(b);
	bench_settle(b);
	assert_int_equal(b->ctl->clients_count, CTL_CLIENTS_MAX);
	assert_true(disconnected(b, fds[999]));
	bench_new_sa(&buf, 1, NLM_F_ACK);
	bench_submit(first, &buf);
	assert_int_equal(bench_answer(b, first), 0);
	for (unsigned int i = 0; i < 1000; i++)
		close(fds[i]);
	bench_settle(b);
	assert_int_equal(b->ctl->clients_count, 1);
	close(first);
}

/* The queue of a client, and everyone else's service, while it never reads. */
static void
S5_requests_of_a_client_that_never_reads_wait(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b), other = bench_dial(b);
	struct xfrm_buf buf = {.len = 0};
	unsigned int sent = 0;

	bench_greet(b, fd, 0);
	bench_greet(b, other, 0);
	while (buf.len < 3000)
		bench_new_sa(&buf, 1, NLM_F_ACK);
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
	int fd = bench_dial(b);

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
	int fd = bench_dial(b), requester = bench_dial(b);
	unsigned int events = 0, overruns = 0;
	uint32_t data[XFRM_DATAGRAM_MAX / 4];
	const struct nlmsghdr *msg = (const struct nlmsghdr *)data;

	bench_greet(b, fd, 1u << (XFRMNLGRP_SA - 1));
	bench_greet(b, requester, 0);
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
	int fd = bench_dial(b);

	xfrm_begin(&buf, &head, &hello, sizeof(hello));
	assert_true(xfrm_end(&buf));
	bench_submit(fd, &buf);
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
	bench_submit(fd, &buf);
}

/* Each of the two that are not here is told once a time, the one that is here never. */
static void
lost_sas_are_told(void **state)
{
	struct bench *b = *state;
	uint32_t data[XFRM_DATAGRAM_MAX / 4];
	const struct nlmsghdr *msg = (const struct nlmsghdr *)data;
	const struct xfrm_user_expire *expire = NLMSG_DATA(data);
	int fd = bench_dial(b);

	bench_greet(b, fd, 1u << (XFRMNLGRP_EXPIRE - 1));
	add_sas(b, fd, 1);
	submit_had(fd, 0x10000); /* of add_sas() */
	for (unsigned int i = 0; i < 3; i++) {
		submit_had(fd, 0x10001 + i % 2);
		bench_settle(b);
		assert_true(recv(fd, data, sizeof(data), 0) > 0);
		assert_int_equal(msg->nlmsg_type, XFRM_MSG_EXPIRE);
		assert_int_equal(expire->state.id.spi, rte_cpu_to_be_32(0x10001 + i % 2));
		assert_int_equal(expire->hard, 0);
	}
	assert_int_equal(recv(fd, data, sizeof(data), 0), -1);
	assert_int_equal(sad_count(b->sad), 3);
	close(fd);
}

int
main(void)
{
#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
