/* A product is not believed before it was right once on this device: libraries' kernels are known
 * to give wrong results on some. Freivalds (1977): C = A B^T holds if C v = A (B^T v) for random v,
 * which costs mn + nk + mk instead of mnk. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/memory.h"
#include "ops/ops.h"

/* An error in one element e of row i moves (C v)[i] by |e|, since v is +-1: beyond c eps sqrt(k) of
 * a row sum's size, sqrt(nk) / 3, it is seen. Correct products stay below 1.5 eps sqrt(k). */
static const double GRANTED = 8.0;

typedef struct {
    float *a, *b, *c, *bias; /* [m][k] [n][k] [m][n] [n] */
    double *v, *bv;          /* [n], B^T v [k] */
    buf a_buf, c_buf, scratch;
    gemm_weight weight;
} workspace;

static double uniform(uint64_t *state)
{
    /* splitmix64 (Steele, Lea & Flood 2014), in [-1, 1) */
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-52 - 1.0;
}

/* Coarse inputs are drawn from what bf16 holds: nothing is rounded, and the check stays sharp. */
static bool is_coarse(const device *d)
{
    return gemm_input_error(d) >= 0x1p-9;
}

static float input(const device *d, uint64_t *state)
{
    float x = (float)uniform(state);
    return is_coarse(d) ? bf16_to_float(float_to_bf16(x)) : x;
}

static double granted(const device *d, size_t k)
{
    return GRANTED * (FLT_EPSILON * sqrt((double)k) + (is_coarse(d) ? 0 : 2 * gemm_input_error(d)));
}

/* The real path: upload, op_gemm, download. */
static status multiply(device *d, workspace *w, size_t m, size_t n, size_t k)
{
    status st = OK;
    size_t scratch;
    TRY(gemm_scratch(d, &scratch, (int)m, (int)n, (int)k));
    TRY(gemm_weight_upload(d, &w->weight, w->b, w->bias, (int)n, (int)k, "a product's check"));
    TRY(buffer_create(d, &w->a_buf, m * k, "a product's check"));
    TRY(buffer_create(d, &w->c_buf, m * n, "a product's check"));
    TRY(buffer_create(d, &w->scratch, scratch, "a product's check"));
    TRY(buffer_upload(d, w->a_buf, 0, w->a, m * k));
    TRY(buffer_upload(d, w->c_buf, 0, w->c, m * n));
    TRY(op_gemm(d, w->c_buf, w->a_buf, &w->weight, (int)m, NULL, w->scratch));
    TRY(buffer_download(d, w->c_buf, 0, w->c, m * n));
done:
    return st;
}

/* Largest |C v - A (B^T v)| relative to the size of a row's sum; infinite for a result that is not
 * finite. */
static double error_of(const workspace *w, size_t m, size_t n, size_t k)
{
    double worst = 0.0;
    for (size_t i = 0; i < m; i++) {
        double cv = 0.0, abv = 0.0;
        for (size_t j = 0; j < n; j++) cv += (double)w->c[i * n + j] * w->v[j];
        for (size_t j = 0; j < k; j++) abv += (double)w->a[i * k + j] * w->bv[j];
        double off = fabs(cv - abv);
        if (!(off <= DBL_MAX)) return INFINITY;
        worst = fmax(worst, off);
    }
    return worst / (sqrt((double)n * (double)k) / 3.0);
}

static status check(device *d, size_t m, size_t n, size_t k)
{
    status st = OK;
    workspace w = {0};
    uint64_t random = 0x0d17c1u + m * 31 + n * 37 + k * 41;
    TRY(memory_alloc(&w.a, m * k, sizeof *w.a));
    TRY(memory_alloc(&w.b, n * k, sizeof *w.b));
    TRY(memory_alloc(&w.c, m * n, sizeof *w.c));
    TRY(memory_alloc(&w.bias, n, sizeof *w.bias));
    TRY(memory_alloc(&w.v, n, sizeof *w.v));
    TRY(memory_alloc(&w.bv, k, sizeof *w.bv));
    for (size_t i = 0; i < m * k; i++) w.a[i] = input(d, &random);
    for (size_t i = 0; i < m * n; i++) w.c[i] = NAN; /* each element must be written */
    for (size_t j = 0; j < n; j++) {
        w.v[j] = uniform(&random) < 0.0 ? -1.0 : 1.0;
        for (size_t i = 0; i < k; i++) {
            w.b[j * k + i] = input(d, &random);
            w.bv[i] += w.v[j] * (double)w.b[j * k + i];
        }
    }
    TRY(multiply(d, &w, m, n, k));
    double error = error_of(&w, m, n, k);
    if (error <= granted(d, k)) goto done;
    st = fail(ERR_DEVICE, "%s's product %zux%zux%zu is wrong on this device (relative error %.1e)",
              gemm_name(d), m, n, k, error);
    fail_hint("please report the device (ditcl devices); DITCL_GEMM=%s may work",
              !strcmp(gemm_name(d), "clblast") ? "cpu" : "clblast");
done:
    buffer_release(d, &w.a_buf);
    buffer_release(d, &w.c_buf);
    buffer_release(d, &w.scratch);
    gemm_weight_free(d, &w.weight);
    free(w.a);
    free(w.b);
    free(w.c);
    free(w.bias);
    free(w.v);
    free(w.bv);
    return st;
}

status gemm_check(device *d, int m, int n, int k)
{
    status st = OK;
    for (size_t i = 0; i < d->n_products; i++)
        if (d->products[i].m == m && d->products[i].n == n && d->products[i].k == k) return OK;
    TRY(check(d, (size_t)m, (size_t)n, (size_t)k));
    TRY(memory_grow(&d->products, &d->products_capacity, d->n_products + 1, sizeof *d->products));
    d->products[d->n_products].m = m;
    d->products[d->n_products].n = n;
    d->products[d->n_products++].k = k;
done:
    return st;
}
