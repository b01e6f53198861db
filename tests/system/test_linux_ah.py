# SPDX-License-Identifier: BSD-3-Clause
"""AH (RFC 4302) with a real Linux kernel as the peer: what both put under the ICV, and what not."""

import itertools
import random

import pytest
from scapy.layers.inet import ICMP, IP, IPOption, IPOption_NOP, IPOption_RR, IPOption_Timestamp
from scapy.layers.inet6 import (HBHOptUnknown, ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN,
                                RouterAlert)
from scapy.layers.ipsec import AH
from scapy.packet import Raw

import suites  # noqa: F401  adds AES-XCBC-96 to scapy
from ah import ALGORITHMS, SHA256, AhTunnel
from gateway import HOST, OURS, REMOTE, THEIRS, is_ah
from linux_peer import LinuxGateway
from wire import HostWire, Wire, payload_is

SIZES = [0, 1, 55, 56, 1350]
COMMON = [a for a in ALGORITHMS if "gmac" not in a.name]  # Linux has no GMAC for AH

each_algorithm = pytest.mark.parametrize("algorithm", COMMON, ids=lambda a: a.name)
with_and_without_esn = pytest.mark.parametrize("esn", [False, True], ids=["seq32", "esn"])
every_family = pytest.mark.parametrize("inner,outer", [(4, 4), (6, 4), (4, 6), (6, 6)],
                                       ids=lambda f: f"v{f}")
each_family = pytest.mark.parametrize("family", [4, 6], ids=lambda f: f"v{f}")
marks = itertools.count(1)


@pytest.fixture(scope="module")
def kernel():
    kernel = LinuxGateway(crypto={"legacy": ["sha1"]})
    yield kernel
    kernel.close()


@pytest.fixture(scope="module")
def host(kernel):
    """Sends as the gateway's own kernel does, and sees what reaches it."""
    wire = HostWire(kernel.gw, "wan", kernel.wan.mac)
    yield wire
    wire.close()


def guest_pings(kernel, address):
    kernel.guest.run(f"ping -n -c 3 -i 0.01 -W 10 {address}")


@each_algorithm
@with_and_without_esn
def test_every_algorithm_in_tunnel_mode(kernel, algorithm, esn):
    kernel.tunnel(kind=AhTunnel, algorithm=algorithm, esn=esn)
    with kernel.nothing_lost():
        kernel.ping(4, *SIZES)
        kernel.ping(6, *SIZES)


@each_algorithm
@with_and_without_esn
@each_family
def test_every_algorithm_in_transport_mode(kernel, algorithm, esn, family):
    kernel.transport(family, kind=AhTunnel, algorithm=algorithm, esn=esn)
    with kernel.nothing_lost():
        kernel.ping(family, *SIZES, netns=kernel.gw, to=THEIRS)
        guest_pings(kernel, OURS[family])


@every_family
@pytest.mark.parametrize("flags,words", [("", 6), ("flag align4", 5)], ids=["align8", "align4"])
def test_families_and_padding(kernel, inner, outer, flags, words):
    """Linux pads AH over IPv4 to 64 bits unless it is told not to; over IPv6 that is the rule."""
    if outer == 6:
        flags, words = "", 6
    kernel.tunnel(outer, kind=AhTunnel, algorithm=SHA256, flags=flags)
    wire = Wire(kernel.gw, "wan0", kernel.wan.mac)  # sees what the guest sends
    kernel.wan.take()
    with kernel.nothing_lost():
        kernel.ping(inner, *SIZES)
        guest_pings(kernel, f"-I {REMOTE[inner]} {HOST[inner]}")
    assert {p[AH].payloadlen for p in kernel.wan.take() + wire.take() if is_ah(p)} == {words}
    wire.close()


@each_family
def test_esn_goes_beyond_its_low_half(kernel, family):
    kernel.tunnel(family, kind=AhTunnel, esn=True, low=0xfffffff0)
    kernel.passes_2_to_the_32()


def test_what_comes_again_is_dropped_on_both_sides(kernel):
    kernel.tunnel(kind=AhTunnel)
    kernel.drops_what_comes_again()


@every_family
def test_tcp_both_ways(kernel, inner, outer):
    data = random.Random(4).randbytes(500_000)
    kernel.tunnel(outer, kind=AhTunnel)
    assert kernel.echo(inner, data) == data


# Options and extension headers in front of AH, in transport mode. 0x3e may change on the way.

def unknown(otype):
    return HBHOptUnknown(otype=otype, optlen=4, optdata=b"\1\2\3\4")


