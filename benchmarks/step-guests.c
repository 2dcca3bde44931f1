// SPDX-License-Identifier: GPL-2.0
/* Steps: guests come, work, give memory back, and go. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "buddy.h"
#include "guest/pattern.h"
#include "run.h"

void step_fill(struct run *r, const struct step *step)
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
		result_fail(r->result, "the guests could not be started: %s",
			    group_error(g));
		return;
	}
	figure(r, "fill", "page", "ns", BETTER_LOWER,
	       (now_seconds() - start - (r->reading_time - looked)) * 1e9 /
	       need);
}

void step_stop(struct run *r, const struct step *step)
{
	const char *which = step->argv[0];
	int i;

	if (!need_guests(r, "stop", false))
		return;
	/* What they have is checked once more, before it is gone. */
	group_wait_pass(&r->group);
	for (i = 0; i < r->group.nr; i++)
		if (!strcmp(which, "all") ||
		    !strcmp(which, i % 2 ? "odd" : "even") ||
		    (isdigit((unsigned char)*which) && atoi(which) == i))
			group_destroy_member(&r->group.members[i]);
}

void step_start(struct run *r, const struct step *step)
{
	(void)step;
	if (need_guests(r, "start", false))
		group_start(&r->group);
}

void step_work(struct run *r, const struct step *step)
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

void step_balloon(struct run *r, const struct step *step)
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
	/* What a load takes or gives meanwhile is more than that. */
	if (!loads_run(r))
		figure(r, "balloon", "returned", "%", BETTER_HIGHER, expected ?
		       100.0 * ((double)buddy_free_pages(&buddy) - before) /
		       expected : 0);
}
