# SPDX-License-Identifier: BSD-3-Clause
"""
What real ports cost: the whole daemon, on a core of its own, seals UDP, or opens ESP, that bench/feed.c
sends it from another core, by each kind of port in turn. Ticks are those of turns that found packets, as the worker
counts them itself; of many short times the tenth that was least disturbed. Beside them the loop of
sealane-bench, which has no port at all, with bursts as full as those that the port gave. Prints a table;
--json FILE has all. Wants root, and two cores.

    sudo SEALANE_BUILD=$PWD/build-bench /usr/bin/python3 bench/ports.py [--seconds N] [--only WORD]
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/system"))
from engine import BUILD, Engine  # noqa: E402
from netns import Netns, helper, wait_for  # noqa: E402
from paced import Paced  # noqa: E402

SIZES = (64, 512, 1400)
WINDOW = 0.02  # seconds between two looks at the counters
CORE = os.cpu_count() - 1
SIDES = {"out": "lan", "in": "wan"}  # where packets come from
HOST, NEXT = "10.1.0.2", "192.0.2.2"
KEY = "0x" + "5a" * 20


def secure(engine):
    """An SA and the policy for each direction."""
    for number, here, there, ways in ((1, "192.0.2.1", NEXT, ["out"]), (2, NEXT, "192.0.2.1", ["in", "fwd"])):
        ends, own = f"src {here} dst {there} proto esp", f"reqid {number} mode tunnel"
        engine.batch([
            f"xfrm state add {ends} spi {4095 + number} {own} replay-window 32 "
            f"aead rfc4106(gcm(aes)) {KEY} 128",
            *(f"xfrm policy add src 10.{number}.0.0/16 dst 10.{3 - number}.0.0/16 dir {way} tmpl {ends} {own}"
              for way in ways)])


def feed(exits, last, netns, engine, direction, size, *devices):
    """
    The other end of the engine's ports, in that namespace. It falls silent before the engine ends and
    goes after it: net_memif stands no peer that goes amid packets.
    """
    kind = "clear" if direction == "out" else "esp"
    mac = engine.port(SIDES[direction])["mac"]
    process = subprocess.Popen(
        netns.command(BUILD / "bench/sealane-feed", 0, size, kind, mac, *devices),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last.callback(process.wait)
    last.callback(process.kill)
    exits.callback(process.send_signal, signal.SIGSTOP)


def daemon(exits, netns, devices):
    """An engine that seals what comes by `lan`, and opens what comes by `wan`."""
    engine = Engine(netns, [{"name": name, "device": device, "side": side} for (name, device), side
                            in zip(devices.items(), ("protected", "unprotected"))],
                    cores=[CORE], polling="busy",
                    routes=[{"prefix": "10.2.0.0/16", "via": NEXT, "port": "wan"},
                            {"prefix": "10.1.0.0/16", "via": HOST, "port": "lan"}],
                    neighbours=[{"address": NEXT, "mac": "02:00:00:00:00:43", "port": "wan"},
                                {"address": HOST, "mac": "02:00:00:00:00:42", "port": "lan"}])
    exits.callback(engine.stop)
    netns.batch(["link set lan up", "link set wan up", "addr add 192.0.2.1/24 dev wan"])
    secure(engine)
    return engine


# ---- the kinds of ports: each gives an engine that gets packets ----

def memory(exits, _, size):
    """A source and a sink in the daemon itself (bench/paced.c): buffers from the pool, no port. Outbound."""
    netns = Netns("memory")
    exits.callback(netns.close)
    engine = Paced(netns, 1, 0, size, cores=[CORE], polling="busy")
    exits.callback(engine.stop)
    engine.change("sas", "policies")
    return engine


def memif(exits, direction, size):
    netns = Netns("memif")
    exits.callback(netns.close)
    folder = exits.enter_context(tempfile.TemporaryDirectory())
    last = exits.enter_context(contextlib.ExitStack())
    engine = daemon(exits, netns, {
        name: f"net_memif{i},id={i},role=server,socket={folder}/memif,socket-abstract=no"
        for i, name in enumerate(("lan", "wan"))})
    feed(exits, last, netns, engine, direction, size, *(
        f"net_memif{i},id={i},role=client,socket={folder}/memif,socket-abstract=no"
        for i in ((0, 1) if direction == "out" else (1, 0))))
    return engine


def veth(driver):
    def make(exits, direction, size):
        netns, far = Netns("gateway"), Netns("far")
        for space in (netns, far):
            exits.callback(space.close)
        for name in ("lan", "wan"):
            helper("veth_new", netns.name, f"{name}0", far.name, f"{name}1")
            helper("below_engine", netns.name, f"{name}0")
            helper("below_engine", far.name, f"{name}1")
        last = exits.enter_context(contextlib.ExitStack())
        engine = daemon(exits, netns, {
            name: f"{driver}{i},iface={name}0" for i, name in enumerate(("lan", "wan"))})
        feed(exits, last, far, engine, direction, size, f"net_af_packet0,iface={SIDES[direction]}1")
        return engine
    return make


PORTS = {"memory": memory, "memif": memif, "veth by AF_XDP": veth("net_af_xdp"),
         "veth by vnet": veth("vnet"), "veth by af_packet": veth("net_af_packet")}


# ---- what is measured ----

def windows(engine, seconds):
    """(ticks, packets, turns) of each short time in which packets came."""
    keys = ("busy_cycles", "received", "busy_polls")
    end, before = time.monotonic() + seconds, None
    while time.monotonic() < end:
        worker = engine.ctl("worker", "show")["worker"][0]
        now = [worker[key] for key in keys]
        if before and now[1] > before[1] and now[2] > before[2]:
            yield [b - a for a, b in zip(before, now)]
        before = now
        time.sleep(WINDOW)


def lost(engine, direction):
    return {"tx_full": engine.drops()["tx_full"], "rx_missed": engine.port(SIDES[direction])["rx_missed"]}


def loop(direction, size, burst):
    """sealane-bench, with bursts as full."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run([BUILD / "bench/sealane-bench", "--direction", direction, "--size", str(size),
                        "--burst", str(burst), "--repeat", "500", "--json", file.name],
                       check=True, capture_output=True)
        return json.load(file)["ticks_per_packet"]


