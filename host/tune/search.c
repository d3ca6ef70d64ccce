/* The search loop. See search.h. */
#include "tune/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "optest/workload.h"
#include "tune/propose.h"

enum {
    ENOUGH = 100,       /* a bucket is done after so many different right candidates */
    NO_BETTER = 60,     /* and so many trials since the last better one */
    ENOUGH_FAILED = 30, /* a shape is given up after so many failures without a right one */
    CHUNK = 6,          /* candidates of a shape before another shape may be chosen */
};
static const double CONFIRMED =
    0.99; /* at the end the best must take less than this factor of the untuned time */
static const double CONFIRMING = 0.1; /* part of the budget for the last measurements */
/* Seconds to build and check, or to run, one candidate: a part of the budget, within limits. */
static const double LIMIT_PART = 1.0 / 6.0, LIMIT_LEAST = 10.0, LIMIT_SECONDS = 20.0;
static const double UNKNOWN =
    5.0; /* factor of the estimated time of a shape that has no time yet */
/* Seconds of measuring a candidate: likewise. */
static const double MOST_PART = 0.005, MOST_LEAST = 0.15, MOST_SECONDS = 2.0;

/* ---- the store ---- */

static bool left_out(const op_impl *t, const char *without, bool whole)
{
    return without &&
           (whole ? !strcmp(t->name, without) : !strncmp(t->name, without, strlen(without)));
}

/* winners (may be null) = the best of each row without some implementations: if whole, the one
 * named `without`, otherwise all whose names begin with it. Returns the sum of their times. */
static double find_winners(const search *s, const char *without, bool whole, search_best *winners)
{
    double sum = 0.0;
    for (int i = 0; i < s->n; i++) {
        const search_row *r = &s->rows[i];
        search_best w = r->best; /* measured in turns with the others, so preferred to times of
                                    different moments */
        if (w.t && left_out(w.t, without, whole)) w.t = NULL;
        for (int k = 0; k < r->n_kinds && r->best.t && w.t != r->best.t; k++) {
            const search_best *b = &r->kinds[k];
            if (b->seconds > 0.0 && !left_out(b->t, without, whole) &&
                (!w.t || b->seconds < w.seconds))
                w = *b;
        }
        if (winners) winners[i] = w;
        sum += r->calls * (w.t ? w.seconds : r->default_seconds);
    }
    return sum;
}

/* CLBlast with its own and with other parameters exclude each other in one process. Chooses the one
 * that gives the smaller total time. */
static void choose_winners(const search *s, search_best *winners, const char **without, bool *whole)
{
    const op_impl *alone = NULL;
    *without = NULL;
    *whole = false;
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < s->rows[i].n_kinds; k++)
            if (s->rows[i].kinds[k].t->excludes) alone = s->rows[i].kinds[k].t;
    if (alone) {
        *whole = find_winners(s, alone->name, true, NULL) <=
                 find_winners(s, alone->excludes, false, NULL);
        *without = *whole ? alone->name : alone->excludes;
    }
    find_winners(s, *without, *whole, winners);
}

/* Drops the lines of implementations that are left out. */
static void drop_lines(search *s, const char *without, bool whole)
{
    for (size_t i = s->stored.n; i > 0; i--) {
        const store_line *line = &s->stored.lines[i - 1];
        if (!line->shipped && left_out(line->is.impl, without, whole))
            store_drop(&s->stored, i - 1);
    }
}

/* Writes the best configurations so far. The best of the heaviest shape becomes the default of its
 * implementation, for all other shapes. */
static status save(search *s, bool finally)
{
    search_best *winners = NULL;
    const char *without;
    bool whole;
    status st = OK;
    TRY(memory_alloc(&winners, (size_t)s->n, sizeof *winners));
    choose_winners(s, winners, &without, &whole);
    drop_lines(s, without, whole);
    for (int i = s->n - 1; i >= 0; i--) { /* rows are sorted by weight and the last line counts */
        const search_best *w = &winners[i];
        if (finally) s->rows[i].best = *w;
        if (!w->t) continue;
        const candidate c = candidate_of(w->t, w->values);
        TRY(store_put(&s->stored, s->d, &c, s->rows[i].shape, true));
        if (w->t->n) TRY(store_put(&s->stored, s->d, &c, NULL, false));
    }
    TRY(store_save(&s->stored, &s->d->info));
done:
    free(winners);
    return st;
}

