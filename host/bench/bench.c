/* Measures passes and operators. See bench.h. */
#include "bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "model/vae.h"

const char *const bench_part_names[] = {"forward", "modulation", "step", "vae_decode", NULL};

/* Names of operators, from the model or the operator itself, and their parts. Those of the decoder
 * have the prefix "vae_". */
static const struct {
    const char *name;
    bench_part part;
} operators[] = {
    {"patchify", PART_FORWARD},
    {"patch_embed", PART_FORWARD},
    {"prepend", PART_FORWARD},
    {"modulate", PART_FORWARD},
    {"qkv", PART_FORWARD},
    {"attention", PART_FORWARD},
    {"proj", PART_FORWARD},
    {"cross_q", PART_FORWARD},
    {"cross", PART_FORWARD},
    {"cross_proj", PART_FORWARD},
    {"fc1", PART_FORWARD},
    {"fc2", PART_FORWARD},
    {"final", PART_FORWARD},
    {"unpatchify", PART_FORWARD},
    {"update", PART_STEP},
    {"vae_to_pixels", PART_VAE_DECODE},
    {"vae_groupnorm_statistics", PART_VAE_DECODE},
    {"vae_groupnorm_apply", PART_VAE_DECODE},
    {"vae_conv3x3", PART_VAE_DECODE},
    {"vae_gemm", PART_VAE_DECODE},
    {"vae_attention", PART_VAE_DECODE},
};
enum { N_OPERATORS = sizeof operators / sizeof *operators };

static const double PART_SECONDS = 3.0, OPERATOR_SECONDS = 0.15;
static const double SWEEP_SECONDS =
    0.25; /* approximate length of one measurement of an operator's calls */

/* ---- names ---- */

status bench_known(const char *name)
{
    text all = {0};
    status st = OK;
    for (int i = 0; bench_part_names[i]; i++) {
        if (!strcmp(bench_part_names[i], name)) goto done;
        TRY(text_append(&all, "%s%s", i ? ", " : "", bench_part_names[i]));
    }
    for (int i = 0; i < N_OPERATORS; i++) {
        if (!strcmp(operators[i].name, name)) goto done;
        TRY(text_append(&all, ", %s", operators[i].name));
    }
    st = fail(ERR_USAGE, "--only %s: expected one of %s", name, all.data);
done:
    text_free(&all);
    return st;
}

static bool wanted(const bench_request *q, const char *name)
{
    if (!q->only) return true;
    for (int i = 0; q->only[i]; i++)
        if (!strcmp(q->only[i], name)) return true;
    return false;
}

/* Whether any operator of the part is wanted. */
static bool wanted_operators(const bench_request *q, bench_part part)
{
    if (!q->only) return true;
    for (int i = 0; i < N_OPERATORS; i++)
        if (operators[i].part == part && wanted(q, operators[i].name)) return true;
    return false;
}

/* ---- rows ---- */

typedef struct {
    bench *b;
    device *d;
    const bench_request *q;
} session;

static void say(const session *s, const char *what)
{
    if (s->q->progress) s->q->progress(s->q->progress_context, what);
}

/* Measures and adds a row. */
static status add_row(session *s, const bench_row *like, const measured *what, double seconds)
{
    bench *b = s->b;
    say(s, like->name);
    status st = memory_grow(&b->rows, &b->capacity, (size_t)b->n + 1, sizeof *b->rows);
    if (st != OK) return st;
    bench_row *r = &b->rows[b->n];
    *r = *like;
    st = measure(s->d, &r->t, what, seconds, s->q->repeat);
    if (st != OK) return fail_in(st, "%s", r->name);
    b->n++;
    return OK;
}

static void add_work(bench_row *r, const work *w)
{
    r->flops += w->flops;
    r->executed[w->on] += w->executed;
    r->bytes += w->bytes;
}

