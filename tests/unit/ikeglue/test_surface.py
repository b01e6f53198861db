# SPDX-License-Identifier: BSD-3-Clause
"""The messages that `ip xfrm` does not send: replay state in and out, migration, ends of policies."""
import errno
import struct

from engine import EngineTest, main
from xfrm import (ALLOCSPI, A_DIR, A_ENCAP, A_ESN, A_ETIMER_THRESH, A_EXTRA, A_IF_ID, A_KEEPALIVE,
                  A_KMADDRESS, A_LASTUSED, A_LTIME, A_MARK, A_MIGRATE, A_PCPU, A_PROTO, A_REPLAY,
                  A_REPLAY_THRESH, DELPOLICY, DELSA, DONE, DUMP, EXPIRE, FAR, FLUSHPOLICY, FLUSHSA,
                  FWD, GETAE, GETPOLICY, GETSA, GROUP_AE, GROUP_EXPIRE, GROUP_MIGRATE, MIGRATE,
                  NEAR, NEWAE, NEWPOLICY, NEWSA, OTHER, OURS, POLEXPIRE, REPLACE, REPORT, REQUEST,
                  THEIRS, UPDPOLICY, UPDSA, Refused, Xfrm, address, address_filter, ae_id,
                  attribute_list, encap, gcm, limits, policy_id, policy_info, sa_id, sa_info, step,
                  template)

INFO, AE, POLICY = 224, 48, 168  # bytes of the fixed parts


def replay(oseq, seq, bitmap):
    return A_REPLAY, struct.pack("=III", oseq, seq, bitmap)


def esn(oseq, seq, window=128, bitmap=(0,) * 4):
    return A_ESN, struct.pack(f"=IIIIII{len(bitmap)}I", len(bitmap), oseq & 0xffffffff,
                              seq & 0xffffffff, oseq >> 32, seq >> 32, window, *bitmap)


def counted(octets, packets, added, used):
    return A_LTIME, struct.pack("=QQQQ", octets, packets, added, used)


class Surface(EngineTest):
    def setUp(self):
        super().setUp()
        self.xfrm = self.connect()

    def connect(self, *groups):
        xfrm = Xfrm(self.engine.socket, *groups)
        self.addCleanup(xfrm.close)
        return xfrm

    def refused(self, number, words, *request, **how):
        with self.assertRaises(Refused) as caught:
            self.xfrm.ask(*request, **how)
        self.assertEqual(caught.exception.errno, number, caught.exception)
        self.assertIn(words, str(caught.exception))

    def state(self, spi=0x1000, dst=THEIRS):
        """What GETAE tells: (oseq, seq, bitmap), (bytes, packets, added, used)."""
        got = self.xfrm.ask(GETAE, ae_id(dst=dst, spi=spi))[0].attributes(AE)
        return struct.unpack("=III", got[A_REPLAY]), struct.unpack("=QQQQ", got[9])


