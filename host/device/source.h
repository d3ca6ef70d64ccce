/* The text of everything in cl/, compiled into the program; DITCL_CL_DIR reads it from disk. */
#ifndef DITCL_DEVICE_SOURCE_H
#define DITCL_DEVICE_SOURCE_H

#include <stddef.h>

#include "base/status.h"

typedef struct {
    const char *name; /* as below cl/: "attention.cl" */
    const char *data; /* size bytes, then a NUL */
    size_t size;
} embedded_file;

extern const embedded_file embedded_files[]; /* ends with a null name */

/* *out = the file's text, freed with free(). */
status source_read(char **out, const char *name);

#endif
