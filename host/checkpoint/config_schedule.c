/* Configurations of schedulers. See config.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "checkpoint/config.h"
#include "checkpoint/read.h"

enum { MAX_TRAIN_STEPS = 100000 };

static status read_trained_betas(const reader *r, schedule_config *c)
{
    status st = OK;
    char expected[80];
    const json_t *list = json_object_get(r->root, "trained_betas");
    if (!list || json_is_null(list)) return OK;
    snprintf(expected, sizeof expected, "a list of %d numbers (num_train_timesteps)", c->n_train);
    if (json_array_size(list) != (size_t)c->n_train)
        return read_wrong(r, "trained_betas", list, expected);
    TRY(memory_alloc(&c->trained_betas, (size_t)c->n_train, sizeof *c->trained_betas));
    for (int i = 0; i < c->n_train; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        double beta = json_number_value(item);
        if (!(beta > 0 && beta < 1))
            return fail(ERR_FORMAT, "%s: trained_betas[%d] is not a number between 0 and 1",
                        r->path, i);
        c->trained_betas[i] = beta;
    }
done:
    return st;
}

/* ---- the keys that each class reads ---- */

#define READER(constant, ...) constant = 1 << SAMPLER_##constant,
enum { SAMPLERS(READER) };
enum {
    SOLVERS = DPM | EULER | HEUN, /* solvers of differential equations */
    EVERY = (1 << N_SAMPLERS) - 1
};

typedef enum {
    AS_INT,
    AS_NUMBER,
    AS_BOOL,
    AS_WORD, /* the field is the index of the word */
    AS_WORD_OR_NULL,
    ONLY_WORD,
    ONLY_FALSE,
    ONLY_NULL
} key_type;

/* Some keys matter only if other keys have certain values. */
typedef enum {
    ALWAYS,
    WITHOUT_TRAINED,
    WHERE_CLIPPED,
    WHERE_LEADING,
    WHERE_V,
    TO_ZERO, /* the end of sampling */
    TO_SIGMA_MIN
} condition;

static const char *const beta_names[] = {"linear", "scaled_linear", "squaredcos_cap_v2", NULL};
static const char *const prediction_names[] = {"epsilon", "sample", "v_prediction", NULL};
static const char *const euler_predictions[] = {"epsilon", "sample", "v_prediction",
                                                "original_sample", NULL};
static const char *const spacing_names[] = {"leading", "trailing", "linspace", NULL};
/* "learned" is a variance from the network without a range; no DiT has it */
static const char *const variances[] = {"fixed_small",     "fixed_small_log", "fixed_large",
                                        "fixed_large_log", "learned_range",   NULL};
/* the constructor accepts the words of other classes and replaces them by its own, except "deis" if
 * sampling ends at zero */
static const char *const algorithms[] = {"dpmsolver++", NULL};
static const char *const algorithms_to_min[] = {"dpmsolver++", "deis", NULL};
static const char *const solvers[] = {"midpoint", "heun", "logrho", "bh1", "bh2", NULL};
static const char *const interpolations[] = {"linear", NULL}, *const types[] = {"discrete", NULL};
static const char *const ends[] = {"zero", "sigma_min", NULL};

#define AT(field) offsetof(schedule_config, field)

/* The keys that the constructors of diffusers 0.42.1 take and their steps use. All other keys of a
 * file are ignored. Betas lie strictly between 0 and 1, since at either end a step divides by zero.
 * Some keys of a class are left out because they have no effect here: sigma_min and sigma_max of
 * Euler (used only with sigmas that are refused), use_dynamic_shifting, flow_shift and
 * time_shift_type (used only with flow sigmas), dynamic_thresholding_ratio and sample_max_value
 * (used only with thresholding), and variance_type of DPM-Solver (the variance channels are removed
 * before the step). */
