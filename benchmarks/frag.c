// SPDX-License-Identifier: GPL-2.0
/*
 * gmem-bench frag: scatter the free memory between the pages of guests that
 * stay, and see what compaction can do about it.
 *
 * Two groups of guests take their memory in turns, page by page, so that
 * their pages alternate in physical memory. One group exits. What it leaves
 * are single free pages, each beside a page of a guest that goes on running.
 */
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"
#include "buddy.h"
#include "census.h"
#include "guest/pattern.h"
#include "guest/protocol.h"
#include "json.h"
#include "trace.h"
#include "vm.h"

#define MAX_MEMBERS	32
/* A guest that needs longer than this for a few pages is not coming back. */
#define STALL_SECONDS	300
/* More than all results need. */
#define HEAP_SIZE	(8 * MIB)
/* Huge pages that are left to the machine, 32 MiB. */
#define HPAGES_SPARED	16

static const struct mode {
	const char *name;
	const char *what;
	bool vm;
	bool protected;
	enum vm_memory memory;
} modes[] = {
	{ "private", "protected VMs on migratable guest_memfd",
	  true, true, VM_MEM_GMEM_MIGRATABLE },
	{ "anon-vm", "protected VMs on pinned anonymous memory",
	  true, true, VM_MEM_ANON },
	{ "private-unmovable", "protected VMs on guest_memfd that stays where it is",
	  true, true, VM_MEM_GMEM },
	{ "gmem", "VMs on guest_memfd that stays where it is",
	  true, false, VM_MEM_GMEM },
	{ "gmem-migratable", "VMs on migratable guest_memfd",
	  true, false, VM_MEM_GMEM_MIGRATABLE },
	{ "anon", "ordinary anonymous memory, no VM", false, false, 0 },
};

/* One guest, or a plain mapping that behaves like one. */
struct member {
	struct vm vm;		/* its counters serve a mapping as well */
	uint64_t pass;
	pthread_t thread;
};

struct frag {
	const struct mode *mode;
	int nr_vms;		/* of each group */
	uint64_t vm_pages;
	uint64_t step;		/* pages that a guest takes at a time */
	const char *phases;
	bool each;
	unsigned int rest_us;	/* of a guest, for every batch it checks */
	double start;

	struct member *group_a;
	struct member *group_b;
	struct pfn_set guest_pfns;
	struct pfn_set not_guest;
	struct json *result;
	struct json *stages;
	bool failed;
};

static int member_create(struct frag *f, struct member *m, int id)
{
	struct vm_config config = {
		.memory = f->mode->memory,
		.protected = f->mode->protected,
		.nr_pages = f->vm_pages,
		.seed = id + 1,
		.step = f->step,
	};

	if (f->mode->vm)
		return vm_create(&m->vm, &config);

	m->vm.config = config;
	m->vm.fd = m->vm.kvm_fd = m->vm.vcpu_fd = m->vm.gmem_fd = -1;
	m->vm.mem_size = config.nr_pages * PATTERN_PAGE;
	m->vm.mem = mmap(NULL, m->vm.mem_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->vm.mem == MAP_FAILED) {
		m->vm.mem = NULL;
		return vm_fail(&m->vm, "mmap: %m");
	}
	madvise(m->vm.mem, m->vm.mem_size, MADV_NOHUGEPAGE);
	return 0;
}

static uint64_t *member_page(struct member *m, uint64_t page)
{
	return m->vm.mem + page * PATTERN_PAGE;
}

/* Fill the next pages. */
static int member_fault(struct frag *f, struct member *m)
{
	struct vm *vm = &m->vm;
	uint64_t page = vm->faulted, end = page + f->step;

	if (f->mode->vm) {
		if (vm_run(vm) == VM_FAULTED)
			return 0;
		return vm_fail(vm, "the guest stopped while filling page %llu",
			       (unsigned long long)page);
	}

	for (; page < end && page < f->vm_pages; page++)
		pattern_write(member_page(m, page),
			      pattern_first(vm->config.seed, page, 0));
	vm->faulted = page;
	return 0;
}

/* The same turns in every run: xorshift, Marsaglia 2003. */
static bool coin(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x >> 63;
}

/*
 * The guests take turns on one CPU: pages of one CPU's list alternate only if
 * that CPU hands them out. It is the faster way in emulation, too, where every
 * TLB invalidation stops all CPUs that are running.
 *
 * A coin decides which of a pair takes its page first. Strict alternation is
 * one pattern that compaction can be blind to: isolate_freepages() doubles its
 * stride, up to 32 pages, with each block that it finds nothing in, and where
 * all pages at even places are in use it finds nothing in any block from then
 * on. It ends as `complete' with half of its work undone, for ordinary memory
 * as well, depending on nothing but who came first.
 */
