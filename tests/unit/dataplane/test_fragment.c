/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments and segments put together again are the packet that was cut, each part fits the MTU,
 * and each is a right packet of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/fragment.h"
#include "dataplane/ip_parse.h"
#include "dataplane/room.h"
#include "engine.h"
#include "frame.h"

#define SIZE_MAX_HERE 16000

static struct engine e;
static struct rte_mempool *big; /* for packets that are longer than the engine's frames */
static uint8_t bytes[SIZE_MAX_HERE + 100];

static int
setup(void **state)
{

	engine_start(&e, 1);
	big = room_pool_new("big", 15, 0, UINT16_MAX, SOCKET_ID_ANY);
	assert_non_null(big);
	return 0;
}

static int
teardown(void **state)
{
	engine_stop(&e);
	assert_int_equal(rte_mempool_in_use_count(big), 0);
	room_pool_free(big);
	return 0;
}

static struct rte_mbuf *
parsed(size_t len, uint16_t flags)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(big);
	enum drop_reason reason;

	memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
	*packet(m) = (struct packet){.in = LAN, .out = WAN, .flags = flags};
	assert_true(ip_parse(m, true, &reason));
	return m;
}

static void
random_payload(size_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[at + i] = (uint8_t)rand();
}

static void
fragments_make_the_packet_again(void **state)
{
	static const uint32_t mtus[] = {68, 576, 1280, 1399, 1400, 1500};
	static uint8_t again[SIZE_MAX_HERE];

	for (size_t payload = 1; payload < 4000; payload += 37) {
		for (size_t k = 0; k < RTE_DIM(mtus); k++) {
			struct rte_mbuf *out[FRAGMENTS_MAX], *m;
			size_t len = put_ipv4(bytes, LAN_HOST, FAR_HOST, IPPROTO_UDP, payload);
			size_t seen = 0;
			unsigned int n;

			random_payload(20, payload);
			m = parsed(len, 0);
			assert_true(fragment_allowed(m));
			n = fragment_packet(e.dp->workers[0], m, mtus[k], out);
			if (n == 0) { /* more than FRAGMENTS_MAX */
				assert_true(payload > FRAGMENTS_MAX * (mtus[k] - 28));
				rte_pktmbuf_free(m);
				continue;
			}
			for (unsigned int i = 0; i < n; i++) {
				const struct rte_ipv4_hdr *ip =
					rte_pktmbuf_mtod(out[i], const struct rte_ipv4_hdr *);
				uint16_t field = rte_be_to_cpu_16(ip->fragment_offset);

				assert_true(out[i]->pkt_len <= mtus[k]);
				assert_int_equal(rte_be_to_cpu_16(ip->total_length),
						 out[i]->pkt_len);
				assert_int_equal(naive_sum(0, ip, 20), 0xffff);
				assert_int_equal(ip->packet_id, RTE_BE16(0x1234));
				assert_int_equal((field & 0x1fff) * 8, seen);
				assert_int_equal((field & 0x2000) != 0, i + 1 < n);
				memcpy(again + seen, ip + 1, out[i]->pkt_len - 20);
				seen += out[i]->pkt_len - 20;
			}
			assert_int_equal(seen, payload);
			assert_memory_equal(again, bytes + 20, payload);
			rte_pktmbuf_free_bulk(out, n);
		}
	}
	e.dp->workers[0]->count.made = 0; /* parts were made and freed by hand */
}

static void
a_fragment_is_cut_within_its_place(void **state)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)bytes;
	size_t len = put_ipv4(bytes, LAN_HOST, FAR_HOST, IPPROTO_UDP, 1480);
	struct rte_mbuf *out[FRAGMENTS_MAX];

	ip->fragment_offset = RTE_BE16(0x2000 | 100);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, 20));
	assert_int_equal(fragment_packet(e.dp->workers[0], parsed(len, 0), 1000, out), 2);
	ip = rte_pktmbuf_mtod(out[0], struct rte_ipv4_hdr *);
	assert_int_equal(ip->fragment_offset, RTE_BE16(0x2000 | 100));
	ip = rte_pktmbuf_mtod(out[1], struct rte_ipv4_hdr *);
	/* More follow behind this one, too. */
	assert_int_equal(ip->fragment_offset, RTE_BE16(0x2000 | (100 + 976 / 8)));
	assert_int_equal(packet(out[0])->fragment, 2);
	rte_pktmbuf_free_bulk(out, 2);
	e.dp->workers[0]->count.made = 0;
}

static void
only_copied_options_follow_into_later_fragments(void **state)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)bytes;
	static const uint8_t options[12] = {7, 4, 4, 0, 1, 148, 4, 0, 0, 0};
	struct rte_mbuf *out[FRAGMENTS_MAX];

	put_ipv4(bytes, LAN_HOST, FAR_HOST, IPPROTO_UDP, 1400 + 12);
	bytes[0] = 0x48;
	memcpy(bytes + 20, options, sizeof(options));
	random_payload(32, 1400);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, 32));
	assert_int_equal(fragment_packet(e.dp->workers[0], parsed(1432, 0), 1000, out), 2);
	ip = rte_pktmbuf_mtod(out[0], struct rte_ipv4_hdr *);
	assert_int_equal(ip->version_ihl, 0x48);
	assert_memory_equal(ip + 1, options, sizeof(options));
	ip = rte_pktmbuf_mtod(out[1], struct rte_ipv4_hdr *);
	assert_int_equal(ip->version_ihl, 0x46);
	assert_memory_equal(ip + 1, options + 5, 4); /* router alert */
	assert_int_equal(naive_sum(0, ip, 24), 0xffff);
	assert_int_equal(packet(out[1])->l4_off, 24);
	rte_pktmbuf_free_bulk(out, 2);
	e.dp->workers[0]->count.made = 0;
}

