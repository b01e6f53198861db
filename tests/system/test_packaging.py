# SPDX-License-Identifier: BSD-3-Clause
"""The files for systemd and AppArmor, read by the programs that will read them."""

import re
import subprocess

import pytest

from engine import TOOLS

UNIT = "[Service]\nType=notify\nExecStart=/bin/false\nExecStartPre=/bin/false\n"


@pytest.mark.parametrize("unit", ["strongswan", "strongswan-starter", "ipsec"])
def test_systemd_accepts_the_drop_ins(unit, tmp_path):
    dropin = (TOOLS / "packaging" / f"{unit}.conf").read_text()
    (tmp_path / f"{unit}.service").write_text(UNIT)
    (tmp_path / "sealaned.service").write_text(UNIT)
    folder = tmp_path / f"{unit}.service.d"
    folder.mkdir()
    # The programs need not be there yet.
    (folder / "sealane.conf").write_text(re.sub(r"(?m)^(Exec\w+=)(-?)/\S+", r"\1\2/bin/true", dropin))
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / f"{unit}.service"],
                            capture_output=True, text=True)
    said = [line for line in result.stderr.splitlines() if unit in line or "sealane" in line]
    assert not said, said


def test_a_word_that_systemd_does_not_know_is_seen(tmp_path):
    (tmp_path / "odd.service").write_text(UNIT + "ExecStrat=/bin/true\n")
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / "odd.service"],
                            capture_output=True, text=True)
    assert "ExecStrat" in result.stderr


def test_apparmor_accepts_the_fragment(tmp_path):
    fragment = TOOLS / "packaging" / "sealane-xfrm.apparmor"
    profile = tmp_path / "profile"
    profile.write_text(f"profile sealane-test /bin/false {{\n  #include \"{fragment}\"\n}}\n")
    subprocess.run(["apparmor_parser", "-Q", "-K", profile], check=True)
    profile.write_text("profile sealane-test /bin/false {\n  /x nonsense,\n}\n")
    assert subprocess.run(["apparmor_parser", "-Q", "-K", profile],
                          capture_output=True).returncode != 0
