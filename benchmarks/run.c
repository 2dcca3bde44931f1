// SPDX-License-Identifier: GPL-2.0
/*
 * gmem-bench run: one variant of a scenario, step by step.
 *
 * A step that cannot do what it is asked to makes the run fail. The remaining
 * steps are done all the same, as far as they can be, for what they show. But
 * a guest that died is the end: its memory was free for everything after it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/clock.h"
#include "run.h"

void figure(struct run *r, const char *prefix, const char *name,
	    const char *unit, enum better better, double value)
{
	char full[2 * NAME_LEN];

	snprintf(full, sizeof(full), "%s.%s", prefix, name);
	result_figure(r->result, full, unit, better, value);
}

/* With 16 buckets for each power of two: [smallest value, count]. */
static void add_histogram(struct run *r, const char *name, const char *unit,
			  const struct durations *d)
{
	struct json *out = json_add(r->histograms, NULL, json_object());
	struct json *buckets, *bucket = NULL;
	double last = -1;
	size_t i;

	json_add_string(out, "name", name);
	json_add_string(out, "unit", unit);
	buckets = json_add(out, "buckets", json_array());
	for (i = 0; i < d->nr; i++) {
		double octave = d->ns[i] ? floor(log2(d->ns[i])) : 0;
		double width = exp2(octave - 4);
		double floor_of = d->ns[i] ? floor(d->ns[i] / width) * width : 0;

		if (floor_of != last) {
			bucket = json_add(buckets, NULL, json_array());
			json_add(bucket, NULL, json_number(floor_of));
			json_add(bucket, NULL, json_number(0));
			last = floor_of;
		}
		bucket->last->number++;
	}
}

void distribution(struct run *r, const char *name, enum better better,
		  struct durations *d)
{
	static const struct {
		const char *name;
		double percent;
	} points[] = {
		{ "p50", 50 }, { "p90", 90 }, { "p99", 99 }, { "p99.9", 99.9 },
		{ "max", 100 },
	};
	size_t i;

	durations_sort(d);
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		/* The 99th percentile of ten values is none. */
		if (points[i].percent < 100 &&
		    d->nr * (100 - points[i].percent) < 100 - 1e-6)
			continue;
		/* The largest is one value, and says how often an interrupt came. */
		figure(r, name, points[i].name, "ns",
		       points[i].percent < 100 ? better : BETTER_NONE,
		       percentile(d->ns, d->nr, points[i].percent));
	}
	figure(r, name, "mean", "ns", better, durations_mean(d));
	figure(r, name, "count", "times", BETTER_NONE, d->nr);
	add_histogram(r, name, "ns", d);
}

/* In percent of what is free: more than that is hidden in the lists of the CPUs. */
#define MAX_HIDDEN	2

static void check_drained(struct run *r, const struct json *buddy)
{
	double hidden = json_get_number(buddy, "pcp_pages", 0);
	double free_pages = json_get_number(buddy, "free_pages", 0);

	/* What runs fills them again at once. */
	if (loads_run(r))
		return;
	if (hidden > free_pages * MAX_HIDDEN / 100)
		result_fail(r->result, "%.0f of %.0f free pages are in the lists of the CPUs",
			    hidden, free_pages + hidden);
}

struct json *take_reading(struct run *r, const char *name)
{
	double start = now_seconds();
	struct json *reading;

	reading = reader_read(&r->reader, &r->group, name, start - r->start,
			      r->readings);
	r->reading_time += now_seconds() - start;
	check_drained(r, json_get(reading, "buddy"));
	return reading;
}

static void on_filled(void *arg, int percent)
{
	char name[32];

	/* No percent sign: gnuplot takes it for a format. */
	snprintf(name, sizeof(name), "filled %d/10", percent / 10);
	take_reading(arg, name);
}

bool need_guests(struct run *r, const char *what, bool running)
{
	int i;

	for (i = 0; i < r->group.nr && r->group.members; i++)
		if (running ? r->group.members[i].running :
			      r->group.members[i].alive)
			return true;
	result_fail(r->result, "%s: there are no guests%s", what,
		    running ? " that run" : "");
	return false;
}

/* What the figures must be for the others to mean what they should. */
static void step_expect(struct run *r, const struct step *step)
{
	const struct json *one = json_get(r->result, "figures")->child;
	bool above = !strcmp(step->argv[1], "above");
	double value = NAN, limit = atof(step->argv[2]);
	int i;

	for (i = 3; i < step->argc; i++)
		if (!strcmp(step->argv[i], r->variant->name))
			break;
	if (step->argc > 3 && i == step->argc)
		return;
	for (; one; one = one->next)
		if (!strcmp(json_get_string(one, "name"), step->argv[0]))
			value = json_get_number(one, "value", NAN);
	/* Not so for NAN, either way. */
	if (!(above ? value > limit : value < limit))
		result_fail(r->result, "%s is %g, and must be %s %g",
			    step->argv[0], value, step->argv[1], limit);
}

