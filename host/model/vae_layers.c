/* Layers of the VAE. See vae_layers.h. */
#include "model/vae_layers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ops/first_use.h"

#define EPSILON 1e-6f /* of every group norm */

/* ---- weights ---- */

static void tensor_name(char out[NAME_BYTES], const char *prefix, const char *suffix)
{
    size_t n = strlen(prefix), m = strlen(suffix);
    assert(n + m < NAME_BYTES); /* the longest is half of that */
    memcpy(out, prefix, n);
    memcpy(out + n, suffix, m + 1);
}

status vae_load_norm(vae *v, norm *n, const char *prefix, int channels)
{
    char name[NAME_BYTES];
    tensor_name(name, prefix, ".weight");
    status st = weights_upload(v->w, v->d, &n->weight, name, SHAPE(channels));
    tensor_name(name, prefix, ".bias");
    return st == OK ? weights_upload(v->w, v->d, &n->bias, name, SHAPE(channels)) : st;
}

/* Matrices [out][in] of one 1x1 convolution, or of several that are computed as one. */
static status load_1x1(vae *v, conv_1x1 *c, const char *const *prefixes, int n, int in, int out,
                       unsigned use)
{
    const int product[SHAPE_SIZES] = {v->side * v->side, n * out, in};
    if (v->visitor) v->visitor->see(v->visitor->context, "gemm", product);
    return linear_load(v->w, v->d, &c->w, v->side * v->side, prefixes, n,
                       SHAPE((size_t)out, (size_t)in), use);
}

status vae_load_conv1x1(vae *v, conv_1x1 *c, const char *prefix, int in, int out)
{
    return load_1x1(v, c, &prefix, 1, in, out, 0);
}

status vae_load_conv3x3(vae *v, conv_3x3 *c, const char *prefix, int in, int out, int up,
                        unsigned use)
{
    char name[NAME_BYTES], bias_name[NAME_BYTES];
    float *weight = NULL, *bias = NULL;
    status st = OK;
    const tensor *found; /* the tensor's shape decides what is allocated, so it is found first */
    c->w = (conv_weight){.in = in, .out = out, .up = up};
    tensor_name(bias_name, prefix, ".bias");
    TRY(weights_find(v->w, &found, bias_name, SHAPE(out)));
    tensor_name(name, prefix, ".weight");
    TRY(weights_find(v->w, &found, name, SHAPE(out, in, 3, 3)));
    const int sizes[SHAPE_SIZES] = {v->side * v->side, in, out, up};
    if (v->visitor) v->visitor->see(v->visitor->context, "conv", sizes);
    if (!v->d->dry) {
        TRY(memory_alloc(&weight, (size_t)in * (size_t)out * 9, sizeof *weight));
        TRY(memory_alloc(&bias, (size_t)out, sizeof *bias));
        TRY(weights_read(v->w, weight, name, SHAPE(out, in, 3, 3)));
        TRY(weights_read(v->w, bias, bias_name, SHAPE(out)));
    }
    TRY(conv_weight_upload(v->d, &c->w, weight, bias,
                           (conv_layer){v->side * v->side, in, out, up, use}, name));
done:
    free(weight);
    free(bias);
    return st;
}

status vae_load_resnet(vae *v, resnet *r, const char *prefix, int in, int out)
{
    char name[NAME_BYTES];
    status st = OK;
    tensor_name(name, prefix, ".norm1");
    TRY(vae_load_norm(v, &r->norm_1, name, in));
    tensor_name(name, prefix, ".conv1");
    TRY(vae_load_conv3x3(v, &r->conv_1, name, in, out, 1, FUSED_NORM));
    tensor_name(name, prefix, ".norm2");
    TRY(vae_load_norm(v, &r->norm_2, name, out));
    tensor_name(name, prefix, ".conv2");
    TRY(vae_load_conv3x3(v, &r->conv_2, name, out, out, 1, FUSED_NORM | FUSED_RESIDUAL));
    tensor_name(name, prefix, ".conv_shortcut");
    if (in != out) TRY(vae_load_conv1x1(v, &r->shortcut, name, in, out));
done:
    return st;
}

/* q, k and v as one matrix. */
static status load_attention(vae *v, const char *half, int channels)
{
    static const char *const layers[4] = {"to_q", "to_k", "to_v", "to_out.0"};
    static const char prefix[] = "mid_block.attentions.0.";
    char names[4][NAME_BYTES], norm_name[NAME_BYTES];
    const char *qkv[3] = {names[0], names[1], names[2]}, *out = names[3];
    status st = OK;
    for (int i = 0; i < 4; i++) snprintf(names[i], NAME_BYTES, "%s.%s%s", half, prefix, layers[i]);
    snprintf(norm_name, sizeof norm_name, "%s.%sgroup_norm", half, prefix);
    TRY(vae_load_norm(v, &v->mid_norm, norm_name, channels));
    TRY(load_1x1(v, &v->mid_qkv, qkv, 3, channels, channels, 0));
    TRY(load_1x1(v, &v->mid_out, &out, 1, channels, channels, FUSED_RESIDUAL));
done:
    return st;
}

