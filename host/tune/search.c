/* The search. See search.h. */
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
#include "tune/stored.h"

enum {
    ENOUGH = 100,       /* different right candidates of a class of shapes, */
    NO_BETTER = 60,     /* and so many operator tests since a better one: it is done */
    ENOUGH_FAILED = 30, /* of a shape that none was right for */
    CHUNK = 6,          /* candidates of a shape before another may be worth more */
};
static const double CONFIRMED = 0.99; /* of the time without a search: at most, in the end */
static const double CONFIRMING = 0.1; /* of the budget */
/* Of one candidate, its build and check or its runs: a part of the budget, within these. */
static const double LIMIT_PART = 1.0 / 6.0, LIMIT_LEAST = 10.0, LIMIT_SECONDS = 20.0;
static const double UNKNOWN = 5.0; /* of a shape's time: what may be gained before any is known */
/* And of measuring it, about. */
static const double MOST_PART = 0.005, MOST_LEAST = 0.15, MOST_SECONDS = 2.0;

/* ---- what is kept ---- */

static bool left_out(const tuning *t, const char *without, bool whole)
{
    return without &&
           (whole ? !strcmp(t->kind, without) : !strncmp(t->kind, without, strlen(without)));
}

/* What the rows' winners come to where kinds that begin like `without`, or are it, are not used;
 * winners null: not asked for. */