class Numbers(Surface):
    def test_newae_moves_numbers_up_and_never_down(self):
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.xfrm.ask(NEWAE, ae_id(), replay(100, 50, 0b101), flags=REPLACE)
        self.assertEqual(self.state()[0], (100, 50, 0b101))
        self.xfrm.ask(NEWAE, ae_id(), replay(10, 40, 1), flags=REPLACE)
        (oseq, seq, bitmap), _ = self.state()
        self.assertEqual((oseq, seq), (100, 50))
        self.assertTrue(bitmap & 0b101 == 0b101 and bitmap >> 10 & 1)

    def test_newae_of_64_bits(self):
        self.xfrm.ask(NEWSA, sa_info(window=0, flags=128), gcm(1), esn(0, 0))
        self.xfrm.ask(NEWAE, ae_id(), esn(5 << 32 | 7, 3 << 32 | 9, bitmap=(0b11, 0, 0, 0)),
                      flags=REPLACE)
        got = self.xfrm.ask(GETAE, ae_id())[0].attributes(AE)[A_ESN]
        self.assertEqual(struct.unpack_from("=IIIII", got), (4, 7, 9, 5, 3))

    def test_newae_sets_what_was_counted_and_counting_goes_on(self):
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.engine.tell("use 1000 3 100")
        self.xfrm.ask(NEWAE, ae_id(), counted(5000, 50, 1_600_000_000, 1_600_000_001), flags=REPLACE)
        self.assertEqual(self.state()[1], (5000, 50, 1_600_000_000, 1_600_000_001))
        self.engine.tell("use 1000 2 100")
        self.assertEqual(self.state()[1][:2], (5200, 52))
        self.xfrm.ask(NEWAE, ae_id(), counted(10, 1, 0, 0), flags=REPLACE)
        self.assertEqual(self.state()[1][:2], (10, 1))

    def test_a_readded_sa_goes_on_with_what_it_is_given(self):
        last_used = A_LASTUSED, struct.pack("=Q", 1_600_000_002)
        self.xfrm.ask(NEWSA, sa_info(), gcm(1), replay(7, 9, 0x1ff), last_used,
                      counted(5000, 50, 1_600_000_000, 1_600_000_001))
        self.assertEqual(self.state(), ((7, 9, 0x1ff), (5000, 50, 1_600_000_000, 1_600_000_001)))
        got = self.xfrm.ask(GETSA, sa_id())[0].attributes(INFO)
        self.assertEqual(got[A_LASTUSED], last_used[1])

    def test_counters_do_not_outlive_their_sa(self):
        self.xfrm.ask(NEWSA, sa_info(), gcm(1), counted(5000, 50, 1_600_000_000, 1_600_000_001))
        self.xfrm.ask(DELSA, sa_id())
        self.xfrm.ask(NEWSA, sa_info(spi=0x1001), gcm(2))
        self.assertEqual(self.state(0x1001)[1][:2], (0, 0))

    def test_newae_refusals(self):
        self.refused(errno.ESRCH, "no SA", NEWAE, ae_id(), replay(1, 1, 1), flags=REPLACE)
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.refused(errno.EINVAL, "NLM_F_REPLACE", NEWAE, ae_id(), replay(1, 1, 1))
        self.refused(errno.EINVAL, "nothing to change", NEWAE, ae_id(), flags=REPLACE)
        self.refused(errno.EINVAL, "replay window 128: the SA has one of 32", NEWAE, ae_id(),
                     esn(1, 1), flags=REPLACE)
        self.refused(errno.EINVAL, "beyond the SA's last", NEWAE, ae_id(),
                     esn(1 << 32, 1, 32, (0,)), flags=REPLACE)
        self.refused(errno.EINVAL, "beyond the SA's last", NEWAE, ae_id(),
                     esn(1, 1 << 32, 32, (0,)), flags=REPLACE)
        self.assertEqual(self.state()[0], (0, 0, 0))

    def test_subscribers_are_told_of_numbers(self):
        watcher = self.connect(GROUP_AE)
        self.engine.await_subscriber()
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.xfrm.ask(NEWAE, ae_id(), replay(100, 0, 0), flags=REPLACE)
        told = watcher.receive()
        self.assertEqual((told.type, struct.unpack_from("=I", told.body, 40)[0]), (NEWAE, 64))
        self.engine.tell("use 1000 3 100")
        self.engine.tell("send 1000 3")
        told = watcher.receive()
        self.assertEqual((told.type, struct.unpack_from("=I", told.body, 40)[0]), (NEWAE, 32))
        self.assertEqual(struct.unpack_from("=QQ", told.attributes(AE)[A_LTIME]), (300, 3))

    def told(self, watcher):
        """The next event of numbers: why it came (XFRM_AE_*), and the last number sent."""
        message = watcher.receive()
        self.assertEqual(message.type, NEWAE)
        return (struct.unpack_from("=I", message.body, 40)[0],
                struct.unpack("=III", message.attributes(AE)[A_REPLAY])[0])

    def test_thresholds_say_when_subscribers_are_told(self):
        watcher = self.connect(GROUP_AE)
        self.engine.await_subscriber()
        self.xfrm.ask(NEWSA, sa_info(), gcm(1), (A_REPLAY_THRESH, struct.pack("=I", 5)),
                      (A_ETIMER_THRESH, struct.pack("=I", 0)))
        self.engine.tell("send 1000 4")
        self.engine.tell("age 10")
        self.engine.tell("send 1000 1")
        self.engine.tell("age 20")
        self.assertEqual(self.told(watcher), (16, 5))  # XFRM_AE_CR
        self.xfrm.ask(NEWAE, ae_id(), (A_ETIMER_THRESH, struct.pack("=I", 600)), flags=REPLACE)
        self.assertEqual(self.told(watcher), (64, 5))  # XFRM_AE_CU
        self.engine.tell("send 1000 1")
        self.engine.tell("age 70")  # 50 seconds after the last one
        self.engine.tell("send 1000 1")
        self.engine.tell("age 90")
        self.assertEqual(self.told(watcher), (32, 7))  # XFRM_AE_CE

    def test_thresholds_are_given_back_to_who_asks_for_them(self):
        words = (A_REPLAY_THRESH, struct.pack("=I", 7)), (A_ETIMER_THRESH, struct.pack("=I", 70))
        self.xfrm.ask(NEWSA, sa_info(), gcm(1), words[0])

        def thresholds():
            got = self.xfrm.ask(GETAE, ae_id(flags=1 | 8))[0].attributes(AE)
            return [struct.unpack("=I", got[kind])[0] for kind, _ in words]

        self.assertEqual(thresholds(), [7, 10])
        self.xfrm.ask(NEWAE, ae_id(), words[1], flags=REPLACE)
        self.assertEqual(thresholds(), [7, 70])
        self.xfrm.ask(UPDSA, sa_info(), gcm(1), words[1])
        self.assertEqual(thresholds(), [0, 70])
        self.assertNotIn(A_REPLAY_THRESH, self.xfrm.ask(GETAE, ae_id())[0].attributes(AE))


