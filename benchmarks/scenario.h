/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Scenarios: plain files that say what machine to boot, what guests to run
 * in it, and what to do and measure, step by step. See scenarios/README.
 */
#ifndef GMEM_BENCH_SCENARIO_H
#define GMEM_BENCH_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "group.h"

#define MAX_ARGS	8
#define MAX_VARIANTS	12

struct run;
struct step;

/* One thing to do. */
struct verb {
	const char *name;
	void (*action)(struct run *r, const struct step *step);
	int min_args, max_args;
	bool command;		/* the last argument is the rest of the line */
	/*
	 * What the arguments are, a letter each, the last one repeated before *:
	 * any (t)ext, (n)umber, (p)ercentage, (s)ize, (g)uests to stop, (k)ind of
	 * pages to move, (b)etter, (a)bove or below, (v)ariant,
	 * name of a (l)oad that was there before.
	 */
	const char *args;
	const char *usage;
};

struct step {
	const struct verb *verb;
	int line;		/* in the file */
	int argc;
	char *argv[MAX_ARGS];
};

/* A kernel, and what the guests on it are made of. */
struct variant {
	char *name;
	char *kernel;		/* as scripts/image knows it */
	const struct mode *mode;
	char *settings;		/* of guests and command line, where they differ */
};

struct scenario {
	char *name;		/* of the file */
	char *what;
	char *show;		/* figures to be seen first */
	char *plot;		/* distributions to draw; NULL: all */

	/* For the runner. */
	char *arch;		/* NULL: any */
	char *memory;
	char *append;		/* to the kernel's command line */
	char *el2;		/* run-qemu's mode */
	char *disk;		/* size of an empty one, or "none" */
	char *rootfs;		/* Debian's packages that it needs, or "none" */
	uint64_t cpus;
	uint64_t timeout;	/* seconds */
	uint64_t runs;		/* fresh boots of each variant */
	bool instructions;	/* the clock counts them */

	/* The guests. */
	uint64_t guests;
	uint64_t size;		/* bytes of each */
	uint64_t vcpus;		/* the same */
	uint64_t interleave;	/* pages that one takes at a time */
	bool sequential;
	uint64_t rest_us;

	struct variant variants[MAX_VARIANTS];
	int nr_variants;
	struct step *steps;
	int nr_steps;
	uint64_t steps_hash;	/* of what they measure, not what is expected of it */

	int line;		/* that is being read */
	char *error;
};

/*
 * Parse the file at @path; what it says of quick runs counts if @quick.
 * False, and @s->error, where something is wrong with it.
 */
bool scenario_load(struct scenario *s, const char *path, bool quick);
bool scenario_parse(struct scenario *s, const char *name, const char *text,
		    bool quick);
const struct variant *scenario_variant(const struct scenario *s,
				       const char *name);
/* Make @s be that of the variant. False, and @s->error, as above. */
/* @change is KEY=VALUE, for what a person may set. */
bool scenario_change(struct scenario *s, const char *change);
bool scenario_apply(struct scenario *s, const struct variant *variant);
/* "64M" and the like. False where it is none. */
bool parse_size(const char *text, uint64_t *size);

/* What the runner needs to know, as lines of "key value". */
void scenario_plan(FILE *out, const struct scenario *s);

/* What can be done in a step; ends with one without a name. In run.c. */
extern const struct verb verbs[];

#endif
