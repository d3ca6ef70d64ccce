/* The VAE's encoder. See vae.h. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "base/memory.h"
#include "model/vae_layers.h"
#include "ops/first_use.h"

/* ---- weights ---- */

/* Input channels of a level. */
static int level_in(const vae_config *c, int level)
{
    return c->channels[level ? level - 1 : 0];
}

static int rows_at_once(const vae *v, int level)
{
    picture_shape s = {1, v->side, v->side, v->config.channels[level]};
    return downsample_rows(s);
}

static status load_level(vae *v, int level)
{
    const vae_config *c = &v->config;
    vae_level *l = &v->levels[level];
    const char *down;
    size_t channels = (size_t)c->channels[level];
    char name[NAME_BYTES];
    status st = OK;
    TRY(memory_alloc(&l->resnets, (size_t)c->layers_per_block, sizeof *l->resnets));
    l->n_resnets = c->layers_per_block;
    for (int i = 0; i < l->n_resnets; i++) {
        snprintf(name, sizeof name, "encoder.down_blocks.%d.resnets.%d", level, i);
        TRY(vae_load_resnet(v, &l->resnets[i], name, i ? c->channels[level] : level_in(c, level),
                            c->channels[level]));
    }
    if (level + 1 == c->n_levels) goto done;
    snprintf(name, sizeof name, "encoder.down_blocks.%d.downsamplers.0.conv", level);
    down = name;
    TRY(linear_load(v->w, v->d, &l->down, rows_at_once(v, level), &down, 1,
                    SHAPE(channels, channels, 3, 3), 0));
    v->side /= 2;
done:
    return st;
}

/* The layers of another topology are an error, since they would be ignored. */
static status check_unused(vae *v)
{
    size_t n_unknown;
    weights_ignore(v->w, "decoder.");
    weights_ignore(v->w, "post_quant_conv.");
    v->unknown = weights_unused(v->w, &n_unknown);
    if (!v->unknown || strncmp(v->unknown, "encoder.", strlen("encoder.")) != 0) return OK;
    return fail(ERR_FORMAT, "%s: unknown tensor %s: not an encoder of DownEncoderBlock2D",
                v->w->file.path, v->unknown);
}

static bool has_encoder(const weights *w)
{
    return w->generated || weights_has(w, "encoder.conv_in.weight");
}

bool vae_has_encoder(const model *m)
{
    return has_encoder(&m->vae_weights);
}

static status load_all(vae *v)
{
    const vae_config *c = &v->config;
    int last = c->channels[c->n_levels - 1], moments = 2 * c->latent_channels;
    status st = OK;
    if (!has_encoder(v->w))
        return fail(ERR_FORMAT, "%s: holds no encoder: this VAE can only decode", v->w->file.path);
    if (c->in_channels != 3)
        return fail(ERR_FORMAT, "%s: its encoder takes pictures of %d channels, expected 3",
                    v->w->file.path, c->in_channels);
    TRY(vae_load_conv3x3(v, &v->conv_in, "encoder.conv_in", c->in_channels, c->channels[0], 1, 0));
    for (int i = 0; i < c->n_levels; i++) TRY(load_level(v, i));
    TRY(vae_load_middle(v, "encoder", last));
    TRY(vae_load_norm(v, &v->norm_out, "encoder.conv_norm_out", last));
    TRY(vae_load_conv3x3(v, &v->conv_out, "encoder.conv_out", last, moments, 1, FUSED_NORM));
    if (c->quant_conv) TRY(vae_load_conv1x1(v, &v->quant, "quant_conv", moments, moments));
    TRY(check_unused(v));
done:
    return st;
}

static vae of_model(device *d, model *m)
{
    int side = m->dit.latent_size ? m->dit.latent_size * vae_scale(&m->vae) : 256;
    return (vae){.d = d, .w = &m->vae_weights, .config = m->vae, .side = side};
}

status vae_check_encoder(model *m)
{
    device dry = device_dry_plain(FAMILY_GPU);
    vae v = of_model(&dry, m);
    status st = load_all(&v);
    vae_free(&v);
    return st;
}

status vae_load_encoder(vae *v, device *d, model *m)
{
    *v = of_model(d, m);
    status st = load_all(v);
    if (st != OK) vae_free(v);
    return st;
}

/* ---- memory ---- */

/* Elements of the encoder's largest activation; border: pixels that padding adds to a row. */
static double largest_picture(const vae_config *c, int height, int width, double border)
{
    double most = 0, moments = 2.0 * c->latent_channels;
    for (int i = 0; i < c->n_levels; i++) {
        double channels = c->channels[i] > level_in(c, i) ? c->channels[i] : level_in(c, i);
        if (i == 0 && channels < c->in_channels) channels = c->in_channels;
        if (i + 1 == c->n_levels && channels < moments) channels = moments;
        double need = ((height >> i) + border) * ((width >> i) + border) * channels;
        if (need > most) most = need;
    }
    return most + 32 * (double)c->channels[c->n_levels - 1];
}

static status plan_downsample(vae *v, size_t *scratch, vae_level *l, picture_shape s)
{
    int rows = downsample_rows(s);
    size_t need = 0;
    if ((size_t)rows * 9 * (size_t)s.channels > v->n_patches)
        v->n_patches = (size_t)rows * 9 * (size_t)s.channels;
    status st = downsample_plan(v->d, &l->use_down, &need, &l->down, s, rows);
    if (need > *scratch) *scratch = need;
    return st;
}

