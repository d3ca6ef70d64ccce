/* Tunables and configurations. A tunable is a choice that a kernel file leaves open. It is declared
 * once: the kernel's -D option, the choices, the key in the store and the name on the host all come
 * from one list,
 *
 *     #define TUNABLES(T)                                                \
 *         T(MT, "rows of a work-group's tile", 32, 64, 128)              \
 *         T(NT, "columns of a work-group's tile", 32, 64, 128)
 *     DECLARE_TUNABLES(TUNABLES);
 *
 * after which config[MT] is the chosen value. A configuration has one value for each tunable of an
 * implementation (ops/impl.h). Configurations are measured for a shape, SHAPE_SIZES numbers:
 *
 *     gemm       m, n, k
 *     attention  batch, tokens, heads, head width
 *     conv       pixels of one input picture, channels in, channels out, up */
#ifndef DITCL_OPS_CONFIGURATION_H
#define DITCL_OPS_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>

#include "device/device.h"

enum { CONFIG_VALUES = 16, TUNABLE_CHOICES = 10, SHAPE_SIZES = 4, CONFIG_OPTIONS = 320 };
enum { SHAPE_TEXT = 48 };

typedef struct {
    const char *name, *what;
    int n, choices[TUNABLE_CHOICES];
} tunable;

#define TUNABLE_ENUM(name, what, ...) name,
#define TUNABLE_ROW(name, what, ...)                                                               \
    {#name, what, (int)(sizeof(int[]){__VA_ARGS__} / sizeof(int)), {__VA_ARGS__}},
#define DECLARE_TUNABLES(list)                                                                     \
    enum { list(TUNABLE_ENUM) N_TUNABLES_HERE };                                                   \
    static const tunable tunables[] = {list(TUNABLE_ROW)}

typedef struct op_impl op_impl;

/* An implementation with a configuration. */
typedef struct {
    const op_impl *impl; /* null: none */
    int config[CONFIG_VALUES];
} candidate;

candidate candidate_of(const op_impl *impl, const int *config);
bool candidate_equal(const candidate *a, const candidate *b);

/* "gpu 64 128 16", and back: false if the operator has no such implementation, or a value is not
 * among its choices. */
enum { CANDIDATE_TEXT = 256 };
void candidate_text(char out[CANDIDATE_TEXT], const candidate *c);
bool candidate_parse(candidate *c, const char *op, const char *from);

/* The configuration to use for a shape; null if none fits that is not struck out (first_use.h).
 * First come those stored for the shape, or for the shape that is nearest in its first size and
 * equal in the others; then those stored for any shape, unless they leave compute units idle where
 * a default configuration takes less time (ops/waves.h); then the default configurations. The
 * result lives as long as the device. */
const int *configuration_for(const device *d, const op_impl *impl, const int *shape);

/* out = the default configurations that fit, best guess first: those with the least time by the
 * rule of ops/waves.h, else in the order of their list; returns how many, at most `most`. */
int configuration_defaults(const int **out, int most, const device *d, const op_impl *impl,
                           const int *shape);

/* out = " -DMT=64 -DNT=64", for program_get; configuration_words: " MT=64 NT=64". */
void configuration_options(char out[CONFIG_OPTIONS], const op_impl *impl, const int *config);
void configuration_words(char out[CONFIG_OPTIONS], const op_impl *impl, const int *config);

/* ---- stored configurations ---- */

/* The implementation that was stored for this shape, or for the nearest shape; or null. */
const op_impl *configuration_serving(const device *d, const char *op, const int *shape);

/* From here on this configuration is used for the shape, and impl serves it; shape null: it is used
 * for shapes that have none of their own. */
status configuration_set(device *d, const op_impl *impl, const int *shape, const int *config);
/* From here on impl serves shapes that have none of their own, with this configuration where it
 * fits. */
status configuration_serve(device *d, const op_impl *impl, const int *config);
/* As configuration_set, or as configuration_serve if `serves`, for a configuration that was not set
 * before. Searches no earlier ones, so that adding many takes linear time. */
status configuration_add(device *d, const op_impl *impl, const int *shape, const int *config,
                         bool serves);
/* Forgets all stored configurations. No weights that were packed for them may be in use. */
void configuration_forget(device *d);

/* True if any configuration of impl was stored or set for the device. */
bool configuration_used(const device *d, const op_impl *impl);

/* True if each value is among the choices of its tunable, and the configuration fits the shape.
 * shape null: any. */
bool configuration_valid(const device *d, const op_impl *impl, const int *config, const int *shape);

/* How many configurations fit the shape. */
long configuration_count(const device *d, const op_impl *impl, const int *shape);

/* "512x4608x1152", and back; false if the text is no shape. */
void shape_text(char out[SHAPE_TEXT], const int *shape);
bool shape_parse(int shape[SHAPE_SIZES], const char *from);
bool shape_equal(const int *a, const int *b);

#endif
