/* Operator test of cross: attention to two keys per head, by the formula. */
#include <math.h>

#include "ops/ops.h"
#include "optest/optest.h"

enum { OUT, Q, KEYS_VALUES };

static const struct {
    attention_shape s; /* N, T, H, d */
    double deviation;  /* of queries and keys: with a large one, one key dominates, and e^x would
                          overflow */
    unsigned use;      /* WRITES_FACTORS: on devices that have them */
} cases[] = {
    {{1, 1, 1, 1}, 1.0, 0},
    {{2, 3, 2, 8}, 1.0, 0},
    {{3, 7, 3, 17}, 1.0, 0},
    {{2, 16, 2, 72}, 1.0, 0},
    {{1, 33, 5, 50}, 3.0, 0},
    {{2, 9, 1, 128}, 1.0, 0},
    {{2, 64, 6, 64}, 1.0, 0},
    {{2, 256, 16, 72}, 1.0, 0},
    {{1, 65, 2, 64}, 30.0, 0},
    {{1, 5, 3, 36}, 1e18, 0},
    {{2, 3, 2, 8}, 1.0, WRITES_FACTORS},
    {{2, 65, 2, 36}, 1.0, WRITES_FACTORS},
};

static int width(int i)
{
    return cases[i].s.heads * cases[i].s.head_dim;
}

/* A row has k | v twice, one pair for each key. */
static int stride(int i)
{
    return 4 * width(i);
}

static size_t values(int i)
{
    return (size_t)cases[i].s.batch * (size_t)cases[i].s.tokens * (size_t)width(i);
}

static void cross_test_describe(optest_case *c, int i)
{
    attention_shape s = cases[i].s;
    snprintf(c->label, sizeof c->label, "N=%d T=%d H=%d d=%d sd=%g%s", s.batch, s.tokens, s.heads,
             s.head_dim, cases[i].deviation, cases[i].use ? " to factors" : "");
    c->flops = 8.0 * (double)values(i);
    c->bytes = 8.0 * (double)values(i);
    /* a score of size sd^2 has an error of eps * sd^2, and so has its probability */
    double sd = fmin(cases[i].deviation, 30.0);
    c->tol = (tolerance){4.0 * fmax(1.0, sd * sd), s.head_dim + 2.0};
}

static status cross_test_prepare(optest_run *r, int i)
{
    status st = OK;
    size_t batch = (size_t)cases[i].s.batch, D = (size_t)width(i);
    TRY(optest_create(r, OPTEST_RESULT, "out", values(i)));
    TRY(optest_normal(r, "q", values(i), 0.0, cases[i].deviation));
    TRY(optest_table(r, "keys and values", stride(i), batch));
    if (cases[i].use && op_has_factors(r->d)) TRY(optest_factors(r, OUT, D));
    const optest_array *table = &r->arrays[KEYS_VALUES];
    for (size_t j = 0; j < table->count; j++)
        if (j / D % 2 == 0) table->values[j] *= (float)cases[i].deviation; /* k of k | v */
done:
    return st;
}

static status cross_test_launch(optest_run *r, int i)
{
    const optest_array *a = r->arrays;
    modulation m = optest_modulation(r, KEYS_VALUES, stride(i));
    op_plan p;
    status st = cross_plan(r->d, &p, cases[i].s, op_has_factors(r->d) ? cases[i].use : 0);
    return st == OK ? op_cross(r->d, &p, a[OUT].b, a[Q].b, &m) : st;
}

static void cross_test_expect(const optest_run *r, int i, int which, double *expected,
                              double *scale)
{
    (void)which;
    const optest_array *a = r->arrays;
    int T = cases[i].s.tokens, H = cases[i].s.heads, d = cases[i].s.head_dim, D = width(i);
    for (int head = 0; head < cases[i].s.batch * T * H; head++) {
        const float *q = a[Q].values + head * d;
        const float *first = optest_row(r, KEYS_VALUES, stride(i), head / H / T) + head % H * d;
        double score[2] = {0.0, 0.0}, weight[2];
        for (int key = 0; key < 2; key++)
            for (int j = 0; j < d; j++)
                score[key] += (double)q[j] * (double)first[key * 2 * D + j] / sqrt(d);
        double most = fmax(score[0], score[1]);
        for (int key = 0; key < 2; key++) weight[key] = exp(score[key] - most);
        for (int j = 0; j < d; j++)
            for (int key = 0; key < 2; key++) {
                double share = weight[key] / (weight[0] + weight[1]);
                double v = (double)first[key * 2 * D + D + j];
                expected[head * d + j] += share * v;
                scale[head * d + j] += share * fabs(v);
            }
    }
}

const optest optest_cross = {"cross",
                             sizeof cases / sizeof *cases,
                             cross_test_describe,
                             cross_test_prepare,
                             cross_test_launch,
                             cross_test_expect,
                             NULL};
