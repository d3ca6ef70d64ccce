/* Matrix products with their epilogues: which implementation serves, and its weights. */
#include "ops/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "device/launch.h"

/* The first that fits serves. */
static const gemm_implementation *const table[] = {&gemm_matrix, &gemm_matrix_three,
                                                   &gemm_cpu_pairs, &gemm_cpu_strassen, &gemm_cpu,
                                                   &gemm_clblast};

const modulation gemm_no_gate = {0};

/* DITCL_GEMM names another than the first, to compare them; but units must be there. */
static const gemm_implementation *choose(const device *d)
{
    const char *forced = getenv("DITCL_GEMM");
    const gemm_implementation *first = NULL;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        bool named = forced && !strcmp(table[i]->name, forced), fits = table[i]->fits(d);
        if (named && (fits || table[i]->on == UNIT_FP32)) return table[i];
        if (!first && fits) first = table[i];
    }
    return first; /* CLBlast fits everywhere */
}

const char *gemm_name(const device *d)
{
    return choose(d)->name;
}

double gemm_input_error(const device *d)
{
    return choose(d)->input_error;
}

status gemm_scratch(device *d, size_t *count, int m, int n, int k)
{
    return choose(d)->scratch(d, count, m, n, k);
}

enum { BIAS_SLACK = 64 }; /* kernels read a bias for each column of the last panel */

status gemm_weight_upload(device *d, gemm_weight *w, const float *matrix, const float *bias, int n,
                          int k, const char *what)
{
    const gemm_implementation *g = choose(d);
    size_t count = g->packed_count(d, n, k), padded = (size_t)n + BIAS_SLACK;
    float *packed = NULL;
    status st = OK;
    *w = (gemm_weight){.n = n, .k = k};
    TRY(buffer_create(d, &w->matrix, count, what));
    TRY(buffer_create(d, &w->bias, padded, what));
    TRY(memory_alloc(&packed, count > padded ? count : padded, sizeof *packed));
    g->pack(d, packed, matrix, n, k);
    TRY(buffer_upload(d, w->matrix, 0, packed, count));
    memset(packed, 0, padded * sizeof *packed);
    memcpy(packed, bias, (size_t)n * sizeof *packed);
    TRY(buffer_upload(d, w->bias, 0, packed, padded));
done:
    free(packed);
    if (st != OK) gemm_weight_free(d, w);
    return st;
}

void gemm_weight_free(device *d, gemm_weight *w)
{
    buffer_release(d, &w->matrix);
    buffer_release(d, &w->bias);
}

static void announce(device *d, const gemm_implementation *g, const gemm_weight *w, int m,
                     const gemm_epilogue *e)
{
    static const char *const names[] = {"", " gelu", " silu"};
    double rows = m, n = w->n, k = w->k, flops = 2 * rows * n * k;
    double values = rows * k + n * k + rows * n;
    if (e->residual.memory) values += fmin(e->residual_rows, rows) * n;
    record_work(d, "gemm",
                (work){.flops = flops,
                       .executed = flops * (g->products ? g->products(d, m, w->n, w->k) : 1),
                       .bytes = 4 * values, .on = g->on},
                "%dx%dx%d%s%s%s", m, w->n, w->k, names[e->act], e->gate ? " gate" : "",
                e->residual.memory ? " residual" : "");
}

status op_gemm(device *d, buf out, buf a, const gemm_weight *w, int m, const gemm_epilogue *e,
               buf scratch)
{
    static const gemm_epilogue none = {0};
    const gemm_implementation *g = choose(d);
    if (d->recorder) announce(d, g, w, m, e ? e : &none);
    return g->product(d, out, a, w, m, e ? e : &none, scratch);
}
