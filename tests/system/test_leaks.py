# SPDX-License-Identifier: BSD-3-Clause
"""Ways round the policies that somebody tried: none may let protected text out, or a stranger in."""

import socket

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment)
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from esp import Tunnel
from gateway import FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS, is_esp, udp
from netns import wait_for
from test_policy import clear_fence

SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20  # past what mutes the kernel in these tests
SECRET = b"text-that-must-stay-protected"


def leaks(frames):
    return [frame.summary() for frame in frames if SECRET in bytes(frame)]


def fate_inbound(gateway, tunnel, *packets):
    """What becomes of packets from the unprotected side; the tunnel itself is the fence."""
    return gateway.fate(gateway.wan, *packets,
                        fence=lambda: gateway.inbound(tunnel, udp(REMOTE[4], HOST[4])))


def fate_outbound(gateway, *packets):
    reasons, out = gateway.fate(gateway.lan, *packets, fence=lambda: clear_fence(gateway))
    reasons.pop("ttl")
    return reasons, out


def send_as_kernel(gateway, frame):
    """A frame that the host's kernel sends on its interface `wan`."""
    with gateway.gw.entered():
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
            sender.bind(("wan", 0))
            sender.send(bytes(frame))


def test_an_icmp_error_carries_no_decrypted_text_out_in_clear(gateway):
    tunnel = gateway.tunnel()
    gateway.engine.ip(f"xfrm policy add src {OURS[4]}/32 dst 0.0.0.0/0 dir out priority 5 "
                      "action allow")
    unroutable = tunnel.into.seal(udp(REMOTE[4], "10.1.9.9", data=SECRET))
    reasons, out = fate_inbound(gateway, tunnel, unroutable)
    assert reasons == {"no_route": 1}
    assert leaks(out) == []


@pytest.mark.parametrize("next_header", [17, 60])
def test_C40_a_later_fragment_does_not_pass_below_a_policy_with_ports(gateway, next_header):
    tunnel = gateway.tunnel()
    gateway.engine.batch(["xfrm policy flush",
                          f"xfrm policy add src {NEAR[6]} dst {FAR[6]} proto udp dport 53 dir out "
                          f"priority 1 {tunnel.template('o')}",
                          f"xfrm policy add src {NEAR[6]} dst {FAR[6]} dir out priority 10 "
                          "action allow"])
    later = IPv6(src=HOST[6], dst=REMOTE[6]) \
        / IPv6ExtHdrFragment(offset=10, m=0, id=7, nh=next_header) / Raw(SECRET)
    reasons, out = fate_outbound(gateway, later)
    assert reasons == {"selector": 1}
    assert leaks(out) == []


def test_a_first_fragment_without_its_header_chain_is_dropped(gateway):
    gateway.engine.batch(FLUSH + [f"xfrm policy add src {NEAR[6]} dst {FAR[6]} dir out action allow"])
    first = IPv6(src=HOST[6], dst=REMOTE[6]) \
        / IPv6ExtHdrFragment(offset=0, m=1, id=7, nh=60) / IPv6ExtHdrDestOpt(nh=17)
    reasons, _ = fate_outbound(gateway, first)
    assert reasons == {"ip_ext": 1}


def test_a_cut_header_does_not_pass_below_a_policy_with_ports(gateway):
    tunnel = gateway.tunnel()
    gateway.engine.batch(["xfrm policy flush",
                          f"xfrm policy add src {NEAR[4]} dst {FAR[4]} proto udp dport 53 dir out "
                          f"priority 1 {tunnel.template('o')}",
                          f"xfrm policy add src {NEAR[4]} dst {FAR[4]} dir out priority 10 "
                          "action allow"])
    reasons, out = fate_outbound(gateway, IP(src=HOST[4], dst=REMOTE[4], proto=17) / Raw(b"\0\5\0"))
    assert reasons == {"selector": 1}
    assert not any(IP in frame and frame[IP].proto == 17 for frame in out)


def test_neighbour_discovery_does_not_come_out_of_a_tunnel(gateway):
    tunnel = gateway.tunnel()
    victim = "2001:db8:1::77"
    gateway.gw.ip(f"neigh replace {victim} lladdr 02:00:00:00:00:77 dev lan nud reachable")
    forged = IPv6(bytes(IPv6(src=REMOTE[6], dst="2001:db8:1::1", hlim=255)
                        / ICMPv6ND_NA(R=0, S=0, O=1, tgt=victim)
                        / ICMPv6NDOptDstLLAddr(lladdr="02:66:66:66:66:66")))
    reasons, _ = fate_inbound(gateway, tunnel, tunnel.into.seal(forged))
    assert reasons == {"martian": 1}


def test_the_kernel_forwards_nothing_in_clear_by_ikes_ports(gateway):
    gateway.tunnel()
    gateway.lan.take(), gateway.wan.take()
    to_peer = Ether(src=gateway.gw.mac("wan"), dst=gateway.wan.mac)
    send_as_kernel(gateway, to_peer / IP(src=HOST[4], dst=REMOTE[4])
                   / UDP(sport=500, dport=500) / Raw(SECRET))
    sealed = gateway.wan.receive(is_esp, "the packet, protected")
    assert SECRET not in bytes(sealed)
    # IKE of the host itself does pass.
    send_as_kernel(gateway, to_peer / IP(src=OURS[4], dst=THEIRS[4])
                   / UDP(sport=500, dport=500) / Raw(b"ike"))
    gateway.wan.receive(lambda p: UDP in p and p[UDP].sport == 500, "IKE")


def test_the_kernel_sends_no_other_protocol_by_an_unprotected_port(gateway):
    gateway.tunnel()
    gateway.lan.take(), gateway.wan.take()
    before = gateway.engine.drops()["eth_type"]
    send_as_kernel(gateway, Ether(src=gateway.gw.mac("wan"), dst=gateway.wan.mac, type=0x8864)
                   / Raw(SECRET))
    wait_for(lambda: gateway.engine.drops()["eth_type"] == before + 1, "the drop")
    assert leaks(gateway.wan.take()) == []


def test_a_tenant_without_an_interface_gets_nothing(gateway):
    gateway.tunnel()
    stranger = Tunnel(OURS[4], THEIRS[4], spi=0x30003, reqid=3)
    own = Tunnel(OURS[4], THEIRS[4], spi=0x40004, reqid=4)
    gateway.engine.batch(
        FLUSH + [line + " if_id 9" for line in
                 stranger.states() + stranger.policies(NEAR[4], FAR[4])]
        + own.states() + own.policies(NEAR[4], FAR[4]))
    reasons, out = fate_inbound(gateway, own,
                                stranger.into.seal(udp(REMOTE[4], HOST[4], data=SECRET)))
    assert reasons == {"tenant": 1}
    assert leaks(out) == []


def test_our_own_packets_sent_back_use_up_no_lifetime(gateway):
    tunnel = gateway.tunnel()
    sealed, _ = gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
    back = Ether(bytes(sealed))
    back.src, back.dst = gateway.wan.mac, gateway.wan.gateway_mac
    reasons, _ = fate_inbound(gateway, tunnel, *[back] * 20)
    assert reasons == {"policy_in": 20}
    sa = next(sa for sa in gateway.engine.ctl("sa", "show")["sa"]
              if int(str(sa["spi"]), 16) == tunnel.spi_out)
    assert sa["packets"] == 1
