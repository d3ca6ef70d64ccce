/* A model on disk: what MODEL on the command line names, read and checked without any device. */
#ifndef DITCL_MODEL_MODEL_H
#define DITCL_MODEL_MODEL_H

#include "model/config.h"
#include "model/names.h"
#include "model/weights.h"

typedef struct {
    char path[4096];
    naming spelling;   /* of the DiT's tensors */
    compat origin;     /* whose files they are */
    compat arithmetic; /* whose arithmetic is used: the origin's, unless forced */
    dit_config dit;
    vae_config vae;
    schedule_config schedule;
    class_names classes;
    weights dit_weights, vae_weights;
} model;

typedef struct {
    const char *name; /* a pipeline folder, a name, or one DiT file */
    const char *vae;  /* null, or a pipeline folder, a VAE folder or a VAE file */
    int heads;        /* 0: not given */
    int forced;       /* -1, or a compat */
    bool need_dit;    /* false: only the VAE is wanted (decode) */
} model_request;

status model_open(model *m, const model_request *request);
void model_close(model *m);

#endif
