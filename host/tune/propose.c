/* The order of candidates. See propose.h. */
#include "tune/propose.h"

#include <math.h>
#include <string.h>

enum { DRAWS = 4000 };            /* at most, to find a candidate that fits and is new */
static const double BEHIND = 1.7; /* times the best: too slow to try for other shapes */

/* ---- random numbers ---- */

static uint64_t draw(search *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15u; /* splitmix64 (Steele, Lea & Flood 2014) */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int draw_below(search *s, int n)
{
    return (int)(draw(s) % (uint64_t)n);
}

/* ---- candidates ---- */

static bool is_new(search *s, search_row *r, const proposal *c)
{
    const op_impl *t = r->kinds[c->kind].t;
    if (tuning_log_find(&s->log, t, r->shape, c->values)) return false;
    if (configuration_valid(s->d, t, c->values, r->shape)) return true;
    r->refused++;
    return false;
}

/* Whether an implementation was far behind the best of every shape so far. Such implementations are
 * left to the second pass. */
static bool hopeless(const search *s, const op_impl *t)
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

/* The shipped configurations of each implementation in turn, best guess first. Those in the
 * device's file come before them, so that the first candidate is the untuned configuration. */
static bool propose_known(search *s, search_row *r, proposal *c)
{
    for (; r->seeding < r->n_kinds; r->seeding++, r->seeds = 0) {
        const op_impl *t = r->kinds[r->seeding].t;
        c->kind = r->seeding;
        while (r->seeds <= t->n_configs && !hopeless(s, t)) {
            const int *values =
                r->seeds ? t->configs[r->seeds - 1] : configuration_for(s->d, t, r->shape);
            r->seeds++;
            if (!values) continue;
            memcpy(c->values, values, sizeof c->values);
            if (is_new(s, r, c)) return true;
        }
    }
    return false;
}

bool propose_like(const search *s, const search_row *r, proposal *c)
{
    enum { FEW = 4 };
    if (!r->best.t || r->tried + r->failed + r->wrong >= FEW) return false;
    for (int i = 0; i < s->n; i++) {
        const search_best *b = &s->rows[i].best;
        if (s->rows[i].bucket != r->bucket || !b->t) continue;
        for (int k = 0; k < r->n_kinds; k++) {
            if (r->kinds[k].t != b->t || !configuration_valid(s->d, b->t, b->values, r->shape) ||
                tuning_log_find(&s->log, b->t, r->shape, b->values))
                continue;
            if (!c) return true;
            c->kind = k;
            memcpy(c->values, b->values, sizeof c->values);
            return true;
        }
    }
    return false;
}

/* The best candidate of another shape of the operator. */
static bool propose_shared(search *s, search_row *r, proposal *c)
{
    for (int i = 0; i < s->n; i++) {
        const search_row *other = &s->rows[i];
        if (other == r || !other->best.t || strcmp(other->op, r->op) != 0) continue;
        for (c->kind = 0; c->kind < r->n_kinds; c->kind++) {
            if (r->kinds[c->kind].t != other->best.t) continue;
            memcpy(c->values, other->best.values, sizeof c->values);
            if (configuration_valid(s->d, other->best.t, c->values, r->shape) && is_new(s, r, c))
                return true;
        }
    }
    return false;
}

static int index_of(const tunable *v, int value)
{
    int i = 0;
    while (i + 1 < v->n && v->choices[i] != value) i++;
    return i;
}

/* The best configuration of an implementation with one to three values changed by a step or two. */
static void mutate(search *s, const search_best *b, proposal *c)
{
    memcpy(c->values, b->values, sizeof c->values);
    for (int changes = 1 + draw_below(s, 3); changes > 0; changes--) {
        int which = draw_below(s, b->t->n);
        const tunable *v = &b->t->tunables[which];
        int at = index_of(v, c->values[which]), step = draw_below(s, 4) ? 1 : 2;
        at += draw_below(s, 2) ? step : -step;
        if (at < 0 || at >= v->n) at = draw_below(s, v->n);
        c->values[which] = v->choices[at];
    }
}

/* A random implementation that has tunables; one near the best is more likely. */
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

/* The time of a candidate over the best of its shape; 0: the shape is not searched. */
static double behind(const search *s, const tuning_log_entry *e)
{
    for (int i = 0; i < s->n; i++) {
        const search_row *r = &s->rows[i];
        if (!strcmp(r->op, e->t->op) && !memcmp(r->shape, e->shape, sizeof r->shape))
            return r->best.t ? e->time.seconds / r->best.seconds : 0.0;
    }
    return 0.0;
}

/* The logarithm of a predicted time, relative to the average of the implementation. Each value adds
 * the average of the candidates that had it, weighted by n / (n + DOUBT). */
static double predicted(const search *s, const op_impl *t, const int *values)
{
    enum { DOUBT = 2 };
    double all = 0.0, n = 0.0, sum = 0.0, with[CONFIG_VALUES] = {0}, count[CONFIG_VALUES] = {0};
    for (size_t i = 0; i < s->log.n; i++) {
        const tuning_log_entry *e = &s->log.items[i];
        double now = e->t == t && e->outcome == OUTCOME_TIME ? behind(s, e) : 0.0;
        if (now <= 0.0) continue;
        all += log(now);
        n += 1.0;
        for (int v = 0; v < t->n; v++) {
            if (e->values[v] != values[v]) continue;
            with[v] += log(now);
            count[v] += 1.0;
        }
    }
    for (int v = 0; v < t->n && n > 0.0; v++)
        sum += (with[v] - all / n * count[v]) / (count[v] + DOUBT);
    return sum;
}

/* Random values, or values near the best of the implementation. */
static void draw_values(search *s, const search_best *b, proposal *c)
{
    if (b->seconds > 0.0 && draw_below(s, 4)) {
        mutate(s, b, c);
        return;
    }
    memset(c->values, 0, sizeof c->values);
    for (int v = 0; v < b->t->n; v++)
        c->values[v] = b->t->tunables[v].choices[draw_below(s, b->t->tunables[v].n)];
}

/* Draws some candidates and takes the one with the smallest predicted time. */
static bool propose_chance(search *s, search_row *r, proposal *c)
{
    enum { SOME = 6 };
    while ((c->kind = choose_kind(s, r)) >= 0) {
        search_best *b = &r->kinds[c->kind];
        proposal drawn = {.kind = c->kind};
        double least = INFINITY;
        int n = 0;
        for (int i = 0; i < DRAWS && n < SOME; i++) {
            draw_values(s, b, &drawn);
            if (!is_new(s, r, &drawn)) continue;
            double now = predicted(s, b->t, drawn.values);
            if (now < least) least = now, *c = drawn;
            n++;
        }
        if (n > 0) return true;
        b->full = true;
    }
    return false;
}

/* The best guess of an implementation that was not tried for any shape. */
static bool propose_unseen(search *s, search_row *r, proposal *c)
{
    for (c->kind = 0; c->kind < r->n_kinds; c->kind++) {
        const op_impl *t = r->kinds[c->kind].t;
        const int *known = configuration_for(s->d, t, r->shape);
        bool seen = !known;
        for (size_t i = 0; i < s->log.n; i++) seen |= s->log.items[i].t == t;
        if (seen) continue;
        memcpy(c->values, known, sizeof c->values);
        if (is_new(s, r, c)) return true;
    }
    return false;
}

/* The best candidate of other shapes that was not far behind. Building takes most of a candidate's
 * time, and these kernels are built already. */
static bool propose_built(search *s, search_row *r, proposal *c)
{
    double least = BEHIND;
    bool found = false;
    for (size_t i = 0; i < s->log.n; i++) {
        const tuning_log_entry *e = &s->log.items[i];
        if (e->outcome != OUTCOME_TIME) continue;
        for (int k = 0; k < r->n_kinds; k++) {
            double now;
            if (r->kinds[k].t != e->t || (now = behind(s, e)) >= least || now == 0.0 ||
                !configuration_valid(s->d, e->t, e->values, r->shape) ||
                tuning_log_find(&s->log, e->t, r->shape, e->values))
                continue;
            least = now;
            found = true;
            c->kind = k;
            memcpy(c->values, e->values, sizeof c->values);
        }
    }
    return found;
}

bool propose(search *s, search_row *r, proposal *c)
{
    enum { FIRST = 8 }; /* candidates before libraries, which take long to build */
    if (propose_like(s, r, c)) return true;
    if (r->tried + r->failed + r->wrong >= FIRST && propose_unseen(s, r, c)) return true;
    return (r->best.t && propose_shared(s, r, c)) || propose_known(s, r, c) ||
           (s->quick && propose_built(s, r, c)) || propose_chance(s, r, c);
}
