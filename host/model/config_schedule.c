/* Configurations of schedulers. See config.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "model/config.h"
#include "model/read.h"

enum { MAX_TRAIN_STEPS = 100000 };

static status read_trained_betas(const reader *r, const json_t *list, schedule_config *c)
{
    status st = OK;
    char expected[80];
    snprintf(expected, sizeof expected, "a list of %d numbers (num_train_timesteps)", c->n_train);
    if (json_array_size(list) != (size_t)c->n_train)
        return read_wrong(r, "trained_betas", list, expected);
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
    TRY(read_only_bool(r, "rescale_betas_zero_snr", false));
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
    static const char *const none[] = {"use_karras_sigmas", "use_exponential_sigmas",
                                       "use_beta_sigmas",   "use_lu_lambdas",
                                       "use_flow_sigmas",   "use_dynamic_shifting"};
    static const char *const algorithms[] = {"dpmsolver++", NULL};
    static const char *const linear[] = {"linear", NULL}, *const discrete[] = {"discrete", NULL};
    static const char *const solvers[] = {"midpoint", "heun", NULL};
    static const char *const ends[] = {"zero", "sigma_min", NULL};
    status st = OK;
    int which;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (!json_is_null(json_object_get(r->root, none[i])))
            TRY(read_only_bool(r, none[i], false));
    TRY(read_word(r, "algorithm_type", 0, algorithms, &which));
    TRY(read_word(r, "interpolation_type", 0, linear, &which));
    TRY(read_word(r, "timestep_type", 0, discrete, &which));
    TRY(read_only_null(r, "sigma_min"));
    TRY(read_only_null(r, "sigma_max"));
    TRY(read_only_null(r, "lambda_min_clipped")); /* its default -Infinity is read as null */
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
    TRY(read_only_bool(r, "thresholding", false));
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
    if (st == OK) st = read_open(&r, standard, path);
    if (st == OK) st = read_schedule(&r, config);
    if (st != OK) config_free_schedule(config);
    read_close(&r);
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
