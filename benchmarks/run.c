// SPDX-License-Identifier: GPL-2.0
/*
 * gmem-bench run: one variant of a scenario, step by step.
 *
 * A step that cannot do what it is asked to makes the run fail. The remaining
 * steps are done all the same, as far as they can be, for what they show. But
 * a guest that died is the end: its memory was free for everything after it.
 */
#include <ctype.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include "bench.h"
#include "buddy.h"
#include "compact.h"
#include "contig.h"
#include "guest/clock.h"
#include "guest/pattern.h"
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

	/* Since "gaps-start". */
	double gaps_since;
	uint64_t checked;
	long long exits, migrated;
};

static void figure(struct run *r, const char *prefix, const char *name,
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

/* @d is sorted then. */
static void distribution(struct run *r, const char *name, struct durations *d)
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
		    d->nr * (100 - points[i].percent) < 100)
			continue;
		figure(r, name, points[i].name, "ns", BETTER_LOWER,
		       percentile(d->ns, d->nr, points[i].percent));
	}
	figure(r, name, "mean", "ns", BETTER_LOWER, durations_mean(d));
	figure(r, name, "count", "times", BETTER_NONE, d->nr);
	add_histogram(r, name, "ns", d);
}

static struct json *take_reading(struct run *r, const char *name)
{
	double start = now_seconds();
	struct json *reading;

	reading = reader_read(&r->reader, &r->group, name, start - r->start,
			      r->readings);
	r->reading_time += now_seconds() - start;
	return reading;
}

static void on_filled(void *arg, int percent)
{
	char name[32];

	/* No percent sign: gnuplot takes it for a format. */
	snprintf(name, sizeof(name), "filled %d/10", percent / 10);
	take_reading(arg, name);
}

static bool need_guests(struct run *r, const char *what, bool running)
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

static void step_fill(struct run *r, const struct step *step)
{
	struct group *g = &r->group;
	uint64_t need = g->nr * g->pages;
	double start = now_seconds(), looked = r->reading_time;
	struct buddy buddy;

	(void)step;
	if (g->members || !g->nr) {
		result_fail(r->result, "fill: there are guests already, or none to be");
		return;
	}
	/* A tenth more for what the host needs for them. */
	if (!buddy_read(&buddy) || buddy_free_pages(&buddy) < need / 10 * 11) {
		result_fail(r->result, "not enough free memory for %d guests of %llu MiB",
			    g->nr, (unsigned long long)(g->pages / 256));
		return;
	}
	if (group_create(g) || group_fill(g)) {
		result_fail(r->result, "the guests could not be started");
		return;
	}
	figure(r, "fill", "page", "ns", BETTER_LOWER,
	       (now_seconds() - start - (r->reading_time - looked)) * 1e9 /
	       need);
}

static void step_stop(struct run *r, const struct step *step)
{
	const char *which = step->argv[0];
	int i;

	if (!need_guests(r, "stop", false))
		return;
	for (i = 0; i < r->group.nr; i++)
		if (!strcmp(which, "all") ||
		    !strcmp(which, i % 2 ? "odd" : "even") ||
		    (isdigit((unsigned char)*which) && atoi(which) == i))
			group_destroy_member(&r->group.members[i]);
}

static void step_start(struct run *r, const struct step *step)
{
	(void)step;
	if (need_guests(r, "start", false))
		group_start(&r->group);
}

static void step_work(struct run *r, const struct step *step)
{
	double seconds = atof(step->argv[0]);
	double every = step->argc > 1 ? atof(step->argv[1]) : seconds;

	/* As many readings in every run, however long they take. */
	for (; seconds > 0; seconds -= every) {
		sleep_ms(every * 1000);
		if (step->argc > 1)
			take_reading(r, "work");
	}
}

