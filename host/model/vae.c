/* The VAE's decoder. See vae.h. */
#include "model/vae.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/linear.h"

#define EPSILON 1e-6f /* of every group norm */

/* ---- weights ---- */

static void tensor_name(char out[NAME_BYTES], const char *prefix, const char *suffix)
{
    size_t n = strlen(prefix), m = strlen(suffix);
    assert(n + m < NAME_BYTES); /* the longest is half of that */
    memcpy(out, prefix, n);
    memcpy(out + n, suffix, m + 1);
}

static status load_norm(vae *v, norm *n, const char *prefix, int channels)
{
    char name[NAME_BYTES];
    tensor_name(name, prefix, ".weight");
    status st = weights_upload(v->w, v->d, &n->weight, name, SHAPE(channels));
    tensor_name(name, prefix, ".bias");
    return st == OK ? weights_upload(v->w, v->d, &n->bias, name, SHAPE(channels)) : st;
}

/* Matrices [out][in] of 1x1 convolutions, or of several that are computed as one. */
static status load_1x1(vae *v, gemm_weight *c, const char *const *prefixes, int n, int in, int out)
{
    const int product[TUNING_SIZES] = {v->side * v->side, n * out, in};
    if (v->visitor) v->visitor->see(v->visitor->context, "gemm", product);
    return linear_load(v->w, v->d, c, v->side * v->side, prefixes, n,
                       SHAPE((size_t)out, (size_t)in));
}

static status load_conv1x1(vae *v, gemm_weight *c, const char *prefix, int in, int out)
{
    return load_1x1(v, c, &prefix, 1, in, out);
}

static status load_conv3x3(vae *v, conv_weight *c, const char *prefix, int in, int out, int up)
{
    char name[NAME_BYTES], bias_name[NAME_BYTES];
    float *weight = NULL, *bias = NULL;
    status st = OK;
    const tensor *found; /* the file decides what is allocated: look there first */
    *c = (conv_weight){.in = in, .out = out, .up = up};
    tensor_name(bias_name, prefix, ".bias");
    TRY(weights_find(v->w, &found, bias_name, SHAPE(out)));
    tensor_name(name, prefix, ".weight");
    TRY(weights_find(v->w, &found, name, SHAPE(out, in, 3, 3)));
    const int sizes[TUNING_SIZES] = {v->side * v->side, in, out, up};
    if (v->visitor) v->visitor->see(v->visitor->context, "conv", sizes);
    if (!v->d) goto done; /* see vae_check */
    TRY(memory_alloc(&weight, (size_t)in * (size_t)out * 9, sizeof *weight));
    TRY(memory_alloc(&bias, (size_t)out, sizeof *bias));
    TRY(weights_read(v->w, weight, name, SHAPE(out, in, 3, 3)));
    TRY(weights_read(v->w, bias, bias_name, SHAPE(out)));
    TRY(conv_weight_upload(v->d, c, weight, bias,
                           (conv_layer){v->side * v->side, in, out, up}, name));
done:
    free(weight);
    free(bias);
    return st;
}

static status load_resnet(vae *v, resnet *r, const char *prefix, int in, int out)
{
    char name[NAME_BYTES];
    status st = OK;
    tensor_name(name, prefix, ".norm1");
    TRY(load_norm(v, &r->norm_1, name, in));
    tensor_name(name, prefix, ".conv1");
    TRY(load_conv3x3(v, &r->conv_1, name, in, out, 1));
    tensor_name(name, prefix, ".norm2");
    TRY(load_norm(v, &r->norm_2, name, out));
    tensor_name(name, prefix, ".conv2");
    TRY(load_conv3x3(v, &r->conv_2, name, out, out, 1));
    tensor_name(name, prefix, ".conv_shortcut");
    if (in != out) TRY(load_conv1x1(v, &r->shortcut, name, in, out));
done:
    return st;
}

/* q, k and v as one matrix. */
static status load_attention(vae *v, int channels)
{
    static const char *const layers[4] = {"to_q", "to_k", "to_v", "to_out.0"};
    static const char prefix[] = "decoder.mid_block.attentions.0.";
    char names[4][NAME_BYTES], norm_name[NAME_BYTES];
    const char *qkv[3] = {names[0], names[1], names[2]};
    status st = OK;
    for (int i = 0; i < 4; i++) snprintf(names[i], NAME_BYTES, "%s%s", prefix, layers[i]);
    snprintf(norm_name, sizeof norm_name, "%sgroup_norm", prefix);
    TRY(load_norm(v, &v->mid_norm, norm_name, channels));
    TRY(load_1x1(v, &v->mid_qkv, qkv, 3, channels, channels));
    TRY(load_conv1x1(v, &v->mid_out, names[3], channels, channels));
done:
    return st;
}

