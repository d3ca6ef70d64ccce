/* Operator test of gemm: x W^T + b as torch's linear, then GELU (tanh form) or SiLU, gate,
 * residual. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ops/ops.h"
#include "optest/optest.h"
#include "optest/references.h"

enum { OUT, A, WEIGHT, BIAS, RESIDUAL, GATE, ROWS, SCRATCH };

#define NONE 0
#define GELU FUSED_GELU
#define SILU FUSED_SILU
#define BOTH (READS_FACTORS | WRITES_FACTORS)

static const struct {
    int m, n, k;
    unsigned use;      /* activation; READS_FACTORS, WRITES_FACTORS: if the implementation can */
    int residual_rows; /* 0: no residual */
    int tokens;        /* 0: no gate */
} cases[] = {
    {1, 1, 1, NONE, 0, 0},
    {1, 5, 3, NONE, 0, 0},
    {5, 8, 8, NONE | BOTH, 0, 0},
    {7, 24, 40, GELU | WRITES_FACTORS, 0, 0},
    {3, 1, 17, GELU, 3, 1},
    {7, 13, 11, NONE, 7, 0},
    {7, 13, 11, NONE, 0, 7},
    {8, 13, 11, NONE, 4, 2},
    {6, 13, 11, GELU, 0, 0},
    {6, 13, 11, GELU, 6, 0},
    {6, 13, 11, GELU, 0, 3},
    {6, 13, 11, GELU, 3, 2},
    {6, 13, 11, SILU, 0, 0},
    {6, 13, 11, SILU, 2, 0},
    {6, 13, 11, SILU, 0, 6},
    {6, 13, 11, SILU, 6, 1},
    {31, 33, 32, NONE, 0, 0},
    {32, 32, 31, NONE, 32, 16},
    {33, 31, 33, GELU, 0, 0},
    {63, 65, 64, SILU, 0, 0},
    {64, 64, 64, NONE, 0, 0},
    {65, 63, 65, NONE, 13, 5},
    {5, 48, 16, NONE, 5, 0},
    {32, 144, 48, NONE, 0, 0},
    {32, 48, 192, NONE, 32, 16},
    {18, 200, 200, NONE, 18, 9},
    {18, 800, 200, GELU, 0, 0},
    {32, 216, 864, NONE, 32, 16},
    {127, 129, 128, NONE, 0, 0},
    {128, 432, 144, NONE, 0, 0},
    {2, 6912, 1152, NONE, 0, 0},
    {64, 32, 1152, NONE, 0, 0},
    {64, 1152, 16, NONE, 32, 0},
    {37, 3456, 1152, NONE, 0, 0},
    {64, 1152, 1152, NONE, 64, 32},
    {33, 4608, 1152, GELU, 0, 0},
    {32, 1152, 4608, NONE, 32, 16},
    {400, 384, 384, NONE, 400, 200},
    {1024, 128, 512, NONE, 0, 0},
    {9, 50, 3001, SILU, 9, 2},
    {128, 96, 256, NONE, 0, 0},
    {144, 180, 288, GELU, 0, 0},
    {144, 192, 288, GELU, 0, 0},
    {672, 384, 320, NONE, 336, 96},
    /* rows and columns at the edges of tiles, depths that end inside a step */
    {131, 132, 36, SILU, 131, 44},
    {129, 127, 40, GELU, 0, 3},
    {15, 257, 31, NONE, 5, 0},
    {4, 130, 34, SILU, 4, 2},
    {17, 8, 68, NONE, 17, 17},
    {257, 9, 12, GELU, 257, 64},
    /* a single tile; two compute units split its depth */
    {24, 62, 640, GELU, 0, 3},
    {31, 64, 1030, GELU, 31, 0},
    /* activations in 16 bits: depths that end inside a step, tiles' edges, a split depth */
    {18, 44, 72, NONE | READS_FACTORS, 18, 9},
    {131, 136, 40, SILU | BOTH, 0, 3},
    {64, 1152, 16, NONE | READS_FACTORS, 32, 0},
    {18, 192, 48, GELU | BOTH, 0, 0},
    {4, 8, 640, GELU | BOTH, 0, 3},
    {24, 64, 640, GELU | BOTH, 0, 3},
    {31, 64, 1032, GELU | BOTH, 31, 0},
};

enum { GATE_AT = 3 };

static int stride(int i)
{
    return GATE_AT + cases[i].n + 2;
}

static unsigned fused(int i)
{
    return (cases[i].use & ~(unsigned)BOTH) | (cases[i].tokens ? FUSED_GATE : 0) |
           (cases[i].residual_rows ? FUSED_RESIDUAL : 0);
}

static void gemm_test_describe(optest_case *c, int i)
{
    const char *act = cases[i].use & GELU ? " gelu" : cases[i].use & SILU ? " silu" : "";
    double m = cases[i].m, n = cases[i].n, k = cases[i].k;
    snprintf(c->label, sizeof c->label, "%dx%dx%d bias%s%s%s", cases[i].m, cases[i].n, cases[i].k,
             act, cases[i].tokens ? " gate" : "", cases[i].residual_rows ? " residual" : "");
    if (cases[i].use & BOTH) {
        size_t used = strlen(c->label);
        snprintf(c->label + used, sizeof c->label - used, "%s%s",
                 cases[i].use & READS_FACTORS ? " of factors" : "",
                 cases[i].use & WRITES_FACTORS ? " to factors" : "");
    }
    c->flops = 2.0 * m * n * k;
    c->bytes = 4.0 * (m * k + n * k + m * n * (cases[i].residual_rows ? 2.0 : 1.0));
    c->tol = (tolerance){4.0, k + 8.0};
}

