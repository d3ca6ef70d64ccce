/* The diffusion transformer. See dit.h. */
#include "model/dit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "model/linear.h"
#include "device/record.h"

enum { HALF = 128, FEATURES = 2 * HALF }; /* timestep embedding, paper 3.2 */

/* Where the six parts of a block's modulation begin, in widths (paper figure 3, adaLN-Zero). */
enum { SHIFT_MSA, SCALE_MSA, GATE_MSA, SHIFT_MLP, SCALE_MLP, GATE_MLP, BLOCK_PARTS };

/* ---- constants ---- */

void dit_positions(float *out, int side, int width)
{
    int quarter = width / 4;
    for (int token = 0; token < side * side; token++)
        for (int half = 0; half < 2; half++) {
            double at = half == 0 ? token % side : token / side; /* columns first, then rows */
            float *to = out + (size_t)token * (size_t)width + half * 2 * quarter;
            for (int i = 0; i < quarter; i++) {
                double omega = pow(10000.0, -(double)i / quarter);
                to[i] = (float)sin(at * omega);
                to[quarter + i] = (float)cos(at * omega);
            }
        }
}

void dit_frequencies(float *out, compat arithmetic)
{
    /* in float32, as both programs compute them */
    float divisor = arithmetic == COMPAT_DIFFUSERS ? HALF - 1 : HALF;
    for (int i = 0; i < HALF; i++) out[i] = expf((float)(-log(10000.0)) * (float)i / divisor);
}

/* ---- weights ---- */

/* Rows of the products with a layer: all tokens of a batch, or a chunk of conditioning vectors. */
static int rows_of(const dit *t, layer which)
{
    bool conditioning = which == LAYER_TIME_1 || which == LAYER_TIME_2 || which == LAYER_ADALN ||
                        which == LAYER_FINAL_ADALN;
    return conditioning ? t->row_capacity : t->batch * t->tokens;
}

/* The rows of one layer, or of several that are computed as one, from the file. */
static status load_layers(dit *t, gemm_weight *l, const layer *parts, int n_parts, int block,
                          shape each)
{
    char names[LINEAR_PARTS][NAME_BYTES];
    const char *pointers[LINEAR_PARTS];
    for (int i = 0; i < n_parts; i++) {
        name_layer(names[i], t->m->spelling, parts[i], block, "");
        pointers[i] = names[i];
    }
    size_t k = 1;
    for (int i = 1; i < each.n; i++) k *= each.dims[i];
    const int product[TUNING_SIZES] = {rows_of(t, parts[0]), n_parts * (int)each.dims[0], (int)k};
    if (t->visitor) t->visitor->see(t->visitor->context, "gemm", product);
    return linear_load(&t->m->dit_weights, t->d, l, rows_of(t, parts[0]), pointers, n_parts, each);
}

static status load_linear(dit *t, gemm_weight *l, layer which, int block, int in, int out)
{
    return load_layers(t, l, &which, 1, block, SHAPE((size_t)out, (size_t)in));
}

/* q, k and v as one matrix [3D][D], whichever way the file has them. */
static status load_qkv(dit *t, gemm_weight *l, int block)
{
    static const layer parts[] = {LAYER_Q, LAYER_K, LAYER_V};
    int width = t->config.width;
    if (t->m->spelling == NAMING_ORIGINAL)
        return load_linear(t, l, LAYER_QKV, block, width, 3 * width);
    return load_layers(t, l, parts, 3, block, SHAPE((size_t)width, (size_t)width));
}

static status load_block(dit *t, int i)
{
    dit_block *b = &t->blocks[i];
    int width = t->config.width;
    status st = OK;
    TRY(load_qkv(t, &b->qkv, i));
    TRY(load_linear(t, &b->projection, LAYER_PROJECTION, i, width, width));
    TRY(load_linear(t, &b->mlp_1, LAYER_MLP_1, i, width, 4 * width));
    TRY(load_linear(t, &b->mlp_2, LAYER_MLP_2, i, 4 * width, width));
    if (t->keep_adaln) TRY(load_linear(t, &b->adaln, LAYER_ADALN, i, width, BLOCK_PARTS * width));
done:
    return st;
}

