/* Which values of its tunables an operator uses. See tuning.h. */
#include "ops/tuning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "ops/first_use.h"
#include "ops/ops.h"

/* Values that were laid on a device. */
typedef struct {
    device_tuned link; /* first */
    const tuning *t;
    int shape[TUNING_SIZES]; /* zeros: any */
    int values[TUNING_VALUES];
    bool serves; /* for any shape: t is not only what these values are for, it serves */
} tuned;

const tuned_operator tuned_operators[] = {{"gemm", 3, gemm_kinds},
                                          {"attention", 4, attention_kinds},
                                          {"conv", 4, conv_kinds},
                                          {NULL, 0, NULL}};

const int tuning_nothing[1][TUNING_VALUES] = {{0}};

bool tuning_fits_always(const device *d, const int *values, const int *shape)
{
    (void)d, (void)values, (void)shape;
    return true;
}

static const tuned *of(const device_tuned *link)
{
    return (const tuned *)(const void *)link;
}

static bool same_shape(const int *a, const int *b)
{
    return !memcmp(a, b, TUNING_SIZES * sizeof *a);
}

static const int any_shape[TUNING_SIZES] = {0};

/* How many times one shape is the other, where they differ in their first size alone: a product's
 * rows, an attention's batch, a convolution's pixels. 0 where they differ in others. */
static double times_apart(const int *a, const int *b)
{
    if (memcmp(a + 1, b + 1, (TUNING_SIZES - 1) * sizeof *a) != 0 || !a[0] || !b[0]) return 0.0;
    return a[0] > b[0] ? (double)a[0] / b[0] : (double)b[0] / a[0];
}

/* Whether they fit, and are not struck out. */
static bool can_use(const device *d, const tuning *t, const int *values, const int *shape)
{
    return t->fits(d, values, shape) && !first_use_struck(d, t, values, shape);
}

/* What was stored for the shape, else for the one that is nearest in its first size (of two that
 * are as near, the smaller); null where there is none, or none that fits. t null: any
 * implementation of op. */
static const tuned *find_nearest(const device *d, const char *op, const tuning *t, const int *shape)
{
    const tuned *nearest = NULL;
    double least = 0.0;
    for (const device_tuned *l = d->tuned; l; l = l->next) {
        const tuned *this = of(l);
        double apart = times_apart(this->shape, shape);
        if (apart == 0.0 || (t ? this->t != t : strcmp(this->t->op, op) != 0)) continue;
        if (nearest && (apart > least || (apart == least && this->shape[0] >= nearest->shape[0])))
            continue;
        if (!can_use(d, this->t, this->values, shape)) continue;
        nearest = this;
        least = apart;
        if (apart == 1.0) break; /* what was laid last counts */
    }
    return nearest;
}

/* Not for CPUs, whose local memory is global memory too: their cache holds what is staged, and what
 * is best there was measured. */
int tuning_known(const int **out, int most, const device *d, const tuning *t, const int *shape)
{
    bool sort = t->stages && d->info.local == LOCAL_GLOBAL && d->info.kind != DEVICE_CPU;
    int n = 0;
    for (int staging = 0; staging <= sort; staging++)
        for (int i = 0; i < t->n_known && n < most; i++)
            if ((!sort || t->stages(t->known[i]) == staging) && can_use(d, t, t->known[i], shape))
                out[n++] = t->known[i];
    return n;
}

const int *tuning_values_for(const device *d, const tuning *t, const int *shape)
{
    const tuned *nearest = find_nearest(d, t->op, t, shape);
    if (nearest) return nearest->values;
    for (const device_tuned *l = d->tuned; l; l = l->next)
        if (of(l)->t == t && same_shape(of(l)->shape, any_shape) &&
            can_use(d, t, of(l)->values, shape))
            return of(l)->values;
    const int *first = NULL;
    tuning_known(&first, 1, d, t, shape);
    return first;
}

void tuning_options(char out[TUNING_OPTIONS], const tuning *t, const int *values)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < t->n && used < TUNING_OPTIONS; i++)
        used += (size_t)snprintf(out + used, TUNING_OPTIONS - used, " -D%s=%d", t->tunables[i].name,
                                 values[i]);
}

/* ---- which implementation serves ---- */

