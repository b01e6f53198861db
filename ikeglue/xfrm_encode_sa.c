/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about SAs: everything that NEWSA said, and what has happened since. */
#include <stdio.h>

#include "xfrm_message.h"

#define NAME_LEN 64 /* alg_name of all three structures */

/* What the kernel's first, 32-bit replay state cannot hold. */
static bool
large_window(const struct sa_params *p)
{
	return (p->flags & SA_ESN) || p->replay_window > 32;
}

static void
write_usersa(struct xfrm_usersa_info *info, const struct xfrm_sa *sa)
{
	const struct sa_params *p = sa->params;

	memset(info, 0, sizeof(*info));
	xfrm_write_selector(&info->sel, &p->sel);
	xfrm_write_address(&info->id.daddr, &p->id.dst);
	info->id.spi = p->id.spi;
	info->id.proto = p->id.proto;
	xfrm_write_address(&info->saddr, &p->src);
	xfrm_write_limits(&info->lft, &p->limits);
	info->curlft.bytes = sa->usage.bytes;
	info->curlft.packets = sa->usage.packets;
	info->curlft.add_time = sa->added;
	info->curlft.use_time = sa->usage.first_used;
	info->stats.replay = (uint32_t)sa->usage.replay_drops;
	info->stats.integrity_failed = (uint32_t)sa->usage.auth_drops;
	info->seq = p->seq;
	info->reqid = p->reqid;
	info->family = xfrm_write_family(p->id.family);
	info->mode = p->mode;
	info->replay_window = large_window(p) ? 0 : (uint8_t)p->replay_window;
	info->flags = p->xfrm_flags;
}

/* Name and bits of key, then bits of ICV where the structure has them (icv_bits not 0), then key.
 */
static void
put_algorithm(struct xfrm_buf *buf, uint16_t type, const char *name, uint32_t icv_bits,
	      const uint8_t *key, uint32_t key_len, const uint8_t *salt, uint32_t salt_len)
{
	uint32_t head = icv_bits ? sizeof(struct xfrm_algo_aead) : sizeof(struct xfrm_algo);
	uint32_t key_bits = (key_len + salt_len) * 8;
	uint8_t *at = xfrm_attr_room(buf, type, head + key_len + salt_len);

	if (!at)
		return;
	snprintf((char *)at, NAME_LEN, "%s", name);
	memcpy(at + NAME_LEN, &key_bits, sizeof(key_bits));
	if (icv_bits)
		memcpy(at + NAME_LEN + 4, &icv_bits, sizeof(icv_bits));
	if (key)
		memcpy(at + head, key, key_len);
	if (key && salt_len > 0)
		memcpy(at + head + key_len, salt, salt_len);
}

static void
put_algorithms(struct xfrm_buf *buf, const struct xfrm_sa *sa)
{
	const struct sa_params *p = sa->params;
	const struct crypto_suite *suite = &crypto_suites[p->suite];
	const uint8_t *key = sa->hide_keys ? NULL : p->key;
	const uint8_t *auth_key = sa->hide_keys ? NULL : p->auth_key;
	uint32_t icv_bits = suite->icv_len * 8u;

	if (suite->aead && p->id.proto == IPPROTO_AH) {
		put_algorithm(buf, XFRMA_ALG_AUTH_TRUNC, suite->aead, icv_bits, key, suite->key_len,
			      p->salt, suite->salt_len);
		return;
	}
	if (suite->aead) {
		put_algorithm(buf, XFRMA_ALG_AEAD, suite->aead, icv_bits, key, suite->key_len,
			      p->salt, suite->salt_len);
		return;
	}
	if (p->id.proto != IPPROTO_AH)
		put_algorithm(buf, XFRMA_ALG_CRYPT, suite->cipher, 0, key, suite->key_len, p->salt,
			      suite->salt_len);
	put_algorithm(buf, XFRMA_ALG_AUTH_TRUNC, suite->auth, icv_bits, auth_key,
		      suite->auth_key_len, NULL, 0);
}

/* The kernel's bitmap is a ring in which number n has bit (n - 1) mod window; ours counts down. */
static void
roll_bitmap(uint8_t *ring, const struct xfrm_sa *sa, uint32_t window)
{
	uint32_t top = ((uint32_t)sa->in_seq - 1) % window;

	for (uint32_t i = 0; i < window; i++) {
		uint32_t bit = (top + window - i) % window;

		if (sa->bitmap[i / 32] >> (i % 32) & 1) {
			uint32_t word;

			memcpy(&word, ring + bit / 32 * 4, sizeof(word));
			word |= 1u << (bit % 32);
			memcpy(ring + bit / 32 * 4, &word, sizeof(word));
		}
	}
}