static void fault_in(struct frag *f)
{
	uint64_t told = 0;
	cpu_set_t all, one;
	int i;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_getaffinity(0, sizeof(all), &all);
	sched_setaffinity(0, sizeof(one), &one);

	while (f->group_a[f->nr_vms - 1].vm.faulted < f->vm_pages) {
		for (i = 0; i < f->nr_vms; i++) {
			bool swap = coin();

			if (member_fault(f, swap ? &f->group_b[i] :
					    &f->group_a[i]) ||
			    member_fault(f, swap ? &f->group_a[i] :
					    &f->group_b[i]))
				goto out;
		}
		if (f->group_a->vm.faulted - told < f->vm_pages / 4)
			continue;
		told = f->group_a->vm.faulted;
		note("filled %llu %%",
		     (unsigned long long)(told * 100 / f->vm_pages));
	}
out:
	sched_setaffinity(0, sizeof(all), &all);
}

static void check_mapping(struct frag *f, struct member *m)
{
	uint64_t seed = m->vm.config.seed, page;

	while (!m->vm.stop) {
		for (page = 0; page < f->vm_pages; page++) {
			uint64_t *p = member_page(m, page);

			if (pattern_check(p,
					  pattern_first(seed, page, m->pass),
					  pattern_first(seed, page,
							m->pass + 1)))
				m->vm.mismatches++;
			m->vm.checked++;
			if (page % GUEST_BATCH)
				continue;
			usleep(f->rest_us);
			if (m->vm.stop)
				return;
		}
		m->pass++;
	}
}

static void check_guest(struct frag *f, struct member *m)
{
	for (;;) {
		switch (vm_run(&m->vm)) {
		case VM_CHECKED:
			/* Leave the CPU to what the guests are here to meet. */
			usleep(f->rest_us);
			break;
		case VM_STOPPED:
			return;
		case VM_FAULTED:
			vm_fail(&m->vm, "the guest started again");
			return;
		case VM_DEAD:
			return;
		}
	}
}

struct checker {
	struct frag *f;
	struct member *m;
};

static void *check_member(void *arg)
{
	struct checker *c = arg;

	if (c->f->mode->vm)
		check_guest(c->f, c->m);
	else
		check_mapping(c->f, c->m);
	return NULL;
}

/* Tell of every guest that died. True where there is one. */
static bool any_dead(struct frag *f, struct member *group, const char *name)
{
	bool dead = false;
	int i;

	for (i = 0; i < f->nr_vms; i++) {
		if (!group[i].vm.dead)
			continue;
		note("guest %s%d died: %s", name, i, group[i].vm.error);
		dead = true;
	}
	return dead;
}

/* Read everything, with nothing hidden in the per-CPU lists. */
static struct json *stage(struct frag *f, const char *name, double seconds)
{
	bool gmem = f->mode->vm && f->mode->memory != VM_MEM_ANON;
	struct json *out = json_object(), *buddy;
	const char *drained = drain_pcp();
	int i;

	pfn_set_clear(&f->guest_pfns);
	for (i = 0; i < f->nr_vms && f->group_a && !gmem; i++)
		if (f->group_a[i].vm.mem)
			pfn_set_add_mapped(&f->guest_pfns,
					   f->group_a[i].vm.mem,
					   f->group_a[i].vm.mem_size);

	json_add_string(out, "name", name);
	json_add_number(out, "seconds", seconds);
	json_add_string(out, "drained_by", drained);
	buddy = json_add(out, "buddy", buddy_json());
	json_add(out, "census",
		 census_json(&f->guest_pfns,
			     f->mode->vm ? BLOCK_PRIVATE : BLOCK_MOVABLE,
			     gmem && f->group_a, &f->not_guest));
	json_add_number(out, "migrated", vmstat_value("pgmigrate_success"));
	json_add_number(out, "migrate_failed", vmstat_value("pgmigrate_fail"));
	json_add(f->stages, NULL, out);

	note("%-14s free %6.1f MiB, %5.1f %% in order >= 9, %5.1f %% in 10, %.1f s",
	     name, json_get_number(buddy, "free_pages", 0) / 256,
	     json_get_number(buddy, "share_order9", 0),
	     json_get_number(buddy, "share_order10", 0), seconds);
	return out;
}

