# SPDX-License-Identifier: BSD-3-Clause
"""sealanectl: each page as a table and as JSON; every packet accounted for; never a key."""

import socket
import subprocess

import pytest

from engine import TOOLS
from gateway import FAR, HOST, OURS, REMOTE, THEIRS, udp

PAGES = ["status", "sa", "policy", "port", "route", "neighbour", "drops", "worker"]


@pytest.fixture(scope="module")
def tunnel(gateway):
    tunnel = gateway.tunnel()
    for _ in range(3):
        gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
        gateway.inbound(tunnel, udp(REMOTE[4], HOST[4]))
    return tunnel


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_a_table_and_json(gateway, tunnel, page):
    table = gateway.engine.ctl_text(page, "show")
    assert len(table.splitlines()) >= 2
    document = gateway.engine.ctl(page, "show")
    assert page in document or "balance" in document


def test_no_page_shows_a_key(gateway, tunnel):
    secrets = [k.hex() for k in [*tunnel.key.values()]] + \
        [k[:8].hex() for k in tunnel.key.values()] + [k[-4:].hex() for k in tunnel.key.values()]
    for page in PAGES:
        for text in (gateway.engine.ctl_text(page, "show"),
                     gateway.engine.ctl_text("--json", page, "show")):
            assert not any(secret in text.lower().replace(":", "") for secret in secrets)


def test_sas_tell_their_traffic(gateway, tunnel):
    sas = {int(row["spi"], 16): row for row in gateway.engine.ctl("sa", "show")["sa"]}
    out, into = sas[tunnel.spi_out], sas[tunnel.spi_in]
    assert (out["src"], out["dst"], out["suite"]) == (OURS[4], THEIRS[4], "aes128gcm16")
    assert (out["packets"], out["out_seq"]) == (3, 3)
    assert (into["packets"], into["in_seq"]) == (3, 3)


def test_policies_name_their_sa(gateway, tunnel):
    rows = gateway.engine.ctl("policy", "show")["policy"]
    out = next(r for r in rows if r["direction"] == "out" and r["dst"] == FAR[4])
    assert int(out["sa_spi"], 16) == tunnel.spi_out


def test_drops_lists_every_reason_with_a_meaning_and_the_balance(gateway, tunnel):
    document = gateway.engine.ctl("drops", "show")
    assert len(document["drops"]) > 30
    assert all(row["reason"] and row["meaning"] for row in document["drops"])
    b = document["balance"]
    assert b["received"] + b["made"] + b["resumed"] == \
        b["forwarded"] + b["punted"] + b["consumed"] + b["held"] + b["dropped"]
    assert b["dropped"] == sum(row["packets"] for row in document["drops"])
    text = gateway.engine.ctl_text("--all", "drops", "show")
    assert all(row["reason"] in text for row in document["drops"])


def test_ports_count_frames_as_the_wire_does(gateway, tunnel):
    before = gateway.engine.port("wan")
    for _ in range(10):
        gateway.outbound(tunnel, udp(HOST[4], REMOTE[4]))
    after = gateway.engine.port("wan")
    assert after["tx_packets"] - before["tx_packets"] == 10
    assert after["rx_packets"] == before["rx_packets"]


def test_says_when_there_is_no_engine(tmp_path):
    result = subprocess.run([TOOLS / "sealanectl", "-s", tmp_path / "none", "status", "show"],
                            capture_output=True, text=True)
    assert result.returncode != 0
    assert "none" in result.stderr


def test_says_when_the_engine_does_not_answer(tmp_path):
    path = str(tmp_path / "stopped")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        # Its queue takes the first connection, and keeps it: the second one finds no room.
        for _ in range(2):
            result = subprocess.run([TOOLS / "sealanectl", "-s", path, "status", "show"],
                                    capture_output=True, text=True)
            assert result.returncode == 1
            assert result.stderr == f"sealanectl: {path}: the daemon does not answer\n"


def test_refuses_a_page_that_does_not_exist(gateway):
    result = subprocess.run([TOOLS / "sealanectl", "-s", gateway.engine.path("show.sock"), "nothing"],
                            capture_output=True, text=True)
    assert result.returncode != 0
    assert result.stderr
