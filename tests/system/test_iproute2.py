# SPDX-License-Identifier: BSD-3-Clause
"""The distribution's `ip xfrm`, under sealane-xfrm, drives the engine as it drives a kernel."""

import os
import re
import subprocess

import pytest

from engine import TOOLS
from esp import SUITES
from gateway import FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS, udp
from netns import wait_for

KEY = "0x" + "00112233445566778899aabbccddeeff01020304"
SA = f"src {OURS[4]} dst {THEIRS[4]} proto esp spi 0x5001"
ADD = f"xfrm state add {SA} reqid 5 mode tunnel aead rfc4106(gcm(aes)) {KEY} 128"
SELECTOR = f"src {NEAR[4]} dst {FAR[4]} dir out"
POLICY = f"{SELECTOR} tmpl src {OURS[4]} dst {THEIRS[4]} proto esp reqid 5 mode tunnel"


@pytest.fixture(autouse=True)
def empty(gateway):
    gateway.engine.batch(FLUSH)


@pytest.fixture
def engine(gateway):
    return gateway.engine


def refused(engine, command, *texts):
    result = engine.try_ip(command)
    assert result.returncode != 0, f"{command}: accepted"
    for text in texts:
        assert text in result.stderr, result.stderr


class TestStates:
    def test_add_get_list_delete(self, engine):
        engine.ip(ADD + " replay-window 128 flag af-unspec if_id 0")
        for text in (engine.ip(f"xfrm state get {SA}"), engine.ip("xfrm state list"),
                     engine.ip("xfrm state")):
            assert f"src {OURS[4]} dst {THEIRS[4]}" in text
            assert "proto esp spi 0x00005001 reqid 5 mode tunnel" in text
            assert f"aead rfc4106(gcm(aes)) {KEY} 128" in text
            assert "af-unspec" in text
        engine.ip(f"xfrm state delete {SA}")
        assert engine.ip("xfrm state list") == ""
        refused(engine, f"xfrm state get {SA}", "no SA")
        refused(engine, f"xfrm state delete {SA}", "no SA")

    @pytest.mark.parametrize("suite", SUITES, ids=lambda s: s.name)
    def test_every_suite_is_listed_as_it_was_added(self, engine, suite):
        words = suite.words(bytes(range(1, suite.key_len + 1)),
                            bytes(range(64, 64 + suite.auth_key_len)))
        engine.ip(f"xfrm state add {SA} mode tunnel {words}")
        listed = " ".join(engine.ip("xfrm state list").split())
        for piece in re.findall(r"0x\w+|\w+\([^ ]+\)", words):
            assert piece in listed

    def test_an_ipv6_sa_with_esn_and_encapsulation_of_another(self, engine):
        engine.ip(f"xfrm state add src {OURS[6]} dst {THEIRS[6]} proto esp spi 0x5002 mode tunnel "
                  f"replay-window 256 flag esn aead rfc4106(gcm(aes)) {KEY} 128")
        listed = engine.ip("xfrm state list")
        assert "esn" in listed and "256" in listed
        engine.ip(f"xfrm state add {SA} mode tunnel aead rfc4106(gcm(aes)) 0x{'ab' * 20} 128 "
                  "encap espinudp 4500 4500 0.0.0.0")
        assert "encap type espinudp sport 4500 dport 4500" in engine.ip(f"xfrm state get {SA}")

    def test_a_second_one_of_the_same_identity_is_refused_and_the_first_untouched(self, engine):
        engine.ip(ADD)
        refused(engine, ADD.replace(KEY, "0x" + "77" * 20), "exists")
        assert KEY in engine.ip("xfrm state list")

    def test_update_changes_lifetimes_and_delete_all_of_a_filter(self, engine):
        engine.ip(ADD)
        engine.ip(ADD.replace("add", "update") + " limit packet-hard 1000")
        assert "hard 1000(packets)" in engine.ip("-s xfrm state")
        engine.ip("xfrm state deleteall reqid 5")
        assert engine.ip("xfrm state list") == ""

    def test_update_of_one_that_is_not_there(self, engine):
        refused(engine, ADD.replace("add", "update"), "no SA")

    def test_flush_and_count(self, engine):
        engine.batch([ADD.replace("0x5001", hex(0x6000 + i)).replace("0304", f"{i:04x}")
                      for i in range(300)])
        assert "SAD count 300" in engine.ip("xfrm state count")
        assert engine.ip("xfrm state list").count("proto esp") == 300
        engine.ip("xfrm state flush")
        assert "SAD count 0" in engine.ip("xfrm state count")

    def test_C2_allocspi_gives_an_spi_of_the_range_and_update_completes_it(self, engine):
        text = engine.ip(f"xfrm state allocspi src {THEIRS[4]} dst {OURS[4]} proto esp mode tunnel "
                         "reqid 9 min 0x1000 max 0x1fffffff")
        spi = int(re.search(r"spi 0x([0-9a-f]+)", text)[1], 16)
        assert 0x1000 <= spi <= 0x1fffffff
        engine.ip(f"xfrm state update src {THEIRS[4]} dst {OURS[4]} proto esp spi {spi:#x} reqid 9 "
                  f"mode tunnel aead rfc4106(gcm(aes)) {KEY} 128")
        assert f"spi 0x{spi:08x}" in engine.ip("xfrm state list")

    def test_statistics_are_filled_in(self, gateway, engine):
        tunnel = gateway.tunnel()
        for _ in range(3):
            gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))
        out = engine.ip(f"-s xfrm state get src {OURS[4]} dst {THEIRS[4]} proto esp "
                        f"spi {tunnel.spi_out:#x}")
        assert "3(packets)" in out and "oseq 0x3" in out
        assert not re.search(r"add .* use -", out)
        into = engine.ip(f"-s xfrm state get src {THEIRS[4]} dst {OURS[4]} proto esp "
                         f"spi {tunnel.spi_in:#x}")
        assert "1(packets)" in into and "seq 0x1" in into

    @pytest.mark.parametrize("change,texts", [
        (("aead rfc4106(gcm(aes)) " + KEY, "aead rfc4106(gcm(aes)) 0x" + "11" * 16),
         ("bad key length", "16", "rfc4106(gcm(aes))", "20, 28 or 36")),
        (("aead rfc4106(gcm(aes)) " + KEY + " 128", "enc cbc(des) 0x" + "11" * 8 +
          " auth-trunc hmac(md5) 0x" + "22" * 16 + " 96"), ("des",)),
        (("aead rfc4106(gcm(aes)) " + KEY + " 128", "enc cbc(aes) 0x" + "11" * 16), ()),
        (("mode tunnel", "mode beet"), ()),
        (("spi 0x5001", "spi 0x0"), ()),
    ], ids=["key length", "C73 des and md5", "C73 no integrity", "beet", "C1 spi 0"])
    def test_what_cannot_be_is_refused_with_a_reason(self, engine, change, texts):
        result = engine.try_ip(ADD.replace(*change))
        assert result.returncode != 0
        assert "Error:" in result.stderr or "RTNETLINK" in result.stderr
        for text in texts:
            assert text in result.stderr, result.stderr
        assert engine.ip("xfrm state list") == ""


