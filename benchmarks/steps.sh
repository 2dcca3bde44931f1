#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Scenarios steps and model-steps: the function graph tracer on the functions of a move.
#
#	steps.sh keep			wait to be ended; then leave the tracer as it was
#	steps.sh start FUNCTION...	trace them, and print how many of them there are
#	steps.sh stop			end it, and print "STEP NS" for each step, as
#					steps.awk says

cd /sys/kernel/tracing || exit
case $1 in
keep)
	size=$(cut -d ' ' -f 1 buffer_size_kb)
	trap 'echo nofuncgraph-tail > trace_options
	      echo overwrite > trace_options
	      echo nop > current_tracer
	      echo > set_ftrace_filter
	      echo "$size" > buffer_size_kb
	      echo 1 > tracing_on
	      exit' TERM
	while :; do
		sleep 1000
	done
	;;
start)
	shift
	# The first moves are enough: it takes the emulator a minute to print them.
	echo 3072 > buffer_size_kb
	echo nooverwrite > trace_options
	for f; do
		echo "$f" >> set_ftrace_filter
	done 2> /dev/null
	echo function_graph > current_tracer
	wc -l < set_ftrace_filter
	;;
stop)
	echo 0 > tracing_on
	echo funcgraph-tail > trace_options
	head -n 20 trace > /dev/console
	awk -f /bin/steps.awk trace > /tmp/steps && cat /tmp/steps
	;;
esac
