/* Operator test of modulate: torch's layer_norm without affine weights, then x * (1 + scale) +
 * shift. */
#include <math.h>

#include "ops/ops.h"
#include "optest/optest.h"
#include "optest/references.h"

enum { OUT, X, VALUES };

static const struct {
    int batch, tokens, width;
    double mean;  /* of a token, with a deviation of 1 */
    unsigned use; /* WRITES_FACTORS: on devices that have them */
} cases[] = {{1, 1, 4, 0.0, 0},
             {1, 3, 8, 0.0, 0},
             {2, 5, 48, 0.0, 0},
             {3, 7, 144, 0.0, 0},
             {2, 16, 200, 0.0, 0},
             {2, 9, 216, 0.0, 0},
             {1, 17, 252, 0.0, 0},
             {1, 16, 260, 0.0, 0},
             {4, 64, 384, 0.0, 0},
             {2, 33, 1152, 0.0, 0},
             {3, 5, 48, 100.0, 0},
             {2, 33, 1152, 1000.0, 0},
             {1, 4, 16, -1e4, 0},
             {1, 3, 8, 0.0, WRITES_FACTORS},
             {3, 7, 144, 0.0, WRITES_FACTORS},
             {2, 33, 1152, 1000.0, WRITES_FACTORS}};

/* Some epsilons are so large that a kernel without epsilon fails. */
static float epsilon(int i)
{
    return i % 2 ? 1e-6f : 0.5f;
}

/* a row has shift, scale, gate twice; the test uses the second shift and scale */
static int stride(int i)
{
    return 6 * cases[i].width;
}

static void modulate_test_describe(optest_case *c, int i)
{
    double values = (double)cases[i].batch * cases[i].tokens * cases[i].width;
    snprintf(c->label, sizeof c->label, "N=%d T=%d D=%d mean=%g%s", cases[i].batch, cases[i].tokens,
             cases[i].width, cases[i].mean, cases[i].use ? " to factors" : "");
    c->flops = 8.0 * values;
    c->bytes = 8.0 * values;
    c->tol = (tolerance){4.0, 4.0};
}

static status modulate_test_prepare(optest_run *r, int i)
{
    status st = OK;
    size_t batch = (size_t)cases[i].batch;
    size_t values = batch * (size_t)cases[i].tokens * (size_t)cases[i].width;
    TRY(optest_create(r, OPTEST_RESULT, "out", values));
    TRY(optest_normal(r, "x", values, cases[i].mean, 1.0));
    TRY(optest_table(r, "modulation", stride(i), batch));
    if (cases[i].use && op_has_factors(r->d)) TRY(optest_factors(r, OUT, (size_t)cases[i].width));
done:
    return st;
}

static status modulate_test_launch(optest_run *r, int i)
{
    const optest_array *a = r->arrays;
    int D = cases[i].width;
    modulation m = optest_modulation(r, VALUES, stride(i));
    op_plan p;
    status st = modulate_plan(r->d, &p, cases[i].batch, cases[i].tokens, D, epsilon(i),
                              op_has_factors(r->d) ? cases[i].use : 0);
    return st == OK ? op_modulate(r->d, &p, a[OUT].b, a[X].b, &m, 3 * D, 4 * D) : st;
}

void modulate_reference(double *out, double *scale, const float *x, const float *shift,
                        const float *factor, size_t width, double epsilon)
{
    double mean = 0.0, variance = 0.0;
    for (size_t j = 0; j < width; j++) mean += (double)x[j] / (double)width;
    for (size_t j = 0; j < width; j++) variance += pow((double)x[j] - mean, 2.0) / (double)width;
    double deviation = sqrt(variance + epsilon);
    for (size_t j = 0; j < width; j++) {
        double normal = ((double)x[j] - mean) / deviation, grow = 1.0 + (double)factor[j];
        out[j] = normal * grow + (double)shift[j];
        /* the mean and a deviation near 1 are rounded to float */
        if (scale)
            scale[j] =
                (fabs(normal) + fabs(mean) / deviation + 1.0) * fabs(grow) + fabs((double)shift[j]);
    }
}

static void modulate_test_expect(const optest_run *r, int i, int which, double *expected,
                                 double *scale)
{
    (void)which;
    int D = cases[i].width, T = cases[i].tokens;
    for (int token = 0; token < cases[i].batch * T; token++) {
        const float *shift = optest_row(r, VALUES, stride(i), token / T) + 3 * D;
        modulate_reference(expected + token * D, scale + token * D, r->arrays[X].values + token * D,
                           shift, shift + D, (size_t)D, (double)epsilon(i));
    }
}

const optest optest_modulate = {"modulate",
                                sizeof cases / sizeof *cases,
                                modulate_test_describe,
                                modulate_test_prepare,
                                modulate_test_launch,
                                modulate_test_expect,
                                NULL};
