/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The far gateway of an engine's tunnels (engine.h). It has the same keys in a SAD of its own and
 * seals what a test gives it, right or wrong: any trailer, any number, any header.
 */
#pragma once

#include "engine.h"

enum peer_kind { ESP_TUNNEL, ESP_TRANSPORT, ESP_BEET, AH_TUNNEL, AH_TRANSPORT };

/*
 * 10.1.0.0/16 and 2001:db8:1::/48 here; 10.2.NET.0/24 and 2001:db8:2:NET::/64 there. Transport mode
 * is between the gateways' own addresses, BEET mode between LAN_HOST and peer_host().
 */
struct tunnel {
	const char *suite; /* its name in crypto_suites[] */
	uint8_t family;    /* of the outer packets */
	uint8_t net;
	bool esn, udp;
	uint32_t spi;   /* inbound at the engine; outbound it is TUNNEL_OUT more */
	uint16_t flags; /* SA_* beside those */
	uint8_t kind;   /* enum peer_kind */
};

#define TUNNEL_OUT 0x1000000

struct peer {
	struct engine *e;
	struct crypto_ctx *crypto;
	struct reclaim *reclaim;
	struct sad *sad;
	void (*change)(struct sa_params *p); /* what a test wants of SAs beside that, or NULL */
};

void peer_start(struct peer *p, struct engine *e);
void peer_stop(struct peer *p);

/*
 * Installs the tunnel at both ends, each direction with a key of its own, and the engine's policies
 * for it. Returns the peer's SA to seal with.
 */
const struct sa *peer_tunnel(struct peer *p, const struct tunnel *t);

/*
 * All at once for a test: the engine, with so many workers, the peer, and `n` tunnels, whose SAs to
 * seal with go to `sas`; and the end of both.
 */
void peer_begin(struct peer *p, struct engine *e, unsigned int workers,
		const struct tunnel *tunnels, unsigned int n, const struct sa **sas);
void peer_end(struct peer *p);

/* For cmocka: the end of the peer in *state, and of what its engine still has. */
int peer_teardown(void **state);

/* The engine's SA that receives, or sends, for that tunnel. */
struct sa_control *peer_inbound(const struct peer *p, const struct tunnel *t);
struct sa_control *peer_outbound(const struct peer *p, const struct tunnel *t);

/*
 * A frame for the engine's wan: outer header, ESP and ICV around `len` bytes of text, which end
 * in pad length and next header if it is to be right. `at` has room for 160 bytes more. Returns
 * the frame's length. Whatever is changed behind the IP header can be signed again or not. With AH
 * the text is what AH stands in front of, its next header one byte behind it.
 */
size_t peer_seal(const struct peer *p, const struct sa *sa, uint64_t seq, const void *text,
		 size_t len, uint8_t *at);

/* Bytes of AH with its ICV and padding. */
size_t peer_ah_len(const struct sa *sa);

/*
 * Puts number, IV and ICV into AH that stands `off` bytes behind the IP header of a packet, by a
 * reading of RFC 4302 of its own.
 */
void peer_sign(const struct peer *p, const struct sa *sa, uint64_t seq, uint8_t *ip, size_t off,
	       size_t len);

/*
 * Puts `more` bytes between the IP header and AH in a frame, and signs it: IPv4 options, or IPv6
 * extension headers, the first of that kind and the last in front of AH. Returns its length.
 */
size_t peer_insert(const struct peer *p, const struct sa *sa, uint64_t seq, uint8_t *at, size_t len,
		   const uint8_t *more, size_t more_len, uint8_t kind);

/* The tunnel's host behind the peer: 10.2.NET.3. */
static inline uint32_t
peer_host(const struct tunnel *t)
{
	return 0x0a020003 + ((uint32_t)t->net << 8);
}

/* An inner packet from there to LAN_HOST, of `more` bytes behind its IP header. Returns its length.
 */
size_t peer_inner(const struct tunnel *t, uint8_t *text, size_t more);

/* The least right padding and trailer behind `len` bytes. Returns the bytes of the whole text. */
size_t peer_trailer(const struct sa *sa, uint8_t *text, size_t len, uint8_t next_header);
