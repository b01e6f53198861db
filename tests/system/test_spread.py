# SPDX-License-Identifier: BSD-3-Clause
"""
One SA whose crypto two workers share (workers.spread), through two gateways: packets leave in the order
of their numbers, so that a window of 32 loses none, and inner flows keep theirs; also while workers
sleep, and while the SA is rekeyed or deleted amid them.
"""

import concurrent.futures
import contextlib
import os
import select
import signal

import pytest

from esp import SUITES, Tunnel
from gateway import OURS, THEIRS
from ikenet import esp_numbers, kind_of
from netns import wait_for
from paced import NEXT, Paced
from two_gateways import HOSTS, UNDER_WAY, Traffic, two_gateways

FLOWS = 8
ENOUGH = 1000  # packets that each gateway's helper is to have had
ROUNDS = 1000  # and in so many it has
REKEYS = 25
CORES = (0, 1)

pytestmark = pytest.mark.skipif(os.cpu_count() < 2, reason="one processor")


@contextlib.contextmanager
def stopped(side):
    """What comes meanwhile the engine finds at once: packets in full bursts, and requests."""
    side.engine.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        side.engine.process.send_signal(signal.SIGCONT)


class Fat(Traffic):
    """All hosts are behind one SA, which has a successor now and then."""

    def __init__(self, moon, sun, pool):
        super().__init__(moon, sun, FLOWS)
        self.pool = pool
        self.generation = self.late = self.lost = 0
        self.frames, self.last = [], {}
        self.before = [side.engine.drops() for side in (moon, sun)]
        self.tunnel = self.new_tunnel()
        sa, far = self.tunnel, self.tunnel.mirrored()
        self.sun.engine.batch([
            "xfrm state flush", "xfrm policy flush", f"xfrm state add {far.state('i')}",
            f"xfrm policy add src 0.0.0.0/0 dst {HOSTS} dir fwd {far.template('i')}"])
        self.moon.engine.batch([
            "xfrm state flush", "xfrm policy flush", f"xfrm state add {sa.state('o')}",
            f"xfrm policy add src 0.0.0.0/0 dst {HOSTS} dir out {sa.template('o')}"])

    def new_tunnel(self):
        self.generation += 1
        return Tunnel(OURS[4], THEIRS[4], spi=0x10000 + self.generation, window=32)

    def deletion(self):
        return f"xfrm state delete src {OURS[4]} dst {THEIRS[4]} proto esp " \
               f"spi {self.tunnel.spi_out:#x}"

    def drops(self):
        """Packets that both gateways have dropped, by reason."""
        drops = {}
        for side, before in zip((self.moon, self.sun), self.before):
            for reason, n in side.engine.drops().items():
                if n > before[reason]:
                    drops[reason] = drops.get(reason, 0) + n - before[reason]
        return drops

    def ascends(self, key, number):
        self.late += number <= self.last.get(key, -1)
        self.last[key] = number

    def see(self, frame):
        """On the wire between the gateways."""
        self.numbers.see(frame)
        if kind_of(frame) == "esp":
            self.ascends(*esp_numbers(frame))
            self.frames.append(self.to_sun[:12] + frame[12:])

    def end(self, frame):
        number = int.from_bytes(frame[42:50], "big")
        self.ascends(("flow", number % FLOWS), number)
        self.twice += self.seen[number]
        self.seen[number] = 1
        self.came += 1

    def gather(self, wire, note, rest):
        """Until nothing is left but what was dropped."""
        while rest() > 0:
            if not select.select([wire.socket], [], [], 0.2)[0]:
                self.lost = sum(self.drops().values())
            while (frame := wire.receive_frame()) is not None:
                note(frame)

    def round(self, at_moon=(), at_sun=()):
        """So many packets all the way; amid them, commands of `ip` for the gateways."""
        with stopped(self.moon):
            for _ in range(UNDER_WAY):
                self.moon.lan.send(self.packet(self.sent))
                self.seen.append(0)
                self.sent += 1
            changes = [self.pool.submit(self.moon.engine.batch, at_moon)] if at_moon else []
        self.gather(self.moon.wan, self.see,
                    lambda: self.sent - self.came - self.lost - len(self.frames))
        with stopped(self.sun):
            for frame in self.frames:
                self.sun.wan.send(frame)
            self.frames = []
            if at_sun:
                changes.append(self.pool.submit(self.sun.engine.batch, at_sun))
        self.gather(self.sun.lan, self.end, lambda: self.sent - self.came - self.lost)
        for change in changes:
            change.result()

    def helped(self):
        """Packets of whichever gateway had fewer sealed or opened by the worker beside."""
        return min(sum(w["helped"] for w in side.engine.ctl("worker", "show")["worker"])
                   for side in (self.moon, self.sun))

    def check(self, *reasons):
        """
        All is in order. A helper that something else keeps from its core for a tenth of a second
        loses a batch by design, and tells so.
        """
        drops = self.drops()
        assert set(drops) <= {"handover", *reasons}, drops
        assert self.sent == self.came + sum(drops.values())
        assert (self.late, self.twice) == (0, 0)
        assert (self.numbers.clear, self.numbers.twice, self.numbers.strayed) == (0, 0, 0)


