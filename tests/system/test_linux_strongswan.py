# SPDX-License-Identifier: BSD-3-Clause
"""An engine and its charon against a real Linux kernel and its charon: two gateways, one of them ours."""

import pytest

from charon import Authority
from ikenet import Flow, Site, Switch, configure, watched
from linux_site import GuestSite
from netns import wait_for

ALICE, ALICE6 = "10.1.0.2", "2001:db8:1::2"
BOB, BOB6 = "10.2.0.2", "2001:db8:2::2"


@pytest.fixture(scope="module")
def sites(netns):
    authority = Authority()
    switch = Switch(netns("switch"))
    moon = Site(switch, "moon", "alice", 1, authority)
    sun = GuestSite(switch, "sun", "bob", 2, authority)
    yield switch, moon, sun
    sun.close()
    moon.close()
    authority.close()


@pytest.fixture
def moon(sites):
    return sites[1]


@pytest.fixture
def sun(sites):
    return sites[2]


@pytest.fixture(autouse=True)
def eye(sites):
    """Watches the wire: nothing may pass in clear text. In the end both sides have nothing left."""
    switch, moon, sun = sites
    with watched(switch, [moon, sun], [moon.engine]) as eye:
        yield eye
    wait_for(lambda: not sun.guest.run("ip xfrm state"), "the kernel's SAD to be empty")


def carries(moon, sun, eye, address=BOB):
    """
    Ping and TCP through the tunnel; the wire has ESP alone, and the kernel liked all that came. (What
    it sends it counts as wrong where it was too long, and when no SA was there yet.)
    """
    eye.look()
    moon.client.ping(address)
    moon.client.tcp(sun.client, address)
    seen = eye.look()
    assert seen["esp"] + seen["udp-esp"] > 200 and not seen["clear"]
    assert not sun.guest.run("grep XfrmIn /proc/net/xfrm_stat | grep -v '[[:space:]]0$' || true")


def both(moon, sun, **options):
    for me, other in ((moon, sun), (sun, moon)):
        me.charon.load(connections=me.conf(other, **options))


@pytest.mark.parametrize("auth,initiator", [("psk", "moon"), ("pubkey", "sun")])
def test_net2net(moon, sun, eye, auth, initiator):
    configure(moon, sun, auth=auth)
    {"moon": moon, "sun": sun}[initiator].charon.initiate("net")
    carries(moon, sun, eye)


@pytest.mark.parametrize("outer,inner", [(4, 6), (6, 4), (6, 6)],
                         ids=["ip6-in-ip4", "ip4-in-ip6", "ip6"])
def test_net2net_families(moon, sun, eye, outer, inner):
    for me, other in ((moon, sun), (sun, moon)):
        near, far = (me.net6, other.net6) if inner == 6 else (me.net, other.net)
        me.charon.load(connections=me.conf(other, outer=outer, local_ts=near, remote_ts=far))
    moon.charon.initiate("net")
    carries(moon, sun, eye, BOB6 if inner == 6 else BOB)


@pytest.mark.parametrize("proposal", [
    "aes256gcm16-esn", "aes128ccm16", "chacha20poly1305", "aes128-sha256-esn", "null-sha256"])
def test_alg(moon, sun, eye, proposal):
    configure(moon, sun, esp_proposals=proposal)
    sun.charon.initiate("net")
    carries(moon, sun, eye)


@pytest.mark.parametrize("outer", [4, 6])
def test_force_udp_encap(moon, sun, eye, outer):
    both(moon, sun, outer=outer, ike={"encap": "yes"})
    moon.charon.initiate("net")
    assert moon.charon.children("net")[0]["encap"] == "yes"
    carries(moon, sun, eye)


@pytest.mark.parametrize("what", [("--child", "net"), ("--ike", "gw")], ids=["child", "ike"])
def test_net2net_rekey(moon, sun, eye, what):
    """From either side, and with packets both ways meanwhile: none is lost, none comes twice."""
    configure(moon, sun)
    moon.charon.initiate("net")
    spis = {moon.charon.await_children("net")[0]["spi-in"]}
    with Flow(moon.client, sun.client, BOB) as there, Flow(sun.client, moon.client, ALICE) as back:
        for site in (moon, sun):
            there.await_more()
            site.charon.swanctl("--rekey", *what)
            if what[0] == "--child":
                wait_for(lambda: moon.charon.spis("net") - spis, "a new SA", every=0.05)
            spis.add(moon.charon.await_children("net")[0]["spi-in"])
        there.await_more()
    for flow in (there, back):
        assert (flow.lost, flow.twice) == ([], 0), flow.sent
    carries(moon, sun, eye)


@pytest.mark.parametrize("trapper", ["moon", "sun"])
def test_net2net_route(moon, sun, eye, trapper):
    """A trap of either kernel: the first packet asks for the tunnel."""
    configure(moon, sun)
    first, far = {"moon": (moon, BOB), "sun": (sun, ALICE)}[trapper]
    first.charon.load(connections=first.conf({"moon": sun, "sun": moon}[trapper],
                                             start_action="trap"))
    wait_for(lambda: first.client.reaches(far), "the tunnel that the first packet asked for")
    carries(moon, sun, eye)
