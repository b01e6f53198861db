/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Peers behind NAT whose address or port changes (RFC 3948): telling the observers, and sending
 * where the peer is now before the IKE daemon has said so. Control thread.
 */
#include "sad_private.h"

struct sa_control *
sad_at(struct sad *sad, uint32_t index, rte_be32_t spi)
{
	struct slot *slot = index < sad->high_water ? &sad->slots[index] : NULL;

	if (!slot || !slot->used || slot->control.state == SA_LARVAL ||
	    slot->control.sa->spi != spi)
		return NULL;
	return &slot->control;
}

void
sad_mapped(struct sad *sad, struct sa_control *c, const union ip_addr *src, rte_be16_t sport)
{
	for (struct sad_observer *o = sad->observers; o; o = o->next)
		if (o->mapped)
			o->mapped(o->ctx, c, src, sport);
}

void
sad_forget_peer(struct sa_control *c)
{
	/* Relaxed: a worker that sees it a packet later tells it a packet later. */
	atomic_store_explicit(&c->sa->peer, sa_peer(&c->sa->src, sad_params(c).encap_sport),
			      memory_order_relaxed);
}

/* Whether what the one receives is answered by what the other sends. */
static bool
answers(const struct sa_params *out, const struct sa_params *in)
{
	return (out->flags & SA_IN_ONLY) == 0 && (out->flags & SA_ENCAP_UDP) != 0 &&
	       out->id.family == in->id.family && out->mode == in->mode &&
	       out->reqid == in->reqid && out->if_id == in->if_id && out->id.mark == in->id.mark &&
	       ip_addr_equal(&out->id.dst, &in->src) && ip_addr_equal(&out->src, &in->id.dst) &&
	       out->encap_sport == in->encap_dport && out->encap_dport == in->encap_sport;
}

unsigned int
sad_follow(struct sad *sad, const struct sa_control *c, const union ip_addr *addr, rte_be16_t port)
{
	const struct sa_params in = sad_params(c);
	uint64_t hash = outbound_hash(sad, INDEX_PEER_REQID, &in.src, in.reqid, in.if_id);
	unsigned int moved = 0;
	uint32_t link;

	if (in.mode == SA_MODE_TRANSPORT && !ip_addr_equal(addr, &in.src))
		return 0;
	INDEX_FOREACH(link, &sad->index, hash)
	{
		const struct sa_control *other = &linked_slot(sad, link)->control;
		const struct sa_params out = sad_params(other);

		if (other->state == SA_VALID && answers(&out, &in) &&
		    sa_outer_replace(sad, other->sa, addr, out.encap_sport, port) == 0)
			moved++;
	}
	return moved;
}