/* ERR_FORMAT where a block's copies are not block 0's. */
static status compare_embedder(void *context, size_t block, int thread)
{
    static const layer layers[] = {LAYER_TIME_1, LAYER_TIME_2, LAYER_LABELS};
    static const char *const suffixes[] = {".weight", ".bias"};
    char first[NAME_BYTES], other[NAME_BYTES];
    const dit *t = context;
    (void)thread;
    for (int i = 0; i < 3; i++)
        for (int s = 0; s < (layers[i] == LAYER_LABELS ? 1 : 2); s++) {
            name_layer(first, t->m->spelling, layers[i], 0, suffixes[s]);
            name_layer(other, t->m->spelling, layers[i], (int)block, suffixes[s]);
            if (!weights_equal(&t->m->dit_weights, first, other))
                return fail(ERR_FORMAT, "%s differs from %s", other, first);
        }
    return OK;
}

/* Every block of a diffusers file has its own copy of the embedders; equal copies count once. Not
 * worth reading them where nothing is loaded. */
static bool embedders_differ(dit *t)
{
    if (t->m->spelling == NAMING_ORIGINAL || !t->d) return false;
    bool differ = parallel_for((size_t)t->config.depth, compare_embedder, t) != OK;
    if (differ) fail_clear();
    return differ;
}

/* Copies equal to block 0's are not uploaded, but their shapes still have to be right. */
static status check_embedder_copies(dit *t)
{
    char name[NAME_BYTES];
    const tensor *found;
    weights *w = &t->m->dit_weights;
    size_t d = (size_t)t->config.width, rows = (size_t)t->config.n_classes + 1;
    const struct {
        layer which;
        const char *suffix;
        shape expected;
    } parts[] = {{LAYER_TIME_1, ".weight", SHAPE(d, FEATURES)}, {LAYER_TIME_1, ".bias", SHAPE(d)},
                 {LAYER_TIME_2, ".weight", SHAPE(d, d)},        {LAYER_TIME_2, ".bias", SHAPE(d)},
                 {LAYER_LABELS, ".weight", SHAPE(rows, d)}};
    for (int block = 1; block < t->config.depth; block++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            name_layer(name, t->m->spelling, parts[i].which, block, parts[i].suffix);
            status st = weights_find(w, &found, name, parts[i].expected);
            if (st != OK) return st;
        }
    return OK;
}

static status load_embedders(dit *t)
{
    char name[NAME_BYTES];
    int width = t->config.width, classes = t->config.n_classes;
    status st = OK;
    if (t->m->spelling == NAMING_DIFFUSERS) TRY(check_embedder_copies(t));
    t->n_embedders = embedders_differ(t) ? t->config.depth : 1;
    TRY(memory_alloc(&t->embedders, (size_t)t->n_embedders, sizeof *t->embedders));
    for (int i = 0; i < t->n_embedders; i++) {
        embedder *e = &t->embedders[i];
        TRY(load_linear(t, &e->time_1, LAYER_TIME_1, i, FEATURES, width));
        TRY(load_linear(t, &e->time_2, LAYER_TIME_2, i, width, width));
        name_layer(name, t->m->spelling, LAYER_LABELS, i, ".weight");
        TRY(weights_upload(&t->m->dit_weights, t->d, &e->labels, name,
                           SHAPE((size_t)classes + 1, width)));
    }
done:
    return st;
}

static status load_constants(dit *t)
{
    size_t tokens = (size_t)t->tokens, width = (size_t)t->config.width;
    float frequencies[HALF], *positions = NULL;
    status st = OK;
    if (!t->d) {
        buf none;
        return t->m->spelling == NAMING_DIFFUSERS
                   ? OK
                   : weights_upload(&t->m->dit_weights, NULL, &none, "pos_embed",
                                    SHAPE(1, tokens, width));
    }
    dit_frequencies(frequencies, t->m->arithmetic);
    TRY(buffer_create(t->d, &t->frequencies, HALF, "frequencies"));
    TRY(buffer_upload(t->d, t->frequencies, 0, frequencies, HALF));
    if (t->m->spelling == NAMING_ORIGINAL) {
        TRY(weights_upload(&t->m->dit_weights, t->d, &t->positions, "pos_embed",
                           SHAPE(1, tokens, width)));
    } else {
        TRY(memory_alloc(&positions, tokens * width, sizeof *positions));
        dit_positions(positions, t->config.latent_size / t->config.patch, t->config.width);
        TRY(buffer_create(t->d, &t->positions, tokens * width, "position embedding"));
        TRY(buffer_upload(t->d, t->positions, 0, positions, tokens * width));
    }
done:
    free(positions);
    return st;
}

