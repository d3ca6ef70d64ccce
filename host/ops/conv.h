/* Between conv.c and the implementations of 3x3 convolutions, one file each. */
#ifndef DITCL_OPS_CONV_H
#define DITCL_OPS_CONV_H

#include "ops/impl.h"

/* For enqueue, ahead of its last launches: announces the layer's work. executed: operations really
 * done; 0: as the formula counts them. */
void conv_record(device *d, const conv_call *c, double executed);

#endif