/* The row of a part. Its operations and bytes are the sums of its operators. */
static status add_part(session *s, bench_part part, const char *about, const record *r,
                       const measured *what)
{
    bench_row row = {.part = part, .whole = true, .calls = 1};
    text_copy(row.name, sizeof row.name, bench_part_names[part]);
    text_copy(row.shape, sizeof row.shape, about);
    for (size_t i = 0; i < r->n; i++) add_work(&row, &r->operators[i].done);
    return add_row(s, &row, what, PART_SECONDS);
}

/* The calls of one operator in a part, in turn, each with its own weights. */
typedef struct {
    device *d;
    const record *r;
    const size_t *calls;
    size_t n;
} sweep;

static status replay(void *context)
{
    const sweep *w = context;
    status st = OK;
    for (size_t i = 0; i < w->n && st == OK; i++) st = record_replay(w->r, w->d, w->calls[i]);
    return st;
}

/* Drops calls from the sweep if all of them would take more than SWEEP_SECONDS. */
static status shorten(sweep *w)
{
    sweep one = *w;
    one.n = 1;
    status st = device_finish(w->d);
    double start = clock_seconds();
    if (st == OK) st = replay(&one);
    if (st == OK) st = device_finish(w->d);
    double most = SWEEP_SECONDS / (clock_seconds() - start);
    if (most < (double)w->n) w->n = most > 1 ? (size_t)most : 1;
    return st;
}

static status add_operator(session *s, bench_row *row, sweep *w, const measured *like)
{
    measured what = *like;
    what.queue = replay;
    what.context = w;
    row->calls = (int)w->n;
    add_work(row, &w->r->operators[w->calls[0]].done);
    status st = shorten(w);
    if (st == OK) st = add_row(s, row, &what, OPERATOR_SECONDS);
    if (st != OK) return st;
    bench_row *added = &s->b->rows[s->b->n - 1];
    timing *t = &added->t;
    t->median /= (double)w->n, t->low /= (double)w->n, t->high /= (double)w->n;
    t->best /= (double)w->n;
    return row->flops > 0 ? OK : peak_copy(s->d, &added->copy_gbs, row->bytes);
}

static bool same(const recorded *a, const recorded *b)
{
    return !strcmp(a->name, b->name) && !strcmp(a->shape, b->shape);
}

/* Adds a row for each operator and shape of a part, in the order of their first calls. prefix: what
 * each name begins with. */
static status add_operators(session *s, bench_part part, const record *r, const char *prefix,
                            const measured *like)
{
    status st = OK;
    size_t *calls = NULL;
    TRY(memory_alloc(&calls, r->n, sizeof *calls));
    for (size_t i = 0; i < r->n; i++) {
        const recorded *o = &r->operators[i];
        bench_row row = {.part = part};
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) seen = same(&r->operators[j], o);
        snprintf(row.name, sizeof row.name, "%s%s", prefix, o->name);
        if (seen || !wanted(s->q, row.name)) continue;
        text_copy(row.shape, sizeof row.shape, o->shape);
        sweep w = {s->d, r, calls, 0};
        for (size_t j = i; j < r->n; j++)
            if (same(&r->operators[j], o)) calls[w.n++] = j;
        TRY(add_operator(s, &row, &w, like));
    }
done:
    free(calls);
    return st;
}

/* Queues once and records all operators. */
static status take_down(session *s, record *r, status (*queue)(void *), void *context)
{
    record_start(r, s->d);
    status st = queue(context);
    status recorded_all = record_stop(r, s->d);
    if (st == OK) st = device_finish(s->d);
    return st == OK ? recorded_all : st;
}

/* ---- the transformer ---- */

/* Samples of a forward pass: both guidance halves, or one if the model has no null class. */
static int pass_batch(const run *r)
{
    return r->guided ? 2 : 1;
}

static status modulation_pass(void *context)
{
    return run_modulate(context);
}

status bench_open_run(run *r, device *d, model *m)
{
    const run_request request = run_typical(m);
    return run_open(r, d, m, &request);
}

