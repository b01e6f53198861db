# SPDX-License-Identifier: BSD-3-Clause
"""
ICMP errors that others make: about our own ESP, whose path MTU they tell, and about what tunnels
carry, where what they quote says whether they may pass (RFC 4301 sections 6 and 8.2).
"""

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6
from scapy.layers.ipsec import ESP
from scapy.packet import Raw

from ah import AhTunnel
from gateway import (
    FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS, gateway_with, is_ah, is_esp, udp)
from netns import wait_for
from test_mtu import every_outer, inner_mtu, sized, too_big

ROUTER = {4: "198.51.100.7", 6: "2001:db8:ff::7"}  # between the gateways
BEHIND = {4: "172.16.0.9", 6: "2001:db8:99::9"}  # behind a gateway, and outside the selectors
FULL = 1400


impatient = gateway_with(tunnels={"path_mtu_age": 1}, spd={"errors": "silent"})
deaf = gateway_with(tunnels={"too_big": "ignore"})

every_family = pytest.mark.parametrize("family", [4, 6], ids=lambda f: f"v{f}")


def error(family, src, dst, quoted, mtu=None):
    """Packet-too-big where an MTU is given, else time exceeded; `quoted` is a packet or bytes."""
    quoted = Raw(bytes(quoted))
    if family == 6:
        kind = ICMPv6TimeExceeded() if mtu is None else ICMPv6PacketTooBig(mtu=mtu)
        packet = IPv6(src=src, dst=dst) / kind / quoted
    else:
        kind = ICMP(type=11) if mtu is None else ICMP(type=3, code=4, nexthopmtu=mtu)
        packet = IP(src=src, dst=dst) / kind / quoted
    return packet.__class__(bytes(packet))


def sealed_of(gateway, outer=4):
    """A packet of the tunnel's, as a router on the way sees it."""
    gateway.lan.send(udp(HOST[4], REMOTE[4], size=200))
    packet = gateway.wan.receive(lambda p: is_esp(p) or UDP in p, "ESP")
    return packet[IP if outer == 4 else IPv6]


def say_too_big(gateway, tunnel, sealed, mtu, quote=80):
    """Returns when the engine has heard it: what comes behind it on the wire is through."""
    outer = 6 if IPv6 in sealed else 4
    gateway.wan.send(error(outer, ROUTER[outer], OURS[outer], bytes(sealed)[:quote], mtu))
    gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))


def path_mtu(gateway, tunnel):
    return next(row["path_mtu"] for row in gateway.engine.ctl("sa", "show")["sa"]
                if int(row["spi"], 16) == tunnel.spi_out)


def told(gateway):
    """The tunnel's MTU, asked for with a packet that is too long for any."""
    return too_big(gateway, sized(4, 1490, flags="DF"))


@every_outer
def test_C60_the_next_packet_after_packet_too_big_is_made_to_fit(gateway, outer):
    tunnel = gateway.tunnel(outer)
    assert path_mtu(gateway, tunnel) == 0
    say_too_big(gateway, tunnel, sealed_of(gateway, outer), FULL)
    assert told(gateway) == inner_mtu(outer, FULL)
    assert path_mtu(gateway, tunnel) == FULL
    # As long as that passes, and its ESP is no longer than the path takes.
    gateway.lan.send(sized(4, inner_mtu(outer, FULL), flags="DF"))
    whole = gateway.wan.receive(is_esp, "ESP")
    assert FULL - 4 < len(whole.original) - 14 <= FULL
    # Without DF it is cut for the path.
    gateway.lan.send(sized(4, 1490))
    parts = [gateway.wan.receive(is_esp, "a part") for _ in range(2)]
    assert all(len(p.original) - 14 <= FULL for p in parts)


def test_C60_packet_too_big_for_esp_in_udp(gateway):
    tunnel = gateway.tunnel(words="encap espinudp 4500 4500 0.0.0.0")
    message = error(4, ROUTER[4], OURS[4], bytes(sealed_of(gateway))[:80], FULL)
    gateway.wan.send(message)
    wait_for(lambda: path_mtu(gateway, tunnel) == FULL, "the path MTU to be learnt")
    assert told(gateway) == (FULL - 20 - 8 - 8 - 8 - 16) // 4 * 4 - 2


