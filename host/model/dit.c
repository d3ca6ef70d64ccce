/* The diffusion transformer: its memory and its forward pass. See dit.h. */
#include "model/dit.h"

#include <stdlib.h>

#include "base/memory.h"
#include "device/record.h"
#include "model/dit_parts.h"
#include "ops/first_use.h"

/* ---- memory ---- */

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

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

status dit_plan_product(dit *t, op_plan *p, const gemm_weight *w, layer which, int m)
{
    const design_facts *f = &designs[t->config.design];
    gemm_epilogue e = {.fused = dit_fused(t, which),
                       .residual_rows = which == LAYER_PATCH ? t->n_patches : m,
                       .tokens = t->tokens};
    if (which == LAYER_PROJECTION) e.gate_at = f->attention_gate * t->config.width;
    if (which == LAYER_MLP_2) e.gate_at = f->mlp_gate * t->config.width;
    return gemm_plan(t->d, p, w, m, e);
}

/* Checks the GEMM of a layer on the device, and raises the scratch memory to what it needs. */
static status check_product(dit *t, size_t *scratch, const gemm_weight *w, layer which, int m)
{
    size_t need;
    status st = gemm_first_use(t->d, w, m, dit_fused(t, which));
    if (st == OK) st = gemm_scratch(t->d, &need, w, m);
    if (st == OK) *scratch = max_size(*scratch, need);
    return st;
}

/* The same, and plans the GEMM. */
static status plan_product(dit *t, size_t *scratch, op_plan *p, const gemm_weight *w, layer which,
                           int m)
{
    status st = check_product(t, scratch, w, which, m);
    return st == OK ? dit_plan_product(t, p, w, which, m) : st;
}

/* Prepares the conditioning of a chunk, which does not depend on the batch. Layers that are not
 * kept are planned when they are loaded. */
static status plan_conditioning(dit *t, size_t *scratch)
{
    const design_facts *f = &designs[t->config.design];
    bool cross = t->config.design == DESIGN_CROSS_ATTENTION;
    int d = t->config.width, rows = t->row_capacity, own = cross ? 2 * rows : rows;
    const gemm_weight unloaded = {.n = cross ? 2 * d : f->parts * d, .k = d};
    status st = OK;
    for (int i = 0; i < t->n_embedders; i++) {
        embedder *e = &t->embedders[i];
        TRY(plan_product(t, scratch, &e->plan_1, &e->time_1, LAYER_TIME_1, rows));
        TRY(plan_product(t, scratch, &e->plan_2, &e->time_2, LAYER_TIME_2, rows));
    }
    if (f->adaln) {
        TRY(plan_product(t, scratch, &t->plan_final_adaln, &t->final_adaln, LAYER_FINAL_ADALN,
                         rows));
        TRY(condition_combine_plan(t->d, &t->plan_combine, rows, d));
    } else {
        TRY(condition_tokens_plan(t->d, &t->plan_combine, rows, d));
    }
    for (int i = 0; dit_has_conditioner(&t->config) && i < t->config.depth; i++) {
        dit_block *b = &t->blocks[i];
        if (t->keep_adaln)
            TRY(plan_product(t, scratch, &b->plan_conditioner, &b->conditioner, LAYER_ADALN, own));
        else
            TRY(check_product(t, scratch, &unloaded, LAYER_ADALN, own));
    }
done:
    return st;
}

static status plan_block(dit *t, size_t *scratch, dit_block_pass *p, const dit_block *b, int m)
{
    const struct {
        op_plan *plan;
        const gemm_weight *w;
        layer which;
    } layers[] = {{&p->qkv, &b->qkv, LAYER_QKV},
                  {&p->projection, &b->projection, LAYER_PROJECTION},
                  {&p->cross_q, &b->cross_q, LAYER_CROSS_Q},
                  {&p->cross_projection, &b->cross_projection, LAYER_CROSS_PROJECTION},
                  {&p->mlp_1, &b->mlp_1, LAYER_MLP_1},
                  {&p->mlp_2, &b->mlp_2, LAYER_MLP_2}};
    status st = OK;
    for (size_t i = 0; st == OK && i < sizeof layers / sizeof *layers; i++)
        if (layers[i].w->n) /* the design has this layer */
            st = plan_product(t, scratch, layers[i].plan, layers[i].w, layers[i].which, m);
    return st;
}

