/* The search loop. See tune.h.
 *
 * Building takes longest, so several workers build and check candidates at the same time. Only one
 * worker measures at a time. On a CPU the others do not build meanwhile. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "optest/workload.h"
#include "tune/search.h"

/* Factor of the estimated time of a shape that has no time yet. */
static const double UNKNOWN = 5.0;

enum {
    WORKERS = 4,
    ENOUGH = 100,       /* a bucket is done after so many different right candidates */
    NO_BETTER = 60,     /* and so many trials since the last better one */
    ENOUGH_FAILED = 30, /* a shape is given up after so many failures without a right one */
    CHUNK = 6,          /* candidates of a shape before another shape may be chosen */
};
/* At the end the best must take less than CONFIRMED times the untuned time. */
static const double CONFIRMED = 0.99;
static const double CONFIRMING = 0.1; /* part of the budget for the last measurements */
/* Seconds to build and check, or to run, one candidate: a part of the budget, within limits. */
static const double LIMIT_PART = 1.0 / 6.0, LIMIT_LEAST = 10.0, LIMIT_SECONDS = 20.0;
/* Seconds of measuring a candidate: also a part of the budget, within limits. */
static const double MOST_PART = 0.005, MOST_LEAST = 0.15, MOST_SECONDS = 2.0;

/* A worker and its current candidate. */
typedef struct {
    tune_worker child;
    tune_shape *row; /* null: none yet */
    int impl;        /* index of the candidate's implementation in the row */
    int stay;        /* candidates before another shape may be chosen */
    size_t entry;    /* in the log */
    bool busy;
} searcher;

typedef struct {
    search_state t; /* the part that propose.c reads */
    store stored;
    searcher workers[WORKERS];
    int n_workers;
    double until, limit, most; /* most: seconds of measuring a candidate */
} search;

/* ---- the store ---- */

/* The implementation that excludes others in one process, or null. CLBlast as shipped excludes
 * CLBlast with other parameters. */
static const op_impl *find_excluding(const tune_search *s)
{
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < s->shapes[i].n_impls; k++)
            if (s->shapes[i].impls[k].is.impl->excludes) return s->shapes[i].impls[k].is.impl;
    return NULL;
}

/* True if impl cannot serve in a process that uses `excluding` (used), or that does not. */
static bool is_excluded(const op_impl *impl, const op_impl *excluding, bool used)
{
    if (!excluding) return false;
    return used ? !strncmp(impl->name, excluding->excludes, strlen(excluding->excludes))
                : impl == excluding;
}

/* The best of a shape that is not excluded. */
static tune_best winner(const tune_shape *r, const op_impl *excluding, bool used)
{
    tune_best w = r->best; /* measured in turns with the others, so preferred to times of different
                              moments */
    if (!w.is.impl || !is_excluded(w.is.impl, excluding, used)) return w;
    w.is.impl = NULL;
    for (int k = 0; k < r->n_impls; k++) {
        const tune_best *b = &r->impls[k];
        if (b->seconds > 0.0 && !is_excluded(b->is.impl, excluding, used) &&
            (!w.is.impl || b->seconds < w.seconds))
            w = *b;
    }
    return w;
}

static double total_seconds(const tune_search *s, const op_impl *excluding, bool used)
{
    double sum = 0.0;
    for (int i = 0; i < s->n; i++) {
        tune_best w = winner(&s->shapes[i], excluding, used);
        sum += s->shapes[i].calls * (w.is.impl ? w.seconds : s->shapes[i].default_seconds);
    }
    return sum;
}

/* Writes the best configurations so far. The best of the heaviest shape becomes the default of its
 * implementation, for all other shapes. */
static status save(search *x, bool finally)
{
    tune_search *s = x->t.s;
    const op_impl *excluding = find_excluding(s);
    bool used = total_seconds(s, excluding, true) < total_seconds(s, excluding, false);
    status st = OK;
    for (size_t i = x->stored.n; i > 0; i--)
        if (is_excluded(x->stored.lines[i - 1].is.impl, excluding, used))
            store_drop(&x->stored, i - 1);
    for (int i = s->n - 1; i >= 0; i--) { /* sorted by weight; the last default counts */
        tune_best w = winner(&s->shapes[i], excluding, used);
        if (finally) s->shapes[i].best = w;
        if (!w.is.impl) continue;
        TRY(store_put(&x->stored, s->d, &w.is, s->shapes[i].shape, true));
        if (w.is.impl->n) TRY(store_put(&x->stored, s->d, &w.is, NULL, false));
    }
    TRY(store_save(&x->stored, &s->d->info));
done:
    return st;
}

/* ---- what a trial found ---- */