@pytest.mark.parametrize("quote", [12, 60], ids=["least", "more"])
@every_outer
def test_C60_packet_too_big_for_ah(gateway, outer, quote):
    tunnel = AhTunnel(OURS[outer], THEIRS[outer])
    gateway.engine.batch(FLUSH + tunnel.states() + tunnel.policies(NEAR[4], FAR[4]))
    gateway.lan.send(udp(HOST[4], REMOTE[4]))
    sealed = gateway.wan.receive(is_ah, "AH")
    sealed = sealed[IPv6 if outer == 6 else IP]
    # At least up to the sequence number (RFC 4302 section 2).
    header = 20 if outer == 4 else 40
    say_too_big(gateway, tunnel, sealed, FULL, quote=header + quote)
    assert path_mtu(gateway, tunnel) == FULL
    # 28 bytes of AH, padded to a multiple of 8 as Linux does it over IPv4, too.
    assert told(gateway) == FULL - header - 32


def test_C60_eight_bytes_of_esp_are_enough(gateway):
    tunnel = gateway.tunnel()
    say_too_big(gateway, tunnel, sealed_of(gateway), FULL, quote=28)
    told(gateway)
    assert path_mtu(gateway, tunnel) == FULL


def test_C59_B36_a_path_mtu_is_never_raised_and_has_a_floor(gateway):
    tunnel = gateway.tunnel()
    sealed = sealed_of(gateway)
    for mtu, expected in ((FULL, FULL), (FULL + 50, FULL), (100, 576), (0, 576)):
        say_too_big(gateway, tunnel, sealed, mtu)
        assert told(gateway) == inner_mtu(4, expected)
        assert path_mtu(gateway, tunnel) == expected


def test_C59_B36_ipv6_below_1280_is_ignored(gateway):
    tunnel = gateway.tunnel(6)
    sealed = sealed_of(gateway, 6)
    say_too_big(gateway, tunnel, sealed, 1279)
    assert told(gateway) == inner_mtu(6)
    say_too_big(gateway, tunnel, sealed, 1280)
    assert told(gateway) == inner_mtu(6, 1280)
    assert path_mtu(gateway, tunnel) == 1280


def forgeries(sealed):
    """What nobody on the way can have seen, each made of a real packet."""
    unknown, elsewhere, unsent, other = (IP(bytes(sealed)) for _ in range(4))
    unknown[ESP].spi += 1
    elsewhere.dst = "192.0.2.99"
    unsent[ESP].seq += 1000
    other.proto = 47
    broken = error(4, ROUTER[4], OURS[4], bytes(sealed)[:80], FULL)
    broken[ICMP].chksum ^= 1
    quotes = [bytes(q) for q in (unknown, elsewhere, unsent, other)] + [bytes(sealed)[:27]]
    return [error(4, ROUTER[4], OURS[4], q, FULL) for q in quotes] + [broken]


def test_C59_B35_B37_forged_packet_too_big_is_treated_as_any_icmp_and_moves_nothing(gateway):
    tunnel = gateway.tunnel()
    forged = forgeries(sealed_of(gateway))
    reasons, out = gateway.fate(
        gateway.wan, *forged, fence=lambda: gateway.inbound(tunnel, udp(REMOTE[4], HOST[4])))
    assert (reasons, out) == ({"policy_in": len(forged)}, [])
    assert path_mtu(gateway, tunnel) == 0
    assert told(gateway) == inner_mtu(4)


def test_C59_packet_too_big_is_ignored_by_configuration(deaf):
    tunnel = deaf.tunnel()
    say_too_big(deaf, tunnel, sealed_of(deaf), FULL)
    assert told(deaf) == inner_mtu(4)
    assert path_mtu(deaf, tunnel) == 0


def test_C59_other_icmp_is_accepted_or_rejected_by_type(gateway):
    """By policies, whose selectors have type and code."""
    tunnel = gateway.tunnel()
    gateway.engine.ip(f"xfrm policy add src 0.0.0.0/0 dst {OURS[4]}/32 proto icmp type 3 dir in "
                      "action allow")
    unreachable = IP(src=ROUTER[4], dst=OURS[4]) / ICMP(type=3, code=1) / Raw(bytes(28))
    redirect = IP(src=ROUTER[4], dst=OURS[4]) / ICMP(type=5, code=1) / Raw(bytes(28))
    before = gateway.engine.port("wan")["punted"]
    reasons, _ = gateway.fate(
        gateway.wan, unreachable, redirect,
        fence=lambda: gateway.inbound(tunnel, udp(REMOTE[4], HOST[4])))
    assert reasons == {"policy_in": 1}
    assert gateway.engine.port("wan")["punted"] == before + 1


