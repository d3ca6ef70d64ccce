/* Between attention.c and the implementations of attention, one file each. */
#ifndef DITCL_OPS_ATTENTION_H
#define DITCL_OPS_ATTENTION_H

#include "ops/impl.h"

/* What attention is tuned by: batch, tokens, heads, head width. */
void attention_sizes(int shape[SHAPE_SIZES], attention_shape s);

/* Factor of q k^T: 1 / sqrt(d), times log2(e), since kernels compute probabilities as powers of
 * two. */
float attention_scale(attention_shape s);

/* Gives the `all` query tiles of a head to *splits work-groups, *tiles to each, so that the last
 * work-group ends soonest. Packing keys and values costs a work-group as much as a third of a
 * tile. */
void attention_split(int *tiles, int *splits, const device *d, attention_shape s, size_t all);

#endif
