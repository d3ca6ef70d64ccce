/* Operator test of step: guidance e_free + w (e - e_free) and the update as cl/step.clh writes it;
 * the non-finite check. */
#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "optest/optest.h"

enum { LATENTS, FLAG, MODEL, NOISE, ROWS, KEPT };

/* What a step does with the prediction that the previous step kept. */
typedef enum { KEEPS_NOTHING, KEEPS_FIRST, KEEPS } keeping;

/* There are rows and pictures before and behind those in use. */
enum { N_ROWS = 3, ROW_IN_USE = 1, FIRST = 1, BEHIND = 1 };

typedef enum { FINITE, ONE_NAN, ONE_INFINITE } latent_values;

static const struct {
    int n, channels, size;
    bool learned, noisy;
    int guided; /* guided channels; 0: none */
    float clip;
    latent_values values;
    keeping keeps;
} cases[] = {
    {1, 1, 1, false, false, 0, 0.0f, FINITE, KEEPS_NOTHING},
    {1, 4, 4, false, false, 0, 1.0f, FINITE, KEEPS_NOTHING},
    {2, 4, 5, false, true, 0, 0.0f, FINITE, KEEPS_NOTHING},
    {2, 4, 5, true, true, 0, 0.0f, FINITE, KEEPS_NOTHING},
    {3, 4, 3, true, false, 0, 1.0f, FINITE, KEEPS_NOTHING},
    {2, 4, 4, false, false, 3, 0.0f, FINITE, KEEPS_NOTHING},
    {2, 4, 4, false, true, 4, 1.0f, FINITE, KEEPS_NOTHING},
    {3, 4, 5, true, true, 3, 0.0f, FINITE, KEEPS_NOTHING},
    {2, 4, 9, true, true, 4, 1.5f, FINITE, KEEPS_NOTHING},
    {2, 4, 32, true, true, 3, 0.0f, FINITE, KEEPS_NOTHING},
    {2, 4, 32, true, false, 4, 0.0f, FINITE, KEEPS_NOTHING},
    {2, 4, 5, true, true, 3, 0.0f, ONE_NAN, KEEPS_NOTHING},
    {1, 4, 5, false, false, 0, 0.0f, ONE_INFINITE, KEEPS_NOTHING},
    {2, 4, 5, false, false, 0, 1.0f, FINITE, KEEPS},
    {2, 4, 5, false, false, 3, 0.0f, FINITE, KEEPS_FIRST},
    {3, 4, 9, true, true, 4, 1.5f, FINITE, KEEPS},
};

static const float guidance = 4.0f;

static size_t area(int i)
{
    return (size_t)cases[i].size * (size_t)cases[i].size;
}

static size_t picture(int i)
{
    return (size_t)cases[i].channels * area(i);
}

static int channels_out(int i)
{
    return cases[i].channels * (cases[i].learned ? 2 : 1);
}

static void step_test_describe(optest_case *c, int i)
{
    static const char *const special[] = {"", " NaN", " Inf"};
    double values = (double)cases[i].n * (double)picture(i);
    const char *word = special[cases[i].values];
    static const char *const kept[] = {"", " keeps first", " keeps"};
    snprintf(c->label, sizeof c->label, "N=%d C=%d size=%d%s%s guided=%d clip=%g%s%s", cases[i].n,
             cases[i].channels, cases[i].size, cases[i].learned ? " learned" : "",
             cases[i].noisy ? " noisy" : "", cases[i].guided, (double)cases[i].clip, word,
             kept[cases[i].keeps]);
    c->flops = 30.0 * values;
    c->bytes = 20.0 * values;
    c->tol = (tolerance){4.0, 8.0};
}

/* Random rows, but the row in use has the coefficients of a real step. */
static status make_rows(optest_run *r, int i)
{
    status st = optest_normal(r, "rows", N_ROWS * STEP_ROW_FLOATS, 0.0, 1.0);
    if (st != OK) return st;
    bool reads = cases[i].keeps == KEEPS;
    const step_coefficients step = {.x0_x = 1.9f,
                                    .x0_o = -1.6f,
                                    .eps_x = 0.1f,
                                    .eps_o = 0.9f,
                                    .clip = cases[i].clip,
                                    .to_x0 = 0.13f,
                                    .to_eps = 0.2f,
                                    .to_x = 0.8f,
                                    .to_kept = reads ? 0.7f : 0.0f,
                                    .keep_x0 = 0.6f,
                                    .keep_eps = -0.4f,
                                    .keep_x = 0.3f,
                                    .noise = cases[i].noisy ? 0.15f : 0.0f,
                                    .log_min = -4.5f,
                                    .log_max = -3.9f};
    memcpy(r->arrays[ROWS].values + ROW_IN_USE * STEP_ROW_FLOATS, &step, sizeof step);
    return OK;
}

static void make_not_finite(optest_run *r, float *values, size_t count, latent_values which)
{
    if (which == FINITE) return;
    size_t at = (size_t)(optest_uniform(r) * (double)count);
    values[at] = which == ONE_NAN ? NAN : -INFINITY;
}

