/* Parameters and Gflops as the paper counts them (table 1 and section 5), from a configuration. */
#ifndef DITCL_MODEL_FLOPS_H
#define DITCL_MODEL_FLOPS_H

#include <stdint.h>

#include "checkpoint/config.h"

/* Parameters of the DiT. Includes the position embedding; counts shared embedders once. */
uint64_t flops_parameters(const dit_config *c);

/* Gflops of a forward pass of one picture as the paper counts them: one for each multiply-add, and
 * one for each element that a block normalises. Rounded to two digits, these are the numbers of the
 * paper, except for DiT-B/4 (5.566) and DiT-XL/2 with cross-attention (137.628), which the paper
 * truncates: 5.56, 137.62. */
double flops_gflops(const dit_config *c);

#endif
