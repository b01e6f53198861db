/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NAT traversal beside the packet path. Everything but natt_seen() is the control thread's: it
 * observes the SAD, counts the SAs of each local port, and keeps what it knows of an SA of UDP
 * encapsulation behind that SA's control part. SAs that something is to be done about later stand
 * in a wheel of seconds.
 */
#include "natt.h"

#include <netinet/in.h>
#include <sys/queue.h>
#include <time.h>

#include <rte_errno.h>
#include <rte_log.h>
#include <rte_ring_elem.h>
#include <rte_udp.h>

#include "checksum.h"
#include "ip_parse.h"
#include "made.h"
#include "worker.h"

RTE_LOG_REGISTER(natt_log, sealane.natt, NOTICE);
#define LOG(level, ...) rte_log(RTE_LOG_##level, natt_log, __VA_ARGS__)

#define WHEEL     256 /* seconds; what is due later is looked at once a turn */
#define MOVES_MAX 1024
#define KEEPALIVE 0xff /* RFC 3948 section 2.3 */

/* What is kept of an SA of UDP encapsulation. */
struct natt_sa {
	LIST_ENTRY(natt_sa) due_list; /* in the wheel, or alone */
	struct sa_control *c;
	uint64_t due;       /* wall-clock seconds, 0: nothing is */
	uint64_t quiet;     /* since when, as far as keepalives are concerned */
	uint64_t told;      /* when the mapping was, 0: none */
	union ip_addr addr; /* the mapping */
	rte_be16_t port;
	rte_be16_t local; /* the port that it counts for, 0 none yet */
	uint64_t seq;     /* of the packet that brought the mapping */
};

LIST_HEAD(natt_list, natt_sa);

/* A worker's news: where the newest packet of an inbound SA came from. */
struct move {
	uint32_t index;
	rte_be32_t spi;
	union ip_addr addr;
	uint64_t seq;
	rte_be16_t port;
};

struct natt {
	struct dataplane *dp;
	struct sad_observer observer;
	struct rte_ring *moves;
	uint32_t sas[UINT16_MAX + 1]; /* by local port */
	uint32_t unknown;             /* SAs of which no end is ours so far */
	struct natt_list wheel[WHEEL];
	uint64_t now; /* wall-clock seconds of the last turn */
};

/* ---- workers ---- */

void
natt_seen(struct worker *w, struct sa *sa, const struct rte_mbuf *m, uint64_t seq)
{
	const struct rte_udp_hdr *udp =
		rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, packet(m)->l4_off);
	struct move move = {sa->index, sa->spi, ip_src(m), seq, udp->src_port};
	uint64_t peer = sa_peer(&move.addr, move.port);
	/* Relaxed: the word stands for itself, and what it is about goes by the ring. */
	uint64_t known = atomic_load_explicit(&sa->peer, memory_order_relaxed);

	if (likely(peer == known))
		return;
	/* A late packet from where the peer was before says nothing new. */
	if ((sa->flags & SA_REPLAY) != 0 &&
	    seq < atomic_load_explicit(&sa->replay->top, memory_order_relaxed))
		return;
	if (!atomic_compare_exchange_strong_explicit(&sa->peer, &known, peer, memory_order_relaxed,
						     memory_order_relaxed))
		return;
	if (rte_ring_mp_enqueue_elem(w->dp->natt->moves, &move, sizeof(move)) != 0)
		atomic_store_explicit(&sa->peer, known, memory_order_relaxed); /* asked again */
}

/* ---- local ports ---- */

/* Our end's port of an SA, 0 while neither end is known to be ours. */
static rte_be16_t
local_port(const struct dataplane *dp, const struct sa_params *p)
{
	if ((p->flags & SA_IN_ONLY) != 0 || dataplane_vrf(dp, p->id.family, &p->id.dst) >= 0)
		return p->encap_dport;
	if ((p->flags & SA_OUT_ONLY) != 0 || dataplane_vrf(dp, p->id.family, &p->src) >= 0)
		return p->encap_sport;
	return 0;
}

static void
show_port(struct natt *n, rte_be16_t port)
{
	const uint64_t bit = UINT64_C(1) << port % 64;
	_Atomic uint64_t *word = &n->dp->natt_ports[port / 64];

	/* Relaxed: a bit stands for itself. */
	if (n->sas[port] != 0)
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
}