class Migration(Surface):
    def test_sas_and_policy_move_and_nothing_is_counted_anew(self):
        watcher = self.connect(GROUP_MIGRATE)
        self.engine.await_subscriber()
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.xfrm.ask(NEWSA, sa_info(spi=0x1001, reqid=2), gcm(2))
        self.xfrm.ask(NEWPOLICY, policy_info(), template())
        self.xfrm.ask(NEWAE, ae_id(), replay(100, 50, 0b101), counted(5000, 50, 1_600_000_000, 9),
                      flags=REPLACE)
        self.engine.tell("use 1000 1 100")
        ends = A_KMADDRESS, address(OURS) + address(OTHER) + struct.pack("=IHxx", 0, 2)
        self.xfrm.ask(MIGRATE, policy_id(), ends,
                      (A_MIGRATE, step((OURS, THEIRS), (OURS, OTHER), reqid=1)))
        self.refused(errno.ESRCH, "no SA", GETSA, sa_id())
        self.xfrm.ask(GETSA, sa_id(spi=0x1001))  # of another reqid
        numbers, counters = self.state(dst=OTHER)
        self.assertEqual(numbers, (100, 50, 0b101))
        self.assertEqual(counters[:3], (5100, 51, 1_600_000_000))
        key = self.xfrm.ask(GETSA, sa_id(dst=OTHER))[0].attributes(INFO)[18]
        self.assertEqual(key, gcm(1)[1])
        moved = self.xfrm.ask(GETPOLICY, policy_id())[0].attributes(POLICY)[5]
        self.assertEqual(moved, template(dst=OTHER)[1])
        told = watcher.receive()
        self.assertEqual(told.type, MIGRATE)
        self.assertEqual(told.attributes(64)[A_KMADDRESS], ends[1])
        self.assertEqual(told.attributes(64)[A_MIGRATE], step((OURS, THEIRS), (OURS, OTHER), reqid=1))

    def test_to_another_family(self):
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.xfrm.ask(NEWPOLICY, policy_info(), template())
        new = ("2001:db8::1", "2001:db8::2")
        self.xfrm.ask(MIGRATE, policy_id(), (A_MIGRATE, step((OURS, THEIRS), new)))
        self.xfrm.ask(GETSA, sa_id(dst=new[1]))

    def test_refusals_change_nothing(self):
        good = A_MIGRATE, step((OURS, THEIRS), (OURS, OTHER))
        self.refused(errno.ENOENT, "no policy", MIGRATE, policy_id(), good)
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.xfrm.ask(NEWPOLICY, policy_info(), template())
        for words, attribute in (
                ("bad length of XFRMA_MIGRATE: 0", None),
                ("bad length of XFRMA_MIGRATE: 532", (A_MIGRATE, good[1] * 7)),
                ("no address", (A_MIGRATE, step((OURS, THEIRS), (OURS, "0.0.0.0"))))):
            self.refused(errno.EINVAL, words, MIGRATE, policy_id(),
                         *([attribute] if attribute else []))
        self.refused(errno.ENODATA, "none of the old endpoints", MIGRATE, policy_id(),
                     (A_MIGRATE, step((OURS, OTHER), (OURS, THEIRS))))
        self.xfrm.ask(NEWSA, sa_info(spi=0x1001), gcm(3))
        self.xfrm.ask(NEWSA, sa_info(spi=0x1001, dst=OTHER), gcm(2))
        self.refused(errno.EEXIST, "exists", MIGRATE, policy_id(), good)
        self.xfrm.ask(GETSA, sa_id())
        self.xfrm.ask(GETSA, sa_id(spi=0x1001))
        self.assertEqual(self.xfrm.ask(GETPOLICY, policy_id())[0].attributes(POLICY)[5], template()[1])


    def migrate(self, new, *attrs, old=(OURS, THEIRS), name=policy_id(), **more):
        self.xfrm.ask(MIGRATE, name, (A_MIGRATE, step(old, new, **more)), *attrs)

    def sa(self, dst=THEIRS):
        return self.xfrm.ask(GETSA, sa_id(dst=dst))[0].attributes(INFO)

    def test_into_udp_encapsulation_from_port_to_port_and_out_of_it(self):
        watcher = self.connect(GROUP_MIGRATE)
        self.engine.await_subscriber()
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.xfrm.ask(NEWPOLICY, policy_info(), template())
        self.migrate((OURS, OTHER), encap(4500, 4501))
        self.assertEqual(self.sa(OTHER)[A_ENCAP], encap(4500, 4501)[1])
        self.assertEqual(watcher.receive().attributes(64)[A_ENCAP], encap(4500, 4501)[1])
        self.migrate((OURS, OTHER), encap(4500, 4502), old=(OURS, OTHER))
        self.assertEqual(self.sa(OTHER)[A_ENCAP], encap(4500, 4502)[1])
        self.migrate((OURS, THEIRS), old=(OURS, OTHER))
        self.assertNotIn(A_ENCAP, self.sa())
        for _ in range(2):
            told = watcher.receive()
        self.assertNotIn(A_ENCAP, told.attributes(64))
        self.assertEqual(self.xfrm.ask(GETPOLICY, policy_id())[0].attributes(POLICY)[5], template()[1])

    def test_what_goes_with_udp_encapsulation_stays_with_it(self):
        self.xfrm.ask(NEWSA, sa_info(window=0), gcm(1), encap(4500, 4501), (A_DIR, b"\2"),
                      (A_KEEPALIVE, struct.pack("=I", 20)))
        self.xfrm.ask(NEWPOLICY, policy_info(), template())
        self.migrate((OURS, OTHER), encap(4500, 4502))
        self.assertIn(A_KEEPALIVE, self.sa(OTHER))
        self.migrate((OURS, THEIRS), old=(OURS, OTHER))
        self.assertNotIn(A_KEEPALIVE, self.sa())
        self.migrate((OURS, OTHER), encap(4500, 4502))
        self.assertNotIn(A_KEEPALIVE, self.sa(OTHER))

    def test_encapsulation_that_cannot_be(self):
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.xfrm.ask(NEWSA, sa_info(src=THEIRS, dst=OURS, spi=0x1001), gcm(1))
        self.xfrm.ask(NEWPOLICY, policy_info(), template())
        move = A_MIGRATE, step((OURS, THEIRS), (OURS, OTHER))
        for number, words, udp in (
                (errno.EINVAL, "from port 0 to 4501", encap(0, 4501)),
                (errno.EINVAL, "with UDP encapsulation a counter-mode key", encap(4500, 4501)),
                (errno.EOPNOTSUPP, "type 7", (A_ENCAP, b"\7" + encap(4500, 4501)[1][1:]))):
            self.refused(number, words, MIGRATE, policy_id(), move, udp)
            self.assertNotIn(A_ENCAP, self.sa())
        self.assertEqual(self.xfrm.ask(GETPOLICY, policy_id())[0].attributes(POLICY)[5], template()[1])

    def test_thresholds_are_no_part_of_it(self):
        self.refused(errno.EOPNOTSUPP, "XFRMA_REPLAY_THRESH is not supported here", MIGRATE,
                     policy_id(), (A_MIGRATE, step((OURS, THEIRS), (OURS, OTHER))),
                     (A_REPLAY_THRESH, bytes(4)))

    def test_an_event_has_an_attribute_for_each_step(self):
        watcher = self.connect(GROUP_MIGRATE)
        self.engine.await_subscriber()
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.xfrm.ask(NEWSA, sa_info(dst=OTHER), gcm(2))
        self.xfrm.ask(NEWPOLICY, policy_info(), template())
        steps = step((OURS, THEIRS), (OURS, "198.51.100.7")), step((OURS, OTHER), (OURS, "198.51.100.8"))
        self.xfrm.ask(MIGRATE, policy_id(), (A_MIGRATE, steps[0] + steps[1]))
        told = attribute_list(watcher.receive().body[64:])
        self.assertEqual([value for kind, value in told if kind == A_MIGRATE], list(steps))
        self.sa("198.51.100.7")
        self.sa("198.51.100.8")

    def test_a_name_without_protocol_and_tenant_is_that_of_any(self):
        """As libreswan names them."""
        tenant = A_IF_ID, struct.pack("=I", 5)
        self.xfrm.ask(NEWSA, sa_info(), gcm(1), tenant)
        self.xfrm.ask(NEWSA, sa_info(spi=0x1001), gcm(2))
        self.xfrm.ask(NEWPOLICY, policy_info(proto=17), template(), tenant)
        self.migrate((OURS, OTHER))
        moved = self.xfrm.ask(GETPOLICY, policy_id()[:44] + b"\x11" + policy_id()[45:], tenant)
        self.assertEqual(moved[0].attributes(POLICY)[5], template(dst=OTHER)[1])
        self.sa(OTHER)
        self.xfrm.ask(GETSA, sa_id(spi=0x1001))  # of no tenant
        self.refused(errno.ENOENT, "no policy", MIGRATE, policy_id(),
                     (A_MIGRATE, step((OURS, THEIRS), (OURS, OTHER))), (A_IF_ID, struct.pack("=I", 6)))

    def test_transport_mode_where_the_template_has_no_addresses(self):
        self.xfrm.ask(NEWSA, sa_info(mode=0), gcm(1))
        none = template("0.0.0.0", "0.0.0.0", mode=0)
        self.xfrm.ask(NEWPOLICY, policy_info(), none)
        self.migrate((OURS, OTHER), mode=0)
        self.sa(OTHER)
        self.assertEqual(self.xfrm.ask(GETPOLICY, policy_id())[0].attributes(POLICY)[5], none[1])


