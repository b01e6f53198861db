# SPDX-License-Identifier: BSD-3-Clause
"""BEET mode with a real Linux kernel as the peer: between one host behind either side."""

import random

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6

from esp import CBC, GCM
from gateway import HOST, REMOTE
from linux_peer import LinuxGateway
from test_beet import Beet
from test_linux_kernel import SIZES, every_family


class TwoSided(Beet):
    def mirrored(self):
        other = super().mirrored()
        other.near, other.far = self.far, self.near
        return other


@pytest.fixture(scope="module")
def kernel():
    kernel = LinuxGateway()
    yield kernel
    kernel.close()


def connect(kernel, inner, outer, **options):
    beet = TwoSided(inner, outer, **options)
    kernel.install(beet, (beet.near, beet.far))


@every_family
@pytest.mark.parametrize("suite", [GCM, CBC], ids=lambda s: s.name)
@pytest.mark.parametrize("carrier,ports", [(50, None), (17, (4500, 4500))], ids=["esp", "udp"])
def test_C43_pings_both_ways(kernel, inner, outer, suite, carrier, ports):
    connect(kernel, inner, outer, suite=suite, ports=ports, esn=inner != outer)
    kernel.wan.take()
    with kernel.nothing_lost():
        kernel.ping(inner, *SIZES)
        kernel.guest.run(f"ping -n -c 3 -i 0.01 -W 10 -I {REMOTE[inner]} {HOST[inner]}")
    assert {p[IP].proto if outer == 4 else p[IPv6].nh for p in kernel.wan.take()} == {carrier}


@pytest.mark.parametrize("outer", [4, 6], ids=lambda f: f"outer{f}")
def test_ipv4_options_travel_behind_a_pseudo_header(kernel, outer):
    connect(kernel, 4, outer)
    with kernel.nothing_lost():
        kernel.ping(4, 100, 101, words="-T tsonly")


@every_family
def test_tcp(kernel, inner, outer):
    data = random.Random(5).randbytes(200_000)
    connect(kernel, inner, outer)
    assert kernel.echo(inner, data) == data
