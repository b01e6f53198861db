# SPDX-License-Identifier: BSD-3-Clause
"""
Networks for real IKE daemons: gateways on a switch, a client behind each, and an eye on the wire
that tells ESP from clear text.

    alice 10.1.0.2 -- 10.1.0.1 moon 192.0.2.1 ==== switch ==== 192.0.2.2 sun 10.2.0.1 -- 10.2.0.2 bob

and the same over IPv6. A gateway is an engine with its charon, or a plain Linux with strongSwan's
own userspace ESP, kernel-libipsec.
"""

import collections
import contextlib
import select
import socket
import struct
import threading
import time

from charon import Authority, Charon
from engine import Engine, port
from netns import Netns, helper, wait_for
from wire import ETH_P_ALL, SO_RCVBUFFORCE

PACKET_OUTGOING = 4
SO_MEMINFO, MEMINFO_DROPS = 55, 8  # linux/sock_diag.h


class Switch:
    """A bridge in a namespace. What is attached to it is on one wire."""

    def __init__(self, netns, name="wire"):
        self.netns, self.name = netns, name
        self.ports = 0
        netns.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; "
                              "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
        netns.batch([f"link add {name} type bridge", f"link set {name} up"])

    def attach(self, netns, ifname):
        """A new interface of another namespace, connected here."""
        self.ports += 1
        mine = f"{self.name}-{self.ports}"
        helper("veth_new", netns.name, ifname, self.netns.name, mine)
        self.netns.ip("link set", mine, "master", self.name)


class Nat:
    """A router that hides the `inside` switch behind its address on another switch."""

    def __init__(self, outside, netns, address, inside_address, forward=None):
        self.netns, self.address = netns, address
        outside.attach(netns, "out")
        self.inside = Switch(netns, "in")
        netns.batch([f"addr add {address}/24 dev out", f"addr add {inside_address}/24 dev in"])
        netns.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        netns.run("nft", "-f", "-", input="""
            table ip nat {
                chain back { type nat hook postrouting priority srcnat;
                             oifname out masquerade random; }
                chain there { type nat hook prerouting priority dstnat; }
                chain nobody { type filter hook input priority filter;
                               iifname out meta l4proto udp drop; }
            }""")
        if forward:  # what is sent to the IKE ports here goes to one inside
            netns.run("nft", "add rule ip nat there iifname out udp dport { 500, 4500 } dnat to "
                      + forward)

    def move(self, address):
        """Takes another address; what was translated to the old one is forgotten."""
        self.netns.batch([f"addr del {self.address}/24 dev out", f"addr add {address}/24 dev out"])
        self.address = address


def ip_payload(frame):
    """Protocol and payload of a frame's IP packet, or None."""
    ethertype, packet = frame[12:14], frame[14:]
    if ethertype == b"\x08\x00":
        return packet[9], packet[(packet[0] & 15) * 4:]
    if ethertype == b"\x86\xdd":
        if packet[6] == 0:  # hop-by-hop options
            return packet[40], packet[48:]
        return packet[6], packet[40:]
    return None


def kind_of(frame):
    """What a frame on the wire is: esp, udp-esp, ike, keepalive, neighbour, or clear."""
    ip = ip_payload(frame)
    if ip is None:
        return "neighbour"  # ARP, or the link layer's own
    protocol, payload = ip
    if protocol in (50, 51):
        return "esp"
    if protocol == 58 and payload[0] in (130, 131, 132, 133, 134, 135, 136, 143):
        return "neighbour"
    if protocol == 17:
        ports = struct.unpack_from("!HH", payload)
        if 500 in ports:
            return "ike"
        if 4500 in ports:
            if len(payload) == 9:
                return "keepalive"
            return "ike" if payload[8:12] == bytes(4) else "udp-esp"
    return "clear"


def esp_numbers(frame):
    """SPI and sequence number of a frame with ESP."""
    protocol, payload = ip_payload(frame)
    return struct.unpack_from("!II", payload, 8 if protocol == 17 else 0)


