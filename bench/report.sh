#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Measures the set that matters on this machine and draws docs/performance.md (bench/report.py). Installs
# what it needs, builds with all optimisations into build-bench/, takes hugepages for as long as it
# runs. As root it measures the control socket and the other tunnels as well (bench/peers.sh).
#
#   [sudo] bench/report.sh [--quick]      --quick: a tenth of the repeats, to see that all works
set -euo pipefail
cd "$(dirname "$0")/.."

hugepages=/proc/sys/vm/nr_hugepages
give_back() {
	[[ ! -w $hugepages ]] || echo "$before" >"$hugepages"
}

[[ $EUID -ne 0 ]] || scripts/install-deps.sh bench
[[ -f build-bench/build.ninja ]] || meson setup build-bench --buildtype=release >/dev/null
meson compile -C build-bench >/dev/null
before=$(<"$hugepages")
trap give_back EXIT
[[ ! -w $hugepages ]] || echo $((before + 2500)) >"$hugepages"
SEALANE_BUILD=$PWD/build-bench /usr/bin/python3 bench/report.py "$@"
