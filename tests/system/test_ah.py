# SPDX-License-Identifier: BSD-3-Clause
"""
AH (RFC 4302) against a second opinion, both directions, with every algorithm: what the ICV covers
and what it leaves out, and what becomes of bad packets.
"""

import struct

import pytest
from scapy.layers.inet import (IP, UDP, IPOption, IPOption_NOP, IPOption_Router_Alert, IPOption_RR,
                               IPOption_Timestamp)
from scapy.layers.inet6 import (HBHOptUnknown, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                                IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN)
from scapy.layers.ipsec import AH
from scapy.packet import Raw

import suites  # noqa: F401  adds AES-XCBC-96 to scapy
from ah import ALGORITHMS, SHA256, AhTunnel
from gateway import FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS, Gateway, ip, udp
from wire import HostWire, payload_is

SIZES = [24, 25, 26, 27, 33, 1300]

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda a: a.name)
with_and_without_esn = pytest.mark.parametrize("esn", [False, True], ids=["seq32", "esn"])
every_family = pytest.mark.parametrize("inner,outer", [(4, 4), (6, 4), (4, 6), (6, 6)],
                                       ids=lambda f: f"v{f}")
each_family = pytest.mark.parametrize("family", [4, 6], ids=lambda f: f"v{f}")


@pytest.fixture(scope="module", params=["ipsec-mb", "openssl"])
def both(request):
    gateway = Gateway(crypto={"backend": request.param, "legacy": ["sha1"]})
    yield gateway
    gateway.close()


def tunnel_of(gateway, outer=4, **options):
    tunnel = AhTunnel(OURS[outer], THEIRS[outer], **options)
    gateway.engine.batch(FLUSH + tunnel.states() + [
        line for family in (4, 6) for line in tunnel.policies(NEAR[family], FAR[family])])
    return tunnel


@every_algorithm
@every_family
@with_and_without_esn
def test_C10_C11_every_algorithm_family_and_number_agrees_with_scapy(
        both, algorithm, inner, outer, esn):
    tunnel = tunnel_of(both, outer, algorithm=algorithm, esn=esn, high=5 if esn else 0)
    shown = both.engine.ctl("sa", "show")["sa"]
    assert {(sa["protocol"], sa["suite"]) for sa in shown} == {("ah", algorithm.name)}
    for number, size in enumerate(SIZES, 1):
        there = udp(HOST[inner], REMOTE[inner], size=size)
        sealed, opened = both.outbound(tunnel, there)
        assert opened[Raw].load == there[Raw].load
        assert (sealed[AH].spi, sealed[AH].seq) == (tunnel.spi_out, number)
        back = udp(REMOTE[inner], HOST[inner], size=size)
        assert both.inbound(tunnel, back)[Raw].load == back[Raw].load


def fence(gateway, tunnel):
    return lambda: gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))


def expect(gateway, tunnel, reason, *packets):
    reasons, out = gateway.fate(gateway.wan, *packets, fence=fence(gateway, tunnel))
    assert reasons == {reason: len(packets)}
    assert [p.summary() for p in out] == []


def changed(packet, at, bits=1):
    """A copy with bits flipped at an offset from the IP header; an IPv4 checksum made right again."""
    data = bytearray(bytes(packet))
    data[at] ^= bits
    if data[0] >> 4 == 4:
        data[10:12] = bytes(2)
        header = bytes(data[:(data[0] & 15) * 4])
        total = sum(struct.unpack(f"!{len(header) // 2}H", header))
        total = (total & 0xffff) + (total >> 16)
        data[10:12] = struct.pack("!H", ~((total & 0xffff) + (total >> 16)) & 0xffff)
    return bytes(data)


def frame(gateway, data):
    """Bytes of an IP packet as a frame of the peer's."""
    ethertype = b"\x86\xdd" if data[0] >> 4 == 6 else b"\x08\x00"
    head = bytes(gateway.wan.frame(ip(THEIRS[4], OURS[4])))[:12]
    return head + ethertype + data


