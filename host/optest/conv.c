/* Operator test of conv: torch's conv2d, 3x3, stride 1, padding 1, weights [Cout][Cin][3][3], after
 * a factor and an offset per channel, SiLU and nearest upsampling, in that order. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "ops/ops.h"
#include "optest/optest.h"
#include "optest/references.h"

enum { OUT, X, AFFINE, RESIDUAL, WEIGHT, BIAS, SCRATCH };

static const struct {
    picture_shape s; /* N, H, W, Cin */
    int out_channels;
    bool norm, silu, residual;
    int up;
} cases[] = {
    {{1, 1, 1, 1}, 1, false, false, false, 1},     {{1, 1, 1, 4}, 3, false, false, true, 1},
    {{2, 3, 2, 3}, 4, true, false, false, 2},      {{1, 2, 3, 16}, 16, false, false, true, 1},
    {{2, 5, 7, 4}, 16, true, true, false, 1},      {{1, 7, 5, 16}, 33, false, false, true, 1},
    {{1, 1, 13, 33}, 16, false, false, false, 1},  {{1, 13, 1, 16}, 17, false, true, true, 2},
    {{2, 4, 4, 33}, 33, true, true, true, 1},      {{1, 9, 10, 33}, 3, false, false, false, 1},
    {{1, 12, 11, 16}, 31, true, true, true, 1},    {{1, 11, 12, 16}, 32, true, true, false, 1},
    {{2, 8, 8, 128}, 33, false, false, false, 1},  {{1, 33, 17, 16}, 128, true, true, true, 1},
    {{1, 17, 33, 128}, 3, true, true, false, 1},   {{1, 16, 16, 4}, 128, false, false, false, 1},
    {{2, 33, 17, 33}, 64, false, false, true, 1},  {{1, 16, 16, 128}, 128, true, true, true, 1},
    {{1, 32, 32, 64}, 65, false, false, false, 1}, {{1, 1, 1, 16}, 16, true, true, true, 1},
    {{1, 1, 1, 16}, 16, false, false, false, 2},   {{2, 3, 5, 16}, 32, true, true, true, 2},
    {{1, 5, 4, 32}, 48, false, false, false, 2},   {{1, 1, 9, 48}, 16, true, false, true, 1},
    {{1, 9, 1, 32}, 80, false, true, false, 1},    {{2, 17, 13, 64}, 48, true, true, true, 1},
    {{1, 15, 19, 64}, 64, false, false, true, 2},  {{1, 6, 70, 32}, 32, true, true, false, 1},
    {{1, 19, 18, 256}, 32, true, true, true, 1},   {{1, 9, 7, 512}, 64, false, false, false, 1},
    {{1, 6, 5, 512}, 32, false, false, false, 2},  {{3, 20, 20, 16}, 16, true, true, true, 1},
    {{2, 5, 4, 8}, 12, true, true, true, 1},       {{1, 4, 3, 8}, 8, true, true, false, 2},
    {{1, 8, 16, 16}, 64, true, false, true, 1},    {{1, 9, 17, 20}, 68, false, true, true, 1},
    {{2, 5, 9, 12}, 20, true, true, true, 2},      {{1, 3, 33, 5}, 8, true, true, false, 2},
};

static size_t pixels(int i)
{
    return (size_t)cases[i].s.height * (size_t)cases[i].s.width;
}

static size_t out_pixels(int i)
{
    return pixels(i) * (size_t)(cases[i].up * cases[i].up);
}

static void conv_test_describe(optest_case *c, int i)
{
    picture_shape s = cases[i].s;
    double in = s.channels, out = cases[i].out_channels, area = (double)s.batch * (double)pixels(i);
    double grown = (double)s.batch * (double)out_pixels(i);
    snprintf(c->label, sizeof c->label, "N=%d %dx%d C=%d->%d%s%s%s%s", s.batch, s.height, s.width,
             s.channels, cases[i].out_channels, cases[i].norm ? " norm" : "",
             cases[i].silu ? " silu" : "", cases[i].up == 2 ? " up" : "",
             cases[i].residual ? " residual" : "");
    c->flops = 18.0 * grown * in * out;
    c->bytes = 4.0 * (area * in + grown * out * (cases[i].residual ? 2.0 : 1.0) + 9.0 * in * out);
    c->tol = (tolerance){4.0, 9.0 * in + 8.0};
}

