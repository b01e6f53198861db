/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the decoder refuses, with which errno and which words. Messages stand at the end of an
 * allocation of exactly their length, so that a sanitizer sees the first byte read too far.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ikeglue/xfrm_message.h"
#include "xfrm_sample.h"

static int
decode_copy(const void *data, size_t len, struct xfrm_request *req, struct reason *why)
{
	void *exact = malloc(len);
	int rc;

	assert_non_null(exact);
	memcpy(exact, data, len);
	why->text[0] = '\0';
	rc = xfrm_decode(exact, len, req, why);
	free(exact);
	return rc;
}

static void
assert_refused(const struct xfrm_buf *buf, int error, const char *words)
{
	struct xfrm_request req;
	struct reason why;
	int rc = decode_copy(buf->data, buf->len, &req, &why);

	if (rc != -error || !strstr(why.text, words))
		fail_msg("%d \"%s\", expected %d \"%s\"", rc, why.text, -error, words);
}

static void
new_sa(struct xfrm_buf *buf, const struct sa_params *p)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, NLM_F_REQUEST, 1, 1};
	const struct xfrm_sa sa = sample_snapshot(p);

	buf->len = 0;
	assert_true(xfrm_encode_sa(buf, &head, &sa));
}

/* A good NEWSA with one more attribute. */
static void
sa_with(struct xfrm_buf *buf, const struct sa_params *p, uint16_t type, const void *data,
	uint32_t len)
{
	new_sa(buf, p);
	xfrm_attr_put(buf, type, data, len);
	assert_true(xfrm_end(buf));
}

static void
new_sa_with(struct xfrm_buf *buf, uint16_t type, const void *data, uint32_t len)
{
	struct sa_params p = sample_sa(32);

	sa_with(buf, &p, type, data, len);
}

static void
S2_cut_message_is_never_read_past(void **state)
{
	struct sa_params p = sample_sa(15);
	struct xfrm_buf buf;

	sample_replay(&p, 256, 1000);
	new_sa(&buf, &p);
	for (size_t len = sizeof(struct nlmsghdr); len < buf.len; len++) {
		struct xfrm_request req;
		struct reason why;
		int rc = decode_copy(buf.data, len, &req, &why);

		/* Cut between two attributes it may still be whole enough: then no byte is missing.
		 */
		if (rc < 0)
			assert_true(why.text[0] != '\0');
		else
			assert_int_equal(len % 4, 0);
	}
}

/* Whether an empty message of that type is refused because it is cut, not because of its type. */
static bool
message_supported(unsigned int type)
{
	switch (type) {
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
	case XFRM_MSG_DELSA:
	case XFRM_MSG_GETSA:
	case XFRM_MSG_ALLOCSPI:
	case XFRM_MSG_FLUSHSA:
	case XFRM_MSG_GETAE:
	case XFRM_MSG_NEWAE:
	case XFRM_MSG_MIGRATE:
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
	case XFRM_MSG_DELPOLICY:
	case XFRM_MSG_GETPOLICY:
	case XFRM_MSG_GETSADINFO:
	case XFRM_MSG_GETSPDINFO:
	case XFRM_MSG_NEWSPDINFO:
	case XFRM_MSG_SETDEFAULT:
	case XFRM_MSG_GETDEFAULT:
		return true;
	default:
		return false;
	}
}

static void
S2_unsupported_messages_are_named(void **state)
{
	struct xfrm_buf buf = {.len = 0};
	struct xfrm_head head = {.flags = NLM_F_REQUEST};

	for (unsigned int type = 0; type < 300; type++) {
		const char *name = xfrm_message_name((uint16_t)type);

		if (type == HELLO_TYPE || type == HAD_TYPE || type == XFRM_MSG_FLUSHPOLICY)
			continue;
		head.type = (uint16_t)type;
		buf.len = 0;
		xfrm_begin(&buf, &head, NULL, 0);
		assert_true(xfrm_end(&buf));
		assert_refused(&buf, message_supported(type) ? EINVAL : EOPNOTSUPP,
			       name ? name : "is unknown");
	}
}

