/* Previews: pictures of latents that are not finished. They are decoded by the VAE, which takes as
 * long as decoding a finished picture, or by a linear map from the latents at a place to its mean
 * colour. The map is fitted once: to patches of random colours and the latents that the VAE's
 * encoder makes of them or, without an encoder, to random latents and what the decoder makes of
 * them. */
#ifndef DITCL_SAMPLE_PREVIEW_H
#define DITCL_SAMPLE_PREVIEW_H

#include "model/vae.h"

enum { PREVIEW_MOST = 64 }; /* pictures of one preview */

typedef struct {
    int channels, height, width; /* of the latents */
    int scale;                   /* pixels per latent */
    compat arithmetic;           /* of the rounding to 8 bits */
    /* [C + 1][C + 1 + 3]: solved normal equations; the last three columns are the colours, from -1
     * to 1, of each channel, and a constant. Null: not yet fitted */
    double *equations;
    vae *v;
    buf latents;        /* [n][C][h][w] */
    float *pixels;      /* [H][W][3] */
    unsigned char *rgb; /* [n][H][W][3] */
} preview;

void preview_init(preview *p, const model *m);

/* Fits the linear map if the VAE has an encoder, whose weights are on the device only during the
 * call. Without an encoder, the first preview_map fits it. */
status preview_learn(preview *p, device *d, model *m);

/* v: loaded, and prepared for the model's latents. n: the most pictures of a call below. */
status preview_prepare(preview *p, vae *v, int n);

/* p->rgb = the first n pictures of latents [..][C][h][w]: by the VAE, or by the linear map. */
status preview_decode(preview *p, const float *latents, int n);
status preview_map(preview *p, const float *latents, int n);

void preview_free(preview *p);

#endif
