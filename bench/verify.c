/* SPDX-License-Identifier: BSD-3-Clause */
#include "verify.h"

#include <stdlib.h>

#include <rte_ip.h>

#include "dataplane/esp_op.h"
#include "frame.h"

#define KEY_ROOM 4096

/* A backend that seals nothing here opens what was sealed, if it knows the suite. */
static struct crypto_ctx *
other_backend(const struct options *o)
{
	struct reason why = {""};
	struct crypto_ctx *crypto = crypto_ctx_new(
		o->backend == CRYPTO_OPENSSL ? CRYPTO_IPSEC_MB : CRYPTO_OPENSSL, &why);

	if (crypto != NULL && crypto_key_size(crypto, o->suite) == 0) {
		crypto_ctx_free(crypto);
		crypto = crypto_ctx_new(o->backend, &why);
	}
	if (crypto == NULL)
		bench_fail("%s", why.text);
	return crypto;
}

/* Transport mode: puts the packet together again that `text` is part of; where it stands. */
static const uint8_t *
join(const struct options *o, const uint8_t *outer, uint8_t *text, uint32_t size)
{
	uint32_t head = frame_head(o->family);
	uint8_t next_header = text[frame_text_len(o, size) - 1];

	memmove(text - head, outer, head);
	frame_mend(text - head, o->family, next_header, (uint16_t)size);
	return text - head;
}

/* Opens ESP in place; where the inner packet stands. */
static const uint8_t *
open(struct crypto_ctx *crypto, const struct traffic *t, uint8_t *outer, uint32_t number,
     uint32_t size)
{
	alignas(64) uint8_t key[KEY_ROOM];
	uint8_t raw[SAD_KEY_MAX], auth[SAD_KEY_MAX];
	struct crypto_op op;
	struct sa sa;
	struct esp_header header;
	uint8_t *esp;

	memcpy(&sa, t->sas[number], sizeof(sa));
	gateway_key(true, number, raw, auth);
	if (crypto_key_size(crypto, sa.suite) > sizeof(key))
		bench_fail("an expanded key is larger than %zu bytes", sizeof(key));
	crypto_key_expand(crypto, sa.suite, raw,
			  crypto_suites[sa.suite].auth_key_len != 0 ? auth : NULL, key);
	sa.key = key;
	esp = outer + sa.outer_len - sizeof(header);
	if (t->options->transport)
		esp += frame_head(sa.family);
	memcpy(&header, esp, sizeof(header));
	if (header.spi != sa.spi)
		bench_fail("a packet came out under the SPI of another SA");
	esp_op_open(&op, &sa, esp, frame_text_len(t->options, size), rte_be_to_cpu_32(header.seq));
	crypto_open(crypto, &op, 1);
	if (!op.ok)
		bench_fail("the ICV of a sealed packet is wrong");
	esp += sizeof(header) + sa.iv_len;
	return t->options->transport ? join(t->options, outer, esp, size) : esp;
}

static void
verify(const struct traffic *t, struct crypto_ctx *crypto)
{
	for (unsigned int i = 0; i < t->end; i++) {
		uint8_t want[UINT16_MAX];
		uint32_t number = t->frame_number[t->first + i];
		uint16_t size = (uint16_t)frame_size(t->options, t->first + i);
		uint8_t *ip = rte_pktmbuf_mtod_offset(t->sent[i], uint8_t *, RTE_ETHER_HDR_LEN);
		const uint8_t *got = ip;

		if (t->options->family == FAMILY_V4 &&
		    rte_raw_cksum(ip, sizeof(struct rte_ipv4_hdr)) != 0xffff)
			bench_fail("an IPv4 header's checksum is wrong");
		if (t->out)
			got = open(crypto, t, ip, number, size);
		frame_inner(want, t->options, t->out, number, size, 63);
		if (memcmp(got, want, size) != 0)
			bench_fail("packet %u came out different", i);
		if (!t->out &&
		    rte_pktmbuf_pkt_len(t->sent[i]) != RTE_ETHER_HDR_LEN + (uint32_t)size)
			bench_fail("packet %u came out with another length", i);
	}
}

void
verify_lap(const struct lane *lane)
{
	struct crypto_ctx *crypto = other_backend(lane->options);

	verify(&lane->out, crypto);
	verify(&lane->in, crypto);
	crypto_ctx_free(crypto);
}
