// SPDX-License-Identifier: GPL-2.0
/*
 * gmem-bench compare: two result sets beside each other, and whether the
 * second one is worse.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "compare.h"
#include "stats.h"

static bool cannot(struct compare *cmp, const char *name, const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), "%s: %s", name, what);
	cmp->error = xstrdup(text);
	return false;
}

static struct comparison *find(struct compare *cmp, const char *scenario,
			       const char *name)
{
	struct comparison **at = &cmp->first, *c;

	for (; (c = *at); at = &c->next)
		if (!strcmp(c->scenario, scenario) && !strcmp(c->name, name))
			return c;
	c = *at = xcalloc(1, sizeof(*c));
	c->scenario = xstrdup(scenario);
	c->name = xstrdup(name);
	return c;
}

static void add_value(struct samples *s, double value)
{
	s->values = realloc(s->values, (s->nr + 1) * sizeof(*s->values));
	if (!s->values)
		die("out of memory");
	s->values[s->nr++] = value;
}

static bool add_figure(struct compare *cmp, const struct json *figure,
		       const char *scenario, bool second)
{
	const char *name = json_get_string(figure, "name");
	const char *unit = json_get_string(figure, "unit");
	struct json *value = json_get(figure, "value");
	struct comparison *c;
	enum better better;

	if (!name || !unit || !value || value->type != JSON_NUMBER ||
	    !better_parse(json_get_string(figure, "better"), &better))
		return cannot(cmp, scenario, "a figure in it is incomplete");

	c = find(cmp, scenario, name);
	if (!c->unit) {
		c->unit = xstrdup(unit);
		c->better = better;
	} else if (strcmp(c->unit, unit) ||
		   (c->better != better && c->better != BETTER_NONE &&
		    better != BETTER_NONE)) {
		return cannot(cmp, name, "not the same unit everywhere");
	} else if (c->better != better) {
		/* Of two versions of the benchmarks, one of which only tells. */
		c->better = BETTER_NONE;
	}
	add_value(second ? &c->b : &c->a, value->number);
	return true;
}

static bool add_run(struct compare *cmp, const struct json *run,
		    bool variants, bool second)
{
	struct json *figures = json_get(run, "figures"), *figure;
	char scenario[256];

	if (result_failed(run)) {
		cmp->nr_failed++;
		return true;
	}
	snprintf(scenario, sizeof(scenario), "%s%s%s",
		 json_get_string(run, "scenario"), variants ? " " : "",
		 variants ? json_get_string(run, "variant") : "");
	for (figure = figures ? figures->child : NULL; figure;
	     figure = figure->next)
		if (!add_figure(cmp, figure, scenario, second))
			return false;
	return true;
}

static bool same_number(const struct json *a, const struct json *b,
			const char *object, const char *key)
{
	double x = json_get_number(json_get(a, object), key, 0);
	double y = json_get_number(json_get(b, object), key, 0);

	/* No two kernels leave exactly the same memory to others. */
	return fabs(x - y) <= 0.05 * fmax(x, y);
}

static bool same_text(const struct json *a, const struct json *b,
		      const char *object, const char *key)
{
	const char *x = json_get_string(json_get(a, object), key);
	const char *y = json_get_string(json_get(b, object), key);

	return !strcmp(x ? x : "", y ? y : "");
}

/*
 * Seconds of an emulated and of a real machine have nothing in common, nor have
 * fragments of a small machine and of a large one.
 */
static bool same_conditions(struct compare *cmp, const struct json *a,
			    const struct json *b)
{
	static const char *const settings[] = {
		"guests", "size_mib", "vcpus", "interleave", "rest_us",
	};
	const char *scenario = json_get_string(a, "scenario");
	const char *clock = json_get_string(a, "clock");
	const char *other = json_get_string(b, "clock");
	size_t i;

	if (strcmp(clock ? clock : "", other ? other : ""))
		return cannot(cmp, scenario, "timed with different clocks");
	if (cmp->force)
		return true;
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		if (!same_number(a, b, "settings", settings[i]))
			return cannot(cmp, scenario,
				      "with other guests, as quick runs and full ones have (--force)");
	if (!same_text(a, b, "settings", "order") ||
	    !same_text(a, b, "settings", "steps"))
		return cannot(cmp, scenario,
			      "of two versions of the scenario (--force)");
	if (!same_number(a, b, "machine", "cpus") ||
	    !same_number(a, b, "machine", "memory_mib"))
		return cannot(cmp, scenario, "on machines of different size (--force)");
	if (!same_text(a, b, "kernel", "machine") ||
	    !same_text(a, b, "labels", "machine") ||
	    !same_text(a, b, "labels", "qemu"))
		return cannot(cmp, scenario, "on different machines, or emulators (--force)");
	return true;
}

