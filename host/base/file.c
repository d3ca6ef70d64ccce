/* Files. See file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

status file_map_open(file_map *map, const char *path)
{
    *map = (file_map){0};
    /* O_NONBLOCK: opening a pipe that nobody writes to must not hang */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
        int reason = errno;
        if (fd >= 0) close(fd);
        return fail(ERR_FILE, "%s: %s", path, strerror(reason));
    }
    if (!S_ISREG(info.st_mode)) {
        close(fd);
        return fail(ERR_FILE, "%s: is %s, expected a file", path,
                    S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
    }
    void *data = NULL;
    if (info.st_size > 0)
        data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    int reason = errno;
    close(fd);
    if (data == MAP_FAILED) return fail(ERR_FILE, "%s: %s", path, strerror(reason));
    map->data = data;
    map->size = (size_t)info.st_size;
    return OK;
}

void file_map_close(file_map *map)
{
    if (map->data) munmap((void *)map->data, map->size);
    *map = (file_map){0};
}

void file_map_forget(const file_map *map, const unsigned char *data, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), first = (size_t)(data - map->data);
    size_t begin = first / page * page; /* neighbours on the same page are read again */
    if (size) madvise((void *)(map->data + begin), first + size - begin, MADV_DONTNEED);
}

/* A byte order mark, or what ASCII's first character would be. */
static bool is_utf_16(const file_map *map)
{
    const unsigned char *p = map->data;
    return map->size > 1 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff) ||
                             !p[0] != !p[1]);
}

status file_read_text(char **out, const char *path, size_t limit)
{
    file_map map;
    *out = NULL;
    status st = file_map_open(&map, path);
    if (st != OK) return st;
    if (map.size > limit)
        st = fail(ERR_FORMAT, "%s: %zu bytes, expected at most %zu", path, map.size, limit);
    else if (map.size && memchr(map.data, 0, map.size))
        st = fail(ERR_FORMAT, "%s: %s, expected text in UTF-8", path,
                  is_utf_16(&map) ? "is UTF-16" : "holds a NUL byte");
    if (st == OK) st = memory_alloc(out, map.size + 1, 1);
    if (st == OK && map.size) memcpy(*out, map.data, map.size);
    file_map_close(&map);
    return st;
}

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

status file_join(char *out, size_t size, const char *folder, const char *name)
{
    size_t n = strlen(folder);
    const char *slash = n && folder[n - 1] == '/' ? "" : "/";
    int used = snprintf(out, size, "%s%s%s", folder, slash, name);
    if (used < 0 || (size_t)used >= size)
        return fail(ERR_LIMIT, "%.80s...: path too long", folder);
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
    if (named && *named == '/') return file_join(out, size, named, "ditcl"); /* relative: ignored */
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
        if (mkdir(copy, 0700) != 0 && !file_is_folder(copy))
            st = fail(ERR_FILE, "%s: cannot make this folder: %s", copy, strerror(errno));
        if (!end) break;
        *at = '/';
    }
    free(copy);
    return st;
}

/* ---- writing ---- */

/* The handler may run between any two instructions: entries are published by the count alone, and
 * the table only grows with signals blocked. */
static char **temporaries;
static size_t temporaries_capacity;
static volatile sig_atomic_t n_temporaries;

/* Set while a thread changes the table or renames: the handler may run in another thread, one of an
 * OpenCL runtime, and waits. The holder itself has its signals blocked, so that ends. */
static volatile sig_atomic_t holding;

static const int guarded_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { N_GUARDED = sizeof guarded_signals / sizeof *guarded_signals };

static sigset_t hold_signals(void)
{
    sigset_t held, before;
    sigemptyset(&held);
    for (int i = 0; i < N_GUARDED; i++) sigaddset(&held, guarded_signals[i]);
    pthread_sigmask(SIG_BLOCK, &held, &before);
    holding = 1;
    return before;
}

