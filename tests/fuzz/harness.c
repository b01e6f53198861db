/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_cycles.h>

#include "dataplane/icmp.h"
#include "dataplane/reassembly.h"
#include "tests/unit/dataplane/frame.h"

#ifdef ROOM_GUARDED
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_disable()
#define __lsan_enable()
#endif

struct engine fuzz_engine;
struct peer fuzz_peer;
const struct sa *fuzz_sas[FUZZ_TUNNELS];

const struct tunnel fuzz_tunnels[FUZZ_TUNNELS] = {
	{"aes128gcm16", FAMILY_V4, 3, false, false, 0x1000, 0, ESP_TUNNEL},
	{"aes256gcm16", FAMILY_V6, 4, true, false, 0x2000, SA_DECAP_DSCP, ESP_TUNNEL},
	{"aes128-sha256", FAMILY_V4, 5, true, false, 0x3000, 0, ESP_TUNNEL},
	{"null-sha256", FAMILY_V6, 6, false, true, 0x4000, SA_NOECN, ESP_TUNNEL},
	{"chacha20poly1305", FAMILY_V4, 7, false, true, 0x5000, 0, ESP_TUNNEL},
	{"aes128gmac", FAMILY_V4, 8, false, false, 0x6000, 0, ESP_TUNNEL},
	{"aes128ctr-sha256", FAMILY_V4, 9, false, false, 0x7000, 0, ESP_TUNNEL},
	{"aes128-sha512", FAMILY_V6, 10, false, false, 0x8000, 0, ESP_TUNNEL},
	{"aes128ccm8", FAMILY_V4, 11, false, false, 0x9000, 0, ESP_TUNNEL},
	{"null-aesxcbc", FAMILY_V4, 12, false, false, 0xa000, 0, ESP_TUNNEL},
	{"null-aescmac", FAMILY_V4, 13, false, false, 0xb000, 0, ESP_TUNNEL},
	{"aes256-sha384", FAMILY_V4, 14, true, true, 0xc000, 0, ESP_TUNNEL},
};

/* What some of them are beside that. */
enum { NO_REPLAY = 8, TENANT, LOST_TENANT, EXPIRED };

static uint64_t last_seq;

uint64_t
fuzz_next_seq(void)
{
	/* The low half stays far from its end, where numbers without ESN would run out. */
	return ++last_seq & UINT32_MAX;
}

/* In place: no worker is under way. */
static void
change_tunnels(void)
{
	struct sa *sa[FUZZ_TUNNELS];

	for (unsigned int i = 0; i < FUZZ_TUNNELS; i++)
		sa[i] = peer_inbound(&fuzz_peer, &fuzz_tunnels[i])->sa;
	sa[NO_REPLAY]->flags &= (uint16_t)~SA_REPLAY;
	fuzz_engine.dp->ifaces[LAN7].tenant = fuzz_engine.dp->ifaces[LAN7].tenant_in = 7;
	atomic_store(&sa[TENANT]->tenant, 7);
	atomic_store(&sa[LOST_TENANT]->tenant, 8);
	atomic_store(&sa[EXPIRED]->state, SA_EXPIRED);
}

__rte_weak void
fuzz_start(void)
{
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed assertion is a crash */
	engine_eal();
	__lsan_disable(); /* what is made once hangs on EAL's memory, where nobody looks for it */
	engine_start(&fuzz_engine, 1);
	peer_start(&fuzz_peer, &fuzz_engine);
	for (unsigned int i = 0; i < FUZZ_TUNNELS; i++)
		fuzz_sas[i] = peer_tunnel(&fuzz_peer, &fuzz_tunnels[i]);
	change_tunnels();
	fuzz_start();
	__lsan_enable();
	return 0;
}

void
fuzz_mend(uint8_t *ip, size_t len)
{
	struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)ip;

	if (len < sizeof(*h) || h->version_ihl >> 4 != 4 || rte_ipv4_hdr_len(h) > len)
		return;
	h->hdr_checksum = 0;
	h->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, h, rte_ipv4_hdr_len(h)));
}

/*
 * Every packet is accounted for, and what is not free is held. The one worker's counters are read
 * where they are: workers_sum() would be most of what a run does.
 */
static void
check(struct engine *e)
{
	const struct worker_counters *c = &e->dp->workers[0]->count;
	uint64_t drops = 0;

	for (unsigned int i = 0; i < DROP_COUNT; i++)
		drops += c->drops[i];
	assert_int_equal(c->received + c->made + c->resumed,
			 c->forwarded + c->punted + c->consumed + c->held + drops);
	assert_int_equal(rte_mempool_in_use_count(e->dp->pool), c->held - c->resumed);
}

static void
receive(struct engine *e, const uint8_t *frame, size_t len, const struct fuzz_way *way)
{
	struct rte_mbuf *m = engine_frame(e, frame, len);

	m->ol_flags = way->ol_flags;
	m->vlan_tci = way->vlan_tci;
	if (!way->from_host) {
		engine_receive(e, way->port, m);
		return;
	}
	*packet(m) = (struct packet){
		.in = way->port == 0 ? LAN : WAN,
		.out = IFACE_NONE,
		.flags = PACKET_FROM_HOST,
		.resume = RESUME_CLASSIFY,
	};
	assert_int_equal(rte_ring_enqueue(e->dp->workers[0]->inbox, m), 0);
}

/* What an input leaves behind is nothing to the next: fragments that waited have waited too long.
 */
static void
forget_fragments(struct worker *w)
{
	uint64_t now = w->tsc;

	w->tsc = UINT64_MAX;
	reassembly_expire(w);
	w->tsc = now;
}

void
fuzz_run(const uint8_t *data, size_t size, fuzz_frame_fn *make)
{
	static uint8_t frame[FUZZ_FRAME_MAX + 200];
	struct engine *e = &fuzz_engine;

	/* Every input may cause errors, however many came before. */
	rate_limit_init(&e->dp->workers[0]->icmp_rate, rte_get_tsc_hz(), ICMP_PER_SECOND,
			ICMP_BURST);
	for (unsigned int n = 0; size > 1 && n < BURST_MAX; n++) {
		size_t len = RTE_MIN(size - 1, (size_t)data[0] * 4);
		struct fuzz_way way = {.port = 1};
		size_t frame_len = make(data + 1, len, frame, &way);

		if (frame_len > 0)
			receive(e, frame, frame_len, &way);
		data += 1 + len;
		size -= 1 + len;
	}
	engine_settle(e);
	engine_drain(e);
	forget_fragments(e->dp->workers[0]);
	check(e);
}