static void step_balloon(struct run *r, const struct step *step)
{
	unsigned int percent = atoi(step->argv[0]);
	uint64_t expected = 0, before, page;
	struct buddy buddy = { 0 };
	int i;

	if (!need_guests(r, "balloon", true))
		return;
	for (i = 0; i < r->group.nr; i++)
		for (page = 0; page < r->group.pages; page++)
			if (r->group.members[i].running)
				expected += pattern_ballooned(i + 1, page,
							      percent);
	drain_pcp();
	buddy_read(&buddy);
	before = buddy_free_pages(&buddy);
	group_balloon(&r->group, percent);
	drain_pcp();
	buddy_read(&buddy);
	figure(r, "balloon", "returned", "%", BETTER_HIGHER, expected ?
	       100.0 * ((double)buddy_free_pages(&buddy) - before) / expected :
	       0);
}

static void reading_figures(struct run *r, const char *name,
			    const struct json *reading)
{
	static const struct {
		const char *of, *key, *name, *unit;
		enum better better;
	} figures[] = {
		{ "buddy", "free_pages", "free", "pages", BETTER_NONE },
		{ "buddy", "share_order9", "order9", "% of free",
		  BETTER_HIGHER },
		{ "buddy", "share_order10", "order10", "% of free",
		  BETTER_HIGHER },
		{ "buddy", "unusable_order9", "unusable9", "index",
		  BETTER_LOWER },
		{ "buddy", "extfrag_order9", "extfrag9", "index",
		  BETTER_NONE },
		{ "census", "free_blocks", "free_blocks", "blocks",
		  BETTER_HIGHER },
		{ "census", "mixed_blocks", "mixed_blocks", "blocks",
		  BETTER_LOWER },
		{ "census", "private_pages", "private", "pages", BETTER_NONE },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(figures); i++)
		figure(r, name, figures[i].name, figures[i].unit,
		       figures[i].better,
		       json_get_number(json_get(reading, figures[i].of),
				       figures[i].key, 0));
}

static void step_read(struct run *r, const struct step *step)
{
	reading_figures(r, step->argv[0], take_reading(r, step->argv[0]));
}

static void compact(struct run *r, const char *name, bool kcompactd)
{
	uint64_t moved = vmstat_value("pgmigrate_success");
	uint64_t failed = vmstat_value("pgmigrate_fail");
	uint64_t scanned = vmstat_value("compact_migrate_scanned") +
			   vmstat_value("compact_free_scanned");
	double start = now_seconds();

	if (kcompactd)
		compact_by_kcompactd();
	else
		compact_by_hand(r->scenario->instructions);
	figure(r, name, "seconds", "s", BETTER_LOWER, now_seconds() - start);
	moved = vmstat_value("pgmigrate_success") - moved;
	failed = vmstat_value("pgmigrate_fail") - failed;
	scanned = vmstat_value("compact_migrate_scanned") +
		  vmstat_value("compact_free_scanned") - scanned;
	figure(r, name, "moved", "pages", BETTER_NONE, moved);
	figure(r, name, "failed", "pages", BETTER_LOWER, failed);
	/* Where nothing moved, all scanning was in vain. */
	figure(r, name, "scanned", "pages", BETTER_NONE, scanned);
	reading_figures(r, name, take_reading(r, name));
}

static void step_compact(struct run *r, const struct step *step)
{
	compact(r, step->argv[0], false);
}

static void step_kcompactd(struct run *r, const struct step *step)
{
	compact(r, step->argv[0], true);
}

static void tries_figures(struct run *r, const char *name,
			  struct contig_tries *tries)
{
	struct durations d = { .ns = tries->ns, .nr = tries->nr };

	if (!tries->nr) {
		result_fail(r->result, "%s: %s", name, tries->error);
		return;
	}
	note("%s: %zu of %zu", name, tries->nr_ok, tries->nr);
	figure(r, name, "success", "%", BETTER_HIGHER,
	       100.0 * tries->nr_ok / tries->nr);
	distribution(r, name, &d);
}

static void step_thp(struct run *r, const struct step *step)
{
	uint64_t stalls = vmstat_value("compact_stall");
	struct contig_tries tries;

	contig_thp(&tries, atoi(step->argv[0]));
	tries_figures(r, "thp", &tries);
	figure(r, "thp", "stalls", "times", BETTER_LOWER,
	       vmstat_value("compact_stall") - stalls);
}

