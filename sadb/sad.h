/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The security association database (RFC 4301 section 4.4.2): SAs in one arena of fixed stride,
 * an SPI index for inbound packets, identities and lifetimes for the control thread.
 *
 * The control thread is the sole writer and calls everything here except what is marked "worker".
 * Workers read without locks; what is deleted is unlinked, waits for a grace period, is zeroized
 * and freed. An SA found by a worker is valid until that worker's next quiescent state.
 */
#pragma once

#include <stdint.h>

#include "addr.h"
#include "crypto/crypto.h"
#include "crypto/reason.h"
#include "kept.h"
#include "reclaim.h"
#include "sa.h"

struct sad;

#define SAD_KEY_MAX 64

struct sad_config {
	uint32_t max_sas;          /* SAs at one time */
	uint32_t workers;          /* reader threads, each with its own counters */
	uint32_t replay_window;    /* least window of an inbound SA, whatever is asked for */
	uint16_t flags;            /* SA_* that every SA has beside its own */
	bool spread;               /* those of ESP are SA_SPREAD from their beginning */
	struct crypto_ctx *crypto; /* for expanding keys; the control thread's */
	struct reclaim *reclaim;
};

/*
 * An SA's identity. EEXIST and lookups are by all of it; as in the kernel a mark also finds an SA
 * that has none.
 */
struct sa_id {
	union ip_addr dst;
	rte_be32_t spi;
	uint8_t family; /* of dst */
	uint8_t proto;  /* IPPROTO_ESP, IPPROTO_AH */
	uint32_t mark;  /* 0 none */
};

/* Limits as in struct xfrm_lifetime_cfg; UINT64_MAX and 0 are none. */
struct sa_limits {
	uint64_t soft_bytes, hard_bytes, soft_packets, hard_packets;
	uint64_t soft_add_seconds, hard_add_seconds, soft_use_seconds, hard_use_seconds;
};

/* What was counted of an SA before: of one that is re-added or moved. Wall-clock seconds, 0 never.
 */
struct sa_counted {
	bool given; /* else the last alone counts */
	uint64_t packets, bytes, added, first_used, last_used;
};

/* Everything that NEWSA and UPDSA say about an SA, and that GETSA must give back. */
struct sa_params {
	struct sa_id id;
	union ip_addr src;
	uint8_t mode;              /* SA_MODE_* */
	uint16_t flags;            /* SA_* */
	uint32_t xfrm_extra_flags; /* XFRMA_SA_EXTRA_FLAGS, given back */
	uint8_t xfrm_flags;        /* xfrm_usersa_info.flags, given back */
	uint32_t reqid, if_id;
	uint32_t set_mark;      /* of decrypted packets, 0: the SA's own, or its policies' */
	uint32_t seq;           /* of the acquire that it answers, given back */
	uint32_t replay_window; /* as asked for, 0 none */
	uint32_t tfcpad;        /* length of inner packets, 0: no TFC padding */
	struct selector sel;
	struct sa_limits limits;
	uint8_t suite;
	uint8_t salt[4];
	/* Without salt; lengths are the suite's, and zero is behind. */
	alignas(8) uint8_t key[SAD_KEY_MAX], auth_key[SAD_KEY_MAX];
	uint16_t encap_type; /* UDP_ENCAP_ESPINUDP or 0 */
	rte_be16_t encap_sport, encap_dport;
	union ip_addr encap_oa, coaddr; /* the peer's address behind its NAT, any if not known */
	uint32_t nat_keepalive;         /* seconds of silence before a keepalive, 0 none is sent */
	uint32_t mapping_seconds;       /* before a mapping is told again, 0 never */
	/* What makes numbers worth an event: so many used, or tenths of a second passed; 0 never.
	 */
	uint32_t ae_numbers, ae_tenths;
	/* Where counting starts: copied replay state of a re-added SA. */
	uint64_t out_seq;            /* last number used */
	uint64_t in_seq;             /* highest number received */
	uint32_t replay_bitmap[128]; /* bit i: in_seq - i was received */
	uint32_t replay_bitmap_words;
	struct sa_counted counted;
	bool per_cpu; /* XFRMA_SA_PCPU, given back: an SA serves every worker */
	uint32_t cpu;
};