/* The decoder goes through the levels from the narrowest picture, and widest channels, upwards. */
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
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "decoder.up_blocks.%d.resnets.%d", level, i);
        TRY(load_resnet(v, &v->levels[level].resnets[i], name, i ? channels : in, channels));
    }
    snprintf(name, sizeof name, "decoder.up_blocks.%d.upsamplers.0.conv", level);
    if (level + 1 < c->n_levels)
        TRY(load_conv3x3(v, &v->levels[level].up, name, channels, channels, 2));
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
        TRY(load_conv1x1(v, &v->post_quant, "post_quant_conv", c->latent_channels,
                         c->latent_channels));
    TRY(load_conv3x3(v, &v->conv_in, "decoder.conv_in", c->latent_channels, first, 1));
    TRY(load_resnet(v, &v->mid_1, "decoder.mid_block.resnets.0", first, first));
    if (c->mid_attention) TRY(load_attention(v, first));
    TRY(load_resnet(v, &v->mid_2, "decoder.mid_block.resnets.1", first, first));
    for (int i = 0; i < c->n_levels; i++) TRY(load_level(v, i));
    TRY(load_norm(v, &v->norm_out, "decoder.conv_norm_out", last));
    TRY(load_conv3x3(v, &v->conv_out, "decoder.conv_out", last, c->out_channels, 1));
    weights_ignore(v->w, "encoder."); /* known, and not needed here */
    weights_ignore(v->w, "quant_conv.");
    v->unknown = weights_unused(v->w, &n_unknown);
done:
    return st;
}

