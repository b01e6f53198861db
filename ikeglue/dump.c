/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dumps: SAs or policies in datagrams of at most XFRM_DATAGRAM_MAX bytes, made one at a time as
 * the socket takes them, so that a dump of any size holds no more memory than one datagram. The
 * cursor survives what others add and delete meanwhile.
 */
#include <errno.h>
#include <sys/socket.h>

#include "ctl.h"
#include "xfrm_uapi.h"

int
dump_begin(struct client *client, const struct xfrm_request *req, struct reason *why)
{
	if (client->dump.type)
		return reason_set(why, EBUSY, "a dump is in progress");
	client->dump = (struct dump){.type = req->type, .seq = req->seq};
	if (req->type == XFRM_MSG_GETSA)
		client->dump.filter = req->filter;
	return 0;
}

static bool
prefix_match(const union ip_addr *a, const union ip_addr *b, uint8_t len)
{
	const union ip_addr x = ip_addr_mask(a, len), y = ip_addr_mask(b, len);

	return ip_addr_equal(&x, &y);
}

static bool
filter_match(const struct xfrm_filter *filter, const struct sa_params *p)
{
	if (filter->proto != 0 && filter->proto != p->id.proto)
		return false;
	if (filter->family == 0)
		return true;
	return filter->family == p->id.family &&
	       prefix_match(&filter->src, &p->src, filter->src_len) &&
	       prefix_match(&filter->dst, &p->id.dst, filter->dst_len);
}

/* The next message of the dump. False where it does not fit; *end is set behind the last one. */
static bool
next_sa(struct ctl *ctl, struct client *client, struct xfrm_buf *buf, bool *end)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, NLM_F_MULTI, client->dump.seq, client->port};
	const struct sa_control *c = sad_next(ctl->sad, &client->dump.cursor);
	struct sa_params params;
	struct xfrm_sa sa;
	bool fits = true;

	*end = !c;
	if (!c)
		return true;
	sad_params_and_keys(c, &params);
	if (filter_match(&client->dump.filter, &params)) {
		sa = sa_snapshot(ctl, c, &params);
		fits = xfrm_encode_sa(buf, &head, &sa);
	}
	crypto_zeroize(&params, sizeof(params));
	return fits;
}

static bool
next_policy(struct ctl *ctl, struct client *client, struct xfrm_buf *buf, bool *end)
{
	const struct xfrm_head head = {XFRM_MSG_NEWPOLICY, NLM_F_MULTI, client->dump.seq,
				       client->port};
	const struct policy *policy = spd_next(ctl->spd, &client->dump.cursor);
	struct spd_params params;
	struct xfrm_policy p;

	*end = !policy;
	if (!policy)
		return true;
	params = spd_params(policy);
	p = policy_snapshot(policy, &params);
	return xfrm_encode_policy(buf, &head, &p);
}

/* Fills one datagram. NLMSG_DONE ends the dump; it may need a datagram of its own. */
static void
fill(struct ctl *ctl, struct client *client, struct xfrm_buf *buf)
{
	struct dump *dump = &client->dump;
	bool end = false;

	for (;;) {
		uint32_t before = dump->cursor;
		bool fits = dump->type == XFRM_MSG_GETSA ? next_sa(ctl, client, buf, &end)
							 : next_policy(ctl, client, buf, &end);

		if (fits && !end)
			continue;
		if (end && xfrm_encode_done(buf, dump->seq, client->port))
			dump->type = 0;
		else
			dump->cursor = before; /* once more, in the next datagram */
		return;
	}
}

void
dump_continue(struct ctl *ctl, struct client *client)
{
	for (unsigned int i = 0; i < CTL_DUMP_BURST; i++) {
		struct xfrm_buf buf = {.len = 0};

		if (!client->dump.type || client->first || client->dead)
			break;
		fill(ctl, client, &buf);
		client_reply(ctl, client, &buf);
		crypto_zeroize(buf.data, buf.len);
	}
}
