/* The search behind `ditcl tune`: for each shape, implementations and values of their tunables are
 * tried in a child process (contest.h), first those known to be good, then what has most to gain;
 * the best so far is kept in the store at once. It can be stopped at any time and goes on from
 * there (tried.h). */
#ifndef DITCL_TRIALS_SEARCH_H
#define DITCL_TRIALS_SEARCH_H

#include "device/store.h"
#include "ops/tuning.h"
#include "trials/contest.h"
#include "trials/tried.h"
#include "trials/worker.h"

/* The best of one implementation. */
typedef struct {
    const tuning *t;
    int values[TUNING_VALUES];
    double seconds; /* of one call; 0: none was right */
    double executed[N_UNITS]; /* operations that it really does, by unit; zeros: unknown */
    bool full;      /* nothing is left to try of it */
} search_best;

typedef struct {
    const char *op;
    int shape[TUNING_SIZES];
    double calls; /* in a run, which weighs the shape */
    search_best kinds[TUNING_KINDS], best; /* best.t null: none yet */
    int n_kinds;
    double default_seconds; /* of what serves without a search; 0: unknown */
    int tried, refused, failed, wrong;
    int seeding, seeds; /* of known values: which implementation's, and how many of them */
    int since;          /* right ones since the last that was better */
    bool done, unheld; /* unheld: the child cannot hold the best */
} search_row;

typedef struct search {
    device *d;
    const char *const *worker; /* arguments of a child that serves contest.h on this device */
    double budget;             /* seconds */
    void (*progress)(void *context, const struct search *s, const search_row *now);
    void *progress_context;
    search_row *rows; /* filled in by the caller: op, shape, calls */
    int n;
    /* its own */
    store stored;
    tried log;
    worker child;
    const search_row *open; /* what the child has the shape of */
    int by_device, by_wall; /* times: the device's own, and the wall clock's for want of them */
    bool held, thorough; /* thorough: nothing is left out any more */
    double start, until, limit;
    uint64_t random;
} search;

/* Everything there is to try for the budget. The status is about files and children; what a
 * candidate does is counted. The device holds shipped values alone afterwards. */
status search_run(search *s);
void search_close(search *s);

#endif
