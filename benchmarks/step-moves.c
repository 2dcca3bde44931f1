// SPDX-License-Identifier: GPL-2.0
/* Steps: what moving a page costs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "compact.h"
#include "contig.h"
#include "guest/pattern.h"
#include "run.h"

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

struct moves {
	uint64_t pages;		/* of guest_memfd, once or several times */
	double mean;		/* ns for each page of any kind */
};

static struct moves moves_figures(struct run *r, const char *kind)
{
	const struct mode *mode = r->group.mode;
	bool guests = !strcmp(kind, "guests");
	struct durations pages, folios;
	struct moves moves = { 0 };
	char name[NAME_LEN];

	if (!trace_moves(&pages, &folios))
		result_fail(r->result, "%s: events of moves were lost", kind);
	snprintf(name, sizeof(name), "move_%s", kind);
	note("%s: %zu batches and %zu folios of guest_memfd timed", name,
	     pages.nr, folios.nr);
	if (pages.nr) {
		distribution(r, name, BETTER_LOWER, &pages);
		/* In batches that are too small, or had a failure. */
		figure(r, name, "dropped", "% of pages", BETTER_NONE,
		       100.0 * pages.dropped / (pages.pages + pages.dropped));
	} else if (!guests || !mode->vm || mode->memory == VM_MEM_GMEM_MIGRATABLE)
		result_fail(r->result, "%s: no pages were moved (is there a CMA area, and /sys/kernel/debug/cma?)",
			    kind);
	snprintf(name, sizeof(name), "folio_%s", kind);
	if (folios.nr)
		distribution(r, name, BETTER_LOWER, &folios);
	if (guests && mode->vm && mode->memory == VM_MEM_GMEM_MIGRATABLE &&
	    folios.nr < (pages.pages + pages.dropped) * 0.95)
		result_fail(r->result, "guests: %zu of %llu pages that were moved were theirs",
			    folios.nr, (unsigned long long)(pages.pages + pages.dropped));
	moves.pages = folios.pages;
	moves.mean = pages.nr ? durations_mean(&pages) : 0;
	free(pages.ns);
	free(folios.ns);
	return moves;
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
 * What a pass over memory of which @pages have moved costs the guests more than one
 * before, for each of those: the faults where the backend has to unmap them.
 */
static void refault_figures(struct run *r, struct pass quiet, struct pass after,
			    struct moves moves)
{
	/* The two passes are not of the same length. */
	double times = after.pages / quiet.pages;
	double ns = after.ns - quiet.ns * times;
	double exits = after.exits - quiet.exits * times;
	/* Of a process, it is not known which ones they were. */
	double pages = moves.pages ? moves.pages : r->group.nr * r->group.pages;

	figure(r, "refault", "quiet", "ns/page", BETTER_NONE,
	       quiet.ns / quiet.pages);
	figure(r, "refault", "time", "ns/page", BETTER_NONE, ns / pages);
	/* What a page costs that is moved, and used again. */
	figure(r, "refault", "with_move", "ns", BETTER_LOWER,
	       moves.mean + ns / pages);
	if (!r->group.mode->vm)
		return;
	figure(r, "refault", "exits", "1/page", BETTER_LOWER, exits / pages);
	/* Fewer are those of the clock. */
	if (exits > pages / 10)
		figure(r, "refault", "each", "ns", BETTER_NONE, ns / exits);
}

void step_moves(struct run *r, const struct step *step)
{
	const char *kind = step->argv[0];
	struct pass quiet = { 0 }, begin = { 0 };
	uint64_t size = 0, wrong;
	struct moves moves;
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
	if (!undisturbed(r->scenario->instructions))
		result_fail(r->result, "moves %s: others would have run meanwhile",
			    kind);
	contig_sweep_cma();
	undisturbed(false);
	moves = moves_figures(r, kind);
	if (!mem) {
		refault_figures(r, quiet, pass_end(r, begin), moves);
		group_pause(&r->group, false);
		return;
	}
	wrong = wrong_pages(mem, 2 * size / 4096);
	if (wrong)
		result_fail(r->result, "moves %s: %llu pages changed", kind,
			    (unsigned long long)wrong);
	munmap(mem, 2 * size);
}

/* What it takes, in ns, to change the protection of a page between two others. */
static double protect_ns(char *page)
{
	const int nr = 100;
	double start = now_seconds();
	int i;

	for (i = 0; i < nr; i++)
		mprotect(page, 4096, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ);
	return (now_seconds() - start) * 1e9 / nr;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * So much longer for a page that is there: its entry, and the TLB. The median, as an
 * interrupt may come into some.
 */
static double tlb_ns(void)
{
	double ns[21];
	char *mem;
	size_t i;

	mem = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return NAN;
	madvise(mem, 5 * 4096, MADV_NOHUGEPAGE);
	/* The page tables are there in any case. */
	mem[4096] = 1;
	/* The first batch is for what only the first one costs. */
	for (i = 0; i < ARRAY_SIZE(ns); i++)
		ns[i] = protect_ns(mem + 4096) - protect_ns(mem + 3 * 4096);
	munmap(mem, 5 * 4096);
	qsort(ns + 1, ARRAY_SIZE(ns) - 1, sizeof(*ns), by_value);
	return ns[ARRAY_SIZE(ns) / 2];
}

/*
 * What no move can do without: copy 4 KiB and wipe 4 KiB, and one invalidation of
 * the TLB. By 16 pages, for the clock to weigh nothing; each page is another one.
 */
void step_floor(struct run *r, const struct step *step)
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
	distribution(r, "floor", BETTER_LOWER, &d);
	figure(r, "floor", "tlb", "ns", BETTER_LOWER, tlb_ns());
}
