# SPDX-License-Identifier: BSD-3-Clause
"""
Something like a machine of one's own for what stands in the documents: /etc, /usr and /var may be
written to, /run and /tmp are empty, processes have numbers of their own, and the first of them is
systemd, which starts what it is asked to and nothing else. What is written is gone with it, and no
file of this machine has changed.
"""

import itertools
import os
import subprocess
import tempfile
from pathlib import Path

from netns import wait_for

UNPACKED = Path("/var/lib/sealane-test")
numbers = itertools.count()

# $0: a control group.
JOIN = 'echo $$ >"$0/cgroup.procs"; exec "$@"'

# $0: a folder of its own. Sysfs is only to be looked at: udev keeps away then; and so are the kernel's
# parameters, but for those of the network namespace.
BOOT = r"""
mount -t tmpfs none "$0"
for d in etc usr var; do
	mkdir "$0/$d" "$0/$d.work"
	mount -t overlay overlay -o "lowerdir=/$d,upperdir=$0/$d,workdir=$0/$d.work" "/$d"
done
mkdir "$0/dev" "$0/dev/net" "$0/dev/shm" "$0/dev/pts" "$0/dev/mqueue"
for d in null zero full random urandom net/tun; do
	cp -a "/dev/$d" "$0/dev/$d"
done
ln -s /proc/self/fd "$0/dev/fd"
mount -o remount,ro,bind /sys
mkdir "$0/net"
mount --bind /proc/sys/net "$0/net"
mount --bind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
mount --bind "$0/net" /proc/sys/net
mount -t cgroup2 none /sys/fs/cgroup
mount --bind "$0/dev" /dev
mount -t tmpfs none /run
mount -t tmpfs none /tmp
rm -rf /etc/systemd/system/*.wants /usr/lib/systemd/system/*.wants
cat >/etc/systemd/system/machine.target <<END
[Unit]
Wants=systemd-journald.service
After=systemd-journald.service
END
exec env -i PATH="$PATH" container=sealane \
	SYSTEMD_PROC_CMDLINE="systemd.unit=machine.target systemd.unified_cgroup_hierarchy=1" \
	/usr/lib/systemd/systemd --system
"""


def control_groups():
    """Where their second version is mounted: it is enough for systemd, even without controllers."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return Path(next(where for _, where, kind, *_ in mounts if kind == "cgroup2"))


class Machine:
    def __init__(self, netns):
        self.folder = tempfile.TemporaryDirectory(prefix="sealane-machine-")
        self.group = control_groups() / f"sealane-{os.getpid()}-{next(numbers)}"
        self.group.mkdir()
        self.process = subprocess.Popen(
            ["sh", "-c", JOIN, self.group,
             *netns.command("unshare", "--cgroup", "--uts", "--ipc", "--pid", "--fork", "--kill-child",
                            "--mount-proc", "sh", "-ec", BOOT, self.folder.name)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            self.init = wait_for(self.first_process, "systemd to be the first process", every=0.02)
            wait_for(lambda: self.shell("systemctl is-system-running", check=False) == "running\n",
                     "systemd to be up", every=0.05)
        except BaseException:
            self.close()
            raise

    def first_process(self):
        assert self.process.poll() is None, "the machine did not start"
        pid = self.process.pid
        child = Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()
        return child if child and Path(f"/proc/{child}/comm").read_text() == "systemd\n" else None

    def command(self, text):
        """The words that run a line of shell here."""
        return ["nsenter", "-t", self.init, "-m", "-n", "-p", "-C", "--", "sh", "-ec", text]

    def shell(self, text, check=True, **options):
        """Runs lines of shell; gives what they print."""
        result = subprocess.run(self.command(text), capture_output=True, text=True, **options)
        assert not check or result.returncode == 0, \
            f"{text}: status {result.returncode}\n{result.stdout}{result.stderr}{self.log()}"
        return result.stdout

    def log(self):
        return self.shell("journalctl --no-pager -n 100", check=False)

    def write(self, path, text):
        self.shell(f"mkdir -p {os.path.dirname(path)}; cat >{path}", input=text)

    def install(self, folder):
        """What lies in a folder as it would below /; units, too, where this Debian has them."""
        names = [name for name in ("etc", "lib", "usr", "var") if (Path(folder) / name).is_dir()]
        with subprocess.Popen(["tar", "-C", folder, "-c", *names], stdout=subprocess.PIPE) as tar:
            self.shell("tar -x --keep-directory-symlink -C /", stdin=tar.stdout)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()
        wait_for(self.remove_groups, "the control groups to be empty")

    def remove_groups(self):
        try:
            for folder, _, _ in os.walk(self.group, topdown=False):
                os.rmdir(folder)
        except OSError:
            return False
        return True
