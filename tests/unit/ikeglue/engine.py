# SPDX-License-Identifier: BSD-3-Clause
"""The test daemon and the wrapper, as the tests of this folder use them: no root, no data plane.

Each test program is called as TEST XFRM_HOST WRAPPER; meson gives the paths.
"""
import os
import subprocess
import sys
import tempfile
import time
import unittest


class Engine:
    """xfrm_host on a socket of its own."""

    program = wrapper = None  # set by main()

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sealane-")
        self.socket = os.path.join(self.folder.name, "xfrm.sock")
        self.environment = dict(os.environ, SEALANE_XFRM_SOCKET=self.socket, LC_ALL="C")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.program, self.socket], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == "ready\n"

    def stop(self):
        """Ends it; its exit status, which a sanitizer's complaint makes non-zero."""
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def close(self):
        status = self.stop() if self.process.poll() is None else 0
        self.folder.cleanup()
        assert status == 0, status

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        return self.process.stdout.readline().strip()

    def await_subscriber(self):
        self.await_told("subscribers", lambda answer: answer != "0")

    def await_told(self, command, condition):
        while not condition(self.tell(command)):
            time.sleep(0.01)

    def run(self, *command, stdin=None):
        """A command under the wrapper: exit status and output, errors included."""
        done = subprocess.run([self.wrapper, *command], env=self.environment, text=True,
                              input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def popen(self, *command, **more):
        return subprocess.Popen([self.wrapper, *command], env=self.environment, text=True,
                                bufsize=1, stdout=subprocess.PIPE, **more)


class EngineTest(unittest.TestCase):
    def setUp(self):
        self.engine = Engine()
        self.addCleanup(self.engine.close)

    def ip(self, command, *more):
        """An `ip` command that must succeed: its output."""
        status, output = self.engine.run("ip", *command.split(), *more)
        self.assertEqual(status, 0, output)
        return output

    def refused(self, command, *more):
        """An `ip` command that must fail: what it says."""
        status, output = self.engine.run("ip", *command.split(), *more)
        self.assertNotEqual(status, 0, output)
        return output


def main():
    Engine.wrapper = os.path.abspath(sys.argv.pop(2))
    Engine.program = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
