/* The networks of the paper (Peebles & Xie 2022, table 1 and the four designs of section 3.2) with
 * Stable Diffusion's VAE, as models without files: their weights are generated. For measurements,
 * not for pictures. */
#ifndef DITCL_MODEL_PAPER_H
#define DITCL_MODEL_PAPER_H

#include "checkpoint/model.h"

extern const char *const paper_image_sizes[]; /* "256", "512", null */
enum { PAPER_256, PAPER_512 };

/* name = the name of network i; false behind the last. */
enum { PAPER_NAME = 64 };
bool paper_name(char name[PAPER_NAME], int i);

/* The configuration of a name: DiT-S/2 to DiT-XL/8 for the published design, adaLN-Zero; the
 * suffixes -in-context, -cross-attention and -adaLN select the other designs. image_size: side of
 * the square pictures, a multiple of 64 pixels. ERR_USAGE for another name; the message names
 * --arch. */
status paper_config(dit_config *c, const char *name, int image_size);

/* Makes a model of that configuration. Close it with model_close. */
status paper_model(model *m, const char *name, int image_size);

#endif
