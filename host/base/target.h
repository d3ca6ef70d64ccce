/* The file that an output's name leads to, and whether it can be replaced. */
#ifndef DITCL_BASE_TARGET_H
#define DITCL_BASE_TARGET_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/partial.h"
#include "base/status.h"

enum { TARGET_PATH = 4096 };

typedef struct {
    char path[TARGET_PATH];   /* after links; its last part is not a link */
    char folder[TARGET_PATH]; /* the part of path before its last slash, or "." */
    const char *name;         /* the last part */
    bool exists;
    bool in_place;               /* a mount point, which rename() cannot replace */
    struct stat file, folder_is; /* file: valid if it exists */
} target;

/* Follows the links of path. Fails unless they lead to nothing, a regular file or a folder. */
status target_find(target *t, const char *path);
/* Fails if the target is a folder, if the file is write-protected, or if its folder cannot be
 * written. */
status target_check_file(const target *t, const char *path);
/* Fails if the folder cannot be written, or if an existing entry in it cannot be replaced. */
status target_check_replace(const target *t, const char *path);

/* *p = the hidden folder for the target's temporary: beside the target; for a mount point in a
 * folder that cannot be written, in TMPDIR or /tmp. */
status target_partial(partial **p, const target *t, const char *shown);

#endif
