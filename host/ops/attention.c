/* Attention: which implementation serves. All make one pass with online softmax. */
#include "ops/attention.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ops/first_use.h"
#include "ops/op.h"

/* The first that fits serves, unless another was stored. */
static const attention_implementation *const table[] = {&attention_matrix,   &attention_cpu_pairs,
                                                        &attention_cpu,      &attention_mma,
                                                        &attention_mma_bf16, &attention_gpu};

enum { N_IMPLEMENTATIONS = sizeof table / sizeof *table };

void attention_sizes(int shape[TUNING_SIZES], attention_shape s)
{
    const int all[TUNING_SIZES] = {s.batch, s.tokens, s.heads, s.head_dim};
    memcpy(shape, all, sizeof all);
}

/* As DITCL_ATTENTION names it, else as it is stored, else the first; of those that some values let
 * serve the shape. Null where none do. */
static const attention_implementation *choose(const device *d, const int *shape, const int **values)
{
    const char *forced = getenv("DITCL_ATTENTION");
    const tuning *stored = tuning_serving(d, "attention", shape);
    for (int pass = 0; pass < 3; pass++)
        for (int i = 0; i < N_IMPLEMENTATIONS; i++) {
            const tuning *t = table[i]->tuned;
            if (!table[i]->fits(d)) continue;
            if (pass == 0 && (!forced || strcmp(t->kind, forced) != 0)) continue;
            if (pass == 1 && t != stored) continue;
            *values = tuning_values_for(d, t, shape);
            if (*values) return table[i];
        }
    return NULL;
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

int attention_kinds(const device *d, const int *shape, const tuning *out[TUNING_KINDS])
{
    int n = 0;
    for (int i = 0; i < N_IMPLEMENTATIONS; i++)
        if (!d || (table[i]->fits(d) && tuning_values_for(d, table[i]->tuned, shape)))
            out[n++] = table[i]->tuned;
    return n;
}

status attention_prepare(device *d, attention_plan *p, size_t *scratch, attention_shape s)
{
    int shape[TUNING_SIZES];
    bool right = false;
    status st = OK;
    *p = (attention_plan){.shape = s};
    /* the kernels' offsets within one item of a batch are ints */
    if ((size_t)s.tokens * 3 * (size_t)s.heads * (size_t)s.head_dim > INT_MAX)
        return fail(ERR_LIMIT, "attention over %d tokens of %d channels is too large", s.tokens,
                    s.heads * s.head_dim);
    attention_sizes(shape, s);
    while (!right) {
        p->by = choose(d, shape, &p->values);
        if (!p->by) return first_use_none(d, "attention", shape);
        const first_use what = {"attention", p->by->tuned, p->values, shape, 0};
        TRY(first_use_check(d, &what, &right));
    }
    TRY(p->by->scratch(d, p->values, scratch, s));
done:
    return st;
}

status op_attention(device *d, buf out, buf qkv, buf scratch, const attention_plan *p)
{
    attention_shape s = p->shape;
    double rows = (double)s.batch * s.tokens, width = (double)s.heads * s.head_dim;
    record_work(
        d, "attention",
        (work){.flops = 4 * rows * s.tokens * width, .bytes = 16 * rows * width, .on = p->by->on},
        "N=%d T=%d H=%d d=%d", s.batch, s.tokens, s.heads, s.head_dim);
    d->ran.attention |= 1u << op_arith(attention_input_error(d, p));
    return p->by->run(d, p->values, out, qkv, scratch, s);
}

double attention_input_error(const device *d, const attention_plan *p)
{
    return p->by->input_error ? p->by->input_error(d, p->values) : 0.0;
}
