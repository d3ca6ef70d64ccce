/* Tensors by name. See weights.h. */
#include "checkpoint/weights.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/text.h"
#include "files/checkpoint.h"

/* Floats that are converted at a time. */
enum { PIECE = 1 << 17 };

status weights_open(weights *w, const char *path, const state_kind *kind, const char *wanted)
{
    *w = (weights){0};
    status st = checkpoint_open(&w->file, path);
    if (st == OK) st = states_take(&w->taken, &w->file, kind, wanted);
    if (st == OK) st = memory_alloc(&w->used, w->file.n_tensors, sizeof *w->used);
    if (st != OK) weights_close(w);
    return st;
}

status weights_generate(weights *w, const char *what)
{
    *w = (weights){.generated = true};
    return memory_strdup(&w->file.path, what);
}

void weights_watch(weights *w, void (*watch)(void *context, const tensor *t), void *context)
{
    w->watch = watch;
    w->watch_context = context;
}

void weights_close(weights *w)
{
    tensor_file_close(&w->file);
    state_taken_free(&w->taken);
    free(w->used);
    *w = (weights){0};
}

status weights_rename(weights *w, bool (*rename)(char *out, const char *name, int n), int n)
{
    char name[NAME_BYTES];
    for (size_t i = 0; i < w->file.n_tensors; i++) {
        tensor *t = &w->file.tensors[i];
        char *copy;
        if (!rename(name, t->name, n)) continue;
        status st = memory_strdup(&copy, name);
        if (st != OK) return st;
        free(t->name);
        t->name = copy;
    }
    return tensor_file_sort(&w->file);
}

bool weights_has(const weights *w, const char *name)
{
    return tensor_find(&w->file, name) != NULL;
}

static bool shape_fits(const tensor *t, const shape *expected)
{
    int n = t->n_dims > expected->n ? t->n_dims : expected->n;
    for (int i = 0; i < n; i++) {
        size_t found = i < t->n_dims ? t->dims[i] : 1;
        size_t wanted = i < expected->n ? expected->dims[i] : 1;
        if (found != wanted) return false;
    }
    return true;
}

static size_t shape_count(const shape *s)
{
    size_t count = 1;
    for (int i = 0; i < s->n; i++) count *= s->dims[i];
    return count;
}

status weights_find(weights *w, const tensor **t, const char *name, shape expected)
{
    const char *path = w->file.path;
    char found[128], wanted[128];
    if (w->generated) {
        w->made = (tensor){.name = (char *)name,
                           .type = DTYPE_F32,
                           .n_dims = expected.n,
                           .count = shape_count(&expected)};
        memcpy(w->made.dims, expected.dims, sizeof expected.dims);
        *t = &w->made;
        if (w->watch) w->watch(w->watch_context, *t);
        return OK;
    }
    *t = tensor_find(&w->file, name);
    if (!*t) return fail(ERR_FORMAT, "%s: tensor %s is missing", path, name);
    text_shape(wanted, sizeof wanted, expected.dims, expected.n);
    text_shape(found, sizeof found, (*t)->dims, (*t)->n_dims);
    if (!shape_fits(*t, &expected))
        return fail(ERR_FORMAT, "%s: tensor %s is %s, expected %s", path, name, found, wanted);
    if ((*t)->type == DTYPE_OTHER)
        return fail(ERR_FORMAT, "%s: tensor %s is of type %s, expected F32, F16, BF16 or F64", path,
                    name, (*t)->type_name);
    w->used[*t - w->file.tensors] = true;
    return OK;
}

/* Uniform values of variance 1 / inputs: lowbias32 (Wellons 2018) of seed and index. */
static void generate(float *restrict out, const tensor *t, size_t first, size_t count)
{
    uint32_t seed = 2166136261u; /* FNV-1a hash of the name */
    double inputs = 1;
    for (const char *c = t->name; *c; c++) seed = (seed ^ (unsigned char)*c) * 16777619u;
    for (int i = 1; i < t->n_dims; i++) inputs *= (double)t->dims[i];
    if (t->n_dims == 1) inputs = 1024;
    const char *suffix = strrchr(t->name, '.');
    float offset = t->n_dims == 1 && suffix && !strcmp(suffix, ".weight") ? 1.0f : 0.0f;
    float scale = (float)(sqrt(3.0 / inputs) / 2147483648.0);
    for (size_t i = 0; i < count; i++) {
        uint32_t x = (uint32_t)(first + i) + seed;
        x = (x ^ x >> 16) * 0x7feb352du;
        x = (x ^ x >> 15) * 0x846ca68bu;
        x ^= x >> 16;
        out[i] = (float)(int32_t)x * scale + offset;
    }
}