static void
cut_greetings_are_refused(void **state)
{
	static const uint16_t types[] = {HELLO_TYPE, HAD_TYPE};
	struct xfrm_head head = {.flags = 0};

	for (unsigned int i = 0; i < 2; i++) {
		struct xfrm_buf buf = {.len = 0};

		head.type = types[i];
		xfrm_begin(&buf, &head, "seven..", 8);
		assert_true(xfrm_end(&buf));
		assert_refused(&buf, EINVAL, "is cut");
	}
}

static void
unsupported_attributes_are_named(void **state)
{
	static const struct {
		uint16_t type;
		const char *name;
	} table[] = {
		{XFRMA_OFFLOAD_DEV, "XFRMA_OFFLOAD_DEV"},
		{XFRMA_SEC_CTX, "XFRMA_SEC_CTX"},
		{XFRMA_ALG_COMP, "XFRMA_ALG_COMP"},
		{XFRMA_MIGRATE, "XFRMA_MIGRATE"},
		{XFRMA_TMPL, "XFRMA_TMPL"},
		{XFRMA_IPTFS_PKT_SIZE, "XFRMA_IPTFS_PKT_SIZE"},
		{77, "attribute 77 is unknown"},
		{0x3fff, "attribute 16383 is unknown"},
	};
	const uint8_t data[256] = {0};
	struct xfrm_buf buf;

	for (unsigned int i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		new_sa_with(&buf, table[i].type, data, 64);
		assert_refused(&buf, EOPNOTSUPP, table[i].name);
	}
}

static void
attribute_lengths_are_compared(void **state)
{
	static const struct {
		uint16_t type;
		uint16_t len;
		const char *words;
	} table[] = {
		{XFRMA_MARK, 4, "bad length of XFRMA_MARK: 4, expected at least 8"},
		{XFRMA_IF_ID, 8, "bad length of XFRMA_IF_ID: 8, expected 4"},
		{XFRMA_IF_ID, 0, "bad length of XFRMA_IF_ID: 0, expected 4"},
		{XFRMA_SA_DIR, 4, "bad length of XFRMA_SA_DIR: 4, expected 1"},
		{XFRMA_ENCAP, 20, "bad length of XFRMA_ENCAP: 20, expected 24"},
		{XFRMA_ALG_AEAD, 71, "bad length of XFRMA_ALG_AEAD: 71, expected at least 72"},
		{XFRMA_REPLAY_ESN_VAL, 20, "bad length of XFRMA_REPLAY_ESN_VAL: 20, expected at"},
		{XFRMA_LASTUSED, 4, "bad length of XFRMA_LASTUSED: 4, expected 8"},
	};
	const uint8_t data[256] = {0};
	struct xfrm_buf buf;

	for (unsigned int i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		new_sa_with(&buf, table[i].type, data, table[i].len);
		assert_refused(&buf, EINVAL, table[i].words);
	}
}

static void
a_mark_counts_whole_or_not_at_all(void **state)
{
	static const struct {
		uint16_t type;
		uint32_t value[2];
		uint32_t len;
		const char *refused; /* NULL: good */
	} table[] = {
		{XFRMA_MARK, {5, 0xff}, 8, "mark 0x5/0xff is not supported"},
		{XFRMA_MARK, {0, 1}, 8, "mark 0x0/0x1 is not supported"},
		{XFRMA_MARK, {0, UINT32_MAX}, 8, "mark 0x0/0xffffffff is not supported"},
		{XFRMA_MARK, {1, 0}, 8, "mark 0x1/0x0 is not supported"},
		{XFRMA_MARK, {0, 0}, 8, NULL},
		{XFRMA_MARK, {7, UINT32_MAX}, 8, NULL},
		{XFRMA_SET_MARK, {3, 0}, 4, NULL},
		{XFRMA_SET_MARK_MASK, {7, 0}, 4, "XFRMA_SET_MARK_MASK 0x7 is not supported"},
	};

	for (unsigned int i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct xfrm_request req;
		struct xfrm_buf buf;
		struct reason why;

		new_sa_with(&buf, table[i].type, table[i].value, table[i].len);
		if (!table[i].refused)
			assert_int_equal(decode_copy(buf.data, buf.len, &req, &why), 0);
		else
			assert_refused(&buf, EOPNOTSUPP, table[i].refused);
	}
}

