/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/esp_op.h"
#include "frame.h"

#define PEER_SAS 64

void
peer_start(struct peer *p, struct engine *e)
{
	struct reason why = {""};
	struct sad_config config = {.max_sas = PEER_SAS, .workers = 1, .replay_window = 992};

	p->e = e;
	p->crypto = crypto_ctx_new(CRYPTO_OPENSSL, &why);
	assert_non_null(p->crypto);
	p->reclaim = reclaim_new(1);
	config.crypto = p->crypto;
	config.reclaim = p->reclaim;
	p->sad = sad_new(&config, &why);
	assert_non_null(p->sad);
}

void
peer_stop(struct peer *p)
{
	sad_free(p->sad);
	reclaim_free(p->reclaim);
	crypto_ctx_free(p->crypto);
}

static union ip_addr
endpoint(uint8_t family, bool far)
{
	union ip_addr a = {0};

	if (family == FAMILY_V4)
		a.v4 = rte_cpu_to_be_32(far ? WAN_PEER : WAN_SELF);
	else
		put_address6(a.bytes, 0x99, far ? 2 : 1);
	return a;
}

static unsigned int
suite_number(const char *name)
{
	for (unsigned int i = 0; i < crypto_suites_count; i++)
		if (strcmp(crypto_suites[i].name, name) == 0)
			return i;
	fail_msg("no suite %s", name);
	return 0;
}

static struct sa_id
identity(const struct tunnel *t, bool out)
{
	return (struct sa_id){
		.dst = endpoint(t->family, out),
		.spi = rte_cpu_to_be_32(t->spi + (out ? TUNNEL_OUT : 0)),
		.family = t->family,
		.proto = IPPROTO_ESP,
	};
}

/* One direction, as the engine sees it. */
static struct sa_params
half(const struct tunnel *t, bool out)
{
	const struct sa_limits none = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 0, 0, 0, 0};
	struct sa_params p = {
		.id = identity(t, out),
		.src = endpoint(t->family, !out),
		.mode = SA_MODE_TUNNEL,
		.flags = (uint16_t)(SA_REPLAY | (t->esn ? SA_ESN : 0) |
				    (t->udp ? SA_ENCAP_UDP : 0) | t->flags),
		.reqid = t->spi,
		.replay_window = 64,
		.limits = none,
		.suite = (uint8_t)suite_number(t->suite),
		.encap_type = t->udp ? 2 : 0, /* UDP_ENCAP_ESPINUDP */
		.encap_sport = t->udp ? RTE_BE16(4500) : 0,
		.encap_dport = t->udp ? RTE_BE16(4500) : 0,
	};

	for (size_t i = 0; i < sizeof(p.key); i++) {
		p.key[i] = (uint8_t)(i * 7 + t->net + (out ? 128 : 0));
		p.auth_key[i] = (uint8_t)(i * 11 + t->net + (out ? 128 : 0));
	}
	return p;
}

static struct spd_params
policy(const struct tunnel *t, enum spd_dir dir, uint8_t inner)
{
	bool out = dir == SPD_OUT, v4 = inner == FAMILY_V4;
	union ip_addr near = {.bytes = {10, 1}}, far = {.bytes = {10, 2, t->net}};
	uint8_t near_len = v4 ? 16 : 48, far_len = v4 ? 24 : 64;

	if (!v4) {
		put_address6(near.bytes, 1, 0);
		put_address6(far.bytes, 2, 0);
		far.bytes[7] = t->net;
	}
	return (struct spd_params){
		.priority = t->spi,
		.action = SPD_PROTECT,
		.tmpl = {.src = endpoint(t->family, !out),
			 .dst = endpoint(t->family, out),
			 .family = t->family,
			 .proto = IPPROTO_ESP,
			 .mode = SA_MODE_TUNNEL,
			 .reqid = t->spi},
		.id = {.sel = {.src = out ? near : far,
			       .dst = out ? far : near,
			       .src_len = out ? near_len : far_len,
			       .dst_len = out ? far_len : near_len,
			       .family = inner},
		       .dir = (uint8_t)dir},
	};
}

