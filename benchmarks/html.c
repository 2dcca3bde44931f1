// SPDX-License-Identifier: GPL-2.0
/*
 * A result set as one page that needs nothing else. The plots are SVG, drawn
 * by gnuplot and put into the page.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "map.h"
#include "table.h"

struct page {
	FILE *out;
	const struct result_set *set;
	char dir[64];		/* for gnuplot's output */
	int nr_plots;
};

static void put_text(FILE *out, const char *text)
{
	for (; text && *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*text, out);
		}
	}
}

/* Begin a plot: a pipe to gnuplot, with the terminal set up. */
static FILE *plot_begin(struct page *page, int height)
{
	FILE *gp = popen("gnuplot", "w");

	if (!gp)
		die("cannot start gnuplot: %m");
	fprintf(gp, "set terminal svg size 760,%d dynamic font 'sans,16' background 'white'\n"
		"set output '%s/%d.svg'\n", height, page->dir, page->nr_plots);
	return gp;
}

static void put_base64(FILE *out, const char *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i;

	for (i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t bits = (unsigned char)data[i] << 16;

		if (left > 1)
			bits |= (unsigned char)data[i + 1] << 8;
		if (left > 2)
			bits |= (unsigned char)data[i + 2];
		fputc(digits[bits >> 18], out);
		fputc(digits[(bits >> 12) & 63], out);
		fputc(left > 1 ? digits[(bits >> 6) & 63] : '=', out);
		fputc(left > 2 ? digits[bits & 63] : '=', out);
	}
}

/* Draw it, and put it into the page. */
static void plot_end(struct page *page, FILE *gp, const char *caption)
{
	char path[128], *svg, *start;
	bool failed;

	fputs("unset output\n", gp);
	fflush(gp);
	failed = ferror(gp);
	if (pclose(gp) || failed)
		die("gnuplot failed (is it installed?)");
	snprintf(path, sizeof(path), "%s/%d.svg", page->dir, page->nr_plots++);
	svg = read_text(path);
	start = svg ? strstr(svg, "<svg") : NULL;
	if (!start || !strstr(start, "</svg>"))
		die("gnuplot has drawn nothing, or there is no room in /tmp");
	unlink(path);
	/* Each drawing numbers its parts from one: they share a page here. */
	fprintf(page->out, "<figure><img alt=\"");
	put_text(page->out, caption);
	fputs("\" src=\"data:image/svg+xml;base64,", page->out);
	put_base64(page->out, start, strlen(start));
	fputs("\"><figcaption>", page->out);
	put_text(page->out, caption);
	fputs("</figcaption></figure>\n", page->out);
	free(svg);
}

static size_t nr_members(const struct json *list)
{
	const struct json *member;
	size_t nr = 0;

	for (member = list ? list->child : NULL; member; member = member->next)
		nr++;
	return nr;
}

/* That the memory fills is no news where nobody looks at it afterwards. */
static bool worth_drawing(const struct json *run)
{
	const struct json *readings = json_get(run, "readings"), *reading;
	int nr = 0;

	for (reading = readings ? readings->child : NULL; reading;
	     reading = reading->next)
		nr += !!strncmp(json_get_string(reading, "name"), "filled", 6);
	return nr > 1;
}

static const char *const colors[] = {
	"#c62828", "#1565c0", "#2e7d32", "#ef6c00", "#6a1b9a", "#00838f",
	"#5f6368", "#ad1457", "#9e9d24", "#4e342e", "#0277bd", "#ff8a80",
};

