/* The transformer's weights, from the file to the device. See dit.h. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "model/dit_parts.h"

/* Rows of the GEMM of a layer: all tokens of a batch, or a chunk of conditioning vectors. */
static int rows_of(const dit *t, layer which)
{
    switch (which) {
    case LAYER_TIME_1:
    case LAYER_TIME_2:
    case LAYER_ADALN:
    case LAYER_FINAL_ADALN: return t->row_capacity;
    case LAYER_CROSS_KV: return 2 * t->row_capacity;
    case LAYER_PATCH: return t->batch * t->n_patches;
    default: return t->batch * t->tokens;
    }
}

/* The fused operations of the GEMM of a layer, as dit.c and dit_conditioning.c queue it. */
unsigned dit_fused(const dit *t, layer which)
{
    const design_facts *f = &designs[t->config.design];
    switch (which) {
    case LAYER_PATCH:
    case LAYER_CROSS_PROJECTION: return FUSED_RESIDUAL;
    case LAYER_TIME_1: return FUSED_SILU;
    case LAYER_PROJECTION: return FUSED_RESIDUAL | (f->attention_gate < 0 ? 0 : FUSED_GATE);
    case LAYER_MLP_1: return FUSED_GELU;
    case LAYER_MLP_2: return FUSED_RESIDUAL | (f->mlp_gate < 0 ? 0 : FUSED_GATE);
    default: return 0;
    }
}

attention_shape dit_attention(const dit *t, int batch)
{
    return (attention_shape){batch, t->tokens, t->config.heads, t->config.head_dim};
}

unsigned dit_wanted_factors(const dit *t, layer which)
{
    unsigned attention = attention_factors(t->d, dit_attention(t, t->batch));
    switch (which) {
    case LAYER_Q:
    case LAYER_QKV: return READS_FACTORS | (attention & READS_FACTORS ? WRITES_FACTORS : 0);
    case LAYER_PROJECTION: return attention & WRITES_FACTORS ? READS_FACTORS : 0;
    case LAYER_MLP_1: return READS_FACTORS | WRITES_FACTORS;
    case LAYER_PATCH:
    case LAYER_CROSS_Q:
    case LAYER_CROSS_PROJECTION:
    case LAYER_MLP_2:
    case LAYER_FINAL: return READS_FACTORS;
    default: return 0;
    }
}

/* Reads the rows of one layer, or of several that are computed as one, from the file. */
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
    const int product[SHAPE_SIZES] = {rows_of(t, parts[0]), n_parts * (int)each.dims[0], (int)k};
    if (t->visitor) t->visitor->see(t->visitor->context, "gemm", product);
    return linear_load(&t->m->dit_weights, t->d, l, rows_of(t, parts[0]), pointers, n_parts, each,
                       dit_fused(t, parts[0]) | dit_wanted_factors(t, parts[0]));
}

static status load_linear(dit *t, gemm_weight *l, layer which, int block, int in, int out)
{
    return load_layers(t, l, &which, 1, block, SHAPE((size_t)out, (size_t)in));
}

/* Loads q, k and v as one matrix [3D][D]. The file has one tensor or three. */
static status load_qkv(dit *t, gemm_weight *l, int block)
{
    static const layer parts[] = {LAYER_Q, LAYER_K, LAYER_V};
    int width = t->config.width;
    if (t->m->spelling == NAMING_ORIGINAL)
        return load_linear(t, l, LAYER_QKV, block, width, 3 * width);
    return load_layers(t, l, parts, 3, block, SHAPE((size_t)width, (size_t)width));
}

bool dit_has_conditioner(const dit_config *c)
{
    return designs[c->design].adaln || c->design == DESIGN_CROSS_ATTENTION;
}

status dit_load_conditioner(dit *t, gemm_weight *l, int block)
{
    int width = t->config.width, parts = designs[t->config.design].parts;
    if (t->config.design == DESIGN_CROSS_ATTENTION)
        return load_linear(t, l, LAYER_CROSS_KV, block, width, 2 * width);
    return load_linear(t, l, LAYER_ADALN, block, width, parts * width);
}

