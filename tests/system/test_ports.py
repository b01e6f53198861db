# SPDX-License-Identifier: BSD-3-Clause
"""Every kind of port that works without a NIC comes up and carries packets."""

import signal

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import rdpcap, wrpcap

from engine import Engine, port
from esp import Tunnel
from gateway import HOST, OURS, REMOTE, THEIRS, Gateway, udp
from netns import helper, wait_for
from wire import Wire, payload_is

pytestmark = pytest.mark.slow_under_sanitizer


@pytest.mark.parametrize("device", ["net_af_packet0,iface=wan0", "net_af_xdp0,iface=wan0",
                                    "vnet0,iface=wan0"])
def test_a_veth_by(device):
    gateway = Gateway(ports={"wan": {"device": device}})
    try:
        gateway.there_and_back()
    finally:
        gateway.close()


def test_the_first_packets_of_two_af_xdp_ports_do_not_wait_for_the_next_ones():
    for _ in range(4):
        gateway = Gateway(ports={"lan": {"device": "net_af_xdp0,iface=lan0"},
                                 "wan": {"device": "net_af_xdp1,iface=wan0"}})
        try:
            gateway.there_and_back()
        finally:
            gateway.close()


@pytest.mark.parametrize("device", ["net_af_packet0,iface=wan0", "net_af_xdp0,iface=wan0",
                                    "vnet0,iface=wan0"])
def test_a_port_has_the_carrier_of_the_interface_below(device):
    gateway = Gateway(ports={"wan": {"device": device}})
    try:
        tunnel = gateway.tunnel()
        gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
        gateway.peers.ip("link set wan1 down")
        wait_for(lambda: gateway.engine.port("wan")["state"] == "down", "the carrier to go")
        before = gateway.engine.drops()["port_down"]

        def dropped():
            gateway.lan.send(udp(HOST[4], REMOTE[4]))
            return gateway.engine.drops()["port_down"] > before

        wait_for(dropped, "packets to be dropped")
        gateway.peers.ip("link set wan1 up")
        wait_for(lambda: gateway.engine.port("wan")["state"] == "up", "the carrier to return")
        gateway.wan = gateway.wire_of("wan")  # the old socket tells of the link that went down
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))
        gateway.gw.ip("link delete wan0")
        wait_for(lambda: gateway.engine.port("wan")["state"] == "down", "the port to be gone")
    finally:
        gateway.close()


def test_what_af_packet_has_no_room_for_is_counted():
    """Sent while the engine stands still, 2,000 frames are more than its ring takes."""
    gateway = Gateway(ports={"lan": {"device": "net_af_packet0,iface=lan0,framecnt=512"}})
    try:
        before = gateway.engine.port("lan")
        gateway.engine.process.send_signal(signal.SIGSTOP)
        for _ in range(2000):
            gateway.lan.send(udp(HOST[4], REMOTE[4]))
        gateway.engine.process.send_signal(signal.SIGCONT)

        def all_seen():
            now = gateway.engine.port("lan")
            return now["rx_packets"] - before["rx_packets"] + now["rx_missed"] == 2000
        wait_for(all_seen, "each frame to be received or counted as missed")
        assert gateway.engine.port("lan")["rx_missed"] >= 2000 - 512
        assert gateway.engine.port("wan")["rx_missed"] == 0
    finally:
        gateway.close()


def test_net_tap():
    """DPDK's own TAP port: the kernel's end of it is the wire."""

    class TapGateway(Gateway):
        def wire_of(self, name):
            return Wire(self.gw, "tapwire", self.gw.mac(name)) if name == "wan" \
                else super().wire_of(name)

    gateway = TapGateway(ports={"wan": {"device": "net_tap0,iface=tapwire"}})
    try:
        helper("below_engine", gateway.gw.name, "tapwire")
        gateway.there_and_back()
    finally:
        gateway.close()


def test_net_null_takes_what_is_sent(netns):
    namespace = netns("null")
    engine = Engine(namespace, [{"name": "void", "device": "net_null0,no-rx=1",
                                 "side": "protected"}])
    try:
        namespace.batch(["link set void up", "addr add 10.5.0.1/24 dev void",
                         "neigh add 10.5.0.2 lladdr 02:00:00:00:00:02 dev void nud permanent"])
        wait_for(lambda: engine.port("void")["state"] == "up"
                 and "10.5.0.2" in engine.neighbours(), "the port")
        before = engine.port("void")["tx_packets"]
        namespace.run("ping", "-c", "3", "-i", "0.01", "-W", "0.1", "10.5.0.2", check=False)
        wait_for(lambda: engine.port("void")["tx_packets"] >= before + 3, "three packets out")
    finally:
        engine.stop()


