/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets in buffers of every shape, through a tunnel and back: in chains with a boundary at every
 * byte, shared, indirect, external, without room. What is somebody else's is not changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine.h"
#include "frame.h"

#define SPI       0x10001
#define PAYLOAD   77
#define FRAME_MAX 400

static struct engine e;
static struct sad *outbound, *inbound; /* one key each way cannot be in one SAD */
static struct rte_mempool *foreign;
static uint8_t frame[FRAME_MAX];
static const struct fib_prefix far_host = {{.bytes = {10, 2, 0, 3}}, 32, FAMILY_V4};

static union ip_addr
v4(uint32_t addr)
{
	return ip_addr_v4(rte_cpu_to_be_32(addr));
}

static struct sa_params
sa(const char *suite, uint32_t src, uint32_t dst)
{
	struct sa_params p = {
		.id = {.dst = v4(dst),
		       .spi = RTE_BE32(SPI),
		       .family = FAMILY_V4,
		       .proto = IPPROTO_ESP},
		.src = v4(src),
		.mode = SA_MODE_TUNNEL,
		.reqid = 7,
		.suite = (uint8_t)crypto_suite_by_name(suite),
		.salt = {1, 2, 3, 4},
	};

	for (unsigned int i = 0; i < sizeof(p.key); i++) {
		p.key[i] = (uint8_t)(i * 7 + 1);
		p.auth_key[i] = (uint8_t)(i * 11 + 3);
	}
	return p;
}

static struct spd_params
policy(enum spd_dir dir, uint32_t src, uint32_t dst)
{
	return (struct spd_params){
		.id = {.dir = (uint8_t)dir, .sel = {.family = FAMILY_V4}},
		.action = SPD_PROTECT,
		.tmpl = {.src = v4(src),
			 .dst = v4(dst),
			 .family = FAMILY_V4,
			 .proto = IPPROTO_ESP,
			 .mode = SA_MODE_TUNNEL,
			 .reqid = 7},
	};
}

static void
install(const char *suite)
{
	struct sad_config config = {.max_sas = 4,
				    .workers = 1,
				    .replay_window = 32,
				    .crypto = e.crypto,
				    .reclaim = e.dp->reclaim};
	struct sa_params out = sa(suite, WAN_SELF, WAN_PEER), in = sa(suite, WAN_PEER, WAN_SELF);
	struct spd_params there = policy(SPD_OUT, WAN_SELF, WAN_PEER);
	struct spd_params back = policy(SPD_FWD, WAN_PEER, WAN_SELF);
	struct reason why = {""};

	outbound = e.dp->sad;
	inbound = sad_new(&config, &why);
	assert_non_null(inbound);
	if (sad_add(outbound, &out, &why) != 0 || sad_add(inbound, &in, &why) != 0 ||
	    spd_add(e.dp->spd, &there, false, &why) != 0 ||
	    spd_add(e.dp->spd, &back, false, &why) != 0)
		fail_msg("%s: %s", suite, why.text);
}

static void
start(const char *suite)
{
	engine_start(&e, 1);
	install(suite);
	foreign = room_pool_new("foreign", 63, 0, 4096, SOCKET_ID_ANY);
	assert_non_null(foreign);
}

static void
stop(void)
{
	e.dp->sad = outbound;
	sad_free(inbound);
	engine_stop(&e);
	assert_int_equal(rte_mempool_in_use_count(foreign), 0);
	room_pool_free(foreign);
}

/* From here on the far host is on our own side, and what we sealed comes from the peer. */
static void
turn(void)
{
	static const struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 0x42}};
	const struct nexthop nh = {.type = NEXTHOP_CONNECTED, .iface = LAN, .weight = 1};
	struct reason why = {""};

	e.dp->sad = inbound;
	assert_int_equal(fib_set(e.dp->fib, e.dp->ifaces[LAN].vrf, &far_host, 0, &nh, 1, &why), 0);
	assert_int_equal(neigh_set(e.dp->neighs, LAN, FAMILY_V4, &far_host.addr, &mac, false, true),
			 0);
}

static size_t
put_clear(void)
{
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);

	for (size_t i = 0; i < PAYLOAD; i++)
		frame[l2 + 20 + i] = (uint8_t)(i * 13 + 5);
	return l2 + put_ipv4(frame + l2, LAN_HOST, FAR_HOST, 99, PAYLOAD);
}