struct sa_usage {                /* counted by workers, authenticated packets only */
	uint64_t packets, bytes; /* bytes: RFC 4301 4.4.2.1, the ESP payload with its padding */
	uint64_t first_used, last_used;    /* wall-clock seconds, 0 never */
	uint64_t replay_drops, auth_drops; /* of this SA */
};

/* What workers read of few SAs: those that are narrow, in BEET mode, or behind NAT in transport
 * mode. */
struct sa_detail {
	struct selector sel;
	union ip_addr original; /* the peer's address behind its NAT, any if not known */
};

/* What the control thread keeps of few SAs. */
struct sa_extra {
	struct sa_usage start;  /* what the workers' counters are added to */
	uint64_t told, told_at; /* the control socket's: numbers when it told of them, and when */
};

/* The control thread's part of an SA. Workers touch `detail` alone. */
struct sa_control {
	const struct sa_detail *detail; /* or NULL */
	struct sa *sa;                  /* NULL while larval */
	struct kept kept;               /* see sad_params() */
	struct sa_extra *extra;         /* or NULL */
	uint64_t added_ms;              /* wall-clock milliseconds */
	void *natt;                     /* what dataplane/natt.c keeps of it */
	uint32_t index;
	uint32_t mark;    /* of its identity */
	uint32_t owner;   /* the control socket's: whose SA it is, 0 none */
	uint8_t state;    /* enum sa_state */
	bool orphan;      /* the control socket's: the process whose it was has gone */
	bool soft_sent;   /* the soft EXPIRE went out */
	bool takes_marks; /* of its policies: it has none of its own */
};

/*
 * What the SAD tells who asked, on the control thread. Several may: the SPD points its policies at
 * their SAs by it, the control socket sends events. Callbacks may be NULL.
 */
struct sad_observer {
	void *ctx;
	/* The SA became valid, or its ports changed; or (!added) it has just been unlinked and its
	 * grace period not yet begun. */
	void (*changed)(void *ctx, struct sa_control *c, bool added);
	/*
	 * A packet of a UDP-encapsulated SA came, authentic, from another address or port than
	 * those before. `encap_sport` and `src` of the SA are still what they were.
	 */
	void (*mapped)(void *ctx, struct sa_control *c, const union ip_addr *src, rte_be16_t sport);
	/* A lifetime ran out; after a hard one the SA is deleted. */
	void (*expire)(void *ctx, struct sa_control *c, bool hard);
	struct sad_observer *next; /* the SAD's */
};

struct sad *sad_new(const struct sad_config *config, struct reason *why);
/* After the workers have ended, and before reclaim_free(). */
void sad_free(struct sad *sad);

void sad_observe(struct sad *sad, struct sad_observer *observer); /* which must live on */

/*
 * Adds an SA, or completes a larval one of the same identity. -EEXIST; -EINVAL for what cannot
 * be (an SPI below 256, ESN with window 0, a key in use); -ENOSPC at max_sas; -ENOMEM.
 * After an error nothing has changed.
 *
 * A window of 0 switches anti-replay off; any other is at least the configured one. A re-added key
 * goes on above the last number that it was used with, and, for the same SPI, with the window that
 * it had (tombstone.h). Live SAs with one key have different SPIs. One counter-mode key may serve
 * one SA in each direction, direction being told by which address is the greater one, but not with
 * UDP encapsulation; and any number of SAs that are SA_IN_ONLY: see sad_key.c.
 */
int sad_add(struct sad *sad, const struct sa_params *params, struct reason *why);

/*
 * UPDSA: completes a larval SA, or changes a live one's lifetimes and encapsulation ports. -ESRCH
 * where there is none; -EINVAL for another key, selector, source, mode, encapsulation, flag, reqid,
 * if_id, mark or replay state: workers read these without a lock, so a new SA has to bring them.
 */
