/* Quick measurements. See fit.h. */
#include "trials/fit.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "trials/stored.h"
#include "trials/workload.h"

enum {
    MOST = 8, /* candidates */
    ROUNDS = 7,
    /* the product: a layer of a DiT, halves that Strassen's scheme takes, two parts of depth */
    ROWS = 256, MOST_ROWS = 4096, COLUMNS = 768, DEPTH = 2304,
    /* the convolution: a layer of a decoder */
    SIDE = 32, MOST_SIDE = 128, CHANNELS = 256,
};
static const double WORTH = 0.95; /* of the first's time: a smaller gain may be noise */

/* One candidate, ready to run. */
typedef struct {
    gemm_weight product;
    conv_weight layer;
    buf scratch;
    double best; /* seconds */
    bool competes;
} entry;

/* An operator at one shape. */
typedef struct {
    const char *op;
    double share; /* of the time: some take long to build */
    int shape[TUNING_SIZES];
    size_t n_in, n_out, n_weights;
} fitting;

typedef struct {
    device *d;
    const fitting *f;
    const tuning *t; /* whose values compete */
    const int *values[MOST];
    int n_values;
    buf in, out;
    size_t n_in, n_out;
    float *host; /* the larger of in, out and weights */
    float *bits; /* of the first candidate */
    entry entries[MOST];
    int n;
    double until; /* clock */
} contest;

/* ---- what is run ---- */

enum { PRODUCT, LAYER, N_FITTINGS };

/* Large enough that the largest tiles keep every compute unit of a GPU busy. */
static void choose_shapes(const device *d, fitting out[N_FITTINGS])
{
    size_t rows = ROWS, side = SIDE, units = d->class == CLASS_GPU ? d->info.compute_units : 1;
    const size_t tile = 128, row_tiles = COLUMNS / tile, layer_tiles = CHANNELS / 64;
    while (rows < MOST_ROWS && rows / tile * row_tiles < 2 * units) rows *= 2;
    while (side < MOST_SIDE && side * side / tile * layer_tiles < 2 * units) side *= 2;
    out[PRODUCT] = (fitting){.op = "gemm", .share = 0.75, .shape = {(int)rows, COLUMNS, DEPTH},
                             .n_in = rows * DEPTH, .n_out = rows * COLUMNS,
                             .n_weights = COLUMNS * DEPTH};
    out[LAYER] = (fitting){.op = "conv", .share = 0.25,
                           .shape = {(int)(side * side), CHANNELS, CHANNELS, 1},
                           .n_in = side * side * CHANNELS, .n_out = side * side * CHANNELS,
                           .n_weights = CHANNELS * CHANNELS * 9};
}

static conv_layer layer_of(const fitting *f)
{
    return (conv_layer){f->shape[0], CHANNELS, CHANNELS, 1, 0};
}

static picture_shape picture_of(const fitting *f)
{
    int side = SIDE;
    while (side * side < f->shape[0]) side *= 2;
    return (picture_shape){1, side, side, CHANNELS};
}

static status prepare(contest *c, entry *e)
{
    const int *shape = c->f->shape;
    bool product = !strcmp(c->f->op, "gemm");
    float *no_bias = NULL;
    size_t scratch;
    status st = OK;
    TRY(memory_alloc(&no_bias, (size_t)shape[1], sizeof *no_bias));
    if (product) {
        TRY(gemm_weight_upload(c->d, &e->product, c->host, no_bias, shape[0], shape[1], shape[2],
                               "fitting"));
        TRY(gemm_scratch(c->d, &scratch, &e->product, shape[0]));
    } else {
        TRY(conv_weight_upload(c->d, &e->layer, c->host, no_bias, layer_of(c->f), "fitting"));
        TRY(conv_scratch(c->d, &scratch, &e->layer, picture_of(c->f)));
    }
    TRY(buffer_create(c->d, &e->scratch, scratch, "fitting"));
done:
    free(no_bias);
    return st;
}

