/* Which configuration an implementation uses. See configuration.h. */
#include "ops/configuration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "ops/first_use.h"
#include "ops/impl.h"

/* A configuration stored on a device. */
typedef struct {
    device_tuned link; /* first */
    const op_impl *impl;
    int shape[SHAPE_SIZES]; /* zeros: any */
    int config[CONFIG_VALUES];
    bool serves; /* any shape: impl is not only configured, it serves */
} stored;

static const stored *of(const device_tuned *link)
{
    return (const stored *)(const void *)link;
}

static bool same_shape(const int *a, const int *b)
{
    return !memcmp(a, b, SHAPE_SIZES * sizeof *a);
}

static const int any_shape[SHAPE_SIZES] = {0};

/* How many times one shape is the other, where they differ in their first size alone: a product's
 * rows, an attention's batch, a convolution's pixels. 0 where they differ in others. */
static double times_apart(const int *a, const int *b)
{
    if (memcmp(a + 1, b + 1, (SHAPE_SIZES - 1) * sizeof *a) != 0 || !a[0] || !b[0]) return 0.0;
    return a[0] > b[0] ? (double)a[0] / b[0] : (double)b[0] / a[0];
}

/* Whether they fit, and are not struck out. */
static bool can_use(const device *d, const op_impl *impl, const int *config, const int *shape)
{
    return impl_fits(impl, d, config, shape) && !first_use_struck(d, impl, config, shape);
}

/* What was stored for the shape, else for the one that is nearest in its first size (of two that
 * are as near, the smaller); null where there is none, or none that fits. impl null: any
 * implementation of op. */
static const stored *find_nearest(const device *d, const char *op, const op_impl *impl,
                                  const int *shape)
{
    const stored *nearest = NULL;
    double least = 0.0;
    for (const device_tuned *l = d->tuned; l; l = l->next) {
        const stored *this = of(l);
        double apart = times_apart(this->shape, shape);
        if (apart == 0.0 || (impl ? this->impl != impl : strcmp(this->impl->op, op) != 0)) continue;
        if (nearest && (apart > least || (apart == least && this->shape[0] >= nearest->shape[0])))
            continue;
        if (!can_use(d, this->impl, this->config, shape)) continue;
        nearest = this;
        least = apart;
        if (apart == 1.0) break; /* what was laid last counts */
    }
    return nearest;
}

/* Not for CPUs, whose local memory is global memory too: their cache holds what is staged, and what
 * is best there was measured. */
int configuration_defaults(const int **out, int most, const device *d, const op_impl *impl,
                           const int *shape)
{
    bool sort = impl->stages && d->info.local == LOCAL_GLOBAL && d->info.kind != DEVICE_CPU;
    int n = 0;
    for (int staging = 0; staging <= sort; staging++)
        for (int i = 0; i < impl->n_configs && n < most; i++)
            if ((!sort || impl->stages(impl->configs[i]) == staging) &&
                can_use(d, impl, impl->configs[i], shape))
                out[n++] = impl->configs[i];
    return n;
}

const int *configuration_for(const device *d, const op_impl *impl, const int *shape)
{
    const stored *nearest = find_nearest(d, impl->op, impl, shape);
    if (nearest) return nearest->config;
    for (const device_tuned *l = d->tuned; l; l = l->next)
        if (of(l)->impl == impl && same_shape(of(l)->shape, any_shape) &&
            can_use(d, impl, of(l)->config, shape))
            return of(l)->config;
    const int *first = NULL;
    configuration_defaults(&first, 1, d, impl, shape);
    return first;
}

void configuration_options(char out[CONFIG_OPTIONS], const op_impl *impl, const int *config)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < impl->n && used < CONFIG_OPTIONS; i++)
        used += (size_t)snprintf(out + used, CONFIG_OPTIONS - used, " -D%s=%d",
                                 impl->tunables[i].name, config[i]);
}

/* ---- which implementation serves ---- */

const op_impl *configuration_serving(const device *d, const char *op, const int *shape)
{
    const stored *nearest = find_nearest(d, op, NULL, shape);
    if (nearest) return nearest->impl;
    for (const device_tuned *l = d->tuned; l; l = l->next)
        if (of(l)->serves && !strcmp(of(l)->impl->op, op)) return of(l)->impl;
    return NULL;
}

