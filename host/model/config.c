/* Configurations. See config.h.
 *
 * Each key is read with its type and range; an absent key has the default of the class that
 * diffusers 0.42.1 builds from the file. Null counts as a value: only keys whose class allows None
 * take it. Ranges are wide enough for any model there is, and narrow enough that no product of
 * sizes made from them later overflows. */
#include "model/config.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

enum {
    MAX_WIDTH = 16384,
    MAX_HEAD_DIM = 128,
    MAX_DEPTH = 1024,
    MAX_CLASSES = 10000000,
    MAX_LATENT_SIZE = 1024,
    MAX_LATENT_CHANNELS = 64,
    MAX_VAE_CHANNELS = 8192,
    MAX_VAE_LAYERS = 16,
    MAX_PICTURE_CHANNELS = 16,
    MAX_TRAIN_STEPS = 100000
};

const char *const compat_names[] = {"original", "diffusers", NULL};

/* A parsed file and the name it goes by in messages. */
typedef struct {
    json_t *root;
    const char *path;
} reader;

/* ---- reading one key ---- */

static status reader_open(reader *r, const char *json, const char *path)
{
    json_error_t error;
    *r = (reader){json_loads(json, JSON_REJECT_DUPLICATES, &error), path};
    if (!r->root)
        return fail(ERR_FORMAT, "%s: not valid JSON: %s (line %d, column %d)", path, error.text,
                    error.line, error.column);
    if (!json_is_object(r->root))
        return fail(ERR_FORMAT, "%s: holds no JSON object ({...}) at the top level", path);
    return OK;
}

static void reader_close(reader *r)
{
    json_decref(r->root);
    r->root = NULL;
}

/* "path: key is X, expected ..." */
static status wrong(const reader *r, const char *key, const json_t *found, const char *expected)
{
    char *dump = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);
    fail(ERR_FORMAT, "%s: %s is %.60s%s, expected %s", r->path, key, dump ? dump : "?",
         dump && strlen(dump) > 60 ? "..." : "", expected);
    free(dump);
    return ERR_FORMAT;
}

static status read_int(const reader *r, const char *key, int fallback, int low, int high, int *out)
{
    const json_t *value = json_object_get(r->root, key);
    *out = fallback;
    if (!value) return OK;
    char expected[80];
    snprintf(expected, sizeof expected, "an integer from %d to %d", low, high);
    if (!json_is_integer(value)) return wrong(r, key, value, expected);
    json_int_t number = json_integer_value(value);
    if (number < low || number > high) return wrong(r, key, value, expected);
    *out = (int)number;
    return OK;
}

/* low and high are excluded. */
static status read_number(const reader *r, const char *key, double fallback, double low,
                          double high, double *out)
{
    const json_t *value = json_object_get(r->root, key);
    *out = fallback;
    if (!value) return OK;
    char expected[80];
    snprintf(expected, sizeof expected, "a number above %g and below %g", low, high);
    if (!json_is_number(value)) return wrong(r, key, value, expected);
    double number = json_number_value(value);
    if (!(number > low && number < high)) return wrong(r, key, value, expected);
    *out = number;
    return OK;
}

static status read_bool(const reader *r, const char *key, bool fallback, bool *out)
{
    const json_t *value = json_object_get(r->root, key);
    *out = fallback;
    if (!value) return OK;
    if (!json_is_boolean(value)) return wrong(r, key, value, "true or false");
    *out = json_is_true(value);
    return OK;
}

/* *out = the index of the key's string among words, which end with a null pointer. */
static status read_word(const reader *r, const char *key, int fallback, const char *const *words,
                        int *out)
{
    const json_t *value = json_object_get(r->root, key);
    *out = fallback;
    if (!value) return OK;
    char expected[200];
    size_t used = 0;
    for (int i = 0; words[i]; i++) {
        if (json_is_string(value) && !strcmp(json_string_value(value), words[i])) {
            *out = i;
            return OK;
        }
        int n = snprintf(expected + used, sizeof expected - used, "%s\"%s\"", i ? " or " : "",
                         words[i]);
        if (n > 0 && (size_t)n < sizeof expected - used) used += (size_t)n;
    }
    return wrong(r, key, value, expected);
}