static void
leave_port(struct natt *n, struct natt_sa *s)
{
	if (s->local == 0) {
		n->unknown--;
		return;
	}
	n->sas[s->local]--;
	show_port(n, s->local);
}

static void
join_port(struct natt *n, struct natt_sa *s)
{
	const struct sa_params p = sad_params(s->c);

	s->local = local_port(n->dp, &p);
	if (s->local == 0) {
		n->unknown++;
		return;
	}
	n->sas[s->local]++;
	show_port(n, s->local);
}

/* Addresses may come after the SAs that were set by hand. */
static void
look_again(struct natt *n)
{
	uint32_t cursor = 0;
	struct sa_control *c;

	while (n->unknown > 0 && (c = sad_next(n->dp->sad, &cursor)) != NULL) {
		struct natt_sa *s = c->natt;

		if (s && s->local == 0) {
			n->unknown--;
			join_port(n, s);
		}
	}
}

/* ---- the wheel ---- */

static void
unschedule(struct natt_sa *s)
{
	if (s->due != 0)
		LIST_REMOVE(s, due_list);
	s->due = 0;
}

static void
schedule(struct natt *n, struct natt_sa *s, uint64_t due)
{
	if (s->due != 0 && s->due <= due)
		return;
	unschedule(s);
	s->due = due;
	LIST_INSERT_HEAD(&n->wheel[due % WHEEL], s, due_list);
}

/* Keepalives that are asked for, and a mapping that is to be told again. */
static void
schedule_next(struct natt *n, struct natt_sa *s)
{
	const struct sa_params p = sad_params(s->c);

	if (p.nat_keepalive != 0)
		schedule(n, s, s->quiet + p.nat_keepalive);
	if (p.mapping_seconds != 0 && s->told != 0)
		schedule(n, s, s->told + p.mapping_seconds);
}

/* ---- keepalives ---- */

/* Where the SA's packets go: beside transport mode the outer header says where the peer is now. */
static union ip_addr
peer_of(const struct sa *sa)
{
	const uint8_t *made = sa_outer(sa);
	union ip_addr peer = sa->dst;

	if (sa->mode != SA_MODE_TRANSPORT && sa->family == FAMILY_V4)
		memcpy(&peer.v4, made + offsetof(struct rte_ipv4_hdr, dst_addr), 4);
	else if (sa->mode != SA_MODE_TRANSPORT)
		memcpy(&peer, made + offsetof(struct rte_ipv6_hdr, dst_addr), 16);
	return peer;
}

/* One byte from where the SA's packets come to where they go. */
static void
send_keepalive(struct natt *n, const struct sa_control *c)
{
	const struct sa *sa = c->sa;
	const uint8_t *made = sa_outer(sa) + sa->outer_len - sizeof(struct esp_header) - UDP_HEADER;
	union ip_addr peer = peer_of(sa);
	struct rte_udp_hdr *udp;
	struct rte_mbuf *m;

	m = made_new(n->dp, sa, &peer, IPPROTO_UDP,
		     (sa->family == FAMILY_V4 ? 20 : 40) + UDP_HEADER + 1);
	if (m == NULL)
		return;
	udp = rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, packet(m)->l4_off);
	memcpy(udp, made, UDP_HEADER);
	udp->dgram_len = rte_cpu_to_be_16(UDP_HEADER + 1);
	*(uint8_t *)(udp + 1) = KEEPALIVE;
	if (sa->family == FAMILY_V6)
		udp->dgram_cksum = checksum_l4(m);
	/* As ESP of ours it goes past policy, and finds its way by its destination. */
	packet(m)->flags = PACKET_SEALED;
	made_send(n->dp, sa, m, RESUME_MADE);
}

/* RFC 3948 section 4: only where nothing was sent for so long. */
static void
check_keepalive(struct natt *n, struct natt_sa *s)
{
	uint32_t interval = sad_params(s->c).nat_keepalive;
	uint64_t last;

	if (interval == 0 || n->now < s->quiet + interval)
		return;
	last = sad_usage(n->dp->sad, s->c).last_used;
	if (last > s->quiet)
		s->quiet = last;
	if (n->now < s->quiet + interval)
		return;
	send_keepalive(n, s->c);
	s->quiet = n->now;
}

/* ---- mappings ---- */

static void
check_mapping(struct natt *n, struct natt_sa *s)
{
	uint32_t seconds = sad_params(s->c).mapping_seconds;

	if (seconds == 0 || s->told == 0 || n->now < s->told + seconds)
		return;
	s->told = 0;
	sad_forget_peer(s->c);
}

