/* SPDX-License-Identifier: BSD-3-Clause */
/* What requests change of an SA that is there: its limits and ports, its numbers, its endpoints. */
#include <errno.h>

#include <rte_byteorder.h>

#include "sad_private.h"

/* Takes over what a request may change of a live SA, whose parameters are `all`. */
static int
change(struct sad *sad, struct slot *slot, struct sa_params *all, const struct sa_params *p,
       struct reason *why)
{
	struct sa_control *c = &slot->control;
	bool udp = (c->sa->flags & SA_ENCAP_UDP) != 0;
	struct kept kept;

	all->limits = p->limits;
	all->seq = p->seq;
	all->nat_keepalive = p->nat_keepalive;
	all->mapping_seconds = p->mapping_seconds;
	all->ae_numbers = p->ae_numbers;
	all->ae_tenths = p->ae_tenths;
	if (udp) {
		all->encap_sport = p->encap_sport;
		all->encap_dport = p->encap_dport;
	}
	if (kept_pack(&sad->kept, all, c->sa, &kept) != 0)
		return reason_set(why, ENOMEM, "no memory for an SA's parameters");
	if (udp && sa_outer_replace(sad, c->sa, &p->id.dst, p->encap_sport, p->encap_dport) != 0) {
		kept_drop(&sad->kept, &kept);
		return reason_set(why, ENOMEM, "no memory for an outer header");
	}
	kept_drop(&sad->kept, &c->kept);
	c->kept = kept;
	c->soft_sent = false;
	usage_watch(sad, slot, &p->limits);
	if (udp) {
		sad_forget_peer(c);
		slot_tell(sad, slot, true);
	}
	return 0;
}

int
sad_update(struct sad *sad, const struct sa_params *p, struct reason *why)
{
	struct slot *slot = slot_find(sad, &p->id);
	struct sa_params all;
	int err;

	if (!slot)
		return reason_set(why, ESRCH, "no SA with SPI 0x%08x and that destination",
				  rte_be_to_cpu_32(p->id.spi));
	if (slot->control.state == SA_LARVAL)
		return sad_add(sad, p, why);
	sad_params_and_keys(&slot->control, &all);
	err = sa_check_update(&all, p, why);
	if (err == 0)
		err = change(sad, slot, &all, p, why);
	crypto_zeroize(&all, sizeof(all));
	return err;
}

/* Relaxed: whoever reserves takes what is above, whichever came first. */
static void
raise_seq(struct sa *sa, uint64_t to)
{
	uint64_t last = atomic_load_explicit(&sa->seq, memory_order_relaxed);

	while (last < to &&
	       !atomic_compare_exchange_weak_explicit(&sa->seq, &last, to, memory_order_relaxed,
						      memory_order_relaxed))
		;
}

/* Of AE events. 0, or -ENOMEM. */
static int
set_thresholds(struct sad *sad, struct sa_control *c, const struct sa_params *to)
{
	struct sa_params all;
	struct kept kept;
	int err;

	if (to->ae_numbers == SAD_AE_AS_IT_WAS && to->ae_tenths == SAD_AE_AS_IT_WAS)
		return 0;
	sad_params_and_keys(c, &all);
	if (to->ae_numbers != SAD_AE_AS_IT_WAS)
		all.ae_numbers = to->ae_numbers;
	if (to->ae_tenths != SAD_AE_AS_IT_WAS)
		all.ae_tenths = to->ae_tenths;
	err = kept_pack(&sad->kept, &all, c->sa, &kept);
	if (err == 0) {
		kept_drop(&sad->kept, &c->kept);
		c->kept = kept;
	}
	crypto_zeroize(&all, sizeof(all));
	return err;
}

int
sad_advance(struct sad *sad, const struct sa_params *to, struct reason *why)
{
	struct slot *slot = slot_find(sad, &to->id);
	struct sa *sa = slot ? slot->control.sa : NULL;
	struct sa_params own;

	if (!sa)
		return reason_set(why, ESRCH, "no SA with SPI 0x%08x and that destination",
				  rte_be_to_cpu_32(to->id.spi));
	own = sad_params(&slot->control);
	if (to->replay_window != 0 && to->replay_window != own.replay_window)
		return reason_set(why, EINVAL, "replay window %u: the SA has one of %u",
				  to->replay_window, own.replay_window);
	if (to->out_seq > sa->seq_limit || ((sa->flags & SA_ESN) == 0 && to->in_seq > UINT32_MAX))
		return reason_set(why, EINVAL, "a sequence number beyond the SA's last");
	if (usage_prepare(&slot->control, &to->counted) != 0 ||
	    set_thresholds(sad, &slot->control, to) != 0)
		return reason_set(why, ENOMEM, "no memory for an SA's parameters");
	raise_seq(sa, to->out_seq);
	if (to->in_seq != 0)
		replay_restore(sa->replay, to->in_seq, to->replay_bitmap, to->replay_bitmap_words);
	usage_start(sad, &slot->control, &to->counted);
	usage_watch(sad, slot, &own.limits);
	return 0;
}

/* In the place of one that was retired: its tombstone has the numbers and the window. */
static int
succeed(struct sad *sad, const struct sa_params *p, uint32_t owner, const struct sa_extra *was,
	struct reason *why)
{
	int err = sad_add(sad, p, why);
	struct sa_control *c;

	if (err != 0)
		return err;
	c = &slot_find(sad, &p->id)->control;
	c->owner = owner;
	c->extra->told = was->told; /* it has one: its counters go on */
	c->extra->told_at = was->told_at;
	return 0;
}

int
sad_may_move(struct sad *sad, struct sa_control *c, struct sa_params *to, struct reason *why)
{
	const struct slot *other = slot_find(sad, &to->id);

	if (other && other != slot_of(c))
		return reason_set(why, EEXIST, "an SA with SPI 0x%08x and that destination exists",
				  rte_be_to_cpu_32(to->id.spi));
	return sa_check(sad, to, why);
}

int
sad_move(struct sad *sad, struct sa_control *c, struct sa_params *to, struct reason *why)
{
	const struct sa_usage usage = sad_usage(sad, c);
	const struct sa_extra was = c->extra ? *c->extra : (struct sa_extra){.told = 0};
	const uint32_t owner = c->owner;
	struct slot *slot = slot_of(c);
	struct sa_params from;
	struct reason ignored;
	int err = sad_may_move(sad, c, to, why);

	if (err != 0)
		return err;
	sad_params_and_keys(c, &from);
	to->counted = from.counted = (struct sa_counted){
		true,           usage.packets, usage.bytes, c->added_ms / 1000, usage.first_used,
		usage.last_used};
	slot_retire(sad, slot);
	err = succeed(sad, to, owner, &was, why);
	if (err != 0)
		succeed(sad, &from, owner, &was, &ignored);
	crypto_zeroize(&from, sizeof(from));
	return err;
}
