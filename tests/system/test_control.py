# SPDX-License-Identifier: BSD-3-Clause
"""
The control socket under fire, beside traffic that it must not touch; what a message costs; and who
`sealane-xfrm --check` believes.
"""

import os
import subprocess
import time

import pytest

from engine import TOOLS
from fire import CONNECTIONS, Fire
from gateway import HOST, REMOTE, udp
from netns import wait_for
from xfrm import GETSA, NEWSA, Xfrm, gcm, sa_id, sa_info

PACKETS = 400


def memory(engine):
    with open(f"/proc/{engine.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def test_a_crowd_at_the_control_socket_costs_no_packet(gateway):
    tunnel = gateway.tunnel()
    gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
    before = memory(gateway.engine)
    with Fire(gateway.engine.path("xfrm.sock")) as fire:
        for _ in range(PACKETS):
            gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
            gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))
        burnt = fire.sent
    assert burnt > 2 * CONNECTIONS and fire.refused > 0
    # 256 connections at most, a mebibyte at most for each that does not read.
    assert memory(gateway.engine) - before < 300 * 1024
    wait_for(lambda: gateway.engine.ctl("client", "show")["client"] == [], "the crowd to be gone")
    assert gateway.engine.ip("xfrm state list").count("proto esp") == 2


def test_a_thousand_sas_over_the_socket(gateway):
    """Prints what a message costs, round trip; the target is 50 microseconds (no verdict on time)."""
    gateway.engine.batch(["xfrm state flush"])
    xfrm = Xfrm(gateway.engine.path("xfrm.sock"))
    for name, ask in (("NEWSA", lambda i: xfrm.ask(NEWSA, sa_info(spi=0x1000 + i), gcm(i + 1))),
                      ("GETSA", lambda i: xfrm.ask(GETSA, sa_id(spi=0x1000 + i)))):
        start = time.perf_counter()
        for i in range(1000):
            ask(i)
        print(f"{name}: {(time.perf_counter() - start) * 1000:.0f} us a message")
    xfrm.close()
    assert "SAD count 1000" in gateway.engine.ip("xfrm state count")
    gateway.engine.batch(["xfrm state flush"])


class TestCheck:
    @pytest.fixture
    def monitor(self, gateway):
        process = subprocess.Popen(
            [TOOLS / "sealane-xfrm", "ip", "xfrm", "monitor"], stdout=subprocess.DEVNULL,
            env={**os.environ, "SEALANE_XFRM_SOCKET": gateway.engine.path("xfrm.sock")})
        wait_for(lambda: process.pid in [row["pid"] for row in
                                         gateway.engine.ctl("client", "show")["client"]],
                 "the monitor to connect")
        yield process
        process.kill()
        process.wait()

    def test_of_one_that_talks_to_the_engine(self, gateway, monitor):
        assert gateway.engine.believes(monitor.pid) == (
            0, f"process {monitor.pid}: talks to the engine\n")

    def test_of_one_without_the_library(self, gateway, monitor):
        status, said = gateway.engine.believes(monitor.pid, os.getpid())
        assert status == 1
        assert f"process {os.getpid()}: talks to the kernel" in said

    def test_of_one_with_the_library_and_no_connection(self, gateway):
        other = subprocess.Popen([TOOLS / "sealane-xfrm", "sleep", "600"])
        try:
            wait_for(lambda: "no connection to this engine" in
                     gateway.engine.believes(other.pid)[1], "the library to be there")
            assert gateway.engine.believes(other.pid)[0] == 1
        finally:
            other.kill()
            other.wait()

    def test_of_none_and_without_an_engine(self, gateway, tmp_path):
        status, said = gateway.engine.believes(2 ** 22 + 1)
        assert status == 1 and "not there" in said
        result = subprocess.run([TOOLS / "sealane-xfrm", "--check", "1"], capture_output=True,
                                env={**os.environ, "SEALANE_SHOW_SOCKET": str(tmp_path / "none")})
        assert result.returncode == 1 and result.stderr