static void step_hugetlb(struct run *r, const struct step *step)
{
	struct contig_pool pool;
	char name[NAME_LEN];
	uint64_t size;

	snprintf(name, sizeof(name), "hugetlb_%s", step->argv[0]);
	if (!parse_size(step->argv[0], &size) ||
	    !contig_pool_grow(&pool, size, atoi(step->argv[1]))) {
		result_fail(r->result, "there are no huge pages of %s",
			    step->argv[0]);
		return;
	}
	if (!pool.wanted) {
		result_fail(r->result, "not enough free memory for a page of %s",
			    step->argv[0]);
		return;
	}
	note("%s: %llu of %llu", name, (unsigned long long)pool.got,
	     (unsigned long long)pool.wanted);
	figure(r, name, "success", "%", BETTER_HIGHER,
	       100.0 * pool.got / pool.wanted);
	figure(r, name, "seconds", "s", BETTER_LOWER, pool.seconds);
}

static void step_cma(struct run *r, const struct step *step)
{
	uint64_t moved = vmstat_value("pgmigrate_success");
	struct contig_tries tries;
	char name[NAME_LEN];
	uint64_t size;
	int i;

	for (i = 0; i < step->argc; i++) {
		snprintf(name, sizeof(name), "cma_%s", step->argv[i]);
		if (!parse_size(step->argv[i], &size)) {
			result_fail(r->result, "not a size: %s", step->argv[i]);
			continue;
		}
		contig_cma(&tries, size);
		tries_figures(r, name, &tries);
	}
	figure(r, "cma", "moved", "pages", BETTER_NONE,
	       vmstat_value("pgmigrate_success") - moved);
}

static void step_offline(struct run *r, const struct step *step)
{
	uint64_t moved = vmstat_value("pgmigrate_success");
	struct contig_tries tries;

	(void)step;
	contig_offline(&tries);
	tries_figures(r, "offline", &tries);
	figure(r, "offline", "moved", "pages", BETTER_NONE,
	       vmstat_value("pgmigrate_success") - moved);
}

/*
 * Pages of @size in all, in the pattern that two groups of guests of which one
 * has exited leave: a coin decides who of each pair of pages stays.
 */
