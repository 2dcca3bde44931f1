/* SPDX-License-Identifier: GPL-2.0 */
/* Have the kernel compact its memory. */
#ifndef GMEM_BENCH_COMPACT_H
#define GMEM_BENCH_COMPACT_H

#include <stdbool.h>

/* All that kcompactd can do on its own. */
void compact_by_kcompactd(void);
/*
 * compact_memory. @timed: undisturbed().
 */
void compact_by_hand(bool timed);
/* While it is true, no ordinary task runs on the caller's CPU unless it waits. */
void undisturbed(bool on);

#endif