class Numbers:
    """
    What was on the wire: packets with ESP, those in clear text, and sequence numbers that came twice.
    An IV that is always as far from the sequence number is as unique as that: `strayed` are others.
    """

    def __init__(self, frames=()):
        self.esp = self.clear = self.twice = self.strayed = 0
        self.seen, self.distance = {}, {}
        for frame in frames:
            self.see(frame)

    def see(self, frame):
        kind = kind_of(frame)
        self.clear += kind == "clear"
        if kind == "esp":
            self.note(*esp_numbers(frame), struct.unpack_from("!Q", frame, 42)[0])

    def note(self, spi, number, iv):
        seen = self.seen.setdefault(spi, bytearray())
        if number >= len(seen):
            seen.extend(bytes(number + 64 - len(seen)))
        self.esp += 1
        self.twice += seen[number]
        seen[number] = 1
        distance = (iv - number) % 2**64
        self.strayed += self.distance.setdefault(spi, distance) != distance


class Eye:
    """
    Sees every frame on a switch and says what they were. It looks where frames enter the ports: the
    bridge itself passes a frame on before it shows it, and an answer may be here before the question.
    """

    def __init__(self, switch):
        self.ports = f"{switch.name}-"
        with switch.netns.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 128 << 20)
        self.socket.setblocking(False)

    def frames(self):
        """What has passed since the last call."""
        while True:
            try:
                frame, address = self.socket.recvfrom(65536)
            except BlockingIOError:
                return
            if address[0].startswith(self.ports) and address[2] != PACKET_OUTGOING:
                yield frame

    def look(self):
        """How many of each kind have passed since the last call."""
        return collections.Counter(map(kind_of, self.frames()))

    def close(self):
        self.socket.close()


@contextlib.contextmanager
def watched(switch, sites, engines):
    """Gives an eye on the wire: a test may look() itself, and what is left must not be clear text. In
    the end everything that IKE had installed is gone."""
    eye = Eye(switch)
    yield eye
    assert not eye.look()["clear"]
    eye.close()
    for site in sites:
        site.charon.clear()
    for engine in engines:
        wait_for(lambda: not engine.ctl("sa", "show")["sa"], "the SAD to be empty")
        assert not engine.ctl("policy", "show")["policy"]