/* A tensor nobody asked for means that this is another network than we think. */
static status check_unused(dit *t)
{
    size_t count;
    const char *name = weights_unused(&t->m->dit_weights, &count);
    if (!name) return OK;
    return fail(ERR_FORMAT, "%s: unknown tensor %s%s; expected an adaLN-Zero DiT of %d blocks",
                t->m->dit_weights.file.path, name, count > 1 ? " and others" : "",
                t->config.depth);
}

/* The patch embedding is a convolution in the file, and a product here. */
static status load_patch(dit *t)
{
    const dit_config *c = &t->config;
    const layer which = LAYER_PATCH;
    size_t in = (size_t)c->in_channels, side = (size_t)c->patch;
    return load_layers(t, &t->patch, &which, 1, 0, SHAPE((size_t)c->width, in, side, side));
}

static status load_all(dit *t)
{
    const dit_config *c = &t->config;
    char name[NAME_BYTES];
    const tensor *found;
    weights *w = &t->m->dit_weights;
    status st = OK;
    TRY(load_patch(t));
    TRY(load_constants(t));
    TRY(load_embedders(t));
    for (int i = 0; i < c->depth; i++) TRY(load_block(t, i));
    TRY(load_linear(t, &t->final_adaln, LAYER_FINAL_ADALN, 0, c->width, 2 * c->width));
    TRY(load_linear(t, &t->final, LAYER_FINAL, 0, c->width,
                    c->patch * c->patch * c->out_channels));
    for (int i = 0; i < c->depth; i++) { /* loaded when used, known already */
        name_layer(name, t->m->spelling, LAYER_ADALN, i, ".weight");
        TRY(weights_find(w, &found, name, SHAPE(BLOCK_PARTS * c->width, c->width)));
        name_layer(name, t->m->spelling, LAYER_ADALN, i, ".bias");
        TRY(weights_find(w, &found, name, SHAPE(BLOCK_PARTS * c->width)));
    }
    TRY(check_unused(t));
done:
    return st;
}

/* ---- memory ---- */

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
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
    const int batches[] = {t->batch, t->last_batch};
    status st = OK;
    for (size_t j = 0; j < 2; j++)
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
    size_t tokens = (size_t)t->batch * (size_t)t->tokens, scores, scratch = 0;
    attention_shape a = {t->batch, t->tokens, c->heads, c->head_dim};
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
    TRY(attention_scratch(t->d, &scores, a));
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

static status look(model *m, int batch, int rows, const layer_visitor *v)
{
    int side = m->dit.latent_size / m->dit.patch;
    dit t = {.m = m, .config = m->dit, .tokens = side * side, .batch = batch,
             .row_capacity = rows, .keep_adaln = v != NULL, .visitor = v};
    status st = memory_alloc(&t.blocks, (size_t)t.config.depth, sizeof *t.blocks);
    if (st == OK) st = load_all(&t);
    const int attention[TUNING_SIZES] = {batch, t.tokens, m->dit.heads, m->dit.head_dim};
    for (int i = 0; v && st == OK && i < m->dit.depth; i++)
        v->see(v->context, "attention", attention);
    dit_free(&t);
    return st;
}

status dit_check(model *m)
{
    return look(m, 0, 0, NULL);
}

status dit_visit(model *m, int batch, int rows, const layer_visitor *v)
{
    return look(m, batch, rows, v);
}

