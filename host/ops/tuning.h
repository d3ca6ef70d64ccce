/* What can be chosen about a file of kernels, declared once: the kernel's -D option, the choices,
 * the key in the store of tuned values and the name on the host all come from one list,
 *
 *     #define TUNABLES(T)                                                \
 *         T(MT, "rows of a work-group's tile", 32, 64, 128)              \
 *         T(NT, "columns of a work-group's tile", 32, 64, 128)
 *     DECLARE_TUNABLES(TUNABLES);
 *
 * after which values[MT] is the chosen one. Shapes are what an operator's work is keyed by:
 *
 *     gemm       m, n, k
 *     attention  batch, tokens, heads, head width
 *     conv       pixels of one input picture, channels in, channels out, up */
#ifndef DITCL_OPS_TUNING_H
#define DITCL_OPS_TUNING_H

#include <stdbool.h>
#include <stddef.h>

#include "device/device.h"

enum { TUNING_VALUES = 16, TUNING_CHOICES = 10, TUNING_SIZES = 4, TUNING_OPTIONS = 320 };
enum { TUNING_KINDS = 16, TUNING_SHAPE = 48 };

typedef struct {
    const char *name, *what;
    int n, choices[TUNING_CHOICES];
} tuning_value;

#define TUNING_ENUM(name, what, ...) name,
#define TUNING_ROW(name, what, ...)                                                                \
    {#name, what, (int)(sizeof(int[]){__VA_ARGS__} / sizeof(int)), {__VA_ARGS__}},
#define DECLARE_TUNABLES(list)                                                                     \
    enum { list(TUNING_ENUM) N_TUNABLES_HERE };                                                    \
    static const tuning_value tunables[] = {list(TUNING_ROW)}

/* The tunables of one implementation of an operator. */
typedef struct {
    const char *op, *kind; /* "gemm", "gpu": an implementation's name */
    const char *file;      /* "gemm_gpu.cl": its text is part of the store's key */
    const tuning_value *tunables;
    int n;
    /* Sets of values known to be good, best guess first. The first that fits is the default. */
    const int (*known)[TUNING_VALUES];
    int n_known;
    /* Whether the device can run these values for this shape: local memory, work-group size,
     * registers, divisibility. Guards every launch, so it must not ask the driver. Weights that are
     * packed for one number of rows are used with others: it must not depend on m of a product, nor
     * on a picture's pixels, but where the kernels are slow and not wrong. */
    bool (*fits)(const device *d, const int *values, const int *shape);
    /* Kinds that begin like this cannot be used in the same process; null: none. */
    const char *excludes;
    /* Whether these values bring inputs to local memory for no other reason than that it is faster:
     * where it is global memory, others come first. Null: that is no matter of choice. */
    bool (*stages)(const int *values);
} tuning;

/* Of an implementation with nothing to choose. */
#define TUNING_NOTHING(op, kind, file)                                                             \
    {                                                                                              \
        op, kind, file, NULL, 0, tuning_nothing, 1, tuning_fits_always, NULL, NULL                 \
    }
extern const int tuning_nothing[1][TUNING_VALUES];
bool tuning_fits_always(const device *d, const int *values, const int *shape);

/* The values to use for a shape (TUNING_SIZES numbers, zeros behind): those stored for it on this
 * device, or for the shape that is nearest in its first size and has the same others, else those
 * stored for any shape, else the first known ones that fit; never such as are struck out
 * (first_use.h). Null where none fit. They live as long as the device. */
const int *tuning_values_for(const device *d, const tuning *t, const int *shape);

/* out = the known values that fit, in the order in which they are to be tried; returns how many,
 * `most` at most. */
int tuning_known(const int **out, int most, const device *d, const tuning *t, const int *shape);

/* out = " -DMT=64 -DNT=64", for program_get. */
void tuning_options(char out[TUNING_OPTIONS], const tuning *t, const int *values);

/* ---- which implementation serves ---- */

/* The one that was stored for this shape, or for the nearest as above; or null. */
const tuning *tuning_serving(const device *d, const char *op, const int *shape);

/* An operator that can be tuned. kinds: fills out with its implementations that this device, in its
 * class and precision, can run for a shape, the one that serves by default first; returns how many.
 * d null: all there are. */
typedef struct {
    const char *op;
    int n_sizes;
    int (*kinds)(const device *d, const int *shape, const tuning *out[TUNING_KINDS]);
} tuned_operator;

extern const tuned_operator tuned_operators[]; /* ends with a null op */

/* ---- stored values ---- */

/* From here on these values are used for the shape, and t serves it; shape null: they are used for
 * shapes that have none of their own. */
status tuning_set(device *d, const tuning *t, const int *shape, const int *values);
/* From here on t serves shapes that have none of their own, with these values where they fit. */
status tuning_serve(device *d, const tuning *t, const int *values);
/* As tuning_set, for values that were not set before. It does not look for them, so that many take
 * linear time. */
status tuning_add(device *d, const tuning *t, const int *shape, const int *values);
/* Forgets all of them. No weights may be held that were packed for them. */
void tuning_forget(device *d);

/* Whether any values of t are used on the device. */
bool tuning_used(const device *d, const tuning *t);

/* Whether each value is among its choices, and they fit the shape (null: not asked). */
bool tuning_valid(const device *d, const tuning *t, const int *values, const int *shape);

/* How many sets of choices fit the shape. */
long tuning_count(const device *d, const tuning *t, const int *shape);

/* "512x4608x1152", and back; false where the text is none. */
void tuning_shape_text(char out[TUNING_SHAPE], const int *shape);
bool tuning_shape_parse(int shape[TUNING_SIZES], const char *from);

#endif
