# SPDX-License-Identifier: BSD-3-Clause
"""What the system tests share. They need root; each run's namespaces have names of their own."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from gateway import Gateway  # noqa: E402
from netns import Netns  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the long tests as well")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: runs only with --long")
    config.addinivalue_line("markers", "slow_under_sanitizer: of amounts, not of the code's ways")
    if os.geteuid() != 0:
        pytest.exit("the system tests make network namespaces: run them as root", 2)


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="module")
def netns():
    """Makes namespaces that go when the module's tests are done: netns("gateway")."""
    made = []

    def new(role):
        made.append(Netns(role))
        return made[-1]

    yield new
    for namespace in made:
        namespace.close()


@pytest.fixture(scope="module")
def gateway():
    """An engine between two packet sockets, for tests of single packets (gateway.py)."""
    gateway = Gateway()
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def speaking():
    """The same, whose kernel may send packets of its own."""
    gateway = Gateway()
    for name in ("lan", "wan"):
        gateway.gw.run("tc", "qdisc", "del", "dev", name, "clsact")
    yield gateway
    gateway.close()