/* Every length that an attribute's header can name. */
static void
S2_lying_attribute_length_never_reads_on(void **state)
{
	const uint32_t if_id = 1;
	struct xfrm_buf buf;

	new_sa_with(&buf, XFRMA_IF_ID, &if_id, sizeof(if_id));
	for (uint32_t len = 0; len <= UINT16_MAX; len++) {
		struct nlattr attr = {.nla_len = (uint16_t)len, .nla_type = XFRMA_IF_ID};
		struct xfrm_request req;
		struct reason why;

		memcpy(buf.data + buf.len - 8, &attr, sizeof(attr));
		assert_int_equal(decode_copy(buf.data, buf.len, &req, &why),
				 len == 8 ? 0 : -EINVAL);
	}
}

static void
S2_bytes_behind_the_attributes_are_refused(void **state)
{
	struct sa_params p = sample_sa(32);
	struct xfrm_buf buf;

	new_sa(&buf, &p);
	buf.len += 2;
	assert_refused(&buf, EINVAL, "2 bytes behind the last attribute");
}

static void
S8_sa_fields_are_judged(void **state)
{
	static const struct {
		size_t offset, len;
		uint64_t value;
		int error;
		const char *words;
	} table[] = {
#define FIELD(field, value, error, words)                                                          \
	{offsetof(struct xfrm_usersa_info, field),                                                 \
	 sizeof(((struct xfrm_usersa_info *)NULL)->field), value, error, words}
		FIELD(id.proto, IPPROTO_AH, EINVAL, "AH takes integrity alone"),
		FIELD(id.proto, IPPROTO_COMP, EPROTONOSUPPORT, "protocol 108 is not supported"),
		FIELD(family, 0, EINVAL, "bad family of the SA: 0"),
		FIELD(family, AF_UNIX, EINVAL, "bad family of the SA: 1"),
		FIELD(mode, XFRM_MODE_ROUTEOPTIMIZATION, EOPNOTSUPP, "mode ro of the SA"),
		FIELD(mode, XFRM_MODE_IN_TRIGGER, EOPNOTSUPP, "mode in_trigger of the SA"),
		FIELD(mode, 99, EINVAL, "bad mode of the SA: 99"),
		FIELD(sel.prefixlen_s, 200, EINVAL, "bad prefix length"),
		FIELD(sel.prefixlen_d, 129, EINVAL, "bad prefix length"),
		FIELD(sel.family, 7, EINVAL, "bad family of the selector: 7"),
		FIELD(sel.ifindex, 3, EOPNOTSUPP, "interface"),
		FIELD(sel.user, 3, EOPNOTSUPP, "user"),
		FIELD(sel.proto, 6, EINVAL, "needs a family"),
#undef FIELD
	};
	struct sa_params p = sample_sa(32); /* AF_UNSPEC: the selector has no family */
	struct xfrm_buf buf;

	for (unsigned int i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		new_sa(&buf, &p);
		memcpy(buf.data + NLMSG_HDRLEN + table[i].offset, &table[i].value, table[i].len);
		assert_refused(&buf, table[i].error, table[i].words);
	}
}

/* RFC 4303 section 2.7: what is padded must have a length of its own. */
static void
C32_padding_is_for_esp_in_tunnel_mode(void **state)
{
	const uint32_t length = 500;
	struct xfrm_buf buf;

	for (unsigned int seed = 0; seed < 64; seed++) {
		struct sa_params p = sample_sa(seed);

		if (p.id.proto == IPPROTO_ESP)
			p.mode = SA_MODE_TRANSPORT;
		sa_with(&buf, &p, XFRMA_TFCPAD, &length, sizeof(length));
		assert_refused(&buf, EINVAL, "XFRMA_TFCPAD is for ESP in tunnel mode");
	}
}

