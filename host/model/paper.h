/* The sizes of the paper (Peebles & Xie 2022, table 1) with Stable Diffusion's VAE, as models
 * without files: their weights are generated. For measurements, not for pictures. */
#ifndef DITCL_MODEL_PAPER_H
#define DITCL_MODEL_PAPER_H

#include "model/model.h"

extern const char *const paper_names[]; /* "DiT-S/2", ..., "DiT-XL/8", null */

/* The size of this index for square pictures of image_size pixels, a multiple of 64. Closed with
 * model_close. */
status paper_model(model *m, int index, int image_size);

#endif
