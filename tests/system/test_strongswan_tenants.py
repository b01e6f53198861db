# SPDX-License-Identifier: BSD-3-Clause
"""
Tenants with the same addresses behind one gateway. charon gives their if_ids (net2net-xfrmi) or their
marks (nat-rw-mark) to SAs and policies, the engine to a port and a routing table of each.
"""

import contextlib

import pytest

from charon import Authority
from engine import port
from ikenet import PSK, Client, Eye, Nat, Site, Switch, moon_and_sun
from netns import helper, wait_for

TENANT = 7
BOB = "10.2.0.2"


class TenantSite(Site):
    """A gateway with another protected port for each tenant: {name: what the port is told by}."""

    tenants = {"blue": {"tenant": TENANT, "table": 100}}

    def connect(self, switch, wan, lan):
        super().connect(switch, wan, lan)
        self.hosts = {name: Client(f"{self.client.name}-{name}") for name in self.tenants}
        for name, host in self.hosts.items():
            self.exits.callback(host.close)
            helper("veth_new", self.netns.name, f"{name}0", host.netns.name, "eth0")
            helper("below_engine", self.netns.name, f"{name}0")
            host.netns.batch([f"addr add 10.{self.number}.0.2/24 dev eth0",
                              f"route add default via 10.{self.number}.0.1"])

    def ports(self):
        return super().ports() + [port(name, f"{name}0", "protected", **told)
                                  for name, told in self.tenants.items()]

    def set_up(self):
        super().set_up()
        n, other = self.number, 3 - self.number
        for name, told in self.tenants.items():
            self.netns.batch([
                f"link set {name} up", f"addr add 10.{n}.0.1/32 dev {name}",
                f"route add 10.{n}.0.0/24 dev {name} table {told['table']}",
                f"route add default via 192.0.2.{other} dev wan table {told['table']}"])
        wait_for(lambda: {told["table"] for told in self.tenants.values()} <= {
            r["table"] for r in self.engine.ctl("route", "show")["route"]
            if r["prefix"] == "0.0.0.0/0"}, "the tenants' routes")


class MarkSite(TenantSite):
    tenants = {"red": {"mark": 10, "table": 101}, "blue": {"mark": 20, "table": 102}}


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
    assert not moon.hosts["blue"].reaches(BOB), "the other tenant's tunnel"
    moon.charon.initiate("blue")
    for client, server, child in ((moon.hosts["blue"], sun.hosts["blue"], "blue"),
                                  (moon.client, sun.client, "net")):
        client.ping(BOB)
        client.tcp(server, BOB)
        assert int(moon.charon.children(child)[0]["packets-out"]) > 100
        assert int(sun.charon.children(child)[0]["packets-in"]) > 100
    seen = eye.look()
    assert seen["esp"] > 400 and not seen["clear"]
    eye.close()


def test_nat_rw_mark(netns):
    """
    Two roadwarriors with one private address, each behind a NAT of its own, and each to a network of
    its own: those have the same addresses as well. The gateway's SAs and policies differ by mark.
    """
    with contextlib.ExitStack() as stack:
        def site(kind, *args, **options):
            return stack.enter_context(contextlib.closing(
                kind(*args, authority=authority, **options)))

        switch = Switch(netns("switch"))
        authority = stack.enter_context(contextlib.closing(Authority()))
        eye = stack.enter_context(contextlib.closing(Eye(switch)))
        sun = site(MarkSite, switch, "sun", "bob", 2)
        nats = {name: Nat(switch, netns(f"nat-{name}"), address, "10.9.0.1")
                for name, address in (("red", "192.0.2.101"), ("blue", "192.0.2.102"))}
        hosts = {name: site(Site, nat.inside, name, None, 10, address="10.9.0.10", via="10.9.0.1")
                 for name, nat in nats.items()}
        serve_by_marks(sun)
        for name, host in hosts.items():
            call_home(host, sun)
        for name, host in hosts.items():
            both_ways(name, host, sun, eye)


def serve_by_marks(sun):
    """A connection for each tenant: what comes by its SA, and what may leave by it, has its mark."""
    sun.charon.load(connections={name: {
        "version": 2, "local_addrs": sun.address, "local": {"auth": "pubkey", "id": "sun"},
        "remote": {"auth": "pubkey", "id": name},
        "children": {name: {"local_ts": "10.2.0.0/24", "remote_ts": "10.9.0.0/24",
                            "mark_in": told["mark"], "mark_out": told["mark"]}},
    } for name, told in sun.tenants.items()})


def call_home(host, sun):
    host.charon.load(connections={"home": {
        "version": 2, "remote_addrs": sun.address, "local": {"auth": "pubkey", "id": host.name},
        "remote": {"auth": "pubkey", "id": "sun"},
        "children": {"home": {"remote_ts": "10.2.0.0/24"}}}})
    host.charon.initiate("home")


def both_ways(name, host, sun, eye):
    """A tenant's traffic is in its own CHILD_SA and reaches its own network, and nothing else moves."""
    def counts():
        return {child["name"]: (int(child["packets-in"]), int(child["packets-out"]))
                for child in sun.charon.children()}

    before = counts()
    host.client.ping(BOB, count=5)
    sun.hosts[name].ping(host.address, count=5)
    host.client.tcp(sun.hosts[name], BOB)
    after = counts()
    assert all(now > then + 100 for now, then in zip(after.pop(name), before.pop(name)))
    assert after == before
    seen = eye.look()
    assert seen["udp-esp"] > 200 and not seen["esp"] and not seen["clear"]
