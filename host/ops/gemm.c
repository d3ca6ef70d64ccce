/* Matrix products with their epilogues: which implementation serves, and its weights. */
#include "ops/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "device/launch.h"

/* The first that fits serves. */
static const gemm_implementation *const table[] = {
    &gemm_matrix, &gemm_matrix_three, &gemm_cpu_pairs, &gemm_cpu_strassen,
    &gemm_cpu,    &gemm_gpu_half,     &gemm_gpu,       &gemm_clblast};

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

/* What the threads that pack share. */
typedef struct {
    const device *d;
    const gemm_implementation *g;
    const gemm_rows *rows;
    void *packed;
    float *panels; /* [threads][panel][k]: rows on their way */
    int panel, n, k;
} packing;

static status pack_panel(void *context, size_t i, int thread)
{
    const packing *p = context;
    float *rows = p->panels + (size_t)thread * (size_t)p->panel * (size_t)p->k;
    int first = (int)i * p->panel, left = p->n - first;
    int count = left < p->panel ? left : p->panel;
    status st = p->rows->read(p->rows->context, rows, first, count);
    if (st == OK) p->g->pack(p->d, p->packed, rows, first, count, p->n, p->k);
    return st;
}

status gemm_weight_load(device *d, gemm_weight *w, const gemm_rows *rows, const float *bias, int n,
                        int k, const char *what)
{
    const gemm_implementation *g = choose(d);
    packing p = {d, g, rows, NULL, NULL, (int)g->panel(d, n), n, k};
    size_t padded = (size_t)n + BIAS_SLACK, panel = (size_t)p.panel;
    float *all_biases = NULL;
    status st = OK;
    if (w->n != n || w->k != k || !w->matrix.memory) {
        gemm_weight_free(d, w);
        *w = (gemm_weight){.n = n, .k = k};
        TRY(buffer_create(d, &w->matrix, g->packed_count(d, n, k), what));
        TRY(buffer_create(d, &w->bias, padded, what));
    }
    TRY(memory_alloc(&p.panels, panel * (size_t)k, (size_t)parallel_threads() * sizeof(float)));
    TRY(buffer_map(d, w->matrix, &p.packed));
    st = parallel_for(ceil_div((size_t)n, panel), pack_panel, &p);
    status unmapped = buffer_unmap(d, w->matrix, p.packed);
    if (st == OK) st = unmapped;
    if (st != OK) goto done;
    TRY(memory_alloc(&all_biases, padded, sizeof *all_biases));
    memcpy(all_biases, bias, (size_t)n * sizeof *bias);
    TRY(buffer_upload(d, w->bias, 0, all_biases, padded));
done:
    free(all_biases);
    free(p.panels);
    if (st != OK) gemm_weight_free(d, w);
    return st;
}

typedef struct {
    const float *matrix;
    size_t k;
} in_memory;

static status copy_rows(void *context, float *out, int first, int count)
{
    const in_memory *m = context;
    memcpy(out, m->matrix + (size_t)first * m->k, (size_t)count * m->k * sizeof *out);
    return OK;
}

status gemm_weight_upload(device *d, gemm_weight *w, const float *matrix, const float *bias, int n,
                          int k, const char *what)
{
    in_memory m = {matrix, (size_t)k};
    *w = (gemm_weight){0};
    return gemm_weight_load(d, w, &(gemm_rows){copy_rows, &m}, bias, n, k, what);
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
