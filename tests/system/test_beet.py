# SPDX-License-Identifier: BSD-3-Clause
"""
BEET mode: outside a tunnel's addresses, inside those of the SA's selector, which nobody sends. The
peer's side is put together here from scapy's ESP, as scapy has no such mode.
"""

import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, PadN
from scapy.packet import Raw

from esp import CBC, SUITES, Peer, Tunnel
from gateway import FLUSH, HOST, OURS, REMOTE, THEIRS, ip, udp
from wire import payload_is

BEETPH = 94

every_pair = pytest.mark.parametrize("inner,outer", [(4, 4), (6, 4), (4, 6), (6, 6)],
                                     ids=lambda f: f"v{f}")


class Beet(Tunnel):
    """SAs between the gateways for one host on either side."""

    def __init__(self, inner, outer, **options):
        super().__init__(OURS[outer], THEIRS[outer], mode="beet", **options)
        self.inner = inner
        self.near, self.far = HOST[inner], REMOTE[inner]

    def state(self, way):
        src, dst = (self.near, self.far) if way == "o" else (self.far, self.near)
        words = super().state(way).replace("flag af-unspec ", "")
        bits = 32 if self.inner == 4 else 128
        return f"{words} sel src {src}/{bits} dst {dst}/{bits}"

    def install(self, gateway):
        gateway.engine.batch(FLUSH + self.states() + self.policies(self.near, self.far))
        return self

    def carry(self, packet):
        """Payload and its kind, as ESP of BEET mode carries them of an inner packet."""
        if isinstance(packet, IPv6):
            return bytes(packet)[40:], packet.nh
        options, payload = bytes(packet)[20:packet.ihl * 4], bytes(packet)[packet.ihl * 4:]
        if not options:
            return payload, packet.proto
        padding = bytes([1] * (4 - (len(options) & 4)))
        pseudo = struct.pack("!BBBB", packet.proto, len(options) // 8, len(padding), 0)
        return pseudo + padding + options + payload, BEETPH

    def seal(self, packet, **fields):
        """What the peer sends of an inner packet."""
        data, nh = self.carry(packet)
        return self.seal_carried(data, nh, **fields)

    def seal_carried(self, data, nh, **fields):
        block = 16 if self.suite.crypt == CBC.crypt else 4
        pad = -(len(data) + 2) % block
        outer = ip(self.theirs, self.ours, **fields)
        sealed = self.into.seal_raw(data, bytes(range(1, pad + 1)), nh, outer=outer)
        return self.into.wrap(outer.__class__(bytes(sealed)))

    def opened(self, sealed):
        """Payload and its kind, and the outer header, of what the engine sent."""
        outer = sealed[IPv6 if ":" in self.ours else IP]
        if self.ports:
            esp = bytes(outer[UDP].payload)
        else:
            esp = bytes(outer.payload)
        header = ip(self.ours, self.theirs, **{"nh" if ":" in self.ours else "proto": 50})
        plain = self.out.sa.decrypt(header.__class__(bytes(header / Raw(esp))))
        return bytes(plain.payload), plain.nh if ":" in self.ours else plain.proto, outer


def is_from_us(packet):
    return (IP in packet and packet[IP].src == OURS[4]) or \
        (IPv6 in packet and packet[IPv6].src == OURS[6])


def outbound(gateway, beet, packet):
    gateway.lan.send(packet)
    return beet.opened(gateway.wan.receive(is_from_us, "ESP"))


def inbound(gateway, beet, packet, **fields):
    gateway.wan.send(beet.seal(packet, **fields))
    return gateway.lan.receive(payload_is(packet[Raw].load), "the inner packet").payload


def expect(gateway, beet, reason, *packets, wire=None):
    def fence():
        inbound(gateway, beet, udp(beet.far, beet.near))

    reasons, out = gateway.fate(wire or gateway.wan, *packets, fence=fence)
    assert reasons == {reason: len(packets)}
    assert [p.summary() for p in out] == []


@every_pair
@pytest.mark.parametrize("suite", SUITES, ids=lambda s: s.name)
@pytest.mark.parametrize("ports", [None, (4500, 4500)], ids=["esp", "udp"])
def test_C43_only_payload_travels_and_the_selector_has_the_addresses(
        gateway, inner, outer, suite, ports):
    beet = Beet(inner, outer, suite=suite, ports=ports).install(gateway)
    for size in [*range(24, 41), 1200]:
        there = udp(beet.near, beet.far, size=size, ttl=9, **(
            {"tos": 0x28, "id": size} if inner == 4 else {"tc": 0x28}))
        data, nh, header = outbound(gateway, beet, there)
        assert (data, nh) == (bytes(there.payload), 17)
        assert (header.src, header.dst) == (OURS[outer], THEIRS[outer])
        if outer == 4:
            assert (header.ttl, header.tos) == (8, 0x28)
            assert inner == 6 or header.id == size
        else:
            assert (header.hlim, header.tc) == (8, 0x28)

        back = udp(beet.far, beet.near, size=size)
        got = inbound(gateway, beet, back, ttl=20, **(
            {"tos": 0x48, "id": size} if outer == 4 else {"tc": 0x48}))
        assert (got.src, got.dst) == (beet.far, beet.near)
        assert bytes(got[UDP])[:len(back[UDP])] == bytes(back[UDP])
        if inner == 4:
            again = IP(bytes(got))
            del again.chksum
            assert IP(bytes(again)).chksum == got.chksum
            assert (got.ttl, got.tos) == (19, 0x48)
            assert outer == 6 or got.id == size
        else:
            assert (got.hlim, got.tc) == (19, 0x48)


OPTIONS = {
    4: [IPOption_NOP()] * 4,
    8: [IPOption_RR(routers=["0.0.0.0"]), IPOption_NOP()],
    40: [IPOption_RR(routers=["0.0.0.0"] * 9), IPOption_NOP()],
}


@pytest.mark.parametrize("size", OPTIONS)
@pytest.mark.parametrize("outer", [4, 6])
def test_ipv4_options_travel_behind_a_pseudo_header(gateway, size, outer):
    beet = Beet(4, outer).install(gateway)
    there = udp(beet.near, beet.far, options=OPTIONS[size])
    data, nh, header = outbound(gateway, beet, there)
    assert (data, nh) == beet.carry(there)
    assert nh == BEETPH and len(bytes(there.payload)) + (4 + size + 7) // 8 * 8 == len(data)
    assert outer == 6 or header.ihl == 5
    back = udp(beet.far, beet.near, options=OPTIONS[size])
    got = inbound(gateway, beet, back)
    assert got.ihl == 5 + size // 4
    assert bytes(got)[20:] == bytes(back)[20:]


def test_pseudo_headers_that_are_wrong(gateway):
    beet = Beet(4, 4).install(gateway)
    payload = bytes(udp(beet.far, beet.near).payload)
    pseudo = [struct.pack("!BBBB", 17, length, pad, 0) + bytes([1] * 4)
              for length, pad in ((0, 1), (0, 8), (0, 255), (200, 4), (6, 4), (255, 0))]
    expect(gateway, beet, "inner", *[beet.seal_carried(p + payload, BEETPH) for p in pseudo])
    expect(gateway, beet, "inner", *[beet.seal_carried(bytes(n), BEETPH) for n in range(8)])
    nested = struct.pack("!BBBB", BEETPH, 0, 4, 0) + bytes([1] * 4)
    expect(gateway, beet, "next_header", beet.seal_carried(nested + nested + payload, BEETPH))


@pytest.mark.parametrize("inner,numbers", [(4, (0, 43, 44, 60)), (6, (44, BEETPH))])
def test_a_next_header_that_does_not_fit(gateway, inner, numbers):
    beet = Beet(inner, 4).install(gateway)
    expect(gateway, beet, "next_header",
           *[beet.seal_carried(bytes([17, 0, 0, 0, 0, 0, 0, 1]) + bytes(32), n) for n in numbers])


def test_extension_headers_are_payload(gateway):
    beet = Beet(6, 4).install(gateway)
    chain = IPv6(src=beet.near, dst=beet.far) / IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]) \
        / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
    there = IPv6(bytes(chain / UDP(bytes(udp(beet.near, beet.far)[UDP]))))
    data, nh, _ = outbound(gateway, beet, there)
    assert (data, nh) == (bytes(there)[40:], 0)
    back = IPv6(bytes(IPv6(src=beet.far, dst=beet.near) / there.payload))
    assert bytes(inbound(gateway, beet, back))[40:] == bytes(back)[40:]


