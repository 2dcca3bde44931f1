/* SPDX-License-Identifier: GPL-2.0 */
/* Ask for contiguous memory, and see what comes of it. */
#ifndef GMEM_BENCH_CONTIG_H
#define GMEM_BENCH_CONTIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

/* Attempts: how long those took that worked, and those that did not. */
struct contig_tries {
	struct durations ok, failed;
	const char *error;	/* why there were none */
};

/* Growth of the pool of hugetlb pages. */
struct contig_pool {
	uint64_t wanted;
	uint64_t got;
	double seconds;
};

/*
 * Grow the pool of pages of @size bytes to @percent of the free memory, and
 * shrink it again. False where the kernel has no pages of that size.
 */
bool contig_pool_grow(struct contig_pool *pool, uint64_t size,
		      unsigned int percent);

/*
 * Touch @percent of the free memory, huge page by huge page, as programs do
 * that have asked for them by madvise(). A try has worked if a huge page is
 * behind it afterwards.
 */
void contig_thp(struct contig_tries *tries, unsigned int percent);

/*
 * Allocate @size bytes from the largest CMA area, and keep them: what comes next
 * is to find memory that nobody has cleared for it.
 */
void contig_cma(struct contig_tries *tries, uint64_t size);
/* Free all that contig_cma() has got. */
void contig_cma_free(void);

/*
 * Move everything out of the largest CMA area, piece by piece, and give it
 * back. Returns how many of its pages were got, 0 where there is no area.
 */
uint64_t contig_sweep_cma(void);

/* Take every block of memory offline that can be, and bring it back. */
void contig_offline(struct contig_tries *tries);

#endif