/* Reads an affine layer norm as a modulation: shift, then scale. to: where in the host's row;
 * null: only finds the tensors. */
static status read_norm(dit *t, float *to, layer which, int block)
{
    char name[NAME_BYTES];
    const tensor *found;
    weights *w = &t->m->dit_weights;
    size_t width = (size_t)t->config.width;
    status st = OK;
    name_layer(name, t->m->spelling, which, block, ".bias");
    TRY(to ? weights_read(w, to, name, SHAPE(width)) : weights_find(w, &found, name, SHAPE(width)));
    name_layer(name, t->m->spelling, which, block, ".weight");
    if (!to) return weights_find(w, &found, name, SHAPE(width));
    TRY(weights_read(w, to + width, name, SHAPE(width)));
    /* the kernel computes 1 + scale, so a weight near 0 loses low bits */
    for (size_t i = width; i < 2 * width; i++) to[i] -= 1.0f;
done:
    return st;
}

/* *row = a modulation of `parts` parts from affine norms; norm i begins at at[i] widths. */
static status load_norms(dit *t, buf *row, int parts, const layer *which, const int *at, int n,
                         int block)
{
    size_t width = (size_t)t->config.width, count = (size_t)parts * width;
    float *values = NULL;
    status st = OK;
    if (!t->d->dry) TRY(memory_alloc(&values, count, sizeof *values));
    for (int i = 0; i < n; i++)
        TRY(read_norm(t, values ? values + (size_t)at[i] * width : NULL, which[i], block));
    TRY(buffer_create(t->d, row, count, "layer norms"));
    TRY(buffer_upload(t->d, *row, 0, values, count));
done:
    free(values);
    return st;
}

static status load_block_norms(dit *t, int i)
{
    static const layer which[] = {LAYER_NORM_ATTENTION, LAYER_NORM_MLP, LAYER_NORM_CROSS};
    const design_facts *f = &designs[t->config.design];
    const int at[] = {f->attention, f->mlp, f->cross};
    return load_norms(t, &t->blocks[i].modulation, f->parts, which, at, f->cross < 0 ? 2 : 3, i);
}

static status load_block(dit *t, int i)
{
    dit_block *b = &t->blocks[i];
    int width = t->config.width;
    status st = OK;
    TRY(load_qkv(t, &b->qkv, i));
    TRY(load_linear(t, &b->projection, LAYER_PROJECTION, i, width, width));
    if (t->config.design == DESIGN_CROSS_ATTENTION) {
        TRY(load_linear(t, &b->cross_q, LAYER_CROSS_Q, i, width, width));
        TRY(load_linear(t, &b->cross_projection, LAYER_CROSS_PROJECTION, i, width, width));
    }
    TRY(load_linear(t, &b->mlp_1, LAYER_MLP_1, i, width, 4 * width));
    TRY(load_linear(t, &b->mlp_2, LAYER_MLP_2, i, 4 * width, width));
    if (!designs[t->config.design].adaln) TRY(load_block_norms(t, i));
    if (t->keep_adaln && dit_has_conditioner(&t->config))
        TRY(dit_load_conditioner(t, &b->conditioner, i));
done:
    return st;
}

/* ERR_FORMAT if the copies of a block differ from those of block 0. */
static status compare_embedder(void *context, size_t block, int thread)
{
    static const layer layers[] = {LAYER_TIME_1, LAYER_TIME_2, LAYER_LABELS};
    static const char *const suffixes[] = {".weight", ".bias"};
    char first[NAME_BYTES], other[NAME_BYTES];
    const model *m = context;
    (void)thread;
    for (int i = 0; i < 3; i++)
        for (int s = 0; s < (layers[i] == LAYER_LABELS ? 1 : 2); s++) {
            name_layer(first, m->spelling, layers[i], 0, suffixes[s]);
            name_layer(other, m->spelling, layers[i], (int)block, suffixes[s]);
            if (!weights_equal(&m->dit_weights, first, other))
                return fail(ERR_FORMAT, "%s differs from %s", other, first);
        }
    return OK;
}

