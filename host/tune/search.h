/* The search behind `ditcl tune`: for each shape, implementations and values of their tunables are
 * tried in child processes (contest.h), first those known to be good, then what has most to gain;
 * the best so far is kept in the store at once. It can be stopped at any time and goes on from
 * there (tried.h).
 *
 * Several children build and check candidates at the same time, which takes longest; then one
 * measures, while on a processor all others stand still. */
#ifndef DITCL_TUNE_SEARCH_H
#define DITCL_TUNE_SEARCH_H

#include "device/store.h"
#include "ops/tuning.h"
#include "tune/contestant.h"
#include "tune/tried.h"

/* The best of one implementation. */
typedef struct {
    const tuning *t;
    int values[TUNING_VALUES];
    double seconds;           /* of one call; 0: none was right */
    double executed[N_ROOFS]; /* operations that it really does, by unit; zeros: unknown */
    bool full;                /* nothing is left to try of it */
} search_best;

/* Shapes of a kind, whose best kernels are much alike (workload_bucket). */
typedef struct {
    const char *name;
    int shapes, optests;
    int right;      /* different candidates that were right for one of the shapes or more */
    int since;      /* operator tests since one was better */
    double seconds; /* of its shapes that are measured, in a run */
} shape_bucket;

typedef struct {
    const char *op;
    int shape[TUNING_SIZES];
    double calls;                          /* in a run, which weighs the shape */
    search_best kinds[TUNING_KINDS], best; /* best.t null: none yet */
    int n_kinds, bucket;                   /* class: an index */
    double default_seconds;                /* of what serves without a search; 0: unknown */
    int tried, refused, failed, wrong;
    int seeding, seeds; /* of known values: which implementation's, and how many of them */
    int since;          /* right ones since the last that was better */
    int busy;           /* children that try one now */
    bool done, unheld;  /* unheld: no child can hold the best */
} search_row;

enum { SEARCH_CHILDREN = 4, SHAPE_BUCKETS = 12 };

/* A child, and what it is at. */
typedef struct {
    contestant at;
    search_row *row; /* null: none yet */
    choice candidate;
    int kind;     /* the candidate's, of the row's */
    int stay;     /* candidates before another shape is looked for */
    size_t entry; /* of the log */
    bool busy;
    bool proving;       /* what was better must still be checked as a whole, and measured again */
    contest_time first; /* of what is proved, where there was none to measure it beside */
} search_child;

typedef struct search {
    device *d;
    const char *const *worker; /* arguments of a child that serves contest.h on this device */
    double budget;             /* seconds; INFINITY: until nothing better is likely */
    void (*progress)(void *context, const struct search *s, const search_row *now);
    void *progress_context;
    search_row *rows; /* filled in by the caller: op, shape, calls */
    int n;
    /* its own */
    shape_bucket buckets[SHAPE_BUCKETS];
    int n_classes, n_children;
    store stored;
    tried log;
    search_child children[SEARCH_CHILDREN];
    int by_device, by_wall; /* times: the device's own, and the wall clock's for want of them */
    bool thorough;          /* nothing is left out any more */
    bool quick;             /* kernels that are built already are preferred, in this turn */
    bool complete;          /* nothing better is likely: it ended before the budget did */
    double start, until, limit, most; /* most: seconds of measuring a candidate */
    uint64_t random;
} search;

/* Sets of values that could be tried for a class: those that fit its heaviest shape. */
long search_exist(const search *s, int bucket);

/* Everything there is to try for the budget. The status is about files and children; what a
 * candidate does is counted. The device holds shipped values alone afterwards. */
status search_run(search *s);
void search_close(search *s);

#endif
