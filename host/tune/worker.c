/* A child process that builds, checks and times candidates on a device, and its parent's side. The
 * parent writes one request a line; a request says all that it needs, so that a new child can go on
 * where another one died:
 *
 *     build gemm 512x4608x1152 gpu 64 128 16 ... / cpu 16 3 8 ...
 *         ready                       the shape's inputs and expected results are there
 *         right BITS | retry          the candidate's result is right; BITS is its hash
 *         held | none                 whether the baseline, behind the slash, is built
 *     time SECONDS VERIFY cpu 16 3 8 ...
 *         time ...                    times of the candidate and of the baseline, in turns
 *
 * retry: only a new child can do this, since a library has settings that last for a process. Any
 * reply may be "wrong WHY", "failed WHY", "cannot WHY" if memory ran out, or "lost WHY" if the
 * driver gave up the device, after which the child ends; nothing follows one of these. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "optest/workload.h"
#include "tune/measure.h"
#include "tune/search.h"

/* ---- the parent ---- */

static void request(tune_worker *w)
{
    char sizes[SHAPE_TEXT], words[CANDIDATE_TEXT], baseline[CANDIDATE_TEXT] = "";
    shape_text(sizes, w->shape);
    candidate_text(words, &w->tries);
    if (w->baseline.impl) candidate_text(baseline, &w->baseline);
    w->asked_at = clock_seconds();
    worker_say(&w->child, "build %s %s %s / %s", w->op, sizes, words, baseline);
}

status worker_build(tune_worker *w, const char *op, const int *shape, const candidate *c,
                    const candidate *baseline)
{
    status st = w->child.pid ? OK : worker_start(&w->child, w->args);
    if (st != OK) return st;
    w->op = op;
    memcpy(w->shape, shape, sizeof w->shape);
    w->tries = *c;
    w->baseline = *baseline;
    w->alone = false;
    request(w); /* if the child has ended, worker_built finds out */
    return OK;
}

void worker_end(tune_worker *w)
{
    worker_stop(&w->child);
}

/* The next line, at most `limit` seconds after the request or the reply before it. */
static outcome hear(tune_worker *w, char line[WORKER_LINE], double limit)
{
    double left = w->asked_at + limit - clock_seconds();
    worker_answer how = worker_hear(&w->child, line, left > 0.05 ? left : 0.05);
    w->asked_at = clock_seconds();
    if (how != WORKER_SAID || !strncmp(line, "lost", 4)) {
        worker_end(w);
        return OUTCOME_DIED;
    }
    w->lacking |= !strncmp(line, "cannot", 6);
    if (!strncmp(line, "wrong", 5)) return OUTCOME_WRONG;
    return strncmp(line, "failed", 6) && strncmp(line, "cannot", 6) ? OUTCOME_RIGHT
                                                                    : OUTCOME_FAILED;
}

/* Requests the same of a new child. */
static void request_again(tune_worker *w)
{
    worker_end(w);
    if (worker_start(&w->child, w->args) == OK) request(w);
}

outcome worker_built(tune_worker *w, double limit)
{
    char line[WORKER_LINE];
    for (bool again = false;; again = true) {
        w->lacking = true;
        outcome o = hear(w, line, 3 * limit);
        if (o != OUTCOME_RIGHT) return o;
        w->lacking = false;
        o = hear(w, line, limit);
        if (o != OUTCOME_RIGHT) return o;
        if (!strcmp(line, "retry") && again) return OUTCOME_FAILED;
        if (strcmp(line, "retry") != 0) {
            text_copy(w->bits, sizeof w->bits, line + strcspn(line, " ") + 1);
            if (!w->baseline.impl || hear(w, line, 3 * limit) == OUTCOME_RIGHT) return o;
            w->baseline.impl = NULL;
            w->alone = true;
        }
        request_again(w);
    }
}

