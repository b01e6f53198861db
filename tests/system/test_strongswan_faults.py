# SPDX-License-Identifier: BSD-3-Clause
"""
Whatever dies or stalls, tunnels come back by themselves, and nothing leaves in clear text meanwhile.
The test does what the network's configuration does on a gateway: it gives an engine that has been
started again its addresses.
"""

import contextlib
import signal
import time

import pytest

from between import ALLOCSPI, NEWSA, UPDSA, Killing
from fire import Fire, feed_corpus
from ikenet import PSK, Eye, Flow, Site, Switch, configure, moon_and_sun
from netns import wait_for

ALICE, BOB = "10.1.0.2", "10.2.0.2"
TIMES = [pytest.param(5, id="5"), pytest.param(50, id="50", marks=pytest.mark.long)]


@pytest.fixture(scope="module")
def sites(netns):
    with moon_and_sun(Switch(netns("switch"))) as sites:
        yield sites


@contextlib.contextmanager
def traps(switch, moon, sun):
    """For a tunnel that whoever misses it brings up, with an eye on the wire."""
    eye = Eye(switch)
    configure(moon, sun, ike={"dpd_delay": "2s"}, start_action="trap", dpd_action="restart")
    yield moon, sun
    assert not eye.look()["clear"]
    eye.close()
    for site in (moon, sun):
        site.charon.clear()
        site.engine.batch(["xfrm state flush", "xfrm policy flush"])


@pytest.fixture
def tunnel(sites):
    """That tunnel, up."""
    with traps(*sites) as (moon, sun):
        wait_for(lambda: moon.client.reaches(BOB), "the tunnel")
        yield moon, sun


def charon_again(site, other):
    site.charon.start()
    site.charon.load(connections=site.conf(other, ike={"dpd_delay": "2s"}, start_action="trap",
                                           dpd_action="restart"))


@pytest.mark.parametrize("times", TIMES)
def test_engine_killed(tunnel, times, record_property):
    """charon goes on, and replaces what the engine has lost. (Prints how long the engine's start took.)"""
    moon, sun = tunnel
    pid, seconds = moon.charon.process.pid, []
    with Flow(moon.client, sun.client, BOB, interval=0.01) as there, \
            Flow(sun.client, moon.client, ALICE, interval=0.01) as back:
        for _ in range(times):
            there.await_more(20)
            back.await_more(20)
            moon.engine.kill()
            begin = time.monotonic()
            moon.engine.start()
            seconds.append(time.monotonic() - begin)
            moon.set_up()
        there.await_more(20)
        back.await_more(20)
    record_property("slowest_engine_start_seconds", f"{max(seconds):.2f}")
    assert there.twice == back.twice == 0
    assert moon.charon.process.poll() is None and moon.charon.process.pid == pid
    moon.client.tcp(sun.client, BOB)


def test_engine_killed_without_traps(sites):
    """Nothing asks for SAs again but the news that they are gone; two children have policies of their own."""
    switch, moon, sun = sites
    eye = Eye(switch)
    for me, other in ((moon, sun), (sun, moon)):
        near, far = f"10.{me.number}.0.", f"10.{other.number}.0."
        me.charon.load(connections=me.conf(other, ike={"mobike": "no"}, children={
            name: {"local_ts": f"{near}2/32[udp/{ports[me is moon]}]",
                   "remote_ts": f"{far}2/32[udp/{ports[me is sun]}]"}
            for name, ports in (("one", ("6001", "1024-65535")), ("two", ("6002", "1024-65535")))}),
            secrets=PSK)
    moon.charon.initiate("one")
    moon.charon.initiate("two")
    moon.engine.kill()
    moon.engine.start()
    moon.set_up()
    for port in (6001, 6002):
        with Flow(moon.client, sun.client, BOB, port=port, interval=0.01) as flow:
            flow.await_more(20)
    assert not eye.look()["clear"]
    eye.close()
    for site in (moon, sun):
        site.charon.clear()


def test_engine_and_charon_killed(tunnel):
    """As where both end with their machine."""
    moon, sun = tunnel
    with Flow(moon.client, sun.client, BOB, interval=0.01) as flow:
        for _ in range(3):
            flow.await_more(20)
            moon.engine.kill()
            moon.charon.kill()
            moon.engine.start()
            moon.set_up()
            charon_again(moon, sun)
        flow.await_more(20)
    assert flow.twice == 0
    moon.client.tcp(sun.client, BOB)


def test_check_knows_whether_charon_talks_to_the_engine(tunnel):
    moon, sun = tunnel
    pid = moon.charon.process.pid
    assert moon.engine.believes(pid) == (0, f"process {pid}: talks to the engine\n")
    assert sun.engine.believes(pid) == (
        1, f"process {pid}: has the library, and no connection to this engine\n")
    moon.engine.kill()
    status, said = moon.engine.believes(pid)
    assert status == 1 and "show.sock" in said
    moon.engine.start()
    moon.set_up()
    wait_for(lambda: moon.engine.believes(pid)[0] == 0, "charon to be back", every=0.1)
    moon.charon.kill()
    assert moon.engine.believes(pid) == (
        1, f"process {pid}: not there, or not to be looked at by this user\n")
    charon_again(moon, sun)


