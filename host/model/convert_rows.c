/* Converts tensors from one naming to another. See convert_rows.h. */
#include "model/convert_rows.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/dit.h"

/* ---- one row ---- */

/* A new row of this name, shaped and typed like a tensor. */
static status add_row(convert_rows *r, const char *name, const tensor *like, row_source source)
{
    char *copy;
    status st = memory_grow(&r->table, &r->table_capacity, r->n + 1, sizeof *r->table);
    if (st == OK) st = memory_grow(&r->sources, &r->source_capacity, r->n + 1, sizeof *r->sources);
    if (st == OK) st = memory_strdup(&copy, name);
    if (st != OK) return st;
    tensor *t = &r->table[r->n];
    *t = (tensor){.name = copy,
                  .n_dims = like->n_dims,
                  .type = r->type != DTYPE_OTHER    ? r->type
                          : like->type == DTYPE_F64 ? DTYPE_F32
                                                    : like->type};
    memcpy(t->dims, like->dims, sizeof t->dims);
    r->sources[r->n++] = source;
    return OK;
}

static status find(const weights *w, const tensor **t, const char *name)
{
    *t = tensor_find(&w->file, name);
    return *t ? OK : fail(ERR_FORMAT, "%s: tensor %s is missing", w->file.path, name);
}

static status copy_row(convert_rows *r, const weights *w, const char *name, const char *from)
{
    const tensor *t;
    status st = find(w, &t, from);
    if (st != OK) return st;
    return add_row(r, name, t, (row_source){.w = w, .from = {t}, .n = 1, .count = t->count});
}

/* ---- the transformer ---- */

typedef struct {
    convert_rows *r;
    const weights *w;
    naming from, to;
} renaming;

static const layer qkv[ROW_PARTS] = {LAYER_Q, LAYER_K, LAYER_V};

/* A third of the rows of the original's matrix or bias. */
static status split_row(const renaming *x, int part, int block, const char *suffix)
{
    char name[NAME_BYTES], from[NAME_BYTES];
    const tensor *t;
    name_layer(name, x->to, qkv[part], block, suffix);
    name_layer(from, x->from, LAYER_QKV, block, suffix);
    status st = find(x->w, &t, from);
    if (st != OK) return st;
    tensor like = *t;
    like.dims[0] /= ROW_PARTS;
    size_t count = t->count / ROW_PARTS;
    return add_row(x->r, name, &like,
                   (row_source){x->w, {t}, 1, (size_t)part * count, count, NULL});
}

static status join_rows(const renaming *x, int block, const char *suffix)
{
    char name[NAME_BYTES], from[NAME_BYTES];
    row_source source = {.w = x->w, .n = ROW_PARTS};
    for (int i = 0; i < ROW_PARTS; i++) {
        name_layer(from, x->from, qkv[i], block, suffix);
        status st = find(x->w, &source.from[i], from);
        if (st != OK) return st;
    }
    name_layer(name, x->to, LAYER_QKV, block, suffix);
    tensor like = *source.from[0];
    like.dims[0] *= ROW_PARTS;
    for (int i = 1; i < ROW_PARTS; i++) /* parts of several types: a type that loses nothing */
        if (source.from[i]->type != like.type) like.type = DTYPE_F32;
    source.count = source.from[0]->count;
    return add_row(x->r, name, &like, source);
}

static status add_layer(const renaming *x, layer which, int block)
{
    static const char *const suffixes[] = {".weight", ".bias"};
    char name[NAME_BYTES], from[NAME_BYTES];
    status st = OK;
    for (int s = 0; st == OK && s < (which == LAYER_LABELS ? 1 : 2); s++) {
        if (which == LAYER_QKV) {
            st = join_rows(x, block, suffixes[s]);
        } else if (which >= LAYER_Q && which <= LAYER_V) {
            st = split_row(x, (int)which - LAYER_Q, block, suffixes[s]);
        } else {
            name_layer(name, x->to, which, block, suffixes[s]);
            name_layer(from, x->from, which, block, suffixes[s]);
            st = copy_row(x->r, x->w, name, from);
        }
    }
    return st;
}

/* The original has one embedder, so every block's copy must equal the first block's. */
static status check_one_embedder(const renaming *x, int depth)
{
    static const char *const parts[] = {".weight", ".bias"};
    static const layer layers[] = {LAYER_TIME_1, LAYER_TIME_2, LAYER_LABELS};
    char first[NAME_BYTES], other[NAME_BYTES];
    for (int block = 1; block < depth; block++)
        for (int i = 0; i < 6; i++) {
            if (i == 5) continue; /* the label table has no bias */
            name_layer(first, x->from, layers[i / 2], 0, parts[i % 2]);
            name_layer(other, x->from, layers[i / 2], block, parts[i % 2]);
            if (!weights_equal(x->w, first, other)) {
                fail(ERR_FORMAT,
                     "%s: tensor %s differs from that of block 0; the original naming has only one",
                     x->w->file.path, other);
                fail_hint("a folder as output can hold this model");
                return ERR_FORMAT;
            }
        }
    return OK;
}

