# SPDX-License-Identifier: BSD-3-Clause
"""
NAT traversal (RFC 3948): UDP encapsulation on any ports, keepalives, IKE behind its marker, bad
datagrams, peers whose address or port changes, and transport mode through a NAT.
"""

import os
import subprocess

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from engine import TOOLS
from esp import Tunnel
from gateway import FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS, Gateway, ip, udp
from keepalive import ask
from netns import wait_for
from wire import HostWire, payload_is

every_family = pytest.mark.parametrize("family", [4, 6])
every_gateway = pytest.mark.parametrize("which", ["gateway", "follower"])
ELSEWHERE = {4: "192.0.2.77", 6: "2001:db8:f::77"}


@pytest.fixture(scope="module")
def follower():
    """An engine that sends where the peer is now."""
    gateway = Gateway(sad={"nat_rebinding": "follow"})
    for family, address in ELSEWHERE.items():
        gateway.gw.ip(f"neigh replace {address} lladdr {gateway.wan.mac} dev wan nud permanent")
        wait_for(lambda: address in gateway.engine.neighbours(), "the engine to follow neighbours")
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def host(gateway):
    wire = HostWire(gateway.gw, "wan", gateway.wan.mac)
    yield wire
    wire.close()


class Monitor:
    """`ip xfrm monitor`, which has subscribed when the constructor returns."""

    def __init__(self, engine):
        self.engine, self.said = engine, ""
        self.process = subprocess.Popen(
            engine.netns.command(TOOLS / "sealane-xfrm", "ip", "xfrm", "monitor"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "SEALANE_XFRM_SOCKET": engine.path("xfrm.sock")})
        os.set_blocking(self.process.stdout.fileno(), False)
        wait_for(lambda: self.mark() and "Updated" in self.read(), "the monitor to subscribe")

    def mark(self):
        """Something that is told behind all that was told before."""
        self.engine.ip("xfrm policy update src 10.99.0.0/16 dst 10.98.0.0/16 dir fwd action block")
        return True

    def read(self):
        self.said += (self.process.stdout.read() or b"").decode()
        return self.said

    def mappings(self, count):
        """The mappings told so far, once there are so many and all that was under way is in."""
        wait_for(lambda: self.read().count("Mapping change") >= count, f"{count} mappings")
        marks = self.said.count("Updated")
        self.mark()
        wait_for(lambda: self.read().count("Updated") > marks, "the mark")
        return [line.split("Mapping change ")[1].strip() for line in self.said.splitlines()
                if "Mapping change" in line]

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def monitor(request):
    monitors = []

    def start(gateway):
        monitors.append(Monitor(gateway.engine))
        return monitors[-1]

    yield start
    for one in monitors:
        one.close()


def is_udp(sport):
    return lambda p: UDP in p and p[UDP].sport == sport


def from_elsewhere(packet, src=None, sport=None):
    """The packet as a NAT rewrote it."""
    if src:
        packet.src = src
    if sport:
        packet[UDP].sport = sport
    if IP in packet:
        del packet.chksum
    return packet.__class__(bytes(packet))


def settle(gateway, tunnel, family):
    """All that was sent before has been dealt with."""
    for _ in range(2):
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))


@every_family
@pytest.mark.parametrize("ports", [(4500, 4500), (4500, 31337), (7777, 4500), (7777, 8888),
                                   (65535, 1)], ids=lambda p: f"{p[0]}-{p[1]}")
def test_C66_any_ports_will_do(gateway, family, ports):
    tunnel = gateway.tunnel(family, ports=ports)
    there = udp(HOST[4], REMOTE[4])
    gateway.lan.send(there)
    sealed = gateway.wan.receive(is_udp(ports[0]), "ESP in UDP")
    assert sealed[UDP].dport == ports[1]
    assert (sealed[UDP].chksum == 0) == (family == 4)
    assert tunnel.out.open(sealed)[Raw].load == there[Raw].load
    gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))
    # Any checksum is accepted, also a wrong one.
    wrong = tunnel.into.seal(udp(REMOTE[4], HOST[4], b"sum"))
    wrong[UDP].chksum = 0x1234
    gateway.wan.send(wrong.__class__(bytes(wrong)))
    gateway.lan.receive(payload_is(b"sum"), "the packet")


