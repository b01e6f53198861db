# SPDX-License-Identifier: BSD-3-Clause
"""Dummy packets (RFC 4303 section 2.6) that the engine sends beside others, at a configured rate."""

import itertools

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP
from scapy.packet import Raw

from esp import CBC, GCM, Tunnel
from gateway import FLUSH, HOST, OURS, REMOTE, THEIRS, gateway_with, is_esp, udp

NEXT_NONE = 59

spis = itertools.count(0x10001)  # what an SA of the test before sent may still come

busy = gateway_with(tunnels={"dummy_rate": 50})

each_outer = pytest.mark.parametrize("outer", [4, 6], ids=lambda f: f"v{f}")
each_mode = pytest.mark.parametrize("mode", ["tunnel", "transport", "beet"])


def is_of(tunnel):
    """For packets of a tunnel's outbound SA, in UDP or not."""
    def fits(packet):
        if tunnel.ports:
            return UDP in packet and bytes(packet[UDP].payload)[:4] == spi
        return is_esp(packet) and packet[ESP].spi == tunnel.spi_out
    spi = tunnel.spi_out.to_bytes(4, "big")
    return fits


def plain(tunnel, packet):
    """What is encrypted in an ESP packet, in UDP or not: its next header is the last byte."""
    if tunnel.ports:
        packet = packet[tunnel.out.ip].copy()
        packet = tunnel.out.behind(packet, packet[UDP].underlayer, 50,
                                   ESP(bytes(packet[UDP].payload)))
    return tunnel.out.plain(packet)


def beet_selector(way):
    src, dst = (HOST[4], REMOTE[4]) if way == "o" else (REMOTE[4], HOST[4])
    return f" sel src {src}/32 dst {dst}/32"


@pytest.mark.parametrize("suite", [GCM, CBC], ids=lambda s: s.name)
@each_outer
@each_mode
def test_C31_dummies_are_sent_in_every_mode(busy, mode, outer, suite):
    tunnel = Tunnel(OURS[outer], THEIRS[outer], mode=mode, suite=suite, spi=next(spis))
    states = tunnel.states()
    if mode == "beet":
        states = [line.replace("flag af-unspec ", "") + beet_selector(way)
                  for line, way in zip(states, "io")]
    busy.engine.batch(FLUSH + states)
    numbers, lengths = [], set()
    for _ in range(10):
        got = busy.wan.receive(is_of(tunnel), "a dummy packet")
        text = plain(tunnel, got)
        assert text[-1] == NEXT_NONE
        assert text[-2 - text[-2]:-2] == bytes(range(1, text[-2] + 1))
        header = got[IPv6] if outer == 6 else got[IP]
        assert (header.src, header.dst) == (OURS[outer], THEIRS[outer])
        numbers.append(got[ESP].seq)
        lengths.add(len(got))
    assert numbers == list(range(1, 11))
    assert len(lengths) > 3
    assert max(lengths) <= 14 + 1500


@each_outer
def test_C31_dummies_go_through_nat(busy, outer):
    tunnel = Tunnel(OURS[outer], THEIRS[outer], ports=(4500, 61234), spi=next(spis))
    busy.engine.batch(FLUSH + tunnel.states())
    for _ in range(3):
        got = busy.wan.receive(is_of(tunnel), "a dummy packet in UDP")
        assert plain(tunnel, got)[-1] == NEXT_NONE
        assert (got[UDP].sport, got[UDP].dport) == (4500, 61234)


def test_C31_data_passes_between_dummies(busy):
    tunnel = busy.tunnel(spi=next(spis))
    numbers = []
    for size in (20, 500, 900):
        packet = udp(HOST[4], REMOTE[4], size=size)
        busy.lan.send(packet)
        while True:
            got = busy.wan.receive(is_of(tunnel), "ESP")
            numbers.append(got[ESP].seq)
            text = plain(tunnel, got)
            if text[-1] != NEXT_NONE:
                break
        assert packet[Raw].load in text
    assert numbers == list(range(1, len(numbers) + 1))


def test_C31_without_a_rate_there_are_none(gateway):
    tunnel = gateway.tunnel()
    gateway.lan.send(udp(HOST[4], REMOTE[4]))
    assert gateway.wan.receive(is_of(tunnel), "ESP")[ESP].seq == 1
    gateway.lan.send(udp(HOST[4], REMOTE[4]))
    assert gateway.wan.receive(is_of(tunnel), "ESP")[ESP].seq == 2
