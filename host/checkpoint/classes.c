/* Names of classes. See classes.h.
 *
 * Names come from a file, and the searched text from the command line. Both are only compared and
 * printed. */
#include "checkpoint/classes.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "files/json.h"

/* A longer name cannot be chosen. */
enum { NAME_BYTES = 256, MAX_SUGGESTIONS = 3 };

/* ---- id2label ---- */

/* *number = the class that the key names. Checks the key. */
static status read_key(const char *key, const json_t *value, const char *path, int rows,
                       size_t *number)
{
    uint64_t parsed;
    if (!text_to_uint(key, &parsed))
        return fail(ERR_FORMAT, "%s: id2label has the key \"%.60s\", expected a class number", path,
                    key);
    if (parsed >= (uint64_t)rows)
        return fail(ERR_FORMAT, "%s: id2label names class %.20s, the label table has rows 0 to %d",
                    path, key, rows - 1);
    if (!json_is_string(value))
        return fail(ERR_FORMAT, "%s: id2label[\"%.20s\"] is not a string", path, key);
    *number = (size_t)parsed;
    return OK;
}

static status read_names(class_names *names, json_t *map, const char *path, int rows)
{
    status st = OK;
    const char *key;
    json_t *value;
    size_t number = 0, capacity = 0, n = 0;
    json_object_foreach(map, key, value)
    {
        TRY(read_key(key, value, path, rows, &number));
        if (number >= n) {
            TRY(memory_grow(&names->names, &capacity, number + 1, sizeof *names->names));
            while (n <= number) names->names[n++] = NULL;
            names->n = (int)n;
        }
        if (names->names[number])
            return fail(ERR_FORMAT, "%s: id2label names class %zu twice", path, number);
        TRY(memory_strdup(&names->names[number], json_string_value(value)));
    }
done:
    return st;
}

status config_parse_names(class_names *names, const char *json, const char *path, int rows)
{
    status st = OK;
    json_t *root;
    *names = (class_names){0};
    st = json_read(&root, json, strlen(json), path, NULL);
    if (st != OK) return st;
    json_t *map = json_object_get(root, "id2label");
    if (!json_is_object(root))
        st = fail(ERR_FORMAT, "%s: has no JSON object ({...}) at the top level", path);
    else if (map && !json_is_null(map) && !json_is_object(map))
        st = fail(ERR_FORMAT, "%s: id2label is not an object of class numbers and names", path);
    else if (json_is_object(map))
        st = read_names(names, map, path, rows);
    if (st != OK) config_free_names(names);
    json_decref(root);
    return st;
}

void config_free_names(class_names *names)
{
    for (int i = 0; i < names->n; i++) free(names->names[i]);
    free(names->names);
    *names = (class_names){0};
}

/* ---- lookup ---- */

/* Copies s[0..length) without blanks at its ends. False if it does not fit. */
static bool trim(char *out, const char *s, size_t length)
{
    while (length && isspace((unsigned char)*s)) s++, length--;
    while (length && isspace((unsigned char)s[length - 1])) length--;
    if (length >= NAME_BYTES) return false;
    memcpy(out, s, length);
    out[length] = 0;
    return true;
}

/* out = the next synonym in *list, and *list moves behind it. False at the end. Skips empty
 * synonyms and those that are too long. */
static bool next_synonym(char *out, const char **list)
{
    while (*list) {
        const char *comma = strchr(*list, ',');
        size_t length = comma ? (size_t)(comma - *list) : strlen(*list);
        bool fits = trim(out, *list, length);
        *list = comma ? comma + 1 : NULL;
        if (fits && *out) return true;
    }
    return false;
}

static bool has_synonym(const char *list, const char *typed, bool prefix)
{
    char synonym[NAME_BYTES];
    while (next_synonym(synonym, &list))
        if (prefix ? text_prefix_nocase(synonym, typed) : text_equal_nocase(synonym, typed))
            return true;
    return false;
}

/* Counts the classes that `typed` matches. *class_number = the first of them; *list = the names of
 * all of them. */
static status find_fits(const class_names *names, const char *typed, bool prefix, int *class_number,
                        int *n_fits, text *list)
{
    enum { LISTED = 5 };
    status st = OK;
    *n_fits = 0;
    for (int i = 0; i < names->n; i++) {
        if (!has_synonym(names->names[i], typed, prefix)) continue;
        if (!*n_fits) *class_number = i;
        if (++*n_fits <= LISTED)
            TRY(text_append(list, "%s%d (%.60s)", list->length ? ", " : "", i, names->names[i]));
    }
    if (*n_fits > LISTED) TRY(text_append(list, ", ..."));
done:
    return st;
}

/* The edit distance from `typed` to the nearest synonym. A synonym that contains `typed` is
 * near. */
static int distance_to(const char *list, const char *typed, char *nearest)
{
    char synonym[NAME_BYTES];
    int best = 1000;
    while (next_synonym(synonym, &list)) {
        int distance = text_distance(synonym, typed);
        if (distance > 1 && strlen(typed) > 2 && text_contains_nocase(synonym, typed)) distance = 1;
        if (distance >= best) continue;
        best = distance;
        strcpy(nearest, synonym);
    }
    return best;
}

