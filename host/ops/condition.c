/* Launches cl/condition.cl. */
#include "ops/op.h"

status condition_combine_plan(device *d, op_plan *p, int rows, int width)
{
    size_t group = (size_t)op_items(d);
    plan_begin(p, "condition_combine", (work){.bytes = 12.0 * rows * width}, "%dx%d", rows, width);
    launch_prepare(&p->launches[0], RANGE(round_up((size_t)width, group), (size_t)rows),
                   RANGE(group), ARG(width));
    return program_get(d, &p->launches[0].k, "condition.cl", "condition_combine", "-DVEC=1");
}

status op_condition_combine(device *d, const op_plan *p, buf out, buf embedded, buf table,
                            buf labels)
{
    return plan_launch(d, p, ARG(out), ARG(embedded), ARG(table), ARG(labels));
}

status condition_tokens_plan(device *d, op_plan *p, int rows, int width)
{
    size_t group = (size_t)op_items(d);
    plan_begin(p, "condition_tokens", (work){.bytes = 16.0 * rows * width}, "%dx%d", 2 * rows,
               width);
    launch_prepare(&p->launches[0], RANGE(round_up((size_t)width, group), (size_t)rows),
                   RANGE(group), ARG(width));
    return program_get(d, &p->launches[0].k, "condition.cl", "condition_tokens", "-DVEC=1");
}

status op_condition_tokens(device *d, const op_plan *p, buf out, buf embedded, buf table,
                           buf labels)
{
    return plan_launch(d, p, ARG(out), ARG(embedded), ARG(table), ARG(labels));
}

status condition_prepend_plan(device *d, op_plan *p, int batch, int tokens, int width)
{
    size_t group = (size_t)op_items(d), all = (size_t)tokens + 2;
    plan_begin(p, "prepend", (work){.bytes = 8.0 * batch * (double)all * width}, "%dx%zux%d", batch,
               all, width);
    launch_prepare(&p->launches[0], RANGE(round_up((size_t)width, group), all, (size_t)batch),
                   RANGE(group), ARG(width), ARG(tokens));
    return program_get(d, &p->launches[0].k, "condition.cl", "condition_prepend", "-DVEC=1");
}

status op_condition_prepend(device *d, const op_plan *p, buf out, buf x, const modulation *context)
{
    return plan_launch(d, p, ARG(out), ARG(x), ARG(context->values), ARG(context->rows),
                       ARG(context->first_row), ARG(context->rows_at));
}
