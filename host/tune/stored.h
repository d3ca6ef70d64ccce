/* Between the store's lines, which are text, and the values of tunables that operators use. Two
 * kinds of lines:
 *
 *     tune gemm cpu VEC=16 ...                              this implementation, any shape
 *     tune gemm gpu auto 512x4608x1152 use=clblast ...     class, precision, shape: what serves */
#ifndef DITCL_TUNE_STORED_H
#define DITCL_TUNE_STORED_H

#include "device/store.h"
#include "ops/tuning.h"

/* Applies the configurations of s's lines to the device. Calls d->settings.warn for lines that
 * cannot be used and drops them; lines of another kernel family or precision stay unused. Fails
 * only with ERR_MEMORY. */
status stored_use(device *d, store *s);

/* Applies only the lines that are compiled into the program. */
status stored_use_shipped(device *d);

/* Whether s has values of this implementation for any shape, or a choice for some shape of its
 * operator in the device's class and precision. */
bool stored_any(const store *s, const device *d, const tuning *t);

/* Adds a line, of this device's class and precision where it is for a shape; null: for any. */
status stored_put(store *s, const device *d, const tuning *t, const int *shape, const int *values);
/* Adds or replaces the line that says that t serves all shapes without a line of their own. */
status stored_put_serving(store *s, const device *d, const tuning *t, const int *values);

/* The line of a shape: the words behind the operator. */
void stored_key(char out[2 * STORE_WORD], const device *d, const int *shape);

/* Hashes of kernel files, kept since many lines name few files. Begin with zeros. */
enum { STORED_FILES = 3 * TUNING_KINDS };
typedef struct {
    const char *name;
    bool there;
    char kernels[STORE_HASH];
} stored_hash;
typedef struct {
    stored_hash files[STORED_FILES];
    int n;
} stored_hashes;

/* values = the line's, for t. *wrong: null, or why they cannot be used. ERR_MEMORY only. */
status stored_values(int values[TUNING_VALUES], const char **wrong, const tuning *t,
                     const store_line *line, stored_hashes *known);

#endif
