# SPDX-License-Identifier: BSD-3-Clause
"""
Whether changes stop a worker: an engine forwards at a part of its capacity on one core, while from
another one its control socket gets adds, rekeyings, updates and deletions of SAs and policies
(bench/control). Prints JSON: for a time without changes and for one with them, what was lost, and the
longest that the worker was away from its queues, as it measured it itself, and how often it was for
more than 100 us. Wants root, and two cores without other work: where the worker loses its core to
somebody, `switched_gap_us` says so, and packets are lost to that. Interrupts and a hypervisor are
neither's doing: what the times have in common is the machine's. Each takes a minute, which is what a
worker remembers; with --short eight seconds.

    sudo SEALANE_BUILD=$PWD/build-bench /usr/bin/python3 bench/changes.py [--sas N] [--rate R...] [--short] ...
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/system"))
from netns import Netns, wait_for  # noqa: E402
from paced import Paced  # noqa: E402

MINUTE = 64  # seconds that a worker remembers its longest turns
HURRY = 8  # the short form's are so many times shorter
PART = 7 / 8  # of that time, in which there are changes
A_REKEYING = 7  # messages, those about guests beside it included (bench/control.c)


def forwarded_a_second(paced, seconds):
    begin, before = time.monotonic(), paced.worker()["forwarded"]
    time.sleep(seconds)
    return (paced.worker()["forwarded"] - before) / (time.monotonic() - begin)


def what_was(paced, before):
    """Since the losses before: losses, and the worker's longest gaps."""
    lost = {reason: n - before.get(reason, 0) for reason, n in paced.lost().items()}
    return {"lost": {reason: n for reason, n in lost.items() if n},
            **{key: paced.worker()[key] for key in ("gap_us", "long_gaps", "switched_gap_us")}}


def start(netns, options, packets):
    """On the last processor; the control thread, and who talks to it, stay on the first."""
    os.sched_setaffinity(0, range(os.cpu_count()))
    paced = Paced(netns, options.sas, packets, options.size, HURRY if options.short else 1,
                  polling="busy", cores=[os.cpu_count() - 1])
    for thread in (0, paced.process.pid):
        os.sched_setaffinity(thread, {0})
    paced.change("sas", "policies")
    return paced


def capacity(netns, options):
    paced = start(netns, options, 0)
    rate = forwarded_a_second(paced, 5)
    paced.stop()
    return rate


def changes(netns, options, packets):
    """Without changes, and with so many messages a second; what was before is forgotten each time."""
    minute = MINUTE / HURRY if options.short else MINUTE
    paced = start(netns, options, packets)
    wait_for(lambda: paced.worker()["forwarded"] > options.sas, "packets", 60)
    time.sleep(minute)
    before = paced.lost()
    time.sleep(minute)
    yield {"messages_per_second": 0, **what_was(paced, before)}
    generation = 0
    for rate in options.rate:
        time.sleep(minute)
        rounds = max(1, round(minute * PART * rate / (A_REKEYING * options.sas)))
        before = paced.lost()
        storm = paced.change("--generation", generation, "--rounds", rounds, "--rate", rate, "storm")
        yield {**what_was(paced, before), "messages_per_second": round(storm["storm"]),
               "sas_rekeyed": rounds * options.sas}
        generation += rounds
    paced.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sas", type=int, default=10000, help="each with a policy and a host")
    parser.add_argument("--size", type=int, default=512, help="bytes of a packet")
    parser.add_argument("--rate", type=int, nargs="+", default=[50000], help="messages a second")
    parser.add_argument("--load", type=float, default=0.7, help="part of the capacity")
    parser.add_argument("--json", help="write it to this file, too")
    parser.add_argument("--short", action="store_true", help="a minute is eight seconds")
    options = parser.parse_args()
    netns = Netns("paced")
    try:
        most = capacity(netns, options)
        result = list(changes(netns, options, round(most * options.load)))
    finally:
        netns.close()
    text = json.dumps({"sas": options.sas, "size": options.size, "load": options.load,
                      "capacity_per_second": round(most), "times": result}, indent=8)
    print(text)
    if options.json:
        Path(options.json).write_text(text)


if __name__ == "__main__":
    main()
