/* What both halves of the VAE are made of: their layers, from the file to a picture. For vae.c and
 * vae_encode.c alone. */
#ifndef DITCL_MODEL_VAE_LAYERS_H
#define DITCL_MODEL_VAE_LAYERS_H

#include "model/vae.h"

/* ---- weights: d null looks for tensors only ---- */

/* The layer at prefix: its .weight and .bias, of so many channels. */
status vae_load_norm(vae *v, norm *n, const char *prefix, int channels);
status vae_load_conv1x1(vae *v, gemm_weight *c, const char *prefix, int in, int out);
/* up: 1, or 2 where the input is enlarged before. */
status vae_load_conv3x3(vae *v, conv_weight *c, const char *prefix, int in, int out, int up,
                        unsigned use);
status vae_load_resnet(vae *v, resnet *r, const char *prefix, int in, int out);
/* half: "encoder" or "decoder". */
status vae_load_middle(vae *v, const char *half, int channels);

/* ---- memory ---- */

/* The product of a layer over so many pixels: checked, and *scratch raised to what it needs. */
status vae_plan_product(vae *v, size_t *scratch, const gemm_weight *c, size_t pixels);
status vae_plan_conv(vae *v, size_t *scratch, const conv_weight *c, int height, int width);
/* Sees to it that a group norm is right on the device. */
status vae_plan_norm(vae *v, int channels, int height, int width);
status vae_plan_resnet(vae *v, size_t *scratch, const resnet *r, int height, int width);

/* The buffers of a half whose largest picture has so many values; whose widest has `channels` or
 * fewer at height x width or less; whose attention sees latents of v's size. */
status vae_allocate(vae *v, double values, int height, int width, size_t scratch);

/* ---- a picture on its way: v->x, of shape s ---- */

/* out = [residual +] conv(SiLU(group norm(x))) */
status vae_norm_conv(vae *v, buf out, buf x, const norm *n, const conv_weight *c, picture_shape s,
                     buf residual);
status vae_forward_1x1(vae *v, buf out, buf in, const gemm_weight *c, picture_shape s,
                       buf residual);
/* x = conv(x), enlarged before */
status vae_forward_conv(vae *v, const conv_weight *c, picture_shape *s);
status vae_forward_resnet(vae *v, const resnet *r, picture_shape *s);
status vae_forward_middle(vae *v, picture_shape *s);

#endif
