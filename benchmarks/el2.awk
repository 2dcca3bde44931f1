# SPDX-License-Identifier: GPL-2.0
#
# Scenario el2: the trace of the hypervisor's own events becomes "STEP NS", the mean of
# what each step of a move takes from the event before it. What is there of a move whose
# first step is not does not count.

{ time = substr($2, 1, length($2) - 1) }

$5 == "step=check" { whole = last }

whole && $3 == "guest_page_move" {
	step = substr($5, 6)
	if (!nr[step]++)
		order[++steps] = step
	sum[step] += time - last
}

{ last = time }

END {
	for (i = 1; i <= steps; i++)
		print order[i], sum[order[i]] * 1e9 / nr["release"]
}
