// SPDX-License-Identifier: GPL-2.0
/* Steps: the state of memory, compaction, and what contiguity is good for. */
#include <stdlib.h>

#include "compact.h"
#include "contig.h"
#include "run.h"

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
		{ "buddy", "extfrag_order10", "extfrag10", "index",
		  BETTER_NONE },
		{ "census", "free_blocks", "free_blocks", "blocks",
		  BETTER_HIGHER },
		{ "census", "mixed_blocks", "mixed_blocks", "blocks",
		  BETTER_LOWER },
		/* Blocks with free or movable pages, and one of these in them. */
		{ "census", "spoiled_private", "with_private", "blocks",
		  BETTER_LOWER },
		/* And no more than an eighth of it. */
		{ "census", "spoiled_few", "with_few_private", "blocks",
		  BETTER_LOWER },
		/* And how many of them all those have. */
		{ "census", "spoiling_private", "spoiling", "pages",
		  BETTER_NONE },
		{ "census", "spoiled_other", "with_other", "blocks",
		  BETTER_NONE },
		{ "census", "private_pages", "private", "pages", BETTER_NONE },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(figures); i++)
		figure(r, name, figures[i].name, figures[i].unit,
		       figures[i].better,
		       json_get_number(json_get(reading, figures[i].of),
				       figures[i].key, 0));
}

void step_read(struct run *r, const struct step *step)
{
	reading_figures(r, step->argv[0], take_reading(r, step->argv[0]));
}

static void compact(struct run *r, const char *name, bool kcompactd)
{
	uint64_t moved = vmstat_value("pgmigrate_success");
	uint64_t failed = vmstat_value("pgmigrate_fail");
	uint64_t scanned = vmstat_value("compact_migrate_scanned") +
			   vmstat_value("compact_free_scanned");
	double start = now_seconds(), cpu = kcompactd_cpu_seconds();

	if (!(kcompactd ? compact_by_kcompactd() :
			  compact_by_hand(r->scenario->instructions)))
		result_fail(r->result, "%s: the kernel does not compact, or without end",
			    name);
	figure(r, name, "seconds", "s", BETTER_LOWER, now_seconds() - start);
	moved = vmstat_value("pgmigrate_success") - moved;
	failed = vmstat_value("pgmigrate_fail") - failed;
	scanned = vmstat_value("compact_migrate_scanned") +
		  vmstat_value("compact_free_scanned") - scanned;
	figure(r, name, "moved", "pages", BETTER_NONE, moved);
	figure(r, name, "failed", "pages", BETTER_LOWER, failed);
	figure(r, name, "scanned", "pages", BETTER_NONE, scanned);
	/* Where nothing moved, all scanning was in vain. */
	figure(r, name, "efficiency", "% of scanned", BETTER_HIGHER,
	       scanned ? 100.0 * moved / scanned : 0);
	if (kcompactd)
		figure(r, name, "cpu", "s", BETTER_LOWER,
		       kcompactd_cpu_seconds() - cpu);
	reading_figures(r, name, take_reading(r, name));
}

void step_compact(struct run *r, const struct step *step)
{
	compact(r, step->argv[0], false);
}

void step_kcompactd(struct run *r, const struct step *step)
{
	compact(r, step->argv[0], true);
}

static void tries_figures(struct run *r, const char *name,
			  struct contig_tries *tries)
{
	size_t nr = tries->ok.nr + tries->failed.nr;
	char failed[NAME_LEN];

	if (!nr) {
		result_fail(r->result, "%s: %s", name, tries->error);
		return;
	}
	note("%s: %zu of %zu", name, tries->ok.nr, nr);
	figure(r, name, "asked", "times", BETTER_NONE, nr);
	figure(r, name, "success", "%", BETTER_HIGHER,
	       100.0 * tries->ok.nr / nr);
	/* To give up quickly is no merit. */
	if (tries->ok.nr)
		distribution(r, name, BETTER_LOWER, &tries->ok);
	if (tries->failed.nr) {
		snprintf(failed, sizeof(failed), "%s_failed", name);
		distribution(r, failed, BETTER_NONE, &tries->failed);
	}
}

void step_thp(struct run *r, const struct step *step)
{
	uint64_t stalls = vmstat_value("compact_stall");
	struct contig_tries tries;

	contig_thp(&tries, atoi(step->argv[0]));
	tries_figures(r, "thp", &tries);
	/* Who gives up early has fewer. */
	figure(r, "thp", "stalls", "times", BETTER_NONE,
	       vmstat_value("compact_stall") - stalls);
}

void step_hugetlb(struct run *r, const struct step *step)
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
	/* To give up quickly is no merit. */
	figure(r, name, "seconds", "s", BETTER_NONE, pool.seconds);
}

void step_cma(struct run *r, const struct step *step)
{
	struct contig_tries tries;
	uint64_t size, before;
	char name[NAME_LEN];
	int i;

	for (i = 0; i < step->argc; i++) {
		snprintf(name, sizeof(name), "cma_%s", step->argv[i]);
		if (!parse_size(step->argv[i], &size)) {
			result_fail(r->result, "not a size: %s", step->argv[i]);
			continue;
		}
		before = vmstat_value("pgmigrate_success");
		contig_cma(&tries, size);
		tries_figures(r, name, &tries);
		figure(r, name, "moved", "pages", BETTER_NONE,
		       vmstat_value("pgmigrate_success") - before);
	}
	contig_cma_free();
}

void step_offline(struct run *r, const struct step *step)
{
	uint64_t moved = vmstat_value("pgmigrate_success");
	struct contig_tries tries;

	(void)step;
	contig_offline(&tries);
	tries_figures(r, "offline", &tries);
	figure(r, "offline", "moved", "pages", BETTER_NONE,
	       vmstat_value("pgmigrate_success") - moved);
}