/* A NEWSA with these algorithms alone. */
static void
new_sa_algorithm(struct xfrm_buf *buf, uint16_t type, const char *name, uint32_t key_bits,
		 uint32_t icv_bits, uint32_t bytes)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, NLM_F_REQUEST, 1, 1};
	struct xfrm_usersa_info info = {
		.id = {.spi = 1, .proto = IPPROTO_ESP},
		.family = AF_INET,
		.mode = XFRM_MODE_TUNNEL,
	};
	uint8_t alg[72 + 256];

	memset(alg, 0, 64);
	memset(alg + 64, 0x55, sizeof(alg) - 64);
	memcpy(alg, name, strlen(name));
	memcpy(alg + 64, &key_bits, 4);
	if (type == XFRMA_ALG_AEAD)
		memcpy(alg + 68, &icv_bits, 4);
	buf->len = 0;
	xfrm_begin(buf, &head, &info, sizeof(info));
	xfrm_attr_put(buf, type, alg, (type == XFRMA_ALG_AEAD ? 72 : 68) + bytes);
	assert_true(xfrm_end(buf));
}

static void
C73_S8_algorithms_are_judged(void **state)
{
	static const char gcm[] = "rfc4106(gcm(aes))";
	char endless[64];
	struct xfrm_buf buf;

	memset(endless, 'a', sizeof(endless));
	new_sa_algorithm(&buf, XFRMA_ALG_AEAD, gcm, 128, 128, 16);
	assert_refused(&buf, EINVAL,
		       "bad key length: 16 for rfc4106(gcm(aes)), expected 20, 28 or 36");
	new_sa_algorithm(&buf, XFRMA_ALG_AEAD, gcm, 160, 128, 19);
	assert_refused(&buf, EINVAL, "the key of rfc4106(gcm(aes)) is cut: 19 bytes, expected 20");
	new_sa_algorithm(&buf, XFRMA_ALG_AEAD, gcm, UINT32_MAX, 128, 36);
	assert_refused(&buf, EINVAL, "is cut");
	new_sa_algorithm(&buf, XFRMA_ALG_AEAD, gcm, 153, 128, 20);
	assert_refused(&buf, EINVAL, "bad key length");
	new_sa_algorithm(&buf, XFRMA_ALG_AEAD, gcm, 160, 32, 20);
	assert_refused(&buf, EINVAL, "bad ICV length");
	new_sa_algorithm(&buf, XFRMA_ALG_AEAD, "rfc4106(gcm(des))", 160, 128, 20);
	assert_refused(&buf, ENOSYS, "rfc4106(gcm(des))");
	new_sa_algorithm(&buf, XFRMA_ALG_CRYPT, "cbc(aes)", 128, 0, 16);
	assert_refused(&buf, ENOSYS, "without integrity");
	new_sa_algorithm(&buf, XFRMA_ALG_AUTH, "hmac(sha256)", 256, 0, 32);
	assert_refused(&buf, EINVAL, "no cipher");
	memcpy(buf.data + NLMSG_HDRLEN + sizeof(struct xfrm_usersa_info) + NLA_HDRLEN, endless, 64);
	assert_refused(&buf, EINVAL, "has no end");
	((struct nlmsghdr *)buf.data)->nlmsg_len = NLMSG_HDRLEN + sizeof(struct xfrm_usersa_info);
	buf.len = first_message(&buf)->nlmsg_len;
	assert_refused(&buf, EINVAL, "no algorithm");
}

/* The same for AH. */
static void
new_ah_algorithm(struct xfrm_buf *buf, uint16_t type, const char *name, uint32_t key_bits)
{
	new_sa_algorithm(buf, type, name, key_bits, 128, key_bits / 8 + 4);
	buf->data[NLMSG_HDRLEN + offsetof(struct xfrm_usersa_info, id.proto)] = IPPROTO_AH;
}

