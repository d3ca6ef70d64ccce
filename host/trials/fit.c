/* Quick measurements. See fit.h. */
#include "trials/fit.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "device/store.h"
#include "ops/ops.h"

enum {
    MOST = 8, /* candidates */
    ROUNDS = 7,
    /* the product: a layer of a DiT, halves that Strassen's scheme takes, two parts of depth */
    ROWS = 256, COLUMNS = 768, DEPTH = 2304,
    /* the convolution: a layer of a decoder */
    SIDE = 32, CHANNELS = 256,
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

typedef struct {
    device *d;
    buf in, out;
    size_t n_in, n_out;
    float *host; /* the larger of in, out and weights */
    float *bits; /* of the first candidate */
    entry entries[MOST];
    int n;
    double until; /* clock */
} contest;

typedef struct {
    const tunable *t;
    double share; /* of the time: some take long to build */
    size_t n_in, n_out, n_weights;
    status (*prepare)(contest *c, entry *e);
    status (*queue)(contest *c, entry *e);
} fitting;

/* ---- what is run ---- */

static status prepare_product(contest *c, entry *e)
{
    float *no_bias = NULL;
    size_t scratch;
    status st = OK;
    TRY(memory_alloc(&no_bias, COLUMNS, sizeof *no_bias));
    TRY(gemm_weight_upload(c->d, &e->product, c->host, no_bias, COLUMNS, DEPTH, "fitting"));
    TRY(gemm_scratch(c->d, &scratch, ROWS, COLUMNS, DEPTH));
    TRY(buffer_create(c->d, &e->scratch, scratch, "fitting"));
done:
    free(no_bias);
    return st;
}

static status queue_product(contest *c, entry *e)
{
    return op_gemm(c->d, c->out, c->in, &e->product, ROWS, NULL, e->scratch);
}

static const picture_shape picture = {1, SIDE, SIDE, CHANNELS};

static status prepare_layer(contest *c, entry *e)
{
    float *no_bias = NULL;
    size_t scratch;
    status st = OK;
    TRY(memory_alloc(&no_bias, CHANNELS, sizeof *no_bias));
    TRY(conv_weight_upload(c->d, &e->layer, c->host, no_bias, CHANNELS, CHANNELS, 1, "fitting"));
    TRY(conv_scratch(c->d, &scratch, &e->layer, picture));
    TRY(buffer_create(c->d, &e->scratch, scratch, "fitting"));
done:
    free(no_bias);
    return st;
}

static status queue_layer(contest *c, entry *e)
{
    static const conv_use plain = {0};
    return op_conv3x3(c->d, c->out, c->in, &e->layer, picture, &plain, e->scratch);
}

static const fitting fittings[N_TUNABLES] = {
    [TUNABLE_GEMM] = {.t = &gemm_cpu_tunable, .share = 0.75, .n_in = ROWS * DEPTH,
                      .n_out = ROWS * COLUMNS, .n_weights = COLUMNS * DEPTH,
                      .prepare = prepare_product, .queue = queue_product},
    [TUNABLE_CONV] = {.t = &conv_winograd_tunable, .share = 0.25, .n_in = SIDE * SIDE * CHANNELS,
                      .n_out = SIDE * SIDE * CHANNELS, .n_weights = CHANNELS * CHANNELS * 9,
                      .prepare = prepare_layer, .queue = queue_layer},
};

/* ---- the contest ---- */

/* lowbias32 (Wellons 2018), in [-1, 1) */
static void make_values(float *out, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t x = (uint32_t)i + seed;
        x = (x ^ x >> 16) * 0x7feb352du;
        x = (x ^ x >> 15) * 0x846ca68bu;
        out[i] = (float)(int32_t)(x ^ x >> 16) * 0x1p-31f;
    }
}

