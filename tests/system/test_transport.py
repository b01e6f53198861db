# SPDX-License-Identifier: BSD-3-Clause
"""
Transport mode between the gateway itself and a peer: what the gateway's kernel sends on a host
interface is sealed, what the peer seals reaches that interface. scapy is the other end.
"""

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import (
    IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN)
from scapy.layers.ipsec import ESP
from scapy.packet import Raw

from esp import CBC, SUITES, Tunnel
from gateway import FLUSH, HOST, OURS, THEIRS, ip, is_esp, udp
from wire import HostWire, payload_is

every_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda s: s.name)
every_family = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module")
def host(gateway):
    """What the gateway's own kernel would send and receive on `wan`."""
    wire = HostWire(gateway.gw, "wan", gateway.wan.mac)
    yield wire
    wire.close()


def transport(gateway, family, ours=None, **options):
    tunnel = Tunnel(ours or OURS[family], THEIRS[family], mode="transport", **options)
    gateway.engine.batch(FLUSH + tunnel.states() + tunnel.policies(
        tunnel.ours, tunnel.theirs, into=("in",)))
    return tunnel


def sealed(gateway, host, packet):
    host.send(packet)
    return gateway.wan.receive(is_esp, "ESP")


def expect(gateway, host, tunnel, reason, *packets, wire):
    """What becomes of packets between two that pass; nothing comes out."""
    family = 6 if ":" in tunnel.ours else 4

    def fence():
        packet = udp(tunnel.theirs, tunnel.ours)
        gateway.wan.send(tunnel.into.seal(packet))
        host.receive(payload_is(packet[Raw].load), "the fence")
        sealed(gateway, host, udp(OURS[family], THEIRS[family]))

    host.take()
    reasons, out = gateway.fate(wire, *packets, fence=fence)
    assert reasons == {reason: len(packets)}
    assert [p.summary() for p in out + host.take()] == []


@every_suite
@every_family
@pytest.mark.parametrize("esn", [False, True], ids=["seq32", "esn"])
def test_every_suite_and_family_agrees_with_scapy(gateway, host, suite, family, esn):
    tunnel = transport(gateway, family, suite=suite, esn=esn)
    for size in [*range(24, 41), 512, 1300]:
        there = udp(OURS[family], THEIRS[family], size=size)
        assert bytes(tunnel.out.open(sealed(gateway, host, there))) == bytes(there)
        back = udp(THEIRS[family], OURS[family], size=size)
        gateway.wan.send(tunnel.into.seal(back))
        got = host.receive(payload_is(back[Raw].load), "the opened packet")
        assert bytes(got.payload) == bytes(back)


@every_family
def test_a_packet_s_own_header_is_kept(gateway, host, family):
    tunnel = transport(gateway, family)
    fields = {"tos": 0xb9, "id": 77, "flags": "DF", "ttl": 7} if family == 4 \
        else {"tc": 0xb9, "fl": 0x12345, "ttl": 7}
    there = udp(OURS[family], THEIRS[family], **fields)
    packet = sealed(gateway, host, there)[IP if family == 4 else IPv6]
    if family == 4:
        assert (packet.tos, packet.id, packet.flags, packet.ttl) == (0xb9, 77, "DF", 7)
        assert packet.chksum == IP(bytes(packet.__class__(
            **{f: getattr(packet, f) for f in ("tos", "id", "flags", "ttl", "len", "proto", "src",
                                               "dst")}))).chksum
    else:
        assert (packet.tc, packet.fl, packet.hlim) == (0xb9, 0x12345, 7)
    assert bytes(tunnel.out.open(packet)) == bytes(there)


