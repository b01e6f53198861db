# SPDX-License-Identifier: BSD-3-Clause
"""Runs inside the wrapper: a program that believes to hold netlink sockets.

Called with the name of one of the functions below; it reads a line from stdin where the test is to
do something first, says "at WORD" where it got to, and an assertion ends it with a traceback.
"""
import errno
import itertools
import os
import select
import socket
import struct
import sys
import threading
import time

import xfrm

NETLINK_XFRM = 6
GETSADINFO, NEWSADINFO, FLUSHSA, NEWSA = 0x23, 0x22, 0x1c, 0x10
ADD_MEMBERSHIP, SOL_NETLINK = 1, 270
SAS = 1000  # more than a socket holds messages
numbers = itertools.count(1)


def say(word):
    print("at", word, flush=True)


def wait():
    sys.stdin.readline()


def netlink(kind=socket.SOCK_RAW):
    return socket.socket(socket.AF_NETLINK, kind, NETLINK_XFRM)


def request(kind, payload, seq=1, flags=1):
    return struct.pack("IHHII", 16 + len(payload), kind, flags, seq, 0) + payload


def info(s, seq=1):
    """Asks how many SAs there are; the answer's header."""
    s.send(request(GETSADINFO, b"\xff\xff\xff\xff", seq))
    data, source = s.recvfrom(4096)
    assert source == (0, 0), source
    length, kind, _, sequence, port = struct.unpack("IHHII", data[:16])
    assert (length, kind, sequence) == (len(data), NEWSADINFO, seq)
    return port