static struct rte_mbuf *
part(const uint8_t *data, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(foreign);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), data, len);
	return m;
}

/* A chain with boundaries behind `a` and `b` bytes. */
static struct rte_mbuf *
chain(const uint8_t *data, size_t len, size_t a, size_t b)
{
	struct rte_mbuf *m = part(data, a);

	if (b > a)
		assert_int_equal(rte_pktmbuf_chain(m, part(data + a, b - a)), 0);
	if (len > b)
		assert_int_equal(rte_pktmbuf_chain(m, part(data + b, len - b)), 0);
	return m;
}

/* Through the engine, in at one port and out at the other. Returns the bytes that came. */
static size_t
carry(unsigned int port, struct rte_mbuf *m, uint8_t out[FRAME_MAX])
{
	size_t len;

	engine_receive(&e, port, m);
	engine_settle(&e);
	engine_check(&e);
	m = engine_sent(&e, 1 - port);
	assert_non_null(m);
	assert_int_equal(m->nb_segs, 1);
	assert_true(m->pool == e.dp->pool);
	len = m->pkt_len;
	memcpy(out, rte_pktmbuf_mtod(m, const void *), len);
	rte_pktmbuf_free(m);
	return len;
}

/* What we sealed, as if the peer had: outer addresses are under no ICV. */
static void
as_peers(uint8_t *sealed)
{
	uint8_t src[4];

	engine_put_l2(&e, sealed, 1, RTE_ETHER_TYPE_IPV4);
	memcpy(src, sealed + 26, 4);
	memcpy(sealed + 26, sealed + 30, 4);
	memcpy(sealed + 30, src, 4);
}

static void
assert_opened(const uint8_t *got, size_t len)
{
	assert_int_equal(len, 14 + 20 + PAYLOAD);
	assert_memory_equal(got + 26, frame + 26, 8 + PAYLOAD);
	assert_int_equal(naive_sum(0, got + 14, 20), 0xffff);
}

static void
boundaries_at_every_byte(const char *suite)
{
	static uint8_t sealed[FRAME_MAX][FRAME_MAX], got[FRAME_MAX];
	size_t len, sealed_len = 0, cut;

	start(suite);
	len = put_clear();
	for (cut = 1; cut < len; cut++) {
		sealed_len = carry(0, chain(frame, len, cut, cut), sealed[cut]);
		as_peers(sealed[cut]);
		assert_true(sealed_len > len + 28);
	}
	turn();
	for (cut = 1; cut < len; cut++)
		assert_opened(
			got, carry(1, chain(sealed[cut], sealed_len, sealed_len, sealed_len), got));
	for (cut = 1; cut < sealed_len; cut++)
		assert_opened(got, carry(1, chain(sealed[1], sealed_len, cut, cut), got));
	for (cut = 1; cut + 1 < sealed_len; cut++) /* a piece of a byte */
		assert_opened(got, carry(1, chain(sealed[1], sealed_len, cut, cut + 1), got));
	stop();
}

static void
chains_are_right_wherever_their_boundaries_are(void **state)
{
	static const char *const suites[] = {"aes128gcm16", "aes256gcm8", "chacha20poly1305",
					     "aes128-sha256", "null-sha256"};

	for (size_t i = 0; i < RTE_DIM(suites); i++)
		boundaries_at_every_byte(suites[i]);
}

static void
shared_bytes_stay_as_they_are(void **state)
{
	static uint8_t sealed[FRAME_MAX], got[FRAME_MAX];
	struct rte_mbuf *original, *clone;
	size_t len, sealed_len;

	start("aes128gcm16");
	len = put_clear();
	sealed_len = carry(0, part(frame, len), sealed);
	as_peers(sealed);
	turn();

	original = engine_frame(&e, sealed, sealed_len); /* our own pool's, and held by us */
	rte_mbuf_refcnt_update(original, 1);
	assert_opened(got, carry(1, original, got));
	assert_int_equal(rte_mbuf_refcnt_read(original), 1);
	assert_memory_equal(rte_pktmbuf_mtod(original, void *), sealed, sealed_len);

	clone = rte_pktmbuf_clone(original, e.dp->pool);
	assert_non_null(clone);
	assert_opened(got, carry(1, clone, got));
	assert_memory_equal(rte_pktmbuf_mtod(original, void *), sealed, sealed_len);
	rte_pktmbuf_free(original);
	stop();
}

