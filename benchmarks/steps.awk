# SPDX-License-Identifier: GPL-2.0
#
# Scenario steps: the trace of the function graph tracer on the functions of a move,
# with the functions' names behind their ends (funcgraph-tail), becomes "STEP NS" for
# each step of each page. Pages of a batch that none of guest_memfd is in do not count.

BEGIN {
	step["alloc_migration_target"] = "target"
	step["kvm_gmem_migrate_switch"] = "switch"
	step["kvm_gmem_migrate_relocate"] = "backend"
	step["pkvm_gmem_migrate"] = "hypercall"
	step["migrate_folio_done"] = "release"
}

# "entries-in-buffer/entries-written: 4711/4711": or some are lost.
/entries-in-buffer/ {
	split($3, entries, "/")
	if (entries[1] != entries[2])
		exit 1
}

# "0)   1.264 us    |  } /* kvm_gmem_migrate_switch */", or "|  name();"
/ us / {
	name = $NF == "*/" ? $(NF - 1) : $NF
	sub(/\(.*/, "", name)
	for (i = 1; $(i + 1) != "us"; i++)
		;
	ns = $i * 1000

	if (name in step) {
		batch = batch step[name] " " ns "\n"
		if (step[name] ~ /target|release/)
			within += ns
		if (step[name] ~ /switch|backend/)
			parts += ns
	} else if (name == "kvm_gmem_migrate_folio") {
		batch = batch "lock " ns - parts "\n"
		within += ns
		parts = 0
		moves++
	} else if (name == "isolate_migratepages_block") {
		isolate += ns
	} else if (name == "migrate_pages") {
		if (moves) {
			printf "%s", batch
			print "isolate", isolate / moves
			print "rest", (ns - within) / moves
		}
		batch = ""
		isolate = within = moves = 0
	}
}
