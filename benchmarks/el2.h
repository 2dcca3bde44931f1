/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_BENCH_EL2_H
#define GMEM_BENCH_EL2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "trace.h"

/* What the functions are for, by their names. */
enum el2_step {
	EL2_COPY, EL2_WIPE, EL2_CACHES, EL2_TLB, EL2_TABLES, EL2_REST, EL2_STEPS,
};

struct el2_function {
	uint64_t addr;
	char *name;
	enum el2_step step;
	uint64_t now;		/* instructions in the call at hand */
	uint64_t total;		/* in all that count */
};

struct el2_profile {
	struct el2_function *functions;	/* in the order of their addresses */
	size_t nr;
	unsigned int calls;
	/* Instructions of each call that counts, sorted. */
	struct durations steps[EL2_STEPS], whole;
};

/*
 * Count the instructions of up to @max_calls hypercalls that get to @function,
 * from entry to entry. @symbols: nm -n of vmlinux; @log: QEMU's, one instruction
 * a line. False where there is no such call, or function.
 */
bool el2_read(struct el2_profile *p, FILE *symbols, FILE *log,
	      const char *function, unsigned int max_calls);

#endif
