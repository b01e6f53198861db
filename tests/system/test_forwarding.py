# SPDX-License-Identifier: BSD-3-Clause
"""
Forwarding beside the kernel: it keeps addresses, routes and neighbours on the host interfaces, and
the engine does as it says.
"""

import socket

import pytest
from scapy.layers.inet import ICMP, IP, IPerror, UDPerror
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr,
                                ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw
from scapy.utils6 import in6_getnsma, in6_getnsmac

from gateway import FAR, FLUSH, HOST, OURS, REMOTE, THEIRS, Gateway, udp
from netns import wait_for
from wire import payload_is

VLAN = 42


@pytest.fixture(scope="module")
def gateway():
    """
    A gateway whose kernel may speak, with a sub-port beside `lan`, and policies that let everything
    pass in clear text: these tests are not about ESP.
    """
    gateway = Gateway(ports={"lan": {"vlans": [
        {"name": "guests", "id": VLAN, "side": "protected"}]}})
    for name in ("lan", "wan"):
        gateway.gw.run("tc", "qdisc", "del", "dev", name, "clsact")
    gateway.gw.batch(["link set guests up", "addr add 10.9.0.1/24 dev guests",
                      "addr add 2001:db8:9::1/64 dev guests nodad",
                      f"neigh replace 10.9.0.2 lladdr {gateway.lan.mac} dev guests nud permanent"])
    gateway.engine.batch(FLUSH + [
        f"xfrm policy add src {any} dst {any} dir {direction} action allow"
        for any in ("0.0.0.0/0", "::/0") for direction in ("in", "fwd", "out")])
    yield gateway
    gateway.close()


@pytest.mark.parametrize("family", [4, 6])
def test_forwards_both_ways_and_decrements_ttl(gateway, family):
    there = udp(HOST[family], REMOTE[family], ttl=5)
    gateway.lan.send(there)
    got = gateway.wan.receive(payload_is(there[Raw].load), "it")
    back = udp(REMOTE[family], HOST[family], ttl=2)
    gateway.wan.send(back)
    returned = gateway.lan.receive(payload_is(back[Raw].load), "the way back")
    for packet, wire, ttl in ((got, gateway.wan, 4), (returned, gateway.lan, 1)):
        assert (packet.src, packet.dst) == (wire.gateway_mac, wire.mac)
        header = packet[IP if family == 4 else IPv6]
        assert (header.ttl if family == 4 else header.hlim) == ttl
        checked = header.__class__(bytes(header))
        if family == 4:
            del checked.chksum
            assert IP(bytes(checked)).chksum == header.chksum


@pytest.mark.parametrize("family", [4, 6])
def test_answers_time_exceeded_from_its_own_address(gateway, family):
    packet = udp(HOST[family], REMOTE[family], ttl=1)
    gateway.lan.send(packet)
    if family == 4:
        answer = gateway.lan.receive(lambda p: ICMP in p and p[ICMP].type == 11, "time exceeded")
        assert (answer[IP].src, answer[IP].dst) == ("10.1.0.1", HOST[4])
        assert answer[IPerror].id == packet[IP].id and answer[UDPerror].sport == 4000
    else:
        answer = gateway.lan.receive(lambda p: ICMPv6TimeExceeded in p, "time exceeded")
        assert (answer[IPv6].src, answer[IPv6].dst) == ("2001:db8:1::1", HOST[6])
    header = answer[IP if family == 4 else IPv6]
    again = header.copy()
    del again.payload.chksum
    if family == 4:
        del again.chksum
    assert bytes(again) == bytes(header)  # every checksum was right


@pytest.mark.parametrize("family", [4, 6])
def test_answers_unreachable_where_there_is_no_route(gateway, family):
    gateway.lan.send(udp(HOST[family], {4: "203.0.113.9", 6: "2001:db9::9"}[family]))
    if family == 4:
        answer = gateway.lan.receive(lambda p: ICMP in p and p[ICMP].type == 3, "unreachable")
        assert answer[ICMP].code == 0
    else:
        answer = gateway.lan.receive(lambda p: ICMPv6DestUnreach in p, "unreachable")
        assert answer[ICMPv6DestUnreach].code == 0