status weights_read_part(const weights *w, float *out, const tensor *t, size_t first, size_t count)
{
    if (w->generated) {
        generate(out, t, first, count);
        return OK;
    }
    tensor_to_float(out, t, first, count);
    uint32_t wrong = 0;
    for (size_t i = 0; i < count; i++) wrong |= !float_is_finite(out[i]);
    if (!wrong) return OK;
    size_t i = 0;
    while (float_is_finite(out[i])) i++;
    return fail(ERR_FORMAT, "%s: tensor %s: element %zu is %s, expected a finite number",
                w->file.path, t->name, first + i,
                (float_bits(out[i]) & 0x7fffff) ? "NaN" : "infinite");
}

typedef struct {
    const weights *w;
    const tensor *t;
    float *out;
} reading;

static status read_piece(void *context, size_t i, int thread)
{
    const reading *r = context;
    size_t first = i * PIECE, left = r->t->count - first;
    (void)thread;
    return weights_read_part(r->w, r->out + first, r->t, first, left < PIECE ? left : PIECE);
}

status weights_read(weights *w, float *out, const char *name, shape expected)
{
    const tensor *t;
    status st = weights_find(w, &t, name, expected);
    if (st == OK)
        st = parallel_for((t->count + PIECE - 1) / PIECE, read_piece, &(reading){w, t, out});
    if (st == OK) weights_forget(w, t);
    return st;
}

void weights_forget(const weights *w, const tensor *t)
{
    if (!w->generated) tensor_forget(&w->file, t);
}

status weights_upload_part(weights *w, device *d, buf b, size_t at, const char *name,
                           shape expected)
{
    const tensor *t;
    float *piece = NULL;
    status st = OK;
    TRY(weights_find(w, &t, name, expected));
    assert(at + t->count <= b.count);
    if (d->dry) goto done;
    TRY(memory_alloc(&piece, t->count < PIECE ? t->count : PIECE, sizeof *piece));
    for (size_t first = 0; first < t->count; first += PIECE) {
        size_t n = t->count - first < PIECE ? t->count - first : PIECE;
        TRY(weights_read_part(w, piece, t, first, n));
        TRY(buffer_upload(d, b, at + first, piece, n));
    }
    weights_forget(w, t);
done:
    free(piece);
    return st;
}

status weights_upload(weights *w, device *d, buf *b, const char *name, shape expected)
{
    const tensor *t;
    status st = weights_find(w, &t, name, expected);
    if (st == OK) st = buffer_create(d, b, shape_count(&expected), name);
    if (st == OK) st = weights_upload_part(w, d, *b, 0, name, expected);
    return st;
}

bool weights_equal(const weights *w, const char *a, const char *b)
{
    if (w->generated) return true; /* generated embedders are the same in all blocks */
    const tensor *ta = tensor_find(&w->file, a), *tb = tensor_find(&w->file, b);
    if (!ta || !tb || ta->type != tb->type || ta->type == DTYPE_OTHER || ta->count != tb->count)
        return false;
    bool equal = true;
    if (ta->strided || tb->strided) {
        float x[256], y[256];
        const size_t most = sizeof x / sizeof *x;
        for (size_t at = 0; at < ta->count && equal; at += most) {
            size_t n = ta->count - at < most ? ta->count - at : most;
            tensor_to_float(x, ta, at, n);
            tensor_to_float(y, tb, at, n);
            equal = memcmp(x, y, n * sizeof *x) == 0;
        }
    } else {
        size_t bytes = tensor_bytes(ta);
        equal = bytes == 0 || memcmp(ta->data, tb->data, bytes) == 0;
    }
    weights_forget(w, tb);
    return equal;
}

void weights_ignore(weights *w, const char *prefix)
{
    for (size_t i = 0; i < w->file.n_tensors; i++)
        if (strncmp(w->file.tensors[i].name, prefix, strlen(prefix)) == 0) w->used[i] = true;
}

const char *weights_unused(const weights *w, size_t *count)
{
    const char *first = NULL;
    *count = 0;
    for (size_t i = 0; i < w->file.n_tensors; i++) {
        if (w->used[i]) continue;
        if (!first) first = w->file.tensors[i].name;
        ++*count;
    }
    return first;
}
