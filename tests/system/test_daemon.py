# SPDX-License-Identifier: BSD-3-Clause
"""sealaned itself: what it refuses and how it says so, and its life from start to a crash and back."""

import glob
import os
import secrets
import stat
import subprocess

import pytest
from scapy.packet import Raw

from engine import DAEMON, Engine, check
from gateway import HOST, REMOTE, Gateway, udp

PORT = {"name": "lan", "device": "net_null0", "side": "protected"}


def test_check_accepts_a_good_configuration():
    status, said = check({"ports": [PORT]})
    assert status == 0
    assert said.endswith("good\n")


@pytest.mark.parametrize("text,expected", [
    ("ports:\n- {name: lan, device: net_null0, side: inside}\n",
     [":2:", "side", "inside", "protected"]),
    ("ports:\n- {name: lan, device: net_null0, side: protected}\nspdd: 1\n",
     [":3:", "spdd", "expected"]),
    ("ports: [\n", ["expected"]),
    ("ports:\n- {name: lan, device: net_null0, side: protected}\n"
     "- {name: lan, device: net_null1, side: protected}\n", ["ports[1].name", "lan", "expected"]),
    ("ports:\n- {name: lan, device: net_null0, side: protected}\n"
     "routes:\n- {prefix: 10.0.0.300/8, via: 10.1.1.1, port: lan}\n",
     ["routes[0].prefix", "10.0.0.300", "expected"]),
    ("ports:\n- {name: lan, device: net_null0, side: protected}\n"
     "workers: {cores: [4095]}\n", ["workers.cores[0]", "4095", "expected"]),
], ids=["enum", "unknown key", "syntax", "duplicate port", "address", "core"])
def test_check_names_place_key_and_what_was_expected(text, expected):
    status, said = check(text)
    assert status != 0
    for piece in expected:
        assert piece in said, said


def test_a_bad_configuration_starts_nothing(netns, tmp_path):
    namespace = netns("bad")
    config = tmp_path / "bad.yaml"
    config.write_text("ports:\n- {name: lan, device: net_null0, side: inside}\n")
    result = subprocess.run(namespace.command(DAEMON, "-c", config), capture_output=True, text=True)
    assert result.returncode not in (0, None) and result.returncode > 0
    assert "lan" not in namespace.ip("link show")


@pytest.mark.parametrize("device", ["net_af_packet0,iface=nowhere", "vnet0,iface=nowhere", "vnet0"])
def test_a_port_that_cannot_be_starts_nothing(netns, tmp_path, device):
    namespace = netns("bad")
    config = tmp_path / "bad.yaml"
    config.write_text(
        "ports:\n- {name: good, device: net_null0, side: protected}\n"
        f"- {{name: bad, device: '{device}', side: protected}}\n"
        f"sockets: {{xfrm: {tmp_path}/x, show: {tmp_path}/s}}\n")
    result = subprocess.run(namespace.command(DAEMON, "-c", config), capture_output=True, text=True)
    assert result.returncode > 0
    assert "bad" in result.stderr
    assert "good" not in namespace.ip("link show")
    assert not (tmp_path / "x").exists() and not (tmp_path / "s").exists()


@pytest.mark.parametrize("name", ["xfrm", "show"])
def test_a_socket_path_with_a_file_is_refused_and_the_file_stays(netns, tmp_path, name):
    files = {key: tmp_path / key for key in ("xfrm", "show")}
    files[name].write_text("precious")
    config = tmp_path / "file.yaml"
    config.write_text("ports:\n- {name: lan, device: 'net_null0,no-rx=1', side: protected}\n"
                      f"sockets: {{xfrm: {files['xfrm']}, show: {files['show']}}}\n")
    result = subprocess.run(netns("file").command(DAEMON, "-c", config), capture_output=True,
                            text=True)
    assert result.returncode > 0
    assert f"{files[name]}: exists and is no socket" in result.stderr
    assert files[name].read_text() == "precious"


@pytest.fixture(scope="module")
def alone(netns):
    engine = Engine(netns("daemon"), [{**PORT, "device": "net_null0,no-rx=1"}])
    yield engine
    engine.stop()


