#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Rules of the source tree that no compiler holds.

    tests/lint/lint.py            checks the tree, after showing that each rule can fail
    tests/lint/lint.py RULE...    only these rules

Each rule is a function from a Tree to complaints ("file:line: what"). Beside it stands a small bad
tree: a rule that finds nothing there is broken, and that fails as well.
"""

import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SOURCE = {".c", ".h", ".py", ".sh", ".build", ".yaml", ".yml", ".bt"}
FUNCTION_LINES_MAX = 80

# Arrows run one way (docs/architecture.md): a module may include itself and what stands here.
MAY_INCLUDE = {
    "crypto": set(),
    "sadb": {"crypto"},
    "dataplane": {"crypto", "sadb"},
    "ikeglue": {"crypto", "sadb"},
    "cli": set(),
}
SEES_ALL = "dataplane/main.c"
# crypto/ knows no mbuf and no port; the client links nothing of the daemon, DPDK least of all.
FOREIGN = {"crypto": r"<rte_(mbuf|ethdev|mempool|ring)", "cli": r"<rte_|<intel-ipsec-mb"}


class Tree:
    """The files of a source tree: {name: text}."""

    def __init__(self, files, root=None):
        self.files = files
        self.root = root

    @classmethod
    def of(cls, root):
        """The tracked files, or all but builds where there is no git."""
        try:
            out = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True,
                                 capture_output=True, text=True).stdout
            names = [n for n in out.split("\0") if n and (root / n).is_file()]
        except (OSError, subprocess.CalledProcessError):
            names = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()
                     and not re.match(r"build|\.git/", str(p.relative_to(root)))]
        files = {}
        for name in sorted(names):
            try:
                files[name] = (root / name).read_text()
            except UnicodeDecodeError:
                pass  # an image: nothing here speaks of those
        return cls(files, root)

    def c(self):
        return {n: t for n, t in self.files.items() if n.endswith((".c", ".h"))}

    def sources(self):
        return {n: t for n, t in self.files.items()
                if Path(n).suffix in SOURCE or (t.startswith("#!") and not n.endswith(".md"))}


def module_of(name):
    return name.split("/", 1)[0]


def included(tree, name):
    """(line number, module) of each file of ours that a file includes."""
    for number, line in enumerate(tree.files[name].splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not match:
            continue
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(name), match[1]))
        target = beside if beside in tree.files else posixpath.normpath(match[1])
        yield number, module_of(target)


def modules(tree):
    """Modules include only what lies below them; the client includes nothing of the daemon."""
    for name in tree.c():
        module = module_of(name)
        if module not in MAY_INCLUDE or name == SEES_ALL:
            continue
        for number, other in included(tree, name):
            if other in MAY_INCLUDE and other != module and other not in MAY_INCLUDE[module]:
                yield f"{name}:{number}: {module}/ may not include {other}/"
        for number, line in enumerate(tree.files[name].splitlines(), 1):
            if module in FOREIGN and "#" in line and re.search(FOREIGN[module], line):
                yield f"{name}:{number}: {module}/ may not use {line.split()[-1]}"


def spdx(tree):
    """Every source file says its licence in its first lines."""
    for name, text in tree.sources().items():
        if "SPDX-License-Identifier: BSD-3-Clause" not in "\n".join(text.splitlines()[:3]):
            yield f"{name}:1: no line 'SPDX-License-Identifier: BSD-3-Clause'"


def machine_paths(tree):
    """No file speaks of one machine's folders."""
    path = re.compile(r"(?<![\w.])/(?:home/\w|root/\w|work/\w|Users/\w|tmp/build)")
    for name, text in tree.files.items():
        if name == "tests/lint/lint.py":
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if path.search(line):
                yield f"{name}:{number}: a path of one machine: {line.strip()}"


def function_length(tree):
    """A function is a screen, at most 80 lines. (Bodies open and close in the first column.)"""
    for name, text in tree.c().items():
        start = None
        for number, line in enumerate(text.splitlines(), 1):
            if line == "{":
                start = number
            elif line == "}" and start:
                if number - start - 1 > FUNCTION_LINES_MAX:
                    yield f"{name}:{start}: a function of {number - start - 1} lines"
                start = None


