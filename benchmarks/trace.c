// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "buddy.h"
#include "census.h"
#include "trace.h"

#define TRACEFS		"/sys/kernel/tracing"
#define INSTANCES	TRACEFS "/instances/gmem-bench-"
#define MOVE_EVENT	"/events/kvm/kvm_gmem_migrate_folio"
#define MIGRATE_EVENTS	"/events/migrate/"
#define BATCH_EVENT	"gmem_batch"
#define BATCH_FIELDS	" u64 ns; unsigned long pages; unsigned long bad"
#define END_EVENT	"/events/compaction/mm_compaction_end"

/* Each process has one of its own: a run may be watched. */
static char instance[64];
static bool batch_event_made;

/* The path of a file in it, until the next call. */
static const char *in_instance(const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s%s", instance, file);
	return path;
}

static void remove_instance(void)
{
	/* With its triggers and what it has recorded. */
	if (*instance)
		rmdir(instance);
	*instance = '\0';
	if (batch_event_made)
		write_text(TRACEFS "/synthetic_events", "!" BATCH_EVENT BATCH_FIELDS);
	batch_event_made = false;
}

/* Of processes that were killed. */
static void remove_stale(void)
{
	glob_t found;
	size_t i;

	if (glob(INSTANCES "*", 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++) {
		pid_t pid = atoi(found.gl_pathv[i] + strlen(INSTANCES));

		if (pid > 0 && kill(pid, 0) && errno == ESRCH)
			rmdir(found.gl_pathv[i]);
	}
	globfree(&found);
}

static bool make_instance(void)
{
	if (*instance)
		return true;
	remove_stale();
	snprintf(instance, sizeof(instance), INSTANCES "%d", getpid());
	if (mkdir(instance, 0700) && errno == ENOENT) {
		if (mount("tracefs", TRACEFS, "tracefs", 0, NULL) ||
		    mkdir(instance, 0700)) {
			*instance = '\0';
			return false;
		}
	}
	atexit(remove_instance);
	return true;
}

bool trace_start(bool each)
{
	if (!make_instance())
		return false;

	/* Histograms lose nothing, however many events there are. */
	write_text(in_instance(END_EVENT "/trigger"), "hist:keys=status");
	if (write_text(in_instance(MOVE_EVENT "/trigger"),
		       "hist:keys=backend,ret:size=256"))
		return false;
	if (!each)
		return true;
	write_text(in_instance("/buffer_size_kb"), "8192");
	return !write_text(in_instance(MOVE_EVENT "/enable"), "1");
}

/* The value of "@name: value" or "@name=value" inside a line. */
static bool line_field(const char *line, const char *name, char *out,
		       size_t room)
{
	size_t len = strlen(name), n;
	const char *p;

	for (p = line; (p = strstr(p, name)); p += len) {
		const char *value = p + len;

		if (p > line && !strchr("{ ,(", p[-1]))
			continue;
		if (*value != ':' && *value != '=')
			continue;
		value++;
		value += strspn(value, " ");
		n = strcspn(value, " ,}\n");
		if (n >= room)
			n = room - 1;
		memcpy(out, value, n);
		out[n] = '\0';
		return true;
	}
	return false;
}

static void json_count(struct json *obj, const char *key, double more)
{
	struct json *value = json_get(obj, key);

	if (value)
		value->number += more;
	else
		json_add_number(obj, key, more);
}

/*
 * The name behind a number, from the event's format: the histogram has only
 * the number. Leaves @name as it is where there is none.
 */
static void backend_name(const char *format, char *name, size_t room)
{
	const char *p = strstr(format, "REC->backend,"), *end;
	char *after;

	if (!p)
		return;
	end = p + strcspn(p, ")");
	while ((p = strchr(p, '{')) && p < end) {
		long long number = strtoll(p + 1, &after, 0);

		after += strspn(after, ", \"");
		if (after > p + 1 && number == atoll(name)) {
			snprintf(name, room, "%.*s",
				 (int)strcspn(after, "\""), after);
			return;
		}
		p++;
	}
}

struct json *trace_parse_backends(const char *hist, const char *format)
{
	struct json *out = json_object(), *backend;
	char *copy = xstrdup(hist), *line, *save = NULL;

	for (line = strtok_r(copy, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char name[64], ret[32], hits[32];
		int error;

		if (*line != '{' ||
		    !line_field(line, "backend", name, sizeof(name)) ||
		    !line_field(line, "ret", ret, sizeof(ret)) ||
		    !line_field(line, "hitcount", hits, sizeof(hits)))
			continue;

		backend_name(format, name, sizeof(name));
		backend = json_get(out, name);
		if (!backend) {
			backend = json_add(out, name, json_object());
			json_add_number(backend, "moved", 0);
			json_add_number(backend, "failed", 0);
			json_add(backend, "errors", json_object());
		}
		/* Histograms print all numbers as unsigned ones. */
		error = (int)(*ret == '-' ? strtoll(ret, NULL, 10) :
			      (long long)strtoull(ret, NULL, 10));
		if (!error) {
			json_count(backend, "moved", atof(hits));
			continue;
		}
		json_count(backend, "failed", atof(hits));
		snprintf(ret, sizeof(ret), "%d", error);
		json_count(json_get(backend, "errors"), ret, atof(hits));
	}
	free(copy);
	return out;
}

struct json *trace_backends(void)
{
	char *hist = read_text(in_instance(MOVE_EVENT "/hist"));
	char *format = read_text(in_instance(MOVE_EVENT "/format"));
	struct json *out;

	out = trace_parse_backends(hist ? hist : "", format ? format : "");
	free(hist);
	free(format);
	return out;
}

struct json *trace_compaction(void)
{
	char *hist = read_text(in_instance(END_EVENT "/hist")), *line, *save = NULL;
	struct json *out = json_object();

	if (!hist)
		return out;
	for (line = strtok_r(hist, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char status[32], hits[32];

		if (*line == '{' &&
		    line_field(line, "status", status, sizeof(status)) &&
		    line_field(line, "hitcount", hits, sizeof(hits)))
			json_count(out, status, atof(hits));
	}
	free(hist);
	return out;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t percentile(const uint64_t *sorted, size_t nr, double percent)
{
	/*
	 * The smallest value that @percent of all do not exceed; 99.9 is no number
	 * that has an end in binary.
	 */
	size_t rank = ceil(percent * nr / 100 - 1e-9);

	if (!nr)
		return 0;
	return sorted[rank ? rank - 1 : 0];
}

void durations_add(struct durations *d, uint64_t ns)
{
	/* Twice the room whenever it has become too small. */
	if (!(d->nr & (d->nr - 1))) {
		d->ns = realloc(d->ns, (d->nr ? 2 * d->nr : 1) * sizeof(*d->ns));
		if (!d->ns)
			die("out of memory");
	}
	d->ns[d->nr++] = ns;
}

void durations_sort(struct durations *d)
{
	if (d->nr)
		qsort(d->ns, d->nr, sizeof(*d->ns), compare_u64);
}

double durations_mean(const struct durations *d)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < d->nr; i++)
		sum += d->ns[i];
	return d->nr ? (double)sum / d->nr : 0;
}

/* @moved: the frames of pages that have moved before. */
static void parse_folio(struct durations *d, struct pfn_set *moved, const char *line)
{
	char ret[32], source[32], target[32], duration[32];
	uint64_t pfn;

	if (!line_field(line, "ret", ret, sizeof(ret)) || atoi(ret) ||
	    !line_field(line, "src_pfn", source, sizeof(source)) ||
	    !line_field(line, "dst_pfn", target, sizeof(target)) ||
	    !line_field(line, "duration_ns", duration, sizeof(duration)))
		return;
	durations_add(d, strtoull(duration, NULL, 10));
	pfn = strtoull(source, NULL, 16);
	if (pfn_set_has(moved, pfn))
		pfn_set_del(moved, pfn);
	else
		d->pages++;
	pfn_set_add(moved, strtoull(target, NULL, 16));
}

/*
 * A call with failures has spent time on pages that did not move, and one of
 * a few pages has spent most of it on itself.
 */
#define MIN_BATCH	8

static void parse_batch(struct durations *d, const char *line)
{
	char ns[32], pages[32], failed[32];

	if (!strstr(line, " " BATCH_EVENT ":") ||
	    !line_field(line, "ns", ns, sizeof(ns)) ||
	    !line_field(line, "pages", pages, sizeof(pages)) ||
	    !line_field(line, "bad", failed, sizeof(failed)))
		return;
	if (atoll(failed) || atoll(pages) < MIN_BATCH) {
		d->dropped += atoll(pages);
		return;
	}
	durations_add(d, strtoull(ns, NULL, 10) / atoll(pages));
	d->pages += atoll(pages);
}

void trace_parse_moves(struct durations *pages, struct durations *folios,
		       FILE *events)
{
	struct pfn_set moved;
	struct zones zones;
	char line[512];

	memset(pages, 0, sizeof(*pages));
	memset(folios, 0, sizeof(*folios));
	if (!zones_read(&zones))
		die("cannot read /proc/zoneinfo");
	pfn_set_init(&moved, 0, zones.end_pfn);
	/* A million moves are more text than there may be memory. */
	while (events && fgets(line, sizeof(line), events)) {
		parse_batch(pages, line);
		parse_folio(folios, &moved, line);
	}
	free(moved.bits);
	durations_sort(pages);
	durations_sort(folios);
}

struct json *trace_durations(void)
{
	FILE *events = fopen(in_instance("/trace"), "r");
	struct json *out = json_object();
	struct durations pages, d;

	trace_parse_moves(&pages, &d, events);
	if (events)
		fclose(events);
	json_add_number(out, "moves", d.nr);
	json_add_number(out, "p50_ns", percentile(d.ns, d.nr, 50));
	json_add_number(out, "p99_ns", percentile(d.ns, d.nr, 99));
	json_add_number(out, "max_ns", percentile(d.ns, d.nr, 100));
	json_add_number(out, "mean_ns", durations_mean(&d));
	free(pages.ns);
	free(d.ns);
	return out;
}

bool trace_moves_start(void)
{
	static bool started;
	uint64_t room;
	char kb[32];

	if (started)
		return true;
	/*
	 * An event of its own for each call, made of those at its start and
	 * its end: the text of the buffer has microseconds only, and this the
	 * nanoseconds.
	 */
	if (!make_instance())
		return false;
	batch_event_made = !write_text(TRACEFS "/synthetic_events",
				       BATCH_EVENT BATCH_FIELDS);
	/* A large machine can have more pages that move. */
	room = (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 20480;
	snprintf(kb, sizeof(kb), "%llu", (unsigned long long)
		 (room < 16384 ? 16384 : room > 262144 ? 262144 : room));
	write_text(in_instance("/buffer_size_kb"), kb);
	if (write_text(in_instance(MIGRATE_EVENTS "mm_migrate_pages_start/trigger"),
		       "hist:keys=common_pid:ts0=common_timestamp"))
		return false;
	if (write_text(in_instance(MIGRATE_EVENTS "mm_migrate_pages/trigger"),
		       "hist:keys=common_pid:lat=common_timestamp-$ts0:"
		       "onmatch(migrate.mm_migrate_pages_start)."
		       "trace(" BATCH_EVENT ",$lat,succeeded,failed)"))
		return false;
	write_text(in_instance(MOVE_EVENT "/enable"), "1");
	started = !write_text(in_instance("/events/synthetic/" BATCH_EVENT
					  "/enable"), "1");
	return started;
}

void trace_moves_clear(void)
{
	int fd = open(in_instance("/trace"), O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
}

/* What the buffer of any CPU had no room for. */
static bool events_lost(void)
{
	bool lost = false;
	glob_t stats;
	size_t i;

	if (glob(in_instance("/per_cpu/cpu*/stats"), 0, NULL, &stats))
		return true;
	for (i = 0; i < stats.gl_pathc; i++) {
		char *text = read_text(stats.gl_pathv[i]);
		char *p = text ? strstr(text, "overrun: ") : NULL;

		if (!p || atoll(p + strlen("overrun: ")))
			lost = true;
		free(text);
	}
	globfree(&stats);
	return lost;
}

bool trace_moves(struct durations *pages, struct durations *folios)
{
	FILE *events = fopen(in_instance("/trace"), "r");

	trace_parse_moves(pages, folios, events);
	return events && !fclose(events) && !events_lost();
}

#define WATCH_TRIGGER	"hist:keys=backend,ret,duration_ns.buckets=250:size=16384"

bool trace_watch_start(void)
{
	return make_instance() &&
	       !write_text(in_instance(MOVE_EVENT "/trigger"), WATCH_TRIGGER);
}

int trace_parse_watch(struct watched *backends, const char *hist,
		      const char *format)
{
	char *copy = xstrdup(hist), *line, *save = NULL;
	int nr = 0, i;

	for (line = strtok_r(copy, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char name[32], ret[32], hits[32];
		const char *bucket = strstr(line, "duration_ns: ~ ");
		uint64_t n;

		if (!bucket || *line != '{' ||
		    !line_field(line, "backend", name, sizeof(name)) ||
		    !line_field(line, "ret", ret, sizeof(ret)) ||
		    !line_field(line, "hitcount", hits, sizeof(hits)))
			continue;
		backend_name(format, name, sizeof(name));
		for (i = 0; i < nr && strcmp(backends[i].backend, name); i++)
			;
		if (i == MAX_BACKENDS)
			continue;
		if (i == nr) {
			memset(&backends[nr], 0, sizeof(*backends));
			strcpy(backends[nr++].backend, name);
		}
		n = strtoull(hits, NULL, 10);
		if (strcmp(ret, "0")) {
			backends[i].refused += n;
			continue;
		}
		while (n--)
			durations_add(&backends[i].moved,
				      strtoull(bucket + strlen("duration_ns: ~ "),
					       NULL, 10));
	}
	free(copy);
	for (i = 0; i < nr; i++)
		durations_sort(&backends[i].moved);
	return nr;
}

int trace_watch_end(struct watched *backends)
{
	char *hist = read_text(in_instance(MOVE_EVENT "/hist"));
	char *format = read_text(in_instance(MOVE_EVENT "/format")), *dropped;
	int nr;

	write_text(in_instance(MOVE_EVENT "/trigger"), "!" WATCH_TRIGGER);
	dropped = hist ? strstr(hist, "Dropped: ") : NULL;
	if (!dropped || strtoull(dropped + strlen("Dropped: "), NULL, 10))
		die("the kernel's histogram cannot be read, or was full");
	nr = trace_parse_watch(backends, hist, format ? format : "");
	free(hist);
	free(format);
	return nr;
}
