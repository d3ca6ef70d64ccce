/* The environment variables as a table. See environment.h. */
#include "cli/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "ops/impl.h"
#include "ops/ops.h"

/* At most one of values, op, most and folder defines the values of a variable. Without any, the
 * code that reads the variable checks it: device_choose(), model_open(), features_detect(). */
typedef struct {
    const char *name;
    const char *what;          /* for the manual page; null: for tests only */
    const char *const *values; /* one of these; ends with a null */
    const char *op;            /* the name of one of this operator's implementations */
    double most;               /* a number of seconds, above 0 and up to this */
    bool folder;               /* a folder that exists */
} variable;

static const char *const on_or_off[] = {"on", "off", NULL};
static const char *const zero_or_one[] = {"0", "1", NULL};
static const char *const faults[] = {"die", "hang", NULL};

static const variable variables[] = {
    {.name = "DITCL_DEVICE", .what = "The device to use if --device is not given."},
    {.name = "DITCL_MODELS", .what = "A folder. ditcl looks up names of models there first."},
    {.name = "DITCL_FIT",
     .what = "on (default) or off: whether the first use of a device measures which "
             "configurations are fastest.",
     .values = on_or_off},
    {.name = "DITCL_FIRST_USE",
     .what = "on (default) or off: whether a child process checks what a device runs for "
             "the first time.",
     .values = on_or_off},
    {.name = "DITCL_CHECK_SECONDS",
     .what = "After how many seconds a silent first-use check counts as failed. The "
             "default is 120.",
     .most = 1e6},
    {.name = "DITCL_GEMM",
     .what = "The implementation of GEMM that serves wherever it can.",
     .op = "gemm"},
    {.name = "DITCL_ATTENTION", .what = "The same for attention.", .op = "attention"},
    {.name = "DITCL_CONV", .what = "The same for 3x3 convolutions.", .op = "conv"},
    {.name = "DITCL_FEATURES",
     .what = "+NAME,-NAME,...: features of the device to add and to remove."},
    {.name = "DITCL_CL_DIR",
     .what = "A folder with kernel sources, which replace those in the program.",
     .folder = true},
    {.name = "DITCL_BUILD_LOG",
     .what = "0 (default) or 1: whether a failed build of a kernel prints the "
             "compiler's whole log.",
     .values = zero_or_one},
    {.name = "NO_COLOR", .what = "If it is set, no word on a terminal has a colour."},
    {.name = "DITCL_SYSTEM", .folder = true},
    {.name = "DITCL_TUNE_FAULT", .values = faults},
    {.name = "DITCL_TUNE_LIMIT", .most = 1e6},
};
enum { N_VARIABLES = sizeof variables / sizeof *variables };

/* The value of a variable; null: it is not set, or empty. */
static const char *value_of(const variable *v)
{
    const char *value = getenv(v->name);
    return value && *value ? value : NULL;
}

static const operator* operator_of(const variable *v)
{
    const operator* o = operators;
    while (strcmp(o->op, v->op) != 0) o++;
    return o;
}

/* ERR_USAGE unless value is one of the words, whose list ends with a null. */
static status check_word(const char *name, const char *value, const char *const *words)
{
    text all = {0};
    const char *near = text_nearest(value, words);
    status st = OK;
    for (int i = 0; words[i]; i++) {
        if (!strcmp(words[i], value)) goto done;
        TRY(text_append(&all, "%s%s", i ? ", " : "", words[i]));
    }
    st = fail(ERR_USAGE, "%s=%.80s: expected one of %s", name, value, all.data);
    if (near) fail_hint("did you mean %s=%s?", name, near);
done:
    text_free(&all);
    return st;
}

static status check_implementation(const variable *v, const char *value)
{
    const op_impl *impls[MOST_IMPLS];
    const char *names[MOST_IMPLS + 1] = {0};
    int n = operator_impls(operator_of(v), NULL, NULL, impls);
    for (int i = 0; i < n; i++) names[i] = impls[i]->name;
    return check_word(v->name, value, names);
}

static status check_variable(const variable *v, const char *value)
{
    double number;
    if (v->values) return check_word(v->name, value, v->values);
    if (v->op) return check_implementation(v, value);
    if (v->folder)
        return file_is_folder(value) ? OK
                                     : fail(ERR_USAGE, "%s=%.200s: no such folder", v->name, value);
    if (!v->most) return OK;
    if (text_to_double(value, &number) && number > 0.0 && number <= v->most) return OK;
    return fail(ERR_USAGE, "%s=%.80s: expected a number of seconds, above 0 and up to %g", v->name,
                value, v->most);
}

status environment_check(void)
{
    status st = OK;
    for (int i = 0; i < N_VARIABLES && st == OK; i++)
        if (value_of(&variables[i])) st = check_variable(&variables[i], value_of(&variables[i]));
    return st;
}

void environment_visit(void (*visit)(const char *name, const char *what))
{
    for (int i = 0; i < N_VARIABLES; i++)
        if (variables[i].what) visit(variables[i].name, variables[i].what);
}

/* Whether the implementation that the variable names can serve a typical shape on the device. */
static bool serves(const device *d, const variable *v, const char *name)
{
    static const int attention_shape_of_xl[SHAPE_SIZES] = {2, 256, 16, 72};
    const op_impl *impls[MOST_IMPLS];
    bool found = false;
    if (!strcmp(v->op, "gemm")) return !strcmp(gemm_name(d, 512, 3456, 1152), name);
    if (!strcmp(v->op, "conv"))
        return !strcmp(conv_name(d, (conv_layer){4096, 512, 512, 1, 0}), name);
    int n = operator_impls(operator_of(v), d, attention_shape_of_xl, impls);
    for (int i = 0; i < n; i++) found |= !strcmp(impls[i]->name, name);
    return found;
}

void environment_warn(const device *d)
{
    char line[200];
    for (int i = 0; i < N_VARIABLES && d->settings.warn; i++) {
        const variable *v = &variables[i];
        const char *value = v->op ? value_of(v) : NULL;
        if (!value || serves(d, v, value)) continue;
        snprintf(line, sizeof line,
                 "%s=%.80s: this device and precision cannot use it; another "
                 "implementation serves",
                 v->name, value);
        d->settings.warn(line);
    }
}