class EndsOfPolicies(Surface):
    def test_soft_and_then_hard(self):
        watcher = self.connect(GROUP_EXPIRE)
        self.engine.await_subscriber()
        self.xfrm.ask(NEWPOLICY, policy_info(lifetime=limits(soft_add=100, hard_add=200)), template(),
                      (A_MARK, struct.pack("=II", 5, 2**32 - 1)))
        self.xfrm.ask(NEWPOLICY, policy_info(FAR, NEAR, FWD), template())
        self.engine.tell("age 150")
        self.engine.tell("age 160")  # the soft end is told once
        self.engine.tell("age 250")
        for hard in (0, 1):
            told = watcher.receive()
            self.assertEqual((told.type, told.body[POLICY]), (POLEXPIRE, hard))
            self.assertEqual(told.attributes(POLICY + 8)[5], template()[1])
            self.assertEqual(told.attributes(POLICY + 8)[A_MARK], struct.pack("=II", 5, 2**32 - 1))
        self.refused(errno.ENOENT, "no policy", GETPOLICY, policy_id(),
                     (A_MARK, struct.pack("=II", 5, 2**32 - 1)))
        self.xfrm.ask(GETPOLICY, policy_id(FAR, NEAR, FWD))

    def test_an_update_begins_anew(self):
        self.xfrm.ask(NEWPOLICY, policy_info(lifetime=limits(hard_use=100)), template())
        self.xfrm.ask(UPDPOLICY, policy_info(), template())
        self.engine.tell("age 150")
        self.xfrm.ask(GETPOLICY, policy_id())
        self.xfrm.ask(UPDPOLICY, policy_info(lifetime=limits(hard_use=100)), template())
        self.engine.tell("age 150")
        self.refused(errno.ENOENT, "no policy", GETPOLICY, policy_id())


