/* Checks a whole GEMM on this device, since some kernels of libraries are wrong on some devices.
 * Freivalds (1977): C = A B^T holds if C v = A (B^T v) for random v, which costs mn + nk + mk
 * instead of mnk. Each input is a hash of its index, so that any thread computes it when needed
 * and no memory holds it. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "ops/gemm.h"

/* An error e in one element of row i changes (C v)[i] by |e|, since v is +-1. It is detected if
 * it is more than c eps sqrt(k) times the size of a row's sum, sqrt(nk) / 3. Correct GEMMs stay
 * below 1.5 eps sqrt(k). */
static const double GRANTED = 8.0;

enum { BLOCK = 64 };
enum { SEED_A = 0x0d17c1, SEED_B = 0x51ab3d, SEED_V = 0x7e11a5 };

typedef struct {
    device *d;
    size_t m, n, k;
    bool coarse; /* inputs are exact in bf16 and fp16: no input is rounded, so the check is sharp */
    float *c;    /* [m][n] */
    double *v, *bv;                 /* [n], B^T v [k] */
    double worst[PARALLEL_THREADS]; /* largest error of a row, by thread */
    buf a_buf, c_buf, scratch;
    op_choice use;
    gemm_weight weight;
} workspace;

/* lowbias32 (Wellons 2018) of an index and a seed */
static inline uint32_t random_bits(uint32_t place, uint32_t seed)
{
    uint32_t x = place + seed;
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

/* out[0..count) = elements first.. of an input, in [-1, 1) */
static void make_inputs(float *restrict out, const workspace *w, uint32_t seed, size_t first,
                        size_t count)
{
    int drop = w->coarse ? 24 : 0;
    float scale = w->coarse ? 0x1p-7f : 0x1p-31f;
    for (size_t i = 0; i < count; i++)
        out[i] = (float)((int32_t)random_bits((uint32_t)(first + i), seed) >> drop) * scale;
}

static status weight_rows(void *context, float *out, int first, int count)
{
    const workspace *w = context;
    make_inputs(out, w, SEED_B, (size_t)first * w->k, (size_t)count * w->k);
    return OK;
}

/* One block of B^T v. */
static status project(void *context, size_t i, int thread)
{
    workspace *w = context;
    size_t first = i * BLOCK, count = w->k - first < BLOCK ? w->k - first : BLOCK;
    float row[BLOCK];
    (void)thread;
    for (size_t j = 0; j < w->n; j++) {
        make_inputs(row, w, SEED_B, j * w->k + first, count);
        for (size_t l = 0; l < count; l++) w->bv[first + l] += w->v[j] * (double)row[l];
    }
    return OK;
}

static status upload_inputs(workspace *w)
{
    void *mapped;
    status st = OK;
    TRY(buffer_map(w->d, w->a_buf, &mapped));
    make_inputs(mapped, w, SEED_A, 0, w->m * w->k);
    TRY(buffer_unmap(w->d, w->a_buf, mapped));
    TRY(buffer_map(w->d, w->c_buf, &mapped));
    for (size_t i = 0; i < w->m * w->n; i++) ((float *)mapped)[i] = NAN; /* each must be written */
    TRY(buffer_unmap(w->d, w->c_buf, mapped));
done:
    return st;
}

/* As in a run: packs the weights, calls op_gemm, downloads. */
static status multiply(workspace *w)
{
    int m = (int)w->m, n = (int)w->n, k = (int)w->k;
    const gemm_rows rows = {weight_rows, w};
    float *no_bias = NULL, largest;
    op_plan plan;
    size_t scratch;
    status st = OK;
    TRY(memory_alloc(&no_bias, w->n, sizeof *no_bias));
    TRY(gemm_weight_pack(w->d, &w->weight, w->use, &rows, no_bias, n, k, &largest,
                         "the check of a GEMM"));
    TRY(gemm_scratch(w->d, &scratch, &w->weight, m));
    TRY(buffer_create(w->d, &w->a_buf, w->m * w->k, "the check of a GEMM"));
    TRY(buffer_create(w->d, &w->c_buf, w->m * w->n, "the check of a GEMM"));
    TRY(buffer_create(w->d, &w->scratch, scratch, "the check of a GEMM"));
    TRY(upload_inputs(w));
    TRY(gemm_plan(w->d, &plan, &w->weight, m, (gemm_epilogue){0}));
    TRY(op_gemm(
        w->d, &plan,
        &(gemm_buffers){.out = w->c_buf, .a = w->a_buf, .w = &w->weight, .scratch = w->scratch}));
    TRY(buffer_download(w->d, w->c_buf, 0, w->c, w->m * w->n));
done:
    free(no_bias);
    return st;
}

/* |C v - A (B^T v)| of row i; infinite for a result that is not finite. */
static status compare_row(void *context, size_t i, int thread)
{
    workspace *w = context;
    double cv = 0.0, abv = 0.0;
    float inputs[BLOCK];
    for (size_t j = 0; j < w->n; j++) cv += (double)w->c[i * w->n + j] * w->v[j];
    for (size_t first = 0; first < w->k; first += BLOCK) {
        size_t count = w->k - first < BLOCK ? w->k - first : BLOCK;
        make_inputs(inputs, w, SEED_A, i * w->k + first, count);
        for (size_t l = 0; l < count; l++) abv += (double)inputs[l] * w->bv[first + l];
    }
    double off = fabs(cv - abv);
    w->worst[thread] = fmax(w->worst[thread], off <= DBL_MAX ? off : INFINITY);
    return OK;
}

/* *error = the largest error of a row, relative to the size of a row's sum. */
static status measure(workspace *w, double *error)
{
    status st = OK;
    *error = 0.0;
    TRY(memory_alloc(&w->c, w->m * w->n, sizeof *w->c));
    TRY(memory_alloc(&w->v, w->n, sizeof *w->v));
    TRY(memory_alloc(&w->bv, w->k, sizeof *w->bv));
    for (size_t j = 0; j < w->n; j++) w->v[j] = random_bits((uint32_t)j, SEED_V) & 1u ? -1.0 : 1.0;
    TRY(parallel_for((w->k + BLOCK - 1) / BLOCK, project, w));
    TRY(multiply(w));
    TRY(parallel_for(w->m, compare_row, w));
    for (int t = 0; t < PARALLEL_THREADS; t++) *error = fmax(*error, w->worst[t]);
    *error /= sqrt((double)w->n * (double)w->k) / 3.0;
done:
    return st;
}

static status check(device *d, op_choice use, size_t m, size_t n, size_t k)
{
    const char *name = use.impl->name;
    double input_error = use.impl->input_error, error;
    workspace w = {.d = d, .use = use, .m = m, .n = n, .k = k, .coarse = input_error >= 0x1p-11};
    double granted = GRANTED * (FLT_EPSILON * sqrt((double)k) + (w.coarse ? 0 : 2 * input_error));
    status st = measure(&w, &error);
    if (st == OK && error > granted) {
        st = fail(ERR_DEVICE,
                  "%s's product %zux%zux%zu is wrong on this device (relative error %.1e)", name, m,
                  n, k, error);
        fail_hint("please report the device (ditcl devices); DITCL_GEMM=%s may work",
                  !strcmp(name, "clblast") ? "cpu" : "clblast");
    }
    buffer_release(d, &w.a_buf);
    buffer_release(d, &w.c_buf);
    buffer_release(d, &w.scratch);
    gemm_weight_free(d, &w.weight);
    free(w.c);
    free(w.v);
    free(w.bv);
    return st;
}

status gemm_check(device *d, const gemm_weight *w, int m)
{
    return check(d, gemm_choice_of(d, w, m), (size_t)m, (size_t)w->n, (size_t)w->k);
}