def test_blackhole_unreachable_and_prohibit_routes(gateway):
    gateway.gw.batch(["route add blackhole 10.77.1.0/24", "route add unreachable 10.77.2.0/24",
                      "route add prohibit 10.77.3.0/24"])
    wait_for(lambda: {"10.77.1.0/24", "10.77.2.0/24", "10.77.3.0/24"} <= gateway.engine.routes(),
             "the routes")
    before = gateway.engine.drops()
    gateway.lan.send(udp(HOST[4], "10.77.1.1"))
    for address, code in (("10.77.2.1", 1), ("10.77.3.1", 13)):
        gateway.lan.send(udp(HOST[4], address))
        answer = gateway.lan.receive(lambda p: ICMP in p and p[ICMP].type == 3, "unreachable")
        assert answer[ICMP].code == code
    after = gateway.engine.drops()
    assert after["blackhole"] - before["blackhole"] == 1
    assert after["unreachable"] - before["unreachable"] == 2


def test_a_route_moves_and_goes_as_the_kernel_says(gateway):
    gw = gateway.gw
    gw.ip("route add 10.55.0.0/16 via", THEIRS[4])
    wait_for(lambda: "10.55.0.0/16" in gateway.engine.routes(), "the route")
    packet = udp(HOST[4], "10.55.1.1")
    gateway.lan.send(packet)
    gateway.wan.receive(payload_is(packet[Raw].load), "it, by the wan port")
    gw.ip("route replace 10.55.0.0/16 via 10.9.0.2")
    wait_for(lambda: "guests" in str([r for r in gateway.engine.ctl("route", "show")["route"]
                                      if r["prefix"] == "10.55.0.0/16"]), "the route to move")
    packet = udp(HOST[4], "10.55.1.1")
    gateway.lan.send(packet)
    got = gateway.lan.receive(payload_is(packet[Raw].load), "it, by the sub-port")
    assert got[Dot1Q].vlan == VLAN
    gw.ip("route del 10.55.0.0/16")
    wait_for(lambda: "10.55.0.0/16" not in gateway.engine.routes(), "the route to go")


def test_of_two_metrics_the_lower_is_used(gateway):
    gateway.gw.batch([f"route add 10.56.0.0/16 via {THEIRS[4]} metric 20",
                      "route add 10.56.0.0/16 via 10.9.0.2 metric 10"])

    def active():
        return [r["metric"] for r in gateway.engine.ctl("route", "show")["route"]
                if r["prefix"] == "10.56.0.0/16" and r["active"]]

    wait_for(lambda: active() == [10], "the lower metric")
    gateway.gw.ip("route del 10.56.0.0/16 metric 10")
    wait_for(lambda: active() == [20], "the other one")


def test_equal_cost_paths_are_shared_by_flow(gateway):
    gateway.gw.batch([
        "neigh replace 192.0.2.81 lladdr 02:00:00:00:00:81 dev wan nud permanent",
        "neigh replace 192.0.2.82 lladdr 02:00:00:00:00:82 dev wan nud permanent",
        "route add 10.57.0.0/16 nexthop via 192.0.2.81 nexthop via 192.0.2.82"])
    wait_for(lambda: "10.57.0.0/16" in gateway.engine.routes()
             and {"192.0.2.81", "192.0.2.82"} <= gateway.engine.neighbours(), "the route")
    taken = {}
    for i in range(64):
        for _ in range(2):  # a flow keeps its path
            packet = udp(HOST[4], f"10.57.0.{i + 1}", dport=5000 + i)
            gateway.lan.send(packet)
            got = gateway.wan.receive(payload_is(packet[Raw].load), "it")
            taken.setdefault(i, set()).add(got.dst[-2:])
    assert all(len(paths) == 1 for paths in taken.values())
    assert {"81", "82"} == set.union(*taken.values())


