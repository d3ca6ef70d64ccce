/* Operator test of blend: m x + (1 - m) (a image + s noise), where m is 0, 1 or between. */
#include <math.h>

#include "ops/ops.h"
#include "optest/optest.h"

enum { LATENTS, IMAGE, NOISE, MASK };

static const struct {
    int n, channels, size;
    float signal, spread;
} cases[] = {
    {1, 1, 1, 1.0f, 0.0f}, {1, 4, 3, 0.8f, 0.6f},  {2, 3, 5, 0.1f, 0.995f},
    {3, 4, 8, 0.9f, 0.4f}, {2, 4, 17, 0.5f, 0.5f}, {2, 5, 32, 0.3f, 0.95f},
};

static size_t area(int i)
{
    return (size_t)cases[i].size * (size_t)cases[i].size;
}

static size_t values(int i)
{
    return (size_t)cases[i].n * (size_t)cases[i].channels * area(i);
}

static void blend_test_describe(optest_case *c, int i)
{
    snprintf(c->label, sizeof c->label, "N=%d C=%d size=%d signal=%g", cases[i].n,
             cases[i].channels, cases[i].size, (double)cases[i].signal);
    c->flops = 6.0 * (double)values(i);
    c->bytes = 12.0 * (double)values(i);
    c->tol = (tolerance){4.0, 4.0};
}

static status blend_test_prepare(optest_run *r, int i)
{
    status st = OK;
    TRY(optest_normal(r, "latents", values(i), 0.0, 1.0));
    r->arrays[LATENTS].role = OPTEST_RESULT; /* updated in place */
    TRY(optest_normal(r, "image", (size_t)cases[i].channels * area(i), 0.0, 1.0));
    TRY(optest_normal(r, "noise", values(i), 0.0, 1.0));
    TRY(optest_normal(r, "mask", area(i), 0.0, 1.0));
    for (size_t j = 0; j < area(i); j++) {
        float *m = &r->arrays[MASK].values[j];
        *m = *m > 0.7f ? 1.0f : *m < -0.7f ? 0.0f : (float)optest_uniform(r);
    }
done:
    return st;
}

static status blend_test_launch(optest_run *r, int i)
{
    const optest_array *a = r->arrays;
    const blend_buffers buffers = {a[LATENTS].b, a[IMAGE].b, a[NOISE].b, a[MASK].b};
    op_plan p;
    status st = blend_plan(r->d, &p, cases[i].n, cases[i].channels, cases[i].size);
    return st == OK ? op_blend(r->d, &p, &buffers, cases[i].signal, cases[i].spread) : st;
}

static void blend_test_expect(const optest_run *r, int i, int which, double *expected,
                              double *scale)
{
    (void)which;
    const optest_array *a = r->arrays;
    size_t picture = (size_t)cases[i].channels * area(i);
    for (size_t j = 0; j < values(i); j++) {
        double m = (double)a[MASK].values[j % area(i)];
        double drawn = m * (double)a[LATENTS].values[j];
        double known = (1.0 - m) * (double)cases[i].signal * (double)a[IMAGE].values[j % picture];
        double noise = (1.0 - m) * (double)cases[i].spread * (double)a[NOISE].values[j];
        expected[j] = drawn + known + noise;
        scale[j] = fabs(drawn) + fabs(known) + fabs(noise);
    }
}

const optest optest_blend = {"blend",
                             sizeof cases / sizeof *cases,
                             blend_test_describe,
                             blend_test_prepare,
                             blend_test_launch,
                             blend_test_expect,
                             NULL};