def expect(gateway, tunnel, reason, *packets):
    fence = lambda: gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))  # noqa: E731
    reasons, out = gateway.fate(gateway.wan, *packets, fence=fence)
    assert reasons == ({reason: len(packets)} if reason else {})
    assert [p.summary() for p in out] == []


def datagram(family, port, data, **fields):
    return ip(THEIRS[family], OURS[family]) / UDP(sport=5555, dport=port, **fields) / Raw(data)


@every_family
@pytest.mark.parametrize("port", [4500, 7777])
class TestDatagrams:
    """What else comes to a port of encapsulation."""

    @pytest.fixture
    def tunnel(self, gateway, family, port):
        return gateway.tunnel(family, ports=(port, 4500))

    def test_C65_C67_keepalives_are_consumed(self, gateway, tunnel, family, port):
        consumed = gateway.engine.balance()["consumed"]
        expect(gateway, tunnel, None, datagram(family, port, b"\xff"))
        assert gateway.engine.balance()["consumed"] == consumed + 1

    def test_C65_short_datagrams_are_counted(self, gateway, tunnel, family, port):
        expect(gateway, tunnel, "natt_short",
               *[datagram(family, port, d) for d in (b"\x01", b"\xfe", b"ab", b"\xff\xff\xff")])

    def test_C65_ike_behind_its_marker_reaches_the_host(self, gateway, tunnel, host, family, port):
        ike = bytes(4) + b"IKE to port %d" % port
        gateway.wan.send(datagram(family, port, ike))
        host.receive(payload_is(ike), "IKE")
        answer = bytes(4) + b"IKE from port %d" % port
        host.send(ip(OURS[family], THEIRS[family]) / UDP(sport=port, dport=5555) / Raw(answer))
        gateway.wan.receive(payload_is(answer), "IKE")

    def test_udp_lengths_that_are_wrong(self, gateway, tunnel, family, port):
        esp = bytes(tunnel.into.sa.encrypt(udp(REMOTE[4], HOST[4]), seq_num=900).payload)
        expect(gateway, tunnel, "udp_len",
               *[datagram(family, port, esp, len=n) for n in (0, 7, 9 + len(esp), 65535)])

    def test_esp_without_an_sa_does_not_reach_the_host(self, gateway, tunnel, family, port):
        expect(gateway, tunnel, "no_sa", datagram(family, port, b"\0\0\x99\x99" + bytes(60)))


def test_a_port_is_an_ordinary_one_before_and_after_its_sas(gateway, host):
    gateway.tunnel(ports=(7777, 4500))
    gateway.engine.batch(FLUSH + [f"xfrm policy add src {THEIRS[4]} dst {OURS[4]} dir in"])
    gateway.wan.send(datagram(4, 7777, b"ordinary UDP"))
    host.receive(payload_is(b"ordinary UDP"), "it")


def test_a_peer_s_port_is_no_port_of_ours(gateway, host):
    tunnel = gateway.tunnel(ports=(4500, 7777))
    gateway.engine.ip(f"xfrm policy add src {THEIRS[4]} dst {OURS[4]} dir in")
    gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))
    gateway.wan.send(datagram(4, 7777, b"to the same port here"))
    host.receive(payload_is(b"to the same port here"), "it")


@every_family
def test_C67_a_keepalive_is_sent_after_silence_if_asked_for(gateway, family):
    tunnel = gateway.tunnel(family, ports=(4500, 4600))
    ask(gateway.engine, tunnel, seconds=1)
    packet = gateway.wan.receive(
        lambda p: UDP in p and p[UDP].dport == 4600 and p[UDP].len == 9, "a keepalive", 20)
    header = packet[IPv6 if family == 6 else IP]
    assert (header.src, header.dst) == (OURS[family], THEIRS[family])
    assert bytes(packet[UDP].payload)[:1] == b"\xff"
    again = header.__class__(bytes(header)[:len(header)])
    if family == 6:
        del again[UDP].chksum
        assert IPv6(bytes(again))[UDP].chksum == packet[UDP].chksum


# ---- peers that move ----

