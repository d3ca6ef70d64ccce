/* Finds models on disk: what a folder holds, which of several files is meant, a hub's cache. */
#ifndef DITCL_CHECKPOINT_FIND_H
#define DITCL_CHECKPOINT_FIND_H

#include <stdbool.h>

#include "base/status.h"
#include "base/text.h"

enum { FIND_PATH_BYTES = 4096 };

/* out = the folder or file that MODEL means: a path, a hub's name, or a name in $DITCL_MODELS,
 * ./models and the installed models. Slashes at the end of a name are ignored. ERR_FILE if there is
 * none; the hint has the nearest name. */
status find_model(char out[FIND_PATH_BYTES], const char *name);

/* Finds the model of a hub ("facebook/DiT-XL-2-256") in the cache that huggingface_hub fills; false
 * if it is not such a name, or the cache does not have it. */
bool find_in_hub_cache(char out[FIND_PATH_BYTES], const char *name);
/* Whether a hub could have a model of this name. */
bool find_is_hub_name(const char *name);

/* A folder of that cache (models--a--b), or its snapshots/, becomes the snapshot that refs/main
 * names, else the newest. Other folders stay, also a model that has snapshots of its own. ERR_FILE
 * where the folder has no snapshot. */
status find_snapshot(char path[FIND_PATH_BYTES]);

/* Which weights file of a folder is wanted. */
typedef struct {
    const char *variant; /* null, or the variant to take */
    bool may_lack;       /* without that variant, take the file without one */
    const char *wanted;  /* null, or the value of --weights */
    bool settled;        /* result: the variant is what `wanted` asks for, as non_ema is raw */
    bool several;        /* result: there are other variants */
} find_request;

/* path = the folder's weights: safetensors before .bin, one file before several. The file without a
 * variant comes first, then ema, fp32, fp16, bf16, others, and non_ema last. Adds a line to note if
 * there was a choice or no file without a variant. */
status find_weights(char path[FIND_PATH_BYTES], text *note, const char *folder,
                    find_request *request);
/* Whether the folder has a weights file. */
bool find_has_weights(const char *folder);

/* Fails for a folder that is no model; the hint names a model inside it. */
status find_nothing(const char *folder);

#endif
