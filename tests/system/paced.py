# SPDX-License-Identifier: BSD-3-Clause
"""The daemon between a source and a sink in memory (bench/paced.c), and who changes its tables."""

import json
import subprocess
from pathlib import Path

from engine import BUILD, Engine
from netns import helper

NEXT = {"address": "192.0.2.2", "mac": "02:00:00:00:00:43", "port": "wan"}
ROOM = 12000  # for guests, and for what waits until a worker that has lost its core comes round


def control(engine, *words):
    """bench/control: the process that sends an engine so many messages."""
    return subprocess.Popen([BUILD / "bench/control", engine.path("xfrm.sock"), *map(str, words)],
                            stdout=subprocess.DEVNULL)


class Paced(Engine):
    """Gets so many packets a second, 0 for as many as it takes, to one of the hosts after the other."""

    def __init__(self, netns, hosts, packets, size=512, hurry=1, order=0, **options):
        ports = [{"name": name, "device": f"net_null{i}", "side": side}
                 for i, (name, side) in enumerate((("lan", "protected"), ("wan", "unprotected")))]
        room = hosts + ROOM
        self.hosts = hosts
        super().__init__(
            netns, ports, sad={"max_sas": room}, spd={"max_policies": room},
            routes=[{"prefix": prefix, "via": NEXT["address"], "port": "wan"}
                    for prefix in ("10.0.0.0/8", "11.0.0.0/8")],
            neighbours=[NEXT],
            daemon=("env", f"SEALANE_PACKETS={packets}", f"SEALANE_HOSTS={hosts}",
                    f"SEALANE_SIZE={size}", f"SEALANE_HURRY={hurry}", f"SEALANE_ORDER={order}",
                    BUILD / "bench/sealaned-paced"), **options)
        for name in ("lan", "wan"):
            helper("mute", netns.name, name)
            netns.ip("link set", name, "up")

    def change(self, *words):
        """Has its tables changed as bench/control is told: what that says in JSON."""
        file = self.path("control.json")
        assert control(self, "--sas", self.hosts, "--json", file, *words).wait() == 0
        return json.loads(Path(file).read_text())

    def databases(self):
        return self.ctl("status", "show")["status"]["databases"]

    def worker(self):
        return self.ctl("worker", "show")["worker"][0]

    def lost(self):
        """Where packets went that did not leave."""
        drops = {reason: n for reason, n in self.drops().items() if n}
        return {"rx_missed": self.port("lan")["rx_missed"], **drops}
