#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Checks a model over every interleaving, and that it can fail: with each -D given behind it, spin
# must find an error.
#
#   tests/models/check.sh MODEL.pml [NAME...]
set -euo pipefail

model=$(realpath "$1")
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# explore [-DNAME]: leaves in $errors how many spin found, 0 or 1, since it stops at the first.
explore() {
	spin "$@" -a "$model" >spin.log || { cat spin.log >&2; exit 1; }
	gcc -O2 -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -w -o pan pan.c
	./pan -m1000000 >pan.log
	if grep -q 'max search depth too small' pan.log; then
		cat pan.log >&2
		exit 1
	fi
	errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.log)
}

explore
if [[ $errors != 0 ]]; then
	cat pan.log
	spin -t -p "$model" | tail -60
	exit 1
fi
sed -n 's/^ *\([0-9]*\) states, stored.*/the protocol: \1 states, no error/p' pan.log
for name; do
	explore "-D$name"
	if [[ $errors != 1 ]]; then
		echo "with $name spin finds no error: the model would not notice"
		exit 1
	fi
	echo "with $name: an error, as it must be"
done
