# SPDX-License-Identifier: BSD-3-Clause
"""
What README.md, docs/strongswan.md and docs/libreswan.md tell a newcomer to type, typed: each of two
gateways is a machine where their files are written and their commands run, until a tunnel carries
traffic. systemd starts services there, by their units and our drop-ins. Packages come from what is installed
or unpacked here; ports are veths instead of NICs.
"""

import contextlib
import json
import re
import subprocess

import pytest

from document import steps
from engine import TOOLS
from ikenet import Client, Eye, Switch
from machine import UNPACKED, Machine
from netns import ROOT, Netns, helper, wait_for

pytestmark = pytest.mark.slow_under_sanitizer

PORTS = {'"0000:01:00.0"': "net_af_packet1,iface=wan0", "iface=eth1": "iface=lan0",
         "cores: [1]": "cores: [0]"}
KEYS = {"$KEY_AND_SALT_A": "a1" * 20, "$KEY_AND_SALT_B": "b2" * 20}
OTHER = {"192.0.2.1": "192.0.2.2", "192.0.2.2": "192.0.2.1", "10.1.": "10.2.", "10.2.": "10.1."}


class Gateway:
    """Follows documents as gateway number 1, which they speak of, or as 2, the sides exchanged."""

    def __init__(self, number, switch, installed):
        self.number = number
        self.exits = contextlib.ExitStack()
        self.netns = self.enter(Netns(f"gateway{number}"))
        self.client = self.enter(Client(f"host{number}"))
        switch.attach(self.netns, "wan0")
        helper("veth_new", self.netns.name, "lan0", self.client.netns.name, "eth0")
        for port in "wan0", "lan0":
            helper("below_engine", self.netns.name, port)
        self.client.netns.batch([f"addr add 10.{number}.0.2/24 dev eth0",
                                 f"route add default via 10.{number}.0.1"])
        self.machine = self.enter(Machine(self.netns))
        self.machine.install(installed)

    def enter(self, thing):
        return self.exits.enter_context(contextlib.closing(thing))

    def mine(self, text):
        if self.number == 1:
            return text
        return re.sub(r"192\.0\.2\.[12]\b|\b10\.[12]\.", lambda m: OTHER[m[0]], text)

    def follow(self, step):
        for kind, *what in step:
            {"file": self.write, "run": self.run}[kind](*what)

    def write(self, name, text):
        for said, meant in PORTS.items():
            text = text.replace(said, meant)
        self.machine.write(name, self.mine(text))

    def run(self, line):
        if line.startswith("apt install "):
            self.apt(*line.split()[2:])
        elif line.endswith(" monitor"):  # has no end
            self.machine.shell(f"timeout 0.5 {line} || [ $? = 124 ]")
        else:
            self.machine.shell(line if " state add " in line else self.mine(line))

    def apt(self, *packages):
        for package in packages:
            if (UNPACKED / package).is_dir():
                self.machine.install(UNPACKED / package)
            else:
                subprocess.run(["dpkg-query", "-W", package], check=True, capture_output=True)

    def sas(self):
        return json.loads(self.machine.shell("sealanectl --json sa show"))["sa"]

    def close(self):
        self.exits.close()


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What `ninja install` puts in place."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", TOOLS, "--no-rebuild", "--quiet", "--destdir", folder],
                   check=True, capture_output=True)
    return folder


@pytest.fixture
def gateways(netns, installed):
    """Two on which Sealane is installed and runs, ports and addresses as in the README."""
    switch = Switch(netns("switch"))
    _, ports, start, *_ = steps(ROOT / "README.md")
    with contextlib.ExitStack() as stack:
        eye = stack.enter_context(contextlib.closing(Eye(switch)))
        both = [stack.enter_context(contextlib.closing(Gateway(number, switch, installed)))
                for number in (1, 2)]
        for gateway in both:
            gateway.follow(ports)
            gateway.follow(start)
        yield *both, eye


def traffic(one, two, eye):
    """Both ways, and nothing of it in clear text."""
    one.client.ping("10.2.0.2")
    two.client.ping("10.1.0.2")
    one.client.tcp(two.client, "10.2.0.2")
    seen = eye.look()
    assert seen["esp"] > 200 and not seen["clear"]