static void *scatter_pages(bool shared, uint64_t size)
{
	static uint64_t x = 0x2545f4914f6cdd1dULL;
	uint64_t page, nr = 2 * size / 4096;
	char *mem;

	mem = mmap(NULL, nr * 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS |
		   (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
	if (mem == MAP_FAILED)
		return NULL;
	madvise(mem, nr * 4096, MADV_NOHUGEPAGE);
	for (page = 0; page < nr; page++)
		pattern_write((uint64_t *)(mem + page * 4096),
			      pattern_first(1, page, 0));
	for (page = 0; page < nr; page += 2) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (madvise(mem + (page + (x >> 63)) * 4096, 4096,
			    shared ? MADV_REMOVE : MADV_DONTNEED))
			return NULL;
	}
	return mem;
}

/* Pages of scatter_pages() that are not as they were written, or are gone. */
static uint64_t wrong_pages(const char *mem, uint64_t nr)
{
	uint64_t page, right = 0;

	for (page = 0; page < nr; page++) {
		uint64_t *p = (uint64_t *)(mem + page * 4096);
		uint64_t word = pattern_first(1, page, 0);

		if (page_present(p) && !pattern_check(p, word, word))
			right++;
	}
	return nr / 2 - right;
}

static void moves_figures(struct run *r, const char *kind)
{
	const struct mode *mode = r->group.mode;
	bool guests = !strcmp(kind, "guests");
	struct durations pages, folios;
	char name[NAME_LEN];

	if (!trace_moves(&pages, &folios))
		result_fail(r->result, "%s: events of moves were lost", kind);
	snprintf(name, sizeof(name), "move_%s", kind);
	note("%s: %zu batches and %zu folios of guest_memfd timed", name,
	     pages.nr, folios.nr);
	if (pages.nr)
		distribution(r, name, &pages);
	else if (!guests || !mode->vm || mode->memory == VM_MEM_GMEM_MIGRATABLE)
		result_fail(r->result, "%s: no pages were moved (is there a CMA area?)",
			    kind);
	snprintf(name, sizeof(name), "folio_%s", kind);
	if (folios.nr)
		distribution(r, name, &folios);
	if (guests && mode->vm && mode->memory == VM_MEM_GMEM_MIGRATABLE &&
	    folios.nr < pages.pages * 0.95)
		result_fail(r->result, "guests: %zu of %llu pages that were moved were theirs",
			    folios.nr, (unsigned long long)pages.pages);
}

/* What checking their memory has cost the guests, who stand still then. */
struct pass {
	double ns, exits, pages;
};

static struct pass pass_now(struct run *r)
{
	struct group *g = &r->group;

	group_pause(g, true);
	return (struct pass) {
		group_cpu_ns(g), group_stat(g, "exits", true), group_checked(g),
	};
}

static struct pass pass_end(struct run *r, struct pass begin)
{
	struct pass end;

	group_pause(&r->group, false);
	group_wait_pass(&r->group);
	end = pass_now(r);
	return (struct pass) {
		end.ns - begin.ns, end.exits - begin.exits,
		end.pages - begin.pages,
	};
}

/*
 * What a pass over memory that has moved costs the guests more than one before,
 * for each of their pages: the faults where the backend has to unmap them.
 */
static void refault_figures(struct run *r, struct pass quiet, struct pass after)
{
	/* The two passes are not of the same length. */
	double times = after.pages / quiet.pages;
	double pages = r->group.nr * r->group.pages;
	double ns = after.ns - quiet.ns * times;
	double exits = after.exits - quiet.exits * times;

	figure(r, "refault", "quiet", "ns/page", BETTER_NONE,
	       quiet.ns / quiet.pages);
	figure(r, "refault", "time", "ns/page", BETTER_LOWER, ns / pages);
	if (!r->group.mode->vm)
		return;
	figure(r, "refault", "exits", "1/page", BETTER_LOWER, exits / pages);
	/* Fewer are those of the clock. */
	if (exits > pages / 10)
		figure(r, "refault", "each", "ns", BETTER_LOWER, ns / exits);
}

static void step_moves(struct run *r, const struct step *step)
{
	const char *kind = step->argv[0];
	struct pass quiet = { 0 }, begin = { 0 };
	uint64_t size = 0, wrong;
	char *mem = NULL;

	if (!strcmp(kind, "guests")) {
		if (!need_guests(r, "moves", true))
			return;
	} else {
		if (step->argc < 2 || !parse_size(step->argv[1], &size)) {
			result_fail(r->result, "moves %s: of what size?", kind);
			return;
		}
		mem = scatter_pages(!strcmp(kind, "shmem"), size);
		if (!mem) {
			result_fail(r->result, "moves %s: no memory", kind);
			return;
		}
	}
	if (!trace_moves_start()) {
		result_fail(r->result, "this kernel cannot time moves");
		return;
	}
	if (!mem) {
		/* After one to come to rest, with its first faults. */
		group_wait_pass(&r->group);
		quiet = pass_end(r, pass_now(r));
		begin = pass_now(r);
	}
	trace_moves_clear();
	undisturbed(r->scenario->instructions);
	contig_sweep_cma();
	undisturbed(false);
	moves_figures(r, kind);
	if (!mem) {
		refault_figures(r, quiet, pass_end(r, begin));
		group_pause(&r->group, false);
		return;
	}
	wrong = wrong_pages(mem, 2 * size / 4096);
	if (wrong)
		result_fail(r->result, "moves %s: %llu pages changed", kind,
			    (unsigned long long)wrong);
	munmap(mem, 2 * size);
}

/*
 * What no move can do without: copy 4 KiB and wipe 4 KiB. By 16 pages, for
 * the clock to weigh nothing; each page is another one.
 */
static void step_floor(struct run *r, const struct step *step)
{
	const size_t nr = 2048, batch = 16;
	struct durations d = { .ns = xcalloc(nr / batch, sizeof(*d.ns)) };
	char *mem;
	size_t i, j;

	(void)step;
	mem = mmap(NULL, 2 * nr * 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED) {
		result_fail(r->result, "floor: no memory");
		return;
	}
	memset(mem, 1, 2 * nr * 4096);
	for (i = 0; i < nr; i += batch) {
		double start = now_seconds();

		for (j = i; j < i + batch; j++) {
			memcpy(mem + (nr + j) * 4096, mem + j * 4096, 4096);
			memset(mem + j * 4096, 0, 4096);
		}
		d.ns[d.nr++] = (now_seconds() - start) * 1e9 / batch;
	}
	munmap(mem, 2 * nr * 4096);
	distribution(r, "floor", &d);
}

/* Ticks of the guests' counter in a second. */
static double clock_hz(void)
{
	double start = now_seconds();
	uint64_t ticks = clock_ticks();

	sleep_ms(50);
	ticks = clock_ticks() - ticks;
	return ticks / (now_seconds() - start);
}

static void gaps_snapshot(struct run *r)
{
	r->gaps_since = now_seconds();
	r->checked = group_checked(&r->group);
	r->exits = group_stat(&r->group, "exits", true);
	r->migrated = group_stat(&r->group, "gmem_migrated", false);
}

static void step_gaps_start(struct run *r, const struct step *step)
{
	uint64_t gaps[GAPS_BUCKETS];

	(void)step;
	if (!need_guests(r, "gaps-start", true))
		return;
	group_gaps(&r->group, gaps);
	gaps_snapshot(r);
}

/* The smallest gap, in ns, that @percent of all do not exceed. */
static double gaps_percentile(const uint64_t *gaps, double percent, double hz)
{
	uint64_t total = 0, seen = 0;
	int i;

	for (i = 0; i < GAPS_BUCKETS; i++)
		total += gaps[i];
	for (i = 0; i < GAPS_BUCKETS - 1; i++) {
		seen += gaps[i];
		if (seen >= percent / 100 * total)
			break;
	}
	return gaps_floor(i) / hz * 1e9;
}

static void step_gaps(struct run *r, const struct step *step)
{
	static const struct {
		const char *name;
		double percent;
	} points[] = {
		{ "gap_p50", 50 }, { "gap_p99", 99 }, { "gap_p99.9", 99.9 },
		{ "gap_p99.99", 99.99 },
	};
	double hz = clock_hz(), seconds, moved, exits;
	uint64_t gaps[GAPS_BUCKETS], longest;
	const char *name = step->argv[0];
	struct json *out, *buckets, *bucket;
	char full[NAME_LEN];
	size_t i;

	if (!r->gaps_since) {
		result_fail(r->result, "gaps: since when? (gaps-start)");
		return;
	}
	if (!need_guests(r, "gaps", true))
		return;
	longest = group_gaps(&r->group, gaps);
	seconds = now_seconds() - r->gaps_since;
	for (i = 0; i < ARRAY_SIZE(points); i++)
		figure(r, name, points[i].name, "ns", BETTER_LOWER,
		       gaps_percentile(gaps, points[i].percent, hz));
	figure(r, name, "gap_max", "ns", BETTER_LOWER, longest / hz * 1e9);
	figure(r, name, "checked", "pages/s", BETTER_HIGHER,
	       (group_checked(&r->group) - r->checked) / seconds);
	if (r->exits >= 0) {
		exits = group_stat(&r->group, "exits", true) - r->exits;
		figure(r, name, "exits", "1/s", BETTER_LOWER, exits / seconds);
	}
	if (r->migrated >= 0) {
		moved = group_stat(&r->group, "gmem_migrated", false) -
			r->migrated;
		figure(r, name, "moved", "pages", BETTER_NONE, moved);
	}

	out = json_add(r->histograms, NULL, json_object());
	snprintf(full, sizeof(full), "%s.gap", name);
	json_add_string(out, "name", full);
	json_add_string(out, "unit", "ns");
	buckets = json_add(out, "buckets", json_array());
	for (i = 0; i < GAPS_BUCKETS; i++) {
		if (!gaps[i])
			continue;
		bucket = json_add(buckets, NULL, json_array());
		json_add(bucket, NULL, json_number(gaps_floor(i) / hz * 1e9));
		json_add(bucket, NULL, json_number(gaps[i]));
	}
	gaps_snapshot(r);
}

/* A shell in a process group of its own, with its output at @out. */
static pid_t shell(const char *command, int out)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setpgid(0, 0);
	dup2(out, STDOUT_FILENO);
	execlp("sh", "sh", "-c", command, NULL);
	_exit(127);
}