status vae_load_middle(vae *v, const char *half, int channels)
{
    char name[NAME_BYTES];
    status st = OK;
    snprintf(name, sizeof name, "%s.mid_block.resnets.0", half);
    TRY(vae_load_resnet(v, &v->mid_1, name, channels, channels));
    if (v->config.mid_attention) TRY(load_attention(v, half, channels));
    snprintf(name, sizeof name, "%s.mid_block.resnets.1", half);
    TRY(vae_load_resnet(v, &v->mid_2, name, channels, channels));
done:
    return st;
}

/* ---- plans and memory ---- */

status vae_plan_conv1x1(vae *v, size_t *scratch, conv_1x1 *c, size_t pixels, unsigned fused)
{
    size_t need = 0;
    if (c->w.k == 0) return OK;
    status st = gemm_scratch(v->d, &need, &c->w, (int)pixels);
    if (need > *scratch) *scratch = need;
    if (st != OK) return st;
    return gemm_plan(v->d, &c->plan, &c->w, (int)pixels,
                     (gemm_epilogue){.fused = fused, .residual_rows = (int)pixels});
}

status vae_plan_conv3x3(vae *v, size_t *scratch, conv_3x3 *c, int height, int width, unsigned fused)
{
    picture_shape s = {1, height, width, c->w.in};
    size_t need = 0;
    if (c->w.in == 0) return OK;
    status st = conv_scratch(v->d, &need, &c->w, s);
    if (need > *scratch) *scratch = need;
    return st == OK ? conv_plan(v->d, &c->plan, &c->w, s, fused) : st;
}

status vae_plan_norm(vae *v, norm *n, int channels, int height, int width)
{
    const int sizes[SHAPE_SIZES] = {height * width, channels, v->config.groups};
    status st = first_use_plain(v->d, "groupnorm", sizes, 0);
    if (st != OK) return st;
    return groupnorm_statistics_plan(v->d, &n->statistics,
                                     (picture_shape){1, height, width, channels}, v->config.groups,
                                     EPSILON);
}

status vae_plan_resnet(vae *v, size_t *scratch, resnet *r, int height, int width)
{
    const unsigned fused = FUSED_NORM | FUSED_SILU;
    status st = OK;
    TRY(vae_plan_norm(v, &r->norm_1, r->conv_1.w.in, height, width));
    TRY(vae_plan_norm(v, &r->norm_2, r->conv_2.w.in, height, width));
    TRY(vae_plan_conv3x3(v, scratch, &r->conv_1, height, width, fused));
    TRY(vae_plan_conv3x3(v, scratch, &r->conv_2, height, width, fused | FUSED_RESIDUAL));
    TRY(vae_plan_conv1x1(v, scratch, &r->shortcut, (size_t)height * (size_t)width, 0));
done:
    return st;
}

status vae_plan_middle(vae *v, size_t *scratch, int height, int width)
{
    const groupnorm_use normalise = {.norm = true, .up = 1};
    picture_shape s = {1, height, width, v->mid_1.conv_1.w.in};
    size_t pixels = (size_t)height * (size_t)width;
    status st = OK;
    TRY(vae_plan_resnet(v, scratch, &v->mid_1, height, width));
    TRY(vae_plan_resnet(v, scratch, &v->mid_2, height, width));
    if (!v->config.mid_attention) goto done;
    TRY(vae_plan_norm(v, &v->mid_norm, s.channels, height, width));
    TRY(groupnorm_apply_plan(v->d, &v->mid_normalise, s, &normalise));
    TRY(vae_plan_conv1x1(v, scratch, &v->mid_qkv, pixels, 0));
    TRY(vae_plan_conv1x1(v, scratch, &v->mid_out, pixels, FUSED_RESIDUAL));
done:
    return st;
}

static int max_channels(const vae_config *c)
{
    int most = c->latent_channels;
    for (int i = 0; i < c->n_levels; i++)
        if (c->channels[i] > most) most = c->channels[i];
    return most;
}

status vae_allocate(vae *v, double values, int height, int width, size_t scratch)
{
    const vae_config *c = &v->config;
    int most = max_channels(c);
    /* statistics of the largest picture; a smaller one needs fewer chunks */
    picture_shape largest = {1, height, width, most};
    attention_shape a = {1, v->height * v->width, 1, c->channels[c->n_levels - 1]};
    size_t scores, tokens = (size_t)v->height * (size_t)v->width;
    status st = OK;
    TRY(buffer_create(v->d, &v->x, (size_t)values, "the VAE's picture"));
    TRY(buffer_create(v->d, &v->y, (size_t)values, "the VAE's picture"));
    TRY(buffer_create(v->d, &v->z, (size_t)values, "the VAE's picture"));
    TRY(buffer_create(v->d, &v->affine, 2 * (size_t)most, "group norm"));
    TRY(buffer_create(v->d, &v->statistics, groupnorm_scratch(v->d, largest, c->groups),
                      "group norm"));
    if (c->mid_attention) {
        TRY(attention_plan(v->d, &v->attention, &scores, a, 0));
        TRY(buffer_create(v->d, &v->qkv, tokens * 3 * (size_t)a.head_dim, "the VAE's qkv"));
        TRY(buffer_create(v->d, &v->scores, scores, "scratch of the VAE's attention"));
    }
    if (scratch) TRY(buffer_create(v->d, &v->scratch, scratch, "the VAE's scratch"));
done:
    return st;
}

