/* Shared by dit.c, dit_load.c and dit_conditioning.c only. */
#ifndef DITCL_MODEL_DIT_PARTS_H
#define DITCL_MODEL_DIT_PARTS_H

#include "model/dit.h"

enum { HALF = 128, FEATURES = 2 * HALF }; /* timestep embedding, paper 3.2 */

/* Sets the configuration and the tokens from the model. */
void dit_sizes(dit *t);

/* Loads every tensor of the design. A tensor that is left over is an error. */
status dit_load_weights(dit *t);

/* The fused operations of the GEMM of a layer: FUSED_ bits. dit_wanted_factors: READS_FACTORS and
 * WRITES_FACTORS if the layer's neighbours have factors, as long as no weights are too large. */
unsigned dit_fused(const dit *t, layer which);
unsigned dit_wanted_factors(const dit *t, layer which);
attention_shape dit_attention(const dit *t, int batch);

/* The layer of a block that takes the conditioning; only for designs that have one. */
status dit_load_conditioner(dit *t, gemm_weight *l, int block);
bool dit_has_conditioner(const dit_config *c);

/* Plans the GEMM of a layer over m rows. factors: READS_FACTORS, WRITES_FACTORS. */
status dit_plan_product(dit *t, op_plan *p, const gemm_weight *w, layer which, int m,
                        unsigned factors);

/* As op_gemm, with the scratch memory; name: for the profile. */
status dit_product(dit *t, const char *name, const op_plan *p, gemm_buffers b);

#endif