def test_C38_fragments_are_not_protected_in_beet_mode(gateway):
    """Over IPv6: IPv4 fragments are put together by the kernel before af_packet sees them."""
    beet = Beet(6, 4).install(gateway)
    data = bytes(udp(beet.near, beet.far, size=512).payload)
    outer = IPv6(src=beet.near, dst=beet.far)
    expect(gateway, beet, "fragment_out",
           outer / IPv6ExtHdrFragment(nh=17, m=1, id=9) / Raw(data[:256]),
           outer / IPv6ExtHdrFragment(nh=17, offset=32, id=9) / Raw(data[256:]), wire=gateway.lan)


@pytest.mark.parametrize("options", [0, 4])
@every_pair
def test_C61_the_largest_packet_that_fits_passes_and_one_byte_more_is_answered(
        gateway, inner, outer, options):
    beet = Beet(inner, outer, suite=CBC).install(gateway)
    if inner == 6 and options:
        return
    payload = (1500 - (20 if outer == 4 else 40) - 8 - 16 - 16) // 16 * 16 - 2
    payload -= 8 if options else 0
    most = (20 if inner == 4 else 40) + options + payload
    more = {"flags": "DF"} if inner == 4 else {}
    if options:
        more["options"] = OPTIONS[options]
    there = udp(beet.near, beet.far, size=payload - 8, **more)
    assert len(bytes(there)) == most
    gateway.lan.send(there)
    sealed = gateway.wan.receive(is_from_us, "ESP")
    assert len(sealed[IP if outer == 4 else IPv6]) <= 1500
    gateway.lan.send(udp(beet.near, beet.far, size=payload - 7, **more))
    if inner == 4:
        error = gateway.lan.receive(lambda p: p.haslayer("ICMP") and p["ICMP"].type == 3)
        assert error["ICMP"].nexthopmtu == most
    else:
        error = gateway.lan.receive(lambda p: p.haslayer("ICMPv6PacketTooBig"))
        assert error["ICMPv6PacketTooBig"].mtu == most


def test_the_selector_must_name_one_address_of_each(gateway):
    beet = Beet(4, 4)
    words = beet.state("i").replace("/32", "/24")
    assert "one address to one address" in gateway.engine.try_ip(f"xfrm state add {words}").stderr


def test_C52_other_flows_of_the_policy_do_not_use_the_sa(gateway):
    beet = Beet(4, 4)
    gateway.engine.batch(FLUSH + beet.states() + beet.policies("10.1.0.0/16", "10.2.0.0/16"))
    expect(gateway, beet, "selector", udp(HOST[4], "10.2.0.99"), wire=gateway.lan)
