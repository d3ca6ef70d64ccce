/* Lines of the store as configurations. See configs.h. */
#include "tune/configs.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* In place of a shape: all shapes that have no line of their own. */
static const char any_size[] = "any";

static const operator* find_operator(const char *op)
{
    for (const operator* o = operators; o->op; o++)
        if (!strcmp(o->op, op)) return o;
    return NULL;
}

/* The implementation of this name among those for the shape; d null: among all. */
static const op_impl *find_kind(const operator* o, const device *d, const int *shape,
                                const char *kind)
{
    const op_impl *all[MOST_IMPLS];
    int n = operator_impls(o, d, shape, all);
    for (int i = 0; i < n; i++)
        if (!strcmp(all[i]->name, kind)) return all[i];
    return NULL;
}

void configs_key(char out[2 * STORE_WORD], const device *d, const int *shape)
{
    char sizes[SHAPE_TEXT];
    shape_text(sizes, shape);
    snprintf(out, 2 * STORE_WORD, "%.8s %.8s %.40s", kernel_family_names[d->family],
             precision_names[d->settings.precision], sizes);
}

/* Returns null, or why the values of the line cannot be used. */
static const char *check_values(int values[CONFIG_VALUES], const op_impl *t, const store_line *line,
                                const char *kernels)
{
    if (*line->kernels && strcmp(line->kernels, kernels) != 0) return "measured with other kernels";
    memset(values, 0, CONFIG_VALUES * sizeof *values);
    for (int i = 0; i < t->n; i++) {
        int found = -1;
        for (int j = 0; j < line->n_values; j++)
            if (!strcmp(line->values[j].name, t->tunables[i].name)) found = j;
        if (found < 0) return "no such candidate: a value is missing";
        values[i] = line->values[found].value;
    }
    if (line->n_values != t->n) return "no such candidate: a value too many";
    if (!configuration_valid(NULL, t, values, NULL))
        return "no such candidate: not among the choices";
    return NULL;
}

/* *kernels = the hash of the file's source, or null if there is no such file. ERR_MEMORY only. */
static status hash_of(const char **kernels, kernel_hashes *known, const char *file)
{
    int i = 0;
    while (i < known->n && strcmp(known->files[i].name, file) != 0) i++;
    kernel_hash *h = &known->files[i];
    if (i == known->n) {
        assert(i < CONFIGS_FILES);
        status st = store_kernels(h->kernels, file);
        if (st == ERR_MEMORY) return st;
        h->name = file;
        h->there = st == OK;
        known->n++;
    }
    *kernels = h->there ? h->kernels : NULL;
    return OK;
}

status configs_values(int values[CONFIG_VALUES], const char **wrong, const op_impl *t,
                      const store_line *line, kernel_hashes *known)
{
    const char *kernels;
    status st = hash_of(&kernels, known, t->file);
    if (st != OK) return st;
    *wrong = kernels ? check_values(values, t, line, kernels) : "its kernels are not there";
    return OK;
}

/* ---- one line: *wrong = why it cannot be used, or null ---- */

/* Every line is checked against the device as it was before the first line, so that their order
 * does not matter. */
typedef struct {
    device *d;
    const device *before;
    kernel_hashes known;
} pass;

static status use_for_any(pass *p, const char **wrong, const operator* o, const store_line *line)
{
    int values[CONFIG_VALUES];
    const op_impl *t = find_kind(o, NULL, NULL, line->shape);
    *wrong = "no such implementation";
    if (!t || *line->use) return OK;
    status st = configs_values(values, wrong, t, line, &p->known);
    return st == OK && !*wrong ? configuration_add(p->d, t, NULL, values) : st;
}

static bool is_one_of(const char *word, const char *const *names)
{
    for (; *names; names++)
        if (!strcmp(*names, word)) return true;
    return false;
}

