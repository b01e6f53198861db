# SPDX-License-Identifier: BSD-3-Clause
"""
Something like a machine of one's own for what stands in the documents: /etc, /usr and /var may be
written to, /run is empty, processes have numbers of their own, services are started as their units
say. What is written is gone with it, and no file of this machine has changed.
"""

import os
import re
import socket
import subprocess
import tempfile
from pathlib import Path

from netns import wait_for

UNPACKED = Path("/var/lib/sealane-test")
UNITS = "/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"
BOOT = """
set -e
mount -t tmpfs none "$0"
for d in etc usr var; do
	mkdir "$0/$d" "$0/$d.work"
	mount -t overlay overlay -o "lowerdir=/$d,upperdir=$0/$d,workdir=$0/$d.work" "/$d"
done
mount -t tmpfs none /run
echo ready
exec sleep infinity
"""


class Service:
    """A process that a unit's ExecStart describes, up when the constructor returns."""

    def __init__(self, machine, name):
        self.machine, self.name, self.output = machine, name, machine.path(f"{name}.log")
        self.unit = machine.unit(name)
        for folder in self.unit.get("RuntimeDirectory", []):
            machine.shell(f"mkdir -p /run/{folder}")
        self.commands("ExecStartPre")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, \
                open(self.output, "w") as out:
            notify.bind(machine.path(f"{name}.notify"))
            notify.setblocking(False)
            self.process = subprocess.Popen(
                machine.command(f"echo $$ >/run/{name}.main; exec {self.unit['ExecStart'][0]}"),
                env={**os.environ, "NOTIFY_SOCKET": machine.path(f"{name}.notify")},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            if self.unit.get("Type") == ["notify"]:
                wait_for(lambda: self.is_ready(notify), f"{name} to be ready", every=0.05)
        self.commands("ExecStartPost")

    def is_ready(self, notify):
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log()}"
        try:
            return b"READY=1" in notify.recv(4096)
        except BlockingIOError:
            return False

    def log(self):
        return Path(self.output).read_text(errors="replace")

    def commands(self, kind):
        for line in self.unit.get(kind, []):
            line = line.replace("$MAINPID", f"$(cat /run/{self.name}.main)")
            self.machine.shell(line.lstrip("-"), check=not line.startswith("-"))

    def stop(self):
        self.machine.shell(f"kill $(cat /run/{self.name}.main)", check=False)
        self.process.wait(30)


class Machine:
    def __init__(self, netns):
        self.folder = tempfile.TemporaryDirectory(prefix="sealane-machine-")
        os.mkdir(self.path("root"))
        self.services = {}
        self.process = subprocess.Popen(
            netns.command("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                          BOOT, self.path("root")),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        self.init = Path(children).read_text().split()[0]

    def path(self, name):
        return str(Path(self.folder.name) / name)

    def command(self, text):
        """The words that run a line of shell here."""
        return ["nsenter", "-t", self.init, "-m", "-n", "-p", "--", "sh", "-ec", text]

    def shell(self, text, check=True, **options):
        """Runs lines of shell; gives what they print."""
        result = subprocess.run(self.command(text), capture_output=True, text=True, **options)
        assert not check or result.returncode == 0, \
            f"{text}: status {result.returncode}\n{result.stdout}{result.stderr}{self.logs()}"
        return result.stdout

    def logs(self):
        return "".join(f"\n{name}:\n{service.log()[-3000:]}"
                       for name, service in self.services.items())

    def write(self, path, text):
        self.shell(f"mkdir -p {os.path.dirname(path)}; cat >{path}", input=text)

    def install(self, folder):
        """What lies in a folder as it would below /; units, too, where this Debian has them."""
        for name in ("etc", "lib", "usr", "var"):
            if (Path(folder) / name).is_dir():
                self.shell(f"cp -a {folder}/{name}/. /{name}/")

    def unit(self, name):
        """{key: values} of a service's file and drop-ins; an empty value forgets earlier ones."""
        values = {}
        text = self.shell(f"""for d in {" ".join(UNITS)}; do
            [ ! -e $d/{name}.service ] || {{ cat $d/{name}.service; break; }}; done
            cat /etc/systemd/system/{name}.service.d/*.conf 2>/dev/null || true""")
        for key, value in re.findall(r"^(\w+)=(.*)$", text, re.M):
            values[key] = values.get(key, []) + [value] if value else []
        assert "ExecStart" in values, f"no unit {name}"
        return values

    def start(self, name):
        self.services[name] = Service(self, name)

    def restart(self, name):
        if name in self.services:
            self.services.pop(name).stop()
        self.start(name)

    def close(self):
        try:
            for name in reversed(list(self.services)):
                self.services[name].stop()
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.folder.cleanup()
