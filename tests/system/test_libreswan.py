# SPDX-License-Identifier: BSD-3-Clause
"""An unmodified pluto drives one engine, an unmodified charon the other: each in both roles."""

import pytest

from ikenet import PSK, Eye, Flow, Site, Switch, losses, moon_and_sun
from netns import wait_for
from pluto import Pluto

ALICE, BOB = "10.1.0.2", "10.2.0.2"
PROPOSALS = {"ike": {"proposals": "aes256gcm16-prfsha512-modp2048"},
             "esp_proposals": "aes256gcm16-modp2048"}


class PlutoSite(Site):
    def start_charon(self, authority, engine):
        self.pluto = Pluto(self.netns, engine, PSK["ike"]["secret"])
        self.exits.callback(self.pluto.close)


@pytest.fixture(scope="module")
def sites(netns):
    with moon_and_sun(Switch(netns("switch")), sun=PlutoSite) as sites:
        _, moon, sun = sites
        conf = moon.conf(sun, auth="psk", **PROPOSALS)["gw"]
        conf["local"]["id"], conf["remote"]["id"] = "@moon", "@sun"
        moon.charon.load(connections={"gw": conf}, secrets=PSK)
        sun.pluto.add("net", sun.address, "sun", sun.net, moon.address, "moon", moon.net)
        yield sites


@pytest.mark.parametrize("starts", ["charon", "pluto"])
def test_pluto(sites, starts):
    """
    (A pluto that is asked for another CHILD_SA sends by it at once, before charon has got the answer
    and installed it: what arrives then is lost with any kernel, and counted here.)
    """
    switch, moon, sun = sites
    eye, early = Eye(switch), moon.engine.drops()["no_sa"]
    if starts == "charon":
        moon.charon.initiate("net")
    else:
        sun.pluto.whack("--initiate", "--name", "net")
    moon.client.ping(BOB)
    sun.client.ping(ALICE)
    moon.client.tcp(sun.client, BOB)
    with Flow(moon.client, sun.client, BOB) as there, Flow(sun.client, moon.client, ALICE) as back:
        for rekey in (lambda: moon.charon.swanctl("--rekey", "--child", "net"),
                      lambda: sun.pluto.whack("--rekey-ipsec", "--name", "net")):
            there.await_more()
            old = moon.charon.children("net")[0]["spi-in"]
            rekey()
            wait_for(lambda: old not in [c["spi-in"] for c in moon.charon.children("net")],
                     "another SA", every=0.05)
        there.await_more(500)
        back.await_more(500)
    assert (there.lost, there.twice, back.twice) == ([], 0, 0), losses(moon, sun)
    assert len(back.lost) == moon.engine.drops()["no_sa"] - early, losses(moon, sun)
    seen = eye.look()
    assert seen["esp"] > 1000 and not seen["clear"]
    eye.close()
    sun.pluto.whack("--terminate", "--name", "net")
    for site in (moon, sun):
        wait_for(lambda: not site.engine.ctl("sa", "show")["sa"], f"{site.name}'s SAD to be empty")


def test_engine_killed(sites):
    """A pluto that goes on gets its SAs back likewise."""
    switch, moon, sun = sites
    eye = Eye(switch)
    sun.pluto.whack("--initiate", "--name", "net")
    with Flow(moon.client, sun.client, BOB, interval=0.01) as there, \
            Flow(sun.client, moon.client, ALICE, interval=0.01) as back:
        for _ in range(3):
            there.await_more(20)
            back.await_more(20)
            sun.engine.kill()
            sun.engine.start()
            sun.set_up()
        there.await_more(20)
        back.await_more(20)
    assert not eye.look()["clear"]
    eye.close()
    moon.client.tcp(sun.client, BOB)


def test_mobike(sites):
    """charon's address changes, and pluto has the engine migrate its SAs and policies."""
    switch, moon, sun = sites
    eye = Eye(switch)
    conf = moon.conf(sun, auth="psk", **PROPOSALS)["gw"]
    conf["local"]["id"], conf["remote"]["id"] = "@moon", "@sun"
    moon.charon.load(connections={"gw": {**conf, "local_addrs": "%any"}}, secrets=PSK)
    sun.pluto.whack("--delete", "--name", "net")
    sun.pluto.load("net", {
        "left": sun.address, "leftid": "@sun", "leftsubnet": sun.net, "leftupdown": "%disabled",
        "right": "%any", "rightid": "@moon", "rightsubnet": moon.net, "authby": "secret",
        "mobike": "yes", "esn": "no"})
    moon.charon.initiate("net")
    spis = {row["spi"] for row in sun.engine.ctl("sa", "show")["sa"]}
    with Flow(moon.client, sun.client, BOB) as there, Flow(sun.client, moon.client, ALICE) as back:
        there.await_more()
        moon.netns.batch(["addr del 192.0.2.1/24 dev wan", "addr add 192.0.2.31/24 dev wan",
                          "route add default via 192.0.2.2"])
        wait_for(lambda: {"192.0.2.31"} < {row[end] for row in sun.engine.ctl("sa", "show")["sa"]
                                           for end in ("src", "dst")}, "the SAs to move", every=0.05)
        there.await_more(500)
        back.await_more(500)
    assert spis == {row["spi"] for row in sun.engine.ctl("sa", "show")["sa"]}
    assert there.twice == back.twice == 0
    assert "192.0.2.1 " not in sun.engine.ip("xfrm policy")
    assert not eye.look()["clear"]
    eye.close()
