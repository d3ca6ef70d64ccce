/* Operator test of attention: softmax(q k^T / sqrt(d)) v per head, with all scores of a query at
 * once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ops/ops.h"
#include "optest/optest.h"
#include "optest/references.h"

enum { OUT, QKV, SCRATCH };

enum { MOST_TOKENS = 1024 };

#define BOTH (READS_FACTORS | WRITES_FACTORS)

static const struct {
    attention_shape s; /* N, T, H, d */
    double deviation;  /* of q, k and v; if it is large, one score dominates; NaN: see spoil() */
    unsigned factors;  /* READS_FACTORS, WRITES_FACTORS: if the implementation can */
} cases[] = {
    {{1, 1, 1, 1}, 1.0, 0},
    {{1, 2, 1, 3}, 1.0, 0},
    {{2, 3, 2, 8}, 1.0, 0},
    {{1, 257, 1, 1}, 1.0, 0},
    {{1, 3, 1, 40}, 2.0, 0},
    {{1, 5, 1, 50}, 1.0, 0},
    {{2, 2, 1, 64}, 1.0, 0},
    {{1, 9, 1, 72}, 1.0, 0},
    {{1, 2, 1, 512}, 1.0, 0},
    {{1, 4, 1, 16}, 1.0, 0},
    {{1, 5, 3, 17}, 1.0, 0},
    {{3, 9, 2, 24}, 1.0, 0},
    {{2, 16, 3, 24}, 1.0, 0},
    {{1, 31, 2, 40}, 1.0, 0},
    {{2, 16, 5, 40}, 4.0, 0},
    {{1, 33, 2, 50}, 1.0, 0},
    {{2, 17, 2, 64}, 1.0, 0},
    {{1, 63, 2, 64}, 1.0, 0},
    {{1, 64, 2, 64}, 1.0, 0},
    {{1, 65, 2, 64}, 5.0, 0},
    {{2, 77, 3, 72}, 1.0, 0},
    {{1, 16, 3, 72}, 1.0, 0},
    {{1, 127, 1, 96}, 1.0, 0},
    {{1, 129, 1, 97}, 1.0, 0},
    {{2, 40, 2, 128}, 1.0, 0},
    {{2, 256, 4, 72}, 1.0, 0},
    {{1, 257, 2, 64}, 1.0, 0},
    {{1, 255, 2, 72}, 12.0, 0},
    {{1, 1024, 1, 64}, 1.0, 0},
    {{1, 9, 1, 128}, 1.0, 0},
    {{1, 64, 1, 128}, 1.0, 0},
    {{2, 25, 1, 256}, 1.0, 0},
    {{1, 64, 1, 384}, 1.0, 0},
    {{1, 16, 1, 512}, 1.0, 0},
    {{1, 256, 1, 512}, 1.0, 0},
    {{1, 300, 1, 500}, 1.0, 0},
    {{1, 7, 2, 36}, 1.0, 0},
    {{2, 77, 1, 80}, 1.0, 0},
    {{1, 1000, 1, 72}, 1.0, 0},
    {{1, 1000, 1, 36}, 30.0, 0},
    {{1, 513, 1, 128}, 1.0, 0},
    {{1, 7, 2, 5}, NAN, 0},
    {{1, 140, 2, 24}, NAN, 0},
    {{1, 70, 1, 1}, 1.0, 0},
    {{1, 34, 1, 20}, 1.0, 0},
    /* activations in 16 bits: one vector, odd ends, several chunks of channels, NaN */
    {{1, 3, 1, 8}, 1.0, BOTH},
    {{2, 33, 2, 40}, 1.0, BOTH},
    {{1, 65, 3, 72}, 2.0, BOTH},
    {{2, 40, 2, 64}, 1.0, READS_FACTORS},
    {{1, 31, 2, 72}, 1.0, WRITES_FACTORS},
    {{1, 70, 1, 128}, 1.0, BOTH},
    {{1, 18, 1, 512}, 1.0, BOTH},
    {{1, 9, 2, 24}, NAN, BOTH},
};

static size_t width(int i)
{
    return (size_t)cases[i].s.heads * (size_t)cases[i].s.head_dim;
}

static size_t rows(int i)
{
    return (size_t)cases[i].s.batch * (size_t)cases[i].s.tokens;
}

static void attention_test_describe(optest_case *c, int i)
{
    attention_shape s = cases[i].s;
    snprintf(c->label, sizeof c->label, "N=%d T=%d H=%d d=%d sd=%g", s.batch, s.tokens, s.heads,
             s.head_dim, cases[i].deviation);
    if (cases[i].factors) {
        size_t used = strlen(c->label);
        snprintf(c->label + used, sizeof c->label - used, "%s%s",
                 cases[i].factors & READS_FACTORS ? " of factors" : "",
                 cases[i].factors & WRITES_FACTORS ? " to factors" : "");
    }
    /* softmax: 5 operations per score */
    c->flops = (double)rows(i) * s.tokens * (4.0 * (double)width(i) + 5.0 * s.heads);
    c->bytes = 16.0 * (double)(rows(i) * width(i));
    c->tol = (tolerance){4.0, s.head_dim + s.tokens};
}

