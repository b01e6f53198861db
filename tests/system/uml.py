# SPDX-License-Identifier: BSD-3-Clause
"""
A whole Linux kernel as a process: Debian's user-mode-linux, the peer that is not of this project. It
runs the host's own programs, its files are the host's, read only, and its network interfaces take the
place of ends of veths.
"""

import os
import select
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MEMORY = "192M"
KICK = 0.5  # seconds. With packets about, it may overlook its console until there is more of it


class Guest:
    """
    Boots on interfaces of a namespace, which it calls vec0, vec1 and so on, with their MAC addresses,
    and is ready when the constructor returns. It is the first process of a PID namespace and dies
    with the thread that started it: nothing of it can stay behind.
    """

    def __init__(self, netns, *ifnames):
        self.folder = tempfile.TemporaryDirectory(prefix="sealane-uml-")
        self.buffer = b""
        subprocess.run(["cc", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", "-o", self.path("xstate.so"),
                        HERE / "uml_xstate.c"], check=True)
        with open(self.path("console"), "wb") as console:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *netns.command(
                    "unshare", "--pid", "--fork", "--kill-child",
                    "env", f"LD_PRELOAD={self.path('xstate.so')}", "linux.uml", *self.parameters(),
                    *(f"vec{i}:transport=raw,ifname={ifname},depth=128,mac={netns.mac(ifname)}"
                      for i, ifname in enumerate(ifnames)))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=console, bufsize=0)
        try:
            assert self.receive(60).endswith(b"ready")
        except BaseException:
            self.close()
            raise

    def parameters(self):
        return [f"mem={MEMORY}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
                f"init={HERE / 'uml_init.sh'}", f"uml_dir={self.folder.name}", "umid=guest",
                "con=null", "con0=null,fd:2", "con1=fd:0,fd:1", "console=tty0"]

    def path(self, name):
        return str(Path(self.folder.name) / name)

    def receive(self, seconds):
        """What the guest says until the next zero byte."""
        end = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], KICK)
            if ready:
                self.buffer += os.read(self.process.stdout.fileno(), 65536)
            else:
                self.process.stdin.write(b"\n")
            assert (ready or time.monotonic() < end) and self.process.poll() is None, \
                f"the guest is silent; its console:\n{self.console()}"
        said, _, self.buffer = self.buffer.partition(b"\0")
        return said

    def console(self):
        with open(self.path("console"), errors="replace") as file:
            return file.read()

    def try_run(self, script, seconds=60):
        """Runs a shell script in the guest; gives its status and what it printed, errors as well."""
        with tempfile.NamedTemporaryFile("w", dir=self.folder.name) as file:
            file.write(script)
            file.flush()
            self.process.stdin.write(f"{file.name}\n".encode())
            output = self.receive(seconds).decode(errors="replace")
            return int(self.receive(seconds)), output

    def run(self, script, check=True):
        """The same where it must succeed; gives what it printed."""
        status, output = self.try_run(script)
        assert not check or status == 0, f"status {status} in the guest: {script}\n{output}"
        return output

    def batch(self, lines):
        """Many commands of iproute2 in one go."""
        return self.run("\n".join(["ip -batch - <<'end'", *lines, "end"]))

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.folder.cleanup()
