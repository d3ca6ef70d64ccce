/* Operator test of patchify: the orders of DiT's PatchEmbed (a convolution's weights, flattened)
 * and of its unpatchify (einsum nhwpqc -> nchpwq). */
#include "ops/ops.h"
#include "optest/optest.h"

enum { OUT, IN };

typedef enum { PATCHIFY, UNPATCHIFY, TO_PIXELS } kind;

static const struct {
    kind kind;
    int first, pictures, batch, channels, size, patch, skip;
    unsigned use; /* WRITES_FACTORS: on devices that have them */
} cases[] = {
    {PATCHIFY, 0, 1, 1, 1, 2, 2, 0, 0},
    {PATCHIFY, 0, 1, 2, 4, 4, 2, 0, 0},
    {PATCHIFY, 1, 2, 4, 4, 6, 2, 0, 0},
    {PATCHIFY, 2, 3, 3, 3, 8, 4, 0, 0},
    {PATCHIFY, 0, 2, 4, 4, 32, 2, 0, 0},
    {PATCHIFY, 0, 1, 1, 4, 16, 8, 0, 0},
    {PATCHIFY, 3, 1, 2, 5, 24, 8, 0, 0},
    {PATCHIFY, 0, 1, 1, 4, 7, 1, 0, 0},
    {PATCHIFY, 0, 1, 1, 4, 64, 4, 0, 0},
    {UNPATCHIFY, 0, 0, 1, 1, 2, 2, 0, 0},
    {UNPATCHIFY, 0, 0, 2, 8, 4, 2, 0, 0},
    {UNPATCHIFY, 0, 0, 3, 4, 6, 2, 0, 0},
    {UNPATCHIFY, 0, 0, 2, 3, 12, 4, 0, 0},
    {UNPATCHIFY, 0, 0, 2, 8, 32, 2, 0, 0},
    {UNPATCHIFY, 0, 0, 1, 8, 16, 8, 0, 0},
    {UNPATCHIFY, 0, 0, 1, 8, 7, 1, 0, 0},
    {UNPATCHIFY, 0, 0, 3, 8, 6, 2, 2, 0},
    {UNPATCHIFY, 0, 0, 2, 4, 16, 8, 1, 0},
    {TO_PIXELS, 0, 1, 1, 4, 1, 1, 0, 0},
    {TO_PIXELS, 2, 3, 1, 4, 9, 1, 0, 0},
    {TO_PIXELS, 1, 2, 1, 3, 13, 1, 0, 0},
    {TO_PIXELS, 0, 1, 1, 4, 32, 1, 0, 0},
    {PATCHIFY, 1, 2, 4, 4, 6, 2, 0, WRITES_FACTORS},
    {PATCHIFY, 0, 1, 1, 4, 16, 8, 0, WRITES_FACTORS},
};

static const float factor = 1.0f / 0.18215f, offset = 0.375f;

/* The number of latents read, and of values written. */
static void counts(int i, size_t *latents, size_t *results)
{
    size_t picture = (size_t)cases[i].channels * (size_t)cases[i].size * (size_t)cases[i].size;
    size_t pictures = (size_t)(cases[i].first + cases[i].pictures);
    size_t token = (size_t)cases[i].channels * (size_t)cases[i].patch * (size_t)cases[i].patch;
    *latents = pictures * picture;
    if (cases[i].kind == UNPATCHIFY)
        *latents = (size_t)cases[i].batch * (picture + (size_t)cases[i].skip * token);
    *results = (size_t)cases[i].batch * picture;
}

static void patchify_test_describe(optest_case *c, int i)
{
    static const char *const names[] = {"patchify", "unpatchify", "to_pixels"};
    size_t latents, results;
    counts(i, &latents, &results);
    snprintf(c->label, sizeof c->label, "%s N=%d C=%d size=%d p=%d first=%d/%d skip=%d%s",
             names[cases[i].kind], cases[i].batch, cases[i].channels, cases[i].size, cases[i].patch,
             cases[i].first, cases[i].pictures, cases[i].skip, cases[i].use ? " to factors" : "");
    c->bytes = 8.0 * (double)results;
    if (cases[i].kind == TO_PIXELS) {
        c->flops = 2.0 * (double)results;
        c->tol = (tolerance){4.0, 2.0};
    }
}

static status patchify_test_prepare(optest_run *r, int i)
{
    status st = OK;
    size_t latents, results;
    counts(i, &latents, &results);
    TRY(optest_create(r, OPTEST_RESULT, "out", results));
    TRY(optest_normal(r, "in", latents, 0.0, 1.0));
    if (cases[i].use && op_has_factors(r->d))
        TRY(optest_factors(r, OUT, (size_t)(cases[i].channels * cases[i].patch * cases[i].patch)));
done:
    return st;
}

static status patchify_test_launch(optest_run *r, int i)
{
    buf out = r->arrays[OUT].b, in = r->arrays[IN].b;
    const patch_shape s = {cases[i].batch, cases[i].channels, cases[i].size, cases[i].patch};
    op_plan p;
    status st = OK;
    switch (cases[i].kind) {
    case PATCHIFY:
        TRY(patchify_plan(r->d, &p, s, op_has_factors(r->d) ? cases[i].use : 0));
        TRY(op_patchify(r->d, &p, out, in, cases[i].first, cases[i].pictures));
        break;
    case UNPATCHIFY:
        TRY(unpatchify_plan(r->d, &p, s, cases[i].skip));
        TRY(op_unpatchify(r->d, &p, out, in));
        break;
    case TO_PIXELS:
        TRY(to_pixels_plan(r->d, &p, s.channels, s.size * s.size, factor, offset));
        TRY(op_to_pixels(r->d, &p, out, in, cases[i].first));
    }
done:
    return st;
}

/* Visits all latents of the picture; n, c, y, x is one of them. */
static void patchify_test_expect(const optest_run *r, int i, int which, double *expected,
                                 double *scale)
{
    (void)which, (void)scale;
    const float *in = r->arrays[IN].values;
    int C = cases[i].channels, size = cases[i].size, p = cases[i].patch, columns = size / p;
    for (int n = 0; n < cases[i].batch; n++)
        for (int c = 0; c < C; c++)
            for (int y = 0; y < size; y++)
                for (int x = 0; x < size; x++) {
                    int token = y / p * columns + x / p, row = y % p, column = x % p;
                    int picture = cases[i].first;
                    if (cases[i].kind == PATCHIFY) picture += n % cases[i].pictures;
                    int at = ((picture * C + c) * size + y) * size + x;
                    int to = ((n * C + c) * size + y) * size + x;
                    int tokens = n * (columns * columns + cases[i].skip) + cases[i].skip + token;
                    if (cases[i].kind == PATCHIFY)
                        expected[((tokens * C + c) * p + row) * p + column] = (double)in[at];
                    else if (cases[i].kind == UNPATCHIFY)
                        expected[to] = (double)in[((tokens * p + row) * p + column) * C + c];
                    else
                        expected[(y * size + x) * C + c] =
                            (double)in[at] * (double)factor + (double)offset;
                }
}

const optest optest_patchify = {"patchify",
                                sizeof cases / sizeof *cases,
                                patchify_test_describe,
                                patchify_test_prepare,
                                patchify_test_launch,
                                patchify_test_expect,
                                NULL};
