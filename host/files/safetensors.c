/* Safetensors. See safetensors.h.
 *
 * jansson parses the header. It rejects duplicate keys, bad UTF-8, NUL in strings, numbers beyond
 * 64 bits, nesting beyond 2048, and anything after the object. This file checks everything else
 * before it uses an offset, in O(n log n) for n tensors. */
#include "files/safetensors.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "files/json.h"

enum { LENGTH_BYTES = 8, HEADER_MAX = 100000000 };

/* A tensor's name in a message: long enough to recognise, short enough for the rest of the line. */
#define NAME "%.200s"

static const struct {
    const char *name;
    unsigned bits;
    dtype type;
} types[] = {
    {"F32", 32, DTYPE_F32},          {"F16", 16, DTYPE_F16},          {"BF16", 16, DTYPE_BF16},
    {"BOOL", 8, DTYPE_OTHER},        {"F4", 4, DTYPE_OTHER},          {"F6_E2M3", 6, DTYPE_OTHER},
    {"F6_E3M2", 6, DTYPE_OTHER},     {"U8", 8, DTYPE_OTHER},          {"I8", 8, DTYPE_OTHER},
    {"F8_E5M2", 8, DTYPE_OTHER},     {"F8_E4M3", 8, DTYPE_OTHER},     {"F8_E8M0", 8, DTYPE_OTHER},
    {"F8_E4M3FNUZ", 8, DTYPE_OTHER}, {"F8_E5M2FNUZ", 8, DTYPE_OTHER}, {"I16", 16, DTYPE_OTHER},
    {"U16", 16, DTYPE_OTHER},        {"I32", 32, DTYPE_OTHER},        {"U32", 32, DTYPE_OTHER},
    {"C64", 64, DTYPE_OTHER},        {"F64", 64, DTYPE_F64},          {"I64", 64, DTYPE_OTHER},
    {"U64", 64, DTYPE_OTHER},
};
enum { N_TYPES = sizeof types / sizeof *types };

/* The bytes of one tensor, for the search for overlaps and holes. */
typedef struct {
    size_t begin, end;
    const char *name;
} extent;

/* ---- one entry of the header ---- */

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a fraction or exponent";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    default: return "null";
    }
}

/* The entry must have exactly the three keys. */
static status check_keys(const tensor *t, json_t *entry, const char *path)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    for (int i = 0; i < 3; i++)
        if (!json_object_get(entry, keys[i]))
            return fail(ERR_FORMAT,
                        "%s: tensor " NAME " has no \"%s\", expected dtype, shape and "
                        "data_offsets",
                        path, t->name, keys[i]);
    for (void *i = json_object_iter(entry); i; i = json_object_iter_next(entry, i)) {
        const char *key = json_object_iter_key(i);
        bool known = false;
        for (int k = 0; k < 3; k++) known |= strcmp(key, keys[k]) == 0;
        if (!known)
            return fail(ERR_FORMAT,
                        "%s: tensor " NAME " has the key \"%.80s\", expected only "
                        "dtype, shape and data_offsets",
                        path, t->name, key);
    }
    return OK;
}

static status read_type(tensor *t, unsigned *bits, const json_t *value, const char *path)
{
    const char *name = json_string_value(value);
    if (!name)
        return fail(ERR_FORMAT, "%s: tensor " NAME ": dtype is %s, expected a string", path,
                    t->name, kind_of(value));
    for (int i = 0; i < N_TYPES; i++) {
        if (strcmp(name, types[i].name) != 0) continue;
        t->type = types[i].type;
        *bits = types[i].bits;
        snprintf(t->type_name, sizeof t->type_name, "%s", name);
        return OK;
    }
    return fail(ERR_FORMAT,
                "%s: tensor " NAME ": dtype is \"%.40s\", expected one of the format's "
                "such as F32, F16 or BF16",
                path, t->name, name);
}

/* An integer >= 0 that fits size_t. what: "shape" or "data_offsets". */
static status read_unsigned(size_t *out, const tensor *t, const json_t *value, const char *what,
                            const char *path)
{
    if (!json_is_integer(value))
        return fail(ERR_FORMAT, "%s: tensor " NAME ": %s holds %s, expected integers", path,
                    t->name, what, kind_of(value));
    json_int_t number = json_integer_value(value);
    if (number < 0 || (uintmax_t)number > SIZE_MAX)
        return fail(ERR_FORMAT,
                    "%s: tensor " NAME ": %s holds %" JSON_INTEGER_FORMAT
                    ", expected integers from 0",
                    path, t->name, what, number);
    *out = (size_t)number;
    return OK;
}

