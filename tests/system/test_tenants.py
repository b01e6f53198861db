# SPDX-License-Identifier: BSD-3-Clause
"""Two tenants with the same addresses: a sub-port's tenant and table keep them apart, both ways."""

import pytest
from scapy.layers.ipsec import ESP
from scapy.layers.l2 import Dot1Q
from scapy.packet import Raw

from esp import Tunnel
from gateway import FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS, Gateway, is_esp, udp
from netns import wait_for
from wire import payload_is

VLAN, TENANT, TABLE = 42, 7, 100


@pytest.fixture(scope="module")
def gateway():
    gateway = Gateway(ports={"lan": {"vlans": [
        {"name": "blue", "id": VLAN, "side": "protected", "tenant": TENANT, "table": TABLE}]}})
    gateway.gw.batch([
        "link set blue up", f"route add {HOST[4]}/32 dev blue table {TABLE}",
        f"route add {FAR[4]} via {THEIRS[4]} dev wan table {TABLE}",
        f"neigh replace {HOST[4]} lladdr {gateway.lan.mac} dev blue nud permanent"])
    wait_for(lambda: {(HOST[4] + "/32", TABLE), (FAR[4], TABLE)} <= {
        (r["prefix"], r["table"]) for r in gateway.engine.ctl("route", "show")["route"]},
        "the tenant's routes")
    yield gateway
    gateway.close()


@pytest.fixture
def tunnels(gateway):
    """The tunnel of nobody in particular, and that of the tenant."""
    common = Tunnel(OURS[4], THEIRS[4])
    blue = Tunnel(OURS[4], THEIRS[4], spi=0x20002, reqid=2)
    gateway.engine.batch(
        FLUSH + common.states() + common.policies(NEAR[4], FAR[4])
        + [f"{line} if_id {TENANT}" for line in blue.states()]
        + [line.replace(" tmpl", f" if_id {TENANT} tmpl")
           for line in blue.policies(NEAR[4], FAR[4])])
    return common, blue


def test_outbound_each_tenant_has_its_own_policies_and_sa(gateway, tunnels):
    for tunnel, vlan in zip(tunnels, (None, VLAN)):
        packet = udp(HOST[4], REMOTE[4])
        gateway.lan.send(packet, vlan=vlan)
        sealed = gateway.wan.receive(is_esp, "ESP")
        assert sealed[ESP].spi == tunnel.spi_out
        assert tunnel.out.open(sealed)[Raw].load == packet[Raw].load


def test_inbound_the_sa_chooses_the_table(gateway, tunnels):
    for tunnel, vlan in zip(tunnels, (None, VLAN)):
        packet = udp(REMOTE[4], HOST[4])
        gateway.wan.send(tunnel.into.seal(packet))
        got = gateway.lan.receive(payload_is(packet[Raw].load), "it")
        assert (got[Dot1Q].vlan if Dot1Q in got else None) == vlan


def test_a_tenant_without_policies_has_none_of_the_others(gateway, tunnels):
    gateway.engine.batch([f"xfrm policy delete src {NEAR[4]} dst {FAR[4]} dir out if_id {TENANT}"])
    before = gateway.engine.drops()["policy_out"]
    gateway.lan.send(udp(HOST[4], REMOTE[4]), vlan=VLAN)
    wait_for(lambda: gateway.engine.drops()["policy_out"] == before + 1, "the drop")
    assert not [p for p in gateway.wan.take() if is_esp(p)]
