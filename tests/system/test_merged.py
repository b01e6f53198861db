# SPDX-License-Identifier: BSD-3-Clause
"""What a sender's offloads merged into one long packet leaves as packets of the port's size."""

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from gateway import HOST, REMOTE, Gateway, ip, is_esp


@pytest.fixture(scope="module")
def gateway():
    gateway = Gateway(ports={"lan": {
        "device": "net_af_packet0,iface=lan0,framesz=16384,blocksz=65536"}})
    gateway.gw.ip("link set lan0 mtu 9000")
    gateway.peers.ip("link set lan1 mtu 9000")
    yield gateway
    gateway.close()


@pytest.mark.parametrize("family", [4, 6])
def test_merged_tcp_is_split_before_it_is_sealed(gateway, family):
    tunnel = gateway.tunnel()
    data = bytes(i * 7 & 255 for i in range(4000))
    fields = {"flags": "DF"} if family == 4 else {}
    gateway.lan.send(ip(HOST[family], REMOTE[family], **fields)
                     / TCP(sport=1000, dport=2000, seq=77, flags="PA") / Raw(data))
    got = b""
    while len(got) < len(data):
        sealed = gateway.wan.receive(is_esp, "a segment")
        assert len(sealed) <= 1514
        inner = tunnel.out.open(sealed)
        assert inner[TCP].seq == 77 + len(got)
        assert ("P" in inner[TCP].flags) == (len(got) + len(inner[Raw].load) == len(data))
        again = inner.copy()
        del again[TCP].chksum
        if family == 4:
            del again.chksum
        assert bytes(again) == bytes(inner)  # every checksum was right
        assert inner.__class__ is (IP if family == 4 else IPv6)
        got += inner[Raw].load
    assert got == data
