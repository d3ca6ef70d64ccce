/* Configurations of transformer and VAE. See config.h.
 *
 * An absent key has the default of the class that diffusers 0.42.1 builds from the file. A null
 * counts as a value: only keys whose class allows None accept it. Ranges admit every known model.
 * They are narrow enough that no product of sizes computed from them later overflows. */
#include "checkpoint/config.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/read.h"

enum {
    MAX_WIDTH = 16384,
    MAX_HEAD_DIM = 128,
    MAX_DEPTH = 1024,
    MAX_CLASSES = 10000000,
    MAX_LATENT_CHANNELS = 64,
    MAX_VAE_CHANNELS = 8192,
    MAX_VAE_LAYERS = 16,
    MAX_PICTURE_CHANNELS = 16
};

const char *const compat_names[] = {"original", "diffusers", NULL};

/* ---- transformer ---- */

static status refuse_dit(const reader *r, bool older_class)
{
    static const char *const norms[] = {"ada_norm_zero", NULL};
    static const char *const activations[] = {"gelu-approximate", NULL};
    static const char *const attentions[] = {"default", NULL};
    status st = OK;
    int ignored;
    double scale;
    if (older_class && !json_object_get(r->root, "norm_type"))
        return fail(ERR_FORMAT, "%s: norm_type is missing, expected \"ada_norm_zero\"", r->path);
    TRY(read_word(r, "norm_type", 0, norms, &ignored));
    TRY(read_word(r, "activation_fn", 0, activations, &ignored));
    TRY(read_word(r, "attention_type", 0, attentions, &ignored));
    TRY(read_only_bool(r, "attention_bias", true));
    TRY(read_only_bool(r, "norm_elementwise_affine", false));
    TRY(read_only_bool(r, "only_cross_attention", false));
    TRY(read_only_bool(r, "double_self_attention", false));
    TRY(read_only_null(r, "cross_attention_dim"));
    TRY(read_only_null(r, "num_vector_embeds"));
    TRY(read_only_null(r, "caption_channels"));
    TRY(read_only_null(r, "quantization_config"));
    if (!json_is_null(json_object_get(r->root, "interpolation_scale"))) {
        TRY(read_number(r, "interpolation_scale", 1, 0, 1e6, &scale));
        if (scale != 1)
            return fail(ERR_FORMAT, "%s: interpolation_scale %g is not supported, expected 1",
                        r->path, scale);
    }
done:
    return st;
}

static status read_out_channels(const reader *r, dit_config *c)
{
    const json_t *value = json_object_get(r->root, "out_channels");
    c->out_channels = c->in_channels;
    if (!value || json_is_null(value)) return OK;
    if (!json_is_integer(value) || (json_integer_value(value) != c->in_channels &&
                                    json_integer_value(value) != 2 * c->in_channels))
        return read_wrong(r, "out_channels", value, "in_channels or twice in_channels");
    c->out_channels = (int)json_integer_value(value);
    return OK;
}

/* Checks relations between several keys. */
static status check_dit(const reader *r, const dit_config *c)
{
    if (c->patch != 2 && c->patch != 4 && c->patch != 8)
        return fail(ERR_FORMAT, "%s: patch_size is %d, expected 2, 4 or 8", r->path, c->patch);
    if (c->width > MAX_WIDTH)
        return fail(ERR_FORMAT,
                    "%s: width %d (num_attention_heads %d x attention_head_dim %d) is above %d",
                    r->path, c->width, c->heads, c->head_dim, MAX_WIDTH);
    if (c->width % 4)
        return fail(ERR_FORMAT,
                    "%s: width %d (num_attention_heads %d x attention_head_dim %d) is no "
                    "multiple of 4",
                    r->path, c->width, c->heads, c->head_dim);
    if (c->latent_size % c->patch)
        return fail(ERR_FORMAT, "%s: sample_size %d is not a multiple of patch_size %d", r->path,
                    c->latent_size, c->patch);
    int rows = c->latent_size / c->patch;
    if ((long long)rows * rows * c->width * 4 > INT_MAX)
        return fail(ERR_LIMIT, "%s: %d tokens of width %d are too many for one picture", r->path,
                    rows * rows, c->width);
    return OK;
}

static status read_dit(const reader *r, dit_config *c, const char *fallback)
{
    status st = OK;
    char class_name[80];
    double eps;
    TRY(read_class(r, fallback, class_name, sizeof class_name));
    bool older = !strcmp(class_name, "Transformer2DModel");
    if (!older && strcmp(class_name, "DiTTransformer2DModel"))
        return fail(ERR_FORMAT,
                    "%s: _class_name is %s, expected DiTTransformer2DModel or Transformer2DModel",
                    r->path, class_name);
    TRY(refuse_dit(r, older));
    TRY(read_int(r, "num_attention_heads", 16, 1, MAX_WIDTH, &c->heads));
    TRY(read_int(r, "attention_head_dim", 72, 1, MAX_HEAD_DIM, &c->head_dim));
    c->width = c->heads * c->head_dim;
    TRY(read_int(r, "in_channels", 4, 1, MAX_LATENT_CHANNELS, &c->in_channels));
    TRY(read_out_channels(r, c));
    TRY(read_int(r, "num_layers", 28, 1, MAX_DEPTH, &c->depth));
    TRY(read_int(r, "sample_size", 32, 1, CONFIG_MAX_LATENT_SIZE, &c->latent_size));
    TRY(read_int(r, "patch_size", 2, 1, CONFIG_MAX_LATENT_SIZE, &c->patch));
    TRY(read_int(r, "num_embeds_ada_norm", 1000, 1, MAX_CLASSES, &c->n_classes));
    TRY(read_bool(r, CONFIG_NULL, true, &c->has_null));
    TRY(read_number(r, "norm_eps", 1e-5, 0, 1, &eps));
    c->norm3_eps = (float)eps;
    TRY(check_dit(r, c));
done:
    return st;
}

