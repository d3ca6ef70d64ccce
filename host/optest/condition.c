/* Operator test of condition: SiLU(t + y), also with a zero table and t over the whole range of
 * e^x; t and y as two tokens; and these tokens in front of a picture's tokens. */
#include <math.h>

#include "ops/ops.h"
#include "optest/optest.h"

typedef enum { COMBINE, TOKENS, PREPEND } kind;

enum { OUT };
enum { EMBEDDED = 1, TABLE = 2, LABELS = 3 }; /* combine, tokens */
enum { X = 1, CONTEXT = 2 };                  /* prepend */

static const struct {
    kind kind;
    int rows, width; /* D; rows: prepend's batch */
    int tokens;      /* prepend's T */
    bool wide;       /* values from very small to very large, some of them not finite */
} cases[] = {
    {COMBINE, 1, 4, 0, false},    {COMBINE, 5, 48, 0, false},    {COMBINE, 3, 200, 0, false},
    {COMBINE, 2, 216, 0, false},  {COMBINE, 6, 144, 0, false},   {COMBINE, 100, 1152, 0, false},
    {COMBINE, 7, 4000, 0, true},  {TOKENS, 1, 4, 0, false},      {TOKENS, 5, 52, 0, false},
    {TOKENS, 3, 1152, 0, false},  {PREPEND, 1, 4, 1, false},     {PREPEND, 3, 52, 9, false},
    {PREPEND, 2, 200, 16, false}, {PREPEND, 2, 1152, 49, false},
};

enum { CLASSES = 11 };

/* The number of results of a row. */
static int results(int i)
{
    const int of[] = {1, 2, cases[i].tokens + 2};
    return of[cases[i].kind] * cases[i].width;
}

static void condition_test_describe(optest_case *c, int i)
{
    static const char *const names[] = {"combine", "tokens", "prepend"};
    double values = (double)cases[i].rows * results(i);
    snprintf(c->label, sizeof c->label, "%s R=%d D=%d T=%d%s", names[cases[i].kind], cases[i].rows,
             cases[i].width, cases[i].tokens, cases[i].wide ? " wide" : "");
    c->bytes = (cases[i].kind == COMBINE ? 12.0 : 8.0) * values;
    if (cases[i].kind >= TOKENS) return; /* a copy must be exact */
    c->flops = 10.0 * values;
    /* OpenCL allows exp 3 ulp and the division 2.5 ulp */
    c->tol = (tolerance){cases[i].wide ? 5.0 : 8.0, 1.0};
}

/* Replaces values by some whose e^-x covers the range of float, and exceeds it. */
static void widen(float *x, size_t count)
{
    static const float special[] = {NAN,   INFINITY, 1e30f,  89.0f, 0.0f,
                                    -0.0f, 1e-30f,   -87.0f, -1e30f};
    enum { N = sizeof special / sizeof *special };
    for (size_t i = 0; i < count; i++) x[i] = (float)i / (float)count * 190.0f - 87.0f;
    for (size_t i = 0; i < N; i++) x[i * 5 + 1] = special[i];
}

static status prepare_prepend(optest_run *r, int i, size_t rows, size_t width)
{
    status st = OK;
    TRY(optest_normal(r, "x", rows * (size_t)cases[i].tokens * width, 0.0, 1.0));
    TRY(optest_table(r, "context", 2 * cases[i].width, rows));
done:
    return st;
}

static status condition_test_prepare(optest_run *r, int i)
{
    status st = OK;
    size_t rows = (size_t)cases[i].rows, width = (size_t)cases[i].width;
    TRY(optest_create(r, OPTEST_RESULT, "out", rows * (size_t)results(i)));
    if (cases[i].kind == PREPEND) return prepare_prepend(r, i, rows, width);
    TRY(optest_normal(r, "embedded", rows * width, 0.0, 3.0));
    TRY(optest_normal(r, "table", CLASSES * width, 0.0, cases[i].wide ? 0.0 : 3.0));
    if (cases[i].wide) widen(r->arrays[EMBEDDED].values, rows * width);
    TRY(optest_ints(r, "labels", rows, CLASSES));
    r->arrays[LABELS].ints[0] = CLASSES - 1;
done:
    return st;
}

static status condition_test_launch(optest_run *r, int i)
{
    const optest_array *a = r->arrays;
    int rows = cases[i].rows, width = cases[i].width;
    modulation context;
    op_plan p;
    status st = OK;
    switch (cases[i].kind) {
    case COMBINE:
        TRY(condition_combine_plan(r->d, &p, rows, width));
        TRY(op_condition_combine(r->d, &p, a[OUT].b, a[EMBEDDED].b, a[TABLE].b, a[LABELS].b));
        break;
    case TOKENS:
        TRY(condition_tokens_plan(r->d, &p, rows, width));
        TRY(op_condition_tokens(r->d, &p, a[OUT].b, a[EMBEDDED].b, a[TABLE].b, a[LABELS].b));
        break;
    case PREPEND:
        context = optest_modulation(r, CONTEXT, 2 * width);
        TRY(condition_prepend_plan(r->d, &p, rows, cases[i].tokens, width));
        TRY(op_condition_prepend(r->d, &p, a[OUT].b, a[X].b, &context));
    }
done:
    return st;
}

/* One result of a row. part: which of the row's `results`; j: its channel. */
static double value(const optest_run *r, int i, int row, int part, int j)
{
    const optest_array *a = r->arrays;
    int width = cases[i].width, tokens = cases[i].tokens;
    if (cases[i].kind == PREPEND) {
        if (part < 2) return (double)optest_row(r, CONTEXT, 2 * width, row)[part * width + j];
        return (double)a[X].values[(row * tokens + part - 2) * width + j];
    }
    double t = (double)a[EMBEDDED].values[row * width + j];
    double y = (double)a[TABLE].values[a[LABELS].ints[row] * width + j];
    if (cases[i].kind == TOKENS) return part ? y : t;
    return (t + y) / (1.0 + exp(-(t + y)));
}

static void condition_test_expect(const optest_run *r, int i, int which, double *expected,
                                  double *scale)
{
    (void)which;
    int width = cases[i].width;
    for (int row = 0, at = 0; row < cases[i].rows; row++)
        for (int part = 0; part < results(i) / width; part++)
            for (int j = 0; j < width; j++, at++) {
                expected[at] = value(r, i, row, part, j);
                if (cases[i].wide) scale[at] = fabs(expected[at]);
            }
}

const optest optest_condition = {"condition",
                                 sizeof cases / sizeof *cases,
                                 condition_test_describe,
                                 condition_test_prepare,
                                 condition_test_launch,
                                 condition_test_expect,
                                 NULL};