# Offsets into the IP header, and bits, of what routers may change (RFC 4302 section 3.3.3.1).
MUTABLE = {
    4: [(1, 0xfc), (1, 0x02), (6, 0x40), (6, 0x80), (8, 0x3f)],
    6: [(0, 0x0f), (1, 0xc0), (1, 0x0f), (2, 0xff), (3, 0xff), (7, 0x3f)],
}
# What they do not: what of the rest can be changed without another reason coming first.
IMMUTABLE = {
    4: [4, 5, *range(12, 16)],  # identification, source
    6: [*range(8 + 4, 8 + 16)],  # source
}


class TestCover:
    """What the ICV covers, to the byte."""

    @each_family
    def test_a_mutable_field_may_change_on_the_way(self, gateway, family):
        tunnel = tunnel_of(gateway, family)
        for at, bits in MUTABLE[family]:
            inner = udp(REMOTE[4], HOST[4], tos=2)
            data = changed(tunnel.into.seal(inner), at, bits)
            gateway.wan.send(frame(gateway, data))
            got = gateway.lan.receive(lambda p, i=inner: p.original.endswith(i[Raw].load),
                                      f"a packet with {bits:#x} changed at {at}")
            assert got[Raw].load == inner[Raw].load

    @each_family
    def test_C33_any_immutable_byte_is_under_the_icv(self, gateway, family):
        tunnel = tunnel_of(gateway, family)
        packet = tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=900)
        ah = 20 if family == 4 else 40
        behind = [0, 2, 3, *range(8, len(bytes(packet)) - ah)]  # but for length, SPI
        spots = IMMUTABLE[family] + [ah + at for at in behind]
        expect(gateway, tunnel, "icv",
               *[frame(gateway, changed(packet, at, 0x10)) for at in spots])

    def test_C33_the_icv_covers_its_own_padding(self, gateway):
        tunnel = tunnel_of(gateway, 6)
        packet = tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=900)
        assert packet[AH].payloadlen == (12 + 16 + 4) // 4 - 2
        expect(gateway, tunnel, "icv", frame(gateway, changed(packet, 40 + 12 + 16, 0x80)))

    @every_algorithm
    @with_and_without_esn
    def test_C33_a_flipped_bit_is_seen_with_every_algorithm(self, both, algorithm, esn):
        tunnel = tunnel_of(both, algorithm=algorithm, esn=esn)
        packet = tunnel.into.seal(udp(REMOTE[4], HOST[4], size=40), seq=900)
        length = len(bytes(packet))
        expect(both, tunnel, "icv", *[frame(both, changed(packet, at))
                                      for at in (4, 20 + 11, 20 + 12, 20 + 20, length - 40, length - 1)])

    def test_the_high_half_is_under_the_icv(self, gateway):
        tunnel = tunnel_of(gateway, esn=True, high=7)
        tunnel.into.esn["esn"] = tunnel.into.sa.esn = 6
        packet = tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=900)
        tunnel.into.esn["esn"] = tunnel.into.sa.esn = 7
        expect(gateway, tunnel, "icv", packet)


def tunnelled(tunnel, front, inner):
    """An AH packet under a header of the test's own; scapy takes it as in transport mode."""
    sa = tunnel.into.sa
    header, sa.tunnel_header = sa.tunnel_header, None
    try:
        return sa.encrypt(front.__class__(bytes(front / inner)))
    finally:
        sa.tunnel_header = header


