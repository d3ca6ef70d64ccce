/* Configurations for a new device. See tune.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ops/first_use.h"
#include "ops/ops.h"
#include "tune/search.h"

enum {
    MOST = 8,       /* the most candidates of an implementation */
    MOST_OTHER = 3, /* the most of an fp32 implementation that competes with bf16x3 */
    /* the GEMM: a layer of a DiT, of sizes that Strassen accepts, deep enough for two parts of K */
    ROWS = 256,
    MOST_ROWS = 4096,
    COLUMNS = 768,
    DEPTH = 2304,
    /* the convolution: a layer of a decoder */
    SIDE = 32,
    MOST_SIDE = 128,
    CHANNELS = 256,
    /* the attention of a DiT */
    TOKENS = 256,
    MOST_TOKENS = 1024,
    HEADS = 12,
    HEAD_WIDTH = 64,
};
/* A candidate wins below this factor of the best time. A smaller gain may be noise. */
static const double WORTH = 0.95;
/* How long a candidate is measured, and how long a reply of the worker may take. */
static const double MEASURE_SECONDS = 0.1, ANSWER_SECONDS = 60.0;

/* An operator at one shape, and what competes there. */
typedef struct {
    const operator* o;
    bool missing; /* the store has no line for it */
    int shape[SHAPE_SIZES];
    candidate all[MOST + MOST_OTHER]; /* those of the untuned implementation come first */
    int n;
    char bits[HASH_TEXT]; /* hash of the untuned implementation's first result */
    candidate best;       /* impl null: none is right yet */
} fitting;

enum { PRODUCT, LAYER, SCORES, N_FITTINGS };

/* ---- shapes and candidates ---- */

/* Adds default configurations of impl that fit, at most `most`. */
static void add_defaults(fitting *f, const device *d, const op_impl *impl, int most)
{
    const int *configs[MOST];
    int n = configuration_defaults(configs, most, d, impl, f->shape);
    for (int i = 0; i < n; i++) f->all[f->n++] = candidate_of(impl, configs[i]);
}

/* Adds the implementation that serves. If it is in bf16x3, the first one in fp32 competes with it.
 * Of attention only these two compete, since other blocks of keys give other bits. */
static void add_candidates(fitting *f, const device *d)
{
    const op_impl *all[MOST_IMPLS];
    bool attention = f->o == &operators[OP_ATTENTION];
    int n = operator_impls(f->o, d, f->shape, all), other = 1;
    if (n) add_defaults(f, d, all[0], attention ? 1 : MOST);
    if (!f->n || d->settings.precision != PRECISION_AUTO || impl_keeps_fp32(all[0])) return;
    while (other < n && !impl_keeps_fp32(all[other])) other++;
    if (other < n) add_defaults(f, d, all[other], attention ? 1 : MOST_OTHER);
}

/* The shapes are so large that the largest tiles keep every compute unit of a GPU busy. */
static void choose_shapes(const device *d, fitting out[N_FITTINGS])
{
    size_t rows = ROWS, side = SIDE, tokens = TOKENS;
    size_t units = d->family == FAMILY_GPU ? d->info.compute_units : 1;
    const size_t tile = 128, queries = 64, row_tiles = COLUMNS / tile, layer_tiles = CHANNELS / 64;
    while (rows < MOST_ROWS && rows / tile * row_tiles < 2 * units) rows *= 2;
    while (side < MOST_SIDE && side * side / tile * layer_tiles < 2 * units) side *= 2;
    while (tokens < MOST_TOKENS && tokens / queries * HEADS < 2 * units) tokens *= 2;
    out[PRODUCT] = (fitting){.o = &operators[OP_GEMM], .shape = {(int)rows, COLUMNS, DEPTH}};
    out[LAYER] =
        (fitting){.o = &operators[OP_CONV], .shape = {(int)(side * side), CHANNELS, CHANNELS, 1}};
    out[SCORES] =
        (fitting){.o = &operators[OP_ATTENTION], .shape = {1, (int)tokens, HEADS, HEAD_WIDTH}};
    for (int i = 0; i < N_FITTINGS; i++) add_candidates(&out[i], d);
}