@pytest.mark.parametrize("times", TIMES)
def test_charon_killed(tunnel, times):
    """The SAs go on without it, so no packet is lost; then it makes others."""
    moon, sun = tunnel
    with Flow(moon.client, sun.client, BOB, interval=0.01) as there, \
            Flow(sun.client, moon.client, ALICE, interval=0.01) as back:
        for _ in range(times):
            moon.charon.kill()
            there.await_more(20)
            back.await_more(20)
            charon_again(moon, sun)
            there.await_more(20)
            back.await_more(20)
    assert (there.lost, there.twice, back.lost, back.twice) == ([], 0, [], 0), there.sent
    moon.charon.initiate("net")
    assert moon.charon.children("net") and sun.charon.children("net")
    moon.client.tcp(sun.client, BOB)


@pytest.fixture
def short_grace(sites):
    """What charon leaves behind on moon is removed after a second."""
    _, moon, _ = sites

    def restart(sad):
        moon.engine.kill()
        moon.engine.config["sad"] = sad
        moon.engine.start()
        moon.set_up()

    restart({"orphan_grace": 1})
    yield
    restart({})


def test_orphans(short_grace, tunnel):
    """What a charon that was killed leaves behind serves until another charon has been there for a while."""
    moon, sun = tunnel

    def orphans():
        return {row["spi"] for row in moon.engine.ctl("sa", "show")["sa"] if row["orphan"]}

    assert not orphans()
    with Flow(moon.client, sun.client, BOB, interval=0.01) as flow:
        moon.charon.kill()
        left = wait_for(orphans, "orphans")
        assert "left 2 SAs behind" in moon.engine.log() and len(left) == 2
        flow.await_more(200)
    assert (flow.lost, flow.twice) == ([], 0) and orphans() == left
    with Flow(moon.client, sun.client, BOB, interval=0.01) as there, \
            Flow(sun.client, moon.client, ALICE, interval=0.01) as back:
        charon_again(moon, sun)
        wait_for(lambda: not orphans(), "the orphans to go", 60)
        there.await_more(20, 60)
        back.await_more(20, 60)
    assert moon.engine.ctl("status")["status"]["databases"]["orphans_removed"] == 2
    moon.client.tcp(sun.client, BOB)


def test_control_socket_under_fire(tunnel):
    """Whatever others do at the control socket, no packet is lost, and charon is served afterwards."""
    moon, sun = tunnel
    path = moon.engine.path("xfrm.sock")
    with Flow(moon.client, sun.client, BOB, interval=0.005) as there, \
            Flow(sun.client, moon.client, ALICE, interval=0.005) as back:
        assert feed_corpus(path) > 100
        with Fire(path) as fire:
            there.await_more(500)
            back.await_more(500)
        assert fire.refused > 0
    assert (there.lost, there.twice, back.lost, back.twice) == ([], 0, [], 0), there.sent
    before = moon.charon.spis("net")
    moon.charon.swanctl("--rekey", "--child", "net")
    wait_for(lambda: before.isdisjoint(moon.charon.spis("net")), "a new CHILD_SA", every=0.1)
    moon.client.tcp(sun.client, BOB)


def test_engine_stalled(tunnel):
    """A stopped engine forwards nothing and answers nothing; charon waits, and all goes on after it."""
    moon, sun = tunnel
    before = {child["spi-in"] for child in moon.charon.children("net")}
    with Flow(moon.client, sun.client, BOB, interval=0.01) as flow:
        flow.await_more(20)
        moon.engine.process.send_signal(signal.SIGSTOP)
        begin = len(moon.charon.log())
        moon.charon.try_swanctl("--rekey", "--child", "net")
        moon.charon.await_log("unable to (get SPI|allocate SPI)|retransmit", begin, 60)
        moon.engine.process.send_signal(signal.SIGCONT)
        flow.await_more(200)
    assert flow.twice == 0
    wait_for(lambda: before.isdisjoint(c["spi-in"] for c in moon.charon.children("net")) and
             moon.charon.children("net"), "a new CHILD_SA", 60, every=0.1)
    moon.client.tcp(sun.client, BOB)


class KilledSite(Site):
    """Its engine can be killed at a message."""

    def start_charon(self, authority, engine):
        self.between = Killing(engine)
        self.exits.callback(self.between.close)
        super().start_charon(authority, self.between)


@pytest.fixture(scope="module")
def killed_sites(netns):
    with moon_and_sun(Switch(netns("other")), moon=KilledSite) as sites:
        yield sites


@pytest.fixture
def trapped(killed_sites):
    """Traps on both sides, and nothing else yet."""
    with traps(*killed_sites) as sites:
        yield sites


@pytest.mark.parametrize("messages", [[ALLOCSPI], [UPDSA], [UPDSA, NEWSA]],
                         ids=["no-spi", "no-sa", "one-sa"])
@pytest.mark.parametrize("how", ["asks", "answers", "rekeys"])
def test_engine_killed_in_a_negotiation(trapped, how, messages):
    """Before it has given an SPI, or before it has one SA or both: what IKE has half done is done again."""
    moon, sun = trapped
    starts, other, far = (sun, moon, ALICE) if how == "answers" else (moon, sun, BOB)
    if how == "rekeys":
        moon.client.ping(BOB)
    moon.between.arm(*messages)
    with Flow(starts.client, other.client, far, interval=0.01) as flow:
        if how == "rekeys":
            moon.charon.try_swanctl("--rekey", "--child", "net")
        assert moon.between.killed.wait(30)
        moon.engine.start()
        moon.between.listen()
        moon.set_up()
        flow.await_more(20, 90)
    assert flow.twice == 0
    moon.client.tcp(sun.client, BOB)
