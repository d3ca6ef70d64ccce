/* The diffusion transformer: its memory and its forward pass. See dit.h. */
#include "model/dit.h"

#include <stdlib.h>

#include "base/memory.h"
#include "device/record.h"
#include "model/dit_parts.h"
#include "ops/first_use.h"

/* ---- memory ---- */

/* The batch sizes of the forward passes, each once. */
static void find_batches(dit *t)
{
    const int all[DIT_BATCHES] = {t->batch, t->last_batch, t->batch / 2, t->last_batch / 2};
    for (int i = 0; i < (t->halves ? DIT_BATCHES : 2); i++) {
        int at = 0;
        while (at < t->n_passes && t->passes[at].batch != all[i]) at++;
        if (at == t->n_passes) t->passes[t->n_passes++].batch = all[i];
    }
}

status dit_plan_product(dit *t, op_plan *p, const gemm_weight *w, layer which, int m,
                        unsigned factors)
{
    const design_facts *f = &designs[t->config.design];
    gemm_epilogue e = {.fused = dit_fused(t, which) | factors,
                       .residual_rows = which == LAYER_PATCH ? t->n_patches : m,
                       .tokens = t->tokens};
    if (which == LAYER_PROJECTION) e.gate_at = f->attention_gate * t->config.width;
    if (which == LAYER_MLP_2) e.gate_at = f->mlp_gate * t->config.width;
    return gemm_plan(t->d, p, w, m, e);
}

/* 4-byte elements of buffers that the plans share. */
typedef struct {
    size_t scratch, scores;       /* of the products, of attention */
    size_t patches, normed, wide; /* fp32 or factors */
} needs;

static void need(size_t *most, size_t count)
{
    if (count > *most) *most = count;
}

/* `rows` rows of `width` activations. */
static void need_rows(const dit *t, size_t *most, int rows, int width, bool factors)
{
    size_t count = (size_t)rows * (size_t)width;
    need(most, factors ? op_factor_words(t->d, count) : count);
}

/* Checks the GEMM of a layer on the device. */
static status check_product(dit *t, needs *n, const gemm_weight *w, layer which, int m,
                            unsigned factors)
{
    size_t scratch;
    status st = gemm_first_use(t->d, w, m, dit_fused(t, which) | factors);
    if (st == OK) st = gemm_scratch(t->d, &scratch, w, m);
    if (st == OK) need(&n->scratch, scratch);
    return st;
}

/* The same, and plans the GEMM. */
static status plan_product(dit *t, needs *n, op_plan *p, const gemm_weight *w, layer which, int m,
                           unsigned factors)
{
    status st = check_product(t, n, w, which, m, factors);
    return st == OK ? dit_plan_product(t, p, w, which, m, factors) : st;
}

/* What one side of a pair of neighbours does, if the other side can. */
static unsigned writes_for(unsigned next)
{
    return next & READS_FACTORS ? WRITES_FACTORS : 0;
}

static unsigned reads_after(unsigned before)
{
    return before & WRITES_FACTORS ? READS_FACTORS : 0;
}

/* Prepares the conditioning of a chunk, which does not depend on the batch. Layers that are not
 * kept are planned when they are loaded. */
static status plan_conditioning(dit *t, needs *n)
{
    const design_facts *f = &designs[t->config.design];
    bool cross = t->config.design == DESIGN_CROSS_ATTENTION;
    int d = t->config.width, rows = t->row_capacity, own = cross ? 2 * rows : rows;
    const gemm_weight unloaded = {.n = cross ? 2 * d : f->parts * d, .k = d};
    status st = OK;
    for (int i = 0; i < t->n_embedders; i++) {
        embedder *e = &t->embedders[i];
        TRY(plan_product(t, n, &e->plan_1, &e->time_1, LAYER_TIME_1, rows, 0));
        TRY(plan_product(t, n, &e->plan_2, &e->time_2, LAYER_TIME_2, rows, 0));
    }
    if (f->adaln) {
        TRY(plan_product(t, n, &t->plan_final_adaln, &t->final_adaln, LAYER_FINAL_ADALN, rows, 0));
        TRY(condition_combine_plan(t->d, &t->plan_combine, rows, d));
    } else {
        TRY(condition_tokens_plan(t->d, &t->plan_combine, rows, d));
    }
    for (int i = 0; dit_has_conditioner(&t->config) && i < t->config.depth; i++) {
        dit_block *b = &t->blocks[i];
        if (t->keep_adaln)
            TRY(plan_product(t, n, &b->plan_conditioner, &b->conditioner, LAYER_ADALN, own, 0));
        else
            TRY(check_product(t, n, &unloaded, LAYER_ADALN, own, 0));
    }
done:
    return st;
}