class OfStrongswan6(Surface):
    def test_direction_and_cpu_are_given_back(self):
        words = (A_DIR, b"\1"), (A_PCPU, struct.pack("=I", 3))
        spi = self.xfrm.ask(ALLOCSPI, sa_info(spi=0) + struct.pack("=II", 0x1000, 0x1fff), *words)[0]
        number = struct.unpack_from("!I", spi.body, 72)[0]
        self.xfrm.ask(UPDSA, sa_info(spi=number), gcm(1), *words)
        got = self.xfrm.ask(GETSA, sa_id(spi=number))[0].attributes(INFO)
        for kind, value in words:
            self.assertEqual(got[kind], value)

    def test_a_policy_may_ask_for_an_sa_of_each_cpu(self):
        self.xfrm.ask(NEWPOLICY, policy_info(flags=4), template())
        self.assertEqual(self.xfrm.ask(GETPOLICY, policy_id())[0].body[162], 4)

    def test_extra_flags(self):
        self.xfrm.ask(NEWSA, sa_info(window=0), gcm(1), (A_EXTRA, struct.pack("=I", 3)))
        self.assertEqual(self.xfrm.ask(GETSA, sa_id())[0].attributes(INFO)[A_EXTRA],
                         struct.pack("=I", 3))
        self.refused(errno.EOPNOTSUPP, "extra flags 0x4 are not supported", NEWSA,
                     sa_info(spi=0x1001), gcm(2), (A_EXTRA, struct.pack("=I", 4)))