/* All figures that are called success, as bars. */
static void put_success(struct page *page, const struct table *t)
{
	int i, v, n = 0, nr = t->variants.nr;
	FILE *gp = NULL, *labels;
	size_t size;
	char *text;

	labels = open_memstream(&text, &size);
	if (!labels)
		die("out of memory");
	for (i = 0; i < t->figures.nr; i++) {
		const char *name = t->figures.name[i];
		const char *end = strstr(name, ".success");

		if (!end)
			continue;
		if (!gp) {
			gp = plot_begin(page, 320);
			fputs("$s << EOD\n", gp);
		}
		fprintf(gp, "\"%.*s\"", (int)(end - name), name);
		for (v = 0; v < nr; v++) {
			const struct samples *s = table_samples(t, v, name);

			if (s) {
				fprintf(gp, " %g", s->mean);
				continue;
			}
			/* In the place of the bar. */
			fputs(" ?", gp);
			fprintf(labels, "set label '%s' at %g,2 rotate by 90 font ',11' tc rgb '#5f6368'\n",
				table_runs(t, v) ? "no figure" : "no run",
				n + (v - (nr - 1) / 2.0) / (nr + 1));
		}
		fputc('\n', gp);
		n++;
	}
	fclose(labels);
	if (!n) {
		free(text);
		return;
	}
	fprintf(gp, "EOD\n%sset datafile missing '?'\n", text);
	free(text);
	fprintf(gp, "set style data histograms\nset style histogram gap 1\n"
		"set style fill solid\nset yrange [0:100]\nset xrange [-0.7:%d-0.3]\n"
		"set ylabel 'percent'\nset border 3\nset tics nomirror\n"
		"set grid ytics lc rgb '#dddddd'\n"
		"set key outside top center horizontal\n"
		"set xtics noenhanced%s\nplot ", n,
		n > 5 ? " rotate by -40 font ',11'" : "");
	for (v = 0; v < t->variants.nr; v++)
		fprintf(gp, "%s$s using %d:xtic(1) lc rgb '%s' title '%s'",
			v ? ", " : "", v + 2, colors[v % ARRAY_SIZE(colors)],
			t->variants.name[v]);
	fputc('\n', gp);
	plot_end(page, gp, "How much of what was asked for was got");
}

/* Free memory in large blocks, over the time of the run. */
static void put_curves(struct page *page, const struct table *t)
{
	struct json *run, *reading, *first = NULL;
	int i, drawn = 0;
	FILE *gp;

	for (i = 0; i < t->variants.nr; i++) {
		run = table_run(t, i);
		if (worth_drawing(run))
			first = run;
	}
	if (!first)
		return;

	gp = plot_begin(page, 420);
	fputs("set key outside top center horizontal\n"
	      "set ylabel 'percent of free memory'\n"
	      "set yrange [0:103]\nset grid ytics lc rgb '#dddddd'\n"
	      "set xtics noenhanced rotate by -40 font ',11' nomirror\nset bmargin 5\nset rmargin 7\n"
	      "set border 3\n", gp);
	for (i = 0; i < t->variants.nr; i++) {
		int n = 0;

		run = table_run(t, i);
		if (!run)
			continue;
		fprintf(gp, "$v%d << EOD\n", i);
		for (reading = json_get(run, "readings")->child; reading;
		     reading = reading->next)
			fprintf(gp, "%d \"%s\" %g\n", n++,
				json_get_string(reading, "name"),
				json_get_number(json_get(reading, "buddy"),
						"share_order9", 0));
		fputs("EOD\n", gp);
	}
	fputs("plot ", gp);
	for (i = 0; i < t->variants.nr; i++) {
		if (!table_run(t, i))
			continue;
		fprintf(gp, "%s$v%d using 1:3:xtic(2) with linespoints pt 7 ps 0.6 lw 2 lc rgb '%s' title '%s'",
			drawn++ ? ", " : "", i, colors[i % ARRAY_SIZE(colors)],
			t->variants.name[i]);
	}
	fputc('\n', gp);
	plot_end(page, gp,
		 "Share of the free memory that is in blocks of 2 MiB or more, at each reading (run 1)");
}

