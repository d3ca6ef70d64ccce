/* Begins plans. See op.h. */
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
