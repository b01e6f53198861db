/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP errors: what they say and quote, who gets none, and that they are limited in rate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine.h"
#include "frame.h"

static struct engine e;
static uint8_t frame[4096];

static int
setup(void **state)
{
	engine_start(&e, 1);
	return 0;
}

static int
teardown(void **state)
{
	engine_stop(&e);
	return 0;
}

static size_t
put4(uint32_t dst, uint8_t proto, size_t payload)
{
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);

	memset(frame + l2 + 20, 0x5a, payload);
	return l2 + put_ipv4(frame + l2, LAN_HOST, dst, proto, payload);
}

static size_t
put6(uint16_t net, uint8_t proto, size_t payload)
{
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV6);

	memset(frame + l2 + 40, 0x5a, payload);
	return l2 + put_ipv6(frame + l2, 1, net, proto, payload);
}

static void
resum4(void)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + 14);

	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, sizeof(*ip)));
}

/* The error that came back to the sender, checked as a receiver would. */
static struct rte_mbuf *
error4(uint8_t type, uint8_t code, size_t quoted)
{
	struct rte_mbuf *m = engine_sent(&e, 0);
	const struct rte_ipv4_hdr *ip;
	const uint8_t *icmp;

	assert_non_null(m);
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, 14);
	icmp = (const uint8_t *)(ip + 1);
	assert_int_equal(m->pkt_len, 14 + 20 + 8 + quoted);
	assert_int_equal(naive_sum(0, ip, sizeof(*ip)), 0xffff);
	assert_int_equal(naive_sum(0, icmp, 8 + quoted), 0xffff);
	assert_int_equal(ip->src_addr, RTE_BE32(LAN_SELF));
	assert_int_equal(ip->dst_addr, RTE_BE32(LAN_HOST));
	assert_int_equal(ip->next_proto_id, IPPROTO_ICMP);
	assert_int_equal(icmp[0], type);
	assert_int_equal(icmp[1], code);
	assert_memory_equal(icmp + 8, frame + 14, quoted);
	assert_null(engine_sent(&e, 0));
	return m;
}

static struct rte_mbuf *
error6(uint8_t type, uint8_t code, size_t quoted)
{
	struct rte_mbuf *m = engine_sent(&e, 0);
	const uint8_t *ip;

	assert_non_null(m);
	ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);
	assert_int_equal(m->pkt_len, 14 + 40 + 8 + quoted);
	assert_int_equal(naive_l4_sum(ip, 40, m->pkt_len - 14, IPPROTO_ICMPV6), 0xffff);
	assert_memory_equal(ip + 24, frame + 14 + 8, 16);
	assert_int_equal(ip[40], type);
	assert_int_equal(ip[41], code);
	assert_memory_equal(ip + 48, frame + 14, quoted);
	return m;
}

static void
errors_say_why(void **state)
{
	static const struct {
		uint32_t dst;
		uint16_t net;
		uint8_t type4, code4, type6, code6;
	} cases[] = {
		{0x0b000001, 0x77, 3, 0, 1, 0},
		{0x0a040001, 0x34, 3, 1, 1, 3},
		{0x0a050001, 0x35, 3, 13, 1, 1},
	};

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		size_t len = put4(cases[i].dst, IPPROTO_UDP, 32);

		engine_fate(&e, 0, frame, len);
		rte_pktmbuf_free(error4(cases[i].type4, cases[i].code4, len - 14));
		len = put6(cases[i].net, IPPROTO_UDP, 32);
		engine_fate(&e, 0, frame, len);
		rte_pktmbuf_free(error6(cases[i].type6, cases[i].code6, len - 14));
	}
}

static void
ttl_ends_here(void **state)
{
	for (uint8_t ttl = 0; ttl < 2; ttl++) {
		size_t len = put4(FAR_HOST, IPPROTO_UDP, 32);

		frame[14 + 8] = ttl;
		resum4();
		assert_int_equal(engine_fate(&e, 0, frame, len), DROP_TTL);
		rte_pktmbuf_free(error4(11, 0, len - 14));
		len = put6(2, IPPROTO_UDP, 32);
		frame[14 + 7] = ttl;
		assert_int_equal(engine_fate(&e, 0, frame, len), DROP_TTL);
		rte_pktmbuf_free(error6(3, 0, len - 14));
	}
}

