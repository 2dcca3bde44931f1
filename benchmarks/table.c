// SPDX-License-Identifier: GPL-2.0
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "scenario.h"
#include "table.h"

static void names_add(struct names *names, const char *name)
{
	int i;

	for (i = 0; i < names->nr; i++)
		if (!strcmp(names->name[i], name))
			return;
	if (names->nr == MAX_NAMES)
		die("more than %d different figures", MAX_NAMES);
	names->name[names->nr++] = name;
}

void names_scenarios(struct names *names, const struct result_set *set)
{
	size_t i;

	for (i = 0; i < set->nr_runs; i++)
		names_add(names, json_get_string(set->runs[i], "scenario"));
}

static bool is_of(const struct json *run, const char *scenario,
		  const char *variant)
{
	return !strcmp(json_get_string(run, "scenario"), scenario) &&
	       (!variant ||
		!strcmp(json_get_string(run, "variant"), variant));
}

static void subset(const struct result_set *set, const char *scenario,
		   const char *variant, struct result_set *out)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < set->nr_runs; i++)
		if (is_of(set->runs[i], scenario, variant))
			result_set_add(out, set->runs[i]);
}

/* In the order of the scenario's file: the first is what others stand against. */
static void find_variants(struct table *t)
{
	struct result_set runs;
	const char *name;
	int column;
	size_t i;

	subset(t->set, t->scenario, NULL, &runs);
	for (column = 0; column <= MAX_VARIANTS; column++) {
		for (i = 0; i < runs.nr_runs; i++) {
			name = json_get_string(runs.runs[i], "variant");
			/* Those that do not say where come last. */
			if (column == MAX_VARIANTS ||
			    json_get_number(json_get(runs.runs[i], "settings"),
					    "column", -1) == column)
				names_add(&t->variants, name);
		}
	}
}

void table_make(struct table *t, const struct result_set *set,
		const char *scenario)
{
	struct result_set base, other;
	struct comparison *c;
	int i;

	*t = (struct table) { .set = set, .scenario = scenario };
	find_variants(t);
	t->cmps = xcalloc(t->variants.nr, sizeof(*t->cmps));
	subset(set, scenario, t->variants.name[0], &base);
	for (i = 0; i < t->variants.nr; i++) {
		/* Variants of one scenario may well differ in their guests. */
		t->cmps[i] = (struct compare) {
			.alpha = 0.05, .threshold = 5, .force = true,
		};
		subset(set, scenario, t->variants.name[i], &other);
		if (!compare_sets(&t->cmps[i], &base, &other))
			die("%s", t->cmps[i].error);
		for (c = t->cmps[i].first; c; c = c->next)
			names_add(&t->figures, c->name);
	}
}

const struct comparison *table_cell(const struct table *t, int variant,
				    const char *figure)
{
	const struct comparison *c;

	for (c = t->cmps[variant].first; c; c = c->next)
		if (!strcmp(c->name, figure))
			return c;
	return NULL;
}

const struct samples *table_samples(const struct table *t, int variant,
				    const char *figure)
{
	const struct comparison *c = table_cell(t, variant, figure);
	const struct samples *s = c ? variant ? &c->b : &c->a : NULL;

	return s && s->nr ? s : NULL;
}

/* Is @word one of @list? */
static bool lists(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (list && *list) {
		if (!strncmp(list, word, len) &&
		    (!list[len] || list[len] == ' '))
			return true;
		list += strcspn(list, " ");
		list += strspn(list, " ");
	}
	return false;
}

bool table_shows(const struct table *t, const char *figure)
{
	return lists(json_get_string(table_any_run(t), "show"), figure);
}

bool table_plots(const struct table *t, const char *histogram)
{
	const char *plot = json_get_string(table_any_run(t), "plot");

	return !plot || !*plot || lists(plot, histogram);
}

