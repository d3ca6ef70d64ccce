/* Keys of a configuration, each read with its type and range: an absent key gives the fallback, and
 * what does not fit fails with the file's name, the key, what was found and what was expected.
 * config.h knows what the keys mean. */
#ifndef DITCL_CHECKPOINT_READ_H
#define DITCL_CHECKPOINT_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "files/json.h"

/* A parsed file and the name it goes by in messages. */
typedef struct {
    json_t *root; /* an object */
    const char *path;
} reader;

/* json: the file's text; path: for messages only, and lives as long as the reader. */
status read_open(reader *r, const char *json, const char *path);
void read_close(reader *r);

/* low and high are allowed. */
status read_int(const reader *r, const char *key, int fallback, int low, int high, int *out);
/* low and high are excluded. */
status read_number(const reader *r, const char *key, double fallback, double low, double high,
                   double *out);
status read_bool(const reader *r, const char *key, bool fallback, bool *out);
/* *out = the index of the key's string among words, which end with a null pointer. */
status read_word(const reader *r, const char *key, int fallback, const char *const *words,
                 int *out);
/* name [size] = _class_name, or fallback if the file has none. fallback null: the file must have
 * one, else any JSON object would pass for a model. */
status read_class(const reader *r, const char *fallback, char *name, size_t size);

/* Refuse what is not supported: anything but this value, or but null, where the key is given. */
status read_only_bool(const reader *r, const char *key, bool needed);
status read_only_null(const reader *r, const char *key);

/* Fails: "path: key is X, expected ...". */
status read_wrong(const reader *r, const char *key, const json_t *found, const char *expected);

#endif
