# SPDX-License-Identifier: BSD-3-Clause
"""
An engine with its charon, and a peer that shares no code with it: strongSwan's own userspace ESP,
kernel-libipsec. That one speaks ESP in UDP, tunnel mode and 32-bit sequence numbers.
"""

import pytest

from ikenet import Flow, LibipsecSite, Switch, configure, moon_and_sun, watched
from netns import wait_for

ALICE, BOB = "10.1.0.2", "10.2.0.2"


@pytest.fixture(scope="module")
def sites(netns):
    with moon_and_sun(Switch(netns("switch")), sun=LibipsecSite) as sites:
        yield sites


@pytest.fixture(autouse=True)
def eye(sites):
    switch, moon, sun = sites
    with watched(switch, [moon, sun], [moon.engine]) as eye:
        yield eye


@pytest.mark.parametrize("proposal", ["aes128gcm16", "aes256gcm16", "chacha20poly1305",
                                      "aes128-sha256", "aes256-sha512"])
@pytest.mark.parametrize("starts", ["moon", "sun"])
def test_kernel_libipsec(sites, eye, proposal, starts):
    _, moon, sun = sites
    configure(moon, sun, esp_proposals=proposal)
    (moon if starts == "moon" else sun).charon.initiate("net")
    before = moon.sealed()
    moon.client.ping(BOB)
    sun.client.ping(ALICE)
    moon.client.tcp(sun.client, BOB)
    sun.client.tcp(moon.client, ALICE)
    seen = eye.look()
    assert seen["udp-esp"] > 400 and not seen["esp"] and not seen["clear"]
    assert all(now > then + 200 for now, then in zip(moon.sealed(), before))


def test_check_sees_a_charon_without_the_library(sites):
    _, moon, sun = sites
    ours, other = moon.charon.process.pid, sun.charon.process.pid
    assert moon.engine.believes(ours, other) == (
        1, f"process {ours}: talks to the engine\n"
           f"process {other}: talks to the kernel: not started under sealane-xfrm\n")


def test_kernel_libipsec_rekeyed_from_both_sides(sites, eye):
    _, moon, sun = sites
    configure(moon, sun)
    moon.charon.initiate("net")
    with Flow(moon.client, sun.client, BOB) as there, Flow(sun.client, moon.client, ALICE) as back:
        for site in (moon, sun):
            there.await_more()
            old = moon.charon.await_children("net")[0]["spi-in"]
            site.charon.swanctl("--rekey", "--child", "net")
            wait_for(lambda: moon.charon.spis("net") - {old}, "another SA", every=0.05)
        there.await_more(500)
        back.await_more(500)
    assert (there.lost, there.twice) == ([], 0), there.sent
    assert (back.lost, back.twice) == ([], 0), back.sent
