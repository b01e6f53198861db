# SPDX-License-Identifier: BSD-3-Clause
"""Thousands of each: routes and neighbours follow the kernel, SAs and policies the control socket."""

import json
import random
import subprocess

import pytest
from scapy.layers.ipsec import ESP
from scapy.packet import Raw

from engine import BUILD, Engine
from esp import GCM, Peer
from gateway import FLUSH, HOST, OURS, THEIRS, is_esp, udp
from netns import Netns, wait_for
from wire import payload_is

pytestmark = pytest.mark.slow_under_sanitizer

ROUTES = [f"10.{64 + i // 256}.{i % 256}.0/24" for i in range(10000)]
ROUTES6 = [f"2001:db8:{i:x}::/48" for i in range(0x1000, 0x1000 + 1000)]
NEIGHBOURS = [f"192.0.2.{i}" for i in range(100, 200)] + [f"2001:db8:f::{i:x}"
                                                         for i in range(256, 1156)]
MANY = 10000
KEY_SEED = 42


def test_ten_thousand_routes_and_a_thousand_neighbours_follow_the_kernel(gateway):
    gateway.engine.batch(FLUSH + [
        "xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir out action allow"])
    macs = {a: f"02:00:00:00:{i // 256:02x}:{i % 256:02x}" for i, a in enumerate(NEIGHBOURS)}
    before = gateway.engine.routes(), gateway.engine.neighbours()
    gateway.gw.batch([f"neigh add {a} lladdr {m} dev wan nud permanent" for a, m in macs.items()])
    via = {r: f"192.0.2.{100 + i % 100}" for i, r in enumerate(ROUTES)}
    gateway.gw.batch([f"route add {r} via {g}" for r, g in via.items()]
                     + [f"route add {r} via {THEIRS[6]}" for r in ROUTES6])
    wait_for(lambda: set(ROUTES) | set(ROUTES6) <= gateway.engine.routes(), "all routes", 60)
    wait_for(lambda: set(NEIGHBOURS) <= gateway.engine.neighbours(), "all neighbours", 60)
    for route in random.Random(1).sample(ROUTES, 30):
        packet = udp(HOST[4], route.replace(".0/24", ".77"))
        gateway.lan.send(packet)
        got = gateway.wan.receive(payload_is(packet[Raw].load), f"a packet by {route}")
        assert got.dst == macs[via[route]]
    gateway.gw.batch([f"route del {r}" for r in ROUTES + ROUTES6])
    gateway.gw.batch([f"neigh del {a} dev wan" for a in NEIGHBOURS])
    wait_for(lambda: (gateway.engine.routes(), gateway.engine.neighbours()) == before,
             "all to go", 60)


def key(i, way):
    return random.Random(f"{KEY_SEED}{way}{i}").randbytes(20)


def test_ten_thousand_sas_and_policies(gateway):
    engine = gateway.engine
    engine.batch(FLUSH)
    remote = [f"10.2.{i // 250}.{i % 250 + 1}" for i in range(MANY)]
    states = [f"xfrm state add src {OURS[4]} dst {THEIRS[4]} proto esp spi {0x40000 + i:#x} "
              f"reqid {i + 1} mode tunnel aead rfc4106(gcm(aes)) 0x{key(i, 'o').hex()} 128"
              for i in range(MANY)]
    policies = [f"xfrm policy add src {HOST[4]}/32 dst {remote[i]}/32 dir out tmpl src {OURS[4]} "
                f"dst {THEIRS[4]} proto esp reqid {i + 1} mode tunnel" for i in range(MANY)]
    engine.batch(states)
    engine.batch(policies)
    databases = engine.ctl("status", "show")["status"]["databases"]
    assert (databases["sas"], databases["policies_out"]) == (MANY, MANY)
    parts = databases["memory"]
    assert databases["sad_bytes"] == sum(parts[p] for p in parts if p.startswith("sa_"))
    assert all(parts[part] >= MANY * least for part, least in
               {"sa_places": 1024, "sa_counters": 64, "policies": 128}.items())
    assert engine.ip("xfrm state list").count("proto esp spi") == MANY
    assert engine.ip("xfrm policy list").count("dir out") == MANY
    assert len(engine.ctl("sa", "show")["sa"]) == MANY
    for i in random.Random(2).sample(range(MANY), 50):
        packet = udp(HOST[4], remote[i])
        gateway.lan.send(packet)
        sealed = gateway.wan.receive(is_esp, f"ESP of SA {i}")
        assert sealed[ESP].spi == 0x40000 + i
        opened = Peer(GCM, 0x40000 + i, key(i, "o"), b"", OURS[4], THEIRS[4]).open(sealed)
        assert opened[Raw].load == packet[Raw].load
    engine.batch(FLUSH)
    databases = engine.ctl("status", "show")["status"]["databases"]
    assert (databases["sas"], databases["policies_out"]) == (0, 0)


@pytest.fixture(params=[100_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def whole(request):
    """An engine for so many SAs, and how many."""
    netns = Netns("whole")
    port = {"name": "wan", "device": "net_null0,no-rx=1", "side": "unprotected"}
    engine = Engine(netns, [port], sad={"max_sas": request.param},
                    spd={"max_policies": request.param})
    yield engine, request.param
    engine.stop()
    netns.close()


def test_a_whole_sad_is_loaded_dumped_deleted_flushed_and_expires(
        whole, tmp_path, record_property):
    engine, sas = whole

    def load(*options):
        subprocess.run([BUILD / "bench/control", engine.path("xfrm.sock"), "--sas", str(sas),
                        *options], check=True)

    def count():
        databases = engine.ctl("status", "show")["status"]["databases"]
        return databases["sas"], databases["policies_out"]

    rates = tmp_path / "rates.json"
    load("--json", rates)  # which dumps all, and counts them
    for what, rate in json.loads(rates.read_text()).items():
        record_property(what, round(rate))
    assert count() == (0, 0)
    load("--expire", "86400", "sas", "policies")
    assert count() == (sas, sas)
    engine.batch(FLUSH)
    assert count() == (0, 0)
    load("--expire", "3", "sas", "policies")
    wait_for(lambda: count() == (0, sas), "all SAs to expire", 120)
