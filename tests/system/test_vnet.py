# SPDX-License-Identifier: BSD-3-Clause
"""
Ports on interfaces of the kernel whose hosts leave segments and checksums to a card: long frames come
in as segments, segments in a row go out as long frames, and TCP between two hosts is what it was.
"""

import hashlib
import os
import signal
import socket
import struct
import threading

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from engine import Engine
from gateway import HOST, OURS, REMOTE, THEIRS, Gateway, ip, is_esp, udp
from netns import helper, wait_for
from wire import SOL_PACKET, payload_is

PACKET_VNET_HDR = 15
NEEDS_CSUM, TCPV4, TCPV6, UDP_L4 = 1, 1, 4, 5
ESPINUDP = "encap espinudp 4500 4500 0.0.0.0"


@pytest.fixture(scope="module")
def gateway():
    more = {name: {"device": f"vnet_{name},iface={name}0"} for name in ("lan", "wan")}
    more["lan"]["vlans"] = [{"name": "lan7", "id": 7, "side": "protected"}]
    gateway = Gateway(ports=more)
    for name in ("lan", "wan"):
        helper("offloads_on", gateway.gw.name, f"{name}0")
        helper("offloads_on", gateway.peers.name, f"{name}1")
    yield gateway
    gateway.close()


def sender(gateway, name):
    """A socket at the far end of a port whose frames stand behind virtio's header."""
    with gateway.peers.entered():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        s.bind((f"{name}1", 0))
    return s


def unfinished(packet, size=0):
    """The packet as a host's stack gives it to a card, for segments with so many bytes: about it, itself."""
    packet = packet.__class__(bytes(packet))
    proto = TCP if TCP in packet else UDP
    v4 = isinstance(packet, IP)
    l4 = len(packet) - len(packet[proto])
    ends = (socket.inet_pton(socket.AF_INET if v4 else socket.AF_INET6, a)
            for a in (packet.src, packet.dst))
    pseudo = b"".join(ends) + struct.pack("!II", len(packet) - l4, 6 if proto is TCP else 17)
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    packet[proto].chksum = (total & 0xffff) + (total >> 16)
    gso = 0 if not size else UDP_L4 if proto is UDP else TCPV4 if v4 else TCPV6
    head = l4 + (packet[TCP].dataofs * 4 if proto is TCP else 8)
    return struct.pack("=BBHHHH", NEEDS_CSUM, gso, 14 + head, size, 14 + l4,
                       16 if proto is TCP else 6), packet


def send_unfinished(gateway, name, packet, size=0):
    wire = gateway.lan if name == "lan" else gateway.wan
    about, packet = unfinished(packet, size)
    with sender(gateway, name) as s:
        s.send(about + bytes(wire.frame(packet)))


def right(packet):
    """Every length and checksum is as scapy would make it."""
    again = packet.copy()
    for layer in (IP, TCP, UDP):
        if layer in again:
            del again[layer].chksum
    return bytes(again) == bytes(packet)


def tcp(family, data, seq=77, flags="PA"):
    fields = {"flags": "DF"} if family == 4 else {}
    return ip(HOST[family], REMOTE[family], **fields) \
        / TCP(sport=1000, dport=2000, seq=seq, flags=flags) / Raw(data)


def at_once(gateway, send):
    """What is sent meets the engine as one burst."""
    gateway.engine.process.send_signal(signal.SIGSTOP)
    send()
    gateway.engine.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("length", [1401, 4000, 60000])
@pytest.mark.parametrize("family", [4, 6])
def test_a_long_frame_is_cut(gateway, family, length):
    tunnel = gateway.tunnel()
    data, got = os.urandom(length), b""
    send_unfinished(gateway, "lan", tcp(family, data), 1300)
    while len(got) < length:
        inner = tunnel.out.open(gateway.wan.receive(is_esp, "a segment"))
        assert inner[TCP].seq == 77 + len(got)
        assert ("P" in inner[TCP].flags) == (len(got) + len(inner[Raw].load) == length)
        assert len(inner[Raw].load) == min(1300, length - len(got))
        assert right(inner)
        got += inner[Raw].load
    assert got == data


@pytest.mark.parametrize("family", [4, 6])
def test_datagrams_of_one_long_frame(gateway, family):
    tunnel = gateway.tunnel()
    datagrams = [os.urandom(500) for _ in range(7)] + [b"the last"]
    send_unfinished(gateway, "lan", udp(HOST[family], REMOTE[family], b"".join(datagrams)), 500)
    for data in datagrams:
        inner = tunnel.out.open(gateway.wan.receive(is_esp, "a datagram"))
        assert inner[Raw].load == data and right(inner)


@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_checksum_that_was_left_out(gateway, family, proto):
    tunnel = gateway.tunnel()
    packet = tcp(family, b"one segment") if proto == "tcp" else udp(HOST[family], REMOTE[family])
    send_unfinished(gateway, "lan", packet)
    assert right(tunnel.out.open(gateway.wan.receive(is_esp, "it, sealed")))