/* /proc/PID/stat of the first kcompactd; -1 where there is none. */
static int open_kcompactd(void)
{
	glob_t procs;
	int fd = -1;
	size_t i;

	if (glob("/proc/[0-9]*/stat", 0, NULL, &procs))
		return -1;
	for (i = 0; i < procs.gl_pathc && fd < 0; i++) {
		char *text = read_text(procs.gl_pathv[i]);

		if (text && strstr(text, "(kcompactd"))
			fd = open(procs.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		free(text);
	}
	globfree(&procs);
	return fd;
}

/* Sleeping, as its stat says behind its name. */
static bool kcompactd_sleeps(int fd)
{
	static char text[512];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	char *p;

	if (n <= 0)
		return true;
	text[n] = '\0';
	p = strrchr(text, ')');
	return p && p[1] && p[2] == 'S';
}

static uint64_t kcompactd_work(int fd)
{
	static const char *const names[] = {
		"\ncompact_daemon_migrate_scanned ",
		"\ncompact_daemon_free_scanned ", "\npgmigrate_success ",
	};
	static char text[32768];
	size_t size = 0, i;
	uint64_t work = 0;
	ssize_t n;

	/* It comes in pieces of a page. */
	while ((n = pread(fd, text + size, sizeof(text) - 1 - size, size)) > 0)
		size += n;
	text[size] = '\0';
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		char *p = strstr(text, names[i]);

		if (p)
			work += strtoull(p + strlen(names[i]), NULL, 10);
	}
	return work;
}

/*
 * Let kcompactd do all that it can on its own. At 100 it goes on as long as
 * any free page is outside a huge page and its last run made progress; it
 * looks twice a second. The watching allocates no memory, or it would put
 * pages into the very blocks that have just become free.
 */
static void run_kcompactd(void)
{
	int stat = open_kcompactd();
	int vmstat = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	uint64_t work, last = kcompactd_work(vmstat);
	double end = now_seconds() + STALL_SECONDS;
	int quiet = 0;

	write_text("/proc/sys/vm/compaction_proactiveness", "100");
	while (quiet < 8 && now_seconds() < end) {
		sleep_ms(250);
		work = kcompactd_work(vmstat);
		quiet = work == last && kcompactd_sleeps(stat) ? quiet + 1 : 0;
		last = work;
	}
	write_text("/proc/sys/vm/compaction_proactiveness", "0");
	close(vmstat);
	close(stat);
}

static void compact_memory(struct frag *f)
{
	struct sched_param fifo = { .sched_priority = 1 }, other = { 0 };

	/* Where moves are timed, none may wait for the scheduler. */
	if (f->each)
		sched_setscheduler(0, SCHED_FIFO, &fifo);
	write_text("/proc/sys/vm/compact_memory", "1");
	if (f->each)
		sched_setscheduler(0, SCHED_OTHER, &other);
}