/* Fills n_dims, dims, count. *bytes = the size of the data. */
static status read_shape(tensor *t, size_t *bytes, unsigned bits, const json_t *value,
                         const char *path)
{
    status st;
    char shape[200];
    size_t n = json_array_size(value), total;
    if (!json_is_array(value))
        return fail(ERR_FORMAT, "%s: tensor " NAME ": shape is %s, expected an array", path,
                    t->name, kind_of(value));
    if (n > TENSOR_MAX_DIMS)
        return fail(ERR_FORMAT, "%s: tensor " NAME " has %zu dimensions, expected at most %d", path,
                    t->name, n, TENSOR_MAX_DIMS);
    bool fits = true;
    t->count = 1;
    for (size_t i = 0; i < n; i++) {
        st = read_unsigned(&t->dims[i], t, json_array_get(value, i), "shape", path);
        if (st != OK) return st;
        t->n_dims = (int)i + 1;
        fits = fits && size_mul(t->count, t->dims[i], &t->count);
    }
    text_shape(shape, sizeof shape, t->dims, t->n_dims);
    if (!fits || !size_mul(t->count, bits, &total))
        return fail(ERR_FORMAT, "%s: tensor " NAME " is %s %s, more than memory can address", path,
                    t->name, t->type_name, shape);
    if (total % 8 != 0)
        return fail(ERR_FORMAT, "%s: tensor " NAME " is %s %s, %zu bits, expected whole bytes",
                    path, t->name, t->type_name, shape, total);
    *bytes = total / 8;
    return OK;
}

/* data_offsets must be two offsets inside the data, in order; their distance must equal the size
 * that type and shape give. */
static status read_offsets(extent *place, const tensor *t, size_t bytes, const json_t *value,
                           size_t data_size, const char *path)
{
    status st;
    char shape[200];
    if (!json_is_array(value) || json_array_size(value) != 2)
        return fail(ERR_FORMAT,
                    "%s: tensor " NAME ": data_offsets is %s of %zu, expected an array "
                    "of 2 integers",
                    path, t->name, kind_of(value), json_array_size(value));
    st = read_unsigned(&place->begin, t, json_array_get(value, 0), "data_offsets", path);
    if (st != OK) return st;
    st = read_unsigned(&place->end, t, json_array_get(value, 1), "data_offsets", path);
    if (st != OK) return st;
    if (place->begin > place->end)
        return fail(ERR_FORMAT, "%s: tensor " NAME ": data_offsets [%zu,%zu] run backwards", path,
                    t->name, place->begin, place->end);
    if (place->end > data_size)
        return fail(ERR_FORMAT,
                    "%s: tensor " NAME ": data_offsets [%zu,%zu] exceed the file, "
                    "expected at most %zu; cut short?",
                    path, t->name, place->begin, place->end, data_size);
    if (place->end - place->begin != bytes) {
        text_shape(shape, sizeof shape, t->dims, t->n_dims);
        return fail(ERR_FORMAT,
                    "%s: tensor " NAME " has %zu bytes (data_offsets [%zu,%zu]), "
                    "expected %zu for %s %s",
                    path, t->name, place->end - place->begin, place->begin, place->end, bytes,
                    t->type_name, shape);
    }
    return OK;
}

static status read_entry(tensor *t, extent *place, const char *name, json_t *entry,
                         const unsigned char *data, size_t data_size, const char *path)
{
    status st;
    unsigned bits = 0;
    size_t bytes = 0;
    st = memory_strdup(&t->name, name);
    if (st != OK) return st;
    if (!json_is_object(entry))
        return fail(ERR_FORMAT, "%s: tensor " NAME " is %s, expected an object", path, name,
                    kind_of(entry));
    st = check_keys(t, entry, path);
    if (st != OK) return st;
    st = read_type(t, &bits, json_object_get(entry, "dtype"), path);
    if (st != OK) return st;
    st = read_shape(t, &bytes, bits, json_object_get(entry, "shape"), path);
    if (st != OK) return st;
    st = read_offsets(place, t, bytes, json_object_get(entry, "data_offsets"), data_size, path);
    if (st != OK) return st;
    t->data = data + place->begin;
    place->name = t->name;
    return OK;
}

/* ---- the whole header ---- */

static status read_metadata(tensor_file *file, json_t *metadata, const char *path)
{
    if (!json_is_object(metadata))
        return fail(ERR_FORMAT, "%s: __metadata__ is %s, expected an object", path,
                    kind_of(metadata));
    status st = memory_alloc(&file->notes, json_object_size(metadata), sizeof *file->notes);
    for (void *i = json_object_iter(metadata); i && st == OK;
         i = json_object_iter_next(metadata, i)) {
        const char *key = json_object_iter_key(i);
        const json_t *value = json_object_iter_value(i);
        if (!json_is_string(value))
            return fail(ERR_FORMAT, "%s: __metadata__: \"%.80s\" is %s, expected a string", path,
                        key, kind_of(value));
        tensor_note *note = &file->notes[file->n_notes++];
        st = memory_strdup(&note->key, key);
        if (st == OK) st = memory_strdup(&note->value, json_string_value(value));
    }
    return st;
}

