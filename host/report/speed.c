/* Peaks, forward passes of three models of the paper, and the implementations that served them. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "model/flops.h"
#include "model/paper.h"
#include "ops/impl.h"
#include "ops/ops.h"
#include "report/send.h"

static const char *const models[] = {"DiT-S/2", "DiT-B/2", "DiT-XL/2"};
enum { N_MODELS = sizeof models / sizeof *models, PIXELS = 256, BATCH = 2 };

/* Times of earlier models, to estimate the next: seconds per Gflop as the paper counts it, and
 * seconds to load a million parameters. */
typedef struct {
    double gflop_seconds, load_seconds;
} pace;

static void put_peaks(json_build *b, json_t *in, const peaks *p)
{
    json_put_real(b, in, "fp32_gflops", p->fp32_gflops);
    json_put_real(b, in, "gflops_16bit", p->gflops_16bit > 0 ? p->gflops_16bit : NAN);
    json_put_real(b, in, "copy_gbs", p->copy_gbs);
    json_put_real(b, in, "launch_us", p->launch_us);
    json_put_real(b, in, "finish_us", p->finish_us);
}

/* ---- implementations ---- */

static bool same(const recorded *a, const recorded *b)
{
    return !strcmp(a->name, b->name) && !strcmp(a->shape, b->shape);
}

static void put_operator(json_build *b, json_t *in, const record *r, const recorded *o, int calls)
{
    char whole[640];
    json_t *row = json_put_object(b, in, NULL);
    json_put_text(b, row, "name", o->name);
    json_put_text(b, row, "shape", o->shape);
    json_put_int(b, row, "calls", calls);
    json_t *kernels = json_put_array(b, row, "kernels");
    for (size_t i = 0; i < o->n; i++) {
        const char *options, *name = record_kernel(r, o, i, &options);
        snprintf(whole, sizeof whole, "%s %s", name, options);
        json_put_text(b, kernels, NULL, whole);
    }
}

static void put_operators(json_build *b, json_t *in, const record *r)
{
    json_t *list = json_put_array(b, in, "operators");
    for (size_t i = 0; i < r->n; i++) {
        int calls = 0;
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) seen = same(&r->operators[j], &r->operators[i]);
        for (size_t j = i; j < r->n && !seen; j++)
            calls += same(&r->operators[j], &r->operators[i]);
        if (!seen) put_operator(b, list, r, &r->operators[i], calls);
    }
}

/* Layers of Stable Diffusion's decoder, for pictures of 256 pixels. */
static status send_convolutions(FILE *to, const device *d)
{
    static const int layers[][SHAPE_SIZES] = {
        {1024, 4, 512, 1},    {1024, 512, 512, 1},  {1024, 512, 512, 2},
        {4096, 512, 512, 1},  {16384, 512, 256, 1}, {16384, 256, 256, 1},
        {65536, 256, 128, 1}, {65536, 128, 128, 1}, {65536, 128, 3, 1}};
    json_build b;
    json_t *list = json_build_begin_array(&b);
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        const int *sizes = layers[i];
        const conv_layer l = {.pixels = sizes[0], .in = sizes[1], .out = sizes[2], .up = sizes[3]};
        const op_impl *kinds[MOST_IMPLS];
        char name[SHAPE_TEXT], options[CONFIG_OPTIONS] = "";
        const char *serving = conv_name(d, l);
        int n = operator_impls(&operators[OP_CONV], d, sizes, kinds);
        for (int k = 0; k < n; k++) {
            const int *values =
                strcmp(kinds[k]->name, serving) != 0 ? NULL : configuration_for(d, kinds[k], sizes);
            if (values) configuration_options(options, kinds[k], values);
        }
        shape_text(name, sizes);
        json_t *row = json_put_object(&b, list, NULL);
        json_put_text(&b, row, "shape", name);
        json_put_text(&b, row, "implementation", serving);
        json_put_text(&b, row, "configuration", options + (*options == ' '));
    }
    return send_value(to, "convolutions", &b);
}

/* ---- a model ---- */

