/* The tolerance rule and the report line. See compare.h. */
#include "optest/compare.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

static double root_mean_square(const double *x, size_t count)
{
    double squares = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(x[i])) {
            squares += x[i] * x[i];
            n++;
        }
    return n && squares > 0.0 ? sqrt(squares / (double)n) : 1.0;
}

tolerance compare_narrow(tolerance t, double input_error)
{
    t.c += 12.0 * input_error / (FLT_EPSILON * sqrt(t.k));
    return t;
}

comparison compare(const double *got, const double *expected, const double *scale, size_t count,
                   tolerance t)
{
    comparison c = {.tol = t.c * FLT_EPSILON * sqrt(t.k), .ok = true};
    double common = root_mean_square(expected, count);
    for (size_t i = 0; i < count; i++) {
        double err = 0.0;
        if (isfinite(got[i]) && isfinite(expected[i]))
            err = fabs(got[i] - expected[i]) /
                  (scale[i] > 0.0 ? scale[i] : fmax(common, fabs(expected[i])));
        else if (isfinite(got[i]) || isfinite(expected[i]))
            err = INFINITY;
        if (err > c.err) c.err = err;
        if (err > c.tol && c.ok) {
            c.ok = false;
            c.bad = i;
            c.got = got[i];
            c.expected = expected[i];
        }
    }
    return c;
}

void compare_line(char *line, size_t size, const char *name, const char *label, const comparison *c)
{
    snprintf(line, size, "%-10s f32 %-44s err %.1e / tol %.1e  %s", name, label, c->err, c->tol,
             c->ok ? "ok" : "WRONG");
}
