/* Trial of condition: the sinusoids of DiT's timestep_embedding, with the angle rounded to float as
 * there, and SiLU(t + y); where the latter's table is zero, over all that e^x can be. */
#include <math.h>

#include "ops/ops.h"
#include "trials/trial.h"

enum { OUT, TIMESTEPS, FREQUENCIES };              /* features */
enum { EMBEDDED = 1, TABLE = 2, LABELS = 3 };      /* combine */

static const struct {
    bool combine;
    int rows, width; /* width: half the features, or D */
    bool wide;       /* values from far below to far above, not finite ones among them */
} cases[] = {{false, 1, 1, 0},     {false, 3, 5, 0},   {false, 1, 128, 0}, {false, 7, 63, 0},
             {false, 4, 64, 0},    {false, 250, 128, 0}, {true, 1, 4, 0},    {true, 5, 48, 0},
             {true, 3, 200, 0},    {true, 2, 216, 0},  {true, 6, 144, 0},  {true, 100, 1152, 0},
             {true, 7, 4000, 1}};

enum { CLASSES = 11 };

static void describe(trial_case *c, int i)
{
    double values = (double)cases[i].rows * cases[i].width;
    snprintf(c->label, sizeof c->label, "%s R=%d %s=%d%s",
             cases[i].combine ? "combine" : "features", cases[i].rows,
             cases[i].combine ? "D" : "half", cases[i].width, cases[i].wide ? " wide" : "");
    c->flops = (cases[i].combine ? 10.0 : 40.0) * values;
    c->bytes = (cases[i].combine ? 12.0 : 8.0) * values;
    /* sine and cosine are within 4 ulp by the standard, exp within 3 and the division within 2.5 */
    c->tol = (tolerance){cases[i].wide ? 5.0 : 8.0, 1.0};
}

/* Values whose e^-x is anything that float holds, and beyond. */
static void widen(float *x, size_t count)
{
    static const float special[] = {NAN,  INFINITY, 1e30f,  89.0f, 0.0f,
                                    -0.0f, 1e-30f,   -87.0f, -1e30f};
    enum { N = sizeof special / sizeof *special };
    for (size_t i = 0; i < count; i++) x[i] = (float)i / (float)count * 190.0f - 87.0f;
    for (size_t i = 0; i < N; i++) x[i * 5 + 1] = special[i];
}

static status prepare(trial_run *r, int i)
{
    status st = OK;
    size_t rows = (size_t)cases[i].rows, width = (size_t)cases[i].width;
    TRY(trial_create(r, TRIAL_RESULT, "out", rows * width * (cases[i].combine ? 1 : 2)));
    if (cases[i].combine) {
        TRY(trial_normal(r, "embedded", rows * width, 0.0, 3.0));
        TRY(trial_normal(r, "table", CLASSES * width, 0.0, cases[i].wide ? 0.0 : 3.0));
        if (cases[i].wide) widen(r->arrays[EMBEDDED].values, rows * width);
        TRY(trial_ints(r, "labels", rows, CLASSES));
        r->arrays[LABELS].ints[0] = CLASSES - 1;
        goto done;
    }
    TRY(trial_ints(r, "timesteps", rows, 1000));
    for (size_t j = 0; j < rows; j++)
        r->arrays[TIMESTEPS].values[j] = (float)r->arrays[TIMESTEPS].ints[j];
    r->arrays[TIMESTEPS].values[0] = 999.0f;
    TRY(trial_create(r, TRIAL_INPUT, "frequencies", width));
    for (size_t j = 0; j < width; j++)
        r->arrays[FREQUENCIES].values[j] = (float)pow(10000.0, -(double)j / (double)width);
done:
    return st;
}

static status launch_case(trial_run *r, int i)
{
    const trial_array *a = r->arrays;
    if (cases[i].combine)
        return op_condition_combine(r->d, a[OUT].b, a[EMBEDDED].b, a[TABLE].b, a[LABELS].b,
                                    cases[i].rows, cases[i].width);
    return op_condition_features(r->d, a[OUT].b, a[TIMESTEPS].b, a[FREQUENCIES].b, cases[i].rows,
                                 cases[i].width);
}

static void expect(const trial_run *r, int i, int which, double *expected, double *scale)
{
    (void)which;
    const trial_array *a = r->arrays;
    int width = cases[i].width;
    for (int row = 0; row < cases[i].rows; row++)
        for (int j = 0; j < width; j++) {
            if (cases[i].combine) {
                double x = (double)a[EMBEDDED].values[row * width + j] +
                           (double)a[TABLE].values[a[LABELS].ints[row] * width + j];
                expected[row * width + j] = x / (1.0 + exp(-x));
                if (cases[i].wide) scale[row * width + j] = fabs(expected[row * width + j]);
            } else {
                double angle = (double)(a[TIMESTEPS].values[row] * a[FREQUENCIES].values[j]);
                expected[row * 2 * width + j] = cos(angle);
                expected[row * 2 * width + width + j] = sin(angle);
            }
        }
}

const trial trial_condition = {"condition", sizeof cases / sizeof *cases, describe, prepare,
                               launch_case, expect, NULL};
