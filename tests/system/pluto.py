# SPDX-License-Identifier: BSD-3-Clause
"""
libreswan's pluto, unmodified, in a namespace and on an engine. Its package excludes strongSwan's, so it
is not installed but unpacked (scripts/install-deps.sh), and runs from there.
"""

import os
import signal
import subprocess
import tempfile
from pathlib import Path

from engine import TOOLS
from machine import UNPACKED
from netns import wait_for

LIBEXEC = UNPACKED / "libreswan/usr/libexec"
# pluto looks for a helper in the folder that it was built for. (`ip netns exec` has mounts of its own.)
IN_PLACE = f'mount --bind {LIBEXEC} /usr/libexec && exec "$@"'


class Pluto:
    """Runs, and listens, when the constructor returns. Connections use a pre-shared key."""

    def __init__(self, netns, engine, secret):
        self.netns, self.engine = netns, engine
        self.folder = tempfile.TemporaryDirectory(prefix="sealane-pluto-")
        subprocess.run(["certutil", "-N", "-d", f"sql:{self.folder.name}", "--empty-password"],
                       check=True)
        Path(self.path("ipsec.conf")).write_text("config setup\n")
        Path(self.path("ipsec.secrets")).write_text(f': PSK "{secret}"\n')
        with open(self.path("log"), "w") as log:
            self.process = subprocess.Popen(
                netns.command("sh", "-c", IN_PLACE, "sh",
                              TOOLS / "sealane-xfrm", "/usr/libexec/ipsec/pluto", "--nofork", "--stderrlog",
                              "--use-xfrm", "--no-dnssec", "--config", self.path("ipsec.conf"),
                              "--secretsfile", self.path("ipsec.secrets"),
                              "--nssdir", self.folder.name, "--ipsecdir", self.folder.name,
                              "--rundir", self.folder.name),
                env={**os.environ, "SEALANE_XFRM_SOCKET": engine.path("xfrm.sock")},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(self.answers, "pluto to answer", every=0.05)
            self.whack("--listen")
            wait_for(lambda: "listening for IKE" in self.log(), "pluto to listen", every=0.05)
        except BaseException:
            print(self.log())
            self.close()
            raise

    def path(self, name):
        return str(Path(self.folder.name) / name)

    def log(self):
        return Path(self.path("log")).read_text(errors="replace")

    def answers(self):
        assert self.process.poll() is None, f"pluto ended:\n{self.log()}"
        return os.path.exists(self.path("pluto.ctl"))

    def whack(self, *words):
        """A command to pluto that must succeed."""
        result = subprocess.run(
            [LIBEXEC / "ipsec/whack", "--ctlsocket", self.path("pluto.ctl"), *map(str, words)],
            capture_output=True, text=True)
        assert result.returncode == 0, f"whack {words}: {result.stdout}{result.stderr}\n{self.log()}"
        return result.stdout

    def add(self, name, near, near_id, near_net, far, far_id, far_net, *more):
        """An IKEv2 connection of a tunnel."""
        self.whack("--name", name, "--ikev2", "--encrypt", "--tunnel", "--pfs", "--psk", "--no-esn",
                   *more,
                   "--id", f"@{near_id}", "--host", near, "--client", near_net,
                   "--updown", "%disabled", "--to",
                   "--id", f"@{far_id}", "--host", far, "--client", far_net,
                   "--updown", "%disabled")

    def load(self, name, keywords):
        """A connection as ipsec.conf has it: some of that whack cannot say."""
        lines = [f"conn {name}", *(f"    {key}={value}" for key, value in keywords.items())]
        Path(self.path("ipsec.conf")).write_text("config setup\n" + "\n".join(lines) + "\n")
        result = subprocess.run(
            [LIBEXEC / "ipsec/addconn", "--config", self.path("ipsec.conf"),
             "--ctlsocket", self.path("pluto.ctl"), name], capture_output=True, text=True)
        assert result.returncode == 0, f"addconn: {result.stdout}{result.stderr}\n{self.log()}"

    def initiate(self, name):
        self.whack("--initiate", "--name", name)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        self.folder.cleanup()
