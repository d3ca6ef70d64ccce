/* Builds, checks and times candidates. See bench_worker.h. */
#include "tune/bench_worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/worker.h"
#include "device/span.h"
#include "ops/impl.h"
#include "optest/workload.h"
#include "tune/measure.h"

enum { FIRST = 3, ROUNDS = 5, MOST_CALLS = 200 };
/* Length of one measurement in a round. Before the rounds, the device runs for WARM_SECONDS, so
 * that its clock frequency has risen. */
static const double SAMPLE_SECONDS = 0.01, WARM_SECONDS = 0.3, WARM_CPU_SECONDS = 0.02;
/* Measuring ends early if the first time of a candidate is HOPELESS times the baseline, or if its
 * time in the first round is BEHIND times the baseline. */
static const double HOPELESS = 1.5, BEHIND = 1.15;

typedef struct {
    device *d;
    const operator* op;
    workload w;
    struct entry {
        const op_impl *t; /* null: none */
        int values[CONFIG_VALUES];
        workload_entry run;
    } last, baseline;         /* the latest candidate, and what it is timed against */
    double executed[N_ROOFS]; /* operations of one call of `last` */
} bench_worker;

typedef struct entry entry;

static void leave(bench_worker *b, entry *e)
{
    if (e->t) workload_leave(&b->w, &e->run);
    *e = (entry){0};
}

static void close_shape(bench_worker *b)
{
    leave(b, &b->last);
    leave(b, &b->baseline);
    workload_close(&b->w);
}

static status open_shape(bench_worker *b, char *words)
{
    int shape[SHAPE_SIZES];
    char *save, *op = strtok_r(words, " ", &save), *sizes = strtok_r(NULL, " ", &save);
    close_shape(b);
    for (b->op = operators; op && b->op->op && strcmp(b->op->op, op) != 0;) b->op++;
    if (!op || !b->op->op || !sizes || !shape_parse(shape, sizes))
        return fail(ERR_USAGE, "no such shape");
    return workload_open(&b->w, b->d, op, shape, workload_usual(op));
}

/* ---- time ---- */

/* Seconds of one call. */
typedef struct {
    double wall, device; /* by the wall clock; by the device's clock, 0 if it has none */
} taken;

static status run(bench_worker *b, entry *e, int calls, taken *t)
{
    span queued = {0};
    status st = OK;
    /* some implementations look the configuration up when they are queued */
    TRY(configuration_set(b->d, e->t, b->w.shape, e->values));
    double start = clock_seconds();
    span_begin(&queued, b->d);
    for (int i = 0; i < calls; i++) TRY(workload_queue(&b->w, &e->run));
    span_end(&queued, b->d);
    TRY(device_finish(b->d));
    t->wall = (clock_seconds() - start) / calls;
    t->device = span_seconds(&queued) / calls;
done:
    if (st != OK) span_seconds(&queued);
    return st;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Times the candidate and the baseline in turns, calls[i] calls a round, until `most` seconds have
 * passed or every time of the candidate is above every time of the baseline. *rounds = the number
 * of rounds. *believed = whether all times by the device's clock are plausible. */
static status run_rounds(bench_worker *b, entry *const entries[2], const int calls[2], int n,
                         double most, int *rounds, taken all[2][ROUNDS], bool *believed)
{
    double best = INFINITY, worst = 0.0, start = clock_seconds();
    status st = OK;
    *believed = true;
    for (*rounds = 0; *rounds < ROUNDS;) {
        for (int i = 0; i < n; i++) {
            taken *t = &all[i][*rounds];
            TRY(run(b, entries[i], calls[i], t));
            *believed &= measure_believes(t->device, t->wall);
        }
        best = fmin(best, all[0][*rounds].wall);
        if (n == 2) worst = fmax(worst, all[1][*rounds].wall);
        ++*rounds;
        if (n == 2 && best > (*rounds > 1 ? 1.0 : BEHIND) * worst) break;
        if (clock_seconds() - start > most) break;
    }
done:
    return st;
}

/* first[i] = the shortest of up to FIRST runs, since a single long run may be noise. */
static status run_first(bench_worker *b, entry *const entries[2], int n, double first[2])
{
    taken one;
    status st = OK;
    first[0] = first[1] = INFINITY;
    for (int k = 0; k < FIRST; k++) {
        for (int i = 0; i < n; i++) {
            if (k > 0 && first[i] >= SAMPLE_SECONDS) continue;
            TRY(run(b, entries[i], 1, &one));
            first[i] = fmin(first[i], one.wall);
        }
        if (n == 2 && first[0] > 2 * HOPELESS * first[1]) break;
    }
    if (n == 1) first[1] = 0.0;
done:
    return st;
}

/* Medians of the candidate and of the baseline, if there is one; by the device's clock if that is
 * plausible. */
static status measure_both(bench_worker *b, candidate_time *time, double most)
{
    entry *const entries[2] = {&b->last, &b->baseline};
    taken one, all[2][ROUNDS];
    double warm = b->d->info.kind == DEVICE_CPU ? WARM_CPU_SECONDS : WARM_SECONDS, first[2];
    int n = b->baseline.t ? 2 : 1, calls[2] = {1, 1}, rounds;
    double start = clock_seconds();
    status st = OK;
    *time = (candidate_time){0};
    TRY(run_first(b, entries, n, first));
    time->seconds = first[0];
    time->baseline = first[1];
    if (first[0] > most || (n == 2 && first[0] > HOPELESS * first[1])) goto done;
    while (clock_seconds() - start < warm) TRY(run(b, entries[n - 1], 1, &one));
    for (int i = 0; i < n; i++) {
        double wanted = ceil(SAMPLE_SECONDS / fmax(first[i], 1e-6));
        calls[i] = wanted < MOST_CALLS ? (int)wanted : MOST_CALLS;
    }
    TRY(run_rounds(b, entries, calls, n, most, &rounds, all, &time->by_device));
    for (int i = 0; i < n; i++) {
        double sorted[ROUNDS];
        for (int r = 0; r < rounds; r++)
            sorted[r] = time->by_device ? all[i][r].device : all[i][r].wall;
        qsort(sorted, (size_t)rounds, sizeof *sorted, compare_doubles);
        *(i ? &time->baseline : &time->seconds) = sorted[(rounds - 1) / 2];
    }
done:
    return st;
}

/* ---- candidates ---- */

/* For tests: with DITCL_TUNE_FAULT=die or hang every third candidate ends the child or hangs. */
static void inject_fault(void)
{
    const char *fault = getenv("DITCL_TUNE_FAULT");
    static int candidates;
    if (!fault || ++candidates % 3 != 0) return;
    if (!strcmp(fault, "die")) abort();
    while (!strcmp(fault, "hang")) sleep(1);
}

static const op_impl *find_kind(const op_impl *const *kinds, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(kinds[i]->name, name)) return kinds[i];
    return NULL;
}

