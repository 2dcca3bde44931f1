// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "buddy.h"
#include "census.h"
#include "contig.h"

#define THP_DIR		"/sys/kernel/mm/transparent_hugepage/"
#define HPAGE_SIZE	(2 * MIB)
/* Left to the machine: it would kill this program to have it. */
#define SPARED		(32 * MIB)

static void add_try(struct contig_tries *t, double start, bool ok)
{
	durations_add(ok ? &t->ok : &t->failed, (now_seconds() - start) * 1e9);
}

static uint64_t free_bytes(void)
{
	uint64_t bytes = 0;
	struct buddy buddy;

	if (buddy_read(&buddy))
		bytes = buddy_free_pages(&buddy) * 4096;
	return bytes > SPARED ? bytes - SPARED : 0;
}

bool contig_pool_grow(struct contig_pool *pool, uint64_t size,
		      unsigned int percent)
{
	char path[128], want[32], before[32];
	uint64_t base;
	double start;

	snprintf(path, sizeof(path),
		 "/sys/kernel/mm/hugepages/hugepages-%llukB/nr_hugepages",
		 (unsigned long long)(size / 1024));
	base = read_number(path, 0);
	snprintf(before, sizeof(before), "%llu", (unsigned long long)base);
	pool->wanted = free_bytes() / 100 * percent / size;
	snprintf(want, sizeof(want), "%llu",
		 (unsigned long long)(base + pool->wanted));
	start = now_seconds();
	if (write_setting(path, want))
		return false;
	pool->seconds = now_seconds() - start;
	pool->got = read_number(path, 0) - base;
	write_text(path, before);
	return true;
}

void contig_thp(struct contig_tries *tries, unsigned int percent)
{
	uint64_t size = free_bytes() / 100 * percent / HPAGE_SIZE * HPAGE_SIZE;
	char *mem, *start, *p;

	memset(tries, 0, sizeof(*tries));
	/* Each fault may compact, and is not helped by anyone. */
	if (write_setting(THP_DIR "enabled", "madvise") ||
	    write_setting(THP_DIR "defrag", "madvise")) {
		tries->error = "the kernel has no transparent huge pages";
		return;
	}
	mem = mmap(NULL, size + HPAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED) {
		tries->error = "no address space";
		return;
	}
	start = mem + (-(uintptr_t)mem & (HPAGE_SIZE - 1));
	madvise(start, size, MADV_HUGEPAGE);
	for (p = start; p < start + size; p += HPAGE_SIZE) {
		double before = now_seconds(), took;

		*(volatile char *)p = 1;
		took = now_seconds() - before;
		/* The next page has a frame only if it came with this one. */
		durations_add(page_present(p + 4096) ? &tries->ok :
			      &tries->failed, took * 1e9);
	}
	if (p == start)
		tries->error = "not enough free memory";
	munmap(mem, size + HPAGE_SIZE);
	write_setting(THP_DIR "enabled", "never");
}

/* The directory of the largest CMA area. */
static bool find_cma(char *dir, size_t room, uint64_t *pages)
{
	glob_t areas;
	size_t i;

	*pages = 0;
	if (glob("/sys/kernel/debug/cma/*/count", 0, NULL, &areas))
		return false;
	for (i = 0; i < areas.gl_pathc; i++) {
		uint64_t count = read_number(areas.gl_pathv[i], 0);

		if (count <= *pages)
			continue;
		*pages = count;
		snprintf(dir, room, "%.*s",
			 (int)(strlen(areas.gl_pathv[i]) - strlen("/count")),
			 areas.gl_pathv[i]);
	}
	globfree(&areas);
	return *pages > 0;
}

static int cma_write(const char *dir, const char *file, uint64_t pages)
{
	char path[256], count[32];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	snprintf(count, sizeof(count), "%llu\n", (unsigned long long)pages);
	return write_text(path, count);
}

/* Pages of the largest area that this program has allocated. */
static uint64_t cma_held;

static void hold_cma(uint64_t pages)
{
	static bool registered;

	if (!registered)
		atexit(contig_cma_free);
	registered = true;
	cma_held += pages;
}

void contig_cma(struct contig_tries *tries, uint64_t size)
{
	uint64_t pages;
	char dir[200];
	double start;
	int ret;

	memset(tries, 0, sizeof(*tries));
	if (access("/sys/kernel/debug/cma", R_OK)) {
		tries->error = "no /sys/kernel/debug/cma: is debugfs mounted, "
			       "and CMA_DEBUGFS in the kernel?";
		return;
	}
	if (!find_cma(dir, sizeof(dir), &pages) || pages * 4096 < size) {
		tries->error = "no CMA area is that large";
		return;
	}
	start = now_seconds();
	ret = cma_write(dir, "alloc", size / 4096);
	add_try(tries, start, !ret);
	if (!ret)
		hold_cma(size / 4096);
}

void contig_cma_free(void)
{
	uint64_t pages;
	char dir[200];

	if (cma_held && find_cma(dir, sizeof(dir), &pages))
		cma_write(dir, "free", cma_held);
	cma_held = 0;
}

uint64_t contig_sweep_cma(void)
{
	/* A pageblock is the least that is isolated anyway. */
	const uint64_t piece = HPAGE_PAGES;
	uint64_t pages, got = 0, left;
	char dir[200];

	if (!find_cma(dir, sizeof(dir), &pages))
		return 0;
	/* What cannot be had is passed over by the next try. */
	for (left = pages / piece; left; left--) {
		if (cma_write(dir, "alloc", piece))
			continue;
		hold_cma(piece);
		got += piece;
	}
	contig_cma_free();
	return got;
}

void contig_offline(struct contig_tries *tries)
{
	glob_t blocks;
	size_t i;

	memset(tries, 0, sizeof(*tries));
	if (glob("/sys/devices/system/memory/memory[0-9]*/state", 0, NULL,
		 &blocks)) {
		tries->error = "memory cannot be taken offline here";
		return;
	}
	for (i = 0; i < blocks.gl_pathc; i++) {
		const char *state = blocks.gl_pathv[i];
		char path[128], *zones;
		double start;
		bool movable;
		int ret;

		/* What the kernel itself lies in is not worth a try. */
		snprintf(path, sizeof(path), "%.*s/valid_zones",
			 (int)(strlen(state) - strlen("/state")), state);
		zones = read_text(path);
		movable = zones && strstr(zones, "Movable");
		free(zones);
		if (!movable)
			continue;
		start = now_seconds();
		ret = write_text(state, "offline");
		/* It has a hole, whatever is in it: the kernel takes no such block. */
		if (ret == -EINVAL)
			continue;
		add_try(tries, start, !ret);
		/* The others would be tried with less memory to move to. */
		if (!ret && write_text(state, "online_movable")) {
			tries->error = "a block of memory did not come back online";
			break;
		}
	}
	globfree(&blocks);
	if (!tries->error && !tries->ok.nr && !tries->failed.nr)
		tries->error = "no block of memory is in ZONE_MOVABLE";
}
