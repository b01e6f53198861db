/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests: decoded, carried out on the SAD and the SPD, answered. A refusal's errno is the
 * kernel's for the same mistake, and its text says what was expected.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "sadb/chash.h"
#include "xfrm_uapi.h"

#define WARN_SECONDS 60 /* between two warnings of keys set by hand */

/* What an allocated SPI waits for its keys, in seconds: strongSwan's retransmissions last 165. */
#define LARVAL_SECONDS 165

struct exchange { /* one request on its way */
	struct ctl *ctl;
	struct client *client;
	struct xfrm_request req;
	struct xfrm_head cause; /* of the events that it brings about */
	struct reason why;
};

static struct xfrm_head
reply_head(const struct exchange *x, uint16_t type)
{
	return (struct xfrm_head){.type = type, .seq = x->req.seq, .port = x->client->port};
}

static int
reply(struct exchange *x, struct xfrm_buf *buf, bool encoded)
{
	if (!encoded)
		return reason_set(&x->why, EMSGSIZE, "the answer is longer than %u bytes",
				  XFRM_DATAGRAM_MAX);
	client_reply(x->ctl, x->client, buf);
	crypto_zeroize(buf->data, buf->len);
	return 0;
}

static int
greet(struct exchange *x)
{
	x->client->port = x->req.hello.port;
	x->client->groups = x->req.hello.groups;
	x->client->process = x->req.hello.process;
	x->client->ext_ack = (x->req.hello.flags & HELLO_EXT_ACK) != 0;
	return 0;
}

static int
no_such_sa(struct exchange *x)
{
	return reason_set(&x->why, ESRCH, "no SA has this destination, SPI, protocol and mark");
}