static void
released(void *addr, void *count)
{
	++*(int *)count;
}

static void
external_buffers_are_copied_and_released(void **state)
{
	static uint8_t sealed[FRAME_MAX], got[FRAME_MAX], external[2048];
	struct rte_mbuf_ext_shared_info *info;
	uint16_t room = sizeof(external);
	struct rte_mbuf *m;
	size_t len, sealed_len;
	int releases = 0;

	start("aes128gcm16");
	len = put_clear();
	sealed_len = carry(0, part(frame, len), sealed);
	as_peers(sealed);
	turn();
	info = rte_pktmbuf_ext_shinfo_init_helper(external, &room, released, &releases);
	assert_non_null(info);
	m = rte_pktmbuf_alloc(e.dp->pool);
	rte_pktmbuf_attach_extbuf(m, external, RTE_BAD_IOVA, room, info);
	memcpy(rte_pktmbuf_append(m, (uint16_t)sealed_len), sealed, sealed_len);
	assert_opened(got, carry(1, m, got));
	assert_int_equal(releases, 1);
	assert_memory_equal(external, sealed, sealed_len);
	stop();
}

/* A frame of ours whose data begins at `off` of the buffer: even, as drivers place it. */
static struct rte_mbuf *
at_offset(size_t len, uint16_t off)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(e.dp->pool);

	m->data_off = off;
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
	return m;
}

static void
without_room_a_packet_is_dropped_or_right(void **state)
{
	uint64_t *no_buf;
	static uint8_t got[FRAME_MAX];
	struct rte_mbuf *m;
	uint16_t room;
	size_t len;

	start("aes128-sha256");
	no_buf = &e.dp->workers[0]->count.drops[DROP_NO_BUF];
	len = put_clear();
	m = rte_pktmbuf_alloc(e.dp->pool);
	room = m->buf_len;
	rte_pktmbuf_free(m);
	for (uint16_t front = 0; front < 80; front += 2) {
		uint64_t before = *no_buf;

		engine_receive(&e, 0, at_offset(len, front));
		engine_settle(&e);
		m = engine_sent(&e, 1);
		/* 20 + 8 + 16 bytes of headers, of which 14 stand where the old Ethernet header
		 * did, and another such. */
		assert_int_equal(m != NULL, front >= 20 + 8 + 16);
		assert_int_equal(*no_buf - before, m == NULL);
		rte_pktmbuf_free(m);
	}
	for (uint16_t back = len % 2; back < 64; back += 2) {
		uint64_t before = *no_buf;

		engine_receive(&e, 0, at_offset(len, (uint16_t)(room - len - back)));
		engine_settle(&e);
		m = engine_sent(&e, 1);
		assert_int_equal(m != NULL, back >= (-(20 + PAYLOAD + 2) & 15) + 2 + 16);
		assert_int_equal(*no_buf - before, m == NULL);
		rte_pktmbuf_free(m);
	}
	assert_true(carry(0, part(frame, len), got) > len); /* the next good one passes */
	stop();
}

/* As long as a chain of the largest frames that there may be. */
static void
what_is_longer_than_a_buffer_is_dropped(void **state)
{
	static uint8_t bytes[3968];
	struct rte_mbuf *m = NULL;

	start("aes128gcm16");
	put_clear();
	memcpy(bytes, frame, sizeof(frame));
	for (unsigned int i = 0; i < 17; i++) { /* 66 KiB */
		struct rte_mbuf *next = part(bytes, sizeof(bytes));

		if (m == NULL)
			m = next;
		else
			assert_int_equal(rte_pktmbuf_chain(m, next), 0);
	}
	engine_receive(&e, 0, m);
	engine_settle(&e);
	engine_check(&e);
	assert_int_equal(e.dp->workers[0]->count.drops[DROP_NO_BUF], 1);
	stop();
}