static status open_contest(contest *c, const fitting *f)
{
    size_t most = f->n_in > f->n_out ? f->n_in : f->n_out;
    if (f->n_weights > most) most = f->n_weights;
    status st = OK;
    c->n_in = f->n_in;
    c->n_out = f->n_out;
    TRY(memory_alloc(&c->host, most, sizeof *c->host));
    TRY(memory_alloc(&c->bits, c->n_out, sizeof *c->bits));
    TRY(buffer_create(c->d, &c->in, c->n_in, "fitting"));
    TRY(buffer_create(c->d, &c->out, c->n_out, "fitting"));
    make_values(c->host, c->n_in, 1);
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
static status enter(contest *c, const fitting *f, int i)
{
    entry *e = &c->entries[i];
    status st = OK;
    make_values(c->host, f->n_weights, 2);
    TRY(f->prepare(c, e));
    TRY(f->queue(c, e));
    TRY(buffer_download(c->d, c->out, 0, i ? c->host : c->bits, c->n_out));
    e->competes = i == 0 || !memcmp(c->host, c->bits, c->n_out * sizeof *c->bits);
    e->best = 1e30;
done:
    return st;
}

static status time_once(contest *c, const fitting *f, entry *e)
{
    double start = clock_seconds();
    status st = f->queue(c, e);
    if (st == OK) st = device_finish(c->d);
    double spent = clock_seconds() - start;
    if (spent < e->best) e->best = spent;
    return st;
}

/* The candidates in turn, as many as there is time to build; then rounds of all, in turn. */
static status compete(contest *c, const fitting *f, int *choice)
{
    enum { SHARE = 3 }; /* one in SHARE of what is left is for the rounds */
    int candidates = f->t->candidates(c->d);
    double longest = 0.0, build_until = c->until - (c->until - clock_seconds()) / SHARE;
    status st = OK;
    for (int i = 0; i < candidates && i < MOST; i++, c->n++) {
        double before = clock_seconds();
        if (i > 0 && before + longest > build_until) break;
        *choice = i;
        TRY(enter(c, f, i));
        double spent = clock_seconds() - before;
        if (spent > longest) longest = spent;
    }
    for (int round = 0; round < ROUNDS && c->n > 1; round++)
        for (*choice = 0; *choice < c->n; ++*choice) {
            if (round > 0 && clock_seconds() > c->until) break;
            if (c->entries[*choice].competes) TRY(time_once(c, f, &c->entries[*choice]));
        }
done:
    *choice = 0;
    return st;
}

static void note_times(const contest *c, const fitting *f)
{
    for (int i = 0; i < c->n && c->d->settings.note; i++) {
        const entry *e = &c->entries[i];
        char line[160], time[40];
        snprintf(time, sizeof time, "%.2f ms", e->best * 1e3);
        snprintf(line, sizeof line, "%s, candidate %d of %d: %s", f->t->op, i + 1,
                 f->t->candidates(c->d),
                 !e->competes ? "other bits" : c->n == 1 ? "no time for others" : time);
        c->d->settings.note(line);
    }
}

/* d->choice[which] = the fastest, else the first. */
static void measure_one(device *d, const fitting *f, int which, double until)
{
    contest c = {.d = d, .until = until};
    int best = 0;
    status st = open_contest(&c, f);
    if (st == OK) st = compete(&c, f, &d->choice[which]);
    for (int i = 1; st == OK && i < c.n; i++)
        if (c.entries[i].competes && c.entries[i].best < c.entries[best].best) best = i;
    if (c.entries[best].best > c.entries[0].best * WORTH) best = 0;
    note_times(&c, f);
    device_finish(d);
    close_contest(&c);
    d->choice[which] = best;
    if (st != OK) fail_clear();
}

/* ---- the store ---- */

static void warn(const device *d, const store_line *line, const char *what)
{
    char told[200];
    if (!d->settings.warn) return;
    snprintf(told, sizeof told, "%s: ignored: %s", line->from, what);
    d->settings.warn(told);
}

/* The candidate that a line means, or -1. */
static int candidate_of(const device *d, const tunable *t, const store_line *line)
{
    int n = t->candidates(d), n_names = 0;
    while (n_names < TUNABLE_VALUES && t->names[n_names]) n_names++;
    for (int i = 0; i < n && line->n_values == n_names; i++) {
        int values[TUNABLE_VALUES], same = 0;
        t->values(d, i, values);
        for (int j = 0; j < n_names; j++)
            same += line->values[j].value == values[j] &&
                    !strcmp(line->values[j].name, t->names[j]);
        if (same == n_names) return i;
    }
    return -1;
}

/* Whether the store has a choice that can be used; a line that cannot is dropped. */
static bool use_stored(device *d, store *s, int which, const char *shape)
{
    const tunable *t = fittings[which].t;
    char kernels[STORE_HASH];
    store_line *line = store_find(s, t->op, shape);
    if (!line || store_kernels(kernels, t->file) != OK) return false;
    int i = candidate_of(d, t, line);
    bool old = *line->kernels && strcmp(line->kernels, kernels) != 0;
    if (!old && i >= 0) {
        d->choice[which] = i;
        return true;
    }
    warn(d, line, old ? "measured with other kernels" : "no such candidate");
    store_drop(s, line);
    return false;
}

static void put_choice(device *d, store *s, int which, const char *shape)
{
    const tunable *t = fittings[which].t;
    store_line line = {0};
    int values[TUNABLE_VALUES];
    if (store_kernels(line.kernels, t->file) != OK) return;
    text_copy(line.op, sizeof line.op, t->op);
    text_copy(line.shape, sizeof line.shape, shape);
    t->values(d, d->choice[which], values);
    for (int i = 0; i < TUNABLE_VALUES && t->names[i]; i++) {
        text_copy(line.values[i].name, sizeof line.values[i].name, t->names[i]);
        line.values[i].value = values[i];
        line.n_values++;
    }
    store_put(s, &line);
}

/* Lines of operators that nobody knows. */
static void name_unknown(const device *d, store *s)
{
    for (size_t i = 0; i < s->n;) {
        bool known = false;
        for (int t = 0; t < N_TUNABLES; t++) known |= !strcmp(s->lines[i].op, fittings[t].t->op);
        if (known) {
            i++;
            continue;
        }
        warn(d, &s->lines[i], "no such operator");
        store_drop(s, &s->lines[i]);
    }
}

/* ---- all of it ---- */

/* An emulator's time says nothing. */
static bool measurable(const device *d)
{
    const char *wanted = getenv("DITCL_FIT");
    return !(wanted && !strcmp(wanted, "off")) && !getenv("DITCL_CL_DIR") &&
           !d->info.quirk.has[QUIRK_POISON_BUFFERS];
}

static void measure_missing(device *d, store *s, const char *const missing[N_TUNABLES],
                            void (*say)(const char *line))
{
    bool no_cache = d->settings.no_cache;
    double start = clock_seconds(), all = 0.0, done = 0.0;
    for (int t = 0; t < N_TUNABLES; t++) all += missing[t] ? fittings[t].share : 0.0;
    if (say) say("measuring which kernels suit this device, once, for at most 3 seconds");
    d->settings.no_cache = true; /* most of these programs are not needed again */
    for (int t = 0; t < N_TUNABLES; t++) {
        if (!missing[t]) continue;
        done += fittings[t].share;
        measure_one(d, &fittings[t], t, start + FIT_SECONDS * done / all);
        put_choice(d, s, t, missing[t]);
    }
    d->settings.no_cache = no_cache;
    if (store_save(s, &d->info) != OK && d->settings.note) d->settings.note(fail_line());
    fail_clear();
}

void fit_device(device *d, bool measure, void (*say)(const char *line))
{
    const char *missing[N_TUNABLES] = {0};
    int n_missing = 0;
    store s;
    store_load(&s, &d->info, d->settings.warn);
    name_unknown(d, &s);
    for (int t = 0; t < N_TUNABLES; t++) {
        const tunable *of = fittings[t].t;
        const char *shape = d->class == CLASS_CPU ? of->shape(d) : NULL;
        if (!shape || of->candidates(d) < 2 || use_stored(d, &s, t, shape)) continue;
        missing[t] = shape;
        n_missing++;
    }
    if (measure && n_missing && measurable(d)) measure_missing(d, &s, missing, say);
    store_free(&s);
    fail_clear();
}
