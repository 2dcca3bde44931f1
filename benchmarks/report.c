// SPDX-License-Identifier: GPL-2.0
/*
 * gmem-bench report: the results of several kernels beside each other, and
 * whether they are what the feature promises.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.h"
#include "buddy.h"
#include "json.h"
#include "map.h"

/* The feature's promise about free memory in blocks of order 9 or more. */
#define MIN_SHARE	95.0	/* percent */
#define MAX_BELOW	1.0	/* points below ordinary memory */

enum { STOCK, FEATURE, CONTROL, NR_COLUMNS };

static const char *const column_names[NR_COLUMNS] = {
	"stock", "feature", "control",
};

/*
 * A kind of run: one result for each boot. Every phase is taken from the boot
 * where it came first, because there it met the memory as it was scattered.
 */
#define MAX_BOOTS	4

struct column {
	struct json *boots[MAX_BOOTS];
	int nr_boots;
};

static const char *const phases[] = {
	"scattered", "kcompactd", "compact_memory",
};

static const char *const phase_labels[] = {
	"scattered", "kcompactd alone", "compact_memory",
};

struct report {
	struct column columns[NR_COLUMNS];
	struct json *latency;
	struct json *requirements;
	bool color;
	bool failed;
};

/* The result line out of everything else that a boot wrote to its port. */
static struct json *load_result(const char *path)
{
	char *text = read_text(path), *line, *save = NULL;
	struct json *result = NULL;

	if (!text)
		die("%s: cannot be read: the boot left no result", path);
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, "gmem-bench {", 12))
			result = json_parse(line + 11);
	free(text);
	if (!result)
		die("%s: no result in it: the boot did not get that far",
		    path);
	return result;
}

static void load_column(struct column *column, const char *list)
{
	char *copy = xstrdup(list), *path, *save = NULL;

	for (path = strtok_r(copy, ",", &save); path;
	     path = strtok_r(NULL, ",", &save)) {
		if (column->nr_boots == MAX_BOOTS)
			die("too many results for one column");
		column->boots[column->nr_boots++] = load_result(path);
	}
	free(copy);
}

/* Stage @name of @boot; @first where it came right after the scattering. */
static struct json *find_stage(struct json *boot, const char *name,
			       bool *first)
{
	struct json *stages = json_get(boot, "stages"), *stage;
	int position = 0;

	for (stage = stages ? stages->child : NULL; stage;
	     stage = stage->next, position++) {
		const char *this = json_get_string(stage, "name");

		if (!this || strcmp(this, name))
			continue;
		/* idle, scattered, then the first phase. */
		*first = position <= 2;
		return stage;
	}
	return NULL;
}

static struct json *column_stage(struct column *column, const char *name,
				 struct json **boot)
{
	struct json *found = NULL, *stage;
	bool first;
	int i;

	for (i = 0; i < column->nr_boots; i++) {
		stage = find_stage(column->boots[i], name, &first);
		if (!stage || (found && !first))
			continue;
		found = stage;
		if (boot)
			*boot = column->boots[i];
		if (first)
			break;
	}
	return found;
}

static double stage_figure(struct column *column, const char *stage,
			   const char *figure)
{
	return json_get_number(json_get(column_stage(column, stage, NULL),
					"buddy"), figure, -1);
}

/* A figure of the whole boot, added up over all boots of a column. */
static double column_sum(struct column *column, const char *figure)
{
	double sum = 0;
	int i;

	for (i = 0; i < column->nr_boots; i++)
		sum += json_get_number(column->boots[i], figure, 0);
	return sum;
}

static void row_label(const char *label, const char *sub)
{
	printf("  %-32s%-18s", label, sub);
}