@every_family
@every_gateway
def test_B29_a_new_address_or_port_is_told_once(request, monitor, which, family):
    gateway = request.getfixturevalue(which)
    tunnel = gateway.tunnel(family, ports=(4500, 4500))
    watch = monitor(gateway)
    for _ in range(3):
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))
    for src, sport in ((THEIRS[family], 1111), (ELSEWHERE[family], 1111), (THEIRS[family], 4500)):
        for _ in range(5):
            packet = udp(REMOTE[4], HOST[4])
            gateway.wan.send(from_elsewhere(tunnel.into.seal(packet), src, sport))
            gateway.lan.receive(payload_is(packet[Raw].load), "it")
    old = f"{THEIRS[family]}:4500"
    assert watch.mappings(3) == [f"{old} -> {THEIRS[family]}:1111",
                                 f"{old} -> {ELSEWHERE[family]}:1111", f"{old} -> {old}"]


def where(gateway, tunnel):
    """Address and port that the engine sends to."""
    there = udp(HOST[4], REMOTE[4])
    gateway.lan.send(there)
    sealed = gateway.wan.receive(is_udp(tunnel.ports[0]), "ESP in UDP")
    assert tunnel.out.open(sealed)[Raw].load == there[Raw].load
    outer = sealed[IP if IP in sealed else IPv6]
    if IP in sealed:
        again = IP(bytes(outer))
        del again.chksum
        assert IP(bytes(again)).chksum == outer.chksum
    return outer.dst, sealed[UDP].dport


@every_family
@every_gateway
def test_packets_follow_a_peer_where_that_is_asked_for(request, monitor, which, family):
    gateway = request.getfixturevalue(which)
    tunnel = gateway.tunnel(family, ports=(4500, 4500))
    watch = monitor(gateway)
    assert where(gateway, tunnel) == (THEIRS[family], 4500)
    gateway.wan.send(from_elsewhere(tunnel.into.seal(udp(REMOTE[4], HOST[4])),
                                    ELSEWHERE[family], 1111))
    watch.mappings(1)
    moved = (ELSEWHERE[family], 1111) if which == "follower" else (THEIRS[family], 4500)
    assert where(gateway, tunnel) == moved
    shown = gateway.engine.ip("xfrm state")
    assert ELSEWHERE[family] not in shown and "1111" not in shown
    # The IKE daemon's word counts more than what was seen before.
    gateway.engine.ip("xfrm state update " + tunnel.state("o").replace("4500 4500", "4500 2222"))
    assert where(gateway, tunnel) == (THEIRS[family], 2222)


@every_gateway
def test_B30_forged_old_and_replayed_packets_move_nothing(request, monitor, which):
    gateway = request.getfixturevalue(which)
    tunnel = gateway.tunnel(ports=(4500, 4500))
    watch = monitor(gateway)
    late = tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=40)
    first = tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=50)
    gateway.wan.send(first)
    gateway.wan.send(from_elsewhere(first.copy(), ELSEWHERE[4], 1111))  # a replay
    forged = from_elsewhere(tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=60), ELSEWHERE[4], 1111)
    data = bytearray(bytes(forged))
    data[-1] ^= 1
    gateway.wan.send(IP(bytes(data)))
    gateway.wan.send(from_elsewhere(late, ELSEWHERE[4], 1111))
    tunnel.into.sa.seq_num = 51
    settle(gateway, tunnel, 4)
    assert where(gateway, tunnel) == (THEIRS[4], 4500)
    assert watch.mappings(0) == []


@every_gateway
def test_from_port_0_is_from_any_port(request, monitor, which):
    """As SAs of one CPU have it (RFC 9611) whose peer spreads them over ports of its choice."""
    gateway = request.getfixturevalue(which)
    tunnel = Tunnel(OURS[4], THEIRS[4], ports=(4500, 4500))
    into, out = tunnel.states()
    gateway.engine.batch(FLUSH + [out, into.replace("espinudp 4500", "espinudp 0")]
                         + tunnel.policies(NEAR[4], FAR[4]))
    watch = monitor(gateway)
    for sport in (4500, 1111, 2222):
        packet = udp(REMOTE[4], HOST[4])
        gateway.wan.send(from_elsewhere(tunnel.into.seal(packet), THEIRS[4], sport))
        gateway.lan.receive(payload_is(packet[Raw].load), "it")
    settle(gateway, tunnel, 4)
    assert where(gateway, tunnel) == (THEIRS[4], 4500)
    assert watch.mappings(0) == []


