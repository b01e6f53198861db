/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket's own state: its parts share it, nobody else includes it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_log.h>

#include "server.h"
#include "xfrm_decode.h"
#include "xfrm_encode.h"

extern int ctl_logtype;
#define CTL_LOG(level, ...) rte_log(RTE_LOG_##level, ctl_logtype, "CTL: " __VA_ARGS__)

#define CTL_CLIENTS_MAX  256
#define CTL_DATAGRAM_MAX 65536         /* of requests */
#define CTL_EVENTS_MAX   (256 * 1024)  /* bytes queued: further events are lost, and it is told */
#define CTL_QUEUE_MAX    (1024 * 1024) /* bytes queued: the client is disconnected */
#define CTL_DUMP_BURST   64            /* datagrams of a dump between two looks at other clients */
#define CTL_SAS_BURST    512           /* SAs that are looked at in one tick */

struct chunk; /* a datagram that waits */

/* A dump in progress: where it stands. */
struct dump {
	uint16_t type; /* XFRM_MSG_GETSA, XFRM_MSG_GETPOLICY; 0: none */
	uint32_t seq;
	uint32_t cursor;
	struct xfrm_filter filter;
};

struct client {
	struct client *next;
	int fd;
	bool dead;        /* to be freed at the end of ctl_poll() */
	bool overrun;     /* events were lost; NLMSG_OVERRUN is to be sent */
	bool ext_ack;     /* wants texts with refusals */
	uint32_t daemon;  /* number of the IKE daemon that the process is, 0 none: SAs may be its */
	uint32_t port;    /* nlmsg_pid of what it is sent */
	uint32_t groups;  /* bit n - 1: XFRMNLGRP_ number n */
	uint32_t watched; /* what epoll watches */
	pid_t pid;        /* for people; 0 in a PID namespace that is not below the engine's */
	uint64_t process; /* random number: connections with the same one are one process's */
	struct dump dump;
	struct {                 /* the last request that changed something: it may come again */
		uint64_t print;  /* 0 none */
		struct sa_id id; /* of ALLOCSPI: what it was given */
	} once;
	struct chunk *first, **last;
	size_t queued; /* bytes in chunks */
};

struct ctl {
	int listen_fd, epoll_fd;
	char path[108];
	gid_t group;
	struct sad *sad;
	struct spd *spd;
	struct sad_observer observer;
	struct spd_observer expiry;
	struct xfrm_thresholds thresholds;
	uint32_t acquire_seq;
	uint64_t seed;        /* random */
	uint64_t now;         /* monotonic milliseconds, as do the next two count */
	uint64_t numbers_due; /* of the next look at SAs for NEWAE */
	uint64_t orphans_due; /* of the end of all orphans, 0: not yet */
	uint32_t numbers_cursor, orphans_cursor; /* where looking at the SAs goes on */
	uint32_t orphan_grace;
	uint32_t daemons; /* the last number that an IKE daemon was given */
	bool bypass;
	bool orphans; /* there may be some */
	uint64_t orphans_removed;
	uint64_t warn_at; /* monotonic seconds: not before does a key set by hand draw a warning */
	struct client *clients;
	unsigned int clients_count;
	bool full; /* connections were refused, and it was logged */
	uint8_t in[CTL_DATAGRAM_MAX] __attribute__((aligned(8)));
};

/* ---- client.c: connections ---- */

/* Takes the descriptor over. NULL, and it is closed, without memory or above CTL_CLIENTS_MAX. */
struct client *client_add(struct ctl *ctl, int fd, pid_t pid);

/* Marks it dead; it is freed by client_bury(), and until then nothing is sent to it. */
void client_kill(struct client *client, const char *why);
void client_bury(struct ctl *ctl);

/* Sends a reply, or queues it behind what waits. */
void client_reply(struct ctl *ctl, struct client *client, const struct xfrm_buf *buf);

/* Likewise an event, which is lost, and the loss told, where too much waits. */
void client_event(struct ctl *ctl, struct client *client, const struct xfrm_buf *buf);

/* Sends what waits, as far as the socket takes it. True once nothing is left. */
bool client_flush(struct ctl *ctl, struct client *client);

/* Tells epoll what to wait for: no request is read while output waits or a dump goes on. */
void client_watch(struct ctl *ctl, struct client *client);

/* ---- request.c: what is asked of the SAD and the SPD ---- */

/* Answers one message, acknowledgement included. */
void request_handle(struct ctl *ctl, struct client *client, const struct nlmsghdr *msg);

/* ---- dump.c ---- */

int dump_begin(struct client *client, const struct xfrm_request *req, struct reason *why);

/* Sends datagrams of a dump as far as the socket takes them, CTL_DUMP_BURST at most. */
void dump_continue(struct ctl *ctl, struct client *client);

/* ---- migrate.c ---- */

int migrate(struct ctl *ctl, const struct xfrm_migration *migration, struct reason *why);

/* ---- owner.c ---- */

/* The client has installed something, and this SA. */
void owner_works(struct ctl *ctl, struct client *client);
void owner_claim(struct ctl *ctl, struct client *client, struct sa_control *c);
/* It is about to be freed. */
void owner_leaves(struct ctl *ctl, struct client *client);
void owner_tick(struct ctl *ctl);

/* ---- numbers.c ---- */

/* Tells the numbers of SAs that have moved enough since they were last told. */
void numbers_tick(struct ctl *ctl);
/* A request has set them. */
void numbers_set(struct ctl *ctl, const struct xfrm_head *cause, struct sa_control *c);

/* ---- lost.c ---- */

/* HAD_TYPE: tells the client that an SA is to be replaced, if it is not here. */
void lost_sa(struct ctl *ctl, struct client *client, struct sa_params *p);

/* ---- event.c: what subscribers are told ---- */

/* Snapshots for the encoder, of what was said of the SA: sad_params(). */
struct xfrm_sa sa_snapshot(const struct ctl *ctl, const struct sa_control *c,
			   const struct sa_params *params);
struct xfrm_policy policy_snapshot(const struct policy *policy, const struct spd_params *params);

/* `cause` is the request that brought it about: its sequence number goes along. */
void event_sa(struct ctl *ctl, const struct xfrm_head *cause, const struct sa_control *c);
void event_sa_deleted(struct ctl *ctl, const struct xfrm_head *cause, const struct sa_control *c);
void event_sa_flushed(struct ctl *ctl, const struct xfrm_head *cause, uint8_t proto);
void event_policy(struct ctl *ctl, const struct xfrm_head *cause, const struct policy *policy);
void event_policy_deleted(struct ctl *ctl, const struct xfrm_head *cause,
			  const struct policy *policy, bool by_index);
void event_policies_flushed(struct ctl *ctl, const struct xfrm_head *cause);
/* `why` is XFRM_AE_CU, XFRM_AE_CR or XFRM_AE_CE. */
void event_ae(struct ctl *ctl, const struct xfrm_head *cause, const struct sa_control *c,
	      uint32_t why);
bool event_wanted(const struct ctl *ctl, uint32_t group); /* has it a subscriber? */
void event_migrate(struct ctl *ctl, const struct xfrm_head *cause,
		   const struct xfrm_migration *migration);
void event_policy_expire(void *ctx, const struct policy *policy, bool hard);
/* Of a struct sad_observer. */
void event_mapped(void *ctx, struct sa_control *c, const union ip_addr *src, rte_be16_t sport);
void event_expire(void *ctx, struct sa_control *c, bool hard);
