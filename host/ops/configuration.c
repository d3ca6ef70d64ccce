/* Which configuration an implementation uses. See configuration.h. */
#include "ops/configuration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "ops/choices.h"

/* ---- candidates ---- */

candidate candidate_of(const op_impl *impl, const int *config)
{
    candidate c = {.impl = impl};
    memcpy(c.config, config, sizeof c.config);
    return c;
}

bool candidate_equal(const candidate *a, const candidate *b)
{
    return a->impl == b->impl && !memcmp(a->config, b->config, sizeof a->config);
}

void candidate_text(char out[CANDIDATE_TEXT], const candidate *c)
{
    int used = snprintf(out, CANDIDATE_TEXT, "%s", c->impl->name);
    for (int i = 0; i < c->impl->n; i++)
        used += snprintf(out + used, CANDIDATE_TEXT - (size_t)used, " %d", c->config[i]);
}

bool candidate_parse(candidate *c, const char *op, const char *from)
{
    char name[32];
    int used = 0;
    const operator* o = operator_find(op);
    *c = (candidate){0};
    if (!o || sscanf(from, "%31s%n", name, &used) != 1) return false;
    c->impl = impl_find(o, name);
    for (int i = 0; c->impl && i < c->impl->n; i++) {
        from += used;
        if (sscanf(from, " %d%n", &c->config[i], &used) != 1) return false;
    }
    return c->impl && !from[used] && configuration_valid(NULL, c->impl, c->config, NULL);
}

/* ---- what a shape uses ---- */

static chosen *newest(const device *d)
{
    return d->slot ? choices_of(d)->newest : NULL;
}

bool shape_equal(const int *a, const int *b)
{
    return !memcmp(a, b, SHAPE_SIZES * sizeof *a);
}

static const int any_shape[SHAPE_SIZES] = {0};

/* The ratio, at least 1, of the first sizes of two shapes: rows of a GEMM, batch of an attention,
 * pixels of a convolution. 0 if another size differs. */
static double times_apart(const int *a, const int *b)
{
    if (memcmp(a + 1, b + 1, (SHAPE_SIZES - 1) * sizeof *a) != 0 || !a[0] || !b[0]) return 0.0;
    return a[0] > b[0] ? (double)a[0] / b[0] : (double)b[0] / a[0];
}

/* True if the configuration fits the shape and is not struck out. */
static bool can_use(const device *d, const op_impl *impl, const int *config, const int *shape)
{
    return impl_fits(impl, d, config, shape) && !first_use_struck(d, impl, config, shape);
}

/* The configuration that was stored for the shape, or else for the shape that is nearest in its
 * first size; the smaller of two that are equally near. Null if none fits. impl null: any
 * implementation of op. */
static const chosen *find_nearest(const device *d, const char *op, const op_impl *impl,
                                  const int *shape)
{
    const chosen *nearest = NULL;
    double least = 0.0;
    for (const chosen *c = newest(d); c; c = c->next) {
        const op_impl *its = c->is.impl;
        double apart = times_apart(c->shape, shape);
        if (apart == 0.0 || (impl ? its != impl : strcmp(its->op, op) != 0)) continue;
        if (nearest && (apart > least || (apart == least && c->shape[0] >= nearest->shape[0])))
            continue;
        if (!can_use(d, its, c->is.config, shape)) continue;
        nearest = c;
        least = apart;
        if (apart == 1.0) break; /* the newest counts */
    }
    return nearest;
}

/* How far a configuration comes behind its place in the list, because of facts of the device: 2 if
 * it needs too many registers, and 1 if it stages inputs where local memory is global memory. The
 * latter does not hold for CPUs: a cache holds their local memory, and the order of their
 * configurations was measured. */
static int rank_of(const device *d, const op_impl *impl, const int *config, const int *shape)
{
    bool slow_stages = d->info.local == LOCAL_GLOBAL && d->info.kind != DEVICE_CPU;
    bool few_registers = d->info.quirk.has[QUIRK_MAX_REGISTERS];
    return 2 * (few_registers && impl->registers &&
                impl->registers(config, shape) > d->info.quirk.value[QUIRK_MAX_REGISTERS]) +
           (slow_stages && impl->stages && impl->stages(config));
}

/* The guess of the rule; 0 without a rule. */
static double time_of(const device *d, const op_impl *impl, const int *config, const int *shape)
{
    if (!impl->waves) return 0.0;
    const waves w = impl->waves(d, config, shape);
    return waves_time(d, &w);
}

/* Whether a configuration comes before one that is behind it in the list. */
static bool is_before(const device *d, const op_impl *impl, const int *config, const int *other,
                      const int *shape)
{
    int rank = rank_of(d, impl, config, shape), rank_of_other = rank_of(d, impl, other, shape);
    if (rank != rank_of_other) return rank < rank_of_other;
    return time_of(d, impl, config, shape) <= time_of(d, impl, other, shape);
}

