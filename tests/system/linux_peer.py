# SPDX-License-Identifier: BSD-3-Clause
"""
A gateway whose peer is a real Linux kernel (uml.py) with ESP of its own, and whose host on the
protected side is one as well: what one of them sends the other answers, or did not get.
"""

import contextlib
import re
import shlex
import socket
import threading
from pathlib import Path

from esp import Tunnel
from gateway import FAR, FLUSH, HOST, NEAR, OURS, REMOTE, THEIRS, Gateway
from linux_services import ECHO_PORT
from netns import wait_for
from uml import Guest
from wire import Wire

SERVICES = Path(__file__).resolve().parent / "linux_services.py"


# "Drop what goes to a group address": what kernels say unasked (multicast listener reports) would be
# counted. All their neighbours are permanent.
NO_MULTICAST = "tc filter add dev {} egress protocol all bpf direct-action bytecode " \
    "'4,48 0 0 0,69 0 1 1,6 0 0 2,6 0 0 4294967295'"


class LinuxGateway(Gateway):
    """The interfaces have the MAC addresses that Gateway told the engine: neighbours are known."""

    guest = None

    def build(self, more, engine):
        super().build(more, engine)
        self.unmute("wan")
        self.address_host()
        self.guest = Guest(self.peers, "wan1")
        self.address_guest()
        self.guest.run(f"python3 {SERVICES}")

    def unmute(self, name):
        """The gateway's own kernel speaks as well."""
        self.gw.run("tc", "filter", "del", "dev", name, "egress")
        self.gw.run(*shlex.split(NO_MULTICAST.format(name)))

    def address_host(self):
        self.peers.run("tc", "filter", "del", "dev", "lan1", "ingress")
        self.peers.run(*shlex.split(NO_MULTICAST.format("lan1")))
        self.peers.run("sysctl", "-q", "net.ipv6.conf.lan1.disable_ipv6=0")
        self.peers.batch(
            [f"addr add {HOST[4]}/24 dev lan1", f"addr add {HOST[6]}/64 dev lan1 nodad"]
            + self.routes("lan1", {4: "10.1.0.1", 6: "2001:db8:1::1"}, FAR, HOST,
                          self.lan.gateway_mac))

    def address_guest(self):
        self.guest.run("tc qdisc add dev vec0 clsact && " + NO_MULTICAST.format("vec0"))
        self.guest.batch(
            ["link set lo up", "link set vec0 up",
             f"addr add {THEIRS[4]}/24 dev vec0", f"addr add {THEIRS[6]}/64 dev vec0 nodad",
             f"addr add {REMOTE[4]} dev lo", f"addr add {REMOTE[6]} dev lo nodad"]
            + self.routes("vec0", OURS, NEAR, REMOTE, self.wan.gateway_mac))

    def forget_mtus(self):
        """The host has learned no path MTU (which IPv6 keeps with the route)."""
        self.peers.batch(["route flush cache"] + [
            f"route {what} {FAR[6]} via 2001:db8:1::1 dev lan1 src {HOST[6]}"
            for what in ("del", "add")])

    @staticmethod
    def routes(device, via, to, source, mac):
        """Commands of `ip`: the gateway as a neighbour, and what is reached by way of it."""
        return [line for family in (4, 6) for line in (
            f"neigh replace {via[family]} lladdr {mac} dev {device} nud permanent",
            f"route add {to[family]} via {via[family]} dev {device} src {source[family]}")]

    def close(self):
        if self.guest:
            self.guest.close()
        super().close()

    def tunnel(self, outer=4, inner=(4, 6), kind=Tunnel, **options):
        """As a gateway's, on both sides."""
        tunnel = kind(OURS[outer], THEIRS[outer], **options)
        self.install(tunnel, *((NEAR[family], FAR[family]) for family in inner))
        return tunnel

    def transport(self, family, kind=Tunnel, **options):
        """Transport mode between the gateway itself and the guest."""
        tunnel = kind(OURS[family], THEIRS[family], mode="transport", **options)
        self.install(tunnel, (tunnel.ours, tunnel.theirs), into=("in",))
        return tunnel

    def install(self, tunnel, *pairs, into=("fwd", "in")):
        """A tunnel and nothing beside it, with policies for pairs of what is near and what is far."""
        mirrored = tunnel.mirrored()
        self.engine.batch(FLUSH + tunnel.states() + [
            line for near, far in pairs for line in tunnel.policies(near, far, into)])
        self.guest.batch(FLUSH + mirrored.states() + [
            line for near, far in pairs for line in mirrored.policies(far, near, into)])

    def ping(self, family, *sizes, words="", netns=None, to=REMOTE):
        """
        The host (or whose namespace it is) pings the guest, once with each size; every answer is
        right.
        """
        output = (netns or self.peers).run("sh", "-c", "\n".join(
            f"ping -n -c 1 -W 10 -s {size} {words} {to[family]} || exit" for size in sizes))
        assert "wrong data" not in output

    def echo(self, family, data, netns=None, source="", to=REMOTE):
        """It sends over TCP and the guest sends it all back: gives what came."""
        with (netns or self.peers).socket({4: socket.AF_INET, 6: socket.AF_INET6}[family]) as s:
            s.settimeout(60)
            s.bind((source, 0))
            s.connect((to[family], ECHO_PORT))
            sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
            sender.start()
            got = b"".join(iter(lambda: s.recv(65536), b""))
            sender.join()
        return got

    @contextlib.contextmanager
    def nothing_lost(self):
        """Neither side counts anything as wrong meanwhile."""
        before = self.wrong()
        yield
        after = self.wrong()
        assert after == before, f"{before} became {after}"

    def wrong(self):
        """
        What both sides have counted as wrong, where it is not nothing. The gateway's own kernel, which
        is not muted, may have a word to say for which the tunnel at hand has no policy.
        """
        drops = self.engine.drops()
        return {reason: drops[reason] for reason in drops
                if drops[reason] and reason != "policy_out"}, self.guest_errors()

    def guest_errors(self):
        """What the guest's kernel has counted as wrong, of all SAs and of those it has now."""
        output = self.guest.run("cat /proc/net/xfrm_stat; ip -s xfrm state")
        counters = re.findall(r"(Xfrm\w+)\s+(\d+)", output)
        stats = re.findall(r"stats:\s+(replay-window \d+ replay \d+ failed \d+)", output)
        counters += [pair for line in stats for pair in re.findall(r"([a-z-]+) (\d+)", line)]
        return {name: int(count) for name, count in counters if int(count)}

    def passes_2_to_the_32(self):
        """A tunnel with ESN whose numbers begin at 0xfffffff1."""
        with self.nothing_lost():
            self.ping(4, *range(20))
            self.ping(6, *range(20))
        state = self.guest.run("ip xfrm state")
        assert "seq-hi 0x1, seq 0x18" in state and "oseq-hi 0x1, oseq 0x18" in state

    def drops_what_comes_again(self):
        """Each side, of the tunnel at hand, all that it gets a second time."""
        wire = Wire(self.gw, "wan0", self.wan.mac)  # sees what the guest sends
        self.wan.take()
        self.ping(4, *range(20))
        to_guest, from_guest = self.wan.take(), wire.take()
        before = self.engine.drops()["replay"]
        for packet in to_guest:
            wire.send(packet)
        for packet in from_guest:
            self.wan.send(packet)
        wait_for(lambda: self.engine.drops()["replay"] == before + 20, "the engine to drop them")
        wait_for(lambda: "replay 20 failed 0" in self.guest.run("ip -s xfrm state"),
                 "the kernel to drop them")
        wire.close()
