/* Model folders as people have them: what a folder holds, which file of several is meant, the cache
 * of a hub. */
#ifndef DITCL_MODEL_FIND_H
#define DITCL_MODEL_FIND_H

#include <stdbool.h>

#include "base/status.h"
#include "base/text.h"

enum { FIND_PATH_BYTES = 4096 };

/* out = the folder or file that a MODEL means: a path, a hub's name, or a name in $DITCL_MODELS,
 * ./models and the installed models. Slashes behind a name do not count. ERR_FILE, with the nearest
 * name as the hint, where there is none. */
status find_model(char out[FIND_PATH_BYTES], const char *name);

/* Finds the model of a hub ("facebook/DiT-XL-2-256") in the cache that huggingface_hub fills; false
 * where the name is no such, or the cache has none. */
bool find_in_hub_cache(char out[FIND_PATH_BYTES], const char *name);
/* Is the name one that a hub could have? */
bool find_is_hub_name(const char *name);

/* A folder of that cache (models--a--b), or its snapshots/, becomes the snapshot that refs/main
 * names, else the newest. Other folders stay, also a model that has snapshots of its own. ERR_FILE
 * where the folder has no snapshot. */
status find_snapshot(char path[FIND_PATH_BYTES]);

/* Which file of a folder. */
typedef struct {
    const char *variant; /* null, or one that must be there */
    bool may_lack;       /* the variant: the file without one is as good */
    const char *wanted;  /* null, or what --weights says */
    bool settled;        /* found out: the file is what `wanted` says, as non_ema is raw */
    bool several;        /* found out: there are other variants */
} find_request;

/* path = the folder's weights, safetensors before .bin, one file before several. Of variants the
 * one without a name comes first, then ema, fp32, fp16, bf16, others, and non_ema last. note gets a
 * line where there was a choice or no plain file. */
status find_weights(char path[FIND_PATH_BYTES], text *note, const char *folder,
                    find_request *request);
/* Whether the folder has such a file. */
bool find_has_weights(const char *folder);

/* The failure for a folder that is no model: it names what is inside. */
status find_nothing(const char *folder);

#endif