/* *b = these values and their time. */
static void set_best(search_best *b, const int *values, const candidate_time *time)
{
    b->seconds = time->seconds;
    memcpy(b->values, values, sizeof b->values);
    memcpy(b->executed, time->executed, sizeof b->executed);
}

/* Seconds of the row's best: measured in turns with the candidate if possible, otherwise earlier.
 */
static double baseline_seconds(const search_row *r, const candidate_time *time)
{
    return time->baseline > 0.0 ? time->baseline : r->best.seconds;
}

static bool is_better(const search_row *r, const candidate_time *time)
{
    return !r->best.t || time->seconds < CANDIDATE_BETTER * baseline_seconds(r, time);
}

/* Records the time of a right candidate. Returns whether it is better than the best. */
static bool take_time(search_row *r, int which, const int *values, const candidate_time *time)
{
    search_best *kind = &r->kinds[which];
    double baseline = baseline_seconds(r, time);
    bool better = is_better(r, time);
    r->tried++;
    r->since++;
    if (kind->seconds <= 0.0 || time->seconds < kind->seconds) set_best(kind, values, time);
    if (r->tried == 1 && which == 0) r->default_seconds = time->seconds;
    if (r->best.t && baseline < r->best.seconds)
        r->best.seconds = baseline; /* the machine is quieter now */
    if (!better) return false;
    r->since = 0;
    r->no_baseline = false;
    r->best = (search_best){.t = kind->t};
    set_best(&r->best, values, time);
    return true;
}

/* Counts a trial that has ended for the bucket of its row. */
static void count_trial(search *s, const search_row *r, size_t entry, bool better)
{
    tuning_log_entry *e = &s->log.items[entry];
    shape_bucket *bucket = &s->buckets[r->bucket];
    bucket->trials++;
    bucket->since = better ? 0 : bucket->since + 1;
    if (e->outcome != OUTCOME_TIME) return;
    for (size_t i = 0; i < s->log.n; i++) { /* right for another shape of the bucket before? */
        const tuning_log_entry *other = &s->log.items[i];
        if (other->counted == r->bucket + 1 && other->t == e->t &&
            !memcmp(other->values, e->values, sizeof e->values))
            return;
    }
    e->counted = r->bucket + 1;
    bucket->right++;
}

/* ---- the workers ---- */

/* The baseline of a row: its best, unless no worker can run it. */
static choice best_of(const search_row *r)
{
    choice best = {.t = r->no_baseline ? NULL : r->best.t};
    memcpy(best.values, r->best.values, sizeof best.values);
    return best;
}

static status begin_trial(search *s, search_worker *w, search_row *r, const proposal *c)
{
    status st = OK;
    choice baseline = best_of(r);
    w->row = r;
    w->kind = c->kind;
    w->candidate = (choice){.t = r->kinds[c->kind].t};
    memcpy(w->candidate.values, c->values, sizeof c->values);
    TRY(tuning_log_begin(&s->log, &w->entry, w->candidate.t, r->shape, c->values));
    TRY(worker_link_start(&w->link, s->worker));
    worker_link_build(&w->link, r->op, r->shape, &baseline, &w->candidate);
    w->busy = true;
    r->busy++;
done:
    return st;
}

/* *reply = the reply to `verify` if this worker re-measures a new best, otherwise the reply to
 * `build`. If that needs a new worker, starts it and builds there. */
static status read_reply(search *s, search_worker *w, worker_reply *reply)
{
    search_row *r = w->row;
    /* at its first use a library builds several programs */
    double limit = r->kinds[w->kind].seconds > 0.0 ? s->limit : 3 * s->limit;
    status st = OK;
    *reply =
        w->verifying ? worker_link_verified(&w->link, limit) : worker_link_built(&w->link, limit);
    for (int round = 0; round < 2 && *reply >= REPLY_RETRY; round++) {
        if (*reply == REPLY_NO_BASELINE && round > 0) r->no_baseline = true;
        choice baseline = best_of(r);
        TRY(worker_link_start(&w->link, s->worker));
        worker_link_build(&w->link, r->op, r->shape, &baseline, &w->candidate);
        *reply = worker_link_built(&w->link, limit);
    }
done:
    return st;
}

/* Times a candidate against the row's best, which another worker may have found meanwhile. */
static worker_reply measure_trial(search *s, search_worker *w, candidate_time *time)
{
    search_row *r = w->row;
    choice baseline = best_of(r);
    if (baseline.t && !worker_link_has_baseline(&w->link, &baseline) &&
        !worker_link_set_baseline(&w->link, &baseline, 3 * s->limit)) {
        r->no_baseline = true;
        if (!w->link.child.pid) return REPLY_DIED;
    }
    return worker_link_time(&w->link, time, s->most, 3 * s->limit);
}