static void
algorithms_of_ah_are_judged(void **state)
{
	struct xfrm_buf buf;

	new_ah_algorithm(&buf, XFRMA_ALG_AEAD, "rfc4543(gcm(aes))", 160);
	assert_refused(&buf, EINVAL, "AH takes integrity alone");
	new_ah_algorithm(&buf, XFRMA_ALG_CRYPT, "ecb(cipher_null)", 0);
	assert_refused(&buf, EINVAL, "AH takes integrity alone");
	new_ah_algorithm(&buf, XFRMA_ALG_AUTH, "hmac(md5)", 128);
	assert_refused(&buf, ENOSYS, "MD5 is broken");
	new_ah_algorithm(&buf, XFRMA_ALG_AUTH, "digest_null", 0);
	assert_refused(&buf, ENOSYS, "without integrity");
	new_ah_algorithm(&buf, XFRMA_ALG_AUTH, "hmac(sha256)", 256);
	assert_refused(&buf, EINVAL, "no ICV length");
	new_ah_algorithm(&buf, XFRMA_ALG_AUTH, "hmac(sha512)", 256);
	assert_refused(&buf, EINVAL, "bad key length: 32 for hmac(sha512), expected 64");
	new_ah_algorithm(&buf, XFRMA_ALG_AUTH, "rfc4543(gcm(aes))", 128);
	assert_refused(&buf, EINVAL, "bad key length: 16 for rfc4543(gcm(aes)), expected 20");
	new_ah_algorithm(&buf, XFRMA_ALG_AUTH, "rfc4106(gcm(aes))", 160);
	assert_refused(&buf, ENOSYS, "unknown algorithm");
	((struct nlmsghdr *)buf.data)->nlmsg_len = NLMSG_HDRLEN + sizeof(struct xfrm_usersa_info);
	buf.len = first_message(&buf)->nlmsg_len;
	assert_refused(&buf, EINVAL, "AH without integrity");
}

static void
S8_replay_state_is_judged(void **state)
{
	static const struct {
		uint32_t words; /* that come along */
		const char *said;
		struct xfrm_replay_state_esn x;
	} table[] = {
		{3, "bad length of XFRMA_REPLAY_ESN_VAL", {.bmp_len = 4, .replay_window = 128}},
		{5, "bad length of XFRMA_REPLAY_ESN_VAL", {.bmp_len = 4, .replay_window = 128}},
		{4, "bad replay window: 129", {.bmp_len = 4, .replay_window = 129}},
		{129, "bad replay window", {.bmp_len = 129, .replay_window = 128}},
		{0, "bad replay window", {.bmp_len = UINT32_MAX, .replay_window = 32}},
		{0, "bad replay window", {.bmp_len = 0x08000000, .replay_window = UINT32_MAX}},
		{0, "bad replay window", {.bmp_len = 0, .replay_window = 1}},
		{1, "without the flag esn", {.bmp_len = 1, .replay_window = 32, .seq_hi = 1}},
	};
	uint8_t data[24 + 4096];
	struct xfrm_buf buf;

	for (unsigned int i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		memset(data, 0xff, sizeof(data));
		memcpy(data, &table[i].x, sizeof(table[i].x));
		new_sa_with(&buf, XFRMA_REPLAY_ESN_VAL, data, 24 + table[i].words * 4);
		assert_refused(&buf, EINVAL, table[i].said);
	}
}

/* Numbers of 64 bits do not fit the legacy state, nor a window that is told in its place. */
static void
S8_extended_numbers_need_their_own_replay_state(void **state)
{
	const struct xfrm_replay_state legacy = {.oseq = 3, .bitmap = 3};
	struct xfrm_usersa_info *info;
	struct xfrm_buf buf;

	new_sa_with(&buf, XFRMA_REPLAY_VAL, &legacy, sizeof(legacy));
	info = NLMSG_DATA((struct nlmsghdr *)buf.data);
	info->flags |= XFRM_STATE_ESN;
	assert_refused(&buf, EINVAL, "ESN without XFRMA_REPLAY_ESN_VAL");
}

/* iproute2 says how long the bitmap is and leaves it out. */
static void
replay_state_without_its_bitmap_is_accepted(void **state)
{
	const struct xfrm_replay_state_esn x = {.bmp_len = 4, .replay_window = 128, .oseq = 3};
	struct xfrm_request req;
	struct xfrm_buf buf;
	struct reason why;

	new_sa_with(&buf, XFRMA_REPLAY_ESN_VAL, &x, sizeof(x));
	assert_int_equal(decode_copy(buf.data, buf.len, &req, &why), 0);
	assert_int_equal(req.sa.params.replay_window, 128);
	assert_int_equal(req.sa.params.out_seq, 3);
}