static status parse(bench_worker *b, char *words, const op_impl **t, int values[CONFIG_VALUES])
{
    const op_impl *all[MOST_IMPLS];
    char *save, *word = strtok_r(words, " ", &save);
    if (!b->w.d) return fail(ERR_USAGE, "no shape");
    *t = word ? find_kind(all, operator_impls(b->op, NULL, NULL, all), word) : NULL;
    if (!*t) return fail(ERR_USAGE, "no such implementation");
    memset(values, 0, CONFIG_VALUES * sizeof *values);
    for (int i = 0; i < (*t)->n; i++) {
        word = strtok_r(NULL, " ", &save);
        values[i] = word ? atoi(word) : 0;
    }
    if (!configuration_valid(b->d, *t, values, b->w.shape))
        return fail(ERR_USAGE, "no such values");
    return OK;
}

static bool is_available(const bench_worker *b, const op_impl *t)
{
    const op_impl *all[MOST_IMPLS];
    return find_kind(all, operator_impls(b->op, b->d, b->w.shape, all), t->name) != NULL;
}

/* Whether no implementation that this process has used excludes t. Drops a baseline that t
 * excludes. */
static bool can_run(bench_worker *b, const op_impl *t)
{
    if (!is_available(b, t)) return false;
    if (b->baseline.t && !is_available(b, b->baseline.t)) leave(b, &b->baseline);
    return true;
}

static status enter(bench_worker *b, entry *e, const op_impl *t, const int *values)
{
    status st = workload_enter(&b->w, &e->run, workload_copies(&b->w));
    if (st != OK) return st;
    e->t = t;
    memcpy(e->values, values, sizeof e->values);
    return OK;
}

/* Checks the candidate, and records the operations that one call really executes. */
static status check(bench_worker *b, const char **wrong)
{
    record r;
    record_start(&r, b->d);
    status st = workload_check(&b->w, &b->last.run, wrong), stopped = record_stop(&r, b->d);
    memset(b->executed, 0, sizeof b->executed);
    for (size_t i = 0; i < r.n; i++)
        b->executed[r.operators[i].done.on] += r.operators[i].done.executed;
    record_free(&r);
    return st == OK ? stopped : st;
}

bool candidate_time_parse(candidate_time *time, const char *line)
{
    char clock[16];
    *time = (candidate_time){0};
    if (sscanf(line, "time %lf %lf %15s %lf %lf", &time->seconds, &time->baseline, clock,
               &time->executed[ROOF_FP32], &time->executed[ROOF_16BIT]) != 5)
        return false;
    time->by_device = !strcmp(clock, "device");
    return time->seconds > 0.0;
}

