/* What can be chosen about a file of kernels, declared once: the kernel's -D option, the choices, the
 * key in the store of tuned values and the name on the host all come from one list,
 *
 *     #define TUNABLES(T)                                                \
 *         T(MT, "rows of a work-group's tile", 32, 64, 128)              \
 *         T(NT, "columns of a work-group's tile", 32, 64, 128)
 *     DECLARE_TUNABLES(TUNABLES);
 *
 * after which values[MT] is the chosen one. Shapes are what an operator's work is keyed by, such as
 * m, n, k of a product; see each tuning. */
#ifndef DITCL_OPS_TUNING_H
#define DITCL_OPS_TUNING_H

#include <stdbool.h>
#include <stddef.h>

#include "device/device.h"

enum { TUNING_VALUES = 12, TUNING_CHOICES = 10, TUNING_SIZES = 4, TUNING_OPTIONS = 320 };

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
     * registers, divisibility. Guards every launch, so it must not ask the driver. */
    bool (*fits)(const device *d, const int *values, const int *shape);
} tuning;

/* All of them; ends with null. */
extern const tuning *const tunings[];

/* The values to use for a shape (TUNING_SIZES numbers, zeros behind): those stored for it on this
 * device, else the first known ones that fit. Null where none fit. They live as long as the
 * device. */
const int *tuning_values_for(const device *d, const tuning *t, const int *shape);

/* out = " -DMT=64 -DNT=64", for program_get. */
void tuning_options(char out[TUNING_OPTIONS], const tuning *t, const int *values);

#endif
