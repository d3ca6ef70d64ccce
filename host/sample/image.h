/* Runs that begin with a picture instead of noise alone (SDEdit, Meng et al. 2022). The picture's
 * latents are noised to the level of a step in the middle, and the run continues from there. Where
 * a mask keeps the picture, its latents, noised to each step's level, replace the computed ones
 * after every step, as in diffusers' inpainting pipelines for models without mask input. */
#ifndef DITCL_SAMPLE_IMAGE_H
#define DITCL_SAMPLE_IMAGE_H

#include "sample/pipeline.h"

/* The row at which a run of this strength begins: int(steps * strength) steps follow, as in
 * diffusers' img2img pipelines. n_rows if no step follows. */
int image_first_step(const schedule *s, double strength);

/* For pipeline.c: allocate the buffers, compute the starting latents from standard normal noise
 * [n][C][size][size], and restore the kept part after each step. */
status image_allocate(run *r);
status image_begin(run *r, const float *noise);
status image_keep(run *r, int step);
void image_release(run *r);

/* mask [height / scale][width / scale] = 1 where any pixel of rgb is white rather than black, else
 * 0. Returns the number of ones. */
size_t image_reduce_mask(float *mask, const unsigned char *rgb, int width, int height, int scale);

/* True if the pixel is nearer to white than to black. */
bool image_is_white(const unsigned char *rgb);

#endif