def measure(make, direction, size, seconds):
    with contextlib.ExitStack() as exits:
        engine = make(exits, direction, size)
        begin = engine.ctl("worker", "show")["worker"][0]["forwarded"]
        wait_for(lambda: engine.ctl("worker", "show")["worker"][0]["forwarded"] > begin + 10000,
                 "packets", 60)
        before = lost(engine, direction)
        seen = sorted(windows(engine, seconds), key=lambda w: w[0] / w[1])
        after = lost(engine, direction)
    least = seen[:max(1, len(seen) // 10)]
    ticks, packets, turns = (sum(column) for column in zip(*least))
    came = sum(w[1] for w in seen)
    burst = packets / turns
    alone = loop(direction, size, min(64, max(1, round(burst))))
    return {"ticks": ticks / packets, "burst": burst, "loop_ticks": alone,
            "lost": {key: (after[key] - before[key]) / came for key in after}}


def table(rows):
    yield ("| port | direction | bytes | packets a burst | ticks a packet | the loop, such bursts | "
           "difference | dropped, `tx_full` |")
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        yield (f"| {row['port']} | {row['direction']} | {row['size']} | {row['burst']:.0f} | {row['ticks']:.0f} | "
               f"{row['loop_ticks']:.0f} | {row['ticks'] - row['loop_ticks']:+.0f} | "
               f"{row['lost']['tx_full'] * 100:.1f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--only", help="ports with this in their names")
    parser.add_argument("--json", help="write the figures to this file, too")
    options = parser.parse_args()
    rows = []
    for name, direction in itertools.product(PORTS, SIDES):
        if (options.only or "") not in name or (name, direction) == ("memory", "in"):
            continue
        for size in SIZES:
            rows.append({"port": name, "direction": direction, "size": size,
                         **measure(PORTS[name], direction, size, options.seconds)})
            print(rows[-1], file=sys.stderr)
    print("\n".join(table(rows)))
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
