# SPDX-License-Identifier: BSD-3-Clause
"""What a real Linux kernel sealed, captured, and read by an engine from a file."""

import pytest
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import rdpcap, wrpcap

from engine import Engine
from esp import CBC, GCM
from gateway import FAR, HOST, NEAR, OURS, REMOTE, is_esp
from linux_peer import LinuxGateway
from netns import Netns, wait_for
from wire import Wire

PACKETS = 300
NEXT_HOP = "02:00:00:00:00:02"
WAN_MAC = "02:70:63:61:70:00"  # what DPDK's first net_pcap port has

# Run by the guest: UDP of every size up to a few hundred bytes.
SENDER = """
import socket
s = socket.socket(socket.AF_INET{six}, socket.SOCK_DGRAM)
s.bind(("{source}", 4000))
for i in range({packets}):
    s.sendto(i.to_bytes(2, "big") * (i + 1), ("{to}", 5000))
"""


@pytest.fixture(scope="module")
def kernel():
    kernel = LinuxGateway()
    yield kernel
    kernel.close()


def capture(kernel, inner, path):
    """The guest sends; what it sealed is written to a capture, for a port of another MAC address."""
    wire = Wire(kernel.gw, "wan0", kernel.wan.mac)
    kernel.guest.run("python3 - <<'end'" + SENDER.format(
        six={4: "", 6: "6"}[inner], source=REMOTE[inner], to=HOST[inner], packets=PACKETS) + "end")
    frames = [wire.receive(is_esp) for _ in range(PACKETS)]
    wire.close()
    for frame in frames:
        frame.dst = WAN_MAC
    wrpcap(str(path), frames)


def replay(tunnel, inner, outer, source, result):
    """
    An engine reads a capture over and over, so that it makes no difference when the SA comes: it
    takes every packet once. Static routes and neighbours; policies stand before the SA does.
    """
    namespace = Netns("captures")
    engine = Engine(
        namespace,
        [{"name": "wan", "device": f"net_pcap0,rx_pcap={source},infinite_rx=1", "side": "unprotected"},
         {"name": "lan", "device": f"net_pcap1,tx_pcap={result}", "side": "protected"}],
        routes=[{"prefix": NEAR[inner], "via": HOST[inner], "port": "lan"}],
        neighbours=[{"address": HOST[inner], "mac": NEXT_HOP, "port": "lan"}])
    try:
        namespace.batch(["link set wan up", f"addr add {OURS[outer]} dev wan"])
        engine.batch(tunnel.policies(NEAR[inner], FAR[inner]) + tunnel.states())
        wait_for(lambda: engine.port("lan")["tx_packets"] >= PACKETS, "all of the capture to pass")
        drops = engine.drops()
        assert not any(drops[reason] for reason in ("icv", "pad", "inner", "selector"))
    finally:
        engine.stop()
        namespace.close()


@pytest.mark.parametrize("inner,outer,suite,esn", [
    (4, 4, GCM, False), (6, 4, CBC, True), (4, 6, CBC, False), (6, 6, GCM, True)])
def test_a_capture_of_the_kernel_is_opened_packet_by_packet(kernel, tmp_path, inner, outer, suite,
                                                            esn):
    tunnel = kernel.tunnel(outer, suite=suite, esn=esn)
    capture(kernel, inner, tmp_path / "sealed.pcap")
    replay(tunnel, inner, outer, tmp_path / "sealed.pcap", tmp_path / "opened.pcap")
    opened = {}
    for frame in rdpcap(str(tmp_path / "opened.pcap")):
        if frame.dst == NEXT_HOP:
            packet = frame[Ether].payload
            again = packet.copy()
            del again[UDP].chksum
            if inner == 4:
                del again.chksum
            assert bytes(again) == bytes(packet)  # every checksum is right
            assert (packet.src, packet.dst) == (REMOTE[inner], HOST[inner])
            assert (packet.ttl if inner == 4 else packet.hlim) == 63
            data = packet[Raw].load
            assert opened.setdefault(int.from_bytes(data[:2], "big"), data) is data
    assert opened == {i: i.to_bytes(2, "big") * (i + 1) for i in range(PACKETS)}
