/* Launches cl/condition.cl. */
#include "ops/op.h"
#include "ops/ops.h"

status op_condition_combine(device *d, buf out, buf embedded, buf table, buf labels, int rows,
                            int width)
{
    kernel *k;
    size_t group = (size_t)op_items(d);
    record_work(d, "condition_combine", (work){.bytes = 12.0 * rows * width}, "%dx%d", rows, width);
    status st = program_get(d, &k, "condition.cl", "condition_combine", "-DVEC=1");
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)width, group), (size_t)rows), RANGE(group), ARG(out),
                  ARG(embedded), ARG(table), ARG(labels), ARG(width));
}

status op_condition_tokens(device *d, buf out, buf embedded, buf table, buf labels, int rows,
                           int width)
{
    kernel *k;
    size_t group = (size_t)op_items(d);
    record_work(d, "condition_tokens", (work){.bytes = 16.0 * rows * width}, "%dx%d", 2 * rows,
                width);
    status st = program_get(d, &k, "condition.cl", "condition_tokens", "-DVEC=1");
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)width, group), (size_t)rows), RANGE(group), ARG(out),
                  ARG(embedded), ARG(table), ARG(labels), ARG(width));
}

status op_condition_prepend(device *d, buf out, buf x, const modulation *context, int batch,
                            int tokens, int width)
{
    kernel *k;
    size_t group = (size_t)op_items(d), all = (size_t)tokens + 2;
    record_work(d, "prepend", (work){.bytes = 8.0 * batch * (double)all * width}, "%dx%zux%d",
                batch, all, width);
    status st = program_get(d, &k, "condition.cl", "condition_prepend", "-DVEC=1");
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)width, group), all, (size_t)batch), RANGE(group),
                  ARG(out), ARG(x), ARG(context->values), ARG(context->rows), ARG(width),
                  ARG(tokens), ARG(context->first_row), ARG(context->rows_at));
}
