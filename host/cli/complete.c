/* Candidates for the word that a user is typing. See complete.h. */
#include "cli/complete.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "checkpoint/find.h"
#include "checkpoint/model.h"
#include "device/device.h"
#include "model/paper.h"

/* What is being completed. */
typedef struct {
    const command *c;
    const char *model;  /* the first argument, or null */
    const char *prefix; /* the part of the word that every candidate keeps */
    const char *typed;  /* the rest of the word */
} asked;

void complete_put(const char *prefix, const char *typed, const char *candidate, const char *what)
{
    if (strncasecmp(candidate, typed, strlen(typed)) != 0) return;
    printf("%s%s", prefix, candidate);
    if (what) printf("\t%.*s", (int)strcspn(what, "\n"), what);
    putchar('\n');
}

static void put(const asked *a, const char *candidate, const char *what)
{
    complete_put(a->prefix, a->typed, TEXT_SHOWN(candidate), what);
}

/* ---- values ---- */

static void put_devices(const asked *a)
{
    device_list list = {0};
    if (device_list_init(&list) != OK) return;
    for (int i = 0; i < list.n; i++) {
        char index[16];
        snprintf(index, sizeof index, "%d", i);
        put(a, index, TEXT_SHOWN(list.items[i].name));
    }
    put(a, "gpu", "the best GPU");
    put(a, "cpu", "the best processor");
    device_list_free(&list);
}

/* The first synonym of each class. Commas separate classes, so what is before the last comma stays
 * as it is. */
static void put_classes(const asked *a)
{
    model m = {0};
    const model_request request = {
        .name = a->model, .forced = -1, .need_dit = true, .vae_use = VAE_UNUSED};
    const char *comma = strrchr(a->typed, ',');
    size_t kept = comma ? (size_t)(comma - a->typed) + 1 : 0;
    char prefix[1024], name[256];
    snprintf(prefix, sizeof prefix, "%s%.*s", a->prefix, (int)kept, a->typed);
    if (!a->model || model_open(&m, &request) != OK) return;
    for (int i = 0; i < m.classes.n && i < m.dit.n_classes; i++) {
        if (!m.classes.names[i]) continue;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(m.classes.names[i], ","),
                 m.classes.names[i]);
        complete_put(prefix, a->typed + kept, TEXT_SHOWN(name), NULL);
    }
    complete_put(prefix, a->typed + kept, "all", "one picture of each class");
    if (m.dit.has_null) complete_put(prefix, a->typed + kept, "null", "no class");
    model_close(&m);
}

static void put_networks(const asked *a)
{
    char name[PAPER_NAME];
    for (int i = 0; paper_name(name, i); i++) put(a, name, NULL);
}

static const struct {
    const char *option;
    void (*put)(const asked *a);
} values[] = {{"device", put_devices}, {"class", put_classes}, {"arch", put_networks}};

static void put_value(const asked *a, const option *o)
{
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (!strcmp(values[i].option, o->name)) values[i].put(a);
    for (int i = 0; o->kind == OPTION_CHOICE && o->choices[i]; i++) put(a, o->choices[i], NULL);
    /* names of files: PATH, FILE, F.npy */
    bool file = o->kind == OPTION_TEXT && (strstr(o->argument, "PATH") ||
                                           strstr(o->argument, "FILE") || strchr(o->argument, '.'));
    if (file) puts(COMPLETE_FILES);
}

static void put_model(void *context, const char *name)
{
    put(context, name, NULL);
}

/* An argument that is no option. given: how many are before it. */
static void put_argument(asked *a, int given)
{
    const command *c = a->c;
    int required = 0;
    while (c->positional && c->positional[required]) required++;
    const char *name = given < required ? c->positional[given] : c->rest ? c->arguments : "";
    bool of_model = strstr(name, "MODEL") != NULL;
    if (of_model) find_names(put_model, a);
    if (!strcmp(name, "SHELL")) {
        for (int i = 0; completion_shells[i]; i++) put(a, completion_shells[i], NULL);
        return;
    }
    if (of_model || given < required || c->rest) puts(COMPLETE_FILES);
}

/* ---- the word ---- */

static void put_options(const asked *a)
{
    char name[80];
    for (const option *o = a->c->options; o->name; o++) {
        if (o->kind == OPTION_GROUP) continue;
        snprintf(name, sizeof name, "%s%s", o->name[1] ? "--" : "-", o->name);
        put(a, name, o->help);
    }
    put(a, "--help", "explain the command");
}

/* The option that a word names, if its value is the next word; else null. */
static const option *value_follows(const command *c, const char *word)
{
    const option *o = options_named(c, word);
    return o && o->kind != OPTION_FLAG && !strchr(word, '=') && (word[1] == '-' || !word[2]) ? o
                                                                                             : NULL;
}

void complete_command(const command *c, int n, char **words)
{
    asked a = {.c = c, .prefix = "", .typed = n ? words[n - 1] : ""};
    const option *value_of = NULL;
    bool only_arguments = false;
    char prefix[128];
    int given = 0;
    for (int i = 0; i + 1 < n; i++) {
        const char *word = words[i];
        /* bash makes three words of --option=value */
        if (value_of && !strcmp(word, "=")) continue;
        if (value_of) {
            value_of = NULL;
        } else if (!only_arguments && !strcmp(word, "--")) {
            only_arguments = true;
        } else if (!only_arguments && word[0] == '-' && word[1]) {
            value_of = value_follows(c, word);
        } else if (given++ == 0) {
            a.model = word;
        }
    }
    size_t equals = strcspn(a.typed, "=");
    if (value_of) {
        if (!strcmp(a.typed, "=")) a.typed = "";
        put_value(&a, value_of);
    } else if (!only_arguments && !strncmp(a.typed, "--", 2) && a.typed[equals]) {
        const option *o = options_named(c, a.typed);
        snprintf(prefix, sizeof prefix, "%.*s", (int)equals + 1, a.typed);
        a.prefix = prefix;
        a.typed += equals + 1;
        if (o) put_value(&a, o);
    } else if (!only_arguments && a.typed[0] == '-') {
        put_options(&a);
    } else {
        put_argument(&a, given);
    }
    fail_clear(); /* what cannot be read has no candidates */
}
