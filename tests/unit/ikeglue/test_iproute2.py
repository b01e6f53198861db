# SPDX-License-Identifier: BSD-3-Clause
"""Stock iproute2, run under the wrapper, sees a kernel."""
import engine
import xfrm

KEY = "0x" + "".join("%02x" % n for n in range(1, 37))
GCM128 = "aead rfc4106(gcm(aes)) %s 128" % KEY[:2 + 40]
GCM256 = "aead rfc4106(gcm(aes)) %s 128" % KEY[:2 + 72]
CHACHA = "aead rfc7539esp(chacha20,poly1305) 0x%s 128" % KEY[:1:-1]  # a key of its own
CBC = "auth-trunc hmac(sha256) %s 128 enc cbc(aes) %s" % (KEY[:2 + 64], KEY[:2 + 32])
ENDS = "src 192.0.2.1 dst 192.0.2.2"
ID = ENDS + " proto esp spi "


def flat(text):
    return " ".join(text.split())


class State(engine.EngineTest):
    def add(self, spi, what=GCM128, more=""):
        return self.ip("xfrm state add %s%#x mode tunnel %s %s" % (ID, spi, more, what))

    def get(self, spi):
        return flat(self.ip("xfrm state get %s%#x" % (ID, spi)))

    def test_every_suite_comes_back_with_its_keys(self):
        for spi, suite in enumerate((GCM128, GCM256, CHACHA, CBC), 0x1000):
            self.add(spi, suite, "reqid 7")
            shown = self.get(spi)
            self.assertIn("proto esp spi 0x%08x reqid 7 mode tunnel" % spi, shown)
            self.assertIn(suite, shown)

    def test_everything_else_comes_back_as_given(self):
        selector = "sel src 10.1.0.0/16 dst 10.2.0.0/24 proto udp dport 53"
        self.ip("xfrm state add %s0x1000 mode tunnel reqid 9 replay-window 32 flag decap-dscp "
                "nopmtudisc if_id 0x9 "
                "encap espinudp 4600 4501 10.9.8.7 %s %s" % (ID, GCM128, selector))
        shown = self.get(0x1000)
        for part in ("replay-window 32 flag decap-dscp nopmtudisc", "if_id 0x9", selector,
                     "encap type espinudp sport 4600 dport 4501 addr 10.9.8.7", GCM128):
            self.assertIn(part, shown)

    def test_esn_and_large_windows(self):
        self.add(0x1000, GCM128, "flag esn replay-window 1024 replay-seq-hi 1 replay-oseq 5")
        shown = self.get(0x1000)
        self.assertIn("flag esn", shown)
        self.assertIn("replay_window 1024, bitmap-length 32", shown)

    def test_ipv6_and_selectors_of_both_families(self):
        self.ip("xfrm state add src 2001:db8::1 dst 2001:db8::2 proto esp spi 0x1000 "
                "mode tunnel flag af-unspec " + GCM128)
        shown = flat(self.ip("xfrm state"))
        self.assertIn("src 2001:db8::1 dst 2001:db8::2", shown)
        self.assertIn("flag af-unspec", shown)

    def test_statistics_are_filled_in(self):
        self.ip("xfrm state add %s0x1000 mode tunnel limit packet-hard 1000 "
                "limit time-soft 500 %s" % (ID, GCM128))
        self.engine.tell("use 1000 5 100")
        shown = flat(self.ip("-s xfrm state"))
        self.assertIn("500(bytes), 5(packets)", shown)
        self.assertIn("hard 1000(packets)", shown)
        self.assertIn("expire add: soft 500(sec)", shown)
        self.assertRegex(shown, r"add 20\d\d-\S+ \S+ use 20\d\d-")
        self.assertRegex(shown, r"lastused 20\d\d-")

    def test_allocspi_then_update(self):
        shown = flat(self.ip("xfrm state allocspi %s proto esp mode tunnel reqid 3 "
                             "min 0xc0000000 max 0xcfffffff" % ENDS))
        spi = int(shown.split(" spi ")[1].split()[0], 16)
        self.assertIn(spi, range(0xc0000000, 0xd0000000))
        self.ip("xfrm state update %s%#x mode tunnel reqid 3 %s" % (ID, spi, GCM128))
        self.assertIn(GCM128, self.get(spi))

    def test_update_changes_lifetimes(self):
        self.add(0x1000)
        self.ip("xfrm state update %s0x1000 mode tunnel limit byte-hard 12345 %s" % (ID, GCM128))
        self.assertIn("12345(bytes)", self.ip("-s xfrm state"))

    def test_default_policies_are_those_of_the_configuration(self):
        self.assertEqual(self.ip("xfrm policy getdefault").count("block"), 3)
        self.ip("xfrm policy setdefault in block")
        for way in ("in", "fwd", "out"):
            self.assertIn("spd.no_match", self.refused("xfrm policy setdefault %s accept" % way))

    def test_delete_deleteall_flush_count(self):
        for spi in range(0x1000, 0x1010):
            self.add(spi, "aead rfc4106(gcm(aes)) %s%04x 128" % (KEY[:2 + 36], spi))
        self.assertEqual(self.ip("xfrm state count").split(), ["SAD", "count", "16"])
        self.ip("xfrm state delete %s0x1000" % ID)
        self.assertEqual(self.ip("xfrm state count").split(), ["SAD", "count", "15"])
        self.ip("xfrm state deleteall %s spi 0x1001" % ENDS)
        self.assertEqual(self.ip("xfrm state count").split(), ["SAD", "count", "14"])
        self.ip("xfrm state deleteall")
        self.assertEqual(self.ip("xfrm state"), "")
        self.add(0x1000)
        self.ip("xfrm state flush proto esp")
        self.assertEqual(self.ip("xfrm state"), "")

    def test_marks_tell_sas_and_policies_apart(self):
        self.add(0x1000, GCM128, "mark 10")
        self.add(0x1000, GCM256, "mark 20 output-mark 7 if_id 3")
        self.assertIn("exists", self.refused("xfrm state add %s0x1000 mode tunnel mark 10 %s"
                                             % (ID, GCM128)))
        listed = self.ip("xfrm state")
        self.assertIn("mark 0xa/0xffffffff", listed)
        self.assertIn("mark 0x14/0xffffffff", listed)
        self.assertIn("output-mark 0x7/0xffffffff", listed)
        self.assertIn("no SA has this destination", self.refused("xfrm state get %s0x1000" % ID))
        self.assertIn("if_id 0x3", self.ip("xfrm state get %s0x1000 mark 20" % ID))
        self.ip("xfrm state delete %s0x1000 mark 20" % ID)
        self.assertNotIn("0x14", self.ip("xfrm state"))
        policy = "src 10.1.0.0/16 dst 10.2.0.0/16 dir fwd"
        self.ip("xfrm policy add %s mark 10 action block" % policy)
        self.ip("xfrm policy add %s action block" % policy)
        self.assertIn("exists", self.refused("xfrm policy add %s mark 10 action block" % policy))
        self.assertIn("mark 0xa/0xffffffff", self.ip("xfrm policy get %s mark 10" % policy))
        self.ip("xfrm policy delete %s mark 10" % policy)
        self.assertNotIn("mark", self.ip("xfrm policy"))

    def test_parts_of_marks_are_refused_and_zero_ones_accepted(self):
        for mark, words in (("mark 0x5 mask 0xff", "mark 0x5/0xff is not supported"),
                            ("mark 0 mask 1", "mark 0x0/0x1 is not supported"),
                            ("output-mark 0x3 mask 0xf",
                             "XFRMA_SET_MARK_MASK 0xf is not supported")):
            self.assertIn(words, self.refused("xfrm state add %s0x1000 mode tunnel %s %s"
                                              % (ID, mark, GCM128)))
        self.assertIn("mark 0x5/0x7 is not supported",
                      self.refused("xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 "
                                   "dir fwd mark 0x5 mask 0x7"))
        self.assertEqual(self.ip("xfrm state") + self.ip("xfrm policy"), "")
        self.add(0x1000, GCM128, "mark 0 mask 0")
        self.ip("xfrm state deleteall")  # sends a mark of zero
        self.assertEqual(self.ip("xfrm state"), "")

    def test_list_filters(self):
        self.add(0x1000)
        self.ip("xfrm state add src 198.51.100.1 dst 198.51.100.2 proto esp spi 0x1001 "
                "mode tunnel " + GCM256)
        self.assertEqual(self.ip("xfrm state list src 192.0.2.1").count("proto esp"), 1)
        self.assertEqual(self.ip("xfrm state list dst 198.51.100.2").count("proto esp"), 1)
        self.assertEqual(self.ip("xfrm state list").count("proto esp"), 2)

    def test_dump_of_many(self):
        batch = "".join("xfrm state add %s%#x mode tunnel aead rfc4106(gcm(aes)) %s%04x 128\n"
                        % (ID, spi, KEY[:2 + 36], spi) for spi in range(0x1000, 0x1000 + 2000))
        status, output = self.engine.run("ip", "-b", "-", stdin=batch)
        self.assertEqual((status, output), (0, ""))
        self.assertEqual(self.ip("xfrm state").count("proto esp"), 2000)

    def test_modes_come_back(self):
        selector = "sel src 10.0.0.1/32 dst 10.0.0.2/32"
        for spi, mode in ((0x1000, "transport"), (0x1001, "beet"), (0x1002, "tunnel")):
            self.ip("xfrm state add %s%#x mode %s aead rfc4106(gcm(aes)) %s%04x 128 %s"
                    % (ID, spi, mode, KEY[:2 + 36], spi, selector))
            shown = flat(self.ip("xfrm state get %s%#x" % (ID, spi)))
            self.assertIn("mode " + mode, shown)
        self.assertIn("one address to one address",
                      self.refused("xfrm state add %s0x1003 mode beet %s" % (ID, GCM128)))

    def test_refusals_say_why(self):
        self.add(0x1000)
        for what, error in (
                ("aead rfc4106(gcm(aes)) %s 128" % KEY[:2 + 32],
                 "bad key length: 16 for rfc4106(gcm(aes)), expected 20, 28 or 36"),
                ("aead rfc4106(gcm(aes)) 0x%s 128" % ("00" * 20), "is all zero"),
                ("enc cbc(aes) %s" % KEY[:2 + 32], "without integrity"),
                ("enc des3_ede %s auth-trunc md5 %s 96" % (KEY[:2 + 48], KEY[:2 + 32]), "refused"),
                (GCM128 + " encap espintcp 1 2 0.0.0.0", "encapsulation type 7 is not supported"),
        ):
            said = self.refused("xfrm state add %s0x1001 mode tunnel %s" % (ID, what))
            self.assertIn(error, said)
        self.assertIn("XFRMA_ALG_COMP is not supported",
                      self.refused("xfrm state add %s proto comp spi 0x1001 mode tunnel "
                                   "comp deflate" % ENDS))
        self.assertIn("no SA has this destination",
                      self.refused("xfrm state delete %s0x1001" % ID))
        self.assertIn("exists", self.refused("xfrm state add %s0x1000 mode tunnel %s"
                                             % (ID, GCM256)))
        self.assertIn("bad range of SPIs",
                      self.refused("xfrm state allocspi %s proto esp mode tunnel min 1 max 200"
                                   % ENDS))
        self.assertIn(GCM128, self.get(0x1000))  # as it was


