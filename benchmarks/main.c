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

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);

	fputs("usage: gmem-bench COMMAND [OPTION...]\n", stderr);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stderr, "  %-10s%s\n", commands[i].name,
			commands[i].what);
	return 2;
}
