/* Configurations of the store: converts its lines, which are text, to values of tunables and back.
 * There are two forms of lines:
 *
 *     tune gemm cpu VEC=16 ...                              default of this implementation, any
 * shape tune gemm gpu auto 512x4608x1152 use=clblast ...     family, precision, shape: what serves
 */
#ifndef DITCL_TUNE_CONFIGS_H
#define DITCL_TUNE_CONFIGS_H

#include "device/store.h"
#include "ops/impl.h"

/* Applies the configurations of s's lines to the device. Drops lines that the device cannot use and
 * calls d->settings.warn for each. Ignores lines of another kernel family or precision. Fails only
 * with ERR_MEMORY. */
status configs_apply(device *d, store *s);

/* Applies only the lines that are compiled into the program. */
status configs_apply_shipped(device *d);

/* Whether s has a default of this implementation, or a line for a shape of its operator in the
 * device's kernel family and precision. */
bool configs_any(const store *s, const device *d, const op_impl *t);

/* Adds a line for a shape, in the device's kernel family and precision; shape null: the default of
 * the implementation. */
status configs_put(store *s, const device *d, const op_impl *t, const int *shape,
                   const int *values);
/* Adds or replaces the line by which t serves all shapes that have no line of their own. */
status configs_put_serving(store *s, const device *d, const op_impl *t, const int *values);

/* out = the words of a shape's line between the operator and "use=". */
void configs_key(char out[2 * STORE_WORD], const device *d, const int *shape);

/* A cache of the hashes of kernel files; set it to zero before use. */
enum { CONFIGS_FILES = 3 * MOST_IMPLS };
typedef struct {
    const char *name;
    bool there;
    char kernels[STORE_HASH];
} kernel_hash;
typedef struct {
    kernel_hash files[CONFIGS_FILES];
    int n;
} kernel_hashes;

/* values = those of the line, for t. *wrong = why they cannot be used, or null. Fails only with
 * ERR_MEMORY. */
status configs_values(int values[CONFIG_VALUES], const char **wrong, const op_impl *t,
                      const store_line *line, kernel_hashes *known);

#endif
