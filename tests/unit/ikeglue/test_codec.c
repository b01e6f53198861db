/* SPDX-License-Identifier: BSD-3-Clause */
/* What the encoder writes the decoder reads, field by field; and how datagrams are framed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "xfrm_sample.h"

static int
decode(const struct xfrm_buf *buf, struct xfrm_request *req)
{
	struct reason why = {.text = ""};
	int rc = xfrm_decode(first_message(buf), first_message(buf)->nlmsg_len, req, &why);

	if (rc < 0)
		print_message("refused: %s\n", why.text);
	return rc;
}

static void
sa_round_trip(struct sa_params p)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, NLM_F_REQUEST, 77, 99};
	struct xfrm_buf buf = {.len = 0};
	struct xfrm_sa sa = sample_snapshot(&p);
	struct xfrm_request req;

	assert_true(xfrm_encode_sa(&buf, &head, &sa));
	assert_int_equal(decode(&buf, &req), 0);
	assert_int_equal(req.type, XFRM_MSG_NEWSA);
	assert_int_equal(req.seq, 77);
	assert_memory_equal(&req.sa.params.id, &p.id, sizeof(p.id));
	assert_memory_equal(&req.sa.params.sel, &p.sel, sizeof(p.sel));
	assert_memory_equal(&req.sa.params.limits, &p.limits, sizeof(p.limits));
	assert_memory_equal(req.sa.params.replay_bitmap, p.replay_bitmap, sizeof(p.replay_bitmap));
	assert_int_equal(req.sa.params.replay_window, p.replay_window);
	assert_int_equal(req.sa.params.flags, p.flags);
	assert_int_equal(req.sa.params.in_seq, p.in_seq);
	assert_int_equal(req.sa.params.out_seq, p.out_seq);
	assert_memory_equal(&req.sa.params, &p, sizeof(p));
}

static void
sa_survives_the_round_trip(void **state)
{
	for (unsigned int seed = 1; seed < 400; seed++) {
		struct sa_params p = sample_sa(seed);

		sample_replay(&p, p.flags & SA_ESN ? 64 : 32, 1000 + seed);
		sa_round_trip(p);
	}
}

static void
replay_state_survives_every_window(void **state)
{
	const uint64_t tops[] = {1, 31, 64, 4095, 4097, 0xffffffff, 0x100000000, 0x123456789};

	for (uint32_t window = 1; window <= 4096; window += window < 70 ? 1 : 67) {
		for (unsigned int i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
			struct sa_params p = sample_sa(8);

			sample_replay(&p, window, tops[i]);
			sa_round_trip(p);
		}
	}
}

/* As the kernel's xfrm_replay_check_bmp() would find it: number n has bit (n - 1) mod window. */
static void
esn_bitmap_is_the_kernels_ring(void **state)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, NLM_F_REQUEST, 1, 1};
	struct sa_params p = sample_sa(8);
	struct xfrm_buf buf = {.len = 0};
	struct xfrm_sa sa;
	uint32_t bmp[3];

	p.replay_window = 96;
	p.in_seq = 100;
	p.replay_bitmap[0] = 1u << 0 | 1u << 5; /* 100 and 95 came */
	sa = sample_snapshot(&p);
	assert_true(xfrm_encode_sa(&buf, &head, &sa));
	/* It is the last attribute: its bitmap ends the message. */
	memcpy(bmp, buf.data + buf.len - sizeof(bmp), sizeof(bmp));
	assert_int_equal(bmp[0], 1u << 3);         /* (100 - 1) mod 96 = 3 */
	assert_int_equal(bmp[2], 1u << (94 % 32)); /* (95 - 1) mod 96 = 94 */
	assert_int_equal(bmp[1], 0);
}

static void
hidden_keys_are_zeros(void **state)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, 0, 1, 1};

	for (unsigned int seed = 0; seed < crypto_suites_count; seed++) {
		struct sa_params p = sample_sa(seed);
		struct xfrm_sa sa = sample_snapshot(&p);
		struct xfrm_buf buf = {.len = 0};

		sa.hide_keys = true;
		assert_true(xfrm_encode_sa(&buf, &head, &sa));
		assert_null(memmem(buf.data, buf.len, p.key[0] ? p.key : p.auth_key, 4));
		assert_null(memmem(buf.data, buf.len, p.auth_key[0] ? p.auth_key : p.key, 4));
		sa.hide_keys = false;
		buf.len = 0;
		assert_true(xfrm_encode_sa(&buf, &head, &sa));
		assert_non_null(memmem(buf.data, buf.len, p.key, crypto_suites[p.suite].key_len));
	}
}