static status look(model *m, const layer_visitor *visitor)
{
    vae v = {.w = &m->vae_weights, .config = m->vae, .side = m->dit.latent_size,
             .visitor = visitor};
    int side = v.side, width = level_channels(&m->vae, 0);
    const int attention[TUNING_SIZES] = {1, side * side, 1, width};
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

int vae_scale(const vae_config *c)
{
    return 1 << (c->n_levels - 1);
}

/* The largest picture of channels on the way up, in elements; with a border when padded. */
static double largest_picture(const vae_config *c, int height, int width, double border)
{
    double most = 0;
    for (int i = 0; i < c->n_levels; i++) {
        /* a level's channels at its own size, and at the next one's after its upsampler */
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

double vae_weight_bytes(const vae_config *c)
{
    const double taps = 16; /* in the largest layout; as stored, 9 */
    double total = 0;
    for (int i = 0; i < c->n_levels; i++) {
        double in = level_channels(c, i ? i - 1 : 0), out = level_channels(c, i);
        total += taps * in * out + in * out + (2 * c->layers_per_block + 2) * taps * out * out;
    }
    double first = level_channels(c, 0);
    return 4 * (total + 4 * taps * first * first + 4 * first * first);
}

double vae_activation_bytes(const vae_config *c, int height, int width)
{
    double tokens = (double)height * width, first = level_channels(c, 0);
    return 4 * (3 * largest_picture(c, height, width, 0) + largest_picture(c, height, width, 2) +
                (c->mid_attention ? 9 * tokens * first : 0));
}

/* The product of a 1x1 convolution over `pixels`: checked, and its scratch planned. */
static status plan_1x1(vae *v, size_t *scratch, const gemm_weight *c, size_t pixels)
{
    size_t need = 0;
    enum { ROWS = 4096 };
    if (c->k == 0) return OK;
    /* more rows are more of the same tiles; the remainder stays */
    size_t checked = pixels > 2 * ROWS ? ROWS + pixels % ROWS : pixels;
    status st = gemm_check(v->d, c, (int)checked);
    if (st == OK) st = gemm_scratch(v->d, &need, c, (int)pixels);
    if (need > *scratch) *scratch = need;
    return st;
}

static status plan_products(vae *v, size_t *scratch, int height, int width)
{
    size_t pixels = (size_t)height * (size_t)width;
    status st = OK;
    TRY(plan_1x1(v, scratch, &v->post_quant, pixels));
    TRY(plan_1x1(v, scratch, &v->mid_qkv, pixels));
    TRY(plan_1x1(v, scratch, &v->mid_out, pixels));
    for (int i = 0; i < v->config.n_levels; i++)
        TRY(plan_1x1(v, scratch, &v->levels[i].resnets[0].shortcut, pixels << 2 * i));
done:
    return st;
}

static status plan_conv(vae *v, size_t *scratch, const conv_weight *c, int height, int width)
{
    size_t need = 0;
    status st = conv_scratch(v->d, &need, c, (picture_shape){1, height, width, c->in});
    if (need > *scratch) *scratch = need;
    return st;
}

static status plan_convs(vae *v, size_t *scratch, int height, int width)
{
    status st = OK;
    TRY(plan_conv(v, scratch, &v->conv_in, height, width));
    TRY(plan_conv(v, scratch, &v->mid_1.conv_1, height, width));
    for (int i = 0; i < v->config.n_levels; i++) {
        const vae_level *l = &v->levels[i];
        for (int j = 0; j < 2; j++) { /* those after the second are like it */
            TRY(plan_conv(v, scratch, &l->resnets[j].conv_1, height << i, width << i));
            TRY(plan_conv(v, scratch, &l->resnets[j].conv_2, height << i, width << i));
        }
        if (l->up.in) TRY(plan_conv(v, scratch, &l->up, height << i, width << i));
    }
    height <<= v->config.n_levels - 1;
    width <<= v->config.n_levels - 1;
    TRY(plan_conv(v, scratch, &v->conv_out, height, width));
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

status vae_prepare(vae *v, int height, int width)
{
    const vae_config *c = &v->config;
    double picture = largest_picture(c, height, width, 0);
    double padded = largest_picture(c, height, width, 2);
    int scale = vae_scale(c), most = max_channels(c);
    /* statistics of the largest picture; a smaller one needs fewer chunks */
    picture_shape largest = {1, height * scale, width * scale, most};
    attention_shape a = {1, height * width, 1, level_channels(c, 0)};
    size_t scratch = 0, scores, tokens = (size_t)height * (size_t)width;
    status st = OK;
    if (padded > INT_MAX)
        return fail(ERR_LIMIT, "decoding %d x %d pixels: a picture of %.0f values is too large",
                    width * scale, height * scale, padded);
    v->height = height;
    v->width = width;
    /* first, since the check needs memory of its own for a moment */
    TRY(plan_products(v, &scratch, height, width));
    TRY(plan_convs(v, &scratch, height, width));
    TRY(buffer_create(v->d, &v->x, (size_t)picture, "the decoder's picture"));
    TRY(buffer_create(v->d, &v->y, (size_t)picture, "the decoder's picture"));
    TRY(buffer_create(v->d, &v->z, (size_t)picture, "the decoder's picture"));
    TRY(buffer_create(v->d, &v->affine, 2 * (size_t)most, "group norm"));
    TRY(buffer_create(v->d, &v->statistics, groupnorm_scratch(largest, c->groups), "group norm"));
    if (c->mid_attention) {
        TRY(attention_scratch(v->d, &scores, a));
        TRY(buffer_create(v->d, &v->qkv, tokens * 3 * (size_t)a.head_dim, "the decoder's qkv"));
        TRY(buffer_create(v->d, &v->scores, scores, "scratch of the decoder's attention"));
    }
    if (scratch) TRY(buffer_create(v->d, &v->scratch, scratch, "the decoder's scratch"));
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
    conv_weight_free(d, &r->conv_1);
    conv_weight_free(d, &r->conv_2);
    gemm_weight_free(d, &r->shortcut);
}

void vae_free(vae *v)
{
    device *d = v->d;
    conv_weight_free(d, &v->conv_in);
    conv_weight_free(d, &v->conv_out);
    gemm_weight_free(d, &v->post_quant);
    gemm_weight_free(d, &v->mid_qkv);
    gemm_weight_free(d, &v->mid_out);
    resnet_free(d, &v->mid_1);
    resnet_free(d, &v->mid_2);
    norm_free(d, &v->mid_norm);
    norm_free(d, &v->norm_out);
    for (int i = 0; i < VAE_MAX_LEVELS; i++) {
        for (int j = 0; v->levels[i].resnets && j <= v->config.layers_per_block; j++)
            resnet_free(d, &v->levels[i].resnets[j]);
        free(v->levels[i].resnets);
        conv_weight_free(d, &v->levels[i].up);
    }
    buf *buffers[] = {&v->x,   &v->y,    &v->z,      &v->affine, &v->statistics,
                      &v->qkv, &v->scores, &v->scratch};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) buffer_release(d, buffers[i]);
    *v = (vae){0};
}

/* ---- decoding ---- */

/* out = [residual +] conv(SiLU(group norm(x))) */
static status norm_silu_conv(vae *v, buf out, buf x, const norm *n, const conv_weight *c,
                             picture_shape s, buf residual)
{
    conv_use use = {.affine = v->affine, .silu = true, .residual = residual};
    status st = op_groupnorm_statistics(v->d, v->affine, x, n->weight, n->bias, v->statistics, s,
                                        v->config.groups, EPSILON);
    return st == OK ? op_conv3x3(v->d, out, x, c, s, &use, v->scratch) : st;
}

static status conv_1x1(vae *v, buf out, buf in, const gemm_weight *c, picture_shape s,
                       buf residual)
{
    int pixels = s.height * s.width;
    gemm_epilogue e = {.residual = residual, .residual_rows = pixels};
    return op_gemm(v->d, out, in, c, pixels, &e, v->scratch);
}

/* x = (x or its 1x1 shortcut) + conv(SiLU(norm(conv(SiLU(norm(x)))))) */
static status forward_resnet(vae *v, const resnet *r, picture_shape *s)
{
    const buf none = {0};
    picture_shape out = *s;
    status st = OK;
    out.channels = r->conv_1.out;
    TRY(norm_silu_conv(v, v->y, v->x, &r->norm_1, &r->conv_1, *s, none));
    if (r->shortcut.k) {
        TRY(conv_1x1(v, v->z, v->x, &r->shortcut, *s, none));
        buffer_swap(&v->x, &v->z);
    }
    TRY(norm_silu_conv(v, v->z, v->y, &r->norm_2, &r->conv_2, out, v->x));
    buffer_swap(&v->x, &v->z);
    *s = out;
done:
    return st;
}

/* x += attention over all pixels, one head as wide as the channels */
static status forward_attention(vae *v, picture_shape s)
{
    attention_shape a = {1, s.height * s.width, 1, s.channels};
    groupnorm_use use = {.affine = v->affine, .up = 1};
    const buf none = {0};
    status st = OK;
    TRY(op_groupnorm_statistics(v->d, v->affine, v->x, v->mid_norm.weight, v->mid_norm.bias,
                                v->statistics, s, v->config.groups, EPSILON));
    TRY(op_groupnorm_apply(v->d, v->y, v->x, s, &use));
    TRY(conv_1x1(v, v->qkv, v->y, &v->mid_qkv, s, none));
    TRY(op_attention(v->d, v->y, v->qkv, v->scores, a));
    TRY(conv_1x1(v, v->z, v->y, &v->mid_out, s, v->x));
    buffer_swap(&v->x, &v->z);
done:
    return st;
}

/* x = conv(x), enlarged before */
static status forward_conv(vae *v, const conv_weight *c, picture_shape *s)
{
    const conv_use plain = {0};
    status st = op_conv3x3(v->d, v->y, v->x, c, *s, &plain, v->scratch);
    buffer_swap(&v->x, &v->y);
    s->height *= c->up;
    s->width *= c->up;
    s->channels = c->out;
    return st;
}

status vae_decode(vae *v, buf *image, buf latents, int picture)
{
    const vae_config *c = &v->config;
    const buf none = {0};
    picture_shape s = {1, v->height, v->width, c->latent_channels};
    status st = OK;
    TRY(op_to_pixels(v->d, v->x, latents, picture, c->latent_channels, v->height * v->width,
                     1.0f / c->scaling_factor, c->shift_factor));
    if (c->post_quant_conv) {
        TRY(conv_1x1(v, v->y, v->x, &v->post_quant, s, none));
        buffer_swap(&v->x, &v->y);
    }
    TRY(forward_conv(v, &v->conv_in, &s));
    TRY(forward_resnet(v, &v->mid_1, &s));
    if (c->mid_attention) TRY(forward_attention(v, s));
    TRY(forward_resnet(v, &v->mid_2, &s));
    for (int i = 0; i < c->n_levels; i++) {
        for (int j = 0; j <= c->layers_per_block; j++)
            TRY(forward_resnet(v, &v->levels[i].resnets[j], &s));
        if (v->levels[i].up.in) TRY(forward_conv(v, &v->levels[i].up, &s));
    }
    TRY(norm_silu_conv(v, v->y, v->x, &v->norm_out, &v->conv_out, s, none));
    *image = v->y;
done:
    return st;
}
