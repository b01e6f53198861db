# SPDX-License-Identifier: BSD-3-Clause
"""ESP against a second opinion: what scapy seals the engine opens, and the other way round."""

import socket
import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP
from scapy.packet import Raw
from scapy.utils import checksum

from esp import CBC, GCM, SUITES
from gateway import HOST, OURS, REMOTE, THEIRS, ip, is_esp, udp

# From no payload to the most that fits: every remainder of the padding, both families.
SIZES = [*range(24, 57), 128, 512, 1300]

every_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda s: s.name)
every_family = pytest.mark.parametrize("inner,outer", [(4, 4), (6, 4), (4, 6), (6, 6)],
                                       ids=lambda f: f"v{f}")
with_and_without_esn = pytest.mark.parametrize("esn", [False, True], ids=["seq32", "esn"])


def spi_of(packet):
    return packet[ESP].spi


@every_suite
@every_family
@with_and_without_esn
def test_C10_C11_C43_suites_families_and_esn_agree_with_scapy(gateway, suite, inner, outer, esn):
    tunnel = gateway.tunnel(outer, suite=suite, esn=esn)
    for size in SIZES:
        there = udp(HOST[inner], REMOTE[inner], size=size)
        sealed, opened = gateway.outbound(tunnel, there)
        if inner == 4:
            there.ttl -= 1
            del there.chksum
        else:
            there.hlim -= 1
        assert bytes(opened) == bytes(there)
        header = sealed[IP if outer == 4 else IPv6]
        assert (header.src, header.dst) == (OURS[outer], THEIRS[outer])
        assert spi_of(sealed) == tunnel.spi_out

        back = udp(REMOTE[inner], HOST[inner], size=size)
        assert gateway.inbound(tunnel, back)[Raw].load == back[Raw].load


@pytest.mark.parametrize("suite", [GCM, CBC], ids=lambda s: s.name)
def test_C12_esn_with_a_high_half_of_its_own_agrees_with_scapy(gateway, suite):
    tunnel = gateway.tunnel(suite=suite, esn=True, high=3)
    there = udp(HOST[4], REMOTE[4])
    assert gateway.outbound(tunnel, there)[1][Raw].load == there[Raw].load
    back = udp(REMOTE[4], HOST[4])
    gateway.inbound(tunnel, back)


def test_C6_C7_sequence_starts_at_one_and_adds_one(gateway):
    tunnel = gateway.tunnel()
    numbers = [gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))[0][ESP].seq for _ in range(5)]
    assert numbers == [1, 2, 3, 4, 5]


@every_suite
def test_C25_padding_is_one_two_three(gateway, suite):
    tunnel = gateway.tunnel(suite=suite)
    for size in range(24, 44):
        gateway.lan.send(udp(HOST[4], REMOTE[4], size=size))
        plain = tunnel.out.plain(gateway.wan.receive(is_esp, "ESP"))
        padlen = plain[-2]
        assert plain[-2 - padlen:-2] == bytes(range(1, padlen + 1))
        assert len(plain) == 20 + 8 + size + padlen + 2


def test_C29_gcm_pads_as_little_as_it_can(gateway):
    tunnel = gateway.tunnel(suite=GCM)
    for size in range(24, 40):
        packet = udp(HOST[4], REMOTE[4], size=size)
        sealed, _ = gateway.outbound(tunnel, packet)
        assert len(sealed[ESP].data) == 8 + (len(packet) + 2 + 3) // 4 * 4 + 16


@every_suite
def test_C70_ivs_never_repeat(gateway, suite):
    tunnel = gateway.tunnel(suite=suite)
    ivs = set()
    for _ in range(50):
        gateway.lan.send(udp(HOST[4], REMOTE[4]))
        sealed = gateway.wan.receive(is_esp, "ESP")
        ivs.add(bytes(sealed[ESP].data[:tunnel.out.sa.crypt_algo.iv_size]))
    assert len(ivs) == 50


def test_C71_S10_a_key_installed_again_goes_on_above_the_last_iv_and_number(gateway):
    tunnel = gateway.tunnel(suite=GCM)
    seen = []
    for _ in range(3):
        for _ in range(3):
            sealed, _ = gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
            seen.append((sealed[ESP].seq, bytes(sealed[ESP].data[:8])))
        gateway.engine.batch(["xfrm state flush"] + tunnel.states())
    assert len({iv for _, iv in seen}) == len(seen)
    assert [seq for seq, _ in seen] == sorted({seq for seq, _ in seen})


def test_C46_C49_dscp_and_ecn_are_copied_out(gateway):
    tunnel = gateway.tunnel()
    sealed, opened = gateway.outbound(tunnel, udp(HOST[4], REMOTE[4], tos=0xb8 | 2))
    assert sealed[IP].tos == 0xb8 | 2
    assert opened.tos == 0xb8 | 2


def test_C45_the_inner_ttl_is_decremented_once_and_the_outer_is_ours(gateway):
    tunnel = gateway.tunnel()
    sealed, opened = gateway.outbound(tunnel, udp(HOST[4], REMOTE[4], ttl=7))
    assert opened.ttl == 6
    assert sealed[IP].ttl == 64
    got = gateway.inbound(tunnel, udp(REMOTE[4], HOST[4], ttl=7))
    assert got[IP].ttl == 6


def test_C47_ip_options_are_not_copied_out(gateway):
    tunnel = gateway.tunnel()
    sealed, opened = gateway.outbound(
        tunnel, udp(HOST[4], REMOTE[4], options=[IPOption_NOP()] * 4))
    assert sealed[IP].ihl == 5
    assert opened.ihl == 6


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", [UDP, TCP], ids=["udp", "tcp"])
def test_a_checksum_that_a_veth_left_open_is_completed_before_sealing(gateway, family, protocol):
    """As a sender with checksum offload leaves it: only the pseudo-header is summed so far."""
    tunnel = gateway.tunnel()
    complete = ip(HOST[family], REMOTE[family]) / protocol(dport=5000) / Raw(b"left open")
    complete = complete.__class__(bytes(complete))
    header = complete[protocol]
    open_ = complete.copy()
    number, length = {UDP: 17, TCP: 6}[protocol], len(bytes(header))
    pseudo = b"".join(socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, a)
                      for a in (complete.src, complete.dst)) + struct.pack("!II", length, number)
    open_[protocol].chksum = ~checksum(pseudo) & 0xffff
    _, opened = gateway.outbound(tunnel, open_)
    assert opened[protocol].chksum == header.chksum
