/* Operator test of downsample: torch's conv2d, 3x3, stride 2, no padding, weights
 * [Cout][Cin][3][3], after pad(x, (0, 1, 0, 1)). */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "ops/ops.h"
#include "optest/optest.h"

enum { OUT, X, WEIGHT, BIAS, PATCHES, PART, PRODUCT };

static const struct {
    int height, width, in, out;
    int rows; /* computed at once; 0: downsample_rows() */
} cases[] = {
    {2, 2, 1, 1, 0},       {2, 3, 3, 5, 0},      {3, 2, 4, 4, 1},       {5, 7, 3, 8, 4},
    {4, 6, 16, 16, 0},     {9, 2, 7, 33, 2},     {2, 11, 33, 3, 5},     {8, 8, 32, 32, 7},
    {13, 10, 17, 24, 0},   {16, 16, 64, 64, 64}, {33, 31, 24, 40, 100}, {6, 64, 128, 128, 0},
    {20, 20, 128, 48, 64},
};

static int pixels(int i)
{
    return (cases[i].height / 2) * (cases[i].width / 2);
}

static picture_shape shape_of(int i)
{
    return (picture_shape){1, cases[i].height, cases[i].width, cases[i].in};
}

static int rows_of(int i)
{
    return cases[i].rows ? cases[i].rows : downsample_rows(shape_of(i));
}

static void downsample_test_describe(optest_case *c, int i)
{
    double in = cases[i].in, out = cases[i].out, area = cases[i].height * cases[i].width;
    snprintf(c->label, sizeof c->label, "%dx%d C=%d->%d rows=%d", cases[i].height, cases[i].width,
             cases[i].in, cases[i].out, rows_of(i));
    c->flops = 18.0 * pixels(i) * in * out;
    c->bytes = 4.0 * (area * in + pixels(i) * out + 9.0 * in * out);
    c->tol = (tolerance){4.0, 9.0 * in + 8.0};
}

static status downsample_test_prepare(optest_run *r, int i)
{
    status st = OK;
    int rows = rows_of(i), k = 9 * cases[i].in;
    size_t in = (size_t)cases[i].in, out = (size_t)cases[i].out, product;
    const gemm_weight like = {.n = cases[i].out, .k = k};
    r->input_error = gemm_input_error(r->d, rows, cases[i].out, k);
    TRY(gemm_scratch(r->d, &product, &like, rows));
    TRY(optest_create(r, OPTEST_RESULT, "out", (size_t)pixels(i) * out));
    TRY(optest_normal(r, "x", (size_t)cases[i].height * (size_t)cases[i].width * in, 0.0, 1.0));
    TRY(optest_normal(r, "weight", out * in * 9, 0.0, 1.0 / sqrt((double)k)));
    TRY(optest_normal(r, "bias", out, 0.0, 1.0));
    TRY(optest_create(r, OPTEST_SCRATCH, "patches", (size_t)rows * in * 9));
    TRY(optest_create(r, OPTEST_SCRATCH, "part", (size_t)rows * out));
    TRY(optest_create(r, OPTEST_SCRATCH, "scratch", product));
    TRY(memory_alloc(&r->state, 1, sizeof(gemm_weight)));
    TRY(gemm_weight_upload(r->d, r->state, r->arrays[WEIGHT].values, r->arrays[BIAS].values, rows,
                           cases[i].out, k, "packed weight"));
done:
    return st;
}

static status downsample_test_launch(optest_run *r, int i)
{
    const optest_array *a = r->arrays;
    const downsample_buffers buffers = {.out = a[OUT].b,
                                        .x = a[X].b,
                                        .w = r->state,
                                        .patches = a[PATCHES].b,
                                        .part = a[PART].b,
                                        .product = a[PRODUCT].b};
    downsample_use use;
    size_t scratch;
    status st = downsample_plan(r->d, &use, &scratch, r->state, shape_of(i), rows_of(i));
    return st == OK ? op_downsample(r->d, &use, &buffers) : st;
}

/* A value is rounded at the magnitude of its terms, which may cancel. */
static void downsample_test_expect(const optest_run *r, int i, int which, double *expected,
                                   double *scale)
{
    (void)which;
    const float *x = r->arrays[X].values, *weight = r->arrays[WEIGHT].values;
    int height = cases[i].height, width = cases[i].width, in = cases[i].in, out = cases[i].out;
    for (int p = 0; p < pixels(i); p++)
        for (int o = 0; o < out; o++) {
            double sum = (double)r->arrays[BIAS].values[o], squares = sum * sum;
            for (int dy = 0; dy < 3; dy++)
                for (int dx = 0; dx < 3; dx++) {
                    int row = p / (width / 2) * 2 + dy, column = p % (width / 2) * 2 + dx;
                    if (row >= height || column >= width) continue;
                    for (int c = 0; c < in; c++) {
                        double term = (double)weight[((o * in + c) * 3 + dy) * 3 + dx] *
                                      (double)x[(row * width + column) * in + c];
                        sum += term;
                        squares += term * term;
                    }
                }
            expected[p * out + o] = sum;
            scale[p * out + o] = sqrt(squares);
        }
}

static void downsample_test_release(optest_run *r)
{
    if (r->state) gemm_weight_free(r->d, r->state);
    free(r->state);
}

const optest optest_downsample = {"downsample",
                                  sizeof cases / sizeof *cases,
                                  downsample_test_describe,
                                  downsample_test_prepare,
                                  downsample_test_launch,
                                  downsample_test_expect,
                                  downsample_test_release};
