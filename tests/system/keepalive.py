# SPDX-License-Identifier: BSD-3-Clause
"""
XFRMA_NAT_KEEPALIVE_INTERVAL, for which iproute2 6.1 has no word: an SA is read, deleted, and added
again with that attribute behind what was read. Run by itself, under sealane-xfrm, it does so.
"""

import os
import socket
import struct
import subprocess
import sys

from engine import TOOLS

NETLINK_XFRM = 6
NEWSA, DELSA, GETSA = 0x10, 0x11, 0x12
REQUEST, ACK = 1, 4
INTERVAL = 34


def message(kind, body):
    return struct.pack("=IHHII", 16 + len(body), kind, REQUEST | ACK, kind, 0) + body


def ask_by_netlink(dst, spi, seconds):
    family = socket.AF_INET6 if ":" in dst else socket.AF_INET
    address = socket.inet_pton(family, dst).ljust(16, b"\0")
    identity = address + struct.pack("!I", spi) + struct.pack("=HBx", family, 50)
    xfrm = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
    xfrm.send(message(GETSA, identity))
    answer = xfrm.recv(8192)
    length = struct.unpack_from("=I", answer)[0]
    assert xfrm.recv(8192)  # the acknowledgement
    for kind, body in ((DELSA, identity),
                       (NEWSA, answer[16:length] + struct.pack("=HHI", 8, INTERVAL, seconds))):
        xfrm.send(message(kind, body))
        error = struct.unpack_from("=i", xfrm.recv(8192), 16)[0]
        assert error == 0, os.strerror(-error)


def ask(engine, tunnel, seconds):
    """Lets the outbound SA of the tunnel send a keepalive after so many seconds of silence."""
    result = subprocess.run(
        engine.netns.command(TOOLS / "sealane-xfrm", sys.executable, __file__, tunnel.theirs,
                             str(tunnel.spi_out), str(seconds)),
        capture_output=True, text=True,
        env={**os.environ, "SEALANE_XFRM_SOCKET": engine.path("xfrm.sock")})
    assert result.returncode == 0, result.stderr


if __name__ == "__main__":
    ask_by_netlink(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
