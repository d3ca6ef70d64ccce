/* Which state dictionary of a file is taken, and what its tensors are called.
 *
 * Trainers keep several in a file (raw weights, averages of them), and their wrappers put words
 * into names. The part before a known name tells which state dictionary the tensor belongs to: keys
 * of dictionaries, or a prefix in the name itself. */
#ifndef DITCL_CHECKPOINT_STATES_H
#define DITCL_CHECKPOINT_STATES_H

#include "checkpoint/names.h"
#include "files/tensors.h"

/* A network whose tensors are known. */
typedef struct {
    const char *what;       /* its name in messages */
    const char *anchors[2]; /* a state dictionary of it has one of these tensors; or null */
    bool (*known)(const char *name);
    bool (*dotless)(char out[NAME_BYTES], const char *name); /* or null */
    const char *skipped;     /* prefix of tensors that only training needs, or null */
    const char *skipped_why; /* whose tensors they are */
} state_kind;

extern const state_kind state_dit, state_vae;

/* What was taken; all null if the file holds nothing else and nothing was chosen. */
typedef struct {
    char *key;     /* of the state dictionary that was taken; "." is the top of the file */
    char *note;    /* a line about what was taken, and what else there is */
    char **others; /* keys of those that were not taken */
    size_t n_others;
    bool averaged;
    bool chosen; /* the file holds several, or `wanted` named one */
} state_taken;

/* Leaves only the tensors of one state dictionary in the file, under their bare names. Averaged
 * weights are preferred. Tensors that they lack were not trained and come from the raw weights.
 * wanted: null, "raw", "ema", or a key of the file, "a.b" for b in a. ERR_USAGE if there is no such
 * state dictionary, ERR_FORMAT if the file has none of this kind. */
status states_take(state_taken *taken, tensor_file *file, const state_kind *kind,
                   const char *wanted);
void state_taken_free(state_taken *taken);

#endif
