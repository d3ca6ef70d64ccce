/* Begins plans; how results are stored. See op.h. */
#include "ops/op.h"

#include <stdarg.h>
#include <stdio.h>

void plan_begin(op_plan *p, const char *name, work w, const char *shape, ...)
{
    va_list args;
    *p = (op_plan){.announcing = {.name = name, .done = w}};
    va_start(args, shape);
    vsnprintf(p->announcing.shape, sizeof p->announcing.shape, shape, args);
    va_end(args);
}

bool op_has_factors(const device *d)
{
    return d->family == FAMILY_GPU && mma_of(d);
}

size_t op_factor_words(const device *d, size_t count)
{
    return count * (size_t)mma_parts(d) / 2;
}

void op_result_options(char out[RESULT_OPTIONS], const device *d, unsigned use)
{
    char factors[FACTOR_OPTIONS];
    snprintf(out, RESULT_OPTIONS, " ");
    if (!(use & WRITES_FACTORS)) return;
    mma_factor_options(factors, d, mma_of(d));
    snprintf(out, RESULT_OPTIONS, " -DWRITES_FACTORS=1 %s", factors);
}
