/* Simulates limited file systems and full disks: a shared object for LD_PRELOAD. FILE_FAULTS lists
 * calls, each with an errno and a text. Such a call fails for paths that contain the text:
 *
 *     LD_PRELOAD=libfile_faults.so FILE_FAULTS='write ENOSPC .png; mmap ENODEV .npy' ditcl ...
 *
 * Calls: write, pread, fsync, close, rename (by its new name), fchmod, fchown, mmap, mkdir. With
 * SHORT instead of an errno, write, and pread at a file's end, transfer less than was requested. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHORT = -1 };

static const struct {
    const char *name;
    int value;
} errnos[] = {{"SHORT", SHORT},           {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EIO", EIO},
              {"EINTR", EINTR},           {"EINVAL", EINVAL}, {"ENOSYS", ENOSYS}, {"EROFS", EROFS},
              {"EOPNOTSUPP", EOPNOTSUPP}, {"EBUSY", EBUSY},   {"EXDEV", EXDEV},   {"EPERM", EPERM},
              {"EACCES", EACCES},         {"ENODEV", ENODEV}, {"ENOMEM", ENOMEM}};

static int errno_of(const char *name)
{
    for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++)
        if (!strcmp(errnos[i].name, name)) return errnos[i].value;
    fprintf(stderr, "FILE_FAULTS: unknown errno %s\n", name);
    _exit(99);
}

/* The errno that this call fails with, or 0. */
static int fault(const char *call, const char *path)
{
    char all[1000], *rest, name[20], reason[20], part[200];
    const char *given = getenv("FILE_FAULTS");
    snprintf(all, sizeof all, "%s", given ? given : "");
    for (char *one = strtok_r(all, ";", &rest); one; one = strtok_r(NULL, ";", &rest))
        if (sscanf(one, " %19s %19s %199s", name, reason, part) == 3 && !strcmp(name, call) &&
            strstr(path, part))
            return errno_of(reason);
    return 0;
}

static int fault_at(const char *call, int fd)
{
    char link[40], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    return n > 0 ? fault(call, path) : 0;
}

/* dlsym: ISO C has no conversion of a pointer to a function, POSIX demands it */
#pragma GCC diagnostic ignored "-Wpedantic"
#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *data, size_t n)
{
    int reason = fault_at("write", fd);
    if (reason > 0) {
        errno = reason;
        return -1;
    }
    if (reason == SHORT && n > 7) n = 7;
    return REAL(ssize_t(*)(int, const void *, size_t), "write")(fd, data, n);
}

ssize_t pread(int fd, void *data, size_t n, off_t at)
{
    int reason = fault_at("pread", fd);
    if (reason > 0) {
        errno = reason;
        return -1;
    }
    struct stat info;
    if (reason == SHORT && fstat(fd, &info) == 0 && at + (off_t)n >= info.st_size)
        n = at + 1 < info.st_size ? (size_t)(info.st_size - at - 1) : 0;
    return REAL(ssize_t(*)(int, void *, size_t, off_t), "pread")(fd, data, n, at);
}

int fsync(int fd)
{
    errno = fault_at("fsync", fd);
    return errno ? -1 : REAL(int (*)(int), "fsync")(fd);
}

int close(int fd)
{
    int reason = fault_at("close", fd), done = REAL(int (*)(int), "close")(fd);
    if (reason) errno = reason;
    return reason ? -1 : done;
}

int rename(const char *from, const char *to)
{
    errno = fault("rename", to);
    return errno ? -1 : REAL(int (*)(const char *, const char *), "rename")(from, to);
}

int fchmod(int fd, mode_t mode)
{
    errno = fault_at("fchmod", fd);
    return errno ? -1 : REAL(int (*)(int, mode_t), "fchmod")(fd, mode);
}

int fchown(int fd, uid_t user, gid_t group)
{
    errno = fault_at("fchown", fd);
    return errno ? -1 : REAL(int (*)(int, uid_t, gid_t), "fchown")(fd, user, group);
}

int mkdir(const char *path, mode_t mode)
{
    errno = fault("mkdir", path);
    return errno ? -1 : REAL(int (*)(const char *, mode_t), "mkdir")(path, mode);
}

void *mmap(void *at, size_t n, int access, int flags, int fd, off_t offset)
{
    int reason = fd >= 0 ? fault_at("mmap", fd) : 0;
    if (reason) {
        errno = reason;
        return MAP_FAILED;
    }
    return REAL(void *(*)(void *, size_t, int, int, int, off_t), "mmap")(at, n, access, flags, fd,
                                                                         offset);
}
