# SPDX-License-Identifier: BSD-3-Clause
"""
Packets that wait for an SA. Whoever listens for acquires may bring one: here that is `ip xfrm
monitor`, and the test brings it. (Real IKE daemons: test_strongswan.py, TestTraps.)
"""

import os
import subprocess

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.packet import Raw

from engine import TOOLS
from esp import Tunnel
from gateway import FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS, is_esp, udp
from netns import wait_for
from wire import payload_is

FROM_NEAR = f"src {NEAR[4]} dst {FAR[4]} dir out"


def waiting(engine):
    return engine.ctl("policy", "show")["waiting"]


class Listener:
    """Subscribes to acquires, and does nothing about them."""

    def __init__(self, engine):
        self.process = subprocess.Popen(
            engine.netns.command(TOOLS / "sealane-xfrm", "ip", "xfrm", "monitor", "acquire"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "SEALANE_XFRM_SOCKET": engine.path("xfrm.sock")})
        wait_for(lambda: waiting(engine)["daemon_listens"], "the engine to know of the listener")

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def heard(gateway):
    """Without any SA or policy, and somebody listens."""
    gateway.engine.batch(FLUSH)
    listener = Listener(gateway.engine)
    yield gateway
    listener.close()
    gateway.engine.batch(FLUSH)
    wait_for(lambda: waiting(gateway.engine)["packets"] == 0, "everybody to be gone")


def held(gateway, *packets, wire=None, tunnel=None):
    """A policy that has no SA, and packets that wait for one. Gives the tunnel that they want."""
    tunnel = tunnel or Tunnel(OURS[4], THEIRS[4])
    gateway.engine.batch([line.replace("dir out", "dir out priority 200")
                          for line in tunnel.policies(NEAR[4], FAR[4])])
    gateway.lan.take()
    gateway.wan.take()
    for packet in packets:
        (wire or gateway.lan).send(packet)
    wait_for(lambda: waiting(gateway.engine)["packets"] == len(packets), "the packets to wait")
    return tunnel


def some(n):
    return [udp(HOST[4], REMOTE[4]) for _ in range(n)]


def drops_of(engine, before):
    return {r: n - before[r] for r, n in engine.drops().items() if n != before[r]}


def test_C55_packets_go_on_in_their_order_once_there_is_an_sa(heard):
    packets = some(20)
    before = heard.engine.drops()
    tunnel = held(heard, *packets)
    heard.engine.batch(tunnel.states())
    for packet in packets:
        opened = tunnel.out.open(heard.wan.receive(is_esp, "a packet that waited"))
        assert opened[Raw].load == packet[Raw].load
    assert heard.wan.take() == []
    assert drops_of(heard.engine, before) == {}
    assert waiting(heard.engine)["packets"] == 0
    heard.engine.check_equation()


def test_B39_in_vain(heard):
    """They wait for 15 seconds."""
    before, expired = heard.engine.drops(), waiting(heard.engine)["expired"]
    held(heard, *some(3))
    wait_for(lambda: waiting(heard.engine)["packets"] == 0, "the end of their patience", 60)
    assert waiting(heard.engine)["expired"] == expired + 3
    wait_for(lambda: drops_of(heard.engine, before) == {"no_sa_out": 3}, "them to be dropped")
    assert heard.wan.take() == []
    assert "packets waiting for an SA:" in heard.engine.ctl_text("policy", "show")


def test_a_policy_that_is_deleted_meanwhile_protects_them_to_the_end(heard):
    before = heard.engine.drops()
    held(heard, *some(3))
    heard.engine.ip(f"xfrm policy delete {FROM_NEAR}")
    wait_for(lambda: drops_of(heard.engine, before) == {"policy_out": 3}, "them to be dropped")
    assert [p for p in heard.wan.take() if IP in p] == []


def test_C56_a_policy_that_comes_to_discard_meanwhile(heard):
    before = heard.engine.drops()
    held(heard, *some(3))
    heard.engine.ip(f"xfrm policy update {FROM_NEAR} action block")
    wait_for(lambda: drops_of(heard.engine, before) == {"policy_out": 3}, "them to be dropped")
    assert [p for p in heard.wan.take() if IP in p] == []


@pytest.mark.parametrize("policy", [
    pytest.param(f"update {FROM_NEAR}", id="exchanged"),
    pytest.param(f"add src {NEAR[4]} dst {REMOTE[4]}/32 dir out", id="another")])
def test_C54_a_policy_that_comes_to_let_them_pass_meanwhile(heard, policy):
    packets = some(3)
    held(heard, *packets)
    heard.engine.ip(f"xfrm policy {policy} action allow")
    for packet in packets:
        heard.wan.receive(payload_is(packet[Raw].load), "a packet in clear text")


def test_out_of_one_tunnel_into_one_that_is_to_come(heard):
    first, second = Tunnel(OURS[4], THEIRS[4]), Tunnel(OURS[4], THEIRS[4], spi=0x20002, reqid=2)
    spoke = "10.3.0.0/16"
    heard.engine.batch(first.states() + first.policies(spoke, FAR[4], into=("fwd",))
                       + second.policies(FAR[4], spoke))
    heard.gw.ip(f"route replace {spoke} via {THEIRS[4]}")
    wait_for(lambda: spoke in heard.engine.routes(), "the route")
    packets = [udp(REMOTE[4], "10.3.0.9", ttl=9) for _ in range(3)]
    held(heard, *[first.into.seal(packet) for packet in packets], wire=heard.wan, tunnel=first)
    heard.engine.batch(second.states())
    for packet in packets:
        sealed = heard.wan.receive(is_esp, "the second tunnel's ESP")
        opened = second.out.open(sealed)
        assert (opened[Raw].load, opened.ttl) == (packet[Raw].load, 8)


def test_what_the_host_itself_sends(speaking):
    tunnel = Tunnel(OURS[4], THEIRS[4])
    speaking.engine.batch(FLUSH + tunnel.policies(OURS[4] + "/32", FAR[4]))
    listener = Listener(speaking.engine)
    speaking.gw.run("ping", "-c", "3", "-i", "0.01", "-W", "1", REMOTE[4], check=False)
    wait_for(lambda: waiting(speaking.engine)["packets"] == 3, "three echo requests to wait")
    speaking.engine.batch(tunnel.states())
    for number in (1, 2, 3):
        inner = tunnel.out.open(speaking.wan.receive(is_esp, "the host's packet, sealed"))
        assert (inner.src, inner.dst, inner[ICMP].seq) == (OURS[4], REMOTE[4], number)
    listener.close()