static status plan_level(vae *v, size_t *scratch, int level, int height, int width)
{
    vae_level *l = &v->levels[level];
    status st = OK;
    for (int i = 0; i < l->n_resnets; i++)
        TRY(vae_plan_resnet(v, scratch, &l->resnets[i], height, width));
    if (l->down.k)
        TRY(plan_downsample(v, scratch, l,
                            (picture_shape){1, height, width, v->config.channels[level]}));
done:
    return st;
}

status vae_prepare_encoder(vae *v, int height, int width)
{
    const vae_config *c = &v->config;
    int scale = vae_scale(c), full_height = height * scale, full_width = width * scale;
    static const int any[SHAPE_SIZES] = {1, 1};
    size_t scratch = 0;
    double padded = largest_picture(c, full_height, full_width, 2);
    status st = OK;
    if (padded > INT_MAX)
        return fail(ERR_LIMIT, "encoding %d x %d pixels: a picture of %.0f values is too large",
                    full_width, full_height, padded);
    v->height = height;
    v->width = width;
    if (c->n_levels > 1) TRY(first_use_plain(v->d, "downsample", any, 0));
    TRY(vae_plan_conv3x3(v, &scratch, &v->conv_in, full_height, full_width, 0));
    for (int i = 0; i < c->n_levels; i++)
        TRY(plan_level(v, &scratch, i, full_height >> i, full_width >> i));
    TRY(vae_plan_middle(v, &scratch, height, width));
    TRY(vae_plan_norm(v, &v->norm_out, v->conv_out.w.in, height, width));
    TRY(vae_plan_conv3x3(v, &scratch, &v->conv_out, height, width, FUSED_NORM | FUSED_SILU));
    TRY(vae_plan_conv1x1(v, &scratch, &v->quant, (size_t)height * (size_t)width, 0));
    TRY(vae_allocate(v, largest_picture(c, full_height, full_width, 0), full_height, full_width,
                     scratch));
    TRY(buffer_create(v->d, &v->pixels, (size_t)full_height * (size_t)full_width * 3,
                      "the encoder's picture"));
    if (v->n_patches) TRY(buffer_create(v->d, &v->patches, v->n_patches, "patches of the encoder"));
done:
    return st;
}

/* ---- encoding ---- */

static status forward_level(vae *v, const vae_level *l)
{
    status st = OK;
    for (int i = 0; i < l->n_resnets; i++) TRY(vae_forward_resnet(v, &l->resnets[i]));
    if (!l->down.k) goto done;
    TRY(op_downsample(v->d, &l->use_down,
                      &(downsample_buffers){.out = v->y,
                                            .x = v->x,
                                            .w = &l->down,
                                            .patches = v->patches,
                                            .part = v->z,
                                            .product = v->scratch}));
    buffer_swap(&v->x, &v->y);
done:
    return st;
}

/* v->x = the moments [h*w][2C] of v->pixels. */
static status forward(vae *v)
{
    const vae_config *c = &v->config;
    const buf none = {0};
    status st = OK;
    TRY(op_conv3x3(
        v->d, &v->conv_in.plan,
        &(conv_buffers){.out = v->x, .x = v->pixels, .w = &v->conv_in.w, .scratch = v->scratch}));
    for (int i = 0; i < c->n_levels; i++) TRY(forward_level(v, &v->levels[i]));
    TRY(vae_forward_middle(v));
    TRY(vae_norm_conv(v, v->y, v->x, &v->norm_out, &v->conv_out, none));
    buffer_swap(&v->x, &v->y);
    if (c->quant_conv) {
        TRY(vae_forward_1x1(v, v->y, v->x, &v->quant, none));
        buffer_swap(&v->x, &v->y);
    }
done:
    return st;
}

status vae_encode(vae *v, float *moments, const float *pixels)
{
    size_t scale = (size_t)vae_scale(&v->config), area = (size_t)v->height * (size_t)v->width;
    size_t channels = 2 * (size_t)v->config.latent_channels, count = area * channels;
    float *rows = NULL;
    status st = OK;
    TRY(memory_alloc(&rows, count, sizeof *rows));
    TRY(buffer_upload(v->d, v->pixels, 0, pixels, area * scale * scale * 3));
    TRY(forward(v));
    TRY(buffer_download(v->d, v->x, 0, rows, count));
    for (size_t i = 0; i < count; i++) {
        if (!float_is_finite(rows[i]))
            TRY(fail(ERR_DEVICE, "the encoder's moments are not finite at row %zu, column %zu",
                     i / channels / (size_t)v->width, i / channels % (size_t)v->width));
        moments[i % channels * area + i / channels] = rows[i];
    }
done:
    free(rows);
    return st;
}

void vae_sample(float *latents, const float *moments, const float *noise, const vae_config *c,
                size_t area)
{
    const float least = -30, most = 20; /* limits of the variance's logarithm */
    size_t count = area * (size_t)c->latent_channels;
    for (size_t i = 0; i < count; i++) {
        float z = moments[i];
        if (noise) {
            float log_variance = fminf(fmaxf(moments[count + i], least), most);
            z += expf(0.5f * log_variance) * noise[i];
        }
        latents[i] = (z - c->shift_factor) * c->scaling_factor;
    }
}