static void step_load(struct run *r, const struct step *step)
{
	int i, null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	for (i = 0; i < MAX_LOADS && r->loads[i].pid; i++)
		;
	if (i == MAX_LOADS) {
		result_fail(r->result, "load: too many");
		return;
	}
	r->loads[i].name = step->argv[0];
	r->loads[i].pid = shell(step->argv[1], null);
	setpgid(r->loads[i].pid, r->loads[i].pid);
	close(null);
}

static void end_load(struct run *r, struct load *load)
{
	int status;

	/* It was to last: what ended by itself was no load. */
	if (waitpid(load->pid, &status, WNOHANG))
		result_fail(r->result, "the load %s ended by itself",
			    load->name);
	else
		kill(-load->pid, SIGKILL);
	waitpid(load->pid, NULL, 0);
	load->pid = 0;
}

static void step_unload(struct run *r, const struct step *step)
{
	int i;

	for (i = 0; i < MAX_LOADS; i++) {
		if (r->loads[i].pid &&
		    !strcmp(r->loads[i].name, step->argv[0])) {
			end_load(r, &r->loads[i]);
			return;
		}
	}
	result_fail(r->result, "unload: no load is called %s", step->argv[0]);
}

/* The last number that @command prints. */
static void step_measure(struct run *r, const struct step *step)
{
	const char *name = step->argv[0], *unit = step->argv[1];
	char text[4096], *word, *end, *save = NULL;
	size_t size = 0;
	enum better better;
	double value = NAN;
	int pipe_fd[2], status;
	ssize_t n;
	pid_t pid;

	if (!better_parse(step->argv[2], &better) || pipe(pipe_fd)) {
		result_fail(r->result, "measure: %s is neither higher nor lower nor none",
			    step->argv[2]);
		return;
	}
	pid = shell(step->argv[3], pipe_fd[1]);
	close(pipe_fd[1]);
	while ((n = read(pipe_fd[0], text + size,
			 sizeof(text) - 1 - size)) > 0)
		size += n;
	text[size] = '\0';
	close(pipe_fd[0]);
	waitpid(pid, &status, 0);
	for (word = strtok_r(text, " \t\n", &save); word;
	     word = strtok_r(NULL, " \t\n", &save)) {
		double number = strtod(word, &end);

		if (end != word && !*end)
			value = number;
	}
	if (status || !isfinite(value)) {
		result_fail(r->result, "%s: the command failed (%d), or printed no number",
			    name, status);
		return;
	}
	note("%s: %g %s", name, value, unit);
	result_figure(r->result, name, unit, better, value);
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
	{ "fill", step_fill, 0, 0, false,
	  "fill" },
	{ "stop", step_stop, 1, 1, false,
	  "stop all|odd|even|NUMBER" },
	{ "start", step_start, 0, 0, false,
	  "start" },
	{ "work", step_work, 1, 2, false,
	  "work SECONDS [READING EVERY SECONDS]" },
	{ "balloon", step_balloon, 1, 1, false,
	  "balloon PERCENT" },
	{ "read", step_read, 1, 1, false,
	  "read NAME" },
	{ "compact", step_compact, 1, 1, false,
	  "compact NAME" },
	{ "kcompactd", step_kcompactd, 1, 1, false,
	  "kcompactd NAME" },
	{ "thp", step_thp, 1, 1, false,
	  "thp PERCENT OF FREE" },
	{ "hugetlb", step_hugetlb, 2, 2, false,
	  "hugetlb PAGE-SIZE PERCENT OF FREE" },
	{ "cma", step_cma, 1, MAX_ARGS, false,
	  "cma SIZE..." },
	{ "offline", step_offline, 0, 0, false,
	  "offline" },
	{ "moves", step_moves, 1, 2, false,
	  "moves guests, or moves anon|shmem SIZE" },
	{ "floor", step_floor, 0, 0, false,
	  "floor" },
	{ "gaps-start", step_gaps_start, 0, 0, false,
	  "gaps-start" },
	{ "gaps", step_gaps, 1, 1, false,
	  "gaps NAME" },
	{ "load", step_load, 2, 2, true,
	  "load NAME COMMAND" },
	{ "unload", step_unload, 1, 1, false,
	  "unload NAME" },
	{ "measure", step_measure, 4, 4, true,
	  "measure NAME UNIT higher|lower|none COMMAND" },
	{ "expect", step_expect, 3, MAX_ARGS, false,
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
	int i;

	for (i = 0; r->scenario->instructions && i < 5; i++) {
		double start = now_seconds(), ns;

		clock_spin(n);
		ns = (now_seconds() - start) * 1e9;
		/* An interrupt may come between. */
		if (ns > 1.9 * n && ns < 2.2 * n)
			continue;
		result_fail(r->result, "not the instruction clock: %.0f ns for %llu instructions",
			    ns, 2ULL * n);
		return;
	}
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

	result_describe(r->result);
	json_add_string(r->result, "clock",
			s->instructions ? "instructions" : "wall");
	json_add_string(r->result, "what", s->what);
	json_add_string(r->result, "show", s->show ? s->show : "");
	settings = json_add(r->result, "settings", json_object());
	json_add_string(settings, "mode", r->variant->mode->name);
	/* Its place in tables. */
	json_add_number(settings, "column", r->variant - s->variants);
	json_add_number(settings, "guests", s->guests);
	json_add_number(settings, "size_mib", (double)s->size / MIB);
	json_add_number(settings, "vcpus", s->vcpus);
	json_add_number(settings, "interleave", s->interleave);
	json_add_string(settings, "order",
			s->sequential ? "sequential" : "turns");
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
	      "  --run=N            this run's number (1)\n"
	      "  --label=KEY=VALUE  something for the result to remember\n"
	      "  --out=FILE         the result (" RESULTS_PORT ")\n"
	      "  --plan             only tell what the scenario needs\n"
	      "steps of a scenario:\n", stderr);
	for (verb = verbs; verb->name; verb++)
		fprintf(stderr, "  %s\n", verb->usage);
	fputs("what guests are made of:\n", stderr);
	mode_list(stderr);
	exit(2);
}

static void add_label(struct json *labels, const char *label)
{
	char *key = xstrdup(label), *value = strchr(key, '=');

	if (!value)
		usage();
	*value++ = '\0';
	json_add_string(labels, key, value);
}

int cmd_run(int argc, char **argv)
{
	const char *value, *path = NULL, *variant = NULL, *out = NULL;
	struct json *labels = json_object();
	bool quick = false, plan = false;
	struct run run = { 0 }, *r = &run;
	struct scenario scenario;
	int i, number = 1;

	for (i = 1; i < argc; i++) {
		if (option(argv[i], "variant", &value))
			variant = value;
		else if (option(argv[i], "run", &value))
			number = atoi(value);
		else if (option(argv[i], "label", &value))
			add_label(labels, value);
		else if (option(argv[i], "out", &value))
			out = value;
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
	r->result = result_new(scenario.name, variant, number);
	json_get(r->result, "labels")->child = labels->child;
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
