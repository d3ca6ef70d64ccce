/* When a result counts as right: one rule for every operator, and the line that reports it.
 *
 * err = the largest |got - expected| / scale, tol = c * eps * sqrt(K): K is the number of rounded
 * terms behind one value, c what is granted beyond a random walk of their roundings. Each operator
 * test states both. Where the reference is finite the result must be, and the other way round. */
#ifndef DITCL_OPTEST_COMPARE_H
#define DITCL_OPTEST_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    double c, k; /* c = 0: equal bit for bit, but for the sign of zero */
} tolerance;

typedef struct {
    double err, tol;
    bool ok;
    size_t bad; /* first element beyond the tolerance, when not ok */
    double got, expected;
} comparison;

/* t for sums of products whose inputs are rounded to less than fp32 has, with this relative error
 * of one at most: 12 times that is added. Random mantissas make it 0.6 for a product of two, the
 * errors of K terms add up as the terms do, the largest of a million results is 5 deviations off,
 * and a gate or an activation's slope may take four times that. */
tolerance compare_narrow(tolerance t, double input_error);

/* scale[i] > 0: the magnitude that element i was rounded at. 0: |expected[i]| or the root mean
 * square of all finite expected values, whichever is larger. */
comparison compare(const double *got, const double *expected, const double *scale, size_t count,
                   tolerance t);

/* "attention f32 N=2 T=77 H=3 d=72   err 2.1e-06 / tol 1.0e-05  ok" into line. */
void compare_line(char *line, size_t size, const char *name, const char *label,
                  const comparison *c);

#endif
