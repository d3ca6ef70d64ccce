/* The KL-VAE in Stable Diffusion's topology (Rombach et al. 2022), one half at a time: the decoder,
 * latents -> picture, or the encoder, picture -> latents. Pictures are NHWC on the device; one is
 * computed at a time. */
#ifndef DITCL_MODEL_VAE_H
#define DITCL_MODEL_VAE_H

#include "checkpoint/model.h"
#include "device/buffer.h"
#include "model/linear.h"
#include "ops/ops.h"

typedef struct {
    buf weight, bias;
} norm;

/* A 1x1 convolution is a product. */
typedef struct {
    norm norm_1, norm_2;
    conv_weight conv_1, conv_2;
    gemm_weight shortcut; /* k is 0 where channels do not change */
} resnet;

typedef struct {
    resnet *resnets;
    int n_resnets;    /* layers_per_block, and one more in the decoder */
    conv_weight up;   /* decoder; in is 0 on the last level */
    gemm_weight down; /* encoder; k is 0 on the last level */
} vae_level;

typedef struct {
    device *d;
    weights *w;
    vae_config config;
    const layer_visitor *visitor; /* null, or while layers are only looked at */
    int side; /* of the pictures that a layer being loaded will see, as the model draws them */
    conv_weight conv_in, conv_out;
    gemm_weight quant, mid_qkv, mid_out; /* quant: the decoder's first layer, the encoder's last */
    resnet mid_1, mid_2;
    norm mid_norm, norm_out;
    vae_level levels[VAE_MAX_LEVELS];
    /* for pictures of one size */
    int height, width; /* of the latents */
    attention_plan attention;
    buf x, y, z, affine, statistics, qkv, scores, scratch, patches;
    buf pixels;          /* the encoder's picture, as it comes from the host */
    size_t n_patches;    /* floats of patches, where the encoder makes pictures smaller */
    const char *unknown; /* the first tensor that is no part of a known VAE, or null */
} vae;

/* ---- the decoder ---- */

/* Compares the file with the configuration: every tensor of the decoder there, of the right shape
 * and type. Reads no values. */
status vae_check(model *m);

/* Shows v every product, attention and convolution of decoding one picture. */
status vae_visit(model *m, const layer_visitor *v);

/* Uploads the decoder's weights. Owned by the model: tensor memory must stay mapped meanwhile. */
status vae_load(vae *v, device *d, model *m);

/* Allocates for latents of height x width, and checks the products' shapes on the device. */
status vae_prepare(vae *v, int height, int width);

/* image [8h*8w][3] (as many times larger as the levels say) = decoder of picture `picture` of
 * latents [..][C][height][width] on the sampler's scale. Returns the device buffer that holds it,
 * valid until the next call. */
status vae_decode(vae *v, buf *image, buf latents, int picture);

/* ---- the encoder ---- */

/* A file may hold the decoder alone. */
bool vae_has_encoder(const model *m);

/* As vae_check, for the encoder; ERR_FORMAT when the file holds none. */
status vae_check_encoder(model *m);

/* As vae_load and vae_prepare; height and width are those of the latents too. */
status vae_load_encoder(vae *v, device *d, model *m);
status vae_prepare_encoder(vae *v, int height, int width);

/* moments [2C][height][width] = encoder of pixels [H][W][3] in [-1, 1], both on the host: the means
 * and the logarithms of the variances of the latents' distribution. */
status vae_encode(vae *v, float *moments, const float *pixels);

/* latents [C][area] on the sampler's scale: the distribution's mean, or with noise, [C][area] of
 * the standard normal distribution, the sample that it makes. */
void vae_sample(float *latents, const float *moments, const float *noise, const vae_config *c,
                size_t area);

/* ---- both ---- */

void vae_free(vae *v);

/* Bytes on the device: weights, and activations of one picture, of the decoder. */
double vae_weight_bytes(const vae_config *c);
double vae_activation_bytes(const vae_config *c, int height, int width);

#endif
