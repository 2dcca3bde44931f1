// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "bench.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} commands[] = {
	{ "frag", cmd_frag, "scatter free memory between guests and compact" },
	{ "run", cmd_run, "one variant of a scenario, step by step" },
	{ "report", cmd_report, "the demo's boots: table, maps, verdict" },
	{ "compare", cmd_compare, "compare two result sets, figure by figure" },
	{ "watch", cmd_watch, "how long moves take on this machine" },
	{ "el2", cmd_el2, "where the instructions of a hypercall go" },
	{ "show", cmd_show, "a result set: table, page with plots, JSON" },
	{ "selftest", cmd_selftest, "check the analysis on known input" },
};

static const char about[] =
	"Each command says with --help what its options are.\n"
	"\n"
	"A scenario is a plain file: which machine to boot, how many guests of which\n"
	"size run there and how their memory interleaves, and the steps: what to do,\n"
	"what to ask for, and what to measure. \"run FILE --plan\" checks one; \"run\n"
	"--help\" lists all steps; benchmarks/scenarios/README explains everything that\n"
	"can be in it.\n"
	"\n"
	"  gmem-bench run frag.conf --variant=feature --out=a/frag-1.json\n"
	"  gmem-bench show a; gmem-bench compare a b\n"
	"\n"
	"It needs root, /dev/kvm, debugfs and tracefs, and takes the whole machine: what\n"
	"else runs is part of the figures. What it sets it sets back.\n"
	"\n"
	"Units: sizes in files are powers of two (K, M, G); a page is 4 KiB and a block\n"
	"2 MiB. Times are of CLOCK_MONOTONIC, which is the emulator's count of\n"
	"instructions, one a nanosecond, where a scenario says \"clock = instructions\",\n"
	"and in nanoseconds, printed as ns, us, ms. \"% of free\" is of all free memory.\n";

static void usage(FILE *out)
{
	size_t i;

	fputs("usage: gmem-bench COMMAND [OPTION...]\n", out);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s%s\n", commands[i].name, commands[i].what);
}

int main(int argc, char **argv)
{
	int status;
	size_t i;

	for (i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		help_wanted = argc == 3 && !strcmp(argv[2], "--help");
		status = commands[i].run(argc - 1, argv + 1);
		if (!fflush(stdout) && !ferror(stdout))
			return status;
		fprintf(stderr, "gmem-bench: cannot write: %m\n");
		return 2;
	}

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) {
		usage(stdout);
		fputs(about, stdout);
		return 0;
	}
	usage(stderr);
	return 2;
}
