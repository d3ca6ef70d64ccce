/* Candidates, one after another. See contest.h. */
#include "trials/contest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/span.h"
#include "trials/measure.h"
#include "trials/worker.h"
#include "trials/workload.h"

enum { FIRST = 3, ROUNDS = 5, MOST_CALLS = 200 };
/* Of one time in a round; of running before that, for a clock that must rise first. */
static const double SAMPLE_SECONDS = 0.01, WARM_SECONDS = 0.3, WARM_CPU_SECONDS = 0.03;
/* A candidate this much slower than the one that is held is not measured again: at once; and where
 * its best time is so far behind the other's worst. */
static const double HOPELESS = 1.5, BEHIND = 1.1;

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

/* Of one call among several. */
typedef struct {
    double wall, device; /* device: its own clock's, 0 where it has none */
} taken;

static status run(contest *c, entry *e, int calls, taken *t)
{
    span queued = {0};
    status st = OK;
    /* some are looked up when they are queued */
    TRY(tuning_set(c->d, e->t, c->w.shape, e->values));
    double start = clock_seconds();
    span_begin(&queued, c->d);
    for (int i = 0; i < calls; i++) TRY(workload_queue(&c->w, &e->run));
    span_end(&queued, c->d);
    TRY(device_finish(c->d));
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

/* Rounds in turns, of so many calls each; fewer where the candidate stays far behind. *rounds = how
 * many there were; *believed: the device's own times can be true, all of them. */
static status run_rounds(contest *c, entry *const entries[2], const int calls[2], int n,
                         int *rounds, taken all[2][ROUNDS], bool *believed)
{
    double best = INFINITY, worst = 0.0; /* of the candidate, of the other */
    status st = OK;
    *believed = true;
    for (int round = 0; round < *rounds; round++) {
        for (int i = 0; i < n; i++) {
            taken *t = &all[i][round];
            TRY(run(c, entries[i], calls[i], t));
            *believed &= measure_believes(t->device, t->wall);
        }
        best = fmin(best, all[0][round].wall);
        if (n == 2) worst = fmax(worst, all[1][round].wall);
        if (n == 2 && round > 0 && best > BEHIND * worst) *rounds = round + 1;
    }
done:
    return st;
}

/* Medians, by the device's clock where it can be believed: of the candidate, and of the one that is
 * held, if any. */
static status measure_both(contest *c, contest_time *time)
{
    entry *const entries[2] = {&c->last, &c->held};
    taken one, first[2] = {{0}}, all[2][ROUNDS];
    double warm = c->d->info.kind == DEVICE_CPU ? WARM_CPU_SECONDS : WARM_SECONDS, medians[2] = {0};
    int n = c->held.t ? 2 : 1, calls[2] = {1, 1}, rounds = ROUNDS;
    status st = OK;
    for (double start = clock_seconds(); clock_seconds() - start < warm;)
        TRY(run(c, entries[n - 1], 1, &one));
    for (int i = 0; i < n; i++) {
        first[i].wall = INFINITY; /* the least of some: a long one may be chance */
        for (int k = 0; k < FIRST && (k == 0 || first[i].wall < SAMPLE_SECONDS); k++) {
            TRY(run(c, entries[i], 1, &one));
            first[i].wall = fmin(first[i].wall, one.wall);
        }
        double wanted = ceil(SAMPLE_SECONDS / fmax(first[i].wall, 1e-6));
        calls[i] = wanted < MOST_CALLS ? (int)wanted : MOST_CALLS;
    }
    *time = (contest_time){.seconds = first[0].wall, .held = first[1].wall};
    if (n == 2 && first[0].wall > HOPELESS * first[1].wall) goto done;
    if (first[0].wall > 0.5) rounds = 3;
    TRY(run_rounds(c, entries, calls, n, &rounds, all, &time->by_device));
    for (int i = 0; i < n; i++) {
        double sorted[ROUNDS];
        for (int r = 0; r < rounds; r++)
            sorted[r] = time->by_device ? all[i][r].device : all[i][r].wall;
        qsort(sorted, (size_t)rounds, sizeof *sorted, compare_doubles);
        medians[i] = sorted[rounds / 2];
    }
    time->seconds = medians[0];
    time->held = medians[1];
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

/* What one call really does: taken down while its result is checked. */
static status check(contest *c, contest_time *time, const char **wrong)
{
    record r;
    record_start(&r, c->d);
    status st = workload_check(&c->w, &c->last.run, wrong), taken_down = record_stop(&r, c->d);
    for (size_t i = 0; i < r.n; i++)
        time->executed[r.operators[i].done.on] += r.operators[i].done.executed;
    record_free(&r);
    return st == OK ? taken_down : st;
}

bool contest_parse(contest_time *time, const char *line)
{
    char clock[16];
    *time = (contest_time){0};
    if (sscanf(line, "time %lf %lf %15s %lf %lf", &time->seconds, &time->held, clock,
               &time->executed[UNIT_FP32], &time->executed[UNIT_BF16]) != 5)
        return false;
    time->by_device = !strcmp(clock, "device");
    return time->seconds > 0.0;
}

static void answer(const contest_time *time, FILE *out)
{
    fprintf(out, "time %.9g %.9g %s %.9g %.9g\n", time->seconds, time->held,
            time->by_device ? "device" : "wall", time->executed[UNIT_FP32],
            time->executed[UNIT_BF16]);
}

static void try_one(contest *c, char *words, FILE *out)
{
    const tuning *t = NULL;
    int values[TUNING_VALUES];
    const char *wrong = NULL;
    contest_time time = {0}, done_once = {0};
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
    TRY(check(c, &done_once, &wrong));
    if (wrong) {
        fprintf(out, "wrong %s\n", wrong);
        return;
    }
    TRY(measure_both(c, &time));
    if (time.held <= 0.0 || time.seconds < time.held)
        TRY(workload_check_whole(&c->w, &c->last.run));
    memcpy(time.executed, done_once.executed, sizeof time.executed);
    answer(&time, out);
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
