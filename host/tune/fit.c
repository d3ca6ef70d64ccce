/* Configurations for a new device. See fit.h. */
#include "tune/fit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ops/first_use.h"
#include "ops/ops.h"
#include "tune/worker_link.h"
#include "tune/store.h"

enum {
    MOST = 8,       /* candidates of an implementation */
    MOST_OTHER = 3, /* of an fp32 implementation that competes with bf16x3 */
    /* the GEMM: a layer of a DiT, of sizes that Strassen accepts, deep enough for two parts */
    ROWS = 256,
    MOST_ROWS = 4096,
    COLUMNS = 768,
    DEPTH = 2304,
    /* the convolution: a layer of a decoder */
    SIDE = 32,
    MOST_SIDE = 128,
    CHANNELS = 256,
    WORDS = 10,
};
static const double WORTH = 0.95; /* of the best's time: a smaller gain may be noise */
/* Of measuring a candidate; and the longest wait for a reply of the worker. */
static const double MEASURE_SECONDS = 0.1, ANSWER_SECONDS = 60.0;

/* An operator at one shape. */
typedef struct {
    const char *op;
    double share; /* of FIT_SECONDS; some operators take longer to build */
    int shape[SHAPE_SIZES];
    const operator* o;
} fitting;

typedef struct {
    device *d;
    const fitting *f;
    const op_impl *serving; /* the implementation that serves untuned */
    choice all[MOST + MOST_OTHER];
    int n;
    double until; /* clock */
    const char *words[WORDS];
    char index[16];
    worker_link link;
    char bits[HASH_TEXT]; /* hash of the untuned implementation's first result */
    choice best;          /* t null: none is right */
} fit_run;

/* ---- shapes and candidates ---- */

enum { PRODUCT, LAYER, N_FITTINGS };

/* Large enough that the largest tiles keep every compute unit of a GPU busy. */
static void choose_shapes(const device *d, fitting out[N_FITTINGS])
{
    size_t rows = ROWS, side = SIDE, units = d->family == FAMILY_GPU ? d->info.compute_units : 1;
    const size_t tile = 128, row_tiles = COLUMNS / tile, layer_tiles = CHANNELS / 64;
    while (rows < MOST_ROWS && rows / tile * row_tiles < 2 * units) rows *= 2;
    while (side < MOST_SIDE && side * side / tile * layer_tiles < 2 * units) side *= 2;
    out[PRODUCT] = (fitting){.op = "gemm",
                             .share = 0.75,
                             .o = &operators[OP_GEMM],
                             .shape = {(int)rows, COLUMNS, DEPTH}};
    out[LAYER] = (fitting){.op = "conv",
                           .share = 0.25,
                           .o = &operators[OP_CONV],
                           .shape = {(int)(side * side), CHANNELS, CHANNELS, 1}};
}

/* Adds known values of t that fit, at most `most`; returns how many. */
static int add_known(choice *out, const device *d, const fitting *f, const op_impl *t, int most)
{
    const int *known[MOST];
    int n = configuration_defaults(known, most, d, t, f->shape);
    for (int i = 0; i < n; i++) {
        out[i].t = t;
        memcpy(out[i].values, known[i], sizeof out->values);
    }
    return n;
}

/* The implementation that serves, and with bf16x3 the first in fp32 too. */
static int candidates(choice out[MOST + MOST_OTHER], const device *d, const fitting *f)
{
    const op_impl *all[MOST_IMPLS];
    int kinds = operator_impls(f->o, d, f->shape, all), n = 0;
    if (kinds) n = add_known(out, d, f, all[0], MOST);
    if (!n || d->settings.precision != PRECISION_AUTO || impl_keeps_fp32(all[0])) return n;
    for (int i = 1; i < kinds; i++)
        if (impl_keeps_fp32(all[i])) return n + add_known(out + n, d, f, all[i], MOST_OTHER);
    return n;
}

/* ---- measuring ---- */

