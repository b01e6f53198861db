# SPDX-License-Identifier: BSD-3-Clause
"""
An unmodified charon-systemd in a namespace, with a configuration, keys and a vici socket of its own.
Its kernel is an engine, by way of sealane-xfrm, or its own plugin kernel-libipsec. Certificates are
made with `pki`. What is asked of it is asked with `swanctl`, as an operator would.
"""

import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

from engine import TOOLS
from machine import UNPACKED
from netns import wait_for

DAEMON = "/usr/sbin/charon-systemd"
PLUGINS = ("random nonce openssl kdf pem pkcs1 pkcs8 x509 pubkey constraints revocation eap-identity "
           "eap-mschapv2 kernel-netlink socket-default updown vici")
LIBIPSEC = PLUGINS.replace("kernel-netlink", "kernel-libipsec kernel-netlink")

SETTINGS = {
    "load_modular": "no",
    "make_before_break": "yes",
    "delete_rekeyed_delay": 1,
    "retransmit_tries": 3, "retransmit_timeout": 1, "retransmit_base": 1.3,
    "journal": {"default": -1},
}


def text_of(settings, indent=""):
    """The text of strongswan.conf and swanctl.conf: a dict is a section, a list is comma-separated."""
    lines = []
    for key, value in settings.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key} {{", text_of(value, indent + "  "), f"{indent}}}"]
        elif isinstance(value, (list, tuple)):
            lines.append(f"{indent}{key} = {', '.join(value)}")
        else:
            lines.append(f"{indent}{key} = {value}")
    return "\n".join(lines)


def parse_raw(text):
    """What `swanctl --raw` prints for one message: {key: text, list or dict}."""
    tokens = re.findall(r"[{}\[\]]|[^\s{}\[\]=]+=\[|[^\s{}\[\]=]+=[^\s{}\[\]]*|[^\s{}\[\]=]+", text)
    position = 0

    def message():
        nonlocal position
        result = {}
        while position < len(tokens) and tokens[position] != "}":
            token = tokens[position]
            position += 1
            if token.endswith("=["):
                end = tokens.index("]", position)
                result[token[:-2]] = tokens[position:end]
                position = end + 1
            elif "=" in token:
                key, value = token.split("=", 1)
                result[key] = value
            elif position < len(tokens) and tokens[position] == "{":
                position += 1
                result[token] = message()
                position += 1
        return result

    return message()


def of_release(release, *command):
    """
    A command with the programs and libraries of another release of Debian, which
    scripts/install-deps.sh has unpacked. (`ip netns exec` has mounts of its own.)
    """
    usr = UNPACKED / release / "usr"
    assert usr.is_dir(), f"no {usr}: scripts/install-deps.sh test makes it"
    return "sh", "-c", f'mount --bind {usr} /usr && exec "$@"', "sh", *command