class Policy(engine.EngineTest):
    SELECTOR = "src 10.1.0.0/16 dst 10.2.0.0/16 dir "
    TEMPLATE = "tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 7 mode tunnel"

    def test_add_get_list_count_delete(self):
        for direction in ("in", "out", "fwd"):
            self.ip("xfrm policy add %s%s priority 5 if_id 0x3 %s"
                    % (self.SELECTOR, direction, self.TEMPLATE))
            shown = flat(self.ip("xfrm policy get %s%s if_id 0x3" % (self.SELECTOR, direction)))
            self.assertIn("src 10.1.0.0/16 dst 10.2.0.0/16 dir %s priority 5" % direction, shown)
            self.assertIn(self.TEMPLATE, shown)
        self.assertEqual(self.ip("xfrm policy count").split(),
                         "SPD IN 1 OUT 1 FWD 1".split())
        index = flat(self.ip("-s xfrm policy")).split(" index ")[1].split()[0]
        direction = ("in", "out", "fwd")[int(index) & 7]
        self.ip("xfrm policy delete index %s dir %s if_id 0x3" % (index, direction))
        self.assertEqual(self.ip("xfrm policy list").count("tmpl"), 2)
        self.ip("xfrm policy deleteall")
        self.assertEqual(self.ip("xfrm policy"), "")

    def test_block_and_bypass_and_flush(self):
        self.ip("xfrm policy add %sout action block" % self.SELECTOR)
        self.ip("xfrm policy add src 2001:db8::/32 dst ::/0 dir out")
        shown = flat(self.ip("xfrm policy"))
        self.assertIn("dir out action block", shown)
        self.assertIn("src 2001:db8::/32 dst ::/0 dir out", shown)
        self.ip("xfrm policy flush")
        self.assertEqual(self.ip("xfrm policy"), "")

    def test_update_replaces(self):
        self.ip("xfrm policy update %sout priority 5" % self.SELECTOR)
        self.ip("xfrm policy update %sout priority 6 %s" % (self.SELECTOR, self.TEMPLATE))
        shown = flat(self.ip("xfrm policy"))
        self.assertIn("priority 6", shown)
        self.assertNotIn("priority 5", shown)

    def test_thresholds_are_given_back(self):
        self.ip("xfrm policy set hthresh4 24 16 hthresh6 64 48")
        shown = flat(self.ip("-s -s xfrm policy count"))
        self.assertIn("SPD IPv4 thresholds: local 24 remote 16", shown)
        self.assertIn("SPD IPv6 thresholds: local 64 remote 48", shown)

    def test_refusals_say_why(self):
        self.ip("xfrm policy add %sout %s" % (self.SELECTOR, self.TEMPLATE))
        self.assertIn("exists", self.refused("xfrm policy add %sout" % self.SELECTOR))
        self.assertIn("no policy has this selector",
                      self.refused("xfrm policy delete %sin" % self.SELECTOR))
        self.assertIn("templates of more than one step are not supported: 2 steps",
                      self.refused("xfrm policy add %sin %s %s"
                                   % (self.SELECTOR, self.TEMPLATE, self.TEMPLATE)))
        self.assertIn("mode ro of the template",
                      self.refused("xfrm policy add %sin tmpl proto esp mode ro"
                                   % self.SELECTOR))