/* Keeps the stored table only if it differs from the formula by more than a rounding of float32,
 * since diffusers computes the formula. */
static status keep_positions(const renaming *x, model *m)
{
    size_t width = (size_t)m->dit.width;
    int side = m->dit.latent_size / m->dit.patch;
    size_t count = (size_t)side * (size_t)side * width;
    float *stored = NULL;
    double most = 0;
    status st = OK;
    TRY(memory_alloc(&x->r->positions, count, sizeof *x->r->positions));
    TRY(memory_alloc(&stored, count, sizeof *stored));
    dit_positions(x->r->positions, side, m->dit.width);
    TRY(weights_read(&m->dit_weights, stored, NAME_POSITIONS, SHAPE(1, count / width, width)));
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)stored[i] - (double)x->r->positions[i]));
    if (most > 1e-6) TRY(copy_row(x->r, x->w, NAME_POSITIONS_KEPT, NAME_POSITIONS));
done:
    free(stored);
    return st;
}

static status add_positions(const renaming *x, const model *m)
{
    int side = m->dit.latent_size / m->dit.patch;
    size_t tokens = (size_t)side * (size_t)side, width = (size_t)m->dit.width;
    const tensor like = {.type = DTYPE_F32, .n_dims = 3, .dims = {1, tokens, width}};
    if (weights_has(x->w, NAME_POSITIONS_KEPT))
        return copy_row(x->r, x->w, NAME_POSITIONS, NAME_POSITIONS_KEPT);
    status st = memory_alloc(&x->r->positions, tokens * width, sizeof *x->r->positions);
    if (st != OK) return st;
    dit_positions(x->r->positions, side, m->dit.width);
    return add_row(x->r, NAME_POSITIONS, &like,
                   (row_source){.given = x->r->positions, .count = tokens * width});
}

static status rename_all(const renaming *x, model *m)
{
    static const layer embedding[] = {LAYER_TIME_1, LAYER_TIME_2, LAYER_LABELS};
    static const layer rest[] = {LAYER_ADALN, LAYER_PROJECTION, LAYER_MLP_1, LAYER_MLP_2};
    bool original = x->to == NAMING_ORIGINAL;
    status st = OK;
    if (original) TRY(check_one_embedder(x, m->dit.depth));
    if (original)
        TRY(add_positions(x, m));
    else
        TRY(keep_positions(x, m));
    TRY(add_layer(x, LAYER_PATCH, 0));
    for (int block = 0; block < m->dit.depth; block++) {
        for (int i = 0; i < 3 && (block == 0 || !original); i++)
            TRY(add_layer(x, embedding[i], block));
        for (int i = 0; i < 4; i++) TRY(add_layer(x, rest[i], block));
        if (original) TRY(add_layer(x, LAYER_QKV, block));
        for (int i = 0; i < ROW_PARTS && !original; i++) TRY(add_layer(x, qkv[i], block));
    }
    TRY(add_layer(x, LAYER_FINAL_ADALN, 0));
    TRY(add_layer(x, LAYER_FINAL, 0));
done:
    return st;
}

status convert_dit_rows(convert_rows *r, model *m, naming spelling)
{
    const renaming x = {r, &m->dit_weights, m->spelling, spelling};
    const tensor_file *file = &m->dit_weights.file;
    status st = OK;
    if (m->spelling != spelling && m->dit.design != DESIGN_ADALN_ZERO) {
        fail(ERR_FORMAT, "%s: the design is %s, which diffusers' layout does not have", m->path,
             designs[m->dit.design].name);
        fail_hint("convert it to one file: OUT.safetensors");
        return ERR_FORMAT;
    }
    if (m->spelling != spelling) return rename_all(&x, m);
    for (size_t i = 0; st == OK && i < file->n_tensors;
         i++) /* dit_check has accepted all tensors */
        st = copy_row(r, x.w, file->tensors[i].name, file->tensors[i].name);
    return st;
}

/* ---- the VAE ---- */

static bool begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

status convert_vae_rows(convert_rows *r, const model *m)
{
    const weights *w = &m->vae_weights;
    status st = OK;
    for (size_t i = 0; st == OK && i < w->file.n_tensors; i++) {
        const tensor *t = &w->file.tensors[i];
        if (t->type == DTYPE_OTHER ||
            (!begins(t->name, "encoder.") && !begins(t->name, "decoder.") &&
             !begins(t->name, "quant_conv.") && !begins(t->name, "post_quant_conv.")))
            continue;
        st = copy_row(r, w, t->name, t->name);
        /* a matrix in diffusers' files, a 1x1 convolution in original files */
        if (st == OK && strstr(t->name, ".attentions.0.to_") && t->n_dims == 4 && t->dims[2] == 1 &&
            t->dims[3] == 1)
            r->table[r->n - 1].n_dims = 2;
    }
    return st;
}

void convert_rows_free(convert_rows *r)
{
    for (size_t i = 0; i < r->n; i++) free(r->table[i].name);
    free(r->table);
    free(r->sources);
    free(r->positions);
    *r = (convert_rows){0};
}
