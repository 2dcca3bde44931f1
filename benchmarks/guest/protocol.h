/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the guest and the VMM talk: 64-bit accesses to one page of MMIO. A
 * protected guest can do that much without sharing a page.
 */
#ifndef GMEM_BENCH_PROTOCOL_H
#define GMEM_BENCH_PROTOCOL_H

#define GUEST_MMIO	0x09000000UL
#define GUEST_BASE	0x80000000UL
/* Code and stack of the guest; the memory that it checks lies behind. */
#define GUEST_IMAGE	0x10000UL
/* The vCPUs' stacks are at the end of it, the first one's last. */
#define GUEST_CPUS	8
#define GUEST_STACK_SHIFT	11

/* Written by the guest: by each of its vCPUs, but for the first register. */
#define REG_FAULTED	0x00	/* pages written for the first time */
#define REG_CHECKED	0x08	/* pages checked since the last report */
#define REG_MISMATCH	0x10	/* number of a page with wrong content */
#define REG_STOPPED	0x18	/* the last report, with any value */
#define REG_FAULT	0x20	/* the guest took an exception: its cause */
#define REG_BALLOON	0x28	/* it has let go of this percentage of pages */
#define REG_GAPS	0x30	/* bucket << 48 | count, see gaps.h */
#define REG_GAPS_END	0x38	/* longest gap; the buckets were all sent */
/* Read by the guest. */
#define REG_COMMAND	0x40

/* The lowest bits; the percentage of pages to let go of is above. */
#define COMMAND_STOP	(1 << 0)
#define COMMAND_GAPS	(1 << 1)	/* send the gaps, and forget them */
#define COMMAND_BALLOON_SHIFT	8

/* A report every so many pages, and how often the guest exits for one. */
#define GUEST_BATCH	256
#define GUEST_BATCH_EXITS	2

/* The first of the pages that vCPU @cpu of @cpus checks. */
#define GUEST_PART(nr_pages, cpu, cpus)	((nr_pages) * (cpu) / (cpus))

#endif