status bench_forward(void *context)
{
    run *r = context;
    return dit_forward(&r->network, r->prediction, r->latents, 0, 1, pass_batch(r), r->rows, 0, 0);
}

typedef struct {
    run *r;
    int step;
} stepping;

static status step_start(void *context)
{
    stepping *x = context;
    x->step = 0;
    status st = run_restart(x->r);
    /* so that no step of the measurement computes a modulation */
    return st == OK && x->r->modulated_to == 0 ? run_modulate(x->r) : st;
}

static status step_pass(void *context)
{
    stepping *x = context;
    return run_step(x->r, x->step++);
}

/* Records a whole step and measures only its update. */
static status add_update(session *s, const record *all, stepping *x)
{
    record r = {0};
    /* the update changes the latents, so they are restored before they grow */
    const measured like = {
        .most_calls = x->r->plan.n_rows, .before = step_start, .before_context = x};
    status st = OK;
    r = *all;
    for (size_t i = 0; i < all->n; i++)
        if (!strcmp(all->operators[i].name, "update")) {
            r.operators = &all->operators[i];
            r.n = 1;
        }
    if (r.n == 1) st = add_operators(s, PART_STEP, &r, "", &like);
    return st;
}

static status add_steps(session *s, run *r)
{
    record all = {0};
    char about[RECORD_SHAPE];
    stepping x = {.r = r};
    const measured what = {step_pass, &x, r->plan.n_rows, step_start, &x};
    status st = OK;
    snprintf(about, sizeof about, "batch %d, one of %s steps", pass_batch(r), RUN_TYPICAL_STEPS);
    TRY(step_start(&x));
    TRY(take_down(s, &all, step_pass, &x));
    if (wanted(s->q, "step")) TRY(add_part(s, PART_STEP, about, &all, &what));
    if (wanted_operators(s->q, PART_STEP)) TRY(add_update(s, &all, &x));
done:
    record_free(&all);
    return st;
}

static status add_modulation(session *s, run *r)
{
    record all = {0};
    char about[RECORD_SHAPE];
    const measured what = {.queue = modulation_pass, .context = r, .most_calls = 1};
    status st = take_down(s, &all, modulation_pass, r);
    snprintf(about, sizeof about, "%s steps x %s", RUN_TYPICAL_STEPS,
             pass_batch(r) > 1 ? "2 labels" : "1 label");
    if (st == OK && wanted(s->q, "modulation"))
        st = add_part(s, PART_MODULATION, about, &all, &what);
    record_free(&all);
    return st;
}

static status add_forward(session *s, run *r)
{
    record all = {0};
    char about[RECORD_SHAPE];
    const measured what = {.queue = bench_forward, .context = r}, like = {0};
    const dit_config *c = &r->m->dit;
    status st = take_down(s, &all, bench_forward, r);
    snprintf(about, sizeof about, "batch %d, T=%d D=%d, %d blocks", pass_batch(r),
             r->network.tokens, c->width, c->depth);
    if (st == OK && wanted(s->q, "forward")) st = add_part(s, PART_FORWARD, about, &all, &what);
    if (st == OK && wanted_operators(s->q, PART_FORWARD))
        st = add_operators(s, PART_FORWARD, &all, "", &like);
    record_free(&all);
    return st;
}

static status bench_transformer(session *s)
{
    const bench_request *q = s->q;
    run r = {0};
    status st = OK;
    bool forward = wanted(q, "forward") || wanted_operators(q, PART_FORWARD);
    bool steps = wanted(q, "step") || wanted_operators(q, PART_STEP);
    if (!forward && !steps && !wanted(q, "modulation")) return OK;
    say(s, "loading the transformer");
    TRY(bench_open_run(&r, s->d, q->m));
    TRY(add_modulation(s, &r)); /* the forward pass needs it */
    if (forward) TRY(add_forward(s, &r));
    if (steps) TRY(add_steps(s, &r));
done:
    run_close(&r);
    return st;
}

