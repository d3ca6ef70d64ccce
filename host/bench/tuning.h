/* For `ditcl tune`: the shapes of a run of a model, and the time of a forward pass with and without
 * tuned configurations, each in its own child process. */
#ifndef DITCL_BENCH_TUNING_H
#define DITCL_BENCH_TUNING_H

#include "checkpoint/model.h"
#include "tune/tune.h"

/* found [*n] = the shapes of drawing one picture in 50 steps with guidance, and of decoding it.
 * Omits operators that are not in `only`, which ends with a null; null: all. */
status tuning_shapes(model *m, const char *const *only, tune_shape **found, int *n);

/* The child: loads the transformer and writes "ready". Then replies to each line of `in` with the
 * seconds of one forward pass. */
status tuning_serve_forward(device *d, model *m, FILE *in, FILE *out);

/* Median times of passes, which two children run in turns: without and with tuned configurations.
 */
typedef struct {
    double untuned, tuned; /* seconds */
    int passes;            /* of each child */
} forward_gain;
status tuning_compare(forward_gain *g, const char *const *untuned, const char *const *tuned,
                      double seconds);

#endif
