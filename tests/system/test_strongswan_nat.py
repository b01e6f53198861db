# SPDX-License-Identifier: BSD-3-Clause
"""
Behind NAT and on the move, with real charons: ESP in UDP, its ports, and addresses that change under
a tunnel that stays.
"""

import collections
import contextlib

import pytest

from charon import Authority
from ikenet import Client, Flow, LibipsecSite, Nat, Site, Switch, configure, esp_numbers, kind_of, watched
from netns import wait_for

ALICE, BOB = "10.1.0.2", "10.2.0.2"
PRIVATE = "10.9.0.0/24"  # behind the NAT router
POOL = {"rw": {"addrs": "10.3.0.0/24"}}


@pytest.fixture(scope="module")
def authority():
    authority = Authority()
    yield authority
    authority.close()


@pytest.fixture(scope="module")
def switch(netns):
    return Switch(netns("switch"))


@pytest.fixture(scope="module")
def nat(switch, netns):
    return Nat(switch, netns("router"), "192.0.2.100", "10.9.0.1")


@pytest.fixture(scope="module")
def site(authority):
    """Makes sites that go when the module's tests are done."""
    with contextlib.ExitStack() as stack:
        yield lambda kind, *args, **options: stack.enter_context(contextlib.closing(
            kind(*args, authority=authority, **options)))


@pytest.fixture(scope="module")
def sun(switch, site):
    return site(Site, switch, "sun", "bob", 2, via="192.0.2.1")


@pytest.fixture(scope="module")
def moon(switch, site):
    return site(Site, switch, "moon", "alice", 1)


@pytest.fixture(scope="module")
def carol(nat, site):
    """A host behind the router."""
    return site(Site, nat.inside, "carol", None, 10, address="10.9.0.10", via="10.9.0.1")


@pytest.fixture(scope="module")
def dave(nat, site):
    """Another one, with another implementation of ESP."""
    return site(LibipsecSite, nat.inside, "dave", None, 20, address="10.9.0.20", via="10.9.0.1")


@pytest.fixture(autouse=True)
def eye(switch, sun):
    with watched(switch, [sun], [sun.engine]) as eye:
        yield eye


def serve(sun, ike=(), pools=(), **child):
    """sun takes whoever has a certificate."""
    sun.charon.load(connections={"rw": {
        "version": 2, "local_addrs": sun.address, "local": {"auth": "pubkey", "id": "sun"},
        "remote": {"auth": "pubkey"}, **dict(ike),
        "children": {"net": {"local_ts": sun.net, **child}}}}, pools=dict(pools))


def call(warrior, sun, ike=(), **child):
    """A host's tunnel to the network behind sun."""
    warrior.charon.load(connections={"home": {
        "version": 2, "remote_addrs": sun.address, "local": {"auth": "pubkey", "id": warrior.name},
        "remote": {"auth": "pubkey", "id": "sun"}, **dict(ike),
        "children": {"home": {"remote_ts": sun.net, **child}}}})
    warrior.charon.initiate("home")


def test_nat_rw(nat, sun, carol, dave, eye):
    """Two hosts behind one NAT: each gets its own traffic, whichever ESP it runs."""
    serve(sun, remote_ts=PRIVATE)
    for host in (carol, dave):
        call(host, sun)
    outer = {sa["remote-port"] for sa in sun.charon.sas()}
    assert len(outer) == 2 and {sa["remote-host"] for sa in sun.charon.sas()} == {nat.address}
    for host in (carol, dave, carol):
        host.client.ping(BOB)
        host.client.tcp(sun.client, BOB)
    sun.client.ping(carol.address)
    sun.client.ping(dave.address)
    seen = eye.look()
    assert seen["udp-esp"] > 600 and not seen["esp"] and not seen["clear"]
    for host in (carol, dave):
        host.charon.clear()


def test_nat_transport(nat, sun, carol, eye):
    """host2host-transport from behind NAT: the gateway's own packets, whose checksums are mended."""
    serve(sun, local_ts="dynamic", mode="transport")
    call(carol, sun, remote_ts="dynamic", mode="transport")
    assert sun.charon.children("net")[0]["mode"] == "TRANSPORT"
    them = Client("sun", sun.netns)
    before = sun.sealed()
    carol.client.ping(sun.address)
    assert sun.sealed() == (before[0] + 3, before[1] + 3)
    carol.client.tcp(them, sun.address)
    seen = eye.look()
    assert seen["udp-esp"] > 200 and not seen["esp"]
    carol.charon.clear()


def test_double_nat_net(switch, netns, sun, site, eye):
    """Networks behind gateways that are both behind NATs; one forwards the IKE ports."""
    near = Nat(switch, netns("near"), "192.0.2.101", "10.8.0.1")
    far = Nat(switch, netns("far"), "192.0.2.102", "10.7.0.1", forward="10.7.0.4")
    left = site(Site, near.inside, "left", "lisa", 3, address="10.8.0.3", via="10.8.0.1")
    right = site(Site, far.inside, "right", "rob", 4, address="10.7.0.4", via="10.7.0.1")
    right.charon.load(connections={"gw": {
        "version": 2, "local": {"auth": "pubkey", "id": "right"},
        "remote": {"auth": "pubkey", "id": "left"},
        "children": {"net": {"local_ts": right.net, "remote_ts": left.net}}}})
    left.charon.load(connections={"gw": {
        "version": 2, "remote_addrs": far.address, "local": {"auth": "pubkey", "id": "left"},
        "remote": {"auth": "pubkey", "id": "right"},
        "children": {"net": {"local_ts": left.net, "remote_ts": right.net}}}})
    left.charon.initiate("net")
    left.client.ping("10.4.0.2")
    left.client.tcp(right.client, "10.4.0.2")
    right.client.ping("10.3.0.2")
    seen = eye.look()
    assert seen["udp-esp"] > 200 and not seen["clear"]