def test_ipv4_options_stay_in_front_of_esp(gateway, host):
    tunnel = transport(gateway, 4)
    options = [IPOption_RR(routers=["0.0.0.0"]), IPOption_NOP()]
    there = udp(OURS[4], THEIRS[4], options=options)
    packet = sealed(gateway, host, there)
    assert packet[IP].ihl == 7 and packet[IP].proto == 50
    assert bytes(tunnel.out.open(packet)) == bytes(there)
    back = udp(THEIRS[4], OURS[4], options=options)
    gateway.wan.send(tunnel.into.seal(back))
    assert bytes(host.receive(payload_is(back[Raw].load)).payload) == bytes(back)


HOP = IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))])
DST = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))])
ROUTING = IPv6ExtHdrRouting(type=2, segleft=0, addresses=["2001:db8::1"])
ATOMIC = IPv6ExtHdrFragment(id=9)


def chained(src, dst, *headers):
    packet = udp(src, dst)
    chain = IPv6(src=src, dst=dst)
    for header in headers:
        chain = chain / header.copy()
    return IPv6(bytes(chain / UDP(bytes(packet[UDP]))))


def kinds(packet):
    """The next header numbers of a packet's chain, up to ESP."""
    names = []
    layer = packet[IPv6]
    while layer.nh in (0, 43, 44, 60):
        names.append(layer.nh)
        layer = layer.payload
    return names + [layer.nh]


@pytest.mark.parametrize("headers,outside", [
    ([HOP], [0, 50]),
    ([HOP, ROUTING], [0, 43, 50]),
    ([HOP, DST, ROUTING], [0, 60, 43, 50]),
    ([DST, ROUTING, DST], [60, 43, 50]),
    ([DST], [50]),
    ([HOP, DST], [0, 50]),
    ([HOP, ATOMIC], [0, 44, 50]),
], ids=["hop", "hop-routing", "hop-dst-routing", "dst-routing-dst", "dst", "hop-dst", "atomic"])
def test_what_routers_read_stays_in_front_of_esp(gateway, host, headers, outside):
    """RFC 4303 section 3.1.1: destination options for the last destination are protected."""
    tunnel = transport(gateway, 6)
    there = chained(OURS[6], THEIRS[6], *headers)
    packet = sealed(gateway, host, there)
    assert kinds(packet) == outside
    if packet.haslayer(ESP):
        assert bytes(tunnel.out.open(packet)) == bytes(there)


@pytest.mark.parametrize("headers", [[HOP], [HOP, DST, ROUTING], [DST], [HOP, DST],
                                     [HOP, ROUTING, DST]],
                         ids=["hop", "hop-dst-routing", "dst", "hop-dst", "hop-routing-dst"])
def test_extension_headers_are_accepted_on_either_side_of_esp(gateway, host, headers):
    tunnel = transport(gateway, 6)
    back = chained(THEIRS[6], OURS[6], *headers)
    gateway.wan.send(tunnel.into.seal(back))
    got = host.receive(lambda p: p.original.endswith(bytes(back[UDP].payload)))
    assert bytes(got.payload) == bytes(back)


@pytest.mark.parametrize("nh", [0, 43, 44])
@every_family
def test_a_next_header_that_has_no_place_behind_esp(gateway, host, family, nh):
    tunnel = transport(gateway, family)
    data = bytes([17, 0, 0, 0, 0, 0, 0, 1]) + bytes(34)
    packet = tunnel.into.seal_raw(data, b"", nh, outer=ip(THEIRS[family], OURS[family]))
    expect(gateway, host, tunnel, "next_header", packet, wire=gateway.wan)


def test_destination_options_have_no_place_in_ipv4(gateway, host):
    tunnel = transport(gateway, 4)
    packet = tunnel.into.seal(IP(src=THEIRS[4], dst=OURS[4], proto=60) / Raw(bytes(40)))
    expect(gateway, host, tunnel, "next_header", packet, wire=gateway.wan)


