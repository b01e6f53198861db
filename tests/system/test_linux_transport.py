# SPDX-License-Identifier: BSD-3-Clause
"""Transport mode with a real Linux kernel as the peer: between it and the gateway's own kernel."""

import random

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6

from esp import CBC, GCM
from gateway import OURS, THEIRS
from linux_peer import LinuxGateway
from suites import SUITES
from test_linux_kernel import SIZES

SOME = [GCM, CBC, *(s for s in SUITES if s.name in (
    "chacha20poly1305", "aes256ccm16", "aes128gmac", "aes128ctr-sha512", "null-aesxcbc"))]
CARRIERS = {"esp": (50, None), "udp": (17, (4500, 4500))}

each_family = pytest.mark.parametrize("family", [4, 6], ids=lambda f: f"v{f}")
in_esp_and_udp = pytest.mark.parametrize("carrier,ports", CARRIERS.values(), ids=CARRIERS)


@pytest.fixture(scope="module")
def kernel():
    kernel = LinuxGateway()
    yield kernel
    kernel.close()


def ping(kernel, family, *sizes, words=""):
    kernel.ping(family, *sizes, words=words, netns=kernel.gw, to=THEIRS)


def sizes_for(family, ports):
    """Linux takes no ESP in UDP over IPv6 of less than 48 bytes, UDP header and all."""
    return [size for size in SIZES if size > 8] if family == 6 and ports else SIZES


def carriers(frames):
    """Protocols behind the IP headers of frames."""
    return {p[IP].proto if IP in p else p[IPv6].nh for p in frames}


def pings_both_ways(kernel, family, sizes):
    with kernel.nothing_lost():
        ping(kernel, family, *sizes)
        kernel.guest.run(f"ping -n -c 3 -i 0.01 -W 10 {OURS[family]}")


@each_family
@pytest.mark.parametrize("esn", [False, True], ids=["seq32", "esn"])
@pytest.mark.parametrize("suite", SOME, ids=lambda s: s.name)
def test_suites(kernel, suite, esn, family):
    kernel.transport(family, suite=suite, esn=esn)
    pings_both_ways(kernel, family, SIZES)


@each_family
@in_esp_and_udp
@pytest.mark.parametrize("suite", [GCM, CBC, SOME[-1]], ids=lambda s: s.name)
def test_on_the_wire_is_what_the_sa_says(kernel, suite, family, carrier, ports):
    kernel.transport(family, suite=suite, ports=ports)
    kernel.wan.take()
    pings_both_ways(kernel, family, sizes_for(family, ports))
    assert carriers(kernel.wan.take()) == {carrier}


@each_family
@in_esp_and_udp
@pytest.mark.parametrize("suite", [GCM, CBC], ids=lambda s: s.name)
def test_tcp(kernel, suite, family, carrier, ports):
    data = random.Random(3).randbytes(500_000)
    kernel.transport(family, suite=suite, ports=ports)
    kernel.wan.take()
    assert kernel.echo(family, data, netns=kernel.gw, to=THEIRS) == data
    assert carriers(kernel.wan.take()) == {carrier}


@each_family
def test_esn_goes_beyond_its_low_half(kernel, family):
    kernel.transport(family, esn=True, low=0xfffffff0)
    with kernel.nothing_lost():
        ping(kernel, family, *range(20))
    state = kernel.guest.run("ip xfrm state")
    assert "seq-hi 0x1, seq 0x4" in state and "oseq-hi 0x1, oseq 0x4" in state