const struct sa *
peer_tunnel(struct peer *p, const struct tunnel *t)
{
	struct sa_params in = half(t, false), out = half(t, true);
	struct reason why = {""};

	if (sad_add(p->sad, &in, &why) != 0)
		fail_msg("%s: %s", t->suite, why.text);
	in.flags |= SA_IN_ONLY;
	out.flags |= SA_OUT_ONLY;
	if (sad_add(p->e->dp->sad, &in, &why) != 0 || sad_add(p->e->dp->sad, &out, &why) != 0)
		fail_msg("%s: %s", t->suite, why.text);
	for (uint8_t inner = FAMILY_V4; inner <= FAMILY_V6; inner += 2) {
		for (unsigned int dir = 0; dir < SPD_DIRS; dir++) {
			struct spd_params rule = policy(t, dir, inner);

			if (spd_add(p->e->dp->spd, &rule, false, &why) != 0)
				fail_msg("%s: %s", t->suite, why.text);
		}
	}
	return sad_find(p->sad, &in.id)->sa;
}

struct sa_control *
peer_inbound(const struct peer *p, const struct tunnel *t)
{
	const struct sa_id id = identity(t, false);

	return sad_find(p->e->dp->sad, &id);
}

struct sa_control *
peer_outbound(const struct peer *p, const struct tunnel *t)
{
	const struct sa_id id = identity(t, true);

	return sad_find(p->e->dp->sad, &id);
}

static void
put_lengths(const struct sa *sa, uint8_t *ip, size_t len)
{
	struct rte_ipv4_hdr *v4 = (struct rte_ipv4_hdr *)ip;
	size_t l4 = sa->family == FAMILY_V4 ? sizeof(*v4) : sizeof(struct rte_ipv6_hdr);

	if (sa->family == FAMILY_V4) {
		v4->total_length = rte_cpu_to_be_16((uint16_t)len);
		v4->hdr_checksum = 0;
		v4->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, sizeof(*v4)));
	} else {
		((struct rte_ipv6_hdr *)ip)->payload_len = rte_cpu_to_be_16((uint16_t)(len - l4));
	}
	if ((sa->flags & SA_ENCAP_UDP) != 0)
		((struct rte_udp_hdr *)(ip + l4))->dgram_len =
			rte_cpu_to_be_16((uint16_t)(len - l4));
}

size_t
peer_seal(const struct peer *p, const struct sa *sa, uint64_t seq, const void *text, size_t len,
	  uint8_t *at)
{
	bool v4 = sa->family == FAMILY_V4;
	uint8_t *ip =
		at + engine_put_l2(p->e, at, 1, v4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	uint8_t *esp = ip + sa->outer_len - sizeof(struct esp_header);
	uint8_t *iv = esp + sizeof(struct esp_header), *end = iv + sa->iv_len + len;
	rte_be64_t count = rte_cpu_to_be_64(sa->iv_base + seq);
	struct crypto_op op = {0};

	memcpy(ip, sa->outer, sa->outer_len);
	((struct esp_header *)esp)->seq = rte_cpu_to_be_32((uint32_t)seq);
	memset(iv, 0, sa->iv_len);
	memcpy(iv, &count, RTE_MIN(sa->iv_len, sizeof(count)));
	memcpy(iv + sa->iv_len, text, len);
	esp_op_seal(&op, sa, esp, (uint32_t)len, seq);
	crypto_seal(p->crypto, &op, 1);
	assert_true(op.ok);
	end += sa->icv_len;
	put_lengths(sa, ip, (size_t)(end - ip));
	return (size_t)(end - at);
}

size_t
peer_trailer(const struct sa *sa, uint8_t *text, size_t len, uint8_t next_header)
{
	uint32_t pad = esp_padding((uint32_t)len, sa->align);

	for (uint32_t i = 0; i < pad; i++)
		text[len + i] = (uint8_t)(i + 1);
	text[len + pad] = (uint8_t)pad;
	text[len + pad + 1] = next_header;
	return len + pad + ESP_TRAILER;
}

size_t
peer_inner(const struct tunnel *t, uint8_t *text, size_t more)
{
	memset(text + 20, 0x5a, more);
	return put_ipv4(text, peer_host(t), LAN_HOST, IPPROTO_UDP, more);
}