def test_a_sub_port_is_an_interface_of_its_own(gateway):
    packet = udp("10.9.0.2", REMOTE[4])
    gateway.lan.send(packet, vlan=VLAN)
    got = gateway.wan.receive(payload_is(packet[Raw].load), "it, untagged")
    assert Dot1Q not in got
    back = udp(REMOTE[4], "10.9.0.2")
    gateway.wan.send(back)
    tagged = gateway.lan.receive(payload_is(back[Raw].load), "the way back, tagged")
    assert tagged[Dot1Q].vlan == VLAN


def arp_reply_of(wire, request):
    return Ether(src=wire.mac, dst=request[Ether].src) / ARP(
        op=2, hwsrc=wire.mac, psrc=request[ARP].pdst, hwdst=request[ARP].hwsrc,
        pdst=request[ARP].psrc)


def test_answers_arp_through_the_host_interface(gateway):
    wire = gateway.lan
    wire.send(Ether(src=wire.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op=1, hwsrc=wire.mac, psrc=HOST[4], pdst="10.1.0.1"))
    reply = wire.receive(lambda p: ARP in p and p[ARP].op == 2, "an ARP reply")
    assert (reply[ARP].psrc, reply[ARP].hwsrc) == ("10.1.0.1", wire.gateway_mac)


def test_answers_arp_on_a_sub_port(gateway):
    wire = gateway.lan
    wire.send(Ether(src=wire.mac, dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=VLAN) / ARP(
        op=1, hwsrc=wire.mac, psrc="10.9.0.2", pdst="10.9.0.1"))
    reply = wire.receive(lambda p: ARP in p and p[ARP].op == 2 and Dot1Q in p, "an ARP reply")
    assert reply[Dot1Q].vlan == VLAN
    assert reply[ARP].psrc == "10.9.0.1"


def test_answers_neighbour_solicitations(gateway):
    wire = gateway.lan
    group = in6_getnsma(socket.inet_pton(socket.AF_INET6, "2001:db8:1::1"))
    wire.send(Ether(src=wire.mac, dst=in6_getnsmac(group)) / IPv6(
        src=HOST[6], dst=socket.inet_ntop(socket.AF_INET6, group), hlim=255)
        / ICMPv6ND_NS(tgt="2001:db8:1::1") / ICMPv6NDOptSrcLLAddr(lladdr=wire.mac))
    reply = wire.receive(lambda p: ICMPv6ND_NA in p, "a neighbour advertisement")
    assert reply[ICMPv6ND_NA].tgt == "2001:db8:1::1"
    assert reply[ICMPv6NDOptDstLLAddr].lladdr == wire.gateway_mac


def test_a_missing_neighbour_is_resolved_and_the_first_packets_are_not_lost(gateway):
    before = gateway.engine.drops()
    packets = [udp(HOST[4], "192.0.2.50") for _ in range(5)]
    for packet in packets:
        gateway.lan.send(packet)
    wire = gateway.wan
    request = wire.receive(lambda p: ARP in p and p[ARP].pdst == "192.0.2.50", "an ARP request")
    assert request[ARP].hwsrc == wire.gateway_mac
    wire.send(arp_reply_of(wire, request))
    for packet in packets:
        wire.receive(payload_is(packet[Raw].load), "each packet that waited")
    assert gateway.engine.drops() == before


def test_a_missing_ipv6_neighbour_likewise(gateway):
    packet = udp(HOST[6], "2001:db8:f::50")
    gateway.lan.send(packet)
    wire = gateway.wan
    asked = wire.receive(lambda p: ICMPv6ND_NS in p and p[ICMPv6ND_NS].tgt == "2001:db8:f::50",
                         "a neighbour solicitation")
    wire.send(Ether(src=wire.mac, dst=asked[Ether].src) / IPv6(
        src="2001:db8:f::50", dst=asked[IPv6].src, hlim=255)
        / ICMPv6ND_NA(tgt="2001:db8:f::50", R=0, S=1, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=wire.mac))
    wire.receive(payload_is(packet[Raw].load), "the packet that waited")


def test_a_neighbour_that_never_answers_is_a_counted_drop(gateway):
    before = gateway.engine.drops()["no_neighbour"]
    for _ in range(3):
        gateway.lan.send(udp(HOST[4], "192.0.2.99"))
    wait_for(lambda: gateway.engine.drops()["no_neighbour"] == before + 3, "the drops")


