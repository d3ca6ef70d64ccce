/* The KL-VAE's decoder in Stable Diffusion's topology (Rombach et al. 2022): latents -> picture.
 * Pictures are NHWC on the device; one is decoded at a time. */
#ifndef DITCL_MODEL_VAE_H
#define DITCL_MODEL_VAE_H

#include "device/buffer.h"
#include "model/linear.h"
#include "model/model.h"
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
    resnet *resnets; /* layers_per_block + 1 */
    conv_weight up;         /* in is 0 on the last level */
} vae_level;

typedef struct {
    device *d;
    weights *w;
    vae_config config;
    const layer_visitor *visitor; /* null, or while layers are only looked at */
    int side; /* of the pictures that a layer being loaded will see, as the model draws them */
    conv_weight conv_in, conv_out;
    gemm_weight post_quant, mid_qkv, mid_out;
    resnet mid_1, mid_2;
    norm mid_norm, norm_out;
    vae_level levels[VAE_MAX_LEVELS];
    /* for latents of one size */
    int height, width;
    buf x, y, z, affine, statistics, qkv, scores, scratch;
    const char *unknown; /* the first tensor that is no part of a known VAE, or null */
} vae;

/* Compares the file with the configuration: every tensor of the decoder there, of the right shape
 * and type. Reads no values. */
status vae_check(model *m);

/* Shows v every product, attention and convolution of decoding one picture. */
status vae_visit(model *m, const layer_visitor *v);

/* Uploads the decoder's weights. Owned by the model: tensor memory must stay mapped meanwhile. */
status vae_load(vae *v, device *d, model *m);

/* Allocates for latents of height x width, and checks the products' shapes on the device. */
status vae_prepare(vae *v, int height, int width);
void vae_free(vae *v);

/* image [8h*8w][3] (as many times larger as the levels say) = decoder of picture `picture` of
 * latents [..][C][height][width] on the sampler's scale. Returns the device buffer that holds it,
 * valid until the next call. */
status vae_decode(vae *v, buf *image, buf latents, int picture);

/* Pixels of a picture a side, over pixels of its latents. */
int vae_scale(const vae_config *c);

/* Bytes on the device: weights, and activations of one picture. */
double vae_weight_bytes(const vae_config *c);
double vae_activation_bytes(const vae_config *c, int height, int width);

#endif
