# SPDX-License-Identifier: BSD-3-Clause
"""Two gateways under the test's control, which is the wire between them and the hosts behind both."""

import contextlib
import select
import struct

from gateway import OURS, THEIRS, Gateway
from ikenet import Numbers
from netns import wait_for

UNDER_WAY = 128  # packets at a time: any ring holds them
HOSTS = "10.0.0.0/8"  # host i has SA i


class Side(Gateway):
    """One of two gateways, with addresses of its own."""

    def __init__(self, me, other, near, far, **engine):
        self.me, self.other, self.near, self.far = me, other, near, far
        super().__init__(**engine)

    def address(self):
        """Hosts are behind `far`, if that is a neighbour on the LAN, or behind the other gateway."""
        via = self.far or self.other
        self.gw.batch([f"addr add {self.near} dev lan", f"addr add {self.me}/24 dev wan",
                       f"route add {HOSTS} via {via}",
                       f"neigh replace {self.other} lladdr {self.wan.mac} dev wan nud permanent"])
        if self.far:
            self.gw.ip(f"neigh replace {self.far} lladdr {self.lan.mac} dev lan nud permanent")
        wait_for(lambda: HOSTS in self.engine.routes() and via in self.engine.neighbours(),
                 "the engine to follow routes and neighbours")


def ether(wire):
    """The header of a frame from a wire to its gateway."""
    return bytes.fromhex((wire.gateway_mac + wire.mac).replace(":", "")) + b"\x08\x00"


class Traffic:
    """
    Numbered packets to one host after the other, through the tunnels of two gateways. The wire between
    them is the test itself, which so sees each frame.
    """

    def __init__(self, moon, sun, hosts):
        self.moon, self.sun, self.hosts = moon, sun, hosts
        self.numbers = Numbers()
        self.sent = self.came = self.twice = 0
        self.seen = bytearray()
        self.to_moon, self.to_sun = ether(moon.lan), ether(sun.wan)

    def packet(self, number):
        """UDP of 64 bytes in a frame; the sum over its header is adjusted by what differs."""
        host = 0x0a000000 + number % self.hosts
        head = struct.pack("!BBHHHBBHII", 0x45, 0, 64, 0, 0, 64, 17, 0, 0xac100002, host)
        total = sum(struct.unpack("!10H", head))
        total = (total & 0xffff) + (total >> 16)
        head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + head[12:]
        return (self.to_moon + head + struct.pack("!HHHHQ", 4000, 5000, 44, 0, number)
                + bytes(28))

    def carry(self):
        """What is on the wire goes on to the other gateway."""
        while (frame := self.moon.wan.receive_frame()) is not None:
            self.numbers.see(frame)
            self.sun.wan.send(self.to_sun[:12] + frame[12:])

    def take(self):
        while (frame := self.sun.lan.receive_frame()) is not None:
            number = struct.unpack_from("!Q", frame, 42)[0]
            self.came += not self.seen[number]
            self.twice += self.seen[number]
            self.seen[number] = 1

    def turn(self):
        """Sends what may be under way, and waits until something moves."""
        while self.sent - self.came < UNDER_WAY:
            self.moon.lan.send(self.packet(self.sent))
            self.seen.append(0)
            self.sent += 1
        self.move()

    def move(self):
        sockets = [self.moon.wan.socket, self.sun.lan.socket]
        assert select.select(sockets, [], [], 20)[0], f"lost on the way: {self.lost()}"
        self.carry()
        self.take()

    def until(self, condition):
        while not condition():
            self.turn()

    def drain(self):
        while self.came < self.sent:
            self.move()

    def lost(self):
        return [{r: n for r, n in side.engine.drops().items() if n} for side in (self.moon, self.sun)]


@contextlib.contextmanager
def two_gateways(moon=(), sun=(), **both):
    """Hosts are behind the second one, sun; `both` are sections of their configurations."""
    sides = []
    try:
        for me, other, near, far, own in (
                (OURS[4], THEIRS[4], "172.16.0.1/24", None, moon),
                (THEIRS[4], OURS[4], "172.17.0.1/24", "172.17.0.2", sun)):
            sides.append(Side(me, other, near, far, **{**both, **dict(own)}))
        yield sides
    finally:
        for side in sides:
            side.close()