static void
put_replay(struct xfrm_buf *buf, const struct xfrm_sa *sa)
{
	/* The protocol's bitmap ends where the snapshot's does. */
	uint32_t window = sa->params->replay_window < XFRMA_REPLAY_ESN_MAX
				  ? sa->params->replay_window
				  : XFRMA_REPLAY_ESN_MAX;
	uint32_t words = (window + 31) / 32;
	const struct xfrm_replay_state legacy = {
		.oseq = (uint32_t)sa->out_seq,
		.seq = (uint32_t)sa->in_seq,
		.bitmap = sa->bitmap[0],
	};
	struct xfrm_replay_state_esn x = {
		.bmp_len = words,
		.oseq = (uint32_t)sa->out_seq,
		.oseq_hi = (uint32_t)(sa->out_seq >> 32),
		.seq = (uint32_t)sa->in_seq,
		.seq_hi = (uint32_t)(sa->in_seq >> 32),
		.replay_window = window,
	};
	uint8_t *at;

	if (!large_window(sa->params)) {
		xfrm_attr_put(buf, XFRMA_REPLAY_VAL, &legacy, sizeof(legacy));
		return;
	}
	at = xfrm_attr_room(buf, XFRMA_REPLAY_ESN_VAL, sizeof(x) + words * 4);
	if (!at)
		return;
	memcpy(at, &x, sizeof(x));
	if (window > 0)
		roll_bitmap(at + sizeof(x), sa, window);
}

static void
put_direction(struct xfrm_buf *buf, const struct sa_params *p)
{
	const uint8_t dir = p->flags & SA_IN_ONLY ? XFRM_SA_DIR_IN : XFRM_SA_DIR_OUT;

	if (p->flags & (SA_IN_ONLY | SA_OUT_ONLY))
		xfrm_attr_put(buf, XFRMA_SA_DIR, &dir, sizeof(dir));
}

/* UDP encapsulation, and what goes with it. */
static void
put_nat(struct xfrm_buf *buf, const struct sa_params *p)
{
	struct xfrm_encap_tmpl encap;
	xfrm_address_t coaddr;

	if (!ip_addr_is_any(&p->coaddr)) {
		xfrm_write_address(&coaddr, &p->coaddr);
		xfrm_attr_put(buf, XFRMA_COADDR, &coaddr, sizeof(coaddr));
	}
	if (!p->encap_type)
		return;
	memset(&encap, 0, sizeof(encap));
	encap.encap_type = p->encap_type;
	encap.encap_sport = p->encap_sport;
	encap.encap_dport = p->encap_dport;
	xfrm_write_address(&encap.encap_oa, &p->encap_oa);
	xfrm_attr_put(buf, XFRMA_ENCAP, &encap, sizeof(encap));
	if (p->mapping_seconds)
		xfrm_attr_put(buf, XFRMA_MTIMER_THRESH, &p->mapping_seconds,
			      sizeof(p->mapping_seconds));
	if (p->nat_keepalive)
		xfrm_attr_put(buf, XFRMA_NAT_KEEPALIVE_INTERVAL, &p->nat_keepalive,
			      sizeof(p->nat_keepalive));
}

/* All attributes of a NEWSA. */
static void
put_attributes(struct xfrm_buf *buf, const struct xfrm_sa *sa)
{
	const struct sa_params *p = sa->params;
	const uint32_t whole_mark = UINT32_MAX;

	xfrm_put_tenant(buf, p->if_id, p->id.mark);
	put_direction(buf, p);
	if (p->per_cpu)
		xfrm_attr_put(buf, XFRMA_SA_PCPU, &p->cpu, sizeof(p->cpu));
	if (p->xfrm_extra_flags)
		xfrm_attr_put(buf, XFRMA_SA_EXTRA_FLAGS, &p->xfrm_extra_flags,
			      sizeof(p->xfrm_extra_flags));
	if (sa->larval)
		return;
	if (p->set_mark) {
		xfrm_attr_put(buf, XFRMA_SET_MARK, &p->set_mark, sizeof(p->set_mark));
		xfrm_attr_put(buf, XFRMA_SET_MARK_MASK, &whole_mark, sizeof(whole_mark));
	}
	if (sa->usage.last_used)
		xfrm_attr_put(buf, XFRMA_LASTUSED, &sa->usage.last_used,
			      sizeof(sa->usage.last_used));
	put_algorithms(buf, sa);
	if (p->tfcpad)
		xfrm_attr_put(buf, XFRMA_TFCPAD, &p->tfcpad, sizeof(p->tfcpad));
	put_nat(buf, p);
	put_replay(buf, sa);
}