def test_force_udp_encap(moon, sun, eye):
    configure(moon, sun, ike={"encap": "yes"})
    moon.charon.initiate("net")
    assert all(child["encap"] == "yes" for child in moon.charon.children("net"))
    moon.client.ping(BOB)
    moon.client.tcp(sun.client, BOB)
    seen = eye.look()
    assert seen["udp-esp"] > 200 and not seen["esp"]


@pytest.mark.parametrize("address,silent", [("192.0.2.31", "ip6"), ("2001:db8:f::1", "ip")])
def test_mobike(moon, sun, eye, address, silent):
    """
    The gateway's address changes; the SAs move with it, their numbers go on. Its probes take every
    way to sun, and the first answer decides: all but one are stopped.
    """
    sun.charon.load(connections={"gw": {**sun.conf(moon)["gw"], "remote_addrs": "%any"}})
    moon.charon.load(connections={"gw": {**moon.conf(sun)["gw"], "local_addrs": "%any"}})
    moon.charon.initiate("net")
    spis = {child["spi-in"] for child in moon.charon.children()}
    with Flow(moon.client, sun.client, BOB) as there, Flow(sun.client, moon.client, ALICE) as back:
        there.await_more()
        with silenced(moon.netns, silent):
            readdress(moon, "192.0.2.1", "192.0.2.31")
            wait_for(lambda: sun.charon.sas()[0]["remote-host"] == address, "sun to know",
                     every=0.05)
        there.await_more(500)
        back.await_more(500)
    assert spis == {child["spi-in"] for child in moon.charon.children()}
    assert there.twice == back.twice == 0
    nothing_twice(eye)
    moon.charon.clear()
    readdress(moon, "192.0.2.31", "192.0.2.1")


@contextlib.contextmanager
def silenced(netns, family):
    """What runs there sends nothing of a family (`ip` or `ip6`) in the block."""
    netns.run("nft", f"add table {family} silence; add chain {family} silence out "
                     "{ type filter hook output priority filter; policy drop; }")
    yield
    netns.run("nft", f"delete table {family} silence")


def readdress(site, old, new):
    site.netns.batch([f"addr del {old}/24 dev wan", f"addr add {new}/24 dev wan",
                      "route add default via 192.0.2.2"])


def nothing_twice(eye):
    """No sequence number of an SA has been on the wire twice; nothing was clear."""
    frames = list(eye.frames())
    assert [f.hex() for f in frames if kind_of(f) == "clear"] == []
    numbers = collections.Counter(esp_numbers(f) for f in frames if kind_of(f).endswith("esp"))
    assert numbers.most_common(1)[0][1] == 1


def test_mobike_nat_mappings(nat, sun, carol, eye):
    """The router's address changes: DPD finds out, and the tunnel follows."""
    serve(sun, ike={"pools": "rw"}, pools=POOL)
    before = len(carol.charon.log())
    call(carol, sun, ike={"vips": "0.0.0.0", "dpd_delay": "1s"})
    carol.client.ping(BOB)
    spis = {child["spi-in"] for child in carol.charon.children()}
    # The first DPD tells the mapping that later ones differ from.
    carol.charon.await_log("parsed INFORMATIONAL response.*NATD", before)
    nat.move("192.0.2.103")
    wait_for(lambda: sun.charon.sas()[0]["remote-host"] == nat.address, "sun to know", 60,
             every=0.05)
    carol.client.ping(BOB)
    carol.client.tcp(sun.client, BOB)
    assert spis == {child["spi-in"] for child in carol.charon.children()}
    nothing_twice(eye)
    carol.charon.clear()


def test_nat_mapping(nat, sun, carol, eye):
    """
    The router gives the tunnel another port: what comes from there makes the engine tell charon
    (MAPPING), and charon moves the SAs, whose numbers go on. No DPD, no MOBIKE.
    """
    serve(sun, ike={"mobike": "no"}, remote_ts=PRIVATE)
    call(carol, sun, ike={"mobike": "no"})
    carol.client.ping(BOB)
    before, since = sun.charon.sas()[0], len(sun.charon.log())
    nat.move(nat.address)
    with Flow(carol.client, sun.client, BOB) as there, \
            Flow(sun.client, carol.client, carol.address) as back:
        sun.charon.await_log("NAT mappings of .* queuing update job", since)
        wait_for(lambda: sun.charon.sas()[0]["remote-port"] != before["remote-port"], "sun to move")
        there.await_more(500)
        back.await_more(500)
    assert there.twice == back.twice == 0
    sun.client.ping(carol.address)
    assert sun.charon.sas()[0]["uniqueid"] == before["uniqueid"]
    nothing_twice(eye)
    carol.charon.clear()
