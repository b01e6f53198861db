/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages in two trees, found by what they install: see recall.h. */
#include "recall.h"

#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>
#include <linux/xfrm.h>

#include "hello.h"

#define ITEMS_MAX 262144 /* more are not kept */

enum kind { KIND_SA, KIND_POLICY, KINDS };

/* Compared as bytes: zero where unused. */
struct key {
	struct xfrm_usersa_id sa;
	struct xfrm_selector sel;
	struct xfrm_mark mark;
	uint32_t if_id; /* of policies; it tells no SA from another */
	uint32_t dir;
};

struct item {
	struct key key;
	bool told;
	struct nlmsghdr head; /* what is sent: all from here on */
	uint8_t body[];
};

static void *trees[KINDS]; /* of tsearch() */
static unsigned int count;

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct key));
}

/* A whole message: its structure of `fixed` bytes, if it has one, and its attributes. */
struct request {
	const struct nlmsghdr *head;
	const uint8_t *body, *attrs, *end;
};

static bool
request_open(struct request *r, const struct nlmsghdr *head, size_t fixed)
{
	r->head = head;
	r->body = (const uint8_t *)head + NLMSG_HDRLEN;
	r->attrs = r->body + NLMSG_ALIGN(fixed);
	r->end = (const uint8_t *)head + head->nlmsg_len;
	return r->body + fixed <= r->end;
}

/* Copies an attribute; `to` stays as it was where there is none. */
static void
attribute(const struct request *r, uint16_t type, void *to, size_t len)
{
	struct nlattr attr;

	for (const uint8_t *at = r->attrs; at + NLA_HDRLEN <= r->end;
	     at += NLA_ALIGN(attr.nla_len)) {
		memcpy(&attr, at, sizeof(attr));
		if (attr.nla_len < NLA_HDRLEN || attr.nla_len > r->end - at)
			return;
		if (attr.nla_type == type && attr.nla_len >= NLA_HDRLEN + len)
			memcpy(to, at + NLA_HDRLEN, len);
	}
}

/* ---- what a request is about ---- */

static void
key_of_sa(const struct request *r, const xfrm_address_t *dst, __be32 spi, uint16_t family,
	  uint8_t proto, struct key *key)
{
	memset(key, 0, sizeof(*key));
	memcpy(&key->sa.daddr, dst, sizeof(*dst));
	key->sa.spi = spi;
	key->sa.family = family;
	key->sa.proto = proto;
	attribute(r, XFRMA_MARK, &key->mark, sizeof(key->mark));
}

/* Up to the padding behind its last member that counts. */
#define SELECTOR_LEN (offsetof(struct xfrm_selector, proto) + 1)

static void
key_of_policy(const struct request *r, uint8_t dir, struct key *key)
{
	memset(key, 0, sizeof(*key));
	memcpy(&key->sel, r->body, SELECTOR_LEN);
	key->dir = dir;
	attribute(r, XFRMA_MARK, &key->mark, sizeof(key->mark));
	attribute(r, XFRMA_IF_ID, &key->if_id, sizeof(key->if_id));
}

static void
forget(enum kind kind, const struct key *key)
{
	struct item **found = tfind(key, &trees[kind], compare);
	struct item *item = found ? *found : NULL;

	if (!item)
		return;
	tdelete(key, &trees[kind], compare);
	free(item);
	count--;
}

static void
flush(enum kind kind)
{
	while (trees[kind]) {
		struct item *root = *(struct item **)trees[kind];

		forget(kind, &root->key);
	}
}

/* An item with room for `len` bytes behind the header, in place of one with that key. */
static struct item *
keep(enum kind kind, const struct key *key, uint16_t type, size_t len)
{
	struct item *item;

	forget(kind, key);
	item = count < ITEMS_MAX ? calloc(1, sizeof(*item) + len) : NULL;
	if (!item)
		return NULL;
	item->key = *key;
	item->told = true;
	item->head.nlmsg_type = type;
	item->head.nlmsg_len = NLMSG_HDRLEN + (uint32_t)len;
	if (!tsearch(item, &trees[kind], compare)) {
		free(item);
		return NULL;
	}
	count++;
	return item;
}

/* ---- requests ---- */

/* The body of HAD_TYPE: no key. */
struct had {
	struct xfrm_usersa_info info;
	struct nlattr mark_head;
	struct xfrm_mark mark;
	struct nlattr if_id_head;
	uint32_t if_id;
};

#define HAD_LEN (offsetof(struct had, if_id) + sizeof(uint32_t)) /* without padding */