int sad_update(struct sad *sad, const struct sa_params *params, struct reason *why);

/*
 * NEWAE: a live SA goes on from the numbers, the window and the counters of `to`, and tells of them
 * as it says (or, SAD_AE_AS_IT_WAS, as before); nothing else is looked at. Numbers only go up:
 * lower ones change nothing, and what was received stays so. -ESRCH; -EINVAL for another window or
 * a number beyond the last.
 */
#define SAD_AE_AS_IT_WAS UINT32_MAX
int sad_advance(struct sad *sad, const struct sa_params *to, struct reason *why);

/*
 * MIGRATE: the SA has the endpoints and the encapsulation of `to` from now on, a copy of its own
 * parameters but for these. Numbers, window and counters go on; what `to->counted` says is
 * overwritten. -EEXIST where one has that identity; -EINVAL; -ENOMEM. After an error it is as it
 * was.
 */
int sad_move(struct sad *sad, struct sa_control *c, struct sa_params *to, struct reason *why);

/* What sad_move() would say, but for a lack of memory. Nothing is changed. */
int sad_may_move(struct sad *sad, struct sa_control *c, struct sa_params *to, struct reason *why);

int sad_delete(struct sad *sad, const struct sa_id *id, struct reason *why); /* or -ESRCH */
unsigned int sad_flush(struct sad *sad, uint8_t proto); /* 0: every protocol; how many */

/*
 * Allocates an SPI in [min, max] (host byte order) for `params->id.dst` and keeps it as a larval
 * SA that times out after `larval_seconds`. The SPI carries the index of the SA to be, so that
 * inbound lookup is one line. A repeated request (same params->seq, src, dst, reqid) is answered
 * with the same SPI. -ENOENT where the range is exhausted.
 */
int sad_alloc_spi(struct sad *sad, const struct sa_params *params, uint32_t min, uint32_t max,
		  uint32_t larval_seconds, rte_be32_t *spi, struct reason *why);

struct sa_control *sad_find(struct sad *sad, const struct sa_id *id); /* or NULL */

/* Everything that was said of an SA, but for its keys and salt, which are zero. */
struct sa_params sad_params(const struct sa_control *c);
/* Keys as well: the caller overwrites them in the end. */
void sad_params_and_keys(const struct sa_control *c, struct sa_params *params);
/* What is kept of few SAs, from now on of this one. NULL without memory. */
struct sa_extra *sad_extra(struct sa_control *c);
struct sa_id sad_id(const struct sa_control *c); /* its identity alone */

/*
 * The SA that an outbound policy's template means: by SPI where `spi` is not 0, else by reqid
 * (and addresses where not any); the newest valid one of several. Of a tenant with a mark, SAs
 * without one serve as well. NULL where there is none. O(1) in the number of SAs.
 */
struct sa *sad_find_outbound(struct sad *sad, const union ip_addr *src, const union ip_addr *dst,
			     uint8_t family, uint8_t proto, rte_be32_t spi, uint32_t reqid,
			     uint64_t tenant, uint8_t mode);

/*
 * What an SA decrypts that says nothing of a mark itself has this one: of the policies that let it
 * in. (IKE daemons mark inbound policies and, unless told, no inbound SA.) Of one SA, and of all of
 * a reqid and if_id.
 */
void sad_give_mark(struct sa_control *c, uint32_t mark);
void sad_give_marks(struct sad *sad, uint32_t reqid, uint32_t if_id, uint32_t mark);

/*
 * Iteration that survives changes between calls: start with cursor 0; the next SA, larval ones
 * included, or NULL at the end.
 */
struct sa_control *sad_next(struct sad *sad, uint32_t *cursor);
uint32_t sad_count(const struct sad *sad);
uint32_t sad_max(const struct sad *sad);

/* ---- peers behind NAT that move (RFC 3948), sad_peer.c ---- */

/* The SA in a place of the arena, if it still has that SPI; or NULL. */
struct sa_control *sad_at(struct sad *sad, uint32_t index, rte_be32_t spi);