/* Stores up to three similar names, nearest first, as the hint. */
static void suggest(const class_names *names, const char *typed)
{
    struct {
        int distance;
        char name[NAME_BYTES];
    } best[MAX_SUGGESTIONS];
    int limit = 1 + (int)strlen(typed) / 3, n = 0;
    for (int i = 0; i < names->n; i++) {
        char name[NAME_BYTES];
        int distance = distance_to(names->names[i], typed, name), at = n;
        if (distance > limit) continue;
        while (at > 0 && best[at - 1].distance > distance) at--;
        if (at == MAX_SUGGESTIONS) continue;
        if (n < MAX_SUGGESTIONS) n++;
        memmove(&best[at + 1], &best[at], (size_t)(n - 1 - at) * sizeof *best);
        best[at].distance = distance;
        strcpy(best[at].name, name);
    }
    if (n == 1) fail_hint("did you mean \"%s\"?", best[0].name);
    if (n == 2) fail_hint("did you mean \"%s\" or \"%s\"?", best[0].name, best[1].name);
    if (n == 3)
        fail_hint("did you mean \"%s\", \"%s\" or \"%s\"?", best[0].name, best[1].name,
                  best[2].name);
    if (n == 0) fail_hint("ditcl info MODEL lists the names");
}

static status find_number(int *class_number, const char *typed, const class_choice *among)
{
    int64_t number = -1;
    if (text_to_int(typed, &number) && number >= 0 && number < among->n_classes) {
        *class_number = (int)number;
        return OK;
    }
    fail(ERR_USAGE, "class %.60s: the model has classes 0 to %d", typed, among->n_classes - 1);
    if (among->assumed && number == among->n_classes)
        fail_hint("--num-classes %d: the last row of the label table is a class too",
                  among->n_classes + 1);
    else if (among->has_null)
        fail_hint("--class null draws the null class");
    return ERR_USAGE;
}

static status find_name(int *class_number, const char *typed, const class_choice *among)
{
    const class_names *names = among->names;
    status st = OK;
    text list = {0};
    int n_fits;
    TRY(find_fits(names, typed, false, class_number, &n_fits, &list));
    if (n_fits == 0 && text_equal_nocase(typed, "null")) {
        *class_number = among->n_classes;
        if (!among->has_null) st = fail(ERR_USAGE, "class null: the model has no null class");
        goto done;
    }
    bool prefix = n_fits == 0;
    if (prefix) TRY(find_fits(names, typed, true, class_number, &n_fits, &list));
    if (n_fits > 1)
        st = fail(ERR_USAGE, "class \"%s\" %s %d classes: %s", typed,
                  prefix ? "begins the names of" : "is the name of", n_fits, list.data);
    else if (n_fits == 0 && names->n == 0)
        st = fail(ERR_USAGE, "class \"%s\": the model has no class names, only numbers 0 to %d",
                  typed, among->n_classes - 1);
    else if (n_fits == 0) {
        st = fail(ERR_USAGE, "class \"%s\": no class of the model has this name", typed);
        suggest(names, typed);
    }
done:
    text_free(&list);
    return st;
}

/* The number of characters of `typed` that equal the label with all its synonyms, or 0. */
static size_t label_length(const char *label, const char *typed)
{
    char x[NAME_BYTES], y[NAME_BYTES];
    const char *rest = typed;
    int n = 0;
    for (; next_synonym(x, &label); n++)
        if (!next_synonym(y, &rest) || !text_equal_nocase(x, y)) return 0;
    if (n < 2) return 0; /* an ordinary name without a comma */
    return rest ? (size_t)(rest - 1 - typed) : strlen(typed);
}

/* *length = the characters of `typed` that the longest matching label with commas takes, or 0. */
static status match_label(size_t *length, int *class_number, const class_names *names,
                          const char *typed)
{
    int other = 0;
    bool twice = false;
    *length = 0;
    for (int i = 0; i < names->n; i++) {
        size_t n = names->names[i] ? label_length(names->names[i], typed) : 0;
        if (n == 0 || n < *length) continue;
        twice = n == *length;
        if (twice)
            other = i;
        else
            *class_number = i;
        *length = n;
    }
    if (!twice) return OK;
    return fail(ERR_USAGE, "class \"%.*s\": is the label of classes %d and %d",
                (int)(*length < 60 ? *length : 60), typed, *class_number, other);
}

status config_next_class(int *class_number, const char **typed, const class_choice *among)
{
    char name[NAME_BYTES];
    const char *at = *typed;
    size_t length = 0;
    status st = match_label(&length, class_number, among->names, at);
    bool whole = length > 0;
    if (st != OK) return st;
    if (!whole) length = strcspn(at, ",");
    *typed = at[length] ? at + length + 1 : NULL;
    if (whole) return OK;
    if (!trim(name, at, length))
        return fail(ERR_USAGE, "class \"%.60s...\" is too long for a name", at);
    if (!*name) return fail(ERR_USAGE, "--class \"%.60s\": a name is missing", at);
    if (text_equal_nocase(name, "all")) {
        *class_number = CLASS_ALL;
        return OK;
    }
    const char *digits = name + (*name == '-');
    if (*digits && strspn(digits, "0123456789") == strlen(digits))
        return find_number(class_number, name, among);
    return find_name(class_number, name, among);
}
