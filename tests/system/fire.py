# SPDX-License-Identifier: BSD-3-Clause
"""Bad clients of the control socket: a crowd of every kind, and the inputs that the fuzzer has kept."""

import random
import select
import socket
import struct
import sys
import threading

from netns import ROOT, wait_for

sys.path.insert(0, str(ROOT / "tests/unit/ikeglue"))

from xfrm import FLUSHPOLICY, FLUSHSA, NEWPOLICY, NEWSA, REQUEST, UPDPOLICY  # noqa: E402

CONNECTIONS = 1000
CORPUS = ROOT / "tests/fuzz/corpus/xfrm"


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.setblocking(False)
    try:
        s.connect(path)
    except BlockingIOError:
        s.close()
        return None
    return s


class Fire:
    """Clients of every bad kind, until told to stop."""

    def __init__(self, path):
        self.path, self.stop, self.sent, self.refused = path, False, 0, 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        draw = random.Random(4)
        crowd = [s for s in (connect(self.path) for _ in range(CONNECTIONS)) if s]
        while not self.stop:
            for i, s in enumerate(crowd):
                self.one(draw, i % 5, s)
            gone = [s for s in crowd if select.select([s], [], [], 0)[0] and not self.alive(s)]
            for s in gone:
                s.close()
            crowd = [s for s in crowd if s not in gone]
            crowd += [s for s in (connect(self.path) for _ in range(CONNECTIONS - len(crowd))) if s]
            self.refused += len(gone)
        for s in crowd:
            s.close()

    @staticmethod
    def alive(s):
        try:
            return s.recv(1, socket.MSG_PEEK) != b""
        except OSError:
            return False

    def one(self, draw, kind, s):
        try:
            if kind == 0:  # garbage
                s.send(draw.randbytes(draw.randrange(1, 300)))
            elif kind == 1:  # asks and never reads
                s.send(struct.pack("=IHHIII", 20, 0x23, 1, 1, 0, 0) * 50)
            elif kind == 2:  # a byte at a time
                s.send(b"\x10")
            elif kind == 3:  # half closed
                s.shutdown(socket.SHUT_WR)
            else:  # lies about its length
                s.send(struct.pack("=IHHII", 4000, NEWSA, 1, 1, 0) + bytes(300))
            self.sent += 1
        except OSError:
            pass  # it was hung up on

    def __enter__(self):
        self.thread.start()
        wait_for(lambda: self.sent > CONNECTIONS, "the fire to burn")
        return self

    def __exit__(self, *exc):
        self.stop = True
        self.thread.join()


def tamed(data):
    """A datagram whose messages flush nothing, and whose policies come after all others."""
    data, at = bytearray(data), 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind in (FLUSHSA, FLUSHPOLICY):
            data[at + 6] &= ~REQUEST
        if kind in (NEWPOLICY, UPDPOLICY) and at + 172 <= len(data):
            struct.pack_into("=I", data, at + 168, 2 ** 32 - 1)
        if length < 16:
            break
        at += (length + 3) & ~3
    return bytes(data)


def feed_corpus(path):
    """Each on a connection of its own; gives how many were answered, or hung up on."""
    heard = 0
    for file in sorted(CORPUS.iterdir()):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(path)
            s.send(tamed(file.read_bytes()) or b"\0")
            s.shutdown(socket.SHUT_WR)
            s.settimeout(20)
            while s.recv(65536):
                pass
            heard += 1
    return heard
