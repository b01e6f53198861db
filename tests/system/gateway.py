# SPDX-License-Identifier: BSD-3-Clause
"""
A gateway under the test's full control: an engine with a protected port `lan` and an unprotected one
`wan`; at both far ends the test itself, with packet sockets. The kernel's own traffic is muted, so
that whatever happens is what the test did.
"""

import itertools

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP
from scapy.packet import Raw

from engine import Engine, port
from esp import Tunnel
from netns import Netns, helper, wait_for
from wire import Wire, payload_is

OURS = {4: "192.0.2.1", 6: "2001:db8:f::1"}  # tunnel endpoints
THEIRS = {4: "192.0.2.2", 6: "2001:db8:f::2"}
HOST = {4: "10.1.0.2", 6: "2001:db8:1::2"}  # on the protected side
REMOTE = {4: "10.2.0.2", 6: "2001:db8:2::2"}  # behind the peer
NEAR = {4: "10.1.0.0/16", 6: "2001:db8:1::/48"}
FAR = {4: "10.2.0.0/16", 6: "2001:db8:2::/48"}

FLUSH = ["xfrm state flush", "xfrm policy flush"]

marks = itertools.count(1)


def ip(src, dst, **fields):
    """The IP header of either family."""
    if ":" in src:
        if "ttl" in fields:
            fields["hlim"] = fields.pop("ttl")
        return IPv6(src=src, dst=dst, **fields)
    return IP(src=src, dst=dst, **fields)


def udp(src, dst, data=None, size=0, dport=5000, **fields):
    """A UDP packet with a payload that no other has, complete to the last checksum."""
    if data is None:
        data = f"sealane-{next(marks)}-".encode()
    data += bytes(i & 255 for i in range(max(0, size - len(data))))
    packet = ip(src, dst, **fields) / UDP(sport=4000, dport=dport) / Raw(data)
    return packet.__class__(bytes(packet))


def is_esp(packet):
    return ESP in packet or (IP in packet and packet[IP].proto == 50) \
        or (IPv6 in packet and packet[IPv6].nh == 50)


def is_ah(packet):
    return AH in packet or (IP in packet and packet[IP].proto == 51)


class Gateway:
    def __init__(self, ports=None, **engine):
        self.gw = Netns("gateway")
        self.peers = Netns("peers")
        self.engine = None
        try:
            self.build(ports or {}, engine)
        except BaseException:
            self.close()
            raise

    def build(self, more, engine):
        queues = len(engine.get("cores", (0,)))
        for name in ("lan", "wan"):
            helper("veth_new", self.gw.name, f"{name}0", self.peers.name, f"{name}1", queues)
            helper("below_engine", self.gw.name, f"{name}0")
            helper("below_engine", self.peers.name, f"{name}1")
        self.engine = Engine(self.gw, [
            port("lan", "lan0", "protected", **more.get("lan", {})),
            port("wan", "wan0", "unprotected", **more.get("wan", {})),
        ], **engine)
        for name in ("lan", "wan"):
            helper("mute", self.gw.name, name)
            self.gw.ip("link set", name, "up")
        self.lan, self.wan = self.wire_of("lan"), self.wire_of("wan")
        self.address()

    def wire_of(self, name):
        """The far end of a port, with the MAC address that its host interface has taken over."""
        return Wire(self.peers, f"{name}1", self.gw.mac(name))

    def address(self):
        """Addresses, routes and neighbours, told to the kernel, followed by the engine."""
        gw = self.gw
        gw.batch([
            "addr add 10.1.0.1/24 dev lan", "addr add 2001:db8:1::1/64 dev lan nodad",
            f"addr add {OURS[4]}/24 dev wan", f"addr add {OURS[6]}/64 dev wan nodad",
            f"route add {FAR[4]} via {THEIRS[4]}", f"route add {FAR[6]} via {THEIRS[6]}",
        ])
        for name, wire, addresses in (("lan", self.lan, HOST), ("wan", self.wan, THEIRS)):
            for address in addresses.values():
                gw.ip(f"neigh replace {address} lladdr {wire.mac} dev {name} nud permanent")
        wait_for(lambda: {NEAR[4].replace("/16", "/24"), FAR[4], FAR[6]} <= self.engine.routes()
                 and set(HOST.values()) | set(THEIRS.values()) <= self.engine.neighbours(),
                 "the engine to follow routes and neighbours")

    def close(self):
        try:
            if self.engine:
                self.engine.stop()
        finally:
            self.gw.close()
            self.peers.close()

    def tunnel(self, outer=4, inner=(4, 6), **options):
        """A fresh tunnel and nothing beside it: SAs both ways, and policies of the inner families."""
        tunnel = Tunnel(OURS[outer], THEIRS[outer], **options)
        self.engine.batch(FLUSH + tunnel.states() + [
            line for family in inner for line in tunnel.policies(NEAR[family], FAR[family])])
        return tunnel

    def second_tunnel(self, far, **options):
        """Another one beside it, to other networks behind the same peer."""
        tunnel = Tunnel(OURS[4], THEIRS[4], **{"spi": 0x20002, "reqid": 2, **options})
        self.engine.batch(tunnel.states() + tunnel.policies(NEAR[4], far))
        return tunnel

    # One packet through, each way.

    def outbound(self, tunnel, packet):
        """Sends from the host; gives the ESP packet on the wire and what it carries."""
        self.lan.send(packet)
        sealed = self.wan.receive(lambda p: is_esp(p) or is_ah(p), "ESP or AH")
        return sealed, tunnel.out.open(sealed)

    def inbound(self, tunnel, packet, **how):
        """Sends from the peer, sealed; gives what reaches the host."""
        self.wan.send(tunnel.into.seal(packet, **how))
        return self.lan.receive(payload_is(packet[Raw].load), "the decrypted packet")

    def there_and_back(self):
        """Small packets and large ones, each way, in tunnels of both families."""
        for outer in (4, 6):
            tunnel = self.tunnel(outer)
            for size in (0, 600, 1300):
                there = udp(HOST[4], REMOTE[4], size=size)
                assert self.outbound(tunnel, there)[1][Raw].load == there[Raw].load
                self.inbound(tunnel, udp(REMOTE[6], HOST[6], size=size))

    # What becomes of a packet that must not pass.

    def fate(self, wire, *packets, fence):
        """
        Sends packets and then the fence, a function that takes a good packet through the engine;
        gives the drop reasons counted meanwhile, and the frames that came out beside the fence. A
        worker keeps the order of bursts, so nothing is under way when a second fence is through.
        """
        self.lan.take()
        self.wan.take()
        before = self.engine.drops()
        for packet in packets:
            wire.send(packet)
        fence()
        fence()
        after = self.engine.drops()
        reasons = {r: after[r] - before[r] for r in after if after[r] != before[r]}
        return reasons, self.lan.take() + self.wan.take()


def gateway_with(**options):
    """A fixture: a gateway that is configured otherwise, for the tests of a module."""
    @pytest.fixture(scope="module")
    def fixture():
        gateway = Gateway(**options)
        yield gateway
        gateway.close()
    return fixture
