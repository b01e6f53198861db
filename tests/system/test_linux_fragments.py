# SPDX-License-Identifier: BSD-3-Clause
"""
Packets too long for their tunnel with a real Linux kernel as the peer: cut before ESP or AH, or
behind it, over ports that show fragments as they are.
"""

import re
import socket

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from ah import AhTunnel
from esp import CBC, GCM, Tunnel
from gateway import FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS
from linux_peer import LinuxGateway
from netns import wait_for
from test_fragments import cut
from test_linux_ah import SENDER
from test_linux_kernel import refused
from wire import payload_is

pytestmark = pytest.mark.slow_under_sanitizer  # net_af_xdp; the unit tests go the same ways

PORTS = {name: {"device": f"net_af_xdp{i},iface={name}0"} for i, name in enumerate(("lan", "wan"))}
SIZES = [1390, 1430, 1472, 1473, 3000, 9000]  # of echo requests: all but the first too long
CARRIERS = {"esp": {"suite": GCM}, "cbc": {"suite": CBC}, "udp": {"ports": (4500, 4500)},
            "ah": {"kind": AhTunnel}}

each_family = pytest.mark.parametrize("family", [4, 6], ids=lambda f: f"v{f}")
each_outer = pytest.mark.parametrize("outer", [4, 6], ids=lambda f: f"outer{f}")
each_carrier = pytest.mark.parametrize("options", CARRIERS.values(), ids=CARRIERS)


def kernel_with(**engine):
    @pytest.fixture(scope="module")
    def fixture():
        kernel = LinuxGateway(ports=PORTS, **engine)
        yield kernel
        kernel.close()

    return fixture


kernel = kernel_with()
after = kernel_with(tunnels={"fragment": "after"})


def make(kernel, *ends, kind=Tunnel, **options):
    return kind(*ends, **options)


def counter(kernel, family, name):
    """FragCreates or ReasmOKs of the guest."""
    if family == 6:
        return int(kernel.guest.run(f"grep Ip6{name} /proc/net/snmp6").split()[1])
    names, values = kernel.guest.run("grep Ip: /proc/net/snmp").splitlines()
    return int(dict(zip(names.split(), values.split()))[name])


def of_ours(kernel):
    """What the engine sent since it was asked last: whether each is a fragment."""
    frames = kernel.wan.take()
    assert frames and all(len(p.original) <= 1514 for p in frames)
    return [p[IPv6].nh == 44 if IPv6 in p else p[IP].frag > 0 or bool(p[IP].flags.MF)
            for p in frames]


@each_outer
@each_carrier
def test_the_engine_cuts_before_and_the_kernel_behind(kernel, outer, options):
    kernel.tunnel(outer, **options)
    made = counter(kernel, outer, "FragCreates")
    kernel.wan.take()
    with kernel.nothing_lost():
        kernel.ping(4, *SIZES, words="-M dont")
    assert not any(of_ours(kernel))
    assert counter(kernel, outer, "FragCreates") - made >= 2 * 5


@each_outer
@each_carrier
def test_both_cut_behind(after, outer, options):
    after.tunnel(outer, **options)
    whole = counter(after, outer, "ReasmOKs")
    after.wan.take()
    with after.nothing_lost():
        after.ping(4, *SIZES, words="-M dont")
    assert any(of_ours(after))
    assert counter(after, outer, "ReasmOKs") - whole >= 2  # 1430 and 1472: the rest the host cut


@each_outer
def test_fragments_in_the_tunnel_pass_as_they_are(kernel, outer):
    kernel.tunnel(outer)
    data = bytes(i & 255 for i in range(2000))
    packet = IP(bytes(IP(src=REMOTE[4], dst=HOST[4]) / ICMP(type=0) / Raw(data)))
    fragments = list(cut(packet, 800))
    kernel.lan.take()
    with kernel.nothing_lost():
        kernel.guest.run("python3 - <<'end'" + SENDER.format(
            six="", to=HOST[4], packets=[bytes(p).hex() for p in fragments]) + "end")
        got = [kernel.lan.receive(lambda p: IP in p and p[IP].src == REMOTE[4], "a fragment")[IP]
               for _ in fragments]
    assert [(p.id, p.flags.MF, p.frag, bytes(p.payload)) for p in got] == [
        (p.id, p.flags.MF, p.frag, bytes(p.payload)) for p in fragments]


