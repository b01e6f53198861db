# SPDX-License-Identifier: BSD-3-Clause
"""A flood towards the host is limited for each source, and starves no other."""

import socket

from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from gateway import OURS, Gateway
from netns import wait_for

FLOOD = 50


def ike(source, data):
    return IP(src=source, dst=OURS[4]) / UDP(sport=500, dport=500) / Raw(data)


def test_ike_from_one_source_starves_no_other():
    gateway = Gateway(host={"punt_rate": 1})
    try:
        with gateway.gw.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
            daemon.settimeout(10)
            daemon.bind((OURS[4], 500))
            for i in range(FLOOD):
                gateway.wan.send(ike("192.0.2.66", b"flood"))
            others = [f"192.0.2.{i}" for i in range(10, 20)]
            for other in others:
                gateway.wan.send(ike(other, b"honest"))
            honest = set()
            while len(honest) < len(others) - 1:  # one may share a bucket with the flood
                data, (source, _) = daemon.recvfrom(100)
                if data == b"honest":
                    honest.add(source)
            wait_for(lambda: gateway.engine.drops()["punt_rate"] > 0, "drops")
        assert gateway.engine.drops()["punt_rate"] <= FLOOD
    finally:
        gateway.close()
