# SPDX-License-Identifier: BSD-3-Clause
"""Policies: nothing that one protects leaves in clear text, whoever sent it and whatever is missing."""

import socket

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.ipsec import ESP
from scapy.packet import Raw

from esp import Tunnel
from gateway import FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS, is_esp, udp
from netns import wait_for
from wire import payload_is


@pytest.fixture
def empty(gateway):
    """The gateway without any SA or policy."""
    gateway.engine.batch(FLUSH)
    return gateway


def clear_fence(gateway):
    """A fence without a tunnel: the engine answers a packet whose TTL ends there."""
    probe = udp(HOST[4], REMOTE[4], ttl=1)
    gateway.lan.send(probe)
    gateway.lan.receive(lambda p: ICMP in p and p[ICMP].type == 11, "time exceeded")


def fate_outbound(gateway, *packets, fences=2):
    reasons, out = gateway.fate(gateway.lan, *packets, fence=lambda: clear_fence(gateway))
    assert reasons.pop("ttl") == fences
    return reasons, out


def no_icmp(packets):
    return [p.summary() for p in packets if ICMP not in p and "ICMPv6" not in p.summary()]


def test_C53_B38_without_a_policy_nothing_leaves(empty):
    reasons, out = fate_outbound(empty, udp(HOST[4], REMOTE[4]), udp(HOST[6], REMOTE[6]))
    assert reasons == {"policy_out": 2}
    assert no_icmp(out) == []


def test_C55_B39_a_protect_policy_without_an_sa_asks_for_one_and_drops(empty):
    tunnel = Tunnel(OURS[4], THEIRS[4])
    empty.engine.batch(tunnel.policies(NEAR[4], FAR[4]))
    reasons, out = fate_outbound(empty, *[udp(HOST[4], REMOTE[4]) for _ in range(5)])
    assert reasons == {"no_sa_out": 5}
    assert no_icmp(out) == []


def test_a_deleted_sa_leaves_no_clear_text_behind(gateway):
    tunnel = gateway.tunnel()
    gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
    gateway.engine.ip(f"xfrm state delete src {OURS[4]} dst {THEIRS[4]} proto esp "
                      f"spi {tunnel.spi_out:#x}")
    reasons, out = fate_outbound(gateway, *[udp(HOST[4], REMOTE[4]) for _ in range(5)])
    assert reasons == {"no_sa_out": 5}
    assert no_icmp(out) == []


def test_C8_B41_a_sequence_at_its_end_sends_nothing_more(empty):
    tunnel = Tunnel(OURS[4], THEIRS[4])
    empty.engine.batch([tunnel.states()[0],
                        tunnel.states()[1] + f" replay-oseq {2**32 - 3:#x}",
                        *tunnel.policies(NEAR[4], FAR[4])])
    numbers = [empty.outbound(tunnel, udp(HOST[4], REMOTE[4]))[0][ESP].seq for _ in range(2)]
    assert numbers == [2**32 - 2, 2**32 - 1]
    reasons, out = fate_outbound(empty, *[udp(HOST[4], REMOTE[4]) for _ in range(3)])
    assert reasons == {"seq_exhausted": 3}
    assert no_icmp(out) == []


def test_C56_a_block_policy_discards_and_says_so(empty):
    empty.engine.ip(f"xfrm policy add src {NEAR[4]} dst {FAR[4]} dir out action block")
    packet = udp(HOST[4], REMOTE[4])
    empty.lan.send(packet)
    answer = empty.lan.receive(lambda p: ICMP in p and p[ICMP].type == 3, "administratively prohibited")
    assert answer[ICMP].code == 13
    assert answer[IP].dst == HOST[4]


def test_C54_an_allow_policy_lets_clear_text_pass(empty):
    empty.engine.ip(f"xfrm policy add src {NEAR[4]} dst {FAR[4]} dir out action allow")
    packet = udp(HOST[4], REMOTE[4])
    empty.lan.send(packet)
    got = empty.wan.receive(payload_is(packet[Raw].load), "it, in clear text")
    assert got[IP].ttl == 63


