/* Tensors of a file, by name: found, checked, converted to float32, uploaded. Tells at
 * the end which tensors nobody asked for. */
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
    tensor made;                                   /* the generated tensor that was found last */
    void (*watch)(void *context, const tensor *t); /* see weights_watch */
    void *watch_context;
} weights;

/* The shape a tensor must have; trailing sizes of 1 may be there or not (a 1x1 convolution is a
 * matrix). */
typedef struct {
    int n;
    size_t dims[4];
} shape;

#define SHAPE(...) ((shape){sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t), {__VA_ARGS__}})

/* Opens one network's weights in any file that checkpoint_open reads. wanted: see states_take. */
status weights_open(weights *w, const char *path, const state_kind *kind, const char *wanted);
/* Weights without a file, for measurements: any tensor is there, in the shape that is asked for,
 * with values that depend on its name and their place in it alone. Their variance is one over the
 * number of inputs of an output; a vector of weights is near one. Nothing is kept. what: for
 * messages. */
status weights_generate(weights *w, const char *what);
void weights_close(weights *w);

/* Tells watch of each generated tensor that is asked for, until it is null. */
void weights_watch(weights *w, void (*watch)(void *context, const tensor *t), void *context);

/* Gives tensors other names, out having NAME_BYTES, where rename says so. Before any use. */
status weights_rename(weights *w, bool (*rename)(char *out, const char *name, int n), int n);

/* Whether the file holds it; never where weights are generated. Marks nothing. */
bool weights_has(const weights *w, const char *name);

/* *t = the tensor, its shape and type checked; marks it used. A generated one is valid until the
 * next. */
status weights_find(weights *w, const tensor **t, const char *name, shape expected);

/* out[0..count) = the whole tensor as float32; a value that is not finite is an error naming it. */
status weights_read(weights *w, float *out, const char *name, shape expected);

/* out[0..count) = elements first..first+count of a tensor that weights_find gave; likewise. Several
 * threads may call it. */
status weights_read_part(const weights *w, float *out, const tensor *t, size_t first, size_t count);

/* The tensor has been read: its file's pages need not stay in this process's memory. */
void weights_forget(const weights *w, const tensor *t);

/* *b = a new buffer with the tensor. d null: the tensor is only looked for and checked. */
status weights_upload(weights *w, device *d, buf *b, const char *name, shape expected);

/* Writes the tensor into b from element `at` on. */
status weights_upload_part(weights *w, device *d, buf b, size_t at, const char *name,
                           shape expected);

/* Both tensors hold the same values, in whatever order they lie in the file. */
bool weights_equal(const weights *w, const char *a, const char *b);

/* Marks every tensor whose name begins with prefix as used. */
void weights_ignore(weights *w, const char *prefix);

/* The first tensor nobody used, or null; *count = how many there are. */
const char *weights_unused(const weights *w, size_t *count);

#endif
