/* What dit.c, dit_load.c and dit_conditioning.c share, for them alone. */
#ifndef DITCL_MODEL_DIT_PARTS_H
#define DITCL_MODEL_DIT_PARTS_H

#include "model/dit.h"

enum { HALF = 128, FEATURES = 2 * HALF }; /* timestep embedding, paper 3.2 */

/* From its model: configuration, and tokens. */
void dit_sizes(dit *t);

/* Loads every tensor of the file that is needed, and refuses the file when one is left. Without a
 * device (t->d null) they are only looked for. */
status dit_load_weights(dit *t);

/* What is fused into the products with a layer, as FUSED_ bits. */
unsigned dit_fused(const dit *t, layer which);

/* A block's layer that the conditioning goes through; only for designs that have one. */
status dit_load_conditioner(dit *t, gemm_weight *l, int block);
bool dit_has_conditioner(const dit_config *c);

/* As op_gemm; name: for the profile. */
status dit_product(dit *t, const char *name, buf out, buf a, const gemm_weight *l, int m,
                   const gemm_epilogue *e);

#endif
