/* Between attention.c, which chooses, and attention for work-groups that share local memory. */
#ifndef DITCL_OPS_ATTENTION_H
#define DITCL_OPS_ATTENTION_H

#include "ops/ops.h"
#include "ops/tuning.h"

extern const tuning attention_gpu_tuning;

/* As op_attention; without scratch. */
status attention_gpu(device *d, buf out, buf qkv, attention_shape s);
double attention_gpu_input_error(const device *d);

#endif
