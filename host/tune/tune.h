/* The tuner: finds, for each shape of a model, the fastest implementation and configuration on one
 * device.
 *
 * What is searched. A candidate is an implementation of the operator that the device supports
 * (ops/impl.h), with one configuration of its tunables that fits the shape. The shape with most to
 * gain is tried next (search.c). Its first candidate is the untuned configuration. The best ones of
 * other shapes follow, then default configurations, then neighbours of the best and random ones
 * (propose.c).
 *
 * How a candidate is isolated. It runs in a child process, which dies with its parent and is
 * replaced if it ends or falls silent (worker.c). Before it runs, a line in the tuning log says so;
 * its outcome follows (log.c). So no candidate is tried twice, and a search that was killed goes
 * on.
 *
 * How it is checked. The child runs the operator on the inputs of its operator test. The result
 * must be finite, stay inside its buffer, and agree with double precision (optest/workload.h). Only
 * a right candidate is timed, and all of a GEMM's result is checked before it becomes the best.
 *
 * How it is timed. The child runs it in turns with the baseline, the best so far. The device's
 * clock counts unless the wall clock contradicts it. The candidate wins if its time is below
 * TUNE_BETTER times the baseline's. At the end the winners are measured once more in turns with
 * what serves untuned.
 *
 * Where results live. Each new best is written to the store at once (store.h), from which every
 * later run of this device reads what serves a shape (ops/configuration.h). */
#ifndef DITCL_TUNE_TUNE_H
#define DITCL_TUNE_TUNE_H

#include <stdio.h>

#include "ops/impl.h"

#define TUNE_BETTER 0.97 /* a smaller gain may be noise */

/* The best of a shape, or of one implementation at a shape. */
typedef struct {
    candidate is;             /* impl null: none yet */
    double seconds;           /* of one call; 0: no candidate was right */
    double executed[N_ROOFS]; /* operations really executed, by roof; zeros: unknown */
} tune_best;

/* A shape of a model. */
typedef struct {
    const char *op;
    int shape[SHAPE_SIZES];
    double calls; /* calls of one run: the weight of the shape */
    /* filled in by the search: */
    tune_best best, impls[MOST_IMPLS];
    bool full[MOST_IMPLS];  /* no candidate of this implementation is left */
    double default_seconds; /* of the untuned configuration; 0: unknown */
    int n_impls, bucket;    /* bucket: an index */
    int tried, refused, failed, wrong;
    int defaults; /* default configurations that were proposed */
    int since;    /* right candidates since the last better one */
    int busy;     /* workers that try a candidate now */
    bool done;
} tune_shape;

/* A shape bucket: shapes whose best kernels are much alike (workload_bucket). */
typedef struct {
    const char *name;
    int shapes, trials;
    int right;       /* different candidates that were right for at least one of the shapes */
    int since;       /* trials since the last better one */
    long candidates; /* that fit its heaviest shape */
} tune_bucket;

enum { TUNE_BUCKETS = 12 };

typedef struct tune_search {
    device *d;
    const char *const *worker; /* arguments of the child of this device */
    double budget;             /* seconds; INFINITY: until a better configuration is unlikely */
    void (*progress)(void *context, const struct tune_search *s, const tune_shape *now);
    void *progress_context;
    tune_shape *shapes;
    int n;
    /* filled in by the search: */
    tune_bucket buckets[TUNE_BUCKETS];
    int n_buckets;
    int by_device, by_wall; /* times by the device's clock, and by the wall clock */
    bool complete; /* a better configuration is unlikely; the search ended before its budget */
    double start;  /* clock_seconds() */
} tune_search;

/* Searches for the budget. The status reports errors of files and workers; failures of candidates
 * are only counted. */
status tune_run(tune_search *s);

/* The child: replies to each line of `in` (worker.c) until its end. */
status tune_serve(device *d, FILE *in, FILE *out);

/* Removes the device's tuning log. */
void tune_forget(const device_info *info);

/* ---- a new device ---- */

/* Begins no candidate after this time, which includes compiling. A candidate that has begun is not
 * interrupted. */
#define TUNE_FIT_SECONDS 3.0

/* Applies stored configurations to the device, before any weights are packed for it. Calls
 * d->settings.warn for lines that cannot be used. measure: measures the default configurations of
 * operators without a line, for TUNE_FIT_SECONDS in all, and stores the best. Only candidates that
 * give the same bits as the first one compete. Before that it calls say (may be null) with one
 * line, and again if the result cannot be stored. A device that cannot be measured keeps the first
 * candidates. DITCL_FIT=off and DITCL_CL_DIR turn measuring off. Fails only with ERR_MEMORY. */
status tune_fit(device *d, bool measure, void (*say)(const char *line));

#endif