def test_a_second_daemon_on_the_same_sockets_is_refused(alone, netns):
    config = alone.path("config.yaml")
    result = subprocess.run(netns("second").command(DAEMON, "-c", config), capture_output=True,
                            text=True)
    assert result.returncode > 0
    assert "sock" in result.stderr
    assert alone.ctl("status", "show")


@pytest.mark.parametrize("name", ["xfrm.sock", "show.sock"])
def test_sockets_are_for_root_and_the_group_only(alone, name):
    mode = os.stat(alone.path(name)).st_mode
    assert stat.S_ISSOCK(mode)
    assert mode & 0o007 == 0


def test_the_log_warns_where_there_are_no_huge_pages(alone):
    with open("/proc/sys/vm/nr_hugepages") as file:
        if int(file.read()) == 0:
            assert "huge" in alone.log()


def test_the_log_warns_of_counter_modes_with_manual_keys(alone):
    add = "xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi {:#x} mode tunnel "
    keys = [secrets.token_hex(20) for _ in range(4)]
    gcm = "aead rfc4106(gcm(aes)) 0x{} 128"
    told = alone.log().count("RFC 8221")
    # What an IKE daemon does: an SPI allocated before, the number of an acquire, a lifetime.
    shown = alone.ip("xfrm state allocspi src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel "
                     "min 0x1000 max 0x1000")
    assert "0x00001000" in shown
    alone.ip(add.format(0x1000).replace("add", "update") + gcm.format(keys[0]))
    alone.ip(add.format(0x1001) + "limit time-hard 3600 " + gcm.format(keys[1]))
    alone.ip(add.format(0x1002) + f"auth-trunc hmac(sha256) 0x{'5a' * 32} 128 enc cbc(aes) 0x{'a5' * 16}")
    assert alone.log().count("RFC 8221") == told
    for spi, key in enumerate(keys[2:], 0x1003):
        alone.ip(add.format(spi) + gcm.format(key))
    lines = [line for line in alone.log().splitlines() if "RFC 8221" in line]
    assert len(lines) == told + 1
    assert "aes128gcm16" in lines[-1] and "0x00001003" in lines[-1]
    assert not any(key[i:i + 8] in alone.log() for key in keys for i in range(32))


def test_sigterm_ends_it_cleanly(netns):
    namespace = netns("term")
    engine = Engine(namespace, [{**PORT, "device": "net_null0,no-rx=1"}])
    sockets = engine.path("xfrm.sock"), engine.path("show.sock")
    folder = engine.folder
    engine.folder = type("Kept", (), {"name": folder.name, "cleanup": lambda self: None})()
    engine.stop()
    assert not any(os.path.exists(s) for s in sockets)
    assert "lan" not in namespace.ip("link show")
    folder.cleanup()


def test_kill_9_and_start_again():
    """Nothing that a crash leaves is in the way: interfaces, sockets, memory, key files."""
    gateway = Gateway()
    try:
        engine = gateway.engine
        tunnel = gateway.tunnel()
        gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
        left = set(glob.glob("/dev/hugepages/*") + glob.glob("/var/run/dpdk/*/*"))
        engine.kill()
        assert set(glob.glob("/dev/hugepages/*") + glob.glob("/var/run/dpdk/*/*")) <= left
        engine.start()
        gateway.gw.batch(["link set lan up", "link set wan up"])
        gateway.address()
        assert engine.ip("xfrm state list") == ""
        tunnel = gateway.tunnel()
        packet = udp(HOST[4], REMOTE[4])
        assert gateway.outbound(tunnel, packet)[1][Raw].load == packet[Raw].load
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))
    finally:
        gateway.close()


def test_stops_with_traffic_under_way():
    gateway = Gateway()
    try:
        tunnel = gateway.tunnel()
        packets = [bytes(gateway.lan.frame(udp(HOST[4], REMOTE[4]))) for _ in range(2000)]
        gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
        for packet in packets:
            gateway.lan.send(packet)
    finally:
        gateway.close()
