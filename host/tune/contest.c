/* Candidates, one after another. See contest.h. */
#include "tune/contest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/worker.h"
#include "device/span.h"
#include "optest/workload.h"
#include "tune/measure.h"

enum { FIRST = 3, ROUNDS = 5, MOST_CALLS = 200 };
/* Of one time in a round; of running before that, for a clock that must rise first. */
static const double SAMPLE_SECONDS = 0.01, WARM_SECONDS = 0.3, WARM_CPU_SECONDS = 0.02;
/* A candidate this much slower than the one that is held is not measured again: at once; or where
 * its best time of a round is so far behind the other's. */
static const double HOPELESS = 1.5, BEHIND = 1.15;

typedef struct {
    device *d;
    const tuned_operator *op;
    workload w;
    struct entry {
        const tuning *t; /* null: none */
        int values[TUNING_VALUES];
        workload_entry run;
    } last, held;
    double executed[N_ROOFS]; /* by one call of the last */
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
    return workload_open(&c->w, c->d, op, shape, workload_usual(op));
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

/* Rounds in turns, of so many calls each, until `most` seconds have passed; fewer where all of the
 * candidate's are slower than all of the other's. *rounds = how many there were; *believed: the
 * device's own times can be true, all of them. */
static status run_rounds(contest *c, entry *const entries[2], const int calls[2], int n,
                         double most, int *rounds, taken all[2][ROUNDS], bool *believed)
{
    double best = INFINITY, worst = 0.0, start = clock_seconds();
    status st = OK;
    *believed = true;
    for (*rounds = 0; *rounds < ROUNDS;) {
        for (int i = 0; i < n; i++) {
            taken *t = &all[i][*rounds];
            TRY(run(c, entries[i], calls[i], t));
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

/* The least of some runs of each, in turns: a long one may be chance. */
static status run_first(contest *c, entry *const entries[2], int n, double first[2])
{
    taken one;
    status st = OK;
    first[0] = first[1] = INFINITY;
    for (int k = 0; k < FIRST; k++) {
        for (int i = 0; i < n; i++) {
            if (k > 0 && first[i] >= SAMPLE_SECONDS) continue;
            TRY(run(c, entries[i], 1, &one));
            first[i] = fmin(first[i], one.wall);
        }
        if (n == 2 && first[0] > 2 * HOPELESS * first[1]) break;
    }
    if (n == 1) first[1] = 0.0;
done:
    return st;
}

/* Medians, by the device's clock where it can be believed: of the candidate, and of the one that is
 * held, if any. */
static status measure_both(contest *c, contest_time *time, double most)
{
    entry *const entries[2] = {&c->last, &c->held};
    taken one, all[2][ROUNDS];
    double warm = c->d->info.kind == DEVICE_CPU ? WARM_CPU_SECONDS : WARM_SECONDS, first[2];
    int n = c->held.t ? 2 : 1, calls[2] = {1, 1}, rounds;
    double start = clock_seconds();
    status st = OK;
    *time = (contest_time){0};
    TRY(run_first(c, entries, n, first));
    time->seconds = first[0];
    time->held = first[1];
    if (first[0] > most || (n == 2 && first[0] > HOPELESS * first[1])) goto done;
    while (clock_seconds() - start < warm) TRY(run(c, entries[n - 1], 1, &one));
    for (int i = 0; i < n; i++) {
        double wanted = ceil(SAMPLE_SECONDS / fmax(first[i], 1e-6));
        calls[i] = wanted < MOST_CALLS ? (int)wanted : MOST_CALLS;
    }
    TRY(run_rounds(c, entries, calls, n, most, &rounds, all, &time->by_device));
    for (int i = 0; i < n; i++) {
        double sorted[ROUNDS];
        for (int r = 0; r < rounds; r++)
            sorted[r] = time->by_device ? all[i][r].device : all[i][r].wall;
        qsort(sorted, (size_t)rounds, sizeof *sorted, compare_doubles);
        *(i ? &time->held : &time->seconds) = sorted[(rounds - 1) / 2];
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

/* Whether it was not excluded by another that this process has used. */
static bool can_run(contest *c, const tuning *t)
{
    if (!is_kind_of_now(c, t)) return false;
    if (c->held.t && !is_kind_of_now(c, c->held.t)) leave(c, &c->held);
    return true;
}

static status enter(contest *c, entry *e, const tuning *t, const int *values)
{
    status st = workload_enter(&c->w, &e->run, workload_copies(&c->w));
    if (st != OK) return st;
    e->t = t;
    memcpy(e->values, values, sizeof e->values);
    return OK;
}

/* What one call really does: taken down while its result is checked. */
static status check(contest *c, const char **wrong)
{
    record r;
    record_start(&r, c->d);
    status st = workload_check(&c->w, &c->last.run, wrong), taken_down = record_stop(&r, c->d);
    memset(c->executed, 0, sizeof c->executed);
    for (size_t i = 0; i < r.n; i++)
        c->executed[r.operators[i].done.on] += r.operators[i].done.executed;
    record_free(&r);
    return st == OK ? taken_down : st;
}

bool contest_parse(contest_time *time, const char *line)
{
    char clock[16];
    *time = (contest_time){0};
    if (sscanf(line, "time %lf %lf %15s %lf %lf", &time->seconds, &time->held, clock,
               &time->executed[ROOF_FP32], &time->executed[ROOF_16BIT]) != 5)
        return false;
    time->by_device = !strcmp(clock, "device");
    return time->seconds > 0.0;
}

static void answer(const contest_time *time, FILE *out)
{
    fprintf(out, "time %.9g %.9g %s %.9g %.9g\n", time->seconds, time->held,
            time->by_device ? "device" : "wall", time->executed[ROOF_FP32],
            time->executed[ROOF_16BIT]);
}

/* lost: this child can do nothing more. cannot: there was no memory, which says nothing of what was
 * tried. */
static void answer_failure(const contest *c, status st, FILE *out)
{
    bool nothing = st == ERR_MEMORY || st == ERR_RESOURCES;
    fprintf(out, "%s %.300s\n",
            device_is_lost(c->d)              ? "lost"
            : nothing                         ? "cannot"
            : strstr(fail_line(), "is wrong") ? "wrong"
                                              : "failed",
            fail_line());
    fail_clear();
}

static void build(contest *c, char *words, FILE *out)
{
    const tuning *t = NULL;
    int values[TUNING_VALUES];
    const char *wrong = NULL;
    char bits[HASH_TEXT];
    status st = OK;
    leave(c, &c->last);
    TRY(parse(c, words, &t, values));
    TRY(tuning_set(c->d, t, c->w.shape, values));
    if (!can_run(c, t)) {
        fprintf(out, "again\n");
        return;
    }
    misbehave();
    TRY(enter(c, &c->last, t, values));
    TRY(check(c, &wrong));
    if (wrong)
        fprintf(out, "wrong %s\n", wrong);
    else {
        hash_text(bits, hash_bytes(c->w.found, c->w.n_out * sizeof *c->w.found));
        fprintf(out, "right %s\n", bits);
    }
done:
    if (st != OK) answer_failure(c, st, out);
}

static void measure_last(contest *c, double most, FILE *out)
{
    contest_time time;
    status st = OK;
    if (!c->last.t) TRY(fail(ERR_USAGE, "no candidate"));
    TRY(measure_both(c, &time, most));
    memcpy(time.executed, c->executed, sizeof time.executed);
    answer(&time, out);
done:
    if (st != OK) answer_failure(c, st, out);
}

static void prove(contest *c, FILE *out)
{
    status st = OK;
    if (!c->last.t) TRY(fail(ERR_USAGE, "no candidate"));
    TRY(workload_check_whole(&c->w, &c->last.run));
    fprintf(out, "right\n");
done:
    if (st != OK) answer_failure(c, st, out);
}

static void hold_last(contest *c, FILE *out)
{
    leave(c, &c->held);
    c->held = c->last;
    c->last = (entry){0};
    fprintf(out, "held\n");
}

static void hold_other(contest *c, char *words, FILE *out)
{
    const tuning *t = NULL;
    int values[TUNING_VALUES];
    const char *wrong = NULL;
    status st = OK;
    leave(c, &c->held);
    TRY(parse(c, words, &t, values));
    TRY(tuning_set(c->d, t, c->w.shape, values));
    if (!can_run(c, t)) {
        fprintf(out, "again\n");
        return;
    }
    TRY(enter(c, &c->held, t, values));
    TRY(workload_check(&c->w, &c->held.run, &wrong));
    if (wrong) TRY(fail(ERR_DEVICE, "%s", wrong));
    fprintf(out, "held\n");
done:
    if (st == OK) return;
    leave(c, &c->held);
    answer_failure(c, st, out);
}

static void obey(contest *c, char *line, FILE *out)
{
    if (!strncmp(line, "shape ", 6)) {
        status st = open_shape(c, line + 6);
        if (st == OK)
            fprintf(out, "ready\n");
        else
            answer_failure(c, st, out);
    } else if (!strncmp(line, "build ", 6)) {
        build(c, line + 6, out);
    } else if (!strncmp(line, "time ", 5)) {
        measure_last(c, atof(line + 5), out);
    } else if (!strcmp(line, "prove")) {
        prove(c, out);
    } else if (!strcmp(line, "hold")) {
        hold_last(c, out);
    } else if (!strncmp(line, "hold ", 5)) {
        hold_other(c, line + 5, out);
    } else {
        fprintf(out, "failed no such line\n");
    }
    fflush(out);
}

status contest_serve(device *d, FILE *in, FILE *out)
{
    contest c = {.d = d};
    char line[WORKER_LINE];
    d->tries = true;
    while (!device_is_lost(d) && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        obey(&c, line, out);
    }
    close_shape(&c);
    return OK;
}
