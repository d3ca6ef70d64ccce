/* A child in which candidates are tried (contest.h), seen from the search that owns it (search.h).
 * What it is told is answered later, so that several can build at once. */
#ifndef DITCL_TUNE_CONTESTANT_H
#define DITCL_TUNE_CONTESTANT_H

#include "base/hash.h"
#include "base/worker.h"
#include "ops/tuning.h"
#include "tune/contest.h"

typedef struct {
    const tuning *t; /* null: none */
    int values[TUNING_VALUES];
} choice;

typedef struct {
    worker child;
    int shape[TUNING_SIZES];
    const char *op;        /* null: no shape is open */
    choice held, asked;    /* asked: what it was told to hold */
    bool opening, holding; /* of which the answers are to come */
    double told;           /* when it was told to build */
    bool lacking; /* it failed for lack of memory or of the device: no fault of what was tried */
    char bits[HASH_TEXT]; /* of the result of what it built last: a hash */
} contestant;

/* Does nothing where it runs already. */
status contestant_start(contestant *c, const char *const *args);
void contestant_stop(contestant *c);

/* Tells it to build a candidate for a shape; beside: what it must hold by then, t null: nothing. */
void contestant_build(contestant *c, const char *op, const int *shape, const choice *beside,
                      const choice *candidate);

/* The answer. AGAIN: it was stopped, and a fresh one may do it. NOT_HELD: so too, but without
 * `beside`. DIED: it did, or was stopped as it was silent for so many seconds. */
typedef enum {
    CONTESTANT_RIGHT,
    CONTESTANT_WRONG,
    CONTESTANT_FAILED,
    CONTESTANT_DIED,
    CONTESTANT_AGAIN,
    CONTESTANT_NOT_HELD
} contestant_answer;
contestant_answer contestant_built(contestant *c, double limit);

/* Tells it to check what it built as a whole; contestant_proved is the answer. */
void contestant_prove(contestant *c);
contestant_answer contestant_proved(contestant *c, double limit);

/* Has it measure what it built, for about `most` seconds. RIGHT: there is a time. */
contestant_answer contestant_time(contestant *c, contest_time *time, double most, double limit);

/* What it built takes the held one's place; or another does. false: it holds nothing. */
bool contestant_hold(contestant *c, const choice *candidate, double limit);
bool contestant_hold_other(contestant *c, const choice *other, double limit);

bool contestant_holds(const contestant *c, const choice *other);

#endif