static bool
is_news(const struct natt_sa *s, const struct move *move)
{
	const union ip_addr *addr = s->told != 0 ? &s->addr : &s->c->sa->src;
	rte_be16_t port = s->told != 0 ? s->port : sad_params(s->c).encap_sport;

	return move->seq >= s->seq && (port != move->port || !ip_addr_equal(addr, &move->addr));
}

static void
take_move(struct natt *n, const struct move *move)
{
	struct sa_control *c = sad_at(n->dp->sad, move->index, move->spi);
	struct natt_sa *s = c ? c->natt : NULL;

	if (!s || !is_news(s, move))
		return;
	s->addr = move->addr;
	s->port = move->port;
	s->seq = move->seq;
	s->told = n->now;
	schedule_next(n, s);
	/* Without anti-replay an old packet could come from anywhere once more. */
	if (n->dp->config->sad.nat_rebinding == NAT_REBINDING_FOLLOW &&
	    (c->sa->flags & SA_REPLAY) != 0)
		sad_follow(n->dp->sad, c, &move->addr, move->port);
	sad_mapped(n->dp->sad, c, &move->addr, move->port);
}

/* ---- SAs come and go ---- */

static void
sa_gone(struct natt *n, struct sa_control *c)
{
	struct natt_sa *s = c->natt;

	if (!s)
		return;
	unschedule(s);
	leave_port(n, s);
	free(s);
	c->natt = NULL;
}

static void
sa_changed(void *ctx, struct sa_control *c, bool added)
{
	struct natt *n = ctx;
	struct natt_sa *s;

	sa_gone(n, c);
	if (!added || (c->sa->flags & SA_ENCAP_UDP) == 0)
		return;
	s = calloc(1, sizeof(*s));
	if (!s) {
		LOG(ERR, "NATT: no memory: an SA has no port, no keepalives and no mappings\n");
		return;
	}
	s->c = c;
	s->quiet = (uint64_t)time(NULL);
	c->natt = s;
	join_port(n, s);
	schedule_next(n, s);
}

/* ---- its life ---- */

int
natt_start(struct dataplane *dp, struct reason *why)
{
	struct natt *n = calloc(1, sizeof(*n));

	if (!n)
		return reason_set(why, ENOMEM, "no memory for NAT traversal");
	n->dp = dp;
	n->now = (uint64_t)time(NULL);
	n->moves = rte_ring_create_elem("nat_moves", sizeof(struct move), MOVES_MAX, SOCKET_ID_ANY,
					RING_F_SC_DEQ);
	if (!n->moves) {
		free(n);
		return reason_set(why, rte_errno, "no memory for the ring of NAT mappings: %s",
				  rte_strerror(rte_errno));
	}
	n->observer = (struct sad_observer){.ctx = n, .changed = sa_changed};
	sad_observe(dp->sad, &n->observer);
	dp->natt = n;
	return 0;
}

void
natt_stop(struct dataplane *dp)
{
	uint32_t cursor = 0;
	struct sa_control *c;

	if (!dp->natt)
		return;
	while ((c = sad_next(dp->sad, &cursor)) != NULL)
		sa_gone(dp->natt, c);
	rte_ring_free(dp->natt->moves);
	free(dp->natt);
	dp->natt = NULL;
}

void
natt_poll(struct dataplane *dp)
{
	struct move move;

	while (rte_ring_sc_dequeue_elem(dp->natt->moves, &move, sizeof(move)) == 0)
		take_move(dp->natt, &move);
}

static void
turn(struct natt *n)
{
	struct natt_sa *s, *next;

	for (s = LIST_FIRST(&n->wheel[n->now % WHEEL]); s; s = next) {
		next = LIST_NEXT(s, due_list);
		if (s->due > n->now)
			continue;
		unschedule(s);
		check_keepalive(n, s);
		check_mapping(n, s);
		schedule_next(n, s);
	}
}

void
natt_tick(struct dataplane *dp, uint64_t now)
{
	struct natt *n = dp->natt;

	if (now == n->now)
		return;
	look_again(n);
	/* A clock that jumps leaves out no turn of the wheel that is due. */
	if (now < n->now || now - n->now > WHEEL)
		n->now = now - WHEEL;
	while (n->now < now) {
		n->now++;
		turn(n);
	}
}
