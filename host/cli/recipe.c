/* Recipes of pictures. See recipe.h. */
#include "cli/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/version.h"
#include "files/json.h"
#include "files/json_build.h"
#include "files/picture_file.h"
#include "files/png.h"
#include "ops/ops.h"

/* ---- making ---- */

enum { MOST_BYTES = 60000, MOST_SEEN = 64 };

/* Options that say where outputs go or what is printed, or that change no result; and kernels,
 * since put_defaults puts the family that served. */
static const char *const left_out[] = {"out",     "latents-out",  "noise-out",     "quiet",
                                       "verbose", "no-cache",     "again",         "max-launch-ms",
                                       "kernels", "preview",      "preview-every", "preview-with",
                                       "strip",   "strip-states", "json"};
static const char *const inputs[] = {"image", "mask", "latents-in", "noise-in"};

static bool among(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}
#define AMONG(name, names) among(name, names, sizeof(names) / sizeof *(names))

typedef struct {
    json_build b;
    json_t *words, *inputs;
    const drawing *g;
    const char *seen[MOST_SEEN]; /* names of the options in words */
    int n_seen;
} making;

/* out = "--name", or "-n" for a name of one letter. */
static void spell(char out[64], const char *name)
{
    snprintf(out, 64, "%s%s", name[1] ? "--" : "-", name);
}

static status hash_file(char out[HASH_TEXT], const char *path)
{
    file_map map;
    status st = picture_file_input(&path);
    if (st == OK) st = file_map_open(&map, path);
    if (st != OK) return st;
    hash_text(out, hash_bytes(map.data, map.size));
    file_map_close(&map);
    return OK;
}

static void put_option(making *m, const char *name, const char *value)
{
    char spelled[64];
    spell(spelled, name);
    json_put_name(&m->b, m->words, NULL, spelled);
    if (value) json_put_name(&m->b, m->words, NULL, value);
    if (m->n_seen < MOST_SEEN) m->seen[m->n_seen++] = name;
}

static status put_seed(making *m)
{
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)m->g->q->seed);
    put_option(m, "seed", seed);
    return OK;
}

static status put_given(void *context, const option *o, const char *value)
{
    making *m = context;
    char spelled[64], hash[HASH_TEXT];
    if (!o) {
        json_put_name(&m->b, m->words, NULL, value);
        return OK;
    }
    if (AMONG(o->name, left_out)) return OK;
    if (!strcmp(o->name, "seed")) return put_seed(m); /* a number in the place of random */
    put_option(m, o->name, value);
    if (!AMONG(o->name, inputs)) return OK;
    status st = hash_file(hash, value);
    if (st != OK) return st;
    spell(spelled, o->name);
    json_t *input = json_put_object(&m->b, m->inputs, spelled);
    json_put_name(&m->b, input, "name", file_last_part(value));
    json_put_text(&m->b, input, "hash", hash);
    return OK;
}

/* Puts a setting that is not on the command line, with the value that it had. */
static void put_default(making *m, const char *name, const char *value)
{
    if (!among(name, m->seen, (size_t)m->n_seen)) put_option(m, name, value);
}

static void put_default_number(making *m, const char *name, double value)
{
    char number[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, value);
        if (strtod(number, NULL) == value) break;
    }
    put_default(m, name, number);
}

static void put_defaults(making *m, const drawing *g)
{
    const drawing_request *q = g->q;
    const run_request *u = &g->request;
    const device *d = g->r.d;
    unsigned traits = samplers[u->sampler].traits;
    if (!q->n_classes) put_default(m, "class", "all");
    if (!q->seeds) put_default_number(m, "n", q->per_class);
    if (!q->seeds && !among("seed", m->seen, (size_t)m->n_seen)) put_seed(m);
    put_default(m, "rng", q->rng);
    put_default(m, "steps", g->steps);
    put_default(m, "sampler", sampler_names[u->sampler]);
    if (traits & USES_ETA) put_default_number(m, "eta", q->eta);
    if (traits & USES_DIFFUSION) put_default(m, "diffusion", diffusion_names[u->diffusion]);
    put_default_number(m, "cfg", g->guidance);
    put_default(m, "guidance-interval", g->interval);
    put_default(m, "cfg-channels",
                guided_channels_names[u->guided_channels >= g->m->dit.in_channels]);
    if (q->image) put_default_number(m, "strength", g->strength);
    put_default(m, "compat", compat_names[g->m->arithmetic]);
    put_default(m, "precision", precision_names[d->settings.precision]);
    put_default(m, "kernels", kernel_family_names[d->family]);
}