/* The free memory by the size of its blocks, over the time of the run. */
static void put_orders(struct page *page, const struct table *t, int variant)
{
	struct json *run = table_run(t, variant);
	struct json *readings = json_get(run, "readings"), *reading, *share;
	int order = 0, nr = 0;
	char caption[256];
	FILE *gp;

	/* Older results have no shares. */
	if (!worth_drawing(run) ||
	    !json_get(json_get(readings->child, "buddy"), "shares"))
		return;
	gp = plot_begin(page, 380);
	fputs("$o << EOD\n", gp);
	for (reading = readings->child; reading; reading = reading->next) {
		fprintf(gp, "\"%s\"", json_get_string(reading, "name"));
		share = json_get(json_get(reading, "buddy"), "shares");
		for (nr = 0, share = share ? share->child : NULL; share;
		     share = share->next, nr++)
			fprintf(gp, " %g", share->number);
		fputc('\n', gp);
	}
	fputs("EOD\nset style data histograms\nset style histogram rowstacked\n"
	      "set style fill solid noborder\nset boxwidth 0.9\nset yrange [0:100]\n"
	      "set ylabel 'percent of free memory'\nset border 3\n"
	      "set key outside right center vertical reverse Left title 'order'\n"
	      "set xtics noenhanced rotate by -40 font ',11' nomirror\n"
	      "set ytics nomirror\nset bmargin 5\n"
	      "set palette defined (0 '#7f0000', 5 '#f6c36b', 8 '#fff3c4', 9 '#9ccc9c', 10 '#1b5e20')\n"
	      "set cbrange [0:10]\nunset colorbox\nplot ", gp);
	for (; order < nr; order++)
		fprintf(gp, "%s$o using %d:xtic(1) lc palette cb %d title '%d'",
			order ? ", " : "", order + 2, order, order);
	fputc('\n', gp);
	snprintf(caption, sizeof(caption),
		 "%s: free memory by the order of its blocks, at each reading (run 1)",
		 t->variants.name[variant]);
	plot_end(page, gp, caption);
}

/* One row of the map: runs of blocks that look alike, as one box each. */
static void map_row(FILE *gp, const struct json *census, size_t row)
{
	const char *letters = json_get_string(census, "letters");
	const char *fill = json_get_string(census, "fill");
	size_t i, start = 0;

	for (i = 1; letters && fill && letters[0]; i++) {
		uint32_t rgb = map_rgb(letters[start], fill[start] - '0');

		if (letters[i] && map_rgb(letters[i], fill[i] - '0') == rgb)
			continue;
		fprintf(gp, "%g %zu %g %u\n", (start + i) / 2.0, row,
			(i - start) / 2.0, rgb);
		start = i;
		if (!letters[i])
			break;
	}
}

static void put_map(struct page *page, const struct table *t, int variant)
{
	struct json *run = table_run(t, variant);
	struct json *readings = json_get(run, "readings"), *reading;
	size_t rows = nr_members(readings), row = 0;
	char caption[256];
	FILE *gp;

	if (!worth_drawing(run))
		return;
	gp = plot_begin(page, 110 + 20 * rows);
	fputs("$map << EOD\n", gp);
	for (reading = readings->child; reading; reading = reading->next)
		map_row(gp, json_get(reading, "census"), row++);
	fputs("EOD\nset ytics (", gp);
	for (reading = readings->child, row = 0; reading;
	     reading = reading->next, row++)
		fprintf(gp, "%s\"%s\" %zu", row ? ", " : "",
			json_get_string(reading, "name"), row);
	fprintf(gp, ") noenhanced font ',12' scale 0\nset yrange [%zu.5:-0.5]\n", rows - 1);
	fprintf(gp, "set xrange [0:%zu]\nset xlabel 'block of 2 MiB'\n",
		strlen(json_get_string(json_get(readings->child, "census"),
				       "letters")));
	fputs("set border 1 lc rgb '#aaaaaa'\nset xtics nomirror\nunset key\n"
	      "plot $map using 1:2:3:(0.45):4 with boxxyerror fs solid noborder lc rgb variable\n",
	      gp);
	snprintf(caption, sizeof(caption),
		 "%s: every block of 2 MiB over time, from the top down (run 1)",
		 t->variants.name[variant]);
	plot_end(page, gp, caption);
}