/* True if the store has a line for the implementation that serves, or one for a shape of its
 * operator in the device's kernel family and precision. */
static bool is_stored(const store *s, const device *d, const fitting *f)
{
    for (size_t i = 0; i < s->n; i++) {
        const store_line *l = &s->lines[i];
        if (l->serves ? !strcmp(l->is.impl->op, f->o->op) && l->family == d->family &&
                            l->precision == d->settings.precision
                      : l->is.impl == f->all[0].impl)
            return true;
    }
    return false;
}

/* ---- measuring ---- */

static void note(const device *d, const fitting *f, int i, const char *what)
{
    char line[200];
    snprintf(line, sizeof line, "%s %s, candidate %d of %d: %s", f->o->op, f->all[i].impl->name,
             i + 1, f->n, what);
    if (d->settings.note) d->settings.note(line);
}

/* Strikes out a candidate that failed, so that no run uses it. */
static status strike(device *d, const fitting *f, int i, const tune_worker *w, outcome o)
{
    static const char *const reasons[] = {[OUTCOME_WRONG] = "its result was wrong",
                                          [OUTCOME_FAILED] = "it failed to build or to run",
                                          [OUTCOME_DIED] = "it ended its worker process, or hung"};
    const candidate *c = &f->all[i];
    const first_use what = {f->o->op, c->impl, c->config, f->shape, 0};
    note(d, f, i, w->lacking ? "could not be tried" : reasons[o]);
    return w->lacking ? OK : first_use_strike(d, &what, reasons[o], o == OUTCOME_DIED);
}

/* Measures candidate i against the best so far. Candidates of the untuned implementation must give
 * the same bits as its first one. */
static status try_one(device *d, fitting *f, int i, tune_worker *w)
{
    const candidate *c = &f->all[i];
    candidate_time time;
    char line[80];
    status st = worker_build(w, f->o->op, f->shape, c, &f->best);
    if (st != OK) return st;
    outcome o = worker_built(w, ANSWER_SECONDS);
    if (o == OUTCOME_RIGHT && c->impl == f->all[0].impl) {
        if (!*f->bits) text_copy(f->bits, sizeof f->bits, w->bits);
        if (strcmp(f->bits, w->bits) != 0) {
            note(d, f, i, "other bits");
            return OK;
        }
    }
    if (o == OUTCOME_RIGHT)
        o = worker_time(w, &time, &f->best, MEASURE_SECONDS, false, ANSWER_SECONDS);
    if (o != OUTCOME_RIGHT) return strike(d, f, i, w, o);
    snprintf(line, sizeof line, "%.2f ms", time.seconds * 1e3);
    note(d, f, i, line);
    if (!f->best.impl || time.seconds < time.baseline * WORTH) f->best = *c;
    return OK;
}

/* Finds the fastest candidate that there is time to try. */
static status measure(device *d, fitting *f, double until)
{
    char index[16];
    const char *const words[] = {"tune-worker", "candidates",
                                 "--device",    index,
                                 "--kernels",   kernel_family_names[d->family],
                                 "--precision", precision_names[d->settings.precision],
                                 NULL};
    tune_worker w = {.args = words};
    double longest = 0.0;
    status st = OK;
    snprintf(index, sizeof index, "%d", d->info.index);
    for (int i = 0; i < f->n && st == OK; i++) {
        double before = clock_seconds();
        /* the first candidate in the other arithmetic is always tried */
        bool other = f->all[i].impl != f->all[0].impl && f->all[i - 1].impl == f->all[0].impl;
        if (i > 0 && !other && before + longest > until) continue;
        if (first_use_struck(d, f->all[i].impl, f->all[i].config, f->shape)) continue;
        st = try_one(d, f, i, &w);
        longest = fmax(longest, clock_seconds() - before);
    }
    worker_end(&w);
    return st;
}