typedef struct {
    run r;
    record pass;
    double load, first; /* seconds */
    timing t;
} measured_model;

static status measure_model(device *d, model *m, measured_model *x)
{
    const measured what = {.queue = bench_forward, .context = &x->r};
    status st = OK, recorded_all;
    double start = clock_seconds();
    TRY(bench_open_run(&x->r, d, m));
    TRY(run_modulate(&x->r));
    TRY(device_finish(d));
    x->load = clock_seconds() - start;
    start = clock_seconds();
    record_start(&x->pass, d);
    st = bench_forward(&x->r);
    recorded_all = record_stop(&x->pass, d);
    if (st == OK) TRY(recorded_all);
    if (st == OK) TRY(device_finish(d));
    x->first = clock_seconds() - start;
    if (st == OK) TRY(measure(d, &x->t, &what, 1.0, 0));
done:
    return st;
}

static status send_model(FILE *to, const char *name, const measured_model *x, const peaks *p)
{
    double flops = 0, executed[N_ROOFS] = {0};
    for (size_t i = 0; i < x->pass.n; i++) {
        const work *w = &x->pass.operators[i].done;
        flops += w->flops;
        executed[w->on] += w->executed;
    }
    json_build b;
    json_t *row = json_build_begin(&b);
    json_put_text(&b, row, "model", name);
    json_put_int(&b, row, "pixels", PIXELS);
    json_put_int(&b, row, "batch", BATCH);
    json_put_real(&b, row, "load_seconds", x->load);
    json_put_real(&b, row, "first_pass_seconds", x->first);
    json_put_real(&b, row, "pass_ms", x->t.median * 1e3);
    json_put_int(&b, row, "passes", x->t.n);
    json_put_real(&b, row, "gflops", flops / x->t.median / 1e9);
    json_put_real(&b, row, "fraction_of_peak", peak_fraction(p, executed, x->t.median));
    put_operators(&b, row, &x->pass);
    return send_item(to, "models", &b);
}

/* Measures a model. If it fails or would take too long, sends it as skipped. */
static status add_model(FILE *to, device *d, const report_request *q, const char *name,
                        const peaks *p, pace *at)
{
    enum { PASSES = 5 };
    char words[120];
    model m = {0};
    measured_model x = {.load = 0};
    status st = OK;
    snprintf(words, sizeof words, "measuring %s", name);
    send_during(to, words);
    TRY(paper_model(&m, name, PIXELS));
    double gflops = BATCH * flops_gflops(&m.dit);
    double parameters = (double)flops_parameters(&m.dit) / 1e6;
    double guess = at->gflop_seconds * gflops * PASSES + at->load_seconds * parameters;
    if (guess > q->model_seconds) {
        snprintf(words, sizeof words, "would take about %.0f s, the limit is %.0f s", guess,
                 q->model_seconds);
        st = send_skipped(to, name, words);
        goto done;
    }
    st = measure_model(d, &m, &x);
    if (st == OK) {
        *at = (pace){x.t.median / gflops, x.load / parameters};
        st = send_model(to, name, &x, p);
    } else if (st != ERR_MEMORY) {
        st = send_skipped(to, name, NULL);
    }
done:
    record_free(&x.pass);
    run_close(&x.r);
    model_close(&m);
    return st;
}

status report_speed(FILE *to, device *d, const report_request *q)
{
    peaks p = {0};
    json_build b;
    send_during(to, "measuring peaks");
    status st = peak_measure(d, &p);
    if (st == ERR_MEMORY) return st;
    if (st != OK) return send_skipped(to, "peaks, models", NULL);
    json_t *all = json_build_begin(&b);
    put_peaks(&b, all, &p);
    TRY(send_value(to, "peaks", &b));
    TRY(send_convolutions(to, d));
    /* a first estimate: a fifth of the peak; a multiply-add is two operations */
    pace at = {2.0 / (0.2 * p.fp32_gflops), 0.02};
    for (int i = 0; i < N_MODELS; i++) TRY(add_model(to, d, q, models[i], &p, &at));
done:
    return st;
}
