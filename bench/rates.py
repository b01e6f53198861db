# SPDX-License-Identifier: BSD-3-Clause
"""
How fast SAs and policies come and go through the control socket of the whole daemon, many messages a
datagram (bench/control): of engines that are new, so that the first SAs come to memory that nobody has
touched, and then again with other keys. Prints a table; --json FILE has the same. Wants root, and two
cores.

    sudo SEALANE_BUILD=$PWD/build-bench /usr/bin/python3 bench/rates.py [--sas N...] [--json FILE]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/system"))
from engine import BUILD, Engine  # noqa: E402
from netns import Netns  # noqa: E402

FIRST = {"sas_added": "SAs added", "policies_added": "policies added", "sas_dumped": "SAs dumped",
         "sas_deleted": "SAs deleted"}
AGAIN = {"sas_added_again": "SAs added again"}


def control(engine, sas, *words):
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run([BUILD / "bench/control", engine.path("xfrm.sock"), "--sas", str(sas),
                        "--json", file.name, *words], check=True, stdout=subprocess.DEVNULL)
        return json.load(file)


def measure(sas):
    netns = Netns("rates")
    port = {"name": "wan", "device": "net_null0,no-rx=1", "side": "unprotected"}
    try:
        engine = Engine(netns, [port], sad={"max_sas": sas}, spd={"max_policies": sas})
        rates = control(engine, sas)
        again = control(engine, sas, "--generation", "1", "sas", "delete")
        engine.stop()
    finally:
        netns.close()
    return {"sas": sas, **{key: rates[key] for key in FIRST},
            "sas_added_again": again["sas_added"]}


def table(rows):
    columns = FIRST | AGAIN
    yield "| how many | " + " | ".join(columns.values()) + " |"
    yield "|---|" + "---|" * len(columns)
    for row in rows:
        yield f"| {row['sas']:,} | " + " | ".join(f"{row[key]:,.0f}" for key in columns) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sas", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--json", help="write the figures to this file, too")
    options = parser.parse_args()
    rows = [measure(sas) for sas in options.sas]
    print("\n".join(table(rows)))
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