static const struct key {
    const char *name;
    sampler_set readers;
    key_type type;
    condition when;
    size_t at;                /* offset of the field */
    double otherwise;         /* value of an absent key */
    double low, high;         /* range of a number */
    const char *const *words; /* indexed by value */
} keys[] = {
    {"rescale_betas_zero_snr", EVERY & ~HEUN, ONLY_FALSE, ALWAYS, 0, 0, 0, 0, NULL},
    {"beta_schedule", EVERY, AS_WORD, WITHOUT_TRAINED, AT(betas), BETAS_LINEAR, 0, 0, beta_names},
    {"beta_start", EVERY & ~HEUN, AS_NUMBER, WITHOUT_TRAINED, AT(beta_start), 0.0001, 0, 1, NULL},
    {"beta_start", HEUN, AS_NUMBER, WITHOUT_TRAINED, AT(beta_start), 0.00085, 0, 1, NULL},
    {"beta_end", EVERY & ~HEUN, AS_NUMBER, WITHOUT_TRAINED, AT(beta_end), 0.02, 0, 1, NULL},
    {"beta_end", HEUN, AS_NUMBER, WITHOUT_TRAINED, AT(beta_end), 0.012, 0, 1, NULL},
    {"prediction_type", EVERY & ~EULER, AS_WORD, ALWAYS, AT(predicts), PREDICT_EPSILON, 0, 0,
     prediction_names},
    {"prediction_type", EULER, AS_WORD, ALWAYS, AT(predicts), PREDICT_EPSILON, 0, 0,
     euler_predictions},
    {"timestep_spacing", DDPM | DDIM, AS_WORD, ALWAYS, AT(spaced), SPACING_LEADING, 0, 0,
     spacing_names},
    {"timestep_spacing", SOLVERS, AS_WORD, ALWAYS, AT(spaced), SPACING_LINSPACE, 0, 0,
     spacing_names},
    {"steps_offset", EVERY, AS_INT, WHERE_LEADING, AT(steps_offset), 0, 0, MAX_TRAIN_STEPS, NULL},
    {"thresholding", DDPM | DDIM | DPM, ONLY_FALSE, ALWAYS, 0, 0, 0, 0, NULL},
    {"clip_sample", DDPM | DDIM, AS_BOOL, ALWAYS, AT(clip_sample), true, 0, 0, NULL},
    {"clip_sample", HEUN, AS_BOOL, ALWAYS, AT(clip_sample), false, 0, 0, NULL},
    {"clip_sample_range", DDPM | DDIM | HEUN, AS_NUMBER, WHERE_CLIPPED, AT(clip_sample_range), 1, 0,
     1e6, NULL},
    {"set_alpha_to_one", DDIM, AS_BOOL, ALWAYS, AT(set_alpha_to_one), true, 0, 0, NULL},
    {"variance_type", DDPM, AS_WORD_OR_NULL, ALWAYS, AT(variance), VARIANCE_FIXED_SMALL, 0, 0,
     variances},
    {"use_karras_sigmas", SOLVERS, ONLY_FALSE, ALWAYS, 0, 0, 0, 0, NULL},
    {"use_exponential_sigmas", SOLVERS, ONLY_FALSE, ALWAYS, 0, 0, 0, 0, NULL},
    {"use_beta_sigmas", SOLVERS, ONLY_FALSE, ALWAYS, 0, 0, 0, 0, NULL},
    {"use_lu_lambdas", DPM, ONLY_FALSE, ALWAYS, 0, 0, 0, 0, NULL},
    {"use_flow_sigmas", DPM, ONLY_FALSE, ALWAYS, 0, 0, 0, 0, NULL},
    {"solver_order", DPM, AS_INT, ALWAYS, AT(solver_order), 2, 1, 2, NULL},
    {"solver_type", DPM, AS_WORD, ALWAYS, AT(solver), SOLVER_MIDPOINT, 0, 0, solvers},
    {"lower_order_final", DPM, AS_BOOL, ALWAYS, AT(lower_order_final), true, 0, 0, NULL},
    {"euler_at_final", DPM, AS_BOOL, ALWAYS, AT(euler_at_final), false, 0, 0, NULL},
    {"final_sigmas_type", DPM | EULER, AS_WORD, ALWAYS, AT(end), END_ZERO, 0, 0, ends},
    {"algorithm_type", DPM, ONLY_WORD, TO_ZERO, 0, 0, 0, 0, algorithms},
    {"algorithm_type", DPM, ONLY_WORD, TO_SIGMA_MIN, 0, 0, 0, 0, algorithms_to_min},
    /* the default, -Infinity, is read as null */
    {"lambda_min_clipped", DPM, ONLY_NULL, ALWAYS, 0, 0, 0, 0, NULL},
    {"interpolation_type", EULER, ONLY_WORD, ALWAYS, 0, 0, 0, 0, interpolations},
    {"timestep_type", EULER, ONLY_WORD, WHERE_V, 0, 0, 0, 0, types},
};
enum { N_KEYS = sizeof keys / sizeof *keys };

