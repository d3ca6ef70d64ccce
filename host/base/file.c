/* Files: reading, and names. See file.h. Writing is in file_out.c. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

/* ---- reading ---- */

static _Thread_local bool copies;

void file_map_copies(bool on)
{
    copies = on;
}

/* data stays null if the file system cannot map files (ENODEV) or address space runs out. */
static void try_map(file_map *map, int fd)
{
    errno = ENODEV;
    if (copies) return;
    void *data = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data != MAP_FAILED) map->data = data;
}

/* Reads the bytes of the file up to `end` that are not in memory yet. */
static status read_to(file_map *map, size_t end, const char *path)
{
    enum { PIECE = 1 << 26 };
    double pages = (double)sysconf(_SC_PHYS_PAGES), page = (double)sysconf(_SC_PAGESIZE);
    if (pages > 0 && (double)end > pages * page)
        return fail(ERR_MEMORY, "%s: cannot be mapped here, and its %zu bytes do not fit memory",
                    path, map->size);
    while (map->held < end) {
        size_t left = end - map->held;
        ssize_t got =
            pread(map->fd, map->copy + map->held, left < PIECE ? left : PIECE, (off_t)map->held);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(ERR_FILE, "%s: %s", path, strerror(errno));
        if (got == 0)
            return fail(ERR_FILE, "%s: became shorter while it was read: %zu bytes, expected %zu",
                        path, map->held, map->size);
        map->held += (size_t)got;
    }
    return OK;
}

/* Reserves addresses for the whole file, which cannot be mapped. Pages are used only as far as the
 * file is read. */
static status make_room(file_map *map, const char *path, int reason)
{
    void *room = mmap(NULL, map->size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return fail(ERR_MEMORY, "%s: cannot be mapped (%s), and its %zu bytes do not fit memory",
                    path, strerror(reason), map->size);
    map->copy = room;
    map->data = room;
    return OK;
}

static status open_regular(int *fd, size_t *size, const char *path)
{
    struct stat info;
    /* O_NONBLOCK: opening a pipe without a writer must not block */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 || fstat(*fd, &info) != 0) return fail(ERR_FILE, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return fail(ERR_FILE, "%s: is %s, expected a file", path,
                    S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
    if ((uintmax_t)info.st_size > SIZE_MAX)
        return fail(ERR_LIMIT, "%s: is larger than memory can address", path);
    *size = (size_t)info.st_size;
    return OK;
}

status file_map_begin(file_map *map, const char *path, size_t head)
{
    status st = OK;
    *map = (file_map){.fd = -1};
    TRY(open_regular(&map->fd, &map->size, path));
    if (map->size) try_map(map, map->fd);
    if (map->size && !map->data) {
        TRY(make_room(map, path, errno));
        TRY(read_to(map, head < map->size ? head : map->size, path));
        /* the descriptor stays open for the rest of the file */
        if (map->held < map->size) return OK;
    }
    map->held = map->size;
done:
    if (map->fd >= 0) close(map->fd);
    map->fd = -1;
    if (st != OK) file_map_close(map);
    return st;
}

status file_map_rest(file_map *map, const char *path)
{
    if (map->held == map->size) return OK;
    status st = read_to(map, map->size, path);
    close(map->fd);
    map->fd = -1;
    if (st != OK) file_map_close(map);
    return st;
}

status file_map_open(file_map *map, const char *path)
{
    return file_map_begin(map, path, SIZE_MAX);
}

void file_map_close(file_map *map)
{
    if (map->held < map->size && map->fd >= 0) close(map->fd);
    if (map->data) munmap((void *)map->data, map->size);
    *map = (file_map){0};
}

void file_map_forget(const file_map *map, const unsigned char *data, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), first = (size_t)(data - map->data);
    /* the page may also hold earlier bytes, which are read again */
    size_t begin = first / page * page;
    if (map->copy) return; /* a copy cannot be read again */
    if (size) madvise((void *)(map->data + begin), first + size - begin, MADV_DONTNEED);
}

/* True if the file begins with a byte order mark, or if its first character has two bytes. */
static bool is_utf_16(const file_map *map)
{
    const unsigned char *p = map->data;
    return map->size > 1 &&
           ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff) || !p[0] != !p[1]);
}

status file_read_text(char **out, const char *path, size_t limit)
{
    file_map map;
    status st = OK;
    *out = NULL;
    TRY(file_map_begin(&map, path, 0));
    if (map.size > limit)
        TRY(fail(ERR_FORMAT, "%s: %zu bytes, expected at most %zu", path, map.size, limit));
    TRY(file_map_rest(&map, path));
    if (map.size && memchr(map.data, 0, map.size))
        TRY(fail(ERR_FORMAT, "%s: %s, expected text in UTF-8", path,
                 is_utf_16(&map) ? "is UTF-16" : "holds a NUL byte"));
    TRY(memory_alloc(out, map.size + 1, 1));
    if (map.size) memcpy(*out, map.data, map.size);
done:
    file_map_close(&map);
    return st;
}

/* ---- names ---- */

bool file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool file_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool file_is_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

const char *file_last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

status file_join(char *out, size_t size, const char *folder, const char *name)
{
    size_t n = strlen(folder);
    const char *slash = n && folder[n - 1] == '/' ? "" : "/";
    int used = snprintf(out, size, "%s%s%s", folder, slash, name);
    if (used < 0 || (size_t)used >= size) return fail(ERR_LIMIT, "%.80s...: path too long", folder);
    return OK;
}

/* ---- the user's folders ---- */

status file_user_folder(char *out, size_t size, user_folder which)
{
    static const struct {
        const char *variable, *below_home;
    } places[] = {[FOLDER_CACHE] = {"XDG_CACHE_HOME", ".cache"},
                  [FOLDER_CONFIG] = {"XDG_CONFIG_HOME", ".config"}};
    char top[4096];
    const char *named = getenv(places[which].variable), *home = getenv("HOME");
    /* a relative path is ignored */
    if (named && *named == '/') return file_join(out, size, named, "ditcl");
    if (!home || *home != '/')
        return fail(ERR_FILE, "neither %s nor HOME names a folder", places[which].variable);
    status st = file_join(top, sizeof top, home, places[which].below_home);
    return st == OK ? file_join(out, size, top, "ditcl") : st;
}

status file_make_folders(const char *path)
{
    char *copy;
    status st = memory_strdup(&copy, path);
    if (st != OK) return st;
    for (char *at = copy + 1; st == OK; at++) {
        at += strcspn(at, "/");
        char end = *at;
        *at = 0;
        int reason = mkdir(copy, 0700) != 0 ? errno : 0;
        if (reason && !file_is_folder(copy))
            st = fail(ERR_FILE, "%s: cannot create this folder: %s", copy, strerror(reason));
        if (!end) break;
        *at = '/';
    }
    free(copy);
    return st;
}
