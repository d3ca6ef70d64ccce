/* Building JSON, the only way there is: any call may fail, the failure stays, and json_build_text
 * and json_build_print return it. So nothing is written of a document that lacks a part.
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
    char line[200]; /* which it explains */
} json_build;

/* The root, an object or an array; null when that failed, which the calls below take. */
json_t *json_build_begin(json_build *b);
json_t *json_build_begin_array(json_build *b);
/* Begins with the object that a text holds: b->root. The status stays in b as well. part: as
 * json_read takes it. */
status json_build_read(json_build *b, const char *json, const char *path, const char *part);
void json_build_free(json_build *b);

/* Each puts a value into `in`, an object or an array of the document: into an object under key,
 * replacing what is there; to the end of an array, where key is not looked at. */
json_t *json_put_object(json_build *b, json_t *in, const char *key);
json_t *json_put_array(json_build *b, json_t *in, const char *key);
void json_put_int(json_build *b, json_t *in, const char *key, json_int_t value);
/* What is not finite becomes null: JSON cannot say it. */
void json_put_real(json_build *b, json_t *in, const char *key, double value);
void json_put_bool(json_build *b, json_t *in, const char *key, bool value);
void json_put_null(json_build *b, json_t *in, const char *key);
/* ERR_FORMAT for a value that is not UTF-8. */
void json_put_text(json_build *b, json_t *in, const char *key, const char *value);
/* A path or a driver's words: each byte that is no UTF-8 becomes U+FFFD. */
void json_put_name(json_build *b, json_t *in, const char *key, const char *value);

/* Appends the document to out, as jansson writes it with these flags; or any value. */
status json_build_text(json_build *b, text *out, size_t flags);
status json_append(text *out, const json_t *value, size_t flags);
/* Prints the document and ends the line. What a terminal would obey or hide is written as \u, so
 * that a program reads the same strings. ERR_FILE when to cannot be written. */
status json_build_print(json_build *b, FILE *to, size_t flags);

#endif
