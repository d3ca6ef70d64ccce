/* Launches cl/fill.cl. */
#include <limits.h>

#include "base/fp16.h"
#include "ops/op.h"

status fill_plan(device *d, op_plan *p, size_t count)
{
    size_t group = (size_t)op_items(d);
    if (count > INT_MAX - group) return fail(ERR_LIMIT, "fill: %zu elements are too many", count);
    plan_begin(p, "fill", (work){.bytes = 4.0 * (double)count}, "%zu", count);
    launch_prepare(&p->launches[0], RANGE(round_up(count, group)), RANGE(group), ARG((int)count));
    return program_get(d, &p->launches[0].k, "fill.cl", "fill", " ");
}

status op_fill(device *d, const op_plan *p, buf b, float value)
{
    return plan_launch(d, p, ARG(b), ARG((int)float_bits(value)));
}
