# SPDX-License-Identifier: BSD-3-Clause
"""
net2net-xfrmi: two tenants with the same addresses behind the same gateways. Each has an if_id of its
own, which charon gives to its SAs and policies and the engine to a port and a routing table.
"""

import pytest

from engine import port
from ikenet import PSK, Client, Eye, Site, Switch, moon_and_sun
from netns import helper, wait_for

TENANT, TABLE = 7, 100
BOB = "10.2.0.2"


class TenantSite(Site):
    """A gateway with a second protected port, `blue`, that is the tenant's."""

    def connect(self, switch, wan, lan):
        super().connect(switch, wan, lan)
        self.blue = Client(f"{self.client.name}-blue")
        self.exits.callback(self.blue.close)
        helper("veth_new", self.netns.name, "blue0", self.blue.netns.name, "eth0")
        helper("below_engine", self.netns.name, "blue0")
        self.blue.netns.batch([f"addr add 10.{self.number}.0.2/24 dev eth0",
                               f"route add default via 10.{self.number}.0.1"])

    def ports(self):
        return super().ports() + [port("blue", "blue0", "protected", tenant=TENANT, table=TABLE)]

    def set_up(self):
        super().set_up()
        n = self.number
        self.netns.batch([
            "link set blue up", f"addr add 10.{n}.0.1/32 dev blue",
            f"route add 10.{n}.0.0/24 dev blue table {TABLE}",
            f"route add 10.{3 - n}.0.0/16 via 192.0.2.{3 - n} dev wan table {TABLE}"])
        wait_for(lambda: (f"10.{3 - n}.0.0/16", TABLE) in {
            (r["prefix"], r["table"]) for r in self.engine.ctl("route", "show")["route"]},
            "the tenant's routes")


@pytest.fixture(scope="module")
def sites(netns):
    with moon_and_sun(Switch(netns("switch")), moon=TenantSite, sun=TenantSite) as sites:
        _, moon, sun = sites
        for me, other in ((moon, sun), (sun, moon)):
            ts = {"local_ts": me.net, "remote_ts": other.net}
            blue = me.conf(other, auth="psk", children={
                "blue": {**ts, "if_id_in": TENANT, "if_id_out": TENANT}})["gw"]
            blue["local"]["id"], blue["remote"]["id"] = f"{me.name}.blue", f"{other.name}.blue"
            me.charon.load(connections={**me.conf(other), "blue": blue}, secrets=PSK)
        yield sites


def test_net2net_xfrmi(sites):
    switch, moon, sun = sites
    eye = Eye(switch)
    moon.charon.initiate("net")
    moon.client.ping(BOB)
    assert not moon.blue.reaches(BOB), "the other tenant's tunnel"
    moon.charon.initiate("blue")
    for client, server, child in ((moon.blue, sun.blue, "blue"), (moon.client, sun.client, "net")):
        client.ping(BOB)
        client.tcp(server, BOB)
        assert int(moon.charon.children(child)[0]["packets-out"]) > 100
        assert int(sun.charon.children(child)[0]["packets-in"]) > 100
    seen = eye.look()
    assert seen["esp"] > 400 and not seen["clear"]
    eye.close()
