/* Loads the weights of a linear layer from a file to the device. */
#ifndef DITCL_MODEL_LINEAR_H
#define DITCL_MODEL_LINEAR_H

#include "checkpoint/weights.h"
#include "ops/ops.h"

enum { LINEAR_PARTS = 3 };

/* Called for each layer of a model that is only visited, with the operator and its shape as in
 * ops/configuration.h. */
typedef struct {
    void (*see)(void *context, const char *op, const int shape[SHAPE_SIZES]);
    void *context;
} layer_visitor;

/* *l = n layers computed as one GEMM, n <= LINEAR_PARTS, for about m rows: the tensors NAME.weight,
 * of this shape, one below the other, and the tensors NAME.bias. Finds all tensors before it
 * allocates; a dry run does not read them. A value that is not finite is an error that names its
 * tensor. use: the fused operations, FUSED_ bits. */
status linear_load(weights *w, device *d, gemm_weight *l, int m, const char *const *names, int n,
                   shape each, unsigned use);

#endif
