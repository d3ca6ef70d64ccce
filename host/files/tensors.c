/* Tensors of files. See tensors.h. */
#include "files/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "base/memory.h"

status tensor_file_map(tensor_file *file, const char *path)
{
    file_map map, *more;
    status st = file_map_open(&map, path);
    if (st != OK) return st;
    st = memory_alloc(&more, file->n_maps + 1, sizeof *more);
    if (st != OK) {
        file_map_close(&map);
        return st;
    }
    if (file->n_maps) memcpy(more, file->maps, file->n_maps * sizeof *more);
    more[file->n_maps++] = map;
    free(file->maps);
    file->maps = more;
    return OK;
}

static int tensor_by_name(const void *a, const void *b)
{
    const tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

status tensor_file_sort(tensor_file *file)
{
    if (file->n_tensors)
        qsort(file->tensors, file->n_tensors, sizeof *file->tensors, tensor_by_name);
    for (size_t i = 1; i < file->n_tensors; i++)
        if (strcmp(file->tensors[i - 1].name, file->tensors[i].name) == 0)
            return fail(ERR_FORMAT, "%s: tensor %.200s occurs twice", file->path,
                        file->tensors[i].name);
    return OK;
}

void tensor_file_close(tensor_file *file)
{
    for (size_t i = 0; i < file->n_tensors; i++) free(file->tensors[i].name);
    for (size_t i = 0; i < file->n_notes; i++) {
        free(file->notes[i].key);
        free(file->notes[i].value);
    }
    for (size_t i = 0; i < file->n_keys; i++) free(file->keys[i].path);
    for (size_t i = 0; i < file->n_maps; i++) file_map_close(&file->maps[i]);
    free(file->keys);
    free(file->tensors);
    free(file->notes);
    free(file->maps);
    free(file->path);
    *file = (tensor_file){0};
}

const tensor *tensor_find(const tensor_file *file, const char *name)
{
    size_t low = 0, high = file->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, file->tensors[middle].name);
        if (order == 0) return &file->tensors[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *tensor_file_note(const tensor_file *file, const char *key)
{
    for (size_t i = 0; i < file->n_notes; i++)
        if (strcmp(file->notes[i].key, key) == 0) return file->notes[i].value;
    return NULL;
}

status tensor_file_add_note(tensor_file *file, const char *key, const char *value)
{
    size_t capacity = file->n_notes;
    status st = memory_grow(&file->notes, &capacity, file->n_notes + 1, sizeof *file->notes);
    if (st != OK) return st;
    tensor_note *note = &file->notes[file->n_notes++];
    *note = (tensor_note){0};
    st = memory_strdup(&note->key, key);
    return st == OK ? memory_strdup(&note->value, value) : st;
}

void tensor_forget(const tensor_file *file, const tensor *t)
{
    if (t->type == DTYPE_OTHER) return;
    for (size_t i = 0; i < file->n_maps; i++) {
        const file_map *map = &file->maps[i];
        if (map->data && t->data >= map->data && t->data < map->data + map->size)
            file_map_forget(map, t->data, tensor_bytes(t));
    }
}

size_t dtype_bytes(dtype type)
{
    return type == DTYPE_F64 ? 8 : type == DTYPE_F32 ? 4 : 2;
}

size_t tensor_bytes(const tensor *t)
{
    size_t last = 0;
    if (!t->strided || t->count == 0) return t->count * dtype_bytes(t->type);
    for (int i = 0; i < t->n_dims; i++) last += (t->dims[i] - 1) * t->strides[i];
    return (last + 1) * dtype_bytes(t->type);
}

static inline uint32_t load_32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float double_to_float(const unsigned char *p)
{
    uint64_t bits = (uint64_t)load_32(p + 4) << 32 | load_32(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return (float)value;
}

/* Each type has its own loop, with 16- and 32-bit loads, so that compilers vectorise it. */
static void convert(float *restrict out, dtype type, const unsigned char *p, size_t count)
{
    switch (type) {
    case DTYPE_F32:
        for (size_t i = 0; i < count; i++) out[i] = float_from_bits(load_32(p + 4 * i));
        break;
    case DTYPE_F16:
        for (size_t i = 0; i < count; i++)
            out[i] = fp16_to_float((uint16_t)(p[2 * i] | p[2 * i + 1] << 8));
        break;
    case DTYPE_BF16:
        for (size_t i = 0; i < count; i++)
            out[i] = bf16_to_float((uint16_t)(p[2 * i] | p[2 * i + 1] << 8));
        break;
    default:
        for (size_t i = 0; i < count; i++) out[i] = double_to_float(p + 8 * i);
    }
}

void tensor_to_float(float *out, const tensor *t, size_t first, size_t count)
{
    size_t bytes = dtype_bytes(t->type), at[TENSOR_MAX_DIMS], place = 0;
    if (!t->strided) {
        convert(out, t->type, t->data + bytes * first, count);
        return;
    }
    for (int i = t->n_dims - 1; i >= 0; i--) { /* coordinates of the first element */
        at[i] = first % t->dims[i];
        first /= t->dims[i];
        place += at[i] * t->strides[i];
    }
    for (size_t k = 0; k < count; k++) {
        convert(out + k, t->type, t->data + bytes * place, 1);
        for (int i = t->n_dims - 1; i >= 0; i--) {
            place += t->strides[i];
            if (++at[i] < t->dims[i]) break;
            place -= at[i] * t->strides[i];
            at[i] = 0;
        }
    }
}