/* ---- refusing what is not supported ---- */

static status must_be_bool(const reader *r, const char *key, bool needed)
{
    bool found;
    status st = read_bool(r, key, needed, &found);
    if (st == OK && found != needed)
        return fail(ERR_FORMAT, "%s: %s %s is not supported", r->path, key,
                    found ? "true" : "false");
    return st;
}

static status must_be_absent(const reader *r, const char *key)
{
    const json_t *value = json_object_get(r->root, key);
    if (!value || json_is_null(value)) return OK;
    return wrong(r, key, value, "null: nothing else is supported");
}

/* The class is part of the format: without it, any JSON object would pass for a model. */
static status read_class(const reader *r, char *name, size_t size)
{
    const json_t *value = json_object_get(r->root, "_class_name");
    if (!value) return fail(ERR_FORMAT, "%s: _class_name is missing", r->path);
    if (!json_is_string(value)) return wrong(r, "_class_name", value, "a string");
    text_copy(name, size, json_string_value(value));
    return OK;
}

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
    TRY(must_be_bool(r, "attention_bias", true));
    TRY(must_be_bool(r, "norm_elementwise_affine", false));
    TRY(must_be_bool(r, "only_cross_attention", false));
    TRY(must_be_bool(r, "double_self_attention", false));
    TRY(must_be_absent(r, "cross_attention_dim"));
    TRY(must_be_absent(r, "num_vector_embeds"));
    TRY(must_be_absent(r, "caption_channels"));
    TRY(must_be_absent(r, "quantization_config"));
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
        return wrong(r, "out_channels", value, "in_channels or twice in_channels");
    c->out_channels = (int)json_integer_value(value);
    return OK;
}

/* What one key cannot say alone. */
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
        return fail(ERR_FORMAT, "%s: sample_size %d is no multiple of patch_size %d", r->path,
                    c->latent_size, c->patch);
    int rows = c->latent_size / c->patch;
    if ((long long)rows * rows * c->width * 4 > INT_MAX)
        return fail(ERR_LIMIT, "%s: %d tokens of width %d are too many for one picture", r->path,
                    rows * rows, c->width);
    return OK;
}

static status read_dit(const reader *r, dit_config *c)
{
    status st = OK;
    char class_name[80];
    double eps;
    TRY(read_class(r, class_name, sizeof class_name));
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
    TRY(read_int(r, "sample_size", 32, 1, MAX_LATENT_SIZE, &c->latent_size));
    TRY(read_int(r, "patch_size", 2, 1, MAX_LATENT_SIZE, &c->patch));
    TRY(read_int(r, "num_embeds_ada_norm", 1000, 1, MAX_CLASSES, &c->n_classes));
    TRY(read_number(r, "norm_eps", 1e-5, 0, 1, &eps));
    c->norm3_eps = (float)eps;
    TRY(check_dit(r, c));
done:
    return st;
}

status config_parse_dit(dit_config *config, const char *json, const char *path)
{
    reader r;
    *config = (dit_config){0};
    status st = reader_open(&r, json, path);
    if (st == OK) st = read_dit(&r, config);
    if (st != OK) *config = (dit_config){0};
    reader_close(&r);
    return st;
}