class TestOptions:
    """IPv4 options (RFC 4302 appendix A1) and IPv6 extension headers in front of AH."""

    STAY = [IPOption_Router_Alert(), IPOption(b"\x82\x0b" + bytes(9)), IPOption(b"\x95\x06\1\2\3\4")]
    CHANGE = [IPOption_RR(routers=["0.0.0.0"] * 2), IPOption_Timestamp(),
              IPOption(b"\x88\x04\x12\x34"), IPOption(b"\x5e\x04\1\2")]

    def sealed(self, tunnel, option):
        front = IP(src=THEIRS[4], dst=OURS[4], options=[IPOption_NOP(), option], proto=4)
        return tunnelled(tunnel, front, udp(REMOTE[4], HOST[4]))

    @pytest.mark.parametrize("option", STAY + CHANGE, ids=lambda o: f"{bytes(o)[0]:#x}")
    def test_a_packet_with_an_option_is_accepted(self, gateway, option):
        tunnel = tunnel_of(gateway)
        packet = self.sealed(tunnel, option)
        assert packet[IP].ihl > 5
        gateway.wan.send(packet)
        gateway.lan.receive(lambda p: UDP in p, "the packet inside")

    @pytest.mark.parametrize("option", CHANGE, ids=lambda o: f"{bytes(o)[0]:#x}")
    def test_an_option_that_may_change_may(self, gateway, option):
        tunnel = tunnel_of(gateway)
        gateway.wan.send(frame(gateway, changed(self.sealed(tunnel, option), 20 + 1 + 3, 0x55)))
        gateway.lan.receive(lambda p: UDP in p, "the packet inside")

    @pytest.mark.parametrize("option", STAY, ids=lambda o: f"{bytes(o)[0]:#x}")
    def test_C33_an_option_that_may_not_change_does_not(self, gateway, option):
        tunnel = tunnel_of(gateway)
        expect(gateway, tunnel, "icv",
               frame(gateway, changed(self.sealed(tunnel, option), 20 + 1 + 3, 0x55)))

    @pytest.mark.parametrize("header", [IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt],
                             ids=["hop-by-hop", "destination"])
    @pytest.mark.parametrize("otype", [0x1e, 0x3e], ids=["stays", "changes"])
    def test_option_data_of_an_extension_header_counts_by_its_change_bit(
            self, gateway, header, otype):
        tunnel = tunnel_of(gateway, 6)
        options = [HBHOptUnknown(otype=otype, optlen=4, optdata=b"\1\2\3\4"), PadN(optdata=b"")]
        front = IPv6(src=THEIRS[6], dst=OURS[6]) / header(options=options, nh=4)
        packet = tunnelled(tunnel, front, udp(REMOTE[4], HOST[4]))
        gateway.wan.send(packet)
        gateway.lan.receive(lambda p: UDP in p, "the packet inside")
        data = changed(tunnelled(tunnel, front, udp(REMOTE[4], HOST[4])), 40 + 2 + 2 + 1, 0x55)
        if otype & 0x20:
            gateway.wan.send(frame(gateway, data))
            gateway.lan.receive(lambda p: UDP in p, "a packet whose option changed")
        else:
            expect(gateway, tunnel, "icv", frame(gateway, data))
        kind = changed(tunnelled(tunnel, front, udp(REMOTE[4], HOST[4])), 40 + 2, 0x01)
        expect(gateway, tunnel, "icv", frame(gateway, kind))

    def test_a_routing_header_counts_as_it_is_at_its_end(self, gateway):
        tunnel = tunnel_of(gateway, 6)
        front = IPv6(src=THEIRS[6], dst=OURS[6]) / IPv6ExtHdrRouting(
            type=253, segleft=0, addresses=[], nh=4)
        gateway.wan.send(tunnelled(tunnel, front, udp(REMOTE[4], HOST[4])))
        gateway.lan.receive(lambda p: UDP in p, "the packet inside")

    def test_C37_what_came_in_fragments_is_checked_as_a_whole(self, gateway):
        tunnel = tunnel_of(gateway, 6)
        inner = udp(REMOTE[4], HOST[4], size=900)
        packet = tunnel.into.seal(inner)
        whole = bytes(packet.payload)
        for offset in (0, 400, 800):
            part = whole[offset:offset + 400]
            gateway.wan.send(IPv6(src=THEIRS[6], dst=OURS[6]) / IPv6ExtHdrFragment(
                id=77, offset=offset // 8, m=offset < 800, nh=51) / Raw(part))
        gateway.lan.receive(payload_is(inner[Raw].load), "the packet inside")

    def test_extension_headers_that_cannot_be_used(self, gateway):
        tunnel = tunnel_of(gateway, 6)
        start = IPv6(src=THEIRS[6], dst=OURS[6])
        left = start / IPv6ExtHdrRouting(type=253, segleft=1, addresses=["2001:db8::1"], nh=4)
        long = start / IPv6ExtHdrDestOpt(
            options=[HBHOptUnknown(otype=0x1e, optlen=250, optdata=bytes(250))], nh=4)
        short = start / IPv6ExtHdrDestOpt(
            options=[HBHOptUnknown(otype=0x1e, optlen=4, optdata=b"1234")], nh=4)
        cut = changed(tunnelled(tunnel, short, udp(REMOTE[4], HOST[4])), 40 + 3, 4 ^ 5)
        expect(gateway, tunnel, "ip_ext", frame(gateway, cut),
               *[tunnelled(tunnel, front, udp(REMOTE[4], HOST[4])) for front in (left, long)])


class TestBadInput:
    def test_C17_a_duplicate_is_dropped(self, gateway):
        tunnel = tunnel_of(gateway)
        packet = tunnel.into.seal(udp(REMOTE[4], HOST[4]))
        gateway.wan.send(packet)
        gateway.lan.receive(lambda p: UDP in p, "the first")
        expect(gateway, tunnel, "replay", packet, packet)

    def test_C19_a_forged_jump_moves_nothing(self, gateway):
        tunnel = tunnel_of(gateway)
        forged = changed(tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=0x7fffffff), 50)
        expect(gateway, tunnel, "icv", frame(gateway, forged))
        shown = next(sa for sa in gateway.engine.ctl("sa", "show")["sa"] if sa["src"] == THEIRS[4])
        assert (shown["in_seq"], shown["packets"], shown["auth_drops"]) == (2, 2, 1)

    @each_family
    def test_every_other_length_is_a_runt(self, gateway, family):
        tunnel = tunnel_of(gateway, family)
        packet = bytes(tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=900))
        at = (20 if family == 4 else 40) + 1
        right = {4: {5, 6}, 6: {6}}[family]  # SHA-256: 28 bytes, or 32 with padding
        expect(gateway, tunnel, "runt",
               *[frame(gateway, changed(packet, at, packet[at] ^ length))
                 for length in range(256) if length not in right])

    @each_family
    def test_a_packet_cut_anywhere_has_a_reason(self, gateway, family):
        tunnel = tunnel_of(gateway, family)
        front = 20 if family == 4 else 40
        whole = bytes(tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=900))
        header = ip(THEIRS[family], OURS[family], **{"proto" if family == 4 else "nh": 51})
        cut = [header / Raw(whole[front:end]) for end in range(front, len(whole))]
        reasons, out = gateway.fate(gateway.wan, *cut, fence=fence(gateway, tunnel))
        assert sum(reasons.values()) == len(cut)
        length = 28 if family == 4 else 32
        assert reasons == {"runt": length, "icv": len(cut) - length}
        assert not out

    def test_C2_C4_spis(self, gateway):
        tunnel = tunnel_of(gateway)

        def other(spi, proto=51, lead=4):
            data = bytes(tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=900))[20:]
            data = data[:lead] + struct.pack("!I", spi) + data[lead + 4:]
            return IP(src=THEIRS[4], dst=OURS[4], proto=proto) / Raw(data)

        expect(gateway, tunnel, "spi_reserved", other(0), other(255))
        expect(gateway, tunnel, "no_sa", other(256), other(0xffffffff))
        expect(gateway, tunnel, "sa_mismatch", other(tunnel.spi_in, proto=50, lead=0))

    @pytest.mark.parametrize("proto", [17, 59, 41])
    def test_what_is_no_tunnel_packet_is_not_let_in(self, gateway, proto):
        tunnel = tunnel_of(gateway)
        front = IP(src=THEIRS[4], dst=OURS[4], proto=proto)
        packet = tunnelled(tunnel, front, Raw(bytes(udp(REMOTE[4], HOST[4]))))
        expect(gateway, tunnel, "inner" if proto == 41 else "next_header", packet)

    def test_C52_a_packet_outside_the_policy_is_not_let_in(self, gateway):
        tunnel = tunnel_of(gateway)
        expect(gateway, tunnel, "selector", tunnel.into.seal(udp("203.0.113.9", HOST[4]), seq=900))


