/* The order of candidates: the best ones of other shapes, default configurations, neighbours of the
 * best, random ones. See tune.h. */
#include <math.h>
#include <string.h>

#include "tune/search.h"

enum { DRAWS = 4000 };            /* the most draws to find a new candidate that fits */
static const double BEHIND = 1.7; /* times the best: too slow to try for other shapes */

static uint64_t draw(search_state *t)
{
    uint64_t z = t->random += 0x9e3779b97f4a7c15u; /* splitmix64 (Steele, Lea & Flood 2014) */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int draw_below(search_state *t, int n)
{
    return (int)(draw(t) % (uint64_t)n);
}

static bool fits(const search_state *t, const tune_shape *r, const candidate *c)
{
    return configuration_valid(t->s->d, c->impl, c->config, r->shape);
}

static bool is_new(const search_state *t, tune_shape *r, const candidate *c)
{
    if (log_has(&t->log, c, r->shape)) return false;
    if (fits(t, r, c)) return true;
    r->refused++;
    return false;
}

static bool has_impl(const tune_shape *r, const op_impl *impl)
{
    for (int k = 0; k < r->n_impls; k++)
        if (r->impls[k].is.impl == impl) return true;
    return false;
}

/* Whether an implementation was far behind the best of every shape so far. Such implementations are
 * left to the second pass. */
static bool hopeless(const search_state *t, const op_impl *impl)
{
    bool any = false;
    for (int i = 0; i < t->s->n; i++) {
        const tune_shape *r = &t->s->shapes[i];
        for (int k = 0; k < r->n_impls; k++) {
            const tune_best *b = &r->impls[k];
            if (b->is.impl != impl || b->seconds <= 0.0) continue;
            if (b->seconds < BEHIND * r->best.seconds) return false;
            any = true;
        }
    }
    return any && !t->thorough;
}

/* Proposes default configurations, best guess first: the first of the untuned implementation,
 * then its second and the first of the next implementation, and so on. The configurations of the
 * device's file come before them, so that the first candidate is the untuned configuration. */
static bool propose_default(search_state *t, tune_shape *r, candidate *c)
{
    enum { MOST = 64 }; /* defaults of an implementation */
    for (int sum = 0; sum < MOST; r->defaults++) {
        int k = r->defaults;
        for (sum = 0; k > sum;) k -= ++sum; /* k from 0 to sum */
        if (k >= r->n_impls) continue;
        const op_impl *impl = r->impls[k].is.impl;
        int which = sum - k - 1;
        if (which >= impl->n_configs || hopeless(t, impl)) continue;
        const int *config =
            which < 0 ? configuration_for(t->s->d, impl, r->shape) : impl->configs[which];
        if (!config) continue;
        *c = candidate_of(impl, config);
        if (is_new(t, r, c)) return true;
    }
    return false;
}

/* Proposes the best candidate of an implementation at another shape: one of the same bucket if
 * `bucket`, else any of the same operator. The candidate took at most `most` times as long as the
 * best candidate of that shape. */
static bool propose_shared(const search_state *t, const tune_shape *r, bool bucket, double most,
                           candidate *c)
{
    double least = INFINITY;
    for (int i = 0; i < t->s->n; i++) {
        const tune_shape *other = &t->s->shapes[i];
        if (bucket ? other->bucket != r->bucket : strcmp(other->op, r->op) != 0) continue;
        for (int k = 0; k < other->n_impls; k++) {
            const tune_best *b = &other->impls[k];
            bool best = candidate_equal(&b->is, &other->best.is);
            double times = best ? 1.0 : b->seconds / other->best.seconds;
            if (b->seconds <= 0.0 || times > most || times >= least || !has_impl(r, b->is.impl) ||
                !fits(t, r, &b->is) || log_has(&t->log, &b->is, r->shape))
                continue;
            least = times;
            *c = b->is;
        }
    }
    return least <= most;
}

bool propose_like(const search_state *t, const tune_shape *r, candidate *c)
{
    enum { FEW = 4 };
    return r->best.is.impl && r->tried + r->failed + r->wrong < FEW &&
           propose_shared(t, r, true, 1.0, c);
}

static int index_of(const tunable *v, int value)
{
    int i = 0;
    while (i + 1 < v->n && v->choices[i] != value) i++;
    return i;
}

/* Changes one to three values by one or two places in their lists of choices. */
static void mutate(search_state *t, candidate *c)
{
    for (int changes = 1 + draw_below(t, 3); changes > 0; changes--) {
        int which = draw_below(t, c->impl->n);
        const tunable *v = &c->impl->tunables[which];
        int at = index_of(v, c->config[which]), step = draw_below(t, 4) ? 1 : 2;
        at += draw_below(t, 2) ? step : -step;
        if (at < 0 || at >= v->n) at = draw_below(t, v->n);
        c->config[which] = v->choices[at];
    }
}

/* A random implementation that has tunables; one near the best is more likely. -1: none is left. */
static int choose_impl(search_state *t, const tune_shape *r)
{
    int best = -1;
    double best_score = 0.0;
    for (int k = 0; k < r->n_impls; k++) {
        const tune_best *b = &r->impls[k];
        if (b->is.impl->n == 0 || r->full[k] || hopeless(t, b->is.impl)) continue;
        double near = b->seconds > 0.0 && r->best.is.impl ? r->best.seconds / b->seconds : 0.3;
        double score = near * near * (0.1 + (double)(draw(t) >> 11) * 0x1p-53);
        if (best < 0 || score > best_score) best = k, best_score = score;
    }
    return best;
}

/* The time of a candidate over the best of its shape; 0: it was not right, or the shape is not
 * searched. */
static double behind(const search_state *t, const log_entry *e)
{
    for (int i = 0; e->outcome == OUTCOME_RIGHT && i < t->s->n; i++) {
        const tune_shape *r = &t->s->shapes[i];
        if (!strcmp(r->op, e->is.impl->op) && shape_equal(r->shape, e->shape))
            return r->best.is.impl ? e->time.seconds / r->best.seconds : 0.0;
    }
    return 0.0;
}

/* The logarithm of a predicted time, relative to the average of the implementation. Each value adds
 * the average of the candidates that had it, weighted by n / (n + DOUBT). */
static double predicted(const search_state *t, const candidate *c)
{
    enum { DOUBT = 2 };
    double all = 0.0, n = 0.0, sum = 0.0, with[CONFIG_VALUES] = {0}, count[CONFIG_VALUES] = {0};
    for (size_t i = 0; i < t->log.n; i++) {
        const log_entry *e = &t->log.items[i];
        double now = e->is.impl == c->impl ? behind(t, e) : 0.0;
        if (now <= 0.0) continue;
        all += log(now);
        n += 1.0;
        for (int v = 0; v < c->impl->n; v++) {
            if (e->is.config[v] != c->config[v]) continue;
            with[v] += log(now);
            count[v] += 1.0;
        }
    }
    for (int v = 0; v < c->impl->n && n > 0.0; v++)
        sum += (with[v] - all / n * count[v]) / (count[v] + DOUBT);
    return sum;
}

/* Draws some candidates, at random or near the best, and proposes the one with the smallest
 * predicted time. */
static bool propose_chance(search_state *t, tune_shape *r, candidate *c)
{
    enum { SOME = 6 };
    for (int k; (k = choose_impl(t, r)) >= 0; r->full[k] = true) {
        const tune_best *b = &r->impls[k];
        double least = INFINITY;
        int n = 0;
        for (int i = 0; i < DRAWS && n < SOME; i++) {
            candidate drawn = b->is;
            if (b->seconds > 0.0 && draw_below(t, 4)) {
                mutate(t, &drawn);
            } else {
                for (int v = 0; v < drawn.impl->n; v++)
                    drawn.config[v] =
                        drawn.impl->tunables[v].choices[draw_below(t, drawn.impl->tunables[v].n)];
            }
            if (!is_new(t, r, &drawn)) continue;
            double now = predicted(t, &drawn);
            if (now < least) least = now, *c = drawn;
            n++;
        }
        if (n > 0) return true;
    }
    return false;
}

bool propose(search_state *t, tune_shape *r, candidate *c)
{
    return propose_like(t, r, c) || (r->best.is.impl && propose_shared(t, r, false, 1.0, c)) ||
           propose_default(t, r, c) || propose_shared(t, r, false, BEHIND, c) ||
           propose_chance(t, r, c);
}
