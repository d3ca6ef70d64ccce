/* A model's shapes and passes, for tuning. See tuning.h. */
#include "bench/tuning.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/worker.h"
#include "bench/bench.h"
#include "model/dit.h"
#include "model/vae.h"

enum { STEPS = 50 };

/* Samples of a forward pass: both guidance halves, or one if the model has no null class. */
static int pass_batch(const model *m)
{
    return m->dit.has_null ? 2 : 1;
}

/* ---- shapes ---- */

typedef struct {
    const char *const *only;
    tune_shape *all;
    size_t n, capacity;
    int chunk; /* steps x labels */
    bool decoder;
    status st;
} shapes;

static bool wanted(const shapes *s, const char *op)
{
    bool found = !s->only;
    for (int i = 0; s->only && s->only[i]; i++) found |= !strcmp(s->only[i], op);
    return found;
}

static void visit(void *context, const char *op, const int sizes[SHAPE_SIZES])
{
    shapes *s = context;
    /* the modulation of all steps is one chunk */
    bool once =
        s->decoder || (!strcmp(op, "gemm") && (sizes[0] == s->chunk || sizes[0] == 2 * s->chunk));
    size_t i = 0;
    if (s->st != OK || !wanted(s, op)) return;
    while (i < s->n && (strcmp(s->all[i].op, op) != 0 || !shape_equal(s->all[i].shape, sizes))) i++;
    if (i == s->n) {
        s->st = memory_grow(&s->all, &s->capacity, s->n + 1, sizeof *s->all);
        if (s->st != OK) return;
        s->all[s->n++] = (tune_shape){.op = op};
        memcpy(s->all[i].shape, sizes, sizeof s->all[i].shape);
    }
    s->all[i].calls += once ? 1.0 : STEPS;
}

status tuning_shapes(model *m, const char *const *only, tune_shape **found, int *n)
{
    shapes s = {.only = only, .chunk = STEPS * pass_batch(m)};
    const layer_visitor v = {visit, &s};
    status st = dit_visit(m, pass_batch(m), s.chunk, &v);
    s.decoder = true;
    if (st == OK) st = vae_visit(m, &v);
    if (st == OK) st = s.st;
    *found = s.all;
    *n = (int)s.n;
    return st;
}

/* ---- forward passes ---- */

status tuning_serve_forward(device *d, model *m, FILE *in, FILE *out)
{
    char line[WORKER_LINE];
    run r = {0};
    status st = OK;
    TRY(bench_open_run(&r, d, m));
    TRY(bench_forward(&r));
    TRY(device_finish(d));
    fprintf(out, "ready\n");
    fflush(out);
    while (fgets(line, sizeof line, in)) {
        double start = clock_seconds();
        TRY(bench_forward(&r));
        TRY(device_finish(d));
        fprintf(out, "%.9g\n", clock_seconds() - start);
        fflush(out);
    }
done:
    run_close(&r);
    return st;
}

status tuning_compare(forward_gain *g, const char *const *untuned, const char *const *tuned,
                      double seconds)
{
    enum { MOST = 51, LEAST = 3 };
    static const double LOAD_SECONDS = 600.0, PASS_SECONDS = 120.0;
    const char *const *args[2] = {untuned, tuned};
    double all[2][MOST], start;
    char line[WORKER_LINE];
    worker children[2] = {0};
    status st = OK;
    int n = 0;
    *g = (forward_gain){0};
    for (int i = 0; i < 2; i++) {
        TRY(worker_start(&children[i], args[i]));
        if (worker_hear(&children[i], line, LOAD_SECONDS) != WORKER_SAID)
            TRY(fail(ERR_DEVICE, "the forward pass %s tuned configurations failed",
                     i ? "with" : "without"));
    }
    start = clock_seconds();
    while (n < MOST && (n < LEAST || clock_seconds() - start < seconds)) {
        for (int i = 0; i < 2; i++) {
            if (!worker_say(&children[i], "pass") ||
                worker_hear(&children[i], line, PASS_SECONDS) != WORKER_SAID)
                TRY(fail(ERR_DEVICE, "a forward pass took too long"));
            all[i][n] = atof(line);
        }
        n++;
    }
    *g = (forward_gain){measure_median(all[0], n), measure_median(all[1], n), n};
done:
    for (int i = 0; i < 2; i++) worker_stop(&children[i]);
    return st;
}
