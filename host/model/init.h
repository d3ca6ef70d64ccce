/* Fresh weights for training. The initialisation is that of the original program (Peebles & Xie
 * 2022, section 4), extended to the designs that it does not have. */
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

/* Writes the transformer of m, from paper_model, as one safetensors file with the original names. A
 * value depends only on the seed, the name of its tensor and its index there. */
status init_write(model *m, const char *out, const init_request *request);

#endif