static double histogram_total(const struct json *histogram)
{
	struct json *buckets = json_get(histogram, "buckets"), *bucket;
	double total = 0;

	for (bucket = buckets ? buckets->child : NULL; bucket;
	     bucket = bucket->next)
		total += bucket->last->number;
	return total;
}

/* Fewer values than that are no distribution. */
#define MIN_VALUES	20

/* 1 2 5 10, as decades alone say little where there are few. */
static void put_log_tics(FILE *gp, double least, double most)
{
	double decade = pow(10, floor(log10(least)));
	bool all = most < least * 2000;

	if (least >= most)
		return;
	fprintf(gp, "set xtics (%g", decade);
	for (; decade < most; decade *= 10) {
		if (all)
			fprintf(gp, ", %g, %g", 2 * decade, 5 * decade);
		fprintf(gp, ", %g", 10 * decade);
	}
	fputs(")\n", gp);
}

/* Share of the values that are larger than each, both axes logarithmic. */
static void put_distributions(struct page *page, const struct table *t)
{
	double least = INFINITY, most = 0, us;
	char plot[8192] = "";
	size_t len = 0;
	int i, n = 0;
	FILE *gp = NULL;

	for (i = 0; i < t->variants.nr; i++) {
		struct json *run = table_run(t, i);
		struct json *h = json_get(run, "histograms"), *b;

		for (h = h ? h->child : NULL; h; h = h->next) {
			double total = histogram_total(h), left = total;

			if (total < MIN_VALUES || len > sizeof(plot) - 300 ||
			    !table_plots(t, json_get_string(h, "name")))
				continue;
			if (!gp)
				gp = plot_begin(page, 460);
			fprintf(gp, "$h%d << EOD\n", n);
			for (b = json_get(h, "buckets")->child; b; b = b->next) {
				us = b->child->number / 1000;
				fprintf(gp, "%g %g\n", us, left / total);
				left -= b->last->number;
				if (!b->next)
					fprintf(gp, "%g %g\n", us, 0.5 / total);
				if (us > 0)
					least = fmin(least, us);
				most = fmax(most, us);
			}
			fputs("EOD\n", gp);
			len += snprintf(plot + len, sizeof(plot) - len,
					"%s$h%d with steps lw 2 lc rgb '%s' dt %d title '%s, %s' noenhanced",
					n ? ", " : "plot ", n,
					colors[n % ARRAY_SIZE(colors)],
					1 + n / (int)ARRAY_SIZE(colors),
					json_get_string(h, "name"),
					t->variants.name[i]);
			n++;
		}
	}
	if (!gp)
		return;
	put_log_tics(gp, least, most);
	fputs("set logscale xy\nset xlabel 'microseconds'\n"
	      "set ylabel 'share that takes longer'\nset format y '10^{%L}'\n"
	      "set grid lc rgb '#dddddd'\nset border 3\nset tics nomirror\n"
	      "set key outside top center horizontal font ',12'\n", gp);
	fprintf(gp, "%s\n", plot);
	plot_end(page, gp,
		 "Distributions: how large a share takes longer than so many microseconds (run 1, both axes logarithmic)");
}

static void put_cell(FILE *out, const struct table *t, int variant,
		     const char *figure)
{
	const struct comparison *c = table_cell(t, variant, figure);
	const struct samples *s = table_samples(t, variant, figure);
	bool base = !variant;

	/* With what a phone shows above it, which has no heads of columns. */
	fputs("<td data-v=\"", out);
	put_text(out, t->variants.name[variant]);
	fprintf(out, " (%zu)\"%s>", table_runs(t, variant),
		base || !c || !c->verdict ? "" : c->verdict > 0 ?
		" class=\"better\"" : " class=\"worse\"");
	if (!s) {
		fputs("&ndash;</td>", out);
		return;
	}
	fputs(short_number(s->mean, c->unit), out);
	if (s->nr > 1) {
		fputs(" <small>&plusmn; ", out);
		fputs(short_number(s->deviation, c->unit), out);
		fputs("</small>", out);
	}
	if (!base && c->a.nr) {
		fputs("<br><small>", out);
		if (table_percent(c))
			fprintf(out, "%+.1f %%", c->difference);
		fputs(c->significant ? " *</small>" : c->p < 0 ? " ?</small>" :
		      "</small>", out);
	}
	fputs("</td>", out);
}