HOP = IPv6ExtHdrHopByHop(options=[unknown(0x1e), unknown(0x3e), PadN(optdata=b"")])
DST = IPv6ExtHdrDestOpt(options=[unknown(0x3e), unknown(0x1e), PadN(optdata=b"")])
ALERT6 = IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"")])
ROUTING = IPv6ExtHdrRouting(type=253, segleft=0, addresses=[])

FRONTS = {
    4: {
        "nop": [IPOption_NOP()] * 4,
        "security": [IPOption(b"\x82\x0b" + bytes(9)), IPOption_NOP()],
        "extended security": [IPOption(b"\x85\x04\1\2")],
        "router alert": [IPOption(b"\x94\x04\0\0")],
        "multi-destination": [IPOption(b"\x95\x06\1\2\3\4"), IPOption_NOP()],
        "record route": [IPOption_NOP(), IPOption_RR(routers=["0.0.0.0"] * 3)],
        "timestamp": [IPOption_Timestamp()],
        "stream id": [IPOption(b"\x88\x04\x12\x34")],
        "unknown": [IPOption(b"\x5e\x04\1\2")],
        "end of list": [IPOption(b"\x5e\x03\1"), IPOption(b"\0")],
        "forty bytes": [IPOption_NOP(), IPOption(b"\x94\x04\0\0"),
                        IPOption_RR(routers=["0.0.0.0"] * 7), IPOption(b"\x5e\x04\1\2")],
    },
    6: {
        "hop-by-hop": [HOP], "router alert": [ALERT6], "destination": [DST], "both": [HOP, DST],
        "routing": [ROUTING], "hop-by-hop, routing": [HOP, ROUTING],
        "all": [HOP, DST, ROUTING, DST],
    },
}
ATOMIC = IPv6ExtHdrFragment(id=4711)  # which Linux puts behind AH, where RFC 4302 has no place for it

# Run by the guest: packets from the IP header on.
SENDER = """
import socket
s = socket.socket(socket.AF_INET{six}, socket.SOCK_RAW, socket.IPPROTO_RAW)
for data in {packets}:
    s.sendto(bytes.fromhex(data), ("{to}", 0))
"""


def request(src, dst, family, front):
    """An echo request, and its data, which no other has."""
    data = f"ping-{next(marks)}-of-ah".encode()
    if family == 4:
        header = IP(src=src, dst=dst, id=next(marks), options=front)
        return IP(bytes(header / ICMP(id=1) / Raw(data))), data
    chain = IPv6(src=src, dst=dst)
    for header in front:
        chain = chain / header.copy()
    echo = IPv6(bytes(IPv6(src=src, dst=dst) / ICMPv6EchoRequest(id=1, data=data)))
    return IPv6(bytes(chain / echo[ICMPv6EchoRequest])), data


@each_family
@with_and_without_esn
def test_the_kernel_opens_whatever_stands_in_front_of_ah(kernel, host, family, esn):
    kernel.transport(family, kind=AhTunnel, esn=esn)
    fronts = FRONTS[family] | ({"atomic fragment": [ATOMIC]} if family == 6 else {})
    with kernel.nothing_lost():
        for name, front in fronts.items():
            there, data = request(OURS[family], THEIRS[family], family, front)
            host.send(there)
            answer = host.receive(payload_is(data), f"the answer to {name}")
            assert answer[IP if family == 4 else IPv6].src == THEIRS[family]


@each_family
@with_and_without_esn
def test_the_engine_opens_whatever_the_kernel_puts_in_front_of_ah(kernel, host, family, esn):
    kernel.transport(family, kind=AhTunnel, esn=esn)
    sent = {name: request(THEIRS[family], OURS[family], family, front)
            for name, front in FRONTS[family].items()}
    with kernel.nothing_lost():
        kernel.guest.run("python3 - <<'end'" + SENDER.format(
            six="" if family == 4 else "6", to=OURS[family],
            packets=[bytes(packet).hex() for packet, _ in sent.values()]) + "end")
        for name, (packet, data) in sent.items():
            got = host.receive(payload_is(data), f"the packet with {name}")
            assert bytes(got.payload) == bytes(packet), name


@each_family
def test_fields_that_may_change_have_any_value(kernel, family):
    kernel.transport(family, kind=AhTunnel)
    flow_label = ["-F 0x12345"] if family == 6 else []
    with kernel.nothing_lost():
        for words in ["-Q 0xbb", "-t 3", "-M do", "-M dont", *flow_label]:
            kernel.ping(family, 100, words=words, netns=kernel.gw, to=THEIRS)
            kernel.guest.run(f"ping -n -c 1 -W 10 {words} {OURS[family]}")
