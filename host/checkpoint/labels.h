/* Which rows of a label table are classes, and whether the last one is the null class. */
#ifndef DITCL_CHECKPOINT_LABELS_H
#define DITCL_CHECKPOINT_LABELS_H

#include "checkpoint/config.h"
#include "files/tensors.h"

/* The source that tells whether the last row is the null class, by descending priority. */
typedef enum {
    LABELS_BY_CONFIG,
    LABELS_BY_ARGS,  /* args in the checkpoint */
    LABELS_BY_NAMES, /* id2label */
    LABELS_BY_USER,  /* --num-classes */
    LABELS_BY_SIZE,  /* one row: an unconditional model */
    LABELS_ASSUMED
} labels_source;
extern const char *const labels_sources[]; /* for messages */

/* Training with label dropout replaces labels at random by the null class, which adds a row.
 * Without dropout there is no such row, and the table does not show the difference. Sets
 * c->n_classes and c->has_null for a table of `rows` rows. n_named: the highest class in id2label +
 * 1, or 0. asked: --num-classes, or 0. ERR_FORMAT or ERR_USAGE if two sources contradict each
 * other. */
status labels_resolve(dit_config *c, labels_source *source, const tensor_file *file, int rows,
                      int n_named, int asked);

/* For a model whose configuration has the number of classes: fails if `asked` contradicts it. */
status labels_check(const dit_config *c, const char *path, labels_source source, int asked);

#endif