/* Records the time of a right candidate. Returns whether it is better than the best. */
static bool take_time(tune_shape *r, int which, const candidate *c, const candidate_time *time)
{
    tune_best found = {.is = *c, .seconds = time->seconds}, *own = &r->impls[which];
    /* measured in turns with the candidate if possible, otherwise earlier */
    double baseline = time->baseline > 0.0 ? time->baseline : r->best.seconds;
    bool better = !r->best.is.impl || time->seconds < TUNE_BETTER * baseline;
    memcpy(found.executed, time->executed, sizeof found.executed);
    r->tried++;
    r->since = better ? 0 : r->since + 1;
    if (better || own->seconds <= 0.0 || time->seconds < own->seconds) *own = found;
    if (r->tried == 1 && which == 0) r->default_seconds = time->seconds;
    if (r->best.is.impl && baseline < r->best.seconds)
        r->best.seconds = baseline; /* the machine is quieter now */
    if (better) r->best = found;
    return better;
}

/* Counts the outcome of a candidate, for its shape and for the bucket. Returns whether it is better
 * than the best. */
static bool count(search *x, tune_shape *r, int which, size_t entry)
{
    log_entry *e = &x->t.log.items[entry];
    tune_bucket *bucket = &x->t.s->buckets[r->bucket];
    bool right = e->outcome == OUTCOME_RIGHT;
    bool better = right && take_time(r, which, &e->is, &e->time);
    r->wrong += e->outcome == OUTCOME_WRONG;
    r->failed += e->outcome == OUTCOME_FAILED || e->outcome == OUTCOME_DIED;
    bucket->trials++;
    bucket->since = better ? 0 : bucket->since + 1;
    for (size_t i = 0; right && i < x->t.log.n; i++) /* was it right for another shape before? */
        right = x->t.log.items[i].counted != r->bucket + 1 ||
                !candidate_equal(&x->t.log.items[i].is, &e->is);
    if (right) e->counted = r->bucket + 1;
    bucket->right += right;
    return better;
}

static int find_impl(const tune_shape *r, const op_impl *impl)
{
    int k = r->n_impls - 1;
    while (k >= 0 && r->impls[k].is.impl != impl) k--;
    return k;
}

/* Replays the tuning log of earlier searches. */
static void replay_log(search *x)
{
    for (size_t i = 0; i < x->t.log.n; i++) {
        const log_entry *e = &x->t.log.items[i];
        for (int j = 0; j < x->t.s->n; j++) {
            tune_shape *r = &x->t.s->shapes[j];
            int k = shape_equal(r->shape, e->shape) ? find_impl(r, e->is.impl) : -1;
            if (k >= 0) count(x, r, k, i);
        }
    }
}

/* ---- one candidate ---- */

static status begin_trial(search *x, searcher *w, tune_shape *r, const candidate *c)
{
    status st = OK;
    w->row = r;
    w->impl = find_impl(r, c->impl);
    TRY(log_begin(&x->t.log, &w->entry, c, r->shape));
    TRY(worker_build(&w->child, r->op, r->shape, c, &r->best.is));
    w->busy = true;
    r->busy++;
done:
    return st;
}

static outcome read_built(search *x, searcher *w)
{
    /* at its first use a library builds several programs */
    return worker_built(&w->child, w->row->impls[w->impl].seconds > 0.0 ? x->limit : 3 * x->limit);
}

/* Times the candidate that a worker has built, against the row's best, which another worker may
 * have found meanwhile. */
static status end_trial(search *x, searcher *w, outcome o)
{
    candidate_time time = {0};
    tune_shape *r = w->row;
    status st = OK;
    if (o == OUTCOME_RIGHT)
        o = worker_time(&w->child, &time, &r->best.is, x->most, true, 3 * x->limit);
    w->busy = false;
    r->busy--;
    if (o == OUTCOME_RIGHT) *(time.by_device ? &x->t.s->by_device : &x->t.s->by_wall) += 1;
    TRY(log_end(&x->t.log, w->entry, o, &time));
    if (count(x, r, w->impl, w->entry)) TRY(save(x, false));
done:
    return st;
}

/* ---- which shape and candidate is next ---- */

/* Operations per second of the best candidates so far. */
static double rate_of(const tune_search *s)
{
    double flops = 0.0, seconds = 0.0;
    for (int i = 0; i < s->n; i++) {
        const tune_shape *r = &s->shapes[i];
        if (!r->best.is.impl) continue;
        flops += workload_flops(r->op, r->shape);
        seconds += r->best.seconds;
    }
    return seconds > 0.0 ? flops / seconds : 1e9;
}

/* Seconds that more trials of this shape may save in a run. If the shape has no time yet: UNKNOWN
 * times an estimate. If the best candidate of a similar shape was not tried: all of the shape's
 * time. Otherwise a part of it, which shrinks while no better candidate is found. */
