#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Counts what a test run left behind, for scripts/test.sh.

    count_results.py FILE    meson's testlog.json (cmocka's own counts where it printed them) or a
                             JUnit report; prints "PASSED FAILED SKIPPED" and names what is not well
"""

import json
import re
import sys
import xml.etree.ElementTree as xml


def cmocka(output, word):
    """The sum of cmocka's "[  PASSED  ] 12 test(s)" lines."""
    return sum(int(n) for n in re.findall(rf"\[\s+{word}\s+\]\s+(\d+) test\(s\)", output))


def of_meson(lines):
    """(passed, failed, skipped, notes): a program that died counts as one failure at least."""
    total = [0, 0, 0]
    notes = []
    for line in lines:
        test = json.loads(line)
        output = (test.get("stdout") or "") + (test.get("stderr") or "")
        passed, failed, skipped = (cmocka(output, w) for w in ("PASSED", "FAILED", "SKIPPED"))
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            passed = passed or 1
        elif test["result"] == "SKIP":
            skipped = skipped or 1
        else:
            failed = failed or 1
            notes.append(f"{test['name']}: {test['result'].lower()}")
        total = [a + b for a, b in zip(total, (passed, failed, skipped))]
    return *total, notes


def of_junit(root):
    total = [0, 0, 0]
    notes = []
    for case in root.iter("testcase"):
        wrong = case.find("failure") is not None or case.find("error") is not None
        skip = case.find("skipped")
        total[1 if wrong else 0 if skip is None else 2] += 1
        name = f"{case.get('classname')}::{case.get('name')}"
        if wrong:
            notes.append(f"failed: {name}")
        elif skip is not None:
            notes.append(f"skipped: {name}: {skip.get('message')}")
    return *total, notes


def main(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    if path.endswith(".json"):
        result = of_meson(line for line in text.splitlines() if line.strip())
    else:
        result = of_junit(xml.fromstring(text))
    print(*result[:3])
    for note in result[3]:
        print(note)


if __name__ == "__main__":
    main(sys.argv[1])