static status end_trial(search *s, search_worker *w, worker_reply reply, const candidate_time *time)
{
    static const tuning_outcome outcomes[] = {OUTCOME_TIME, OUTCOME_WRONG, OUTCOME_FAILED,
                                              OUTCOME_DIED, OUTCOME_DIED,  OUTCOME_DIED};
    tuning_outcome outcome = outcomes[reply];
    search_row *r = w->row;
    bool right = outcome == OUTCOME_TIME, better = false;
    status st = OK;
    w->busy = w->verifying = false;
    r->busy--;
    r->wrong += outcome == OUTCOME_WRONG;
    r->failed += outcome == OUTCOME_FAILED || outcome == OUTCOME_DIED;
    if (right) {
        *(time->by_device ? &s->by_device : &s->by_wall) += 1;
        better = take_time(r, w->kind, w->candidate.values, time);
        if (better) worker_link_keep(&w->link, &w->candidate, s->limit);
    }
    TRY(tuning_log_end(&s->log, w->entry, outcome, right ? time : NULL));
    count_trial(s, r, w->entry, better);
    if (better) TRY(save(s, false));
done:
    return st;
}

/* ---- which shape and candidate is next ---- */

/* Replays the tuning log of earlier searches. */
static void replay_log(search *s)
{
    for (size_t i = 0; i < s->log.n; i++) {
        const tuning_log_entry *e = &s->log.items[i];
        for (int j = 0; j < s->n; j++) {
            search_row *r = &s->rows[j];
            proposal c = {.kind = -1};
            if (memcmp(r->shape, e->shape, sizeof r->shape) || strcmp(r->op, e->t->op)) continue;
            for (int k = 0; k < r->n_kinds; k++)
                if (r->kinds[k].t == e->t) c.kind = k;
            if (c.kind < 0) continue;
            memcpy(c.values, e->values, sizeof c.values);
            r->wrong += e->outcome == OUTCOME_WRONG;
            r->failed += e->outcome == OUTCOME_FAILED || e->outcome == OUTCOME_DIED;
            bool better = e->outcome == OUTCOME_TIME && take_time(r, c.kind, c.values, &e->time);
            count_trial(s, r, i, better);
        }
    }
}

/* Operations per second of the best candidates so far. */
static double rate_of(const search *s)
{
    double flops = 0.0, seconds = 0.0;
    for (int i = 0; i < s->n; i++) {
        const search_row *r = &s->rows[i];
        if (!r->best.t) continue;
        flops += workload_flops(r->op, r->shape);
        seconds += r->best.seconds;
    }
    return seconds > 0.0 ? flops / seconds : 1e9;
}

/* Seconds of a run that more trials of this shape may save: UNKNOWN times the estimated time if the
 * shape has no time yet; all of its time if the best of a similar shape was not tried; less, the
 * longer no better candidate was found. */
static double expected_gain(const search *s, const search_row *r, double rate)
{
    double guess = UNKNOWN * workload_flops(r->op, r->shape) / rate;
    if (!r->best.t) return r->busy ? 0.0 : r->calls * guess / (1.0 + 8.0 * (r->failed + r->wrong));
    double own = r->calls * r->best.seconds, all = s->buckets[r->bucket].seconds;
    if (propose_like(s, r, NULL)) return own;
    return 0.5 * (own + all) /
           (4.0 + 0.5 * r->since + r->tried); /* a result may serve the whole bucket */
}

static search_row *most_to_gain(search *s)
{
    search_row *best = NULL;
    double most = 0.0, rate = rate_of(s);
    for (int i = 0; i < s->n_buckets; i++) s->buckets[i].seconds = 0.0;
    for (int i = 0; i < s->n; i++)
        s->buckets[s->rows[i].bucket].seconds += s->rows[i].calls * s->rows[i].best.seconds;
    for (int i = 0; i < s->n; i++) {
        double gain = s->rows[i].done ? 0.0 : expected_gain(s, &s->rows[i], rate);
        if (gain > most) most = gain, best = &s->rows[i];
    }
    return best;
}

static double left(const search *s)
{
    return s->until - clock_seconds();
}

