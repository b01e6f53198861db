/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The far gateway of an engine's tunnels (engine.h). It has the same keys in a SAD of its own and
 * seals what a test gives it, right or wrong: any trailer, any number, any header.
 */
#pragma once

#include "engine.h"

/* 10.1.0.0/16 and 2001:db8:1::/48 here; 10.2.NET.0/24 and 2001:db8:2:NET::/64 there. */
struct tunnel {
	const char *suite; /* its name in crypto_suites[] */
	uint8_t family;    /* of the outer packets */
	uint8_t net;
	bool esn, udp;
	uint32_t spi;   /* inbound at the engine; outbound it is TUNNEL_OUT more */
	uint16_t flags; /* SA_* beside those */
};

#define TUNNEL_OUT 0x1000000

struct peer {
	struct engine *e;
	struct crypto_ctx *crypto;
	struct reclaim *reclaim;
	struct sad *sad;
};

void peer_start(struct peer *p, struct engine *e);
void peer_stop(struct peer *p);

/*
 * Installs the tunnel at both ends, each direction with a key of its own, and the engine's policies
 * for it. Returns the peer's SA to seal with.
 */
const struct sa *peer_tunnel(struct peer *p, const struct tunnel *t);

/* The engine's SA that receives, or sends, for that tunnel. */
struct sa_control *peer_inbound(const struct peer *p, const struct tunnel *t);
struct sa_control *peer_outbound(const struct peer *p, const struct tunnel *t);

/*
 * A frame for the engine's wan: outer header, ESP and ICV around `len` bytes of text, which end
 * in pad length and next header if it is to be right. `at` has room for 160 bytes more. Returns
 * the frame's length. Whatever is changed behind the IP header can be signed again or not.
 */
size_t peer_seal(const struct peer *p, const struct sa *sa, uint64_t seq, const void *text,
		 size_t len, uint8_t *at);

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
