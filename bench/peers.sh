#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Sealane beside the tunnels that a user would otherwise pick, on this machine (bench/peers.py). Installs
# what it needs, builds with all optimisations into build-bench/, and prints two tables.
#
#   sudo bench/peers.sh [--rounds N] [--seconds N] [--only WORDS] [--json FILE]
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $EUID -ne 0 ]]; then
	echo "the comparison makes network namespaces: run it as root (sudo bench/peers.sh)" >&2
	exit 2
fi
scripts/install-deps.sh bench
[[ -f build-bench/build.ninja ]] || meson setup build-bench --buildtype=release >/dev/null
meson compile -C build-bench >/dev/null
SEALANE_BUILD=$PWD/build-bench exec /usr/bin/python3 bench/peers.py "$@"
