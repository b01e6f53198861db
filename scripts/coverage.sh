#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What of the parsers the kept fuzz corpus reaches, in lines. Fails where it is less than 95 % of those of
# the packets, the control socket, or the configuration.
#
#   scripts/coverage.sh [lines]     `lines` also prints the lines that nothing reaches
#
# Builds in build-coverage/, with clang.
set -euo pipefail
cd "$(dirname "$0")/.."

least=95
packets='dataplane/(ip_parse|classify|esp_in|ah(_in|_out)?|icmp\w*|reassembl\w*).c'
control='ikeglue/xfrm_(algo|attr|decode\w*).c'
configuration='dataplane/config\w*.c'

build="build-coverage"
flags='-fprofile-instr-generate -fcoverage-mapping'
if [[ ! -f "$build"/build.ninja ]]; then
	CC=clang meson setup "$build" -Dc_args="$flags" -Dc_link_args=-fprofile-instr-generate >/dev/null
fi
ninja -C "$build" fuzz >/dev/null

objects=()
rm -f "$build"/*.profraw
for corpus in tests/fuzz/corpus/*; do
	program=$build/tests/fuzz/fuzz_${corpus##*/}
	LLVM_PROFILE_FILE=$build/${corpus##*/}.profraw "$program" "$corpus" >/dev/null
	objects+=(-object "$program")
done
llvm-profdata-14 merge -o "$build"/fuzz.profdata "$build"/*.profraw

report() {
	llvm-cov-14 "$1" "${objects[@]:1}" -instr-profile="$build"/fuzz.profdata "${@:2}"
}
if [[ ${1-} == lines ]]; then
	report show | awk -v wanted="($packets|$control|$configuration):" '
		/^[^ ].*:$/ { name = $0 } /\|      0\|/ { if (name ~ wanted) print name $0 }'
fi
report export -summary-only | python3 -c "
import json, re, sys
low = False
files = json.load(sys.stdin)['data'][0]['files']
for parser in sys.argv[1:]:
    lines = covered = 0
    for file in files:
        name = re.search(f'{parser}\$', file['filename'])
        if name:
            of = file['summary']['lines']
            lines, covered = lines + of['count'], covered + of['covered']
            print('%6.1f %% of %4d lines  %s' % (of['percent'], of['count'], name[0]))
    low |= covered < lines * $least / 100
    print('%6.1f %% of %4d lines  in all of these' % (covered * 100 / lines, lines))
sys.exit(low)" "$packets" "$control" "$configuration"
