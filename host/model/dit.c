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

/* The batch sizes of the forward passes; returns how many there are. */
static int batches_of(const dit *t, int out[DIT_BATCHES])
{
    out[0] = t->batch;
    out[1] = t->last_batch;
    if (!t->halves) return 2;
    out[2] = t->batch / 2;
    out[3] = t->last_batch / 2;
    return DIT_BATCHES;
}

/* Checks the GEMM of a layer on the device, and raises the scratch memory to what it needs. */
static status plan_product(dit *t, size_t *scratch, const gemm_weight *w, layer which, int m)
{
    size_t need;
    status st = gemm_first_use(t->d, w, m, dit_fused(t, which));
    if (st == OK) st = gemm_scratch(t->d, &need, w, m);
    if (st == OK) *scratch = max_size(*scratch, need);
    return st;
}

/* Prepares the conditioning of a chunk, which does not depend on the batch. Each layer may have its
 * own implementation, since the weights of some layers are too large for fp16. */
static status plan_conditioning(dit *t, size_t *scratch)
{
    const design_facts *f = &designs[t->config.design];
    bool cross = t->config.design == DESIGN_CROSS_ATTENTION;
    int d = t->config.width, rows = t->row_capacity;
    const gemm_weight unloaded = {.n = cross ? 2 * d : f->parts * d, .k = d};
    status st = OK;
    for (int i = 0; i < t->n_embedders; i++) {
        TRY(plan_product(t, scratch, &t->embedders[i].time_1, LAYER_TIME_1, rows));
        TRY(plan_product(t, scratch, &t->embedders[i].time_2, LAYER_TIME_2, rows));
    }
    if (f->adaln) TRY(plan_product(t, scratch, &t->final_adaln, LAYER_FINAL_ADALN, rows));
    for (int i = 0; dit_has_conditioner(&t->config) && i < t->config.depth; i++)
        TRY(plan_product(t, scratch, t->keep_adaln ? &t->blocks[i].conditioner : &unloaded,
                         LAYER_ADALN, cross ? 2 * rows : rows));
done:
    return st;
}

static status plan_block(dit *t, size_t *scratch, const dit_block *b, int m)
{
    const struct {
        const gemm_weight *w;
        layer which;
    } layers[] = {{&b->qkv, LAYER_QKV},         {&b->projection, LAYER_PROJECTION},
                  {&b->cross_q, LAYER_CROSS_Q}, {&b->cross_projection, LAYER_CROSS_PROJECTION},
                  {&b->mlp_1, LAYER_MLP_1},     {&b->mlp_2, LAYER_MLP_2}};
    status st = OK;
    for (size_t i = 0; st == OK && i < sizeof layers / sizeof *layers; i++)
        if (layers[i].w->n) /* the design has this layer */
            st = plan_product(t, scratch, layers[i].w, layers[i].which, m);
    return st;
}