/* The next candidate of a row. false: none is left, or enough were tried. */
static bool next_candidate(search *s, search_row *r, proposal *c)
{
    const shape_bucket *bucket = &s->buckets[r->bucket];
    bool enough = r->best.t && bucket->right >= ENOUGH && bucket->since >= NO_BETTER;
    bool hopeless = !r->best.t && r->failed + r->wrong >= ENOUGH_FAILED;
    r->done = hopeless || !(enough ? propose_like(s, r, c) : propose(s, r, c));
    return !r->done;
}

/* Gives a worker its next candidate: of its current shape, or of the shape with most to gain. A
 * worker with a candidate to verify continues with that. */
static status begin_next(search *s, search_worker *w)
{
    if (w->verifying) worker_link_verify(&w->link);
    if (w->busy) return OK;
    search_row *r = w->stay > 0 && w->row->best.t && !w->row->done ? w->row : NULL;
    proposal c;
    status st = OK;
    if (left(s) <= 0.0) return OK;
    for (;; r = NULL) {
        if (!r) {
            r = most_to_gain(s);
            w->stay = r && r->best.t ? CHUNK : 1;
        }
        if (!r) return OK;
        if (next_candidate(s, r, &c)) break;
    }
    w->stay--;
    if (s->progress) s->progress(s->progress_context, s, r);
    TRY(begin_trial(s, w, r, &c));
done:
    return st;
}

/* Measures the candidate that a worker has built. If it is better, its whole result is verified and
 * it is measured again, unless it is the first of its row. */
static status measure_built(search *s, search_worker *w, worker_reply reply)
{
    candidate_time time = w->first;
    bool known = w->verifying && !w->row->best.t;
    if (reply == REPLY_RIGHT && !known) reply = measure_trial(s, w, &time);
    if (reply == REPLY_RIGHT && !w->verifying && workload_has_whole(w->row->op) &&
        is_better(w->row, &time)) {
        w->verifying = true;
        w->first = time;
        return OK;
    }
    return end_trial(s, w, reply, &time);
}

/* One candidate for each worker. On a CPU all workers build first and then measure one after the
 * other, since a build would disturb the times. *any = whether there was a candidate. */
static status turn(search *s, bool *any)
{
    worker_reply replies[SEARCH_WORKERS] = {0};
    bool wait = s->d->info.kind == DEVICE_CPU;
    status st = OK;
    *any = false;
    s->quick = draw_below(s, 4) >
               0; /* the same for all workers, so that none waits for a build of another */
    for (int i = 0; i < s->n_workers; i++)
        if (wait || !s->workers[i].busy) TRY(begin_next(s, &s->workers[i]));
    for (int i = 0; i < s->n_workers && wait; i++)
        if (s->workers[i].busy) TRY(read_reply(s, &s->workers[i], &replies[i]));
    for (int i = 0; i < s->n_workers; i++) {
        search_worker *w = &s->workers[i];
        if (!w->busy) continue;
        *any = true;
        if (!wait) TRY(read_reply(s, w, &replies[i]));
        TRY(measure_built(s, w, replies[i]));
        if (!wait) TRY(begin_next(s, w));
    }
done:
    return st;
}

static int by_weight(const void *a, const void *b)
{
    const search_row *x = a, *y = b;
    double wx = x->calls * workload_flops(x->op, x->shape);
    double wy = y->calls * workload_flops(y->op, y->shape);
    return (wx < wy) - (wx > wy);
}

/* Moves the untuned implementation to the front. */
static void put_serving_first(const device *d, search_row *r)
{
    const op_impl *serving = configuration_serving(d, r->op, r->shape);
    for (int k = 1; k < r->n_kinds; k++) {
        if (r->kinds[k].t != serving) continue;
        r->kinds[k].t = r->kinds[0].t;
        r->kinds[0].t = serving;
    }
}

static int find_bucket(search *s, const char *name)
{
    int i = 0;
    while (i < s->n_buckets && strcmp(s->buckets[i].name, name) != 0) i++;
    if (i == s->n_buckets && i + 1 < SHAPE_BUCKETS) s->buckets[s->n_buckets++].name = name;
    return i;
}

static double between(double least, double x, double most)
{
    return fmax(least, fmin(x, most));
}