/* A frame that the kernel sends on `wan`, longer than the tunnel takes. */
static void
host_sends(size_t payload)
{
	static uint8_t long_frame[2048];
	size_t l2 = engine_put_l2(&e, long_frame, 1, RTE_ETHER_TYPE_IPV4);
	size_t len = l2 + put_ipv4(long_frame + l2, WAN_SELF, FAR_HOST, 99, payload);
	struct rte_mbuf *m;

	memset(long_frame, 0xee, 2 * RTE_ETHER_ADDR_LEN); /* the parts' are not to be these */
	m = engine_frame(&e, long_frame, len);
	*packet(m) = (struct packet){
		.in = WAN, .out = IFACE_NONE, .flags = PACKET_FROM_HOST, .resume = RESUME_CLASSIFY};
	assert_int_equal(rte_ring_enqueue(e.dp->workers[0]->inbox, m), 0);
	worker_poll(e.dp->workers[0]);
}

/* Cut for a tunnel by one worker, handed to the SA's, and let go in clear there: policy changed. */
static void
fragments_made_here_get_the_l2_header_of_their_way(void **state)
{
	struct spd_params there = policy(SPD_OUT, WAN_SELF, WAN_PEER);
	struct sa_params out = sa("aes128gcm16", WAN_SELF, WAN_PEER);
	struct reason why = {""};

	engine_start(&e, 2);
	assert_int_equal(sad_add(e.dp->sad, &out, &why), 0);
	assert_int_equal(spd_add(e.dp->spd, &there, false, &why), 0);
	atomic_store(&sad_find(e.dp->sad, &out.id)->sa->owner, 1);
	host_sends(1480);
	assert_int_equal(rte_ring_count(e.dp->workers[1]->inbox), 2);
	assert_int_equal(spd_delete(e.dp->spd, &there.id, 0, &why), 0);
	engine_settle(&e);
	engine_check(&e);
	for (unsigned int i = 0; i < 2; i++) {
		struct rte_mbuf *m = engine_sent(&e, 1);
		const struct rte_ether_hdr *eth;
		const struct rte_ipv4_hdr *ip;

		assert_non_null(m);
		eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
		ip = (const struct rte_ipv4_hdr *)(eth + 1);
		assert_memory_equal(&eth->dst_addr, "\x02\0\0\0\0\x42", 6);
		assert_true(rte_is_same_ether_addr(&eth->src_addr, &e.dp->ports[1].mac));
		assert_int_equal(eth->ether_type, RTE_BE16(RTE_ETHER_TYPE_IPV4));
		assert_int_equal(ip->dst_addr, rte_cpu_to_be_32(FAR_HOST));
		assert_int_equal((rte_be_to_cpu_16(ip->fragment_offset) & 0x1fff) != 0, i);
		rte_pktmbuf_free(m);
	}
	engine_stop(&e);
}

/* What net_af_xdp relies on, which lets the kernel see that many bytes and no more. */
static void
buffers_stand_one_behind_the_other(void **state)
{
	enum { COUNT = 63 };
	struct rte_mempool *pool = room_pool_new("dense", COUNT, 0, 2048, SOCKET_ID_ANY);
	size_t stride = pool->header_size + pool->elt_size + pool->trailer_size;
	uint8_t *first = (uint8_t *)STAILQ_FIRST(&pool->mem_list)->addr + pool->header_size;
	struct rte_mbuf *all[COUNT];

	assert_int_equal(pool->nb_mem_chunks, 1);
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, all, COUNT), 0);
	for (unsigned int i = 0; i < COUNT; i++) {
		assert_true((uint8_t *)all[i] >= first);
		assert_true((uint8_t *)all[i] <= first + (COUNT - 1) * stride);
		assert_int_equal(rte_mbuf_iova_get(all[i]), (uintptr_t)all[i]->buf_addr);
	}
	rte_pktmbuf_free_bulk(all, COUNT);
	room_pool_free(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_are_right_wherever_their_boundaries_are),
		cmocka_unit_test(shared_bytes_stay_as_they_are),
		cmocka_unit_test(external_buffers_are_copied_and_released),
		cmocka_unit_test(without_room_a_packet_is_dropped_or_right),
		cmocka_unit_test(what_is_longer_than_a_buffer_is_dropped),
		cmocka_unit_test(fragments_made_here_get_the_l2_header_of_their_way),
		cmocka_unit_test(buffers_stand_one_behind_the_other),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
