/* Keys of a configuration. See read.h. */
#include "checkpoint/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "files/json_build.h"

status read_open(reader *r, const char *json, const char *path)
{
    *r = (reader){.path = path};
    status st = json_read(&r->root, json, strlen(json), path, NULL);
    if (st != OK) return st;
    if (!json_is_object(r->root))
        return fail(ERR_FORMAT, "%s: has no JSON object ({...}) at the top level", path);
    return OK;
}

void read_close(reader *r)
{
    json_decref(r->root);
    r->root = NULL;
}

status read_wrong(const reader *r, const char *key, const json_t *found, const char *expected)
{
    text words = {0};
    status st = json_append(&words, found, JSON_ENCODE_ANY | JSON_COMPACT);
    if (st == OK)
        st = fail(ERR_FORMAT, "%s: %s is %.60s%s, expected %s", r->path, key, words.data,
                  words.length > 60 ? "..." : "", expected);
    text_free(&words);
    return st;
}

status read_int(const reader *r, const char *key, int fallback, int low, int high, int *out)
{
    const json_t *value = json_object_get(r->root, key);
    *out = fallback;
    if (!value) return OK;
    char expected[80];
    snprintf(expected, sizeof expected, "an integer from %d to %d", low, high);
    if (!json_is_integer(value)) return read_wrong(r, key, value, expected);
    json_int_t number = json_integer_value(value);
    if (number < low || number > high) return read_wrong(r, key, value, expected);
    *out = (int)number;
    return OK;
}

status read_number(const reader *r, const char *key, double fallback, double low, double high,
                   double *out)
{
    const json_t *value = json_object_get(r->root, key);
    *out = fallback;
    if (!value) return OK;
    char expected[80];
    snprintf(expected, sizeof expected, "a number above %g and below %g", low, high);
    if (!json_is_number(value)) return read_wrong(r, key, value, expected);
    double number = json_number_value(value);
    if (!(number > low && number < high)) return read_wrong(r, key, value, expected);
    *out = number;
    return OK;
}

status read_bool(const reader *r, const char *key, bool fallback, bool *out)
{
    const json_t *value = json_object_get(r->root, key);
    *out = fallback;
    if (!value) return OK;
    if (!json_is_boolean(value)) return read_wrong(r, key, value, "true or false");
    *out = json_is_true(value);
    return OK;
}

status read_word(const reader *r, const char *key, int fallback, const char *const *words, int *out)
{
    const json_t *value = json_object_get(r->root, key);
    *out = fallback;
    if (!value) return OK;
    char expected[200];
    size_t used = 0;
    for (int i = 0; words[i]; i++) {
        if (json_is_string(value) && !strcmp(json_string_value(value), words[i])) {
            *out = i;
            return OK;
        }
        int n = snprintf(expected + used, sizeof expected - used, "%s\"%s\"", i ? " or " : "",
                         words[i]);
        if (n > 0 && (size_t)n < sizeof expected - used) used += (size_t)n;
    }
    return read_wrong(r, key, value, expected);
}

status read_only_bool(const reader *r, const char *key, bool needed)
{
    bool found;
    status st = read_bool(r, key, needed, &found);
    if (st == OK && found != needed)
        return fail(ERR_FORMAT, "%s: %s %s is not supported", r->path, key,
                    found ? "true" : "false");
    return st;
}

status read_only_null(const reader *r, const char *key)
{
    const json_t *value = json_object_get(r->root, key);
    if (!value || json_is_null(value)) return OK;
    return read_wrong(r, key, value, "null: nothing else is supported");
}

status read_class(const reader *r, const char *fallback, char *name, size_t size)
{
    const json_t *value = json_object_get(r->root, "_class_name");
    if (!value && !fallback) return fail(ERR_FORMAT, "%s: _class_name is missing", r->path);
    if (value && !json_is_string(value)) return read_wrong(r, "_class_name", value, "a string");
    text_copy(name, size, value ? json_string_value(value) : fallback);
    return OK;
}
