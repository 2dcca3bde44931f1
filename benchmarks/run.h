/* SPDX-License-Identifier: GPL-2.0 */
/* A run of a scenario, for the steps in it: gmem-bench run. */
#ifndef GMEM_BENCH_RUN_H
#define GMEM_BENCH_RUN_H

#include <sys/types.h>

#include "bench.h"
#include "group.h"
#include "reading.h"
#include "result.h"
#include "scenario.h"
#include "trace.h"

#define MAX_LOADS	4
#define NAME_LEN	96

struct load {
	const char *name;
	pid_t pid;
};

struct run {
	const struct scenario *scenario;
	const struct variant *variant;
	struct group group;
	struct reader reader;
	struct load loads[MAX_LOADS];
	struct json *result;
	struct json *readings;
	struct json *histograms;
	double start;
	double reading_time;	/* spent on looking */

	double clock_hz;	/* of the guests' counter */
	/* Since "gaps-start". */
	double gaps_since;
	uint64_t checked;
	long long exits, migrated;
	double exit_rate;	/* in the window before, 1/s */
};

/* One figure, called PREFIX.NAME. */
void figure(struct run *r, const char *prefix, const char *name,
	    const char *unit, enum better better, double value);
/* Percentiles, mean and histogram. @d is sorted then. */
void distribution(struct run *r, const char *name, enum better better,
		  struct durations *d);
struct json *take_reading(struct run *r, const char *name);
/* Are there any? If not, @what has failed. */
bool need_guests(struct run *r, const char *what, bool running);
void end_load(struct run *r, struct load *load);
bool loads_run(const struct run *r);

/* In step-guests.c, step-memory.c, step-moves.c, step-gaps.c, step-load.c. */
void step_fill(struct run *r, const struct step *step);
void step_stop(struct run *r, const struct step *step);
void step_start(struct run *r, const struct step *step);
void step_work(struct run *r, const struct step *step);
void step_balloon(struct run *r, const struct step *step);

void step_read(struct run *r, const struct step *step);
void step_compact(struct run *r, const struct step *step);
void step_kcompactd(struct run *r, const struct step *step);
void step_thp(struct run *r, const struct step *step);
void step_hugetlb(struct run *r, const struct step *step);
void step_cma(struct run *r, const struct step *step);
void step_offline(struct run *r, const struct step *step);

void step_moves(struct run *r, const struct step *step);
void step_floor(struct run *r, const struct step *step);

void step_gaps_start(struct run *r, const struct step *step);
void step_gaps(struct run *r, const struct step *step);

void step_load(struct run *r, const struct step *step);
void step_unload(struct run *r, const struct step *step);
void step_measure(struct run *r, const struct step *step);
void step_figures(struct run *r, const struct step *step);
void step_durations(struct run *r, const struct step *step);

#endif
