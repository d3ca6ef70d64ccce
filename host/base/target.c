/* Where an output is written. See target.h. */
#include "base/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* folder = the part of path before the last slash, or "." */
static status folder_of(char folder[TARGET_PATH], const char *path)
{
    const char *slash = strrchr(path, '/');
    int n = !slash ? 1 : slash == path ? 1 : (int)(slash - path);
    int used = snprintf(folder, TARGET_PATH, "%.*s", n, slash ? path : ".");
    if (used < 0 || used >= TARGET_PATH) return fail(ERR_LIMIT, "%.80s...: path too long", path);
    return OK;
}

static status copy(char out[TARGET_PATH], const char *path)
{
    if (strlen(path) >= TARGET_PATH) return fail(ERR_LIMIT, "%.80s...: path too long", path);
    memcpy(out, path, strlen(path) + 1);
    return OK;
}

/* Follows links: path becomes the last link's target. *links = the number of links. */
static status follow(char path[TARGET_PATH], int *links, const char *shown)
{
    enum { MOST_LINKS = 40 }; /* the limit of Linux */
    char link[TARGET_PATH], folder[TARGET_PATH];
    for (*links = 0; *links < MOST_LINKS; ++*links) {
        ssize_t n = readlink(path, link, sizeof link - 1);
        if (n < 0) return OK; /* not a link, or does not exist */
        link[n] = 0;
        status st = folder_of(folder, path);
        if (st == OK)
            st = *link == '/' ? copy(path, link) : file_join(path, TARGET_PATH, folder, link);
        if (st != OK) return st;
    }
    return fail(ERR_FILE, "%s: %s", shown, strerror(ELOOP));
}

#ifdef STATX_ATTR_MOUNT_ROOT
/* The attributes of path (not followed if it is a link). *known = those that the file system
 * reports. */
static uint64_t attributes(const char *path, uint64_t *known)
{
    struct statx info;
    *known = 0;
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &info) != 0) return 0;
    *known = info.stx_attributes_mask;
    return info.stx_attributes & info.stx_attributes_mask;
}
#else
enum { STATX_ATTR_MOUNT_ROOT = 1, STATX_ATTR_IMMUTABLE = 2, STATX_ATTR_APPEND = 4 };
static uint64_t attributes(const char *path, uint64_t *known)
{
    (void)path;
    return *known = 0;
}
#endif

/* A file can be a mount point: containers bind-mount single files. */
static bool is_mount_point(const target *t)
{
    uint64_t known, has = attributes(t->path, &known);
    if (known & STATX_ATTR_MOUNT_ROOT) return has & STATX_ATTR_MOUNT_ROOT;
    return t->file.st_dev != t->folder_is.st_dev; /* before Linux 5.8 */
}

/* A link in /proc, such as that of /dev/stdout, may lead to a file that has no name any more. */
static bool is_same_file(const target *t, const char *path)
{
    struct stat file;
    if (stat(path, &file) != 0) return !t->exists;
    return t->exists && file.st_dev == t->file.st_dev && file.st_ino == t->file.st_ino;
}

status target_find(target *t, const char *path)
{
    status st = OK;
    int links;
    *t = (target){0};
    if (!*path) TRY(fail(ERR_FILE, "the output name is empty"));
    TRY(copy(t->path, path));
    TRY(follow(t->path, &links, path));
    TRY(folder_of(t->folder, t->path));
    t->name = file_last_part(t->path);
    if (stat(t->folder, &t->folder_is) != 0)
        TRY(fail(ERR_FILE, "%s: cannot write: folder %s: %s", path, t->folder, strerror(errno)));
    if (!S_ISDIR(t->folder_is.st_mode))
        TRY(fail(ERR_FILE, "%s: cannot write: %s is not a folder", path, t->folder));
    t->exists = lstat(t->path, &t->file) == 0;
    if (!t->exists && errno == ENAMETOOLONG)
        TRY(fail(ERR_LIMIT, "%.80s...: file name too long", path));
    if (!t->exists && errno != ENOENT)
        TRY(fail(ERR_FILE, "%s: cannot write: %s", path, strerror(errno)));
    /* without links, a file that differs is one that another process just replaced */
    if ((links && !is_same_file(t, path)) ||
        (t->exists && !S_ISREG(t->file.st_mode) && !S_ISDIR(t->file.st_mode)))
        TRY(fail(ERR_FILE, "%s: is a device or pipe, expected a file name", path));
    t->in_place = t->exists && is_mount_point(t);
done:
    return st;
}

status target_check_replace(const target *t, const char *path)
{
    uint64_t known;
    if (faccessat(AT_FDCWD, t->folder, W_OK | X_OK, AT_EACCESS) != 0)
        return fail(ERR_FILE, "%s: cannot write: folder %s: %s", path, t->folder, strerror(errno));
    if (attributes(t->folder, &known) & STATX_ATTR_APPEND)
        return fail(ERR_FILE, "%s: cannot write: folder %s accepts only new files (chattr +a)",
                    path, t->folder);
    if (t->exists && t->folder_is.st_mode & S_ISVTX && geteuid() != 0 &&
        t->file.st_uid != geteuid() && t->folder_is.st_uid != geteuid()) {
        fail(ERR_FILE,
             "%s: cannot write: it belongs to another user, and in a sticky folder only its owner "
             "can replace it",
             path);
        fail_hint("choose another name");
        return ERR_FILE;
    }
    return OK;
}

status target_check_file(const target *t, const char *path)
{
    uint64_t known;
    status st = OK;
    if (path[strlen(path) - 1] == '/' || !*t->name || (t->exists && S_ISDIR(t->file.st_mode)))
        return fail(ERR_FILE, "%s: is a folder, expected a file name", path);
    if (t->exists && attributes(t->path, &known) & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
        return fail(ERR_FILE, "%s: cannot write: is immutable (chattr +i or +a)", path);
    if (!t->in_place) TRY(target_check_replace(t, path));
    if (t->exists && (!(t->file.st_mode & 0222) ||
                      (faccessat(AT_FDCWD, t->path, W_OK, AT_EACCESS) != 0 && errno == EACCES))) {
        bool mine = t->file.st_uid == geteuid() || geteuid() == 0;
        st = fail(ERR_FILE, "%s: cannot write: is write-protected%s (mode %03o)", path,
                  mine ? "" : " by another user", (unsigned)t->file.st_mode & 0777);
        fail_hint("%schoose another name", mine ? "run chmod u+w to allow replacing it, or " : "");
        goto done;
    }
    if (t->in_place && faccessat(AT_FDCWD, t->path, W_OK, AT_EACCESS) != 0)
        st = fail(ERR_FILE, "%s: cannot write: %s", path, strerror(errno));
done:
    return st;
}

status target_partial(partial **p, const target *t, const char *shown)
{
    const char *top = getenv("TMPDIR");
    status st = partial_open(p, t->folder, shown);
    if (st == OK || !t->in_place) return st;
    fail_clear();
    return partial_open(p, top && *top ? top : "/tmp", shown);
}
