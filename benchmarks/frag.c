// SPDX-License-Identifier: GPL-2.0
/*
 * gmem-bench frag: scatter the free memory between the pages of guests that
 * stay, and see what compaction can do about it.
 *
 * Two groups of guests take their memory in turns, page by page, so that
 * their pages alternate in physical memory. One group exits. What it leaves
 * are single free pages, each beside a page of a guest that goes on running.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench.h"
#include "buddy.h"
#include "compact.h"
#include "contig.h"
#include "group.h"
#include "guest/pattern.h"
#include "json.h"
#include "reading.h"
#include "trace.h"

struct frag {
	/* Both groups in one: every other guest will exit. */
	struct group group;
	const char *phases;
	bool each;
	double start;

	struct reader reader;
	struct json *result;
	struct json *stages;
	bool failed;
};

static void stage(struct frag *f, const char *name, double seconds)
{
	reader_read(&f->reader, &f->group, name, seconds, f->stages);
}

static void run_phase(struct frag *f, const char *name)
{
	double start = now_seconds();

	bool ok;

	if (!strcmp(name, "kcompactd"))
		ok = compact_by_kcompactd();
	else if (!strcmp(name, "compact_memory"))
		/* Where moves are timed, none may wait for the scheduler. */
		ok = compact_by_hand(f->each);
	else
		die("no such phase: %s", name);
	if (!ok)
		die("%s: the kernel does not compact, or without end", name);
	stage(f, name, now_seconds() - start);
}

static void run_phases(struct frag *f)
{
	char *copy = xstrdup(f->phases), *name, *save = NULL;

	for (name = strtok_r(copy, ",", &save); name;
	     name = strtok_r(NULL, ",", &save))
		run_phase(f, name);
	free(copy);
}

/* How many huge pages the kernel would hand out now. */
static void count_huge_pages(struct frag *f)
{
	struct contig_pool pool;

	if (!contig_pool_grow(&pool, 2 * MIB, 100))
		return;
	json_add_number(f->result, "huge_pages", pool.got);
	json_add_number(f->result, "huge_pages_ideal", pool.wanted);
	note("%llu of %llu huge pages allocated", (unsigned long long)pool.got,
	     (unsigned long long)pool.wanted);
}

static void report_guest(struct json *guests, struct member *m)
{
	struct json *out = json_add(guests, NULL, json_object());
	struct vm *vm = &m->vm;
	long long migrated = -1;

	json_add_number(out, "pages", m->group->pages);
	json_add_number(out, "checked", member_checked(m));
	json_add_number(out, "mismatches", vm->mismatches);
	json_add_bool(out, "dead", vm->dead);
	if (vm->dead)
		json_add_string(out, "error", vm->error);
	if (m->group->mode->vm)
		migrated = kvm_stat(vm->fd, "gmem_migrated");
	if (migrated < 0)
		return;
	json_add_number(out, "migrated", migrated);
	json_add_number(out, "migrate_failed",
			kvm_stat(vm->fd, "gmem_migrate_failed"));
}

static void report_guests(struct frag *f)
{
	struct json *guests = json_add(f->result, "guests", json_array());
	uint64_t checked = group_checked(&f->group);
	uint64_t wrong = group_mismatches(&f->group);
	long long migrated = group_stat(&f->group, "gmem_migrated", false);
	int i;

	for (i = 0; i < f->group.nr; i++)
		if (f->group.members[i].alive)
			report_guest(guests, &f->group.members[i]);
	json_add_number(f->result, "checked", checked);
	json_add_number(f->result, "mismatches", wrong);
	if (migrated >= 0) {
		json_add_number(f->result, "stat_migrated", migrated);
		json_add_number(f->result, "stat_migrate_failed",
				group_stat(&f->group, "gmem_migrate_failed",
					   false));
	}
	note("guests checked %llu pages, %llu mismatches",
	     (unsigned long long)checked, (unsigned long long)wrong);
	if (wrong)
		f->failed = true;
}

static void tell_filled(void *arg, int percent)
{
	(void)arg;
	note("filled %d %%", percent);
}

