/* SPDX-License-Identifier: GPL-2.0 */
/* A counter that guest and host read at user level, and that never stops. */
#ifndef GMEM_BENCH_CLOCK_H
#define GMEM_BENCH_CLOCK_H

#include <stdint.h>

static inline uint64_t clock_ticks(void)
{
#if defined(__aarch64__)
	uint64_t ticks;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r" (ticks));
	return ticks;
#elif defined(__x86_64__)
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a" (low), "=d" (high));
	return (uint64_t)high << 32 | low;
#else
#error "no clock for this architecture"
#endif
}

/* Two instructions for each of @n. */
static inline void clock_spin(uint64_t n)
{
#if defined(__aarch64__)
	__asm__ volatile("1: subs %0, %0, #1; b.ne 1b" : "+r" (n) : : "cc");
#elif defined(__x86_64__)
	__asm__ volatile("1: dec %0; jnz 1b" : "+r" (n) : : "cc");
#endif
}

#endif