ALERT = IPOption_Router_Alert()  # stays, RFC 4302 appendix A1
RECORD = IPOption_RR(routers=["0.0.0.0"] * 2)  # changes
HOP = IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))])
DST = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
ROUTING = IPv6ExtHdrRouting(type=253, segleft=0, addresses=[])

FRONTS = {"v4": (4, []), "v4-options": (4, [IPOption_NOP(), ALERT, RECORD]), "v6": (6, []),
          "v6-hop": (6, [HOP]), "v6-hop-routing": (6, [HOP, ROUTING]), "v6-dst": (6, [DST])}
each_front = pytest.mark.parametrize("family,front", FRONTS.values(), ids=FRONTS)


def fronted(src, dst, family, front, size=64):
    """A UDP packet with IPv4 options or IPv6 extension headers."""
    if family == 4:
        return udp(src, dst, size=size, options=front)
    packet = udp(src, dst, size=size)
    chain = IPv6(src=src, dst=dst)
    for header in front:
        chain = chain / header.copy()
    return IPv6(bytes(chain / packet[UDP]))


class TestTransport:
    """Transport mode: between the gateway's own kernel, on a host interface, and the peer."""

    @pytest.fixture(scope="class")
    def host(self, gateway):
        wire = HostWire(gateway.gw, "wan", gateway.wan.mac)
        yield wire
        wire.close()

    def tunnel(self, gateway, family, **options):
        tunnel = AhTunnel(OURS[family], THEIRS[family], mode="transport", **options)
        gateway.engine.batch(FLUSH + tunnel.states() + tunnel.policies(
            tunnel.ours, tunnel.theirs, into=("in",)))
        return tunnel

    def inbound(self, gateway, host, tunnel, packet):
        gateway.wan.send(tunnel.into.seal(packet))
        return host.receive(payload_is(packet[Raw].load), "the opened packet")

    def expect(self, gateway, host, tunnel, reason, *packets, wire=None):
        """Each is dropped for the reason, and nothing comes out."""
        def fence():
            self.inbound(gateway, host, tunnel, udp(tunnel.theirs, tunnel.ours))

        host.take()
        reasons, out = gateway.fate(wire or gateway.wan, *packets, fence=fence)
        assert reasons == {reason: len(packets)}
        assert [p.summary() for p in out + host.take()] == []

    @pytest.mark.parametrize("algorithm", [SHA256, ALGORITHMS[-1]], ids=lambda a: a.name)
    @with_and_without_esn
    @each_front
    def test_both_directions_agree_with_scapy(self, gateway, host, algorithm, esn, family, front):
        tunnel = self.tunnel(gateway, family, algorithm=algorithm, esn=esn, high=5 if esn else 0)
        for number, size in enumerate(SIZES, 1):
            there = fronted(OURS[family], THEIRS[family], family, front, size)
            host.send(there)
            sealed = gateway.wan.receive(lambda p: AH in p, "AH")
            assert bytes(tunnel.out.open(sealed)) == bytes(there)
            assert (sealed[AH].spi, sealed[AH].seq) == (tunnel.spi_out, number)
            back = fronted(THEIRS[family], OURS[family], family, front, size)
            assert bytes(self.inbound(gateway, host, tunnel, back).payload) == bytes(back)

    def test_what_only_the_last_destination_reads_stands_behind_ah(self, gateway, host):
        self.tunnel(gateway, 6)
        host.send(fronted(OURS[6], THEIRS[6], 6, [HOP, DST, ROUTING, DST]))
        layer, chain = gateway.wan.receive(lambda p: AH in p, "AH")[IPv6], []
        while not isinstance(layer, AH):
            chain.append(layer.nh)
            layer = layer.payload
        assert chain + [layer.nh] == [0, 60, 43, 51, 60]

    @each_front
    def test_C33_what_may_not_change_on_the_way_is_under_the_icv(
            self, gateway, host, family, front):
        tunnel = self.tunnel(gateway, family)
        packet = tunnel.into.seal(fronted(THEIRS[family], OURS[family], family, front), seq=900)
        ah = len(bytes(packet)) - len(bytes(packet[AH]))
        behind = [0, 2, 3, *range(8, len(bytes(packet[AH])))]  # but for length, SPI
        spots = IMMUTABLE[family] + [ah + at for at in behind]
        if ALERT in front:
            spots += [20 + 1 + 2, 20 + 1 + 3]
        if HOP in front:
            spots += [40 + 2 + 2, 40 + 7]
        self.expect(gateway, host, tunnel, "icv",
                    *[frame(gateway, changed(packet, at, 0x10)) for at in spots])

    @each_front
    def test_a_mutable_field_may_change_on_the_way(self, gateway, host, family, front):
        tunnel = self.tunnel(gateway, family)
        spots = list(MUTABLE[family])
        if RECORD in front:
            spots.append((20 + 1 + 4 + 3, 0x55))
        for at, bits in spots:
            back = fronted(THEIRS[family], OURS[family], family, front)
            gateway.wan.send(frame(gateway, changed(tunnel.into.seal(back), at, bits)))
            host.receive(payload_is(back[Raw].load), f"a packet with {bits:#x} changed at {at}")

    @each_family
    def test_C38_fragments_are_not_protected(self, gateway, host, family):
        tunnel = self.tunnel(gateway, family)
        src, dst, data = OURS[family], THEIRS[family], Raw(bytes(64))
        if family == 4:
            parts = [IP(src=src, dst=dst, proto=17, id=9, flags="MF") / data,
                     IP(src=src, dst=dst, proto=17, id=9, frag=8) / data]
        else:
            parts = [IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(nh=17, id=9, m=1) / data,
                     IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(nh=17, id=9, offset=8) / data]
        self.expect(gateway, host, tunnel, "fragment_out", *parts, wire=host)

    def test_C38_what_is_too_long_is_fragmented_behind_ah(self, gateway, host):
        tunnel = self.tunnel(gateway, 4)
        there = udp(OURS[4], THEIRS[4], size=1470, id=4711)
        host.send(there)
        parts = sorted((gateway.wan.receive(lambda p: IP in p and p[IP].id == 4711)[IP]
                        for _ in range(2)), key=lambda p: p.frag)
        data = b"".join(bytes(p.payload)[:p.len - 20] for p in parts)
        whole = IP(bytes(IP(src=there.src, dst=there.dst, proto=51, id=4711, ttl=there.ttl)
                         / Raw(data)))
        assert bytes(tunnel.out.open(whole)) == bytes(there)

    @each_family
    def test_C61_the_largest_packet_that_fits_is_exact(self, gateway, host, family):
        tunnel = self.tunnel(gateway, family)
        most = 1500 - 32 - (20 if family == 4 else 40) - 8
        df = {"flags": "DF"} if family == 4 else {}
        there = udp(OURS[family], THEIRS[family], size=most, **df)
        host.send(there)
        sealed = gateway.wan.receive(lambda p: AH in p, "AH")
        assert len(bytes(sealed.payload)) == 1500
        assert bytes(tunnel.out.open(sealed)) == bytes(there)
        host.send(udp(OURS[family], THEIRS[family], size=most + 1, **df))
        if family == 4:
            error = host.receive(lambda p: p.haslayer("ICMP") and p["ICMP"].type == 3, "too big")
            assert error["ICMP"].nexthopmtu == 1500 - 32
        else:
            error = host.receive(lambda p: p.haslayer("ICMPv6PacketTooBig"), "too big")
            assert error["ICMPv6PacketTooBig"].mtu == 1500 - 32

    @pytest.mark.parametrize("proto", [0, 43, 44, 60])
    def test_a_next_header_that_has_no_place_behind_ah(self, gateway, host, proto):
        tunnel = self.tunnel(gateway, 4)
        packet = IP(src=THEIRS[4], dst=OURS[4], proto=proto) / Raw(bytes(40))
        self.expect(gateway, host, tunnel, "next_header", tunnel.into.seal(packet))

    def test_C17_a_duplicate_is_dropped(self, gateway, host):
        tunnel = self.tunnel(gateway, 4)
        packet = tunnel.into.seal(udp(THEIRS[4], OURS[4]))
        gateway.wan.send(packet)
        host.receive(lambda p: UDP in p, "the first")
        self.expect(gateway, host, tunnel, "replay", packet, packet)


