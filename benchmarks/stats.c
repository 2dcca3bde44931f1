// SPDX-License-Identifier: GPL-2.0
#include <math.h>

#include "stats.h"

double stats_mean(const double *values, size_t nr)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < nr; i++)
		sum += values[i];
	return nr ? sum / nr : 0;
}

/* By how much equal means may differ, as numbers have an end. */
static double rounding(double mean)
{
	return 1e-12 * fabs(mean);
}

static double variance(const double *values, size_t nr)
{
	double mean = stats_mean(values, nr), sum = 0;
	size_t i;

	if (nr < 2)
		return 0;
	for (i = 0; i < nr; i++)
		sum += (values[i] - mean) * (values[i] - mean);
	sum /= nr - 1;
	return sum > rounding(mean) * rounding(mean) ? sum : 0;
}

double stats_deviation(const double *values, size_t nr)
{
	return sqrt(variance(values, nr));
}

/*
 * The continued fraction of the incomplete beta function, evaluated from the
 * front by Lentz's method. It converges quickly for x < (a + 1) / (a + b + 2).
 */
static double beta_fraction(double a, double b, double x)
{
	const double tiny = 1e-300;
	double c = 1, d = 1 - (a + b) * x / (a + 1), f;
	int m;

	if (fabs(d) < tiny)
		d = tiny;
	d = 1 / d;
	f = d;
	for (m = 1; m < 500; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x /
			     ((a + 2 * m) * (a + 2 * m + 1));
		double step;

		d = 1 + even * d;
		c = 1 + even / c;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		f *= c * d;

		d = 1 + odd * d;
		c = 1 + odd / c;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		step = c * d;
		f *= step;
		if (fabs(step - 1) < 1e-14)
			break;
	}
	return f;
}

/* The regularized incomplete beta function. */
static double incomplete_beta(double a, double b, double x)
{
	double front;

	if (x <= 0)
		return 0;
	if (x >= 1)
		return 1;
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) +
		    b * log1p(-x));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(a, b, x) / a;
	return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double stats_student_p(double t, double df)
{
	return incomplete_beta(df / 2, 0.5, df / (df + t * t));
}

double stats_welch_p(const double *a, size_t nr_a, const double *b,
		     size_t nr_b)
{
	double apart = stats_mean(a, nr_a) - stats_mean(b, nr_b);
	double error_a, error_b, error, df;

	if (nr_a < 2 || nr_b < 2)
		return -1;
	/* Squares of the standard errors of both means. */
	error_a = variance(a, nr_a) / nr_a;
	error_b = variance(b, nr_b) / nr_b;
	error = error_a + error_b;
	if (error == 0)
		return fabs(apart) <= rounding(stats_mean(a, nr_a));

	/* Degrees of freedom after Welch and Satterthwaite. */
	df = error * error / (error_a * error_a / (nr_a - 1) +
			      error_b * error_b / (nr_b - 1));
	return stats_student_p(apart / sqrt(error), df);
}