class ComingAgain(Surface):
    """A daemon whose time-out was too short sends the same bytes once more."""

    def twice(self, *request):
        first, second = (self.xfrm.ask(*request, seq=1000) for _ in range(2))
        self.assertEqual([m.body for m in first], [m.body for m in second])

    def test_what_was_done_is_done(self):
        for request in ((NEWSA, sa_info(), gcm(1)), (DELSA, sa_id()),
                        (NEWPOLICY, policy_info(), template()), (DELPOLICY, policy_id()),
                        (ALLOCSPI, sa_info(spi=0) + struct.pack("=II", 0x2000, 0x2fff))):
            with self.subTest(request[0]):
                self.twice(*request)

    def test_another_number_is_another_request(self):
        self.xfrm.ask(NEWSA, sa_info(), gcm(1), seq=1)
        self.refused(errno.EEXIST, "exists", NEWSA, sa_info(), gcm(1), seq=2)
        self.xfrm.ask(DELSA, sa_id(), seq=3)
        self.refused(errno.ESRCH, "no SA", DELSA, sa_id(), seq=4)

    def test_what_was_refused_is_tried_again(self):
        self.refused(errno.ESRCH, "no SA", DELSA, sa_id(), seq=1)
        self.connect().ask(NEWSA, sa_info(), gcm(1))
        self.xfrm.ask(DELSA, sa_id(), seq=1)
        self.refused(errno.ESRCH, "no SA", GETSA, sa_id())

    def test_without_a_number_nothing_is_the_same(self):
        self.xfrm.ask(NEWSA, sa_info(), gcm(1), seq=0)
        self.refused(errno.EEXIST, "exists", NEWSA, sa_info(), gcm(1), seq=0)


