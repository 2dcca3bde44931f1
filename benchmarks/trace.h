/* SPDX-License-Identifier: GPL-2.0 */
/* Moves as the kernel's tracepoints tell them, in a tracefs instance. */
#ifndef GMEM_BENCH_TRACE_H
#define GMEM_BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "json.h"

/*
 * Count every move by backend and result; with @each, keep every single event
 * too. False where the kernel has no such tracepoint. What was put into the kernel is
 * taken out of it when the program ends.
 */
bool trace_start(bool each);

/* { "pkvm": { "moved": n, "failed": n, "errors": { "-11": n } } } */
struct json *trace_backends(void);
/* How the compaction runs ended: { status: runs }. */
struct json *trace_compaction(void);
/* Of the successful moves kept by trace_start(true): count, percentiles. */
struct json *trace_durations(void);

/* How long things took, in ns, in the order in which they happened. */
struct durations {
	uint64_t *ns;
	size_t nr;
	/*
	 * Where one is a batch: pages of all, and of those that do not count. Where
	 * one is a move: how many pages that was, as some move several times.
	 */
	uint64_t pages, dropped;
};

/*
 * Time every call of migrate_pages() from now on, whoever's pages they are, and
 * every move of a guest_memfd folio where the kernel can move them. False where
 * the kernel cannot tell.
 */
bool trace_moves_start(void);
/* Forget what was timed so far. */
void trace_moves_clear(void);
/*
 * Per page of each call in which all pages were moved, and per folio of
 * guest_memfd. False where events were lost.
 */
bool trace_moves(struct durations *pages, struct durations *folios);

/* Moves of one backend, as a histogram of the kernel's has counted them. */
struct watched {
	char backend[32];
	struct durations moved;	/* sorted, to 250 ns */
	uint64_t refused;
};

#define MAX_BACKENDS	8

/* False where the kernel cannot tell. */
bool trace_watch_start(void);
/* Returns how many backends there were. Dies if the histogram was full. */
int trace_watch_end(struct watched *backends);

/* The parsers behind them. */
int trace_parse_watch(struct watched *backends, const char *hist,
		      const char *format);
void trace_parse_moves(struct durations *pages, struct durations *folios,
		       FILE *events);
struct json *trace_parse_backends(const char *hist, const char *format);
void durations_add(struct durations *d, uint64_t ns);
/* Nearest-rank percentile of sorted values. */
void durations_sort(struct durations *d);
double durations_mean(const struct durations *d);
uint64_t percentile(const uint64_t *sorted, size_t nr, double percent);

#endif