static bool
limited(const struct sa_limits *l)
{
	const uint64_t limits[] = {l->hard_bytes,       l->hard_packets,     l->soft_bytes,
				   l->soft_packets,     l->hard_add_seconds, l->soft_add_seconds,
				   l->hard_use_seconds, l->soft_use_seconds};

	for (unsigned int i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (limits[i] != 0 && limits[i] != UINT64_MAX)
			return true;
	return false;
}

/*
 * RFC 8221 section 3: no counter mode with manual keys. An IKE daemon is known by what a person
 * leaves out: an SPI allocated before, the number of an acquire, a lifetime.
 */
static void
warn_of_manual_key(struct ctl *ctl, const struct client *client, const struct sa_params *p,
		   bool known)
{
	struct timespec now;

	if (!crypto_suites[p->suite].counter_mode || known || p->seq != 0 || limited(&p->limits))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if ((uint64_t)now.tv_sec < ctl->warn_at)
		return;
	ctl->warn_at = (uint64_t)now.tv_sec + WARN_SECONDS;
	CTL_LOG(WARNING,
		"process %d set a key of %s by hand and without a limit (SPI 0x%08x): counter "
		"modes are not meant for that (RFC 8221 section 3), let an IKE daemon set keys\n",
		(int)client->pid, crypto_suites[p->suite].name, rte_be_to_cpu_32(p->id.spi));
}

static int
set_sa(struct exchange *x)
{
	const struct sa_params *params = &x->req.sa.params;
	struct sa_control *c = sad_find(x->ctl->sad, &params->id);
	bool known = c != NULL;
	int rc;

	if (x->req.type == XFRM_MSG_NEWSA)
		rc = sad_add(x->ctl->sad, params, &x->why);
	else
		rc = sad_update(x->ctl->sad, params, &x->why);
	if (rc < 0)
		return rc;
	warn_of_manual_key(x->ctl, x->client, params, known);
	c = sad_find(x->ctl->sad, &params->id);
	if (c) {
		owner_claim(x->ctl, x->client, c);
		event_sa(x->ctl, &x->cause, c);
	}
	return 0;
}

static int
reply_sa(struct exchange *x, const struct sa_control *c)
{
	const struct xfrm_head head = reply_head(x, XFRM_MSG_NEWSA);
	struct xfrm_buf buf = {.len = 0};
	struct sa_params params;
	struct xfrm_sa sa;
	bool made;

	sad_params_and_keys(c, &params);
	sa = sa_snapshot(x->ctl, c, &params);
	made = xfrm_encode_sa(&buf, &head, &sa);
	crypto_zeroize(&params, sizeof(params));
	return reply(x, &buf, made);
}

static int
get_sa(struct exchange *x)
{
	const struct sa_control *c;

	if (x->req.dump)
		return dump_begin(x->client, &x->req, &x->why);
	c = sad_find(x->ctl->sad, &x->req.sa_id.id);
	return c ? reply_sa(x, c) : no_such_sa(x);
}

static int
delete_sa(struct exchange *x)
{
	const struct sa_control *c = sad_find(x->ctl->sad, &x->req.sa_id.id);

	if (!c)
		return no_such_sa(x);
	event_sa_deleted(x->ctl, &x->cause, c);
	return sad_delete(x->ctl->sad, &x->req.sa_id.id, &x->why);
}

static int
alloc_spi(struct exchange *x)
{
	struct sa_id id = x->req.sa.params.id;
	const struct sa_control *c;
	int rc;

	rc = sad_alloc_spi(x->ctl->sad, &x->req.sa.params, x->req.sa.min, x->req.sa.max,
			   LARVAL_SECONDS, &id.spi, &x->why);
	if (rc < 0)
		return rc;
	x->client->once.id = id;
	owner_works(x->ctl, x->client);
	c = sad_find(x->ctl->sad, &id);
	return c ? reply_sa(x, c) : no_such_sa(x);
}

static int
get_ae(struct exchange *x)
{
	const struct xfrm_head head = reply_head(x, XFRM_MSG_NEWAE);
	const struct sa_control *c = sad_find(x->ctl->sad, &x->req.sa_id.id);
	struct xfrm_buf buf = {.len = 0};
	struct sa_params params;
	struct xfrm_sa sa;

	if (!c || c->state == SA_LARVAL)
		return no_such_sa(x);
	params = sad_params(c);
	sa = sa_snapshot(x->ctl, c, &params);
	return reply(x, &buf, xfrm_encode_ae(&buf, &head, &sa, x->req.sa_id.ae_flags));
}

static int
set_ae(struct exchange *x)
{
	const struct sa_params *params = &x->req.sa.params;
	int rc = sad_advance(x->ctl->sad, params, &x->why);

	if (rc == 0)
		numbers_set(x->ctl, &x->cause, sad_find(x->ctl->sad, &params->id));
	return rc;
}

static int
migrate_policy(struct exchange *x)
{
	int rc = migrate(x->ctl, &x->req.migration, &x->why);

	if (rc == 0)
		event_migrate(x->ctl, &x->cause, &x->req.migration);
	return rc;
}

static int
flush_sas(struct exchange *x)
{
	sad_flush(x->ctl->sad, x->req.proto);
	event_sa_flushed(x->ctl, &x->cause, x->req.proto);
	return 0;
}

static int
sad_info(struct exchange *x)
{
	const struct xfrm_head head = reply_head(x, XFRM_MSG_NEWSADINFO);
	const struct xfrm_sadinfo info = {
		.flags = x->req.info,
		.count = sad_count(x->ctl->sad),
		.max = sad_max(x->ctl->sad),
	};
	struct xfrm_buf buf = {.len = 0};

	return reply(x, &buf, xfrm_encode_sadinfo(&buf, &head, &info));
}

static int
set_policy(struct exchange *x)
{
	const struct policy *policy;
	int rc;

	rc = spd_add(x->ctl->spd, &x->req.policy, x->req.type == XFRM_MSG_UPDPOLICY, &x->why);
	if (rc < 0)
		return rc;
	owner_works(x->ctl, x->client);
	policy = spd_find(x->ctl->spd, &x->req.policy.id, 0);
	if (policy)
		event_policy(x->ctl, &x->cause, policy);
	return 0;
}

static const struct policy *
find_policy(struct exchange *x)
{
	const struct policy *policy =
		spd_find(x->ctl->spd, &x->req.policy_id.id, x->req.policy_id.index);

	if (!policy)
		reason_set(&x->why, ENOENT,
			   x->req.policy_id.index
				   ? "no policy has this index"
				   : "no policy has this selector, direction, if_id and mark");
	return policy;
}

static int
get_policy(struct exchange *x)
{
	const struct xfrm_head head = reply_head(x, XFRM_MSG_NEWPOLICY);
	struct xfrm_buf buf = {.len = 0};
	const struct policy *policy;
	struct spd_params params;
	struct xfrm_policy p;

	if (x->req.dump)
		return dump_begin(x->client, &x->req, &x->why);
	policy = find_policy(x);
	if (!policy)
		return -ENOENT;
	params = spd_params(policy);
	p = policy_snapshot(policy, &params);
	return reply(x, &buf, xfrm_encode_policy(&buf, &head, &p));
}

static int
delete_policy(struct exchange *x)
{
	const struct policy *policy = find_policy(x);
	uint32_t index = x->req.policy_id.index;

	if (!policy)
		return -ENOENT;
	event_policy_deleted(x->ctl, &x->cause, policy, index != 0);
	return spd_delete(x->ctl->spd, &x->req.policy_id.id, index, &x->why);
}

static int
flush_policies(struct exchange *x)
{
	spd_flush(x->ctl->spd);
	event_policies_flushed(x->ctl, &x->cause);
	return 0;
}

static int
spd_info(struct exchange *x)
{
	const struct xfrm_head head = reply_head(x, XFRM_MSG_NEWSPDINFO);
	struct xfrm_spdinfo info = {
		.flags = x->req.info,
		.thresholds = x->ctl->thresholds,
	};
	struct xfrm_buf buf = {.len = 0};

	spd_count(x->ctl->spd, info.count);
	return reply(x, &buf, xfrm_encode_spdinfo(&buf, &head, &info));
}

/* The tuple-space search has no thresholds: they are kept for who asks what was set. */
static int
set_thresholds(struct exchange *x)
{
	const struct xfrm_thresholds *from = &x->req.thresholds.value;
	struct xfrm_thresholds *to = &x->ctl->thresholds;

	if (x->req.thresholds.v4) {
		to->v4_local = from->v4_local;
		to->v4_remote = from->v4_remote;
	}
	if (x->req.thresholds.v6) {
		to->v6_local = from->v6_local;
		to->v6_remote = from->v6_remote;
	}
	return 0;
}

/* What happens to traffic that no policy matches: the configuration says it. */
static uint8_t
no_match(const struct ctl *ctl)
{
	return ctl->bypass ? XFRM_USERPOLICY_ACCEPT : XFRM_USERPOLICY_BLOCK;
}

static int
get_default(struct exchange *x)
{
	const struct xfrm_head head = reply_head(x, XFRM_MSG_GETDEFAULT);
	const uint8_t all = no_match(x->ctl);
	const struct xfrm_userpolicy_default defaults = {all, all, all};
	struct xfrm_buf buf = {.len = 0};

	return reply(x, &buf, xfrm_encode_default(&buf, &head, &defaults));
}

static int
set_default(struct exchange *x)
{
	const struct xfrm_userpolicy_default *to = &x->req.defaults;
	const uint8_t asked[] = {to->in, to->fwd, to->out};

	for (unsigned int i = 0; i < sizeof(asked); i++)
		if (asked[i] != XFRM_USERPOLICY_UNSPEC && asked[i] != no_match(x->ctl))
			return reason_set(&x->why, EOPNOTSUPP,
					  "what no policy matches is what spd.no_match of the "
					  "configuration says");
	return 0;
}

static int (*const handlers[XFRM_NR_MSGTYPES])(struct exchange *x) = {
	[XFRM_MSG_NEWSA - XFRM_MSG_BASE] = set_sa,
	[XFRM_MSG_UPDSA - XFRM_MSG_BASE] = set_sa,
	[XFRM_MSG_DELSA - XFRM_MSG_BASE] = delete_sa,
	[XFRM_MSG_GETSA - XFRM_MSG_BASE] = get_sa,
	[XFRM_MSG_ALLOCSPI - XFRM_MSG_BASE] = alloc_spi,
	[XFRM_MSG_GETAE - XFRM_MSG_BASE] = get_ae,
	[XFRM_MSG_NEWAE - XFRM_MSG_BASE] = set_ae,
	[XFRM_MSG_MIGRATE - XFRM_MSG_BASE] = migrate_policy,
	[XFRM_MSG_FLUSHSA - XFRM_MSG_BASE] = flush_sas,
	[XFRM_MSG_GETSADINFO - XFRM_MSG_BASE] = sad_info,
	[XFRM_MSG_NEWPOLICY - XFRM_MSG_BASE] = set_policy,
	[XFRM_MSG_UPDPOLICY - XFRM_MSG_BASE] = set_policy,
	[XFRM_MSG_DELPOLICY - XFRM_MSG_BASE] = delete_policy,
	[XFRM_MSG_GETPOLICY - XFRM_MSG_BASE] = get_policy,
	[XFRM_MSG_FLUSHPOLICY - XFRM_MSG_BASE] = flush_policies,
	[XFRM_MSG_GETSPDINFO - XFRM_MSG_BASE] = spd_info,
	[XFRM_MSG_NEWSPDINFO - XFRM_MSG_BASE] = set_thresholds,
	[XFRM_MSG_SETDEFAULT - XFRM_MSG_BASE] = set_default,
	[XFRM_MSG_GETDEFAULT - XFRM_MSG_BASE] = get_default,
};

/* Decoding refused every other type before. */
static int
carry_out(struct exchange *x)
{
	if (x->req.type == HELLO_TYPE)
		return greet(x);
	if (x->req.type == HAD_TYPE) {
		lost_sa(x->ctl, x->client, &x->req.sa.params);
		return 0;
	}
	return handlers[x->req.type - XFRM_MSG_BASE](x);
}

/* Of the preload library itself. */
static bool
is_greeting(uint16_t type)
{
	return type == HELLO_TYPE || type == HAD_TYPE;
}

/* ---- requests that come again ---- */

/* Those that would not do the same, or would be refused, a second time. */
static bool
changes(uint16_t type)
{
	return type == XFRM_MSG_NEWSA || type == XFRM_MSG_DELSA || type == XFRM_MSG_NEWPOLICY ||
	       type == XFRM_MSG_DELPOLICY || type == XFRM_MSG_ALLOCSPI;
}

/* The whole message as a number, 0 for one without a sequence number. It is kept; keys are not. */
static uint64_t
print_of(const struct ctl *ctl, const struct nlmsghdr *msg)
{
	const uint8_t *data = (const uint8_t *)msg;
	uint64_t print = ctl->seed;

	if (msg->nlmsg_seq == 0)
		return 0;
	for (uint32_t at = 0; at < msg->nlmsg_len; at += sizeof(uint64_t)) {
		uint32_t left = msg->nlmsg_len - at;
		uint64_t word = 0;

		memcpy(&word, data + at, left < sizeof(word) ? left : sizeof(word));
		print = chash_mix(print, word);
	}
	return print ? print : 1;
}

/*
 * An IKE daemon that waited too long for an answer sends its request once more, the sequence number
 * included, and takes a refusal of the second for that of the first.
 */
static int
carry_out_once(struct exchange *x, const struct nlmsghdr *msg)
{
	uint64_t print = changes(x->req.type) ? print_of(x->ctl, msg) : 0;
	const struct sa_control *c;
	int rc;

	if (print == 0 || print != x->client->once.print) {
		x->client->once.print = 0;
		rc = carry_out(x);
		if (rc == 0)
			x->client->once.print = print;
		return rc;
	}
	if (x->req.type != XFRM_MSG_ALLOCSPI)
		return 0;
	c = sad_find(x->ctl->sad, &x->client->once.id);
	return c ? reply_sa(x, c) : no_such_sa(x);
}

static void
acknowledge(struct exchange *x, const struct nlmsghdr *msg, int rc)
{
	const char *text = x->client->ext_ack ? x->why.text : NULL;
	struct xfrm_buf buf = {.len = 0};

	if (rc < 0)
		CTL_LOG(INFO, "refused %s of process %d: %s (%s)\n",
			xfrm_message_name(x->req.type) ?: "a message", (int)x->client->pid,
			x->why.text, strerror(-rc));
	if (xfrm_encode_ack(&buf, x->client->port, msg, rc, text))
		client_reply(x->ctl, x->client, &buf);
}

void
request_handle(struct ctl *ctl, struct client *client, const struct nlmsghdr *msg)
{
	struct exchange x = {.ctl = ctl, .client = client};
	int rc;

	/* As the kernel: what is no request, and netlink's own control messages, do nothing. */
	if (!is_greeting(msg->nlmsg_type) &&
	    (!(msg->nlmsg_flags & NLM_F_REQUEST) || msg->nlmsg_type < NLMSG_MIN_TYPE)) {
		if (msg->nlmsg_flags & NLM_F_ACK)
			acknowledge(&x, msg, 0);
		return;
	}
	rc = xfrm_decode(msg, msg->nlmsg_len, &x.req, &x.why);
	x.cause = reply_head(&x, x.req.type);
	if (rc == 0)
		rc = carry_out_once(&x, msg);
	/* A dump is acknowledged by its end. */
	if (rc < 0 || (x.req.flags & NLM_F_ACK && !x.req.dump))
		acknowledge(&x, msg, rc);
	crypto_zeroize(&x.req, sizeof(x.req));
}
