# SPDX-License-Identifier: BSD-3-Clause
"""The preload library, from inside a program that it was loaded into (preload_client.py)."""
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

import engine
import xfrm

CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "preload_client.py")


class Preload(engine.EngineTest):
    def run_client(self, name):
        status, output = self.engine.run(sys.executable, CLIENT, name)
        self.assertEqual(status, 0, output)

    def start_client(self, name, *words):
        client = self.engine.popen(sys.executable, CLIENT, name, *words, stdin=subprocess.PIPE)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        self.addCleanup(client.stdout.close)
        self.addCleanup(client.stdin.close)
        return client

    def await_word(self, client, word):
        self.assertEqual(client.stdout.readline(), "at %s\n" % word)

    def go_on(self, client):
        client.stdin.write("\n")

    def restart(self, client):
        """The engine, once the program has seen that it is away."""
        self.engine.kill()
        self.go_on(client)
        self.await_word(client, "down")
        self.engine.start()

    def test_names(self):
        self.run_client("names")

    def test_descriptors(self):
        self.run_client("descriptors")

    def test_forks(self):
        self.run_client("forks")

    def test_threads(self):
        self.run_client("threads")

    def test_other_sockets(self):
        self.run_client("others")

    def test_engine_gone_and_back(self):
        client = self.start_client("engine_gone")
        self.await_word(client, "subscribed")
        self.engine.await_subscriber()
        self.restart(client)
        self.go_on(client)
        self.await_word(client, "up")
        self.assertEqual(client.wait(), 0)

    def test_engine_gone_without_an_answer(self):
        client = self.start_client("engine_gone_without_an_answer")
        self.await_word(client, "up")
        self.engine.process.send_signal(signal.SIGSTOP)
        self.go_on(client)
        self.await_word(client, "asked")
        self.engine.kill()
        self.await_word(client, "down")
        self.engine.start()
        self.go_on(client)
        self.assertEqual(client.wait(), 0)

    def test_engine_back_for_one_that_only_waits(self):
        client = self.start_client("engine_back")
        self.await_word(client, "subscribed")
        self.engine.await_subscriber()
        self.restart(client)
        self.engine.await_subscriber()
        self.ip("xfrm state flush")
        self.assertEqual(client.wait(), 0)

    def test_engine_back_for_one_that_sleeps(self):
        client = self.start_client("sleeper")
        self.await_word(client, "subscribed")
        self.engine.await_subscriber()
        self.restart(client)
        self.engine.await_subscriber()
        self.await_word(client, "awake")  # with no sign of it the poll() would sleep on
        self.ip("xfrm state flush")
        self.assertEqual(client.wait(), 0)

    def test_what_a_daemon_installed_survives_the_engine(self):
        client = self.start_client("installs")
        self.await_word(client, "installed")
        before = self.policies()
        self.assertEqual(len(before), 5)
        self.restart(client)
        self.go_on(client)
        self.await_word(client, "up")
        self.assertEqual(self.policies(), [p for p in before if "10.9.0.0/16" not in p or "if_id" not in p])
        self.assertIn("reqid 4", "".join(self.policies()))
        self.go_on(client)
        self.await_word(client, "flushed")
        self.engine.kill()
        self.engine.start()
        self.go_on(client)
        self.await_word(client, "up")
        self.assertEqual(self.policies(), [])
        self.assertEqual(self.ip("xfrm state"), "")

    def policies(self):
        """Each as a text."""
        return sorted(p for p in re.split(r"^(?=src)", self.ip("xfrm policy"), flags=re.M) if p)

    def new_daemon(self, spi, sas=1):
        client = self.start_client("daemon", str(spi), str(sas))
        self.await_word(client, "installed")
        return client

    def end_daemon(self, client, orphans):
        client.kill()
        self.engine.await_told("orphans", lambda answer: answer == str(orphans))

    def spis(self):
        return {int(spi, 16) for spi in re.findall(r"spi (0x[0-9a-f]+)", self.ip("xfrm state"))}

    def test_orphans_go_after_a_daemon_has_come(self):
        self.ip("xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x2000 mode tunnel "
                "aead rfc4106(gcm(aes)) 0x%040x 128" % (9 << 64))
        self.end_daemon(self.new_daemon(0x1000), 1)
        self.engine.tell("age 1000")  # nobody else is there
        self.assertEqual(self.spis(), {0x1000, 0x2000})
        self.end_daemon(self.new_daemon(0x3000), 2)
        self.engine.tell("age 1000")  # it has gone again
        self.assertEqual(self.spis(), {0x1000, 0x2000, 0x3000})
        self.new_daemon(0x4000)
        self.engine.tell("age 50")
        self.assertEqual(self.spis(), {0x1000, 0x2000, 0x3000, 0x4000})
        self.engine.tell("age 70")
        self.assertEqual(self.spis(), {0x2000, 0x4000})
        self.assertEqual(self.engine.tell("orphans"), "0")

    def test_many_orphans_go_in_portions(self):
        self.end_daemon(self.new_daemon(0x1000, sas=1200), 1200)
        self.new_daemon(0x3000)
        for left in (1200 - 512, 1200 - 1024, 0):
            self.engine.tell("age 70")
            self.assertEqual(self.engine.tell("orphans"), str(left))
        self.assertEqual(self.spis(), {0x3000})

    def test_daemons_are_told_apart_by_more_than_their_process_id(self):
        """Two of PID namespaces that the engine cannot see have one: 0."""
        daemons = [xfrm.Xfrm(self.engine.socket, xfrm.GROUP_EXPIRE) for _ in range(2)]
        for number, daemon in enumerate(daemons):
            self.addCleanup(daemon.close)
            daemon.ask(xfrm.NEWSA, xfrm.sa_info(spi=0x1000 + number), xfrm.gcm(1 + number))
        daemons[0].close()
        self.engine.await_told("orphans", lambda answer: answer == "1")

    def test_a_monitor_is_no_daemon(self):
        self.end_daemon(self.new_daemon(0x1000), 1)
        monitor = self.engine.popen("ip", "xfrm", "monitor")
        self.addCleanup(monitor.wait)
        self.addCleanup(monitor.kill)
        self.addCleanup(monitor.stdout.close)
        self.engine.await_subscriber()
        self.engine.tell("age 1000")
        self.assertEqual(self.spis(), {0x1000})

    def test_engine_that_does_not_answer(self):
        # Listens, takes no connection, and has one in its queue.
        path = self.engine.socket + ".stopped"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, \
                socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as queued:
            listener.bind(path)
            listener.listen(0)
            queued.connect(path)
            self.engine.environment["SEALANE_XFRM_SOCKET"] = path
            status, output = self.engine.run("ip", "xfrm", "state")
        self.assertNotEqual(status, 0)
        self.assertIn("it does not answer", output)
        self.assertIn("Network is down", output)

    def test_events_overrun(self):
        client = self.start_client("overrun")
        self.await_word(client, "subscribed")
        self.engine.await_subscriber()
        batch = "".join("xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi %#x mode tunnel "
                        "aead rfc4106(gcm(aes)) 0x%040x 128\n" % (spi, spi << 64)
                        for spi in range(0x1000, 0x1000 + 3000))
        self.assertEqual(self.engine.run("ip", "-b", "-", stdin=batch), (0, ""))
        self.go_on(client)
        self.await_word(client, "lost")
        self.ip("xfrm state flush")
        self.go_on(client)
        self.assertEqual(client.wait(), 0)