static status plan_products(dit *t, size_t *scratch)
{
    int batches[DIT_BATCHES], n = batches_of(t, batches);
    status st = OK;
    for (int j = 0; j < n; j++) {
        int m = batches[j] * t->tokens;
        TRY(plan_product(t, scratch, &t->patch, LAYER_PATCH, batches[j] * t->n_patches));
        for (int i = 0; i < t->config.depth; i++) TRY(plan_block(t, scratch, &t->blocks[i], m));
        TRY(plan_product(t, scratch, &t->final, LAYER_FINAL, m));
        const int norm[SHAPE_SIZES] = {batches[j], t->tokens, t->config.width};
        TRY(first_use_plain(t->d, "modulate", norm));
    }
    TRY(plan_conditioning(t, scratch));
    static const int any[SHAPE_SIZES] = {1, 1};
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
    int batches[DIT_BATCHES], n_batches = batches_of(t, batches);
    status st = OK;
    /* before the buffers, since the check needs memory for a moment */
    TRY(plan_products(t, &scratch));
    TRY(allocate_conditioning(t));
    TRY(buffer_create(t->d, &t->patches, tokens * (size_t)t->patch.k, "patches"));
    TRY(buffer_create(t->d, &t->x, tokens * d, "tokens"));
    TRY(buffer_create(t->d, &t->y, tokens * d, "tokens"));
    TRY(buffer_create(t->d, &t->normed, tokens * d, "tokens"));
    TRY(buffer_create(t->d, &t->wide, tokens * 4 * d, "MLP activations"));
    for (int i = 0; i < n_batches; i++) {
        size_t need;
        attention_shape a = {batches[i], t->tokens, c->heads, c->head_dim};
        TRY(attention_prepare(t->d, &t->attention[i], &need, a));
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
    free(t->embedders);
    free(t->blocks);
    free(t->host_features);
    free(t->host_labels);
    *t = (dit){0};
}

/* ---- forward ---- */

/* name: for the profile. */
status dit_product(dit *t, const char *name, buf out, buf a, const gemm_weight *l, int m,
                   const gemm_epilogue *e)
{
    record_name(t->d, name);
    return op_gemm(t->d, out, a, l, m, e, t->scratch);
}

/* x += [gate *] layer(a); gate_at: in widths, -1 for none. */
static status add_product(dit *t, const char *name, buf a, const gemm_weight *l, int rows,
                          const modulation *m, int gate_at)
{
    gemm_epilogue e = {.residual = t->x, .residual_rows = rows, .tokens = t->tokens};
    if (gate_at >= 0) {
        e.gate = m;
        e.gate_at = gate_at * t->config.width;
    }
    status st = dit_product(t, name, t->y, a, l, rows, &e);
    if (st == OK) buffer_swap(&t->x, &t->y);
    return st;
}

/* normed = the layer norm of x, modulated; at: in widths. */
static status norm(dit *t, const modulation *m, int batch, int at, float epsilon)
{
    int d = t->config.width;
    return op_modulate(t->d, t->normed, t->x, m, batch, t->tokens, d, at * d, (at + 1) * d,
                       epsilon);
}

/* x += cross-attention to the tokens of timestep and label. */
static status cross_attend(dit *t, const dit_block *b, const modulation *m, int batch)
{
    const dit_config *c = &t->config;
    int rows = batch * t->tokens;
    attention_shape a = {batch, t->tokens, c->heads, c->head_dim};
    modulation keys_values = *m;
    status st = OK;
    keys_values.values = b->keys_values;
    keys_values.stride = 4 * c->width;
    TRY(norm(t, m, batch, designs[c->design].cross, 1e-6f));
    TRY(dit_product(t, "cross_q", t->wide, t->normed, &b->cross_q, rows, NULL));
    TRY(op_cross(t->d, t->normed, t->wide, &keys_values, a));
    TRY(add_product(t, "cross_proj", t->normed, &b->cross_projection, rows, NULL, -1));
done:
    return st;
}

/* One block on x (paper figure 3): x += [gate *] attention(modulated norm), then the same around
 * the MLP. m: the block's modulation. */
static status forward_block(dit *t, const dit_block *b, const modulation *m, int batch)
{
    const dit_config *c = &t->config;
    const design_facts *f = &designs[c->design];
    int rows = batch * t->tokens;
    int at = 0;
    gemm_epilogue gelu = {.act = ACTIVATION_GELU_TANH};
    status st = OK;
    TRY(norm(t, m, batch, f->attention, 1e-6f));
    TRY(dit_product(t, "qkv", t->wide, t->normed, &b->qkv, rows, NULL));
    while (t->attention[at].shape.batch != batch) at++;
    TRY(op_attention(t->d, t->normed, t->wide, t->scores, &t->attention[at]));
    TRY(add_product(t, "proj", t->normed, &b->projection, rows, m, f->attention_gate));
    if (f->cross >= 0) TRY(cross_attend(t, b, m, batch));
    TRY(norm(t, m, batch, f->mlp, c->norm3_eps));
    TRY(dit_product(t, "fc1", t->wide, t->normed, &b->mlp_1, rows, &gelu));
    TRY(add_product(t, "fc2", t->wide, &b->mlp_2, rows, m, f->mlp_gate));
done:
    return st;
}

/* x = the embedded patches, after the tokens of the context if the design has them. */
static status embed(dit *t, int batch, const modulation *context)
{
    gemm_epilogue add_positions = {.residual = t->positions, .residual_rows = t->n_patches};
    bool alone = t->tokens == t->n_patches;
    status st = dit_product(t, "patch_embed", alone ? t->x : t->y, t->patches, &t->patch,
                            batch * t->n_patches, &add_positions);
    if (st == OK && !alone)
        st = op_condition_prepend(t->d, t->x, t->y, context, batch, t->n_patches, t->config.width);
    return st;
}

status dit_forward(dit *t, buf out, buf latents, int first, int pictures, int batch, buf rows,
                   int rows_at, int first_row)
{
    const dit_config *c = &t->config;
    const design_facts *f = &designs[c->design];
    int d = c->width;
    /* without adaLN all samples share the norms: the stride is 0 */
    modulation m = {.rows = rows,
                    .stride = f->adaln ? f->parts * d : 0,
                    .first_row = first_row,
                    .rows_at = rows_at};
    modulation context = m;
    status st = OK;
    context.values = t->conditioning;
    TRY(op_patchify(t->d, t->patches, latents, first, pictures, batch, c->in_channels,
                    c->latent_size, c->patch));
    TRY(embed(t, batch, &context));
    for (int i = 0; i < c->depth; i++) {
        m.values = t->blocks[i].modulation;
        TRY(forward_block(t, &t->blocks[i], &m, batch));
    }
    m.values = t->final_modulation;
    m.stride = f->adaln ? 2 * d : 0;
    TRY(norm(t, &m, batch, 0, 1e-6f));
    TRY(dit_product(t, "final", t->tokens_out, t->normed, &t->final, batch * t->tokens, NULL));
    TRY(op_unpatchify(t->d, out, t->tokens_out, batch, c->out_channels, c->latent_size, c->patch,
                      f->context));
done:
    return st;
}
