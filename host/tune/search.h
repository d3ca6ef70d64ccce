/* What the files of the tuner share. See tune.h. */
#ifndef DITCL_TUNE_SEARCH_H
#define DITCL_TUNE_SEARCH_H

#include "base/hash.h"
#include "base/worker.h"
#include "tune/store.h"
#include "tune/tune.h"

/* ---- a child that tries candidates: worker.c ---- */

typedef enum { OUTCOME_RIGHT, OUTCOME_WRONG, OUTCOME_FAILED, OUTCOME_DIED } outcome;

/* Seconds are of one call. */
typedef struct {
    double seconds;           /* of the candidate */
    double baseline;          /* of the baseline, measured in turns; 0: there is none */
    bool by_device;           /* timed by the device's clock; false: by the wall clock */
    double executed[N_ROOFS]; /* operations really executed, by roof */
} candidate_time;

typedef struct {
    worker child;
    const char *const *args; /* the child's command line */
    const char *op;          /* the latest request */
    int shape[SHAPE_SIZES];
    candidate tries, baseline;
    bool alone;           /* the baseline ended a child: the candidate is timed alone */
    double asked_at;      /* clock_seconds() of the request, or of the latest reply */
    bool lacking;         /* memory or the device failed; this says nothing about the candidate */
    char bits[HASH_TEXT]; /* hash of the candidate's result */
} tune_worker;

/* Requests to build a candidate for a shape, and the baseline that it will be timed against
 * (impl null: none). Starts the child if there is none. Several workers can build at the same
 * time. */
status worker_build(tune_worker *w, const char *op, const int *shape, const candidate *c,
                    const candidate *baseline);
/* The reply. DIED: the child ended, or gave no reply for `limit` seconds. */
outcome worker_built(tune_worker *w, double limit);
/* Times the candidate that was built, for about `most` seconds. verify: if it is better than the
 * baseline, checks its whole result and times it again. */
outcome worker_time(tune_worker *w, candidate_time *time, const candidate *baseline, double most,
                    bool verify, double limit);
void worker_end(tune_worker *w);

/* Returns false if the line is not a valid reply to "time". */
bool candidate_time_parse(candidate_time *time, const char *line);

/* ---- the tuning log: log.c ---- */

typedef struct {
    candidate is;
    int shape[SHAPE_SIZES];
    outcome outcome; /* DIED until another one is known */
    candidate_time time;
    unsigned number; /* of the line in the file */
    int counted;     /* for the search: 1 + the shape bucket that has counted it; 0: none has */
} log_entry;

typedef struct {
    log_entry *items;
    size_t n, capacity;
    FILE *file; /* appended to */
    unsigned numbers;
    const device *d;
} tuning_log;

/* Reads the entries of this device, kernel family, precision, driver and kernels. */
status log_open(tuning_log *l, const device *d);
void log_close(tuning_log *l);
bool log_has(const tuning_log *l, const candidate *c, const int *shape);
/* The entry is on disk when this returns. *which = its index. */
status log_begin(tuning_log *l, size_t *which, const candidate *c, const int *shape);
status log_end(tuning_log *l, size_t which, outcome o, const candidate_time *time);

/* ---- the next candidate: propose.c ---- */

/* What the search knows beside its public part. */
typedef struct {
    tune_search *s;
    tuning_log log;
    bool thorough; /* hopeless implementations are tried too */
    uint64_t random;
} search_state;

/* *c = the best candidate of another shape of the bucket, if this shape has tried few candidates
 * and not this one. */
bool propose_like(const search_state *t, const tune_shape *r, candidate *c);

/* *c = a candidate that fits the shape and was not tried there. false: none is left. */
bool propose(search_state *t, tune_shape *r, candidate *c);

#endif
