/* Which state dictionary of a file is taken, and what its tensors are called.
 *
 * Trainers keep several in a file (raw weights, averages of them), and their wrappers put words
 * into names. What is before a known name says which state dictionary the tensor is of: keys of
 * dictionaries, or the name's own beginning. */
#ifndef DITCL_MODEL_STATES_H
#define DITCL_MODEL_STATES_H

#include "files/tensors.h"
#include "model/names.h"

/* A network whose tensors are known. */
typedef struct {
    const char *what;       /* in messages */
    const char *anchors[2]; /* a state dictionary is one that has one of these; or null */
    bool (*known)(const char *name);
    bool (*dotless)(char out[NAME_BYTES], const char *name); /* or null */
    const char *skipped;     /* beginning of names that only training needs, or null */
    const char *skipped_why; /* whose they are */
} state_kind;

extern const state_kind state_dit, state_vae;

/* What was taken, all null where the file holds nothing else and nothing was chosen. */
typedef struct {
    char *key;     /* of the state dictionary that was taken; "." is the top of the file */
    char *note;    /* a line that says it, and what else there is */
    char **others; /* keys of those that were not taken */
    size_t n_others;
    bool averaged;
    bool chosen; /* the file holds several, or `wanted` named one */
} state_taken;

/* Leaves only the tensors of one state dictionary in the file, under their bare names. Averaged
 * weights are preferred. What they lack was not trained, and is taken from the raw ones. wanted:
 * null, "raw", "ema", or a key of the file, "a.b" for b in a. ERR_USAGE where there is no such,
 * ERR_FORMAT where the file holds none of this kind. */
status states_take(state_taken *taken, tensor_file *file, const state_kind *kind,
                   const char *wanted);
void state_taken_free(state_taken *taken);

#endif
