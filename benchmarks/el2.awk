# SPDX-License-Identifier: GPL-2.0
#
# Scenario el2: the trace of the hypervisor's own events becomes "STEP NS" for each
# step of each move, what it takes from the event before it. A step that comes twice in
# a move is their sum. What is there of a move whose start is not, or whose end, does not
# count.

/\[LOST [0-9]+ EVENTS\]/ { started = 0 }

$3 != "guest_page_move" { next }

{
	step = substr($5, 6)
	time = substr($6, 4)
}

step == "start" {
	split("", sum)
	steps = 0
	started = 1
}

started && step != "start" {
	if (!(step in sum))
		order[++steps] = step
	sum[step] += time - last
}

started && step == "release" {
	for (i = 1; i <= steps; i++) {
		print order[i], sum[order[i]]
		whole += sum[order[i]]
	}
	print "all", whole
	whole = started = 0
}

{ last = time }