bool
xfrm_encode_sa(struct xfrm_buf *buf, const struct xfrm_head *head, const struct xfrm_sa *sa)
{
	struct xfrm_usersa_info info;

	write_usersa(&info, sa);
	xfrm_begin(buf, head, &info, sizeof(info));
	put_attributes(buf, sa);
	return xfrm_end(buf);
}

bool
xfrm_encode_expire(struct xfrm_buf *buf, const struct xfrm_head *head, const struct xfrm_sa *sa,
		   bool hard)
{
	const struct sa_params *p = sa->params;
	struct xfrm_user_expire x;

	memset(&x, 0, sizeof(x));
	x.hard = hard;
	write_usersa(&x.state, sa);
	xfrm_begin(buf, head, &x, sizeof(x));
	xfrm_put_tenant(buf, p->if_id, p->id.mark);
	put_direction(buf, p);
	return xfrm_end(buf);
}

static void
write_sa_id(struct xfrm_usersa_id *x, const struct sa_id *id)
{
	memset(x, 0, sizeof(*x));
	xfrm_write_address(&x->daddr, &id->dst);
	x->spi = id->spi;
	x->family = xfrm_write_family(id->family);
	x->proto = id->proto;
}

bool
xfrm_encode_sa_deleted(struct xfrm_buf *buf, const struct xfrm_head *head, const struct xfrm_sa *sa)
{
	struct xfrm_usersa_info info;
	struct xfrm_usersa_id id;

	write_sa_id(&id, &sa->params->id);
	write_usersa(&info, sa);
	xfrm_begin(buf, head, &id, sizeof(id));
	xfrm_attr_put(buf, XFRMA_SA, &info, sizeof(info));
	put_attributes(buf, sa);
	return xfrm_end(buf);
}

bool
xfrm_encode_ae(struct xfrm_buf *buf, const struct xfrm_head *head, const struct xfrm_sa *sa,
	       uint32_t ae_flags)
{
	const struct sa_params *p = sa->params;
	const struct xfrm_lifetime_cur cur = {
		.bytes = sa->usage.bytes,
		.packets = sa->usage.packets,
		.add_time = sa->added,
		.use_time = sa->usage.first_used,
	};
	struct xfrm_aevent_id x = {.flags = ae_flags, .reqid = p->reqid};

	write_sa_id(&x.sa_id, &p->id);
	xfrm_write_address(&x.saddr, &p->src);
	xfrm_begin(buf, head, &x, sizeof(x));
	put_replay(buf, sa);
	xfrm_attr_put(buf, XFRMA_LTIME_VAL, &cur, sizeof(cur));
	if (ae_flags & XFRM_AE_RTHR)
		xfrm_attr_put(buf, XFRMA_REPLAY_THRESH, &p->ae_numbers, sizeof(p->ae_numbers));
	if (ae_flags & XFRM_AE_ETHR)
		xfrm_attr_put(buf, XFRMA_ETIMER_THRESH, &p->ae_tenths, sizeof(p->ae_tenths));
	xfrm_put_tenant(buf, p->if_id, p->id.mark);
	put_direction(buf, p);
	return xfrm_end(buf);
}

bool
xfrm_encode_mapping(struct xfrm_buf *buf, const struct xfrm_head *head, const struct sa_params *p,
		    const union ip_addr *src, rte_be16_t sport)
{
	struct xfrm_user_mapping x = {
		.reqid = p->reqid,
		.old_sport = p->encap_sport,
		.new_sport = sport,
	};

	write_sa_id(&x.id, &p->id);
	xfrm_write_address(&x.old_saddr, &p->src);
	xfrm_write_address(&x.new_saddr, src);
	xfrm_begin(buf, head, &x, sizeof(x));
	return xfrm_end(buf);
}

bool
xfrm_encode_flush_sa(struct xfrm_buf *buf, const struct xfrm_head *head, uint8_t proto)
{
	const struct xfrm_usersa_flush x = {.proto = proto};

	xfrm_begin(buf, head, &x, sizeof(x));
	return xfrm_end(buf);
}
