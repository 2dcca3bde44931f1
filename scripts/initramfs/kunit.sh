#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# kunit.sh SUITE...: did these KUnit suites, which ran at boot, pass?

rc=0
for suite; do
	results=/sys/kernel/debug/kunit/$suite/results
	if ! [ -f "$results" ]; then
		echo "no such suite: $suite"
		rc=1
		continue
	fi
	cat "$results"
	grep -q "^ok [0-9]* $suite" "$results" || rc=1
	! grep -q '^ *not ok' "$results" || rc=1
done
exit $rc