status recipe_make(text *out, const command *c, int argc, char **argv, const drawing *g,
                   bool series)
{
    making m = {.g = g};
    const device *d = g->r.d;
    char ran[OP_RAN];
    json_t *root = json_build_begin(&m.b);
    status st = OK;
    json_put_int(&m.b, root, "pictures", series ? g->series : g->n);
    json_put_text(&m.b, root, "program", "ditcl " DITCL_VERSION);
    if (*version_commit) json_put_text(&m.b, root, "commit", version_commit);
    m.words = json_put_array(&m.b, root, "command");
    m.inputs = json_put_object(&m.b, root, "inputs");
    json_put_text(&m.b, m.words, NULL, "ditcl");
    json_put_text(&m.b, m.words, NULL, c->name);
    TRY(options_walk(c, argc, argv, put_given, &m));
    put_defaults(&m, g);
    op_ran(ran, d);
    json_put_text(&m.b, root, "ran", ran);
    json_put_name(&m.b, root, "device", d->info.name);
    json_put_name(&m.b, root, "driver", d->info.driver);
    TRY(json_build_text(&m.b, out, JSON_ENSURE_ASCII));
    if (out->length > MOST_BYTES)
        st = fail(ERR_LIMIT, "its command line of %zu bytes is too long", out->length);
done:
    json_build_free(&m.b);
    return st;
}

status recipe_of_series(text *out, const char *recipe, int index)
{
    return text_append(out, "{\"picture\": %d, %s", index, recipe + 1);
}

/* ---- reading ---- */

/* *root = the recipe of a picture, with a command that is a list of texts. */
static status read_recipe(json_t **root, const char *path)
{
    char *words = NULL;
    size_t i;
    json_t *word;
    *root = NULL;
    status st = png_read_note(&words, path, RECIPE_KEYWORD);
    if (st != OK) return st;
    if (!words)
        return fail(ERR_FORMAT,
                    "%s: has no recipe: it was not drawn by ditcl sample, or another "
                    "program has removed the recipe",
                    path);
    st = json_read(root, words, strlen(words), path, "recipe");
    free(words);
    if (st != OK) return st;
    const json_t *words_of = json_object_get(*root, "command");
    bool right = json_is_array(words_of) && json_array_size(words_of) >= 3;
    if (right) json_array_foreach(words_of, i, word) right &= json_is_string(word);
    right = right && !strcmp(json_string_value(json_array_get(words_of, 1)), "sample");
    if (right) return OK;
    json_decref(*root);
    *root = NULL;
    return fail(ERR_FORMAT, "%s: its recipe has no command line of ditcl sample", path);
}

/* The words of one command line that do not stand in another. */
typedef struct {
    text_list *words;
    const char *seen[MOST_SEEN];
    int n_seen;
    bool argument; /* there is an argument that is no option */
    const json_t *inputs;
    const char *path;
} merging;

static status note_change(void *context, const option *o, const char *value)
{
    merging *m = context;
    (void)value;
    if (o && m->n_seen < MOST_SEEN) m->seen[m->n_seen++] = o->name;
    m->argument |= !o;
    return OK;
}

/* Fails if the input is not the file that the picture was drawn from. */
static status check_input(const merging *m, const char *spelled, const char *file)
{
    const json_t *input = json_object_get(m->inputs, spelled);
    const char *wanted = json_string_value(json_object_get(input, "hash"));
    char hash[HASH_TEXT];
    if (!wanted) return OK;
    status st = hash_file(hash, file);
    if (st != OK || !strcmp(hash, wanted)) return st;
    fail(ERR_FILE, "%s %s: has the hash %s, but %s was drawn from a file with the hash %.40s",
         spelled, file, hash, m->path, wanted);
    fail_hint("name the right file with %s, which replaces the one in the recipe", spelled);
    return ERR_FILE;
}

/* Whether a change replaces this option of the recipe. --seeds says what --seed and -n do. */
static bool replaced(const merging *m, const char *name)
{
    static const char *const other[][2] = {{"seed", "seeds"}, {"n", "seeds"}};
    size_t n = (size_t)m->n_seen;
    bool found = among(name, m->seen, n);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        for (int k = 0; k < 2; k++)
            found |= !strcmp(name, other[i][k]) && among(other[i][1 - k], m->seen, n);
    return found;
}

