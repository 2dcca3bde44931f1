// SPDX-License-Identifier: GPL-2.0
/*
 * The guest: fill the memory once, then check and rewrite it for ever, and
 * note how long each little piece of that took.
 */
#include <stdint.h>

#include "clock.h"
#include "gaps.h"
#include "guest.h"
#include "pattern.h"
#include "protocol.h"

static struct cpu {
	struct gaps gaps;
	uint64_t last;
} cpus[GUEST_CPUS];

static void note_gap(struct cpu *c)
{
	uint64_t now = clock_ticks();

	gaps_note(&c->gaps, now - c->last);
	c->last = now;
}

static void send_gaps(struct cpu *c)
{
	uint64_t i;

	for (i = 0; i < GAPS_BUCKETS; i++) {
		if (c->gaps.nr[i])
			mmio_write(REG_GAPS, i << 48 | c->gaps.nr[i]);
		c->gaps.nr[i] = 0;
	}
	mmio_write(REG_GAPS_END, c->gaps.longest);
	c->gaps.longest = 0;
}

static int check_page(struct cpu *c, uint64_t *p, uint64_t word, uint64_t next)
{
	unsigned int wrong = 0, i;

	for (i = 0; i < PATTERN_WORDS; i += GAPS_WORDS) {
		wrong += pattern_check_part(p + i, GAPS_WORDS,
					    word + i * PATTERN_STEP,
					    next + i * PATTERN_STEP);
		note_gap(c);
	}
	return wrong;
}

/* Returns the percentage of pages that the guest no longer has. */
static unsigned int obey(struct cpu *c, unsigned int balloon, uint64_t pass)
{
	uint64_t command = mmio_read(REG_COMMAND);
	unsigned int want = command >> COMMAND_BALLOON_SHIFT;

	if (command & COMMAND_GAPS)
		send_gaps(c);
	if (command & COMMAND_STOP)
		mmio_write(REG_STOPPED, pass);
	if (want > balloon) {
		balloon = want;
		mmio_write(REG_BALLOON, balloon);
	}
	return balloon;
}

static void fill(unsigned long base, uint64_t nr_pages, uint64_t seed,
		 uint64_t step)
{
	uint64_t page;

	for (page = 0; page < nr_pages; page++) {
		pattern_write((uint64_t *)(base + page * PATTERN_PAGE),
			      pattern_first(seed, page, 0));
		if ((page + 1) % step == 0 || page + 1 == nr_pages)
			mmio_write(REG_FAULTED, page + 1);
	}
}

/* The first vCPU fills all of the memory, before any other one runs. */
void guest_main(uint64_t nr_pages, uint64_t seed, uint64_t step, uint64_t cpu,
		uint64_t nr_cpus)
{
	uint64_t first = GUEST_PART(nr_pages, cpu, nr_cpus);
	uint64_t end = GUEST_PART(nr_pages, cpu + 1, nr_cpus);
	unsigned long base = GUEST_BASE + GUEST_IMAGE;
	uint64_t page, pass, unreported = 0;
	struct cpu *c = &cpus[cpu];
	unsigned int balloon = 0;

	if (cpu == 0)
		fill(base, nr_pages, seed, step);

	c->last = clock_ticks();
	for (pass = 0;; pass++) {
		for (page = first; page < end; page++) {
			uint64_t *p = (uint64_t *)(base + page * PATTERN_PAGE);

			/* One that is ballooned away counts as looked at. */
			if (!pattern_ballooned(seed, page, balloon) &&
			    check_page(c, p, pattern_first(seed, page, pass),
				       pattern_first(seed, page, pass + 1)))
				mmio_write(REG_MISMATCH, page);
			if (++unreported < GUEST_BATCH)
				continue;
			mmio_write(REG_CHECKED, unreported);
			unreported = 0;
			balloon = obey(c, balloon, pass);
			/* What the VMM made of the answer is not a gap. */
			c->last = clock_ticks();
		}
	}
}
