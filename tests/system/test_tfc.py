# SPDX-License-Identifier: BSD-3-Clause
"""Traffic flow confidentiality (RFC 4303 section 2.7): lengths are hidden where an SA asks for it."""

import pytest
from scapy.layers.inet import IP
from scapy.packet import Raw

from ah import AhTunnel
from esp import CBC, GCM, Tunnel
from gateway import FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS, is_esp, udp

each_family = pytest.mark.parametrize("family", [4, 6], ids=lambda f: f"v{f}")


def padded(gateway, size, outer=4, **options):
    """A tunnel whose outbound SA pads to `size` bytes."""
    tunnel = Tunnel(OURS[outer], THEIRS[outer], **options)
    into, out = tunnel.states()
    gateway.engine.batch(FLUSH + [into, f"{out} tfcpad {size}"] + [
        line for family in (4, 6) for line in tunnel.policies(NEAR[family], FAR[family])])
    return tunnel


def sealed(gateway, tunnel, packet):
    """The ESP packet on the wire, and all that was sealed in it, with padding and trailer."""
    gateway.lan.send(packet)
    got = gateway.wan.receive(is_esp, "ESP")
    return got, tunnel.out.plain(got)


@pytest.mark.parametrize("suite", [GCM, CBC], ids=lambda s: s.name)
@each_family
def test_C32_packets_are_padded_to_the_length_asked_for(gateway, suite, family):
    tunnel = padded(gateway, 600, suite=suite)
    lengths = set()
    for size in (24, 25, 100, 500, 530):
        packet = udp(HOST[family], REMOTE[family], size=size)
        got, plain = sealed(gateway, tunnel, packet)
        lengths.add(got[IP].len)
        end = len(plain) - 2 - plain[-2]
        assert end == 600
        length = len(packet)
        assert plain[length - size:length] == packet[Raw].load
        assert not any(plain[length:end])
    assert len(lengths) == 1


def test_C32_longer_packets_stay_as_they_are(gateway):
    tunnel = padded(gateway, 100)
    packet = udp(HOST[4], REMOTE[4], size=200)
    _, plain = sealed(gateway, tunnel, packet)
    assert len(plain) - 2 - plain[-2] == len(packet)


def test_C32_padding_ends_at_the_mtu(gateway):
    tunnel = padded(gateway, 65535)
    got, _ = sealed(gateway, tunnel, udp(HOST[4], REMOTE[4]))
    assert 1496 < got[IP].len <= 1500
    gateway.wan.take()


def test_C32_nothing_is_padded_where_nobody_asked(gateway):
    tunnel = padded(gateway, 0)
    packet = udp(HOST[4], REMOTE[4])
    _, plain = sealed(gateway, tunnel, packet)
    assert len(plain) - 2 - plain[-2] == len(packet)


def test_C64_tfc_padding_is_charged(gateway):
    tunnel = padded(gateway, 600)
    _, plain = sealed(gateway, tunnel, udp(HOST[4], REMOTE[4]))
    shown = next(sa for sa in gateway.engine.ctl("sa", "show")["sa"] if sa["src"] == OURS[4])
    assert (shown["packets"], shown["bytes"]) == (1, len(plain))


def test_the_length_is_given_back(gateway):
    tunnel = padded(gateway, 600)
    get = f"xfrm state get src {OURS[4]} dst {THEIRS[4]} proto esp spi {tunnel.spi_out:#x}"
    assert "tfcpad 600" in gateway.engine.ip(get)


def test_tfc_padding_is_for_tunnels_of_esp(gateway):
    tunnel = AhTunnel(OURS[4], THEIRS[4])
    result = gateway.engine.try_ip(f"{tunnel.states()[0]} tfcpad 600")
    assert result.returncode != 0
    assert "XFRMA_TFCPAD" in result.stderr
