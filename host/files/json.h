/* Reads JSON from outside. Refuses duplicate keys, and more values than any published file has,
 * since a parsed value takes a hundred times its bytes. */
#ifndef DITCL_FILES_JSON_H
#define DITCL_FILES_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* Removes a byte order mark from the start of a UTF-8 text. */
void json_strip_mark(char *text);

/* *root = the JSON text[0..size), of any type. Messages begin with "path: part". part: "header" if
 * the text is a file's header; null if it is a whole file, which may begin with a byte order
 * mark. */
status json_read(json_t **root, const char *text, size_t size, const char *path, const char *part);

/* jansson ignores some failed allocations; a text then lacks a character or is reported as invalid.
 * json_ran_out returns true if one failed in this thread since json_watch. */
void json_watch(void);
bool json_ran_out(void);

#endif
