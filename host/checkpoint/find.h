/* Finds models on disk: the contents of a folder, the choice among several files, a hub's cache. */
#ifndef DITCL_CHECKPOINT_FIND_H
#define DITCL_CHECKPOINT_FIND_H

#include <stdbool.h>

#include "base/status.h"
#include "base/text.h"

enum { FIND_PATH_BYTES = 4096 };

/* out = the folder or file that MODEL names: a path, a hub's name, or a name in $DITCL_MODELS,
 * ./models or the installed models. Slashes at the end of a name are ignored. ERR_FILE if there is
 * none; the hint has the nearest name. */
status find_model(char out[FIND_PATH_BYTES], const char *name);

/* Calls visit for each name that find_model would find in $DITCL_MODELS, ./models, the installed
 * models and a hub's cache. */
void find_names(void (*visit)(void *context, const char *name), void *context);

/* Finds the model of a hub ("facebook/DiT-XL-2-256") in the cache that huggingface_hub fills. False
 * if the name has another form or the cache does not have it. */
bool find_in_hub_cache(char out[FIND_PATH_BYTES], const char *name);
/* True if a hub could have a model of this name. */
bool find_is_hub_name(const char *name);

/* Replaces a folder of that cache (models--a--b), or its snapshots/, by the snapshot that refs/main
 * names, or by the newest if there is no such name. Other folders stay as they are, even a model
 * with snapshots of its own. ERR_FILE if the cache folder has no snapshot. */
status find_snapshot(char path[FIND_PATH_BYTES]);

/* A request for a weights file of a folder. */
typedef struct {
    const char *variant; /* the variant to use, or null */
    bool may_lack;       /* if the variant is missing, use the file without one */
    const char *wanted;  /* the value of --weights, or null */
    /* result: the variant already is the choice that `wanted` makes (non_ema is raw) */
    bool chosen;
    bool several; /* result: there are other variants */
} find_request;

/* path = the folder's weights. safetensors has priority over .bin, and one file over several. The
 * file without a variant comes first, then ema, fp32, fp16, bf16, others, and non_ema last. Appends
 * a line to note if there was a choice, or if all files have a variant. */
status find_weights(char path[FIND_PATH_BYTES], text *note, const char *folder,
                    find_request *request);
/* True if the folder has a weights file. */
bool find_has_weights(const char *folder);

/* Fails because the folder is no model. The hint names a model inside it. */
status find_nothing(const char *folder);

#endif
