/* SPDX-License-Identifier: GPL-2.0 */
/* What can be read of the allocator at one moment. */
#ifndef GMEM_BENCH_READING_H
#define GMEM_BENCH_READING_H

#include "census.h"
#include "group.h"
#include "json.h"

struct reader {
	struct pfn_set guest_pfns;
	struct pfn_set not_guest;
};

/*
 * Before there are guests: gets the program's own memory out of the way, and
 * turns off what would tidy up without being asked.
 */
void reader_init(struct reader *r);

/*
 * Everything, with nothing hidden in the per-CPU lists. @g may be without
 * members. Appended to @to, which is a list of readings.
 */
struct json *reader_read(struct reader *r, struct group *g, const char *name,
			 double seconds, struct json *to);

#endif
