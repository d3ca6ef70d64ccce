/* Configurations of transformer, VAE and scheduler: JSON files in diffusers' layout, read into
 * checked structs. Everything that changes a picture is read; what is not supported is refused by
 * name. No weights here. */
#ifndef DITCL_CHECKPOINT_CONFIG_H
#define DITCL_CHECKPOINT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "checkpoint/classes.h"
#include "checkpoint/design.h"

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
    int head_dim; /* d: at most 128 */
    int width;    /* D = heads x head_dim, a multiple of 4 */
    int n_classes;
    bool has_null;              /* the label table has a null class, number n_classes */
    int latent_size;            /* latent rows = columns, a multiple of p */
    float norm3_eps;            /* of the norm before the MLP */
    conditioning_design design; /* JSON does not say it: the tensors do */
} dit_config;

/* Rows of the label table: classes and the null class. */
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
    int layers_per_block;         /* the decoder has one more */
    int groups;                   /* norm_num_groups; divides every channel count */
    float scaling_factor, shift_factor;
    bool quant_conv, post_quant_conv, mid_attention;
} vae_config;

/* Pixels of a picture per value of its latents, in each direction. */
static inline int vae_scale(const vae_config *c)
{
    return 1 << (c->n_levels - 1);
}

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

/* scheduler/scheduler_config.json of a diffusers scheduler; or with _class_name SiT, which
 * diffusers does not know: then only flow, path and predicts count. Each scheduler class reads
 * other keys and has other defaults. So the keys are kept, and config_settle_schedule reads the
 * values for one sampler. */
typedef struct {
    sampler_kind sampler; /* of class_name */
    bool sampler_known;   /* false: another class, or none */
    char class_name[80];  /* the scheduler class that DiTPipeline would make, or "" */
    char own_class[80];   /* _class_name in the file itself, or "" */
    struct json_t *keys;  /* of the file, owned; null for SiT, or once settled */
    char *file;           /* its path, for messages; owned */
    bool flow;            /* SiT: the network is told a time from 0 (noise) to 1 (data) */
    flow_path path;
    prediction predicts;
    /* the rest is set by config_settle_schedule */
    int n_train; /* num_train_timesteps; of SiT, the most steps */
    double beta_start, beta_end;
    beta_schedule betas;
    double *trained_betas; /* n_train values when betas is BETAS_TRAINED, else null; owned */
    spacing spaced;
    int steps_offset;
    bool set_alpha_to_one;
    bool clip_sample;
    double clip_sample_range;
    variance_kind variance;
    /* of solvers of differential equations */
    int solver_order;                             /* 1 or 2 */
    enum { SOLVER_MIDPOINT, SOLVER_HEUN } solver; /* the second order's correction */
    bool lower_order_final, euler_at_final;
    enum { END_ZERO, END_SIGMA_MIN } end; /* of the noise levels */
} schedule_config;

/* json: the file's text; path: for messages only. class_name: the class if the file has no
 * _class_name; null: the file must have one. On failure *config is zero. */
status config_parse_dit(dit_config *config, const char *json, const char *path,
                        const char *class_name);
/* *origin = what a converted transformer's configuration says under CONFIG_ORIGIN, a key that
 * diffusers passes over; unchanged where it says nothing. */
#define CONFIG_ORIGIN "_ditcl_arithmetic"
/* Another such key: false if the label table has no row for the null class. In diffusers there is
 * always one. */
#define CONFIG_NULL "_ditcl_null_class"
status config_parse_origin(compat *origin, const char *json, const char *path);
status config_parse_vae(vae_config *config, const char *json, const char *path,
                        const char *class_name);
/* class_name: the scheduler's class in model_index.json, which goes before the file's own
 * _class_name as in DiTPipeline; null or "" if it names none. Reads no other key. */
status config_parse_schedule(schedule_config *config, const char *json, const char *path,
                             const char *class_name);
void config_free_schedule(schedule_config *config);

/* *out = a copy in which what Python writes for minus infinity is null. */
status config_standard_json(char **out, const char *json);

/* *out = the configuration as the sampler's class reads it, like diffusers' from_config: keys that
 * the class does not know are ignored, absent ones get its defaults, and values that are not
 * supported are refused by name. *out is zero on failure; the caller frees it. */
status config_settle_schedule(schedule_config *out, const schedule_config *config,
                              sampler_kind sampler);

/* The original program's: linear betas 1e-4..0.02 over 1000 steps, epsilon; as the configuration of
 * this sampler. */
status config_original_schedule(schedule_config *config, sampler_kind sampler, bool learned);

/* name [size] = the class that model_index.json (json) names for a component: the X of
 * ["diffusers", "X"]; "" where it names none. */
status config_index_class(char *name, size_t size, const char *json, const char *path,
                          const char *component);

/* SiT's. The names are those of its program's options, as are the keys of a file. */
void config_flow_schedule(schedule_config *config, flow_path path, prediction predicts);
extern const char *const flow_path_names[], *const flow_prediction_names[];
/* of flow_prediction_names */
extern const prediction flow_predictions[];

#endif
