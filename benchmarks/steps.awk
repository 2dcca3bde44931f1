# SPDX-License-Identifier: GPL-2.0
#
# Scenarios steps and model-steps: the trace of the function graph tracer on the
# functions of a move, with the functions' names behind their ends (funcgraph-tail),
# becomes "STEP NS" for each step of each page that has moved. An attempt to move one
# that was refused is "refused NS". Pages of a batch that none of guest_memfd is in do
# not count.

BEGIN {
	step["kvm_gmem_migrate_switch"] = "switch"
	step["kvm_gmem_migrate_relocate"] = "backend"
	# What the backend spends it on.
	step["pkvm_gmem_migrate"] = "hypercall"
	step["kvm_tdp_mmu_copy_gfn"] = "copy"
	step["snp_model_split"] = "direct_map"
	step["kvm_zap_gfn_range"] = "zap"
	step["snp_model_make_private"] = "rmp_private"
	step["snp_model_make_shared"] = "rmp_shared"
	step["snp_model_page_move"] = "firmware"
	step["snp_model_flush"] = "flush"
	step["tdx_live_range_block"] = "block"
	step["tdx_live_mem_track"] = "track"
	step["tdx_live_kick"] = "kick"
	step["tdx_live_page_relocate"] = "firmware"
	step["kvm_tdp_mmu_set_mirror_pfn"] = "mirror"
	step["tdx_live_page_wbinvd"] = "wbinvd"
}

# "entries-in-buffer/entries-written: 4711/4711": or some are lost.
$1 == "#" {
	if (index($2, "entries-in-buffer") && split($3, entries, "/") &&
	    entries[1] != entries[2])
		exit 1
	next
}

# "0)   1.264 us    |  } /* kvm_gmem_migrate_switch */", or "|  name();"
{
	for (i = 1; i < NF && $(i + 1) != "us"; i++)
		;
	if (i == NF)
		next
	ns = $i * 1000
	name = $NF
	if (name == "*/")
		name = $(NF - 1)
	else
		name = substr(name, 1, index(name, "(") - 1)

	if (name == "alloc_migration_target") {
		batch = batch "target " ns "\n"
		within += ns
	} else if (name == "migrate_folio_done") {
		if (folio) {
			batch = batch folio "release " ns "\n"
			moves++
		}
		folio = ""
		within += ns
	} else if (name in step) {
		parts = parts step[name] " " ns "\n"
		if (step[name] == "switch" || step[name] == "backend")
			within_folio += ns
	} else if (name == "kvm_gmem_migrate_folio") {
		refuse()
		folio = parts "lock " ns - within_folio "\n"
		folio_ns = ns
		within += ns
		parts = ""
		within_folio = 0
	} else if (name == "isolate_migratepages_block") {
		isolate += ns
	} else if (name == "migrate_pages") {
		refuse()
		if (moves) {
			printf "%s", batch
			print "isolate", isolate / moves
			print "rest", (ns - within) / moves
		}
		batch = ""
		isolate = within = moves = 0
	}
}

# The last one has not been let go of: it has not moved.
function refuse() {
	if (folio)
		batch = batch "refused " folio_ns "\n"
	folio = ""
}