def test_extension_headers_that_are_cut_behind_esp(gateway, host):
    tunnel = transport(gateway, 6)
    outer = IPv6(src=THEIRS[6], dst=OURS[6])
    fragment = bytes([44, 0, 1, 4, 0, 0, 0, 0]) + bytes([17, 0, 0, 1]) + bytes(62)
    packets = [tunnel.into.seal_raw(data, b"", 60, outer=outer)
               for data in (bytes(2), bytes([17, 9] + [0] * 4), bytes([17, 9]) + bytes(28), fragment)]
    expect(gateway, host, tunnel, "inner", *packets, wire=gateway.wan)


@pytest.mark.parametrize("family", [4, 6])
def test_C38_fragments_are_not_protected_in_transport_mode(gateway, host, family):
    tunnel = transport(gateway, family)
    whole = udp(OURS[family], THEIRS[family], size=512)
    data = bytes(whole.payload)
    if family == 4:
        first = IP(src=whole.src, dst=whole.dst, proto=17, flags="MF", id=9) / Raw(data[:256])
        later = IP(src=whole.src, dst=whole.dst, proto=17, frag=32, id=9) / Raw(data[256:])
    else:
        outer = IPv6(src=whole.src, dst=whole.dst)
        first = outer / IPv6ExtHdrFragment(nh=17, m=1, id=9) / Raw(data[:256])
        later = outer / IPv6ExtHdrFragment(nh=17, offset=32, id=9) / Raw(data[256:])
    expect(gateway, host, tunnel, "fragment_out", first, later, wire=host)


def test_C38_what_is_too_long_is_fragmented_behind_esp(gateway, host):
    """Only without DF, and never before: the peer puts it together and finds one ESP packet."""
    tunnel = transport(gateway, 4, suite=CBC)
    there = udp(OURS[4], THEIRS[4], size=1470, id=4711)
    host.send(there)
    parts = [gateway.wan.receive(lambda p: IP in p and p[IP].id == 4711) for _ in range(2)]
    parts.sort(key=lambda p: p[IP].frag)
    assert all(len(p[IP]) <= 1500 and p[IP].proto == 50 for p in parts)
    data = b"".join(bytes(p[IP].payload)[:p[IP].len - 20] for p in parts)
    whole = IP(bytes(IP(src=there.src, dst=there.dst, proto=50, id=4711, ttl=there.ttl)
                     / Raw(data)))
    assert bytes(tunnel.out.open(whole)) == bytes(there)


@every_family
@every_suite
def test_C61_the_largest_packet_that_fits_passes_and_one_byte_more_is_answered(
        gateway, host, family, suite):
    tunnel = transport(gateway, family, suite=suite)
    block = 16 if suite.crypt == "AES-CBC" else 4
    front, crypto = (20 if family == 4 else 40), (16 if block == 16 else 8) + 16 + 8
    most = front + (1500 - front - crypto) // block * block - 2
    df = {"flags": "DF"} if family == 4 else {}
    there = udp(OURS[family], THEIRS[family], size=most - front - 8, **df)
    assert len(bytes(there)) == most
    packet = sealed(gateway, host, there)
    assert bytes(tunnel.out.open(packet)) == bytes(there)
    host.take()
    before = gateway.engine.drops()["mtu"]
    host.send(udp(OURS[family], THEIRS[family], size=most - front - 8 + 1, **df))
    if family == 4:
        error = host.receive(lambda p: p.haslayer("ICMP") and p["ICMP"].type == 3)
        assert error["ICMP"].nexthopmtu == most
    else:
        error = host.receive(lambda p: p.haslayer("ICMPv6PacketTooBig"))
        assert error["ICMPv6PacketTooBig"].mtu == most
    assert gateway.engine.drops()["mtu"] == before + 1


def test_a_forwarded_packet_with_the_sa_s_addresses_is_protected_too(gateway):
    tunnel = transport(gateway, 4, ours=HOST[4])
    there = udp(HOST[4], THEIRS[4])
    gateway.lan.send(there)
    opened = tunnel.out.open(gateway.wan.receive(is_esp, "ESP"))
    there.ttl -= 1
    del there.chksum
    assert bytes(opened) == bytes(there)