static bool applies(const struct key *k, const schedule_config *c)
{
    switch (k->when) {
    case WITHOUT_TRAINED: return !c->trained_betas;
    case WHERE_CLIPPED: return c->clip_sample;
    case WHERE_LEADING: return c->spaced == SPACING_LEADING;
    case WHERE_V: return c->predicts == PREDICT_V;
    case TO_ZERO: return c->end == END_ZERO;
    case TO_SIGMA_MIN: return c->end == END_SIGMA_MIN;
    default: return true;
    }
}

/* Reads a key. An absent key has its default. None counts as false, as in Python. */
static status read_key(const reader *r, const struct key *k, schedule_config *c)
{
    void *field = (char *)c + k->at;
    bool null = json_is_null(json_object_get(r->root, k->name));
    int ignored;
    switch (k->type) {
    case AS_INT: return read_int(r, k->name, (int)k->otherwise, (int)k->low, (int)k->high, field);
    case AS_NUMBER: return read_number(r, k->name, k->otherwise, k->low, k->high, field);
    case AS_BOOL:
        *(bool *)field = false;
        return null ? OK : read_bool(r, k->name, k->otherwise != 0, field);
    case AS_WORD_OR_NULL:
        *(int *)field = (int)k->otherwise;
        return null ? OK : read_word(r, k->name, (int)k->otherwise, k->words, field);
    case AS_WORD: return read_word(r, k->name, (int)k->otherwise, k->words, field);
    case ONLY_WORD: return read_word(r, k->name, 0, k->words, &ignored);
    case ONLY_FALSE: return null ? OK : read_only_bool(r, k->name, false);
    default: return read_only_null(r, k->name);
    }
}

/* Stores as the hint which samplers do not read the refused key. */
static void hint_others(const char *key)
{
    sampler_set others = samplers_of_diffusers();
    for (size_t i = 0; i < N_KEYS; i++)
        if (!strcmp(keys[i].name, key)) others &= ~keys[i].readers;
    if (others)
        fail_hint("--sampler can choose a class that does not read this key: %s",
                  SAMPLERS_LISTED(others));
}

status config_resolve_schedule(schedule_config *out, const schedule_config *config,
                               sampler_kind sampler)
{
    const reader r = {.root = config->keys, .path = config->file};
    status st = OK;
    *out = *config;
    out->keys = NULL;
    out->file = NULL;
    if (config->flow) return OK;
    if (!samplers[sampler].scheduler) sampler = config->sampler; /* SiT's: refused later */
    out->sampler = sampler;
    out->set_alpha_to_one = true; /* DDPM has no such key */
    TRY(read_int(&r, "num_train_timesteps", 1000, 1, MAX_TRAIN_STEPS, &out->n_train));
    TRY(read_trained_betas(&r, out));
    for (const struct key *k = keys; k < keys + N_KEYS; k++) {
        if (!(k->readers >> sampler & 1) || !applies(k, out)) continue;
        st = read_key(&r, k, out);
        if (st != OK) hint_others(k->name);
        TRY(st);
    }
    if (out->predicts > PREDICT_V) out->predicts = PREDICT_SAMPLE; /* "original_sample" */
    if (out->trained_betas) out->betas = BETAS_TRAINED;
    if (out->steps_offset >= out->n_train)
        st = fail(ERR_FORMAT, "%s: steps_offset is %d, expected less than num_train_timesteps, %d",
                  config->file, out->steps_offset, out->n_train);
done:
    if (st != OK) config_free_schedule(out);
    return st;
}

