# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces for the tests. How an engine's port is made stands in scripts/lib/netns.sh."""

import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HELPERS = ROOT / "scripts/lib/netns.sh"
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
numbers = itertools.count()


def helper(function, *args):
    """Calls a function of scripts/lib/netns.sh."""
    subprocess.run(["bash", "-c", '. "$0" && "$@"', HELPERS, function, *map(str, args)], check=True)


def wait_for(condition, what, seconds=20, every=0.005):
    """
    Waits until `condition()` is true and returns what it gave. For states that nothing announces:
    looked at often, and given up late enough that only a hang gets there.
    """
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(every)


class Netns:
    """A namespace with a unique name, removed by close()."""

    def __init__(self, role):
        self.name = f"sealane-{os.getpid()}-{next(numbers)}-{role}"
        helper("netns_new", self.name)

    def close(self):
        helper("netns_del", self.name)

    def command(self, *args):
        return ["ip", "netns", "exec", self.name, *map(str, args)]

    def run(self, *args, check=True, **options):
        """Runs a command inside; gives its standard output."""
        result = subprocess.run(self.command(*args), capture_output=True, text=True, **options)
        assert not check or result.returncode == 0, \
            f"{' '.join(map(str, args))}: status {result.returncode}\n{result.stderr}{result.stdout}"
        return result.stdout

    def ip(self, *args):
        """`ip` inside: ns.ip("route add 10.2.0.0/16 via 192.0.2.2")."""
        words = [word for arg in args for word in str(arg).split()]
        result = subprocess.run(["ip", "-n", self.name, *words], capture_output=True, text=True)
        assert result.returncode == 0, f"ip {' '.join(words)}: {result.stderr}"
        return result.stdout

    def batch(self, lines):
        """Many `ip` commands in one go."""
        result = subprocess.run(["ip", "-n", self.name, "-batch", "-"], input="\n".join(lines),
                                capture_output=True, text=True)
        assert result.returncode == 0, result.stderr

    def mac(self, ifname):
        return self.run("cat", f"/sys/class/net/{ifname}/address").strip()

    def socket(self, *args):
        """A socket of this namespace, for the test itself to use."""
        with self.entered():
            return socket.socket(*args)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in the namespace for a moment."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as there:
            self.set(there)
            try:
                yield
            finally:
                self.set(home)

    @staticmethod
    def set(file):
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