class Library(unittest.TestCase):
    def test_nothing_is_exported_but_names_of_the_c_library(self):
        """A name of our own could take the place of a program's, or of one of its libraries'."""
        library = os.path.join(os.path.dirname(engine.Engine.wrapper), "libsealane-xfrm.so")
        names = subprocess.run(["nm", "-D", "--defined-only", "-P", library], check=True,
                               capture_output=True, text=True).stdout
        names = {line.split()[0] for line in names.splitlines()}
        self.assertIn("sendmsg", names)
        libc = ctypes.CDLL("libc.so.6")
        self.assertEqual({name for name in names if not hasattr(libc, name)}, set())


class Wrapper(unittest.TestCase):
    """It must never run a command that would talk to the kernel."""

    def run_wrapper(self, path, *command, **environment):
        done = subprocess.run([path, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env=dict(os.environ, **environment))
        return done.returncode, done.stdout

    def test_no_engine_is_no_network(self):
        status, output = self.run_wrapper(engine.Engine.wrapper, "ip", "xfrm", "state", "count",
                                          SEALANE_XFRM_SOCKET="/nonexistent/socket")
        self.assertNotEqual(status, 0)
        self.assertIn("no engine at /nonexistent/socket", output)
        self.assertIn("Network is down", output)

    def test_library_that_cannot_be_loaded(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "sealane-xfrm")
            with open(engine.Engine.wrapper) as original, open(copy, "w") as file:
                file.write(original.read())
            os.chmod(copy, 0o755)
            with open(os.path.join(folder, "libsealane-xfrm.so"), "w") as file:
                file.write("no library\n")
            status, output = self.run_wrapper(copy, "echo", "it ran")
            self.assertEqual(status, 127)
            self.assertIn("cannot be loaded", output)
            self.assertNotIn("it ran", output)

    def test_exit_status_and_arguments_pass_through(self):
        status, output = self.run_wrapper(engine.Engine.wrapper, "sh", "-c",
                                          "echo \"$1\"; exit 3", "sh", "a  b")
        self.assertEqual((status, output), (3, "a  b\n"))


if __name__ == "__main__":
    engine.main()