static void search_prepare(search *s)
{
    const char *limit = getenv("DITCL_TUNE_LIMIT");
    int threads = parallel_threads();
    s->start = clock_seconds();
    s->limit =
        limit && *limit ? atof(limit) : between(LIMIT_LEAST, s->budget * LIMIT_PART, LIMIT_SECONDS);
    s->most = between(MOST_LEAST, s->budget * MOST_PART, MOST_SECONDS);
    s->n_workers = threads < SEARCH_WORKERS ? threads : SEARCH_WORKERS;
    s->random = 0x0d17c1;
    qsort(s->rows, (size_t)s->n, sizeof *s->rows, by_weight);
    for (int i = 0; i < s->n; i++) {
        search_row *r = &s->rows[i];
        const op_impl *all[MOST_IMPLS];
        for (const operator* o = operators; o->op; o++)
            if (!strcmp(o->op, r->op)) r->n_kinds = operator_impls(o, s->d, r->shape, all);
        for (int k = 0; k < r->n_kinds; k++) r->kinds[k].t = all[k];
        r->done = r->n_kinds == 0;
        r->bucket = find_bucket(s, workload_bucket(r->op, r->shape));
        s->buckets[r->bucket].shapes++;
        put_serving_first(s->d, r);
    }
}

long search_candidates(const search *s, int bucket)
{
    const search_row *r = s->rows;
    long n = 0;
    while (r->bucket != bucket) r++;
    for (int k = 0; k < r->n_kinds; k++) n += configuration_count(s->d, r->kinds[k].t, r->shape);
    return n;
}

/* ---- the end ---- */

/* Measures the best and the untuned configuration once more in turns, since a single short time may
 * be noise. */
static status confirm(search *s, search_row *r)
{
    enum { ROUNDS = 2 };
    search_worker *w = &s->workers[0];
    const int *known = configuration_for(s->d, r->kinds[0].t, r->shape);
    choice baseline = best_of(r), serving = {.t = r->kinds[0].t};
    worker_reply reply;
    candidate_time time = {0};
    double worst = 0.0; /* largest ratio of the best time to the untuned time */
    status st = OK;
    if (!baseline.t || !known || r->default_seconds <= 0.0) return OK;
    memcpy(serving.values, known, sizeof serving.values);
    if (serving.t == baseline.t && !memcmp(known, baseline.values, sizeof baseline.values)) {
        r->default_seconds = r->best.seconds; /* it is the same configuration */
        return OK;
    }
    w->row = r;
    w->kind = 0;
    w->candidate = serving;
    TRY(worker_link_start(&w->link, s->worker));
    worker_link_build(&w->link, r->op, r->shape, &baseline, &serving);
    TRY(read_reply(s, w, &reply));
    for (int round = 0; round < ROUNDS; round++) {
        if (reply == REPLY_RIGHT) reply = measure_trial(s, w, &time);
        if (reply != REPLY_RIGHT || time.baseline <= 0.0) return OK;
        if (time.baseline / time.seconds > worst) {
            worst = time.baseline / time.seconds;
            r->best.seconds = time.baseline;
            r->default_seconds = time.seconds;
        }
    }
    if (worst <= CONFIRMED) return OK;
    time.seconds = r->default_seconds;
    set_best(&r->kinds[0], serving.values, &time);
    r->best.t = serving.t;
    set_best(&r->best, serving.values, &time);
done:
    return st;
}

/* Prepares a row for the second pass, which tries what the first one left out. */
static void reset_row(search_row *r)
{
    r->done = r->n_kinds == 0;
    r->seeding = r->seeds = 0;
}

static void stop_workers(search *s)
{
    for (int i = 0; i < SEARCH_WORKERS; i++) worker_link_stop(&s->workers[i].link);
}

status search_run(search *s)
{
    bool any = true;
    status st = OK;
    TRY(store_load(&s->stored, s->d));
    search_prepare(s);
    TRY(tuning_log_open(&s->log, s->d));
    replay_log(s);
    s->until = s->start + s->budget * (1.0 - CONFIRMING);
    for (int pass = 0; pass < 2; pass++, s->thorough = any = true) {
        while (any) TRY(turn(s, &any));
        for (int i = 0; i < s->n && pass == 0; i++) reset_row(&s->rows[i]);
    }
    s->complete = left(s) > 0.0;
    s->until = s->start + s->budget;
    for (int i = 0; i < s->n && left(s) > 0.0; i++) {
        if (s->progress) s->progress(s->progress_context, s, &s->rows[i]);
        TRY(confirm(s, &s->rows[i]));
    }
    TRY(save(s, true));
done:
    stop_workers(s);
    return st;
}

void search_close(search *s)
{
    stop_workers(s);
    tuning_log_close(&s->log);
    store_free(&s->stored);
}
