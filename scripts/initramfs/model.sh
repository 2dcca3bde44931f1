#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# model.sh snp|tdx COMMAND...: run it on a kernel with kvm.gmem_model, and see that
# the backend moved pages meanwhile and the model saw nothing that hardware forbids.

dir=/sys/kernel/debug/${1}_model
shift
if ! [ -f "$dir/moved" ]; then
	echo "no such model: $dir"
	exit 1
fi
before=$(cat "$dir/moved")
"$@"
rc=$?
moved=$(($(cat "$dir/moved") - before))
violations=$(cat "$dir/violations")
echo "# $moved moves by the model's rules, $violations violations"
[ "$moved" -gt 0 ] || rc=1
[ "$violations" -eq 0 ] || rc=1
exit $rc