/* The layer norm before a GEMM. */
static status plan_norm(dit *t, needs *n, op_plan *p, int batch, float epsilon, unsigned next)
{
    const int sizes[SHAPE_SIZES] = {batch, t->tokens, t->config.width};
    unsigned use = writes_for(next);
    status st = first_use_plain(t->d, "modulate", sizes, use);
    need_rows(t, &n->normed, batch * t->tokens, t->config.width, use);
    return st == OK ? modulate_plan(t->d, p, batch, t->tokens, t->config.width, epsilon, use) : st;
}

/* Norm, qkv, attention and projection. */
static status plan_attention(dit *t, needs *n, dit_block_pass *p, const dit_block *b, int batch)
{
    unsigned qkv = gemm_factors(&b->qkv), projection = gemm_factors(&b->projection);
    int m = batch * t->tokens, width = t->config.width;
    size_t scores;
    status st = OK;
    TRY(attention_plan(t->d, &p->attention, &scores, dit_attention(t, batch),
                       reads_after(qkv) | writes_for(projection)));
    need(&n->scores, scores);
    unsigned attention = attention_fused(&p->attention);
    need_rows(t, &n->wide, m, 3 * width, attention & READS_FACTORS);
    need_rows(t, &n->normed, m, width, attention & WRITES_FACTORS);
    TRY(plan_norm(t, n, &p->norm, batch, 1e-6f, qkv));
    TRY(plan_product(t, n, &p->qkv, &b->qkv, LAYER_QKV, m,
                     (qkv & READS_FACTORS) | writes_for(attention)));
    TRY(plan_product(t, n, &p->projection, &b->projection, LAYER_PROJECTION, m,
                     reads_after(attention)));
done:
    return st;
}

/* The same around cross-attention, whose queries are fp32. */
static status plan_cross(dit *t, needs *n, dit_block_pass *p, const dit_block *b, int batch)
{
    unsigned q = gemm_factors(&b->cross_q), projection = gemm_factors(&b->cross_projection);
    int m = batch * t->tokens, width = t->config.width;
    status st = OK;
    if (designs[t->config.design].cross < 0) return OK;
    TRY(plan_norm(t, n, &p->norm_cross, batch, 1e-6f, q));
    TRY(plan_product(t, n, &p->cross_q, &b->cross_q, LAYER_CROSS_Q, m, q & READS_FACTORS));
    need_rows(t, &n->wide, m, width, false);
    TRY(cross_plan(t->d, &p->cross, dit_attention(t, batch), writes_for(projection)));
    need_rows(t, &n->normed, m, width, projection & READS_FACTORS);
    TRY(plan_product(t, n, &p->cross_projection, &b->cross_projection, LAYER_CROSS_PROJECTION, m,
                     projection & READS_FACTORS));
done:
    return st;
}

static status plan_block(dit *t, needs *n, dit_block_pass *p, const dit_block *b, int batch)
{
    unsigned mlp_1 = gemm_factors(&b->mlp_1), mlp_2 = gemm_factors(&b->mlp_2);
    unsigned between = reads_after(mlp_1) & mlp_2;
    int m = batch * t->tokens;
    status st = OK;
    TRY(plan_attention(t, n, p, b, batch));
    TRY(plan_cross(t, n, p, b, batch));
    TRY(plan_norm(t, n, &p->norm_mlp, batch, t->config.norm3_eps, mlp_1));
    TRY(plan_product(t, n, &p->mlp_1, &b->mlp_1, LAYER_MLP_1, m,
                     (mlp_1 & READS_FACTORS) | writes_for(between)));
    need_rows(t, &n->wide, m, 4 * t->config.width, between);
    TRY(plan_product(t, n, &p->mlp_2, &b->mlp_2, LAYER_MLP_2, m, between));
done:
    return st;
}