__attribute__((format(printf, 1, 2)))
static void cell(const char *fmt, ...)
{
	char text[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("%16s", text);
}

static void cell_or_none(double value, const char *fmt, const char *unit)
{
	char text[64];

	/* No figure is negative: such a value says that there is none. */
	if (value < 0) {
		cell("-");
		return;
	}
	/* Formats are the literals of this file, see the callers. */
	if (!strcmp(fmt, "1"))
		snprintf(text, sizeof(text), "%.1f%s", value, unit);
	else if (!strcmp(fmt, "3"))
		snprintf(text, sizeof(text), "%.3f%s", value, unit);
	else
		snprintf(text, sizeof(text), "%.0f%s", value, unit);
	cell("%s", text);
}

/* One line for each phase. */
static void print_figure(struct report *r, const char *label,
			 const char *figure, double scale, const char *fmt,
			 const char *unit)
{
	size_t p;
	int c;

	for (p = 0; p < ARRAY_SIZE(phases); p++) {
		row_label(p ? "" : label, phase_labels[p]);
		for (c = 0; c < NR_COLUMNS; c++) {
			double v = stage_figure(&r->columns[c], phases[p],
						figure);

			cell_or_none(v < 0 ? v : v * scale, fmt, unit);
		}
		putchar('\n');
	}
}

static void print_sum(struct report *r, const char *label, const char *sub,
		      const char *figure)
{
	int c;

	row_label(label, sub);
	for (c = 0; c < NR_COLUMNS; c++)
		cell("%.0f", column_sum(&r->columns[c], figure));
	putchar('\n');
}

/* Every backend that any of the kernels has named. */
static void print_backends(struct report *r)
{
	struct json *seen = json_object(), *backend, *name;
	int c, i;

	for (c = 0; c < NR_COLUMNS; c++) {
		for (i = 0; i < r->columns[c].nr_boots; i++) {
			backend = json_get(r->columns[c].boots[i], "backends");
			for (backend = backend ? backend->child : NULL;
			     backend; backend = backend->next)
				if (!json_get(seen, backend->key))
					json_add_bool(seen, backend->key, true);
		}
	}

	for (name = seen->child; name; name = name->next) {
		row_label(name == seen->child ? "private pages moved/failed" :
			  "", name->key);
		for (c = 0; c < NR_COLUMNS; c++) {
			double moved = 0, failed = 0;

			for (i = 0; i < r->columns[c].nr_boots; i++) {
				backend = json_get(
					json_get(r->columns[c].boots[i],
						 "backends"), name->key);
				moved += json_get_number(backend, "moved", 0);
				failed += json_get_number(backend, "failed", 0);
			}
			cell("%.0f / %.0f", moved, failed);
		}
		putchar('\n');
	}
	if (!seen->child) {
		row_label("private pages moved/failed", "");
		for (c = 0; c < NR_COLUMNS; c++)
			cell("none");
		putchar('\n');
	}
}

static void print_huge_pages(struct report *r)
{
	int c;

	row_label("huge pages allocated then", "of free - 32 MiB");
	for (c = 0; c < NR_COLUMNS; c++) {
		struct json *boot = NULL;

		column_stage(&r->columns[c], phases[2], &boot);
		cell("%.0f / %.0f", json_get_number(boot, "huge_pages", 0),
		     json_get_number(boot, "huge_pages_ideal", 0));
	}
	putchar('\n');
}

static void print_seconds(struct report *r)
{
	size_t p;
	int c;

	for (p = 1; p < ARRAY_SIZE(phases); p++) {
		row_label(p == 1 ? "time taken" : "", phase_labels[p]);
		for (c = 0; c < NR_COLUMNS; c++)
			cell_or_none(json_get_number(
				column_stage(&r->columns[c], phases[p], NULL),
				"seconds", -1), "1", " s");
		putchar('\n');
	}
}

static void print_latency(struct report *r)
{
	static const struct {
		const char *key, *name;
	} figures[] = {
		{ "p50_ns", "p50" }, { "p99_ns", "p99" }, { "max_ns", "max" },
	};
	struct json *durations = json_get(r->latency, "durations");
	size_t i;

	if (!durations)
		return;
	for (i = 0; i < ARRAY_SIZE(figures); i++) {
		row_label(i ? "" : "one move, instruction clock",
			  figures[i].name);
		cell("-");
		cell_or_none(json_get_number(durations, figures[i].key, -1) /
			     1000, "1", " us");
		cell("-");
		putchar('\n');
	}
}

static void print_table(struct report *r)
{
	struct json *boot;
	int c;

	putchar('\n');
	row_label("", "");
	for (c = 0; c < NR_COLUMNS; c++)
		cell("%s", column_names[c]);
	putchar('\n');
	row_label("", "");
	for (c = 0; c < NR_COLUMNS; c++)
		cell("%s", "-------");
	putchar('\n');

	row_label("guests' memory that stays", "");
	for (c = 0; c < NR_COLUMNS; c++) {
		boot = r->columns[c].boots[0];
		cell("%.0f MiB", json_get_number(boot, "vms_per_group", 0) *
		     json_get_number(boot, "pages_per_vm", 0) / 256);
	}
	putchar('\n');

	print_figure(r, "free memory", "free_pages", 1 / 256.0, "1", " MiB");
	print_figure(r, "of it in order >= 9", "share_order9", 1, "1", " %");
	print_figure(r, "of it in order 10", "share_order10", 1, "1", " %");
	print_figure(r, "unusable_index, order 9", "unusable_order9", 1, "3",
		     "");
	print_huge_pages(r);
	print_backends(r);
	print_seconds(r);
	print_sum(r, "verified while it happened", "pages checked", "checked");
	print_sum(r, "", "mismatches", "mismatches");
	print_latency(r);

	puts("\n  stock, feature: protected VMs; control: ordinary anonymous memory of the\n"
	     "  same shape on the stock kernel, the best that compaction can do.");
}

static void print_maps(struct report *r)
{
	struct winsize size;
	bool stacked;
	int c;

	stacked = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col &&
		  size.ws_col < 2 * MAP_COLUMNS + 5;

	for (c = 0; c < NR_COLUMNS; c++) {
		struct column *column = &r->columns[c];
		char left[64], right[64];

		snprintf(left, sizeof(left), "%s, scattered: %.1f %%",
			 column_names[c],
			 stage_figure(column, phases[0], "share_order9"));
		snprintf(right, sizeof(right), "%s, compacted: %.1f %%",
			 column_names[c],
			 stage_figure(column, phases[2], "share_order9"));
		putchar('\n');
		map_print(stdout,
			  json_get(column_stage(column, phases[0], NULL),
				   "census"),
			  json_get(column_stage(column, phases[2], NULL),
				   "census"),
			  left, right, r->color, stacked);
	}
	putchar('\n');
	map_print_legend(stdout, r->color);
}

/* A gnuplot script that draws the maps to @base.png and @base.svg. */
static void write_plot(struct report *r, const char *path, const char *base)
{
	static const int shown[] = { 0, 2 };
	FILE *out = open_output(path);
	size_t p;
	int c, t;

	fputs("# SPDX-License-Identifier: GPL-2.0\n", out);
	for (c = 0; c < NR_COLUMNS; c++) {
		for (p = 0; p < ARRAY_SIZE(shown); p++) {
			char name[32];

			snprintf(name, sizeof(name), "map%d%zu", c, p);
			map_plot_data(out, name, json_get(
				column_stage(&r->columns[c], phases[shown[p]],
					     NULL), "census"));
		}
	}

	for (t = 0; t < 2; t++) {
		fprintf(out, "set terminal %s font 'sans,%d'\n",
			t ? "svg size 1300,1000 background 'white'" :
			"pngcairo size 1300,1000", t ? 15 : 12);
		fprintf(out, "set output '%s.%s'\n", base, t ? "svg" : "png");
		fputs("set multiplot layout 3,2 margins 0.02,0.98,0.09,0.95 "
		      "spacing 0.02,0.055\n"
		      "unset key\nunset xtics\nunset ytics\nunset label\n"
		      "unset object\nset border lc rgb '#cccccc'\n", out);
		fprintf(out, "set xrange [-1:%d]\nset yrange [%zu:-1]\n",
			MAP_COLUMNS, map_rows(json_get(
				column_stage(&r->columns[STOCK], phases[0],
					     NULL), "census")));
		for (c = 0; c < NR_COLUMNS; c++) {
			for (p = 0; p < ARRAY_SIZE(shown); p++) {
				struct column *column = &r->columns[c];

				fprintf(out, "set title '%s, %s: %.1f %% of the free memory in blocks of 2 MiB or more' offset 0,-0.6\n",
					column_names[c],
					p ? "compacted" : "scattered",
					stage_figure(column, phases[shown[p]],
						     "share_order9"));
				/* The legend belongs to the last picture. */
				if (c == NR_COLUMNS - 1 && p == 1)
					fputs("set label 1 'one square: 2 MiB' at screen 0.03,0.04\n"
					      "set object 1 rect from screen 0.20,0.03 to screen 0.22,0.05 fc rgb '#dcefdc' fs solid noborder\n"
					      "set label 2 'free' at screen 0.225,0.04\n"
					      "set object 2 rect from screen 0.31,0.03 to screen 0.33,0.05 fc rgb '#c62828' fs solid noborder\n"
					      "set label 3 'private memory of protected VMs' at screen 0.335,0.04\n"
					      "set object 3 rect from screen 0.60,0.03 to screen 0.62,0.05 fc rgb '#1565c0' fs solid noborder\n"
					      "set label 4 'movable' at screen 0.625,0.04\n"
					      "set object 4 rect from screen 0.71,0.03 to screen 0.73,0.05 fc rgb '#5f6368' fs solid noborder\n"
					      "set label 5 'kernel and the like' at screen 0.735,0.04\n",
					      out);
				fprintf(out, "plot $map%d%zu using 1:2:(0.45):(0.45):3 with boxxyerror fs solid noborder lc rgb variable\n",
					c, p);
			}
		}
		fputs("unset multiplot\nunset output\n", out);
	}
	close_output(out, path);
}

__attribute__((format(printf, 3, 4)))
static void require(struct report *r, bool pass, const char *fmt, ...)
{
	struct json *one = json_add(r->requirements, NULL, json_object());
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	json_add_string(one, "requirement", text);
	json_add_bool(one, "pass", pass);
	if (!pass)
		r->failed = true;
	if (r->color)
		printf("  \033[1;%dm%s\033[0m  %s\n", pass ? 32 : 31,
		       pass ? "PASS" : "FAIL", text);
	else
		printf("  %s  %s\n", pass ? "PASS" : "FAIL", text);
}

/* Guests that died, and those that did not check every page while it lasted. */
static void count_bad_guests(struct column *column, int *dead, int *idle)
{
	struct json *guests, *g;
	int i;

	for (i = 0; i < column->nr_boots; i++) {
		guests = json_get(column->boots[i], "guests");
		for (g = guests ? guests->child : NULL; g; g = g->next) {
			if (json_get_number(g, "dead", 1))
				++*dead;
			else if (json_get_number(g, "checked", 0) <
				 json_get_number(g, "pages", 0))
				++*idle;
		}
	}
}

static double backend_moves(struct json *boot)
{
	struct json *b = json_get(boot, "backends");
	double moved = 0;

	for (b = b ? b->child : NULL; b; b = b->next)
		moved += json_get_number(b, "moved", 0);
	return moved;
}

static void check_requirements(struct report *r)
{
	struct column *feature = &r->columns[FEATURE];
	double wrong = 0, moved = 0, share, control;
	int dead = 0, idle = 0, c, i;
	size_t p;

	puts("\n  Verdict");
	for (c = 0; c < NR_COLUMNS; c++) {
		wrong += column_sum(&r->columns[c], "mismatches");
		count_bad_guests(&r->columns[c], &dead, &idle);
	}
	require(r, !dead && !idle,
		"every guest that stayed is alive and has checked all its pages (dead: %d)",
		dead);
	require(r, !wrong, "no page was read back wrong (mismatches: %.0f)",
		wrong);

	for (i = 0; i < feature->nr_boots; i++)
		moved += backend_moves(feature->boots[i]);
	require(r, moved > 0,
		"private pages of running protected VMs were moved (%.0f)",
		moved);

	for (p = 1; p < ARRAY_SIZE(phases); p++) {
		share = stage_figure(feature, phases[p], "share_order9");
		control = stage_figure(&r->columns[CONTROL], phases[p],
				       "share_order9");
		require(r, share >= MIN_SHARE,
			"%s: %.1f %% of free memory in order >= 9 (at least %.0f %%)",
			phase_labels[p], share, MIN_SHARE);
		require(r, share >= control - MAX_BELOW,
			"%s: %.1f points from the control's %.1f %% (at most %.0f below)",
			phase_labels[p], share - control, control, MAX_BELOW);
	}
	if (r->latency)
		require(r, json_get_number(json_get(r->latency, "durations"),
					   "moves", 0) > 0 &&
			!json_get_number(r->latency, "failed", 1),
			"moves timed on the instruction clock (%.0f)",
			json_get_number(json_get(r->latency, "durations"),
					"moves", 0));
}

static struct json *summary(struct report *r)
{
	static const char *const figures[] = {
		"free_pages", "share_order9", "share_order10",
		"unusable_order9",
	};
	struct json *out = json_object(), *column, *stage;
	size_t p, i;
	int c;

	for (c = 0; c < NR_COLUMNS; c++) {
		column = json_add(out, column_names[c], json_object());
		for (p = 0; p < ARRAY_SIZE(phases); p++) {
			stage = json_add(column, phases[p], json_object());
			for (i = 0; i < ARRAY_SIZE(figures); i++)
				json_add_number(stage, figures[i],
						stage_figure(&r->columns[c],
							     phases[p],
							     figures[i]));
		}
	}
	return out;
}

static void write_result(struct report *r, const char *path)
{
	struct json *out = json_object();
	FILE *file = open_output(path);
	int c, i;

	json_add_string(out, "verdict", r->failed ? "FAIL" : "PASS");
	json_add(out, "requirements", r->requirements);
	json_add(out, "summary", summary(r));
	if (r->latency)
		json_add(out, "latency", r->latency);
	for (c = 0; c < NR_COLUMNS; c++) {
		struct json *boots = json_add(out, column_names[c],
					      json_array());

		for (i = 0; i < r->columns[c].nr_boots; i++)
			json_add(boots, NULL, r->columns[c].boots[i]);
	}
	json_print(file, out, 0);
	fputc('\n', file);
	close_output(file, path);
}

static void usage(void)
{
	fputs("usage: gmem-bench report --stock=FILE[,FILE] --feature=... --control=...\n"
	      "  --latency=FILE   result of a boot on the instruction clock\n"
	      "  --result=FILE    write all figures there, as JSON\n"
	      "  --plot=BASE      write BASE.gp, for gnuplot to draw BASE.png and BASE.svg\n"
	      "  --color=WHEN     always, never, or auto: on a terminal\n",
	      usage_out());
	usage_exit();
}

int cmd_report(int argc, char **argv)
{
	struct report report = { .color = isatty(STDOUT_FILENO) }, *r = &report;
	const char *value, *result = NULL, *plot = NULL;
	char path[512];
	int i, c;

	r->requirements = json_array();
	for (i = 1; i < argc; i++) {
		for (c = 0; c < NR_COLUMNS; c++)
			if (option(argv[i], column_names[c], &value))
				break;
		if (c < NR_COLUMNS)
			load_column(&r->columns[c], value);
		else if (option(argv[i], "latency", &value))
			r->latency = load_result(value);
		else if (option(argv[i], "result", &value))
			result = value;
		else if (option(argv[i], "plot", &value))
			plot = value;
		else if (option(argv[i], "color", &value))
			r->color = !strcmp(value, "always") ||
				   (!strcmp(value, "auto") && r->color);
		else
			usage();
	}
	for (c = 0; c < NR_COLUMNS; c++)
		if (!r->columns[c].nr_boots)
			usage();

	print_maps(r);
	print_table(r);
	check_requirements(r);
	if (plot) {
		snprintf(path, sizeof(path), "%s.gp", plot);
		write_plot(r, path, plot);
	}
	if (result)
		write_result(r, result);
	return r->failed;
}
