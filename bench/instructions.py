# SPDX-License-Identifier: BSD-3-Clause
"""
Instructions a packet of the packet path, by valgrind's callgrind: they are the same on a busy machine
as on an idle one, so that what a change costs shows wherever it is built. What is kept in
bench/instructions.json is what the change is measured from. This reports; it does not judge.

    bench/instructions.py [--keep] [--all]      SEALANE_BUILD is the build (default build/)

Not counted are the crypto library, which has other code for a processor without AVX-512 (as
valgrind's is), and the benchmark's own source and sink. Packets have 512 bytes. They are of one SA,
where most are like the one before, or of 1,000 in random order, where hardly any is.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("SEALANE_BUILD", ROOT / "build"))
KEPT = ROOT / "bench/instructions.json"

MANY = ["--sas", "1000", "--order", "random"]
CASES = {"out": ["--direction", "out"], "in": ["--direction", "in"],
         "out1000": ["--direction", "out", *MANY], "in1000": ["--direction", "in", *MANY]}
LAPS = (10, 30)  # the difference of two runs has no beginnings in it
PACKETS = (LAPS[1] - LAPS[0]) * 2 * 256  # each lap comes twice: whole, and by stages
NOT_OURS = re.compile(r"^(source|sink|change|__wrap_\w+|0x\w+)$")


def counts(arguments, laps):
    """Instructions of each function within worker_poll()."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(
            ["valgrind", "--tool=callgrind", "--toggle-collect=worker_poll",
             f"--callgrind-out-file={file.name}", BUILD / "bench/sealane-bench", *arguments,
             "--size", "512", "--repeat", str(laps)], check=True, capture_output=True)
        report = subprocess.run(
            ["callgrind_annotate", "--threshold=100", "--show-percs=no", "--auto=no", file.name],
            check=True, capture_output=True, text=True).stdout
    found = collections.Counter()
    for number, function in re.findall(r"^ *([\d,]+)  \S*?:([\w.']+)(?: \[.*\])?$", report, re.M):
        if not NOT_OURS.match(function):
            found[re.split(r"['.]", function)[0]] += int(number.replace(",", ""))
    return found


def measure(arguments):
    few, many = (counts(arguments, laps) for laps in LAPS)
    return {function: round((many[function] - few[function]) / PACKETS, 1) for function in many
            if many[function] - few[function] >= PACKETS / 20}


def compare(now, kept, everything):
    """The whole, and the functions whose part has changed."""
    yield "all", sum(now.values()), sum(kept.values())
    for function in sorted(now.keys() | kept.keys(), key=lambda f: -now.get(f, 0)):
        a, b = now.get(function, 0), kept.get(function, 0)
        if everything or abs(a - b) >= 0.5:
            yield function, a, b


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep these figures")
    parser.add_argument("--all", action="store_true", help="print functions that did not change, too")
    options = parser.parse_args()
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    now = {case: measure(arguments) for case, arguments in CASES.items()}
    print("instructions a packet, and how many more than those kept")
    for case, functions in now.items():
        for function, a, b in compare(functions, kept.get(case, {}), options.all):
            print(f"{case:<7} {function:<28} {a:7.1f} {round(a - b, 1) + 0:+8.1f}")
    if options.keep:
        KEPT.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
