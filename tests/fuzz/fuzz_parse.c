/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IP header parser alone, on a heap buffer that ends where the packet ends. The first byte says
 * whether the checksum is made right first. What the parser accepts keeps its promises.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/ip_parse.h"
#include "tests/unit/dataplane/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

static void
mend(uint8_t *ip, size_t len)
{
	struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)ip;

	if (len < sizeof(*h) || rte_ipv4_hdr_len(h) > len)
		return;
	h->hdr_checksum = 0;
	h->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, h, rte_ipv4_hdr_len(h)));
}

static void
keeps_its_promises(struct rte_mbuf *m, size_t size)
{
	const struct packet *p = packet(m);
	struct ip_like like;
	struct flow flow;

	CHECK(p->family == rte_pktmbuf_mtod(m, const uint8_t *)[0] >> 4);
	CHECK(p->l4_off >= (p->family == FAMILY_V4 ? 20 : 40) && p->l4_off <= m->data_len);
	CHECK(m->data_len <= size && m->pkt_len == m->data_len);
	packet_flow(m, &flow);
	CHECK(flow.family == p->family && flow.proto == p->proto);
	if (ip_may_lead(m)) {
		ip_like_begin(&like, m, 4, m->data_len);
		CHECK(ip_like_parse(&like, m, 0, m->data_len, false));
	} else {
		CHECK(p->fragment != 0 || m->data_len < p->l4_off + 4 ||
		      p->l4_off != (p->family == FAMILY_V4 ? 20 : 40) || p->proto == IPPROTO_MH ||
		      p->proto == IPPROTO_ICMPV6);
	}
	CHECK(!ip_is_nd(m) || p->proto == IPPROTO_ICMPV6);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Rooms are for buffers with their bounds inside: this one's are the allocation's. */
	struct {
		struct rte_mbuf m;
		struct packet p;
	} *head = calloc(1, sizeof(*head));
	enum drop_reason reason;
	uint8_t *exact;
	bool check;

	CHECK(head);
	check = size > 0 && (data[0] & 1) != 0;
	size -= size > 0;
	exact = malloc(size);
	if (size > 0)
		memcpy(exact, data + 1, size);
	if (check)
		mend(exact, size);
	head->m.priv_size = sizeof(head->p);
	head->m.buf_addr = exact;
	head->m.buf_len = head->m.data_len = (uint16_t)size;
	head->m.pkt_len = (uint32_t)size;
	head->m.nb_segs = 1;
	if (ip_parse(&head->m, check, &reason))
		keeps_its_promises(&head->m, size);
	else
		CHECK(reason < DROP_COUNT);
	room_open(&head->m); /* or free() would not have it */
	free(exact);
	free(head);
	return 0;
}
