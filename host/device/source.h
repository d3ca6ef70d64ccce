/* The text of everything in cl/, compiled into the program; DITCL_CL_DIR reads it from disk. */
#ifndef DITCL_DEVICE_SOURCE_H
#define DITCL_DEVICE_SOURCE_H

#include <stddef.h>

#include "base/status.h"
#include "base/text.h"

typedef struct {
    const char *name; /* relative to cl/: "attention.cl" */
    const char *data; /* size bytes and a NUL */
    size_t size;
} embedded_file;

extern const embedded_file embedded_files[]; /* ends with a null name */

/* *out = the file's text, freed with free(). */
status source_read(char **out, const char *name);

/* Appends the text of a program: the prelude, then the file, with each line #include "NAME.clh"
 * replaced by that file. */
status source_program(text *out, const char *file);

#endif
