/* The KL-VAE in Stable Diffusion's topology (Rombach et al. 2022), one half at a time: the decoder,
 * latents -> picture, or the encoder, picture -> latents. Pictures are NHWC on the device; one is
 * computed at a time. */
#ifndef DITCL_MODEL_VAE_H
#define DITCL_MODEL_VAE_H

#include "checkpoint/model.h"
#include "device/buffer.h"
#include "model/linear.h"
#include "ops/ops.h"

/* Layers with their plans for pictures of one size. A 1x1 convolution is a GEMM. */
typedef struct {
    buf weight, bias;
    op_plan statistics;
} norm;

typedef struct {
    conv_weight w;
    op_plan plan;
} conv_3x3;

typedef struct {
    gemm_weight w;
    op_plan plan;
} conv_1x1;

typedef struct {
    norm norm_1, norm_2;
    conv_3x3 conv_1, conv_2;
    conv_1x1 shortcut; /* w.k is 0 where channels do not change */
} resnet;

typedef struct {
    resnet *resnets;
    int n_resnets;    /* layers_per_block; in the decoder plus 1 */
    conv_3x3 up;      /* decoder; w.in is 0 on the last level */
    gemm_weight down; /* encoder; k is 0 on the last level */
    downsample_use use_down;
} vae_level;

typedef struct {
    device *d;
    weights *w;
    vae_config config;
    const layer_visitor *visitor; /* not null: layers are only visited */
    int side; /* pixels, at the model's size, of a picture of the layer that is being loaded */
    conv_3x3 conv_in, conv_out;
    conv_1x1 quant, mid_qkv, mid_out; /* quant: the decoder's first layer, the encoder's last */
    resnet mid_1, mid_2;
    norm mid_norm, norm_out;
    vae_level levels[VAE_MAX_LEVELS];
    /* for pictures of one size */
    int height, width; /* of the latents */
    op_plan to_pixels, mid_normalise, attention;
    buf x, y, z, affine, statistics, qkv, scores, scratch, patches;
    buf pixels;          /* the picture to encode, from the host */
    size_t n_patches;    /* floats of the im2col matrix of a downsampling layer of the encoder */
    const char *unknown; /* the first tensor that is no part of a known VAE, or null */
} vae;

/* ---- the decoder ---- */

/* Checks that the file has every tensor of the decoder, in the right shape and type. Reads no
 * values. */
status vae_check(model *m);

/* Visits every GEMM, attention and convolution of decoding one picture. */
status vae_visit(model *m, const layer_visitor *v);

/* Uploads the weights of the decoder. The model must stay open, since it owns the mapped memory of
 * the weights. */
status vae_load(vae *v, device *d, model *m);

/* Allocates buffers for latents of height x width, and checks every GEMM on the device. */
status vae_prepare(vae *v, int height, int width);

/* image [8h*8w][3] (8 or what the levels give) = decoder of picture `picture` of latents
 * [..][C][height][width] on the sampler's scale. Returns the device buffer that holds it, valid
 * until the next call. */
status vae_decode(vae *v, buf *image, buf latents, int picture);

/* ---- the encoder ---- */

/* Whether the file has an encoder; some have only the decoder. */
bool vae_has_encoder(const model *m);

/* Like vae_check, for the encoder. ERR_FORMAT if the file has none. */
status vae_check_encoder(model *m);

/* Like vae_load and vae_prepare; height and width are those of the latents. */
status vae_load_encoder(vae *v, device *d, model *m);
status vae_prepare_encoder(vae *v, int height, int width);

/* moments [2C][height][width] = encoder of pixels [H][W][3] in [-1, 1], both on the host: the means
 * and the logarithms of the variances of the latents' distribution. */
status vae_encode(vae *v, float *moments, const float *pixels);

/* latents [C][area] on the scale of the sampler: the mean of the distribution or, with noise
 * [C][area] from the standard normal distribution, a sample. */
void vae_sample(float *latents, const float *moments, const float *noise, const vae_config *c,
                size_t area);

/* ---- both ---- */

void vae_free(vae *v);

#endif
