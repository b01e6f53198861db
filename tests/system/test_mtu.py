# SPDX-License-Identifier: BSD-3-Clause
"""The MTU of a tunnel: who is answered, what is cut and where, and what the DF bit has to do with it."""

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw

from gateway import HOST, REMOTE, gateway_with, is_esp, udp

NARROW = 1300  # too narrow for a tunnel whose own MTU is 1280
JUMBO = 9000

narrow = gateway_with(ports={"wan": {"mtu": NARROW}})
after = gateway_with(tunnels={"fragment": "after"})
df_set = gateway_with(tunnels={"df": "set"})
df_clear = gateway_with(tunnels={"df": "clear"})
jumbo = gateway_with(ports={name: {
    "mtu": JUMBO, "device": f"net_af_packet_{name},iface={name}0,framesz=16384,blocksz=65536",
} for name in ("lan", "wan")})

every_outer = pytest.mark.parametrize("outer", [4, 6], ids=lambda f: f"outer{f}")


def inner_mtu(outer, mtu=1500):
    """AES-GCM: header, ESP, IV, ICV; and two bytes of trailer in what is left, a multiple of 4."""
    return (mtu - (20 if outer == 4 else 40) - 8 - 8 - 16) // 4 * 4 - 2


def sized(family, length, **fields):
    """A UDP packet from the host to the remote one that is `length` bytes long."""
    return udp(HOST[family], REMOTE[family], size=length - (28 if family == 4 else 48), **fields)


def is_fragment(packet):
    if IPv6 in packet:
        return packet[IPv6].nh == 44
    return IP in packet and packet[IP].proto == 50 and (packet[IP].frag > 0 or packet[IP].flags.MF)


def put_together(parts):
    """The packet that the fragments are of, after a look at each of them."""
    if IPv6 in parts[0]:
        headers = [p[IPv6ExtHdrFragment] for p in parts]
        assert len({h.id for h in headers}) == 1
        places = [(h.offset * 8, bytes(h.payload), h.m) for h in headers]
        header = IPv6(src=parts[0][IPv6].src, dst=parts[0][IPv6].dst, nh=headers[0].nh)
    else:
        assert len({p[IP].id for p in parts}) == 1
        assert not any(p[IP].flags.DF for p in parts)
        places = [(p[IP].frag * 8, bytes(p[IP].payload), p[IP].flags.MF) for p in parts]
        header = IP(src=parts[0][IP].src, dst=parts[0][IP].dst, proto=50)
    data = b""
    for at, payload, more in places:
        assert at == len(data)
        data += payload
        assert bool(more) == (at != places[-1][0])
    return header.__class__(bytes(header / Raw(data)))


def cut_outbound(gateway, tunnel, packet, mtu=1500):
    """Sends from the host what has to leave in two fragments of ESP; gives what they carry."""
    gateway.lan.send(packet)
    parts = [gateway.wan.receive(is_fragment, "a fragment of ESP") for _ in range(2)]
    assert all(len(p.original) - 14 <= mtu for p in parts)
    return tunnel.out.open(put_together(parts))


def too_big(gateway, packet):
    """Sends from the host what is too long; gives the MTU that it is told."""
    gateway.lan.send(packet)
    if IPv6 in packet:
        answer = gateway.lan.receive(lambda p: ICMPv6PacketTooBig in p, "packet too big")
        return answer[ICMPv6PacketTooBig].mtu
    answer = gateway.lan.receive(lambda p: ICMP in p and (p[ICMP].type, p[ICMP].code) == (3, 4),
                                 "fragmentation needed")
    return answer[ICMP].nexthopmtu


def outer_df(gateway, tunnel, packet):
    sealed, _ = gateway.outbound(tunnel, packet)
    return bool(sealed[IP].flags.DF)


def dfs(gateway, tunnel):
    """The outer DF bit for IPv4 without and with it, and for IPv6."""
    return [outer_df(gateway, tunnel, p) for p in (
        sized(4, 100), sized(4, 100, flags="DF"), sized(6, 100))]


def test_C44_df_is_copied(gateway):
    assert dfs(gateway, gateway.tunnel()) == [False, True, True]


def test_C44_df_is_set_by_configuration(df_set):
    assert dfs(df_set, df_set.tunnel()) == [True, True, True]


def test_C44_df_is_cleared_by_configuration(df_clear):
    assert dfs(df_clear, df_clear.tunnel()) == [False, False, False]