def test_late_packets_of_the_old_place_do_not_move_the_peer_back(follower, monitor):
    tunnel = follower.tunnel(ports=(4500, 4500))
    watch = monitor(follower)
    late = [tunnel.into.seal(udp(REMOTE[4], HOST[4], b"late %d" % n), seq=n) for n in (90, 91, 92)]
    new = from_elsewhere(tunnel.into.seal(udp(REMOTE[4], HOST[4], b"new"), seq=100),
                         ELSEWHERE[4], 1111)
    for packet in (late[0], new, *late[1:]):
        follower.wan.send(packet)
    for data in (b"late 90", b"new", b"late 91", b"late 92"):
        follower.lan.receive(payload_is(data), "it")
    assert watch.mappings(1) == [f"{THEIRS[4]}:4500 -> {ELSEWHERE[4]}:1111"]
    assert where(follower, tunnel) == (ELSEWHERE[4], 1111)


# ---- transport mode, and several clients ----

@every_family
@pytest.mark.parametrize("protocol", [UDP, TCP], ids=["udp", "tcp"])
@pytest.mark.parametrize("known", [True, False], ids=["original-known", "not-known"])
def test_C68_checksums_are_mended_for_the_address_that_the_nat_gave(
        gateway, host, family, protocol, known):
    original = "10.9.8.7" if family == 4 else "2001:db8:99::7"
    tunnel = Tunnel(OURS[family], THEIRS[family], mode="transport", ports=(4500, 4500))
    state = tunnel.state("i")
    if known:
        nothing = "0.0.0.0" if family == 4 else "::"
        state = state.replace(f"4500 4500 {nothing}", f"4500 4500 {original}")
    gateway.engine.batch(FLUSH + [f"xfrm state add {state}",
                                  f"xfrm state add {tunnel.state('o')}"]
                         + tunnel.policies(OURS[family], THEIRS[family], into=("in",)))
    for n in range(20):
        data = b"through a nat %d" % n
        inner = ip(original, OURS[family]) / protocol(sport=n, dport=7) / Raw(data)
        inner = inner.__class__(bytes(inner))  # summed up with the address that the sender has
        inner.src = THEIRS[family]
        gateway.wan.send(tunnel.into.seal(inner))
        got = host.receive(payload_is(data), "it").payload
        right = got.__class__(bytes(got))
        del right[protocol].chksum
        assert got[protocol].chksum == right.__class__(bytes(right))[protocol].chksum


def test_C68_a_udp_checksum_of_zero_stays(gateway, host):
    tunnel = Tunnel(OURS[4], THEIRS[4], mode="transport", ports=(4500, 4500))
    gateway.engine.batch(FLUSH + tunnel.states()
                         + tunnel.policies(OURS[4], THEIRS[4], into=("in",)))
    packet = IP(src=THEIRS[4], dst=OURS[4]) / UDP(sport=9, dport=7, chksum=0) / Raw(b"no sum")
    gateway.wan.send(tunnel.into.seal(packet))
    assert host.receive(payload_is(b"no sum"), "it")[UDP].chksum == 0


def test_C69_two_clients_with_one_inner_address_stay_apart(follower):
    """They share a NAT's address. The second one's policy is refused, and so is its traffic."""
    first = follower.tunnel(inner=(4,), ports=(4500, 1111))
    second = Tunnel(OURS[4], THEIRS[4], spi=0x20002, reqid=2, ports=(4500, 2222))
    follower.engine.batch(second.states())
    refused = follower.engine.try_ip(second.policies(NEAR[4], FAR[4])[0])
    assert refused.returncode != 0 and "exists" in refused.stderr

    def fence():
        follower.inbound(first, udp(REMOTE[4], HOST[4]))

    moved = from_elsewhere(second.into.seal(udp(REMOTE[4], HOST[4])), ELSEWHERE[4], 3333)
    reasons, out = follower.fate(follower.wan, second.into.seal(udp(REMOTE[4], HOST[4])), moved,
                                 fence=fence)
    assert reasons == {"selector": 2} and out == []
    assert where(follower, first) == (THEIRS[4], 1111)
