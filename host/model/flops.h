/* The paper's accounting, from a configuration alone (paper table 1 and section 5). */
#ifndef DITCL_MODEL_FLOPS_H
#define DITCL_MODEL_FLOPS_H

#include <stdint.h>

#include "checkpoint/config.h"

/* Parameters of the DiT: position embedding included, shared embedders counted once. */
uint64_t flops_parameters(const dit_config *c);

/* Gflops of one forward pass of one picture as the paper counts them: multiply-adds, plus one for
 * each element that a block normalises. Rounded to two digits this is what the paper prints, but
 * for DiT-B/4 (5.566) and DiT-XL/2 with cross-attention (137.628), which it cuts: 5.56, 137.62. */
double flops_gflops(const dit_config *c);

#endif
