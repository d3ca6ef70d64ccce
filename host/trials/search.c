/* The search. See search.h. */
#include "trials/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "trials/stored.h"
#include "trials/workload.h"

enum {
    ENOUGH = 100,   /* right candidates of a shape, */
    NO_BETTER = 60, /* and so many of them since the last better one: it is done */
    CHUNK = 4,      /* candidates of a shape before another may be worth more */
    DRAWS = 4000,   /* until one that fits and was not tried */
};
static const double BETTER = 0.97;        /* of the best's time: less may be noise */
static const double CONFIRMED = 0.99;     /* of the time without a search: at most, in the end */
static const double CONFIRMING = 0.15;    /* of the budget */
static const double BEHIND = 1.7;         /* times the best: see hopeless */
static const double LIMIT_SECONDS = 20.0; /* of one candidate: its build, check and runs */

typedef struct {
    int kind; /* of the row's */
    int values[TUNING_VALUES];
} candidate;

/* ---- chance ---- */

static uint64_t draw(search *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15u; /* splitmix64 (Steele, Lea & Flood 2014) */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int below(search *s, int n)
{
    return (int)(draw(s) % (uint64_t)n);
}

/* ---- candidates ---- */

static bool is_new(search *s, search_row *r, const candidate *c)
{
    const tuning *t = r->kinds[c->kind].t;
    if (tried_find(&s->log, t, r->shape, c->values)) return false;
    if (tuning_valid(s->d, t, c->values, r->shape)) return true;
    r->refused++;
    return false;
}

/* Whether an implementation was far behind for every shape so far: what time there is goes to the
 * others first. */
static bool hopeless(const search *s, const tuning *t)
{
    bool any = false;
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < s->rows[i].n_kinds; k++) {
            const search_best *b = &s->rows[i].kinds[k];
            if (b->t != t || b->seconds <= 0.0) continue;
            if (b->seconds < BEHIND * s->rows[i].best.seconds) return false;
            any = true;
        }
    return any && !s->thorough;
}

/* The known values of one implementation after the other, best guess first: the very first is what
 * serves without a search. */
static bool propose_known(search *s, search_row *r, candidate *c)
{
    for (; r->seeding < r->n_kinds; r->seeding++, r->seeds = 0) {
        const tuning *t = r->kinds[r->seeding].t;
        c->kind = r->seeding;
        while (r->seeds < t->n_known && !hopeless(s, t)) {
            memcpy(c->values, t->known[r->seeds++], sizeof c->values);
            if (is_new(s, r, c)) return true;
        }
    }
    return false;
}

/* What is best for another shape. */
static bool propose_shared(search *s, search_row *r, candidate *c)
{
    for (int i = 0; i < s->n; i++) {
        const search_row *other = &s->rows[i];
        if (other == r || !other->best.t || strcmp(other->op, r->op) != 0) continue;
        for (c->kind = 0; c->kind < r->n_kinds; c->kind++) {
            if (r->kinds[c->kind].t != other->best.t) continue;
            memcpy(c->values, other->best.values, sizeof c->values);
            if (tuning_valid(s->d, other->best.t, c->values, r->shape) && is_new(s, r, c))
                return true;
        }
    }
    return false;
}

static int index_of(const tuning_value *v, int value)
{
    int i = 0;
    while (i + 1 < v->n && v->choices[i] != value) i++;
    return i;
}

/* The best of its kind with one value, or a few, a step or more away. */
static void mutate(search *s, const search_best *b, candidate *c)
{
    memcpy(c->values, b->values, sizeof c->values);
    for (int changes = 1 + below(s, 3); changes > 0; changes--) {
        int which = below(s, b->t->n);
        const tuning_value *v = &b->t->tunables[which];
        int at = index_of(v, c->values[which]), step = below(s, 4) ? 1 : 2;
        at += below(s, 2) ? step : -step;
        if (at < 0 || at >= v->n) at = below(s, v->n);
        c->values[which] = v->choices[at];
    }
}

/* Of the implementations that have values to choose, one that is near the best more often. */
static int choose_kind(search *s, const search_row *r)
{
    int best = -1;
    double best_score = 0.0;
    for (int k = 0; k < r->n_kinds; k++) {
        const search_best *b = &r->kinds[k];
        if (b->t->n == 0 || b->full || hopeless(s, b->t)) continue;
        double near = b->seconds > 0.0 && r->best.t ? r->best.seconds / b->seconds : 0.3;
        double score = near * near * (0.1 + (double)(draw(s) >> 11) * 0x1p-53);
        if (best < 0 || score > best_score) best = k, best_score = score;
    }
    return best;
}

static bool propose_chance(search *s, search_row *r, candidate *c)
{
    while ((c->kind = choose_kind(s, r)) >= 0) {
        search_best *b = &r->kinds[c->kind];
        for (int i = 0; i < DRAWS; i++) {
            if (b->seconds > 0.0 && below(s, 4)) {
                mutate(s, b, c);
            } else {
                memset(c->values, 0, sizeof c->values);
                for (int v = 0; v < b->t->n; v++)
                    c->values[v] = b->t->tunables[v].choices[below(s, b->t->tunables[v].n)];
            }
            if (is_new(s, r, c)) return true;
        }
        b->full = true;
    }
    return false;
}