static status queue(contest *c, entry *e)
{
    static const conv_use plain = {0};
    if (!strcmp(c->f->op, "gemm"))
        return op_gemm(c->d, c->out, c->in, &e->product, c->f->shape[0], NULL, e->scratch);
    return op_conv3x3(c->d, c->out, c->in, &e->layer, picture_of(c->f), &plain, e->scratch);
}

/* The implementation that serves, where its values can be chosen; else null. */
static const tuning *serving(const device *d, const fitting *f)
{
    const tuning *all[TUNING_KINDS];
    const int *shape = f->shape;
    bool product = !strcmp(f->op, "gemm");
    const char *name = product ? gemm_name(d, shape[0], shape[1], shape[2])
                               : conv_name(d, layer_of(f));
    int n = product ? gemm_kinds(d, shape, all) : conv_kinds(d, shape, all);
    for (int i = 0; i < n; i++)
        if (!strcmp(all[i]->kind, name)) return all[i];
    return NULL;
}

/* Known values of t that fit; returns how many. */
static int candidates(const device *d, const fitting *f, const tuning *t, const int *out[MOST])
{
    int n = 0;
    for (int i = 0; i < t->n_known && n < MOST; i++)
        if (t->fits(d, t->known[i], f->shape)) out[n++] = t->known[i];
    return n;
}

/* ---- the contest ---- */

static status open_contest(contest *c)
{
    const fitting *f = c->f;
    size_t most = f->n_in > f->n_out ? f->n_in : f->n_out;
    if (f->n_weights > most) most = f->n_weights;
    status st = OK;
    c->n_in = f->n_in;
    c->n_out = f->n_out;
    TRY(memory_alloc(&c->host, most, sizeof *c->host));
    TRY(memory_alloc(&c->bits, c->n_out, sizeof *c->bits));
    TRY(buffer_create(c->d, &c->in, c->n_in, "fitting"));
    TRY(buffer_create(c->d, &c->out, c->n_out, "fitting"));
    workload_values(c->host, c->n_in, 1);
    TRY(buffer_upload(c->d, c->in, 0, c->host, c->n_in));
done:
    return st;
}

static void close_contest(contest *c)
{
    for (int i = 0; i < MOST; i++) {
        gemm_weight_free(c->d, &c->entries[i].product);
        conv_weight_free(c->d, &c->entries[i].layer);
        buffer_release(c->d, &c->entries[i].scratch);
    }
    buffer_release(c->d, &c->in);
    buffer_release(c->d, &c->out);
    free(c->host);
    free(c->bits);
}

/* Builds and runs candidate i, which competes if its bits are the first's. */
static status enter(contest *c, int i)
{
    entry *e = &c->entries[i];
    status st = OK;
    workload_values(c->host, c->f->n_weights, 2);
    TRY(prepare(c, e));
    TRY(queue(c, e));
    TRY(buffer_download(c->d, c->out, 0, i ? c->host : c->bits, c->n_out));
    e->competes = i == 0 || !memcmp(c->host, c->bits, c->n_out * sizeof *c->bits);
    e->best = 1e30;
done:
    return st;
}

static status time_once(contest *c, entry *e)
{
    double start = clock_seconds();
    status st = queue(c, e);
    if (st == OK) st = device_finish(c->d);
    double spent = clock_seconds() - start;
    if (spent < e->best) e->best = spent;
    return st;
}

/* The candidates in turn, as many as there is time to build; then rounds of all, in turn. A
 * candidate's weights keep the values that were there when they were packed. */
static status compete(contest *c)
{
    enum { SHARE = 3 }; /* one in SHARE of what is left is for the rounds */
    double longest = 0.0, build_until = c->until - (c->until - clock_seconds()) / SHARE;
    status st = OK;
    for (int i = 0; i < c->n_values; i++, c->n++) {
        double before = clock_seconds();
        if (i > 0 && before + longest > build_until) break;
        TRY(tuning_set(c->d, c->t, NULL, c->values[i]));
        TRY(enter(c, i));
        double spent = clock_seconds() - before;
        if (spent > longest) longest = spent;
    }
    for (int round = 0; round < ROUNDS && c->n > 1; round++)
        for (int i = 0; i < c->n; i++) {
            if (round > 0 && clock_seconds() > c->until) break;
            if (c->entries[i].competes) TRY(time_once(c, &c->entries[i]));
        }
done:
    return st;
}

