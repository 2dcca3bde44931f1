#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# gmem_migration_report.sh [SECONDS]
#
# Have memory compacted for a minute, or so many seconds, while VMs run whose
# guest_memfd is migratable, and say what became of their pages: for hardware on
# which nobody has tried it yet. Start VMs first, with guests that check their
# memory. Ctrl-C ends it early. See Documentation/virt/kvm/guest-memfd-migration.rst.

set -eu

seconds=${1:-60}
tracing=/sys/kernel/tracing
event=$tracing/events/kvm/kvm_gmem_migrate_folio

die() { echo "$0: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "must be root"
[ -d $tracing/events ] || mount -t tracefs none $tracing
[ -w /proc/sys/vm/compact_memory ] || die "this kernel has no CONFIG_COMPACTION"
[ -d $event ] || die "this kernel has no CONFIG_KVM_GMEM_MIGRATION, or no KVM"

tmp=$(mktemp -d)
reader=
trap 'echo 0 > $event/enable; kill $reader 2> /dev/null || :; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP
dmesg > "$tmp/before"

# Counts of "backend mode ret microseconds", as the trace itself would fill a disk.
mkfifo "$tmp/trace"
cat $tracing/trace_pipe > "$tmp/trace" &
reader=$!
awk '
	/LOST [0-9]+ EVENTS/ { sub(/.*LOST /, ""); lost += $1 }
	/kvm_gmem_migrate_folio:/ {
		for (i = 1; i <= NF; i++)
			if (split($i, field, "=") == 2)
				value[field[1]] = field[2]
		n[value["backend"] " " value["mode"] " " value["ret"] " " \
		  int(value["duration_ns"] / 1000)]++
	}
	END {
		for (i in n)
			print i, n[i]
		print "lost", lost + 0
	}' < "$tmp/trace" > "$tmp/attempts" &
counter=$!
echo 1 > $event/enable

rounds=0
start=$(date +%s)
now=$start
trap 'seconds=0' INT
while [ $((now - start)) -lt "$seconds" ]; do
	echo 1 > /proc/sys/vm/compact_memory || [ "$seconds" = 0 ]
	rounds=$((rounds + 1))
	now=$(date +%s) || now=$((start + seconds))
done
trap 'exit 1' INT
seconds=$(($(date +%s) - start))

echo 0 > $event/enable
# What is in the buffers still.
sleep 1
kill $reader 2> /dev/null || :
wait $counter || die "cannot count what was traced: is $tmp full?"

echo "kernel:      $(uname -rv)"
echo "cpu:         $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
echo "firmware:    $(dmesg | grep -E 'SEV(-SNP)? API|virt/tdx: .*[Mm]odule' | tail -n 1)"
# Of a driver that a kernel for TDX may have: CONFIG_TDX_HOST_SERVICES.
if [ -r /sys/devices/faux/tdx_host/version ]; then
	echo "tdx module:  $(cat /sys/devices/faux/tdx_host/version)"
fi
echo "migratable:  $(cat /sys/module/kvm/parameters/gmem_migratable)"
echo "compactions: $rounds in $seconds s"
echo "events lost: $(sed -n 's/^lost //p' "$tmp/attempts")"
echo
echo "attempts by backend, mode and ret, with durations in us:"
sed '/^lost /d' "$tmp/attempts" | sort -k 1,3 -k 4,4n | awk '
	# The least duration that so many percent of the attempts do not exceed.
	function percentile(p, i, sum) {
		for (i = 1; i < rows; i++) {
			sum += count[i]
			if (sum * 100 >= n * p)
				break
		}
		return us[i]
	}
	function show() {
		if (n)
			printf "%-6s %-11s ret %-4s %8d  p50 %d  p99 %d  max %d\n",
				b, m, r, n, percentile(50), percentile(99), us[rows]
		n = rows = 0
	}
	b " " m " " r != $1 " " $2 " " $3 { show(); b = $1; m = $2; r = $3 }
	{ us[++rows] = $4; count[rows] = $5; n += $5 }
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
