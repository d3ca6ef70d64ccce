/* Operator test of groupnorm: torch's group_norm as a factor and an offset per channel; then
 * factor, SiLU, nearest upsampling and zero padding, in that order. */
#include <float.h>
#include <math.h>

#include "ops/ops.h"
#include "optest/optest.h"
#include "optest/references.h"

enum { OUT, X, WEIGHT, BIAS, SCRATCH }; /* statistics */
enum { AFFINE = 2 };                    /* apply */

static const struct {
    picture_shape s; /* N, H, W, C */
    int groups;      /* 0: apply */
    double mean;
    int norm, silu, up, pad;
} cases[] = {
    {{1, 1, 1, 1}, 1, 0.0, 0, 0, 0, 0},       {{1, 1, 1, 32}, 32, 0.0, 0, 0, 0, 0},
    {{2, 3, 5, 6}, 3, 0.0, 0, 0, 0, 0},       {{1, 16, 16, 64}, 32, 0.0, 0, 0, 0, 0},
    {{2, 15, 17, 64}, 32, 0.0, 0, 0, 0, 0},   {{1, 257, 1, 32}, 4, 0.0, 0, 0, 0, 0},
    {{1, 31, 33, 128}, 32, 0.0, 0, 0, 0, 0},  {{2, 33, 17, 96}, 32, 10.0, 0, 0, 0, 0},
    {{1, 16, 16, 64}, 32, 300.0, 0, 0, 0, 0}, {{1, 33, 33, 128}, 32, 3000.0, 0, 0, 0, 0},
    {{1, 64, 64, 128}, 32, 1.0, 0, 0, 0, 0},  {{1, 1, 1, 1}, 0, 0.0, 0, 0, 1, 0},
    {{1, 1, 1, 1}, 0, 0.0, 1, 1, 1, 1},       {{2, 3, 5, 3}, 0, 0.0, 1, 0, 1, 0},
    {{2, 3, 5, 3}, 0, 0.0, 1, 1, 1, 0},       {{2, 3, 5, 3}, 0, 0.0, 0, 1, 1, 1},
    {{2, 3, 5, 3}, 0, 0.0, 0, 0, 2, 1},       {{2, 5, 3, 4}, 0, 0.0, 0, 0, 2, 0},
    {{2, 5, 3, 4}, 0, 0.0, 1, 1, 2, 1},       {{1, 7, 1, 33}, 0, 0.0, 1, 1, 1, 1},
    {{1, 1, 7, 64}, 0, 0.0, 1, 0, 1, 1},      {{2, 8, 8, 65}, 0, 0.0, 0, 0, 1, 1},
    {{1, 33, 17, 128}, 0, 0.0, 1, 1, 1, 1},   {{1, 32, 32, 128}, 0, 0.0, 0, 0, 2, 1},
    {{2, 3, 5, 12}, 0, 0.0, 1, 1, 2, 1},      {{2, 5, 3, 32}, 0, 0.0, 1, 0, 2, 0},
    {{2, 7, 9, 12}, 3, 20.0, 0, 0, 0, 0},     {{2, 31, 9, 320}, 5, 3.0, 0, 0, 0, 0},
    {{2, 19, 31, 6}, 3, 5.0, 0, 0, 0, 0},     {{1, 30, 20, 5}, 5, 2.0, 0, 0, 0, 0},
};

/* Some epsilons are so large that a kernel without epsilon fails. */
static float epsilon(int i)
{
    return i % 2 ? 1e-6f : 0.5f;
}

static size_t pixels(int i)
{
    return (size_t)cases[i].s.height * (size_t)cases[i].s.width;
}

/* Pixels of zeros behind a padded picture. */
static size_t slack(int i)
{
    return cases[i].pad ? 13 : 0;
}

/* The number of rounded terms of a mean: kernels add the channels of a group in up to 256 pixels
 * one after the other. */
static double terms(int i)
{
    return fmin(256.0, (double)pixels(i)) * cases[i].s.channels / cases[i].groups;
}

static void groupnorm_test_describe(optest_case *c, int i)
{
    picture_shape s = cases[i].s;
    double values = (double)s.batch * (double)pixels(i) * s.channels;
    double grown = cases[i].up == 2 ? 4.0 : 1.0;
    if (cases[i].groups) {
        snprintf(c->label, sizeof c->label, "statistics N=%d %dx%d C=%d G=%d mean=%g", s.batch,
                 s.height, s.width, s.channels, cases[i].groups, cases[i].mean);
        c->flops = 4.0 * values;
        c->bytes = 4.0 * values;
    } else {
        snprintf(c->label, sizeof c->label, "apply N=%d %dx%d C=%d%s%s%s%s", s.batch, s.height,
                 s.width, s.channels, cases[i].norm ? " norm" : "", cases[i].silu ? " silu" : "",
                 cases[i].up == 2 ? " up" : "", cases[i].pad ? " pad" : "");
        c->flops = (2.0 * cases[i].norm + 8.0 * cases[i].silu) * values * grown;
        c->bytes = 4.0 * values * (1.0 + grown);
    }
    c->tol = cases[i].groups ? (tolerance){1.0, terms(i) + 16.0} : (tolerance){8.0, 1.0};
    if (!cases[i].groups && !cases[i].norm && !cases[i].silu) c->tol.c = 0.0;
}

