/* The search's handle (search.h) of one benchmark worker (bench_worker.h). A request returns at
 * once and its reply is read later, so that several workers can build at the same time. */
#ifndef DITCL_TUNE_WORKER_LINK_H
#define DITCL_TUNE_WORKER_LINK_H

#include "base/hash.h"
#include "base/worker.h"
#include "ops/impl.h"
#include "tune/bench_worker.h"

/* An implementation and its configuration. */
typedef struct {
    const op_impl *t; /* null: none */
    int values[CONFIG_VALUES];
} choice;

typedef struct {
    worker child;
    int shape[SHAPE_SIZES];
    const char *op;                     /* null: no shape is open */
    choice baseline, asked;             /* asked: the baseline that was requested */
    bool awaits_shape, awaits_baseline; /* these replies are still to come */
    double asked_at;                    /* clock_seconds() of the latest request */
    bool lacking;         /* memory or the device failed, so the candidate is not at fault */
    char bits[HASH_TEXT]; /* hash of the latest result */
} worker_link;

/* Does nothing if the worker runs. */
status worker_link_start(worker_link *c, const char *const *args);
void worker_link_stop(worker_link *c);

/* Requests a candidate for a shape. Before that, requests the baseline unless the worker has it;
 * baseline->t null: no baseline is needed. */
void worker_link_build(worker_link *c, const char *op, const int *shape, const choice *baseline,
                       const choice *what);

/* RETRY: the worker was stopped; try once more in a new one. NO_BASELINE: likewise, but the
 * baseline could not be built. DIED: the worker ended, or was stopped after `limit` seconds without
 * a reply. */
typedef enum {
    REPLY_RIGHT,
    REPLY_WRONG,
    REPLY_FAILED,
    REPLY_DIED,
    REPLY_RETRY,
    REPLY_NO_BASELINE
} worker_reply;
/* The reply to worker_link_build. */
worker_reply worker_link_built(worker_link *c, double limit);

/* Requests a check of the candidate's whole result; worker_link_verified is the reply. */
void worker_link_verify(worker_link *c);
worker_reply worker_link_verified(worker_link *c, double limit);

/* Times the candidate for about `most` seconds. RIGHT: *time is set. */
worker_reply worker_link_time(worker_link *c, candidate_time *time, double most, double limit);

/* The candidate becomes the baseline; or another choice does. false: there is no baseline now. */
bool worker_link_keep(worker_link *c, const choice *what, double limit);
bool worker_link_set_baseline(worker_link *c, const choice *other, double limit);

bool worker_link_has_baseline(const worker_link *c, const choice *other);

#endif
