/* What dit.c, dit_load.c and dit_conditioning.c share, for them alone. */
#ifndef DITCL_MODEL_DIT_PARTS_H
#define DITCL_MODEL_DIT_PARTS_H

#include "model/dit.h"

enum { HALF = 128, FEATURES = 2 * HALF }; /* timestep embedding, paper 3.2 */

/* Where the six parts of a block's modulation begin, in widths (paper figure 3, adaLN-Zero). */
enum { SHIFT_MSA, SCALE_MSA, GATE_MSA, SHIFT_MLP, SCALE_MLP, GATE_MLP, BLOCK_PARTS };

/* Loads every tensor of the file that is needed, and refuses the file when one is left. Without a
 * device (t->d null) they are only looked for. */
status dit_load_weights(dit *t);

/* One layer [out][in]; block counts where it is one of many. */
status dit_load_linear(dit *t, gemm_weight *l, layer which, int block, int in, int out);

/* As op_gemm; name: for the profile. */
status dit_product(dit *t, const char *name, buf out, buf a, const gemm_weight *l, int m,
                   const gemm_epilogue *e);

#endif
