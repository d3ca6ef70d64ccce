/* Matrix products with their epilogues: which implementation serves, and its weights. */
#include "ops/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "device/launch.h"
#include "ops/first_use.h"
#include "ops/op.h"

/* The first that fits serves. */
static const gemm_implementation *const table[] = {
    &gemm_matrix,  &gemm_matrix_bf16x3, &gemm_cpu_pairs,     &gemm_cpu_strassen, &gemm_cpu,
    &gemm_mma,     &gemm_mma_bf16,      &gemm_mma_bf16x3,    &gemm_gpu_fp16,     &gemm_gpu,
    &gemm_clblast, &gemm_clblast_xgemm, &gemm_clblast_direct};

const modulation gemm_no_gate = {0};

enum { N_IMPLEMENTATIONS = sizeof table / sizeof *table };

/* DITCL_GEMM names another than the first, to compare them; but units must be there. */
static const gemm_implementation *forced(const device *d)
{
    const char *name = getenv("DITCL_GEMM");
    for (int i = 0; name && i < N_IMPLEMENTATIONS; i++)
        if (!strcmp(table[i]->tuned->kind, name) &&
            (table[i]->fits(d) || table[i]->on == ROOF_FP32))
            return table[i];
    return NULL;
}

static const gemm_implementation *stored(const device *d, const int *shape)
{
    const tuning *t = tuning_serving(d, "gemm", shape);
    for (int i = 0; t && i < N_IMPLEMENTATIONS; i++)
        if (table[i]->tuned == t && table[i]->fits(d)) return table[i];
    return NULL;
}

/* As DITCL_GEMM names it, else as it is stored for the device, else the first that fits; values
 * null: none is left. */
static gemm_choice choose(const device *d, const int *shape)
{
    const gemm_implementation *first[] = {forced(d), stored(d, shape)};
    gemm_choice c = {0};
    for (int i = 0; i < 2 + N_IMPLEMENTATIONS && !c.values; i++) {
        c.by = i < 2 ? first[i] : table[i - 2];
        if (!c.by || (i >= 2 && !c.by->fits(d))) continue;
        c.values = tuning_values_for(d, c.by->tuned, shape);
    }
    return c;
}

static bool rounds_to_fp16(gemm_choice c)
{
    return op_arith(c.by->input_error) == ARITH_FP16;
}

/* For weights that fp16 does not hold. */
static gemm_choice choose_exact(const device *d, const int *shape)
{
    gemm_choice c = {0};
    for (int i = 0; i < N_IMPLEMENTATIONS && !c.values; i++) {
        if (op_arith(table[i]->input_error) != ARITH_FP32 || !table[i]->fits(d)) continue;
        c.by = table[i];
        c.values = tuning_values_for(d, c.by->tuned, shape);
    }
    return c;
}

/* *c = the first of its choices that is right on this device. */
static status choose_right(device *d, gemm_choice *c,
                           gemm_choice (*next)(const device *d, const int *shape), const int *shape,
                           unsigned use)
{
    bool right = false;
    while (!right) {
        *c = next(d, shape);
        if (!c->values) return first_use_none(d, "gemm", shape);
        const first_use what = {"gemm", c->by->tuned, c->values, shape, use};
        status st = first_use_check(d, &what, &right);
        if (st != OK) return st;
    }
    return OK;
}

bool gemm_offers(const device *d, precision p)
{
    static const arith wanted[N_PRECISIONS] = {ARITH_BF16X3, ARITH_FP32, ARITH_BF16, ARITH_FP16};
    device other = *d;
    other.settings.precision = p;
    for (int i = 0; i < N_IMPLEMENTATIONS; i++)
        if (op_arith(table[i]->input_error) == wanted[p] && table[i]->fits(&other)) return true;
    return false;
}

gemm_choice gemm_choice_of(const device *d, const gemm_weight *w, int m)
{
    const int shape[TUNING_SIZES] = {m, w->n, w->k};
    return w->use.by ? w->use : choose(d, shape);
}