static double settle(const search *s, const char *without, bool whole, search_best *winners)
{
    double sum = 0.0;
    for (int i = 0; i < s->n; i++) {
        const search_row *r = &s->rows[i];
        search_best w = r->best; /* the decision of a race, not of times from other moments */
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

/* CLBlast as shipped and with other parameters exclude each other: whichever is less in all. */
static void choose_winners(const search *s, search_best *winners, const char **without, bool *whole)
{
    const tuning *alone = NULL;
    *without = NULL;
    *whole = false;
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < s->rows[i].n_kinds; k++)
            if (s->rows[i].kinds[k].t->excludes) alone = s->rows[i].kinds[k].t;
    if (alone) {
        *whole = settle(s, alone->kind, true, NULL) <= settle(s, alone->excludes, false, NULL);
        *without = *whole ? alone->kind : alone->excludes;
    }
    settle(s, *without, *whole, winners);
}

/* Lines that are about to be written anew, or that what is written excludes. */
static void drop_old(search *s, const char *without, bool whole)
{
    for (size_t i = 0; i < s->stored.n;) {
        store_line *line = &s->stored.lines[i];
        const char *kind = *line->use ? line->use : line->shape;
        bool drop =
            without && (whole ? !strcmp(kind, without) : !strncmp(kind, without, strlen(without)));
        for (int j = 0; j < s->n && !drop; j++) {
            char key[2 * STORE_WORD];
            const search_row *r = &s->rows[j];
            if (strcmp(line->op, r->op) != 0) continue;
            stored_key(key, s->d, r->shape);
            drop = !strcmp(line->shape, key);
        }
        if (drop)
            store_drop(&s->stored, line);
        else
            i++;
    }
}

/* Writes what is best so far; for other shapes, what is best where most of the work is. */
static status save(search *s, bool finally)
{
    search_best *winners = NULL;
    const char *without;
    bool whole;
    status st = OK;
    TRY(memory_alloc(&winners, (size_t)s->n, sizeof *winners));
    choose_winners(s, winners, &without, &whole);
    drop_old(s, without, whole);
    for (int i = s->n - 1; i >= 0; i--) { /* the heaviest come first, and so count last */
        const search_best *w = &winners[i];
        if (finally) s->rows[i].best = *w;
        if (!w->t) continue;
        TRY(stored_put(&s->stored, s->d, w->t, s->rows[i].shape, w->values));
        if (w->t->n) TRY(stored_put(&s->stored, s->d, w->t, NULL, w->values));
    }
    TRY(store_save(&s->stored, &s->d->info));
done:
    free(winners);
    return st;
}

/* *b = values of its kind that took so long. */
static void set_best(search_best *b, const int *values, const contest_time *time)
{
    b->seconds = time->seconds;
    memcpy(b->values, values, sizeof b->values);
    memcpy(b->executed, time->executed, sizeof b->executed);
}

/* Of the row's best: measured in turns with a candidate, or else at another moment. */
static double time_beside(const search_row *r, const contest_time *time)
{
    return time->held > 0.0 ? time->held : r->best.seconds;
}

static bool is_better(const search_row *r, const contest_time *time)
{
    return !r->best.t || time->seconds < CONTEST_BETTER * time_beside(r, time);
}

/* A right candidate. Returns whether it is better. */
static bool take_time(search_row *r, int which, const int *values, const contest_time *time)
{
    search_best *kind = &r->kinds[which];
    double beside = time_beside(r, time);
    bool better = is_better(r, time);
    r->tried++;
    r->since++;
    if (kind->seconds <= 0.0 || time->seconds < kind->seconds) set_best(kind, values, time);
    if (r->tried == 1 && which == 0) r->default_seconds = time->seconds;
    if (r->best.t && beside < r->best.seconds) r->best.seconds = beside; /* a better moment */
    if (!better) return false;
    r->since = 0;
    r->unheld = false;
    r->best = (search_best){.t = kind->t};
    set_best(&r->best, values, time);
    return true;
}

/* An operator test of a row's class that has ended. */
static void count_optest(search *s, const search_row *r, size_t entry, bool better)
{
    tried_entry *e = &s->log.items[entry];
    shape_bucket *bucket = &s->buckets[r->bucket];
    bucket->optests++;
    bucket->since = better ? 0 : bucket->since + 1;
    if (e->outcome != TRIED_TIME) return;
    for (size_t i = 0; i < s->log.n; i++) { /* right for another shape of the class before? */
        const tried_entry *other = &s->log.items[i];
        if (other->counted == r->bucket + 1 && other->t == e->t &&
            !memcmp(other->values, e->values, sizeof e->values))
            return;
    }
    e->counted = r->bucket + 1;
    bucket->right++;
}

/* ---- the children ---- */

/* What a child must hold: the row's best, if that is possible. */
static choice best_of(const search_row *r)
{
    choice best = {.t = r->unheld ? NULL : r->best.t};
    memcpy(best.values, r->best.values, sizeof best.values);
    return best;
}

static status begin_optest(search *s, search_child *w, search_row *r, const candidate *c)
{
    status st = OK;
    choice beside = best_of(r);
    w->row = r;
    w->kind = c->kind;
    w->candidate = (choice){.t = r->kinds[c->kind].t};
    memcpy(w->candidate.values, c->values, sizeof c->values);
    TRY(tried_begin(&s->log, &w->entry, w->candidate.t, r->shape, c->values));
    TRY(contestant_start(&w->at, s->worker));
    contestant_build(&w->at, r->op, r->shape, &beside, &w->candidate);
    w->busy = true;
    r->busy++;
done:
    return st;
}

/* Of a candidate that was better, and is measured again when it is proved; else of one that was
 * told to build: where a fresh child is needed, from that. */
static status hear_built(search *s, search_child *w, contestant_answer *answer)
{
    search_row *r = w->row;
    /* libraries build several programs at first */
    double limit = r->kinds[w->kind].seconds > 0.0 ? s->limit : 3 * s->limit;
    status st = OK;
    *answer = w->proving ? contestant_proved(&w->at, limit) : contestant_built(&w->at, limit);
    for (int round = 0; round < 2 && *answer >= CONTESTANT_AGAIN; round++) {
        if (*answer == CONTESTANT_NOT_HELD && round > 0) r->unheld = true;
        choice beside = best_of(r);
        TRY(contestant_start(&w->at, s->worker));
        contestant_build(&w->at, r->op, r->shape, &beside, &w->candidate);
        *answer = contestant_built(&w->at, limit);
    }
done:
    return st;
}

/* Beside the row's best, which another child may have found meanwhile. */
static contestant_answer measure_optest(search *s, search_child *w, contest_time *time)
{
    search_row *r = w->row;
    choice beside = best_of(r);
    if (beside.t && !contestant_holds(&w->at, &beside) &&
        !contestant_hold_other(&w->at, &beside, 3 * s->limit)) {
        r->unheld = true;
        if (!w->at.child.pid) return CONTESTANT_DIED;
    }
    return contestant_time(&w->at, time, s->most, 3 * s->limit);
}

static status end_optest(search *s, search_child *w, contestant_answer answer,
                         const contest_time *time)
{
    static const tried_outcome outcomes[] = {TRIED_TIME, TRIED_WRONG, TRIED_FAILED,
                                             TRIED_DIED, TRIED_DIED,  TRIED_DIED};
    tried_outcome outcome = outcomes[answer];
    search_row *r = w->row;
    bool right = outcome == TRIED_TIME, better = false;
    status st = OK;
    w->busy = w->proving = false;
    r->busy--;
    r->wrong += outcome == TRIED_WRONG;
    r->failed += outcome == TRIED_FAILED || outcome == TRIED_DIED;
    if (right) {
        *(time->by_device ? &s->by_device : &s->by_wall) += 1;
        better = take_time(r, w->kind, w->candidate.values, time);
        if (better) contestant_hold(&w->at, &w->candidate, s->limit);
    }
    TRY(tried_end(&s->log, w->entry, outcome, right ? time : NULL));
    count_optest(s, r, w->entry, better);
    if (better) TRY(save(s, false));
done:
    return st;
}

/* ---- the order ---- */

/* What was tried before counts as if it were now. */
static void remember(search *s)
{
    for (size_t i = 0; i < s->log.n; i++) {
        const tried_entry *e = &s->log.items[i];
        for (int j = 0; j < s->n; j++) {
            search_row *r = &s->rows[j];
            candidate c = {.kind = -1};
            if (memcmp(r->shape, e->shape, sizeof r->shape) || strcmp(r->op, e->t->op)) continue;
            for (int k = 0; k < r->n_kinds; k++)
                if (r->kinds[k].t == e->t) c.kind = k;
            if (c.kind < 0) continue;
            memcpy(c.values, e->values, sizeof c.values);
            r->wrong += e->outcome == TRIED_WRONG;
            r->failed += e->outcome == TRIED_FAILED || e->outcome == TRIED_DIED;
            bool better = e->outcome == TRIED_TIME && take_time(r, c.kind, c.values, &e->time);
            count_optest(s, r, i, better);
        }
    }
}

/* Operations a second, of what was measured so far. */
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

/* About a share of the shape's time in a run: several times that where nothing is known yet, all of
 * it where what is best for its like was not tried; less, the longer nothing better was found. */
static double expected(const search *s, const search_row *r, double rate)
{
    double guess = UNKNOWN * workload_flops(r->op, r->shape) / rate;
    if (!r->best.t) return r->busy ? 0.0 : r->calls * guess / (1.0 + 8.0 * (r->failed + r->wrong));
    double own = r->calls * r->best.seconds, all = s->buckets[r->bucket].seconds;
    if (propose_like(s, r, NULL)) return own;
    return 0.5 * (own + all) / (4.0 + 0.5 * r->since + r->tried); /* what is found may serve all */
}

static search_row *most_to_gain(search *s)
{
    search_row *best = NULL;
    double most = 0.0, rate = rate_of(s);
    for (int i = 0; i < s->n_classes; i++) s->buckets[i].seconds = 0.0;
    for (int i = 0; i < s->n; i++)
        s->buckets[s->rows[i].bucket].seconds += s->rows[i].calls * s->rows[i].best.seconds;
    for (int i = 0; i < s->n; i++) {
        double gain = s->rows[i].done ? 0.0 : expected(s, &s->rows[i], rate);
        if (gain > most) most = gain, best = &s->rows[i];
    }
    return best;
}

static double left(const search *s)
{
    return s->until - clock_seconds();
}

/* The next candidate for a row; false: there is none, or enough were tried. */
static bool next_candidate(search *s, search_row *r, candidate *c)
{
    const shape_bucket *bucket = &s->buckets[r->bucket];
    bool enough = r->best.t && bucket->right >= ENOUGH && bucket->since >= NO_BETTER;
    bool hopeless = !r->best.t && r->failed + r->wrong >= ENOUGH_FAILED;
    r->done = hopeless || !(enough ? propose_like(s, r, c) : propose(s, r, c));
    return !r->done;
}

/* Gives a child its next candidate, of the shape it is at or of what has most to gain; unless it
 * has one to prove. */
static status begin_next(search *s, search_child *w)
{
    if (w->proving) contestant_prove(&w->at);
    if (w->busy) return OK;
    search_row *r = w->stay > 0 && w->row->best.t && !w->row->done ? w->row : NULL;
    candidate c;
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
    TRY(begin_optest(s, w, r, &c));
done:
    return st;
}

/* Measures what a child has built; one that is better is measured again when it is proved, unless
 * it is the first. */
static status measure_built(search *s, search_child *w, contestant_answer answer)
{
    contest_time time = w->first;
    bool known = w->proving && !w->row->best.t;
    if (answer == CONTESTANT_RIGHT && !known) answer = measure_optest(s, w, &time);
    if (answer == CONTESTANT_RIGHT && !w->proving && workload_has_whole(w->row->op) &&
        is_better(w->row, &time)) {
        w->proving = true;
        w->first = time;
        return OK;
    }
    return end_optest(s, w, answer, &time);
}

/* A candidate for each child. Where the device is a processor, all have built theirs before any is
 * measured: times of a processor that builds say nothing. *any: there was one. */
static status turn(search *s, bool *any)
{
    contestant_answer answers[SEARCH_CHILDREN] = {0};
    bool wait = s->d->info.kind == DEVICE_CPU;
    status st = OK;
    *any = false;
    s->quick = draw_below(s, 4) > 0; /* for all: nobody waits for one that builds */
    for (int i = 0; i < s->n_children; i++)
        if (wait || !s->children[i].busy) TRY(begin_next(s, &s->children[i]));
    for (int i = 0; i < s->n_children && wait; i++)
        if (s->children[i].busy) TRY(hear_built(s, &s->children[i], &answers[i]));
    for (int i = 0; i < s->n_children; i++) {
        search_child *w = &s->children[i];
        if (!w->busy) continue;
        *any = true;
        if (!wait) TRY(hear_built(s, w, &answers[i]));
        TRY(measure_built(s, w, answers[i]));
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

/* What serves without a search comes first. */
static void begin_with_serving(const device *d, search_row *r)
{
    const tuning *serving = tuning_serving(d, r->op, r->shape);
    for (int k = 1; k < r->n_kinds; k++) {
        if (r->kinds[k].t != serving) continue;
        r->kinds[k].t = r->kinds[0].t;
        r->kinds[0].t = serving;
    }
}

static int find_bucket(search *s, const char *name)
{
    int i = 0;
    while (i < s->n_classes && strcmp(s->buckets[i].name, name) != 0) i++;
    if (i == s->n_classes && i + 1 < SHAPE_BUCKETS) s->buckets[s->n_classes++].name = name;
    return i;
}

static double between(double least, double x, double most)
{
    return fmax(least, fmin(x, most));
}

static void prepare(search *s)
{
    const char *limit = getenv("DITCL_TUNE_LIMIT");
    int threads = parallel_threads();
    s->start = clock_seconds();
    s->limit =
        limit && *limit ? atof(limit) : between(LIMIT_LEAST, s->budget * LIMIT_PART, LIMIT_SECONDS);
    s->most = between(MOST_LEAST, s->budget * MOST_PART, MOST_SECONDS);
    s->n_children = threads < SEARCH_CHILDREN ? threads : SEARCH_CHILDREN;
    s->random = 0x0d17c1;
    qsort(s->rows, (size_t)s->n, sizeof *s->rows, by_weight);
    for (int i = 0; i < s->n; i++) {
        search_row *r = &s->rows[i];
        const tuning *all[TUNING_KINDS];
        for (const tuned_operator *o = tuned_operators; o->op; o++)
            if (!strcmp(o->op, r->op)) r->n_kinds = o->kinds(s->d, r->shape, all);
        for (int k = 0; k < r->n_kinds; k++) r->kinds[k].t = all[k];
        r->done = r->n_kinds == 0;
        r->bucket = find_bucket(s, workload_bucket(r->op, r->shape));
        s->buckets[r->bucket].shapes++;
        begin_with_serving(s->d, r);
    }
}

long search_exist(const search *s, int bucket)
{
    const search_row *r = s->rows;
    long n = 0;
    while (r->bucket != bucket) r++;
    for (int k = 0; k < r->n_kinds; k++) n += tuning_count(s->d, r->kinds[k].t, r->shape);
    return n;
}

/* ---- the end ---- */

/* Once more the best and what serves without a search, in turns: a lucky time is no gain. */
static status confirm(search *s, search_row *r)
{
    enum { ROUNDS = 2 };
    search_child *w = &s->children[0];
    const int *known = tuning_values_for(s->d, r->kinds[0].t, r->shape);
    choice beside = best_of(r), serving = {.t = r->kinds[0].t};
    contestant_answer answer;
    contest_time time = {0};
    double worst = 0.0; /* of the best's time over the default's */
    status st = OK;
    if (!beside.t || !known || r->default_seconds <= 0.0) return OK;
    memcpy(serving.values, known, sizeof serving.values);
    if (serving.t == beside.t && !memcmp(known, beside.values, sizeof beside.values)) {
        r->default_seconds = r->best.seconds; /* times of two moments are no gain */
        return OK;
    }
    w->row = r;
    w->kind = 0;
    w->candidate = serving;
    TRY(contestant_start(&w->at, s->worker));
    contestant_build(&w->at, r->op, r->shape, &beside, &serving);
    TRY(hear_built(s, w, &answer));
    for (int round = 0; round < ROUNDS; round++) {
        if (answer == CONTESTANT_RIGHT) answer = measure_optest(s, w, &time);
        if (answer != CONTESTANT_RIGHT || time.held <= 0.0) return OK;
        if (time.held / time.seconds > worst) {
            worst = time.held / time.seconds;
            r->best.seconds = time.held;
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

/* For a second pass, over what the first left out. */
static void begin_again(search_row *r)
{
    r->done = r->n_kinds == 0;
    r->seeding = r->seeds = 0;
}

static void stop_children(search *s)
{
    for (int i = 0; i < SEARCH_CHILDREN; i++) contestant_stop(&s->children[i].at);
}

status search_run(search *s)
{
    bool any = true;
    status st = OK;
    TRY(store_load(&s->stored, &s->d->info, NULL));
    TRY(stored_use(s->d, &s->stored)); /* drops what cannot be used */
    tuning_forget(s->d);
    TRY(stored_use_shipped(s->d));
    prepare(s);
    TRY(tried_open(&s->log, s->d));
    remember(s);
    s->until = s->start + s->budget * (1.0 - CONFIRMING);
    for (int pass = 0; pass < 2; pass++, s->thorough = any = true) {
        while (any) TRY(turn(s, &any));
        for (int i = 0; i < s->n && pass == 0; i++) begin_again(&s->rows[i]);
    }
    s->complete = left(s) > 0.0;
    s->until = s->start + s->budget;
    for (int i = 0; i < s->n && left(s) > 0.0; i++) {
        if (s->progress) s->progress(s->progress_context, s, &s->rows[i]);
        TRY(confirm(s, &s->rows[i]));
    }
    TRY(save(s, true));
done:
    stop_children(s);
    return st;
}

void search_close(search *s)
{
    stop_children(s);
    tried_close(&s->log);
    store_free(&s->stored);
}