static void note_times(const contest *c)
{
    for (int i = 0; i < c->n && c->d->settings.note; i++) {
        const entry *e = &c->entries[i];
        char line[160], time[40];
        snprintf(time, sizeof time, "%.2f ms", e->best * 1e3);
        snprintf(line, sizeof line, "%s, candidate %d of %d: %s", c->t->op, i + 1, c->n_values,
                 !e->competes ? "other bits" : c->n == 1 ? "no time for others" : time);
        c->d->settings.note(line);
    }
}

/* From here on the device uses the fastest, else the first: *values. */
static void measure_one(device *d, const fitting *f, const tuning *t, double until,
                        const int **values)
{
    contest c = {.d = d, .f = f, .t = t, .until = until};
    int best = 0;
    c.n_values = candidates(d, f, t, c.values);
    status st = open_contest(&c);
    if (st == OK) st = compete(&c);
    for (int i = 1; st == OK && i < c.n; i++)
        if (c.entries[i].competes && c.entries[i].best < c.entries[best].best) best = i;
    if (c.entries[best].best > c.entries[0].best * WORTH) best = 0;
    note_times(&c);
    device_finish(d);
    close_contest(&c);
    *values = c.values[best];
    if (st != OK) fail_clear();
    if (tuning_set(d, t, NULL, *values) != OK) fail_clear();
}

/* ---- all of it ---- */

/* An emulator's time says nothing. */
static bool measurable(const device *d)
{
    const char *wanted = getenv("DITCL_FIT"), *edited = getenv("DITCL_CL_DIR");
    return !(wanted && !strcmp(wanted, "off")) && !(edited && *edited) &&
           !d->info.quirk.has[QUIRK_POISON_BUFFERS];
}

static void measure_missing(device *d, store *s, const fitting fittings[N_FITTINGS],
                            const tuning *const missing[N_FITTINGS])
{
    bool no_cache = d->settings.no_cache;
    double start = clock_seconds(), all = 0.0, done = 0.0;
    for (int f = 0; f < N_FITTINGS; f++) all += missing[f] ? fittings[f].share : 0.0;
    d->settings.no_cache = true; /* most of these programs are not needed again */
    for (int f = 0; f < N_FITTINGS; f++) {
        const int *known[MOST], *values;
        if (!missing[f]) continue;
        done += fittings[f].share;
        candidates(d, &fittings[f], missing[f], known);
        values = known[0];
        if (clock_seconds() < start + FIT_SECONDS)
            measure_one(d, &fittings[f], missing[f], start + FIT_SECONDS * done / all, &values);
        if (stored_put(s, d, missing[f], NULL, values) != OK) fail_clear();
    }
    d->settings.no_cache = no_cache;
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

status fit_device(device *d, bool measure, void (*say)(const char *line))
{
    const tuning *missing[N_FITTINGS] = {0};
    const int *values[MOST];
    int n_missing = 0;
    fitting fittings[N_FITTINGS];
    store s;
    status st = OK;
    choose_shapes(d, fittings);
    TRY(store_load(&s, &d->info, d->settings.warn));
    bool unknown = !store_exists(&d->info);
    TRY(stored_use(d, &s));
    for (int f = 0; f < N_FITTINGS; f++) {
        const tuning *t = serving(d, &fittings[f]);
        if (!t || stored_any(&s, d, t) || candidates(d, &fittings[f], t, values) < 2) continue;
        missing[f] = t;
        n_missing++;
    }
    if (measure && measurable(d) && (n_missing || (unknown && say))) {
        bool kept = n_missing && announce(d, &s, say);
        if (!n_missing && say)
            say("`ditcl tune MODEL` measures which kernels suit this device best");
        measure_missing(d, &s, fittings, missing);
        void (*tell)(const char *) = kept ? d->settings.warn : d->settings.note;
        if (store_save(&s, &d->info) != OK && tell) tell(fail_line());
    }
    fail_clear();
done:
    store_free(&s);
    return st;
}
