/* SPDX-License-Identifier: GPL-2.0 */
/* The page allocator's own account of its free memory. */
#ifndef GMEM_BENCH_BUDDY_H
#define GMEM_BENCH_BUDDY_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"

#define MAX_ORDERS	16
/* 2 MiB with 4 KiB pages, on arm64 and x86 alike: what a huge page needs. */
#define HPAGE_ORDER	9
#define HPAGE_PAGES	(1UL << HPAGE_ORDER)

/* Free blocks of each order, all zones together. */
struct buddy {
	int nr_orders;
	uint64_t blocks[MAX_ORDERS];
};

/* Every zone in one range of page frames, and what the CPUs hold back. */
struct zones {
	uint64_t start_pfn;
	uint64_t end_pfn;
	uint64_t pcp_pages;
};

/* From the text of /proc/buddyinfo and /proc/zoneinfo. */
bool buddy_parse(struct buddy *buddy, const char *text);
bool zones_parse(struct zones *zones, const char *text);

bool buddy_read(struct buddy *buddy);
bool zones_read(struct zones *zones);

uint64_t buddy_free_pages(const struct buddy *buddy);
/* Pages in blocks of @order or more. */
uint64_t buddy_pages_from(const struct buddy *buddy, int order);
/* The same as a share of all free memory, in percent. */
double buddy_share_from(const struct buddy *buddy, int order);
/*
 * Share of the free memory that no allocation of @order can use, 0 to 1: what
 * /sys/kernel/debug/extfrag/unusable_index says for one zone.
 */
double buddy_unusable(const struct buddy *buddy, int order);

/*
 * Why an allocation of @order would fail: 0 for a lack of memory, towards 1 for
 * its fragmentation; -1 where it would not fail. What extfrag_index says.
 */
double buddy_extfrag(const struct buddy *buddy, int order);

/*
 * Return the pages in the per-CPU lists to the buddy allocator: they are
 * free, but neither visible in buddyinfo nor able to merge. Returns the name
 * of the way that was found.
 */
const char *drain_pcp(void);

/* Everything that can be read of the allocator now. */
struct json *buddy_json(void);

#endif
