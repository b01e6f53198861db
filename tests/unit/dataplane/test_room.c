/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sanitizer builds see a stage that leaves its packet's room by one byte. Each touch is made in a
 * child process, which says whether it survived. (Packets are in memory that both share.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/checksum.h"
#include "dataplane/ip_parse.h"
#include "dataplane/room.h"
#include "engine.h"
#include "frame.h"

#define LEN    61 /* odd: the end is seen to the byte */
#define REPORT 17 /* how a child ends that the sanitizer stopped */

static struct engine e;

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

static void
stopped(void)
{
	_exit(REPORT);
}

static void
touch(void *at)
{
	*(volatile uint8_t *)at = *(volatile uint8_t *)at;
}

/* What becomes of a process that does it: 0, or REPORT. */
static int
outcome(void (*act)(void *), void *arg)
{
	int status, null;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		null = open("/dev/null", O_WRONLY);
		dup2(null, STDERR_FILENO);
		__sanitizer_set_death_callback(stopped);
		act(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define assert_open(at)   assert_int_equal(outcome(touch, at), 0)
#define assert_closed(at) assert_int_equal(outcome(touch, at), REPORT)

static uint8_t *
data(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, uint8_t *);
}

/* A frame of LEN bytes with its Ethernet header taken off, as classify does it. */
static struct rte_mbuf *
classified(void)
{
	uint8_t frame[LEN] = {0};
	struct rte_mbuf *m = engine_frame(&e, frame, sizeof(frame));

	*packet(m) = (struct packet){.l2_len = RTE_ETHER_HDR_LEN};
	packet_adj(m, RTE_ETHER_HDR_LEN);
	return m;
}

static void
room_is_the_data_and_the_l2_header_in_front(void **state)
{
	struct rte_mbuf *m = classified();
	uint16_t len = LEN - RTE_ETHER_HDR_LEN;

	assert_open(data(m));
	assert_open(data(m) + len - 1);
	assert_closed(data(m) + len);
	assert_closed((uint8_t *)m->buf_addr + m->buf_len - 1);
	assert_open(data(m) - RTE_ETHER_HDR_LEN);
	/* In front the sanitizer sees steps of 8 bytes. */
	assert_closed((uint8_t *)RTE_PTR_ALIGN_FLOOR(data(m) - RTE_ETHER_HDR_LEN, 8) - 1);
	assert_closed(m->buf_addr);
	rte_pktmbuf_free(m);
}

static void
room_follows_the_data(void **state)
{
	struct rte_mbuf *m = classified();
	uint8_t *begin, *end;

	packet_cut(m, 33);
	assert_open(data(m) + 32);
	assert_closed(data(m) + 33);

	end = packet_append(m, 5);
	assert_open(end + 4);
	assert_closed(end + 5);
	assert_closed(data(m) - 8); /* nothing is left of the L2 header */

	begin = packet_prepend(m, 30);
	assert_ptr_equal(begin, data(m));
	assert_open(begin);
	assert_closed(data(m) - 8);
	assert_open(end + 4);
	assert_closed(end + 5);

	/* Without room nothing moves. */
	assert_null(packet_prepend(m, m->buf_len));
	assert_null(packet_append(m, m->buf_len));
	assert_open(end + 4);
	assert_closed(end + 5);
	rte_pktmbuf_free(m);
}

static void
free_buffers_are_closed_until_they_are_taken_again(void **state)
{
	struct rte_mbuf *all[64], *m = classified();
	uint8_t *at = data(m);

	assert_open(at);
	rte_pktmbuf_free(m);
	assert_closed(at);
	assert_closed(&packet(m)->flags);
	assert_closed(&m->pkt_len);

	assert_int_equal(rte_pktmbuf_alloc_bulk(e.dp->pool, all, RTE_DIM(all)), 0);
	for (unsigned int i = 0; i < RTE_DIM(all); i++) {
		memset(all[i]->buf_addr, 0, all[i]->buf_len);
		memset(packet(all[i]), 0, sizeof(struct packet));
	}
	rte_pktmbuf_free_bulk(all, RTE_DIM(all));
	for (unsigned int i = 0; i < RTE_DIM(all); i += 16)
		assert_closed(all[i]);
}

static void
sum_header(void *ip)
{
	checksum_ipv4(ip);
}

static void
sum_payload(void *m)
{
	checksum_l4(m);
}

/* The same by what stages call, with a packet that is shorter by one byte than they are told. */
static void
stages_are_seen_to_read_behind_a_packet(void **state)
{
	uint8_t ip[100] = {0};
	size_t len = put_ipv4(ip, LAN_HOST, FAR_HOST, IPPROTO_TCP, 40);
	struct rte_mbuf *m = engine_frame(&e, ip, len);
	enum drop_reason reason;

	*packet(m) = (struct packet){.in = LAN, .out = WAN};
	assert_true(ip_parse(m, true, &reason));
	assert_int_equal(outcome(sum_payload, m), 0);
	m->pkt_len++;
	assert_int_equal(outcome(sum_payload, m), REPORT);

	assert_int_equal(outcome(sum_header, data(m)), 0);
	packet_cut(m, 19);
	assert_int_equal(outcome(sum_header, data(m)), REPORT);
	rte_pktmbuf_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_is_the_data_and_the_l2_header_in_front),
		cmocka_unit_test(room_follows_the_data),
		cmocka_unit_test(free_buffers_are_closed_until_they_are_taken_again),
		cmocka_unit_test(stages_are_seen_to_read_behind_a_packet),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, setup, teardown);
}