@pytest.fixture(scope="module")
def gateways():
    """Workers that sleep between two rounds."""
    workers = {"cores": list(CORES), "polling": "adaptive", "spread": "always"}
    with two_gateways(cores=CORES, workers=workers, sad={"replay_window": 32}) as sides:
        yield sides


@pytest.fixture
def fat(gateways):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        yield Fat(*gateways, pool)


def test_packets_leave_in_the_order_of_their_numbers_and_flows_keep_theirs(fat):
    begin = fat.helped()
    for _ in range(ROUNDS):
        fat.round()
        if fat.helped() >= begin + ENOUGH:
            break
    else:
        pytest.fail("nobody helps")
    fat.check()


def test_a_rekeying_amid_packets_loses_none(fat):
    for _ in range(REKEYS):
        old, new = fat.deletion(), fat.new_tunnel()
        fat.sun.engine.batch([f"xfrm state add {new.mirrored().state('i')}"])
        fat.round(at_moon=[f"xfrm state add {new.state('o')}", old])
        fat.round(at_sun=[old])
        fat.tunnel = new
    fat.check()
    assert len(fat.numbers.seen) == REKEYS + 1


def test_a_deletion_amid_packets_lets_none_out_in_clear(fat):
    for _ in range(REKEYS):
        old, fat.tunnel = fat.deletion(), fat.new_tunnel()
        fat.round(at_moon=[old], at_sun=[old])
        fat.sun.engine.batch([f"xfrm state add {fat.tunnel.mirrored().state('i')}"])
        fat.moon.engine.batch([f"xfrm state add {fat.tunnel.state('o')}"])
    fat.round()
    fat.check("no_sa_out", "no_sa_in")
    assert fat.came > 0


CHACHA = next(suite for suite in SUITES if suite.name == "chacha20poly1305")


@contextlib.contextmanager
def full(netns, hosts, spread):
    """
    One worker has more to do than it can, and another one nothing. Numbers that leave out of order,
    or clear text, end the program.
    """
    paced = Paced(netns("full"), hosts, 0, 1420, order=1, cores=CORES,
                  workers={"cores": list(CORES), "polling": "adaptive", "spread": spread})
    try:
        yield paced
        assert paced.process.poll() is None, paced.log()
    finally:
        paced.kill()  # counters do not agree while packets come


def workers(paced, name):
    return [w[name] for w in paced.ctl("worker", "show")["worker"]]


def test_a_full_worker_shares_while_it_pays(netns):
    tunnel = Tunnel(OURS[4], NEXT["address"], suite=CHACHA)
    with full(netns, 1, "auto") as paced:
        assert sum(workers(paced, "offered")) == 0
        paced.batch([f"xfrm state add {tunnel.state('o')}",
                     f"xfrm policy add src 0.0.0.0/0 dst {HOSTS} dir out {tunnel.template('o')}"])
        wait_for(lambda: sum(workers(paced, "helped")) > ENOUGH, "another worker to help", 60)


def test_of_two_fat_SAs_on_one_worker_one_moves(netns):
    """Every second place in the SAD is the first worker's; the one between is left idle."""
    lines = []
    for i in range(3):
        tunnel = Tunnel(OURS[4], NEXT["address"], suite=CHACHA, spi=0x20000 + i, reqid=1 + i)
        lines.append(f"xfrm state add {tunnel.state('o')}")
        if i != 1:
            lines.append(f"xfrm policy add src 0.0.0.0/0 dst 10.0.0.{i // 2} dir out "
                         f"{tunnel.template('o')}")
    with full(netns, 2, "off") as paced:
        paced.batch(lines)
        wait_for(lambda: sum(workers(paced, "moved")) > 0, "an SA to move", 60)
        before = workers(paced, "sealed")
        wait_for(lambda: all(now > then + ENOUGH for now, then in
                             zip(workers(paced, "sealed"), before)), "both workers to seal", 60)
