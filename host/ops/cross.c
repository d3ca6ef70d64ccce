/* Launches cl/cross.cl. */
#include <math.h>

#include "ops/op.h"

status cross_plan(device *d, op_plan *p, attention_shape s, unsigned use)
{
    char result[RESULT_OPTIONS];
    size_t group = (size_t)op_items(d);
    double values = (double)s.batch * s.tokens * s.heads * s.head_dim;
    float scale = (float)(1.0 / sqrt(s.head_dim));
    plan_begin(
        p, "cross",
        (work){.flops = 8 * values, .bytes = (4 + op_bytes(d, use & WRITES_FACTORS)) * values},
        "N=%d T=%d H=%d d=%d", s.batch, s.tokens, s.heads, s.head_dim);
    launch_prepare(&p->launches[0],
                   RANGE(round_up((size_t)s.tokens * (size_t)s.heads, group), (size_t)s.batch),
                   RANGE(group), ARG(s.tokens), ARG(s.heads), ARG(s.head_dim), ARG(scale));
    op_result_options(result, d, use);
    return program_get(d, &p->launches[0].k, "cross.cl", "cross_attention", "%s", result);
}

status op_cross(device *d, const op_plan *p, buf out, buf q, const modulation *keys_values)
{
    return plan_launch(d, p, ARG(out), ARG(q), ARG(keys_values->values), ARG(keys_values->rows),
                       ARG(keys_values->stride), ARG(keys_values->first_row),
                       ARG(keys_values->rows_at));
}
