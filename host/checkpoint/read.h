/* Reads the keys of a configuration, each with its type and range. An absent key gives the
 * fallback. A wrong value fails with the file's name, the key, the value, and the expected values.
 * config.h has the meaning of keys. */
#ifndef DITCL_CHECKPOINT_READ_H
#define DITCL_CHECKPOINT_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "files/json.h"

/* A parsed file and its name for messages. */
typedef struct {
    json_t *root; /* an object */
    const char *path;
} reader;

/* json: the file's text. path: for messages only; it must outlive the reader. */
status read_open(reader *r, const char *json, const char *path);
void read_close(reader *r);

/* low and high are allowed. */
status read_int(const reader *r, const char *key, int fallback, int low, int high, int *out);
/* low and high are excluded. */
status read_number(const reader *r, const char *key, double fallback, double low, double high,
                   double *out);
status read_bool(const reader *r, const char *key, bool fallback, bool *out);
/* *out = the index of the key's string in words, a list that ends with a null pointer. */
status read_word(const reader *r, const char *key, int fallback, const char *const *words,
                 int *out);
/* name [size] = _class_name, or fallback if the file has none. fallback null: the file must have
 * one; otherwise any JSON object would pass as a model. */
status read_class(const reader *r, const char *fallback, char *name, size_t size);

/* Refuse unsupported values: if the key is present, its value must be this one, or null. */
status read_only_bool(const reader *r, const char *key, bool needed);
status read_only_null(const reader *r, const char *key);

/* Fails with "path: key is X, expected ...". */
status read_wrong(const reader *r, const char *key, const json_t *found, const char *expected);

#endif