/* Every block of a diffusers file has its own copy of the embedders; equal copies count once. */
void dit_count_embedders(model *m)
{
    if (m->n_embedders) return;
    bool same = m->spelling == NAMING_ORIGINAL ||
                parallel_for((size_t)m->dit.depth, compare_embedder, m) == OK;
    if (!same) fail_clear();
    m->n_embedders = same ? 1 : m->dit.depth;
}

/* Copies equal to block 0's are not uploaded, but their shapes still have to be right. */
static status check_embedder_copies(dit *t)
{
    char name[NAME_BYTES];
    const tensor *found;
    weights *w = &t->m->dit_weights;
    size_t d = (size_t)t->config.width, rows = (size_t)dit_label_rows(&t->config);
    const struct {
        layer which;
        const char *suffix;
        shape expected;
    } parts[] = {{LAYER_TIME_1, ".weight", SHAPE(d, FEATURES)},
                 {LAYER_TIME_1, ".bias", SHAPE(d)},
                 {LAYER_TIME_2, ".weight", SHAPE(d, d)},
                 {LAYER_TIME_2, ".bias", SHAPE(d)},
                 {LAYER_LABELS, ".weight", SHAPE(rows, d)}};
    for (int block = 1; block < t->config.depth; block++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            name_layer(name, t->m->spelling, parts[i].which, block, parts[i].suffix);
            status st = weights_find(w, &found, name, parts[i].expected);
            if (st != OK) return st;
        }
    return OK;
}

/* Appends the embeddings of the mixed labels. */
static status append_mixes(dit *t, buf *labels, const label_mix *mixes, int n)
{
    size_t width = (size_t)t->config.width, rows = (size_t)dit_label_rows(&t->config);
    float *table = NULL;
    buf larger = {0};
    status st = OK;
    if (!n) return OK;
    TRY(memory_alloc(&table, (rows + (size_t)n) * width, sizeof *table));
    TRY(buffer_download(t->d, *labels, 0, table, rows * width));
    for (size_t i = 0; i < (size_t)n; i++) {
        const float *from = table + (size_t)mixes[i].from * width;
        const float *to = table + (size_t)mixes[i].to * width;
        for (size_t j = 0; j < width; j++)
            table[(rows + i) * width + j] =
                (1.0f - mixes[i].share) * from[j] + mixes[i].share * to[j];
    }
    TRY(buffer_create(t->d, &larger, (rows + (size_t)n) * width, "labels"));
    TRY(buffer_upload(t->d, larger, 0, table, (rows + (size_t)n) * width));
    buffer_swap(labels, &larger);
done:
    buffer_release(t->d, &larger);
    free(table);
    return st;
}

static status load_embedders(dit *t)
{
    char name[NAME_BYTES];
    int width = t->config.width, rows = dit_label_rows(&t->config);
    status st = OK;
    if (t->m->spelling == NAMING_DIFFUSERS) TRY(check_embedder_copies(t));
    if (!t->d->dry) dit_count_embedders(t->m); /* reads their values */
    t->n_embedders = t->m->n_embedders ? t->m->n_embedders : 1;
    TRY(memory_alloc(&t->embedders, (size_t)t->n_embedders, sizeof *t->embedders));
    for (int i = 0; i < t->n_embedders; i++) {
        embedder *e = &t->embedders[i];
        TRY(load_linear(t, &e->time_1, LAYER_TIME_1, i, FEATURES, width));
        TRY(load_linear(t, &e->time_2, LAYER_TIME_2, i, width, width));
        name_layer(name, t->m->spelling, LAYER_LABELS, i, ".weight");
        TRY(weights_upload(&t->m->dit_weights, t->d, &e->labels, name, SHAPE((size_t)rows, width)));
        TRY(append_mixes(t, &e->labels, t->mixes, t->n_mixes));
    }
done:
    return st;
}

/* The tensor of the position embedding, or null if it is computed. Converted folders have a tensor
 * if the original's values differ from the formula. */
static const char *positions_name(const model *m)
{
    if (m->spelling == NAMING_ORIGINAL) return NAME_POSITIONS;
    return weights_has(&m->dit_weights, NAME_POSITIONS_KEPT) ? NAME_POSITIONS_KEPT : NULL;
}

