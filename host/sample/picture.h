/* Initial pictures: fitted to a size, converted for the encoder, compared. */
#ifndef DITCL_SAMPLE_PICTURE_H
#define DITCL_SAMPLE_PICTURE_H

#include <stddef.h>

#include "files/png.h"
#include "model/vae.h"

/* Crops the picture to the largest centred part with the shape of width x height, and scales it to
 * that size: linear interpolation, with each result averaged over the pixels that it covers
 * (Pillow's BILINEAR). */
status picture_fit(png *p, int width, int height);

/* Crops to the centre. width and height are at most the picture's own. */
void picture_crop(png *p, int width, int height);

/* out [H][W][3] = the picture in [-1, 1], in float32 as in diffusers' VaeImageProcessor. */
void picture_normalise(float *out, const png *p);

/* Peak signal-to-noise ratio of n 8-bit values, in dB; infinite if they are equal. */
double picture_psnr(const unsigned char *a, const unsigned char *b, size_t n);

/* moments [2C][h][w] = the VAE encoder's output for a picture whose sizes are multiples of
 * vae_scale. The encoder's weights are on the device only during the call. */
status picture_encode(float *moments, device *d, model *m, const png *p);

#endif
