/* Operator test of fill. */
#include "ops/ops.h"
#include "optest/optest.h"

enum { OUT };

static const struct {
    int count;
    float value;
} cases[] = {{1, 0.0f},   {2, 1.0f},    {63, -3.5f},      {64, 1e-40f},
             {65, 3e38f}, {1009, 0.1f}, {100003, -1e-30f}};

static void fill_test_describe(optest_case *c, int i)
{
    snprintf(c->label, sizeof c->label, "n=%d value=%g", cases[i].count, (double)cases[i].value);
    c->bytes = 4.0 * cases[i].count;
}

static status fill_test_prepare(optest_run *r, int i)
{
    return optest_create(r, OPTEST_RESULT, "out", (size_t)cases[i].count);
}

static status fill_test_launch(optest_run *r, int i)
{
    op_plan p;
    status st = fill_plan(r->d, &p, (size_t)cases[i].count);
    return st == OK ? op_fill(r->d, &p, r->arrays[OUT].b, cases[i].value) : st;
}

static void fill_test_expect(const optest_run *r, int i, int which, double *expected, double *scale)
{
    (void)r, (void)which, (void)scale;
    for (int j = 0; j < cases[i].count; j++) expected[j] = (double)cases[i].value;
}

const optest optest_fill = {"fill",
                            sizeof cases / sizeof *cases,
                            fill_test_describe,
                            fill_test_prepare,
                            fill_test_launch,
                            fill_test_expect,
                            NULL};