class Refusals(Surface):
    def test_what_is_not_served_is_named(self):
        for kind, fixed, attribute, words in (
                (NEWSA, sa_info(), (28, bytes(8)), "XFRMA_OFFLOAD_DEV is not supported"),
                (NEWSA, sa_info(), (38, b"\1"), "XFRMA_IPTFS_DONT_FRAG is not supported"),
                (NEWSA, sa_info(), (8, bytes(8)), "XFRMA_SEC_CTX is not supported"),
                (NEWSA, sa_info(), (A_MARK, struct.pack("=II", 5, 0xf)), "mark 0x5/0xf"),
                (EXPIRE, bytes(232), None, "XFRM_MSG_EXPIRE is not supported"),
                (POLEXPIRE, bytes(176), None, "XFRM_MSG_POLEXPIRE is not supported"),
                (REPORT, bytes(64), None, "XFRM_MSG_REPORT is not supported"),
                (FLUSHPOLICY, b"", (16, bytes([1, 0, 0, 0, 0, 0])), "policy type 1")):
            with self.subTest(words):
                self.refused(errno.EOPNOTSUPP, words, kind, fixed,
                             *([gcm(1)] if kind == NEWSA else []), *([attribute] if attribute else []))


class Dumps(Surface):
    """iproute2 would leave out by itself what does not fit its filter."""

    def spis(self, *attrs):
        self.xfrm.send(GETSA, REQUEST | DUMP, b"", *attrs, seq=7)
        found = []
        while True:
            for message in self.xfrm.receive_all():
                if message.type == DONE:
                    return found
                found.append(struct.unpack_from("!I", message.body, 72)[0])

    def test_filters(self):
        ah = bytearray(sa_info(src=OTHER, spi=0x1002))
        ah[76] = 51
        gmac = 20, struct.pack("=64sII", b"rfc4543(gcm(aes))", 160, 128) + bytes(range(20))
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.xfrm.ask(NEWSA, sa_info(src=THEIRS, dst=OURS, spi=0x1001), gcm(2))
        self.xfrm.ask(NEWSA, bytes(ah), gmac)
        self.xfrm.ask(NEWSA, sa_info("2001:db8::1", "2001:db8::2", spi=0x1003), gcm(3))
        for expected, *attrs in (
                ((0x1000, 0x1001, 0x1002, 0x1003),),
                ((0x1002,), (A_PROTO, b"\x33")),
                ((0x1000, 0x1001, 0x1003), (A_PROTO, b"\x32")),
                ((0x1000,), address_filter((OURS, 32), ("0.0.0.0", 0))),
                ((0x1000, 0x1001), address_filter(("192.0.2.0", 24), ("192.0.2.0", 24))),
                ((0x1003,), address_filter(("2001:db8::", 32), ("::", 0))),
                ((0x1000,), address_filter(("0.0.0.0", 0), (THEIRS, 32)), (A_PROTO, b"\x32"))):
            with self.subTest(expected):
                self.assertEqual(tuple(self.spis(*attrs)), expected)
        self.refused(errno.EINVAL, "at most 32", GETSA, b"", address_filter((OURS, 33), (OURS, 0)),
                     flags=DUMP)


class Flushing(Surface):
    def test_by_protocol_and_type(self):
        self.xfrm.ask(NEWSA, sa_info(), gcm(1))
        self.xfrm.ask(NEWPOLICY, policy_info(), template())
        self.xfrm.ask(FLUSHSA, bytes([51]))
        self.xfrm.ask(GETSA, sa_id())
        self.xfrm.ask(FLUSHSA, bytes([50]))
        self.refused(errno.ESRCH, "no SA", GETSA, sa_id())
        self.xfrm.ask(FLUSHPOLICY, b"", (16, bytes(6)))
        self.refused(errno.ENOENT, "no policy", GETPOLICY, policy_id())


class OfLibreswan(Surface):
    def test_six_policies_for_neighbour_discovery_at_start(self):
        for kind in (135, 136):
            for direction in range(3):
                sel = bytearray(policy_info(("::", 0), ("::", 0), direction,
                                            limits(soft_use=30)))
                struct.pack_into("!HH", sel, 36, kind, 0xffff)  # ICMPv6 type stands for the port
                sel[44] = 58
                self.xfrm.ask(UPDPOLICY, bytes(sel))

    def test_a_template_without_an_spi_finds_its_sa_by_reqid(self):
        self.xfrm.ask(UPDPOLICY, policy_info(), template(reqid=16389))
        self.xfrm.ask(NEWSA, sa_info(reqid=16389), gcm(1))
        self.xfrm.ask(UPDPOLICY, policy_info(), template(reqid=16389), (A_IF_ID, bytes(4)))


if __name__ == "__main__":
    main()
