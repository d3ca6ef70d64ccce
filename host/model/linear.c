/* Linear layers. See linear.h. */
#include "model/linear.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "checkpoint/names.h"

typedef struct {
    const weights *w;
    char name[LINEAR_PARTS][NAME_BYTES + 8];
    tensor of[LINEAR_PARTS]; /* copies, since the next generated tensor overwrites the last */
    size_t rows, columns;    /* of each tensor */
} stack;

/* Several threads call this at once. The rows may belong to two tensors. */
static status read_rows(void *context, float *out, int first, int count)
{
    const stack *s = context;
    size_t at = (size_t)first, end = at + (size_t)count;
    status st = OK;
    while (st == OK && at < end) {
        size_t row = at % s->rows, n = s->rows - row < end - at ? s->rows - row : end - at;
        st = weights_read_part(s->w, out, &s->of[at / s->rows], row * s->columns, n * s->columns);
        out += n * s->columns;
        at += n;
    }
    return st;
}

static status find(stack *s, weights *w, const char *const *names, int n, const char *suffix,
                   shape each)
{
    for (int i = 0; i < n; i++) {
        const tensor *found;
        snprintf(s->name[i], sizeof s->name[i], "%s%s", names[i], suffix);
        status st = weights_find(w, &found, s->name[i], each);
        if (st != OK) return st;
        s->of[i] = *found;
    }
    return OK;
}

status linear_load(weights *w, device *d, gemm_weight *l, int m, const char *const *names, int n,
                   shape each, unsigned use)
{
    stack biases = {.w = w, .rows = each.dims[0], .columns = 1};
    stack s = {.w = w, .rows = each.dims[0], .columns = 1};
    size_t out = (size_t)n * s.rows;
    float *bias = NULL;
    status st = OK;
    assert(n <= LINEAR_PARTS);
    for (int i = 1; i < each.n; i++) s.columns *= each.dims[i];
    TRY(find(&s, w, names, n, ".weight", each));
    TRY(find(&biases, w, names, n, ".bias", SHAPE(s.rows)));
    if (d->dry) {
        TRY(gemm_weight_load(d, l, NULL, NULL, m, (int)out, (int)s.columns, use, s.name[0]));
        goto done;
    }
    TRY(memory_alloc(&bias, out, sizeof *bias));
    TRY(read_rows(&biases, bias, 0, (int)out));
    TRY(gemm_weight_load(d, l, &(gemm_rows){read_rows, &s}, bias, m, (int)out, (int)s.columns, use,
                         s.name[0]));
    for (int i = 0; i < n; i++) weights_forget(w, &s.of[i]);
done:
    free(bias);
    return st;
}
