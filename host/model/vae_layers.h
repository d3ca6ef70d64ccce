/* Layers of the decoder and the encoder of the VAE. For vae.c and vae_encode.c only. */
#ifndef DITCL_MODEL_VAE_LAYERS_H
#define DITCL_MODEL_VAE_LAYERS_H

#include "model/vae.h"

/* ---- weights ---- */

/* The layer at prefix: .weight and .bias of so many channels. */
status vae_load_norm(vae *v, norm *n, const char *prefix, int channels);
status vae_load_conv1x1(vae *v, gemm_weight *c, const char *prefix, int in, int out);
/* up: 1, or 2 if the input is upsampled first. */
status vae_load_conv3x3(vae *v, conv_weight *c, const char *prefix, int in, int out, int up,
                        unsigned use);
status vae_load_resnet(vae *v, resnet *r, const char *prefix, int in, int out);
/* half: "encoder" or "decoder". */
status vae_load_middle(vae *v, const char *half, int channels);

/* ---- memory ---- */

/* Checks the GEMM of a layer over so many pixels, and raises *scratch to what it needs. */
status vae_plan_product(vae *v, size_t *scratch, const gemm_weight *c, size_t pixels);
status vae_plan_conv(vae *v, size_t *scratch, const conv_weight *c, int height, int width);
/* Checks a group norm on the device. */
status vae_plan_norm(vae *v, int channels, int height, int width);
status vae_plan_resnet(vae *v, size_t *scratch, const resnet *r, int height, int width);

/* Allocates the buffers. The largest activation has so many values, and at most `channels` channels
 * at height x width; attention runs at the size of the latents. */
status vae_allocate(vae *v, double values, int height, int width, size_t scratch);

/* ---- the forward pass: v->x is the activation, of shape s ---- */

/* out = [residual +] conv(SiLU(group norm(x))) */
status vae_norm_conv(vae *v, buf out, buf x, const norm *n, const conv_weight *c, picture_shape s,
                     buf residual);
status vae_forward_1x1(vae *v, buf out, buf in, const gemm_weight *c, picture_shape s,
                       buf residual);
/* x = conv(upsample(x)) */
status vae_forward_conv(vae *v, const conv_weight *c, picture_shape *s);
status vae_forward_resnet(vae *v, const resnet *r, picture_shape *s);
status vae_forward_middle(vae *v, picture_shape *s);

#endif
