# SPDX-License-Identifier: BSD-3-Clause
"""
Tenants with the same addresses, told apart by if_id or by mark: each has policies, SAs, a sub-port
and a table of its own, both ways.
"""

import pytest
from scapy.layers.ipsec import ESP
from scapy.layers.l2 import Dot1Q
from scapy.packet import Raw

from esp import Tunnel
from gateway import FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS, Gateway, is_esp, udp
from netns import wait_for
from wire import payload_is

VLAN, TENANT, TABLE = 42, 7, 100
# By mark, another for what comes in than for what goes out.
RED, RED_OUT, RED_IN, RED_TABLE = 43, 10, 20, 101


@pytest.fixture(scope="module")
def gateway():
    gateway = Gateway(ports={"lan": {"vlans": [
        {"name": "blue", "id": VLAN, "side": "protected", "tenant": TENANT, "table": TABLE},
        {"name": "red", "id": RED, "side": "protected", "mark": RED_OUT, "mark_in": RED_IN,
         "table": RED_TABLE}]}})
    for name, table in (("blue", TABLE), ("red", RED_TABLE)):
        gateway.gw.batch([
            f"link set {name} up", f"route add {HOST[4]}/32 dev {name} table {table}",
            f"route add {FAR[4]} via {THEIRS[4]} dev wan table {table}",
            f"neigh replace {HOST[4]} lladdr {gateway.lan.mac} dev {name} nud permanent"])
    wait_for(lambda: {(p, t) for p in (HOST[4] + "/32", FAR[4]) for t in (TABLE, RED_TABLE)} <= {
        (r["prefix"], r["table"]) for r in gateway.engine.ctl("route", "show")["route"]},
        "the tenants' routes")
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


class TestMarks:
    """The same by marks, in the ways that IKE daemons and `ip xfrm` set them."""

    @staticmethod
    def red(gateway, into="", policies_in=f"mark {RED_IN}"):
        """A tunnel beside the unmarked one; `into` is said of the inbound SA."""
        common = Tunnel(OURS[4], THEIRS[4])
        red = Tunnel(OURS[4], THEIRS[4], spi=0x20002, reqid=2)
        states, policies = red.states(), red.policies(NEAR[4], FAR[4])
        gateway.engine.batch(FLUSH + common.states() + [
            line.replace(" tmpl", " priority 5 tmpl")  # red's go first: unmarked ones are red's too
            for line in common.policies(NEAR[4], FAR[4])] + [
            f"{states[0]} {into}", f"{states[1]} mark {RED_OUT}",
            policies[0].replace(" tmpl", f" mark {RED_OUT} tmpl")] + [
            line.replace(" tmpl", f" {policies_in} tmpl") for line in policies[1:]])
        return common, red

    def test_outbound_the_mark_chooses_policy_and_sa(self, gateway):
        for tunnel, vlan in zip(self.red(gateway), (None, RED)):
            packet = udp(HOST[4], REMOTE[4])
            gateway.lan.send(packet, vlan=vlan)
            sealed = gateway.wan.receive(is_esp, "ESP")
            assert tunnel.out.open(sealed)[Raw].load == packet[Raw].load

    @pytest.mark.parametrize("into", ["", f"mark {RED_IN}", f"output-mark {RED_IN}"],
                             ids=["of the policies", "of the SA", "set by the SA"])
    def test_inbound_a_mark_chooses_the_table(self, gateway, into):
        for tunnel, vlan in zip(self.red(gateway, into), (None, RED)):
            packet = udp(REMOTE[4], HOST[4])
            gateway.wan.send(tunnel.into.seal(packet))
            got = gateway.lan.receive(payload_is(packet[Raw].load), "it")
            assert (got[Dot1Q].vlan if Dot1Q in got else None) == vlan

    def test_a_policy_without_a_mark_is_for_every_mark(self, gateway):
        common, red = self.red(gateway)
        gateway.engine.batch(
            [line.replace("add", "delete").split(" tmpl")[0] + f" mark {RED_OUT}"
             for line in red.policies(NEAR[4], FAR[4])[:1]])
        gateway.lan.send(udp(HOST[4], REMOTE[4]), vlan=RED)
        assert gateway.wan.receive(is_esp, "ESP")[ESP].spi == common.spi_out

    def test_a_mark_of_no_interface_goes_nowhere(self, gateway):
        _, red = self.red(gateway, "output-mark 99")
        before = gateway.engine.drops()["tenant"]
        gateway.wan.send(red.into.seal(udp(REMOTE[4], HOST[4])))
        wait_for(lambda: gateway.engine.drops()["tenant"] == before + 1, "the drop")

    def test_one_tenants_packet_does_not_pass_as_anothers(self, gateway):
        _, red = self.red(gateway, f"output-mark {RED_IN}", policies_in="mark 99")
        before = gateway.engine.drops()["selector"]
        gateway.wan.send(red.into.seal(udp(REMOTE[4], HOST[4])))
        wait_for(lambda: gateway.engine.drops()["selector"] == before + 1, "the drop")