static status load_constants(dit *t)
{
    const char *name = positions_name(t->m);
    size_t tokens = (size_t)t->n_patches, width = (size_t)t->config.width;
    float *positions = NULL;
    status st = OK;
    dit_frequencies(t->frequencies, t->m->arithmetic);
    if (name)
        return weights_upload(&t->m->dit_weights, t->d, &t->positions, name,
                              SHAPE(1, tokens, width));
    TRY(buffer_create(t->d, &t->positions, tokens * width, "position embedding"));
    if (t->d->dry) goto done;
    TRY(memory_alloc(&positions, tokens * width, sizeof *positions));
    dit_positions(positions, t->config.latent_size / t->config.patch, t->config.width);
    TRY(buffer_upload(t->d, t->positions, 0, positions, tokens * width));
done:
    free(positions);
    return st;
}

/* An unknown tensor means that the file has another network. */
static status check_unused(dit *t)
{
    size_t count;
    const char *name = weights_unused(&t->m->dit_weights, &count);
    if (!name) return OK;
    return fail(ERR_FORMAT, "%s: unknown tensor %s%s; expected a DiT of %d blocks, %s",
                t->m->dit_weights.file.path, name, count > 1 ? " and others" : "", t->config.depth,
                designs[t->config.design].name);
}

/* The patch embedding is a convolution in the file and a GEMM here. */
static status load_patch(dit *t)
{
    const dit_config *c = &t->config;
    const layer which = LAYER_PATCH;
    size_t in = (size_t)c->in_channels, side = (size_t)c->patch;
    return load_layers(t, &t->patch, &which, 1, 0, SHAPE((size_t)c->width, in, side, side));
}

static status load_final(dit *t)
{
    const dit_config *c = &t->config;
    status st = OK;
    if (designs[c->design].adaln) {
        TRY(load_linear(t, &t->final_adaln, LAYER_FINAL_ADALN, 0, c->width, 2 * c->width));
    } else {
        const layer which = LAYER_NORM_FINAL;
        const int at = 0;
        TRY(load_norms(t, &t->final_modulation, 2, &which, &at, 1, 0));
    }
    TRY(load_linear(t, &t->final, LAYER_FINAL, 0, c->width, c->patch * c->patch * c->out_channels));
done:
    return st;
}

/* Checks the layers whose weights are loaded later, when they are used. */
static status check_conditioners(dit *t)
{
    device dry = device_dry(t->d);
    dit only_look = *t;
    gemm_weight one = {0};
    status st = OK;
    only_look.d = &dry;
    only_look.visitor = NULL;
    if (!dit_has_conditioner(&t->config)) return OK;
    for (int i = 0; i < t->config.depth && st == OK; i++)
        st = dit_load_conditioner(&only_look, &one, i);
    gemm_weight_free(&dry, &one);
    return st;
}

status dit_load_weights(dit *t)
{
    status st = OK;
    TRY(load_patch(t));
    TRY(load_constants(t));
    TRY(load_embedders(t));
    for (int i = 0; i < t->config.depth; i++) TRY(load_block(t, i));
    TRY(load_final(t));
    TRY(check_conditioners(t));
    TRY(check_unused(t));
done:
    return st;
}

/* ---- visiting layers: a dry run ---- */

static status look(model *m, int batch, int rows, const layer_visitor *v)
{
    device dry = device_dry_plain(FAMILY_GPU);
    dit t = {.d = &dry,
             .m = m,
             .batch = batch,
             .row_capacity = rows,
             .keep_adaln = v != NULL,
             .visitor = v};
    dit_sizes(&t);
    status st = memory_alloc(&t.blocks, (size_t)t.config.depth, sizeof *t.blocks);
    if (st == OK) st = dit_load_weights(&t);
    const int attention[SHAPE_SIZES] = {batch, t.tokens, m->dit.heads, m->dit.head_dim};
    for (int i = 0; v && st == OK && i < m->dit.depth; i++)
        v->see(v->context, "attention", attention);
    dit_free(&t);
    return st;
}

status dit_check(model *m)
{
    return look(m, 1, 1, NULL);
}

status dit_visit(model *m, int batch, int rows, const layer_visitor *v)
{
    return look(m, batch, rows, v);
}