def clang_format(tree):
    """C files are as .clang-format would write them."""
    if not shutil.which("clang-format"):
        yield "clang-format is not installed"
        return
    with tempfile.TemporaryDirectory() as folder:
        root = tree.root
        if root is None:  # the bad tree: write it down, with the real style
            root = Path(folder)
            shutil.copy(ROOT / ".clang-format", root)
            for name, text in tree.files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
        names = list(tree.c())
        if not names:
            return
        result = subprocess.run(["clang-format", "--dry-run", *names], cwd=root,
                                capture_output=True, text=True)
        wrong = {}
        for line in result.stderr.splitlines():
            match = re.match(r"(.+?):(\d+):\d+: warning:", line)
            if match:
                wrong.setdefault(match[1], match[2])
        for name, number in wrong.items():
            yield f"{name}:{number}: not as clang-format writes it"


def readme_commands(tree):
    """The README names the two commands of a newcomer."""
    text = tree.files.get("README.md", "")
    for command in ("scripts/demo.sh", "scripts/test.sh"):
        if command not in text:
            yield f"README.md:1: does not name {command}"


def drops_documented(tree):
    """Every drop reason is explained to operators in docs/."""
    reasons = re.findall(r'X\([A-Z_0-9]+,\s*"(\w+)"', tree.files.get("dataplane/drop.h", ""))
    docs = "\n".join(t for n, t in tree.files.items() if n.startswith("docs/") and
                     n.endswith(".md"))
    for reason in reasons:
        if f"`{reason}`" not in docs:
            yield f"dataplane/drop.h:1: docs/ do not explain `{reason}`"


def shell(tree):
    """ShellCheck finds nothing in the scripts."""
    if not shutil.which("shellcheck"):
        yield "shellcheck is not installed"
        return
    for name, text in tree.files.items():
        if not (name.endswith(".sh") or re.match(r"#!.*\b(ba|da|)sh\b", text)):
            continue
        # From a file it can follow `source`d ones; the bad tree has only a text.
        where = {"cwd": tree.root} if tree.root else {"input": text}
        what = ["-x", name] if tree.root else ["-"]
        result = subprocess.run(["shellcheck", "-f", "gcc", *what], capture_output=True, text=True,
                                **where)
        yield from result.stdout.splitlines()


def debris(tree):
    """No notes to ourselves are left in the sources."""
    for name, text in tree.sources().items():
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line) and name != "tests/lint/lint.py":
                yield f"{name}:{number}: {line.strip()}"


# Each rule, with a tree that it must find fault with.
RULES = {
    modules: {"sadb/a.c": '#include "dataplane/b.h"\n', "dataplane/b.h": "", "crypto/c.c":
              "#include <rte_mbuf.h>\n", "cli/d.c": '#include "../sadb/e.h"\n', "sadb/e.h": ""},
    spdx: {"sadb/a.c": "/* nobody's */\n", "b": "#!/bin/sh\n"},
    machine_paths: {"docs/a.md": "see /ho" + "me/me/notes\n"},
    function_length: {"sadb/a.c": "int f(void)\n{\n" + "\tg();\n" * 81 + "}\n"},
    clang_format: {"sadb/a.c": "int f( void ){return 1 ;}\n"},
    readme_commands: {"README.md": "Run scripts/demo.sh.\n"},
    drops_documented: {"dataplane/drop.h": 'X(NEW, "new", "a new one")', "docs/a.md": "none\n"},
    shell: {"a.sh": "#!/bin/sh\nrm -rf $1\n"},
    debris: {"sadb/a.c": "/* TO" + "DO: later */\n"},
}
# How many complaints the bad tree must draw where it has several faults.
FAULTS = {modules: 3, spdx: 2}


def check(rule, tree):
    """Whether the rule holds, after proof that it can fail. Prints what is wrong."""
    found = len(list(rule(Tree(RULES[rule]))))
    if found < FAULTS.get(rule, 1):
        print(f"FAIL {rule.__name__}: finds only {found} faults in a bad example")
        return False
    complaints = list(rule(tree))
    print(f"{'FAIL' if complaints else 'ok  '} {rule.__name__}: {rule.__doc__.splitlines()[0]}")
    for complaint in complaints:
        print(f"     {complaint}")
    return not complaints


def main(names):
    unknown = set(names) - {rule.__name__ for rule in RULES}
    if unknown:
        sys.exit(f"no such rule: {', '.join(sorted(unknown))}")
    tree = Tree.of(ROOT)
    results = [check(rule, tree) for rule in RULES if not names or rule.__name__ in names]
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 1 if False in results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
