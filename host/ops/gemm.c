/* GEMMs with their epilogues: layers' weights and launches. */
#include "ops/gemm.h"

#include <assert.h>
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

static status scratch_of(device *d, op_choice c, size_t *count, int m, const gemm_weight *w)
{
    *count = 0;
    return c.impl->gemm.scratch ? c.impl->gemm.scratch(d, c.config, count, m, w->n, w->k) : OK;
}

status gemm_scratch(device *d, size_t *count, const gemm_weight *w, int m)
{
    const int shape[SHAPE_SIZES] = {m, w->n, w->k};
    op_choice c = gemm_choice_of(d, w, m);
    size_t more = 0;
    if (!c.config) return first_use_none(d, "gemm", shape);
    status st = scratch_of(d, c, count, m, w);
    if (st != OK || w->use.impl || !rounds_to_fp16(c)) return st;
    c = impl_choose(d, gemm, shape, true); /* exact: the weights may not fit fp16 */
    if (!c.config) return first_use_none(d, "gemm", shape);
    st = scratch_of(d, c, &more, m, w);
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
    /* the implementation was chosen for the rows at load */
    const int loaded[SHAPE_SIZES] = {w->m, w->n, w->k};
    const first_use there = {"gemm", w->use.impl, w->use.config, loaded, use};
    st = first_use_strike(d, &there, "it is wrong for other numbers of rows", false);
    if (st != OK) return st;
    fail(ERR_DEVICE, "gemm %s is right for %d rows, but not for %d", w->use.impl->name, w->m, m);
    fail_hint("run the command again: now that this is known, another takes its place");
    return ERR_DEVICE;
}

/* What the threads that pack share. */
typedef struct {
    const device *d;
    op_choice use;
    const gemm_rows *rows;
    void *packed;
    float *panels; /* [threads][panel][k]: rows that were read and not yet packed */
    int panel, n, k;
    bool half;
    float largest[PARALLEL_THREADS]; /* largest weight of a thread, if rounded to fp16 */
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
    w->use = (op_choice){0};
}

/* ---- plans and launches ---- */

unsigned gemm_factors(const gemm_weight *w)
{
    const int shape[SHAPE_SIZES] = {w->m, w->n, w->k};
    return w->use.impl ? impl_use(w->use.impl, shape, READS_FACTORS | WRITES_FACTORS) : 0;
}

/* Every number is read or written once, in the format in which it is stored. */
static void announce(const device *d, op_plan *p, const gemm_use *u, const gemm_epilogue *e)
{
    double m = u->m, n = u->n, k = u->k;
    arith a = op_arith(op_choice_error(u->choice));
    bool residual = e->fused & FUSED_RESIDUAL, half = a == ARITH_FP16 || a == ARITH_BF16;
    double bytes = m * k * op_bytes(d, e->fused & READS_FACTORS) + n * k * (half ? 2 : 4) +
                   m * n * op_bytes(d, e->fused & WRITES_FACTORS);
    if (residual) bytes += 4 * fmin(e->residual_rows, m) * n;
    plan_begin(p, "gemm",
               (work){.flops = 2 * m * n * k, .bytes = bytes, .on = u->choice.impl->roof},
               "%dx%dx%d%s%s%s%s", u->m, u->n, u->k, e->fused & FUSED_GELU ? " gelu" : "",
               e->fused & FUSED_SILU ? " silu" : "", e->fused & FUSED_GATE ? " gate" : "",
               residual ? " residual" : "");
}

status gemm_plan(device *d, op_plan *p, const gemm_weight *w, int m, gemm_epilogue e)
{
    const gemm_use u = {.choice = w->use, .m = m, .n = w->n, .k = w->k, .fused = e.fused};
    const int shape[SHAPE_SIZES] = {m, w->n, w->k};
    assert(e.fused == impl_use(w->use.impl, shape, e.fused));
    announce(d, p, &u, &e);
    p->choice = u.choice;
    op_note_ran(d, w->use);
    p->epilogue = e;
    memcpy(p->shape, shape, sizeof shape);
    return u.choice.impl->gemm.plan(d, p, &u);
}

static epilogue_args args_of(const op_plan *p, const gemm_buffers *b)
{
    const gemm_epilogue *e = &p->epilogue;
    epilogue_args args = {.bias = b->w->bias,
                          .residual = b->residual,
                          .n = b->w->n,
                          .residual_rows = e->residual_rows,
                          .tokens = e->tokens,
                          .gate_at = e->gate_at};
    if (!b->gate) return args;
    args.gate = b->gate->values;
    args.gate_rows = b->gate->rows;
    args.gate_stride = b->gate->stride;
    args.first_row = b->gate->first_row;
    args.rows_at = b->gate->rows_at;
    return args;
}

status op_gemm(device *d, const op_plan *p, const gemm_buffers *b)
{
    const gemm_weight *w = b->w;
    const gemm_call c = {.out = b->out,
                         .a = b->a,
                         .b = w->view.memory ? w->view : w->matrix,
                         .scratch = b->scratch,
                         .epilogue = args_of(p, b)};
    assert(w->use.impl == p->choice.impl && w->use.config == p->choice.config);
    record_work(d, &p->announcing);
    return p->choice.impl->gemm.enqueue(d, p, &c);
}
