#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes docs/conformance.md of the rules (rules.txt), the tests' own names, and the mutants.

    tests/conformance/conformance.py            writes docs/conformance.md
    tests/conformance/conformance.py --check    says what is wrong, and whether it is out of date

A C test is a function of cmocka's type; the compiler sees to it that each is run (-Wunused-function).
A rule has a test, a reason ("not:"), or is a gap, which the document lists first.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "tests/conformance/rules.txt"
MUTANTS = ROOT / "tests/mutants/mutants.txt"
DOCUMENT = ROOT / "docs/conformance.md"

C_TEST = re.compile(r"^(?:test_)?((?:[BCS]\d+_)+\w+)\(void \*\*\w+\)", re.M)
PYTHON_TEST = re.compile(r"^ *def test_((?:[BCS]\d+_)+\w+)\(", re.M)

HEAD = """\
# Conformance

Made by `tests/conformance/conformance.py` from `tests/conformance/rules.txt` and the names of the
tests; `scripts/test.sh` fails where it is out of date. To change it, change those.

A name alone proves nothing: beside the tests stand the seeded bugs (`tests/mutants`) that break the
rule and that the tests catch. How to run either is in [tests/README.md](../tests/README.md).
"""


class Rule:
    def __init__(self, number, strength, source, text):
        self.number, self.strength, self.source, self.text = number, strength, source, text
        self.reason = self.note = None
        self.tests = []
        self.mutants = []


def read_rules(text):
    """Chapters of rules, in order: [(title, [Rule])]."""
    chapters = []
    for line in text.splitlines():
        if line.startswith("= "):
            chapters.append((line[2:], []))
        elif re.match(r"[BCS]\d+ \|", line):
            chapters[-1][1].append(Rule(*(part.strip() for part in line.split("|"))))
        elif match := re.match(r"\s+(not|note): (.*)", line):
            setattr(chapters[-1][1][-1], "reason" if match[1] == "not" else "note", match[2])
        elif line.strip() and not line.startswith("#"):
            sys.exit(f"rules.txt: what is this: {line}")
    return chapters


def tests():
    """(file, name) of each test that carries a number."""
    for path in sorted((ROOT / "tests").rglob("test_*")):
        pattern = {".c": C_TEST, ".py": PYTHON_TEST}.get(path.suffix)
        for name in pattern.findall(path.read_text()) if pattern else ():
            yield path.relative_to(ROOT / "tests"), name


def numbers(name):
    return re.findall(r"[BCS]\d+", re.match(r"(?:[BCS]\d+_)+", name)[0])


def mutants():
    """(name, numbers) of each seeded bug."""
    text = MUTANTS.read_text() if MUTANTS.exists() else ""
    for name, rules in re.findall(r"^mutant (\S+)\n(?:(?!mutant ).*\n)*?breaks: (.*)$", text, re.M):
        yield name, rules.split()


def gather():
    chapters = read_rules(RULES.read_text())
    rules = {rule.number: rule for _, rules in chapters for rule in rules}
    unknown = []
    for path, name in tests():
        for number in numbers(name):
            if number in rules:
                rules[number].tests.append((path, name))
            else:
                unknown.append(f"tests/{path}:1: {name} shows a rule that there is not: {number}")
    for name, broken in mutants():
        for number in broken:
            if number in rules:
                rules[number].mutants.append(name)
            else:
                unknown.append(f"{MUTANTS.name}:1: {name} breaks a rule that there is not: {number}")
    return chapters, unknown


def shown(rule):
    """The last cell of a rule's line."""
    cell = [f"{re.sub(r'^(?:[BCS][0-9]+_)+', '', name)} ({path})" for path, name in rule.tests]
    if rule.mutants:
        cell.append("*breaks it:* " + ", ".join(rule.mutants))
    if rule.reason:
        cell.append(f"**Not so here.** {rule.reason}")
    if rule.note:
        cell.append(f"*{rule.note}*")
    return "<br>".join(cell) or "**gap: no test yet**"


def render(chapters):
    every = [rule for _, rules in chapters for rule in rules]
    gaps = [rule.number for rule in every if not rule.tests and not rule.reason]
    bare = [rule.number for rule in every if rule.tests and not rule.mutants]
    out = [HEAD]
    out.append(f"{len(every)} lines: {sum(bool(r.tests) for r in every)} have tests, "
               f"{sum(bool(r.reason) for r in every)} have a reason why not, "
               f"{len(gaps)} are gaps{': ' + ', '.join(gaps) if gaps else ''}.")
    if bare:
        out.append(f"\nWith tests but without a seeded bug of their own: {', '.join(bare)}.")
    for title, rules in chapters:
        second = "becomes" if rules[0].strength == "becomes" else "source"
        out.append(f"\n## {title}\n\n| | {second} | what | shown by |\n|---|---|---|---|")
        for r in rules:
            source = r.source if second == "becomes" else f"{r.strength}, {r.source}"
            out.append(f"| {r.number} | {source} | {r.text} | {shown(r)} |")
    return "\n".join(out) + "\n"


def main(arguments):
    chapters, wrong = gather()
    text = render(chapters)
    if arguments == ["--check"]:
        if not DOCUMENT.exists() or DOCUMENT.read_text() != text:
            wrong.append("docs/conformance.md:1: is out of date: run "
                         "tests/conformance/conformance.py")
        print("\n".join(wrong))
        return 1 if wrong else 0
    if arguments:
        sys.exit(__doc__)
    if wrong:
        sys.exit("\n".join(wrong))
    DOCUMENT.write_text(text)
    print(re.search(r"^\d+ lines: .*$", text, re.M)[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
