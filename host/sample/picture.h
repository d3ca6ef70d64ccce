/* Pictures that are given: fitted to a size, turned into what the encoder takes, compared. */
#ifndef DITCL_SAMPLE_PICTURE_H
#define DITCL_SAMPLE_PICTURE_H

#include <stddef.h>

#include "files/png.h"
#include "model/vae.h"

/* The middle of the picture, as large as can be in the shape of width x height, scaled to it:
 * linear interpolation, each pixel averaged over what it covers (Pillow's BILINEAR). */
status picture_fit(png *p, int width, int height);

/* The middle of the picture; width and height are at most its own. */
void picture_crop(png *p, int width, int height);

/* out [H][W][3] = the picture in [-1, 1], in float32 as diffusers' VaeImageProcessor. */
void picture_normalise(float *out, const png *p);

/* Peak signal to noise ratio of n values of 8 bits, in dB; infinite when they are equal. */
double picture_psnr(const unsigned char *a, const unsigned char *b, size_t n);

/* moments [2C][h][w] = the VAE's encoder of a picture whose sizes are multiples of vae_scale; the
 * encoder's weights are on the device meanwhile. */
status picture_encode(float *moments, device *d, model *m, const png *p);

#endif