bool gemm_keeps_fp32(const tuning *t)
{
    for (int i = 0; i < N_IMPLEMENTATIONS; i++)
        if (table[i]->tuned == t) return op_arith(table[i]->input_error) == ARITH_FP32;
    return false;
}

int gemm_kinds(const device *d, const int *shape, const tuning *out[TUNING_KINDS])
{
    int n = 0;
    for (int i = 0; i < N_IMPLEMENTATIONS; i++)
        if (!d || (table[i]->fits(d) && tuning_values_for(d, table[i]->tuned, shape)))
            out[n++] = table[i]->tuned;
    return n;
}

const char *gemm_name(const device *d, int m, int n, int k)
{
    const int shape[TUNING_SIZES] = {m, n, k};
    gemm_choice c = choose(d, shape);
    return c.values ? c.by->tuned->kind : "none";
}

double gemm_input_error(const device *d, int m, int n, int k)
{
    const int shape[TUNING_SIZES] = {m, n, k};
    gemm_choice c = choose(d, shape);
    return c.values ? c.by->input_error : 0.0;
}

status gemm_scratch(device *d, size_t *count, const gemm_weight *w, int m)
{
    const int shape[TUNING_SIZES] = {m, w->n, w->k};
    gemm_choice c = gemm_choice_of(d, w, m);
    size_t more = 0;
    if (!c.values) return first_use_none(d, "gemm", shape);
    status st = c.by->scratch(d, c.values, count, m, w->n, w->k);
    if (st != OK || w->use.by || !rounds_to_fp16(c)) return st;
    c = choose_exact(d, shape); /* its weights are not known yet */
    if (!c.values) return first_use_none(d, "gemm", shape);
    st = c.by->scratch(d, c.values, &more, m, w->n, w->k);
    if (more > *count) *count = more;
    return st;
}

status gemm_first_use(device *d, const gemm_weight *w, int m, unsigned use)
{
    const int shape[TUNING_SIZES] = {m, w->n, w->k};
    gemm_choice c = {0};
    bool right;
    if (!w->use.by) return choose_right(d, &c, choose, shape, use);
    const first_use what = {"gemm", w->use.by->tuned, w->use.values, shape, use};
    status st = first_use_check(d, &what, &right);
    if (st != OK || right) return st;
    /* it is chosen by the rows that it was loaded for */
    const int loaded[TUNING_SIZES] = {w->m, w->n, w->k};
    const first_use there = {"gemm", w->use.by->tuned, w->use.values, loaded, use};
    st = first_use_strike(d, &there, "it is wrong for other numbers of rows", false);
    if (st != OK) return st;
    fail(ERR_DEVICE, "gemm %s is right for %d rows, but not for %d", w->use.by->tuned->kind, w->m,
         m);
    fail_hint("run the command again: now that this is known, another takes its place");
    return ERR_DEVICE;
}

enum { BIAS_SLACK = 64 }; /* kernels read a bias for each column of the last panel */

/* What the threads that pack share. */
typedef struct {
    const device *d;
    gemm_choice use;
    const gemm_rows *rows;
    void *packed;
    float *panels; /* [threads][panel][k]: rows on their way */
    int panel, n, k;
    bool half;
    float largest[PARALLEL_THREADS]; /* weight, where they become halves, by thread */
} packing;

static status pack_panel(void *context, size_t i, int thread)
{
    packing *p = context;
    float *rows = p->panels + (size_t)thread * (size_t)p->panel * (size_t)p->k;
    int first = (int)i * p->panel, left = p->n - first;
    int count = left < p->panel ? left : p->panel;
    status st = p->rows->read(p->rows->context, rows, first, count);
    if (st != OK) return st;
    for (size_t j = 0; p->half && j < (size_t)count * (size_t)p->k; j++)
        p->largest[thread] = fmaxf(p->largest[thread], fabsf(rows[j]));
    p->use.by->pack(p->d, p->use.values, p->packed, rows, first, count, p->n, p->k);
    return OK;
}

