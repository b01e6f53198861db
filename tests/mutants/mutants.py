#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Seeds bugs one at a time, and says which test catches each.

    tests/mutants/mutants.py [NAME...]          the bugs of mutants.txt, or these
    tests/mutants/mutants.py --random N [SEED]  N operators changed at random, and all unit tests

Works on a copy of the tree in a temporary folder; nothing here changes. A bug that its tests do not
catch, or whose place in the code is not there any more, is a failure.
"""

import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("mutants.txt")
TEST_SECONDS = 60  # and ten times what it took without a bug

# What is looked at for random bugs, and what becomes of an operator. Left out is what talks to the
# kernel, which unit tests do not reach (and a bug in the preload library would let them loose on it).
RANDOM_FILES = ["crypto/*.[ch]", "sadb/*.[ch]", "dataplane/*.[ch]", "ikeglue/*.[ch]"]
KERNEL_FILES = re.compile(r"dataplane/(main|eal|tap|host|rtnl|privileges|log|put|show\w*)\.|"
                          r"ikeglue/(preload|redirect|real|dial|client)\.")
OPERATORS = [
    (r" < ", " <= "), (r" <= ", " < "), (r" > ", " >= "), (r" >= ", " > "), (r" == ", " != "),
    (r" != ", " == "), (r" && ", " || "), (r" \|\| ", " && "), (r" \+ ", " - "), (r" - ", " + "),
    (r"\+\+;", "--;"), (r" \|= ", " = "), (r"\btrue\b", "false"), (r"\bfalse\b", "true"),
    (r" & ", " | "), (r" << ", " >> "), (r" 0\b", " 1"), (r" \+= ", " = "),
]


class Mutant:
    def __init__(self, name):
        self.name = name
        self.file, self.tests = None, []
        self.old, self.new = [], []

    def applied(self, text):
        """The changed text. The place must be there exactly once."""
        old, new = "\n".join(self.old), "\n".join(self.new)
        if text.count(old) != 1:
            raise LookupError(f"its place is in {self.file} {text.count(old)} times")
        return text.replace(old, new)


def read_table(text):
    mutants = []
    for line in text.splitlines():
        if line.startswith("mutant "):
            mutants.append(Mutant(line[7:].strip()))
        elif match := re.match(r"(file|tests|breaks): (.*)", line):
            if match[1] == "file":
                mutants[-1].file = match[2]
            elif match[1] == "tests":
                mutants[-1].tests = match[2].split()
        elif line[:1] in ("-", "+"):
            (mutants[-1].old if line[0] == "-" else mutants[-1].new).append(line[1:])
        elif line.strip() and not line.startswith("#"):
            sys.exit(f"mutants.txt: what is this: {line}")
    return mutants


class Tree:
    """A copy of the source tree with a build of its own."""

    def __init__(self, folder):
        self.source, self.build = folder / "source", folder / "build"
        names = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, text=True,
                               capture_output=True).stdout.split("\0")
        for name in filter(None, names):
            target = self.source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        self.run("meson", "setup", self.build, self.source, "-Doptimization=1", check=True)
        # A test of that name: its command, and what must be built for it.
        self.tests = {t["name"]: t for t in self.introspect("--tests") if "unit" in t["suite"][0]}
        self.files = {t["id"]: t["filename"][0] for t in self.introspect("--targets")}
        self.seconds = {}  # of each test without a bug

    def introspect(self, what):
        return json.loads(self.run("meson", "introspect", what, self.build, check=True))

    def run(self, *command, check=False, seconds=None):
        result = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                                errors="replace", timeout=seconds,
                                cwd=self.build if self.build.exists() else None)
        if check and result.returncode != 0:
            sys.exit(result.stdout + result.stderr)
        return result.stdout if result.returncode == 0 else None

    def builds(self, names):
        """Whether what the tests need could be built."""
        targets = {str(Path(self.files[t]).relative_to(self.build)) for n in names
                   for t in self.tests[n]["depends"]}
        return self.run("ninja", "-C", self.build, *sorted(targets)) is not None

    def catcher(self, names):
        """The first of the tests that fails, or None."""
        for name in names:
            try:
                seconds = TEST_SECONDS + 10 * self.seconds.get(name, 0)
                if self.run(*self.tests[name]["cmd"], seconds=seconds) is None:
                    return name
            except subprocess.TimeoutExpired:
                return f"{name} (it did not end)"
        return None

    def check(self, names):
        """Without any bug all of them pass; how long each takes is kept."""
        if not self.builds(names):
            sys.exit("without any bug it does not build")
        for name in names:
            begin = time.monotonic()
            if self.catcher([name]):
                sys.exit(f"without any bug it fails: {name}")
            self.seconds[name] = time.monotonic() - begin


def judge(tree, mutant):
    """("caught", by what), ("SURVIVED", ""), or why it could not be tried."""
    path = tree.source / mutant.file
    original = path.read_text()
    try:
        path.write_text(mutant.applied(original))
        if not tree.builds(mutant.tests):
            return "UNBUILT", "it does not compile"
        caught = tree.catcher(mutant.tests)
        return ("caught", f"by {caught}") if caught else ("SURVIVED", "")
    except LookupError as error:
        return "LOST", str(error)
    finally:
        path.write_text(original)


def chosen(names):
    table = {m.name: m for m in read_table(TABLE.read_text())}
    if unknown := [name for name in names if name not in table]:
        sys.exit(f"{__doc__.strip()}\n\nnot in mutants.txt: {' '.join(unknown)}")
    return [table[name] for name in names or table]


def seeded(tree, mutants):
    tree.check(sorted({test for m in mutants for test in m.tests}))
    results = []
    for mutant in mutants:
        verdict, how = judge(tree, mutant)
        results.append(verdict)
        print(f"{verdict:9}{mutant.name:40} {how}", flush=True)
    print(f"{results.count('caught')} caught of {len(results)}")
    return 0 if results and set(results) == {"caught"} else 1


def random_mutants(tree, count, seed):
    """Lines with an operator in them, each changed in one place."""
    places = []
    for pattern in RANDOM_FILES:
        for path in sorted(tree.source.glob(pattern)):
            if KERNEL_FILES.match(str(path.relative_to(tree.source))):
                continue
            for number, line in enumerate(path.read_text().splitlines()):
                if not line.startswith("\t") or re.match(r"\s*(/?\*|//|#|static_assert)", line):
                    continue
                code = re.sub(r"/\*.*?\*/", lambda m: "\0" * len(m[0]), line)
                code = re.sub(r'"[^"]*"', lambda m: "\0" * len(m[0]), code)
                places += [(path, number, m.start(), m.end(), new) for old, new in OPERATORS
                           for m in re.finditer(old, code)]
    return random.Random(seed).sample(places, count)


def randomly(tree, count, seed):
    survivors = 0
    tree.check(list(tree.tests))
    names = sorted(tree.tests, key=tree.seconds.get)
    for path, number, start, end, new in random_mutants(tree, count, seed):
        original = path.read_text()
        lines = original.split("\n")
        old = lines[number]
        lines[number] = old[:start] + new + old[end:]
        path.write_text("\n".join(lines))
        caught = "the compiler" if not tree.builds(names) else tree.catcher(names)
        path.write_text(original)
        survivors += caught is None
        print(f"{'caught' if caught else 'SURVIVED':9}{path.relative_to(tree.source)}:{number + 1}: "
              f"{lines[number].strip()}  {'by ' + caught if caught else 'was: ' + old.strip()}",
              flush=True)
    print(f"{count - survivors} caught of {count}")
    return 0  # survivors are for people to judge


def main(arguments):
    drawn = arguments[:1] == ["--random"]
    mutants = [] if drawn else chosen(arguments)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Tree(Path(folder))
        if drawn:
            return randomly(tree, int(arguments[1]), int(arguments[2]) if arguments[2:] else 1)
        return seeded(tree, mutants)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
