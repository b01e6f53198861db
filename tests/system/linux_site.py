# SPDX-License-Identifier: BSD-3-Clause
"""A gateway that is no part of this project: a real Linux kernel (uml.py) with a charon of its own."""

import shlex
import subprocess

from charon import DAEMON, PLUGINS, Charon
from ikenet import Site
from netns import helper, wait_for
from uml import Guest


class GuestCharon(Charon):
    """Runs in a guest: its settings are files of the host, what it writes is in the guest's /run."""

    def __init__(self, guest, *args):
        self.guest = guest
        super().__init__(*args)

    def path(self, *names):
        return f"/run/charon-{names[0]}" if names[0] in ("log", "vici") else super().path(*names)

    def start(self):
        self.write_settings()
        self.guest.run(f"{self.environment()} {DAEMON} >/run/charon-output 2>&1 &")
        wait_for(lambda: self.try_swanctl("--stats").returncode == 0, f"{self.name} to answer")

    def environment(self):
        return f"STRONGSWAN_CONF={self.path('strongswan.conf')} SWANCTL_DIR={self.folder.name}"

    def try_swanctl(self, *words):
        command = shlex.join(["swanctl", *map(str, words), "--uri", self.vici])
        status, output = self.guest.try_run(f"{self.environment()} {command}")
        return subprocess.CompletedProcess(words, status, output, "")

    def log(self):
        return self.guest.run("cat /run/charon-log")

    def close(self):
        self.folder.cleanup()  # the process ends with its guest


class GuestSite(Site):
    """The guest forwards between the switch and a client, as a gateway does."""

    def build(self, switch, authority, engine):
        self.connect(switch, "wan0", "lan0")
        for ifname in ("wan0", "lan0"):
            helper("below_engine", self.netns.name, ifname)
        self.router = self.guest = Guest(self.netns, "wan0", "lan0")
        self.exits.callback(self.guest.close)
        self.guest.run("ip link set vec0 name wan && ip link set vec1 name lan && "
                       "sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        self.set_up()
        self.start_charon(authority, None)

    def start_charon(self, authority, engine):
        self.charon = GuestCharon(self.guest, self.netns, self.name, engine, authority,
                                  {**dict(self.settings), "load": PLUGINS})
        self.exits.callback(self.charon.close)
