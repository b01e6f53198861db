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
	p->change = NULL;
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

static bool
is_ah(const struct tunnel *t)
{
	return t->kind == AH_TUNNEL || t->kind == AH_TRANSPORT;
}

static uint8_t
mode(const struct tunnel *t)
{
	if (t->kind == ESP_BEET)
		return SA_MODE_BEET;
	return t->kind == ESP_TRANSPORT || t->kind == AH_TRANSPORT ? SA_MODE_TRANSPORT
								   : SA_MODE_TUNNEL;
}

static struct sa_id
identity(const struct tunnel *t, bool out)
{
	return (struct sa_id){
		.dst = endpoint(t->family, out),
		.spi = rte_cpu_to_be_32(t->spi + (out ? TUNNEL_OUT : 0)),
		.family = t->family,
		.proto = is_ah(t) ? IPPROTO_AH : IPPROTO_ESP,
	};
}

/* The one inner address at each end. */
static struct selector
beet_selector(const struct tunnel *t, bool out)
{
	union ip_addr near = ip_addr_v4(rte_cpu_to_be_32(LAN_HOST));
	union ip_addr far = ip_addr_v4(rte_cpu_to_be_32(peer_host(t)));

	return (struct selector){.src = out ? near : far,
				 .dst = out ? far : near,
				 .src_len = 32,
				 .dst_len = 32,
				 .family = FAMILY_V4};
}

/* One direction, as the engine sees it. */
static struct sa_params
half(const struct peer *peer, const struct tunnel *t, bool out)
{
	const struct sa_limits none = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 0, 0, 0, 0};
	struct sa_params p = {
		.id = identity(t, out),
		.src = endpoint(t->family, !out),
		.mode = mode(t),
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
	if (t->kind == ESP_BEET)
		p.sel = beet_selector(t, out);
	if (peer->change != NULL)
		peer->change(&p);
	return p;
}

/* Whose traffic it is, as the engine's policies for that direction say. */
static struct selector
policy_selector(const struct tunnel *t, bool out, uint8_t inner)
{
	bool v4 = inner == FAMILY_V4;
	union ip_addr near = {.bytes = {10, 1}}, far = {.bytes = {10, 2, t->net}};
	uint8_t near_len = v4 ? 16 : 48, far_len = v4 ? 24 : 64;

	if (!v4) {
		put_address6(near.bytes, 1, 0);
		put_address6(far.bytes, 2, 0);
		far.bytes[7] = t->net;
	}
	if (mode(t) == SA_MODE_TRANSPORT) {
		near = endpoint(inner, false);
		far = endpoint(inner, true);
		near_len = far_len = v4 ? 32 : 128;
	}
	return (struct selector){.src = out ? near : far,
				 .dst = out ? far : near,
				 .src_len = out ? near_len : far_len,
				 .dst_len = out ? far_len : near_len,
				 .family = inner};
}

static struct spd_params
policy(const struct tunnel *t, enum spd_dir dir, uint8_t inner)
{
	bool out = dir == SPD_OUT;

	return (struct spd_params){
		.priority = t->spi,
		.action = SPD_PROTECT,
		.tmpl = {.src = endpoint(t->family, !out),
			 .dst = endpoint(t->family, out),
			 .family = t->family,
			 .proto = is_ah(t) ? IPPROTO_AH : IPPROTO_ESP,
			 .mode = mode(t),
			 .reqid = t->spi},
		.id = {.sel = policy_selector(t, out, inner), .dir = (uint8_t)dir},
	};
}

/* Beside tunnel mode there is one family inside. */
static bool
carries(const struct tunnel *t, uint8_t inner)
{
	return mode(t) == SA_MODE_TUNNEL || inner == (t->kind == ESP_BEET ? FAMILY_V4 : t->family);
}