static double expected_gain(const search *x, const tune_shape *r, double rate)
{
    candidate like;
    double guess = UNKNOWN * workload_flops(r->op, r->shape) / rate;
    if (!r->best.is.impl)
        return r->busy ? 0.0 : r->calls * guess / (1.0 + 8.0 * (r->failed + r->wrong));
    double own = r->calls * r->best.seconds;
    return propose_like(&x->t, r, &like) ? own : own / (4.0 + 0.5 * r->since + r->tried);
}

static tune_shape *most_to_gain(const search *x)
{
    tune_shape *best = NULL;
    double most = 0.0, rate = rate_of(x->t.s);
    for (int i = 0; i < x->t.s->n; i++) {
        tune_shape *r = &x->t.s->shapes[i];
        double gain = r->done ? 0.0 : expected_gain(x, r, rate);
        if (gain > most) most = gain, best = r;
    }
    return best;
}

static double left(const search *x)
{
    return x->until - clock_seconds();
}

/* The next candidate of a shape. false: none is left, or enough were tried. */
static bool next_candidate(search *x, tune_shape *r, candidate *c)
{
    const tune_bucket *bucket = &x->t.s->buckets[r->bucket];
    bool enough = r->best.is.impl && bucket->right >= ENOUGH && bucket->since >= NO_BETTER;
    bool hopeless = !r->best.is.impl && r->failed + r->wrong >= ENOUGH_FAILED;
    r->done = hopeless || !(enough ? propose_like(&x->t, r, c) : propose(&x->t, r, c));
    return !r->done;
}

/* Gives a worker its next candidate: of its current shape, or of the shape with most to gain. */
static status begin_next(search *x, searcher *w)
{
    tune_search *s = x->t.s;
    tune_shape *r = w->row && w->stay > 0 && w->row->best.is.impl && !w->row->done ? w->row : NULL;
    candidate c;
    if (w->busy || left(x) <= 0.0) return OK;
    for (;; r = NULL) {
        if (!r) {
            r = most_to_gain(x);
            w->stay = r && r->best.is.impl ? CHUNK : 1;
        }
        if (!r) return OK;
        if (next_candidate(x, r, &c)) break;
    }
    w->stay--;
    if (s->progress) s->progress(s->progress_context, s, r);
    return begin_trial(x, w, r, &c);
}

/* One candidate for each worker. On a CPU all workers build first and then measure one after the
 * other, since a build would disturb the times. *any = whether there was a candidate. */
static status turn(search *x, bool *any)
{
    outcome built[WORKERS] = {0};
    bool wait = x->t.s->d->info.kind == DEVICE_CPU;
    status st = OK;
    *any = false;
    for (int i = 0; i < x->n_workers; i++) TRY(begin_next(x, &x->workers[i]));
    for (int i = 0; i < x->n_workers && wait; i++)
        if (x->workers[i].busy) built[i] = read_built(x, &x->workers[i]);
    for (int i = 0; i < x->n_workers; i++) {
        searcher *w = &x->workers[i];
        if (!w->busy) continue;
        *any = true;
        if (!wait) built[i] = read_built(x, w);
        TRY(end_trial(x, w, built[i]));
        if (!wait) TRY(begin_next(x, w));
    }
done:
    return st;
}

/* ---- beginning and end ---- */

static int by_weight(const void *a, const void *b)
{
    const tune_shape *x = a, *y = b;
    double wx = x->calls * workload_flops(x->op, x->shape);
    double wy = y->calls * workload_flops(y->op, y->shape);
    return (wx < wy) - (wx > wy);
}

static int find_bucket(tune_search *s, const char *name)
{
    int i = 0;
    while (i < s->n_buckets && strcmp(s->buckets[i].name, name) != 0) i++;
    if (i == s->n_buckets && i + 1 < TUNE_BUCKETS) s->buckets[s->n_buckets++].name = name;
    return i;
}

/* The implementations of a shape, the untuned one first; and its bucket. */
static void prepare_shape(tune_search *s, tune_shape *r)
{
    const op_impl *all[MOST_IMPLS], *serving = configuration_serving(s->d, r->op, r->shape);
    r->n_impls = operator_impls(operator_find(r->op), s->d, r->shape, all);
    r->done = r->n_impls == 0;
    r->bucket = find_bucket(s, workload_bucket(r->op, r->shape));
    s->buckets[r->bucket].shapes++;
    for (int k = 0; k < r->n_impls; k++) r->impls[k].is.impl = all[k];
    for (int k = 1; k < r->n_impls; k++) {
        if (all[k] != serving) continue;
        r->impls[k].is.impl = all[0];
        r->impls[0].is.impl = serving;
    }
}