static void note(const fit_run *c, int i, const char *what)
{
    char line[200];
    snprintf(line, sizeof line, "%s %s, candidate %d of %d: %s", c->f->op, c->all[i].t->name, i + 1,
             c->n, what);
    if (c->d->settings.note) c->d->settings.note(line);
}

/* Strikes out a candidate that failed, so that no run uses it. */
static status failed(fit_run *c, int i, worker_reply reply)
{
    static const char *const reasons[] = {[REPLY_WRONG] = "its result was wrong",
                                          [REPLY_FAILED] = "it failed to build or to run",
                                          [REPLY_DIED] = "it ended its worker process, "
                                                         "or hung"};
    const choice *e = &c->all[i];
    const first_use what = {c->f->op, e->t, e->values, c->f->shape, 0};
    bool counts =
        !c->link.lacking && (reply == REPLY_WRONG || reply == REPLY_FAILED || reply == REPLY_DIED);
    note(c, i, counts ? reasons[reply] : "could not be tried");
    return counts ? first_use_strike(c->d, &what, reasons[reply], reply == REPLY_DIED) : OK;
}

/* Measures candidate i against the best so far, the worker's baseline. Candidates of the untuned
 * implementation must give the same bits as its first one. */
static status try_one(fit_run *c, int i)
{
    const choice *e = &c->all[i];
    candidate_time time;
    char line[80];
    status st = worker_link_start(&c->link, c->words);
    if (st != OK) return st;
    worker_link_build(&c->link, c->f->op, c->f->shape, &c->best, e);
    worker_reply reply = worker_link_built(&c->link, ANSWER_SECONDS);
    if (reply != REPLY_RIGHT) return failed(c, i, reply);
    if (e->t == c->serving && !*c->bits) text_copy(c->bits, sizeof c->bits, c->link.bits);
    if (e->t == c->serving && strcmp(c->bits, c->link.bits) != 0) {
        note(c, i, "other bits");
        return OK;
    }
    reply = worker_link_time(&c->link, &time, MEASURE_SECONDS, ANSWER_SECONDS);
    if (reply != REPLY_RIGHT) return failed(c, i, reply);
    snprintf(line, sizeof line, "%.2f ms", time.seconds * 1e3);
    note(c, i, line);
    if (c->best.t && !(time.seconds < time.baseline * WORTH)) return OK;
    if (worker_link_keep(&c->link, e, ANSWER_SECONDS)) c->best = *e;
    return OK;
}

/* *best = the fastest candidate that there was time to try; t null: none is right. *serving = the
 * untuned implementation. */
static status measure_one(device *d, const fitting *f, double until, choice *best,
                          const op_impl **serving)
{
    fit_run c = {.d = d, .f = f, .until = until};
    double longest = 0.0;
    status st = OK;
    *best = (choice){0};
    snprintf(c.index, sizeof c.index, "%d", d->info.index);
    const char *words[WORDS] = {"tune-worker",
                                "--device",
                                c.index,
                                "--kernels",
                                kernel_family_names[d->family],
                                "--precision",
                                precision_names[d->settings.precision],
                                "--mode",
                                "candidates",
                                NULL};
    memcpy(c.words, words, sizeof words);
    c.n = candidates(c.all, d, f);
    *serving = c.serving = c.n ? c.all[0].t : NULL;
    for (int i = 0; i < c.n; i++) {
        double before = clock_seconds();
        /* the first of the other arithmetic is tried in any case */
        bool other = i > 0 && c.all[i].t != c.serving && c.all[i - 1].t == c.serving;
        if (i > 0 && !other && before + longest > until) continue;
        if (first_use_struck(d, c.all[i].t, c.all[i].values, f->shape)) continue;
        TRY(try_one(&c, i));
        longest = fmax(longest, clock_seconds() - before);
    }
    *best = c.best;
done:
    worker_link_stop(&c.link);
    return st;
}

/* ---- all of it ---- */

