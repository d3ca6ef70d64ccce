/* Fresh weights. See init.h. */
#include "model/init.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "files/safetensors.h"
#include "model/dit.h"

enum { PIECE = 1 << 17 };

/* ---- the tensors: all that loading needs ---- */

typedef struct {
    tensor *items;
    size_t n, capacity;
    dtype type;
    status st;
} tensor_list;

static void take_down(void *context, const tensor *t)
{
    tensor_list *list = context;
    status st = list->st;
    for (size_t i = 0; i < list->n; i++)
        if (!strcmp(list->items[i].name, t->name)) return;
    if (st != OK) goto done;
    TRY(memory_grow(&list->items, &list->capacity, list->n + 1, sizeof *list->items));
    tensor *to = &list->items[list->n];
    *to = *t;
    to->type = list->type;
    TRY(memory_strdup(&to->name, t->name));
    list->n++;
done:
    list->st = st;
}

static void list_free(tensor_list *list)
{
    for (size_t i = 0; i < list->n; i++) free(list->items[i].name);
    free(list->items);
}

/* ---- values ---- */

typedef enum { FILL_XAVIER, FILL_NORMAL, FILL_ZERO, FILL_ONE } filling;

/* The original's initialize_weights; affine norms begin as the identity, as PyTorch's do. */
static filling filling_of(const tensor *t)
{
    const char *suffix = strrchr(t->name, '.');
    if (suffix && !strcmp(suffix, ".bias")) return FILL_ZERO;
    if (strstr(t->name, "adaLN_modulation") || strstr(t->name, "final_layer.linear"))
        return FILL_ZERO;
    if (t->n_dims == 1) return FILL_ONE;
    return strstr(t->name, "_embedder.mlp.") || strstr(t->name, "embedding_table") ? FILL_NORMAL
                                                                                   : FILL_XAVIER;
}

/* splitmix64's output function (Steele, Lea & Flood 2014), of a counter */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t key_of(const char *name, uint64_t seed)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *c = name; *c; c++) hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return mix(hash ^ mix(seed + 0x9e3779b97f4a7c15u));
}

/* Uniform in [-1, 1], or normal by Box and Muller. */
static double draw(filling how, uint64_t bits)
{
    double high = ((double)(bits >> 32) + 0.5) * 0x1p-32;
    double low = (double)(bits & 0xffffffffu) * 0x1p-32;
    if (how == FILL_XAVIER) return 2.0 * high - 1.0;
    return sqrt(-2.0 * log(high)) * cos(6.283185307179586 * low);
}

static void fill(float *out, filling how, double scale, uint64_t key, size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (how == FILL_ZERO || how == FILL_ONE)
            out[i] = how == FILL_ONE ? 1.0f : 0.0f;
        else
            out[i] = (float)(scale * draw(how, mix(key + (first + i) * 0x9e3779b97f4a7c15u)));
    }
}

static status write_values(safetensors_writer *w, float *piece, const tensor *t, uint64_t seed)
{
    static const double deviation = 0.02; /* of the embeddings */
    filling how = filling_of(t);
    uint64_t key = key_of(t->name, seed);
    /* Xavier uniform; the convolution of the patch embedding counts as a matrix */
    double inputs = (double)t->count / (double)t->dims[0], outputs = (double)t->dims[0];
    double scale = how == FILL_XAVIER ? sqrt(6.0 / (inputs + outputs)) : deviation;
    status st = OK;
    for (size_t at = 0; at < t->count && st == OK; at += PIECE) {
        size_t n = t->count - at < PIECE ? t->count - at : PIECE;
        fill(piece, how, scale, key, at, n);
        st = safetensors_append(w, piece, n);
    }
    return st;
}

static status write_positions(safetensors_writer *w, const dit_config *c, const tensor *t)
{
    float *values = NULL;
    status st = memory_alloc(&values, t->count, sizeof *values);
    if (st == OK) {
        dit_positions(values, c->latent_size / c->patch, c->width);
        st = safetensors_append(w, values, t->count);
    }
    free(values);
    return st;
}

/* ---- the file ---- */

status init_write(model *m, const char *out, const init_request *request)
{
    static char format[] = "format", pytorch[] = "pt";
    const tensor_note note = {format, pytorch};
    tensor_list list = {.type = request->type};
    safetensors_writer w = {0};
    float *piece = NULL;
    status st = OK;
    weights_watch(&m->dit_weights, take_down, &list);
    TRY(dit_check(m));
    TRY(list.st);
    TRY(memory_alloc(&piece, PIECE, sizeof *piece));
    TRY(safetensors_create(&w, out, list.items, list.n, &note, 1));
    for (size_t i = 0; i < list.n; i++) {
        const tensor *t = &list.items[i];
        if (request->progress) request->progress(request->progress_context, (int)i, (int)list.n);
        TRY(strcmp(t->name, NAME_POSITIONS) ? write_values(&w, piece, t, request->seed)
                                            : write_positions(&w, &m->dit, t));
    }
    TRY(safetensors_finish(&w));
    TRY(file_out_commit(&w.out, 1));
done:
    weights_watch(&m->dit_weights, NULL, NULL);
    safetensors_discard(&w);
    free(piece);
    list_free(&list);
    return st;
}
