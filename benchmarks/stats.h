/* SPDX-License-Identifier: GPL-2.0 */
/* Means, deviations, and whether two of them differ by more than chance. */
#ifndef GMEM_BENCH_STATS_H
#define GMEM_BENCH_STATS_H

#include <stddef.h>

double stats_mean(const double *values, size_t nr);
/* Of the sample (n - 1); 0 for fewer than two values. */
double stats_deviation(const double *values, size_t nr);

/* Two-sided p of Student's t with @df degrees of freedom. */
double stats_student_p(double t, double df);

/*
 * p of Welch's t-test, two-sided: how likely means so far apart are if both
 * samples come from populations with the same mean, of any variances. Values
 * that do not vary at all, as on the instruction clock, are compared exactly:
 * 1 where they are equal, 0 where not. -1 where either sample has fewer than
 * two values, as nothing is known about its variance then.
 */
double stats_welch_p(const double *a, size_t nr_a, const double *b,
		     size_t nr_b);

#endif