/* An emulator's time says nothing. */
static bool measurable(const device *d)
{
    const char *wanted = getenv("DITCL_FIT"), *edited = getenv("DITCL_CL_DIR");
    return !(wanted && !strcmp(wanted, "off")) && !(edited && *edited) &&
           !d->info.quirk.has[QUIRK_POISON_BUFFERS];
}

/* Measures one, and keeps what was found. */
static status measure_and_keep(device *d, store *s, const fitting *f, double until)
{
    choice best;
    const op_impl *serving;
    status st = OK;
    TRY(measure_one(d, f, until, &best, &serving));
    if (!best.t) goto done; /* first-use checks will say what is left */
    if (best.t == serving) {
        TRY(configuration_set(d, best.t, NULL, best.values));
    } else { /* from here on it serves */
        TRY(configuration_serve(d, best.t, best.values));
    }
    const candidate found = candidate_of(best.t, best.values);
    TRY(store_put(s, d, &found, NULL, best.t != serving));
done:
    return st;
}

static status measure_missing(device *d, store *s, const fitting fittings[N_FITTINGS],
                              const bool missing[N_FITTINGS])
{
    double start = clock_seconds(), all = 0.0, done = 0.0;
    for (int f = 0; f < N_FITTINGS; f++) all += missing[f] ? fittings[f].share : 0.0;
    for (int f = 0; f < N_FITTINGS; f++) {
        if (!missing[f]) continue;
        done += fittings[f].share;
        status st = measure_and_keep(d, s, &fittings[f], start + FIT_SECONDS * done / all);
        if (st == ERR_MEMORY) return st;
        if (st != OK && d->settings.note) d->settings.note(fail_line());
        if (st != OK) fail_clear();
    }
    return OK;
}

/* Says what is measured now, and whether the next run need not: returns whether the store can be
 * written. */
static bool announce(const device *d, const store *s, void (*say)(const char *line))
{
    char line[600];
    bool kept = store_save(s, &d->info) == OK;
    if (kept)
        snprintf(line, sizeof line,
                 "measuring once, for about %g seconds, which kernels suit this device; compiling "
                 "a model's kernels can take longer. `ditcl tune MODEL` measures thoroughly",
                 FIT_SECONDS);
    else
        snprintf(line, sizeof line,
                 "measuring for about %g seconds which kernels suit this device; the next run will "
                 "measure again, since the choice cannot be stored: %.300s",
                 FIT_SECONDS, fail_line());
    if (say) say(line);
    return kept;
}

/* Whether there is a line for this implementation, or for a shape of its operator in the device's
 * kernel family and precision. */
static bool is_stored(const store *s, const device *d, const op_impl *t)
{
    for (size_t i = 0; i < s->n; i++) {
        const store_line *l = &s->lines[i];
        if (l->serves ? !strcmp(l->is.impl->op, t->op) && l->family == d->family &&
                            l->precision == d->settings.precision
                      : l->is.impl == t)
            return true;
    }
    return false;
}

status fit_device(device *d, bool measure, void (*say)(const char *line))
{
    bool missing[N_FITTINGS] = {0};
    choice all[MOST + MOST_OTHER];
    int n_missing = 0;
    fitting fittings[N_FITTINGS];
    store s;
    status st = OK;
    choose_shapes(d, fittings);
    TRY(store_load(&s, d));
    bool unknown = !store_exists(&d->info);
    TRY(store_apply(&s, d));
    for (int f = 0; f < N_FITTINGS; f++) {
        if (candidates(all, d, &fittings[f]) < 2 || is_stored(&s, d, all[0].t)) continue;
        missing[f] = true;
        n_missing++;
    }
    if (measure && measurable(d) && (n_missing || (unknown && say))) {
        bool kept = n_missing && announce(d, &s, say);
        if (!n_missing && say)
            say("`ditcl tune MODEL` measures which kernels suit this device best");
        TRY(measure_missing(d, &s, fittings, missing));
        void (*tell)(const char *) = kept ? d->settings.warn : d->settings.note;
        if (store_save(&s, &d->info) != OK && tell) tell(fail_line());
    }
    fail_clear();
done:
    store_free(&s);
    return st;
}