static void run_phase(struct frag *f, const char *name)
{
	double start = now_seconds();

	if (!strcmp(name, "kcompactd"))
		run_kcompactd();
	else if (!strcmp(name, "compact_memory"))
		compact_memory(f);
	else
		die("no such phase: %s", name);
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

/* Every survivor checks every page once more than it has by now. */
static void wait_full_pass(struct frag *f)
{
	uint64_t *want = xcalloc(f->nr_vms, sizeof(*want));
	double end = now_seconds() + STALL_SECONDS;
	int i;

	for (i = 0; i < f->nr_vms; i++)
		want[i] = f->group_a[i].vm.checked + f->vm_pages + GUEST_BATCH;
	for (i = 0; i < f->nr_vms; i++) {
		struct vm *vm = &f->group_a[i].vm;

		while (!vm->dead && vm->checked < want[i]) {
			if (now_seconds() > end) {
				vm_fail(vm, "no full pass within %d s",
					STALL_SECONDS);
				break;
			}
			sleep_ms(20);
		}
	}
	free(want);
}

/*
 * How many huge pages the kernel would hand out now. Not for the last few: it
 * would kill this program to have them.
 */
static void count_huge_pages(struct frag *f)
{
	struct buddy buddy;
	uint64_t nr;
	char want[32];
	long long got;

	if (!buddy_read(&buddy))
		return;
	nr = buddy_free_pages(&buddy) / HPAGE_PAGES;
	snprintf(want, sizeof(want), "%llu", nr > HPAGES_SPARED ?
		 (unsigned long long)nr - HPAGES_SPARED : 0);
	if (write_text("/proc/sys/vm/nr_hugepages", want))
		return;
	got = read_number("/proc/sys/vm/nr_hugepages", 0);
	write_text("/proc/sys/vm/nr_hugepages", "0");
	json_add_number(f->result, "huge_pages", got);
	json_add_number(f->result, "huge_pages_ideal", atof(want));
	note("%lld of %s huge pages allocated", got, want);
}

static void stop_group(struct frag *f)
{
	int i;

	for (i = 0; i < f->nr_vms; i++)
		f->group_a[i].vm.stop = true;
	for (i = 0; i < f->nr_vms; i++)
		pthread_join(f->group_a[i].thread, NULL);
}

static void report_guests(struct frag *f)
{
	struct json *guests = json_add(f->result, "guests", json_array());
	double moved = 0, failed = 0, checked = 0, wrong = 0;
	bool stats = false;
	int i;

	for (i = 0; i < f->nr_vms; i++) {
		struct vm *vm = &f->group_a[i].vm;
		struct json *g = json_add(guests, NULL, json_object());
		long long m = f->mode->vm ? vm_stat(vm, "gmem_migrated") : -1;

		json_add_number(g, "pages", f->vm_pages);
		json_add_number(g, "checked", vm->checked);
		json_add_number(g, "mismatches", vm->mismatches);
		json_add_bool(g, "dead", vm->dead);
		if (vm->dead)
			json_add_string(g, "error", vm->error);
		checked += vm->checked;
		wrong += vm->mismatches;
		if (m < 0)
			continue;
		stats = true;
		moved += m;
		json_add_number(g, "migrated", m);
		m = vm_stat(vm, "gmem_migrate_failed");
		failed += m;
		json_add_number(g, "migrate_failed", m);
	}
	json_add_number(f->result, "checked", checked);
	json_add_number(f->result, "mismatches", wrong);
	if (stats) {
		json_add_number(f->result, "stat_migrated", moved);
		json_add_number(f->result, "stat_migrate_failed", failed);
	}
	note("guests checked %.0f pages, %.0f mismatches", checked, wrong);
	if (wrong)
		f->failed = true;
}

static void scatter(struct frag *f)
{
	double start = now_seconds();
	int i;

	f->group_a = xcalloc(f->nr_vms, sizeof(*f->group_a));
	f->group_b = xcalloc(f->nr_vms, sizeof(*f->group_b));
	for (i = 0; i < f->nr_vms; i++) {
		if (member_create(f, &f->group_a[i], 2 * i) ||
		    member_create(f, &f->group_b[i], 2 * i + 1))
			goto out;
	}
	fault_in(f);
out:
	if (any_dead(f, f->group_a, "a") | any_dead(f, f->group_b, "b"))
		die("the guests could not be started");
	note("2 groups of %d guests with %llu MiB each, filled in %.1f s",
	     f->nr_vms,
	     (unsigned long long)(f->vm_pages * PATTERN_PAGE / MIB),
	     now_seconds() - start);
	json_add_number(f->result, "fill_seconds", now_seconds() - start);

	for (i = 0; i < f->nr_vms; i++)
		vm_destroy(&f->group_b[i].vm);
}

static void start_checking(struct frag *f)
{
	struct checker *checkers = xcalloc(f->nr_vms, sizeof(*checkers));
	int i;

	for (i = 0; i < f->nr_vms; i++) {
		checkers[i] = (struct checker) { f, &f->group_a[i] };
		if (pthread_create(&f->group_a[i].thread, NULL, check_member,
				   &checkers[i]))
			die("cannot start a thread");
	}
}

static void prepare(struct frag *f)
{
	struct utsname uts;
	struct zones zones;
	void *volatile heap;

	/*
	 * The program's own memory comes first and stays, so that it neither
	 * takes part in the pattern nor grows into what compaction frees.
	 */
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_MMAP_MAX, 0);
	heap = xcalloc(1, HEAP_SIZE);
	memset(heap, 1, HEAP_SIZE);
	free(heap);

	/* Nothing may tidy up before it is asked to. */
	write_text("/proc/sys/vm/compaction_proactiveness", "0");
	write_text("/sys/kernel/mm/transparent_hugepage/enabled", "never");
	write_text("/sys/kernel/mm/transparent_hugepage/khugepaged/defrag",
		   "0");

	if (!zones_read(&zones))
		die("cannot read /proc/zoneinfo");
	pfn_set_init(&f->guest_pfns, zones.start_pfn, zones.end_pfn);
	pfn_set_init(&f->not_guest, zones.start_pfn, zones.end_pfn);
	pfn_set_add_gmem(&f->not_guest);

	f->result = json_object();
	uname(&uts);
	json_add_string(f->result, "kernel", uts.release);
	json_add_string(f->result, "machine", uts.machine);
	json_add_string(f->result, "mode", f->mode->name);
	json_add_string(f->result, "what", f->mode->what);
	json_add_number(f->result, "vms_per_group", f->nr_vms);
	json_add_number(f->result, "pages_per_vm", f->vm_pages);
	json_add_bool(f->result, "tracepoint", trace_start(f->each));
	f->stages = json_add(f->result, "stages", json_array());
}