def test_other_addresses_of_a_wide_policy_do_not_use_the_sa(gateway, host):
    tunnel = Tunnel(OURS[4], THEIRS[4], mode="transport")
    template = f"tmpl proto esp reqid {tunnel.reqid} mode transport"
    gateway.engine.batch(FLUSH + tunnel.states() + [
        f"xfrm policy add src 192.0.2.0/24 dst 192.0.2.0/24 dir {way} {template}"
        for way in ("out", "in")])
    expect(gateway, host, tunnel, "no_sa_out", udp(OURS[4], "192.0.2.77"), wire=host)


def test_C52_the_sa_s_selector_is_checked(gateway, host):
    tunnel = Tunnel(OURS[4], THEIRS[4], mode="transport")
    words = {way: f"sel src {a} dst {b} proto udp" for way, a, b in
             (("i", THEIRS[4], OURS[4]), ("o", OURS[4], THEIRS[4]))}
    gateway.engine.batch(FLUSH + [f"xfrm state add {tunnel.state(w)} {words[w]}" for w in "io"]
                         + tunnel.policies(OURS[4], THEIRS[4], into=("in",)))
    syn = IP(src=THEIRS[4], dst=OURS[4]) / TCP(dport=7)
    stranger = udp("192.0.2.77", OURS[4])
    expect(gateway, host, tunnel, "selector", tunnel.into.seal(syn), tunnel.into.seal(stranger),
           wire=gateway.wan)
    expect(gateway, host, tunnel, "selector", IP(src=OURS[4], dst=THEIRS[4]) / TCP(dport=7),
           wire=host)


def test_C52_a_tunnel_s_packet_is_not_for_a_transport_policy(gateway, host):
    tunnel = transport(gateway, 4)
    other = Tunnel(OURS[4], THEIRS[4], spi=0x30003)
    gateway.engine.batch([f"xfrm state add {other.state('i')}"])
    expect(gateway, host, tunnel, "selector", other.into.seal(udp(THEIRS[4], OURS[4])),
           wire=gateway.wan)


@every_family
@pytest.mark.parametrize("ports", [(4500, 4500), (4500, 1024)], ids=lambda p: f"{p[1]}")
def test_udp_encapsulation_in_transport_mode(gateway, host, family, ports):
    tunnel = transport(gateway, family, ports=ports)
    there = udp(OURS[family], THEIRS[family])
    host.send(there)
    packet = gateway.wan.receive(lambda p: UDP in p and p[UDP].sport == 4500, "ESP in UDP")
    assert (packet[UDP].sport, packet[UDP].dport) == ports
    assert packet[UDP].len == len(bytes(packet[UDP]))
    if family == 4:
        assert packet[UDP].chksum == 0
    else:
        again = IPv6(bytes(packet[IPv6]))
        del again[UDP].chksum
        assert packet[UDP].chksum == IPv6(bytes(again))[UDP].chksum != 0
    assert bytes(tunnel.out.open(packet)) == bytes(there)
    back = udp(THEIRS[family], OURS[family])
    gateway.wan.send(tunnel.into.seal(back))
    got = host.receive(payload_is(back[Raw].load), "the opened packet")
    assert bytes(got.payload) == bytes(back)


def test_C30_dummy_packets_are_consumed(gateway, host):
    tunnel = transport(gateway, 4)
    before = gateway.engine.balance()["consumed"]
    gateway.wan.send(tunnel.into.seal(IP(src=THEIRS[4], dst=OURS[4], proto=59) / Raw(bytes(20))))
    back = udp(THEIRS[4], OURS[4])
    gateway.wan.send(tunnel.into.seal(back))
    host.receive(payload_is(back[Raw].load), "the next packet")
    assert gateway.engine.balance()["consumed"] == before + 1
