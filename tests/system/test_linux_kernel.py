# SPDX-License-Identifier: BSD-3-Clause
"""A real Linux kernel as the peer: what it seals the engine opens, and the other way round."""

import random
import re

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6

from esp import CBC, GCM
from gateway import HOST, REMOTE, is_esp
from linux_peer import LinuxGateway
from suites import SUITES
from wire import Wire

# No payload, every remainder of the padding to 4 and some of that to 16, and the largest.
SIZES = [0, 1, 2, 3, 4, 9, 15, 16, 33, 1350]
ENCAPSULATED = "encap espinudp 4500 4500 0.0.0.0"
LACKING = [suite for suite in SUITES if suite.name.startswith("aes192ccm")]  # of the default backend

every_family = pytest.mark.parametrize("inner,outer", [(4, 4), (6, 4), (4, 6), (6, 6)],
                                       ids=lambda f: f"v{f}")
with_and_without_esn = pytest.mark.parametrize("esn", [False, True], ids=["seq32", "esn"])


@pytest.fixture(scope="module")
def kernel():
    kernel = LinuxGateway(crypto={"legacy": ["sha1"]})
    yield kernel
    kernel.close()


@pytest.mark.slow_under_sanitizer
@pytest.mark.parametrize("suite", [s for s in SUITES if s not in LACKING], ids=lambda s: s.name)
@with_and_without_esn
def test_every_suite(kernel, suite, esn):
    kernel.tunnel(suite=suite, esn=esn)
    with kernel.nothing_lost():
        kernel.ping(4, *SIZES)
        kernel.ping(6, *SIZES)


@pytest.mark.slow_under_sanitizer
def test_suites_of_the_other_backend():
    kernel = LinuxGateway(crypto={"backend": "openssl"})
    try:
        for suite in [GCM, CBC, *LACKING]:
            for esn in (False, True):
                kernel.tunnel(suite=suite, esn=esn)
                with kernel.nothing_lost():
                    kernel.ping(4, *SIZES)
    finally:
        kernel.close()


@every_family
@pytest.mark.parametrize("words", ["", ENCAPSULATED], ids=["plain", "udp"])
@pytest.mark.parametrize("suite", [GCM, CBC], ids=lambda s: s.name)
def test_families_and_udp_encapsulation(kernel, inner, outer, suite, words):
    kernel.tunnel(outer, suite=suite, words=words)
    kernel.wan.take()
    with kernel.nothing_lost():
        kernel.ping(inner, *range(20))
        kernel.guest.run(f"ping -n -c 3 -i 0.01 -W 10 -I {REMOTE[inner]} {HOST[inner]}")
    header = kernel.wan.receive(lambda p: True)[IP if outer == 4 else IPv6]
    assert (header.proto if outer == 4 else header.nh) == (17 if words else 50)


@pytest.mark.parametrize("suite", [GCM, CBC], ids=lambda s: s.name)
def test_esn_goes_beyond_its_low_half(kernel, suite):
    kernel.tunnel(suite=suite, esn=True, low=0xfffffff0)
    kernel.passes_2_to_the_32()


@pytest.mark.parametrize("window", [32, 64, 1024])
def test_what_comes_again_is_dropped_on_both_sides(kernel, window):
    kernel.tunnel(window=window)
    kernel.drops_what_comes_again()


@every_family
def test_tcp_both_ways(kernel, inner, outer):
    data = random.Random(1).randbytes(2_000_000)
    kernel.tunnel(outer)
    assert kernel.echo(inner, data) == data


def refused(kernel, family, size):
    """The MTU that a ping is told which is too large and must not be fragmented."""
    said = kernel.peers.run("sh", "-c", f"ping -n -c 1 -M do -s {size} {REMOTE[family]} 2>&1",
                            check=False)
    return int(re.search(r"mtu ?[=:] ?(\d+)", said)[1])


@every_family
@pytest.mark.parametrize("suite", [GCM, CBC], ids=lambda s: s.name)
def test_both_agree_on_the_mtu_of_the_tunnel(kernel, inner, outer, suite):
    """What they name passes, and one byte more does not."""
    kernel.tunnel(outer, suite=suite)
    kernel.forget_mtus()
    headers = {4: 28, 6: 48}[inner]
    mtu = refused(kernel, inner, 1500 - headers)
    said = kernel.guest.run(f"ping -n -c 1 -M do -s 1452 {HOST[inner]}", check=False)
    assert f"mtu={mtu}" in said or f"mtu: {mtu}" in said
    with kernel.nothing_lost():
        kernel.ping(inner, mtu - headers, words="-M do")
        assert refused(kernel, inner, mtu - headers + 1) == mtu


@every_family
def test_tcp_of_the_gateway_itself(kernel, inner, outer):
    """Its kernel learns the tunnel's MTU from the engine."""
    data = random.Random(2).randbytes(500_000)
    kernel.tunnel(outer)
    source = {4: "10.1.0.1", 6: "2001:db8:1::1"}[inner]
    assert kernel.echo(inner, data, kernel.gw, source) == data


@pytest.mark.parametrize("outer", [4, 6])
def test_large_packets_in_fragments(kernel, outer):
    kernel.tunnel(outer)
    kernel.forget_mtus()
    refused(kernel, 6, 1452)  # so that the host knows the tunnel's MTU, as the guest does
    with kernel.nothing_lost():
        kernel.ping(6, 1452, 3000, 9000, 60000, words="-M dont")


@every_family
def test_dscp_and_ecn_are_copied_out_by_both(kernel, inner, outer):
    kernel.tunnel(outer)
    wire = Wire(kernel.gw, "wan0", kernel.wan.mac)
    kernel.wan.take()
    for tos in (0, 1, 2, 0xb8, 0xb8 | 2, 0x28 | 3):
        kernel.ping(inner, 100, words=f"-Q {tos}")
        ours, theirs = (packet[IP].tos if outer == 4 else packet[IPv6].tc for packet in (
            kernel.wan.receive(is_esp), wire.receive(is_esp)))
        assert ours == tos
        # Linux does as RFC 3168 has it, where nobody sees that a packet came marked.
        assert theirs == (tos if tos & 3 != 3 else tos & 0xfc | 2)
    wire.close()
