/* SPDX-License-Identifier: GPL-2.0 */
/* Who sits where: every page frame's user, summed up by 2 MiB block. */
#ifndef GMEM_BENCH_CENSUS_H
#define GMEM_BENCH_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"

/* Letters of the block map: these are what the report draws. */
#define BLOCK_FREE	'f'
#define BLOCK_PRIVATE	'p'
#define BLOCK_MOVABLE	'm'
#define BLOCK_OTHER	'k'
#define BLOCK_HOLE	'-'

/* A set of page frames. */
struct pfn_set {
	uint64_t start_pfn;
	uint64_t nr_pfns;
	uint8_t *bits;
};

void pfn_set_init(struct pfn_set *set, uint64_t start_pfn, uint64_t end_pfn);
void pfn_set_add(struct pfn_set *set, uint64_t pfn);
void pfn_set_del(struct pfn_set *set, uint64_t pfn);
bool pfn_set_has(const struct pfn_set *set, uint64_t pfn);
void pfn_set_clear(struct pfn_set *set);
/* Add the frames behind @size bytes of this process at @mem. */
void pfn_set_add_mapped(struct pfn_set *set, const void *mem, size_t size);
/* Has the page of this process at @mem a frame? */
bool page_present(const void *mem);
/* Add every frame that looks like guest_memfd's. */
void pfn_set_add_gmem(struct pfn_set *set);

/* One block from its pages' counts: the map's letter, and how full, 0 to 8. */
void census_block(const uint64_t count[256], char *letter, int *fill);

/*
 * Count all frames between the bounds of @guest. @guest: frames known to be
 * guest memory; @guest_letter: what to count those as; @gmem: whether frames
 * that look like guest_memfd's count as guest memory too, but for those in
 * @not_guest (files of the root file system look the same).
 */
struct json *census_json(const struct pfn_set *guest, char guest_letter,
			 bool gmem, const struct pfn_set *not_guest);

#endif