size_t table_runs(const struct table *t, int variant)
{
	size_t nr = 0, i;

	for (i = 0; i < t->set->nr_runs; i++)
		nr += is_of(t->set->runs[i], t->scenario,
			    t->variants.name[variant]) &&
		      !result_failed(t->set->runs[i]);
	return nr;
}

struct json *table_run(const struct table *t, int variant)
{
	size_t i;

	for (i = 0; i < t->set->nr_runs; i++)
		if (is_of(t->set->runs[i], t->scenario,
			  t->variants.name[variant]) &&
		    !result_failed(t->set->runs[i]))
			return t->set->runs[i];
	return NULL;
}

struct json *table_any_run(const struct table *t)
{
	struct json *run = NULL;
	int i;

	for (i = 0; i < t->variants.nr && !run; i++)
		run = table_run(t, i);
	return run;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && !strcmp(text + len - end_len, end);
}

/* In ns: what depends on addresses, and a step of arm64's counter. */
#define MAX_APART	16

/* The largest difference between two runs in any figure that ends in @percentile. */
static double apart(const struct table *t, int variant, const char *percentile,
		    const char **figure)
{
	double least, most, max = 0;
	const struct samples *s;
	size_t n;
	int i;

	*figure = NULL;
	for (i = 0; i < t->figures.nr; i++) {
		const char *name = t->figures.name[i];

		s = ends_with(name, percentile) ? table_samples(t, variant, name) : NULL;
		if (!s || s->nr < 2 || strcmp(table_cell(t, variant, name)->unit, "ns"))
			continue;
		for (n = 0, least = INFINITY, most = 0; n < s->nr; n++) {
			least = fmin(least, s->values[n]);
			most = fmax(most, s->values[n]);
		}
		if (!*figure || most - least > max) {
			*figure = name;
			max = most - least;
		}
	}
	return max;
}

bool table_agreement(const struct table *t, int variant, char text[TABLE_TEXT])
{
	const char *clock = json_get_string(table_any_run(t), "clock");
	const char *half, *most;
	double p50, p99;
	size_t len;

	if (!clock || strcmp(clock, "instructions"))
		return false;
	p50 = apart(t, variant, ".p50", &half);
	p99 = apart(t, variant, ".p99", &most);
	if (!half || !most)
		return false;
	len = snprintf(text, TABLE_TEXT, "the %zu runs of %.48s %s %.0f ns in p50",
		       table_runs(t, variant), t->variants.name[variant],
		       p50 > MAX_APART ? "DIFFER by up to" : "agree within", p50);
	if (p50)
		len += snprintf(text + len, TABLE_TEXT - len, " (%.48s)", half);
	len += snprintf(text + len, TABLE_TEXT - len, ", %.0f ns in p99", p99);
	if (p99)
		snprintf(text + len, TABLE_TEXT - len, " (%.48s)", most);
	return true;
}

const char *short_number(double value, const char *unit)
{
	static const char *const times[] = { "ns", "us", "ms", "s" };
	static char text[4][32];
	static int next;
	char *to = text[next++ % ARRAY_SIZE(text)];
	size_t t = 0;
	int digits;

	if (strcmp(unit, "ns")) {
		digits = fabs(value) < 10 ? 3 : fabs(value) < 1000 ? 2 : 0;
		if (value == floor(value) && fabs(value) < 1e15)
			digits = 0;
		snprintf(to, sizeof(text[0]), "%.*f", digits, value);
		return to;
	}
	for (; fabs(value) >= 10000 && t + 1 < ARRAY_SIZE(times); t++)
		value /= 1000;
	digits = !t || fabs(value) >= 1000 ? 0 : fabs(value) < 100 ? 2 : 1;
	snprintf(to, sizeof(text[0]), "%.*f %s", digits, value, times[t]);
	return to;
}

const char *table_unit(const struct comparison *c)
{
	return strcmp(c->unit, "ns") ? c->unit : "";
}

bool table_percent(const struct comparison *c)
{
	return c->a.nr && c->b.nr && fabs(c->difference) < 10000;
}
