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
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw

from gateway import FAR, HOST, NEAR, OURS, REMOTE, THEIRS, Gateway, ip, udp
from netns import wait_for
from wire import payload_is

pytestmark = pytest.mark.slow_under_sanitizer  # net_af_xdp; the unit tests go the same ways

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def gateway():
    gateway = Gateway(ports={"wan": {"device": "net_af_xdp0,iface=wan0"}})
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
    gateway = Gateway(ports={"wan": {"device": "net_af_xdp0,iface=wan0"}}, reassembly={"timeout": 1})
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