status dit_load(dit *t, device *d, model *m, const dit_run *run)
{
    int side = m->dit.latent_size / m->dit.patch;
    *t = (dit){.d = d, .m = m, .config = m->dit, .tokens = side * side,
               .batch = run->batch, .last_batch = run->last_batch, .row_capacity = run->rows,
               .keep_adaln = run->keep_adaln};
    if (m->arithmetic == COMPAT_ORIGINAL) t->config.norm3_eps = 1e-6f;
    else if (m->origin == COMPAT_ORIGINAL) t->config.norm3_eps = 1e-5f; /* diffusers' default */
    status st = memory_alloc(&t->blocks, (size_t)t->config.depth, sizeof *t->blocks);
    if (st == OK) st = load_all(t);
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

/* ---- conditioning ---- */

/* name: for the profile. */
static status product(dit *t, const char *name, buf out, buf a, const gemm_weight *l, int m,
                      const gemm_epilogue *e)
{
    record_name(t->d, name);
    return op_gemm(t->d, out, a, l, m, e, t->scratch);
}

/* conditioning [n][D] = SiLU(timestep MLP + label), paper 3.2 */
static status condition(dit *t, const embedder *e, int n)
{
    gemm_epilogue silu = {.act = ACTIVATION_SILU};
    status st = product(t, "time_1", t->hidden, t->features, &e->time_1, n, &silu);
    if (st == OK) st = product(t, "time_2", t->embedded, t->hidden, &e->time_2, n, NULL);
    if (st == OK)
        st = op_condition_combine(t->d, t->conditioning, t->embedded, e->labels, t->row_labels, n,
                                  t->config.width);
    return st;
}

static status modulate_block(dit *t, int i, int n)
{
    dit_block *b = &t->blocks[i];
    gemm_weight *adaln = t->keep_adaln ? &b->adaln : &t->adaln;
    status st = OK;
    if (!t->keep_adaln)
        TRY(load_linear(t, adaln, LAYER_ADALN, i, t->config.width, BLOCK_PARTS * t->config.width));
    TRY(product(t, "adaln", b->modulation, t->conditioning, adaln, n, NULL));
done:
    return st;
}

status dit_modulate(dit *t, int n, const int *timesteps, const int *labels)
{
    status st = OK;
    /* always a full chunk, so that the products have the shapes that were planned */
    int last = n - 1;
    n = t->row_capacity;
    for (int i = 0; i < n; i++) {
        t->host_timesteps[i] = (float)timesteps[i < last ? i : last];
        t->host_labels[i] = labels[i < last ? i : last];
    }
    TRY(buffer_upload(t->d, t->timesteps, 0, t->host_timesteps, (size_t)n));
    TRY(buffer_upload(t->d, t->row_labels, 0, t->host_labels, (size_t)n));
    TRY(op_condition_features(t->d, t->features, t->timesteps, t->frequencies, n, HALF));
    /* the final layer takes block 0's conditioning, as does every block when there is only one */
    TRY(condition(t, &t->embedders[0], n));
    TRY(product(t, "final_adaln", t->final_modulation, t->conditioning, &t->final_adaln, n, NULL));
    for (int i = 0; i < t->config.depth; i++) {
        if (i > 0 && t->n_embedders > 1) TRY(condition(t, &t->embedders[i], n));
        TRY(modulate_block(t, i, n));
    }
done:
    gemm_weight_free(t->d, &t->adaln); /* the queue holds it until it is used */
    return st;
}

/* ---- forward ---- */

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
    TRY(product(t, "qkv", t->wide, t->normed, &b->qkv, rows, NULL));
    TRY(op_attention(t->d, t->normed, t->wide, t->scores, a));
    TRY(product(t, "proj", t->y, t->normed, &b->projection, rows, &gated));
    buffer_swap(&t->x, &t->y);
    TRY(op_modulate(t->d, t->normed, t->x, m, batch, t->tokens, d, SHIFT_MLP * d, SCALE_MLP * d,
                    c->norm3_eps));
    TRY(product(t, "fc1", t->wide, t->normed, &b->mlp_1, rows, &gelu));
    gated.residual = t->x;
    gated.gate_at = GATE_MLP * d;
    TRY(product(t, "fc2", t->y, t->wide, &b->mlp_2, rows, &gated));
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
    TRY(product(t, "patch_embed", t->x, t->patches, &t->patch, m, &add_positions));
    for (int i = 0; i < c->depth; i++) {
        of_block.values = t->blocks[i].modulation;
        TRY(forward_block(t, &t->blocks[i], &of_block, batch));
    }
    of_final.values = t->final_modulation;
    of_final.stride = 2 * d;
    TRY(op_modulate(t->d, t->normed, t->x, &of_final, batch, t->tokens, d, 0, d, 1e-6f));
    TRY(product(t, "final", t->tokens_out, t->normed, &t->final, m, NULL));
    TRY(op_unpatchify(t->d, out, t->tokens_out, batch, c->out_channels, c->latent_size, c->patch));
done:
    return st;
}