/* ---- stored configurations ---- */

/* Takes what was laid before out of the device's list, to be laid anew; null: it was not. */
static stored *take_out(device *d, const op_impl *impl, const int *shape, const int *config)
{
    for (device_tuned **l = &d->tuned; *l; l = &(*l)->next) {
        stored *this = (stored *)(void *)*l;
        if (this->impl != impl || !same_shape(this->shape, shape) ||
            memcmp(this->config, config, sizeof this->config) != 0)
            continue;
        *l = (*l)->next;
        return this;
    }
    return NULL;
}

static void lay(device *d, stored *new)
{
    new->link.next = d->tuned;
    d->tuned = &new->link;
}

status configuration_add(device *d, const op_impl *impl, const int *shape, const int *config)
{
    stored *new;
    status st = memory_alloc(&new, 1, sizeof *new);
    if (st != OK) return st;
    new->impl = impl;
    memcpy(new->shape, shape ? shape : any_shape, sizeof new->shape);
    memcpy(new->config, config, sizeof new->config);
    lay(d, new);
    return OK;
}

status configuration_serve(device *d, const op_impl *impl, const int *config)
{
    status st = configuration_add(d, impl, NULL, config);
    if (st == OK) ((stored *)(void *)d->tuned)->serves = true;
    return st;
}

status configuration_set(device *d, const op_impl *impl, const int *shape, const int *config)
{
    stored *there = take_out(d, impl, shape ? shape : any_shape, config);
    if (!there) return configuration_add(d, impl, shape, config);
    lay(d, there);
    return OK;
}

void configuration_forget(device *d)
{
    while (d->tuned) {
        device_tuned *next = d->tuned->next;
        free(d->tuned);
        d->tuned = next;
    }
}

bool configuration_used(const device *d, const op_impl *impl)
{
    for (const device_tuned *l = d->tuned; l; l = l->next)
        if (of(l)->impl == impl) return true;
    return false;
}

bool configuration_valid(const device *d, const op_impl *impl, const int *config, const int *shape)
{
    for (int i = 0; i < impl->n; i++) {
        bool found = false;
        for (int j = 0; j < impl->tunables[i].n; j++)
            found |= impl->tunables[i].choices[j] == config[i];
        if (!found) return false;
    }
    return !shape || impl_fits(impl, d, config, shape);
}

/* The next set of choices, at: an index of each; false behind the last. */
static bool next_choices(const op_impl *impl, int at[CONFIG_VALUES])
{
    for (int i = 0; i < impl->n; i++) {
        if (++at[i] < impl->tunables[i].n) return true;
        at[i] = 0;
    }
    return false;
}

long configuration_count(const device *d, const op_impl *impl, const int *shape)
{
    int at[CONFIG_VALUES] = {0}, config[CONFIG_VALUES] = {0};
    long n = 0;
    do {
        for (int i = 0; i < impl->n; i++) config[i] = impl->tunables[i].choices[at[i]];
        n += impl_fits(impl, d, config, shape);
    } while (next_choices(impl, at));
    return n;
}

void shape_text(char out[SHAPE_TEXT], const int *shape)
{
    int n = SHAPE_SIZES, used = 0;
    while (n > 1 && shape[n - 1] == 0) n--;
    for (int i = 0; i < n; i++)
        used += snprintf(out + used, SHAPE_TEXT - (size_t)used, "%s%d", i ? "x" : "", shape[i]);
}

bool shape_parse(int shape[SHAPE_SIZES], const char *from)
{
    char copy[SHAPE_TEXT], *next = copy;
    int n = 0;
    memset(shape, 0, SHAPE_SIZES * sizeof *shape);
    if (strlen(from) >= sizeof copy) return false;
    text_copy(copy, sizeof copy, from);
    while (next) {
        int64_t value;
        const char *part = strsep(&next, "x");
        if (n == SHAPE_SIZES || !text_to_int(part, &value) || value < 1 || value > 1 << 30)
            return false;
        shape[n++] = (int)value;
    }
    return n > 1;
}