static bool all_same_conditions(struct compare *cmp, const struct result_set *a,
				const struct result_set *b, bool variants)
{
	size_t i, j;

	for (i = 0; i < a->nr_runs; i++) {
		for (j = 0; j < b->nr_runs; j++) {
			if (strcmp(json_get_string(a->runs[i], "scenario"),
				   json_get_string(b->runs[j], "scenario")))
				continue;
			if (variants &&
			    strcmp(json_get_string(a->runs[i], "variant"),
				   json_get_string(b->runs[j], "variant")))
				continue;
			if (!same_conditions(cmp, a->runs[i], b->runs[j]))
				return false;
		}
	}
	return true;
}

/*
 * A figure that B should have, too: not one that is only told, or a percentile, for
 * which there may be too few values.
 */
static bool is_missed(const struct comparison *c)
{
	return c->better != BETTER_NONE && !strstr(c->name, ".p9");
}

/* Where nothing varies, every difference is significant, and few matter. */
#define MIN_PERCENT	0.1

/*
 * Less is none: what comes in such steps, or lies around zero, may well be the same
 * in a few runs, and many percent more in the next.
 */
static double resolution(const char *unit)
{
	static const struct {
		const char *unit;
		double least;
	} of[] = {
		{ "pages", 16 }, { "blocks", 2 }, { "1/page", 0.05 },
		/* CPU time comes in ticks. */
		{ "s", 0.02 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(of); i++)
		if (!strcmp(of[i].unit, unit))
			return of[i].least;
	return 0;
}

static void judge(struct compare *cmp, struct comparison *c)
{
	double base, apart;

	c->a.mean = stats_mean(c->a.values, c->a.nr);
	c->b.mean = stats_mean(c->b.values, c->b.nr);
	c->a.deviation = stats_deviation(c->a.values, c->a.nr);
	c->b.deviation = stats_deviation(c->b.values, c->b.nr);
	if (!c->a.nr || !c->b.nr) {
		if (c->a.nr && is_missed(c))
			cmp->nr_missing++;
		c->p = -1;
		return;
	}

	c->difference = c->b.mean - c->a.mean;
	apart = fabs(c->difference);
	/* Of nothing, or of noise, every change is infinitely many percent. */
	base = fabs(c->a.mean);
	if (base <= fmax(c->a.deviation, resolution(c->unit)))
		base = 0;
	if (c->difference)
		c->difference *= 100 / base;
	c->p = stats_welch_p(c->a.values, c->a.nr, c->b.values, c->b.nr);
	c->significant = c->p >= 0 && c->p < cmp->alpha;

	if (c->better == BETTER_NONE || !c->significant ||
	    fabs(c->difference) < MIN_PERCENT || apart < resolution(c->unit))
		return;
	c->verdict = (c->difference > 0) == (c->better == BETTER_HIGHER) ? 1 : -1;
	if (c->verdict < 0 && fabs(c->difference) > cmp->threshold) {
		c->regression = true;
		cmp->nr_regressions++;
	}
}

bool compare_sets(struct compare *cmp, const struct result_set *a,
		  const struct result_set *b)
{
	bool variants = !result_set_uniform(a) || !result_set_uniform(b);
	struct comparison *c;
	size_t i;

	if (!all_same_conditions(cmp, a, b, variants))
		return false;
	for (i = 0; i < a->nr_runs; i++)
		if (!add_run(cmp, a->runs[i], variants, false))
			return false;
	for (i = 0; i < b->nr_runs; i++)
		if (!add_run(cmp, b->runs[i], variants, true))
			return false;
	for (c = cmp->first; c; c = c->next)
		judge(cmp, c);
	return true;
}

bool compare_has_common(const struct compare *cmp)
{
	const struct comparison *c;

	for (c = cmp->first; c; c = c->next)
		if (c->a.nr && c->b.nr)
			return true;
	return false;
}

/* What the runs of a set were made with; "several" where they differ. */
static const char *common(const struct result_set *set, const char *object,
			  const char *key)
{
	const char *found = NULL;
	size_t i;

	for (i = 0; i < set->nr_runs; i++) {
		const char *this = json_get_string(
			object ? json_get(set->runs[i], object) : set->runs[i],
			key);

		if (!this)
			continue;
		if (found && strcmp(found, this))
			return "several";
		found = this;
	}
	return found ? found : "-";
}

static void print_sets(const struct result_set *a, const struct result_set *b)
{
	static const struct {
		const char *label, *object, *key;
	} rows[] = {
		{ "variant", NULL, "variant" },
		{ "kernel", "kernel", "release" },
		{ "configuration", "kernel", "config" },
		{ "architecture", "kernel", "machine" },
		{ "machine", "labels", "machine" },
		{ "QEMU", "labels", "qemu" },
		{ "benchmarks", "labels", "git" },
		{ "clock", NULL, "clock" },
	};
	size_t i;

	printf("%-16sA: %s\n%-16sB: %s\n", "", a->name, "", b->name);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		printf("%-16sA: %-28s B: %s\n", rows[i].label,
		       common(a, rows[i].object, rows[i].key),
		       common(b, rows[i].object, rows[i].key));
}

static void print_samples(const struct samples *s)
{
	char text[64];

	if (!s->nr) {
		printf(" %25s", "-");
		return;
	}
	snprintf(text, sizeof(text), "%.*f", fabs(s->mean) < 10 ? 3 :
		 fabs(s->mean) < 1000 ? 2 : 0, s->mean);
	printf(" %12s", text);
	if (s->nr < 2)
		snprintf(text, sizeof(text), "(1 run)");
	else
		snprintf(text, sizeof(text), "(%.*f)",
			 fabs(s->deviation) < 10 ? 3 :
			 fabs(s->deviation) < 1000 ? 2 : 0, s->deviation);
	printf(" %12s", text);
}

static void print_comparison(const struct comparison *c)
{
	const char *verdict = c->verdict > 0 ? " better" : c->regression ?
			      " WORSE" : c->verdict ? " worse" : "";
	char text[64];

	snprintf(text, sizeof(text), "%s [%s]", c->name, c->unit);
	printf("  %-38s", text);
	print_samples(&c->a);
	print_samples(&c->b);
	if (!c->a.nr || !c->b.nr)
		printf(" %10s", "-");
	else if (!isfinite(c->difference))
		printf(" %10s", "new");
	else
		printf(" %+9.2f%%", c->difference);
	printf("%s%s\n", c->significant ? "*" : c->p < 0 && c->a.nr && c->b.nr ?
	       "?" : " ", verdict);
}

static void print_table(const struct compare *cmp)
{
	const char *scenario = "";
	struct comparison *c;
	size_t tested = 0;

	for (c = cmp->first; c; c = c->next) {
		if (strcmp(scenario, c->scenario)) {
			scenario = c->scenario;
			printf("\n%-40s %12s %12s %12s %12s %10s\n", scenario,
			       "A: mean", "(deviation)", "B: mean",
			       "(deviation)", "B - A");
		}
		if (c->p >= 0)
			tested++;
		print_comparison(c);
	}
	printf("\n* significant: Welch's t-test, two-sided, p < %g; figures without any\n"
	       "  deviation in both sets are compared exactly. Of %zu tested figures\n"
	       "  about %.1f would be marked by chance alone.\n"
	       "? not tested: it takes two runs or more on each side.\n",
	       cmp->alpha, tested, tested * cmp->alpha);
}

static void json_samples(struct json *to, const char *key,
			 const struct samples *s)
{
	struct json *out = json_add(to, key, json_object());

	json_add_number(out, "runs", s->nr);
	json_add_number(out, "mean", s->mean);
	json_add_number(out, "deviation", s->deviation);
}

static void print_json(const struct compare *cmp)
{
	struct json *out = json_array(), *one;
	struct comparison *c;

	for (c = cmp->first; c; c = c->next) {
		one = json_add(out, NULL, json_object());
		json_add_string(one, "scenario", c->scenario);
		json_add_string(one, "name", c->name);
		json_add_string(one, "unit", c->unit);
		json_add_string(one, "better", better_name(c->better));
		json_samples(one, "a", &c->a);
		json_samples(one, "b", &c->b);
		json_add_number(one, "difference_percent", c->difference);
		json_add_number(one, "p", c->p);
		json_add_bool(one, "significant", c->significant);
		json_add_bool(one, "regression", c->regression);
	}
	json_print(stdout, out, 0);
	putchar('\n');
}

static void usage(void)
{
	fputs("usage: gmem-bench compare [OPTION...] A B\n"
	      "A and B are result sets: directories, or files of single runs. Where each\n"
	      "holds one variant only (stock, feature, ...) it is the variants that are\n"
	      "compared, else what they have in common.\n"
	      "  --threshold=PERCENT  what a regression must exceed (5)\n"
	      "  --alpha=P            what is significant (0.05)\n"
	      "  --missing-ok         B may lack figures that A has\n"
	      "  --force              compare runs with other guests, or other machines\n"
	      "  --json               as JSON\n"
	      "Exit status: 0; 1 where a figure of B is significantly worse than that of\n"
	      "A by more than the threshold, or runs failed, or figures are missing;\n"
	      "2 where the sets cannot be compared. Differences of less than 16 pages, 2\n"
	      "blocks, 0.02 s or 0.05 exits for each page are none.\n", usage_out());
	usage_exit();
}

static void load(struct result_set *set, const char *path)
{
	if (result_set_load(set, path))
		return;
	fprintf(stderr, "gmem-bench compare: %s\n", set->error);
	exit(2);
}

static double parse_number(const char *text)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end || !(number >= 0))
		usage();
	return number;
}