/* The best guess of an implementation that no shape has tried. */
static bool propose_unseen(search *s, search_row *r, candidate *c)
{
    for (c->kind = 0; c->kind < r->n_kinds; c->kind++) {
        const tuning *t = r->kinds[c->kind].t;
        const int *known = tuning_values_for(s->d, t, r->shape);
        bool seen = !known;
        for (size_t i = 0; i < s->log.n; i++) seen |= s->log.items[i].t == t;
        if (seen) continue;
        memcpy(c->values, known, sizeof c->values);
        if (is_new(s, r, c)) return true;
    }
    return false;
}

static bool propose(search *s, search_row *r, candidate *c)
{
    if (r->best.t && propose_unseen(s, r, c)) return true;
    return (r->best.t && propose_shared(s, r, c)) || propose_known(s, r, c) ||
           propose_chance(s, r, c);
}

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

/* A right candidate. held: what the best took beside it, or 0. Returns whether it is better. */
static bool take_time(search_row *r, const candidate *c, double seconds, double held)
{
    search_best *kind = &r->kinds[c->kind];
    double beside = held > 0.0 ? held : r->best.seconds;
    r->tried++;
    r->since++;
    if (kind->seconds <= 0.0 || seconds < kind->seconds) {
        kind->seconds = seconds;
        memcpy(kind->values, c->values, sizeof kind->values);
    }
    if (r->tried == 1 && c->kind == 0) r->default_seconds = seconds;
    if (r->best.t && seconds >= BETTER * beside) return false;
    r->since = 0;
    r->unheld = false;
    r->best = (search_best){.t = kind->t, .seconds = seconds};
    memcpy(r->best.values, c->values, sizeof r->best.values);
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
    double seconds, beside;
    worker_answer answer;
    if (s->held || !r->best.t || r->unheld) return;
    r->unheld = true; /* unless it works */
    if (!ask(s, r->best.t, r->best.values, line, 3 * s->limit, &answer)) return;
    if (sscanf(line, "time %lf %lf", &seconds, &beside) != 2) return;
    r->unheld = false;
    hold(s);
}

static status try_candidate(search *s, search_row *r, const candidate *c)
{
    const tuning *t = r->kinds[c->kind].t;
    char line[WORKER_LINE] = "";
    double seconds = 0.0, held = 0.0;
    worker_answer answer;
    tried_outcome outcome = TRIED_DIED;
    status st = OK;
    TRY(tried_begin(&s->log, t, r->shape, c->values));
    for (int round = 0; round < 2; round++) {
        if (!start_child(s, r, &st)) break;
        hold_best(s, r);
        if (!start_child(s, r, &st)) break;
        if (!ask(s, t, c->values, line, r->best.t ? s->limit : 3 * s->limit, &answer)) break;
        if (strcmp(line, "again") != 0) break;
        worker_stop(&s->child);
    }
    if (st != OK) goto done;
    if (sscanf(line, "time %lf %lf", &seconds, &held) == 2 && seconds > 0.0) outcome = TRIED_TIME;
    else if (!strncmp(line, "wrong", 5)) outcome = TRIED_WRONG;
    else if (!strncmp(line, "failed", 6)) outcome = TRIED_FAILED;
    r->wrong += outcome == TRIED_WRONG;
    r->failed += outcome == TRIED_FAILED || outcome == TRIED_DIED;
    if (outcome == TRIED_TIME) {
        if (held <= 0.0) s->held = false;
        bool better = take_time(r, c, seconds, held);
        if (better) hold(s);
        TRY(tried_end(&s->log, outcome, seconds));
        if (better) TRY(save(s, false));
    } else {
        TRY(tried_end(&s->log, outcome, 0.0));
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
            if (e->outcome == TRIED_TIME) take_time(r, &c, e->seconds, 0.0);
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

static void prepare(search *s)
{
    const char *limit = getenv("DITCL_TUNE_LIMIT");
    s->start = clock_seconds();
    s->limit = limit ? atof(limit) : LIMIT_SECONDS;
    s->random = 0x0d17c1;
    tuning_forget(s->d); /* what serves without a search comes first */
    qsort(s->rows, (size_t)s->n, sizeof *s->rows, by_weight);
    for (int i = 0; i < s->n; i++) {
        search_row *r = &s->rows[i];
        const tuning *all[TUNING_KINDS];
        for (const tuned_operator *o = tuned_operators; o->op; o++)
            if (!strcmp(o->op, r->op)) r->n_kinds = o->kinds(s->d, r->shape, all);
        for (int k = 0; k < r->n_kinds; k++) r->kinds[k].t = all[k];
        r->done = r->n_kinds == 0;
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
    double seconds, held, worst = 0.0; /* of the best's time over the default's */
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
        if (sscanf(line, "time %lf %lf", &seconds, &held) != 2 || held <= 0.0) return st;
        if (held / seconds > worst) {
            worst = held / seconds;
            r->best.seconds = held;
            r->default_seconds = seconds;
        }
    }
    if (worst <= CONFIRMED) return st;
    r->kinds[0].seconds = r->best.seconds = r->default_seconds;
    r->best.t = t;
    memcpy(r->kinds[0].values, values, sizeof values);
    memcpy(r->best.values, values, sizeof values);
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
    prepare(s);
    store_load(&s->stored, &s->d->info, NULL);
    stored_use(s->d, &s->stored); /* drops what cannot be used */
    tuning_forget(s->d);
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
