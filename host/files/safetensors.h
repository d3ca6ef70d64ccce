/* One safetensors file, checked whole before any of it is believed.
 *
 * Format: u64 little-endian header length, JSON header, data. Every rule of the format is checked
 * on open: header length, duplicate names, types, shapes, products that overflow, offsets,
 * overlaps, holes, bytes left over. Data may be unaligned. */
#ifndef DITCL_FILES_SAFETENSORS_H
#define DITCL_FILES_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

typedef enum { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_OTHER } dtype;

enum { TENSOR_MAX_DIMS = 8 };

typedef struct {
    char *name;
    dtype type;
    char type_name[12]; /* as the header spells it, for messages */
    int n_dims;
    size_t dims[TENSOR_MAX_DIMS];
    size_t count;              /* elements */
    const unsigned char *data; /* inside the mapping; unaligned */
} tensor;

typedef struct {
    char *path;
    file_map map;
    tensor *tensors; /* sorted by name */
    size_t n_tensors;
} safetensors;

/* Opens and checks the file. ERR_FILE or ERR_FORMAT; messages begin with the path. */
status safetensors_open(safetensors *file, const char *path);
void safetensors_close(safetensors *file);

/* Null when there is none. */
const tensor *safetensors_find(const safetensors *file, const char *name);

/* Of its elements; the type must not be DTYPE_OTHER. */
size_t tensor_bytes(const tensor *t);

/* "[3456,1152]" into out. */
void tensor_shape_text(char *out, size_t size, const tensor *t);

/* out[0..count) = elements first..first+count of t as float32; type must not be DTYPE_OTHER. */
void tensor_to_float(float *out, const tensor *t, size_t first, size_t count);

#endif
