/* The file that an output's name leads to, and whether it can be replaced. */
#ifndef DITCL_BASE_TARGET_H
#define DITCL_BASE_TARGET_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/partial.h"
#include "base/status.h"

enum { TARGET_PATH = 4096 };

typedef struct {
    char path[TARGET_PATH];   /* links are followed; its last part is not a link */
    char folder[TARGET_PATH]; /* the part of path before its last slash, or "." */
    const char *name;         /* the last part */
    bool exists;
    bool in_place;               /* a mount point: nothing can be renamed to it */
    struct stat file, folder_is; /* file: if it exists */
} target;

/* Follows the links of path and finds nothing, a regular file, or a folder there. */
status target_find(target *t, const char *path);
/* Fails if it is a folder, if the file is protected, or if its folder cannot be written. */
status target_check_file(const target *t, const char *path);
/* Fails if the folder cannot be written, or if what exists cannot be replaced in it. */
status target_check_replace(const target *t, const char *path);

/* *p = the hidden folder for its temporary: beside the target, or in TMPDIR or /tmp for a mount
 * point whose folder cannot be written. */
status target_partial(partial **p, const target *t, const char *shown);

#endif
