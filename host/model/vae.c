/* The VAE's decoder. See vae.h. */
#include "model/vae.h"

#include <limits.h>
#include <stdio.h>

#include "base/memory.h"
#include "model/vae_layers.h"

/* ---- weights ---- */

/* The decoder runs the levels from the smallest picture, with most channels, to the largest. */
static int level_channels(const vae_config *c, int level)
{
    return c->channels[c->n_levels - 1 - level];
}

static status load_level(vae *v, int level)
{
    const vae_config *c = &v->config;
    int channels = level_channels(c, level), n = c->layers_per_block + 1;
    int in = level_channels(c, level ? level - 1 : 0);
    char name[NAME_BYTES];
    status st = OK;
    TRY(memory_alloc(&v->levels[level].resnets, (size_t)n, sizeof(resnet)));
    v->levels[level].n_resnets = n;
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "decoder.up_blocks.%d.resnets.%d", level, i);
        TRY(vae_load_resnet(v, &v->levels[level].resnets[i], name, i ? channels : in, channels));
    }
    snprintf(name, sizeof name, "decoder.up_blocks.%d.upsamplers.0.conv", level);
    if (level + 1 < c->n_levels)
        TRY(vae_load_conv3x3(v, &v->levels[level].up, name, channels, channels, 2, 0));
    if (level + 1 < c->n_levels) v->side *= 2;
done:
    return st;
}

static status load_all(vae *v)
{
    const vae_config *c = &v->config;
    int first = level_channels(c, 0), last = level_channels(c, c->n_levels - 1);
    size_t n_unknown;
    status st = OK;
    if (c->post_quant_conv)
        TRY(vae_load_conv1x1(v, &v->quant, "post_quant_conv", c->latent_channels,
                             c->latent_channels));
    TRY(vae_load_conv3x3(v, &v->conv_in, "decoder.conv_in", c->latent_channels, first, 1, 0));
    TRY(vae_load_middle(v, "decoder", first));
    for (int i = 0; i < c->n_levels; i++) TRY(load_level(v, i));
    TRY(vae_load_norm(v, &v->norm_out, "decoder.conv_norm_out", last));
    TRY(vae_load_conv3x3(v, &v->conv_out, "decoder.conv_out", last, c->out_channels, 1,
                         FUSED_NORM));
    weights_ignore(v->w, "encoder."); /* known tensors that the decoder does not need */
    weights_ignore(v->w, "quant_conv.");
    v->unknown = weights_unused(v->w, &n_unknown);
done:
    return st;
}

static status look(model *m, const layer_visitor *visitor)
{
    device dry = device_dry_plain(FAMILY_GPU);
    vae v = {.d = &dry,
             .w = &m->vae_weights,
             .config = m->vae,
             .side = m->dit.latent_size,
             .visitor = visitor};
    int side = v.side, width = level_channels(&m->vae, 0);
    const int attention[SHAPE_SIZES] = {1, side * side, 1, width};
    if (visitor && m->vae.mid_attention) visitor->see(visitor->context, "attention", attention);
    status st = load_all(&v);
    vae_free(&v);
    return st;
}

status vae_check(model *m)
{
    return look(m, NULL);
}

status vae_visit(model *m, const layer_visitor *v)
{
    return look(m, v);
}

status vae_load(vae *v, device *d, model *m)
{
    *v = (vae){.d = d, .w = &m->vae_weights, .config = m->vae, .side = m->dit.latent_size};
    status st = load_all(v);
    if (st != OK) vae_free(v);
    return st;
}

/* ---- memory ---- */

/* Elements of the decoder's largest activation; border: pixels that padding adds to a row. */
static double largest_picture(const vae_config *c, int height, int width, double border)
{
    double most = 0;
    for (int i = 0; i < c->n_levels; i++) {
        /* the channels of a level, at its size and at the upsampled size */
        double scale = (double)(1 << i), next = i + 1 < c->n_levels ? 2 : 1;
        double in = level_channels(c, i ? i - 1 : 0), out = level_channels(c, i);
        if (in < c->latent_channels) in = c->latent_channels;
        if (out < c->out_channels) out = c->out_channels;
        double area = (height * scale + border) * (width * scale + border) + 32;
        double up = (height * scale * next + border) * (width * scale * next + border) + 32;
        double need = area * in > up * out ? area * in : up * out;
        if (need > most) most = need;
    }
    return most;
}

/* Plans all layers, and raises *scratch to what they need. */
static status plan_layers(vae *v, size_t *scratch, int height, int width)
{
    const vae_config *c = &v->config;
    int area = height * width;
    status st = OK;
    TRY(to_pixels_plan(v->d, &v->to_pixels, c->latent_channels, area, 1.0f / c->scaling_factor,
                       c->shift_factor));
    TRY(vae_plan_conv1x1(v, scratch, &v->quant, (size_t)area, 0));
    TRY(vae_plan_conv3x3(v, scratch, &v->conv_in, height, width, 0));
    TRY(vae_plan_middle(v, scratch, height, width));
    for (int i = 0; i < c->n_levels; i++) {
        vae_level *l = &v->levels[i];
        for (int j = 0; j < l->n_resnets; j++)
            TRY(vae_plan_resnet(v, scratch, &l->resnets[j], height << i, width << i));
        TRY(vae_plan_conv3x3(v, scratch, &l->up, height << i, width << i, 0));
    }
    height <<= c->n_levels - 1;
    width <<= c->n_levels - 1;
    TRY(vae_plan_norm(v, &v->norm_out, v->conv_out.w.in, height, width));
    TRY(vae_plan_conv3x3(v, scratch, &v->conv_out, height, width, FUSED_NORM | FUSED_SILU));
done:
    return st;
}

status vae_prepare(vae *v, int height, int width)
{
    const vae_config *c = &v->config;
    double padded = largest_picture(c, height, width, 2);
    int scale = vae_scale(c);
    size_t scratch = 0;
    status st = OK;
    if (padded > INT_MAX)
        return fail(ERR_LIMIT, "decoding %d x %d pixels: a picture of %.0f values is too large",
                    width * scale, height * scale, padded);
    v->height = height;
    v->width = width;
    /* before the buffers, since the check needs memory for a moment */
    TRY(plan_layers(v, &scratch, height, width));
    TRY(vae_allocate(v, largest_picture(c, height, width, 0), height * scale, width * scale,
                     scratch));
done:
    return st;
}

/* ---- decoding ---- */

status vae_decode(vae *v, buf *image, buf latents, int picture)
{
    const vae_config *c = &v->config;
    const buf none = {0};
    status st = OK;
    TRY(op_to_pixels(v->d, &v->to_pixels, v->x, latents, picture));
    if (c->post_quant_conv) {
        TRY(vae_forward_1x1(v, v->y, v->x, &v->quant, none));
        buffer_swap(&v->x, &v->y);
    }
    TRY(vae_forward_conv(v, &v->conv_in));
    TRY(vae_forward_middle(v));
    for (int i = 0; i < c->n_levels; i++) {
        for (int j = 0; j < v->levels[i].n_resnets; j++)
            TRY(vae_forward_resnet(v, &v->levels[i].resnets[j]));
        if (v->levels[i].up.w.in) TRY(vae_forward_conv(v, &v->levels[i].up));
    }
    TRY(vae_norm_conv(v, v->y, v->x, &v->norm_out, &v->conv_out, none));
    *image = v->y;
done:
    return st;
}