outcome worker_time(tune_worker *w, candidate_time *time, const candidate *baseline, double most,
                    bool verify, double limit)
{
    char line[WORKER_LINE], words[CANDIDATE_TEXT] = "";
    if (baseline->impl && !w->alone) candidate_text(words, baseline);
    w->asked_at = clock_seconds();
    worker_say(&w->child, "time %.3f %d %s", most, verify, words);
    outcome o = hear(w, line, limit);
    return o == OUTCOME_RIGHT && !candidate_time_parse(time, line) ? OUTCOME_FAILED : o;
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

/* ---- the child ---- */

typedef struct {
    candidate is; /* impl null: none */
    workload *of;
    workload_entry run;
} built;

typedef struct {
    device *d;
    const operator* op;
    workload w;
    built last, baseline;     /* the latest candidate, and what it is timed against */
    bool better;              /* `last` was better, so it may become the next baseline */
    double executed[N_ROOFS]; /* operations of one call of `last` */
} child;

static void leave(child *c, built *e)
{
    if (e->is.impl) workload_leave(&c->w, &e->run);
    *e = (built){0};
}

static void close_shape(child *c)
{
    leave(c, &c->last);
    leave(c, &c->baseline);
    workload_close(&c->w);
    c->better = false;
}

/* ---- time ---- */

enum { FIRST = 3, ROUNDS = 5, MOST_CALLS = 200 };
/* Length of one measurement in a round. Before the rounds, the device runs for WARM_SECONDS, so
 * that its clock frequency has risen. */
static const double SAMPLE_SECONDS = 0.01, WARM_SECONDS = 0.3, WARM_CPU_SECONDS = 0.02;
/* Measuring ends early if the first time of a candidate is HOPELESS times the baseline, or if its
 * time in the first round is BEHIND times the baseline. */
static const double HOPELESS = 1.5, BEHIND = 1.15;

static status queue(void *context)
{
    built *e = context;
    return workload_queue(e->of, &e->run);
}

static status run(child *c, built *e, int calls, measured_time *t)
{
    return measure_once(c->d, t, &(measured){.queue = queue, .context = e}, calls);
}

/* Times the candidate and the baseline in turns, calls[i] calls a round, until `most` seconds have
 * passed or every time of the candidate is above every time of the baseline. *rounds = the number
 * of rounds. *believed = whether all times by the device's clock are plausible. */
static status run_rounds(child *c, built *const entries[2], const int calls[2], int n, double most,
                         int *rounds, measured_time all[2][ROUNDS], bool *believed)
{
    double best = INFINITY, worst = 0.0, start = clock_seconds();
    status st = OK;
    *believed = true;
    for (*rounds = 0; *rounds < ROUNDS;) {
        for (int i = 0; i < n; i++) {
            measured_time *t = &all[i][*rounds];
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

/* *first = the shortest of some single runs: one with each copy of the weights, so that no copy is
 * used for the first time while it is timed; more runs only if they are short. */
static status run_single(child *c, built *e, double most, double *first)
{
    measured_time one;
    double start = clock_seconds();
    status st = OK;
    *first = INFINITY;
    for (int i = 0; i < e->run.n || (i < FIRST && *first < SAMPLE_SECONDS); i++) {
        TRY(run(c, e, 1, &one));
        *first = fmin(*first, one.wall);
        if (clock_seconds() - start > most) break;
    }
done:
    return st;
}

/* Medians of the candidate and of the baseline, if there is one; by the device's clock if that is
 * plausible. */
static status measure_both(child *c, candidate_time *time, double most)
{
    built *const entries[2] = {&c->last, &c->baseline};
    measured_time one, all[2][ROUNDS];
    double warm = c->d->info.kind == DEVICE_CPU ? WARM_CPU_SECONDS : WARM_SECONDS, first[2] = {0};
    int n = c->baseline.is.impl ? 2 : 1, calls[2] = {1, 1}, rounds;
    double start = clock_seconds();
    status st = OK;
    *time = (candidate_time){0};
    for (int i = n - 1; i >= 0; i--) TRY(run_single(c, entries[i], most, &first[i]));
    time->seconds = first[0];
    time->baseline = first[1];
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
        *(i ? &time->baseline : &time->seconds) = measure_median(sorted, rounds);
    }
done:
    return st;
}

/* ---- build ---- */

/* For tests: with DITCL_TUNE_FAULT=die or hang every third candidate ends the child or hangs. */
static void inject_fault(void)
{
    const char *fault = getenv("DITCL_TUNE_FAULT");
    static int candidates;
    if (!fault || ++candidates % 3 != 0) return;
    if (!strcmp(fault, "die")) abort();
    while (!strcmp(fault, "hang")) sleep(1);
}

/* Whether the two implementations exclude each other in one process. */
static bool exclude(const op_impl *a, const op_impl *b)
{
    return (a->excludes && !strncmp(b->name, a->excludes, strlen(a->excludes))) ||
           (b->excludes && !strncmp(a->name, b->excludes, strlen(b->excludes)));
}

/* Whether the implementation serves the shape, and none that this process has used excludes it. */
static bool available(const child *c, const op_impl *impl)
{
    const op_impl *all[MOST_IMPLS];
    for (int n = operator_impls(c->op, c->d, c->w.shape, all); n > 0; n--)
        if (all[n - 1] == impl) return true;
    return false;
}

static status open_shape(child *c, const char *op, const char *sizes)
{
    int shape[SHAPE_SIZES];
    const operator* o = operator_find(op);
    if (!o || !shape_parse(shape, sizes)) return fail(ERR_USAGE, "no such shape");
    if (c->w.d && c->op == o && shape_equal(c->w.shape, shape)) return OK;
    close_shape(c);
    c->op = o;
    return workload_open(&c->w, c->d, op, shape, workload_usual(op));
}

/* Makes the candidate the one that serves the shape. */
static status choose(child *c, candidate *e, const char *words)
{
    if (!candidate_parse(e, c->op->op, words) || !impl_fits(e->impl, c->d, e->config, c->w.shape))
        return fail(ERR_USAGE, "no such candidate");
    return configuration_set(c->d, e->impl, c->w.shape, e->config);
}

static status make(child *c, built *e, const candidate *is, const char **wrong)
{
    status st = workload_enter(&c->w, &e->run, workload_copies(&c->w));
    if (st != OK) return st;
    e->is = *is;
    e->of = &c->w;
    return workload_check(&c->w, &e->run, wrong);
}

/* Makes the candidate, and records the operations that one call really executes. */
static status make_last(child *c, const candidate *is, const char **wrong)
{
    record r;
    record_start(&r, c->d);
    status st = make(c, &c->last, is, wrong), stopped = record_stop(&r, c->d);
    memset(c->executed, 0, sizeof c->executed);
    for (size_t i = 0; i < r.n; i++)
        c->executed[r.operators[i].done.on] += r.operators[i].done.executed;
    record_free(&r);
    return st == OK ? stopped : st;
}

/* Takes the candidate that these words describe as the baseline. Without a baseline, a candidate is
 * timed alone. */
static bool hold(child *c, const char *words)
{
    candidate is;
    const char *wrong = NULL;
    if (!candidate_parse(&is, c->op->op, words)) return false;
    if (c->baseline.is.impl && candidate_equal(&c->baseline.is, &is)) return true;
    leave(c, &c->baseline);
    if (exclude(is.impl, c->last.is.impl)) return false;
    if (choose(c, &is, words) == OK && available(c, is.impl) &&
        make(c, &c->baseline, &is, &wrong) == OK && !wrong)
        return true;
    leave(c, &c->baseline);
    fail_clear();
    return false;
}

static status build(child *c, char *words, FILE *out)
{
    char op[32], sizes[SHAPE_TEXT], bits[HASH_TEXT], *baseline = strstr(words, " / ");
    int used = 0;
    const char *wrong = NULL;
    candidate is;
    status st = OK;
    if (!baseline || sscanf(words, "%31s %47s %n", op, sizes, &used) != 2)
        return fail(ERR_USAGE, "no such request");
    *baseline = 0;
    baseline += 3;
    TRY(open_shape(c, op, sizes));
    fprintf(out, "ready\n");
    fflush(out);
    if (c->better) {
        leave(c, &c->baseline);
        c->baseline = c->last;
        c->last = (built){0};
    }
    c->better = false;
    leave(c, &c->last);
    TRY(choose(c, &is, words + used));
    if (c->baseline.is.impl && exclude(c->baseline.is.impl, is.impl)) leave(c, &c->baseline);
    if (!available(c, is.impl)) {
        fprintf(out, "retry\n");
        goto done;
    }
    inject_fault();
    TRY(make_last(c, &is, &wrong));
    if (wrong) TRY(fail(ERR_DEVICE, "its result is wrong: %s", wrong));
    hash_text(bits, hash_bytes(c->w.found, c->w.n_out * sizeof *c->w.found));
    fprintf(out, "right %s\n", bits);
    fflush(out);
    if (*baseline) fprintf(out, hold(c, baseline) ? "held\n" : "none\n");
done:
    return st;
}

static bool is_better(const candidate_time *t)
{
    return t->baseline <= 0.0 || t->seconds < TUNE_BETTER * t->baseline;
}

static status time_last(child *c, const char *words, FILE *out)
{
    candidate_time t;
    double most;
    int verify, used = 0;
    status st = OK;
    if (!c->last.is.impl || sscanf(words, "%lf %d %n", &most, &verify, &used) != 2)
        return fail(ERR_USAGE, "no candidate");
    if (!hold(c, words + used)) leave(c, &c->baseline);
    TRY(measure_both(c, &t, most));
    if (verify && is_better(&t) && workload_has_whole(c->op->op)) {
        TRY(workload_check_whole(&c->w, &c->last.run));
        if (t.baseline > 0.0) TRY(measure_both(c, &t, most));
    }
    c->better = is_better(&t);
    fprintf(out, "time %.9g %.9g %s %.9g %.9g\n", t.seconds, t.baseline,
            t.by_device ? "device" : "wall", c->executed[ROOF_FP32], c->executed[ROOF_16BIT]);
done:
    return st;
}

/* cannot: memory ran out, which says nothing about the candidate. */
static void reply_failure(const child *c, status st, FILE *out)
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

status tune_serve(device *d, FILE *in, FILE *out)
{
    child c = {.d = d};
    char line[WORKER_LINE];
    d->tries = true;
    while (!device_is_lost(d) && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        status st = !strncmp(line, "build ", 6)  ? build(&c, line + 6, out)
                    : !strncmp(line, "time ", 5) ? time_last(&c, line + 5, out)
                                                 : fail(ERR_USAGE, "no such request");
        if (st != OK) reply_failure(&c, st, out);
        fflush(out);
    }
    close_shape(&c);
    return OK;
}
