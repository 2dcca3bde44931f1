// SPDX-License-Identifier: GPL-2.0
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "buddy.h"
#include "reading.h"

/* More than all results need, but for the durations of a million moves. */
#define HEAP_SIZE	(8 * MIB)

void reader_init(struct reader *r)
{
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
	write_setting("/proc/sys/vm/compaction_proactiveness", "0");
	write_setting("/sys/kernel/mm/transparent_hugepage/enabled", "never");
	write_setting("/sys/kernel/mm/transparent_hugepage/khugepaged/defrag",
		      "0");

	if (!zones_read(&zones))
		die("cannot read /proc/zoneinfo");
	pfn_set_init(&r->guest_pfns, zones.start_pfn, zones.end_pfn);
	pfn_set_init(&r->not_guest, zones.start_pfn, zones.end_pfn);
	pfn_set_add_gmem(&r->not_guest);
}

/*
 * What it costs the guests that are there: how often they left for the host,
 * and for faults, where KVM counts those.
 */
static void add_exits(struct json *out, struct group *g)
{
	static const char *const names[] = { "exits", "pf_taken" };
	long long value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		value = group_stat(g, names[i], true);
		if (value >= 0)
			json_add_number(out, names[i], value);
	}
}

struct json *reader_read(struct reader *r, struct group *g, const char *name,
			 double seconds, struct json *to)
{
	bool gmem = mode_is_gmem(g->mode);
	struct json *out = json_object(), *buddy;
	const char *drained = drain_pcp();
	bool guests = false;
	int i;

	pfn_set_clear(&r->guest_pfns);
	for (i = 0; i < g->nr && g->members; i++) {
		struct member *m = &g->members[i];

		if (!m->alive)
			continue;
		guests = true;
		if (!gmem && m->vm.mem)
			pfn_set_add_mapped(&r->guest_pfns, m->vm.mem,
					   m->vm.mem_size);
	}

	json_add_string(out, "name", name);
	json_add_number(out, "seconds", seconds);
	json_add_string(out, "drained_by", drained);
	buddy = json_add(out, "buddy", buddy_json());
	json_add(out, "census",
		 census_json(&r->guest_pfns,
			     g->mode->vm ? BLOCK_PRIVATE : BLOCK_MOVABLE,
			     gmem && guests, &r->not_guest));
	json_add_number(out, "migrated", vmstat_value("pgmigrate_success"));
	json_add_number(out, "migrate_failed", vmstat_value("pgmigrate_fail"));
	if (guests)
		add_exits(out, g);
	json_add(to, NULL, out);

	note("%-14s free %6.1f MiB, %5.1f %% in order >= 9, %5.1f %% in 10, %.1f s",
	     name, json_get_number(buddy, "free_pages", 0) / 256,
	     json_get_number(buddy, "share_order9", 0),
	     json_get_number(buddy, "share_order10", 0), seconds);
	return out;
}