static void
C2_S7_spi_ranges_are_judged(void **state)
{
	static const struct {
		uint32_t min, max;
		int error;
	} table[] = {{256, 256, 0},
		     {255, 300, EINVAL},
		     {0, 0, EINVAL},
		     {0x2000, 0x1fff, EINVAL},
		     {256, UINT32_MAX, 0}};
	const struct xfrm_head head = {XFRM_MSG_ALLOCSPI, NLM_F_REQUEST, 1, 1};
	struct xfrm_userspi_info info = {
		.info = {.id = {.proto = IPPROTO_ESP}, .family = AF_INET},
	};

	for (unsigned int i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct xfrm_buf buf = {.len = 0};
		struct xfrm_request req;
		struct reason why;

		info.min = table[i].min;
		info.max = table[i].max;
		xfrm_begin(&buf, &head, &info, sizeof(info));
		assert_true(xfrm_end(&buf));
		assert_int_equal(decode_copy(buf.data, buf.len, &req, &why), -table[i].error);
	}
}

static void
new_policy(struct xfrm_buf *buf, const struct xfrm_userpolicy_info *info,
	   const struct xfrm_user_tmpl *tmpl, uint32_t tmpl_len)
{
	const struct xfrm_head head = {XFRM_MSG_NEWPOLICY, NLM_F_REQUEST, 1, 1};

	buf->len = 0;
	xfrm_begin(buf, &head, info, sizeof(*info));
	if (tmpl)
		xfrm_attr_put(buf, XFRMA_TMPL, tmpl, tmpl_len);
	assert_true(xfrm_end(buf));
}

static void
policies_are_judged(void **state)
{
	const struct xfrm_userpolicy_info good = {.sel = {.family = AF_INET}};
	struct xfrm_user_tmpl tmpl[2] = {
		{.id = {.proto = IPPROTO_ESP}, .mode = XFRM_MODE_TUNNEL},
		{.id = {.proto = IPPROTO_ESP}, .mode = XFRM_MODE_TUNNEL},
	};
	struct xfrm_userpolicy_info bad = good;
	struct xfrm_request req;
	struct xfrm_buf buf;
	struct reason why;

	new_policy(&buf, &good, tmpl, sizeof(tmpl[0]));
	assert_int_equal(decode_copy(buf.data, buf.len, &req, &why), 0);
	assert_int_equal(req.policy.tmpl.family, FAMILY_V4); /* the selector's */
	new_policy(&buf, &good, tmpl, sizeof(tmpl));
	assert_refused(&buf, EOPNOTSUPP, "templates of more than one step are not supported: 2");
	new_policy(&buf, &good, tmpl, sizeof(tmpl[0]) + 4);
	assert_refused(&buf, EINVAL, "bad length of XFRMA_TMPL");
	tmpl[0].mode = XFRM_MODE_ROUTEOPTIMIZATION;
	new_policy(&buf, &good, tmpl, sizeof(tmpl[0]));
	assert_refused(&buf, EOPNOTSUPP, "mode ro of the template");
	tmpl[0].id.proto = IPPROTO_COMP;
	new_policy(&buf, &good, tmpl, sizeof(tmpl[0]));
	assert_refused(&buf, EPROTONOSUPPORT, "template's protocol 108");
	bad.dir = 3;
	new_policy(&buf, &bad, NULL, 0);
	assert_refused(&buf, EINVAL, "bad direction: 3");
	bad = good;
	bad.sel.prefixlen_d = 33;
	new_policy(&buf, &bad, NULL, 0);
	assert_refused(&buf, EINVAL, "bad prefix length of the selector's destination: 33");
	bad = good;
	bad.sel.family = AF_UNSPEC;
	new_policy(&buf, &bad, NULL, 0);
	assert_refused(&buf, EINVAL, "needs a family");
	bad = good;
	bad.action = 9;
	new_policy(&buf, &bad, NULL, 0);
	assert_refused(&buf, EINVAL, "bad action: 9");
	bad = good;
	bad.index = 9;
	new_policy(&buf, &bad, NULL, 0);
	assert_refused(&buf, EOPNOTSUPP, "index");
}