static status plan_pass(dit *t, needs *n, dit_pass *p)
{
    const dit_config *c = &t->config;
    int m = p->batch * t->tokens, patches = p->batch * t->n_patches, depth = c->depth;
    unsigned patch = gemm_factors(&t->patch) & READS_FACTORS;
    unsigned final = gemm_factors(&t->final) & READS_FACTORS;
    patch_shape in = {p->batch, c->in_channels, c->latent_size, c->patch}, out = in;
    status st = OK;
    out.channels = c->out_channels;
    TRY(memory_alloc(&p->blocks, (size_t)depth, sizeof *p->blocks));
    TRY(patchify_plan(t->d, &p->patchify, in, writes_for(patch)));
    need_rows(t, &n->patches, patches, t->patch.k, patch);
    TRY(plan_product(t, n, &p->patch, &t->patch, LAYER_PATCH, patches, patch));
    if (t->tokens != t->n_patches)
        TRY(condition_prepend_plan(t->d, &p->prepend, p->batch, t->n_patches, c->width));
    for (int i = 0; i < depth; i++) TRY(plan_block(t, n, &p->blocks[i], &t->blocks[i], p->batch));
    TRY(plan_norm(t, n, &p->norm, p->batch, 1e-6f, final));
    TRY(plan_product(t, n, &p->final, &t->final, LAYER_FINAL, m, final));
    TRY(unpatchify_plan(t->d, &p->unpatchify, out, designs[c->design].context));
done:
    return st;
}

static status plan_passes(dit *t, needs *n)
{
    static const int any[SHAPE_SIZES] = {1, 1};
    status st = OK;
    find_batches(t);
    for (int i = 0; i < t->n_passes; i++) TRY(plan_pass(t, n, &t->passes[i]));
    TRY(plan_conditioning(t, n));
    if (t->config.design == DESIGN_CROSS_ATTENTION) TRY(first_use_plain(t->d, "cross", any, 0));
    if (!designs[t->config.design].adaln) TRY(first_use_plain(t->d, "condition", any, 0));
done:
    return st;
}

/* Buffers for a chunk of rows. */
static status allocate_conditioning(dit *t)
{
    const design_facts *f = &designs[t->config.design];
    size_t rows = (size_t)t->row_capacity, d = (size_t)t->config.width;
    status st = OK;
    TRY(memory_alloc(&t->host_features, rows * FEATURES, sizeof *t->host_features));
    TRY(memory_alloc(&t->host_labels, rows, sizeof *t->host_labels));
    for (int i = 0; i < t->config.depth; i++) {
        dit_block *b = &t->blocks[i];
        if (f->adaln)
            TRY(buffer_create(t->d, &b->modulation, rows * (size_t)f->parts * d, "modulation"));
        if (t->config.design == DESIGN_CROSS_ATTENTION)
            TRY(buffer_create(t->d, &b->keys_values, rows * 4 * d, "keys and values"));
    }
    if (f->adaln) TRY(buffer_create(t->d, &t->final_modulation, rows * 2 * d, "modulation"));
    TRY(buffer_create(t->d, &t->row_labels, rows, "labels"));
    TRY(buffer_create(t->d, &t->features, rows * FEATURES, "timestep features"));
    TRY(buffer_create(t->d, &t->hidden, rows * d, "conditioning"));
    TRY(buffer_create(t->d, &t->embedded, rows * d, "conditioning"));
    TRY(buffer_create(t->d, &t->conditioning, rows * d * (f->adaln ? 1 : 2), "conditioning"));
done:
    return st;
}

static status allocate(dit *t)
{
    size_t d = (size_t)t->config.width;
    size_t tokens = (size_t)t->batch * (size_t)t->tokens;
    needs n = {0};
    status st = OK;
    /* before the buffers, since the check needs memory for a moment */
    TRY(plan_passes(t, &n));
    TRY(allocate_conditioning(t));
    TRY(buffer_create(t->d, &t->patches, n.patches, "patches"));
    TRY(buffer_create(t->d, &t->x, tokens * d, "tokens"));
    TRY(buffer_create(t->d, &t->y, tokens * d, "tokens"));
    TRY(buffer_create(t->d, &t->normed, n.normed, "tokens"));
    TRY(buffer_create(t->d, &t->wide, n.wide, "MLP activations"));
    TRY(buffer_create(t->d, &t->scores, n.scores, "scratch of attention"));
    TRY(buffer_create(t->d, &t->tokens_out, tokens * (size_t)t->final.n, "output tokens"));
    if (n.scratch) TRY(buffer_create(t->d, &t->scratch, n.scratch, "scratch of the products"));
done:
    return st;
}