static void norm_free(device *d, norm *n)
{
    buffer_release(d, &n->weight);
    buffer_release(d, &n->bias);
}

static void resnet_free(device *d, resnet *r)
{
    norm_free(d, &r->norm_1);
    norm_free(d, &r->norm_2);
    conv_weight_free(d, &r->conv_1.w);
    conv_weight_free(d, &r->conv_2.w);
    gemm_weight_free(d, &r->shortcut.w);
}

void vae_free(vae *v)
{
    device *d = v->d;
    conv_weight_free(d, &v->conv_in.w);
    conv_weight_free(d, &v->conv_out.w);
    gemm_weight_free(d, &v->quant.w);
    gemm_weight_free(d, &v->mid_qkv.w);
    gemm_weight_free(d, &v->mid_out.w);
    resnet_free(d, &v->mid_1);
    resnet_free(d, &v->mid_2);
    norm_free(d, &v->mid_norm);
    norm_free(d, &v->norm_out);
    for (int i = 0; i < VAE_MAX_LEVELS; i++) {
        for (int j = 0; v->levels[i].resnets && j < v->levels[i].n_resnets; j++)
            resnet_free(d, &v->levels[i].resnets[j]);
        free(v->levels[i].resnets);
        conv_weight_free(d, &v->levels[i].up.w);
        gemm_weight_free(d, &v->levels[i].down);
    }
    buf *buffers[] = {&v->x,   &v->y,      &v->z,       &v->affine,  &v->statistics,
                      &v->qkv, &v->scores, &v->scratch, &v->patches, &v->pixels};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) buffer_release(d, buffers[i]);
    *v = (vae){0};
}

/* ---- the forward pass ---- */

/* v->affine = what normalises x. */
static status take_statistics(vae *v, buf x, const norm *n)
{
    return op_groupnorm_statistics(v->d, &n->statistics, v->affine, x, n->weight, n->bias,
                                   v->statistics);
}

status vae_norm_conv(vae *v, buf out, buf x, const norm *n, const conv_3x3 *c, buf residual)
{
    status st = take_statistics(v, x, n);
    if (st != OK) return st;
    return op_conv3x3(v->d, &c->plan,
                      &(conv_buffers){.out = out,
                                      .x = x,
                                      .w = &c->w,
                                      .affine = v->affine,
                                      .residual = residual,
                                      .scratch = v->scratch});
}

status vae_forward_1x1(vae *v, buf out, buf in, const conv_1x1 *c, buf residual)
{
    return op_gemm(
        v->d, &c->plan,
        &(gemm_buffers){
            .out = out, .a = in, .w = &c->w, .residual = residual, .scratch = v->scratch});
}

/* x = (x or its 1x1 shortcut) + conv(SiLU(norm(conv(SiLU(norm(x)))))) */
status vae_forward_resnet(vae *v, const resnet *r)
{
    const buf none = {0};
    status st = OK;
    TRY(vae_norm_conv(v, v->y, v->x, &r->norm_1, &r->conv_1, none));
    if (r->shortcut.w.k) {
        TRY(vae_forward_1x1(v, v->z, v->x, &r->shortcut, none));
        buffer_swap(&v->x, &v->z);
    }
    TRY(vae_norm_conv(v, v->z, v->y, &r->norm_2, &r->conv_2, v->x));
    buffer_swap(&v->x, &v->z);
done:
    return st;
}

/* x += attention over all pixels, one head as wide as the channels */
static status forward_attention(vae *v)
{
    const buf none = {0};
    status st = OK;
    TRY(take_statistics(v, v->x, &v->mid_norm));
    TRY(op_groupnorm_apply(v->d, &v->mid_normalise, v->y, v->x, v->affine));
    TRY(vae_forward_1x1(v, v->qkv, v->y, &v->mid_qkv, none));
    TRY(op_attention(v->d, &v->attention, v->y, v->qkv, v->scores));
    TRY(vae_forward_1x1(v, v->z, v->y, &v->mid_out, v->x));
    buffer_swap(&v->x, &v->z);
done:
    return st;
}

status vae_forward_conv(vae *v, const conv_3x3 *c)
{
    status st = op_conv3x3(
        v->d, &c->plan, &(conv_buffers){.out = v->y, .x = v->x, .w = &c->w, .scratch = v->scratch});
    buffer_swap(&v->x, &v->y);
    return st;
}

status vae_forward_middle(vae *v)
{
    status st = vae_forward_resnet(v, &v->mid_1);
    if (st == OK && v->config.mid_attention) st = forward_attention(v);
    return st == OK ? vae_forward_resnet(v, &v->mid_2) : st;
}