def error_of(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return 0


def names():
    """bind() chooses port ids as the kernel does; replies carry them."""
    first, second, third = netlink(), netlink(socket.SOCK_DGRAM), netlink()
    first.bind((0, 0))
    second.bind((0, 3))
    third.bind((4711, 0))
    assert first.getsockname() == (os.getpid(), 0), first.getsockname()
    assert second.getsockname()[1] == 3
    assert len({s.getsockname()[0] for s in (first, second, third)}) == 3
    assert third.getsockname() == (4711, 0)
    for s in (first, second, third):
        assert info(s) == s.getsockname()[0]
    unbound = netlink()
    assert unbound.getsockname() == (0, 0)
    assert info(unbound) == unbound.getsockname()[0] != 0
    third.send(request(GETSADINFO, b"\xff\xff\xff\xff"))
    peek = third.recv_into(bytearray(4), 4, socket.MSG_PEEK | socket.MSG_TRUNC)
    data, _, _, source = third.recvmsg(4096)
    assert len(data) == peek and source == (0, 0), (peek, source)


def descriptors():
    """Duplicates are the same socket; a closed number is nobody's."""
    s = netlink()
    s.bind((0, 0))
    port = s.getsockname()[0]
    copy = socket.socket(fileno=os.dup(s.fileno()))
    assert copy.getsockname()[0] == port
    s.close()
    assert info(copy) == port
    number = copy.fileno()
    pipe = os.pipe()
    os.dup2(pipe[0], number)  # replaces it
    os.write(pipe[1], b"x")
    assert os.read(number, 10) == b"x"
    copy.detach()
    os.close(number)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    assert other.getsockname()[0] == "0.0.0.0"
    s = netlink()
    os.closerange(s.fileno(), s.fileno() + 1)
    number = s.detach()
    unix = socket.socketpair()
    assert number in (unix[0].fileno(), unix[1].fileno())
    assert unix[0].getsockname() == ""


def forks():
    """A child uses what it inherited; what it closes stays open with the parent."""
    s = netlink()
    s.bind((0, 0))
    port = s.getsockname()[0]
    child = os.fork()
    if child == 0:
        assert info(s) == port
        s.close()
        own = netlink()
        own.bind((0, 0))
        assert own.getsockname()[0] == os.getpid()
        os._exit(0 if info(own) == os.getpid() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert info(s) == port
    import subprocess
    assert subprocess.run(["true"]).returncode == 0  # vfork
    assert s.getsockname()[0] == port


def threads():
    """Many threads open, ask and close."""
    failed = []

    def work(number):
        try:
            for seq in range(1, 50):
                s = netlink()
                s.bind((0, 0))
                assert info(s, seq) == s.getsockname()[0]
                s.close()
        except BaseException as error:
            failed.append((number, error))

    all_threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in all_threads:
        thread.start()
    for thread in all_threads:
        thread.join()
    assert not failed, failed


def others():
    """What is no XFRM socket is left alone, but for UDP_ENCAP."""
    route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    route.bind((0, 0))
    assert route.getsockname()[0] == os.getpid()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.setsockopt(socket.IPPROTO_UDP, 100, 2)  # UDP_ENCAP, UDP_ENCAP_ESPINUDP
    assert udp.getsockopt(socket.IPPROTO_UDP, 100) == 0
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.sendto(b"\0\0\1\0" + b"x" * 60, udp.getsockname())  # would be ESP
    assert udp.recv(100).endswith(b"x")


def engine_gone_without_an_answer():
    """Who waits for one gets an error message: charon takes an errno for nothing and waits on."""
    s = netlink()
    s.bind((0, 0))
    port = info(s)
    say("up")
    wait()  # the engine is stopped
    s.send(request(GETSADINFO, b"\xff\xff\xff\xff", 77))
    say("asked")
    data = s.recv(4096)  # the engine is killed
    length, kind, _, seq, _, error = struct.unpack("IHHIIi", data[:20])
    assert (length, kind, seq, error) == (len(data), 2, 77, -errno.ENETDOWN)
    say("down")
    wait()  # the engine is back
    assert info(s) == port


def engine_gone():
    """ENETDOWN once, then silence; connected again, and subscribed again, with the next request."""
    s, events = netlink(), netlink()
    s.bind((0, 0))
    events.bind((0, 0))
    events.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, 3)  # XFRMNLGRP_SA
    events.setblocking(False)
    port = s.getsockname()[0]
    assert info(s) == port
    say("subscribed")
    wait()  # the engine is killed
    assert select.select([events], [], [])[0] == [events]
    assert error_of(events.recv, 4096) == errno.ENETDOWN
    for _ in range(3):
        assert select.select([events], [], [], 0)[0] == []  # or a daemon spins
    assert error_of(events.recv, 4096) == errno.EAGAIN
    assert error_of(s.recv, 4096) == errno.ENETDOWN
    assert error_of(s.send, request(GETSADINFO, b"\xff\xff\xff\xff")) == errno.ENETDOWN
    assert error_of(os.write, s.fileno(), b"x") == errno.ENETDOWN
    late = netlink()  # opened while it is away
    late.bind((0, 0))
    assert error_of(late.send, b"x") == errno.ENETDOWN
    say("down")
    wait()  # it is started again
    assert info(s) == port == s.getsockname()[0]
    assert info(late) == late.getsockname()[0]
    assert error_of(events.recv, 4096) == errno.EAGAIN
    s.send(request(FLUSHSA, b"\0"))
    assert select.select([events], [], [])[0] == [events]
    assert struct.unpack("IHHII", events.recv(4096)[:16])[1] == FLUSHSA
    say("up")


def engine_back():
    """A program that sends nothing is subscribed again all the same, in its epoll set as well."""
    events, s = netlink(), netlink()
    events.bind((0, 4))  # XFRMNLGRP_SA
    s.bind((0, 0))
    assert info(s)
    events.setblocking(False)
    watched = select.epoll()
    watched.register(events, select.EPOLLIN)
    polled = select.poll()
    polled.register(events, select.POLLIN)
    say("subscribed")
    wait()  # the engine is killed
    assert watched.poll() and polled.poll()
    assert error_of(events.recv, 4096) == errno.ENETDOWN
    assert watched.poll(0) == [] == polled.poll(0)
    say("down")
    # It is started again, and an SA is flushed.
    data = None
    while data is None:
        assert watched.poll()
        try:
            data = events.recv(4096)
        except OSError as error:  # the parked end was exchanged
            assert error.errno in (errno.EAGAIN, errno.ENETDOWN), error
    assert struct.unpack("IHHII", data[:16])[1] == FLUSHSA
    assert polled.poll(0) == [] == watched.poll(0)
    while len(os.listdir("/proc/self/task")) > 1:  # the thread that looked ends
        time.sleep(0.01)
    watched.unregister(events)
    watched.close()
    number = events.fileno()
    events.close()
    assert info(s) and os.dup2(0, number) == number


def ask(s, kind, fixed, *attrs):
    """A request, which is acknowledged: 0, or its errno."""
    data = fixed.ljust(len(fixed) + 3 & ~3, b"\0")
    for number, value in attrs:
        data += struct.pack("=HH", len(value) + 4, number) + value.ljust(len(value) + 3 & ~3, b"\0")
    s.send(request(kind, data, next(numbers), 5))
    return -struct.unpack("=i", s.recv(4096)[16:20])[0]


def installs():
    """A daemon's policies come back by themselves, and it is told of the SAs that are gone."""
    events, s = netlink(), netlink()
    events.bind((0, 1 << xfrm.GROUP_EXPIRE - 1))
    s.bind((0, 0))
    red = xfrm.A_MARK, struct.pack("=II", 7, 2**32 - 1)
    deleted, blue = ("10.9.0.0", 16), (xfrm.A_IF_ID, struct.pack("=I", 5))
    for spi in range(0x1000, 0x1000 + SAS):
        assert ask(s, xfrm.NEWSA, xfrm.sa_info(spi=spi), xfrm.gcm(spi)) == 0
    assert ask(s, xfrm.NEWSA, xfrm.sa_info(spi=0x999), xfrm.gcm(1), red) == 0
    assert ask(s, xfrm.DELSA, xfrm.sa_id(spi=0x1000)) == 0
    for attrs in (), (red,), (blue,):
        for far in xfrm.FAR, deleted:
            assert ask(s, xfrm.NEWPOLICY, xfrm.policy_info(dst=far), xfrm.template(), *attrs) == 0
    assert ask(s, xfrm.UPDPOLICY, xfrm.policy_info(), xfrm.template(reqid=4)) == 0
    assert ask(s, xfrm.DELPOLICY, xfrm.policy_id(dst=deleted), red) == 0
    say("installed")
    wait()  # the engine is killed
    assert error_of(events.recv, 4096) == error_of(s.recv, 4096) == errno.ENETDOWN
    # What fails is the program's to repeat, or done with.
    assert error_of(ask, s, xfrm.DELPOLICY, xfrm.policy_id(dst=deleted), blue) == errno.ENETDOWN
    assert error_of(ask, s, xfrm.NEWPOLICY, xfrm.policy_info(dst=("10.8.0.0", 16)),
                    xfrm.template()) == errno.ENETDOWN
    say("down")
    wait()  # it is started again
    assert info(s)
    say("up")
    wait()  # they have been looked at
    expired = {}
    while len(expired) < SAS:
        try:
            message = xfrm.Message(events.recv(4096))
        except OSError as error:  # a moment when the parked end was exchanged
            assert error.errno == errno.ENETDOWN, error
            continue
        assert message.type == xfrm.EXPIRE and message.body[224] == 0, message.type  # a soft one
        expired[struct.unpack_from("!I", message.body, 72)[0]] = message.attributes(232)
    assert set(expired) == {0x999, *range(0x1001, 0x1000 + SAS)}
    assert expired[0x999][xfrm.A_MARK] == red[1]
    # Until they are deleted, nobody else is given their SPIs.
    assert ask(s, xfrm.DELSA, xfrm.sa_id(spi=0x999), red) == 0
    assert ask(s, xfrm.DELSA, xfrm.sa_id(spi=0x1001)) == 0
    assert ask(s, xfrm.DELSA, xfrm.sa_id(spi=0x1000)) == errno.ESRCH
    assert ask(s, xfrm.FLUSHPOLICY, b"") == ask(s, xfrm.FLUSHSA, b"\0") == 0
    say("flushed")
    wait()  # the engine is killed, and started again
    assert error_of(s.recv, 4096) == errno.ENETDOWN
    assert info(s)
    say("up")


def sleeper():
    """A poll() that slept while the engine was away hears what comes after its return."""
    events = netlink()
    events.bind((0, 4))  # XFRMNLGRP_SA
    events.setblocking(False)
    polled = select.poll()
    polled.register(events, select.POLLIN)
    say("subscribed")
    wait()  # the engine is killed
    assert error_of(events.recv, 4096) == errno.ENETDOWN
    say("down")
    # It is started again, and long after that an SA is flushed.
    data = None
    while data is None:
        assert polled.poll()
        try:
            data = events.recv(4096)
        except BlockingIOError:
            say("awake")
    assert struct.unpack("IHHII", data[:16])[1] == FLUSHSA


def daemon(spi, sas=1):
    """Subscribes, has SAs, and waits to be killed."""
    events, s = netlink(), netlink()
    events.bind((0, 1 << xfrm.GROUP_EXPIRE - 1))
    s.bind((0, 0))
    for spi in range(int(spi), int(spi) + int(sas)):
        assert ask(s, xfrm.NEWSA, xfrm.sa_info(spi=spi), xfrm.gcm(spi)) == 0
    say("installed")
    wait()


def overrun():
    """Lost events are ENOBUFS, once; then events go on."""
    events = netlink()
    events.bind((0, 0xffffffff))
    say("subscribed")
    wait()  # more events than are queued
    kinds, lost = [], 0
    while True:
        try:
            data = events.recv(4096)
        except OSError as error:
            assert error.errno == errno.ENOBUFS, error
            break
        kinds.append(struct.unpack("IHHII", data[:16])[1])
    assert set(kinds) == {NEWSA} and len(kinds) < 3000, len(kinds)
    say("lost")
    wait()  # one more
    assert struct.unpack("IHHII", events.recv(4096)[:16])[1] == FLUSHSA


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