static status conv_test_prepare(optest_run *r, int i)
{
    status st = OK;
    picture_shape s = cases[i].s;
    int in = s.channels, out = cases[i].out_channels;
    size_t batch = (size_t)s.batch, C = (size_t)in, Co = (size_t)out, scratch = 0;
    conv_weight *w;
    TRY(memory_alloc(&w, 1, sizeof *w));
    r->state = w;
    const conv_layer like = {s.height * s.width, in, out, cases[i].up, 0};
    r->input_error = conv_input_error(r->d, like);
    TRY(optest_create(r, OPTEST_RESULT, "out", batch * out_pixels(i) * Co));
    TRY(optest_normal(r, "x", batch * pixels(i) * C, 0.0, 1.0));
    TRY(optest_normal(r, "affine", batch * C * 2, 0.0, 1.0));
    TRY(optest_normal(r, "residual", batch * out_pixels(i) * Co, 0.0, 1.0));
    TRY(optest_normal(r, "weight", Co * C * 9, 0.0, 1.0 / sqrt(9.0 * in)));
    TRY(optest_normal(r, "bias", Co, 0.0, 1.0));
    TRY(conv_weight_upload(r->d, w, r->arrays[WEIGHT].values, r->arrays[BIAS].values, like,
                           "weight"));
    TRY(conv_scratch(r->d, &scratch, w, s));
    TRY(optest_create(r, OPTEST_SCRATCH, "scratch", scratch));
done:
    return st;
}

static status conv_test_launch(optest_run *r, int i)
{
    const optest_array *a = r->arrays;
    const conv_buffers buffers = {.out = a[OUT].b,
                                  .x = a[X].b,
                                  .w = r->state,
                                  .affine = a[AFFINE].b,
                                  .residual = a[RESIDUAL].b,
                                  .scratch = a[SCRATCH].b};
    unsigned fused = (cases[i].norm ? FUSED_NORM : 0) | (cases[i].silu ? FUSED_SILU : 0) |
                     (cases[i].residual ? FUSED_RESIDUAL : 0);
    op_plan p;
    status st = conv_plan(r->d, &p, r->state, cases[i].s, fused);
    return st == OK ? op_conv3x3(r->d, &p, &buffers) : st;
}

/* The input of channel c at pixel (y, x) of the upsampled picture. */
static double input_at(const conv_inputs *in, int y, int x, int c)
{
    size_t from = (size_t)(y / in->up) * (size_t)in->width + (size_t)(x / in->up);
    double value = (double)in->x[from * (size_t)in->in + (size_t)c];
    if (in->norm) value = value * (double)in->affine[2 * c] + (double)in->affine[2 * c + 1];
    return in->silu ? value / (1.0 + exp(-value)) : value;
}

void conv_reference(double *out, double *squares, const conv_inputs *in, int y, int x)
{
    for (int o = 0; o < in->out; o++) out[o] = (double)in->bias[o];
    for (int o = 0; squares && o < in->out; o++) squares[o] = out[o] * out[o];
    for (int tap = 0; tap < 9; tap++) {
        int row = y + tap / 3 - 1, column = x + tap % 3 - 1;
        if (row < 0 || column < 0 || row >= in->height * in->up || column >= in->width * in->up)
            continue;
        for (int c = 0; c < in->in; c++) {
            double value = input_at(in, row, column, c);
            for (int o = 0; o < in->out; o++) {
                double term =
                    (double)in->weight[((size_t)o * (size_t)in->in + (size_t)c) * 9 + (size_t)tap] *
                    value;
                out[o] += term;
                if (squares) squares[o] += term * term;
            }
        }
    }
}

/* A value is rounded at the magnitude of its terms, which may cancel, and of its neighbours' terms,
 * since Winograd adds both in the same sums. */
static void conv_test_expect(const optest_run *r, int i, int which, double *expected, double *scale)
{
    (void)which;
    const optest_array *a = r->arrays;
    picture_shape s = cases[i].s;
    size_t out = (size_t)cases[i].out_channels, at = 0, count = a[OUT].count;
    int width = s.width * cases[i].up, all = s.height * cases[i].up * width;
    double mean = 0;
    for (int n = 0; n < s.batch; n++) {
        const conv_inputs in = {.x = a[X].values + (size_t)n * pixels(i) * (size_t)s.channels,
                                .affine = a[AFFINE].values + 2 * n * s.channels,
                                .weight = a[WEIGHT].values,
                                .bias = a[BIAS].values,
                                .height = s.height,
                                .width = s.width,
                                .in = s.channels,
                                .out = cases[i].out_channels,
                                .up = cases[i].up,
                                .norm = cases[i].norm,
                                .silu = cases[i].silu};
        for (int p = 0; p < all; p++, at += out)
            conv_reference(expected + at, scale + at, &in, p / width, p % width);
    }
    for (size_t j = 0; j < count; j++) {
        double more = cases[i].residual ? (double)a[RESIDUAL].values[j] : 0;
        expected[j] += more;
        scale[j] += more * more;
        mean += scale[j] / (double)count;
    }
    for (size_t j = 0; j < count; j++) scale[j] = sqrt(fmax(scale[j], mean));
}

static void conv_test_release(optest_run *r)
{
    conv_weight *w = r->state;
    if (w) conv_weight_free(r->d, w);
    free(w);
}

const optest optest_conv = {"conv",
                            sizeof cases / sizeof *cases,
                            conv_test_describe,
                            conv_test_prepare,
                            conv_test_launch,
                            conv_test_expect,
                            conv_test_release};
