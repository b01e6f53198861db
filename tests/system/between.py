# SPDX-License-Identifier: BSD-3-Clause
"""
Between an IKE daemon and an engine's control socket: passes everything on, and asks for SAs as a
kernel would that wants one for each CPU (an acquire with XFRMA_SA_PCPU), which an engine never does.
"""

import contextlib
import os
import selectors
import socket
import struct
import threading

ACQUIRE, XFRMA_SA_PCPU = 23, 35
LONGEST = 1 << 16


class Asking:
    """To be given to a Charon in the place of the engine."""

    def __init__(self, engine):
        self.engine = engine
        self.acquires = []  # (the daemon's connection, message)
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path("asking.sock"))
        self.listener.listen()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.wake, self.woken = socket.socketpair()
        self.selector.register(self.woken, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def path(self, name):
        return self.engine.path("asking.sock" if name == "xfrm.sock" else name)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.woken:
                    return
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    self.relay(key.fileobj, key.data)

    def accept(self):
        daemon, _ = self.listener.accept()
        engine = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        engine.connect(self.engine.path("xfrm.sock"))
        for one, other in ((daemon, engine), (engine, daemon)):
            self.selector.register(one, selectors.EVENT_READ, other)

    def relay(self, source, target):
        message = b""
        with contextlib.suppress(OSError):
            message = source.recv(LONGEST)
        if not message:
            for end in (source, target):
                self.selector.unregister(end)
                end.close()
            return
        if struct.unpack_from("=H", message, 4) == (ACQUIRE,):
            self.acquires.append((target, message))
        with contextlib.suppress(OSError):
            target.send(message)

    def ask(self, cpu):
        """The last acquire once more, for a CPU."""
        daemon, message = self.acquires[-1]
        message += struct.pack("=HHI", 8, XFRMA_SA_PCPU, cpu)
        daemon.send(struct.pack("=I", len(message)) + message[4:])

    def close(self):
        self.wake.close()
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        os.unlink(self.path("asking.sock"))
