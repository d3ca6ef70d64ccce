/* Which rows of a label table are classes. */
#ifndef DITCL_MODEL_LABELS_H
#define DITCL_MODEL_LABELS_H

#include "files/tensors.h"
#include "model/config.h"

/* Who said whether the last row is the null class; the first one that can say it does. */
typedef enum {
    LABELS_BY_CONFIG,
    LABELS_BY_ARGS,  /* of the checkpoint */
    LABELS_BY_NAMES, /* id2label */
    LABELS_BY_USER,  /* --num-classes */
    LABELS_BY_SIZE,  /* one row: an unconditional model */
    LABELS_ASSUMED
} labels_source;
extern const char *const labels_sources[]; /* as a user knows them */

/* Training adds a row for the null class, which labels are replaced by at random; without such
 * dropout there is none, and the table does not show it. Sets c->n_classes and c->has_null of a
 * table of `rows` rows. n_named: the highest class in id2label + 1, or 0. asked: --num-classes, or
 * 0. ERR_FORMAT or ERR_USAGE where two of them contradict each other. */
status labels_settle(dit_config *c, labels_source *source, const tensor_file *file, int rows,
                     int n_named, int asked);

/* The same where a configuration has said it already: only asked can contradict. */
status labels_check(const dit_config *c, const char *path, labels_source source, int asked);

#endif