def test_C62_a_learnt_path_mtu_is_forgotten_after_the_configured_time(impatient):
    tunnel = impatient.tunnel()
    say_too_big(impatient, tunnel, sealed_of(impatient), FULL)
    wait_for(lambda: sum(w["path_mtus"] for w in impatient.engine.ctl("worker", "show")["worker"]),
             "the path MTU to be learnt")
    wait_for(lambda: path_mtu(impatient, tunnel) == 0, "the path MTU to be forgotten")
    assert told(impatient) == inner_mtu(4)


def test_C56_discarded_packets_are_not_answered_where_the_configuration_says_so(impatient):
    tunnel = impatient.tunnel()
    reasons, out = impatient.fate(
        impatient.lan, udp(HOST[4], THEIRS[4]),
        fence=lambda: impatient.outbound(tunnel, udp(HOST[4], REMOTE[4])))
    assert (reasons, out) == ({"policy_out": 1}, [])


@every_family
def test_C57_an_error_from_inside_about_traffic_of_its_sa_comes_in(gateway, family):
    tunnel = gateway.tunnel()
    sent = udp(HOST[family], REMOTE[family])
    gateway.wan.send(tunnel.into.seal(error(family, BEHIND[family], HOST[family], sent)))
    gateway.lan.receive(lambda p: p.original.endswith(sent[Raw].load), "the error")


@every_family
def test_C57_an_error_from_inside_about_anything_else_does_not(gateway, family):
    tunnel = gateway.tunnel()
    sent = udp(HOST[family], REMOTE[family])
    stranger = udp(HOST[family], BEHIND[family])
    cut = bytes(sent)[:19 if family == 4 else 39]
    errors = [error(family, BEHIND[family], HOST[family], stranger),
              error(family, BEHIND[family], HOST[family], cut),
              # To a host that did not send what is quoted.
              error(family, BEHIND[family], HOST[family][:-1] + "3", sent),
              # As we would have received it: not reversed.
              error(family, BEHIND[family], HOST[family], udp(REMOTE[family], HOST[family]))]
    reasons, out = gateway.fate(
        gateway.wan, *[tunnel.into.seal(e) for e in errors],
        fence=lambda: gateway.inbound(tunnel, udp(REMOTE[4], HOST[4])))
    assert (reasons, out) == ({"selector": len(errors)}, [])


@every_family
def test_C58_an_error_that_no_policy_names_takes_the_sa_of_the_return_traffic(gateway, family):
    tunnel = gateway.tunnel()
    received = udp(REMOTE[family], HOST[family])
    gateway.lan.send(error(family, BEHIND[family], REMOTE[family], received))
    opened = tunnel.out.open(gateway.wan.receive(is_esp, "the error, sealed"))
    assert opened.src == BEHIND[family] and bytes(opened).endswith(received[Raw].load)


@every_family
def test_C58_an_error_about_traffic_of_no_sa_does_not_leave(gateway, family):
    tunnel = gateway.tunnel()
    errors = [error(family, BEHIND[family], REMOTE[family], udp(REMOTE[family], BEHIND[family])),
              error(family, BEHIND[family], REMOTE[family], udp(HOST[family], REMOTE[family]))]
    reasons, out = gateway.fate(
        gateway.lan, *errors,
        fence=lambda: gateway.outbound(tunnel, udp(HOST[4], REMOTE[4])))
    assert (reasons, out) == ({"policy_out": len(errors)}, [])


def test_C58_without_an_sa_none_is_asked_for(gateway):
    tunnel = gateway.tunnel()
    gateway.engine.batch(FLUSH + tunnel.policies(NEAR[4], FAR[4])
                         + tunnel.policies(NEAR[6], FAR[6]) + [f"xfrm state add {tunnel.state('i')}"])
    received = udp(REMOTE[4], HOST[4])
    reasons, out = gateway.fate(
        gateway.lan, error(4, BEHIND[4], REMOTE[4], received),
        fence=lambda: gateway.inbound(tunnel, udp(REMOTE[4], HOST[4])))
    assert (reasons, out) == ({"policy_out": 1}, [])