/* Puts NaN into the inputs. It must reach every result that depends on it: the whole row of a
 * query, the channel of a value, the head of a distant key. */
static void spoil(float *qkv, int i)
{
    size_t D = width(i), d = (size_t)cases[i].s.head_dim, last = rows(i) - 1;
    qkv[2 * 3 * D + d - 1] = NAN;
    qkv[last * 3 * D + 2 * D + d / 2] = NAN;
    qkv[last * 3 * D + D + d] = NAN;
}

static status attention_test_prepare(optest_run *r, int i)
{
    status st = OK;
    size_t scratch;
    double deviation = isnan(cases[i].deviation) ? 1.0 : cases[i].deviation;
    TRY(memory_alloc(&r->state, 1, sizeof(op_plan)));
    TRY(attention_plan(r->d, r->state, &scratch, cases[i].s, cases[i].factors));
    double error = attention_input_error(r->state);
    /* the rounding of 16-bit inputs must not decide which score dominates */
    if (error > 0.0) deviation = fmin(deviation, sqrt(0.1 / error));
    r->input_error = error;
    TRY(optest_create(r, OPTEST_RESULT, "out", rows(i) * width(i)));
    TRY(optest_normal(r, "qkv", rows(i) * 3 * width(i), 0.0, deviation));
    if (isnan(cases[i].deviation)) spoil(r->arrays[QKV].values, i);
    TRY(optest_create(r, OPTEST_SCRATCH, "scratch", scratch));
    if (attention_fused(r->state) & READS_FACTORS) TRY(optest_factors(r, QKV, 3 * width(i)));
    if (attention_fused(r->state) & WRITES_FACTORS) TRY(optest_factors(r, OUT, width(i)));
done:
    return st;
}

static status attention_test_launch(optest_run *r, int i)
{
    const optest_array *a = r->arrays;
    (void)i;
    return op_attention(r->d, r->state, a[OUT].b, a[QKV].b, a[SCRATCH].b);
}

/* q k^T / sqrt(d); *size: the magnitude that it is rounded at. */
static double score_of(double *size, const float *q, const float *k, size_t d)
{
    double dot = 0.0, squares = 0.0;
    for (size_t j = 0; j < d; j++) {
        double term = (double)q[j] * (double)k[j];
        dot += term;
        squares += term * term;
    }
    *size = fmax(1.0, sqrt(squares / (double)d));
    return dot / sqrt((double)d);
}

/* A score is rounded at the magnitude of its terms. The absolute error of a score is the relative
 * error of its probability, and changes the other probabilities through their sum. */
void attention_reference(double *out, double *scale, const float *q, const float *keys,
                         size_t tokens, size_t d, size_t width)
{
    double highest = -INFINITY, sum = 0.0, mean = 0.0, size;
    for (size_t t = 0; t < tokens; t++)
        highest = fmax(highest, score_of(&size, q, keys + t * 3 * width, d));
    for (size_t t = 0; t < tokens; t++) {
        double p = exp(score_of(&size, q, keys + t * 3 * width, d) - highest);
        sum += p;
        mean += p * size;
    }
    mean /= sum;
    for (size_t j = 0; j < d; j++) out[j] = 0.0;
    for (size_t t = 0; t < tokens; t++) {
        const float *k = keys + t * 3 * width, *v = k + width;
        double p = exp(score_of(&size, q, k, d) - highest) / sum;
        for (size_t j = 0; j < d; j++) {
            out[j] += p * (double)v[j];
            if (scale) scale[j] += p * fabs((double)v[j]) * (size + mean) / 2.0;
        }
    }
}

static void attention_test_expect(const optest_run *r, int i, int which, double *expected,
                                  double *scale)
{
    (void)which;
    size_t T = (size_t)cases[i].s.tokens, D = width(i), d = (size_t)cases[i].s.head_dim;
    for (size_t row = 0; row < rows(i); row++)
        for (size_t column = 0; column < D; column += d) {
            const float *sample = r->arrays[QKV].values + row / T * T * 3 * D + column;
            attention_reference(expected + row * D + column, scale + row * D + column,
                                sample + row % T * 3 * D, sample + D, T, d, D);
        }
}

static void attention_test_release(optest_run *r)
{
    free(r->state);
}

const optest optest_attention = {"attention",
                                 sizeof cases / sizeof *cases,
                                 attention_test_describe,
                                 attention_test_prepare,
                                 attention_test_launch,
                                 attention_test_expect,
                                 attention_test_release};
