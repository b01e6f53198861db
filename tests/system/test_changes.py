# SPDX-License-Identifier: BSD-3-Clause
"""
Changes under traffic: SAs and policies are added, rekeyed and deleted through the control socket, many
messages a datagram, while packets go through what stays.
"""

import pytest

from gateway import OURS, THEIRS
from netns import wait_for
from paced import Paced, control
from two_gateways import HOSTS, Traffic, two_gateways

CHUNKS = 20


def done(process):
    assert process.poll() in (None, 0), "the engine refused something"
    return process.returncode == 0


@pytest.fixture(params=[2_000, pytest.param(100_000, marks=pytest.mark.long)])
def storm(request):
    sas = request.param
    room = {"sad": {"max_sas": sas + sas // CHUNKS}, "spd": {"max_policies": sas}}
    with two_gateways(**room) as sides:
        yield *sides, sas


def test_rekey_storm_through_the_control_socket(storm, record_property):
    """
    Every SA is rekeyed, make before break, a part of them at a time, while packets go through all of
    them: none is lost, none in clear, and neither a number nor an IV is used twice.
    """
    moon, sun, sas = storm
    traffic = Traffic(moon, sun, sas)
    to_all = ("--sas", sas, "--dst", THEIRS[4])

    def rekey(side, chunk, generation, phase):
        process = control(side.engine, "--first", chunk * (sas // CHUNKS), "--sas", sas // CHUNKS,
                          "--dst", THEIRS[4], "--generation", generation, phase)
        traffic.until(lambda: done(process))

    sun.engine.batch([f"xfrm policy add src 0.0.0.0/0 dst {HOSTS} dir fwd tmpl src {OURS[4]} "
                      f"dst {THEIRS[4]} proto esp mode tunnel"])
    for side, phases in ((sun, ["sas"]), (moon, ["sas", "policies"])):
        assert control(side.engine, *to_all, *phases).wait() == 0
    before = traffic.lost()
    traffic.until(lambda: traffic.came >= sas)
    for chunk in range(CHUNKS):
        rekey(sun, chunk, 1, "sas")
        rekey(moon, chunk, 1, "sas")
        rekey(moon, chunk, 0, "delete")
        under_way = traffic.sent
        traffic.until(lambda: traffic.came >= under_way)
        rekey(sun, chunk, 0, "delete")
    enough = traffic.sent + sas
    traffic.until(lambda: traffic.sent >= enough)
    traffic.drain()
    record_property("packets", traffic.sent)
    numbers = traffic.numbers
    assert (traffic.twice, numbers.clear, numbers.twice, numbers.strayed) == (0, 0, 0, 0)
    assert numbers.esp == traffic.sent
    assert len(numbers.seen) == 2 * sas  # each SA was used, before and after
    assert traffic.lost() == before
    for side in (moon, sun):
        assert side.engine.ctl("status", "show")["status"]["databases"]["sas"] == sas


CHURN_HOSTS = 200
FILL = 70  # rounds after which tombstones are as many as there may be
GROWTH = 4096  # kilobytes


@pytest.fixture
def paced(netns):
    paced = Paced(netns("paced"), CHURN_HOSTS, 20000)
    yield paced
    paced.stop()


def settled(paced, policies):
    """Whether nothing waits any more until workers have come round: bytes of policies are as told."""
    databases = paced.databases()
    return ((databases["sas"], databases["policies_out"], databases["memory"]["policies"])
            == (CHURN_HOSTS, CHURN_HOSTS, policies))


def buffers(paced):
    return paced.ctl("status", "show")["status"]["buffers_free"]


def unexplained(paced):
    """Kilobytes that the process has beside those that its databases say they hold."""
    with open(f"/proc/{paced.process.pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    resident = sum(int(fields[name].split()[0]) for name in ("VmRSS", "HugetlbPages"))
    return resident - sum(paced.databases()["memory"].values()) // 1024


@pytest.mark.slow_under_sanitizer
@pytest.mark.parametrize("rounds,rate", [
    pytest.param(100, 30000, id="short"),
    pytest.param(10700, 50000, id="long", marks=pytest.mark.long)])
def test_churn_leaves_nothing_behind(paced, rounds, rate, record_property):
    """
    SAs are rekeyed, and others come and go with their policies, while packets go through those that
    stay: none is dropped, and in the end the engine holds what it held before. The places of SAs are
    fewer than come: each that was not given back would be missing.
    """
    paced.change("sas", "policies")
    policies = paced.databases()["memory"]["policies"]
    paced.change("--rounds", FILL, "--rate", rate, "storm")
    wait_for(lambda: settled(paced, policies), "the first churn to settle")
    memory, free, drops = unexplained(paced), buffers(paced), paced.drops()
    forwarded = paced.worker()["forwarded"]
    churn = paced.change("--generation", FILL, "--rounds", rounds, "--rate", rate, "storm")
    assert paced.worker()["forwarded"] > forwarded
    assert paced.drops() == drops
    wait_for(lambda: settled(paced, policies), "the churn to settle")
    wait_for(lambda: buffers(paced) >= free, f"all buffers: {free}, not {buffers(paced)}")
    record_property("messages_per_second", round(churn["storm"]))
    record_property("unexplained_kilobytes", f"{memory}, {unexplained(paced)}")
    assert unexplained(paced) < memory + GROWTH