@pytest.mark.parametrize("name", ["gateway", "df_set"])
def test_C44_df_is_cleared_for_an_sa_that_says_so(name, request):
    gateway = request.getfixturevalue(name)
    assert dfs(gateway, gateway.tunnel(words="flag nopmtudisc")) == [False, False, False]


@every_outer
def test_C61_what_is_just_as_long_as_it_may_be_passes_and_one_byte_more_is_answered(gateway, outer):
    tunnel = gateway.tunnel(outer)
    limit = inner_mtu(outer)
    for family, fields in ((4, {"flags": "DF"}), (6, {})):
        fits = sized(family, limit, **fields)
        _, opened = gateway.outbound(tunnel, fits)
        assert opened[Raw].load == fits[Raw].load
        assert too_big(gateway, sized(family, limit + 1, **fields)) == limit


@pytest.fixture
def wide(jumbo):
    """With peers that take what the engine sends. Its own ends it has set itself."""
    for name in ("lan", "wan"):
        jumbo.peers.ip("link set", f"{name}1", "mtu", str(JUMBO))
    return jumbo


@every_outer
def test_C61_jumbo_frames_both_ways_up_to_the_last_byte(wide, outer):
    tunnel = wide.tunnel(outer)
    limit = inner_mtu(outer, JUMBO)
    for family, fields in ((4, {"flags": "DF"}), (6, {})):
        for length in (1500, 4097, limit):
            _, opened = wide.outbound(tunnel, sized(family, length, **fields))
            assert len(opened) == length
            back = udp(REMOTE[family], HOST[family], size=length - (28 if family == 4 else 48))
            assert len(wide.inbound(tunnel, back)[IP if family == 4 else IPv6]) == length
        assert too_big(wide, sized(family, limit + 1, **fields)) == limit


@every_outer
def test_C61_ipv4_without_df_is_cut_before_it_is_sealed(gateway, outer):
    tunnel = gateway.tunnel(outer)
    long = sized(4, inner_mtu(outer) + 1)
    gateway.lan.send(long)
    sealed = [gateway.wan.receive(is_esp, "a packet of its own") for _ in range(2)]
    assert not any(is_fragment(p) for p in sealed)
    parts = [tunnel.out.open(p) for p in sealed]
    assert [p.frag > 0 for p in parts] == [False, True]
    assert b"".join(bytes(p.payload) for p in parts) == bytes(long.payload)


@every_outer
def test_C61_ipv6_gets_through_a_tunnel_whose_mtu_is_below_1280(narrow, outer):
    """RFC 2473 section 7.1: up to 1280 bytes the packet is sealed and then cut."""
    tunnel = narrow.tunnel(outer)
    limit = inner_mtu(outer, NARROW)
    assert limit < 1280
    for length in (limit + 1, 1280):
        packet = sized(6, length)
        opened = cut_outbound(narrow, tunnel, packet, NARROW)
        assert bytes(opened.payload) == bytes(packet.payload)
    assert too_big(narrow, sized(6, 1281)) == 1280
    whole, _ = narrow.outbound(tunnel, sized(6, limit))
    assert not is_fragment(whole)
    assert too_big(narrow, sized(4, limit + 1, flags="DF")) == limit


@every_outer
def test_by_choice_what_df_does_not_forbid_is_cut_after_it_was_sealed(after, outer):
    tunnel = after.tunnel(outer)
    limit = inner_mtu(outer)
    for length in (limit + 1, 1500):
        packet = sized(4, length)
        opened = cut_outbound(after, tunnel, packet)
        assert bytes(opened.payload) == bytes(packet.payload)
    assert too_big(after, sized(4, limit + 1, flags="DF")) == limit
    assert too_big(after, sized(6, limit + 1)) == limit


@every_outer
def test_by_choice_an_sa_without_df_answers_nobody(after, outer):
    tunnel = after.tunnel(outer, words="flag nopmtudisc")
    for packet in (sized(4, 1500, flags="DF"), sized(6, 1500), sized(4, 1500)):
        opened = cut_outbound(after, tunnel, packet)
        assert bytes(opened.payload) == bytes(packet.payload)


def test_fragments_of_many_packets_have_identifications_of_their_own(after):
    """RFC 6864: and packets that may be cut on the way have others still."""
    after.tunnel()
    ids = []
    for _ in range(100):
        after.lan.send(sized(4, 1500))
        parts = [after.wan.receive(is_fragment, "a fragment") for _ in range(2)]
        assert parts[0][IP].id == parts[1][IP].id
        ids.append(parts[0][IP].id)
        after.lan.send(sized(4, 100))
        ids.append(after.wan.receive(is_esp, "ESP")[IP].id)
    assert len(set(ids)) == 200