int cmd_compare(int argc, char **argv)
{
	struct compare cmp = { .alpha = 0.05, .threshold = 5 };
	bool missing_ok = false, json = false;
	const char *paths[2], *value;
	struct result_set a, b;
	int i, nr_paths = 0;

	for (i = 1; i < argc; i++) {
		if (option(argv[i], "threshold", &value))
			cmp.threshold = parse_number(value);
		else if (option(argv[i], "alpha", &value))
			cmp.alpha = parse_number(value);
		else if (option(argv[i], "missing-ok", NULL))
			missing_ok = true;
		else if (option(argv[i], "force", NULL))
			cmp.force = true;
		else if (option(argv[i], "json", NULL))
			json = true;
		else if (*argv[i] != '-' && nr_paths < 2)
			paths[nr_paths++] = argv[i];
		else
			usage();
	}
	if (nr_paths != 2)
		usage();

	load(&a, paths[0]);
	load(&b, paths[1]);
	if (!compare_sets(&cmp, &a, &b)) {
		fprintf(stderr, "gmem-bench compare: %s\n", cmp.error);
		return 2;
	}
	/* Runs that failed are said to have, as they may be all. */
	if (!compare_has_common(&cmp) && !cmp.nr_failed) {
		fprintf(stderr, "gmem-bench compare: %s has no figure that %s has\n",
			paths[1], paths[0]);
		return 2;
	}
	if (json) {
		print_json(&cmp);
	} else {
		print_sets(&a, &b);
		print_table(&cmp);
	}
	if (cmp.nr_failed)
		fprintf(stderr, "FAIL: %zu runs failed and are not counted\n",
			cmp.nr_failed);
	if (cmp.nr_missing && !missing_ok)
		fprintf(stderr, "FAIL: %zu figures of A are missing in B\n",
			cmp.nr_missing);
	if (cmp.nr_regressions)
		fprintf(stderr, "FAIL: %zu figures are worse by more than %g %%\n",
			cmp.nr_regressions, cmp.threshold);
	return cmp.nr_failed || (cmp.nr_missing && !missing_ok) ||
	       cmp.nr_regressions;
}
