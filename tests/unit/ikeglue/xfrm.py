# SPDX-License-Identifier: BSD-3-Clause
"""XFRM netlink by hand, straight to the engine's socket: what no program at hand would say.

Layouts are those of linux/xfrm.h.
"""
import itertools
import socket
import struct

(NEWSA, DELSA, GETSA, NEWPOLICY, DELPOLICY, GETPOLICY, ALLOCSPI, ACQUIRE, EXPIRE, UPDPOLICY, UPDSA,
 POLEXPIRE, FLUSHSA, FLUSHPOLICY, NEWAE, GETAE, REPORT, MIGRATE) = range(16, 34)
ERROR, DONE = 2, 3
REQUEST, ACK, REPLACE, DUMP = 1, 4, 0x100, 0x300
(A_ALG_CRYPT, A_ENCAP, A_TMPL, A_LTIME, A_REPLAY, A_REPLAY_THRESH, A_ETIMER_THRESH, A_COADDR,
 A_LASTUSED, A_MIGRATE, A_AEAD, A_KMADDRESS, A_MARK, A_ESN, A_EXTRA, A_PROTO, A_FILTER, A_IF_ID,
 A_DIR, A_KEEPALIVE, A_PCPU) = (2, 4, 5, 9, 10, 11, 12, 14, 15, 17, 18, 19, 21, 23, 24, 25, 26, 31, 33,
                                34, 35)
GROUP_EXPIRE, GROUP_AE, GROUP_MIGRATE = 2, 5, 7
HELLO, EXT_ACK = 15, 1
IN, OUT, FWD = range(3)
INF = 2 ** 64 - 1

OURS, THEIRS, OTHER = "192.0.2.1", "192.0.2.2", "198.51.100.2"


def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text).ljust(16, b"\0")


def family(text):
    return socket.AF_INET6 if ":" in text else socket.AF_INET


def selector(src=None, dst=None, proto=0):
    """From one prefix to another, (text, bits) each."""
    src, dst = src or ("0.0.0.0", 0), dst or ("0.0.0.0", 0)
    return struct.pack("=16s16sHHHHHBBB3xiI", address(dst[0]), address(src[0]), 0, 0, 0, 0,
                       family(src[0]), dst[1], src[1], proto, 0, 0)


def limits(soft_add=0, hard_add=0, soft_use=0, hard_use=0):
    return struct.pack("=8Q", INF, INF, INF, INF, soft_add, hard_add, soft_use, hard_use)


def sa_info(src=OURS, dst=THEIRS, spi=0x1000, seq=0, reqid=1, window=32, flags=0, mode=1):
    return selector() + struct.pack("=16s", address(dst)) + struct.pack("!IB3x", spi, 50) \
        + address(src) + limits() + bytes(32 + 12) \
        + struct.pack("=IIHBBB7x", seq, reqid, family(dst), mode, window, flags)


def sa_id(dst=THEIRS, spi=0x1000):
    return address(dst) + struct.pack("!I", spi) + struct.pack("=HBx", family(dst), 50)


def ae_id(src=OURS, dst=THEIRS, spi=0x1000, flags=0):
    return sa_id(dst, spi) + address(src) + struct.pack("=II", flags, 0)


def gcm(key):
    """XFRMA_ALG_AEAD: each number is another key."""
    return A_AEAD, struct.pack("=64sII", b"rfc4106(gcm(aes))", 160, 128) + \
        bytes([1]) + key.to_bytes(19, "big")


NEAR, FAR = ("10.1.0.0", 16), ("10.2.0.0", 16)


def address_filter(src, dst):
    """Of a dump: (text, bits) each."""
    return A_FILTER, address(src[0]) + address(dst[0]) + struct.pack("=HBB", family(src[0]), src[1], dst[1])


def encap(sport, dport):
    return A_ENCAP, struct.pack("=H", 2) + struct.pack("!HH", sport, dport) + bytes(18)


def policy_info(src=NEAR, dst=FAR, direction=OUT, lifetime=limits(), flags=0, proto=0):
    return selector(src, dst, proto) + lifetime + bytes(32) + \
        struct.pack("=IIBBBB4x", 0, 0, direction, 0, flags, 0)


def policy_id(src=NEAR, dst=FAR, direction=OUT):
    return selector(src, dst) + struct.pack("=IB3x", 0, direction)


def template(src=OURS, dst=THEIRS, reqid=1, mode=1):
    return A_TMPL, address(dst) + struct.pack("!IB3x", 0, 50) + struct.pack("=Hxx", family(dst)) \
        + address(src) + struct.pack("=IBBBx3I", reqid, mode, 0, 0, 2**32 - 1, 2**32 - 1, 2**32 - 1)


def step(old, new, reqid=0, mode=1):
    """One change of (source, destination) for MIGRATE."""
    return address(old[1]) + address(old[0]) + address(new[1]) + address(new[0]) + \
        struct.pack("=BBHIHH", 50, mode, 0, reqid, family(old[1]), family(new[1]))


def attribute_list(data):
    found = []
    while data:
        length, kind = struct.unpack_from("=HH", data)
        found.append((kind, data[4:length]))
        data = data[(length + 3) & ~3:]
    return found


def attributes(data):
    return dict(attribute_list(data))


class Message:
    def __init__(self, data):
        self.length, self.type, self.flags, self.seq, self.port = struct.unpack_from("=IHHII", data)
        self.body = data[16:self.length]

    def attributes(self, fixed):
        return attributes(self.body[fixed:])


class Refused(Exception):
    def __init__(self, errno, text):
        super().__init__(f"{errno} {text}")
        self.errno = errno


class Xfrm:
    """A connection; `groups` are numbers of XFRMNLGRP_*."""

    def __init__(self, path, *groups):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.numbers = itertools.count(1)
        mask = sum(1 << (group - 1) for group in groups)
        self.send(HELLO, 0, struct.pack("=IIIIQ", 2, 4711, mask, EXT_ACK, id(self)))

    def close(self):
        self.socket.close()

    def send(self, kind, flags, fixed, *attrs, seq=0):
        data = fixed.ljust((len(fixed) + 3) & ~3, b"\0")
        for number, value in attrs:
            data += struct.pack("=HH", len(value) + 4, number) + value.ljust((len(value) + 3) & ~3, b"\0")
        self.socket.send(struct.pack("=IHHII", len(data) + 16, kind, flags, seq, 0) + data)

    def receive(self):
        return self.receive_all()[0]

    def receive_all(self):
        """The messages of one datagram."""
        data = self.socket.recv(65536)
        assert data, "the engine hung up"
        messages = []
        while data:
            messages.append(Message(data))
            data = data[(messages[-1].length + 3) & ~3:]
        return messages

    def ask(self, kind, fixed, *attrs, flags=0, seq=None):
        """A request; what comes before its acknowledgement, in a list. Refused with errno and text."""
        self.send(kind, REQUEST | ACK | flags, fixed, *attrs,
                  seq=next(self.numbers) if seq is None else seq)
        got = []
        while True:
            message = self.receive()
            if message.type != ERROR:
                got.append(message)
                continue
            error = -struct.unpack_from("=i", message.body)[0]
            if error == 0:
                return got
            raise Refused(error, attributes(message.body[20:]).get(1, b"\0")[:-1].decode())
