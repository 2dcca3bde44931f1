/* SPDX-License-Identifier: GPL-2.0 */
/* What a guest payload gets from its architecture. */
#ifndef GMEM_BENCH_GUEST_H
#define GMEM_BENCH_GUEST_H

#include <stdint.h>

/* Called by the start code, with the stack set up. Never returns. */
void guest_main(uint64_t nr_pages, uint64_t seed, uint64_t step, uint64_t cpu,
		uint64_t cpus);

void mmio_write(unsigned long reg, uint64_t value);
uint64_t mmio_read(unsigned long reg);

#endif