static status gemm_test_prepare(optest_run *r, int i)
{
    status st = OK;
    size_t m = (size_t)cases[i].m, n = (size_t)cases[i].n, k = (size_t)cases[i].k, scratch;
    size_t items = cases[i].tokens ? (m - 1) / (size_t)cases[i].tokens + 1 : 0;
    const gemm_weight like = {.n = cases[i].n, .k = cases[i].k};
    r->input_error = gemm_input_error(r->d, cases[i].m, cases[i].n, cases[i].k);
    TRY(gemm_scratch(r->d, &scratch, &like, cases[i].m));
    TRY(optest_create(r, OPTEST_RESULT, "out", m * n));
    TRY(optest_normal(r, "a", m * k, 0.0, 1.0));
    TRY(optest_normal(r, "weight", n * k, 0.0, 1.0 / sqrt((double)k)));
    TRY(optest_normal(r, "bias", n, 0.0, 1.0));
    TRY(optest_normal(r, "residual", (size_t)cases[i].residual_rows * n, 0.0, 1.0));
    TRY(optest_table(r, "gate", stride(i), items));
    TRY(optest_create(r, OPTEST_SCRATCH, "scratch", scratch));
    TRY(memory_alloc(&r->state, 1, sizeof(gemm_weight)));
    TRY(gemm_weight_upload(r->d, r->state, r->arrays[WEIGHT].values, r->arrays[BIAS].values,
                           cases[i].m, cases[i].n, cases[i].k, "packed weight"));
    unsigned factors = cases[i].use & gemm_factors(r->state);
    if (factors & READS_FACTORS) TRY(optest_factors(r, A, k));
    if (factors & WRITES_FACTORS) TRY(optest_factors(r, OUT, n));
done:
    return st;
}

static void gemm_test_release(optest_run *r)
{
    if (r->state) gemm_weight_free(r->d, r->state);
    free(r->state);
}

static status gemm_test_launch(optest_run *r, int i)
{
    const optest_array *a = r->arrays;
    const modulation gate = optest_modulation(r, GATE, stride(i));
    const gemm_buffers buffers = {.out = a[OUT].b,
                                  .a = a[A].b,
                                  .w = r->state,
                                  .residual = a[RESIDUAL].b,
                                  .gate = &gate,
                                  .scratch = a[SCRATCH].b};
    const gemm_epilogue e = {.fused = fused(i) | (cases[i].use & gemm_factors(r->state)),
                             .residual_rows = cases[i].residual_rows,
                             .tokens = cases[i].tokens,
                             .gate_at = GATE_AT};
    op_plan p;
    status st = gemm_plan(r->d, &p, r->state, cases[i].m, e);
    return st == OK ? op_gemm(r->d, &p, &buffers) : st;
}

static double activate(double x, unsigned act)
{
    if (act & FUSED_GELU)
        return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    return act & FUSED_SILU ? x / (1.0 + exp(-x)) : x;
}

/* A value is rounded at the magnitude of its terms, which may cancel. */
double gemm_reference(double *squares, const float *a, const float *w, size_t k, float bias,
                      unsigned fused, float gate, float residual)
{
    double y = (double)bias, sum = y * y;
    for (size_t i = 0; i < k; i++) {
        double term = (double)a[i] * (double)w[i];
        y += term;
        sum += term * term;
    }
    y = activate(y, fused);
    if (fused & FUSED_GATE) {
        y *= (double)gate;
        sum *= (double)gate * (double)gate;
    }
    if (fused & FUSED_RESIDUAL) {
        y += (double)residual;
        sum += (double)residual * (double)residual;
    }
    if (squares) *squares = sum;
    return y;
}

static void gemm_test_expect(const optest_run *r, int i, int which, double *expected, double *scale)
{
    (void)which;
    const optest_array *a = r->arrays;
    size_t M = (size_t)cases[i].m, N = (size_t)cases[i].n, K = (size_t)cases[i].k;
    int tokens = cases[i].tokens, back = cases[i].residual_rows;
    for (size_t m = 0; m < M; m++)
        for (size_t n = 0; n < N; n++) {
            const float *row = tokens ? optest_row(r, GATE, stride(i), (int)m / tokens) : NULL;
            float gate = tokens ? row[GATE_AT + n] : 0.0f, residual = 0.0f;
            if (back) residual = a[RESIDUAL].values[m % (size_t)back * N + n];
            expected[m * N + n] =
                gemm_reference(&scale[m * N + n], a[A].values + m * K, a[WEIGHT].values + n * K, K,
                               a[BIAS].values[n], fused(i), gate, residual);
            scale[m * N + n] = sqrt(scale[m * N + n]);
        }
}

const optest optest_gemm = {"gemm",
                            sizeof cases / sizeof *cases,
                            gemm_test_describe,
                            gemm_test_prepare,
                            gemm_test_launch,
                            gemm_test_expect,
                            gemm_test_release};
