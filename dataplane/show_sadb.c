/* SPDX-License-Identifier: BSD-3-Clause */
/* The pages of the SAD and the SPD. */
#include "show_sadb.h"

#include <netinet/in.h>
#include <stdio.h>

#include <rte_cycles.h>

#include "put.h"
#include "sa_wait.h"

static const char *
mode_name(uint8_t mode)
{
	return mode == SA_MODE_TUNNEL ? "tunnel" : mode == SA_MODE_BEET ? "beet" : "transport";
}

static json_t *
sa_limits(const struct sa_limits *l)
{
	json_t *o = json_object();

	put_limit(o, "soft_bytes", l->soft_bytes, UINT64_MAX);
	put_limit(o, "hard_bytes", l->hard_bytes, UINT64_MAX);
	put_limit(o, "soft_packets", l->soft_packets, UINT64_MAX);
	put_limit(o, "hard_packets", l->hard_packets, UINT64_MAX);
	put_limit(o, "soft_add_seconds", l->soft_add_seconds, 0);
	put_limit(o, "hard_add_seconds", l->hard_add_seconds, 0);
	put_limit(o, "soft_use_seconds", l->soft_use_seconds, 0);
	put_limit(o, "hard_use_seconds", l->hard_use_seconds, 0);
	return o;
}

static const char *
sa_state_name(enum sa_state state)
{
	static const char *const names[] = {
		[SA_LARVAL] = "larval",
		[SA_VALID] = "valid",
		[SA_EXPIRED] = "expired",
	};

	return names[state];
}

/* What traffic an SA may carry, as far as the IKE daemon said. */
static const char *
sa_direction(uint16_t flags)
{
	return flags & SA_IN_ONLY ? "in" : flags & SA_OUT_ONLY ? "out" : "both";
}

static void
sa_identity(json_t *o, const struct sa_control *c, const struct sa_params *p)
{
	char encap[32];

	put_spi(o, "spi", p->id.spi);
	put_address(o, "src", p->id.family, &p->src);
	put_address(o, "dst", p->id.family, &p->id.dst);
	put_text(o, "protocol", p->id.proto == IPPROTO_AH ? "ah" : "esp");
	put_text(o, "mode", mode_name(p->mode));
	put_text(o, "suite", c->sa ? crypto_suites[p->suite].name : NULL);
	put_text(o, "state", sa_state_name(c->state));
	put_text(o, "direction", sa_direction(p->flags));
	put_bool(o, "orphan", c->orphan);
	put_number(o, "reqid", p->reqid);
	put_number(o, "if_id", p->if_id);
	put_number(o, "mark", p->id.mark);
	snprintf(encap, sizeof(encap), "udp %u %u", rte_be_to_cpu_16(p->encap_sport),
		 rte_be_to_cpu_16(p->encap_dport));
	put_text(o, "encap", p->encap_type ? encap : NULL);
}

static void
sa_traffic(json_t *o, const struct sad *sad, const struct sa_control *c)
{
	struct sa_usage usage = sad_usage(sad, c);
	uint64_t out_seq = 0, in_seq = 0;
	uint32_t bitmap;

	if (c->sa)
		sad_sequences(sad, c, &out_seq, &in_seq, &bitmap, 1);
	put_number(o, "path_mtu", c->sa ? sa_path_mtu(c->sa, rte_rdtsc()) : 0);
	put_bool(o, "esn", c->sa && c->sa->flags & SA_ESN);
	put_number(o, "window", c->sa && c->sa->replay ? c->sa->replay->window : 0);
	put_number(o, "out_seq", out_seq);
	put_number(o, "in_seq", in_seq);
	put_number(o, "packets", usage.packets);
	put_number(o, "bytes", usage.bytes);
	put_number(o, "replay_drops", usage.replay_drops);
	put_number(o, "auth_drops", usage.auth_drops);
	put_age(o, "age_seconds", c->added_ms / 1000);
	put_age(o, "idle_seconds", usage.last_used);
}

json_t *
show_sa_next(const struct show_source *s, union show_cursor *cursor)
{
	struct sa_control *c = sad_next(s->dp->sad, &cursor->number);
	struct sa_params params;
	json_t *o;

	if (!c)
		return NULL;
	params = sad_params(c);
	o = json_object();
	sa_identity(o, c, &params);
	sa_traffic(o, s->dp->sad, c);
	json_object_set_new(o, "limits", sa_limits(&params.limits));
	return o;
}

/* ---- policies ---- */

/* A port as "443", "1024/0xfc00", or "any". */
static void
put_port(json_t *o, const char *key, rte_be16_t port, rte_be16_t mask)
{
	char text[16];

	if (mask == 0)
		snprintf(text, sizeof(text), "any");
	else if (mask == 0xffff)
		snprintf(text, sizeof(text), "%u", rte_be_to_cpu_16(port));
	else
		snprintf(text, sizeof(text), "%u/0x%x", rte_be_to_cpu_16(port),
			 rte_be_to_cpu_16(mask));
	put_text(o, key, text);
}

static void
policy_selector(json_t *o, const struct selector *sel)
{
	char proto[8];

	put_prefix(o, "src", sel->family, &sel->src, sel->src_len);
	put_prefix(o, "dst", sel->family, &sel->dst, sel->dst_len);
	snprintf(proto, sizeof(proto), "%u", sel->proto);
	put_text(o, "protocol", sel->proto ? proto : "any");
	put_port(o, "sport", sel->sport, sel->sport_mask);
	put_port(o, "dport", sel->dport, sel->dport_mask);
}

static json_t *
policy_template(const struct spd_template *t)
{
	json_t *o = json_object();

	put_text(o, "mode", mode_name(t->mode));
	put_address(o, "src", t->family, &t->src);
	put_address(o, "dst", t->family, &t->dst);
	put_number(o, "reqid", t->reqid);
	put_spi(o, "spi", t->spi);
	put_bool(o, "optional", t->optional);
	return o;
}

json_t *
show_policy_head(const struct show_source *s)
{
	struct sa_wait_stats stats = sa_wait_stats(s->dp);
	json_t *o = json_object();

	put_waiting(o, stats.waiting, stats.expired, stats.overflowed);
	put_bool(o, "daemon_listens", stats.heard);
	return json_pack("{s:o}", "waiting", o);
}

json_t *
show_policy_next(const struct show_source *s, union show_cursor *cursor)
{
	static const char *const dirs[] = {"in", "out", "fwd"};
	static const char *const actions[] = {"protect", "bypass", "discard"};
	struct policy *p = spd_next(s->dp->spd, &cursor->number);
	struct spd_params said;
	const struct sa *sa;
	json_t *o;

	if (!p)
		return NULL;
	said = spd_params(p);
	/* Relaxed: the control thread wrote these itself, or they are counters. */
	sa = atomic_load_explicit(&p->sa, memory_order_relaxed);
	o = json_object();
	put_text(o, "direction", dirs[said.id.dir]);
	put_number(o, "priority", said.priority);
	put_text(o, "action", actions[said.action]);
	policy_selector(o, &said.id.sel);
	put_number(o, "if_id", said.id.if_id);
	put_number(o, "mark", said.id.mark);
	put_number(o, "index", p->index);
	json_object_set_new(o, "template",
			    said.action == SPD_PROTECT ? policy_template(&said.tmpl) : json_null());
	put_spi(o, "sa_spi", sa ? sa->spi : 0);
	put_age(o, "age_seconds", spd_added(p));
	put_age(o, "idle_seconds", atomic_load_explicit(&p->used, memory_order_relaxed));
	return o;
}
