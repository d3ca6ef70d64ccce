/* Runs that begin with a picture instead of noise alone (Meng et al. 2022): its latents are noised
 * to the level of a step in the middle, and the rest is denoised. Where a mask keeps the picture,
 * its latents, noised to each step's level, take the place of what was drawn there (as diffusers'
 * pipelines for inpainting do with models that know no masks). */
#ifndef DITCL_SAMPLE_IMAGE_H
#define DITCL_SAMPLE_IMAGE_H

#include "sample/pipeline.h"

/* The row at which a run of this strength begins: int(steps * strength) steps are left, as in
 * diffusers' img2img pipelines; n_rows when none is. */
int image_first_step(const schedule *s, double strength);

/* For pipeline.c: the buffers, the starting latents from standard normal noise [n][C][size][size],
 * and what follows each step. */
status image_allocate(run *r);
status image_begin(run *r, const float *noise);
status image_keep(run *r, int step);
void image_release(run *r);

/* mask [height / scale][width / scale] = 1 where any pixel of rgb is white rather than black, else
 * 0. Returns how many are 1. */
size_t image_reduce_mask(float *mask, const unsigned char *rgb, int width, int height, int scale);

/* White rather than black. */
bool image_is_white(const unsigned char *rgb);

#endif