class TestInstalling:
    """What `ip xfrm` may ask for, and what it is given back."""

    @every_algorithm
    def test_an_sa_is_given_back_as_it_was(self, both, algorithm):
        tunnel = tunnel_of(both, algorithm=algorithm)
        text = both.engine.ip(f"xfrm state get src {THEIRS[4]} dst {OURS[4]} proto ah "
                              f"spi {tunnel.spi_in:#x}")
        assert f"proto ah spi {tunnel.spi_in:#010x}" in text
        assert (f"auth-trunc {algorithm.kernel} 0x{tunnel.key['i'].hex()} "
                f"{algorithm.icv_bits}") in text
        assert "enc " not in text

    def test_an_spi_of_ah_is_none_of_esp(self, gateway):
        tunnel = tunnel_of(gateway)
        get = f"xfrm state get src {THEIRS[4]} dst {OURS[4]} spi {tunnel.spi_in:#x} proto "
        assert gateway.engine.try_ip(get + "ah").returncode == 0
        assert gateway.engine.try_ip(get + "esp").returncode != 0
        gateway.engine.ip(f"xfrm state delete src {THEIRS[4]} dst {OURS[4]} spi {tunnel.spi_in:#x} "
                          "proto ah")
        assert len(gateway.engine.ctl("sa", "show")["sa"]) == 1

    def test_udp_encapsulation_is_refused(self, gateway):
        tunnel = AhTunnel(OURS[4], THEIRS[4])
        result = gateway.engine.try_ip(
            f"xfrm state add {tunnel.state('i')} encap espinudp 4500 4500 0.0.0.0")
        assert result.returncode != 0
        assert "AH does not go with UDP encapsulation" in result.stderr

    def test_bundles_are_refused(self, gateway):
        tunnel = AhTunnel(OURS[4], THEIRS[4])
        result = gateway.engine.try_ip(
            f"xfrm policy add src {NEAR[4]} dst {FAR[4]} dir out {tunnel.template('o')} "
            f"{tunnel.template('o').replace('proto ah', 'proto esp')}")
        assert result.returncode != 0
        assert "more than one step" in result.stderr

    def test_with_align4_the_padding_is_to_32_bits(self, gateway):
        tunnel = tunnel_of(gateway, flags="flag align4")
        sealed, _ = gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
        assert sealed[AH].payloadlen == (12 + 16) // 4 - 2
        tunnel = tunnel_of(gateway)
        sealed, _ = gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
        assert sealed[AH].payloadlen == (12 + 16 + 4) // 4 - 2