status config_parse_origin(compat *origin, const char *json, const char *path)
{
    reader r;
    int which = (int)*origin;
    status st = reader_open(&r, json, path);
    if (st == OK) st = read_word(&r, CONFIG_ORIGIN, which, compat_names, &which);
    if (st == OK) *origin = (compat)which;
    reader_close(&r);
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
    if (n < 1 || n > VAE_MAX_LEVELS) return wrong(r, "block_out_channels", list, expected);
    c->n_levels = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        json_int_t channels = json_integer_value(item);
        if (!json_is_integer(item) || channels < 1 || channels > MAX_VAE_CHANNELS)
            return wrong(r, "block_out_channels", list, expected);
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
        return wrong(r, "up_block_types", list, expected);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name || strcmp(name, "UpDecoderBlock2D"))
            return wrong(r, "up_block_types", list, expected);
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

static status read_vae(const reader *r, vae_config *c)
{
    static const char *const activations[] = {"silu", "swish", NULL};
    status st = OK;
    char class_name[80];
    double scale, shift = 0;
    int ignored;
    TRY(read_class(r, class_name, sizeof class_name));
    if (strcmp(class_name, "AutoencoderKL"))
        return fail(ERR_FORMAT, "%s: _class_name is %s, expected AutoencoderKL", r->path,
                    class_name);
    TRY(read_word(r, "act_fn", 0, activations, &ignored));
    TRY(must_be_absent(r, "latents_mean"));
    TRY(must_be_absent(r, "latents_std"));
    TRY(must_be_absent(r, "quantization_config"));
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

status config_parse_vae(vae_config *config, const char *json, const char *path)
{
    reader r;
    *config = (vae_config){0};
    status st = reader_open(&r, json, path);
    if (st == OK) st = read_vae(&r, config);
    if (st != OK) *config = (vae_config){0};
    reader_close(&r);
    return st;
}

/* ---- scheduler ---- */

static status read_trained_betas(const reader *r, const json_t *list, schedule_config *c)
{
    status st = OK;
    char expected[80];
    snprintf(expected, sizeof expected, "a list of %d numbers (num_train_timesteps)", c->n_train);
    if (json_array_size(list) != (size_t)c->n_train)
        return wrong(r, "trained_betas", list, expected);
    TRY(memory_alloc(&c->trained_betas, (size_t)c->n_train, sizeof *c->trained_betas));
    c->betas = BETAS_TRAINED;
    for (int i = 0; i < c->n_train; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        double beta = json_number_value(item);
        if (!(beta > 0 && beta < 1))
            return fail(ERR_FORMAT, "%s: trained_betas[%d] is no number between 0 and 1", r->path,
                        i);
        c->trained_betas[i] = beta;
    }
done:
    return st;
}

/* Betas between 0 and 1, both excluded: with either, a step divides by zero. */
static status read_betas(const reader *r, schedule_config *c)
{
    static const char *const names[] = {"linear", "scaled_linear", "squaredcos_cap_v2", NULL};
    status st = OK;
    int which;
    TRY(read_int(r, "num_train_timesteps", 1000, 1, MAX_TRAIN_STEPS, &c->n_train));
    TRY(must_be_bool(r, "rescale_betas_zero_snr", false));
    const json_t *trained = json_object_get(r->root, "trained_betas");
    if (trained && !json_is_null(trained)) return read_trained_betas(r, trained, c);
    TRY(read_word(r, "beta_schedule", BETAS_LINEAR, names, &which));
    c->betas = (beta_schedule)which;
    c->given.beta_start = json_object_get(r->root, "beta_start") != NULL;
    c->given.beta_end = json_object_get(r->root, "beta_end") != NULL;
    TRY(read_number(r, "beta_start", 0.0001, 0, 1, &c->beta_start));
    TRY(read_number(r, "beta_end", 0.02, 0, 1, &c->beta_end));
done:
    return st;
}

/* Variance that is not a choice: null does as fixed_small in diffusers' step; "learned" is a plain
 * variance from the network, which no DiT has. */
static status read_variance(const reader *r, schedule_config *c)
{
    static const char *const names[] = {"fixed_small",     "fixed_small_log", "fixed_large",
                                        "fixed_large_log", "learned_range",   NULL};
    int which;
    c->variance = VARIANCE_FIXED_SMALL;
    if (json_is_null(json_object_get(r->root, "variance_type"))) return OK;
    status st = read_word(r, "variance_type", VARIANCE_FIXED_SMALL, names, &which);
    if (st == OK) c->variance = (variance_kind)which;
    return st;
}

/* What diffusers' solvers of differential equations have beyond DDPM and DDIM. */
static status read_solver(const reader *r, schedule_config *c)
{
    static const char *const none[] = {
        "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas",
        "use_flow_sigmas",   "use_dynamic_shifting"};
    static const char *const algorithms[] = {"dpmsolver++", NULL};
    static const char *const linear[] = {"linear", NULL}, *const discrete[] = {"discrete", NULL};
    static const char *const solvers[] = {"midpoint", "heun", NULL};
    static const char *const ends[] = {"zero", "sigma_min", NULL};
    status st = OK;
    int which;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (!json_is_null(json_object_get(r->root, none[i]))) TRY(must_be_bool(r, none[i], false));
    TRY(read_word(r, "algorithm_type", 0, algorithms, &which));
    TRY(read_word(r, "interpolation_type", 0, linear, &which));
    TRY(read_word(r, "timestep_type", 0, discrete, &which));
    TRY(must_be_absent(r, "sigma_min"));
    TRY(must_be_absent(r, "sigma_max"));
    TRY(must_be_absent(r, "lambda_min_clipped")); /* its default -Infinity is read as null */
    TRY(read_int(r, "solver_order", 2, 1, 2, &c->solver_order));
    TRY(read_word(r, "solver_type", 0, solvers, &which));
    c->solver_heun = which == 1;
    TRY(read_bool(r, "lower_order_final", true, &c->lower_order_final));
    TRY(read_bool(r, "euler_at_final", false, &c->euler_at_final));
    TRY(read_word(r, "final_sigmas_type", 0, ends, &which));
    c->final_sigma_min = which == 1;
done:
    return st;
}

static const struct {
    const char *name;
    sampler_kind sampler;
} scheduler_classes[] = {{"DDPMScheduler", SAMPLER_DDPM},
                         {"DDIMScheduler", SAMPLER_DDIM},
                         {"DPMSolverMultistepScheduler", SAMPLER_DPM},
                         {"EulerDiscreteScheduler", SAMPLER_EULER},
                         {"HeunDiscreteScheduler", SAMPLER_HEUN}};

const char *const flow_path_names[] = {"Linear", "GVP", "VP", NULL};
const char *const flow_prediction_names[] = {"velocity", "noise", "score", NULL};
const prediction flow_predictions[] = {PREDICT_VELOCITY, PREDICT_EPSILON, PREDICT_SCORE};

void config_flow_schedule(schedule_config *config, flow_path path, prediction predicts)
{
    *config = (schedule_config){.sampler = SAMPLER_HEUN,
                                .sampler_known = true,
                                .flow = true,
                                .path = path,
                                .predicts = predicts,
                                .n_train = MAX_TRAIN_STEPS};
}

static status read_flow(const reader *r, schedule_config *c)
{
    int path, predicts;
    status st = read_word(r, "path_type", PATH_LINEAR, flow_path_names, &path);
    if (st == OK) st = read_word(r, "prediction", 0, flow_prediction_names, &predicts);
    if (st != OK) return st;
    config_flow_schedule(c, (flow_path)path, flow_predictions[predicts]);
    text_copy(c->class_name, sizeof c->class_name, "SiT");
    return OK;
}

static status read_schedule(const reader *r, schedule_config *c)
{
    static const char *const predictions[] = {"epsilon", "sample", "v_prediction", NULL};
    static const char *const spacings[] = {"leading", "trailing", "linspace", NULL};
    status st = OK;
    int which;
    TRY(read_class(r, c->class_name, sizeof c->class_name));
    if (!strcmp(c->class_name, "SiT")) return read_flow(r, c);
    c->sampler = SAMPLER_DDIM;
    for (size_t i = 0; i < sizeof scheduler_classes / sizeof *scheduler_classes; i++)
        if (!strcmp(c->class_name, scheduler_classes[i].name)) {
            c->sampler = scheduler_classes[i].sampler;
            c->sampler_known = true;
        }
    TRY(must_be_bool(r, "thresholding", false));
    TRY(read_betas(r, c));
    TRY(read_word(r, "prediction_type", PREDICT_EPSILON, predictions, &which));
    c->predicts = (prediction)which;
    c->given.spacing = json_object_get(r->root, "timestep_spacing") != NULL;
    TRY(read_word(r, "timestep_spacing", SPACING_LEADING, spacings, &which));
    c->spaced = (spacing)which;
    TRY(read_int(r, "steps_offset", 0, 0, c->n_train - 1, &c->steps_offset));
    TRY(read_bool(r, "set_alpha_to_one", true, &c->set_alpha_to_one));
    c->given.clip_sample = json_object_get(r->root, "clip_sample") != NULL;
    TRY(read_bool(r, "clip_sample", true, &c->clip_sample));
    TRY(read_number(r, "clip_sample_range", 1, 0, 1e6, &c->clip_sample_range));
    TRY(read_variance(r, c));
    TRY(read_solver(r, c));
    config_settle_schedule(c, c->sampler);
done:
    return st;
}

void config_settle_schedule(schedule_config *c, sampler_kind sampler)
{
    bool solver = sampler != SAMPLER_DDPM && sampler != SAMPLER_DDIM;
    bool heun = sampler == SAMPLER_HEUN;
    if (!c->given.beta_start) c->beta_start = heun ? 0.00085 : 0.0001;
    if (!c->given.beta_end) c->beta_end = heun ? 0.012 : 0.02;
    if (!c->given.spacing) c->spaced = solver ? SPACING_LINSPACE : SPACING_LEADING;
    if (!c->given.clip_sample) c->clip_sample = !solver;
    if (heun) c->final_sigma_min = false; /* a key that it does not have */
}

/* Python writes minus infinity, which JSON does not have, where a limit is none: *out = a copy that
 * says null. */
status config_standard_json(char **out, const char *json)
{
    static const char word[] = "-Infinity";
    bool quoted = false;
    status st = memory_strdup(out, json);
    for (char *c = st == OK ? *out : ""; *c; c++) {
        if (quoted && *c == '\\' && c[1])
            c++;
        else if (*c == '"')
            quoted = !quoted;
        else if (!quoted && !strncmp(c, word, sizeof word - 1))
            memcpy(c, "null     ", sizeof word - 1);
    }
    return st;
}

status config_parse_schedule(schedule_config *config, const char *json, const char *path)
{
    reader r = {0};
    char *standard = NULL;
    *config = (schedule_config){0};
    status st = config_standard_json(&standard, json);
    if (st == OK) st = reader_open(&r, standard, path);
    if (st == OK) st = read_schedule(&r, config);
    if (st != OK) config_free_schedule(config);
    reader_close(&r);
    free(standard);
    return st;
}

void config_free_schedule(schedule_config *config)
{
    free(config->trained_betas);
    *config = (schedule_config){0};
}

void config_original_schedule(schedule_config *config)
{
    *config = (schedule_config){
        .sampler = SAMPLER_DDPM,
        .sampler_known = true,
        .n_train = 1000,
        .beta_start = 0.0001,
        .beta_end = 0.02,
        .set_alpha_to_one = true,
        .clip_sample_range = 1,
        .variance = VARIANCE_LEARNED_RANGE,
        .solver_order = 2,
        .lower_order_final = true,
        .given = {.beta_start = true, .beta_end = true, .clip_sample = true},
    };
}
