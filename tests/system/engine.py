# SPDX-License-Identifier: BSD-3-Clause
"""A sealaned of the test's own: its configuration, its life, its sockets, its counters."""

import json
import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import yaml

from netns import ROOT, wait_for

BUILD = Path(os.environ.get("SEALANE_BUILD", ROOT / "build"))
TOOLS = Path(os.environ.get("SEALANE_TOOLS", BUILD))  # sealanectl and sealane-xfrm
DAEMON = BUILD / "sealaned"
TROUBLE = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "PANIC", "Assertion")


def check(config):
    """`sealaned --check` of a configuration, a dict or YAML text: (status, what it said)."""
    text = config if isinstance(config, str) else yaml.safe_dump(config)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        result = subprocess.run([DAEMON, "--check", "-c", file.name], capture_output=True, text=True)
    return result.returncode, result.stderr + result.stdout


def port(name, veth, side, **more):
    """An af_packet port of the configuration on a veth."""
    return {"name": name, "device": f"net_af_packet_{name},iface={veth}", "side": side, **more}


class Engine:
    """Starts in a namespace and is ready when the constructor returns."""

    def __init__(self, netns, ports, cores=(0,), polling="adaptive", daemon=(DAEMON,), **sections):
        self.netns, self.daemon = netns, daemon
        self.folder = tempfile.TemporaryDirectory(prefix="sealane-test-")
        self.config = {
            "workers": {"cores": list(cores), "polling": polling},
            "ports": ports,
            "sockets": {"xfrm": self.path("xfrm.sock"), "show": self.path("show.sock")},
            "log": {"level": "info", "target": "stderr"},
            **sections,
        }
        self.process = None
        self.start()

    def path(self, name):
        return str(Path(self.folder.name) / name)

    def log(self):
        with open(self.path("log"), errors="replace") as file:
            return file.read()

    def start(self):
        with open(self.path("config.yaml"), "w") as file:
            yaml.safe_dump(self.config, file)
        with open(self.path("log"), "w") as log:
            self.process = subprocess.Popen(
                self.netns.command(*self.daemon, "-c", self.path("config.yaml")),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(self.answers, "sealaned to answer", 60)
        except BaseException:
            self.kill()
            print(self.log())
            raise

    def answers(self):
        status = self.process.poll()
        assert status is None, f"sealaned ended with status {status}:\n{self.log()}"
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(self.path("show.sock")) == 0

    def kill(self):
        """As a crash would: nothing is put in order."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ends it as an operator does, and checks that it kept its promises until then."""
        try:
            assert self.process.poll() is None, f"sealaned has died:\n{self.log()}"
            self.check_equation()
            self.process.send_signal(signal.SIGTERM)
            status = self.process.wait(30)
            log = self.log()
            assert status == 0, f"status {status} after SIGTERM:\n{log}"
            assert not any(word in log for word in TROUBLE), log
        finally:
            if self.process.poll() is None:
                self.kill()
            self.folder.cleanup()

    # What operators use.

    def ctl(self, *words):
        """sealanectl --json: engine.ctl("sa", "show")."""
        return json.loads(self.ctl_text("--json", *words))

    def ctl_text(self, *words):
        result = subprocess.run([TOOLS / "sealanectl", "-s", self.path("show.sock"), *words],
                                capture_output=True, text=True)
        assert result.returncode == 0, f"sealanectl {words}: {result.stderr}"
        return result.stdout

    def believes(self, *pids):
        """What `sealane-xfrm --check` says of processes: (status, text)."""
        result = subprocess.run(
            [TOOLS / "sealane-xfrm", "--check", *map(str, pids)], capture_output=True, text=True,
            env={**os.environ, "SEALANE_SHOW_SOCKET": self.path("show.sock")})
        return result.returncode, result.stdout + result.stderr

    def drops(self):
        """Packets dropped so far, by reason."""
        return {row["reason"]: row["packets"] for row in self.ctl("drops", "show")["drops"]}

    def balance(self):
        return self.ctl("drops", "show")["balance"]

    def check_equation(self):
        """Every packet that came in or was made is accounted for, once nothing is under way."""
        wait_for(lambda: self.balance()["holds"], f"the counters to agree: {self.balance()}")

    def routes(self):
        return {row["prefix"] for row in self.ctl("route", "show")["route"] if row["active"]}

    def neighbours(self):
        return {row["address"] for row in self.ctl("neighbour", "show")["neighbour"]}

    def port(self, name):
        return next(row for row in self.ctl("port", "show")["port"] if row["port"] == name)

    def try_ip(self, words, input=None):
        """iproute2 under the preload library: the finished process."""
        return subprocess.run(
            self.netns.command(TOOLS / "sealane-xfrm", "ip", *words.split()), input=input,
            capture_output=True, text=True,
            env={**os.environ, "SEALANE_XFRM_SOCKET": self.path("xfrm.sock")})

    def ip(self, words, input=None):
        """A command of iproute2 that must succeed: engine.ip("-s xfrm state")."""
        result = self.try_ip(words, input)
        assert result.returncode == 0, f"ip {words}: {result.stderr}{result.stdout}"
        return result.stdout

    def batch(self, lines):
        """Many commands of iproute2 in one go."""
        self.ip("-batch -", input="\n".join(lines))
