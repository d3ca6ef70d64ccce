/* GEMMs with their epilogues: layers' weights and launches. */
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

static const operator* const gemm = & operators[OP_GEMM];

static bool rounds_to_fp16(op_choice c)
{
    return op_arith(c.impl->input_error) == ARITH_FP16;
}

bool gemm_offers(const device *d, precision p)
{
    static const arith wanted[N_PRECISIONS] = {ARITH_BF16X3, ARITH_FP32, ARITH_BF16, ARITH_FP16};
    device other = *d;
    other.settings.precision = p;
    for (const op_impl *const *i = gemm->impls; *i; i++)
        if (op_arith((*i)->input_error) == wanted[p] && (*i)->supports(&other, NULL)) return true;
    return false;
}

op_choice gemm_choice_of(const device *d, const gemm_weight *w, int m)
{
    const int shape[SHAPE_SIZES] = {m, w->n, w->k};
    return w->use.impl ? w->use : impl_choose(d, gemm, shape, false);
}

const char *gemm_name(const device *d, int m, int n, int k)
{
    const int shape[SHAPE_SIZES] = {m, n, k};
    return impl_serving_name(d, gemm, shape);
}

double gemm_input_error(const device *d, int m, int n, int k)
{
    const int shape[SHAPE_SIZES] = {m, n, k};
    return impl_serving_error(d, gemm, shape);
}

status gemm_scratch(device *d, size_t *count, const gemm_weight *w, int m)
{
    const int shape[SHAPE_SIZES] = {m, w->n, w->k};
    op_choice c = gemm_choice_of(d, w, m);
    size_t more = 0;
    if (!c.config) return first_use_none(d, "gemm", shape);
    status st = c.impl->gemm.scratch(d, c.config, count, m, w->n, w->k);
    if (st != OK || w->use.impl || !rounds_to_fp16(c)) return st;
    c = impl_choose(d, gemm, shape, true); /* its weights are not known yet */
    if (!c.config) return first_use_none(d, "gemm", shape);
    st = c.impl->gemm.scratch(d, c.config, &more, m, w->n, w->k);
    if (more > *count) *count = more;
    return st;
}

status gemm_first_use(device *d, const gemm_weight *w, int m, unsigned use)
{
    const int shape[SHAPE_SIZES] = {m, w->n, w->k};
    op_choice c = {0};
    bool right;
    if (!w->use.impl) return impl_choose_right(d, &c, gemm, shape, use, false);
    const first_use what = {"gemm", w->use.impl, w->use.config, shape, use};
    status st = first_use_check(d, &what, &right);
    if (st != OK || right) return st;
    /* it is chosen by the rows that it was loaded for */
    const int loaded[SHAPE_SIZES] = {w->m, w->n, w->k};
    const first_use there = {"gemm", w->use.impl, w->use.config, loaded, use};
    st = first_use_strike(d, &there, "it is wrong for other numbers of rows", false);
    if (st != OK) return st;
    fail(ERR_DEVICE, "gemm %s is right for %d rows, but not for %d", w->use.impl->name, w->m, m);
    fail_hint("run the command again: now that this is known, another takes its place");
    return ERR_DEVICE;
}

enum { BIAS_SLACK = 64 }; /* kernels read a bias for each column of the last panel */

/* What the threads that pack share. */
typedef struct {
    const device *d;
    op_choice use;
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
    p->use.impl->gemm.pack(p->d, p->use.config, p->packed, rows, first, count, p->n, p->k);
    return OK;
}

status gemm_weight_view(device *d, gemm_weight *w)
{
    const gemm_functions *g = &w->use.impl->gemm;
    int texel = g->texel ? g->texel(w->use.config) : 0;
    buffer_release(d, &w->view);
    return texel ? buffer_view(d, &w->view, w->matrix, texel) : OK;
}