double dit_row_bytes(const dit_config *c)
{
    const design_facts *f = &designs[c->design];
    double d = c->width, row = f->adaln ? f->parts * d : 0;
    if (c->design == DESIGN_CROSS_ATTENTION) row = 4 * d;
    return 4 * (c->depth * row + 2 * d + 3 * d + FEATURES);
}

void dit_sizes(dit *t)
{
    t->config = t->m->dit;
    int side = t->config.latent_size / t->config.patch;
    t->n_patches = side * side;
    t->tokens = t->n_patches + designs[t->config.design].context;
}

status dit_load(dit *t, device *d, model *m, const dit_run *run)
{
    *t = (dit){.d = d,
               .m = m,
               .batch = run->batch,
               .last_batch = run->last_batch,
               .halves = run->halves,
               .row_capacity = run->rows,
               .keep_adaln = run->keep_adaln,
               .mixes = run->mixes,
               .n_mixes = run->n_mixes};
    dit_sizes(t);
    if (m->arithmetic == COMPAT_ORIGINAL)
        t->config.norm3_eps = 1e-6f;
    else if (m->origin == COMPAT_ORIGINAL)
        t->config.norm3_eps = 1e-5f; /* diffusers' default */
    status st = memory_alloc(&t->blocks, (size_t)t->config.depth, sizeof *t->blocks);
    if (st == OK) st = dit_load_weights(t);
    if (st == OK) st = allocate(t);
    if (st != OK) dit_free(t);
    return st;
}

void dit_free(dit *t)
{
    device *d = t->d;
    gemm_weight *layers[] = {&t->patch, &t->conditioner, &t->final_adaln, &t->final};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) gemm_weight_free(d, layers[i]);
    for (int i = 0; t->embedders && i < t->n_embedders; i++) {
        gemm_weight_free(d, &t->embedders[i].time_1);
        gemm_weight_free(d, &t->embedders[i].time_2);
        buffer_release(d, &t->embedders[i].labels);
    }
    for (int i = 0; t->blocks && i < t->config.depth; i++) {
        dit_block *b = &t->blocks[i];
        gemm_weight *of_block[] = {&b->conditioner, &b->qkv,     &b->projection,      &b->mlp_1,
                                   &b->mlp_2,       &b->cross_q, &b->cross_projection};
        for (size_t j = 0; j < sizeof of_block / sizeof *of_block; j++)
            gemm_weight_free(d, of_block[j]);
        buffer_release(d, &b->modulation);
        buffer_release(d, &b->keys_values);
    }
    buf *buffers[] = {
        &t->positions, &t->final_modulation, &t->row_labels, &t->features, &t->hidden, &t->embedded,
        &t->patches,   &t->conditioning,     &t->x,          &t->y,        &t->normed, &t->wide,
        &t->scores,    &t->tokens_out,       &t->scratch};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) buffer_release(d, buffers[i]);
    for (int i = 0; i < t->n_passes; i++) free(t->passes[i].blocks);
    free(t->embedders);
    free(t->blocks);
    free(t->host_features);
    free(t->host_labels);
    *t = (dit){0};
}

/* ---- forward ---- */

status dit_product(dit *t, const char *name, const op_plan *p, gemm_buffers b)
{
    b.scratch = t->scratch;
    record_name(t->d, name);
    return op_gemm(t->d, p, &b);
}

/* x += [gate *] layer(a) */
static status add_product(dit *t, const char *name, const op_plan *p, buf a, const gemm_weight *w,
                          const modulation *gate)
{
    status st = dit_product(
        t, name, p, (gemm_buffers){.out = t->y, .a = a, .w = w, .residual = t->x, .gate = gate});
    if (st == OK) buffer_swap(&t->x, &t->y);
    return st;
}

/* normed = the layer norm of x, modulated by the shift that begins at `at` widths and the scale
 * after it. */