/* Keeps the `most` best so far in order. Of equal ones, the first in the list stays first. */
int configuration_defaults(const int **out, int most, const device *d, const op_impl *impl,
                           const int *shape)
{
    int n = 0;
    for (int i = 0; i < impl->n_configs; i++) {
        const int *new = impl->configs[i];
        if (!can_use(d, impl, new, shape)) continue;
        int at = n < most ? n++ : most;
        for (; at > 0 && !is_before(d, impl, out[at - 1], new, shape); at--)
            if (at < most) out[at] = out[at - 1];
        if (at < most) out[at] = new;
    }
    return n;
}

/* Whether a default configuration takes less time than this one, which leaves units idle. */
static bool is_beaten(const device *d, const op_impl *impl, const int *config, const int *first,
                      const int *shape)
{
    if (!first || !impl->waves) return false;
    const waves w = impl->waves(d, config, shape);
    return waves_leave_idle(d, &w) && time_of(d, impl, first, shape) < waves_time(d, &w);
}

const int *configuration_for(const device *d, const op_impl *impl, const int *shape)
{
    const chosen *nearest = find_nearest(d, impl->op, impl, shape);
    if (nearest) return nearest->is.config;
    const int *first = NULL;
    configuration_defaults(&first, 1, d, impl, shape);
    for (const chosen *c = newest(d); c; c = c->next)
        if (c->is.impl == impl && shape_equal(c->shape, any_shape) &&
            can_use(d, impl, c->is.config, shape))
            return is_beaten(d, impl, c->is.config, first, shape) ? first : c->is.config;
    return first;
}

static void list_values(char out[CONFIG_OPTIONS], const candidate *c, const char *before)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < c->impl->n && used < CONFIG_OPTIONS; i++)
        used += (size_t)snprintf(out + used, CONFIG_OPTIONS - used, " %s%s=%d", before,
                                 c->impl->tunables[i].name, c->config[i]);
}

void configuration_options(char out[CONFIG_OPTIONS], const op_impl *impl, const int *config)
{
    const candidate c = candidate_of(impl, config);
    list_values(out, &c, "-D");
}

void configuration_words(char out[CONFIG_OPTIONS], const op_impl *impl, const int *config)
{
    const candidate c = candidate_of(impl, config);
    list_values(out, &c, "");
}

const op_impl *configuration_serving(const device *d, const char *op, const int *shape)
{
    const chosen *nearest = find_nearest(d, op, NULL, shape);
    if (nearest) return nearest->is.impl;
    for (const chosen *c = newest(d); c; c = c->next)
        if (c->serves && !strcmp(c->is.impl->op, op)) return c->is.impl;
    return NULL;
}

/* ---- stored configurations ---- */

status configuration_add(device *d, const op_impl *impl, const int *shape, const int *config,
                         bool serves)
{
    choices *all = choices_make(d);
    chosen *new = NULL;
    status st = all ? memory_alloc(&new, 1, sizeof *new) : ERR_MEMORY;
    if (st != OK) return st;
    new->is = candidate_of(impl, config);
    new->serves = serves;
    memcpy(new->shape, shape ? shape : any_shape, sizeof new->shape);
    new->next = all->newest;
    all->newest = new;
    return OK;
}

status configuration_serve(device *d, const op_impl *impl, const int *config)
{
    return configuration_add(d, impl, NULL, config, true);
}

/* A configuration that was set before becomes the newest again. Layers hold pointers to it, so it
 * is never freed. */
status configuration_set(device *d, const op_impl *impl, const int *shape, const int *config)
{
    choices *all = choices_make(d);
    const candidate set = candidate_of(impl, config);
    for (chosen **c = all ? &all->newest : NULL; c && *c; c = &(*c)->next) {
        chosen *this = *c;
        if (!shape_equal(this->shape, shape ? shape : any_shape) ||
            !candidate_equal(&this->is, &set))
            continue;
        *c = this->next;
        this->next = all->newest;
        all->newest = this;
        return OK;
    }
    return configuration_add(d, impl, shape, config, false);
}

void configuration_forget(device *d)
{
    choices *all = choices_make(d);
    while (all && all->newest) {
        chosen *next = all->newest->next;
        free(all->newest);
        all->newest = next;
    }
}

bool configuration_used(const device *d, const op_impl *impl)
{
    for (const chosen *c = newest(d); c; c = c->next)
        if (c->is.impl == impl) return true;
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

/* The next combination of choices; at[i] is the index of the choice of tunable i. False after the
 * last combination. */
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
