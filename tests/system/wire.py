# SPDX-License-Identifier: BSD-3-Clause
"""The far end of a veth that carries an engine's port: frames are sent and seen exactly as they are."""

import select
import socket
import struct
import time

from scapy.layers.l2 import Dot1Q, Ether

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_QDISC_BYPASS = 20
PACKET_IGNORE_OUTGOING = 23
SO_RCVBUFFORCE = 33
TP_STATUS_VLAN_VALID = 1 << 4


class Wire:
    """
    A packet socket on an interface of a namespace. What arrives and was not asked for stays in
    `seen`, so that a test can say that nothing else came.
    """

    def __init__(self, netns, ifname, gateway_mac):
        self.mac = netns.mac(ifname)
        self.gateway_mac = gateway_mac
        self.seen = []
        with netns.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self.socket.bind((ifname, ETH_P_ALL))
        self.socket.setblocking(False)

    def close(self):
        self.socket.close()

    def frame(self, packet, vlan=None):
        """An Ethernet frame with the packet, from here to the gateway."""
        ether = Ether(src=self.mac, dst=self.gateway_mac)
        return ether / Dot1Q(vlan=vlan) / packet if vlan else ether / packet

    def send(self, packet, vlan=None):
        """Sends an IP packet to the gateway; an Ether frame or bytes go as they are."""
        if not isinstance(packet, (bytes, Ether)):
            packet = self.frame(packet, vlan)
        data = bytes(packet)
        while True:
            try:
                return self.socket.send(data)
            except (BlockingIOError, OSError) as error:
                if error.errno not in (11, 105):  # EAGAIN, ENOBUFS: the queue is full
                    raise
                select.select([], [self.socket], [], 1)

    def receive_frame(self):
        """The next frame's bytes, its 802.1Q tag put back, or None."""
        try:
            data, ancillary, _, _ = self.socket.recvmsg(65536, 64)
        except BlockingIOError:
            return None
        for level, kind, value in ancillary:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, tci, tpid = struct.unpack_from("=I12xHH", value + bytes(4))
                if status & TP_STATUS_VLAN_VALID:
                    data = data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
        return data

    def receive(self, match, what="a packet", seconds=10):
        """Waits for the first frame for which `match` is true; others go to `seen`."""
        end = time.monotonic() + seconds
        while True:
            data = self.receive_frame()
            if data is None:
                left = end - time.monotonic()
                assert left > 0, f"waited in vain for {what}; came instead: " \
                    f"{[p.summary() for p in self.seen[-20:]]}"
                select.select([self.socket], [], [], left)
                continue
            packet = Ether(data)
            if match(packet):
                return packet
            self.seen.append(packet)

    def take(self):
        """Everything that has come unasked, and forgets it."""
        while (data := self.receive_frame()) is not None:
            self.seen.append(Ether(data))
        seen, self.seen = self.seen, []
        return seen


class HostWire(Wire):
    """
    A host interface of the engine, from the kernel's side: what it sends goes past the filter that
    mutes the kernel there. `next_hop` is the MAC address that the kernel would have resolved.
    """

    def __init__(self, netns, ifname, next_hop):
        super().__init__(netns, ifname, next_hop)
        self.socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)


def payload_is(data):
    """A match: the frame ends in these bytes, in clear text."""
    return lambda packet: packet.original.endswith(data)
