# SPDX-License-Identifier: BSD-3-Clause
"""
Between an IKE daemon and an engine's control socket: passes everything on. One asks for SAs as a
kernel would that wants one for each CPU (an acquire with XFRMA_SA_PCPU), which an engine never does;
another kills the engine at a certain message.
"""

import contextlib
import os
import selectors
import socket
import struct
import threading

NEWSA, ALLOCSPI, ACQUIRE, UPDSA = 16, 22, 23, 26  # types of messages
XFRMA_SA_PCPU = 35
LONGEST = 1 << 16


class Between:
    """To be given to a Charon in the place of the engine."""

    def __init__(self, engine):
        self.engine = engine
        self.selector = selectors.DefaultSelector()
        self.wake, self.woken = socket.socketpair()
        self.selector.register(self.woken, selectors.EVENT_READ)
        self.listen()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path("xfrm.sock"))
        self.listener.listen()
        self.selector.register(self.listener, selectors.EVENT_READ)

    def path(self, name):
        return self.engine.path("between.sock" if name == "xfrm.sock" else name)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.woken:
                    return
                if key.fileobj.fileno() < 0:
                    continue  # closed since
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
            self.end(source, target)
        elif self.passes(struct.unpack_from("=H", message, 4)[0], message, target):
            with contextlib.suppress(OSError):
                target.send(message)

    def end(self, *sockets):
        for s in sockets:
            self.selector.unregister(s)
            s.close()

    def passes(self, kind, message, target):
        """Whether a message is passed on, asked in front of each."""
        return True

    def close(self):
        self.wake.close()
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        os.unlink(self.path("xfrm.sock"))


class Asking(Between):
    """Knows the last acquire, and can ask again."""

    acquire = None  # the daemon's connection, message

    def passes(self, kind, message, target):
        if kind == ACQUIRE:
            self.acquire = target, message
        return True

    def ask(self, cpu):
        """The last acquire once more, for a CPU."""
        daemon, message = self.acquire
        message += struct.pack("=HHI", 8, XFRMA_SA_PCPU, cpu)
        daemon.send(struct.pack("=I", len(message)) + message[4:])


class Killing(Between):
    """Kills the engine in front of the message that it is told, with all connections."""

    def __init__(self, engine):
        self.killed = threading.Event()
        self.fatal = []
        super().__init__(engine)

    def arm(self, *kinds):
        """At a message of the last kind, once one of each kind before has passed."""
        self.killed.clear()
        self.fatal = list(kinds)

    def passes(self, kind, message, target):
        if not self.fatal or kind != self.fatal[0]:
            return True
        self.fatal.pop(0)
        if self.fatal:
            return True
        self.engine.kill()
        os.unlink(self.path("xfrm.sock"))
        self.end(*[key.fileobj for key in self.selector.get_map().values()
                   if key.fileobj is not self.woken])
        self.killed.set()
        return False
