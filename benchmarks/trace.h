/* SPDX-License-Identifier: GPL-2.0 */
/* Moves as the kernel's tracepoints tell them, in a tracefs instance. */
#ifndef GMEM_BENCH_TRACE_H
#define GMEM_BENCH_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"

/*
 * Count every move by backend and result; with @each, keep every single event
 * too. False where the kernel has no such tracepoint.
 */
bool trace_start(bool each);

/* { "pkvm": { "moved": n, "failed": n, "errors": { "-11": n } } } */
struct json *trace_backends(void);
/* How the compaction runs ended: { status: runs }. */
struct json *trace_compaction(void);
/* Of the successful moves kept by trace_start(true): count, percentiles. */
struct json *trace_durations(void);

/* The parsers behind them. */
struct json *trace_parse_backends(const char *hist, const char *format);
struct json *trace_parse_durations(const char *events);
/* Nearest-rank percentile of sorted values. */
uint64_t percentile(const uint64_t *sorted, size_t nr, double percent);

#endif