static status step_test_prepare(optest_run *r, int i)
{
    status st = OK;
    size_t n = (size_t)cases[i].n, pictures = FIRST + n + BEHIND;
    TRY(optest_normal(r, "latents", pictures * picture(i), 0.0, 1.0));
    r->arrays[LATENTS].role = OPTEST_RESULT; /* updated in place */
    TRY(optest_create(r, OPTEST_FLAG, "flag", 1));
    size_t batch = n * (cases[i].guided ? 2 : 1);
    TRY(optest_normal(r, "model", batch * (size_t)channels_out(i) * area(i), 0.0, 1.0));
    TRY(optest_normal(r, "noise", pictures * picture(i), 0.0, 1.0));
    for (size_t j = 0; !cases[i].noisy && j < pictures * picture(i); j++)
        r->arrays[NOISE].values[j] = NAN; /* a step without noise must not read it */
    TRY(make_rows(r, i));
    TRY(optest_normal(r, "kept", pictures * picture(i), 0.0, 1.0));
    r->arrays[KEPT].role = OPTEST_RESULT;
    for (size_t j = 0; cases[i].keeps == KEEPS_FIRST && j < n * picture(i); j++)
        r->arrays[KEPT].values[FIRST * picture(i) + j] = NAN; /* no step has kept anything yet */
    make_not_finite(r, r->arrays[LATENTS].values + FIRST * picture(i), n * picture(i),
                    cases[i].values);
done:
    return st;
}

static status step_test_launch(optest_run *r, int i)
{
    const optest_array *a = r->arrays;
    const step_buffers buffers = {a[LATENTS].b, a[KEPT].b, a[MODEL].b,
                                  a[NOISE].b,   a[ROWS].b, a[FLAG].b};
    const step_use use = {.n = cases[i].n,
                          .channels = cases[i].channels,
                          .channels_out = channels_out(i),
                          .size = cases[i].size,
                          .guided = cases[i].guided > 0,
                          .learned = cases[i].learned,
                          .kept = cases[i].keeps != KEEPS_NOTHING,
                          .guidance = guidance,
                          .guided_channels = cases[i].guided};
    op_plan p;
    status st = step_plan(r->d, &p, &use);
    return st == OK ? op_step_update(r->d, &p, &buffers, ROW_IN_USE, FIRST) : st;
}

/* Returns the new latent at picture b, channel c, value j; *kept = the prediction to keep. */
static double update(const optest_run *r, int i, size_t b, size_t c, size_t j, double *kept)
{
    step_coefficients step;
    memcpy(&step, r->arrays[ROWS].values + ROW_IN_USE * STEP_ROW_FLOATS, sizeof step);
    const float *model = r->arrays[MODEL].values;
    size_t outputs = (size_t)channels_out(i), C = (size_t)cases[i].channels;
    size_t at = (FIRST + b) * picture(i) + c * area(i) + j;
    double x = (double)r->arrays[LATENTS].values[at];
    double o = (double)model[(b * outputs + c) * area(i) + j];
    if (c < (size_t)cases[i].guided) {
        double unconditional =
            (double)model[(((size_t)cases[i].n + b) * outputs + c) * area(i) + j];
        o = unconditional + (double)guidance * (o - unconditional);
    }
    double x0 = (double)step.x0_x * x + (double)step.x0_o * o, limit = (double)cases[i].clip;
    if (limit > 0.0) x0 = x0 > limit ? limit : x0 < -limit ? -limit : x0;
    double eps = (double)step.eps_x * x + (double)step.eps_o * o;
    double next = (double)step.to_x0 * x0 + (double)step.to_eps * eps + (double)step.to_x * x;
    if (cases[i].keeps == KEEPS) next += (double)step.to_kept * (double)r->arrays[KEPT].values[at];
    *kept = (double)step.keep_x0 * x0 + (double)step.keep_eps * eps + (double)step.keep_x * x;
    double sigma = (double)step.noise;
    if (cases[i].learned) {
        double f = ((double)model[(b * outputs + C + c) * area(i) + j] + 1.0) / 2.0;
        sigma *= exp(0.5 * (f * (double)step.log_max + (1.0 - f) * (double)step.log_min));
    }
    return cases[i].noisy ? next + sigma * (double)r->arrays[NOISE].values[at] : next;
}

static void step_test_expect(const optest_run *r, int i, int which, double *expected, double *scale)
{
    (void)scale;
    if (r->arrays[which].role == OPTEST_FLAG) {
        expected[0] = cases[i].values != FINITE;
        return;
    }
    for (size_t j = 0; j < r->arrays[which].count; j++)
        expected[j] = (double)r->arrays[which].values[j];
    if (which == KEPT && cases[i].keeps == KEEPS_NOTHING) return;
    for (size_t b = 0; b < (size_t)cases[i].n; b++)
        for (size_t c = 0; c < (size_t)cases[i].channels; c++)
            for (size_t j = 0; j < area(i); j++) {
                double kept, next = update(r, i, b, c, j, &kept);
                expected[(FIRST + b) * picture(i) + c * area(i) + j] = which == KEPT ? kept : next;
            }
}

const optest optest_step = {"step",
                            sizeof cases / sizeof *cases,
                            step_test_describe,
                            step_test_prepare,
                            step_test_launch,
                            step_test_expect,
                            NULL};
