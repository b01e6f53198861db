# SPDX-License-Identifier: BSD-3-Clause
"""
Fragments, over a port that shows them as they are: before net_af_packet the kernel would put IPv4's
together.
"""

import itertools
import secrets
import socket

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from gateway import FAR, HOST, NEAR, OURS, REMOTE, THEIRS, Gateway, ip, is_esp, udp
from netns import wait_for
from test_leaks import send_as_kernel
from test_policy import fate_outbound
from wire import payload_is

pytestmark = pytest.mark.slow_under_sanitizer  # net_af_xdp; the unit tests go the same ways

PORTS = {"wan": {"device": "net_af_xdp0,iface=wan0"}}
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def gateway():
    gateway = Gateway(ports=PORTS)
    yield gateway
    gateway.close()


@pytest.fixture
def tunnel(gateway):
    return gateway.tunnel()


def cut(packet, size):
    """The packet in fragments with `size` bytes of it each."""
    header = packet.copy()
    header.remove_payload()
    data, number = bytes(packet.payload), next(numbers)
    for at in range(0, len(data), size):
        part, more = data[at:at + size], at + size < len(data)
        if isinstance(packet, IP):
            yield IP(bytes(IP(src=header.src, dst=header.dst, proto=header.proto, id=number,
                              flags="MF" if more else 0, frag=at // 8) / Raw(part)))
        else:
            yield IPv6(src=header.src, dst=header.dst) \
                / IPv6ExtHdrFragment(nh=header.nh, id=number, offset=at // 8, m=more) / Raw(part)


def fence(gateway, tunnel):
    return lambda: gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("order", [lambda f: f, lambda f: f[::-1], lambda f: f[1:] + f[:1],
                                   lambda f: [g for g in f for _ in (0, 1)][:-1]],
                         ids=["in order", "backwards", "first last", "twice"])
def test_C37_esp_in_fragments_is_opened(gateway, outer, order):
    tunnel = gateway.tunnel(outer)
    packet = udp(REMOTE[4], HOST[4], size=1000)
    for fragment in order(list(cut(tunnel.into.seal(packet), 400))):
        gateway.wan.send(fragment)
    got = gateway.lan.receive(payload_is(packet[Raw].load), "the decrypted packet")
    assert got[IP].src == REMOTE[4] and got[IP].flags != "MF" and got[IP].frag == 0


@pytest.mark.parametrize("outer", [4, 6])
def test_C37_esp_longer_than_any_port_takes_is_opened(gateway, outer):
    """And fits the host's link again: cut, or small once the padding is off."""
    tunnel = gateway.tunnel(outer)
    packet = udp(REMOTE[4], HOST[4], size=20000)
    for fragment in cut(tunnel.into.seal(packet), 1400):
        gateway.wan.send(fragment)
    parts = {}
    while sum(map(len, parts.values())) < 8 + len(packet[Raw].load):
        got = gateway.lan.receive(lambda p: IP in p and p[IP].src == REMOTE[4], "a part")
        parts[got[IP].frag * 8] = bytes(got[IP].payload)[:got[IP].len - 20]
        assert got[IP].len <= 1500
    assert b"".join(parts[at] for at in sorted(parts)) == bytes(packet.payload)

    small = udp(REMOTE[4], HOST[4], data=b"small once more" + bytes(3))
    if outer == 4:  # with bytes of flow confidentiality behind
        for fragment in cut(tunnel.into.seal_raw(bytes(small) + bytes(16000), b""), 1400):
            gateway.wan.send(fragment)
        got = gateway.lan.receive(lambda p: UDP in p and b"once more" in bytes(p), "it")
        assert got[IP].len == len(small)


def test_C36_fragments_of_esp_that_overlap_are_dropped(gateway, tunnel):
    for outer in (4, 6):
        tunnel = gateway.tunnel(outer)
        first, second, third = cut(tunnel.into.seal(udp(REMOTE[4], HOST[4], size=500)), 200)
        wrong = second.copy()
        if outer == 4:
            wrong.frag -= 1
            del wrong.chksum
        else:
            wrong[IPv6ExtHdrFragment].offset -= 1
        reasons, out = gateway.fate(gateway.wan, first, wrong, second, third,
                                    fence=fence(gateway, tunnel))
        assert (reasons, out) == ({"frag_overlap": 4}, [])


def test_C36_fragments_of_esp_that_stay_alone_are_dropped():
    gateway = Gateway(ports=PORTS, reassembly={"timeout": 1})
    try:
        tunnel = gateway.tunnel()
        first, *_ = cut(tunnel.into.seal(udp(REMOTE[4], HOST[4], size=500)), 200)
        gateway.wan.send(first)
        wait_for(lambda: gateway.engine.drops()["frag_timeout"] == 1, "the drop")
    finally:
        gateway.close()


def test_esp_in_udp_in_fragments_is_opened(gateway):
    tunnel = gateway.tunnel()
    gateway.engine.batch(["xfrm state flush"] + [
        f"{line} encap espinudp 4500 4500 0.0.0.0" for line in tunnel.states()])
    packet = udp(REMOTE[4], HOST[4], size=1000)
    sealed = bytes(tunnel.into.seal(packet).payload)
    outer = IP(src=THEIRS[4], dst=OURS[4]) / UDP(sport=4500, dport=4500, chksum=0) / Raw(sealed)
    for fragment in cut(IP(bytes(outer)), 600):
        gateway.wan.send(fragment)
    gateway.lan.receive(payload_is(packet[Raw].load), "the decrypted packet")


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("port", [500, 4500])
@pytest.mark.parametrize("size", [1800, 9000, 60000])
def test_ike_in_fragments_reaches_the_daemon(gateway, tunnel, family, port, size):
    """No policy lets it in: a later fragment alone would not show that it is IKE."""
    data = bytes(4) + secrets.token_bytes(size)
    with gateway.gw.socket(socket.AF_INET if family == 4 else socket.AF_INET6,
                           socket.SOCK_DGRAM) as daemon:
        daemon.settimeout(10)
        daemon.bind((OURS[family], port))
        packet = ip(THEIRS[family], OURS[family]) / UDP(sport=port, dport=port) / Raw(data)
        for fragment in cut(packet.__class__(bytes(packet)), 1400):
            gateway.wan.send(fragment)
        assert daemon.recv(65536) == data


@pytest.mark.parametrize("family", [4, 6])
def test_clear_fragments_are_forwarded_as_they_are(gateway, family):
    gateway.tunnel()
    gateway.engine.batch(["xfrm policy flush",
                          f"xfrm policy add src {FAR[family]} dst {NEAR[family]} dir fwd action allow"])
    packet = udp(REMOTE[family], HOST[family], size=900)
    for fragment in cut(packet, 400):
        gateway.wan.send(fragment)
        data = bytes(fragment[Raw].load)
        got = gateway.lan.receive(lambda p, d=data: d in p.original, "the fragment")
        layer = got[IP] if family == 4 else got[IPv6ExtHdrFragment]
        sent = fragment if family == 4 else fragment[IPv6ExtHdrFragment]
        assert layer.id == sent.id
        assert (got[IP].frag, got[IP].flags) == (fragment.frag, fragment.flags) if family == 4 \
            else (layer.offset, layer.m) == (sent.offset, sent.m)


# What policies do with fragments (RFC 4301 section 7). Over IPv6 where they come from the host, by
# net_af_packet.


def allow(gateway, *selectors, more=()):
    """Policies by which traffic leaves, and comes, in clear, and nothing beside them."""
    gateway.tunnel()
    gateway.engine.batch(["xfrm policy flush", *more] + [
        f"xfrm policy add src {src} dst {dst} {selector} dir {way} priority 1 action allow"
        for selector in selectors
        for src, dst, way in ((NEAR[6], FAR[6], "out"), (FAR[6], NEAR[6], "fwd"))])


def pieces(packet, size=400):
    return list(cut(packet, size))


def load(fragment):
    """A match: the fragment's own bytes, in clear."""
    data = bytes(fragment.payload)
    return lambda p: data in p.original


def leaks(frames, fragments):
    """Frames with a fragment in clear; what we answer quotes some."""
    return [f.summary() for f in frames if any(load(fragment)(f) for fragment in fragments)
            and ICMPv6DestUnreach not in f]


@pytest.mark.parametrize("family", [4, 6])
def test_C39_a_tunnel_for_any_port_carries_all_fragments(gateway, family):
    tunnel = gateway.tunnel()
    for fragment in pieces(udp(HOST[6], REMOTE[6], size=900)):
        _, inner = gateway.outbound(tunnel, fragment)
        assert bytes(inner.payload) == bytes(fragment.payload)
    for fragment in pieces(udp(REMOTE[family], HOST[family], size=900)):
        gateway.wan.send(tunnel.into.seal(fragment))
        gateway.lan.receive(load(fragment), "the fragment")


@pytest.mark.parametrize("first_came", [False, True])
def test_C40_a_later_fragment_does_not_come_by_a_tunnel_for_some_ports(gateway, first_came):
    tunnel = gateway.tunnel()
    first, later, *_ = pieces(udp(REMOTE[6], HOST[6], size=900, dport=53))
    gateway.engine.batch([
        "xfrm policy flush",
        f"xfrm policy add src {FAR[6]} dst {NEAR[6]} proto udp dport 53 dir fwd "
        + tunnel.template("i")])
    good = lambda: gateway.inbound(tunnel, udp(REMOTE[6], HOST[6], dport=53))
    if first_came:
        gateway.wan.send(tunnel.into.seal(first))
        gateway.lan.receive(load(first), "the first fragment")
    reasons, out = gateway.fate(gateway.wan, tunnel.into.seal(later), fence=good)
    assert (reasons, out) == ({"selector": 1}, [])


def test_C41_later_fragments_follow_the_first_by_a_bypass_for_its_port(gateway):
    allow(gateway, "proto udp dport 53")
    for wire, far, src, dst in ((gateway.lan, gateway.wan, HOST, REMOTE),
                                (gateway.wan, gateway.lan, REMOTE, HOST)):
        for fragment in pieces(udp(src[6], dst[6], size=1200, dport=53)):
            wire.send(fragment)
            far.receive(load(fragment), "the fragment in clear")
    passing = pieces(udp(HOST[6], REMOTE[6], size=900, dport=53))
    other = pieces(udp(HOST[6], REMOTE[6], size=900, dport=54))
    reasons, out = fate_outbound(gateway, *passing[1:], *other)
    assert reasons == {"frag_early": 2, "policy_out": 3}
    assert leaks(out, passing + other) == []


def test_C41_icmp_type_and_code_count_as_ports(gateway):
    allow(gateway, "proto ipv6-icmp type 128 code 0")
    for kind in (128, 139):
        query = bytes([kind, 0, 0, 0]) + secrets.token_bytes(900)
        fragments = pieces(IPv6(src=HOST[6], dst=REMOTE[6], nh=58) / Raw(query))
        if kind == 139:
            reasons, out = fate_outbound(gateway, *fragments)
            assert reasons == {"policy_out": 3}
            assert leaks(out, fragments) == []
        else:
            for fragment in fragments:
                gateway.lan.send(fragment)
                gateway.wan.receive(load(fragment), "the fragment in clear")


def test_C41_what_is_not_bypassed_stays_protected(gateway):
    tunnel = gateway.tunnel()
    gateway.engine.batch([
        "xfrm policy flush",
        f"xfrm policy add src {NEAR[6]} dst {FAR[6]} proto udp dport 53 dir out priority 1 "
        "action allow",
        f"xfrm policy add src {NEAR[6]} dst {FAR[6]} dir out priority 9 {tunnel.template('o')}"])
    for fragment in pieces(udp(HOST[6], REMOTE[6], size=900, dport=54)):
        _, inner = gateway.outbound(tunnel, fragment)
        assert bytes(inner.payload) == bytes(fragment.payload)
    for fragment in pieces(udp(HOST[6], REMOTE[6], size=900, dport=53)):
        gateway.lan.send(fragment)
        gateway.wan.receive(load(fragment), "the fragment in clear")


def test_C41_a_stranger_s_first_fragment_opens_no_way_for_ours(gateway):
    """From the unprotected side, with our host's address and the same identification."""
    allow(gateway, "proto udp dport 53", more=[
        f"xfrm policy add src {NEAR[6]} dst {FAR[6]} proto udp dport 53 dir fwd priority 1 "
        "action allow"])
    first, _, _ = pieces(udp(HOST[6], REMOTE[6], size=900, dport=53))
    _, later, _ = pieces(udp(HOST[6], REMOTE[6], size=900, dport=54))
    later[IPv6ExtHdrFragment].id = first[IPv6ExtHdrFragment].id
    gateway.wan.send(first)
    gateway.wan.receive(load(first), "it, sent back the way it came")
    reasons, out = fate_outbound(gateway, later)
    assert reasons == {"frag_early": 1}
    assert leaks(out, [later]) == []


@pytest.mark.parametrize("family", [4, 6])
def test_ike_of_the_host_leaves_in_fragments(gateway, family):
    gateway.tunnel()
    ether = Ether(src=gateway.gw.mac("wan"), dst=gateway.wan.mac)
    ike = ip(OURS[family], THEIRS[family]) / UDP(sport=500, dport=500) \
        / Raw(secrets.token_bytes(3000))
    for fragment in pieces(ike.__class__(bytes(ike)), 1400):
        send_as_kernel(gateway, ether / fragment)
        gateway.wan.receive(load(fragment), "the fragment in clear")


def test_C42_the_configuration_discards_fragments():
    gateway = Gateway(ports=PORTS, spd={"fragments": "discard"})
    try:
        tunnel = gateway.tunnel()
        fragments = pieces(udp(HOST[6], REMOTE[6], size=900))
        reasons, out = fate_outbound(gateway, *fragments)
        assert reasons == {"frag_policy": 3}
        assert not any(is_esp(p) for p in out)
        sealed = [tunnel.into.seal(f) for f in pieces(udp(REMOTE[6], HOST[6], size=900))]
        reasons, out = gateway.fate(gateway.wan, *sealed, fence=fence(gateway, tunnel))
        assert (reasons, out) == ({"frag_policy": 3}, [])
        # ESP in fragments is put together first, and what we cut ourselves is ours.
        packet = udp(REMOTE[6], HOST[6], size=900)
        for fragment in pieces(tunnel.into.seal(packet)):
            gateway.wan.send(fragment)
        gateway.lan.receive(payload_is(packet[Raw].load), "the decrypted packet")
        gateway.lan.send(udp(HOST[4], REMOTE[4], size=1440))
        for _ in range(2):
            gateway.wan.receive(is_esp, "a part")
    finally:
        gateway.close()