const struct verb verbs[] = {
	{ "fill", step_fill, 0, 0, false, "",
	  "fill" },
	{ "stop", step_stop, 1, 1, false, "g",
	  "stop all|odd|even|NUMBER" },
	{ "start", step_start, 0, 0, false, "",
	  "start" },
	{ "work", step_work, 1, 2, false, "nn",
	  "work SECONDS [READING EVERY SECONDS]" },
	{ "balloon", step_balloon, 1, 1, false, "p",
	  "balloon PERCENT" },
	{ "read", step_read, 1, 1, false, "t",
	  "read NAME" },
	{ "compact", step_compact, 1, 1, false, "t",
	  "compact NAME" },
	{ "kcompactd", step_kcompactd, 1, 1, false, "t",
	  "kcompactd NAME" },
	{ "thp", step_thp, 1, 1, false, "p",
	  "thp PERCENT OF FREE" },
	{ "hugetlb", step_hugetlb, 2, 2, false, "sp",
	  "hugetlb PAGE-SIZE PERCENT OF FREE" },
	{ "cma", step_cma, 1, MAX_ARGS, false, "s*",
	  "cma SIZE..." },
	{ "offline", step_offline, 0, 0, false, "",
	  "offline" },
	{ "moves", step_moves, 1, 2, false, "ks",
	  "moves guests, or moves anon|shmem SIZE" },
	{ "floor", step_floor, 0, 0, false, "",
	  "floor" },
	{ "gaps-start", step_gaps_start, 0, 0, false, "",
	  "gaps-start" },
	{ "gaps", step_gaps, 1, 1, false, "t",
	  "gaps NAME" },
	{ "load", step_load, 2, 2, true, "tt",
	  "load NAME COMMAND" },
	{ "unload", step_unload, 1, 1, false, "l",
	  "unload NAME" },
	{ "measure", step_measure, 4, 4, true, "ttbt",
	  "measure NAME UNIT higher|lower|none COMMAND" },
	{ "figures", step_figures, 4, 4, true, "ttbt",
	  "figures PREFIX UNIT higher|lower|none COMMAND" },
	{ "durations", step_durations, 2, 2, true, "tt",
	  "durations PREFIX COMMAND" },
	{ "expect", step_expect, 3, MAX_ARGS, false, "tafv*",
	  "expect FIGURE above|below VALUE [VARIANT...]" },
	{ 0 },
};

static bool guests_died(struct run *r, const char *when)
{
	if (!r->group.members || !group_any_dead(&r->group))
		return false;
	result_fail(r->result, "guests died, in %s or before", when);
	return true;
}

static bool do_step(struct run *r, const struct step *step)
{
	note("step: %s%s%s", step->verb->name, step->argc ? " " : "",
	     step->argc ? step->argv[0] : "");
	step->verb->action(r, step);
	return !guests_died(r, step->verb->name);
}

/*
 * The scenario's times are of a clock that counts instructions, or they are
 * worthless: one million times two instructions take two milliseconds then,
 * every time.
 */
static void check_clock(struct run *r)
{
	const uint64_t n = 1000000;
	double least = INFINITY;
	int i, right = 0;

	if (!r->scenario->instructions)
		return;
	for (i = 0; i < 5; i++) {
		double start = now_seconds(), ns;

		clock_spin(n);
		ns = (now_seconds() - start) * 1e9;
		/* An interrupt may come between, and takes long on a debug kernel. */
		right += ns > 1.9 * n && ns < 2.2 * n;
		least = fmin(least, ns);
	}
	if (right < 3 || least < 1.95 * n || least > 2.05 * n)
		result_fail(r->result, "not the instruction clock: %.0f ns for %llu instructions",
			    least, 2ULL * n);
}

static void finish_guests(struct run *r, bool died)
{
	struct group *g = &r->group;
	uint64_t wrong;
	int i;

	if (!g->members)
		return;
	if (!died) {
		group_wait_pass(g);
		guests_died(r, "their last pass");
	}
	for (i = 0; i < g->nr; i++)
		group_stop_member(&g->members[i]);
	if (!died)
		guests_died(r, "their last report");
	if (!died && !group_checked(g))
		result_fail(r->result, "the guests have checked nothing: were they started?");
	wrong = group_mismatches(g);
	if (wrong)
		result_fail(r->result, "%llu pages were not as the guests had left them",
			    (unsigned long long)wrong);
	figure(r, "guests", "checked", "pages", BETTER_NONE,
	       group_checked(g));
	figure(r, "guests", "mismatches", "pages", BETTER_LOWER, wrong);
	for (i = 0; i < g->nr; i++)
		group_destroy_member(&g->members[i]);
}

