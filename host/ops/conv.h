/* Between conv.c and the implementations of 3x3 convolutions, one file each. */
#ifndef DITCL_OPS_CONV_H
#define DITCL_OPS_CONV_H

#include "ops/impl.h"

static inline bool conv_fuses(const conv_use *u, unsigned fused)
{
    return (u->fused & fused) != 0;
}

/* For enqueue: a launch of arguments out, x, affine, weights, bias, residual. */
status conv_enqueue(device *d, const op_plan *p, const conv_buffers *b);
/* For enqueue: launches[1] prepares the picture, with arguments scratch, x, affine. Then
 * launches[0] has out, scratch, weights, bias, residual. */
status conv_enqueue_staged(device *d, const op_plan *p, const conv_buffers *b);

/* For the rule of ops/waves.h: tiles of x by y pixels and `out` channels, of which a sub-group or a
 * work-item has own_pixels and own_out. The picture is taken for square. A tile's input, with a
 * border of one pixel, is read once for all taps. */
waves conv_waves(read_cost c, int x, int y, int out, double own_pixels, double own_out,
                 const int *shape);

#endif