/* The port that the runner of this machine reads, as udev would name it. */
#define RESULTS_PORT	"/dev/virtio-ports/results"

static FILE *open_results(const char *path)
{
	FILE *out;

	if (path)
		return strcmp(path, "-") ? fopen(path, "a") : stdout;
	out = fopen(RESULTS_PORT, "w");
	return out ? out : stdout;
}

static void usage(void)
{
	size_t i;

	fputs("usage: gmem-bench frag --mode=MODE [OPTION...]\n"
	      "  --group-mib=N   memory of each of the two groups (256)\n"
	      "  --vms=N         guests in each group (2)\n"
	      "  --step=N        pages that a guest takes at a time (1)\n"
	      "  --phases=LIST   of kcompactd, compact_memory, in that order\n"
	      "  --rest-us=N     a guest's pause after 1 MiB checked (3000)\n"
	      "  --each          keep every move's duration\n"
	      "  --no-huge-pages do not try to allocate huge pages\n"
	      "  --out=FILE      the result (" RESULTS_PORT ")\n"
	      "modes:\n", stderr);
	for (i = 0; i < ARRAY_SIZE(modes); i++)
		fprintf(stderr, "  %-18s%s\n", modes[i].name, modes[i].what);
	exit(2);
}

static const struct mode *find_mode(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(modes[i].name, name))
			return &modes[i];
	usage();
	return NULL;
}

int cmd_frag(int argc, char **argv)
{
	struct frag frag = {
		.nr_vms = 2,
		.step = 1,
		.phases = "kcompactd,compact_memory",
		.rest_us = 3000,
		.start = now_seconds(),
	}, *f = &frag;
	const char *value, *out_path = NULL;
	uint64_t group_mib = 256;
	bool huge_pages = true;
	FILE *out;
	int i;

	for (i = 1; i < argc; i++) {
		if (option(argv[i], "mode", &value))
			f->mode = find_mode(value);
		else if (option(argv[i], "group-mib", &value))
			group_mib = strtoull(value, NULL, 0);
		else if (option(argv[i], "vms", &value))
			f->nr_vms = atoi(value);
		else if (option(argv[i], "step", &value))
			f->step = strtoull(value, NULL, 0);
		else if (option(argv[i], "phases", &value))
			f->phases = value;
		else if (option(argv[i], "rest-us", &value))
			f->rest_us = strtoul(value, NULL, 0);
		else if (option(argv[i], "each", NULL))
			f->each = true;
		else if (option(argv[i], "no-huge-pages", NULL))
			huge_pages = false;
		else if (option(argv[i], "out", &value))
			out_path = value;
		else
			usage();
	}
	if (!f->mode || f->nr_vms < 1 || f->nr_vms > MAX_MEMBERS || !group_mib ||
	    !f->step)
		usage();
	f->vm_pages = group_mib * MIB / PATTERN_PAGE / f->nr_vms;

	prepare(f);
	note("%s", f->mode->what);
	stage(f, "idle", 0);
	scatter(f);
	start_checking(f);
	stage(f, "scattered", now_seconds() - f->start);
	run_phases(f);
	wait_full_pass(f);
	if (huge_pages)
		count_huge_pages(f);
	stop_group(f);
	if (any_dead(f, f->group_a, "a"))
		f->failed = true;

	report_guests(f);
	json_add(f->result, "backends", trace_backends());
	json_add(f->result, "compaction_ends", trace_compaction());
	if (f->each)
		json_add(f->result, "durations", trace_durations());
	json_add_number(f->result, "seconds", now_seconds() - f->start);
	json_add_bool(f->result, "failed", f->failed);
	for (i = 0; i < f->nr_vms; i++)
		vm_destroy(&f->group_a[i].vm);

	out = open_results(out_path);
	if (!out)
		die("cannot open %s", out_path);
	/* One line with a name, because others write to that port too. */
	fputs("gmem-bench ", out);
	json_print(out, f->result, -1);
	fputc('\n', out);
	fflush(out);
	return f->failed;
}
