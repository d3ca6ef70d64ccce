/* The diffusion transformer: its memory and its forward pass. See dit.h. */
#include "model/dit.h"

#include <stdlib.h>

#include "base/memory.h"
#include "device/record.h"
#include "model/dit_parts.h"

/* ---- memory ---- */

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The sizes that forward passes will have; returns how many. */
enum { MOST_BATCHES = 4 };
static int batches_of(const dit *t, int out[MOST_BATCHES])
{
    out[0] = t->batch;
    out[1] = t->last_batch;
    if (!t->halves) return 2;
    out[2] = t->batch / 2;
    out[3] = t->last_batch / 2;
    return MOST_BATCHES;
}

/* Checks a product's shape on the device and makes room for its scratch memory. */
static status plan_product(dit *t, size_t *scratch, const gemm_weight *w, int m)
{
    size_t need;
    status st = gemm_check(t->d, w, m);
    if (st == OK) st = gemm_scratch(t->d, &need, w, m);
    if (st == OK) *scratch = max_size(*scratch, need);
    return st;
}

static status plan_products(dit *t, size_t *scratch)
{
    const dit_block *b = &t->blocks[0]; /* the others are like it */
    const gemm_weight adaln = {.n = BLOCK_PARTS * t->config.width, .k = t->config.width};
    const gemm_weight *of_tokens[] = {&t->patch, &b->qkv, &b->projection, &b->mlp_1, &b->mlp_2,
                                      &t->final};
    const gemm_weight *of_rows[] = {&t->embedders[0].time_1, &t->embedders[0].time_2,
                                    t->keep_adaln ? &b->adaln : &adaln, &t->final_adaln};
    int batches[MOST_BATCHES], n = batches_of(t, batches);
    status st = OK;
    for (int j = 0; j < n; j++)
        for (size_t i = 0; i < sizeof of_tokens / sizeof *of_tokens; i++)
            TRY(plan_product(t, scratch, of_tokens[i], batches[j] * t->tokens));
    for (size_t i = 0; i < sizeof of_rows / sizeof *of_rows; i++)
        TRY(plan_product(t, scratch, of_rows[i], t->row_capacity));
done:
    return st;
}

static status allocate(dit *t)
{
    const dit_config *c = &t->config;
    size_t rows = (size_t)t->row_capacity, d = (size_t)c->width;
    size_t tokens = (size_t)t->batch * (size_t)t->tokens, scores = 0, scratch = 0;
    int batches[MOST_BATCHES], n_batches = batches_of(t, batches);
    status st = OK;
    /* first, since the check needs memory of its own for a moment */
    TRY(plan_products(t, &scratch));
    TRY(memory_alloc(&t->host_timesteps, rows, sizeof *t->host_timesteps));
    TRY(memory_alloc(&t->host_labels, rows, sizeof *t->host_labels));
    for (int i = 0; i < c->depth; i++)
        TRY(buffer_create(t->d, &t->blocks[i].modulation, rows * BLOCK_PARTS * d, "modulation"));
    TRY(buffer_create(t->d, &t->final_modulation, rows * 2 * d, "modulation"));
    TRY(buffer_create(t->d, &t->timesteps, rows, "timesteps"));
    TRY(buffer_create(t->d, &t->row_labels, rows, "labels"));
    TRY(buffer_create(t->d, &t->features, rows * FEATURES, "timestep features"));
    TRY(buffer_create(t->d, &t->hidden, rows * d, "conditioning"));
    TRY(buffer_create(t->d, &t->embedded, rows * d, "conditioning"));
    TRY(buffer_create(t->d, &t->conditioning, rows * d, "conditioning"));
    TRY(buffer_create(t->d, &t->patches, tokens * (size_t)t->patch.k, "patches"));
    TRY(buffer_create(t->d, &t->x, tokens * d, "tokens"));
    TRY(buffer_create(t->d, &t->y, tokens * d, "tokens"));
    TRY(buffer_create(t->d, &t->normed, tokens * d, "tokens"));
    TRY(buffer_create(t->d, &t->wide, tokens * 4 * d, "MLP activations"));
    for (int i = 0; i < n_batches; i++) {
        size_t need;
        attention_shape a = {batches[i], t->tokens, c->heads, c->head_dim};
        TRY(attention_scratch(t->d, &need, a));
        scores = max_size(scores, need);
    }
    TRY(buffer_create(t->d, &t->scores, scores, "scratch of attention"));
    TRY(buffer_create(t->d, &t->tokens_out, tokens * (size_t)t->final.n, "output tokens"));
    if (scratch) TRY(buffer_create(t->d, &t->scratch, scratch, "scratch of the products"));
done:
    return st;
}

dit_memory dit_plan(const dit_config *c)
{
    double d = c->width, side = c->latent_size / c->patch, tokens = side * side, depth = c->depth;
    double patch_in = (double)c->in_channels * c->patch * c->patch;
    double out = (double)c->out_channels * c->patch * c->patch;
    double block = 12 * d * d + 9 * d, shared = (FEATURES + d + c->n_classes + 3) * d;
    return (dit_memory){
        .weights = 4 * (depth * block + shared + (patch_in + tokens + 2 * d + 3 + out) * d + out),
        .adaln = 4 * depth * (6 * d * d + 6 * d),
        /* x, y, normed, wide (4), keys, values, and the products' padded copies (about 9) */
        .per_item = 4 * tokens * (18 * d + patch_in + 2 * out),
        .per_row = 4 * (depth * 6 * d + 2 * d + 3 * d + FEATURES),
    };
}

