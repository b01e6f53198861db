#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds Sealane in five ways and runs every test; as root, since the system tests make network
# namespaces. Ends with one line, "N passed, N failed", and a status that says the same.
#
#   sudo scripts/test.sh [--long] [--no-install]
#
#   --long         the long runs as well
#   --no-install   install nothing
#
# Builds and logs stay in build-gcc/, build-clang/, build-asan/, build-tsan/ and build-fuzz/ for the
# next run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

long=
install=yes
for option in "$@"; do
	case $option in
	--long) long=--long ;;
	--no-install) install= ;;
	*)
		sed -n '4,13s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
	esac
done
if [[ $EUID -ne 0 ]]; then
	echo "the system tests make network namespaces: run as root (sudo scripts/test.sh)" >&2
	exit 2
fi

total_passed=0
total_failed=0
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# result NAME PASSED FAILED SKIPPED SECONDS: adds to the sum, prints the line.
result() {
	local verdict=ok skipped=

	[[ $3 -eq 0 ]] || verdict=FAILED
	[[ $4 -eq 0 ]] || skipped=", $4 skipped"
	((total_passed += $2, total_failed += $3))
	printf '%-7s %-28s %5s passed, %s failed%s  (%s s)\n' "$verdict" "$1" "$2" "$3" "$skipped" "$5"
}

# single NAME COMMAND...: one verdict from a command's status; its output only where it failed, and
# without the steps of a build that went well.
single() {
	local name=$1 begin=$SECONDS

	shift
	if "$@" >"$logs/out" 2>&1; then
		result "$name" 1 0 0 $((SECONDS - begin))
	else
		grep -Ev '^\[[0-9]+/[0-9]+\] (Compiling|Linking|Generating)' "$logs/out"
		result "$name" 0 1 0 $((SECONDS - begin))
		return 1
	fi
}

# counted NAME REPORT COMMAND...: a command that leaves a report of many verdicts.
counted() {
	local name=$1 report=$2 begin=$SECONDS status=0 counts passed failed skipped

	shift 2
	rm -f "$report"
	"$@" >"$logs/out" 2>&1 || status=$?
	if ! counts=$(scripts/lib/count_results.py "$report" 2>>"$logs/out"); then
		counts="0 1 0"
	fi
	read -r passed failed skipped <<<"$counts"
	# A run that fails without a failed test (a crash, nothing collected) is a failure too.
	if [[ $status -ne 0 && $failed -eq 0 ]]; then
		failed=1
	fi
	[[ $failed -eq 0 ]] || cat "$logs/out"
	sed -n '2,$s/^/        /p' <<<"$counts"
	result "$name" "$passed" "$failed" "$skipped" $((SECONDS - begin))
}

# build FOLDER COMPILER [MESON OPTION...]: configures once, then compiles what changed.
build() {
	local folder=$1 compiler=$2

	shift 2
	if [[ ! -f $folder/build.ninja ]]; then
		CC=$compiler meson setup "$folder" --werror "$@" || return
	fi
	meson compile -C "$folder"
}

build_fuzz() {
	if [[ ! -f build-fuzz/build.ninja ]]; then
		CC=clang meson setup build-fuzz --werror -Dfuzz=true \
			-Db_sanitize=address,undefined -Db_lundef=false || return
	fi
	meson compile -C build-fuzz fuzz
}

unit() {
	counted "unit ($1)" "build-$1/meson-logs/testlog.json" \
		meson test -C "build-$1" --no-rebuild --suite unit --print-errorlogs
}

# The C tests that need root: modules against the running kernel, each in a namespace of its own.
kernel() {
	counted "kernel ($1)" "build-$1/meson-logs/testlog.json" \
		meson test -C "build-$1" --no-rebuild --suite system-c --print-errorlogs
}

# system NAME FOLDER [PYTEST OPTION...]: the tools (ip under the preload library) always come from
# the plain build: a sanitizer's library cannot be preloaded into a program without it.
system() {
	local name=$1 folder=$2

	shift 2
	counted "system ($name)" "$folder/system-tests.xml" \
		env SEALANE_BUILD="$PWD/$folder" SEALANE_TOOLS="$PWD/build-gcc" \
		/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/system \
		--junitxml="$folder/system-tests.xml" "$@"
}

if [[ $install ]]; then
	scripts/install-deps.sh test || exit 1
fi

single "build (gcc)" build build-gcc gcc && gcc=yes
single "build (clang)" build build-clang clang && clang=yes
single "build (asan, ubsan)" build build-asan gcc \
	-Db_sanitize=address,undefined -Db_lundef=false && asan=yes

begin=$SECONDS
tests/lint/lint.py >"$logs/lint"
read -r passed _ failed _ < <(tail -n 1 "$logs/lint")
[[ ${failed:-1} -eq 0 ]] || grep -v '^ok' "$logs/lint" | head -n -1
result lint "${passed:-0}" "${failed:-1}" 0 $((SECONDS - begin))

single "model (every interleaving)" tests/models/check.sh tests/models/sad.pml \
	NO_GRACE NO_CLOSE NO_UNLINK NO_TOMB NO_ONLINE NO_WAIT

single conformance tests/conformance/conformance.py --check

export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
if [[ ${gcc-} ]]; then
	unit gcc
	kernel gcc
	if [[ $long ]]; then
		counted "long (gcc)" build-gcc/meson-logs/testlog.json \
			meson test -C build-gcc --no-rebuild --suite long --print-errorlogs
		counted "unit (Debian 13)" "$logs/trixie.json" \
			scripts/test-release.sh trixie "$logs/trixie.json"
	fi
	system gcc build-gcc ${long:+"$long"}
	single "demo" scripts/demo.sh --built build-gcc
	single "instructions a packet" env SEALANE_BUILD=build-gcc \
		/usr/bin/python3 bench/instructions.py
	sed 's/^/        /' "$logs/out"
fi
[[ -z ${clang-} ]] || unit clang
if [[ ${asan-} ]]; then
	unit asan
	kernel asan
	# Not the tests of scale, drivers and idle load: they show amounts, the others the code's ways.
	system asan build-asan -m "not slow_under_sanitizer"
fi

# DPDK's fences mean nothing to ThreadSanitizer: its C11 memory model does.
if single "build (tsan)" build build-tsan gcc \
	-Db_sanitize=thread -Db_lundef=false -Dc_args=-DRTE_USE_C11_MEM_MODEL=1; then
	counted "threads (tsan)" build-tsan/meson-logs/testlog.json \
		meson test -C build-tsan --no-rebuild --print-errorlogs --timeout-multiplier 10 \
		sadb_replay sadb_sad_threads sadb_spd_threads dataplane_fib dataplane_neigh spread
fi

if single "build (fuzz)" build_fuzz; then
	single "fuzz" scripts/fuzz.sh build-fuzz 30
	if [[ $long ]]; then
		single "fuzz (coverage of parsers)" scripts/coverage.sh
		single "mutants" tests/mutants/mutants.py
	fi
fi

echo "$total_passed passed, $total_failed failed"
[[ $total_failed -eq 0 ]]