static void
hidden_keys_cannot_be_installed(void **state)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, NLM_F_REQUEST, 1, 1};
	struct sa_params p = sample_sa(1);
	struct xfrm_sa sa = sample_snapshot(&p);
	struct xfrm_buf buf = {.len = 0};
	struct xfrm_request req;

	sa.hide_keys = true;
	assert_true(xfrm_encode_sa(&buf, &head, &sa));
	assert_int_equal(decode(&buf, &req), -EINVAL);
}

static void
policy_survives_the_round_trip(void **state)
{
	const struct xfrm_head head = {XFRM_MSG_UPDPOLICY, NLM_F_REQUEST, 5, 6};

	for (unsigned int seed = 0; seed < 400; seed++) {
		struct spd_params p = sample_policy(seed);
		struct xfrm_policy policy = {.params = &p, .added = 3, .used = 4};
		struct xfrm_buf buf = {.len = 0};
		struct xfrm_request req;

		assert_true(xfrm_encode_policy(&buf, &head, &policy));
		assert_int_equal(decode(&buf, &req), 0);
		assert_memory_equal(&req.policy, &p, sizeof(p));
	}
}

static void
thresholds_survive_the_round_trip(void **state)
{
	const struct xfrm_spdinfo info = {.thresholds = {24, 16, 64, 48}};
	const struct xfrmu_spdhthresh v4 = {24, 16};
	const struct xfrm_head head = {XFRM_MSG_NEWSPDINFO, NLM_F_REQUEST, 5, 6};
	struct xfrm_buf buf = {.len = 0};
	struct xfrm_request req;
	struct reason why;
	struct {
		struct nlmsghdr msg;
		uint32_t flags;
		struct nlattr attr;
		struct xfrmu_spdhthresh v4;
		uint16_t pad;
	} m = {
		.msg = {.nlmsg_len = sizeof(m), .nlmsg_type = XFRM_MSG_NEWSPDINFO},
		.attr = {.nla_len = NLA_HDRLEN + sizeof(v4), .nla_type = XFRMA_SPD_IPV4_HTHRESH},
		.v4 = v4,
	};

	assert_int_equal(xfrm_decode(&m.msg, sizeof(m), &req, &why), 0);
	assert_true(req.thresholds.v4);
	assert_false(req.thresholds.v6);
	assert_int_equal(req.thresholds.value.v4_local, 24);
	/* What an answer holds besides is no request's. */
	assert_true(xfrm_encode_spdinfo(&buf, &head, &info));
	assert_int_equal(decode(&buf, &req), -EOPNOTSUPP);
}

static void
datagram_is_cut_into_its_messages(void **state)
{
	const struct xfrm_head head = {XFRM_MSG_FLUSHSA, NLM_F_REQUEST, 5, 6};
	struct xfrm_buf buf = {.len = 0};
	const uint8_t *data = buf.data;
	unsigned int n = 0;
	size_t left;

	for (uint8_t proto = 1; proto <= 5; proto++)
		assert_true(xfrm_encode_flush_sa(&buf, &head, proto));
	/* A last message without its padding, as iproute2 sends FLUSHSA. */
	((struct nlmsghdr *)(buf.data + buf.len - 20))->nlmsg_len = 17;
	left = buf.len - 3;
	for (const struct nlmsghdr *msg; (msg = xfrm_next(&data, &left)); n++) {
		struct xfrm_request req;
		struct reason why;

		assert_int_equal(xfrm_decode(msg, msg->nlmsg_len, &req, &why), 0);
		assert_int_equal(req.proto, n + 1);
	}
	assert_int_equal(n, 5);
	assert_int_equal(left, 0);
}

static void
S2_lying_message_length_is_seen(void **state)
{
	const uint32_t lengths[] = {0, 15, 21, 4096, UINT32_MAX, UINT32_MAX - 2};

	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct nlmsghdr msg[2] = {{.nlmsg_len = lengths[i]}};
		const uint8_t *data = (const uint8_t *)msg;
		size_t left = 20;

		assert_null(xfrm_next(&data, &left));
		assert_int_equal(left, 20);
	}
}

static void
full_buffer_keeps_what_was_whole(void **state)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, NLM_F_MULTI, 5, 6};
	struct sa_params p = sample_sa(8);
	struct xfrm_buf buf = {.len = 0};
	unsigned int n = 0, seen = 0;
	const uint8_t *data = buf.data;
	struct xfrm_sa sa;
	size_t left;

	sample_replay(&p, 4096, 5000);
	sa = sample_snapshot(&p);
	while (xfrm_encode_sa(&buf, &head, &sa))
		n++;
	assert_true(n > 2);
	assert_true(buf.len <= XFRM_DATAGRAM_MAX);
	left = buf.len;
	while (xfrm_next(&data, &left))
		seen++;
	assert_int_equal(seen, n);
	assert_int_equal(left, 0);
	/* The next datagram begins where this one ended. */
	buf.len = 0;
	assert_true(xfrm_encode_sa(&buf, &head, &sa));
}