status dit_load(dit *t, device *d, model *m, const dit_run *run)
{
    int side = m->dit.latent_size / m->dit.patch;
    *t = (dit){.d = d, .m = m, .config = m->dit, .tokens = side * side,
               .batch = run->batch, .last_batch = run->last_batch, .halves = run->halves,
               .row_capacity = run->rows, .keep_adaln = run->keep_adaln};
    if (m->arithmetic == COMPAT_ORIGINAL) t->config.norm3_eps = 1e-6f;
    else if (m->origin == COMPAT_ORIGINAL) t->config.norm3_eps = 1e-5f; /* diffusers' default */
    status st = memory_alloc(&t->blocks, (size_t)t->config.depth, sizeof *t->blocks);
    if (st == OK) st = dit_load_weights(t);
    if (st == OK) st = allocate(t);
    if (st != OK) dit_free(t);
    return st;
}

void dit_free(dit *t)
{
    device *d = t->d;
    gemm_weight *layers[] = {&t->patch, &t->adaln, &t->final_adaln, &t->final};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) gemm_weight_free(d, layers[i]);
    for (int i = 0; t->embedders && i < t->n_embedders; i++) {
        gemm_weight_free(d, &t->embedders[i].time_1);
        gemm_weight_free(d, &t->embedders[i].time_2);
        buffer_release(d, &t->embedders[i].labels);
    }
    for (int i = 0; t->blocks && i < t->config.depth; i++) {
        dit_block *b = &t->blocks[i];
        gemm_weight *of_block[] = {&b->adaln, &b->qkv, &b->projection, &b->mlp_1, &b->mlp_2};
        for (size_t j = 0; j < sizeof of_block / sizeof *of_block; j++)
            gemm_weight_free(d, of_block[j]);
        buffer_release(d, &b->modulation);
    }
    buf *buffers[] = {&t->positions,  &t->frequencies,  &t->final_modulation, &t->timesteps,
                      &t->row_labels, &t->features,     &t->hidden,           &t->embedded,
                      &t->patches,    &t->conditioning, &t->x,                &t->y,
                      &t->normed,     &t->wide,         &t->scores,           &t->tokens_out,
                      &t->scratch};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) buffer_release(d, buffers[i]);
    free(t->embedders);
    free(t->blocks);
    free(t->host_timesteps);
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

/* One adaLN-Zero block on x (paper figure 3): x += gate * attention(modulated norm), then the same
 * around the MLP. m: the block's modulation. */
static status forward_block(dit *t, const dit_block *b, const modulation *m, int batch)
{
    const dit_config *c = &t->config;
    int d = c->width, rows = batch * t->tokens;
    attention_shape a = {batch, t->tokens, c->heads, c->head_dim};
    gemm_epilogue gelu = {.act = ACTIVATION_GELU_TANH};
    gemm_epilogue gated = {.residual = t->x, .residual_rows = rows, .gate = m,
                           .gate_at = GATE_MSA * d, .tokens = t->tokens};
    status st = OK;
    TRY(op_modulate(t->d, t->normed, t->x, m, batch, t->tokens, d, SHIFT_MSA * d, SCALE_MSA * d,
                    1e-6f));
    TRY(dit_product(t, "qkv", t->wide, t->normed, &b->qkv, rows, NULL));
    TRY(op_attention(t->d, t->normed, t->wide, t->scores, a));
    TRY(dit_product(t, "proj", t->y, t->normed, &b->projection, rows, &gated));
    buffer_swap(&t->x, &t->y);
    TRY(op_modulate(t->d, t->normed, t->x, m, batch, t->tokens, d, SHIFT_MLP * d, SCALE_MLP * d,
                    c->norm3_eps));
    TRY(dit_product(t, "fc1", t->wide, t->normed, &b->mlp_1, rows, &gelu));
    gated.residual = t->x;
    gated.gate_at = GATE_MLP * d;
    TRY(dit_product(t, "fc2", t->y, t->wide, &b->mlp_2, rows, &gated));
    buffer_swap(&t->x, &t->y);
done:
    return st;
}

status dit_forward(dit *t, buf out, buf latents, int first, int pictures, int batch, buf rows,
                   int rows_at, int first_row)
{
    const dit_config *c = &t->config;
    int d = c->width, m = batch * t->tokens;
    modulation of_block = {.rows = rows, .stride = BLOCK_PARTS * d, .first_row = first_row,
                           .rows_at = rows_at};
    modulation of_final = of_block;
    gemm_epilogue add_positions = {.residual = t->positions, .residual_rows = t->tokens};
    status st = OK;
    TRY(op_patchify(t->d, t->patches, latents, first, pictures, batch, c->in_channels,
                    c->latent_size, c->patch));
    TRY(dit_product(t, "patch_embed", t->x, t->patches, &t->patch, m, &add_positions));
    for (int i = 0; i < c->depth; i++) {
        of_block.values = t->blocks[i].modulation;
        TRY(forward_block(t, &t->blocks[i], &of_block, batch));
    }
    of_final.values = t->final_modulation;
    of_final.stride = 2 * d;
    TRY(op_modulate(t->d, t->normed, t->x, &of_final, batch, t->tokens, d, 0, d, 1e-6f));
    TRY(dit_product(t, "final", t->tokens_out, t->normed, &t->final, m, NULL));
    TRY(op_unpatchify(t->d, out, t->tokens_out, batch, c->out_channels, c->latent_size, c->patch, 0));
done:
    return st;
}
