/* Configurations of transformer, VAE and scheduler: JSON files in diffusers' layout, read into
 * checked structs. Every key that changes a picture is read. Unsupported keys are refused by name.
 * Weights are not read here. */
#ifndef DITCL_CHECKPOINT_CONFIG_H
#define DITCL_CHECKPOINT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "checkpoint/classes.h"
#include "checkpoint/design.h"
#include "checkpoint/samplers.h"

/* The program whose arithmetic is used. */
typedef enum { COMPAT_ORIGINAL, COMPAT_DIFFUSERS } compat;
extern const char *const compat_names[]; /* indexed by compat; ends with null */

enum { CONFIG_MAX_LATENT_SIZE = 1024 };

/* transformer/config.json of class DiTTransformer2DModel, or of the older Transformer2DModel with
 * norm_type ada_norm_zero. */
typedef struct {
    int in_channels;  /* C */
    int out_channels; /* C, or 2C with a learned-range variance */
    int patch;        /* p: 2, 4 or 8 */
    int depth;
    int heads;
    int head_dim; /* d: at most 128 */
    int width;    /* D = heads x head_dim, a multiple of 4 */
    int n_classes;
    bool has_null;              /* the label table has a null class, with number n_classes */
    int latent_size;            /* latent rows = columns, a multiple of p */
    float norm3_eps;            /* epsilon of the norm before the MLP */
    conditioning_design design; /* not in the JSON: inferred from the tensors */
} dit_config;

/* Rows of the label table: the classes, and the null class if there is one. */
static inline int dit_label_rows(const dit_config *c)
{
    return c->n_classes + (c->has_null ? 1 : 0);
}

/* vae/config.json (AutoencoderKL). */
enum { VAE_MAX_LEVELS = 8 };
typedef struct {
    int in_channels, out_channels; /* of pictures */
    int latent_channels;
    int n_levels;
    int channels[VAE_MAX_LEVELS]; /* block_out_channels */
    int layers_per_block;         /* of the encoder; the decoder has one more */
    int groups;                   /* norm_num_groups; divides all numbers of channels */
    float scaling_factor, shift_factor;
    bool quant_conv, post_quant_conv, mid_attention;
} vae_config;

/* Pixels of a picture per latent pixel, in each direction. */
static inline int vae_scale(const vae_config *c)
{
    return 1 << (c->n_levels - 1);
}

typedef enum { BETAS_LINEAR, BETAS_SCALED_LINEAR, BETAS_COSINE, BETAS_TRAINED } beta_schedule;
typedef enum {
    PREDICT_EPSILON, /* the noise */
    PREDICT_SAMPLE,
    PREDICT_V,
    PREDICT_VELOCITY, /* SiT: velocity of the path from noise to data */
    PREDICT_SCORE
} prediction;

/* The paths and predictions of a SiT, as the options of its program name them. */
#define FLOW_PATHS(X) X(LINEAR, "Linear") X(GVP, "GVP") X(VP, "VP")
#define FLOW_PREDICTIONS(X) X(VELOCITY, "velocity") X(EPSILON, "noise") X(SCORE, "score")
#define FLOW_PATH(constant, name) PATH_##constant,
typedef enum { FLOW_PATHS(FLOW_PATH) } flow_path;
#undef FLOW_PATH

typedef enum { SPACING_LEADING, SPACING_TRAILING, SPACING_LINSPACE } spacing;
typedef enum {
    VARIANCE_FIXED_SMALL,
    VARIANCE_FIXED_SMALL_LOG,
    VARIANCE_FIXED_LARGE,
    VARIANCE_FIXED_LARGE_LOG,
    VARIANCE_LEARNED_RANGE
} variance_kind;

/* scheduler/scheduler_config.json of a diffusers scheduler. With _class_name SiT, which diffusers
 * does not have, only flow, path and predicts are used. Each scheduler class reads other keys and
 * has other defaults. So this struct keeps the keys, and config_resolve_schedule reads the values
 * for one sampler. */
typedef struct {
    sampler_kind sampler; /* from class_name */
    bool sampler_known;   /* false: the class is another one or missing */
    char class_name[80];  /* the scheduler class that DiTPipeline would create, or "" */
    char own_class[80];   /* _class_name in the file, or "" */
    /* the file's keys, owned; null for SiT, and after config_resolve_schedule */
    struct json_t *keys;
    char *file; /* path for messages, owned */
    bool flow;  /* SiT: the network takes a time from 0 (noise) to 1 (data) */
    flow_path path;
    prediction predicts;
    /* config_resolve_schedule sets the fields below */
    int n_train; /* num_train_timesteps; for SiT, the most steps */
    double beta_start, beta_end;
    beta_schedule betas;
    double *trained_betas; /* n_train values if betas is BETAS_TRAINED, else null; owned */
    spacing spaced;
    int steps_offset;
    bool set_alpha_to_one;
    bool clip_sample;
    double clip_sample_range;
    variance_kind variance;
    /* for solvers of differential equations */
    int solver_order;                             /* 1 or 2 */
    enum { SOLVER_MIDPOINT, SOLVER_HEUN } solver; /* the correction of the second order */
    bool lower_order_final, euler_at_final;
    enum { END_ZERO, END_SIGMA_MIN } end; /* the last noise level */
} schedule_config;

/* json: the file's text. path: for messages only. class_name: the class if the file has no
 * _class_name; null: the file must have one. On failure *config is zero. */
status config_parse_dit(dit_config *config, const char *json, const char *path,
                        const char *class_name);
/* *origin = the value of CONFIG_ORIGIN, a key that ditcl writes into a converted transformer's
 * configuration and diffusers ignores. Unchanged if the key is absent. */
#define CONFIG_ORIGIN "_ditcl_arithmetic"
/* Another such key: false if the label table has no row for the null class. diffusers always has
 * that row. */
#define CONFIG_NULL "_ditcl_null_class"
status config_parse_origin(compat *origin, const char *json, const char *path);
status config_parse_vae(vae_config *config, const char *json, const char *path,
                        const char *class_name);
/* class_name: the scheduler's class in model_index.json; null or "" if it names none. It overrides
 * the file's own _class_name, as in DiTPipeline. No other key is read. */
status config_parse_schedule(schedule_config *config, const char *json, const char *path,
                             const char *class_name);
void config_free_schedule(schedule_config *config);

/* *out = a copy in which null replaces -Infinity, which Python writes but JSON does not have. */
status config_standard_json(char **out, const char *json);

/* *out = the configuration as the sampler's class reads it, like diffusers' from_config. Keys that
 * the class does not know are ignored, absent keys get the class's defaults, and unsupported values
 * are refused by name. On failure *out is zero. The caller frees it. */
status config_resolve_schedule(schedule_config *out, const schedule_config *config,
                               sampler_kind sampler);

/* The original program's schedule, as the configuration of this sampler: linear betas 1e-4..0.02
 * over 1000 steps, the network predicts epsilon. */
status config_original_schedule(schedule_config *config, sampler_kind sampler, bool learned);

/* name [size] = the class that model_index.json (json) names for a component: the X of
 * ["diffusers", "X"]; "" if it names none. */
status config_index_class(char *name, size_t size, const char *json, const char *path,
                          const char *component);

/* Makes SiT's schedule. The lists have the names in its file; each ends with null. */
void config_flow_schedule(schedule_config *config, flow_path path, prediction predicts);
extern const char *const flow_path_names[], *const flow_prediction_names[];
/* indexed as flow_prediction_names */
extern const prediction flow_predictions[];
const char *flow_prediction_name(prediction predicts); /* one of flow_predictions */

#endif
