#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs the fuzz targets of a build with -Dfuzz=true (scripts/test.sh makes build-fuzz), several at a
# time, each from its kept corpus. Inputs that are new stay in BUILD/corpus/TARGET, what breaks a
# target in BUILD/crash-TARGET-*.
#
#   scripts/fuzz.sh BUILD [SECONDS]            30 s each, unless it is said otherwise: always the same
#                                              walk, so that two runs of one tree differ little
#   scripts/fuzz.sh BUILD runs=N [TARGET...]   N executions each, another walk every time
#   scripts/fuzz.sh BUILD keep                 what the new inputs add becomes part of the kept corpus
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

if [[ ! -x ${1-}/tests/fuzz/fuzz_walk ]]; then
	sed -n '4,12s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
build=$(realpath "$1")
amount=${2:-30}
shift $(($# < 2 ? $# : 2))
targets=("$@")
if [[ $# -eq 0 ]]; then
	for program in "$build"/tests/fuzz/fuzz_*; do
		[[ -x $program && ! -d $program && $program != *_smoke ]] && targets+=("${program##*/fuzz_}")
	done
fi

# What is made once stays until the end: only what an input leaves behind is a leak.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

# fuzz TARGET: prints a line; the whole log stays in BUILD/fuzz-TARGET.log.
fuzz() {
	local target=$1 options=(-max_len=1024 -entropic=0 -print_final_stats=1) log runs

	log=$build/fuzz-$target.log
	mkdir -p "$build/corpus/$target"
	case $amount in
	runs=*) options+=("-runs=${amount#runs=}") ;;
	*) options+=("-max_total_time=$amount" -seed=1) ;;
	esac
	[[ ! -f tests/fuzz/$target.dict ]] || options+=("-dict=tests/fuzz/$target.dict")
	if ! "$build/tests/fuzz/fuzz_$target" "${options[@]}" -artifact_prefix="$build/crash-$target-" \
		"$build/corpus/$target" "tests/fuzz/corpus/$target" >"$log" 2>&1; then
		echo "FAILED $target"
		grep -v -e '^#' -e '^"' "$log" | tail -n 60
		return 1
	fi
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	printf 'ok     %-10s %10s executions, %s\n' "$target" "$runs" \
		"$(grep -o 'cov: .* corp: [0-9]*' "$log" | tail -n 1)"
}

keep() {
	local target=$1 kept

	kept=$(mktemp -d)
	if "$build/tests/fuzz/fuzz_$target" -set_cover_merge=1 "$kept" "tests/fuzz/corpus/$target" \
		"$build/corpus/$target" >"$build/fuzz-$target.log" 2>&1; then
		rm -rf "tests/fuzz/corpus/$target"
		mkdir "tests/fuzz/corpus/$target"
		cp "$kept"/* "tests/fuzz/corpus/$target"
	fi
	rm -rf "$kept"
	echo "$target: $(find "tests/fuzz/corpus/$target" -type f | wc -l) inputs"
}

failed=0
if [[ $amount == keep ]]; then
	for target in "${targets[@]}"; do
		keep "$target"
	done
	exit
fi
# As many at a time as there are cores.
for target in "${targets[@]}"; do
	while (($(jobs -rp | wc -l) >= $(nproc))); do
		wait -n || failed=1
	done
	fuzz "$target" &
done
while [[ -n $(jobs -p) ]]; do
	wait -n || failed=1
done
exit $failed