static status keep_word(void *context, const option *o, const char *value)
{
    merging *m = context;
    char spelled[64];
    status st = OK;
    if (!o) return m->argument ? OK : text_list_add(m->words, value);
    if (AMONG(o->name, left_out)) return OK; /* a recipe must not say which files are written */
    if (replaced(m, o->name)) return OK;
    spell(spelled, o->name);
    if (!value && o->kind != OPTION_FLAG)
        return fail(ERR_FORMAT, "%s: its recipe has %s without a value", m->path, spelled);
    if (value && AMONG(o->name, inputs)) st = check_input(m, spelled, value);
    if (st == OK) st = text_list_add(m->words, spelled);
    return st == OK && value ? text_list_add(m->words, value) : st;
}

static status add_change(void *context, const option *o, const char *value)
{
    text_list *words = context;
    char spelled[64];
    if (!o) return text_list_add(words, value);
    spell(spelled, o->name);
    status st = text_list_add(words, spelled);
    return st == OK && value ? text_list_add(words, value) : st;
}

/* The words of the recipe's command after "ditcl sample", as arguments. */
static status copy_words(text_list *out, const json_t *from)
{
    status st = OK;
    for (size_t i = 2; i < json_array_size(from) && st == OK; i++)
        st = text_list_add(out, json_string_value(json_array_get(from, i)));
    return st;
}

/* Fails for a word that looks like an option and is none: a recipe comes from outside. */
static status check_words(const command *c, const text_list *words, const char *path)
{
    for (int i = 0; i < words->n; i++)
        if (!strncmp(words->items[i], "--", 2) && !options_named(c, words->items[i]))
            return fail(ERR_FORMAT, "%s: its recipe has the unknown option %.80s", path,
                        words->items[i]);
    return OK;
}

status recipe_again(text_list *words, const command *c, const char *path, int argc, char **argv)
{
    text_list stored = {0};
    json_t *root = NULL;
    merging m = {.words = words, .path = path};
    status st = OK;
    TRY(read_recipe(&root, path));
    TRY(copy_words(&stored, json_object_get(root, "command")));
    TRY(check_words(c, &stored, path));
    m.inputs = json_object_get(root, "inputs");
    TRY(options_walk(c, argc, argv, note_change, &m));
    TRY(options_walk(c, stored.n, stored.items, keep_word, &m));
    TRY(options_walk(c, argc, argv, add_change, words));
done:
    json_decref(root);
    text_list_free(&stored);
    return st;
}

/* ---- printing ---- */

/* Prints a word as a shell reads it. */
static void print_word(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=./,:%@";
    word = TEXT_SHOWN(word);
    if (*word && word[strspn(word, plain)] == 0) {
        fputs(word, stdout);
        return;
    }
    putchar('\'');
    for (const char *c = word; *c; c++) {
        if (*c == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*c);
    }
    putchar('\'');
}

static void print_field(const json_t *root, const char *key, const char *title)
{
    const char *value = json_string_value(json_object_get(root, key));
    if (value && *value) printf("%s %s\n", title, TEXT_SHOWN(value));
}

status recipe_print(const char *path, bool json)
{
    json_t *root = NULL, *word;
    json_build b = {0};
    size_t i;
    status st = read_recipe(&root, path);
    if (st != OK) return st;
    if (json) {
        b.root = root;
        st = json_build_print(&b, stdout, JSON_INDENT(2));
        json_decref(root);
        return st;
    }
    json_array_foreach(json_object_get(root, "command"), i, word)
    {
        if (i) putchar(' ');
        print_word(json_string_value(word));
    }
    putchar('\n');
    const json_t *index = json_object_get(root, "picture");
    long long pictures = json_integer_value(json_object_get(root, "pictures"));
    if (json_is_integer(index))
        printf("picture    %lld of %lld, from 0\n", (long long)json_integer_value(index), pictures);
    else if (pictures > 1)
        printf("pictures   %lld on a sheet\n", pictures);
    print_field(root, "program", "program   ");
    print_field(root, "commit", "commit    ");
    print_field(root, "ran", "ran       ");
    print_field(root, "device", "device    ");
    print_field(root, "driver", "driver    ");
    json_decref(root);
    return OK;
}