def test_of_several_policies_the_smaller_priority_wins(gateway):
    tunnel = gateway.tunnel(inner=())
    bypass = f"xfrm policy add src {NEAR[4]} dst {REMOTE[4]}/32 proto udp dport 5000 dir out " \
        "action allow priority"
    protect = [line.replace("dir out", "dir out priority 200")
               for line in tunnel.policies(NEAR[4], FAR[4], into=())]
    gateway.engine.batch(protect + [f"{bypass} 300"])
    gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
    gateway.engine.batch(["xfrm policy flush"] + protect + [f"{bypass} 100"])
    packet = udp(HOST[4], REMOTE[4])
    gateway.lan.send(packet)
    gateway.wan.receive(payload_is(packet[Raw].load), "port 5000 in clear text")
    other = udp(HOST[4], REMOTE[4], dport=5001)
    gateway.lan.send(other)
    sealed = gateway.wan.receive(is_esp, "port 5001 sealed")
    assert tunnel.out.open(sealed)[UDP].dport == 5001


def test_spoke_to_hub_to_spoke(gateway):
    """What one tunnel brings and another must carry on is sealed again, never seen in clear text."""
    first = gateway.tunnel()
    second = Tunnel(OURS[4], THEIRS[4], spi=0x20002, reqid=2)
    spoke = "10.3.0.0/16"
    gateway.engine.batch(second.states() + second.policies(FAR[4], spoke)
                         + first.policies(spoke, FAR[4], into=("fwd",)))
    gateway.gw.ip(f"route replace {spoke} via {THEIRS[4]}")
    wait_for(lambda: spoke in gateway.engine.routes(), "the route")
    packet = udp(REMOTE[4], "10.3.0.9", ttl=9)
    gateway.wan.take()
    gateway.wan.send(first.into.seal(packet))
    sealed = gateway.wan.receive(is_esp, "the second tunnel's ESP")
    assert sealed[ESP].spi == second.spi_out
    inner = second.out.open(sealed)
    assert inner[Raw].load == packet[Raw].load
    assert inner.ttl == 8
    assert gateway.wan.take() == []


def test_what_the_host_itself_sends_goes_through_the_policies(speaking):
    tunnel = Tunnel(OURS[4], THEIRS[4])
    speaking.engine.batch(FLUSH + tunnel.states() + tunnel.policies(OURS[4] + "/32", FAR[4]))
    speaking.gw.run("ping", "-c", "1", "-W", "1", REMOTE[4], check=False)
    sealed = speaking.wan.receive(is_esp, "the host's packet, sealed")
    inner = tunnel.out.open(sealed)
    assert (inner.src, inner.dst) == (OURS[4], REMOTE[4])
    assert ICMP in inner
    assert not [p for p in speaking.wan.take() if IP in p and p[IP].proto == 1]


def test_a_tunnel_to_the_host_itself_answers(speaking):
    """Decrypted packets for an address of the gateway go up the interface that owns it."""
    tunnel = Tunnel(OURS[4], THEIRS[4])
    speaking.engine.batch(FLUSH + tunnel.states() + tunnel.policies(NEAR[4], FAR[4]))
    echo = IP(src=REMOTE[4], dst="10.1.0.1") / ICMP(id=7, seq=9) / Raw(b"to the gateway itself")
    speaking.wan.send(tunnel.into.seal(echo))
    sealed = speaking.wan.receive(is_esp, "the answer, sealed")
    reply = tunnel.out.open(sealed)
    assert reply[ICMP].type == 0 and reply[Raw].load == echo[Raw].load


@pytest.mark.parametrize("port", [500, 4500])
def test_C54_C65_B27_ike_for_the_host_needs_no_policy(speaking, port):
    speaking.engine.batch(FLUSH)
    data = (bytes(4) if port == 4500 else b"") + b"an IKE message"
    with speaking.gw.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.settimeout(10)
        daemon.bind((OURS[4], port))
        speaking.wan.send(IP(src=THEIRS[4], dst=OURS[4]) / UDP(sport=port, dport=port) / Raw(data))
        assert daemon.recvfrom(100) == (data, (THEIRS[4], port))
        # And its answer leaves.
        daemon.sendto(data + b" answered", (THEIRS[4], port))
        speaking.wan.receive(payload_is(data + b" answered"), "the answer in clear text")