static void reply_time(const candidate_time *time, FILE *out)
{
    fprintf(out, "time %.9g %.9g %s %.9g %.9g\n", time->seconds, time->baseline,
            time->by_device ? "device" : "wall", time->executed[ROOF_FP32],
            time->executed[ROOF_16BIT]);
}

/* cannot: memory ran out, which says nothing about the candidate. */
static void reply_failure(const bench_worker *b, status st, FILE *out)
{
    bool nothing = st == ERR_MEMORY || st == ERR_RESOURCES;
    fprintf(out, "%s %.300s\n",
            device_is_lost(b->d)              ? "lost"
            : nothing                         ? "cannot"
            : strstr(fail_line(), "is wrong") ? "wrong"
                                              : "failed",
            fail_line());
    fail_clear();
}

static void build(bench_worker *b, char *words, FILE *out)
{
    const op_impl *t = NULL;
    int values[CONFIG_VALUES];
    const char *wrong = NULL;
    char bits[HASH_TEXT];
    status st = OK;
    leave(b, &b->last);
    TRY(parse(b, words, &t, values));
    TRY(configuration_set(b->d, t, b->w.shape, values));
    if (!can_run(b, t)) {
        fprintf(out, "retry\n");
        return;
    }
    inject_fault();
    TRY(enter(b, &b->last, t, values));
    TRY(check(b, &wrong));
    if (wrong)
        fprintf(out, "wrong %s\n", wrong);
    else {
        hash_text(bits, hash_bytes(b->w.found, b->w.n_out * sizeof *b->w.found));
        fprintf(out, "right %s\n", bits);
    }
done:
    if (st != OK) reply_failure(b, st, out);
}

static void measure_last(bench_worker *b, double most, FILE *out)
{
    candidate_time time;
    status st = OK;
    if (!b->last.t) TRY(fail(ERR_USAGE, "no candidate"));
    TRY(measure_both(b, &time, most));
    memcpy(time.executed, b->executed, sizeof time.executed);
    reply_time(&time, out);
done:
    if (st != OK) reply_failure(b, st, out);
}

static void verify(bench_worker *b, FILE *out)
{
    status st = OK;
    if (!b->last.t) TRY(fail(ERR_USAGE, "no candidate"));
    TRY(workload_check_whole(&b->w, &b->last.run));
    fprintf(out, "right\n");
done:
    if (st != OK) reply_failure(b, st, out);
}

static void keep_last(bench_worker *b, FILE *out)
{
    leave(b, &b->baseline);
    b->baseline = b->last;
    b->last = (entry){0};
    fprintf(out, "kept\n");
}

static void set_baseline(bench_worker *b, char *words, FILE *out)
{
    const op_impl *t = NULL;
    int values[CONFIG_VALUES];
    const char *wrong = NULL;
    status st = OK;
    leave(b, &b->baseline);
    TRY(parse(b, words, &t, values));
    TRY(configuration_set(b->d, t, b->w.shape, values));
    if (!can_run(b, t)) {
        fprintf(out, "retry\n");
        return;
    }
    TRY(enter(b, &b->baseline, t, values));
    TRY(workload_check(&b->w, &b->baseline.run, &wrong));
    if (wrong) TRY(fail(ERR_DEVICE, "%s", wrong));
    fprintf(out, "kept\n");
done:
    if (st == OK) return;
    leave(b, &b->baseline);
    reply_failure(b, st, out);
}

static void reply(bench_worker *b, char *line, FILE *out)
{
    if (!strncmp(line, "shape ", 6)) {
        status st = open_shape(b, line + 6);
        if (st == OK)
            fprintf(out, "ready\n");
        else
            reply_failure(b, st, out);
    } else if (!strncmp(line, "build ", 6)) {
        build(b, line + 6, out);
    } else if (!strncmp(line, "time ", 5)) {
        measure_last(b, atof(line + 5), out);
    } else if (!strcmp(line, "verify")) {
        verify(b, out);
    } else if (!strcmp(line, "keep")) {
        keep_last(b, out);
    } else if (!strncmp(line, "baseline ", 9)) {
        set_baseline(b, line + 9, out);
    } else {
        fprintf(out, "failed unknown request\n");
    }
    fflush(out);
}

status bench_worker_serve(device *d, FILE *in, FILE *out)
{
    bench_worker b = {.d = d};
    char line[WORKER_LINE];
    d->tries = true;
    while (!device_is_lost(d) && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        reply(&b, line, out);
    }
    close_shape(&b);
    return OK;
}
