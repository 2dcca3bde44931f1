// SPDX-License-Identifier: GPL-2.0
/* Steps: what guests feel. */
#include <math.h>

#include "guest/clock.h"
#include "guest/protocol.h"
#include "run.h"

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

void step_gaps_start(struct run *r, const struct step *step)
{
	struct gaps gaps;

	(void)step;
	if (!need_guests(r, "gaps-start", true))
		return;
	if (!r->clock_hz)
		r->clock_hz = clock_hz();
	group_gaps(&r->group, &gaps);
	gaps_snapshot(r);
	r->exit_rate = NAN;
}

void step_gaps(struct run *r, const struct step *step)
{
	static const struct {
		const char *name;
		double percent;
	} points[] = {
		{ "gap_p50", 50 }, { "gap_p99", 99 }, { "gap_p99.9", 99.9 },
		{ "gap_p99.99", 99.99 },
	};
	double hz = r->clock_hz, seconds, checked, moved, exits = NAN, more;
	const char *name = step->argv[0];
	struct json *out, *buckets, *bucket;
	struct gaps gaps;
	char full[NAME_LEN];
	size_t i;

	if (!r->gaps_since) {
		result_fail(r->result, "gaps: since when? (gaps-start)");
		return;
	}
	if (!need_guests(r, "gaps", true))
		return;
	group_gaps(&r->group, &gaps);
	seconds = now_seconds() - r->gaps_since;
	checked = group_checked(&r->group) - r->checked;
	for (i = 0; i < ARRAY_SIZE(points); i++)
		figure(r, name, points[i].name, "ns", BETTER_LOWER,
		       gaps_percentile(&gaps, points[i].percent) / hz * 1e9);
	figure(r, name, "gap_max", "ns", BETTER_NONE, gaps.longest / hz * 1e9);
	figure(r, name, "checked", "pages/s", BETTER_HIGHER, checked / seconds);
	if (r->exits >= 0) {
		/* Those for its reports come with what it gets done. */
		exits = group_stat(&r->group, "exits", true) - r->exits -
			checked / GUEST_BATCH * GUEST_BATCH_EXITS;
		figure(r, name, "exits", "1/s", BETTER_LOWER, exits / seconds);
	}
	if (r->migrated >= 0) {
		moved = group_stat(&r->group, "gmem_migrated", false) -
			r->migrated;
		figure(r, name, "moved", "pages", BETTER_NONE, moved);
		/* Than in the window before, for each page that moved. */
		more = exits - r->exit_rate * seconds;
		if (moved && r->exit_rate >= 0)
			figure(r, name, "exits_moved", "1/page", BETTER_LOWER,
			       more / moved);
	}
	r->exit_rate = exits / seconds;

	out = json_add(r->histograms, NULL, json_object());
	snprintf(full, sizeof(full), "%s.gap", name);
	json_add_string(out, "name", full);
	json_add_string(out, "unit", "ns");
	buckets = json_add(out, "buckets", json_array());
	for (i = 0; i < GAPS_BUCKETS; i++) {
		if (!gaps.nr[i])
			continue;
		bucket = json_add(buckets, NULL, json_array());
		json_add(bucket, NULL, json_number(gaps_floor(i) / hz * 1e9));
		json_add(bucket, NULL, json_number(gaps.nr[i]));
	}
	gaps_snapshot(r);
}
