/* A model on disk: the files that MODEL on the command line names. They are read and checked
 * without a device. */
#ifndef DITCL_CHECKPOINT_MODEL_H
#define DITCL_CHECKPOINT_MODEL_H

#include "checkpoint/config.h"
#include "checkpoint/labels.h"
#include "checkpoint/names.h"
#include "checkpoint/preset.h"
#include "checkpoint/weights.h"

/* The configurations as text, for a copy of the model. */
typedef enum { TEXT_DIT, TEXT_SCHEDULE, TEXT_INDEX, TEXT_VAE, N_TEXTS } model_text;

/* Notes in a single file that hold these texts. The index is the pipeline's and has the names of
 * classes. */
#define NOTE_DIT "ditcl.transformer"
#define NOTE_SCHEDULE "ditcl.scheduler"
#define NOTE_INDEX "ditcl.model_index"

typedef enum { VAE_NEEDED, VAE_IF_THERE, VAE_UNUSED } vae_need;

typedef struct {
    char path[4096];
    naming spelling;   /* how the DiT's tensors are named */
    compat origin;     /* the program whose arithmetic the DiT was trained for */
    compat arithmetic; /* the program whose arithmetic is used: the origin's, unless forced */
    dit_config dit;
    vae_config vae;
    schedule_config schedule;
    preset recommended;
    class_names classes;
    labels_source labels_by; /* the source that tells which rows of the label table are classes */
    weights dit_weights, vae_weights;
    bool has_vae;
    bool vae_assumed;     /* a single VAE file: groups and scaling factor are Stable Diffusion's */
    int n_embedders;      /* 0, or what dit_count_embedders found */
    char *texts[N_TEXTS]; /* null if missing */
    bool several_files;   /* the folder has variants of the transformer, or an averaged one */
    char *notes;          /* lines, or null: which of several files are used, and what is missing */
} model;

typedef struct {
    const char *name;    /* a pipeline folder, a name, or a DiT file */
    const char *vae;     /* null, or a pipeline folder, a VAE folder, or a VAE file */
    const char *weights; /* null, or which weights of a file: see states_take */
    const char *variant; /* null, or which file of a folder: see find_weights */
    int heads;           /* 0: not given */
    int n_classes;       /* 0: not given */
    int forced;          /* -1, or a compat */
    bool need_dit;       /* false: only the VAE is needed (decode) */
    vae_need vae_use;
    bool flow; /* a single file is a SiT; its tensors do not show it */
    flow_path path;
    prediction predicts;
} model_request;

/* Finds the files, and reads their configurations and lists of tensors, but no values. ERR_FILE,
 * ERR_FORMAT, or ERR_USAGE if the request lacks something. On failure *m is zero. */
status model_open(model *m, const model_request *request);
void model_close(model *m);

/* The model's default sampler. ERR_FORMAT if ditcl does not have the model's scheduler. */
status model_sampler(sampler_kind *sampler, const model *m);
/* For benchmarks: a sampler that can read the scheduler's configuration, if possible the default
 * one. */
sampler_kind model_any_sampler(const model *m);

#endif
