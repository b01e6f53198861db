# SPDX-License-Identifier: BSD-3-Clause
"""The steps of a document, taken from its text: files to be written and commands to be run."""

import re
import textwrap

PROGRAMS = ("apt", "ipsec", "sealanectl", "sealaned", "sealane-xfrm", "swanctl", "systemctl")
TOKEN = re.compile(r"^( *)```\w*\n(.*?)^ *```$|`([^`\n]+)`(:?)", re.M | re.S)
STEP = re.compile(r"^\d+\. ", re.M)


def steps(path):
    """
    Its numbered steps, each a list of ("file", name, text) and ("run", line) in their order. A file is
    named before its text, which is a block or stands behind a colon.
    """
    _, *parts = STEP.split(re.split(r"^## ", section(path.read_text()), flags=re.M)[0])
    return [list(step(part)) for part in parts]


def section(text):
    """From the first numbered step on."""
    return text[STEP.search(text).start():]


def step(text):
    name, colon = None, ""
    for indent, block, words, colon_behind in TOKEN.findall(text):
        if block:
            block = textwrap.dedent(indent + block if not block.startswith(indent) else block)
            if name:
                yield "file", name, block
            else:
                for line in block.replace("\\\n", " ").splitlines():
                    yield "run", line
            name = None
        elif name and colon:
            yield "file", name, words + "\n"
            name = None
        elif re.match(r"/etc/\S+\.\w+$", words):
            name = words
        elif words.split()[0] in PROGRAMS:
            yield "run", words
        colon = colon_behind
