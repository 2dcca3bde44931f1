// SPDX-License-Identifier: GPL-2.0
/* The guest: fill the memory once, then check and rewrite it for ever. */
#include <stdint.h>

#include "pattern.h"
#include "protocol.h"
#include "guest.h"

void guest_main(uint64_t nr_pages, uint64_t seed, uint64_t step)
{
	unsigned long base = GUEST_BASE + GUEST_IMAGE;
	uint64_t page, pass, unreported = 0;

	for (page = 0; page < nr_pages; page++) {
		pattern_write((uint64_t *)(base + page * PATTERN_PAGE),
			      pattern_first(seed, page, 0));
		if ((page + 1) % step == 0 || page + 1 == nr_pages)
			mmio_write(REG_FAULTED, page + 1);
	}

	for (pass = 0;; pass++) {
		for (page = 0; page < nr_pages; page++) {
			uint64_t *p = (uint64_t *)(base + page * PATTERN_PAGE);

			if (pattern_check(p, pattern_first(seed, page, pass),
					  pattern_first(seed, page, pass + 1)))
				mmio_write(REG_MISMATCH, page);
			if (++unreported < GUEST_BATCH)
				continue;
			mmio_write(REG_CHECKED, unreported);
			unreported = 0;
			if (mmio_read(REG_COMMAND) == COMMAND_STOP)
				mmio_write(REG_STOPPED, pass);
		}
	}
}
