/* Trial of conv: torch's conv2d, 3x3, stride 1, padding 1, weights [Cout][Cin][3][3]. */
#include <math.h>

#include "ops/ops.h"
#include "trials/trial.h"

enum { OUT, X, PACKED, PACKED_BIAS, RESIDUAL, WEIGHT, BIAS, PICTURE };

static const struct {
    picture_shape s; /* N, H, W, Cin */
    int out_channels;
    bool residual;
} cases[] = {
    {{1, 1, 1, 1}, 1, false},     {{1, 1, 1, 4}, 3, true},      {{2, 3, 2, 3}, 4, false},
    {{1, 2, 3, 16}, 16, true},    {{2, 5, 7, 4}, 16, false},    {{1, 7, 5, 16}, 33, true},
    {{1, 1, 13, 33}, 16, false},  {{1, 13, 1, 16}, 17, true},   {{2, 4, 4, 33}, 33, true},
    {{1, 9, 10, 33}, 3, false},   {{1, 12, 11, 16}, 31, true},  {{1, 11, 12, 16}, 32, false},
    {{2, 8, 8, 128}, 33, false},  {{1, 33, 17, 16}, 128, true}, {{1, 17, 33, 128}, 3, false},
    {{1, 16, 16, 4}, 128, false}, {{2, 33, 17, 33}, 64, true},  {{1, 16, 16, 128}, 128, true},
    {{1, 32, 32, 64}, 65, false},
};

static size_t pixels(int i)
{
    return (size_t)cases[i].s.height * (size_t)cases[i].s.width;
}

static void describe(trial_case *c, int i)
{
    picture_shape s = cases[i].s;
    double area = (double)s.batch * (double)pixels(i), in = s.channels, out = cases[i].out_channels;
    snprintf(c->label, sizeof c->label, "N=%d %dx%d C=%d->%d%s", s.batch, s.height, s.width,
             s.channels, cases[i].out_channels, cases[i].residual ? " residual" : "");
    c->flops = 18.0 * area * in * out;
    c->bytes = 4.0 * (area * (in + out * (cases[i].residual ? 2.0 : 1.0)) + 9.0 * in * out);
    c->tol = (tolerance){4.0, 9.0 * in + 8.0};
}

/* The picture between zeros, as the operator wants it. */
static void add_border(trial_run *r, int i)
{
    picture_shape s = cases[i].s;
    size_t C = (size_t)s.channels, pitch = (size_t)s.width + 2;
    size_t padded = r->arrays[X].count / (size_t)s.batch;
    for (size_t j = 0; j < r->arrays[X].count; j++) r->arrays[X].values[j] = 0.0f;
    for (size_t n = 0; n < (size_t)s.batch; n++)
        for (size_t p = 0; p < pixels(i); p++)
            for (size_t c = 0; c < C; c++) {
                size_t y = p / (size_t)s.width, x = p % (size_t)s.width;
                r->arrays[X].values[n * padded + ((y + 1) * pitch + x + 1) * C + c] =
                    r->arrays[PICTURE].values[(n * pixels(i) + p) * C + c];
            }
}

static status prepare(trial_run *r, int i)
{
    status st = OK;
    picture_shape s = cases[i].s;
    int in = s.channels, out = cases[i].out_channels;
    size_t batch = (size_t)s.batch, C = (size_t)in, Co = (size_t)out;
    size_t padded = batch * conv_padded_pixels(r->d, s.height, s.width) * C;
    TRY(trial_create(r, TRIAL_RESULT, "out", batch * pixels(i) * Co));
    TRY(trial_create(r, TRIAL_INPUT, "x", padded));
    TRY(trial_create(r, TRIAL_INPUT, "packed weight", conv_weight_count(r->d, in, out)));
    TRY(trial_create(r, TRIAL_INPUT, "packed bias", conv_bias_count(r->d, out)));
    TRY(trial_normal(r, "residual", batch * pixels(i) * Co, 0.0, 1.0));
    TRY(trial_normal(r, "weight", Co * C * 9, 0.0, 1.0 / sqrt(9.0 * in)));
    TRY(trial_normal(r, "bias", Co, 0.0, 1.0));
    TRY(trial_normal(r, "picture", batch * pixels(i) * C, 0.0, 1.0));
    add_border(r, i);
    conv_pack_weight(r->d, r->arrays[PACKED].values, r->arrays[WEIGHT].values, in, out);
    conv_pack_bias(r->d, r->arrays[PACKED_BIAS].values, r->arrays[BIAS].values, out);
done:
    return st;
}

static status launch_case(trial_run *r, int i)
{
    const trial_array *a = r->arrays;
    return op_conv3x3(r->d, a[OUT].b, a[X].b, a[PACKED].b, a[PACKED_BIAS].b,
                      cases[i].residual ? a[RESIDUAL].b : (buf){0}, cases[i].s,
                      cases[i].out_channels);
}

/* sum over c, dy, dx of weight[o][c][dy][dx] * picture(y + dy - 1, x + dx - 1, c) */
static double one_value(const trial_run *r, int i, int n, int y, int x, int o)
{
    picture_shape s = cases[i].s;
    const float *weight = r->arrays[WEIGHT].values, *picture = r->arrays[PICTURE].values;
    double sum = (double)r->arrays[BIAS].values[o];
    for (int dy = 0; dy < 3; dy++)
        for (int dx = 0; dx < 3; dx++) {
            int row = y + dy - 1, column = x + dx - 1;
            if (row < 0 || column < 0 || row >= s.height || column >= s.width) continue;
            for (int c = 0; c < s.channels; c++)
                sum += (double)weight[((o * s.channels + c) * 3 + dy) * 3 + dx] *
                       (double)picture[((n * s.height + row) * s.width + column) * s.channels + c];
        }
    return sum;
}

static void expect(const trial_run *r, int i, int which, double *expected, double *scale)
{
    (void)which, (void)scale;
    picture_shape s = cases[i].s;
    size_t at = 0;
    for (int n = 0; n < s.batch; n++)
        for (int y = 0; y < s.height; y++)
            for (int x = 0; x < s.width; x++)
                for (int o = 0; o < cases[i].out_channels; o++, at++)
                    expected[at] = one_value(r, i, n, y, x, o) +
                                   (cases[i].residual ? (double)r->arrays[RESIDUAL].values[at] : 0);
}

const trial trial_conv = {"conv", sizeof cases / sizeof *cases, describe, prepare, launch_case,
                          expect, NULL};
