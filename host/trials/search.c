/* The search. See search.h. */
#include "trials/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "trials/propose.h"
#include "trials/stored.h"
#include "trials/workload.h"

enum {
    ENOUGH = 100,   /* right candidates of a shape, */
    NO_BETTER = 60, /* and so many of them since the last better one: it is done */
    CHUNK = 4,      /* candidates of a shape before another may be worth more */
};
static const double BETTER = 0.97;        /* of the best's time: less may be noise */
static const double CONFIRMED = 0.99;     /* of the time without a search: at most, in the end */
static const double CONFIRMING = 0.15;    /* of the budget */
static const double LIMIT_SECONDS = 20.0; /* of one candidate: its build, check and runs */

/* ---- what is kept ---- */

static bool left_out(const tuning *t, const char *without, bool whole)
{
    return without && (whole ? !strcmp(t->kind, without)
                             : !strncmp(t->kind, without, strlen(without)));
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
        bool drop = without && (whole ? !strcmp(kind, without)
                                      : !strncmp(kind, without, strlen(without)));
        for (int j = 0; j < s->n && !drop; j++) {
            char key[2 * STORE_WORD];
            const search_row *r = &s->rows[j];
            if (strcmp(line->op, r->op) != 0) continue;
            stored_key(key, s->d, r->shape);
            drop = !strcmp(line->shape, key);
        }
        if (drop) store_drop(&s->stored, line);
        else i++;
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

/* A right candidate. Returns whether it is better. */
static bool take_time(search_row *r, const candidate *c, const contest_time *time)
{
    search_best *kind = &r->kinds[c->kind];
    double beside = time->held > 0.0 ? time->held : r->best.seconds;
    r->tried++;
    r->since++;
    if (kind->seconds <= 0.0 || time->seconds < kind->seconds) set_best(kind, c->values, time);
    if (r->tried == 1 && c->kind == 0) r->default_seconds = time->seconds;
    if (r->best.t && beside < r->best.seconds) r->best.seconds = beside; /* a better moment */
    if (r->best.t && time->seconds >= BETTER * beside) return false;
    r->since = 0;
    r->unheld = false;
    r->best = (search_best){.t = kind->t};
    set_best(&r->best, c->values, time);
    return true;
}

/* ---- the child ---- */

static bool start_child(search *s, const search_row *r, status *st)
{
    char sizes[TUNING_SHAPE], line[WORKER_LINE];
    if (!s->child.pid) {
        *st = worker_start(&s->child, s->worker);
        s->open = NULL;
    }
    if (*st != OK) return false;
    if (s->open == r) return true;
    tuning_shape_text(sizes, r->shape);
    s->held = false;
    if (worker_say(&s->child, "shape %s %s", r->op, sizes) &&
        worker_hear(&s->child, line, 3 * s->limit) == WORKER_SAID && !strcmp(line, "ready")) {
        s->open = r;
        return true;
    }
    worker_stop(&s->child);
    return false;
}

static bool ask(search *s, const tuning *t, const int *values, char line[WORKER_LINE],
                double seconds, worker_answer *answer)
{
    char words[WORKER_LINE];
    int used = snprintf(words, sizeof words, "try %s", t->kind);
    for (int i = 0; i < t->n; i++)
        used += snprintf(words + used, sizeof words - (size_t)used, " %d", values[i]);
    *answer = WORKER_DIED;
    if (worker_say(&s->child, "%s", words)) *answer = worker_hear(&s->child, line, seconds);
    if (*answer == WORKER_SAID) return true;
    worker_stop(&s->child);
    return false;
}

static void hold(search *s)
{
    char line[WORKER_LINE];
    s->held = worker_say(&s->child, "hold") &&
              worker_hear(&s->child, line, s->limit) == WORKER_SAID;
    if (!s->held) worker_stop(&s->child);
}

/* Has the child hold the row's best, measured anew. */
static void hold_best(search *s, search_row *r)
{
    char line[WORKER_LINE];
    contest_time time;
    worker_answer answer;
    if (s->held || !r->best.t || r->unheld) return;
    r->unheld = true; /* unless it works */
    if (!ask(s, r->best.t, r->best.values, line, 3 * s->limit, &answer)) return;
    if (!contest_parse(&time, line)) return;
    r->unheld = false;
    hold(s);
}

static status try_candidate(search *s, search_row *r, const candidate *c)
{
    const tuning *t = r->kinds[c->kind].t;
    char line[WORKER_LINE] = "";
    /* libraries build several programs at first */
    double limit = r->kinds[c->kind].seconds > 0.0 ? s->limit : 3 * s->limit;
    contest_time time;
    worker_answer answer;
    tried_outcome outcome = TRIED_DIED;
    status st = OK;
    TRY(tried_begin(&s->log, t, r->shape, c->values));
    for (int round = 0; round < 2; round++) {
        if (!start_child(s, r, &st)) break;
        hold_best(s, r);
        if (!start_child(s, r, &st)) break;
        if (!ask(s, t, c->values, line, limit, &answer)) break;
        if (strcmp(line, "again") != 0) break;
        worker_stop(&s->child);
    }
    if (st != OK) goto done;
    if (contest_parse(&time, line)) outcome = TRIED_TIME;
    else if (!strncmp(line, "wrong", 5)) outcome = TRIED_WRONG;
    else if (!strncmp(line, "failed", 6)) outcome = TRIED_FAILED;
    r->wrong += outcome == TRIED_WRONG;
    r->failed += outcome == TRIED_FAILED || outcome == TRIED_DIED;
    if (outcome == TRIED_TIME) {
        *(time.by_device ? &s->by_device : &s->by_wall) += 1;
        if (time.held <= 0.0) s->held = false;
        bool better = take_time(r, c, &time);
        if (better) hold(s);
        TRY(tried_end(&s->log, outcome, &time));
        if (better) TRY(save(s, false));
    } else {
        TRY(tried_end(&s->log, outcome, NULL));
    }
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
            if (e->outcome == TRIED_TIME) take_time(r, &c, &e->time);
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

/* About a share of the shape's time in a run: less, the longer nothing better was found; all of it
 * where nothing is known yet. */
static double expected(const search_row *r, double rate)
{
    double guess = workload_flops(r->op, r->shape) / rate;
    if (!r->best.t) return r->calls * guess / (1.0 + 8.0 * (r->failed + r->wrong));
    return r->calls * r->best.seconds / (4.0 + r->since + 0.5 * r->tried);
}

static search_row *most_to_gain(search *s)
{
    search_row *best = NULL;
    double rate = rate_of(s);
    for (int i = 0; i < s->n; i++)
        if (!s->rows[i].done && (!best || expected(&s->rows[i], rate) > expected(best, rate)))
            best = &s->rows[i];
    return best;
}

static double left(const search *s)
{
    return s->until - clock_seconds();
}

static status try_some(search *s, search_row *r)
{
    int n = r->tried == 0 ? 1 : CHUNK;
    status st = OK;
    for (int i = 0; i < n && left(s) > 0.0; i++) {
        candidate c;
        if (r->tried >= ENOUGH && r->since >= NO_BETTER) r->done = true;
        if (!r->done && !propose(s, r, &c)) r->done = true;
        if (r->done) break;
        if (s->progress) s->progress(s->progress_context, s, r);
        TRY(try_candidate(s, r, &c));
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

static void prepare(search *s)
{
    const char *limit = getenv("DITCL_TUNE_LIMIT");
    s->start = clock_seconds();
    s->limit = limit ? atof(limit) : LIMIT_SECONDS;
    s->random = 0x0d17c1;
    qsort(s->rows, (size_t)s->n, sizeof *s->rows, by_weight);
    for (int i = 0; i < s->n; i++) {
        search_row *r = &s->rows[i];
        const tuning *all[TUNING_KINDS];
        for (const tuned_operator *o = tuned_operators; o->op; o++)
            if (!strcmp(o->op, r->op)) r->n_kinds = o->kinds(s->d, r->shape, all);
        for (int k = 0; k < r->n_kinds; k++) r->kinds[k].t = all[k];
        r->done = r->n_kinds == 0;
        begin_with_serving(s->d, r);
    }
}

/* ---- the end ---- */

/* Once more the best and what serves without a search, in turns: a lucky time is no gain. */
static status confirm(search *s, search_row *r)
{
    enum { ROUNDS = 2 };
    const tuning *t = r->kinds[0].t;
    int values[TUNING_VALUES];
    char line[WORKER_LINE];
    contest_time time = {0};
    double worst = 0.0; /* of the best's time over the default's */
    worker_answer answer;
    status st = OK;
    const int *known = tuning_values_for(s->d, t, r->shape);
    if (!r->best.t || !known || r->default_seconds <= 0.0) return OK;
    memcpy(values, known, sizeof values);
    if (t == r->best.t && !memcmp(values, r->best.values, sizeof values)) return OK;
    for (int round = 0; round < ROUNDS; round++) {
        if (!start_child(s, r, &st)) return st;
        hold_best(s, r);
        if (!start_child(s, r, &st) || !s->held) return st;
        if (!ask(s, t, values, line, 3 * s->limit, &answer)) return st;
        if (!contest_parse(&time, line) || time.held <= 0.0) return st;
        if (time.held / time.seconds > worst) {
            worst = time.held / time.seconds;
            r->best.seconds = time.held;
            r->default_seconds = time.seconds;
        }
    }
    if (worst <= CONFIRMED) return st;
    time.seconds = r->default_seconds;
    set_best(&r->kinds[0], values, &time);
    r->best.t = t;
    set_best(&r->best, values, &time);
    return st;
}

/* For a second pass, over what the first left out. */
static void begin_again(search_row *r)
{
    r->done = r->n_kinds == 0;
    r->seeding = r->seeds = 0;
}

status search_run(search *s)
{
    search_row *r;
    status st = OK;
    store_load(&s->stored, &s->d->info, NULL);
    stored_use(s->d, &s->stored); /* drops what cannot be used */
    tuning_forget(s->d);
    stored_use_shipped(s->d);
    prepare(s);
    TRY(tried_open(&s->log, s->d));
    remember(s);
    s->until = s->start + s->budget * (1.0 - CONFIRMING);
    for (int pass = 0; pass < 2; pass++, s->thorough = true) {
        while (left(s) > 0.0 && (r = most_to_gain(s))) TRY(try_some(s, r));
        for (int i = 0; i < s->n && pass == 0; i++) begin_again(&s->rows[i]);
    }
    s->until = s->start + s->budget;
    for (int i = 0; i < s->n && left(s) > 0.0; i++) {
        if (s->progress) s->progress(s->progress_context, s, &s->rows[i]);
        TRY(confirm(s, &s->rows[i]));
    }
    TRY(save(s, true));
done:
    worker_stop(&s->child);
    return st;
}

void search_close(search *s)
{
    worker_stop(&s->child);
    tried_close(&s->log);
    store_free(&s->stored);
}