class Client:
    """A host behind a gateway, or anywhere with addresses: who sends and receives."""

    def __init__(self, name, netns=None):
        self.name, self.netns = name, netns or Netns(name)

    def ping(self, address, count=3, size=56, source=None):
        """
        Every echo request is answered. (Of several, ping itself is content with one, and waits for
        the last no longer than twice as long as the slowest took.)
        """
        words = ["-I", source] if source else []
        for _ in range(count):
            self.netns.run("ping", "-q", "-c", "1", "-W", "10", "-s", size, *words, address)

    def reaches(self, address):
        """Whether one echo request is answered within a second."""
        return "1 received" in self.netns.run("ping", "-q", "-c", "1", "-W", "1", address,
                                              check=False)

    def listen(self, port=5001):
        server = self.netns.socket(socket.AF_INET6, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("::", port))
        server.listen()
        server.settimeout(20)
        return server

    def tcp(self, server, address, port=5001, size=200_000):
        """Sends so many bytes to a server by TCP, and they come back."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        data = bytes(i * 7 & 255 for i in range(1024)) * (size // 1024)
        with server.listen(port) as listener, self.netns.socket(family, socket.SOCK_STREAM) as s:
            echo = threading.Thread(target=echo_once, args=(listener,))
            echo.start()
            s.settimeout(20)
            s.connect((address, port))
            sender = threading.Thread(target=send_all, args=(s, data))
            sender.start()
            back = bytearray()
            while len(back) < len(data) and (piece := s.recv(65536)):
                back += piece
            sender.join()
            echo.join()
        assert bytes(back) == data

    def close(self):
        self.netns.close()


def send_all(s, data):
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)


def echo_once(listener):
    s, _ = listener.accept()
    with s:
        s.settimeout(20)
        while piece := s.recv(65536):
            s.sendall(piece)


class Flow:
    """
    Numbered datagrams from one client to another for as long as the block lasts: one to each address
    in every interval, where it makes up for as many intervals as it may be behind. Then `sent` is how
    many left, `lost` which never came, `twice` how many came again, and `missed` how many the
    receiving socket had no room for.
    """

    def __init__(self, sender, receiver, *addresses, port=6000, interval=0.001, behind=10):
        family = socket.AF_INET6 if ":" in addresses[0] else socket.AF_INET
        self.out = sender.netns.socket(family, socket.SOCK_DGRAM)
        self.targets = [(address, port) for address in addresses]
        self.into = receiver.netns.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.into.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 512 << 20)
        self.into.bind(("::", port))
        self.into.setblocking(False)
        self.interval, self.behind = interval, behind
        self.sent = self.came = self.twice = self.missed = 0
        self.seen = bytearray()  # by number
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.send)

    def send(self):
        due = time.monotonic() + self.interval
        while not self.ending.wait(max(0, due - time.monotonic())):
            due = max(due, time.monotonic() - self.behind * self.interval) + self.interval
            self.send_round()

    def send_round(self):
        for target in self.targets:
            self.sent += 1
            with contextlib.suppress(OSError):  # an ICMP error that came back: it is lost
                self.out.sendto(struct.pack("!Q", self.sent) + bytes(92), target)

    def arrived(self):
        """How many different ones have arrived by now."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.note(struct.unpack_from("!Q", self.into.recv(2048))[0])
        return self.came

    def note(self, number):
        if number >= len(self.seen):
            self.seen.extend(bytes(number + 100_000 - len(self.seen)))
        self.came += not self.seen[number]
        self.twice += self.seen[number]
        self.seen[number] = 1

    def await_more(self, count=100, seconds=30):
        """Waits until so many more have arrived than until now."""
        before = self.arrived()
        wait_for(lambda: self.arrived() >= before + count, "more of the flow", seconds)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        self.out.close()
        last, still = -1, time.monotonic()
        while time.monotonic() - still < 0.5 and self.arrived() < self.sent:
            if self.came != last:
                last, still = self.came, time.monotonic()
            select.select([self.into], [], [], 0.1)
        self.missed = struct.unpack("9I", self.into.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[
            MEMINFO_DROPS]
        self.into.close()

    @property
    def lost(self):
        return [n for n in range(1, self.sent + 1) if n >= len(self.seen) or not self.seen[n]]


def losses(*sites):
    """Where engines have lost packets so far: reasons to drop them, and full rings of ports."""
    counts = collections.Counter()
    for site in sites:
        counts.update({f"{site.name} {reason}": n for reason, n in site.engine.drops().items()})
        counts.update({f"{site.name} {row['port']} {column}": row[column]
                       for row in site.engine.ctl("port", "show")["port"] if "rx_missed" in row
                       for column in ("rx_missed", "rx_no_buf", "tx_errors")})
    return counts


class Site:
    """
    A gateway with number N: addresses 192.0.2.N and 2001:db8:f::N on a switch, the networks
    10.N.0.0/16 and 2001:db8:N::/48 behind it, and a client there. Sealane and its charon. Without the
    name of a client it is a host that speaks for itself.
    """

    release = None  # of Debian, where charon is of another than this machine's

    def __init__(self, switch, name, client, number, authority=None, address=None, via=None,
                 settings=(), **engine):
        self.name, self.number = name, number
        self.address = address or f"192.0.2.{number}"
        self.address6 = f"2001:db8:f::{number}"
        self.net, self.net6 = f"10.{number}.0.0/16", f"2001:db8:{number}::/48"
        self.via = via
        self.settings = settings
        self.netns = self.router = Netns(name)  # the router has the addresses and routes
        self.client = Client(client) if client else Client(name, self.netns)
        self.sides = ["wan", "lan"] if client else ["wan"]
        self.engine = self.charon = None
        self.exits = contextlib.ExitStack()
        self.exits.callback(self.netns.close)
        self.exits.callback(self.client.close)
        try:
            self.build(switch, authority, engine)
        except BaseException:
            self.close()
            raise

    def build(self, switch, authority, engine):
        self.connect(switch, "wan0", "lan0")
        for side in self.sides:
            helper("below_engine", self.netns.name, f"{side}0")
        self.engine = Engine(self.netns, self.ports(), **engine)
        self.exits.callback(self.engine.stop)
        self.set_up()
        self.start_charon(authority, self.engine)

    def ports(self):
        return [port(side, f"{side}0", "protected" if side == "lan" else "unprotected")
                for side in self.sides]

    def connect(self, switch, wan, lan):
        switch.attach(self.netns, wan)
        if "lan" in self.sides:
            helper("veth_new", self.netns.name, lan, self.client.netns.name, "eth0")
            n = self.number
            self.client.netns.batch([
                f"addr add 10.{n}.0.2/24 dev eth0", f"addr add 2001:db8:{n}::2/64 dev eth0",
                f"route add default via 10.{n}.0.1", f"route add default via 2001:db8:{n}::1"])

    def set_up(self):
        """Addresses, and routes to all the rest by `via` or by the other of moon and sun."""
        n, other = self.number, 2 if self.number == 1 else 1
        if "lan" in self.sides:
            self.router.batch(["link set lan up", f"addr add 10.{n}.0.1/24 dev lan",
                               f"addr add 2001:db8:{n}::1/64 dev lan nodad"])
        self.router.batch([
            "link set wan up", f"addr add {self.address}/24 dev wan",
            f"addr add {self.address6}/64 dev wan nodad",
            f"route add default via {self.via or f'192.0.2.{other}'}",
            f"route add default via 2001:db8:f::{other}"])
        wait_for(lambda: not self.engine or {"0.0.0.0/0", "::/0"} <= self.engine.routes(),
                 "the engine to follow the routes")

    def start_charon(self, authority, engine):
        self.charon = Charon(self.netns, self.name, engine, authority, self.settings,
                             self.release)
        self.exits.callback(self.charon.close)

    def conf(self, other, ike=(), children=None, auth="pubkey", outer=4, **child):
        """The connection `gw` to another site; its child `net` unless others are given."""
        near, far = ((self.address6, other.address6) if outer == 6 else
                     (self.address, other.address))
        if children is None:
            children = {"net": {"local_ts": self.net, "remote_ts": other.net, **child}}
        return {"gw": {
            "version": 2, "local_addrs": near, "remote_addrs": far,
            "local": {"auth": auth, "id": self.name}, "remote": {"auth": auth, "id": other.name},
            **dict(ike), "children": children}}

    def sealed(self):
        """Packets that the engine has sealed and opened so far."""
        workers = self.engine.ctl("worker", "show")["worker"]
        return sum(w["sealed"] for w in workers), sum(w["opened"] for w in workers)

    def close(self):
        self.exits.close()


PSK = {"ike": {"secret": "what-moon-and-sun-alone-know"}}


def configure(moon, sun, **options):
    """Both sides get the same connection, each from its own point of view."""
    for me, other in ((moon, sun), (sun, moon)):
        me.charon.load(connections=me.conf(other, **options), secrets=PSK)


class LibipsecSite(Site):
    """The same, with kernel-libipsec for its ESP and the Linux kernel for everything else."""

    def build(self, switch, authority, engine):
        self.connect(switch, "wan", "lan")
        self.netns.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward && "
                                   "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
        self.set_up()
        self.start_charon(authority, None)


@contextlib.contextmanager
def moon_and_sun(switch, moon=Site, sun=Site):
    """The two of most scenarios, each with a certificate, in a `with` that ends both, come what may."""
    with contextlib.ExitStack() as stack:
        authority = stack.enter_context(contextlib.closing(Authority()))
        yield switch, *(
            stack.enter_context(contextlib.closing(kind(switch, name, client, number, authority)))
            for kind, name, client, number in ((moon, "moon", "alice", 1), (sun, "sun", "bob", 2)))
