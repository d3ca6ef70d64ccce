/* What an output's name leads to, and whether the file there can be replaced. */
#ifndef DITCL_BASE_TARGET_H
#define DITCL_BASE_TARGET_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/partial.h"
#include "base/status.h"

enum { TARGET_PATH = 4096 };

typedef struct {
    char path[TARGET_PATH];   /* links are followed; its last part is no link */
    char folder[TARGET_PATH]; /* the part of path before its last slash, or "." */
    const char *name;         /* the last part */
    bool exists;
    bool in_place;              /* a mount point: nothing can be renamed to it */
    struct stat file, folder_is; /* file: where it exists */
} target;

/* Follows the links of path and looks at what is there: nothing, a regular file, or a folder. */
status target_find(target *t, const char *path);
/* It is no folder, and can be replaced: the file is not protected, its folder can be written. */
status target_check_file(const target *t, const char *path);
/* The folder can be written, and what is there can be replaced in it. */
status target_check_replace(const target *t, const char *path);

/* The hidden folder of its temporary: beside it; for a mount point in a folder that cannot be
 * written, in TMPDIR or /tmp. */
status target_partial(partial **p, const target *t, const char *shown);

#endif