static status norm(dit *t, const op_plan *p, const modulation *m, int at)
{
    int d = t->config.width;
    return op_modulate(t->d, p, t->normed, t->x, m, at * d, (at + 1) * d);
}

/* x += cross-attention to the tokens of timestep and label. */
static status cross_attend(dit *t, const dit_pass *p, int block, const modulation *m)
{
    const dit_block *b = &t->blocks[block];
    const dit_block_pass *of_block = &p->blocks[block];
    modulation keys_values = *m;
    status st = OK;
    keys_values.values = b->keys_values;
    keys_values.stride = 4 * t->config.width;
    TRY(norm(t, &of_block->norm_cross, m, designs[t->config.design].cross));
    TRY(dit_product(t, "cross_q", &of_block->cross_q,
                    (gemm_buffers){.out = t->wide, .a = t->normed, .w = &b->cross_q}));
    TRY(op_cross(t->d, &of_block->cross, t->normed, t->wide, &keys_values));
    TRY(add_product(t, "cross_proj", &of_block->cross_projection, t->normed, &b->cross_projection,
                    NULL));
done:
    return st;
}

/* One block on x (paper figure 3): x += [gate *] attention(modulated norm), then the same around
 * the MLP. m: the block's modulation. */
static status forward_block(dit *t, const dit_pass *p, int block, const modulation *m)
{
    const dit_block *b = &t->blocks[block];
    const dit_block_pass *of_block = &p->blocks[block];
    const design_facts *f = &designs[t->config.design];
    status st = OK;
    TRY(norm(t, &of_block->norm, m, f->attention));
    TRY(dit_product(t, "qkv", &of_block->qkv,
                    (gemm_buffers){.out = t->wide, .a = t->normed, .w = &b->qkv}));
    TRY(op_attention(t->d, &of_block->attention, t->normed, t->wide, t->scores));
    TRY(add_product(t, "proj", &of_block->projection, t->normed, &b->projection, m));
    if (f->cross >= 0) TRY(cross_attend(t, p, block, m));
    TRY(norm(t, &of_block->norm_mlp, m, f->mlp));
    TRY(dit_product(t, "fc1", &of_block->mlp_1,
                    (gemm_buffers){.out = t->wide, .a = t->normed, .w = &b->mlp_1}));
    TRY(add_product(t, "fc2", &of_block->mlp_2, t->wide, &b->mlp_2, m));
done:
    return st;
}

/* x = the embedded patches, after the tokens of the context if the design has them. */
static status embed(dit *t, const dit_pass *p, const modulation *context)
{
    bool alone = t->tokens == t->n_patches;
    status st = dit_product(
        t, "patch_embed", &p->patch,
        (gemm_buffers){
            .out = alone ? t->x : t->y, .a = t->patches, .w = &t->patch, .residual = t->positions});
    return st == OK && !alone ? op_condition_prepend(t->d, &p->prepend, t->x, t->y, context) : st;
}

status dit_forward(dit *t, buf out, buf latents, int first, int pictures, int batch, buf rows,
                   int rows_at, int first_row)
{
    const dit_config *c = &t->config;
    const design_facts *f = &designs[c->design];
    const dit_pass *p = t->passes;
    int d = c->width;
    while (p->batch != batch) p++;
    /* without adaLN all samples share the norms: the stride is 0 */
    modulation m = {.rows = rows,
                    .stride = f->adaln ? f->parts * d : 0,
                    .first_row = first_row,
                    .rows_at = rows_at};
    modulation context = m;
    status st = OK;
    context.values = t->conditioning;
    TRY(op_patchify(t->d, &p->patchify, t->patches, latents, first, pictures));
    TRY(embed(t, p, &context));
    for (int i = 0; i < c->depth; i++) {
        m.values = t->blocks[i].modulation;
        TRY(forward_block(t, p, i, &m));
    }
    m.values = t->final_modulation;
    m.stride = f->adaln ? 2 * d : 0;
    TRY(norm(t, &p->norm, &m, 0));
    TRY(dit_product(t, "final", &p->final,
                    (gemm_buffers){.out = t->tokens_out, .a = t->normed, .w = &t->final}));
    TRY(op_unpatchify(t->d, &p->unpatchify, out, t->tokens_out));
done:
    return st;
}