const tuning *tuning_serving(const device *d, const char *op, const int *shape)
{
    const tuned *nearest = find_nearest(d, op, NULL, shape);
    if (nearest) return nearest->t;
    for (const device_tuned *l = d->tuned; l; l = l->next)
        if (of(l)->serves && !strcmp(of(l)->t->op, op)) return of(l)->t;
    return NULL;
}

/* ---- stored values ---- */

/* Takes what was laid before out of the device's list, to be laid anew; null: it was not. */
static tuned *take_out(device *d, const tuning *t, const int *shape, const int *values)
{
    for (device_tuned **l = &d->tuned; *l; l = &(*l)->next) {
        tuned *this = (tuned *)(void *)*l;
        if (this->t != t || !same_shape(this->shape, shape) ||
            memcmp(this->values, values, sizeof this->values) != 0)
            continue;
        *l = (*l)->next;
        return this;
    }
    return NULL;
}

static void lay(device *d, tuned *new)
{
    new->link.next = d->tuned;
    d->tuned = &new->link;
}

status tuning_add(device *d, const tuning *t, const int *shape, const int *values)
{
    tuned *new;
    status st = memory_alloc(&new, 1, sizeof *new);
    if (st != OK) return st;
    new->t = t;
    memcpy(new->shape, shape ? shape : any_shape, sizeof new->shape);
    memcpy(new->values, values, sizeof new->values);
    lay(d, new);
    return OK;
}

status tuning_serve(device *d, const tuning *t, const int *values)
{
    status st = tuning_add(d, t, NULL, values);
    if (st == OK) ((tuned *)(void *)d->tuned)->serves = true;
    return st;
}

status tuning_set(device *d, const tuning *t, const int *shape, const int *values)
{
    tuned *there = take_out(d, t, shape ? shape : any_shape, values);
    if (!there) return tuning_add(d, t, shape, values);
    lay(d, there);
    return OK;
}

void tuning_forget(device *d)
{
    while (d->tuned) {
        device_tuned *next = d->tuned->next;
        free(d->tuned);
        d->tuned = next;
    }
}

bool tuning_used(const device *d, const tuning *t)
{
    for (const device_tuned *l = d->tuned; l; l = l->next)
        if (of(l)->t == t) return true;
    return false;
}

bool tuning_valid(const device *d, const tuning *t, const int *values, const int *shape)
{
    for (int i = 0; i < t->n; i++) {
        bool found = false;
        for (int j = 0; j < t->tunables[i].n; j++) found |= t->tunables[i].choices[j] == values[i];
        if (!found) return false;
    }
    return !shape || t->fits(d, values, shape);
}

/* The next set of choices, at: an index of each; false behind the last. */
static bool next_choices(const tuning *t, int at[TUNING_VALUES])
{
    for (int i = 0; i < t->n; i++) {
        if (++at[i] < t->tunables[i].n) return true;
        at[i] = 0;
    }
    return false;
}

long tuning_count(const device *d, const tuning *t, const int *shape)
{
    int at[TUNING_VALUES] = {0}, values[TUNING_VALUES] = {0};
    long n = 0;
    do {
        for (int i = 0; i < t->n; i++) values[i] = t->tunables[i].choices[at[i]];
        n += t->fits(d, values, shape);
    } while (next_choices(t, at));
    return n;
}

void tuning_shape_text(char out[TUNING_SHAPE], const int *shape)
{
    int n = TUNING_SIZES, used = 0;
    while (n > 1 && shape[n - 1] == 0) n--;
    for (int i = 0; i < n; i++)
        used += snprintf(out + used, TUNING_SHAPE - (size_t)used, "%s%d", i ? "x" : "", shape[i]);
}

bool tuning_shape_parse(int shape[TUNING_SIZES], const char *from)
{
    char copy[TUNING_SHAPE], *next = copy;
    int n = 0;
    memset(shape, 0, TUNING_SIZES * sizeof *shape);
    if (strlen(from) >= sizeof copy) return false;
    text_copy(copy, sizeof copy, from);
    while (next) {
        int64_t value;
        const char *part = strsep(&next, "x");
        if (n == TUNING_SIZES || !text_to_int(part, &value) || value < 1 || value > 1 << 30)
            return false;
        shape[n++] = (int)value;
    }
    return n > 1;
}