/* Measures one operator. Uses and stores the fastest candidate. */
static status measure_and_keep(device *d, store *s, fitting *f, double until)
{
    status st = OK;
    TRY(measure(d, f, until));
    if (!f->best.impl) goto done;                /* first-use checks will say what is left */
    bool other = f->best.impl != f->all[0].impl; /* another implementation serves from now on */
    TRY(other ? configuration_serve(d, f->best.impl, f->best.config)
              : configuration_set(d, f->best.impl, NULL, f->best.config));
    TRY(store_put(s, d, &f->best, NULL, other));
done:
    return st;
}

/* ---- all of it ---- */

/* False if the user turned measuring off, or if the device is an emulator, whose times mean
 * nothing. */
static bool measurable(const device *d)
{
    const char *wanted = getenv("DITCL_FIT"), *edited = getenv("DITCL_CL_DIR");
    return !(wanted && !strcmp(wanted, "off")) && !(edited && *edited) &&
           !d->info.quirk.has[QUIRK_POISON_BUFFERS];
}

/* GEMM, which takes longer to build, has three quarters of the time. Attention needs none, since
 * both candidates are always tried. */
static status measure_missing(device *d, store *s, fitting fittings[N_FITTINGS])
{
    const double start = clock_seconds(),
                 share[N_FITTINGS] = {[PRODUCT] = 0.75, [LAYER] = 1.0, [SCORES] = 1.0};
    for (int f = 0; f < N_FITTINGS; f++) {
        if (!fittings[f].missing) continue;
        status st = measure_and_keep(d, s, &fittings[f], start + share[f] * TUNE_FIT_SECONDS);
        if (st == ERR_MEMORY) return st;
        if (st != OK && d->settings.note) d->settings.note(fail_line());
        if (st != OK) fail_clear();
    }
    return OK;
}

/* Says what is measured, and whether the next run will measure again. Returns false if the store
 * cannot be written. */
static bool announce(const device *d, const store *s, void (*say)(const char *line))
{
    char line[600];
    bool kept = store_save(s, &d->info) == OK;
    if (kept)
        snprintf(line, sizeof line,
                 "measuring once, for about %g seconds, which kernels suit this device; compiling "
                 "a model's kernels can take longer. `ditcl tune MODEL` measures thoroughly",
                 TUNE_FIT_SECONDS);
    else
        snprintf(line, sizeof line,
                 "measuring for about %g seconds which kernels suit this device; the next run will "
                 "measure again, since the choice cannot be stored: %.300s",
                 TUNE_FIT_SECONDS, fail_line());
    if (say) say(line);
    return kept;
}

status tune_fit(device *d, bool measured, void (*say)(const char *line))
{
    fitting fittings[N_FITTINGS];
    int n_missing = 0;
    store s;
    status st = OK;
    TRY(store_load(&s, d));
    bool unknown = !store_exists(&d->info);
    TRY(store_apply(&s, d));
    choose_shapes(d, fittings);
    for (int f = 0; f < N_FITTINGS; f++) {
        fittings[f].missing = fittings[f].n > 1 && !is_stored(&s, d, &fittings[f]);
        n_missing += fittings[f].missing;
    }
    if (measured && measurable(d) && (n_missing || (unknown && say))) {
        bool kept = n_missing && announce(d, &s, say);
        if (!n_missing && say)
            say("`ditcl tune MODEL` measures which kernels suit this device best");
        TRY(measure_missing(d, &s, fittings));
        void (*tell)(const char *) = kept ? d->settings.warn : d->settings.note;
        if (store_save(&s, &d->info) != OK && tell) tell(fail_line());
    }
    fail_clear();
done:
    store_free(&s);
    return st;
}