static status groupnorm_test_prepare(optest_run *r, int i)
{
    status st = OK;
    picture_shape s = cases[i].s;
    size_t batch = (size_t)s.batch, C = (size_t)s.channels, area = pixels(i);
    if (cases[i].groups) {
        TRY(optest_create(r, OPTEST_RESULT, "affine", batch * C * 2));
        TRY(optest_normal(r, "x", batch * area * C, cases[i].mean, 1.0));
        TRY(optest_normal(r, "weight", C, 1.0, 0.5));
        TRY(optest_normal(r, "bias", C, 0.0, 1.0));
        TRY(optest_create(r, OPTEST_SCRATCH, "scratch",
                          groupnorm_scratch(r->d, s, cases[i].groups)));
        goto done;
    }
    int height = s.height * cases[i].up, width = s.width * cases[i].up;
    size_t border = 2 * (size_t)cases[i].pad;
    size_t out = ((size_t)height + border) * ((size_t)width + border) + slack(i);
    TRY(optest_create(r, OPTEST_RESULT, "out", batch * out * C));
    TRY(optest_normal(r, "x", batch * area * C, 0.0, 2.0));
    TRY(optest_normal(r, "affine", batch * C * 2, 0.0, 1.0));
done:
    return st;
}

static status groupnorm_test_launch(optest_run *r, int i)
{
    const optest_array *a = r->arrays;
    const groupnorm_use use = {cases[i].norm, cases[i].silu, cases[i].up, cases[i].pad,
                               (int)slack(i)};
    op_plan p;
    status st = OK;
    if (cases[i].groups) {
        TRY(groupnorm_statistics_plan(r->d, &p, cases[i].s, cases[i].groups, epsilon(i)));
        TRY(op_groupnorm_statistics(r->d, &p, a[OUT].b, a[X].b, a[WEIGHT].b, a[BIAS].b,
                                    a[SCRATCH].b));
    } else {
        TRY(groupnorm_apply_plan(r->d, &p, cases[i].s, &use));
        TRY(op_groupnorm_apply(r->d, &p, a[OUT].b, a[X].b, a[AFFINE].b));
    }
done:
    return st;
}

void groupnorm_reference(double *mean, double *variance, const float *x, size_t pixels,
                         size_t channels, size_t wide)
{
    double count = (double)(pixels * wide);
    *mean = *variance = 0.0;
    for (size_t p = 0; p < pixels; p++)
        for (size_t j = 0; j < wide; j++) *mean += (double)x[p * channels + j] / count;
    for (size_t p = 0; p < pixels; p++)
        for (size_t j = 0; j < wide; j++)
            *variance += pow((double)x[p * channels + j] - *mean, 2.0) / count;
}

static void expect_statistics(const optest_run *r, int i, double *expected, double *scale)
{
    const optest_array *a = r->arrays;
    size_t C = (size_t)cases[i].s.channels, wide = C / (size_t)cases[i].groups, area = pixels(i);
    for (size_t n = 0; n < (size_t)cases[i].s.batch; n++)
        for (size_t c = 0; c < C; c++) {
            double mean, variance;
            groupnorm_reference(&mean, &variance, a[X].values + n * area * C + c / wide * wide,
                                area, C, wide);
            double factor = (double)a[WEIGHT].values[c] / sqrt(variance + (double)epsilon(i));
            double *to = expected + (n * C + c) * 2, *size = scale + (n * C + c) * 2;
            to[0] = factor;
            to[1] = (double)a[BIAS].values[c] - mean * factor;
            /* the squared error of the mean is added to the variance */
            double off = FLT_EPSILON * mean, rounded = terms(i) * off * off;
            double kept = variance + (double)epsilon(i);
            size[0] = fabs(factor) * (1.0 + rounded / kept / FLT_EPSILON);
            size[1] = fabs((double)a[BIAS].values[c]) + fabs(mean) * size[0] + fabs(factor);
        }
}

/* The value of pixel (y, x) of the upsampled picture, 0 outside of it. */
static double value_at(const optest_run *r, int i, int n, int y, int x, int c, double *scale)
{
    picture_shape s = cases[i].s;
    if (y < 0 || x < 0 || y >= s.height * cases[i].up || x >= s.width * cases[i].up) return 0.0;
    int from = (n * s.height + y / cases[i].up) * s.width + x / cases[i].up;
    double v = (double)r->arrays[X].values[from * s.channels + c];
    if (cases[i].norm) {
        const float *affine = r->arrays[AFFINE].values + (n * s.channels + c) * 2;
        *scale = fabs(v * (double)affine[0]) + fabs((double)affine[1]);
        v = v * (double)affine[0] + (double)affine[1];
    }
    return cases[i].silu ? v / (1.0 + exp(-v)) : v;
}

static void groupnorm_test_expect(const optest_run *r, int i, int which, double *expected,
                                  double *scale)
{
    (void)which;
    if (cases[i].groups) {
        expect_statistics(r, i, expected, scale);
        return;
    }
    picture_shape s = cases[i].s;
    int border = cases[i].pad, height = s.height * cases[i].up, width = s.width * cases[i].up;
    size_t picture = r->arrays[OUT].count / (size_t)s.batch;
    for (int n = 0; n < s.batch; n++) {
        size_t to = (size_t)n * picture; /* the zeros behind the picture stay */
        for (int y = -border; y < height + border; y++)
            for (int x = -border; x < width + border; x++)
                for (int c = 0; c < s.channels; c++, to++)
                    expected[to] = value_at(r, i, n, y, x, c, &scale[to]);
    }
}

const optest optest_groupnorm = {"groupnorm",
                                 sizeof cases / sizeof *cases,
                                 groupnorm_test_describe,
                                 groupnorm_test_prepare,
                                 groupnorm_test_launch,
                                 groupnorm_test_expect,
                                 NULL};
