# SPDX-License-Identifier: BSD-3-Clause
"""DSCP, ECN and the flow label, on the way into a tunnel and out of it, and what TCP is told there."""

import itertools
import struct

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from gateway import HOST, REMOTE, Gateway, ip, udp
from netns import wait_for
from test_mtu import inner_mtu
from wire import payload_is

NOT_ECT, ECT1, ECT0, CE = range(4)
DSCP = 0xb8

# RFC 6040 figure 4: [inner][outer]; None is dropped.
DECAPSULATED = [
    [NOT_ECT, NOT_ECT, NOT_ECT, None],
    [ECT1, ECT1, ECT1, CE],
    [ECT0, ECT1, ECT0, CE],
    [CE, CE, CE, CE],
]
ODD = [(NOT_ECT, ECT1), (NOT_ECT, ECT0), (NOT_ECT, CE), (ECT1, ECT0), (CE, ECT1)]

every_outer = pytest.mark.parametrize("outer", [4, 6], ids=lambda f: f"outer{f}")
every_inner = pytest.mark.parametrize("inner", [4, 6], ids=lambda f: f"inner{f}")


@pytest.fixture(scope="module")
def other():
    """With what is not the default."""
    gateway = Gateway(tunnels={"ecn_anomalies": "silent", "mss_clamp": "on"})
    yield gateway
    gateway.close()


def tos_of(packet):
    return packet[IPv6].tc if IPv6 in packet else packet[IP].tos


def with_tos(packet, tos):
    if IPv6 in packet:
        packet.tc = tos
    else:
        packet.tos = tos
        del packet.chksum
    return packet.__class__(bytes(packet))


def arrive(gateway, tunnel, inner, inner_ecn, outer_ecn):
    """Sends from the peer; gives the packet to be awaited."""
    packet = with_tos(udp(REMOTE[inner], HOST[inner]), DSCP | inner_ecn)
    gateway.wan.send(with_tos(tunnel.into.seal(packet), outer_ecn))
    return packet


@every_outer
@every_inner
def test_C46_C50_ecn_leaves_a_tunnel_by_the_matrix_and_dscp_as_it_was(gateway, inner, outer):
    tunnel = gateway.tunnel(outer)
    for inner_ecn, outer_ecn in itertools.product(range(4), repeat=2):
        before = gateway.engine.drops()["ecn"]
        packet = arrive(gateway, tunnel, inner, inner_ecn, outer_ecn)
        if DECAPSULATED[inner_ecn][outer_ecn] is None:
            wait_for(lambda: gateway.engine.drops()["ecn"] == before + 1, "the drop")
            continue
        got = gateway.lan.receive(payload_is(packet[Raw].load), "it")
        assert tos_of(got) == DSCP | DECAPSULATED[inner_ecn][outer_ecn]
        if inner == 4:
            again = got[IP].copy()
            del again.chksum
            assert IP(bytes(again)).chksum == got[IP].chksum


def odd_counted(gateway):
    return sum(row["ecn_odd"] for row in gateway.engine.ctl("worker", "show")["worker"])


def lines(gateway):
    return [line for line in gateway.engine.log().splitlines() if "ECN" in line]


def odd_packets(gateway):
    tunnel = gateway.tunnel()
    before = odd_counted(gateway)
    for inner_ecn, outer_ecn in itertools.product(range(4), repeat=2):
        arrive(gateway, tunnel, 4, inner_ecn, outer_ecn)
    gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))
    assert odd_counted(gateway) == before + len(ODD)


def test_C51_odd_ecn_is_logged_but_not_for_each_packet(gateway):
    odd_packets(gateway)
    wait_for(lambda: lines(gateway), "a line in the log")
    odd_packets(gateway)
    assert len(lines(gateway)) == 1


def test_C51_odd_ecn_is_counted_in_silence_where_the_configuration_says_so(other):
    odd_packets(other)
    assert lines(other) == []


@every_outer
@every_inner
def test_C46_C49_C48_out_go_dscp_and_ecn_but_not_the_flow_label(gateway, inner, outer):
    tunnel = gateway.tunnel(outer)
    for ecn in range(4):
        packet = udp(HOST[inner], REMOTE[inner])
        if inner == 6:
            packet.fl = 0x12345
        sealed, opened = gateway.outbound(tunnel, with_tos(packet, DSCP | ecn))
        assert tos_of(sealed) == tos_of(opened) == DSCP | ecn
        if outer == 6:
            assert sealed[IPv6].fl == 0