static double between(double least, double x, double most)
{
    return fmax(least, fmin(x, most));
}

static void prepare(search *x)
{
    tune_search *s = x->t.s;
    const char *limit = getenv("DITCL_TUNE_LIMIT");
    int threads = parallel_threads();
    s->start = clock_seconds();
    x->until = s->start + s->budget * (1.0 - CONFIRMING);
    x->limit =
        limit && *limit ? atof(limit) : between(LIMIT_LEAST, s->budget * LIMIT_PART, LIMIT_SECONDS);
    x->most = between(MOST_LEAST, s->budget * MOST_PART, MOST_SECONDS);
    x->n_workers = threads < WORKERS ? threads : WORKERS;
    x->t.random = 0x0d17c1;
    for (int i = 0; i < WORKERS; i++) x->workers[i].child.args = s->worker;
    qsort(s->shapes, (size_t)s->n, sizeof *s->shapes, by_weight);
    for (int i = 0; i < s->n; i++) prepare_shape(s, &s->shapes[i]);
}

/* Measures the best and the untuned configuration once more in turns, since a single short time may
 * be noise. */
static status confirm(search *x, tune_shape *r)
{
    enum { ROUNDS = 2 };
    searcher *w = &x->workers[0];
    const op_impl *first = r->impls[0].is.impl;
    const int *config = first ? configuration_for(x->t.s->d, first, r->shape) : NULL;
    candidate_time time = {0};
    double worst = 0.0; /* largest ratio of the best time to the untuned time */
    if (!r->best.is.impl || !config || r->default_seconds <= 0.0) return OK;
    tune_best untuned = {.is = candidate_of(first, config)};
    if (candidate_equal(&untuned.is, &r->best.is)) {
        r->default_seconds = r->best.seconds;
        return OK;
    }
    w->row = r;
    w->impl = 0;
    status st = worker_build(&w->child, r->op, r->shape, &untuned.is, &r->best.is);
    outcome o = st == OK ? read_built(x, w) : OUTCOME_DIED;
    for (int round = 0; round < ROUNDS; round++) {
        if (o == OUTCOME_RIGHT)
            o = worker_time(&w->child, &time, &r->best.is, x->most, false, 3 * x->limit);
        if (o != OUTCOME_RIGHT || time.baseline <= 0.0) return st;
        if (time.baseline / time.seconds > worst) {
            worst = time.baseline / time.seconds;
            r->best.seconds = time.baseline;
            r->default_seconds = time.seconds;
        }
    }
    if (worst <= CONFIRMED) return OK;
    untuned.seconds = r->default_seconds;
    memcpy(untuned.executed, time.executed, sizeof untuned.executed);
    r->best = r->impls[0] = untuned;
    return OK;
}

/* Counts, for each bucket, the candidates that fit its heaviest shape. There are many, so this
 * takes a while. */
static void count_candidates(tune_search *s)
{
    for (int i = 0; i < s->n; i++) {
        const tune_shape *r = &s->shapes[i];
        long n = 0;
        for (int k = 0; k < r->n_impls && !s->buckets[r->bucket].candidates; k++)
            n += configuration_count(s->d, r->impls[k].is.impl, r->shape);
        s->buckets[r->bucket].candidates += n;
    }
}

/* The second pass tries what the first one left out. */
static status run_passes(search *x)
{
    status st = OK;
    for (int pass = 0; pass < 2; pass++, x->t.thorough = true) {
        bool any = true;
        while (any) TRY(turn(x, &any));
        for (int i = 0; i < x->t.s->n && pass == 0; i++) {
            tune_shape *r = &x->t.s->shapes[i];
            r->done = r->n_impls == 0;
            r->defaults = 0;
        }
    }
done:
    return st;
}

status tune_run(tune_search *s)
{
    search *x = NULL;
    status st = OK;
    TRY(memory_alloc(&x, 1, sizeof *x));
    x->t.s = s;
    TRY(store_load(&x->stored, s->d));
    prepare(x);
    TRY(log_open(&x->t.log, s->d));
    replay_log(x);
    TRY(run_passes(x));
    s->complete = left(x) > 0.0;
    x->until = s->start + s->budget;
    for (int i = 0; i < s->n && left(x) > 0.0; i++) {
        if (s->progress) s->progress(s->progress_context, s, &s->shapes[i]);
        TRY(confirm(x, &s->shapes[i]));
    }
    TRY(save(x, true));
    count_candidates(s);
done:
    for (int i = 0; x && i < WORKERS; i++) worker_end(&x->workers[i].child);
    if (x) {
        log_close(&x->t.log);
        store_free(&x->stored);
    }
    free(x);
    return st;
}