static void
C61_too_big_carries_the_mtu(void **state)
{
	struct rte_mbuf *m;
	size_t len;

	e.dp->ifaces[WAN].mtu = 1300;
	len = put4(FAR_HOST, IPPROTO_UDP, 1400);
	frame[14 + 6] = 0x40; /* don't fragment */
	resum4();
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_MTU);
	/* Quoted as it was forwarded. */
	frame[14 + 8]--;
	resum4();
	m = error4(3, 4, 576 - 28);
	assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *) + 14 + 24, "\x00\x00\x05\x14", 4);
	rte_pktmbuf_free(m);

	len = put6(2, IPPROTO_UDP, 1400);
	assert_int_equal(engine_fate(&e, 0, frame, len), DROP_MTU);
	frame[14 + 7]--;
	m = error6(2, 0, 1280 - 48);
	assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *) + 14 + 44, "\x00\x00\x05\x14", 4);
	rte_pktmbuf_free(m);
}

/* RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 (e). */
static void
some_packets_are_never_answered(void **state)
{
	size_t len = put4(0x0b000001, IPPROTO_ICMP, 32);

	frame[34] = 3; /* an ICMP error */
	engine_fate(&e, 0, frame, len);
	len = put4(0x0b000001, IPPROTO_ICMP, 0); /* its type is missing */
	engine_fate(&e, 0, frame, len);
	len = put4(0x0b000001, IPPROTO_UDP, 32);
	frame[14 + 7] = 1; /* a later fragment */
	resum4();
	engine_fate(&e, 0, frame, len);
	len = put4(0x0b000001, IPPROTO_UDP, 32);
	memset(frame, 0xff, 6); /* a broadcast frame */
	engine_fate(&e, 0, frame, len);
	len = put4(0xef000001, IPPROTO_UDP, 32);
	engine_fate(&e, 0, frame, len);
	len = put6(0x77, IPPROTO_ICMPV6, 32);
	frame[54] = 1;
	engine_fate(&e, 0, frame, len);
	for (unsigned int group = 0; group < 2; group++) { /* from nobody, and from many */
		len = put4(0x0b000001, IPPROTO_UDP, 32);
		memset(frame + 26, group ? 0xe8 : 0, 4);
		resum4();
		engine_fate(&e, 0, frame, len);
	}
	assert_null(engine_sent(&e, 0));
	assert_int_equal(e.dp->workers[0]->count.made, 0);
	/* While an echo request is. */
	len = put4(0x0b000001, IPPROTO_ICMP, 32);
	frame[34] = 8;
	engine_fate(&e, 0, frame, len);
	rte_pktmbuf_free(error4(3, 0, len - 14));
}

static void
errors_are_limited_in_rate(void **state)
{
	struct worker *w = e.dp->workers[0];
	size_t len = put4(0x0b000001, IPPROTO_UDP, 32);
	uint64_t burst = w->icmp_rate.burst;
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < 500; i++) {
		engine_receive(&e, 0, engine_frame(&e, frame, len));
		engine_settle(&e);
	}
	assert_int_equal(w->count.made, burst);
	w->tsc += 10 * w->icmp_rate.interval;
	for (unsigned int i = 0; i < 100; i++) {
		engine_receive(&e, 0, engine_frame(&e, frame, len));
		engine_settle(&e);
	}
	assert_int_equal(w->count.made, burst + 10);
	while ((m = engine_sent(&e, 0)) != NULL)
		rte_pktmbuf_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(errors_say_why, setup, teardown),
		cmocka_unit_test_setup_teardown(ttl_ends_here, setup, teardown),
		cmocka_unit_test_setup_teardown(C61_too_big_carries_the_mtu, setup, teardown),
		cmocka_unit_test_setup_teardown(some_packets_are_never_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_are_limited_in_rate, setup, teardown),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