class Authority:
    """A certificate authority and what it has signed, in a folder that goes with it."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sealane-ca-")
        self.key = self.new_key("ca")
        self.certificate = self.write("ca.pem", self.pki(
            "--self", "--ca", "--in", self.key, "--dn", "CN=Sealane Test CA"))

    def close(self):
        self.folder.cleanup()

    @staticmethod
    def pki(*words, **options):
        return subprocess.run(["pki", *words, "--outform", "pem"], check=True, capture_output=True,
                              **options).stdout

    def write(self, name, data):
        path = Path(self.folder.name) / name
        path.write_bytes(data)
        return path

    def new_key(self, name):
        return self.write(f"{name}.key", self.pki("--gen", "--type", "ecdsa", "--size", "256"))

    def issue(self, name):
        """The key and the certificate of a gateway that is called NAME."""
        path = Path(self.folder.name)
        if not (path / f"{name}.pem").exists():
            key = self.new_key(name)
            self.write(f"{name}.pem", self.pki(
                "--issue", "--cacert", self.certificate, "--cakey", self.key, "--type", "priv",
                "--in", key, "--dn", f"CN={name}", "--san", name))
        return path / f"{name}.key", path / f"{name}.pem"


class Charon:
    """Runs, and answers on its vici socket, when the constructor returns."""

    def __init__(self, netns, name, engine=None, authority=None, settings=(), release=None):
        self.netns, self.name, self.engine, self.release = netns, name, engine, release
        self.folder = tempfile.TemporaryDirectory(prefix=f"sealane-{name}-")
        self.settings = {
            **SETTINGS, "load": PLUGINS if engine else LIBIPSEC,
            "filelog": {"log": {"path": self.path("log"), "flush_line": "yes", "default": 1,
                                "ike_name": "yes", "knl": 2, "time_format": "%T"}},
            "plugins": {"vici": {"socket": self.vici},
                        "kernel-netlink": {"timeout": 500, "retries": 2,
                                           "ignore_retransmit_errors": "yes"}},
            **dict(settings),
        }
        for kind in ("x509", "x509ca", "private"):
            os.mkdir(self.path(kind))
        if authority:
            self.enrol(authority)
        self.process = None
        self.start()

    @property
    def vici(self):
        return f"unix://{self.path('vici')}"

    def path(self, *names):
        return str(Path(self.folder.name).joinpath(*names))

    def enrol(self, authority):
        key, certificate = authority.issue(self.name)
        for source, kind in ((key, "private"), (certificate, "x509"),
                             (authority.certificate, "x509ca")):
            Path(self.path(kind, source.name)).write_bytes(source.read_bytes())

    # Its life.

    def write_settings(self):
        Path(self.path("strongswan.conf")).write_text(text_of({
            "charon-systemd": self.settings, "swanctl": {"load": "pem pkcs1 pkcs8 x509 openssl"}}))

    def start(self):
        self.write_settings()
        command = [DAEMON] if self.engine is None else [TOOLS / "sealane-xfrm", DAEMON]
        if self.release:
            command = of_release(self.release, *command)
        environment = {**os.environ, "STRONGSWAN_CONF": self.path("strongswan.conf")}
        if self.engine:
            environment["SEALANE_XFRM_SOCKET"] = self.engine.path("xfrm.sock")
        with open(self.path("output"), "w") as output:
            self.process = subprocess.Popen(self.netns.command(*command), env=environment,
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_for(self.answers, f"{self.name}'s charon to answer")

    def answers(self):
        assert self.process.poll() is None, f"charon ended:\n{self.log()}\n{self.output()}"
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(self.path("vici")) == 0

    def output(self):
        return Path(self.path("output")).read_text()

    def log(self):
        path = Path(self.path("log"))
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self):
        """As a crash would: nobody is told."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        Path(self.path("vici")).unlink()

    def close(self):
        try:
            if self.process and self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                status = self.process.wait(30)  # the signal's own before it listens to signals
                assert status in (0, -signal.SIGTERM), f"{self.name}'s charon: status {status}\n{self.log()}"
        finally:
            if self.process and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.folder.cleanup()

    # What operators use.

    def try_swanctl(self, *words):
        return subprocess.run(["swanctl", *map(str, words), "--uri", self.vici],
                              capture_output=True, text=True,
                              env={**os.environ, "STRONGSWAN_CONF": self.path("strongswan.conf"),
                                   "SWANCTL_DIR": self.folder.name})

    def swanctl(self, *words):
        """A command that must succeed: charon.swanctl("--initiate", "--child", "net")."""
        result = self.try_swanctl(*words)
        assert result.returncode == 0, \
            f"{self.name}: swanctl {words}: {result.stdout}{result.stderr}\n{self.log()[-4000:]}"
        return result.stdout

    def ask(self, command, **values):
        """The same without a process: a command of vici with texts for values; it must succeed."""
        packet = bytes([0, len(command)]) + command.encode()
        for key, value in values.items():
            packet += bytes([3, len(key)]) + key.encode()
            packet += struct.pack("!H", len(value)) + value.encode()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.path("vici"))
            s.sendall(struct.pack("!I", len(packet)) + packet)
            length, = struct.unpack("!I", s.recv(4, socket.MSG_WAITALL))
            answer = s.recv(length, socket.MSG_WAITALL)
        assert b"\x07success\x00\x03yes" in answer, answer

    def load(self, **sections):
        """Makes this its swanctl.conf: load(connections={...}, secrets={...}, pools={...})."""
        Path(self.path("swanctl.conf")).write_text(text_of(sections))
        self.swanctl("--load-all", "--noprompt", "--clear")

    def initiate(self, child):
        self.swanctl("--initiate", "--child", child)

    def clear(self):
        """Forgets all connections and ends what was made of them."""
        self.load()
        for name in {sa["name"] for sa in self.sas()}:
            self.try_swanctl("--terminate", "--ike", name, "--timeout", "10")

    def sas(self):
        """Its IKE_SAs: dicts as vici has them, each with its name."""
        found = re.findall(r"^list-sa event (.*)$", self.swanctl("--list-sas", "--raw"), re.M)
        return [{"name": name, **sa} for text in found
                for name, sa in parse_raw(text.strip()[1:-1]).items()]

    def children(self, name=None, state="INSTALLED"):
        """Its CHILD_SAs of a name and state, oldest first."""
        found = [child for sa in self.sas() for child in sa["child-sas"].values()
                 if child["state"] == state and name in (None, child["name"])]
        return sorted(found, key=lambda child: int(child["uniqueid"]))

    def spis(self, name):
        """Its SPIs of the installed ones: for a moment of a rekeying there is none."""
        return {child["spi-in"] for child in self.children(name)}

    def await_children(self, name, count=1, seconds=30):
        """Waits for so many installed CHILD_SAs, and gives them."""
        wait_for(lambda: len(self.children(name)) == count,
                 f"{self.name} to have {count} of {name}", seconds, every=0.05)
        return self.children(name)

    def await_log(self, pattern, since=0, seconds=30):
        """Waits for a line of the log behind its first `since` characters; gives the match."""
        try:
            return wait_for(lambda: re.search(pattern, self.log()[since:]),
                            f"{pattern!r} of {self.name}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-4000:]}") from None