@pytest.mark.parametrize("size", [1800, 2000])
def test_a_frame_longer_than_a_slot_is_whole(gateway, size):
    """Of any protocol: it is answered, as it does not fit the way out."""
    gateway.tunnel()
    gateway.peers.ip("link set lan1 mtu 3000")
    gateway.gw.ip("link set lan0 mtu 3000")
    try:
        gateway.lan.send(udp(HOST[4], REMOTE[4], size=size, flags="DF"))
        answer = gateway.lan.receive(lambda p: IP in p and p[IP].proto == 1, "fragmentation needed")
        assert answer[IP].src == "10.1.0.1"
    finally:
        gateway.peers.ip("link set lan1 mtu 1500")
        gateway.gw.ip("link set lan0 mtu 1500")


@pytest.mark.parametrize("family", [4, 6])
def test_segments_in_a_row_leave_as_one(gateway, family):
    tunnel = gateway.tunnel()
    data = os.urandom(20 * 1000)

    def send():
        for at in range(0, len(data), 1000):
            packet = ip(REMOTE[family], HOST[family], **({"flags": "DF"} if family == 4 else {})) \
                / TCP(sport=2000, dport=1000, seq=at, flags="A") / Raw(data[at:at + 1000])
            gateway.wan.send(tunnel.into.seal(packet))

    at_once(gateway, send)
    frame = gateway.lan.receive(lambda p: TCP in p, "a long frame")
    assert frame[Raw].load == data
    assert frame[TCP].seq == 0


def test_a_damaged_segment_stays_damaged(gateway):
    """Whoever merged it would give it a right checksum."""
    tunnel = gateway.tunnel()
    packets = [ip(REMOTE[4], HOST[4], flags="DF") / TCP(sport=2000, dport=1000, seq=at * 100, flags="A")
               / Raw(bytes([at]) * 100) for at in range(3)]
    packets[1] = IP(bytes(packets[1])[:-1] + b"!")
    at_once(gateway, lambda: [gateway.wan.send(tunnel.into.seal(p)) for p in packets])
    for packet in packets:
        frame = gateway.lan.receive(lambda p: TCP in p, "a segment")
        assert bytes(frame[TCP]) == bytes(packet[TCP])


def test_encapsulated_esp_leaves_as_one_and_comes_as_one(gateway):
    tunnel = gateway.tunnel(ports=(4500, 4500))
    sent = [udp(HOST[4], REMOTE[4], size=1000) for _ in range(12)]
    at_once(gateway, lambda: [gateway.lan.send(p) for p in sent])
    frame = gateway.wan.receive(lambda p: UDP in p and p[UDP].dport == 4500, "a long frame")
    datagrams = bytes(frame[UDP])[8:]
    size = len(datagrams) // len(sent)
    for i, packet in enumerate(sent):
        outer = IP(bytes(IP(src=OURS[4], dst=THEIRS[4]) / UDP(sport=4500, dport=4500)
                         / Raw(datagrams[i * size:(i + 1) * size])))
        assert tunnel.out.open(outer)[Raw].load == packet[Raw].load

    back = [udp(REMOTE[4], HOST[4], size=900) for _ in range(12)]
    sealed = [bytes(tunnel.into.seal(p)[UDP])[8:] for p in back]
    assert len({len(s) for s in sealed}) == 1
    send_unfinished(gateway, "wan", IP(src=THEIRS[4], dst=OURS[4]) / UDP(sport=4500, dport=4500)
                    / Raw(b"".join(sealed)), len(sealed[0]))
    got = b""
    while len(got) < sum(len(p[Raw].load) for p in back):
        got += gateway.lan.receive(lambda p: UDP in p and p[UDP].dport == 5000, "datagrams")[Raw].load
    assert got == b"".join(p[Raw].load for p in back)


def test_what_cannot_be_cut_is_counted(gateway):
    """Segments longer than a packet buffer, of a host that believes in a larger MTU."""
    tunnel = gateway.tunnel()
    before = gateway.engine.port("lan")["rx_errors"]
    send_unfinished(gateway, "lan", tcp(4, bytes(9000)), 4000)
    wait_for(lambda: gateway.engine.port("lan")["rx_errors"] == before + 1, "it to be counted")
    gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))


def test_small_packets_go_both_ways(gateway):
    gateway.there_and_back()


def test_an_interface_that_was_down_goes_on_with_long_frames(gateway):
    tunnel = gateway.tunnel()
    gateway.peers.ip("link set lan1 down")
    wait_for(lambda: gateway.engine.port("lan")["state"] == "down", "the carrier to go")
    gateway.gw.ip("link set lan0 down")
    gateway.gw.ip("link set lan0 up")
    gateway.peers.ip("link set lan1 up")
    wait_for(lambda: gateway.engine.port("lan")["state"] == "up", "the carrier to return")
    gateway.lan = gateway.wire_of("lan")
    for length in (3000, 4000):
        data, got = os.urandom(length), b""
        send_unfinished(gateway, "lan", tcp(4, data), 1300)
        while len(got) < length:
            got += tunnel.out.open(gateway.wan.receive(is_esp, "a segment"))[Raw].load
        assert got == data


