/* SPDX-License-Identifier: GPL-2.0 */
/* Have the kernel compact its memory. */
#ifndef GMEM_BENCH_COMPACT_H
#define GMEM_BENCH_COMPACT_H

#include <stdbool.h>

/*
 * All that kcompactd can do on its own. False where there is none, or where it
 * has not come to an end.
 */
bool compact_by_kcompactd(void);
/*
 * compact_memory. @timed: undisturbed(). False where the kernel does not compact.
 */
bool compact_by_hand(bool timed);
/* CPU time of the first kcompactd so far, 0 where there is none. */
double kcompactd_cpu_seconds(void);
/*
 * While it is true, no ordinary task runs on the caller's CPU unless it waits. False
 * where that cannot be had.
 */
bool undisturbed(bool on);

#endif