const struct sa *
peer_tunnel(struct peer *p, const struct tunnel *t)
{
	struct sa_params in = half(p, t, false), out = half(p, t, true);
	struct reason why = {""};

	if (sad_add(p->sad, &in, &why) != 0)
		fail_msg("%s: %s", t->suite, why.text);
	in.flags |= SA_IN_ONLY;
	out.flags |= SA_OUT_ONLY;
	if (sad_add(p->e->dp->sad, &in, &why) != 0 || sad_add(p->e->dp->sad, &out, &why) != 0)
		fail_msg("%s: %s", t->suite, why.text);
	for (uint8_t inner = FAMILY_V4; inner <= FAMILY_V6; inner += 2) {
		for (unsigned int dir = 0; carries(t, inner) && dir < SPD_DIRS; dir++) {
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
		v4->hdr_checksum =
			rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, rte_ipv4_hdr_len(v4)));
	} else {
		((struct rte_ipv6_hdr *)ip)->payload_len = rte_cpu_to_be_16((uint16_t)(len - l4));
	}
	if ((sa->flags & SA_ENCAP_UDP) != 0)
		((struct rte_udp_hdr *)(ip + l4))->dgram_len =
			rte_cpu_to_be_16((uint16_t)(len - l4));
}

/* All in front of the IV. Beside tunnel mode the SA's own template has no whole IP header. */
static size_t
put_front(const struct sa *sa, uint8_t *ip)
{
	bool v4 = sa->family == FAMILY_V4;
	size_t ip_len = 0;

	if (sa->mode == SA_MODE_TRANSPORT && v4)
		ip_len = put_ipv4(ip, rte_be_to_cpu_32(sa->src.v4), rte_be_to_cpu_32(sa->dst.v4),
				  sa->carrier, 0);
	else if (sa->mode == SA_MODE_TRANSPORT)
		ip_len = put_ipv6(ip, 0, 0, sa->carrier, 0);
	if (ip_len == 40) {
		memcpy(ip + 8, sa->src.bytes, 16);
		memcpy(ip + 24, sa->dst.bytes, 16);
	}
	memcpy(ip + ip_len, sa->outer, sa->outer_len);
	if (sa->mode == SA_MODE_BEET)
		ip[v4 ? 8 : 7] = 64; /* hops */
	return ip_len + sa->outer_len;
}

size_t
peer_ah_len(const struct sa *sa)
{
	size_t fixed = 12u + sa->iv_len + sa->icv_len;
	bool by4 = sa->family == FAMILY_V4 && (sa->flags & SA_ALIGN4) != 0;

	return by4 ? fixed : RTE_ALIGN(fixed, 8);
}

static bool
ah_option_stays(uint8_t type) /* RFC 4302 appendix A1 */
{
	static const uint8_t stay[] = {0, 1, 130, 133, 134, 148, 149};

	return memchr(stay, type, sizeof(stay)) != NULL;
}

static void
ah_clear4(uint8_t *ip)
{
	size_t end = (ip[0] & 15u) * 4, len;

	ip[1] = ip[6] = ip[7] = ip[8] = ip[10] = ip[11] = 0;
	for (size_t at = 20; at < end && ip[at] != 0; at += len) {
		len = ip[at] == 1 || at + 1 == end ? 1 : RTE_MAX(ip[at + 1], 1);
		if (!ah_option_stays(ip[at]))
			memset(ip + at, 0, RTE_MIN(len, end - at));
	}
}

/* One header of options, of which those whose third bit says so may change on the way. */
static void
ah_clear_options6(uint8_t *h, size_t len)
{
	for (size_t at = 2; at + 1 < len; at += h[at] == 0 ? 1 : 2u + h[at + 1])
		if ((h[at] & 0x20) != 0)
			memset(h + at + 2, 0, RTE_MIN(h[at + 1], len - at - 2));
}

static void
ah_clear6(uint8_t *ip, size_t off)
{
	uint8_t kind = ip[6];
	size_t len;

	ip[0] &= 0xf0;
	ip[1] = ip[2] = ip[3] = ip[7] = 0;
	for (size_t at = 40; at < off; at += len) {
		len = (ip[at + 1] + 1u) * 8;
		if (kind == IPPROTO_HOPOPTS || kind == IPPROTO_DSTOPTS)
			ah_clear_options6(ip + at, RTE_MIN(len, off - at));
		kind = ip[at];
	}
}

