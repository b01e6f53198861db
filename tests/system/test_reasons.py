# SPDX-License-Identifier: BSD-3-Clause
"""
Bad input: each row of the table gives its own reason, exactly one for each packet and nothing else,
nothing comes out, and the next good packet passes.
"""

import struct

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPOption_LSRR, IPOption_SSRR
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from esp import CBC, GCM
from gateway import HOST, OURS, REMOTE, THEIRS, ip, udp


@pytest.fixture
def tunnel(gateway):
    return gateway.tunnel()


def good(gateway, tunnel):
    """The fence: a genuine packet from the peer must reach the host."""
    return lambda: gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))


def expect(gateway, tunnel, reason, *packets, wire=None):
    reasons, out = gateway.fate(wire or gateway.wan, *packets, fence=good(gateway, tunnel))
    assert reasons == ({reason: len(packets)} if reason else {})
    assert [p.summary() for p in out] == []


def esp(payload, family=4, spi=0x10001, seq=1):
    """An ESP packet of any bytes behind its header."""
    number = {"proto": 50} if family == 4 else {"nh": 50}
    return ip(THEIRS[family], OURS[family], **number) / Raw(struct.pack("!II", spi, seq) + payload)


def changed(packet, at, bits=1):
    """The packet with bits flipped `at` bytes into its ESP (from the end where negative)."""
    outer = packet.__class__(bytes(packet))
    data = bytearray(bytes(outer.payload))
    data[at] ^= bits
    outer.remove_payload()
    return outer / Raw(bytes(data))


class TestReplay:
    def test_C17_B15_a_duplicate_is_dropped(self, gateway, tunnel):
        packet = tunnel.into.seal(udp(REMOTE[4], HOST[4]))
        gateway.wan.send(packet)
        gateway.lan.receive(lambda p: UDP in p, "the first")
        expect(gateway, tunnel, "replay", packet, packet, packet)

    def test_C16_C18_C20_B15_the_window_s_left_edge_is_accepted_once_and_what_lies_left_of_it_is_not(
            self, gateway):
        tunnel = gateway.tunnel(window=992)
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]), seq=5000)
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]), seq=5000 - 991)
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]), seq=5000 - 500)
        tunnel.into.sa.seq_num = 6000
        expect(gateway, tunnel, "replay",
               *[tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=s)
                 for s in (4009, 4500, 5000, 4008, 4000, 17, 1)])

    def test_C19_B16_a_forged_jump_moves_nothing(self, gateway, tunnel):
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]), seq=100)
        tunnel.into.sa.seq_num = 60
        forged = changed(tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=0x7fffffff), -1)
        expect(gateway, tunnel, "icv", forged)

    def test_B15_sequence_zero_is_a_replay(self, gateway, tunnel):
        sa = tunnel.into.sa
        sa.seq_num = 0
        zero = sa.encrypt(udp(REMOTE[4], HOST[4]))
        expect(gateway, tunnel, "replay", zero)

    def test_B17_a_genuine_huge_jump_is_accepted(self, gateway, tunnel):
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]), seq=1)
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]), seq=0xffffffff)


class TestIntegrity:
    @pytest.mark.parametrize("suite", [GCM, CBC], ids=lambda s: s.name)
    def test_C33_C34_B18_a_bit_flipped_anywhere_is_seen(self, gateway, suite):
        tunnel = gateway.tunnel(suite=suite)
        packet = tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=900)
        length = len(bytes(packet.payload))
        spots = [*range(8, 40), *range(length - 20, length)]
        expect(gateway, tunnel, "icv", *[changed(packet, at) for at in spots])

    def test_B18_a_changed_sequence_number_is_seen(self, gateway, tunnel):
        packet = tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=9)
        expect(gateway, tunnel, "icv", *[changed(packet, at) for at in (4, 5, 6)])

    def test_B18_a_cut_icv_is_seen(self, gateway, tunnel):
        packet = tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=900)
        cut = IP(bytes(packet))
        cut.payload = Raw(bytes(packet.payload)[:-4])
        del cut.len, cut.chksum
        expect(gateway, tunnel, "icv", cut)


