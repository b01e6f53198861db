# SPDX-License-Identifier: BSD-3-Clause
"""Many CHILD_SAs of real charons: all of them rekeyed again and again under traffic, and a thousand made."""

import os
import re
import select
import signal
import struct
import subprocess
import sys
import time

import pytest

from ikenet import Flow, Numbers, Site, Switch, losses, moon_and_sun
from netns import wait_for

pytestmark = pytest.mark.slow_under_sanitizer

CHILDREN = 64
THOUSAND = 1000
UNDER_WAY = 1024  # packets, while that rate is measured
RING = 65536  # frames
SNAPLEN = 80  # of each frame: more than the headers, less than any with ESP is long


class PatientSite(Site):
    """
    Its worker has a processor that the other's has not, if there are two; its rings hold half a second
    of packets or more, and its charon asks for minutes, as a machine may be busy.
    """

    def __init__(self, switch, name, client, number, authority):
        super().__init__(switch, name, client, number, authority, cores=[number % os.cpu_count()],
                         settings={"retransmit_tries": 8, "retransmit_timeout": 2})

    def ports(self):
        return [{**p, "device": f"{p['device']},framecnt={RING}"} for p in super().ports()]


@pytest.fixture(scope="module")
def sites(netns):
    with moon_and_sun(Switch(netns("switch")), PatientSite, PatientSite) as sites:
        _, moon, sun = sites
        sun.netns.ip("route add 10.2.0.0/16 via 10.2.0.2")
        sun.client.netns.batch([f"addr add 10.2.{k}.2/32 dev eth0" for k in range(1, CHILDREN)])
        yield sites


