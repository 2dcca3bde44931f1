/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How long a guest that never sleeps was held up, in ticks of its counter: a
 * histogram with eight buckets for each power of two, so that a figure taken
 * from it is off by at most an eighth.
 */
#ifndef GMEM_BENCH_GAPS_H
#define GMEM_BENCH_GAPS_H

#include <stdint.h>

/* A look at the clock for every so many words that are checked. */
#define GAPS_WORDS	64

#define GAPS_FINE	8
/* Up to 2^42 ticks: an hour of the fastest counter. */
#define GAPS_BUCKETS	(40 * GAPS_FINE)

static inline unsigned int gaps_bucket(uint64_t ticks)
{
	unsigned int octave, bucket;

	if (ticks < GAPS_FINE)
		return ticks;
	octave = 63 - __builtin_clzll(ticks);
	/* The three bits behind the leading one choose among the eight. */
	bucket = (octave - 2) * GAPS_FINE +
		 ((ticks >> (octave - 3)) & (GAPS_FINE - 1));
	return bucket < GAPS_BUCKETS ? bucket : GAPS_BUCKETS - 1;
}

/* The smallest number of ticks in @bucket. */
static inline uint64_t gaps_floor(unsigned int bucket)
{
	unsigned int octave = bucket / GAPS_FINE + 2;

	if (bucket < GAPS_FINE)
		return bucket;
	return (uint64_t)(GAPS_FINE + bucket % GAPS_FINE) << (octave - 3);
}

struct gaps {
	uint64_t nr[GAPS_BUCKETS];
	uint64_t longest;
};

/*
 * What @percent of all gaps do not exceed, in ticks: as if those in a bucket were
 * spread evenly, or two runs that are nearly the same could be a bucket apart.
 */
static inline double gaps_percentile(const struct gaps *gaps, double percent)
{
	double total = 0, wanted;
	unsigned int i;

	for (i = 0; i < GAPS_BUCKETS; i++)
		total += gaps->nr[i];
	wanted = total * percent / 100;
	for (i = 0; i < GAPS_BUCKETS - 1 && wanted > gaps->nr[i]; i++)
		wanted -= gaps->nr[i];
	if (!gaps->nr[i])
		return gaps_floor(i);
	return gaps_floor(i) + wanted / gaps->nr[i] *
	       (gaps_floor(i + 1) - gaps_floor(i));
}

/* A gap of @ticks. */
static inline void gaps_note(struct gaps *gaps, uint64_t ticks)
{
	gaps->nr[gaps_bucket(ticks)]++;
	if (ticks > gaps->longest)
		gaps->longest = ticks;
}

#endif
