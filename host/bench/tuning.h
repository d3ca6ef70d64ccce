/* What `ditcl tune` needs of a model: the shapes that a run of it has, and how long a forward pass
 * takes, in a child process each for a device with tuned values and one without. */
#ifndef DITCL_BENCH_TUNING_H
#define DITCL_BENCH_TUNING_H

#include "checkpoint/model.h"
#include "tune/search.h"

/* *rows = the shapes of one picture drawn in 50 steps with guidance, and decoded; n of them. Those
 * of an operator that is not in `only` (null: all; ends with null) are left out. */
status tuning_shapes(model *m, const char *const *only, search_row **rows, int *n);

/* A child: loads the transformer, then answers each line of `in` with the seconds of one forward
 * pass; its first line is "ready". */
status tuning_serve_forward(device *d, model *m, FILE *in, FILE *out);

/* Medians of passes, in turns, of two such children: without tuned values and with them. */
typedef struct {
    double untuned, tuned; /* seconds */
    int passes;            /* of each */
} forward_gain;
status tuning_compare(forward_gain *g, const char *const *untuned, const char *const *tuned,
                      double seconds);

#endif
