# SPDX-License-Identifier: BSD-3-Clause
"""
Every suite of docs/algorithms.md, both directions, with 32-bit sequence numbers and extended ones, on
both crypto backends, against a second opinion (suites.py).
"""

import pytest
from scapy.layers.ipsec import ESP
from scapy.packet import Raw

from gateway import FLUSH, HOST, REMOTE, Gateway, udp
from suites import PAIRS, SUITES

# Every remainder of the padding to 4, some of that to 16, and the largest.
SIZES = [24, 25, 26, 27, 33, 39, 1300]

every_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda s: s.name)
with_and_without_esn = pytest.mark.parametrize("esn", [False, True], ids=["seq32", "esn"])


@pytest.fixture(scope="module", params=["ipsec-mb", "openssl"])
def both(request):
    """A gateway on each backend, legacy algorithms allowed."""
    gateway = Gateway(crypto={"backend": request.param, "legacy": ["sha1"]})
    gateway.lacks = ["aes192ccm"] if request.param == "ipsec-mb" else []
    yield gateway
    gateway.close()


@every_suite
@with_and_without_esn
def test_C70_C72_C74_every_suite_agrees_with_a_second_opinion(both, suite, esn):
    if any(suite.name.startswith(word) for word in both.lacks):
        with pytest.raises(AssertionError, match="the crypto backend lacks the algorithm"):
            both.tunnel(suite=suite)
        return
    tunnel = both.tunnel(suite=suite, esn=esn, high=5 if esn else 0)
    shown = both.engine.ctl("sa", "show")["sa"]
    assert {sa["suite"] for sa in shown} == {suite.name}
    for size in SIZES:
        there = udp(HOST[4], REMOTE[4], size=size)
        _, opened = both.outbound(tunnel, there)
        assert opened[Raw].load == there[Raw].load
        both.inbound(tunnel, udp(REMOTE[4], HOST[4], size=size))


@every_suite
def test_C33_a_flipped_bit_anywhere_is_not_accepted(both, suite):
    if any(suite.name.startswith(word) for word in both.lacks):
        return
    tunnel = both.tunnel(suite=suite)
    sealed = tunnel.into.seal(udp(REMOTE[4], HOST[4], size=30))
    bad = []
    for at in (0, 7, 8, 20, len(sealed[ESP].data) // 2, len(sealed[ESP].data) - 1):
        packet = sealed.copy()
        data = bytearray(packet[ESP].data)
        data[at] ^= 0x10
        packet[ESP].data = bytes(data)
        bad.append(packet)
    reasons, out = both.fate(both.wan, *bad,
                             fence=lambda: both.inbound(tunnel, udp(REMOTE[4], HOST[4])))
    assert reasons == {"icv": len(bad)}
    assert not out


def test_C73_legacy_is_refused_unless_it_is_configured(gateway):
    suite = next(s for s in PAIRS if s.name == "aes128-sha1")
    with pytest.raises(AssertionError, match=r"hmac\(sha1\) is refused: it is legacy"):
        gateway.tunnel(suite=suite)
    gateway.engine.batch(FLUSH)