static void describe(struct run *r)
{
	const struct scenario *s = r->scenario;
	struct json *settings;
	char steps[32];

	result_describe(r->result);
	json_add_string(r->result, "clock",
			s->instructions ? "instructions" : "wall");
	json_add_string(r->result, "what", s->what);
	json_add_string(r->result, "show", s->show ? s->show : "");
	json_add_string(r->result, "plot", s->plot ? s->plot : "");
	settings = json_add(r->result, "settings", json_object());
	json_add_string(settings, "mode", r->variant->mode->name);
	/* Its place in tables. */
	json_add_number(settings, "column", r->variant - s->variants);
	json_add_number(settings, "guests", s->guests);
	json_add_number(settings, "size_mib", (double)s->size / MIB);
	json_add_number(settings, "vcpus", s->vcpus);
	json_add_number(settings, "interleave", s->interleave);
	json_add_number(settings, "rest_us", s->rest_us);
	json_add_string(settings, "order",
			s->sequential ? "sequential" : "turns");
	snprintf(steps, sizeof(steps), "%016llx",
		 (unsigned long long)s->steps_hash);
	json_add_string(settings, "steps", steps);
	r->readings = json_add(r->result, "readings", json_array());
	r->histograms = json_add(r->result, "histograms", json_array());
}

static void run_steps(struct run *r)
{
	bool died = false;
	int i;

	for (i = 0; i < r->scenario->nr_steps && !died; i++)
		died = !do_step(r, &r->scenario->steps[i]);
	for (i = 0; i < MAX_LOADS; i++)
		if (r->loads[i].pid)
			end_load(r, &r->loads[i]);
	finish_guests(r, died);
	json_add(r->result, "backends", trace_backends());
	json_add(r->result, "compaction_ends", trace_compaction());
}

static void usage(void)
{
	const struct verb *verb;

	fputs("usage: gmem-bench run SCENARIO --variant=NAME [OPTION...]\n"
	      "       gmem-bench run SCENARIO --plan [--quick]\n"
	      "  --quick            the scenario's settings for quick runs\n"
	      "  --set=KEY=VALUE    another setting than the scenario's: guests, size, vcpus,\n"
	      "                     interleave, order, rest_us; clock=wall on real machines\n"
	      "  --run=N            this run's number (1)\n"
	      "  --label=KEY=VALUE  something for the result to remember\n"
	      "  --out=FILE         the result (" RESULTS_PORT ")\n"
	      "  --plan             only tell what the scenario needs\n"
	      "steps of a scenario:\n", usage_out());
	for (verb = verbs; verb->name; verb++)
		fprintf(usage_out(), "  %s\n", verb->usage);
	fputs("what guests are made of:\n", usage_out());
	mode_list(usage_out());
	usage_exit();
}

static void add_label(struct json *labels, const char *label)
{
	char *key = xstrdup(label), *value = strchr(key, '=');

	if (!value)
		usage();
	*value++ = '\0';
	json_add_string(labels, key, value);
}

#define MAX_CHANGES	16

int cmd_run(int argc, char **argv)
{
	const char *value, *path = NULL, *variant = NULL, *out = NULL;
	struct json *labels = json_object();
	bool quick = false, plan = false;
	/* For what is done at the program's end, too. */
	static struct run run;
	struct run *r = &run;
	struct scenario scenario;
	const char *changes[MAX_CHANGES];
	int i, number = 1, nr_changes = 0;

	for (i = 1; i < argc; i++) {
		if (option(argv[i], "variant", &value))
			variant = value;
		else if (option(argv[i], "run", &value))
			number = atoi(value);
		else if (option(argv[i], "label", &value))
			add_label(labels, value);
		else if (option(argv[i], "out", &value))
			out = value;
		else if (option(argv[i], "set", &value) &&
			 nr_changes < MAX_CHANGES)
			changes[nr_changes++] = value;
		else if (option(argv[i], "quick", NULL))
			quick = true;
		else if (option(argv[i], "plan", NULL))
			plan = true;
		else if (*argv[i] != '-' && !path)
			path = argv[i];
		else
			usage();
	}
	if (!path || (!plan && !variant))
		usage();
	if (!scenario_load(&scenario, path, quick))
		die("%s", scenario.error);
	for (i = 0; i < nr_changes; i++)
		if (!scenario_change(&scenario, changes[i]))
			die("%s", scenario.error);
	if (plan) {
		scenario_plan(stdout, &scenario);
		return 0;
	}
	r->scenario = &scenario;
	r->variant = scenario_variant(&scenario, variant);
	if (!r->variant)
		die("%s has no variant %s", scenario.name, variant);
	if (!scenario_apply(&scenario, r->variant))
		die("%s", scenario.error);

	r->group = (struct group) {
		.mode = r->variant->mode,
		.nr = scenario.guests,
		.vcpus = scenario.vcpus,
		.pages = scenario.size / 4096,
		.step = scenario.interleave,
		.sequential = scenario.sequential,
		.rest_us = scenario.rest_us,
		.filled = on_filled,
		.arg = r,
	};
	results_check(out);
	r->result = result_new(scenario.name, variant, number);
	json_get(r->result, "labels")->child = labels->child;
	if (sysconf(_SC_PAGESIZE) != 4096)
		die("pages of %ld bytes: this is for 4 KiB", sysconf(_SC_PAGESIZE));
	signals_exit();
	reader_init(&r->reader);
	/* A kernel without the feature has no such events. */
	trace_start(false);
	describe(r);
	check_clock(r);
	r->start = now_seconds();
	run_steps(r);
	results_write(out, r->result);
	return result_failed(r->result);
}
