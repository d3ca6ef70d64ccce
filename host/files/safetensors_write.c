/* Writing safetensors. See safetensors.h. */
#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "base/memory.h"
#include "files/json_build.h"
#include "files/safetensors.h"

enum { ALIGNMENT = 8, PIECE = 4096 };

static size_t elements(const tensor *t)
{
    size_t count = 1;
    for (int i = 0; i < t->n_dims; i++) count *= t->dims[i];
    return count;
}

static void put_entry(json_build *b, json_t *header, const tensor *t, size_t begin, size_t bytes)
{
    static const char *const names[] = {
        [DTYPE_F32] = "F32", [DTYPE_F16] = "F16", [DTYPE_BF16] = "BF16"};
    json_t *entry = json_put_object(b, header, t->name);
    json_put_text(b, entry, "dtype", names[t->type]);
    json_t *shape = json_put_array(b, entry, "shape");
    for (int i = 0; i < t->n_dims; i++) json_put_int(b, shape, NULL, (json_int_t)t->dims[i]);
    json_t *offsets = json_put_array(b, entry, "data_offsets");
    json_put_int(b, offsets, NULL, (json_int_t)begin);
    json_put_int(b, offsets, NULL, (json_int_t)(begin + bytes));
}

static status put_table(json_build *b, json_t *header, const tensor *table, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t bytes = elements(&table[i]) * dtype_bytes(table[i].type);
        if (table[i].type > DTYPE_BF16 || json_object_get(header, table[i].name))
            return fail(ERR_FORMAT, "tensor %.200s occurs twice, or its type cannot be written",
                        table[i].name);
        put_entry(b, header, &table[i], at, bytes);
        at += bytes;
    }
    return OK;
}

/* Builds the header. It is padded so that the data begins at a multiple of 8. */
static status header_text(text *out, const tensor *table, size_t n, const tensor_note *notes,
                          size_t n_notes)
{
    json_build b;
    json_t *header = json_build_begin(&b), *metadata = NULL;
    if (n_notes) metadata = json_put_object(&b, header, "__metadata__");
    for (size_t i = 0; i < n_notes; i++) json_put_text(&b, metadata, notes[i].key, notes[i].value);
    status st = put_table(&b, header, table, n);
    if (st == OK) st = json_build_text(&b, out, JSON_COMPACT);
    if (st == OK) st = text_append(out, "%*s", (int)(ALIGNMENT - out->length % ALIGNMENT), "");
    json_build_free(&b);
    return st;
}

/* Advances to the next tensor that has elements. */
static void advance(safetensors_writer *w)
{
    while (w->left == 0 && w->at < w->n)
        if (++w->at < w->n) w->left = elements(&w->table[w->at]);
}

status safetensors_create(safetensors_writer *w, const char *path, const tensor *table, size_t n,
                          const tensor_note *notes, size_t n_notes)
{
    *w = (safetensors_writer){0};
    status st = file_out_open(&w->out, path);
    return st == OK ? safetensors_begin(w, table, n, notes, n_notes) : st;
}

status safetensors_begin(safetensors_writer *w, const tensor *table, size_t n,
                         const tensor_note *notes, size_t n_notes)
{
    text header = {0};
    unsigned char length[8];
    status st = OK;
    w->table = table;
    w->n = n;
    w->at = 0;
    w->left = n ? elements(&table[0]) : 0;
    TRY(header_text(&header, table, n, notes, n_notes));
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)header.length >> 8 * i);
    fwrite(length, 1, sizeof length, w->out.stream);
    fwrite(header.data, 1, header.length, w->out.stream);
    TRY(file_out_state(&w->out));
    advance(w);
done:
    text_free(&header);
    if (st != OK) safetensors_discard(w);
    return st;
}

/* out = one value, little-endian. False if it is too large for the type. */
static bool put_element(unsigned char *out, dtype type, float value)
{
    uint32_t bits = type == DTYPE_F32   ? float_bits(value)
                    : type == DTYPE_F16 ? float_to_fp16(value)
                                        : float_to_bf16(value);
    for (size_t i = 0; i < dtype_bytes(type); i++) out[i] = (unsigned char)(bits >> 8 * i);
    if (type == DTYPE_F32 || !float_is_finite(value)) return true;
    return type == DTYPE_F16 ? (bits & 0x7c00) != 0x7c00 : (bits & 0x7f80) != 0x7f80;
}

status safetensors_append(safetensors_writer *w, const float *values, size_t count)
{
    unsigned char piece[PIECE * 4];
    if (count == 0) return OK;
    if (count > w->left)
        return fail(ERR_FORMAT, "%s: tensor %.200s: more values than its shape has", w->out.shown,
                    w->at < w->n ? w->table[w->at].name : "after the last");
    const tensor *t = &w->table[w->at];
    size_t size = dtype_bytes(t->type);
    for (size_t first = 0; first < count; first += PIECE) {
        size_t n = count - first < PIECE ? count - first : PIECE;
        for (size_t i = 0; i < n; i++)
            if (!put_element(piece + i * size, t->type, values[first + i]))
                return fail(ERR_FORMAT, "%s: tensor %.200s: %g is too large for 16 bits",
                            w->out.shown, t->name, (double)values[first + i]);
        fwrite(piece, size, n, w->out.stream);
    }
    w->left -= count;
    advance(w);
    return file_out_state(&w->out);
}

status safetensors_finish(safetensors_writer *w)
{
    if (w->at < w->n)
        return fail(ERR_FORMAT, "%s: tensor %.200s: fewer values than its shape has", w->out.shown,
                    w->table[w->at].name);
    return file_out_finish(&w->out);
}

void safetensors_discard(safetensors_writer *w)
{
    file_out_discard(&w->out);
}
