#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# model.sh snp|tdx COMMAND...: run it on a kernel with kvm.gmem_model, and see that
# the backend moved pages meanwhile, that the model saw nothing that hardware forbids,
# and that no page was lost.
#
# model.sh --fail snp|tdx GUEST_MEMFD_MIGRATION_TEST...: the same with tests of its that
# are named here, while each step of a move fails now and then; after that those whose
# failures leak pages, which is no harm to a guest; and then those by which a VM is
# given up, and the test fails.

fail=
if [ "$1" = --fail ]; then
	fail=1
	shift
fi
model=$1
shift
dir=/sys/kernel/debug/${model}_model
if ! [ -f "$dir/moved" ]; then
	echo "no such model: $dir"
	exit 1
fi
# Every so many times a step fails, in the order of the model's parameter, and those
# (by their place) after which a page is leaked.
case $model in
snp)
	param=/sys/module/kvm_amd/parameters/gmem_model_fail
	steps=53,47,41,42,37,0,0,0
	leaky=0,0,0,9,0,7,1,0
	fatal=0,0,0,4,9,3,1,1
	leaks='6 7 8'
	;;
tdx)
	param=/sys/module/kvm_intel/parameters/gmem_model_fail
	steps=53,47,41,0,0
	leaky=0,0,0,0,9
	fatal=0,0,9,1,3
	leaks='4 5'
	;;
esac
rc=0

bad() {
	echo "# $*"
	rc=1
}

# How many pages the model has made the backend leak so far.
told() {
	for i in $leaks; do
		cut -d ' ' -f "$i" "$dir/refused"
	done | awk '{ n += $1 } END { print n }'
}

# The counter $1 since $2, and what it has to be, if anything.
expect() {
	n=$(($(cat "$dir/$1") - $2))
	echo "# $1: $n"
	[ -z "$3" ] || [ "$n" = "$3" ] || bad "$1: not $3"
}

# run COMMAND: what the model says of it, and its exit status in $status.
run() {
	moved=$(cat "$dir/moved") leaked=$(cat "$dir/leaked") told=$(told)
	status=0
	"$@" || status=$?
	# There is no VM left, or will be at once.
	for _ in 1 2 3 4 5; do
		[ "$(cat "$dir/assigned")" != 0 ] || break
		sleep 1
	done
	expect moved "$moved"
	[ "$n" -gt 0 ] || bad "nothing moved by the model's rules"
	expect violations 0 0
	expect assigned 0 0
	expect leaked "$leaked" $(($(told) - told))
	echo "# refused: $(cat "$dir/refused")"
	[ "$model" = tdx ] || return 0
	expect busy 0
	expect kicks 0
	[ "$n" -gt 0 ] || bad "vCPUs were never kicked"
}

# Each step that "$1" has a number for has failed.
expect_refused() {
	i=0
	for every in $(echo "$1" | tr , ' '); do
		i=$((i + 1))
		[ "$every" = 0 ] || [ "$(cut -d ' ' -f $i "$dir/refused")" -gt 0 ] ||
			bad "step $i never failed"
	done
}

if [ -z "$fail" ]; then
	run "$@"
	[ "$status" = 0 ] || bad "exit status $status"
	exit $rc
fi

echo "$steps" > "$param"
run "$@" private_memory
[ "$status" = 0 ] || bad "exit status $status"
expect_refused "$steps"

# Once more, as a comment to what it has said the first time.
again() {
	numbers=$1
	shift
	echo "$numbers" > "$param"
	run "$@" > /tmp/again 2>&1
	grep -v -e '^TAP' -e '^1\.\.' /tmp/again | sed 's/^\([^#]\)/# \1/'
	expect_refused "$numbers"
}

# By compaction: who allocates ranges gets nowhere with leaked pages in them.
echo "# leaks: $leaky"
again "$leaky" "$@" private_kcompactd
[ "$status" = 0 ] || bad "exit status $status"

echo "# a VM that is given up: $fatal"
again "$fatal" "$@" private_memory
[ "$status" != 0 ] || bad "no VM was given up"
# It is KVM_RUN that fails, with EIO. A guest with a wrong page would say so.
grep -q 'KVM_RUN of vCPU .*: errno 5,' /tmp/again || bad "KVM_RUN did not say EIO"
! grep -q 'vCPU .* page .* word' /tmp/again || bad "the guest found a wrong page"
echo "$fatal" | sed 's/[1-9][0-9]*/0/g' > "$param"
exit $rc