/* ---- the decoder ---- */

typedef struct {
    vae v;
    buf latents;
} decoding;

static status decode_pass(void *context)
{
    decoding *x = context;
    buf image;
    return vae_decode(&x->v, &image, x->latents, 0);
}

static status upload_latents(device *d, buf *latents, size_t count)
{
    float *values = NULL;
    rng generator;
    status st = OK;
    TRY(memory_alloc(&values, count, sizeof *values));
    rng_seed(&generator, 0);
    rng_randn(&generator, values, count);
    TRY(buffer_create(d, latents, count, "latents"));
    TRY(buffer_upload(d, *latents, 0, values, count));
done:
    free(values);
    return st;
}

static status bench_decoder(session *s)
{
    const bench_request *q = s->q;
    int size = q->m->dit.latent_size, scale = vae_scale(&q->m->vae);
    decoding x = {0};
    record all = {0};
    char about[RECORD_SHAPE];
    const measured what = {.queue = decode_pass, .context = &x}, like = {0};
    status st = OK;
    bool whole = wanted(q, "vae_decode"), parts = wanted_operators(q, PART_VAE_DECODE);
    if (!whole && !parts) return OK;
    say(s, "loading the decoder");
    TRY(vae_load(&x.v, s->d, q->m));
    TRY(vae_prepare(&x.v, size, size));
    TRY(upload_latents(s->d, &x.latents,
                       (size_t)q->m->vae.latent_channels * (size_t)size * (size_t)size));
    TRY(take_down(s, &all, decode_pass, &x));
    snprintf(about, sizeof about, "%dx%d pixels", size * scale, size * scale);
    if (whole) TRY(add_part(s, PART_VAE_DECODE, about, &all, &what));
    if (parts) TRY(add_operators(s, PART_VAE_DECODE, &all, "vae_", &like));
done:
    record_free(&all);
    buffer_release(s->d, &x.latents);
    vae_free(&x.v);
    return st;
}

/* ---- all of it ---- */

/* Sorts rows by part; the row of the part comes first, then its operators in call order. */
static status sort_rows(bench *b)
{
    bench_row *sorted = NULL;
    int n = 0;
    status st = memory_alloc(&sorted, b->capacity, sizeof *sorted);
    if (st != OK) return st;
    for (int key = 0; key < 2 * N_PARTS; key++)
        for (int i = 0; i < b->n; i++)
            if (2 * (int)b->rows[i].part + !b->rows[i].whole == key) sorted[n++] = b->rows[i];
    free(b->rows);
    b->rows = sorted;
    return OK;
}

status bench_run(bench *b, device *d, const bench_request *request)
{
    session s = {b, d, request};
    status st = OK;
    *b = (bench){0};
    say(&s, "the device's peaks");
    TRY(peak_measure(d, &b->peak));
    TRY(bench_transformer(&s));
    TRY(bench_decoder(&s));
    TRY(peak_raise(d, &b->peak)); /* clock frequencies drift, so the higher peak counts */
    TRY(sort_rows(b));
done:
    if (st != OK) bench_free(b);
    return st;
}

void bench_free(bench *b)
{
    free(b->rows);
    *b = (bench){0};
}

double bench_gflops(const bench_row *r)
{
    return r->flops / r->t.median / 1e9;
}

double bench_executed_gflops(const bench_row *r)
{
    double sum = 0;
    for (int i = 0; i < N_ROOFS; i++) sum += r->executed[i];
    return sum / r->t.median / 1e9;
}

double bench_gbs(const bench_row *r)
{
    return r->bytes / r->t.median / 1e9;
}

double bench_fraction(const bench *b, const bench_row *r)
{
    if (r->flops <= 0) return r->copy_gbs > 0 ? bench_gbs(r) / r->copy_gbs : 0;
    return peak_fraction(&b->peak, r->executed, r->t.median);
}
