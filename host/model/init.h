/* Fresh weights: what training begins with, as the original program initialises a network (Peebles
 * & Xie 2022, section 4), extended to the designs that it does not have. */
#ifndef DITCL_MODEL_INIT_H
#define DITCL_MODEL_INIT_H

#include <stdint.h>

#include "checkpoint/model.h"

typedef struct {
    uint64_t seed;
    dtype type;                                           /* DTYPE_F32, DTYPE_F16 or DTYPE_BF16 */
    void (*progress)(void *context, int done, int total); /* tensors; may be null */
    void *progress_context;
} init_request;

/* Writes the transformer of m, which paper_model made, as one safetensors file in the original's
 * naming. A value depends on the seed, its tensor's name and its place in it alone. */
status init_write(model *m, const char *out, const init_request *request);

#endif