class TestLookup:
    def test_C4_B12_an_unknown_spi(self, gateway, tunnel):
        expect(gateway, tunnel, "no_sa", *[esp(bytes(64), spi=s) for s in (256, 0x99999, 2**32 - 1)])

    def test_C1_C2_B11_reserved_spis(self, gateway, tunnel):
        expect(gateway, tunnel, "spi_reserved", *[esp(bytes(64), spi=s) for s in (0, 1, 255)])

    def test_B13_a_known_spi_for_another_destination(self, gateway, tunnel):
        other = tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=900)
        wrong = IPv6(src=THEIRS[6], dst=OURS[6], nh=50) / Raw(bytes(other.payload))
        expect(gateway, tunnel, "sa_mismatch", wrong)

    def test_B13_a_known_spi_in_udp(self, gateway, tunnel):
        other = tunnel.into.seal(udp(REMOTE[4], HOST[4]), seq=900)
        wrong = IP(src=THEIRS[4], dst=OURS[4]) / UDP(sport=4500, dport=4500, chksum=0) \
            / Raw(bytes(other.payload))
        expect(gateway, tunnel, "sa_mismatch", wrong)

    def test_C3_any_source_address_will_do(self, gateway, tunnel):
        packet = udp(REMOTE[4], HOST[4])
        sealed = tunnel.into.seal(packet)
        sealed.src = "192.0.2.77"
        del sealed.chksum
        gateway.wan.send(sealed)
        gateway.lan.receive(lambda p: Raw in p and p[Raw].load == packet[Raw].load, "it")


class TestLength:
    @pytest.mark.parametrize("suite", [GCM, CBC], ids=lambda s: s.name)
    @pytest.mark.parametrize("family", [4, 6])
    def test_B9_esp_of_every_length_below_the_least_is_a_runt(self, gateway, suite, family):
        tunnel = gateway.tunnel(family, suite=suite)
        least = 8 + (8 + 4 + 16 if suite is GCM else 16 + 16 + 16)
        number = {"proto": 50} if family == 4 else {"nh": 50}
        header = struct.pack("!II", tunnel.spi_in, 900) + bytes(64)
        packets = [ip(THEIRS[family], OURS[family], **number) / Raw(header[:n])
                   for n in range(1, least)]
        reasons, out = gateway.fate(gateway.wan, *packets, fence=good(gateway, tunnel))
        assert reasons == {"runt": len(packets)}
        assert out == []

    def test_B10_ciphertext_that_is_no_multiple_of_the_block(self, gateway):
        tunnel = gateway.tunnel(suite=CBC)
        packets = [esp(bytes(16 + 32 + 16 + n), spi=tunnel.spi_in, seq=900) for n in (1, 4, 8, 15)]
        expect(gateway, tunnel, "align", *packets)