static void
only_time_ends_policies(void **state)
{
	struct xfrm_userpolicy_info info = {.sel = {.family = AF_INET}};
	__u64 *const hard[] = {&info.lft.hard_byte_limit, &info.lft.hard_packet_limit};
	struct xfrm_request req;
	struct xfrm_buf buf;
	struct reason why;

	info.lft.soft_byte_limit = info.lft.soft_packet_limit = XFRM_INF;
	info.lft.soft_use_expires_seconds = 30; /* as libreswan has it */
	info.lft.hard_add_expires_seconds = info.lft.hard_use_expires_seconds = 40;
	for (unsigned int i = 0; i < sizeof(hard) / sizeof(hard[0]); i++) {
		*hard[i] = 1;
		new_policy(&buf, &info, NULL, 0);
		assert_refused(&buf, EOPNOTSUPP,
			       "hard limits of a policy in bytes and packets are not supported");
		*hard[i] = XFRM_INF;
	}
	new_policy(&buf, &info, NULL, 0);
	assert_int_equal(decode_copy(buf.data, buf.len, &req, &why), 0);
}

static void
udp_encapsulation_needs_ports(void **state)
{
	struct xfrm_encap_tmpl encap = {.encap_type = XFRM_UDP_ENCAP_ESPINUDP,
					.encap_sport = RTE_BE16(1024)};
	struct sa_params out = sample_sa(32), in = sample_sa(32);
	struct xfrm_request req;
	struct xfrm_buf buf;
	struct reason why;

	new_sa_with(&buf, XFRMA_ENCAP, &encap, sizeof(encap));
	assert_refused(&buf, EINVAL, "from port 1024 to 0");
	encap.encap_dport = RTE_BE16(4501);
	new_sa_with(&buf, XFRMA_ENCAP, &encap, sizeof(encap));
	assert_int_equal(decode_copy(buf.data, buf.len, &req, &why), 0);
	/* A peer may send from any port; we from one of ours. */
	encap.encap_sport = 0;
	in.flags |= SA_IN_ONLY;
	sa_with(&buf, &in, XFRMA_ENCAP, &encap, sizeof(encap));
	assert_int_equal(decode_copy(buf.data, buf.len, &req, &why), 0);
	out.flags |= SA_OUT_ONLY;
	out.replay_window = 0;
	sa_with(&buf, &out, XFRMA_ENCAP, &encap, sizeof(encap));
	assert_refused(&buf, EINVAL, "from port 0 to 4501");
}

static void
what_goes_with_udp_encapsulation_is_refused_without(void **state)
{
	const uint32_t seconds = 20;
	struct xfrm_buf buf;

	new_sa_with(&buf, XFRMA_NAT_KEEPALIVE_INTERVAL, &seconds, sizeof(seconds));
	assert_refused(&buf, EINVAL, "XFRMA_NAT_KEEPALIVE_INTERVAL without XFRMA_ENCAP");
	new_sa_with(&buf, XFRMA_MTIMER_THRESH, &seconds, sizeof(seconds));
	assert_refused(&buf, EINVAL, "XFRMA_MTIMER_THRESH without XFRMA_ENCAP");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(S2_cut_message_is_never_read_past),
		cmocka_unit_test(S2_unsupported_messages_are_named),
		cmocka_unit_test(cut_greetings_are_refused),
		cmocka_unit_test(C32_padding_is_for_esp_in_tunnel_mode),
		cmocka_unit_test(unsupported_attributes_are_named),
		cmocka_unit_test(attribute_lengths_are_compared),
		cmocka_unit_test(a_mark_counts_whole_or_not_at_all),
		cmocka_unit_test(S2_lying_attribute_length_never_reads_on),
		cmocka_unit_test(S2_bytes_behind_the_attributes_are_refused),
		cmocka_unit_test(S8_sa_fields_are_judged),
		cmocka_unit_test(C73_S8_algorithms_are_judged),
		cmocka_unit_test(algorithms_of_ah_are_judged),
		cmocka_unit_test(S8_replay_state_is_judged),
		cmocka_unit_test(S8_extended_numbers_need_their_own_replay_state),
		cmocka_unit_test(replay_state_without_its_bitmap_is_accepted),
		cmocka_unit_test(C2_S7_spi_ranges_are_judged),
		cmocka_unit_test(policies_are_judged),
		cmocka_unit_test(only_time_ends_policies),
		cmocka_unit_test(udp_encapsulation_needs_ports),
		cmocka_unit_test(what_goes_with_udp_encapsulation_is_refused_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
