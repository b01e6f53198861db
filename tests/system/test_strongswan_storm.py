# SPDX-License-Identifier: BSD-3-Clause
"""Many CHILD_SAs of real charons: all of them rekeyed again and again under traffic, and a thousand made."""

import collections
import re
import signal
import struct
import subprocess
import time

import pytest

from ikenet import Eye, Flow, Switch, moon_and_sun
from netns import wait_for

pytestmark = pytest.mark.slow_under_sanitizer

CHILDREN = 64
THOUSAND = 1000
SNAPLEN = 80  # of each frame: more than the headers, less than any with ESP is long


@pytest.fixture(scope="module")
def sites(netns):
    with moon_and_sun(Switch(netns("switch"))) as sites:
        _, moon, sun = sites
        sun.netns.ip("route add 10.2.0.0/16 via 10.2.0.2")
        sun.client.netns.batch([f"addr add 10.2.{k}.2/32 dev eth0" for k in range(1, CHILDREN)])
        yield sites


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
                switch.netns.command("tcpdump", "--immediate-mode", "-i", switch.name, "-Q", "in", "-s", str(SNAPLEN),
                                     "-B", "65536", "-U", "-w", self.file, "ip proto 50"), stderr=words)
        wait_for(lambda: "listening on" in self.words.read_text(), "the capture")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def await_frames(self, count):
        """Waits until so many frames are in the file."""
        wait_for(lambda: self.file.stat().st_size >= 24 + count * (16 + SNAPLEN),
                 f"{count} frames in the capture")

    def missed(self):
        """How many the kernel did not give to it, after the end."""
        return int(re.search(r"(\d+) packets? dropped by kernel", self.words.read_text())[1])

    def esp(self):
        """SPI, sequence number and IV of each packet."""
        with open(self.file, "rb") as file:
            file.read(24)
            while header := file.read(16):
                frame = file.read(struct.unpack_from("=I", header, 8)[0])
                yield struct.unpack_from("!IIQ", frame, 34)


@pytest.mark.parametrize("rounds", [
    pytest.param(10, id="10"), pytest.param(1000, id="1000", marks=pytest.mark.long)])
def test_rekey_storm(sites, tmp_path, rounds):
    """Each CHILD_SA is rekeyed so many times, while all carry packets: none is lost, none is clear,
    no sequence number and no IV is used twice."""
    switch, moon, sun = sites
    names = [f"net{k}" for k in range(CHILDREN)]
    for me, other in ((moon, sun), (sun, moon)):
        me.charon.load(connections=me.conf(other, children={
            f"net{k}": {"local_ts": me.net if me is moon else f"10.2.{k}.0/24",
                        "remote_ts": f"10.2.{k}.0/24" if me is moon else other.net}
            for k in range(CHILDREN)}))
    for name in names:
        moon.charon.initiate(name)
    moon.client.ping("10.2.0.2")  # so that neighbours are known
    eye, clear = Eye(switch), 0
    with Capture(switch, tmp_path) as capture:
        with Flow(moon.client, sun.client, *(f"10.2.{k}.2" for k in range(CHILDREN)),
                  interval=0.02) as flow:
            begin = time.monotonic()
            for number in range(rounds):
                for name in names:
                    (moon if number % 2 else sun).charon.swanctl("--rekey", "--child", name)
                    flow.arrived()
                clear += eye.look()["clear"]
                await_rekeyed(moon, number + 1)
            seconds = time.monotonic() - begin
            flow.await_more(2000)
        capture.await_frames(flow.sent)
    clear += eye.look()["clear"]
    eye.close()
    print(f"\n{rounds * CHILDREN} rekeyings in {seconds:.1f} s, {flow.sent} packets")
    assert (flow.lost, flow.twice, clear, capture.missed()) == ([], 0, 0, 0)
    numbers, ivs = collections.Counter(), collections.Counter()
    for spi, number, iv in capture.esp():
        numbers[spi, number] += 1
        ivs[spi, iv] += 1
    assert len(numbers) >= flow.sent
    assert numbers.most_common(1)[0][1] == ivs.most_common(1)[0][1] == 1


def await_rekeyed(moon, generation):
    """Waits until all CHILD_SAs are of that generation: their ids are given in order."""
    def done():
        ids = [int(child["uniqueid"]) for child in moon.charon.children()]
        return len(ids) == CHILDREN and min(ids) > generation * CHILDREN
    wait_for(done, "the rekeyings", 120, every=0.1)


def test_a_thousand_child_sas(sites, capsys):
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
    assert len(moon.charon.children()) == len(sun.charon.children()) == THOUSAND
    moon.client.ping("10.2.0.2")


def control_time(site):
    """Seconds that the engine's main thread has run."""
    pid = site.engine.process.pid
    with open(f"/proc/{pid}/task/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9
