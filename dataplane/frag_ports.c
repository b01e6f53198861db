/* SPDX-License-Identifier: BSD-3-Clause */
#include "frag_ports.h"

#include "worker.h"

static struct frag_ports_entry *
row_of(struct frag_ports *t, const struct frag_id *id)
{
	return t->rows[frag_id_hash(id, t->seed) % FRAG_PORTS_ROWS];
}

/* The entry of the datagram, while it counts; else NULL. */
static struct frag_ports_entry *
find(struct frag_ports_entry *row, const struct frag_id *id, uint64_t tsc)
{
	for (unsigned int i = 0; i < FRAG_PORTS_WAYS; i++)
		if (row[i].until > tsc && memcmp(&row[i].id, id, sizeof(*id)) == 0)
			return &row[i];
	return NULL;
}

static struct frag_ports_entry *
oldest(struct frag_ports_entry *row)
{
	struct frag_ports_entry *e = row;

	for (unsigned int i = 1; i < FRAG_PORTS_WAYS; i++)
		if (row[i].until < e->until)
			e = &row[i];
	return e;
}

void
frag_ports_apply(struct worker *w, const struct rte_mbuf *m, struct flow *flow)
{
	struct frag_ports *t = &w->frag_ports;
	struct frag_ports_entry *row, *e;
	struct frag f;

	frag_read(w, m, &f);
	row = row_of(t, &f.id);
	e = find(row, &f.id, w->tsc);
	if (packet(m)->fragment == 2) {
		if (e == NULL)
			return;
		flow->sport = e->sport;
		flow->dport = e->dport;
		flow->proto = e->proto;
		flow->ports_of_first = true;
		return;
	}
	if (flow->ports_opaque)
		return;
	if (e == NULL)
		e = oldest(row);
	*e = (struct frag_ports_entry){.id = f.id,
				       .until = w->tsc + t->patience,
				       .sport = flow->sport,
				       .dport = flow->dport,
				       .proto = flow->proto};
}
