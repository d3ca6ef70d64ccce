/* A linear layer's weights on their way from a file to the device. */
#ifndef DITCL_MODEL_LINEAR_H
#define DITCL_MODEL_LINEAR_H

#include "checkpoint/weights.h"
#include "ops/ops.h"

enum { LINEAR_PARTS = 3 };

/* Told of each layer of a model that is only looked at: the operator it needs, and the shape as
 * ops/tuning.h counts it. */
typedef struct {
    void (*see)(void *context, const char *op, const int shape[TUNING_SIZES]);
    void *context;
} layer_visitor;

/* *l = n layers computed as one, at most LINEAR_PARTS, for products of m rows, about: the rows of
 * tensors NAME.weight, of this shape each with rows dims[0], below each other, and those of
 * NAME.bias. All are looked for before anything is allocated; d null: they are only looked for. A
 * value that is not finite is an error naming its tensor. use: what is fused into them, FUSED_
 * bits. */
status linear_load(weights *w, device *d, gemm_weight *l, int m, const char *const *names, int n,
                   shape each, unsigned use);

#endif