class TestLimits:
    def test_C61_the_mtu_of_the_tunnel_is_exact(self, gateway):
        tunnel = tunnel_of(gateway)
        overhead = 20 + 32
        sealed, _ = gateway.outbound(
            tunnel, udp(HOST[4], REMOTE[4], size=1500 - overhead - 28, flags="DF"))
        assert sealed[IP].len == 1500
        gateway.lan.send(udp(HOST[4], REMOTE[4], size=1500 - overhead - 27, flags="DF"))
        error = gateway.lan.receive(lambda p: IP in p and p[IP].proto == 1, "too big")
        assert error[IP].payload.nexthopmtu == 1500 - overhead

    def test_C63_C64_bytes_under_the_icv_are_charged(self, gateway):
        tunnel = tunnel_of(gateway)
        sealed, _ = gateway.outbound(tunnel, udp(HOST[4], REMOTE[4], size=100))
        shown = next(sa for sa in gateway.engine.ctl("sa", "show")["sa"] if sa["src"] == OURS[4])
        assert (shown["packets"], shown["bytes"]) == (1, sealed[IP].len)

    def test_C8_the_sequence_space_ends_in_a_drop(self, gateway):
        tunnel = AhTunnel(OURS[4], THEIRS[4])
        states = [tunnel.states()[0], tunnel.states()[1] + " replay-oseq 0xfffffffe"]
        gateway.engine.batch(FLUSH + states + tunnel.policies(NEAR[4], FAR[4]))
        sealed, _ = gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
        assert sealed[AH].seq == 0xffffffff
        reasons, out = gateway.fate(gateway.lan, udp(HOST[4], REMOTE[4]),
                                    fence=fence(gateway, tunnel))
        assert reasons == {"seq_exhausted": 1}
        assert not out
