# SPDX-License-Identifier: BSD-3-Clause
"""
strongSwan 6 of later releases of Debian, which scripts/install-deps.sh unpacks, with the library that
was built here. The newer asks with more words: SA_DIR, LASTUSED, the acquire's number, SAs of a CPU.
"""

import pytest

from between import Asking
from ikenet import Client, Flow, Site, Switch, configure, moon_and_sun, watched
from netns import wait_for

ALICE, BOB = "10.1.0.2", "10.2.0.2"


class TrixieSite(Site):
    release = "trixie"


class ForkySite(Site):
    release = "forky"


@pytest.fixture(scope="module", params=[(TrixieSite, Site), (ForkySite, ForkySite)],
                ids=["trixie", "forky"])
def sites(netns, request):
    moon, sun = request.param
    with moon_and_sun(Switch(netns("switch")), moon=moon, sun=sun) as sites:
        yield sites


@pytest.fixture
def eye(sites):
    switch, *gateways = sites
    with watched(switch, gateways, [site.engine for site in gateways]) as eye:
        yield eye


def traffic(moon, sun, eye):
    moon.client.ping(BOB)
    sun.client.ping(ALICE)
    moon.client.tcp(sun.client, BOB)
    seen = eye.look()
    assert seen["esp"] > 200 and not seen["clear"]


@pytest.mark.parametrize("starts", ["moon", "sun"])
def test_net2net_cert(sites, eye, starts):
    _, moon, sun = sites
    configure(moon, sun, esp_proposals="aes256gcm16-esn")
    (moon if starts == "moon" else sun).charon.initiate("net")
    version = moon.charon.swanctl("--version", "--daemon")
    assert "strongSwan 6." in version, version
    traffic(moon, sun, eye)


def test_net2net_rekey(sites, eye):
    _, moon, sun = sites
    configure(moon, sun)
    moon.charon.initiate("net")
    with Flow(moon.client, sun.client, BOB) as there, Flow(sun.client, moon.client, ALICE) as back:
        for site in (moon, sun, moon):
            there.await_more()
            old = moon.charon.await_children("net")[0]["spi-in"]
            site.charon.swanctl("--rekey", "--child", "net")
            wait_for(lambda: moon.charon.spis("net") - {old}, "another SA", every=0.05)
        there.await_more(500)
        back.await_more(500)
    for flow in (there, back):
        assert (flow.lost, flow.twice) == ([], 0), flow.sent


def test_net2net_route(sites, eye):
    """A trap; the acquire's number comes back with the SAs that it led to."""
    _, moon, sun = sites
    configure(moon, sun, start_action="trap")
    moon.client.ping(BOB, count=1)
    moon.charon.await_children("net")
    traffic(moon, sun, eye)


def test_inactivity_timeout(sites, eye):
    """These charons ask for the SAs' last use (LASTUSED)."""
    _, moon, sun = sites
    configure(moon, sun, inactivity="1s")
    moon.charon.initiate("net")
    with Flow(moon.client, sun.client, BOB, interval=0.01) as flow:
        flow.await_more(200)
        assert moon.charon.children("net")
    moon.charon.await_children("net", 0)


def test_host2host_transport(sites, eye):
    _, moon, sun = sites
    configure(moon, sun, children={"net": {"mode": "transport"}})
    moon.charon.initiate("net")
    before = moon.sealed()
    Client("moon", moon.netns).ping(sun.address)
    assert moon.sealed() == (before[0] + 3, before[1] + 3)


class AskingSite(ForkySite):
    """Its charon is asked for more SAs than the engine wants."""

    def start_charon(self, authority, engine):
        self.asking = Asking(engine)
        self.exits.callback(self.asking.close)
        super().start_charon(authority, self.asking)


@pytest.fixture
def asked(netns):
    with moon_and_sun(Switch(netns("switch")), moon=AskingSite, sun=ForkySite) as sites:
        switch, *gateways = sites
        with watched(switch, gateways, [site.engine for site in gateways]) as eye:
            yield *gateways, eye


def test_net2net_route_narrow(asked):
    """
    A wide trap and a peer that has a CHILD_SA for each half: the rest of the trap's traffic asks for
    another, as this charon gives what was narrowed a reqid of its own.
    """
    moon, sun, eye = asked
    sun.client.netns.ip("addr add 10.2.0.130/32 dev eth0")
    moon.charon.load(connections=moon.conf(sun, start_action="trap"))
    sun.charon.load(connections=sun.conf(moon, children={
        "low": {"local_ts": "10.2.0.0/25", "remote_ts": moon.net},
        "high": {"local_ts": "10.2.0.128/25", "remote_ts": moon.net}}))
    for address in BOB, "10.2.0.130":
        moon.client.ping(address, count=1)  # the first packet of all waits for its SA
    assert [child["remote-ts"] for child in moon.charon.await_children("net", 2)] == [
        ["10.2.0.0/25"], ["10.2.0.128/25"]]
    seen = eye.look()
    assert seen["esp"] >= 4 and not seen["clear"]


@pytest.mark.parametrize("how", ["yes", "encap"])
def test_per_cpu_sas(asked, how):
    """
    RFC 9611: an SA for each CPU beside the first, as charon negotiates when a kernel asks. `encap`
    gives each a source port of its own, so that the peer's may be any.
    """
    moon, sun, eye = asked
    configure(moon, sun, ike={"encap": "yes" if how == "encap" else "no"}, start_action="trap",
              per_cpu_sas=how)
    wait_for(lambda: moon.client.reaches(BOB), "the tunnel that the first packet asked for")
    for cpu in range(2):
        moon.asking.ask(cpu)
        moon.charon.await_children("net", cpu + 2)
    assert [child.get("cpu") for child in moon.charon.children("net")] == [None, "0", "1"]
    first, *others = [child.get("cpu") for child in sun.charon.await_children("net", 3)]
    assert first is None and None not in others  # which ones, each side decides
    assert [len(site.engine.ctl("sa", "show")["sa"]) for site in (moon, sun)] == [6, 6]
    with Flow(moon.client, sun.client, BOB) as there, Flow(sun.client, moon.client, ALICE) as back:
        there.await_more(500)
        old = moon.charon.spis("net")
        moon.charon.swanctl("--rekey", "--child", "net")
        wait_for(lambda: not moon.charon.spis("net") & old, "the rekeyings", every=0.05)
        moon.charon.await_children("net", 3)
        there.await_more(500)
    for flow in (there, back):
        assert (flow.lost, flow.twice) == ([], 0), flow.sent
    seen = eye.look()
    assert seen["udp-esp" if how == "encap" else "esp"] > 1000 and not seen["clear"]
