/* The paper's accounting, from a configuration alone (paper table 1 and section 5). */
#ifndef DITCL_MODEL_FLOPS_H
#define DITCL_MODEL_FLOPS_H

#include <stdint.h>

#include "model/config.h"

/* Parameters of the DiT: position embedding included, shared embedders counted once. */
uint64_t flops_parameters(const dit_config *c);

/* Gflops of one forward pass of one picture as the paper counts them: multiply-adds, plus one per
 * normalised element. */
double flops_gflops(const dit_config *c);

#endif
