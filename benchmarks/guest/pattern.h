/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a page contains: every word of it depends on the page, on whom it
 * belongs to and on how often it was rewritten, so a page that is swapped
 * with another, torn, wiped or one write behind is noticed in every word.
 * Used by the guests and, for memory without a guest, by the program itself.
 */
#ifndef GMEM_BENCH_PATTERN_H
#define GMEM_BENCH_PATTERN_H

#include <stdint.h>

#define PATTERN_PAGE	4096UL
#define PATTERN_WORDS	(PATTERN_PAGE / sizeof(uint64_t))
#define PATTERN_STEP	0x9e3779b97f4a7c15ULL

static inline uint64_t pattern_first(uint64_t seed, uint64_t page,
				     uint64_t pass)
{
	uint64_t x = seed * PATTERN_STEP + page;

	x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9ULL + pass;
	x = (x ^ (x >> 29)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 32);
}

static inline void pattern_write(volatile uint64_t *page, uint64_t word)
{
	unsigned int i;

	for (i = 0; i < PATTERN_WORDS; i++, word += PATTERN_STEP)
		page[i] = word;
}

/*
 * Expect @nr words of a page as @word says and leave them as @next says; both
 * are of the first of these words. Words wrong.
 */
static inline unsigned int pattern_check_part(volatile uint64_t *words,
					      unsigned int nr, uint64_t word,
					      uint64_t next)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < nr; i++) {
		if (words[i] != word)
			wrong++;
		words[i] = next;
		word += PATTERN_STEP;
		next += PATTERN_STEP;
	}
	return wrong;
}

static inline unsigned int pattern_check(volatile uint64_t *page,
					 uint64_t word, uint64_t next)
{
	return pattern_check_part(page, PATTERN_WORDS, word, next);
}

/* Is the page among the @percent of all that a balloon takes away? */
static inline int pattern_ballooned(uint64_t seed, uint64_t page,
				    unsigned int percent)
{
	return percent && pattern_first(seed, page, ~0ULL) % 100 < percent;
}

#endif
