/* Candidates, one after another. See contest.h. */
#include "trials/contest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "trials/worker.h"
#include "trials/workload.h"

enum { ROUNDS = 5, MOST_CALLS = 200 };
/* Of one time in a round; of running before that, for a clock that must rise first. */
static const double SAMPLE_SECONDS = 0.01, WARM_SECONDS = 0.3, WARM_CPU_SECONDS = 0.03;
/* A candidate this much slower than the one that is held is not measured again. */
static const double HOPELESS = 1.5;

typedef struct {
    device *d;
    const tuned_operator *op;
    workload w;
    struct entry {
        const tuning *t; /* null: none */
        int values[TUNING_VALUES];
        workload_entry run;
    } last, held;
} contest;

typedef struct entry entry;

static void leave(contest *c, entry *e)
{
    if (e->t) workload_leave(&c->w, &e->run);
    *e = (entry){0};
}

static void close_shape(contest *c)
{
    leave(c, &c->last);
    leave(c, &c->held);
    workload_close(&c->w);
}

static status open_shape(contest *c, char *words)
{
    int shape[TUNING_SIZES];
    char *save, *op = strtok_r(words, " ", &save), *sizes = strtok_r(NULL, " ", &save);
    close_shape(c);
    for (c->op = tuned_operators; op && c->op->op && strcmp(c->op->op, op) != 0;) c->op++;
    if (!op || !c->op->op || !sizes || !tuning_shape_parse(shape, sizes))
        return fail(ERR_USAGE, "no such shape");
    return workload_open(&c->w, c->d, op, shape);
}

/* ---- time ---- */

static status run(contest *c, entry *e, int calls, double *seconds)
{
    status st = OK;
    /* some are looked up when they are queued */
    TRY(tuning_set(c->d, e->t, c->w.shape, e->values));
    double start = clock_seconds();
    for (int i = 0; i < calls; i++) TRY(workload_queue(&c->w, &e->run));
    TRY(device_finish(c->d));
    *seconds = (clock_seconds() - start) / calls;
done:
    return st;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Medians of rounds in turns: times[0] of the candidate, times[1] of the one that is held, or 0. */
static status measure_both(contest *c, double times[2])
{
    entry *entries[2] = {&c->last, &c->held};
    double all[2][ROUNDS], one, warm = c->d->info.kind == DEVICE_CPU ? WARM_CPU_SECONDS
                                                                     : WARM_SECONDS;
    int n = c->held.t ? 2 : 1, calls[2] = {1, 1}, rounds = ROUNDS;
    status st = OK;
    for (double start = clock_seconds(); clock_seconds() - start < warm;)
        TRY(run(c, entries[n - 1], 1, &one));
    times[1] = 0.0;
    for (int i = 0; i < n; i++) {
        TRY(run(c, entries[i], 1, &times[i]));
        double wanted = ceil(SAMPLE_SECONDS / fmax(times[i], 1e-6));
        calls[i] = wanted < MOST_CALLS ? (int)wanted : MOST_CALLS;
    }
    if (n == 2 && times[0] > HOPELESS * times[1]) goto done;
    if (times[0] > 0.5) rounds = 3;
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < n; i++) TRY(run(c, entries[i], calls[i], &all[i][round]));
    for (int i = 0; i < n; i++) {
        qsort(all[i], (size_t)rounds, sizeof **all, compare_doubles);
        times[i] = all[i][rounds / 2];
    }
done:
    return st;
}

/* ---- candidates ---- */

/* For tests: a candidate that kills the child, or hangs. DITCL_TUNE_FAULT=die or hang. */
static void misbehave(void)
{
    const char *fault = getenv("DITCL_TUNE_FAULT");
    static int tried;
    if (!fault || ++tried % 3 != 0) return;
    if (!strcmp(fault, "die")) abort();
    while (!strcmp(fault, "hang")) sleep(1);
}

static const tuning *find_kind(const tuning *const *kinds, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(kinds[i]->kind, name)) return kinds[i];
    return NULL;
}

static status parse(contest *c, char *words, const tuning **t, int values[TUNING_VALUES])
{
    const tuning *all[TUNING_KINDS];
    char *save, *word = strtok_r(words, " ", &save);
    if (!c->w.d) return fail(ERR_USAGE, "no shape");
    *t = word ? find_kind(all, c->op->kinds(NULL, NULL, all), word) : NULL;
    if (!*t) return fail(ERR_USAGE, "no such implementation");
    memset(values, 0, TUNING_VALUES * sizeof *values);
    for (int i = 0; i < (*t)->n; i++) {
        word = strtok_r(NULL, " ", &save);
        values[i] = word ? atoi(word) : 0;
    }
    if (!tuning_valid(c->d, *t, values, c->w.shape)) return fail(ERR_USAGE, "no such values");
    return OK;
}

static bool is_kind_of_now(const contest *c, const tuning *t)
{
    const tuning *all[TUNING_KINDS];
    return find_kind(all, c->op->kinds(c->d, c->w.shape, all), t->kind) != NULL;
}

static void try_one(contest *c, char *words, FILE *out)
{
    const tuning *t = NULL;
    int values[TUNING_VALUES];
    const char *wrong = NULL;
    double times[2] = {0};
    status st = OK;
    leave(c, &c->last);
    TRY(parse(c, words, &t, values));
    TRY(tuning_set(c->d, t, c->w.shape, values));
    if (!is_kind_of_now(c, t)) {
        fprintf(out, "again\n");
        return;
    }
    if (c->held.t && !is_kind_of_now(c, c->held.t)) leave(c, &c->held);
    misbehave();
    TRY(workload_enter(&c->w, &c->last.run));
    c->last.t = t;
    memcpy(c->last.values, values, sizeof values);
    TRY(workload_check(&c->w, &c->last.run, &wrong));
    if (wrong) {
        fprintf(out, "wrong %s\n", wrong);
        return;
    }
    TRY(measure_both(c, times));
    if (times[1] <= 0.0 || times[0] < times[1]) TRY(workload_check_whole(&c->w, &c->last.run));
    fprintf(out, "time %.9g %.9g\n", times[0], times[1]);
done:
    if (st != OK)
        fprintf(out, "%s %.300s\n", strstr(fail_line(), "is wrong") ? "wrong" : "failed",
                fail_line());
    fail_clear();
}

static void hold(contest *c, FILE *out)
{
    leave(c, &c->held);
    c->held = c->last;
    c->last = (entry){0};
    fprintf(out, "held\n");
}

status contest_serve(device *d, FILE *in, FILE *out)
{
    contest c = {.d = d};
    char line[WORKER_LINE];
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "shape ", 6)) {
            status st = open_shape(&c, line + 6);
            if (st == OK) fprintf(out, "ready\n");
            else fprintf(out, "failed %.300s\n", fail_line());
        } else if (!strncmp(line, "try ", 4)) {
            try_one(&c, line + 4, out);
        } else if (!strcmp(line, "hold")) {
            hold(&c, out);
        } else {
            fprintf(out, "failed no such line\n");
        }
        fflush(out);
    }
    close_shape(&c);
    return OK;
}
