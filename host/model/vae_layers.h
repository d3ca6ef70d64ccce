/* Layers of the decoder and the encoder of the VAE. For vae.c and vae_encode.c only. */
#ifndef DITCL_MODEL_VAE_LAYERS_H
#define DITCL_MODEL_VAE_LAYERS_H

#include "model/vae.h"

/* ---- weights ---- */

/* Loads the layer `prefix`: its tensors .weight and .bias, with these numbers of channels. */
status vae_load_norm(vae *v, norm *n, const char *prefix, int channels);
status vae_load_conv1x1(vae *v, conv_1x1 *c, const char *prefix, int in, int out);
/* up: 1, or 2 if the input is upsampled first. */
status vae_load_conv3x3(vae *v, conv_3x3 *c, const char *prefix, int in, int out, int up,
                        unsigned use);
status vae_load_resnet(vae *v, resnet *r, const char *prefix, int in, int out);
/* half: "encoder" or "decoder". */
status vae_load_middle(vae *v, const char *half, int channels);

/* ---- plans and memory: *scratch is raised to what a layer needs ---- */

/* Plans a layer for pictures of this size; does nothing for a layer without weights. fused:
 * FUSED_ bits. */
status vae_plan_conv1x1(vae *v, size_t *scratch, conv_1x1 *c, size_t pixels, unsigned fused);
status vae_plan_conv3x3(vae *v, size_t *scratch, conv_3x3 *c, int height, int width,
                        unsigned fused);
/* Also checks the group norm on the device. */
status vae_plan_norm(vae *v, norm *n, int channels, int height, int width);
status vae_plan_resnet(vae *v, size_t *scratch, resnet *r, int height, int width);
status vae_plan_middle(vae *v, size_t *scratch, int height, int width);

/* Allocates the buffers. values: of the largest activation. height, width: of the largest
 * picture. Attention runs at the size of the latents. */
status vae_allocate(vae *v, double values, int height, int width, size_t scratch);

/* ---- the forward pass: v->x is the activation ---- */

/* out = [residual +] conv(SiLU(group norm(x))) */
status vae_norm_conv(vae *v, buf out, buf x, const norm *n, const conv_3x3 *c, buf residual);
/* out = [residual +] c(in) */
status vae_forward_1x1(vae *v, buf out, buf in, const conv_1x1 *c, buf residual);
/* x = conv(upsample(x)) */
status vae_forward_conv(vae *v, const conv_3x3 *c);
status vae_forward_resnet(vae *v, const resnet *r);
status vae_forward_middle(vae *v);

#endif
