/* Tensors of a file, by name. Finds them, checks them, converts them to float32 and uploads them.
 * Reports at the end which tensors were not used. */
#ifndef DITCL_CHECKPOINT_WEIGHTS_H
#define DITCL_CHECKPOINT_WEIGHTS_H

#include <stdbool.h>

#include "checkpoint/names.h"
#include "checkpoint/states.h"
#include "device/buffer.h"
#include "files/tensors.h"

typedef struct {
    tensor_file file;
    state_taken taken;
    bool *used;                                    /* per tensor */
    bool generated;                                /* there is no file: see weights_generate */
    tensor made;                                   /* the last generated tensor */
    void (*watch)(void *context, const tensor *t); /* see weights_watch */
    void *watch_context;
} weights;

/* The expected shape of a tensor. Trailing dimensions of 1 may be present or missing (a 1x1
 * convolution is a matrix). */
typedef struct {
    int n;
    size_t dims[4];
} shape;

#define SHAPE(...) ((shape){sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t), {__VA_ARGS__}})

/* Opens one network's weights in any file that checkpoint_open reads. wanted: see states_take. */
status weights_open(weights *w, const char *path, const state_kind *kind, const char *wanted);
/* Weights without a file, for benchmarks. Every tensor exists in the requested shape. Its values
 * depend only on its name and their index. Their variance is 1 / (inputs of an output); weights
 * that are a vector are near 1. Nothing is stored. what: for messages. */
status weights_generate(weights *w, const char *what);
void weights_close(weights *w);

/* Calls watch for each generated tensor that is requested, until watch is null. */
void weights_watch(weights *w, void (*watch)(void *context, const tensor *t), void *context);

/* Renames tensors for which rename returns true; out has NAME_BYTES. Call it before any other
 * use. */
status weights_rename(weights *w, bool (*rename)(char *out, const char *name, int n), int n);

/* True if the file has the tensor; false for generated weights. Does not mark it as used. */
bool weights_has(const weights *w, const char *name);

/* *t = the tensor, after its shape and type were checked; marks it as used. A generated tensor is
 * valid until the next call. */
status weights_find(weights *w, const tensor **t, const char *name, shape expected);

/* out[0..count) = the whole tensor as float32. A value that is not finite is an error that names
 * it. */
status weights_read(weights *w, float *out, const char *name, shape expected);

/* out[0..count) = elements first..first+count of a tensor from weights_find, with the same check.
 * Several threads may call it. */
status weights_read_part(const weights *w, float *out, const tensor *t, size_t first, size_t count);

/* The tensor has been read: releases its pages of the file. */
void weights_forget(const weights *w, const tensor *t);

/* *b = a new buffer with the tensor. A dry run finds and checks the tensor, but does not read it.
 */
status weights_upload(weights *w, device *d, buf *b, const char *name, shape expected);

/* Writes the tensor into b from element `at` on. */
status weights_upload_part(weights *w, device *d, buf b, size_t at, const char *name,
                           shape expected);

/* True if both tensors have the same values, in whatever order the file stores them. */
bool weights_equal(const weights *w, const char *a, const char *b);

/* Marks every tensor whose name begins with prefix as used. */
void weights_ignore(weights *w, const char *prefix);

/* The first unused tensor, or null. *count = the number of unused tensors. */
const char *weights_unused(const weights *w, size_t *count);

#endif