def site(netns, n):
    """One of two: a host and a gateway with an engine, not yet connected to the other's."""
    host, gw = netns(f"host{n}"), netns(f"gw{n}")
    helper("veth_new", host.name, "eth0", gw.name, "lan0")
    for space, name in ((host, "eth0"), (gw, "lan0")):
        helper("offloads_on", space.name, name)
    host.batch([f"addr add 10.{n}.0.2/24 dev eth0", f"route add default via 10.{n}.0.1"])
    return host, gw


def start(gw, n, encap):
    other = 3 - n
    for name in ("lan0", "wan0"):
        helper("below_engine", gw.name, name)
    engine = Engine(gw, [{"name": name, "device": f"vnet_{name},iface={name}0",
                          "side": "protected" if name == "lan" else "unprotected"}
                         for name in ("lan", "wan")])
    gw.batch(["link set lan up", "link set wan up", f"addr add 10.{n}.0.1/24 dev lan",
              f"addr add 192.0.2.{n}/24 dev wan", f"route add 10.{other}.0.0/16 via 192.0.2.{other}"])
    ways = {"out": (n, other), "in": (other, n), "fwd": (other, n)}
    ends = {way: f"src 192.0.2.{a} dst 192.0.2.{b}" for way, (a, b) in ways.items()}
    engine.batch(
        [f"xfrm state add {ends[way]} proto esp spi {0x1000 + ways[way][0]} reqid 1 mode tunnel "
         f"aead rfc4106(gcm(aes)) 0x{f'{ways[way][0]:02x}' * 20} 128 {encap}" for way in ("in", "out")]
        + [f"xfrm policy add src 10.{a}.0.0/16 dst 10.{b}.0.0/16 dir {way} "
           f"tmpl {ends[way]} proto esp reqid 1 mode tunnel" for way, (a, b) in ways.items()])
    wait_for(lambda: {"192.0.2.0/24", f"10.{other}.0.0/16"} <= engine.routes(), "routes")
    return engine


@pytest.mark.parametrize("encap", ["", ESPINUDP], ids=["esp", "udp"])
def test_tcp_of_two_kernels_through_two_engines(netns, encap):
    """Twenty megabytes each way at the same time, by hosts that leave all they can to a card."""
    (host_a, gw_a), (host_b, gw_b) = site(netns, 1), site(netns, 2)
    helper("veth_new", gw_a.name, "wan0", gw_b.name, "wan0")
    for gw in (gw_a, gw_b):
        helper("offloads_on", gw.name, "wan0")
    engines = []
    data = os.urandom(20_000_000)
    digests = []

    def talk(connection):
        receiver = threading.Thread(target=listen, args=(connection,))
        receiver.start()
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        receiver.join()

    def listen(connection):
        digest = hashlib.sha256()
        while part := connection.recv(1 << 16):
            digest.update(part)
        digests.append(digest.digest())

    try:
        for gw, n in ((gw_a, 1), (gw_b, 2)):
            engines.append(start(gw, n, encap))
        server, client = (host.socket(socket.AF_INET, socket.SOCK_STREAM) for host in (host_b, host_a))
        with server, client:
            server.bind(("10.2.0.2", 5000))
            server.listen()
            client.settimeout(60)
            client.connect(("10.2.0.2", 5000))
            far = server.accept()[0]
            with far:
                far.settimeout(60)
                threads = [threading.Thread(target=talk, args=(c,)) for c in (client, far)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        assert digests == [hashlib.sha256(data).digest()] * 2
        assert all(engine.port("lan")["rx_errors"] == 0 for engine in engines)
    finally:
        for engine in engines:
            engine.stop()


def test_a_tag_that_the_kernel_keeps_beside_the_frame(gateway):
    gateway.gw.ip("link set lan7 up")
    wait_for(lambda: gateway.engine.port("lan7")["state"] == "up", "the sub-port")
    tunnel = gateway.tunnel()
    packet = udp(HOST[4], REMOTE[4])
    gateway.lan.send(packet, vlan=7)
    sealed = gateway.wan.receive(is_esp, "it, sealed")
    assert tunnel.out.open(sealed)[Raw].load == packet[Raw].load
    assert gateway.engine.port("lan7")["rx_packets"] >= 1


def test_two_workers_share_its_queue():
    """One has it, and hands over to the other."""
    gateway = Gateway(cores=(0, 1), ports={
        name: {"device": f"vnet_{name},iface={name}0"} for name in ("lan", "wan")})
    try:
        tunnel = gateway.tunnel()
        sent = {udp(HOST[4], REMOTE[4], dport=5000 + i)[Raw].load: i for i in range(32)}
        for data, i in sent.items():
            gateway.lan.send(udp(HOST[4], REMOTE[4], data, dport=5000 + i))
        got = {tunnel.out.open(gateway.wan.receive(is_esp, "each"))[Raw].load for _ in sent}
        assert got == set(sent)
        assert gateway.engine.port("lan")["rx_queues"] == 1
        assert gateway.engine.balance()["resumed"] > 0
    finally:
        gateway.close()
