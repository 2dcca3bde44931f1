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
echo "# $moved moves by the model's rules"
[ "$moved" -gt 0 ] || rc=1
# With no VM left, the last two are what somebody forgot, of a model that counts it.
for f in violations assigned leaked; do
	[ -f "$dir/$f" ] || continue
	echo "# $f: $(cat "$dir/$f")"
	[ "$(cat "$dir/$f")" = 0 ] || rc=1
done
exit $rc
