/* numpy .npy files: versions 1 to 3, C order; '<f4', '<f2' and '<f8' are read, '<f4' is written. */
#ifndef DITCL_FILES_NPY_H
#define DITCL_FILES_NPY_H

#include <stddef.h>

#include "base/file.h"
#include "base/status.h"

enum { NPY_MAX_DIMS = 8 };

typedef struct {
    int n_dims;
    size_t dims[NPY_MAX_DIMS];
    size_t count;
    float *data; /* converted to float32 */
} npy;

/* Reads and checks the file: magic, version, header grammar, type, order, product of the shape,
 * exact length. Refuses values that are not finite or exceed float32, and names their index. */
status npy_read(npy *array, const char *path);
/* The same, but calls `judge` with type, shape and count before the values are read. judge may
 * refuse the file. */
typedef status npy_judge(const npy *array, const char *path, const void *context);
status npy_read_judged(npy *array, const char *path, npy_judge *judge, const void *context);
void npy_free(npy *array);

/* Writes a float32 array, in version 1, to an open output. */
status npy_write(file_out *out, const float *data, int n_dims, const size_t *dims);

#endif
