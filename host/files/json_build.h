/* The only way to build JSON. Any call may fail. json_build_text and json_build_print return the
 * first failure, so a document that lacks a part is never written.
 *
 *     json_build b;
 *     json_t *root = json_build_begin(&b);
 *     json_put_text(&b, root, "name", name);
 *     st = json_build_print(&b, stdout, JSON_INDENT(2));
 *     json_build_free(&b); */
#ifndef DITCL_FILES_JSON_BUILD_H
#define DITCL_FILES_JSON_BUILD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"
#include "base/text.h"

typedef struct {
    json_t *root;
    status st;      /* the first failure */
    char line[200]; /* its message */
} json_build;

/* Returns the root, an object or an array. Returns null on failure, which the calls below
 * accept. */
json_t *json_build_begin(json_build *b);
json_t *json_build_begin_array(json_build *b);
/* Parses a text into b->root, to which values can be added. Returns the status, which also stays in
 * b. part: as for json_read. */
status json_build_read(json_build *b, const char *json, const char *path, const char *part);
void json_build_free(json_build *b);

/* Each function puts a value into `in`: into an object under key, replacing an older value, or at
 * the end of an array, where key is ignored. */
json_t *json_put_object(json_build *b, json_t *in, const char *key);
json_t *json_put_array(json_build *b, json_t *in, const char *key);
void json_put_int(json_build *b, json_t *in, const char *key, json_int_t value);
/* Infinity and NaN become null, since JSON does not have them. */
void json_put_real(json_build *b, json_t *in, const char *key, double value);
void json_put_bool(json_build *b, json_t *in, const char *key, bool value);
void json_put_null(json_build *b, json_t *in, const char *key);
/* ERR_FORMAT for a value that is not UTF-8. */
void json_put_text(json_build *b, json_t *in, const char *key, const char *value);
/* For paths and strings of drivers: each byte that is not UTF-8 becomes U+FFFD. */
void json_put_name(json_build *b, json_t *in, const char *key, const char *value);

/* Puts the value of a JSON text. */
void json_put_json(json_build *b, json_t *in, const char *key, const char *json);

/* Appends the document, or any value, to out. flags: jansson's. */
status json_build_text(json_build *b, text *out, size_t flags);
status json_append(text *out, const json_t *value, size_t flags);
/* Prints the document and a line end. Characters that a terminal would interpret or hide are
 * written as \u escapes, which a program reads as the same strings. ERR_FILE if `to` cannot be
 * written. */
status json_build_print(json_build *b, FILE *to, size_t flags);

#endif