class Monitor(engine.EngineTest):
    """`ip xfrm monitor` in the background; each test waits for the line that it expects."""

    def setUp(self):
        super().setUp()
        self.monitor = self.engine.popen("ip", "xfrm", "monitor")
        self.addCleanup(self.monitor.stdout.close)
        self.addCleanup(self.monitor.wait)
        self.addCleanup(self.monitor.kill)
        self.engine.await_subscriber()

    def until(self, text):
        seen = ""
        while text not in seen:
            line = self.monitor.stdout.readline()
            self.assertNotEqual(line, "", seen)
            seen += " ".join(line.split()) + " "
        return seen

    def test_changes_are_shown_without_keys(self):
        self.ip("xfrm state add %s0x1000 mode tunnel %s" % (ID, GCM128))
        seen = self.until("aead rfc4106(gcm(aes)) 0x")
        self.assertIn("proto esp spi 0x00001000", seen)
        self.assertNotIn(KEY[2:20], seen)
        self.ip("xfrm state update %s0x1000 mode tunnel limit byte-hard 9 %s" % (ID, GCM128))
        self.until("Updated src 192.0.2.1 dst 192.0.2.2")
        self.ip("xfrm state delete %s0x1000" % ID)
        self.until("Deleted src 192.0.2.1 dst 192.0.2.2")
        self.ip("xfrm policy add %sout %s" % (Policy.SELECTOR, Policy.TEMPLATE))
        self.until(Policy.TEMPLATE)
        self.ip("xfrm policy delete %sout" % Policy.SELECTOR)
        self.until("Deleted src 10.1.0.0/16 dst 10.2.0.0/16")
        self.ip("xfrm state flush")
        self.until("Flushed state")
        self.ip("xfrm policy flush")
        self.until("Flushed policy")

    def test_expire_soft_then_hard(self):
        self.ip("xfrm state add %s0x1000 mode tunnel limit time-soft 50 limit time-hard 500 %s"
                % (ID, GCM128))
        self.engine.tell("age 60")
        self.until("Expired src 192.0.2.1 dst 192.0.2.2")
        self.until("hard 0")
        self.engine.tell("age 600")
        self.until("hard 1")
        self.assertEqual(self.ip("xfrm state"), "")

    def test_end_of_a_policy(self):
        self.ip("xfrm policy add %sout limit time-soft 50 limit time-hard 500 %s"
                % (Policy.SELECTOR, Policy.TEMPLATE))
        self.engine.tell("age 60")
        self.assertIn("Expired src 10.1.0.0/16 dst 10.2.0.0/16", self.until("hard 0"))
        self.engine.tell("age 600")
        self.until("hard 1")
        self.assertEqual(self.ip("xfrm policy"), "")

    def test_a_peer_that_moved_and_numbers_that_did(self):
        self.ip("xfrm state add %s0x1000 mode tunnel encap espinudp 4500 4501 0.0.0.0 %s"
                % (ID, GCM128))
        self.engine.tell("mapped 1000 4700")
        self.until("Mapping change 192.0.2.1:4500 -> 192.0.2.1:4700")
        self.engine.tell("send 1000 3")
        self.until("Async event (0x20) timer expired src 192.0.2.1 dst 192.0.2.2")

    def test_migration(self):
        """It comes: but iproute2 has no words for it."""
        self.ip("xfrm policy add %sout %s" % (Policy.SELECTOR, Policy.TEMPLATE))
        connection = xfrm.Xfrm(self.engine.socket)
        self.addCleanup(connection.close)
        connection.ask(xfrm.MIGRATE, xfrm.policy_id(),
                       (xfrm.A_MIGRATE, xfrm.step((xfrm.OURS, xfrm.THEIRS), (xfrm.OURS, xfrm.OTHER))))
        self.ip("xfrm state flush")  # what it says of the other waits for its next line
        self.until("Unknown message: 00000172 0x%08x" % xfrm.MIGRATE)

    def test_acquire(self):
        self.ip("xfrm policy add %sout %s" % (Policy.SELECTOR, Policy.TEMPLATE))
        self.until(Policy.TEMPLATE)
        self.engine.tell("acquire")
        seen = self.until("sel src 10.1.0.0/32 dst 10.2.0.0/32 proto udp sport 1000 dport 2000")
        self.assertIn("acquire proto esp", seen)
        self.assertIn("policy src 10.1.0.0/16 dst 10.2.0.0/16", seen + self.until("tmpl"))


if __name__ == "__main__":
    engine.main()
