/* JSON from outside: whole, without duplicate keys, and of no more values than a published file
 * has, since each takes a hundred times its bytes once it is read. */
#ifndef DITCL_FILES_JSON_H
#define DITCL_FILES_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

/* *root = text[0..size), whatever stands at the top level. Messages say "path: part", part being
 * "header" of a file that goes on behind it, or null. */
status json_read(json_t **root, const char *text, size_t size, const char *path, const char *part);

#endif