class TestPolicies:
    def test_add_get_list_delete(self, engine):
        engine.ip(f"xfrm policy add {POLICY} priority 17")
        for text in (engine.ip(f"xfrm policy get {SELECTOR}"), engine.ip("xfrm policy list"),
                     engine.ip("xfrm policy")):
            assert f"src {NEAR[4]} dst {FAR[4]}" in text
            assert "dir out priority 17" in text
            assert f"tmpl src {OURS[4]} dst {THEIRS[4]}" in text
            assert "proto esp reqid 5 mode tunnel" in text
        engine.ip(f"xfrm policy delete {SELECTOR}")
        assert engine.ip("xfrm policy list") == ""
        refused(engine, f"xfrm policy delete {SELECTOR}", "no policy")
        refused(engine, f"xfrm policy get {SELECTOR}", "no policy")

    def test_a_second_one_is_refused_and_an_update_replaces(self, engine):
        engine.ip(f"xfrm policy add {POLICY} priority 1")
        refused(engine, f"xfrm policy add {POLICY} priority 2", "exists")
        engine.ip(f"xfrm policy update {POLICY} priority 3")
        assert "priority 3" in engine.ip("xfrm policy list")
        assert "SPD IN  0 OUT 1 FWD 0" in engine.ip("xfrm policy count")

    def test_selectors_with_protocol_ports_and_icmp_type(self, engine):
        for words in ("proto tcp sport 1000 dport 443", "proto icmp type 8 code 0", "proto 47"):
            engine.ip("xfrm policy flush")
            engine.ip(f"xfrm policy add src {NEAR[4]} dst {FAR[4]} {words} dir out action block")
            listed = engine.ip("xfrm policy list")
            assert words.split()[-2] in listed and "block" in listed, listed

    def test_count_and_flush(self, engine):
        engine.batch([f"xfrm policy add src 10.1.{i}.0/24 dst {FAR[4]} dir {d} action block"
                      for i in range(200) for d in ("in", "out", "fwd")])
        assert "SPD IN  200 OUT 200 FWD 200" in engine.ip("xfrm policy count")
        assert engine.ip("xfrm policy list").count("action block") == 600
        engine.ip("xfrm policy flush")
        assert "SPD IN  0 OUT 0 FWD 0" in engine.ip("xfrm policy count")

    def test_templates_of_two_steps_are_refused_with_the_reason(self, engine):
        result = engine.try_ip(f"xfrm policy add {POLICY} tmpl proto comp mode transport")
        assert result.returncode != 0
        assert "Error:" in result.stderr, result.stderr


