/* JSON from outside: whole, without duplicate keys, and of no more values than a published file
 * has, since each takes a hundred times its bytes once it is read. */
#ifndef DITCL_FILES_JSON_H
#define DITCL_FILES_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* Takes the mark away that some editors put at the head of a UTF-8 file. */
void json_strip_mark(char *text);

/* *root = text[0..size), whatever stands at the top level. Messages say "path: part", part being
 * "header" of a file that goes on behind it, or null: a file of its own, which may begin with a
 * byte order mark. */
status json_read(json_t **root, const char *text, size_t size, const char *path, const char *part);

/* jansson passes over some allocations that fail, and a text it reads or writes then lacks a
 * character, or is called invalid. So its allocations are watched: json_ran_out says whether one
 * of this thread failed after json_watch. */
void json_watch(void);
bool json_ran_out(void);

#endif
