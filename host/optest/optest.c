/* The verb check for all operator tests. See optest.h. */
#include "optest/optest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "base/memory.h"
#include "base/text.h"
#include "optest/factors.h"

enum {
    PAD = 67,            /* canaries after every buffer */
    CANARY = 0x7fc5a5a5, /* a quiet NaN that no arithmetic makes */
};

/* The largest cases for an emulator, which runs about 100,000 operations per second. */
static const double SMALL_WORK = 3.5e5;

#define DECLARE(name) extern const optest optest_##name;
OPERATORS(DECLARE)

#define LISTED(name) &optest_##name,
const optest *const optests[] = {OPERATORS(LISTED) NULL};

/* ---- inputs ---- */

static uint64_t next_random(optest_run *r)
{
    /* splitmix64 (Steele, Lea & Flood 2014) */
    uint64_t z = r->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double optest_uniform(optest_run *r)
{
    return (double)(next_random(r) >> 11) * 0x1p-53;
}

static double normal(optest_run *r)
{
    double radius = sqrt(-2.0 * log(1.0 - optest_uniform(r)));
    return radius * cos(6.283185307179586 * optest_uniform(r));
}

static size_t pad(const optest_run *r)
{
    return r->small ? 0 : PAD;
}

status optest_create(optest_run *r, optest_role role, const char *what, size_t count)
{
    status st = OK;
    if (r->n_arrays == OPTEST_ARRAYS)
        return fail(ERR_LIMIT, "an operator test of more than %d arrays", OPTEST_ARRAYS);
    optest_array *a = &r->arrays[r->n_arrays++];
    *a = (optest_array){.role = role, .what = what, .count = count};
    TRY(memory_alloc(&a->values, count + PAD, sizeof *a->values));
    a->ints = (int *)(void *)a->values;
    for (size_t i = 0; i < count + PAD; i++) a->values[i] = float_from_bits(CANARY);
    if (role == OPTEST_FLAG) memset(a->ints, 0, count * sizeof *a->ints);
    TRY(buffer_create(r->d, &a->b, count + pad(r), what));
done:
    return st;
}

status optest_normal(optest_run *r, const char *what, size_t count, double mean, double deviation)
{
    status st = optest_create(r, OPTEST_INPUT, what, count);
    if (st != OK) return st;
    float *values = r->arrays[r->n_arrays - 1].values;
    for (size_t i = 0; i < count; i++) values[i] = (float)(mean + deviation * normal(r));
    return OK;
}

status optest_ints(optest_run *r, const char *what, size_t count, int limit)
{
    status st = optest_create(r, OPTEST_INPUT, what, count);
    if (st != OK) return st;
    int *ints = r->arrays[r->n_arrays - 1].ints;
    for (size_t i = 0; i < count; i++) ints[i] = (int)(optest_uniform(r) * limit);
    return OK;
}

/* Rows before the first one in use, and row numbers before that of the first sample, are not used.
 */
enum { FIRST_ROW = 2, ROWS_AT = 3, N_ROWS = 7 };

status optest_table(optest_run *r, const char *what, int stride, size_t items)
{
    status st = OK;
    TRY(optest_normal(r, what, (FIRST_ROW + N_ROWS) * (size_t)stride, 0.0, 1.0));
    TRY(optest_ints(r, "rows", ROWS_AT + items, N_ROWS));
    int *rows = r->arrays[r->n_arrays - 1].ints + ROWS_AT;
    for (size_t i = 0; i < items; i++) rows[i] = (int)((N_ROWS - 1 + i * 3) % N_ROWS);
done:
    return st;
}

modulation optest_modulation(const optest_run *r, int table, int stride)
{
    const optest_array *a = &r->arrays[table];
    return (modulation){a[0].b, a[1].b, stride, FIRST_ROW, ROWS_AT};
}

const float *optest_row(const optest_run *r, int table, int stride, int item)
{
    const optest_array *a = &r->arrays[table];
    return a[0].values + (FIRST_ROW + a[1].ints[ROWS_AT + item]) * stride;
}

status optest_factors(optest_run *r, int which, size_t width)
{
    optest_array *a = &r->arrays[which];
    size_t words = op_factor_words(r->d, a->count);
    status st = OK;
    TRY(memory_alloc(&a->stored, words + PAD, sizeof(uint32_t)));
    memset(a->stored, 0xff, (words + PAD) * sizeof(uint32_t)); /* NaN in fp16 and bf16 */
    if (a->role == OPTEST_INPUT)
        factors_encode(r->d, a->stored, a->values, a->count / width, width);
    a->width = width;
    buffer_release(r->d, &a->b);
    TRY(buffer_create(r->d, &a->b, words + pad(r), a->what));
done:
    return st;
}

/* What an array has on the device before a launch, and its size in 4-byte elements. */
static const void *content(const optest_array *a)
{
    return a->stored ? (const void *)a->stored : a->values;
}

static size_t words_of(const optest_run *r, const optest_array *a)
{
    return a->stored ? op_factor_words(r->d, a->count) : a->count;
}

/* ---- one launch and its result ---- */

/* The result of a case. broken: null, or an error other than a wrong number. */
typedef struct {
    comparison worst;
    const char *what, *broken;
} verdict;

static void release(optest_run *r, const optest *t)
{
    if (t->release) t->release(r);
    r->state = NULL;
    for (int i = 0; i < r->n_arrays; i++) {
        buffer_release(r->d, &r->arrays[i].b);
        free(r->arrays[i].values);
        free(r->arrays[i].stored);
    }
    r->n_arrays = 0;
}

static status upload(optest_run *r)
{
    status st = OK;
    for (int i = 0; i < r->n_arrays; i++) {
        const optest_array *a = &r->arrays[i];
        TRY(buffer_upload(r->d, a->b, 0, content(a), words_of(r, a) + pad(r)));
    }
done:
    return st;
}

static bool same_bits(const void *a, const void *b, size_t count)
{
    return memcmp(a, b, count * sizeof(float)) == 0;
}

static status compare_result(optest_run *r, const optest *t, int i, tolerance tol, int which,
                             const float *found, verdict *v)
{
    status st = OK;
    const optest_array *a = &r->arrays[which];
    double *expected = NULL, *scale = NULL, *got = NULL;
    float *decoded = NULL;
    if (a->stored) {
        TRY(memory_alloc(&decoded, a->count, sizeof *decoded));
        factors_decode(r->d, decoded, (const uint16_t *)(const void *)found, a->count / a->width,
                       a->width);
        found = decoded;
    }
    TRY(memory_alloc(&expected, a->count, sizeof *expected));
    TRY(memory_alloc(&scale, a->count, sizeof *scale));
    TRY(memory_alloc(&got, a->count, sizeof *got));
    const int *ints = (const int *)(const void *)found;
    for (size_t j = 0; j < a->count; j++)
        got[j] = a->role == OPTEST_FLAG ? (double)ints[j] : (double)found[j];
    t->expect(r, i, which, expected, scale);
    if (a->role == OPTEST_FLAG) tol.c = 0.0;
    if (a->stored) factors_forgive(r->d, got, expected, a->count);
    comparison c = compare(got, expected, scale, a->count, tol);
    if (!v->what || (v->worst.ok && (!c.ok || c.err > v->worst.err))) {
        double granted = fmax(v->worst.tol, c.tol);
        v->worst = c;
        if (c.ok) v->worst.tol = granted; /* a right flag has no tolerance of its own */
        v->what = a->what;
    }
done:
    free(decoded);
    free(expected);
    free(scale);
    free(got);
    return st;
}

/* Launches twice, but once on an emulator, which detects races itself. */
static status launch_twice(optest_run *r, const optest *t, int i, tolerance tol, verdict *v)
{
    status st = OK;
    float *found[OPTEST_ARRAYS] = {0}, *again = NULL;
    for (int round = 0; round < (r->small ? 1 : 2); round++) {
        TRY(upload(r));
        TRY(t->queue(r, i));
        TRY(device_finish(r->d));
        for (int j = 0; j < r->n_arrays; j++) {
            const optest_array *a = &r->arrays[j];
            size_t words = words_of(r, a), count = words + pad(r);
            const float *before = content(a);
            TRY(memory_alloc(&again, count, sizeof *again));
            TRY(buffer_download(r->d, a->b, 0, again, count));
            if (!same_bits(again + words, before + words, pad(r)))
                v->broken = "wrote beyond a buffer's end", v->what = a->what;
            else if (a->role == OPTEST_INPUT && !same_bits(again, before, words))
                v->broken = "changed its input", v->what = a->what;
            else if (round && a->role != OPTEST_SCRATCH && !same_bits(again, found[j], words))
                v->broken = "gave other bits the second time", v->what = a->what;
            free(found[j]);
            found[j] = again;
            again = NULL;
        }
        if (v->broken) goto done;
    }
    for (int j = 0; j < r->n_arrays; j++)
        if (r->arrays[j].role == OPTEST_RESULT || r->arrays[j].role == OPTEST_FLAG)
            TRY(compare_result(r, t, i, tol, j, found[j], v));
done:
    free(again);
    for (int j = 0; j < r->n_arrays; j++) free(found[j]);
    return st;
}

static void describe_verdict(char *line, size_t size, const optest *t, const optest_case *c,
                             const verdict *v, unsigned seed)
{
    compare_line(line, size, t->name, c->label, &v->worst);
    size_t used = strlen(line);
    if (v->broken)
        snprintf(line, size, "%-10s f32 %-44s %s (%s), seed %u", t->name, c->label, v->broken,
                 v->what, seed);
    else if (!v->worst.ok)
        snprintf(line + used, size - used, ": %s[%zu] is %.9g, expected %.9g, seed %u", v->what,
                 v->worst.bad, v->worst.got, v->worst.expected, seed);
}

/* Counts the case and tells its outcome. */
static void tell(const optest_listener *to, optest_tally *tally, const optest *t,
                 const optest_case *c, const verdict *v, unsigned seed)
{
    char line[sizeof tally->first_failure];
    bool ok = v->worst.ok && !v->broken;
    describe_verdict(line, sizeof line, t, c, v, seed);
    if (!ok && !tally->failed) text_copy(tally->first_failure, sizeof line, line);
    tally->cases++;
    tally->failed += !ok;
    if (v->worst.tol > 0.0 && !(v->worst.err / v->worst.tol <= tally->worst)) {
        tally->worst = v->worst.err / v->worst.tol;
        text_copy(tally->worst_case, sizeof tally->worst_case, c->label);
    }
    const optest_outcome o = {t->name, c->label, line, ok, v->worst.err, v->worst.tol};
    if (to && to->tell) to->tell(to->context, &o);
}

/* ---- the verb ---- */

static status check_cases(device *d, const optest *t, unsigned seed, bool small,
                          const optest_listener *to, optest_tally *tally)
{
    status st = OK;
    *tally = (optest_tally){0};
    optest_run r = {.d = d, .small = small};
    for (int i = 0; i < t->n_cases; i++) {
        optest_case c = {0};
        verdict v = {0};
        t->describe(&c, i);
        if (small && c.flops + c.bytes > SMALL_WORK) continue;
        r.random = ((uint64_t)seed << 16) + (uint64_t)i;
        r.input_error = 0.0;
        TRY(t->prepare(&r, i));
        if (r.input_error > 0.0) c.tol = compare_narrow(c.tol, r.input_error);
        TRY(launch_twice(&r, t, i, c.tol, &v));
        tell(to, tally, t, &c, &v, seed);
        release(&r, t);
    }
done:
    release(&r, t);
    return st == OK ? OK : fail_in(st, "%s", t->name);
}

static void print_failure(void *context, const optest_outcome *o)
{
    if (!o->ok) optest_print(context, o);
}

void optest_print(void *out, const optest_outcome *o)
{
    fprintf(out, "%s\n", o->line);
    fflush(out); /* a case may take long, and stdout may be a pipe */
}

status optest_check(device *d, const optest *t, unsigned seed, bool small, bool verbose, FILE *out,
                    optest_tally *tally)
{
    const optest_listener to = {verbose ? optest_print : print_failure, out};
    return check_cases(d, t, seed, small, out ? &to : NULL, tally);
}

status optest_find(const optest **t, const char *name)
{
    char names[256] = "";
    for (int i = 0; optests[i]; i++) {
        if (!strcmp(optests[i]->name, name)) {
            *t = optests[i];
            return OK;
        }
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", optests[i]->name);
    }
    return fail(ERR_USAGE, "check: no operator is called %s; there are %s", name, names);
}

status optest_check_all(device *d, const char *const *names, int n, unsigned seed, bool small,
                        const optest_listener *to, optest_tally *all)
{
    status st = OK;
    const optest *t;
    optest_tally tally;
    *all = (optest_tally){0};
    for (int i = 0; i < n; i++) TRY(optest_find(&t, names[i]));
    for (int i = 0; n ? i < n : optests[i] != NULL; i++) {
        if (n)
            TRY(optest_find(&t, names[i]));
        else
            t = optests[i];
        TRY(check_cases(d, t, seed, small, to, &tally));
        all->cases += tally.cases;
        all->failed += tally.failed;
    }
done:
    return st;
}