static int extent_by_place(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The sorted extents must tile [0, data_size). Empty tensors may lie anywhere between. */
static status check_extents(extent *places, size_t n, size_t data_size, const char *path)
{
    if (n) qsort(places, n, sizeof *places, extent_by_place);
    size_t end = 0;
    for (size_t i = 0; i < n; i++) {
        const extent *p = &places[i];
        if (p->begin < end)
            return fail(ERR_FORMAT,
                        "%s: tensor " NAME " begins at byte %zu, inside " NAME
                        ", expected byte %zu",
                        path, p->name, p->begin, places[i - 1].name, end);
        if (p->begin > end)
            return fail(ERR_FORMAT,
                        "%s: tensor " NAME " begins at byte %zu, expected byte %zu: "
                        "a hole",
                        path, p->name, p->begin, end);
        end = p->end;
    }
    if (end != data_size)
        return fail(ERR_FORMAT, "%s: %zu bytes are left over after the last tensor, expected none",
                    path, data_size - end);
    return OK;
}

static status read_tensors(tensor_file *file, json_t *header, const unsigned char *data,
                           size_t data_size, const char *path)
{
    status st = OK;
    extent *places = NULL;
    size_t n = json_object_size(header);
    if (n > TENSORS_MAX + 1)
        return fail(ERR_FORMAT, "%s: holds %zu tensors, expected at most %d", path, n, TENSORS_MAX);
    TRY(memory_alloc(&file->tensors, n, sizeof *file->tensors));
    TRY(memory_alloc(&places, n, sizeof *places));
    for (void *i = json_object_iter(header); i; i = json_object_iter_next(header, i)) {
        const char *name = json_object_iter_key(i);
        json_t *entry = json_object_iter_value(i);
        if (strcmp(name, "__metadata__") == 0) {
            TRY(read_metadata(file, entry, path));
            continue;
        }
        size_t at = file->n_tensors++;
        TRY(read_entry(&file->tensors[at], &places[at], name, entry, data, data_size, path));
    }
    TRY(check_extents(places, file->n_tensors, data_size, path));
    TRY(tensor_file_sort(file));
done:
    free(places);
    return st;
}

/* *length = the header's length, checked against the size of the file. */
static status read_length(size_t *length, const file_map *map, const char *path)
{
    static const char pointer[] = "version https://git-lfs";
    uint64_t n = 0;
    if (map->size < LENGTH_BYTES)
        return fail(ERR_FORMAT, "%s: is %zu bytes long, expected a safetensors file", path,
                    map->size);
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) n = n << 8 | map->data[i];
    if (n > HEADER_MAX) {
        fail(ERR_FORMAT,
             "%s: header length is %" PRIu64 ", expected at most %d; is it a "
             "safetensors file?",
             path, n, HEADER_MAX);
        if (map->size >= sizeof pointer && memcmp(map->data, pointer, sizeof pointer - 1) == 0)
            fail_hint("this is a git-lfs pointer, not the file itself: run git lfs pull");
        return ERR_FORMAT;
    }
    if (n > map->size - LENGTH_BYTES)
        return fail(ERR_FORMAT,
                    "%s: header length is %" PRIu64 ", expected at most %zu in a file "
                    "of %zu bytes; cut short?",
                    path, n, map->size - LENGTH_BYTES, map->size);
    if (n < 2 || map->data[LENGTH_BYTES] != '{')
        return fail(ERR_FORMAT, "%s: the header does not begin with '{'; is it a safetensors file?",
                    path);
    *length = (size_t)n;
    return OK;
}

status safetensors_read(tensor_file *file, const file_map *map, const char *path)
{
    status st = OK;
    json_t *header = NULL;
    size_t length = 0;
    TRY(read_length(&length, map, path));
    const unsigned char *json = map->data + LENGTH_BYTES;
    TRY(json_read(&header, (const char *)json, length, path, "header"));
    TRY(read_tensors(file, header, json + length, map->size - LENGTH_BYTES - length, path));
done:
    json_decref(header);
    return st;
}

status safetensors_open(tensor_file *file, const char *path)
{
    *file = (tensor_file){0};
    status st = memory_strdup(&file->path, path);
    if (st == OK) st = tensor_file_map(file, path);
    if (st == OK) st = safetensors_read(file, &file->maps[0], path);
    if (st != OK) tensor_file_close(file);
    return st;
}
