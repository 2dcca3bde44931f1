// SPDX-License-Identifier: GPL-2.0
#include <ftw.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"
#include "result.h"

static const char *const better_names[] = {
	[BETTER_NONE] = "none",
	[BETTER_HIGHER] = "higher",
	[BETTER_LOWER] = "lower",
};

const char *better_name(enum better better)
{
	return better < ARRAY_SIZE(better_names) ? better_names[better] : NULL;
}

bool better_parse(const char *name, enum better *better)
{
	size_t i;

	for (i = 0; name && i < ARRAY_SIZE(better_names); i++) {
		if (!strcmp(name, better_names[i])) {
			*better = i;
			return true;
		}
	}
	return false;
}

struct json *result_new(const char *scenario, const char *variant, int run)
{
	struct json *result = json_object();

	json_add_string(result, "format", RESULT_FORMAT);
	json_add_string(result, "scenario", scenario);
	json_add_string(result, "variant", variant);
	json_add_number(result, "run", run);
	json_add(result, "labels", json_object());
	json_add(result, "figures", json_array());
	json_add(result, "failed", json_array());
	return result;
}

/* As the kernel keeps it, compressed: tells whether two were configured alike. */
static void add_config(struct json *kernel)
{
	FILE *in = fopen("/proc/config.gz", "r");
	uint64_t hash = FNV1A_SEED;
	char text[32], buffer[4096];
	size_t n;

	if (!in)
		return;
	while ((n = fread(buffer, 1, sizeof(buffer), in)))
		hash = fnv1a(hash, buffer, n);
	fclose(in);
	snprintf(text, sizeof(text), "%016llx", (unsigned long long)hash);
	json_add_string(kernel, "config", text);
}

void result_describe(struct json *result)
{
	struct json *kernel = json_add(result, "kernel", json_object());
	struct json *machine = json_add(result, "machine", json_object());
	char *cmdline = read_text("/proc/cmdline");
	cpu_set_t *cpus;
	struct utsname uts;
	size_t size;

	uname(&uts);
	json_add_string(kernel, "release", uts.release);
	json_add_string(kernel, "version", uts.version);
	json_add_string(kernel, "machine", uts.machine);
	if (cmdline) {
		cmdline[strcspn(cmdline, "\n")] = '\0';
		json_add_string(kernel, "cmdline", cmdline);
	}
	add_config(kernel);
	/* Those that this may run on: QEMU's first is not one of them on x86. */
	cpus = allowed_cpus(&size);
	json_add_number(machine, "cpus", CPU_COUNT_S(size, cpus));
	CPU_FREE(cpus);
	json_add_number(machine, "memory_mib",
			(double)sysconf(_SC_PHYS_PAGES) *
			sysconf(_SC_PAGESIZE) / MIB);
	free(cmdline);
}

void result_figure(struct json *result, const char *name, const char *unit,
		   enum better better, double value)
{
	struct json *one = json_get(result, "figures")->child;

	if (!isfinite(value)) {
		result_fail(result, "%s is %g, which is no figure", name, value);
		return;
	}
	/* One boot is one sample. */
	for (; one; one = one->next) {
		if (!strcmp(json_get_string(one, "name"), name)) {
			result_fail(result, "there are two figures called %s", name);
			return;
		}
	}
	one = json_add(json_get(result, "figures"), NULL, json_object());
	json_add_string(one, "name", name);
	json_add_string(one, "unit", unit);
	json_add_string(one, "better", better_name(better));
	json_add_number(one, "value", value);
}

void result_fail(struct json *result, const char *fmt, ...)
{
	char text[2 * ERR_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	note("failed: %s", text);
	json_add(json_get(result, "failed"), NULL, json_string(text));
}

bool result_failed(const struct json *result)
{
	struct json *failed = json_get(result, "failed");

	/* One that does not say is none to trust. */
	return !failed || failed->child;
}

void result_set_add(struct result_set *set, struct json *run)
{
	set->runs = realloc(set->runs, (set->nr_runs + 1) * sizeof(*set->runs));
	if (!set->runs)
		die("out of memory");
	set->runs[set->nr_runs++] = run;
}

static bool set_error(struct result_set *set, const char *path,
		      const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), "%s: %s", path, what);
	set->error = xstrdup(text);
	return false;
}

static bool load_file(struct result_set *set, const char *path)
{
	char *text = read_text(path);
	const char *format;
	struct json *run;

	if (!text)
		return set_error(set, path, "cannot be read");
	run = json_parse(text);
	free(text);
	format = json_get_string(run, "format");
	if (!format || strcmp(format, RESULT_FORMAT))
		return set_error(set, path, "is no result of gmem-bench");
	if (!json_get_string(run, "scenario") ||
	    !json_get_string(run, "variant"))
		return set_error(set, path, "does not say what it is of");
	result_set_add(set, run);
	return true;
}

/* nftw() has no room for an argument. */
static struct result_set *walk_set;

static int visit(const char *path, const struct stat *st, int type,
		 struct FTW *ftw)
{
	size_t len = strlen(path);

	(void)st;
	(void)ftw;
	if (type != FTW_F || len < 5 || strcmp(path + len - 5, ".json"))
		return 0;
	return !load_file(walk_set, path);
}

static int by_run(const void *a, const void *b)
{
	const struct json *x = *(struct json *const *)a;
	const struct json *y = *(struct json *const *)b;
	int diff = strcmp(json_get_string(x, "scenario"),
			  json_get_string(y, "scenario"));

	if (!diff)
		diff = strcmp(json_get_string(x, "variant"),
			      json_get_string(y, "variant"));
	if (!diff)
		diff = json_get_number(x, "run", 0) -
		       json_get_number(y, "run", 0);
	return diff;
}

/* One variant of a scenario is of one kernel, program and scenario, as key says. */
static bool check_keys(struct result_set *set)
{
	size_t i;

	for (i = 1; i < set->nr_runs; i++) {
		const struct json *run = set->runs[i], *last = set->runs[i - 1];
		const char *scenario = json_get_string(run, "scenario");
		const char *key = json_get_string(json_get(run, "labels"), "key");
		const char *other = json_get_string(json_get(last, "labels"), "key");

		if (!strcmp(scenario, json_get_string(last, "scenario")) &&
		    !strcmp(json_get_string(run, "variant"),
			    json_get_string(last, "variant")) &&
		    strcmp(key ? key : "", other ? other : ""))
			return set_error(set, set->name,
					 "has runs of different kernels or programs");
	}
	return true;
}

bool result_set_load(struct result_set *set, const char *path)
{
	struct stat st;

	memset(set, 0, sizeof(*set));
	set->name = path;
	if (stat(path, &st))
		return set_error(set, path, "does not exist");
	if (!S_ISDIR(st.st_mode))
		return load_file(set, path);
	walk_set = set;
	if (nftw(path, visit, 16, 0) && !set->error)
		return set_error(set, path, "cannot be read");
	if (set->error)
		return false;
	if (!set->nr_runs)
		return set_error(set, path, "holds no results");
	/* The order of a directory is any. */
	qsort(set->runs, set->nr_runs, sizeof(*set->runs), by_run);
	return check_keys(set);
}

bool result_set_uniform(const struct result_set *set)
{
	size_t i;

	for (i = 1; i < set->nr_runs; i++)
		if (strcmp(json_get_string(set->runs[i], "variant"),
			   json_get_string(set->runs[0], "variant")))
			return false;
	return true;
}