@pytest.fixture(scope="module", autouse=True)
def sender_waits_less():
    """A thread of Python that has something to send may have to wait 5 ms for the others."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(autouse=True)
def clean(sites):
    yield
    for site in sites[1:]:
        site.charon.clear()
        wait_for(lambda: not site.engine.ctl("sa", "show")["sa"], f"{site.name}'s SAD to be empty")


class Capture:
    """tcpdump on the switch for as long as the block lasts: what it saw, and whether it saw all."""

    def __init__(self, switch, folder):
        self.file, self.words = folder / "wire.pcap", folder / "tcpdump"
        with open(self.words, "w") as words:
            self.process = subprocess.Popen(
                switch.netns.command("tcpdump", "--immediate-mode", "-i", switch.name, "-Q", "in",
                                     "-s", SNAPLEN, "-B", "65536", "-U", "-w", self.file),
                stderr=words)
        wait_for(lambda: "listening on" in self.words.read_text(), "the capture")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def await_frames(self, count):
        """Waits until so many long frames are in the file."""
        wait_for(lambda: self.file.stat().st_size >= 24 + count * (16 + SNAPLEN),
                 f"{count} frames in the capture", 60)

    def missed(self):
        """How many the kernel did not give to it, after the end."""
        return int(re.search(r"(\d+) packets? dropped by kernel", self.words.read_text())[1])

    def frames(self):
        with open(self.file, "rb") as file:
            file.read(24)
            while header := file.read(16):
                yield file.read(struct.unpack_from("=I", header, 8)[0])


def sustained(flow, seconds=3):
    """Packets a second that the path carries with never more than so many under way; none is lost."""
    begin = time.monotonic()
    while time.monotonic() < begin + seconds:
        flow.send_round()
        while flow.arrived() < flow.sent - UNDER_WAY:
            assert select.select([flow.into], [], [], 20)[0], "a packet was lost"
    wait_for(lambda: flow.arrived() == flow.sent, "the last packets")
    return flow.sent / (time.monotonic() - begin)


@pytest.mark.parametrize("rounds,load", [
    pytest.param(100, 0.25, id="100"), pytest.param(1000, 0.72, id="1000", marks=pytest.mark.long)])
def test_rekey_storm(sites, tmp_path, rounds, load, record_property, capsys):
    """
    Each CHILD_SA is rekeyed so many times, while all carry packets at a part of the rate that they
    sustain: none is lost, none is clear, no sequence number and no IV is used twice. On the same
    processors are both engines, both charons, sender, receiver and capture: the short run leaves
    them enough for all to keep up on a machine that has other work.
    """
    switch, moon, sun = sites
    for me, other in ((moon, sun), (sun, moon)):
        me.charon.load(connections=me.conf(other, children={
            f"net{k}": {"local_ts": me.net if me is moon else f"10.2.{k}.0/24",
                        "remote_ts": f"10.2.{k}.0/24" if me is moon else other.net}
            for k in range(CHILDREN)}))
    for k in range(CHILDREN):
        moon.charon.initiate(f"net{k}")
    targets = [f"10.2.{k}.2" for k in range(CHILDREN)]
    moon.client.ping(targets[0])  # so that neighbours are known
    with Capture(switch, tmp_path):  # so that the path has no more processor than it will have
        most = sustained(Flow(moon.client, sun.client, *targets, port=6001))
    early = losses(moon, sun)
    with Capture(switch, tmp_path) as capture:
        with Flow(moon.client, sun.client, *targets, interval=CHILDREN / (load * most),
                  behind=RING // 2 // CHILDREN) as flow:
            begin = time.monotonic()
            for number in range(rounds):
                try:
                    rekey_all((moon, sun)[number % 2], moon, flow, number + 1)
                except AssertionError as error:
                    raise AssertionError(f"round {number}: {error}\n{losses(moon, sun) - early}\n"
                                         f"{moon.charon.log()[-2000:]}") from None
            seconds = time.monotonic() - begin
            flow.await_more(2000)
        assert not flow.lost, (len(flow.lost), flow.lost[0], flow.lost[-1], flow.missed,
                               losses(moon, sun) - early)
        capture.await_frames(flow.sent)
    rate = flow.sent / seconds
    with capsys.disabled():
        print(f"\n{rounds * CHILDREN} rekeyings in {seconds:.1f} s, {flow.sent} packets: {rate:.0f} a "
              f"second, {rate / most:.1%} of the {most:.0f} that are sustained without")
    record_property("sustained_packets_per_second", round(most))
    record_property("packets_per_second", round(rate))
    record_property("rekeyings_per_second", round(rounds * CHILDREN / seconds, 1))
    assert (len(flow.lost), flow.twice, capture.missed()) == (0, 0, 0), losses(moon, sun) - early
    wire = Numbers(capture.frames())
    assert (wire.clear, wire.twice, wire.strayed) == (0, 0, 0)
    assert wire.esp >= flow.sent
    capture.file.unlink()


def rekey_all(site, moon, flow, generation):
    for k in range(CHILDREN):
        site.charon.ask("rekey", child=f"net{k}")
        flow.arrived()
    await_rekeyed(moon, generation, flow)


def await_rekeyed(moon, generation, flow):
    """Waits until all CHILD_SAs are of that generation: their ids are given in order."""
    def done():
        flow.arrived()
        ids = [int(child["uniqueid"]) for child in moon.charon.children()]
        return len(ids) == CHILDREN and min(ids) > generation * CHILDREN
    wait_for(done, "the rekeyings", 120, every=0.1)


def test_a_thousand_child_sas(sites, capsys, record_property):
    """By one IKE_SA of real charons; what of the time was the engines' control threads'."""
    _, moon, sun = sites
    already = moon.charon.log().count("established with SPIs")
    before, begin = [control_time(site) for site in (moon, sun)], time.monotonic()
    for me, other in ((sun, moon), (moon, sun)):
        me.charon.load(connections=me.conf(other, children={
            f"c{k}": {"local_ts": f"10.1.{k >> 8}.{k & 255}/32" if me is moon else "10.2.0.0/24",
                      "remote_ts": "10.2.0.0/24" if me is moon else f"10.1.{k >> 8}.{k & 255}/32",
                      **({"start_action": "start"} if me is moon else {})}
            for k in range(THOUSAND)}))
    wait_for(lambda: moon.charon.log().count("established with SPIs") >= THOUSAND + already,
             "all the CHILD_SAs", 300, every=0.25)
    seconds = time.monotonic() - begin
    ours = [now - then for now, then in zip(map(control_time, (moon, sun)), before)]
    with capsys.disabled():
        print(f"\n{THOUSAND} CHILD_SAs in {seconds:.1f} s; the engines' control threads ran "
              f"{ours[0]:.2f} and {ours[1]:.2f} s of it: {max(ours) / THOUSAND / 6 * 1e6:.0f} us for "
              "each of the six messages that make one")
    record_property("seconds", round(seconds, 1))
    record_property("us_a_message", round(max(ours) / THOUSAND / 6 * 1e6, 1))
    assert len(moon.charon.children()) == len(sun.charon.children()) == THOUSAND
    moon.client.ping("10.2.0.2")


def control_time(site):
    """Seconds that the engine's main thread has run."""
    pid = site.engine.process.pid
    with open(f"/proc/{pid}/task/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9
