/* The rule by which a result is right, the same for every operator, and the line that reports it.
 *
 * err = the largest |got - expected| / scale; tol = c * eps * sqrt(K). K is the number of rounded
 * terms of one value; their random errors grow like sqrt(K). c is a margin. Each operator test
 * states c and K. A result must be finite if and only if its reference is finite. */
#ifndef DITCL_OPTEST_COMPARE_H
#define DITCL_OPTEST_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    double c, k; /* c = 0: equal bits, except for the sign of zero */
} tolerance;

typedef struct {
    double err, tol;
    bool ok;
    size_t bad; /* first element beyond the tolerance, when not ok */
    double got, expected;
} comparison;

/* Widens t for sums of products whose inputs have fewer bits than fp32, with a relative error of at
 * most input_error each. Adds 12 times that error: a product of two random mantissas has 0.6 times
 * the error, and the errors of K terms grow as their sum does. The largest error of a million
 * results is 5 deviations. A gate, or the slope of an activation, may multiply it by 4. So 0.6 x 5
 * x 4 = 12. */
tolerance compare_narrow(tolerance t, double input_error);

/* scale[i] > 0: the magnitude at which element i was rounded. 0: the larger of |expected[i]| and
 * the root mean square of all finite expected values. */
comparison compare(const double *got, const double *expected, const double *scale, size_t count,
                   tolerance t);

/* "attention f32 N=2 T=77 H=3 d=72   err 2.1e-06 / tol 1.0e-05  ok" into line. */
void compare_line(char *line, size_t size, const char *name, const char *label,
                  const comparison *c);

#endif
