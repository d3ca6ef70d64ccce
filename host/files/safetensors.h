/* One safetensors file. All of its structure is checked when it is opened.
 *
 * Format: u64 little-endian header length, JSON header, data. The checks find wrong header lengths,
 * types, shapes and offsets, duplicate names, products that overflow, overlaps, holes, and bytes
 * left over. Data may be unaligned. */
#ifndef DITCL_FILES_SAFETENSORS_H
#define DITCL_FILES_SAFETENSORS_H

#include "files/tensors.h"

/* Opens and checks the file. ERR_FILE or ERR_FORMAT; messages begin with the path. Close with
 * tensor_file_close. */
status safetensors_open(tensor_file *file, const char *path);

/* Reads a file that is mapped already as the last mapping of `file`, which has no tensors yet. On
 * failure the caller closes it. path: for messages. */
status safetensors_read(tensor_file *file, const file_map *map, const char *path);

/* A file being written: first the table, then every tensor's values in the order of the table, in
 * pieces of any size. file_out_commit(&w->out, 1) gives it its final name; it can be committed with
 * other outputs. */
typedef struct {
    file_out out;
    /* owned by the caller: name, type, n_dims and dims; not DTYPE_OTHER or F64 */
    const tensor *table;
    size_t n, at; /* number of tensors; index of the tensor being written */
    size_t left;  /* elements of that tensor still to write */
} safetensors_writer;

/* notes: n_notes strings for __metadata__, as UTF-8; may be null. Accepts the tables that
 * safetensors_open would accept. Checks before any work that path can be written.
 * safetensors_begin: w->out is open already; it is discarded on failure. */
status safetensors_begin(safetensors_writer *w, const tensor *table, size_t n,
                         const tensor_note *notes, size_t n_notes);
status safetensors_create(safetensors_writer *w, const char *path, const tensor *table, size_t n,
                          const tensor_note *notes, size_t n_notes);

/* Writes the next `count` elements, rounded to their tensor's type. A call must not go beyond the
 * end of its tensor. A finite value that would become infinite is an error. */
status safetensors_append(safetensors_writer *w, const float *values, size_t count);

/* Closes the file after the last value. ERR_FILE if it could not be written, ERR_FORMAT if values
 * are missing. */
status safetensors_finish(safetensors_writer *w);

/* Removes the file if it was not committed. Accepts a zero struct and a second call. */
void safetensors_discard(safetensors_writer *w);

#endif
