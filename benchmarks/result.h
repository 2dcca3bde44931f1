/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Results: what one run of a scenario found, as one JSON object in a file of
 * its own. A result set is a directory of such files, at any depth.
 *
 *	{
 *	  "format": "gmem-bench result 1",
 *	  "scenario": name, "variant": name, "run": number,
 *	  "labels": { "git": ..., ... },	what the runner knows
 *	  "kernel": { "release", "version", "machine", "cmdline", "config" },
 *	  "machine": { "cpus", "memory_mib" },
 *	  "clock": "instructions" or "wall",
 *	  "settings": { the scenario's own },
 *	  "figures": [ { "name", "unit", "better", "value" } ],
 *	  "failed": [ why the run counts for nothing ]
 *	}
 *
 * and whatever else is worth keeping: readings, histograms.
 */
#ifndef GMEM_BENCH_RESULT_H
#define GMEM_BENCH_RESULT_H

#include <stdbool.h>
#include <stddef.h>

#include "json.h"

#define RESULT_FORMAT	"gmem-bench result 1"

/* Which way a figure improves. */
enum better {
	BETTER_NONE,		/* neither way: it explains the others */
	BETTER_HIGHER,
	BETTER_LOWER,
};

/* NULL for a value that is not one. */
const char *better_name(enum better better);
bool better_parse(const char *name, enum better *better);

/* Writing. */
struct json *result_new(const char *scenario, const char *variant, int run);
/* What this machine and its kernel are. */
void result_describe(struct json *result);
void result_figure(struct json *result, const char *name, const char *unit,
		   enum better better, double value);
__attribute__((format(printf, 2, 3)))
void result_fail(struct json *result, const char *fmt, ...);
bool result_failed(const struct json *result);

/* Reading. */
struct result_set {
	const char *name;	/* what the user called it */
	struct json **runs;
	size_t nr_runs;
	const char *error;	/* of result_set_load() */
};

/*
 * Load @path, a file or a directory. False, and @set->error, where something
 * there cannot be read or is no result, or nothing is there.
 */
bool result_set_load(struct result_set *set, const char *path);
void result_set_add(struct result_set *set, struct json *run);
/* Do all runs have the same variant? */
bool result_set_uniform(const struct result_set *set);

#endif
