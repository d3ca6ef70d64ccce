/* Chooses a state dictionary of a file, and the names of its tensors.
 *
 * Trainers store several state dictionaries in a file (raw weights, averages of them), and their
 * wrappers insert words into names. The part of a name before a known name tells the state
 * dictionary: keys of dictionaries, or a prefix in the name itself. */
#ifndef DITCL_CHECKPOINT_STATES_H
#define DITCL_CHECKPOINT_STATES_H

#include "checkpoint/names.h"
#include "files/tensors.h"

/* A network whose tensors are known. */
typedef struct {
    const char *what;       /* name in messages */
    const char *anchors[2]; /* its state dictionaries have one of these tensors; or null */
    bool (*known)(const char *name);
    bool (*dotless)(char out[NAME_BYTES], const char *name); /* or null */
    const char *skipped;     /* prefix of tensors that only training needs, or null */
    const char *skipped_why; /* which tensors they are, for messages */
} state_kind;

extern const state_kind state_dit, state_vae;

/* The result. All null if the file holds nothing else and nothing was chosen. */
typedef struct {
    char *key;     /* of the chosen state dictionary; "." is the top of the file */
    char *note;    /* a line about the choice and the alternatives */
    char **others; /* keys of the state dictionaries that were not chosen */
    size_t n_others;
    bool averaged;
    bool chosen; /* the file holds several, or `wanted` named one */
} state_taken;

/* Keeps only the tensors of one state dictionary in the file, under their bare names. Averaged
 * weights are preferred. Tensors that they lack were not trained and come from the raw weights.
 * wanted: null, "raw", "ema", or a key of the file ("a.b" for b in a). ERR_USAGE if there is no
 * such state dictionary, ERR_FORMAT if the file has none of this kind. */
status states_take(state_taken *taken, tensor_file *file, const state_kind *kind,
                   const char *wanted);
void state_taken_free(state_taken *taken);

#endif