static void put_row(struct page *page, const struct table *t,
		    const char *figure)
{
	const struct comparison *c = NULL;
	int i;

	for (i = 0; i < t->variants.nr && !c; i++)
		c = table_cell(t, i, figure);
	fputs("<tr><th>", page->out);
	put_text(page->out, figure);
	fputs(" <small>", page->out);
	put_text(page->out, table_unit(c));
	fputs("</small></th>", page->out);
	for (i = 0; i < t->variants.nr; i++)
		put_cell(page->out, t, i, figure);
	fputs("</tr>\n", page->out);
}

/* The figures that the scenario wants to be seen first, or all of them. */
static void put_table(struct page *page, const struct table *t, bool all)
{
	int i;

	fputs("<div class=\"wide\"><table><tr><th></th>", page->out);
	for (i = 0; i < t->variants.nr; i++)
		fprintf(page->out, "<th>%s <small>runs: %zu</small></th>",
			t->variants.name[i], table_runs(t, i));
	fputs("</tr>\n", page->out);
	for (i = 0; i < t->figures.nr; i++)
		if (all || table_shows(t, t->figures.name[i]))
			put_row(page, t, t->figures.name[i]);
	fputs("</table></div>\n", page->out);
}

static void put_agreement(struct page *page, const struct table *t)
{
	char text[TABLE_TEXT];
	int v;

	for (v = 0; v < t->variants.nr; v++) {
		if (!table_agreement(t, v, text))
			continue;
		fputs("<p>On this clock, ", page->out);
		put_text(page->out, text);
		fputs(".</p>\n", page->out);
	}
}

static void put_failures(struct page *page, const char *scenario)
{
	struct json *why;
	size_t i;

	for (i = 0; i < page->set->nr_runs; i++) {
		struct json *run = page->set->runs[i];

		if (strcmp(json_get_string(run, "scenario"), scenario) || !result_failed(run))
			continue;
		why = json_get(run, "failed");
		fprintf(page->out, "<p class=\"worse\">%s, run %.0f, failed and does not count: ",
			json_get_string(run, "variant"),
			json_get_number(run, "run", 0));
		put_text(page->out, why && why->child ? why->child->string :
			 "it does not say why");
		fputs("</p>\n", page->out);
	}
}

static void put_scenario(struct page *page, const char *scenario)
{
	struct table table, *t = &table;
	struct json *run, *machine;
	int i;

	table_make(t, page->set, scenario);
	fprintf(page->out, "<h2 id=\"%s\">%s</h2>\n", scenario, scenario);
	put_failures(page, scenario);
	run = table_any_run(t);
	if (!run)
		return;
	fputs("<p>", page->out);
	put_text(page->out, json_get_string(run, "what"));
	machine = json_get(run, "machine");
	fprintf(page->out, ". Clock: %s; CPUs: %.0f; memory: %.0f MiB.</p>\n",
		json_get_string(run, "clock"), json_get_number(machine, "cpus", 0),
		json_get_number(machine, "memory_mib", 0));
	put_table(page, t, false);
	put_agreement(page, t);
	put_success(page, t);
	put_curves(page, t);
	for (i = 0; i < t->variants.nr; i++)
		put_orders(page, t, i);
	for (i = 0; i < t->variants.nr; i++)
		put_map(page, t, i);
	put_distributions(page, t);
	fputs("<details><summary>All figures</summary>\n", page->out);
	put_table(page, t, true);
	fputs("</details>\n", page->out);
}

