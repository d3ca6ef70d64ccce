/* Configurations of transformer, VAE and scheduler: JSON files in diffusers' layout, read into
 * checked structs. Everything that changes a picture is read; what is not supported is refused by
 * name. No weights here. */
#ifndef DITCL_MODEL_CONFIG_H
#define DITCL_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "model/classes.h"
#include "model/design.h"

/* Whose arithmetic a model is run with. */
typedef enum { COMPAT_ORIGINAL, COMPAT_DIFFUSERS } compat;
extern const char *const compat_names[]; /* by compat; ends with a null */

enum { CONFIG_MAX_LATENT_SIZE = 1024 };

/* transformer/config.json (DiTTransformer2DModel, or the older Transformer2DModel with norm_type
 * ada_norm_zero). */
typedef struct {
    int in_channels;  /* C */
    int out_channels; /* C, or 2C with a learned-range variance */
    int patch;        /* p: 2, 4 or 8 */
    int depth;
    int heads;
    int head_dim;   /* d: at most 128 */
    int width;      /* D = heads x head_dim, a multiple of 4 */
    int n_classes;  /* the null class has this number */
    int latent_size; /* latent rows = columns, a multiple of p */
    float norm3_eps; /* of the norm before the MLP */
    conditioning_design design; /* JSON does not say it: the tensors do */
} dit_config;

/* vae/config.json (AutoencoderKL). */
enum { VAE_MAX_LEVELS = 8 };
typedef struct {
    int in_channels, out_channels; /* of pictures */
    int latent_channels;
    int n_levels;
    int channels[VAE_MAX_LEVELS]; /* block_out_channels */
    int layers_per_block;         /* the decoder has one more */
    int groups;                   /* norm_num_groups; divides every channel count */
    float scaling_factor, shift_factor;
    bool quant_conv, post_quant_conv, mid_attention;
} vae_config;

typedef enum { BETAS_LINEAR, BETAS_SCALED_LINEAR, BETAS_COSINE, BETAS_TRAINED } beta_schedule;
typedef enum {
    PREDICT_EPSILON, /* the noise */
    PREDICT_SAMPLE,
    PREDICT_V,
    PREDICT_VELOCITY, /* SiT's: of the path from noise to data */
    PREDICT_SCORE
} prediction;
typedef enum { PATH_LINEAR, PATH_GVP, PATH_VP } flow_path;
typedef enum { SPACING_LEADING, SPACING_TRAILING, SPACING_LINSPACE } spacing;
typedef enum {
    VARIANCE_FIXED_SMALL,
    VARIANCE_FIXED_SMALL_LOG,
    VARIANCE_FIXED_LARGE,
    VARIANCE_FIXED_LARGE_LOG,
    VARIANCE_LEARNED_RANGE
} variance_kind;
typedef enum {
    SAMPLER_DDPM,
    SAMPLER_DDIM,
    SAMPLER_DPM, /* DPM-Solver++ 2M */
    SAMPLER_EULER,
    SAMPLER_HEUN,
    SAMPLER_SDE, /* Euler-Maruyama along SiT's path */
    N_SAMPLERS
} sampler_kind;

/* scheduler/scheduler_config.json of a diffusers scheduler that one of the samplers is, or with
 * _class_name SiT, which diffusers does not know: then only flow, path and predicts count. */
typedef struct {
    sampler_kind sampler; /* what _class_name says */
    bool sampler_known;   /* false: another class; class_name says which */
    char class_name[80];
    bool flow; /* SiT: the network is told a time from 0 (noise) to 1 (data) */
    flow_path path;
    int n_train; /* num_train_timesteps; of SiT, the most steps */
    double beta_start, beta_end;
    beta_schedule betas;
    double *trained_betas; /* n_train values when betas is BETAS_TRAINED, else null; owned */
    prediction predicts;
    spacing spaced;
    int steps_offset;
    bool set_alpha_to_one;
    bool clip_sample;
    double clip_sample_range;
    variance_kind variance;
    /* of solvers of differential equations */
    int solver_order; /* 1 or 2 */
    bool solver_heun; /* the second order's correction; else midpoint */
    bool lower_order_final, euler_at_final;
    bool final_sigma_min; /* sampling ends at the first level, not at 0 */
    /* keys that the file has: others have defaults that depend on the sampler */
    struct {
        bool beta_start, beta_end, spacing, clip_sample;
    } given;
} schedule_config;

/* json: the file's text; path: for messages only. On failure *config is zero. */
status config_parse_dit(dit_config *config, const char *json, const char *path);
/* *origin = what a converted transformer's configuration says under CONFIG_ORIGIN, a key that
 * diffusers passes over; unchanged where it says nothing. */
#define CONFIG_ORIGIN "_ditcl_arithmetic"
status config_parse_origin(compat *origin, const char *json, const char *path);
status config_parse_vae(vae_config *config, const char *json, const char *path);
status config_parse_schedule(schedule_config *config, const char *json, const char *path);
void config_free_schedule(schedule_config *config);

/* *out = a copy in which what Python writes for minus infinity is null. */
status config_standard_json(char **out, const char *json);

/* Gives keys that the file does not have the defaults of this sampler's class, as diffusers does
 * when it makes one scheduler from another one's configuration. */
void config_settle_schedule(schedule_config *config, sampler_kind sampler);

/* The original program's: linear betas 1e-4..0.02 over 1000 steps, epsilon. */
void config_original_schedule(schedule_config *config);

/* SiT's. The names are those of its program's options, as are the keys of a file. */
void config_flow_schedule(schedule_config *config, flow_path path, prediction predicts);
extern const char *const flow_path_names[], *const flow_prediction_names[];
/* of flow_prediction_names */
extern const prediction flow_predictions[];

#endif
