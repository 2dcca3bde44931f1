/* SPDX-License-Identifier: GPL-2.0 */
/* A result set as a table for each scenario: figures by variants. */
#ifndef GMEM_BENCH_TABLE_H
#define GMEM_BENCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "compare.h"
#include "result.h"

#define MAX_NAMES	256

/* Names in the order in which they should be shown. */
struct names {
	const char *name[MAX_NAMES];
	int nr;
};

struct table {
	const struct result_set *set;
	const char *scenario;
	struct names variants;		/* all others are compared with the first */
	struct names figures;
	struct compare *cmps;		/* one for each variant */
};

void names_scenarios(struct names *names, const struct result_set *set);

/* Dies where the runs of a scenario do not fit together. */
void table_make(struct table *t, const struct result_set *set,
		const char *scenario);
/* NULL where there is none; a is the first variant's, b the other's. */
const struct comparison *table_cell(const struct table *t, int variant,
				    const char *figure);
/* What a variant's runs had. NULL where they had none, or there are none. */
const struct samples *table_samples(const struct table *t, int variant,
				    const char *figure);
/* Is it one of those that the scenario wants to be seen first? */
bool table_shows(const struct table *t, const char *figure);
/* Is the distribution of that name worth a curve? */
bool table_plots(const struct table *t, const char *histogram);
/* Runs of a variant that did not fail. */
size_t table_runs(const struct table *t, int variant);
/* The first of them, NULL where there is none. */
struct json *table_run(const struct table *t, int variant);
/* Any run that did not fail, for what all of them have in common. */
struct json *table_any_run(const struct table *t);

#define TABLE_TEXT	256

/*
 * How far the runs of a variant are apart in what they have timed. False where the
 * clock is not that of the instructions, or there is one run.
 */
bool table_agreement(const struct table *t, int variant, char text[TABLE_TEXT]);

/* As many digits as are worth looking at; times with their unit. */
const char *short_number(double value, const char *unit);
/* What is to be said of its unit, then. */
const char *table_unit(const struct comparison *c);
/* Is there a difference, and one that a percentage says something about? */
bool table_percent(const struct comparison *c);

/* The set as a page with plots, see show.c. */
void html_write(const char *path, const struct result_set *set);

#endif
