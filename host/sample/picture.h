/* Pictures from and for the VAE: fitted to a size, encoded; decoded, compared. */
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

/* pixels [H][W][3] = decoded picture i of the latents, about -1 to 1; v is prepared for the size of
 * the latents. A value that is not finite is an error. */
status picture_decode(float *pixels, vae *v, buf latents, int i);

/* Takes decoded pictures. */
typedef struct {
    void *context;
    status (*picture)(void *context, unsigned char *rgb); /* [H][W][3]; may change it */
    void *progress_context;
    void (*progress)(void *progress_context, int done, int total); /* may be null */
} picture_sink;

/* Decodes n pictures of the latents, one by one, rounded to 8 bits as `arithmetic` says. */
status picture_decode_all(const picture_sink *to, vae *v, buf latents, int n, compat arithmetic);

#endif
