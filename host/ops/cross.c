/* Launches cl/cross.cl. */
#include <math.h>

#include "ops/op.h"
#include "ops/ops.h"

status op_cross(device *d, buf out, buf q, const modulation *keys_values, attention_shape s)
{
    kernel *k;
    size_t group = (size_t)op_items(d);
    double values = (double)s.batch * s.tokens * s.heads * s.head_dim;
    float scale = (float)(1.0 / sqrt(s.head_dim));
    record_work(d, "cross", (work){.flops = 8 * values, .bytes = 8 * values}, "N=%d T=%d H=%d d=%d",
                s.batch, s.tokens, s.heads, s.head_dim);
    status st = program_get(d, &k, "cross.cl", "cross_attention", " ");
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)s.tokens * (size_t)s.heads, group), (size_t)s.batch),
                  RANGE(group), ARG(out), ARG(q), ARG(keys_values->values), ARG(keys_values->rows),
                  ARG(s.tokens), ARG(s.heads), ARG(s.head_dim), ARG(keys_values->stride),
                  ARG(keys_values->first_row), ARG(keys_values->rows_at), ARG(scale));
}
