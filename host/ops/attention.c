/* Attention: plans and launches. All implementations make one pass with online softmax. */
#include "ops/attention.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "ops/op.h"

void attention_sizes(int shape[SHAPE_SIZES], attention_shape s)
{
    const int all[SHAPE_SIZES] = {s.batch, s.tokens, s.heads, s.head_dim};
    memcpy(shape, all, sizeof all);
}

float attention_scale(attention_shape s)
{
    return 1.44269504f / sqrtf((float)s.head_dim);
}

void attention_split(int *tiles, int *splits, const device *d, attention_shape s, size_t all)
{
    size_t units = d->info.compute_units ? d->info.compute_units : 1, best = 0;
    for (size_t n = 1; n <= all; n++) {
        size_t each = ceil_div(all, n), groups = ceil_div(all, each);
        size_t rounds = ceil_div(groups * (size_t)s.heads * (size_t)s.batch, units);
        size_t cost = rounds * (3 * each + 1);
        if (best && cost >= best) continue;
        best = cost;
        *tiles = (int)each;
        *splits = (int)groups;
    }
}

/* Factors have the format of the device's matrix units. */
static unsigned all_factors(const device *d)
{
    return mma_of(d) ? READS_FACTORS | WRITES_FACTORS : 0;
}

unsigned attention_factors(const device *d, attention_shape s)
{
    int shape[SHAPE_SIZES];
    attention_sizes(shape, s);
    op_choice c = impl_choose(d, &operators[OP_ATTENTION], shape, false);
    return c.config ? impl_use(c.impl, shape, all_factors(d)) : 0;
}

status attention_plan(device *d, op_plan *p, size_t *scratch, attention_shape s, unsigned wanted)
{
    int shape[SHAPE_SIZES];
    double rows = (double)s.batch * s.tokens, width = (double)s.heads * s.head_dim;
    op_choice c;
    status st = OK;
    *scratch = 0;
    wanted &= all_factors(d);
    /* the kernels' offsets within one sample of a batch are ints */
    if ((size_t)s.tokens * 3 * (size_t)s.heads * (size_t)s.head_dim > INT_MAX)
        return fail(ERR_LIMIT, "attention over %d tokens of %d channels is too large", s.tokens,
                    s.heads * s.head_dim);
    attention_sizes(shape, s);
    TRY(impl_choose_right(d, &c, &operators[OP_ATTENTION], shape, wanted, false));
    unsigned fused = impl_use(c.impl, shape, wanted);
    double each = 3 * op_bytes(d, fused & READS_FACTORS) + op_bytes(d, fused & WRITES_FACTORS);
    plan_begin(p, "attention",
               (work){.flops = 4 * rows * s.tokens * width,
                      .bytes = each * rows * width,
                      .on = c.impl->roof},
               "N=%d T=%d H=%d d=%d", s.batch, s.tokens, s.heads, s.head_dim);
    p->choice = c;
    op_note_ran(d, c);
    memcpy(p->shape, shape, sizeof shape);
    p->epilogue.fused = fused;
    if (c.impl->attention.scratch) TRY(c.impl->attention.scratch(d, c.config, scratch, s));
    TRY(c.impl->attention.plan(d, p, s));
done:
    return st;
}

unsigned attention_fused(const op_plan *p)
{
    return p->epilogue.fused;
}

status op_attention(device *d, const op_plan *p, buf out, buf qkv, buf scratch)
{
    const prepared_launch *l = &p->launches[0];
    record_work(d, &p->announcing);
    return p->choice.impl->attention.scratch
               ? launch_prepared(d, l, ARG(out), ARG(qkv), ARG(scratch))
               : launch_prepared(d, l, ARG(out), ARG(qkv));
}

double attention_input_error(const op_plan *p)
{
    return op_choice_error(p->choice);
}