static size_t
put_tcp(bool v4, size_t payload, uint8_t flags)
{
	size_t l4_off = v4 ? 20 : 40, tcp_len = 32;
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(bytes + l4_off);

	if (v4) {
		put_ipv4(bytes, LAN_HOST, FAR_HOST, IPPROTO_TCP, tcp_len + payload);
		bytes[6] = 0x40;
		bytes[10] = bytes[11] = 0;
		uint16_t sum = (uint16_t)~naive_sum(0, bytes, 20);
		bytes[10] = (uint8_t)(sum >> 8);
		bytes[11] = (uint8_t)sum;
	} else {
		put_ipv6(bytes, 1, 2, IPPROTO_TCP, tcp_len + payload);
	}
	memset(tcp, 0, tcp_len);
	tcp->sent_seq = RTE_BE32(0xfffff000); /* wraps within the packet */
	tcp->data_off = 0x80;
	tcp->tcp_flags = flags;
	random_payload(l4_off + tcp_len, payload);
	return l4_off + tcp_len + payload;
}

static void
merged_tcp_becomes_its_segments_again(void **state)
{
	static uint8_t again[SIZE_MAX_HERE];

	for (unsigned int kind = 0; kind < 2; kind++) {
		for (size_t payload = 1501; payload < 15000; payload += 1009) {
			bool v4 = kind == 0;
			size_t len = put_tcp(v4, payload, 0x80 | 0x10 | 0x08 | 0x01);
			struct rte_mbuf *out[FRAGMENTS_MAX], *m = parsed(len, PACKET_MERGED);
			size_t l4_off = v4 ? 20 : 40, seen = 0;
			unsigned int n;

			assert_true(fragment_allowed(m));
			n = fragment_packet(e.dp->workers[0], m, 1400, out);
			assert_true(n > 1);
			for (unsigned int i = 0; i < n; i++) {
				const uint8_t *ip = rte_pktmbuf_mtod(out[i], const uint8_t *);
				const struct rte_tcp_hdr *tcp =
					(const struct rte_tcp_hdr *)(ip + l4_off);
				bool last = i + 1 == n;
				size_t part = out[i]->pkt_len - l4_off - 32;

				assert_true(out[i]->pkt_len <= 1400);
				assert_int_equal(rte_be_to_cpu_32(tcp->sent_seq),
						 (uint32_t)(0xfffff000 + seen));
				assert_int_equal(tcp->tcp_flags,
						 0x10 | (i == 0 ? 0x80 : 0) | (last ? 0x09 : 0));
				assert_int_equal(
					naive_l4_sum(ip, l4_off, out[i]->pkt_len, IPPROTO_TCP),
					0xffff);
				if (v4) {
					assert_int_equal(naive_sum(0, ip, 20), 0xffff);
					assert_int_equal(ip[4] << 8 | ip[5], 0x1234 + i);
					assert_int_equal(ip[6], 0x40);
				}
				memcpy(again + seen, ip + l4_off + 32, part);
				seen += part;
			}
			assert_int_equal(seen, payload);
			assert_memory_equal(again, bytes + l4_off + 32, payload);
			rte_pktmbuf_free_bulk(out, n);
		}
	}
	e.dp->workers[0]->count.made = 0;
}

static void
what_may_not_be_cut_is_not(void **state)
{
	struct rte_mbuf *out[FRAGMENTS_MAX], *m;
	size_t len = put_tcp(true, 2000, 0x10);

	m = parsed(len, 0); /* don't fragment, and not merged */
	assert_false(fragment_allowed(m));
	rte_pktmbuf_free(m);
	len = put_tcp(false, 2000, 0x10);
	m = parsed(len, 0);
	assert_false(fragment_allowed(m));
	rte_pktmbuf_free(m);
	len = put_tcp(true, 2000, 0x10);
	bytes[32] = 0x40; /* a TCP header below its least length */
	m = parsed(len, PACKET_MERGED);
	assert_int_equal(fragment_packet(e.dp->workers[0], m, 1400, out), 0);
	bytes[32] = 0x80;
	assert_int_equal(fragment_packet(e.dp->workers[0], m, 40, out), 0);
	rte_pktmbuf_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fragments_make_the_packet_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_fragment_is_cut_within_its_place, setup,
						teardown),
		cmocka_unit_test_setup_teardown(only_copied_options_follow_into_later_fragments,
						setup, teardown),
		cmocka_unit_test_setup_teardown(merged_tcp_becomes_its_segments_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_may_not_be_cut_is_not, setup, teardown),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
