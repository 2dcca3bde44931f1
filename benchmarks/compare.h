/* SPDX-License-Identifier: GPL-2.0 */
/* Two result sets, figure by figure. */
#ifndef GMEM_BENCH_COMPARE_H
#define GMEM_BENCH_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "result.h"

struct samples {
	double *values;
	size_t nr;
	double mean;
	double deviation;
};

/* One line of the table. */
struct comparison {
	char *scenario;		/* with the variant, where there are several */
	char *name;
	char *unit;
	enum better better;
	struct samples a, b;
	double difference;	/* of b from a, in percent of a; may be infinite */
	double p;		/* see stats_welch_p() */
	bool significant;
	int verdict;		/* 1 where b is better, -1 where it is worse */
	bool regression;
	struct comparison *next;
};

struct compare {
	double alpha;		/* differences less likely by chance count */
	double threshold;	/* percent that a regression must exceed */
	bool force;		/* whatever the runs were made with */

	struct comparison *first;
	size_t nr_failed;	/* runs that failed, and are not counted */
	size_t nr_missing;	/* figures that only the first set has */
	size_t nr_regressions;
	const char *error;	/* why the sets cannot be compared */
};

/* With alpha and threshold set. False where @cmp->error is. */
bool compare_sets(struct compare *cmp, const struct result_set *a,
		  const struct result_set *b);
/* Is there any figure that both sets have? */
bool compare_has_common(const struct compare *cmp);

#endif
