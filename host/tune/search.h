/* The search behind `ditcl tune`. Benchmark workers (bench_worker.h) try implementations and
 * configurations for each shape: first the shipped ones, then for the shape with most to gain. The
 * best configuration so far is written to the store at once. A search that is stopped continues
 * from the tuning log (tuning_log.h).
 *
 * Building takes longest, so several workers build and check candidates at the same time. Only one
 * worker measures at a time. On a CPU the others do not build meanwhile. */
#ifndef DITCL_TUNE_SEARCH_H
#define DITCL_TUNE_SEARCH_H

#include "tune/store.h"
#include "ops/impl.h"
#include "tune/worker_link.h"
#include "tune/tuning_log.h"

/* The best of one implementation. */
typedef struct {
    const op_impl *t;
    int values[CONFIG_VALUES];
    double seconds;           /* of one call; 0: no candidate was right */
    double executed[N_ROOFS]; /* operations really executed, by roof; zeros: unknown */
    bool full;                /* no candidate of it is left */
} search_best;

/* A shape bucket: shapes whose best kernels are much alike (workload_bucket). */
typedef struct {
    const char *name;
    int shapes, trials;
    int right;      /* different candidates that were right for at least one of the shapes */
    int since;      /* trials since the last better one */
    double seconds; /* of its measured shapes, in a run */
} shape_bucket;

typedef struct {
    const char *op;
    int shape[SHAPE_SIZES];
    double calls;                        /* in a run: the weight of the shape */
    search_best kinds[MOST_IMPLS], best; /* best.t null: none yet */
    int n_kinds, bucket;                 /* bucket: an index */
    double default_seconds;              /* of the untuned configuration; 0: unknown */
    int tried, refused, failed, wrong;
    int seeding,
        seeds; /* the shipped configurations: implementation reached, and how many of its own */
    int since; /* right candidates since the last better one */
    int busy;  /* workers that try a candidate now */
    bool done, no_baseline; /* no_baseline: no worker can run the best as baseline */
} search_row;

enum { SEARCH_WORKERS = 4, SHAPE_BUCKETS = 12 };

/* A benchmark worker and its current candidate. */
typedef struct {
    worker_link link;
    search_row *row; /* null: none yet */
    choice candidate;
    int kind;     /* index of the candidate's implementation in the row */
    int stay;     /* candidates before another shape may be chosen */
    size_t entry; /* in the log */
    bool busy;
    bool verifying; /* a better candidate awaits the check of its whole result and a second time */
    candidate_time first; /* of a candidate that is verified, if there was no baseline */
} search_worker;

typedef struct search {
    device *d;
    const char *const *worker; /* arguments of the benchmark worker of this device */
    double budget;             /* seconds; INFINITY: until a better configuration is unlikely */
    void (*progress)(void *context, const struct search *s, const search_row *now);
    void *progress_context;
    search_row *rows; /* filled in by the caller: op, shape, calls */
    int n;
    /* private */
    shape_bucket buckets[SHAPE_BUCKETS];
    int n_buckets, n_workers;
    store stored;
    tuning_log log;
    search_worker workers[SEARCH_WORKERS];
    int by_device, by_wall; /* times by the device's clock, and by the wall clock */
    bool thorough;          /* hopeless implementations are tried too */
    bool quick;             /* in this turn, kernels that are built already are preferred */
    bool complete; /* a better configuration is unlikely; the search ended before its budget */
    double start, until, limit, most; /* most: seconds of measuring a candidate */
    uint64_t random;
} search;

/* The number of configurations of a bucket: those that fit its heaviest shape. */
long search_candidates(const search *s, int bucket);

/* Searches for the budget. The status reports errors of files and workers; failures of candidates
 * are only counted. */
status search_run(search *s);
void search_close(search *s);

#endif