# Transport mode: datagrams of the guest, cut behind ESP or AH, and one of the gateway's own.

# Run by the guest.
DATAGRAM = """
import socket
s = socket.socket(socket.AF_INET{six}, socket.SOCK_DGRAM)
s.sendto(bytes(i % 251 for i in range({size})), ("{to}", 5000))
"""


def datagram_arrives(kernel, family, size):
    """From the guest to a socket of the gateway."""
    data = bytes(i % 251 for i in range(size))
    with kernel.gw.socket({4: socket.AF_INET, 6: socket.AF_INET6}[family], socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.bind((OURS[family], 5000))
        kernel.guest.run("python3 - <<'end'" + DATAGRAM.format(
            six={4: "", 6: "6"}[family], to=OURS[family], size=size) + "end")
        assert s.recv(65536) == data


@each_family
@each_carrier
def test_transport_mode_from_the_kernel(kernel, family, options):
    kernel.transport(family, **options)
    made = counter(kernel, family, "FragCreates")
    with kernel.nothing_lost():
        for size in (1350, 1472, 9000):
            datagram_arrives(kernel, family, size)
    assert counter(kernel, family, "FragCreates") - made == 2 + 7


@each_carrier
def test_transport_mode_to_the_kernel(kernel, options):
    """Over IPv6 the gateway's kernel would cut it beforehand."""
    kernel.transport(4, **options)
    whole = counter(kernel, 4, "ReasmOKs")
    kernel.wan.take()
    with kernel.nothing_lost():
        kernel.ping(4, 1472, words="-M dont", netns=kernel.gw, to=THEIRS)
    assert of_ours(kernel) == [True, True]
    assert counter(kernel, 4, "ReasmOKs") == whole + 1


# The guest as a router that the tunnel's other end is behind. Its link is narrower by a multiple of
# all paddings.

BEYOND = {4: "198.51.100.9", 6: "2001:db8:9::9"}
NARROW = 1500 - 160


@pytest.fixture(scope="module")
def router(kernel):
    kernel.guest.run(f"""
        ip link add beyond type dummy && ip link set beyond mtu {NARROW} up &&
        ip route add {BEYOND[4]} dev beyond && ip route add {BEYOND[6]} dev beyond &&
        ip neigh add {BEYOND[4]} lladdr 02:00:00:00:00:09 dev beyond &&
        ip neigh add {BEYOND[6]} lladdr 02:00:00:00:00:09 dev beyond &&
        sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1""")
    for family, address in BEYOND.items():
        kernel.gw.ip(f"route add {address} via {THEIRS[family]}")
    wait_for(lambda: {f"{BEYOND[4]}/32", f"{BEYOND[6]}/128"} <= kernel.engine.routes(), "the routes")
    return kernel


@each_outer
@each_carrier
def test_C60_a_router_that_is_linux_tells_of_a_narrow_path(router, outer, options):
    """And the engine tells the host."""
    tunnel = make(router, OURS[outer], BEYOND[outer], **options)
    router.guest.batch(FLUSH)
    router.engine.batch(FLUSH + tunnel.states() + tunnel.policies(NEAR[4], FAR[4]))
    router.forget_mtus()
    wide = refused(router, 4, 1472)
    router.peers.run(*f"ping -n -c 1 -W 0.01 -M do -s {wide - 28} {REMOTE[4]}".split(), check=False)
    wait_for(lambda: NARROW in [sa["path_mtu"] for sa in router.engine.ctl("sa", "show")["sa"]],
             "the path MTU that the router told")
    assert refused(router, 4, wide - 28) == wide - (1500 - NARROW)
