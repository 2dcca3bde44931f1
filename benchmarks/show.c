// SPDX-License-Identifier: GPL-2.0
/*
 * gmem-bench show: a result set, for people: what each scenario wants to be
 * seen first, the variants side by side; all of it as JSON, or as a page.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "table.h"

static void print_cell(const struct comparison *c, bool base)
{
	const struct samples *s = base ? &c->a : &c->b;
	char text[96] = "-";
	int len;

	if (s->nr) {
		len = snprintf(text, sizeof(text), "%s", short_number(s->mean, c->unit));
		if (s->nr > 1)
			len += snprintf(text + len, sizeof(text) - len, " ~%s",
					short_number(s->deviation, c->unit));
		if (!base && table_percent(c))
			len += snprintf(text + len, sizeof(text) - len, " %+.0f%%",
					c->difference);
		if (!base && c->significant)
			snprintf(text + len, sizeof(text) - len, "*");
	}
	printf(" %27s", text);
}

static void print_row(const struct table *t, const char *figure)
{
	const struct comparison *c = NULL;
	char label[96];
	int i;

	for (i = 0; i < t->variants.nr && !c; i++)
		c = table_cell(t, i, figure);
	snprintf(label, sizeof(label), *table_unit(c) ? "%s [%s]" : "%s",
		 figure, table_unit(c));
	printf("  %-32s", label);
	for (i = 0; i < t->variants.nr; i++) {
		c = table_cell(t, i, figure);
		if (c)
			print_cell(c, !i);
		else
			printf(" %27s", "-");
	}
	putchar('\n');
}

static void print_scenario(const struct table *t)
{
	struct json *run = table_any_run(t);
	int i;

	printf("\n%s: %s\n", t->scenario, run ?
	       json_get_string(run, "what") : "no run that counts");
	printf("  %-32s", "");
	for (i = 0; i < t->variants.nr; i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s (%zu)", t->variants.name[i],
			 table_runs(t, i));
		printf(" %27s", text);
	}
	putchar('\n');
	for (i = 0; i < t->figures.nr; i++)
		if (table_shows(t, t->figures.name[i]))
			print_row(t, t->figures.name[i]);
}

static void print_agreement(const struct table *t)
{
	char text[TABLE_TEXT];
	int v;

	for (v = 0; v < t->variants.nr; v++)
		if (table_agreement(t, v, text))
			printf("  %s\n", text);
}

static void print_failures(const struct result_set *set)
{
	size_t i, nr = 0;

	for (i = 0; i < set->nr_runs; i++) {
		struct json *run = set->runs[i], *why;

		if (!result_failed(run))
			continue;
		why = json_get(run, "failed");
		printf("%s%s, %s, run %.0f failed and does not count: %s\n",
		       nr++ ? "" : "\n", json_get_string(run, "scenario"),
		       json_get_string(run, "variant"),
		       json_get_number(run, "run", 0), why && why->child ?
		       why->child->string : "it does not say why");
	}
}

static void add_value(struct json *to, const struct table *t, int variant,
		      const struct comparison *c)
{
	const struct samples *s = variant ? &c->b : &c->a;
	struct json *one;

	if (!s->nr)
		return;
	one = json_add(to, t->variants.name[variant], json_object());
	json_add_number(one, "runs", s->nr);
	json_add_number(one, "mean", s->mean);
	json_add_number(one, "deviation", s->deviation);
	if (!variant || !c->a.nr)
		return;
	json_add_number(one, "difference_percent", c->difference);
	json_add_bool(one, "significant", c->significant);
}

static struct json *scenario_json(const struct table *t)
{
	struct json *out = json_object(), *figures, *one;
	struct json *run = table_any_run(t);
	const struct comparison *c;
	int i, v;

	json_add_string(out, "scenario", t->scenario);
	if (run) {
		json_add_string(out, "what", json_get_string(run, "what"));
		json_add_string(out, "clock", json_get_string(run, "clock"));
	}
	figures = json_add(out, "figures", json_array());
	for (i = 0; i < t->figures.nr; i++) {
		one = json_add(figures, NULL, json_object());
		json_add_string(one, "name", t->figures.name[i]);
		for (v = 0; v < t->variants.nr; v++) {
			c = table_cell(t, v, t->figures.name[i]);
			if (!c)
				continue;
			if (!json_get(one, "unit")) {
				json_add_string(one, "unit", c->unit);
				json_add_string(one, "better",
						better_name(c->better));
			}
			add_value(one, t, v, c);
		}
	}
	return out;
}

static void write_json(const char *path, struct json *scenarios)
{
	FILE *out = open_output(path);

	json_print(out, scenarios, 0);
	fputc('\n', out);
	close_output(out, path);
}

static void usage(void)
{
	fputs("usage: gmem-bench show [--html=FILE] [--json=FILE] SET\n"
	      "What the result set SET has found, the variants side by side:\n"
	      "  mean ~deviation difference%   from the first variant; * significant:\n"
	      "                                Welch's t-test, two-sided, p < 0.05\n"
	      "  --html=FILE  everything, with plots (needs gnuplot)\n"
	      "  --json=FILE  everything, to be read by programs\n", usage_out());
	usage_exit();
}

int cmd_show(int argc, char **argv)
{
	const char *value, *path = NULL, *html = NULL, *json = NULL;
	struct json *all = json_object(), *scenarios_json, *runs;
	struct names scenarios = { 0 };
	struct result_set set;
	struct table table;
	size_t r;
	int i;

	for (i = 1; i < argc; i++) {
		if (option(argv[i], "html", &value))
			html = value;
		else if (option(argv[i], "json", &value))
			json = value;
		else if (*argv[i] != '-' && !path)
			path = argv[i];
		else
			usage();
	}
	if (!path)
		usage();
	if (!result_set_load(&set, path))
		die("%s", set.error);
	names_scenarios(&scenarios, &set);
	scenarios_json = json_add(all, "scenarios", json_array());
	for (i = 0; i < scenarios.nr; i++) {
		table_make(&table, &set, scenarios.name[i]);
		print_scenario(&table);
		print_agreement(&table);
		json_add(scenarios_json, NULL, scenario_json(&table));
	}
	/* And what they were made from, each run with all that it has read. */
	runs = json_add(all, "runs", json_array());
	for (r = 0; r < set.nr_runs; r++)
		json_add(runs, NULL, set.runs[r]);
	print_failures(&set);
	if (json)
		write_json(json, all);
	if (html)
		html_write(html, &set);
	return 0;
}
