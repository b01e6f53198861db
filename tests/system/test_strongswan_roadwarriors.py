# SPDX-License-Identifier: BSD-3-Clause
"""rw-eap: many roadwarriors with user names and passwords, virtual addresses from the gateway's pool."""

import contextlib

import pytest

from charon import Authority
from ikenet import Eye, Site, Switch
from netns import wait_for

CLIENTS = 50
BOB = "10.2.0.2"
ONE_ADDRESS = {"dos_protection": "no"}  # all of them come from one


@pytest.fixture(scope="module")
def sites(netns):
    switch = Switch(netns("switch"))
    with contextlib.closing(Authority()) as authority, \
            contextlib.closing(Site(switch, "carol", None, 1, authority)) as carol, \
            contextlib.closing(Site(switch, "sun", "bob", 2, authority,
                                    settings=ONE_ADDRESS)) as sun:
        yield switch, carol, sun


def test_rw_eap(sites):
    """Fifty of them, who all live on one host: each has its own address, SAs and policies."""
    switch, carol, sun = sites
    eye = Eye(switch)
    secrets = {f"eap-{i}": {"id": f"user{i}", "secret": f"secret of {i}"} for i in range(CLIENTS)}
    sun.charon.load(connections={"rw": {
        "version": 2, "send_certreq": "no", "pools": "rw", "unique": "no",
        "local": {"auth": "pubkey", "id": "sun"}, "remote": {"auth": "eap-mschapv2", "eap_id": "%any"},
        "children": {"net": {"local_ts": sun.net}}}},
        pools={"rw": {"addrs": "10.3.0.0/24"}}, secrets=secrets)
    carol.charon.load(connections={f"user{i}": {
        "version": 2, "remote_addrs": sun.address, "vips": "0.0.0.0", "keyingtries": 0,
        "local": {"auth": "eap-mschapv2", "id": f"user{i}@strongswan.test", "eap_id": f"user{i}"},
        "remote": {"auth": "pubkey", "id": "sun"},
        "children": {f"home{i}": {"remote_ts": sun.net, "start_action": "start"}},
    } for i in range(CLIENTS)}, secrets=secrets)
    wait_for(lambda: len(sun.charon.children("net")) == CLIENTS and
             len(carol.charon.children()) == CLIENTS, "all the tunnels", 120, every=0.25)
    addresses = {child["local-ts"][0].split("/")[0] for child in carol.charon.children()}
    assert len(addresses) == CLIENTS
    for address in addresses:
        carol.client.ping(BOB, count=2, source=address)
    wait_for(lambda: sun.sealed() == (2 * CLIENTS, 2 * CLIENTS), "all the answers")
    counters = [(child["packets-in"], child["packets-out"]) for child in sun.charon.children()]
    assert counters == [("2", "2")] * CLIENTS
    sun.client.ping(min(addresses))
    seen = eye.look()
    assert seen["esp"] == 4 * CLIENTS + 6 and not seen["clear"]
    eye.close()
