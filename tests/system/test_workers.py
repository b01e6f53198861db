# SPDX-License-Identifier: BSD-3-Clause
"""Two workers on two queues: nothing is lost, nothing is delivered twice, an SA's order is kept."""

import os

import pytest
from scapy.layers.inet import IP
from scapy.layers.ipsec import ESP
from scapy.packet import Raw

from gateway import Gateway, is_esp, udp
from netns import wait_for

FLOWS = 40
PACKETS = 1000

pytestmark = pytest.mark.skipif(os.cpu_count() < 2, reason="one processor")


@pytest.fixture(scope="module", params=["two queues", "one queue"])
def gateway(request):
    """With queues for both workers, and with one whose owner hands over to the other."""
    more = {name: {"device": f"net_af_packet_{name},iface={name}0,qpairs=2"}
            for name in ("lan", "wan")} if request.param == "two queues" else {}
    gateway = Gateway(cores=(0, 1), ports=more)
    yield gateway
    gateway.close()


def flow(i):
    return f"10.1.0.{2 + i % FLOWS}", f"10.2.0.{2 + i % FLOWS}"


def test_outbound_keeps_number_and_order_of_one_sa(gateway):
    tunnel = gateway.tunnel()
    packets = [udp(*flow(i)) for i in range(PACKETS)]
    for packet in packets:
        gateway.lan.send(packet)
    sealed = [gateway.wan.receive(is_esp, f"packet {i} of {PACKETS}") for i in range(PACKETS)]
    assert [p[ESP].seq for p in sealed] == list(range(1, PACKETS + 1))
    assert sorted(tunnel.out.open(p)[Raw].load for p in sealed) \
        == sorted(p[Raw].load for p in packets)


def test_each_flow_keeps_its_order(gateway):
    tunnel = gateway.tunnel()
    packets = [udp(*flow(i)) for i in range(PACKETS)]
    for packet in packets:
        gateway.lan.send(packet)
    by_flow = {}
    for i in range(PACKETS):
        inner = tunnel.out.open(gateway.wan.receive(is_esp, f"packet {i}"))
        by_flow.setdefault(inner.src, []).append(inner[Raw].load)
    for i in range(FLOWS):
        assert by_flow[flow(i)[0]] == [p[Raw].load for p in packets[i::FLOWS]]


def test_C21_one_packet_on_both_workers_at_once_is_delivered_once(gateway):
    """The same ESP from several outer sources, which the queues' hash keeps apart."""
    for wire in (gateway.lan, gateway.wan):
        wire.take()
    tunnel = gateway.tunnel(window=4096)
    hosts = {flow(i)[0] for i in range(FLOWS)}
    gateway.gw.batch([f"neigh replace {h} lladdr {gateway.lan.mac} dev lan nud permanent"
                      for h in hosts])
    before = gateway.engine.drops()["replay"]
    packets = [udp(*reversed(flow(i))) for i in range(PACKETS // 4)]
    for packet in packets:
        sealed = tunnel.into.seal(packet)
        for source in range(4):
            copy = IP(bytes(sealed))
            copy.src = f"192.0.2.{10 + source}"
            del copy.chksum
            gateway.wan.send(copy)
    got = [gateway.lan.receive(lambda p: Raw in p and p[Raw].load.startswith(b"sealane-"), "each")
           for _ in packets]
    assert sorted(p[Raw].load for p in got) == sorted(p[Raw].load for p in packets)
    wait_for(lambda: gateway.engine.drops()["replay"] == before + 3 * len(packets),
             "the rest to be replays")
    assert gateway.lan.take() == []


def test_each_queue_has_its_worker(gateway):
    workers = gateway.engine.ctl("worker", "show")["worker"]
    queues = gateway.engine.port("lan")["rx_queues"]
    assert sum(w["received"] >= PACKETS // 8 for w in workers) == queues
