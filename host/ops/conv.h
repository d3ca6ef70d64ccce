/* Between conv.c, which chooses, and the implementations of 3x3 convolutions, one file each. */
#ifndef DITCL_OPS_CONV_H
#define DITCL_OPS_CONV_H

#include "device/record.h"
#include "ops/ops.h"

/* The values of its tunables are w->values, w->in and so on being there before all else. */
typedef struct conv_implementation {
    const tuning *tuned; /* its name is the kind */
    /* Whether this device, as it was opened, can be served with layers of these channels. */
    bool (*fits)(const device *d, int in, int out, int up);
    /* Weights on the device, in 4-byte elements. */
    size_t (*packed_count)(const device *d, const conv_weight *w);
    /* Queues: w->matrix in that layout from stored [out][in][3][3]. */
    status (*pack)(device *d, const conv_weight *w, buf stored);
    status (*scratch)(device *d, size_t *count, const conv_weight *w, picture_shape s);
    /* As op_conv3x3. */
    status (*run)(device *d, buf out, buf x, const conv_weight *w, picture_shape s,
                  const conv_use *use, buf scratch);
    /* Relative error of one input at most, where inputs are rounded to less than fp32 has. */
    double input_error;
} conv_implementation;

/* For run, ahead of its last launches: announces the layer's work. executed: operations really
 * done; 0: as the formula counts them. */
void conv_record(device *d, const conv_weight *w, picture_shape s, const conv_use *use,
                 double executed, roof on);

extern const conv_implementation conv_direct, conv_winograd, conv_matrix, conv_matrix_three,
    conv_mma, conv_mma_bf16, conv_mma_three, conv_gpu, conv_gpu_fp16;

#endif