/* The operators of a pass besides its GEMMs. */
static status plan_plain(dit *t, dit_pass *p)
{
    const dit_config *c = &t->config;
    const int sizes[SHAPE_SIZES] = {p->batch, t->tokens, c->width};
    patch_shape in = {p->batch, c->in_channels, c->latent_size, c->patch}, out = in;
    status st = OK;
    out.channels = c->out_channels;
    TRY(first_use_plain(t->d, "modulate", sizes));
    TRY(patchify_plan(t->d, &p->patchify, in));
    TRY(unpatchify_plan(t->d, &p->unpatchify, out, designs[c->design].context));
    TRY(modulate_plan(t->d, &p->norm, p->batch, t->tokens, c->width, 1e-6f));
    TRY(modulate_plan(t->d, &p->norm_mlp, p->batch, t->tokens, c->width, c->norm3_eps));
    if (t->tokens != t->n_patches)
        TRY(condition_prepend_plan(t->d, &p->prepend, p->batch, t->n_patches, c->width));
    if (designs[c->design].cross >= 0)
        TRY(cross_plan(t->d, &p->cross,
                       (attention_shape){p->batch, t->tokens, c->heads, c->head_dim}));
done:
    return st;
}

static status plan_pass(dit *t, size_t *scratch, dit_pass *p)
{
    int m = p->batch * t->tokens, depth = t->config.depth;
    status st = OK;
    TRY(memory_alloc(&p->blocks, (size_t)depth, sizeof *p->blocks));
    TRY(plan_product(t, scratch, &p->patch, &t->patch, LAYER_PATCH, p->batch * t->n_patches));
    for (int i = 0; i < depth; i++) TRY(plan_block(t, scratch, &p->blocks[i], &t->blocks[i], m));
    TRY(plan_product(t, scratch, &p->final, &t->final, LAYER_FINAL, m));
    TRY(plan_plain(t, p));
done:
    return st;
}

static status plan_passes(dit *t, size_t *scratch)
{
    static const int any[SHAPE_SIZES] = {1, 1};
    status st = OK;
    find_batches(t);
    for (int i = 0; i < t->n_passes; i++) TRY(plan_pass(t, scratch, &t->passes[i]));
    TRY(plan_conditioning(t, scratch));
    if (t->config.design == DESIGN_CROSS_ATTENTION) TRY(first_use_plain(t->d, "cross", any));
    if (!designs[t->config.design].adaln) TRY(first_use_plain(t->d, "condition", any));
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
    const dit_config *c = &t->config;
    size_t d = (size_t)c->width, scores = 0, scratch = 0;
    size_t tokens = (size_t)t->batch * (size_t)t->tokens;
    status st = OK;
    /* before the buffers, since the check needs memory for a moment */
    TRY(plan_passes(t, &scratch));
    TRY(allocate_conditioning(t));
    TRY(buffer_create(t->d, &t->patches, tokens * (size_t)t->patch.k, "patches"));
    TRY(buffer_create(t->d, &t->x, tokens * d, "tokens"));
    TRY(buffer_create(t->d, &t->y, tokens * d, "tokens"));
    TRY(buffer_create(t->d, &t->normed, tokens * d, "tokens"));
    TRY(buffer_create(t->d, &t->wide, tokens * 4 * d, "MLP activations"));
    for (int i = 0; i < t->n_passes; i++) {
        size_t need;
        attention_shape a = {t->passes[i].batch, t->tokens, c->heads, c->head_dim};
        TRY(attention_plan(t->d, &t->passes[i].attention, &need, a, 0));
        scores = max_size(scores, need);
    }
    TRY(buffer_create(t->d, &t->scores, scores, "scratch of attention"));
    TRY(buffer_create(t->d, &t->tokens_out, tokens * (size_t)t->final.n, "output tokens"));
    if (scratch) TRY(buffer_create(t->d, &t->scratch, scratch, "scratch of the products"));
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
    TRY(norm(t, &p->norm, m, designs[t->config.design].cross));
    TRY(dit_product(t, "cross_q", &of_block->cross_q,
                    (gemm_buffers){.out = t->wide, .a = t->normed, .w = &b->cross_q}));
    TRY(op_cross(t->d, &p->cross, t->normed, t->wide, &keys_values));
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
    TRY(norm(t, &p->norm, m, f->attention));
    TRY(dit_product(t, "qkv", &of_block->qkv,
                    (gemm_buffers){.out = t->wide, .a = t->normed, .w = &b->qkv}));
    TRY(op_attention(t->d, &p->attention, t->normed, t->wide, t->scores));
    TRY(add_product(t, "proj", &of_block->projection, t->normed, &b->projection, m));
    if (f->cross >= 0) TRY(cross_attend(t, p, block, m));
    TRY(norm(t, &p->norm_mlp, m, f->mlp));
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