/* Tells the observers of a new mapping of an inbound SA. */
void sad_mapped(struct sad *sad, struct sa_control *c, const union ip_addr *src, rte_be16_t sport);

/* The next packet from elsewhere than the SA says is news again. */
void sad_forget_peer(struct sa_control *c);

/*
 * Lets the outbound SAs that answer this inbound one (same reqid, tenant, mark, and its addresses
 * and ports reversed) send to another address and port at once; in transport mode, where packets
 * have addresses of their own, to another port alone. What GETSA gives stays as it was. Returns how
 * many moved.
 */
unsigned int sad_follow(struct sad *sad, const struct sa_control *c, const union ip_addr *addr,
			rte_be16_t port);

/* Sums the workers' counters of an SA. */
struct sa_usage sad_usage(const struct sad *sad, const struct sa_control *c);

/* The sequence state as the kernel reports it: last sent, highest received, bitmap (see replay.h).
 */
void sad_sequences(const struct sad *sad, const struct sa_control *c, uint64_t *out_seq,
		   uint64_t *in_seq, uint32_t *bitmap, uint32_t words);

/*
 * Lifetimes and larval time-outs: call it ten times a second, with the wall clock in milliseconds.
 * Costs what there is to do, however many SAs there are.
 */
#define SAD_TICK_MS 100
void sad_tick(struct sad *sad, uint64_t now);

/* Bytes held, by what for. */
struct sad_memory {
	uint64_t places;     /* what packets read and write: SAs, windows, expanded keys */
	uint64_t control;    /* the control thread's parts, and what was said of them */
	uint64_t counters;   /* of all workers */
	uint64_t tables;     /* by SPI, identity, key and peer */
	uint64_t tombstones; /* of SAs that are gone */
};
struct sad_memory sad_memory(const struct sad *sad);
uint64_t sad_bytes(const struct sad *sad); /* all of them */

/* ---- workers ---- */

enum sad_miss {
	SAD_HIT,
	SAD_NO_SA,    /* no SA has the SPI */
	SAD_MISMATCH, /* one has, with another destination, family or carrier */
	SAD_OUT_ONLY, /* one has, for outbound only */
};

/*
 * Worker: the SA of an inbound packet by SPI, confirmed by its destination, family and carrier: the
 * protocol behind the IP header, ESP, AH, or UDP for ESP in UDP. *miss says why there is none. One
 * line where the engine chose the SPI.
 */
struct sa *sad_lookup(const struct sad *sad, rte_be32_t spi, const union ip_addr *dst,
		      uint8_t family, uint8_t carrier, enum sad_miss *miss);

/*
 * Worker: the live SA that sends packets with that SPI between these addresses, `carrier` behind
 * the IP header (IPPROTO_ESP, or IPPROTO_UDP); NULL for none.
 */
struct sa *sad_lookup_outbound(const struct sad *sad, rte_be32_t spi, const union ip_addr *src,
			       const union ip_addr *dst, uint8_t family, uint8_t carrier);

/*
 * Worker: brings what receiving a packet of that SPI and number (its low half) reads and writes of
 * the SA itself: where the engine chose the SPI.
 */
void sad_prefetch_inbound(const struct sad *sad, rte_be32_t spi, uint32_t seq);

/*
 * Worker: charges authenticated packets, and all their bytes, to their SA. `now` is wall-clock
 * seconds, read once a poll. Counters are per worker.
 */
void sad_charge(struct sad *sad, unsigned int worker, const struct sa *sa, uint32_t packets,
		uint32_t bytes, uint64_t now);
/* Worker: brings what sending by the SA reads and writes of itself. Reads nothing of it. */
void sad_prefetch_outbound(const struct sa *sa);
/* Worker: and later, what sad_charge() writes. */
void sad_prefetch_counters(const struct sad *sad, unsigned int worker, const struct sa *sa);
enum sad_fault { SAD_FAULT_REPLAY, SAD_FAULT_AUTH };
void sad_blame(struct sad *sad, unsigned int worker, const struct sa *sa, enum sad_fault fault);