def test_net_ring_gives_back_what_is_sent(netns):
    """A packet to a neighbour with our own MAC address comes back until its TTL ends."""
    namespace = netns("ring")
    engine = Engine(namespace, [{"name": "ring", "device": "net_ring0", "side": "protected"}])
    try:
        mac = namespace.mac("ring")
        namespace.batch(["link set ring up", "addr add 10.5.0.1/24 dev ring",
                         f"neigh add 10.5.0.2 lladdr {mac} dev ring nud permanent"])
        wait_for(lambda: engine.port("ring")["state"] == "up"
                 and "10.5.0.2" in engine.neighbours(), "the port")
        before = engine.drops()["ttl"]
        namespace.run("ping", "-c", "1", "-t", "33", "-W", "0.1", "10.5.0.2", check=False)
        wait_for(lambda: engine.drops()["ttl"] == before + 1, "its end")
        assert engine.port("ring")["rx_packets"] >= 32
        assert engine.balance()["made"] >= 1  # time exceeded, to ourselves
    finally:
        engine.stop()


def test_net_pcap_reads_and_writes_captures(netns, tmp_path):
    """Static routes and neighbours, which need no kernel, and a capture forwarded into another."""
    packets = [udp("10.7.0.9", "10.8.0.9") for _ in range(100)]
    mac = "02:70:63:61:70:00"
    wrpcap(str(tmp_path / "in.pcap"), [Ether(src="02:00:00:00:00:01", dst=mac) / p for p in packets])
    namespace = netns("pcap")
    engine = Engine(
        namespace, [{"name": "file", "device":
                     f"net_pcap0,rx_pcap={tmp_path}/in.pcap,tx_pcap={tmp_path}/out.pcap",
                     "side": "protected"}],
        routes=[{"prefix": "10.8.0.0/16", "via": "10.7.0.2", "port": "file"}],
        neighbours=[{"address": "10.7.0.2", "mac": "02:00:00:00:00:02", "port": "file"}])
    try:
        wait_for(lambda: engine.port("file")["rx_packets"] == 100, "the capture to be read")
        wait_for(lambda: engine.port("file")["tx_packets"] >= 100, "it to be forwarded")
    finally:
        engine.stop()
    out = [p for p in rdpcap(str(tmp_path / "out.pcap")) if IP in p and p[IP].dst == "10.8.0.9"]
    assert [p[Raw].load for p in out] == [p[Raw].load for p in packets]
    assert all(p[IP].ttl == 63 and p.dst == "02:00:00:00:00:02" for p in out)


def test_net_memif_connects_two_engines(netns, tmp_path):
    """A tunnel between two gateways whose wire is shared memory."""
    gateways, peers, wires = [netns("east"), netns("west")], netns("hosts"), []
    engines = []
    try:
        for i, (namespace, role) in enumerate(zip(gateways, ("server", "client"))):
            helper("veth_new", namespace.name, "lan0", peers.name, f"lan{i + 1}")
            helper("below_engine", namespace.name, "lan0")
            helper("below_engine", peers.name, f"lan{i + 1}")
            engines.append(Engine(namespace, [
                port("lan", "lan0", "protected"),
                {"name": "wan", "side": "unprotected", "device":
                 f"net_memif0,role={role},socket={tmp_path}/memif,socket-abstract=no,"
                 f"mac=02:00:00:00:01:0{i + 1}"}], cores=(i,)))
            helper("mute", namespace.name, "lan")
            wires.append(Wire(peers, f"lan{i + 1}", namespace.mac("lan")))
        tunnel = Tunnel(OURS[4], THEIRS[4])
        for i, (namespace, engine) in enumerate(zip(gateways, engines)):
            near, far, me, you = ((1, 2, OURS[4], THEIRS[4]), (2, 1, THEIRS[4], OURS[4]))[i]
            namespace.batch([
                "link set lan up", "link set wan up", f"addr add 10.{near}.0.1/24 dev lan",
                f"addr add {me}/24 dev wan", f"route add 10.{far}.0.0/16 via {you}",
                f"neigh replace 10.{near}.0.2 lladdr {wires[i].mac} dev lan nud permanent"])
            ends = f"tmpl src {me} dst {you} proto esp reqid 1 mode tunnel"
            back = f"tmpl src {you} dst {me} proto esp reqid 1 mode tunnel"
            nets = f"10.{near}.0.0/16 10.{far}.0.0/16".split()
            engine.batch(tunnel.states() + [
                f"xfrm policy add src {nets[0]} dst {nets[1]} dir out {ends}",
                f"xfrm policy add src {nets[1]} dst {nets[0]} dir fwd {back}"])
            wait_for(lambda e=engine, n=nets[1]: n in e.routes() and
                     e.port("wan")["state"] == "up", "routes and the link")
        for sender, receiver, src, dst in ((0, 1, "10.1.0.2", "10.2.0.2"),
                                           (1, 0, "10.2.0.2", "10.1.0.2")):
            for size in (0, 500, 1300):
                packet = udp(src, dst, size=size)
                wires[sender].send(packet)
                got = wires[receiver].receive(payload_is(packet[Raw].load), "it, at the far end")
                assert got[IP].ttl == 62
        assert engines[0].port("wan")["tx_packets"] >= 3
    finally:
        for engine in engines:
            engine.stop()