static void scatter(struct frag *f)
{
	struct group *g = &f->group;
	double start = now_seconds();
	int i;

	if (group_create(g) || group_fill(g))
		die("the guests could not be started");
	note("2 groups of %d guests with %llu MiB each, filled in %.1f s",
	     g->nr / 2, (unsigned long long)(g->pages * PATTERN_PAGE / MIB),
	     now_seconds() - start);
	json_add_number(f->result, "fill_seconds", now_seconds() - start);

	for (i = 1; i < g->nr; i += 2)
		group_destroy_member(&g->members[i]);
}

static void prepare(struct frag *f)
{
	struct utsname uts;

	reader_init(&f->reader);

	f->result = json_object();
	uname(&uts);
	json_add_string(f->result, "kernel", uts.release);
	json_add_string(f->result, "machine", uts.machine);
	json_add_string(f->result, "mode", f->group.mode->name);
	json_add_string(f->result, "what", f->group.mode->what);
	json_add_number(f->result, "vms_per_group", f->group.nr / 2);
	json_add_number(f->result, "pages_per_vm", f->group.pages);
	json_add_bool(f->result, "tracepoint", trace_start(f->each));
	f->stages = json_add(f->result, "stages", json_array());
}

static void usage(void)
{
	fputs("usage: gmem-bench frag --mode=MODE [OPTION...]\n"
	      "  --group-mib=N   memory of each of the two groups (256)\n"
	      "  --vms=N         guests in each group (2)\n"
	      "  --step=N        pages that a guest takes at a time (1)\n"
	      "  --phases=LIST   of kcompactd, compact_memory, in that order\n"
	      "  --rest-us=N     a guest's pause after 1 MiB checked (3000)\n"
	      "  --each          keep every move's duration\n"
	      "  --no-huge-pages do not try to allocate huge pages\n"
	      "  --out=FILE      the result (" RESULTS_PORT ")\n"
	      "modes:\n", usage_out());
	mode_list(usage_out());
	usage_exit();
}

int cmd_frag(int argc, char **argv)
{
	struct frag frag = {
		.group = { .step = 1, .rest_us = 3000, .filled = tell_filled },
		.phases = "kcompactd,compact_memory",
		.start = now_seconds(),
	}, *f = &frag;
	const char *value, *out_path = NULL;
	uint64_t group_mib = 256;
	bool huge_pages = true;
	int i, nr_vms = 2;

	for (i = 1; i < argc; i++) {
		if (option(argv[i], "mode", &value))
			f->group.mode = mode_find(value);
		else if (option(argv[i], "group-mib", &value))
			group_mib = strtoull(value, NULL, 0);
		else if (option(argv[i], "vms", &value))
			nr_vms = atoi(value);
		else if (option(argv[i], "step", &value))
			f->group.step = strtoull(value, NULL, 0);
		else if (option(argv[i], "phases", &value))
			f->phases = value;
		else if (option(argv[i], "rest-us", &value))
			f->group.rest_us = strtoul(value, NULL, 0);
		else if (option(argv[i], "each", NULL))
			f->each = true;
		else if (option(argv[i], "no-huge-pages", NULL))
			huge_pages = false;
		else if (option(argv[i], "out", &value))
			out_path = value;
		else
			usage();
	}
	if (!f->group.mode || nr_vms < 1 || 2 * nr_vms > MAX_MEMBERS ||
	    !group_mib || !f->group.step)
		usage();
	f->group.nr = 2 * nr_vms;
	f->group.vcpus = 1;
	f->group.pages = group_mib * MIB / PATTERN_PAGE / nr_vms;

	results_check(out_path);
	signals_exit();
	prepare(f);
	note("%s", f->group.mode->what);
	stage(f, "idle", 0);
	scatter(f);
	group_start(&f->group);
	stage(f, "scattered", now_seconds() - f->start);
	run_phases(f);
	group_wait_pass(&f->group);
	if (huge_pages)
		count_huge_pages(f);
	for (i = 0; i < f->group.nr; i++)
		group_stop_member(&f->group.members[i]);
	if (group_any_dead(&f->group))
		f->failed = true;

	report_guests(f);
	json_add(f->result, "backends", trace_backends());
	json_add(f->result, "compaction_ends", trace_compaction());
	if (f->each)
		json_add(f->result, "durations", trace_durations());
	json_add_number(f->result, "seconds", now_seconds() - f->start);
	json_add_bool(f->result, "failed", f->failed);
	for (i = 0; i < f->group.nr; i++)
		group_destroy_member(&f->group.members[i]);

	results_write(out_path, f->result);
	return f->failed;
}