status gemm_weight_view(device *d, gemm_weight *w)
{
    int texel = w->use.by->texel ? w->use.by->texel(w->use.values) : 0;
    buffer_release(d, &w->view);
    return texel ? buffer_view(d, &w->view, w->matrix, texel) : OK;
}

status gemm_weight_pack(device *d, gemm_weight *w, gemm_choice use, const gemm_rows *rows,
                        const float *bias, int n, int k, float *largest, const char *what)
{
    const gemm_implementation *g = use.by;
    packing p = {.d = d,
                 .use = use,
                 .rows = rows,
                 .panel = (int)g->panel(d, use.values, n),
                 .n = n,
                 .k = k,
                 .half = rounds_to_fp16(use)};
    bool same = w->use.by == use.by && w->use.values == use.values;
    size_t padded = (size_t)n + BIAS_SLACK, panel = (size_t)p.panel;
    float *all_biases = NULL;
    status st = OK;
    if (w->n != n || w->k != k || !same || !w->matrix.memory) {
        gemm_weight_free(d, w);
        *w = (gemm_weight){.n = n, .k = k, .use = use};
        TRY(buffer_create(d, &w->matrix, g->packed_count(d, use.values, n, k), what));
        TRY(buffer_create(d, &w->bias, padded, what));
        TRY(gemm_weight_view(d, w));
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
    *largest = 0.0f;
    for (int t = 0; t < PARALLEL_THREADS; t++) *largest = fmaxf(*largest, p.largest[t]);
    free(all_biases);
    free(p.panels);
    if (st != OK) gemm_weight_free(d, w);
    return st;
}

status gemm_weight_load(device *d, gemm_weight *w, const gemm_rows *rows, const float *bias, int m,
                        int n, int k, unsigned use, const char *what)
{
    const int shape[TUNING_SIZES] = {m, n, k};
    gemm_choice c;
    float largest;
    status st = OK;
    TRY(choose_right(d, &c, choose, shape, use));
    TRY(gemm_weight_pack(d, w, c, rows, bias, n, k, &largest, what));
    w->m = m;
    if (largest <= FP16_LARGEST) goto done;
    op_stays_fp32(d, what, largest);
    TRY(choose_right(d, &c, choose_exact, shape, use));
    TRY(gemm_weight_pack(d, w, c, rows, bias, n, k, &largest, what));
    w->m = m;
done:
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

status gemm_weight_upload(device *d, gemm_weight *w, const float *matrix, const float *bias, int m,
                          int n, int k, const char *what)
{
    in_memory from = {matrix, (size_t)k};
    *w = (gemm_weight){0};
    return gemm_weight_load(d, w, &(gemm_rows){copy_rows, &from}, bias, m, n, k, 0, what);
}

void gemm_weight_free(device *d, gemm_weight *w)
{
    buffer_release(d, &w->view);
    buffer_release(d, &w->matrix);
    buffer_release(d, &w->bias);
    w->use = (gemm_choice){0};
}

static void announce(device *d, const gemm_weight *w, int m, const gemm_epilogue *e)
{
    const gemm_implementation *g = w->use.by;
    static const char *const names[] = {"", " gelu", " silu"};
    double rows = m, n = w->n, k = w->k, flops = 2 * rows * n * k;
    double times = g->products ? g->products(d, w->use.values, m, w->n, w->k) : 1;
    double values = rows * k + n * k + rows * n;
    if (e->residual.memory) values += fmin(e->residual_rows, rows) * n;
    record_work(d, "gemm",
                (work){.flops = flops, .executed = flops * times, .bytes = 4 * values, .on = g->on},
                "%dx%dx%d%s%s%s", m, w->n, w->k, names[e->act], e->gate ? " gate" : "",
                e->residual.memory ? " residual" : "");
}

status op_gemm(device *d, buf out, buf a, const gemm_weight *w, int m, const gemm_epilogue *e,
               buf scratch)
{
    static const gemm_epilogue none = {0};
    if (d->recorder) announce(d, w, m, e ? e : &none);
    d->ran.gemm |= 1u << op_arith(w->use.by->input_error);
    return w->use.by->product(d, out, a, w, m, e ? e : &none, scratch);
}