static void
refusal_quotes_the_request_and_says_why(void **state)
{
	const struct nlmsghdr request = {.nlmsg_len = 500, .nlmsg_type = 16, .nlmsg_seq = 9};
	struct xfrm_buf buf = {.len = 0};
	const struct nlmsghdr *msg = first_message(&buf);
	const struct nlmsgerr *err = (const struct nlmsgerr *)(msg + 1);
	const struct nlattr *attr = (const struct nlattr *)(err + 1);

	assert_true(xfrm_encode_ack(&buf, 42, &request, -EEXIST, "taken"));
	assert_int_equal(msg->nlmsg_pid, 42);
	assert_int_equal(msg->nlmsg_seq, 9);
	assert_int_equal(msg->nlmsg_flags, NLM_F_CAPPED | NLM_F_ACK_TLVS);
	assert_int_equal(err->error, -EEXIST);
	assert_memory_equal(&err->msg, &request, sizeof(request));
	assert_int_equal(attr->nla_type, NLMSGERR_ATTR_MSG);
	assert_string_equal((const char *)(attr + 1), "taken");
	buf.len = 0;
	assert_true(xfrm_encode_ack(&buf, 42, &request, 0, NULL));
	assert_int_equal(msg->nlmsg_flags, NLM_F_CAPPED);
	assert_int_equal(msg->nlmsg_len, sizeof(*msg) + sizeof(*err));
}

static __attribute__((noinline)) void
leave_on_the_stack(int byte)
{
	volatile uint8_t left[16384];

	for (unsigned int i = 0; i < sizeof(left); i++)
		left[i] = (uint8_t)byte;
}

/* Every message that has a structure, one after the other. */
static void
encode_all(struct xfrm_buf *buf, int byte)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, 0, 1, 1};
	const struct flow flow = {.family = FAMILY_V4, .proto = 17};
	const struct xfrm_migration migration = sample_migration(3);
	const struct sa_params p = sample_sa(4);
	const struct spd_params q = sample_policy(SPD_PROTECT * 2);
	const struct xfrm_sa sa = sample_snapshot(&p);
	const struct xfrm_policy policy = {.params = &q, .added = 3, .used = 4};

	leave_on_the_stack(byte);
	assert_true(xfrm_encode_sa(buf, &head, &sa));
	leave_on_the_stack(byte);
	assert_true(xfrm_encode_expire(buf, &head, &sa, true));
	leave_on_the_stack(byte);
	assert_true(xfrm_encode_sa_deleted(buf, &head, &sa));
	leave_on_the_stack(byte);
	assert_true(xfrm_encode_ae(buf, &head, &sa, 0));
	leave_on_the_stack(byte);
	assert_true(xfrm_encode_mapping(buf, &head, &p, &p.src, 1));
	leave_on_the_stack(byte);
	assert_true(xfrm_encode_policy_deleted(buf, &head, &policy, false));
	leave_on_the_stack(byte);
	assert_true(xfrm_encode_policy_expire(buf, &head, &policy, true));
	leave_on_the_stack(byte);
	assert_true(xfrm_encode_migration(buf, &head, &migration));
	leave_on_the_stack(byte);
	assert_true(xfrm_encode_acquire(buf, &head, &policy, &flow, 7));
}

static void
nothing_of_the_stack_goes_along(void **state)
{
	struct xfrm_buf one = {.len = 0}, other = {.len = 0};

	encode_all(&one, 0x55);
	encode_all(&other, 0xaa);
	assert_int_equal(one.len, other.len);
	assert_memory_equal(one.data, other.data, one.len);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sa_survives_the_round_trip),
		cmocka_unit_test(replay_state_survives_every_window),
		cmocka_unit_test(esn_bitmap_is_the_kernels_ring),
		cmocka_unit_test(hidden_keys_are_zeros),
		cmocka_unit_test(hidden_keys_cannot_be_installed),
		cmocka_unit_test(policy_survives_the_round_trip),
		cmocka_unit_test(thresholds_survive_the_round_trip),
		cmocka_unit_test(datagram_is_cut_into_its_messages),
		cmocka_unit_test(S2_lying_message_length_is_seen),
		cmocka_unit_test(full_buffer_keeps_what_was_whole),
		cmocka_unit_test(refusal_quotes_the_request_and_says_why),
		cmocka_unit_test(nothing_of_the_stack_goes_along),
	};

	crypto_suites_allow("sha1", NULL); /* every suite of the table is sent */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