class TestInside:
    """What is wrong behind a right ICV: the peer itself, or its keys, sent it."""

    def pad(self, n):
        return bytes(range(1, n + 1))

    @pytest.mark.parametrize("suite", [GCM, CBC], ids=lambda s: s.name)
    def test_C25_B19_every_byte_of_the_padding_is_inspected(self, gateway, suite):
        tunnel = gateway.tunnel(suite=suite)
        inner = bytes(udp(REMOTE[4], HOST[4], b"x" * 20))  # 48 bytes
        for wrong in range(14):
            padding = bytearray(self.pad(14))
            padding[wrong] ^= 0x40
            expect(gateway, tunnel, "pad", tunnel.into.seal_raw(inner, bytes(padding)))

    def test_C26_every_pad_length_is_accepted(self, gateway, tunnel):
        for n in range(256):
            data = b"pad%03d" % n + bytes(14 + -(n + 2) % 4)  # ends on a multiple of 4
            packet = udp(REMOTE[4], HOST[4], data)
            gateway.wan.send(tunnel.into.seal_raw(bytes(packet), self.pad(n)))
            gateway.lan.receive(lambda p: Raw in p and p[Raw].load == data, "it")

    def test_C27_B19_padding_beyond_the_payload(self, gateway, tunnel):
        expect(gateway, tunnel, "pad",
               *[tunnel.into.seal_raw(self.pad(26), b"", padlen=n) for n in (27, 28, 100, 255)])

    def test_C30_dummy_packets_are_consumed_in_silence(self, gateway, tunnel):
        expect(gateway, tunnel, None, tunnel.into.seal_raw(bytes(30), b"", nh=59))

    def test_B20_a_next_header_that_does_not_fit(self, gateway, tunnel):
        inner = bytes(udp(REMOTE[4], HOST[4], b"x" * 18))
        for nh in (0, 6, 17, 50, 255):
            expect(gateway, tunnel, "next_header", tunnel.into.seal_raw(inner, b"", nh=nh))

    def test_B21_an_inner_packet_cut_or_of_the_wrong_version(self, gateway, tunnel):
        inner = bytes(udp(REMOTE[4], HOST[4], b"x" * 18))  # 46 bytes, with 2 a multiple of 4
        longer = bytearray(inner)
        struct.pack_into("!H", longer, 2, len(inner) + 1)
        expect(gateway, tunnel, "inner", tunnel.into.seal_raw(bytes(longer), b""))
        expect(gateway, tunnel, "inner", tunnel.into.seal_raw(inner[:18], b""))
        expect(gateway, tunnel, "inner", tunnel.into.seal_raw(inner, b"", nh=41))

    def test_C32_bytes_behind_the_inner_length_are_trimmed(self, gateway, tunnel):
        packet = udp(REMOTE[4], HOST[4], b"tfc" + b"x" * 15)
        gateway.wan.send(tunnel.into.seal_raw(bytes(packet) + bytes(64), b""))
        got = gateway.lan.receive(lambda p: UDP in p, "it")
        assert got[IP].len == len(packet)

    def test_C52_B22_a_packet_outside_the_policies_of_its_sa(self, gateway, tunnel):
        outside = udp("10.99.0.1", HOST[4])
        expect(gateway, tunnel, "selector", tunnel.into.seal(outside))

    def test_C52_B22_a_packet_inside_the_policies_of_another_sa(self, gateway, tunnel):
        other = gateway.second_tunnel("10.3.0.0/16")
        outside = udp("10.3.0.1", HOST[4])
        expect(gateway, tunnel, "selector", tunnel.into.seal(outside))
        gateway.wan.send(other.into.seal(outside))
        gateway.lan.receive(lambda p: UDP in p and p[IP].src == "10.3.0.1", "the right SA's packet")

    def test_C53_clear_text_that_must_have_been_protected(self, gateway, tunnel):
        expect(gateway, tunnel, "policy_in", udp(REMOTE[4], HOST[4]), udp(REMOTE[6], HOST[6]))

    def test_C53_clear_text_that_no_policy_lets_in(self, gateway, tunnel):
        expect(gateway, tunnel, "policy_in", udp("198.51.100.1", HOST[4]))