static status use_for_shape(pass *p, const char **wrong, const operator* o, const store_line *line)
{
    char family[STORE_WORD], inputs[STORE_WORD], sizes[STORE_WORD + 8], rest;
    int shape[SHAPE_SIZES], values[CONFIG_VALUES], n = 0;
    *wrong = "no such shape";
    if (sscanf(line->shape, "%31s %31s %39s %c", family, inputs, sizes, &rest) != 3 ||
        !is_one_of(family, kernel_family_names) || !is_one_of(inputs, precision_names))
        return OK;
    bool any = !strcmp(sizes, any_size);
    if (!any && !shape_parse(shape, sizes)) return OK;
    while (!any && n < SHAPE_SIZES && shape[n]) n++;
    if (!any && n != o->n_sizes) return OK;
    const op_impl *t = find_kind(o, NULL, NULL, line->use);
    *wrong = "no such implementation";
    if (!t) return OK;
    status st = configs_values(values, wrong, t, line, &p->known);
    if (st != OK || *wrong) return st;
    if (strcmp(family, kernel_family_names[p->d->family]) != 0 ||
        strcmp(inputs, precision_names[p->d->settings.precision]) != 0)
        return OK; /* of another family or precision */
    if (any) return configuration_serve(p->d, t, values);
    if (find_kind(o, p->before, shape, line->use) != t)
        *wrong = "not for this device";
    else if (!impl_fits(t, p->before, values, shape))
        *wrong = "more than this device has";
    return *wrong ? OK : configuration_add(p->d, t, shape, values);
}

static status use_line(pass *p, const char **wrong, const store_line *line)
{
    const operator* o = find_operator(line->op);
    *wrong = "no such operator";
    if (!o) return OK;
    return strchr(line->shape, ' ') ? use_for_shape(p, wrong, o, line)
                                    : use_for_any(p, wrong, o, line);
}

static status use_lines(device *d, store *s, bool shipped)
{
    const device before = *d;
    pass p = {.d = d, .before = &before};
    int n_ignored = 0;
    char message[300];
    for (size_t i = 0; i < s->n;) {
        store_line *line = &s->lines[i];
        const char *wrong;
        if (line->shipped != shipped) {
            i++;
            continue;
        }
        status st = use_line(&p, &wrong, line);
        if (st != OK) return st;
        if (!wrong) {
            i++;
            continue;
        }
        if (d->settings.warn && !line->shipped && n_ignored++ < STORE_WARNINGS) {
            snprintf(message, sizeof message, "%s: ignored: %s", line->from, wrong);
            d->settings.warn(message);
        }
        store_drop(s, line);
    }
    if (n_ignored > STORE_WARNINGS) {
        snprintf(message, sizeof message, "and %d lines more", n_ignored - STORE_WARNINGS);
        d->settings.warn(message);
    }
    return OK;
}

status configs_apply(device *d, store *s)
{
    status st = use_lines(d, s, true); /* the line that is applied last counts */
    return st == OK ? use_lines(d, s, false) : st;
}

status configs_apply_shipped(device *d)
{
    store s;
    status st = store_shipped(&s, &d->info);
    if (st == OK) st = configs_apply(d, &s);
    store_free(&s);
    return st;
}

/* ---- new lines ---- */

bool configs_any(const store *s, const device *d, const op_impl *t)
{
    char start[2 * STORE_WORD];
    snprintf(start, sizeof start, "%s %s ", kernel_family_names[d->family],
             precision_names[d->settings.precision]);
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->lines[i].op, t->op) && (!strcmp(s->lines[i].shape, t->name) ||
                                               !strncmp(s->lines[i].shape, start, strlen(start))))
            return true;
    return false;
}

/* key: the words of a shape's line; null: the default of t */
static status put(store *s, const op_impl *t, const char *key, const int *values)
{
    store_line line = {.n_values = t->n};
    status st = store_kernels(line.kernels, t->file);
    if (st != OK) return st;
    text_copy(line.op, sizeof line.op, t->op);
    text_copy(line.shape, sizeof line.shape, key ? key : t->name);
    if (key) text_copy(line.use, sizeof line.use, t->name);
    for (int i = 0; i < t->n; i++) {
        text_copy(line.values[i].name, sizeof line.values[i].name, t->tunables[i].name);
        line.values[i].value = values[i];
    }
    return store_put(s, &line);
}

status configs_put(store *s, const device *d, const op_impl *t, const int *shape, const int *values)
{
    char key[2 * STORE_WORD];
    if (shape) configs_key(key, d, shape);
    return put(s, t, shape ? key : NULL, values);
}

status configs_put_serving(store *s, const device *d, const op_impl *t, const int *values)
{
    char key[2 * STORE_WORD];
    snprintf(key, sizeof key, "%.8s %.8s %s", kernel_family_names[d->family],
             precision_names[d->settings.precision], any_size);
    return put(s, t, key, values);
}