def test_readme(gateways):
    one, two, eye = gateways
    *_, by_hand, look = steps(ROOT / "README.md")
    for gateway in one, two:
        for kind, line in by_hand:
            for name, key in KEYS.items():
                line = line.replace(name, key)
            gateway.run(line)
    traffic(one, two, eye)
    for gateway in one, two:
        gateway.follow(look)


@pytest.mark.parametrize("document", ["strongswan", "libreswan"])
def test_ike(gateways, document):
    """The last step starts the daemon, and looks."""
    one, two, eye = gateways
    *first, (start, *look) = steps(ROOT / f"docs/{document}.md")
    for step in first:
        for gateway in one, two:
            gateway.follow(step)
    for gateway in two, one:
        gateway.follow([start])
    await_tunnel(one, two)
    traffic(one, two, eye)
    for gateway in one, two:
        gateway.follow(look)


def main_process(gateway, unit):
    """Of an active service, else None."""
    said = gateway.machine.shell(f"systemctl show -p ActiveState -p MainPID {unit}").split()
    return next(line for line in said if "PID" in line) if "ActiveState=active" in said else None


def test_systemd_starts_again_what_ended(gateways):
    """charon and the engine, each killed; and no charon that would talk to the kernel."""
    one, two, eye = gateways
    for step in steps(ROOT / "docs/strongswan.md"):
        for gateway in one, two:
            gateway.follow(line for line in step if not line[1].startswith("sealane"))
    await_tunnel(one, two)
    for unit in "strongswan", "sealaned":
        before = main_process(one, unit)
        one.run(f"systemctl kill -s KILL --kill-who=main {unit}")
        wait_for(lambda: main_process(one, unit) not in (None, before), f"another {unit}", every=0.1)
        if unit == "sealaned":
            one.follow(what for what in steps(ROOT / "README.md")[2] if what[1].startswith("ip "))
        wait_for(lambda: one.client.reaches("10.2.0.2"), "the tunnel", 60)
        wait_for(lambda: "talks to the engine" in one.machine.shell("sealane-xfrm --check", check=False),
                 "charon and the engine to meet", every=0.1)
        traffic(one, two, eye)
    one.run("rm $(find /usr/local -name libsealane-xfrm.so)")
    with pytest.raises(AssertionError, match="libsealane-xfrm.so is neither in"):
        one.run("systemctl restart strongswan")
    assert main_process(one, "strongswan") is None
    one.run("! pgrep charon")


def await_tunnel(*gateways):
    for gateway in gateways:
        try:
            wait_for(lambda: [sa["state"] for sa in gateway.sas()].count("valid") >= 2, "the tunnel",
                     30, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}{gateway.machine.log()}") from None


IPSEC_CONF = """
conn net
    keyexchange=ikev2
    authby=secret
    left=192.0.2.1
    leftsubnet=10.1.0.0/24
    right=192.0.2.2
    rightsubnet=10.2.0.0/24
    esp=aes128gcm16!
    auto=add
"""


def test_legacy_charon(gateways):
    """ipsec.conf, the starter and its charon, with the drop-in for their service."""
    one, two, eye = gateways
    for gateway in one, two:
        gateway.apt("strongswan-starter")
        gateway.write("/etc/ipsec.conf", IPSEC_CONF)
        gateway.write("/etc/ipsec.secrets", ': PSK "what both know"\n')
        gateway.run("install -D /usr/local/share/sealane/systemd/strongswan-starter.conf "
                    "/etc/systemd/system/strongswan-starter.service.d/sealane.conf")
        gateway.run("systemctl daemon-reload")
        gateway.run("systemctl restart strongswan-starter")
        wait_for(lambda: "net" in gateway.machine.shell("ipsec statusall", check=False), "the starter",
                 every=0.1)
    one.run("ipsec up net")
    await_tunnel(one, two)
    traffic(one, two, eye)
    one.run("ipsec down net")
    for gateway in one, two:
        wait_for(lambda: gateway.sas() == [], "the SAs to go")
        gateway.run("sealane-xfrm --check")