def test_a_changed_neighbour_is_followed(gateway):
    gateway.gw.ip("neigh replace 192.0.2.60 lladdr 02:00:00:00:00:01 dev wan nud permanent")

    def macs():
        return [n["mac"].lower() for n in gateway.engine.ctl("neighbour", "show")["neighbour"]
                if n["address"] == "192.0.2.60"]

    wait_for(lambda: macs() == ["02:00:00:00:00:01"], "the neighbour")
    gateway.gw.ip("neigh replace 192.0.2.60 lladdr 02:00:00:00:00:02 dev wan nud permanent")
    wait_for(lambda: macs() == ["02:00:00:00:00:02"], "the neighbour's new address")
    packet = udp(HOST[4], "192.0.2.60")
    gateway.lan.send(packet)
    got = gateway.wan.receive(payload_is(packet[Raw].load), "it")
    assert got.dst == "02:00:00:00:00:02"
    gateway.gw.ip("neigh del 192.0.2.60 dev wan")
    wait_for(lambda: macs() == [], "the neighbour to go")


def test_C61_too_long_with_df_is_answered_and_without_it_fragmented(gateway):
    """Into a tunnel, whose packets may be 1500 bytes long with everything."""
    tunnel = gateway.tunnel()
    gateway.lan.send(udp(HOST[4], REMOTE[4], size=1440, flags="DF"))
    answer = gateway.lan.receive(lambda p: ICMP in p and (p[ICMP].type, p[ICMP].code) == (3, 4),
                                 "fragmentation needed")
    assert 1400 <= answer[ICMP].nexthopmtu < 1468
    gateway.lan.send(udp(HOST[6], REMOTE[6], size=1440))
    answer = gateway.lan.receive(lambda p: ICMPv6PacketTooBig in p, "packet too big")
    limit = answer[ICMPv6PacketTooBig].mtu
    assert 1400 <= limit < 1488
    # What is exactly as long as it said passes, one more byte does not.
    fits = udp(HOST[6], REMOTE[6], size=limit - 48)
    _, opened = gateway.outbound(tunnel, fits)
    assert opened[Raw].load == fits[Raw].load
    gateway.lan.send(udp(HOST[6], REMOTE[6], size=limit - 47))
    gateway.lan.receive(lambda p: ICMPv6PacketTooBig in p, "packet too big")

    long = udp(HOST[4], REMOTE[4], size=1440)
    gateway.lan.send(long)
    parts = [tunnel.out.open(gateway.wan.receive(lambda p: IP in p and p[IP].proto == 50, "a part"))
             for _ in range(2)]
    payload = b"".join(bytes(p.payload) for p in sorted(parts, key=lambda p: p.frag))
    assert payload == bytes(long.payload)
    assert [bool(p.flags.MF) for p in sorted(parts, key=lambda p: p.frag)] == [True, False]


def test_a_link_that_goes_down_stops_and_comes_back(gateway):
    gateway.gw.ip("link set wan down")
    wait_for(lambda: gateway.engine.port("wan")["state"] == "down", "the port to be down")
    before = gateway.engine.drops()
    gateway.lan.send(udp(HOST[4], REMOTE[4]))
    wait_for(lambda: sum(gateway.engine.drops().values()) > sum(before.values()), "a drop")
    gateway.gw.ip("link set wan up")
    gateway.gw.batch([f"addr replace {OURS[6]}/64 dev wan nodad",
                      f"route replace {FAR[4]} via {THEIRS[4]}",
                      f"route replace {FAR[6]} via {THEIRS[6]}",
                      f"neigh replace {THEIRS[4]} lladdr {gateway.wan.mac} dev wan nud permanent"])
    wait_for(lambda: gateway.engine.port("wan")["state"] == "up"
             and FAR[4] in gateway.engine.routes() and THEIRS[4] in gateway.engine.neighbours(),
             "the port to be up")
    tunnel = gateway.tunnel()
    gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