static void
note_sa(const struct request *r)
{
	struct had had = {
		.mark_head = {.nla_len = NLA_HDRLEN + sizeof(had.mark), .nla_type = XFRMA_MARK},
		.if_id_head = {.nla_len = NLA_HDRLEN + sizeof(had.if_id), .nla_type = XFRMA_IF_ID},
	};
	struct item *item;
	struct key key;

	memcpy(&had.info, r->body, sizeof(had.info));
	attribute(r, XFRMA_IF_ID, &had.if_id, sizeof(had.if_id));
	key_of_sa(r, &had.info.id.daddr, had.info.id.spi, had.info.family, had.info.id.proto, &key);
	had.mark = key.mark;
	item = keep(KIND_SA, &key, HAD_TYPE, HAD_LEN);
	if (item)
		memcpy(item->body, &had, HAD_LEN);
}

static void
note_policy(const struct request *r)
{
	size_t len = (size_t)(r->end - r->body);
	struct xfrm_userpolicy_info info;
	struct item *item;
	struct key key;

	memcpy(&info, r->body, sizeof(info));
	key_of_policy(r, info.dir, &key);
	item = keep(KIND_POLICY, &key, XFRM_MSG_NEWPOLICY, len);
	if (!item)
		return;
	item->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	memcpy(item->body, r->body, len);
}

static void
note_sa_deleted(const struct request *r)
{
	struct xfrm_usersa_id id;
	struct key key;

	memcpy(&id, r->body, sizeof(id));
	key_of_sa(r, &id.daddr, id.spi, id.family, id.proto, &key);
	forget(KIND_SA, &key);
}

static void
note_policy_deleted(const struct request *r)
{
	struct xfrm_userpolicy_id id;
	struct key key;

	memcpy(&id, r->body, sizeof(id));
	key_of_policy(r, id.dir, &key);
	forget(KIND_POLICY, &key);
}

/* A daemon flushes one protocol after the other. */
static void
note_sas_flushed(const struct request *r)
{
	flush(KIND_SA);
}

static void
note_policies_flushed(const struct request *r)
{
	flush(KIND_POLICY);
}

static const struct {
	uint16_t type;
	bool adds;
	size_t fixed;
	void (*note)(const struct request *r);
} notes[] = {
	{XFRM_MSG_NEWSA, true, sizeof(struct xfrm_usersa_info), note_sa},
	{XFRM_MSG_UPDSA, true, sizeof(struct xfrm_usersa_info), note_sa},
	{XFRM_MSG_DELSA, false, sizeof(struct xfrm_usersa_id), note_sa_deleted},
	{XFRM_MSG_FLUSHSA, false, 0, note_sas_flushed},
	{XFRM_MSG_NEWPOLICY, true, sizeof(struct xfrm_userpolicy_info), note_policy},
	{XFRM_MSG_UPDPOLICY, true, sizeof(struct xfrm_userpolicy_info), note_policy},
	{XFRM_MSG_DELPOLICY, false, sizeof(struct xfrm_userpolicy_id), note_policy_deleted},
	{XFRM_MSG_FLUSHPOLICY, false, 0, note_policies_flushed},
};

static void
note(const struct nlmsghdr *head, bool sent)
{
	struct request r;

	for (unsigned int i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
		if (notes[i].type == head->nlmsg_type && (sent || !notes[i].adds) &&
		    request_open(&r, head, notes[i].fixed))
			notes[i].note(&r);
}

void
recall_note(const void *data, size_t len, bool sent)
{
	const uint8_t *at = data, *end = at + len;

	while ((size_t)(end - at) >= NLMSG_HDRLEN) {
		const struct nlmsghdr *head = (const void *)at;

		if (head->nlmsg_len < NLMSG_HDRLEN || head->nlmsg_len > (size_t)(end - at))
			return;
		note(head, sent);
		if (NLMSG_ALIGN(head->nlmsg_len) > (size_t)(end - at))
			return;
		at += NLMSG_ALIGN(head->nlmsg_len);
	}
}

/* ---- telling the engine ---- */

struct walk {
	recall_send *send;
	int fd;
	bool failed;
};

static void
tell(const void *node, VISIT which, void *arg)
{
	struct item *item = *(struct item *const *)node;
	struct walk *walk = arg;

	if ((which != preorder && which != leaf) || item->told || walk->failed)
		return;
	item->told = walk->send(walk->fd, &item->head, item->head.nlmsg_len);
	walk->failed = !item->told;
}

static void
untell(const void *node, VISIT which, void *arg)
{
	(*(struct item *const *)node)->told = false;
}

void
recall_lost(void)
{
	for (unsigned int kind = 0; kind < KINDS; kind++)
		twalk_r(trees[kind], untell, NULL);
}

static bool
recall(enum kind kind, recall_send *send, int fd)
{
	struct walk walk = {.send = send, .fd = fd};

	twalk_r(trees[kind], tell, &walk);
	return !walk.failed;
}

bool
recall_policies(recall_send *send, int fd)
{
	return recall(KIND_POLICY, send, fd);
}

bool
recall_sas(recall_send *send, int fd)
{
	return recall(KIND_SA, send, fd);
}