static void put_head(struct page *page, const struct names *scenarios)
{
	struct json *run = page->set->runs[0];
	const char *qemu = json_get_string(json_get(run, "labels"), "qemu");
	int i;

	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	      "<title>guest_memfd migration: benchmarks</title>\n<style>\n"
	      "body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 0 auto; padding: 0 1em; color: #222; }\n"
	      "figure { margin: 1em 0; overflow-x: auto; }\n"
	      "img { width: 100%; min-width: 28em; height: auto; }\n"
	      "figcaption, small { color: #555; font-size: 85%; }\n"
	      ".wide { overflow-x: auto; } summary { margin: 1em 0; }\n"
	      "table { border-collapse: collapse; font-size: 90%; }\n"
	      "th, td { padding: .2em .7em; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; white-space: nowrap; }\n"
	      "tr th:first-child { text-align: left; font-weight: normal; position: sticky; left: 0; background: #fff; }\n"
	      /* On a phone a figure's name is above its values, and a variant's each value. */
	      "@media (max-width: 40em) { img { min-width: 34em; } tr { display: flex; flex-wrap: wrap; border-bottom: 1px solid #ddd; }\n"
	      "th, td { flex: 1 0 4em; border: 0; padding: .1em .3em; white-space: normal; } tr th:first-child { flex: 1 0 100%; box-sizing: border-box; position: static; }\n"
	      "tr:first-child { display: none; } td::before { content: attr(data-v); display: block; color: #555; font-size: 75%; } }\n"
	      ".better { background: #dcefdc; } .worse { background: #fbdcdc; }\n"
	      ".f { background: #dcefdc; } .p { background: #c62828; } .m { background: #1565c0; } .k { background: #5f6368; }\n"
	      ".key { display: inline-block; width: 1em; height: 1em; vertical-align: -.15em; margin: 0 .3em 0 1em; }\n"
	      "</style></head><body>\n<h1>guest_memfd migration: benchmarks</h1>\n",
	      page->out);
	fputs("<p>Kernel ", page->out);
	put_text(page->out, json_get_string(json_get(run, "kernel"),
					    "release"));
	fputs(" on ", page->out);
	put_text(page->out, json_get_string(json_get(run, "kernel"),
					    "machine"));
	if (qemu) {
		fputs(", QEMU ", page->out);
		put_text(page->out, qemu);
	}
	fputs("; benchmarks ", page->out);
	put_text(page->out, json_get_string(json_get(run, "labels"), "git"));
	fprintf(page->out, "; %zu runs, each from a fresh boot.</p>\n",
		page->set->nr_runs);
	fputs("<p>Emulated machines tell how much memory ends up where, and how many instructions "
	      "something takes. They tell nothing of caches, TLBs and real time: seconds of the wall "
	      "clock are for comparing kernels, not for planning.</p>\n"
	      "<p>* significant: Welch's t-test, two-sided, p &lt; 0.05, against the first column; "
	      "? too few runs to say. Values are means &plusmn; sample deviation. "
	      "Green: better; red: worse.</p>\n"
	      "<p>Maps:<span class=\"key f\"></span>free<span class=\"key p\"></span>guests' private memory"
	      "<span class=\"key m\"></span>movable<span class=\"key k\"></span>kernel and the like; "
	      "the paler, the emptier.</p>\n<ul>\n", page->out);
	for (i = 0; i < scenarios->nr; i++)
		fprintf(page->out, "<li><a href=\"#%s\">%s</a></li>\n",
			scenarios->name[i], scenarios->name[i]);
	fputs("</ul>\n", page->out);
}

void html_write(const char *path, const struct result_set *set)
{
	struct page page = { .set = set, .dir = "/tmp/gmem-bench.XXXXXX" };
	struct names scenarios = { 0 };
	int i;

	page.out = open_output(path);
	if (!mkdtemp(page.dir))
		die("cannot make a directory in /tmp: %m");

	names_scenarios(&scenarios, set);
	put_head(&page, &scenarios);
	for (i = 0; i < scenarios.nr; i++)
		put_scenario(&page, scenarios.name[i]);
	fputs("</body></html>\n", page.out);
	rmdir(page.dir);
	close_output(page.out, path);
}
