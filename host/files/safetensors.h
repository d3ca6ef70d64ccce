/* One safetensors file, checked whole before any of it is believed.
 *
 * Format: u64 little-endian header length, JSON header, data. Every rule of the format is checked
 * on open: header length, duplicate names, types, shapes, products that overflow, offsets,
 * overlaps, holes, bytes left over. Data may be unaligned. */
#ifndef DITCL_FILES_SAFETENSORS_H
#define DITCL_FILES_SAFETENSORS_H

#include "files/tensors.h"

/* Opens and checks the file. ERR_FILE or ERR_FORMAT; messages begin with the path. Closed with
 * tensor_file_close. */
status safetensors_open(tensor_file *file, const char *path);

/* The tensors of a file that is mapped already, map being the file's last; file holds no others. On
 * failure the caller closes. path: for messages. */
status safetensors_read(tensor_file *file, const file_map *map, const char *path);

/* A file being written: first the table, then every tensor's values in the table's order, in pieces
 * of any size. It gets its final name with file_out_commit(&w->out, 1), or together with others. */
typedef struct {
    file_out out;
    const tensor *table; /* the caller's: name, type, n_dims and dims; no DTYPE_OTHER or F64 */
    size_t n, at;        /* tensors; the one being written */
    size_t left;         /* elements that it still lacks */
} safetensors_writer;

/* notes: n_notes strings for __metadata__, as UTF-8; may be null. Accepts what safetensors_open
 * would, and checks before any work that path can be written. safetensors_begin: w->out is open
 * already, and discarded on failure. */
status safetensors_begin(safetensors_writer *w, const tensor *table, size_t n,
                         const tensor_note *notes, size_t n_notes);
status safetensors_create(safetensors_writer *w, const char *path, const tensor *table, size_t n,
                          const tensor_note *notes, size_t n_notes);

/* The next count elements, rounded to their tensor's type; one that is finite and would become
 * infinite is an error, and so are more than it has. All of one tensor: a call does not cross into
 * the next. */
status safetensors_append(safetensors_writer *w, const float *values, size_t count);

/* After the last value: closes the file. ERR_FILE when it could not be written, ERR_FORMAT when
 * values are missing. */
status safetensors_finish(safetensors_writer *w);

/* Removes what was not committed. Accepts zero and twice. */
void safetensors_discard(safetensors_writer *w);

#endif