status config_parse_dit(dit_config *config, const char *json, const char *path,
                        const char *class_name)
{
    reader r;
    *config = (dit_config){0};
    status st = read_open(&r, json, path);
    if (st == OK) st = read_dit(&r, config, class_name);
    if (st != OK) *config = (dit_config){0};
    read_close(&r);
    return st;
}

status config_parse_origin(compat *origin, const char *json, const char *path)
{
    reader r;
    int which = (int)*origin;
    status st = read_open(&r, json, path);
    if (st == OK) st = read_word(&r, CONFIG_ORIGIN, which, compat_names, &which);
    if (st == OK) *origin = (compat)which;
    read_close(&r);
    return st;
}

/* ---- VAE ---- */

static status read_levels(const reader *r, vae_config *c)
{
    char expected[80];
    const json_t *list = json_object_get(r->root, "block_out_channels");
    c->n_levels = 1;
    c->channels[0] = 64;
    if (!list) return OK;
    snprintf(expected, sizeof expected, "a list of 1 to %d integers from 1 to %d", VAE_MAX_LEVELS,
             MAX_VAE_CHANNELS);
    size_t n = json_array_size(list);
    if (n < 1 || n > VAE_MAX_LEVELS) return read_wrong(r, "block_out_channels", list, expected);
    c->n_levels = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        json_int_t channels = json_integer_value(item);
        if (!json_is_integer(item) || channels < 1 || channels > MAX_VAE_CHANNELS)
            return read_wrong(r, "block_out_channels", list, expected);
        c->channels[i] = (int)channels;
    }
    return OK;
}

static status check_block_types(const reader *r, const vae_config *c)
{
    const json_t *list = json_object_get(r->root, "up_block_types");
    char expected[80];
    snprintf(expected, sizeof expected, "\"UpDecoderBlock2D\" %d times, once per level",
             c->n_levels);
    if (!list) {
        if (c->n_levels == 1) return OK;
        return fail(ERR_FORMAT, "%s: up_block_types is missing, expected %s", r->path, expected);
    }
    if (json_array_size(list) != (size_t)c->n_levels)
        return read_wrong(r, "up_block_types", list, expected);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name || strcmp(name, "UpDecoderBlock2D"))
            return read_wrong(r, "up_block_types", list, expected);
    }
    return OK;
}

static status check_groups(const reader *r, const vae_config *c)
{
    for (int i = 0; i < c->n_levels; i++)
        if (c->channels[i] % c->groups)
            return fail(ERR_FORMAT,
                        "%s: norm_num_groups %d does not divide block_out_channels[%d] = %d",
                        r->path, c->groups, i, c->channels[i]);
    return OK;
}

static status read_vae(const reader *r, vae_config *c, const char *fallback)
{
    static const char *const activations[] = {"silu", "swish", NULL};
    status st = OK;
    char class_name[80];
    double scale, shift = 0;
    int ignored;
    TRY(read_class(r, fallback, class_name, sizeof class_name));
    if (strcmp(class_name, "AutoencoderKL"))
        return fail(ERR_FORMAT, "%s: _class_name is %s, expected AutoencoderKL", r->path,
                    class_name);
    TRY(read_word(r, "act_fn", 0, activations, &ignored));
    TRY(read_only_null(r, "latents_mean"));
    TRY(read_only_null(r, "latents_std"));
    TRY(read_only_null(r, "quantization_config"));
    TRY(read_int(r, "in_channels", 3, 1, MAX_PICTURE_CHANNELS, &c->in_channels));
    TRY(read_int(r, "out_channels", 3, 3, 3, &c->out_channels));
    TRY(read_int(r, "latent_channels", 4, 1, MAX_LATENT_CHANNELS, &c->latent_channels));
    TRY(read_int(r, "layers_per_block", 1, 1, MAX_VAE_LAYERS, &c->layers_per_block));
    TRY(read_int(r, "norm_num_groups", 32, 1, MAX_VAE_CHANNELS, &c->groups));
    TRY(read_levels(r, c));
    TRY(check_block_types(r, c));
    TRY(check_groups(r, c));
    TRY(read_number(r, "scaling_factor", 0.18215, 1e-6, 1e6, &scale));
    if (!json_is_null(json_object_get(r->root, "shift_factor")))
        TRY(read_number(r, "shift_factor", 0, -1e6, 1e6, &shift));
    c->scaling_factor = (float)scale;
    c->shift_factor = (float)shift;
    TRY(read_bool(r, "use_quant_conv", true, &c->quant_conv));
    TRY(read_bool(r, "use_post_quant_conv", true, &c->post_quant_conv));
    TRY(read_bool(r, "mid_block_add_attention", true, &c->mid_attention));
done:
    return st;
}

status config_parse_vae(vae_config *config, const char *json, const char *path,
                        const char *class_name)
{
    reader r;
    *config = (vae_config){0};
    status st = read_open(&r, json, path);
    if (st == OK) st = read_vae(&r, config, class_name);
    if (st != OK) *config = (vae_config){0};
    read_close(&r);
    return st;
}