void
peer_sign(const struct peer *p, const struct sa *sa, uint64_t seq, uint8_t *ip, size_t off,
	  size_t len)
{
	static uint8_t covered[UINT16_MAX];
	rte_be32_t low = rte_cpu_to_be_32((uint32_t)seq), high = rte_cpu_to_be_32(seq >> 32);
	rte_be64_t count = rte_cpu_to_be_64(sa->iv_base + seq);
	uint8_t *iv = ip + off + 12;
	struct crypto_op op = {.suite = sa->suite, .key = sa->key, .auth = covered};

	memcpy(ip + off + 8, &low, sizeof(low));
	memset(iv, 0, (size_t)sa->iv_len + sa->icv_len);
	memcpy(covered, ip, len);
	if (sa->family == FAMILY_V4)
		ah_clear4(covered);
	else
		ah_clear6(covered, off);
	memcpy(iv, &count, sa->iv_len);
	memcpy(op.iv, &sa->salt, 4);
	memcpy(op.iv + 4, iv, sa->iv_len);
	if ((sa->flags & SA_ESN) != 0) {
		memcpy(covered + len, &high, sizeof(high));
		len += sizeof(high);
	}
	op.auth_len = (uint32_t)len;
	op.text = covered + len;
	op.icv = iv + sa->iv_len;
	crypto_seal(p->crypto, &op, 1);
	assert_true(op.ok);
}

/* AH behind the IP header that ends at `ah`; the template has its fixed part. */
static size_t
seal_ah(const struct peer *p, const struct sa *sa, uint64_t seq, const uint8_t *text, size_t len,
	uint8_t *ip, size_t off)
{
	size_t ah_len = peer_ah_len(sa), end = off + ah_len + len;

	ip[off] = text[len];
	memset(ip + off + 12, 0, ah_len - 12);
	memcpy(ip + off + ah_len, text, len);
	put_lengths(sa, ip, end);
	peer_sign(p, sa, seq, ip, off, end);
	return end;
}

size_t
peer_insert(const struct peer *p, const struct sa *sa, uint64_t seq, uint8_t *at, size_t len,
	    const uint8_t *more, size_t more_len, uint8_t kind)
{
	bool v4 = sa->family == FAMILY_V4;
	size_t head = v4 ? 20 : 40;
	uint8_t *ip = at + 14;

	memmove(ip + head + more_len, ip + head, len - 14 - head);
	memcpy(ip + head, more, more_len);
	if (v4)
		ip[0] = (uint8_t)(0x45 + more_len / 4);
	else if (more_len > 0)
		ip[6] = kind;
	len += more_len;
	put_lengths(sa, ip, len - 14);
	peer_sign(p, sa, seq, ip, head + more_len, len - 14);
	return len;
}

size_t
peer_seal(const struct peer *p, const struct sa *sa, uint64_t seq, const void *text, size_t len,
	  uint8_t *at)
{
	bool v4 = sa->family == FAMILY_V4;
	uint8_t *ip =
		at + engine_put_l2(p->e, at, 1, v4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	size_t front = put_front(sa, ip);
	uint8_t *esp = ip + front - sizeof(struct esp_header);
	uint8_t *iv = ip + front, *end = iv + sa->iv_len + len;
	rte_be64_t count = rte_cpu_to_be_64(sa->iv_base + seq);
	struct crypto_op op = {0};

	if (sa->proto == IPPROTO_AH)
		return (size_t)(ip - at) + seal_ah(p, sa, seq, text, len, ip, front - 12);
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

void
peer_begin(struct peer *p, struct engine *e, unsigned int workers, const struct tunnel *tunnels,
	   unsigned int n, const struct sa **sas)
{
	engine_start(e, workers);
	peer_start(p, e);
	for (unsigned int i = 0; i < n; i++)
		sas[i] = peer_tunnel(p, &tunnels[i]);
}

void
peer_end(struct peer *p)
{
	peer_stop(p);
	engine_stop(p->e);
}

int
peer_teardown(void **state)
{
	struct peer *p = *state;

	engine_drain(p->e);
	peer_end(p);
	return 0;
}