status gemm_weight_pack(device *d, gemm_weight *w, op_choice use, const gemm_rows *rows,
                        const float *bias, int n, int k, float *largest, const char *what)
{
    const gemm_functions *g = &use.impl->gemm;
    packing p = {.d = d,
                 .use = use,
                 .rows = rows,
                 .panel = (int)g->panel(d, use.config, n),
                 .n = n,
                 .k = k,
                 .half = rounds_to_fp16(use)};
    bool same = w->use.impl == use.impl && w->use.config == use.config;
    size_t padded = (size_t)n + BIAS_SLACK, panel = (size_t)p.panel;
    float *all_biases = NULL;
    status st = OK;
    if (w->n != n || w->k != k || !same || !w->matrix.memory) {
        gemm_weight_free(d, w);
        *w = (gemm_weight){.n = n, .k = k, .use = use};
        TRY(memory_alloc(&w->built, 1, sizeof *w->built));
        TRY(buffer_create(d, &w->matrix, g->packed_count(d, use.config, n, k), what));
        TRY(buffer_create(d, &w->bias, padded, what));
        TRY(gemm_weight_view(d, w));
    }
    if (!rows) goto done;
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
    const int shape[SHAPE_SIZES] = {m, n, k};
    op_choice c;
    float largest;
    status st = OK;
    TRY(impl_choose_right(d, &c, gemm, shape, use, false));
    TRY(gemm_weight_pack(d, w, c, rows, bias, n, k, &largest, what));
    w->m = m;
    if (largest <= FP16_LARGEST) goto done;
    op_stays_fp32(d, what, largest);
    TRY(impl_choose_right(d, &c, gemm, shape, use, true));
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
    free(w->built);
    w->built = NULL;
    w->use = (op_choice){0};
}

static void announce(device *d, const gemm_weight *w, int m, const gemm_epilogue *e)
{
    const op_impl *g = w->use.impl;
    static const char *const names[] = {"", " gelu", " silu"};
    double rows = m, n = w->n, k = w->k, flops = 2 * rows * n * k;
    double times = g->gemm.flop_factor ? g->gemm.flop_factor(d, w->use.config, m, w->n, w->k) : 1;
    double values = rows * k + n * k + rows * n;
    if (e->residual.memory) values += fmin(e->residual_rows, rows) * n;
    record_work(
        d, "gemm",
        (work){.flops = flops, .executed = flops * times, .bytes = 4 * values, .on = g->roof},
        "%dx%dx%d%s%s%s", m, w->n, w->k, names[e->act], e->gate ? " gate" : "",
        e->residual.memory ? " residual" : "");
}

static epilogue_args args_of(const gemm_weight *w, const gemm_epilogue *e)
{
    epilogue_args args = {.bias = w->bias,
                          .residual = e->residual,
                          .residual_rows = e->residual_rows,
                          .tokens = e->tokens,
                          .gate_at = e->gate_at};
    if (!e->gate) return args;
    args.gate = e->gate->values;
    args.gate_rows = e->gate->rows;
    args.gate_stride = e->gate->stride;
    args.first_row = e->gate->first_row;
    args.rows_at = e->gate->rows_at;
    return args;
}

/* *k = the kernels of the call, built where the layer was not used like this before. */
static status kernels_of(device *d, kernel ***k, const gemm_call *c)
{
    const int key[USE_KEY] = {c->m, (int)c->e->act, c->e->gate != NULL,
                              c->e->residual.memory != NULL};
    *k = op_built_kernels(c->w->built, key);
    if ((*k)[0]) return OK;
    op_note_ran(d, c->w->use);
    status st = c->w->use.impl->gemm.build(d, *k, c);
    if (st != OK) (*k)[0] = NULL;
    return st;
}

status op_gemm(device *d, buf out, buf a, const gemm_weight *w, int m, const gemm_epilogue *e,
               buf scratch)
{
    if (!e) e = &gemm_no_epilogue;
    const gemm_call c = {out, a, scratch, w, m, e, args_of(w, e)};
    kernel **k;
    if (d->recorder) announce(d, w, m, e);
    status st = kernels_of(d, &k, &c);
    return st == OK ? w->use.impl->gemm.enqueue(d, k, &c) : st;
}
