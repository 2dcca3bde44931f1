#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# gmem_migration_report.sh [SECONDS]
#
# Have memory compacted for a minute, or so many seconds, while VMs run whose
# guest_memfd is migratable, and say what became of their pages: for hardware on
# which nobody has tried it yet. Start VMs first, with guests that check their
# memory. See Documentation/virt/kvm/guest-memfd-migration.rst.

set -eu

seconds=${1:-60}
tracing=/sys/kernel/tracing
event=$tracing/events/kvm/kvm_gmem_migrate_folio

die() { echo "$0: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "must be root"
[ -d $tracing/events ] || mount -t tracefs none $tracing
[ -d $event ] || die "this kernel has no CONFIG_KVM_GMEM_MIGRATION, or no KVM"

tmp=$(mktemp -d)
trap 'echo 0 > $event/enable; kill $reader 2> /dev/null; rm -rf "$tmp"' EXIT
dmesg > "$tmp/before"

cat $tracing/trace_pipe > "$tmp/trace" &
reader=$!
echo 1 > $event/enable

rounds=0
end=$(($(date +%s) + seconds))
while [ "$(date +%s)" -lt $end ]; do
	echo 1 > /proc/sys/vm/compact_memory
	rounds=$((rounds + 1))
done

echo 0 > $event/enable
# What is in the buffers still.
sleep 1

echo "kernel:      $(uname -rv)"
echo "cpu:         $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
echo "firmware:    $(dmesg | grep -E 'SEV(-SNP)? API|virt/tdx: .*[Mm]odule' | tail -n 1)"
# Of a driver that a kernel for TDX may have: CONFIG_TDX_HOST_SERVICES.
if [ -r /sys/devices/faux/tdx_host/version ]; then
	echo "tdx module:  $(cat /sys/devices/faux/tdx_host/version)"
fi
echo "migratable:  $(cat /sys/module/kvm/parameters/gmem_migratable)"
echo "compactions: $rounds in $seconds s"
echo "events lost: $(sed -n 's/.*LOST \([0-9]*\) EVENTS.*/\1/p' "$tmp/trace" |
	awk '{ n += $1 } END { print n + 0 }')"
echo
echo "attempts by backend, mode and ret, with durations in us:"
grep kvm_gmem_migrate_folio: "$tmp/trace" |
	sed 's/.*backend=//; s/ .*mode=/ /; s/ret=//; s/duration_ns=//' |
	sort -k 1,3 -k 4,4n | awk '
	function show() {
		if (n)
			printf "%-6s %-11s ret %-4s %8d  p50 %d  p99 %d  max %d\n",
				b, m, r, n, d[int((n + 1) / 2)] / 1000,
				d[int((n * 99 + 99) / 100)] / 1000, d[n] / 1000
		n = 0
	}
	b " " m " " r != $1 " " $2 " " $3 { show(); b = $1; m = $2; r = $3 }
	{ d[++n] = $4 }
	END { show(); if (!NR) print "none" }'
echo
echo "counted by the VMs:"
grep -H . /sys/kernel/debug/kvm/*/gmem_migrate* 2> /dev/null ||
	echo "no VM, or no debugfs"
echo
echo "logged meanwhile:"
dmesg > "$tmp/after"
diff "$tmp/before" "$tmp/after" | sed -n 's/^> //p' |
	grep -i -E 'sev|leaking|kvm|tdx|warn|bug' || echo "nothing"