static void release_signals(sigset_t before)
{
    holding = 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void leave(int signal_number)
{
    while (holding) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (int i = 0; i < (int)n_temporaries; i++)
        if (temporaries[i]) unlink(temporaries[i]);
    for (int i = (int)n_temporaries - 1; i >= 0; i--) /* folders, which are empty now */
        if (temporaries[i]) rmdir(temporaries[i]);
    static const char interrupted[] = "\nditcl: interrupted\n";
    static const char shrunk[] = "\nditcl: a file became shorter while it was read: run this again "
                                 "when nobody writes to it\n";
    bool lost = signal_number == SIGBUS;
    ssize_t ignored = write(STDERR_FILENO, lost ? shrunk : interrupted,
                            (lost ? sizeof shrunk : sizeof interrupted) - 1);
    (void)ignored;
    _exit(lost ? 1 : 128 + signal_number);
}

void file_guard_signals(void)
{
    struct sigaction action = {.sa_handler = leave};
    for (int i = 0; i < N_GUARDED; i++) {
        struct sigaction before;
        sigaction(guarded_signals[i], NULL, &before);
        /* nohup asked for that */
        if (guarded_signals[i] == SIGHUP && before.sa_handler == SIG_IGN) continue;
        sigaction(guarded_signals[i], &action, NULL);
    }
    sigaction(SIGBUS, &action, NULL); /* what reading a mapping behind its file's end raises */
}

static status register_temporary(char *path)
{
    status st = memory_grow(&temporaries, &temporaries_capacity, (size_t)n_temporaries + 1,
                            sizeof *temporaries);
    if (st != OK) return st;
    temporaries[n_temporaries] = path;
    n_temporaries = n_temporaries + 1;
    return OK;
}

static void forget_temporary(const char *path)
{
    int last = (int)n_temporaries - 1;
    for (int i = last; i >= 0; i--) {
        if (temporaries[i] != path) continue;
        temporaries[i] = temporaries[last];
        n_temporaries = last;
        return;
    }
}

/* folder = the part of path before the last slash, or "." */
static status folder_of(char *folder, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');
    int n = !slash ? 1 : slash == path ? 1 : (int)(slash - path);
    int used = snprintf(folder, size, "%.*s", n, slash ? path : ".");
    if (used < 0 || (size_t)used >= size)
        return fail(ERR_LIMIT, "%.80s...: path too long", path);
    return OK;
}

status file_out_check(const char *path)
{
    char folder[4096];
    struct stat info;
    status st = folder_of(folder, sizeof folder, path);
    if (st != OK) return st;
    size_t n = strlen(path);
    if (n == 0) return fail(ERR_FILE, "the output name is empty");
    if (stat(folder, &info) != 0)
        return fail(ERR_FILE, "%s: cannot write: folder %s: %s", path, folder, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return fail(ERR_FILE, "%s: cannot write: %s is not a folder", path, folder);
    if (path[n - 1] == '/' || file_is_folder(path))
        return fail(ERR_FILE, "%s: is a folder, expected a file name", path);
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return fail(ERR_FILE, "%s: is a device or pipe, expected a file name", path);
    if (access(folder, W_OK | X_OK) != 0)
        return fail(ERR_FILE, "%s: cannot write: folder %s: %s", path, folder, strerror(errno));
    const char *slash = strrchr(path, '/');
    if (strlen(slash ? slash + 1 : path) > 200)
        return fail(ERR_LIMIT, "%.80s...: file name too long", path);
    return OK;
}

/* The folder of path is known to be there. */
static status open_at(file_out *out, const char *path, const char *shown)
{
    status st = OK;
    size_t n = strlen(path);
    *out = (file_out){0};
    TRY(memory_strdup(&out->path, path));
    TRY(memory_strdup(&out->shown, shown));
    TRY(memory_alloc(&out->temporary, n + 32, 1));
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    snprintf(out->temporary, n + 32, "%.*s.%s.XXXXXX", folder, path, path + folder);
    sigset_t before = hold_signals();
    int fd = mkstemp(out->temporary);
    if (fd < 0) {
        st = fail(ERR_FILE, "%s: cannot write: %s", shown, strerror(errno));
        free(out->temporary);
        out->temporary = NULL;
    } else {
        mode_t mask = umask(0);
        umask(mask);
        fchmod(fd, 0666 & ~mask);
        st = register_temporary(out->temporary);
        if (st == OK && !(out->stream = fdopen(fd, "wb")))
            st = fail(ERR_FILE, "%s: cannot write: %s", shown, strerror(errno));
        if (!out->stream) close(fd);
    }
    release_signals(before);
done:
    if (st != OK) file_out_discard(out);
    return st;
}

status file_out_open(file_out *out, const char *path)
{
    *out = (file_out){0};
    status st = file_out_check(path);
    return st == OK ? open_at(out, path, path) : st;
}

status file_out_finish(file_out *out)
{
    errno = EIO; /* where a write failed long ago */
    int bad = ferror(out->stream) | fflush(out->stream);
    if (!bad && fsync(fileno(out->stream)) != 0 && errno != EINVAL && errno != EROFS) bad = 1;
    int reason = errno;
    if (fclose(out->stream) != 0) {
        if (!bad) reason = errno;
        bad = 1;
    }
    out->stream = NULL;
    if (bad) return fail(ERR_FILE, "%s: cannot write: %s", out->shown, strerror(reason));
    return OK;
}

/* With signals held back. */
static status rename_outs(file_out *outs, size_t n)
{
    for (size_t i = n; i-- > 0;) { /* the last one is found first, however many there are */
        if (rename(outs[i].temporary, outs[i].path) != 0)
            return fail(ERR_FILE, "%s: cannot write: %s", outs[i].shown, strerror(errno));
        forget_temporary(outs[i].temporary);
        free(outs[i].temporary);
        outs[i].temporary = NULL;
    }
    return OK;
}

status file_out_commit(file_out *outs, size_t n)
{
    sigset_t before = hold_signals();
    status st = rename_outs(outs, n);
    release_signals(before);
    return st;
}

void file_out_discard(file_out *out)
{
    sigset_t before = hold_signals();
    if (out->stream) fclose(out->stream);
    if (out->temporary) {
        unlink(out->temporary);
        forget_temporary(out->temporary);
        free(out->temporary);
    }
    free(out->path);
    free(out->shown);
    *out = (file_out){0};
    release_signals(before);
}

/* ---- a folder ---- */

/* Not there, or a folder without anything in it. */
static status check_new(const char *path)
{
    int n = 0;
    struct stat info;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (!strcmp(name, ".") || !strcmp(name, "..")) /* nothing can be renamed to these */
        return fail(ERR_FILE, "%s: is there already, expected a new folder's name", path);
    DIR *folder = opendir(path);
    if (!folder && lstat(path, &info) != 0) return OK; /* a link to nowhere is there, too */
    if (!folder) return fail(ERR_FILE, "%s: is there already, expected a new folder's name", path);
    for (struct dirent *e; (e = readdir(folder)) && n < 3;) n++;
    closedir(folder);
    if (n <= 2) return OK; /* itself and the one above */
    return fail(ERR_FILE, "%s: is there already and not empty, expected a new folder's name", path);
}

/* Makes the folder, by mkdtemp where unique, and registers it. shown: for messages. */
static status make_folder(char *path, bool unique, const char *shown)
{
    mode_t mask = umask(0);
    umask(mask);
    bool made = unique ? mkdtemp(path) != NULL && chmod(path, 0777 & ~mask) == 0
                       : mkdir(path, 0777) == 0;
    if (!made) return fail(ERR_FILE, "%s: cannot write: %s", shown, strerror(errno));
    status st = register_temporary(path);
    if (st != OK) rmdir(path);
    return st;
}

status folder_out_open(folder_out *out, const char *path)
{
    char folder[4096];
    status st = OK;
    size_t n = strlen(path);
    *out = (folder_out){0};
    while (n > 1 && path[n - 1] == '/') n--;
    TRY(memory_strdup(&out->path, path));
    out->path[n] = 0;
    const char *slash = strrchr(out->path, '/');
    size_t before = slash ? (size_t)(slash - out->path) + 1 : 0;
    if (n == 0) TRY(fail(ERR_FILE, "the output name is empty"));
    if (n - before > 200) TRY(fail(ERR_LIMIT, "%.80s...: file name too long", path));
    TRY(check_new(out->path));
    TRY(folder_of(folder, sizeof folder, out->path));
    if (!file_is_folder(folder) || access(folder, W_OK | X_OK) != 0)
        TRY(fail(ERR_FILE, "%s: cannot write: folder %s: %s", out->path, folder,
                 file_exists(folder) && !file_is_folder(folder) ? "is none" : strerror(errno)));
    TRY(memory_alloc(&out->temporary, n + 32, 1));
    snprintf(out->temporary, n + 32, "%.*s.%s.XXXXXX", (int)before, out->path, out->path + before);
    sigset_t signals = hold_signals();
    st = make_folder(out->temporary, true, out->path);
    release_signals(signals);
    if (st != OK) {
        free(out->temporary);
        out->temporary = NULL;
    }
done:
    if (st != OK) folder_out_discard(out);
    return st;
}

status folder_out_add(folder_out *out, const char *name)
{
    char path[4096], *copy = NULL;
    status st = out->n_parts < FOLDER_PARTS ? file_join(path, sizeof path, out->temporary, name)
                                            : fail(ERR_LIMIT, "%s: too many folders", out->path);
    if (st == OK) st = memory_strdup(&copy, path);
    if (st != OK) return st;
    sigset_t signals = hold_signals();
    st = make_folder(copy, false, out->path);
    if (st == OK) out->parts[out->n_parts++] = copy;
    else free(copy);
    release_signals(signals);
    return st;
}

status folder_out_file(const folder_out *out, file_out *file, int part, const char *name)
{
    char path[4096], shown[4096];
    const char *folder = part < 0 ? out->temporary : out->parts[part];
    *file = (file_out){0};
    status st = file_join(path, sizeof path, folder, name);
    size_t hidden = strlen(out->temporary);
    if (st == OK) st = file_join(shown, sizeof shown, out->path, path + hidden + 1);
    return st == OK ? open_at(file, path, shown) : st;
}

/* The folders are no temporaries any more. */
static void forget_folder(folder_out *out)
{
    for (int i = 0; i < out->n_parts; i++) forget_temporary(out->parts[i]);
    forget_temporary(out->temporary);
    free(out->temporary);
    out->temporary = NULL;
}

status folder_out_commit(folder_out *out, file_out *outs, size_t n)
{
    sigset_t before = hold_signals();
    status st = rename_outs(outs, n);
    if (st == OK && rename(out->temporary, out->path) != 0)
        st = fail(ERR_FILE, "%s: cannot write: %s", out->path, strerror(errno));
    for (size_t i = 0; st != OK && i < n; i++)
        if (!outs[i].temporary) unlink(outs[i].path);
    if (st == OK) forget_folder(out);
    release_signals(before);
    return st;
}

void folder_out_discard(folder_out *out)
{
    sigset_t before = hold_signals();
    for (int i = out->n_parts - 1; out->temporary && i >= 0; i--) rmdir(out->parts[i]);
    if (out->temporary) {
        rmdir(out->temporary);
        forget_folder(out);
    }
    for (int i = 0; i < out->n_parts; i++) free(out->parts[i]);
    free(out->path);
    *out = (folder_out){0};
    release_signals(before);
}