@every_outer
def test_C49_in_compatible_mode_no_ecn_goes_out_and_none_comes_in(gateway, outer):
    tunnel = gateway.tunnel(outer, words="flag noecn")
    for ecn in range(4):
        sealed, _ = gateway.outbound(tunnel, with_tos(udp(HOST[4], REMOTE[4]), DSCP | ecn))
        assert tos_of(sealed) == DSCP
        packet = arrive(gateway, tunnel, 4, ecn, CE)
        got = gateway.lan.receive(payload_is(packet[Raw].load), "it")
        assert tos_of(got) == DSCP | ecn


def test_C46_an_sa_may_keep_dscp_to_itself(gateway):
    tunnel = gateway.tunnel(words="extra-flag dont-encap-dscp")
    sealed, opened = gateway.outbound(tunnel, with_tos(udp(HOST[4], REMOTE[4]), DSCP | ECT0))
    assert (tos_of(sealed), tos_of(opened)) == (ECT0, DSCP | ECT0)


def syn(src, dst, options, flags="S", **fields):
    packet = ip(src, dst) / TCP(sport=4000, dport=80, flags=flags, options=options, **fields)
    return packet.__class__(bytes(packet))


def tcp_through(gateway, tunnel, packet, way):
    """The TCP header as it comes out, its checksum found right."""
    if way == "out":
        _, got = gateway.outbound(tunnel, packet)
    else:
        gateway.wan.send(tunnel.into.seal(packet))
        got = gateway.lan.receive(lambda p: TCP in p, "TCP")
        got = got[IP] if IP in got else got[IPv6]
    again = got.copy()
    del again[TCP].chksum
    assert again.__class__(bytes(again))[TCP].chksum == got[TCP].chksum
    return got[TCP]


def ends(way, family):
    return (HOST[family], REMOTE[family]) if way == "out" else (REMOTE[family], HOST[family])


every_way = pytest.mark.parametrize("way", ["out", "in"])


@every_way
@every_inner
@every_outer
def test_mss_is_clamped_both_ways(other, way, inner, outer):
    tunnel = other.tunnel(outer)
    most = inner_mtu(outer) - (40 if inner == 4 else 60)
    timestamps = ("Timestamp", (1, 2))
    for flags in ("S", "SA"):
        for mss in (most - 1, most, most + 1, 1460, 65535):
            for options in ([("MSS", mss)], [("NOP", None), ("MSS", mss)],
                            [("NOP", None), timestamps, ("MSS", mss), ("WScale", 7)]):
                got = tcp_through(other, tunnel, syn(*ends(way, inner), options, flags), way)
                assert dict(o for o in got.options if o[0] == "MSS") == {"MSS": min(mss, most)}


def syn_of_bytes(src, dst, options):
    """A SYN whose header says that it is 60 bytes long, whatever is there."""
    packet = IP(src=src, dst=dst, proto=6) / Raw(
        struct.pack("!HHIIBBHHH", 4000, 80, 1, 0, 0xf0, 2, 8192, 0, 0) + options)
    return packet.__class__(bytes(packet))


@every_way
def test_what_is_no_syn_or_makes_no_sense_is_left_alone(other, way):
    tunnel = other.tunnel()
    for packet in (
            syn(*ends(way, 4), [("MSS", 9000)], "A"), syn(*ends(way, 4), []),
            syn(*ends(way, 4), [("EOL", None), ("MSS", 9000)]),
            *(syn_of_bytes(*ends(way, 4), options + bytes(40 - len(options))) for options in (
                b"\x02\x00", b"\x02\x01\x23", b"\x02\x05\x23\x28\x00", b"\x03\xff")),
            syn_of_bytes(*ends(way, 4), b"\x02\x04\xff\xff")):
        data = bytes(packet)[20:]
        if way == "out":
            _, got = other.outbound(tunnel, packet)
            assert bytes(got)[20:] == data
        else:
            other.wan.send(tunnel.into.seal(packet))
            other.lan.receive(payload_is(data), "it, unchanged")


@every_way
def test_mss_is_left_alone_unless_the_configuration_says_otherwise(gateway, way):
    tunnel = gateway.tunnel()
    got = tcp_through(gateway, tunnel, syn(*ends(way, 4), [("MSS", 1460)]), way)
    assert got.options == [("MSS", 1460)]