/* ---- the class ---- */

status config_index_class(char *name, size_t size, const char *json, const char *path,
                          const char *component)
{
    reader r;
    *name = 0;
    status st = read_open(&r, json, path);
    if (st == OK) {
        const char *found =
            json_string_value(json_array_get(json_object_get(r.root, component), 1));
        if (found) text_copy(name, size, found);
    }
    read_close(&r);
    return st;
}

/* Drops keys that diffusers took from the class's defaults: it treats them as absent. */
static void drop_defaults(json_t *root)
{
    size_t i;
    const json_t *name;
    json_array_foreach(json_object_get(root, "_use_default_values"), i,
                       name) if (json_is_string(name))
        json_object_del(root, json_string_value(name));
}

#define FLOW_NAME(constant, name) name,
#define FLOW_PREDICTION(constant, name) PREDICT_##constant,
const char *const flow_path_names[] = {FLOW_PATHS(FLOW_NAME) NULL};
const char *const flow_prediction_names[] = {FLOW_PREDICTIONS(FLOW_NAME) NULL};
const prediction flow_predictions[] = {FLOW_PREDICTIONS(FLOW_PREDICTION)};

const char *flow_prediction_name(prediction predicts)
{
    int i = 0;
    while (flow_predictions[i] != predicts) i++;
    return flow_prediction_names[i];
}

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

static status read_schedule(const reader *r, schedule_config *c, const char *class_name)
{
    status st = OK;
    TRY(read_class(r, "", c->own_class, sizeof c->own_class));
    bool named = class_name && *class_name && strcmp(c->own_class, "SiT") != 0;
    text_copy(c->class_name, sizeof c->class_name, named ? class_name : c->own_class);
    if (!strcmp(c->class_name, "SiT")) return read_flow(r, c);
    c->sampler = SAMPLER_DDIM;
    for (int i = 0; i < N_SAMPLERS; i++)
        if (samplers[i].scheduler && !strcmp(c->class_name, samplers[i].scheduler)) {
            c->sampler = (sampler_kind)i;
            c->sampler_known = true;
        }
    TRY(memory_strdup(&c->file, r->path));
    drop_defaults(r->root);
    c->keys = json_incref(r->root);
done:
    return st;
}

/* Python writes -Infinity for "no limit", which JSON does not have. *out = a copy with null
 * instead. */
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

status config_parse_schedule(schedule_config *config, const char *json, const char *path,
                             const char *class_name)
{
    reader r = {0};
    char *standard = NULL;
    *config = (schedule_config){0};
    status st = config_standard_json(&standard, json);
    if (st == OK) st = read_open(&r, standard, path);
    if (st == OK) st = read_schedule(&r, config, class_name);
    if (st != OK) config_free_schedule(config);
    read_close(&r);
    free(standard);
    return st;
}

void config_free_schedule(schedule_config *config)
{
    free(config->trained_betas);
    free(config->file);
    json_decref(config->keys);
    *config = (schedule_config){0};
}

status config_original_schedule(schedule_config *config, sampler_kind sampler, bool learned)
{
    *config = (schedule_config){.sampler = sampler, .sampler_known = true};
    const char *settings = learned ? "{\"beta_start\": 0.0001, \"beta_end\": 0.02, "
                                     "\"clip_sample\": false, \"variance_type\": \"learned_range\"}"
                                   : "{\"beta_start\": 0.0001, \"beta_end\": 0.02, "
                                     "\"clip_sample\": false, \"variance_type\": \"fixed_small\"}";
    return json_read(&config->keys, settings, strlen(settings), "the original program's schedule",
                     NULL);
}