class TestMonitor:
    @pytest.fixture
    def monitor(self, engine):
        process = subprocess.Popen(
            engine.netns.command(TOOLS / "sealane-xfrm", "ip", "xfrm", "monitor"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "SEALANE_XFRM_SOCKET": engine.path("xfrm.sock")})
        os.set_blocking(process.stdout.fileno(), False)
        process.said = ""

        def saw(text):
            process.said += (process.stdout.read() or b"").decode()
            return text in process.said

        process.saw = saw
        # It has subscribed once it reports something.
        wait_for(lambda: engine.ip(f"xfrm policy update {POLICY}") == "" and saw("Updated"),
                 "the monitor to subscribe")
        yield process
        process.kill()
        process.wait()

    def test_reports_what_is_added_and_deleted(self, engine, monitor):
        engine.ip(ADD)
        wait_for(lambda: monitor.saw("spi 0x00005001"), "the added SA")
        engine.ip(f"xfrm state delete {SA}")
        wait_for(lambda: monitor.saw("Deleted src"), "the deleted SA")
        engine.ip("xfrm state flush")
        wait_for(lambda: monitor.saw("Flushed state"), "the flush")

    def test_reports_policies(self, engine, monitor):
        engine.ip(f"xfrm policy delete {SELECTOR}")
        wait_for(lambda: monitor.saw(f"Deleted src {NEAR[4]}"), "the deleted policy")
        limits = "limit time-soft 1 limit time-hard 2"
        engine.ip(f"xfrm policy add {POLICY.replace('tmpl', limits + ' tmpl')}")
        for end in "hard 0", "hard 1":
            wait_for(lambda: monitor.saw("Expired src") and end in monitor.said, f"the end: {end}")
        engine.ip("xfrm policy flush")
        wait_for(lambda: monitor.saw("Flushed policy"), "the flush")

    def test_reports_how_far_numbers_are(self, gateway, engine, monitor):
        tunnel = gateway.tunnel()
        gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
        wait_for(lambda: monitor.saw("Async event"), "the replay state")
        assert f"spi {tunnel.spi_out:#010x}" in monitor.said

    def test_C55_reports_an_acquire(self, gateway, engine, monitor):
        gateway.lan.send(udp(HOST[4], REMOTE[4]))
        wait_for(lambda: monitor.saw("acquire"), "the acquire")
        assert HOST[4] in monitor.said and REMOTE[4] in monitor.said

    def test_C63_reports_that_a_lifetime_ended(self, gateway, engine, monitor):
        tunnel = gateway.tunnel()
        engine.batch([f"xfrm state delete src {OURS[4]} dst {THEIRS[4]} proto esp "
                      f"spi {tunnel.spi_out:#x}",
                      tunnel.states()[1] + " limit packet-soft 2 limit packet-hard 4"])
        for _ in range(3):
            gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
        wait_for(lambda: monitor.saw("Expired"), "the soft expire")
        assert "hard 0" in monitor.said
        gateway.lan.send(udp(HOST[4], REMOTE[4]))
        gateway.lan.send(udp(HOST[4], REMOTE[4]))
        wait_for(lambda: monitor.saw("hard 1"), "the hard expire")
        assert f"{tunnel.spi_out:08x}" not in engine.ip("xfrm state list")


def test_the_wrapper_says_when_there_is_no_engine(gateway, tmp_path):
    result = subprocess.run([TOOLS / "sealane-xfrm", "ip", "xfrm", "state", "list"],
                            capture_output=True, text=True, timeout=60,
                            env={**os.environ, "SEALANE_XFRM_SOCKET": str(tmp_path / "none")})
    assert result.returncode != 0
    assert result.stderr