class TestHeaders:
    """Frames and IP headers, from the protected side and from the wire alike."""

    @pytest.fixture(params=["lan", "wan"])
    def wire(self, request, gateway):
        return getattr(gateway, request.param)

    def test_frames_of_other_types(self, gateway, tunnel, wire):
        frame = Ether(src=wire.mac, dst=wire.gateway_mac, type=0x88b5) / Raw(bytes(50))
        expect(gateway, tunnel, "eth_type", frame, wire=wire)

    def test_frames_for_another_mac_address(self, gateway, tunnel, wire):
        frame = Ether(src=wire.mac, dst="02:00:00:00:00:99") / udp(HOST[4], REMOTE[4])
        expect(gateway, tunnel, "eth_dst", frame, wire=wire)

    def test_tags_that_no_sub_port_has(self, gateway, tunnel, wire):
        expect(gateway, tunnel, "vlan", wire.frame(udp(HOST[4], REMOTE[4]), vlan=99), wire=wire)

    def test_multicast_is_not_forwarded(self, gateway, tunnel, wire):
        frame = Ether(src=wire.mac, dst="01:00:5e:01:02:03") / udp(HOST[4], "239.1.2.3")
        reasons, out = gateway.fate(wire, frame, fence=good(gateway, tunnel))
        # From the unprotected side the inbound policy comes first.
        assert set(reasons) <= {"multicast", "policy_in"} and out == []

    @pytest.mark.parametrize("broken", ["version", "ihl", "cut"])
    def test_B2_an_ip_header_that_is_none(self, gateway, tunnel, wire, broken):
        packet = bytearray(bytes(udp(HOST[4], REMOTE[4])))
        if broken == "version":
            packet[0] = 0x55
        elif broken == "ihl":
            packet[0] = 0x44
        else:
            packet = packet[:19]
        frame = Ether(src=wire.mac, dst=wire.gateway_mac, type=0x800) / Raw(bytes(packet))
        expect(gateway, tunnel, "ip_hdr", frame, wire=wire)

    @pytest.mark.parametrize("length", [0, 19, 200])
    def test_B3_an_ip_length_that_lies(self, gateway, tunnel, wire, length):
        packet = ip(HOST[4], REMOTE[4], len=length, proto=17) / Raw(bytes(48))
        expect(gateway, tunnel, "ip_len", packet, wire=wire)

    def test_B4_a_wrong_header_checksum(self, gateway, tunnel, wire):
        expect(gateway, tunnel, "ip_csum", ip(HOST[4], REMOTE[4], chksum=0x1234) / ICMP(), wire=wire)

    def test_B6_source_routes(self, gateway, wire):
        tunnel = gateway.tunnel()
        expect(gateway, tunnel, "ip_opts",
               udp(HOST[4], REMOTE[4], options=[IPOption_LSRR(routers=["10.9.9.9"])]),
               udp(HOST[4], REMOTE[4], options=[IPOption_SSRR(routers=["10.9.9.9"])]), wire=wire)

    def test_B7_ipv6_routing_header_zero_and_endless_chains(self, gateway, wire):
        tunnel = gateway.tunnel()
        chain = IPv6(src=HOST[6], dst=REMOTE[6])
        for _ in range(12):
            chain = chain / IPv6ExtHdrDestOpt()
        routed = IPv6(src=HOST[6], dst=REMOTE[6]) / IPv6ExtHdrRouting(addresses=["2001:db8::9"])
        expect(gateway, tunnel, "ip_ext", chain / UDP() / Raw(b"x"), routed / UDP() / Raw(b"x"),
               wire=wire)

    def test_B5_an_ethernet_trailer_is_ignored(self, gateway, tunnel):
        packet = udp(REMOTE[4], HOST[4])
        gateway.wan.send(bytes(gateway.wan.frame(tunnel.into.seal(packet))) + bytes(12))
        got = gateway.lan.receive(lambda p: UDP in p, "it")
        assert bytes(got[UDP].payload)[:len(packet[Raw].load)] == packet[Raw].load


class TestNatTraversal:
    def packet(self, data):
        return IP(src=THEIRS[4], dst=OURS[4]) / UDP(sport=4500, dport=4500) / Raw(data)

    def test_C65_C67_B25_keepalives_are_consumed(self, gateway, tunnel):
        expect(gateway, tunnel, None, self.packet(b"\xff"))

    def test_C65_B26_short_datagrams_are_counted(self, gateway, tunnel):
        expect(gateway, tunnel, "natt_short", *[self.packet(d) for d in (b"\x01", b"ab", b"abc")])
