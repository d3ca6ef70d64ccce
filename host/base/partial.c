/* Unfinished outputs, and signals that remove them. See partial.h. */
#include "base/partial.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

/* ---- signals ---- */

/* Threads take turns with what follows. Functions that hold the lock call others that take it. */
static pthread_mutex_t turn = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

/* The handler may run between any two instructions. n_temporaries publishes the entries, and the
 * table grows only while signals are blocked. */
static char **temporaries;
static size_t temporaries_capacity;
static volatile sig_atomic_t n_temporaries;

/* Set while a thread changes the table or renames files. The handler may run in another thread,
 * such as one of an OpenCL runtime; it waits for `holding` to clear. The thread that set it has its
 * signals blocked, so the wait ends. */
static volatile sig_atomic_t holding;

static const int guarded_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { N_GUARDED = sizeof guarded_signals / sizeof *guarded_signals };

sigset_t signals_hold(void)
{
    sigset_t held, before;
    pthread_mutex_lock(&turn);
    sigemptyset(&held);
    for (int i = 0; i < N_GUARDED; i++) sigaddset(&held, guarded_signals[i]);
    pthread_sigmask(SIG_BLOCK, &held, &before);
    holding = 1;
    return before;
}

void signals_release(sigset_t before)
{
    holding = 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_unlock(&turn);
}

static void leave(int signal_number)
{
    while (holding) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (int i = 0; i < (int)n_temporaries; i++)
        if (temporaries[i]) unlink(temporaries[i]);
    for (int i = (int)n_temporaries - 1; i >= 0; i--) /* their files were removed above */
        if (temporaries[i]) rmdir(temporaries[i]);
    static const char interrupted[] = "\nditcl: interrupted\n";
    static const char shrunk[] = "\nditcl: a file became shorter while it was read: run this again "
                                 "when no program writes to it\n";
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
        /* nohup has set SIGHUP to be ignored */
        if (guarded_signals[i] == SIGHUP && before.sa_handler == SIG_IGN) continue;
        sigaction(guarded_signals[i], &action, NULL);
    }
    sigaction(SIGBUS, &action, NULL); /* raised by reading a mapping beyond the end of its file */
    signal(SIGXFSZ, SIG_IGN);         /* write() returns EFBIG instead */
}

status partial_register(char *path)
{
    pthread_mutex_lock(&turn);
    status st = memory_grow(&temporaries, &temporaries_capacity, (size_t)n_temporaries + 1,
                            sizeof *temporaries);
    if (st == OK) {
        temporaries[n_temporaries] = path;
        n_temporaries = n_temporaries + 1;
    }
    pthread_mutex_unlock(&turn);
    return st;
}

/* The other entries keep their order: a folder stands before its files. */
void partial_forget(const char *path)
{
    pthread_mutex_lock(&turn);
    int last = (int)n_temporaries - 1, i = last;
    while (i >= 0 && temporaries[i] != path) i--; /* callers mostly forget the newest entry */
    for (int j = i; i >= 0 && j < last; j++) temporaries[j] = temporaries[j + 1];
    if (i >= 0) n_temporaries = last;
    pthread_mutex_unlock(&turn);
}

/* ---- names ---- */

static const char hidden[] = ".ditcl-partial-", visible[] = "ditcl-kept-";
enum { BOOT = 8, RANDOM = 6, NAME = sizeof hidden - 1 + BOOT + 1 + RANDOM };

/* id = a string that stays the same until this kernel stops, in all its containers; zeros if the
 * kernel has none. */
static void boot_id(char id[BOOT + 1])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, id, BOOT) : 0;
    if (fd >= 0) close(fd);
    for (int i = 0; i < BOOT; i++)
        if (n != BOOT || !isxdigit((unsigned char)id[i])) id[i] = '0';
    id[BOOT] = 0;
}

static bool is_ours(const char *name)
{
    if (strlen(name) != NAME || strncmp(name, hidden, sizeof hidden - 1) != 0) return false;
    const char *boot = name + sizeof hidden - 1, *random = boot + BOOT + 1;
    for (int i = 0; i < BOOT; i++)
        if (!isxdigit((unsigned char)boot[i])) return false;
    for (int i = 0; i < RANDOM; i++)
        if (!isalnum((unsigned char)random[i])) return false;
    return boot[BOOT] == '-';
}

/* ---- folders of killed processes ---- */

static int open_folder(int in, const char *name)
{
    return openat(in, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Removes everything in the folder. A converted model is three folders deep. */
static void empty_folder(int fd, int depth)
{
    int again = depth > 0 ? dup(fd) : -1;
    DIR *folder = again >= 0 ? fdopendir(again) : NULL;
    if (!folder) {
        if (again >= 0) close(again);
        return;
    }
    for (struct dirent *e; (e = readdir(folder));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        if (unlinkat(fd, e->d_name, 0) == 0) continue;
        int below = open_folder(fd, e->d_name);
        if (below < 0) continue;
        empty_folder(below, depth - 1);
        close(below);
        unlinkat(fd, e->d_name, AT_REMOVEDIR);
    }
    closedir(folder);
}

/* True if nobody uses the folder: it belongs to this user, has the form that partial_open makes,
 * and its lock is free. On a network folder the lock of another machine may not be visible, so a
 * folder of another boot must also be unchanged for a week. */
static bool is_stale(int fd, const char *name)
{
    enum { WEEK = 7 * 24 * 3600 };
    char boot[BOOT + 1];
    struct stat info;
    if (fstat(fd, &info) != 0 || info.st_uid != geteuid() || (info.st_mode & 0777) != 0700)
        return false;
    boot_id(boot);
    if (strncmp(name + sizeof hidden - 1, boot, BOOT) != 0 && time(NULL) - info.st_mtime < WEEK)
        return false;
    return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static void remove_stale(const char *path)
{
    enum { DEPTH = 4 };
    DIR *folder = opendir(path);
    if (!folder) return;
    for (struct dirent *e; (e = readdir(folder));) {
        if (!is_ours(e->d_name)) continue;
        int fd = open_folder(dirfd(folder), e->d_name);
        if (fd < 0) continue;
        if (is_stale(fd, e->d_name)) {
            empty_folder(fd, DEPTH);
            unlinkat(dirfd(folder), e->d_name, AT_REMOVEDIR);
        }
        close(fd);
    }
    closedir(folder);
}

/* ---- the hidden folder ---- */

struct partial {
    char *path;
    dev_t device; /* this and inode: the parent folder's */
    ino_t inode;
    int lock;
    size_t users;
    bool kept;
    partial *next;
};

static partial *all;

/* Creates a folder and locks it. Between the two steps another run may have removed it; then the
 * next name is tried. */
static status make_locked(partial *p, const char *folder, const char *shown)
{
    enum { TRIES = 20 };
    char boot[BOOT + 1];
    struct stat now, locked;
    size_t size = strlen(folder) + 1 + NAME + 1;
    boot_id(boot);
    status st = memory_alloc(&p->path, size, 1);
    for (int i = 0; i < TRIES && st == OK; i++) {
        snprintf(p->path, size, "%s/%s%s-XXXXXX", folder, hidden, boot);
        if (!mkdtemp(p->path)) break;
        p->lock = open_folder(AT_FDCWD, p->path);
        bool busy = p->lock >= 0 && flock(p->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!busy && p->lock >= 0 && fstat(p->lock, &locked) == 0 && stat(p->path, &now) == 0 &&
            now.st_ino == locked.st_ino)
            return OK;
        int reason = p->lock < 0 && errno != ENOENT ? errno : EAGAIN;
        if (p->lock >= 0) close(p->lock);
        rmdir(p->path);
        errno = reason;
        if (reason != EAGAIN) break;
    }
    if (st == OK) st = fail(ERR_FILE, "%s: cannot write: %s", shown, strerror(errno));
    return st;
}

static status partial_make(partial **p, const char *folder, const struct stat *in,
                           const char *shown)
{
    static char cleaned[4096]; /* the last folder from which stale folders were removed */
    partial *new = NULL;
    sigset_t before = signals_hold();
    status st = OK;
    if (strcmp(cleaned, folder) != 0) remove_stale(folder);
    text_copy(cleaned, sizeof cleaned, folder);
    TRY(memory_alloc(&new, 1, sizeof *new));
    TRY(make_locked(new, folder, shown));
    new->device = in->st_dev;
    new->inode = in->st_ino;
    st = partial_register(new->path);
    if (st != OK) {
        rmdir(new->path);
        close(new->lock);
        goto done;
    }
    new->next = all;
    all = *p = new;
done:
    if (st != OK && new) {
        free(new->path);
        free(new);
    }
    signals_release(before);
    return st;
}

status partial_open(partial **p, const char *folder, const char *shown)
{
    struct stat in;
    status st = OK;
    *p = NULL;
    if (stat(folder, &in) != 0)
        return fail(ERR_FILE, "%s: cannot write: folder %s: %s", shown, folder, strerror(errno));
    pthread_mutex_lock(&turn);
    for (partial *each = all; each; each = each->next)
        if (each->device == in.st_dev && each->inode == in.st_ino && !each->kept) *p = each;
    if (!*p) st = partial_make(p, folder, &in, shown);
    if (st == OK) (*p)->users++;
    pthread_mutex_unlock(&turn);
    return st;
}

void partial_close(partial *p)
{
    partial **link = &all;
    if (!p) return;
    sigset_t before = signals_hold();
    if (--p->users > 0) {
        signals_release(before);
        return;
    }
    while (*link != p) link = &(*link)->next;
    *link = p->next;
    if (!p->kept) {
        rmdir(p->path);
        partial_forget(p->path);
    }
    close(p->lock);
    free(p->path);
    free(p);
    signals_release(before);
}

const char *partial_path(const partial *p)
{
    return p->path;
}

bool partial_is_kept(const partial *p)
{
    return p->kept;
}

void partial_keep(partial *p)
{
    char *name = strrchr(p->path, '/') + 1, *random = p->path + strlen(p->path) - RANDOM;
    char path[4096];
    if (p->kept) return;
    p->kept = true;
    partial_forget(p->path);
    /* with this mode no run takes it for a stale folder, even under its old name */
    chmod(p->path, 0755);
    int used =
        snprintf(path, sizeof path, "%.*s%s%s", (int)(name - p->path), p->path, visible, random);
    if (used < 0 || (size_t)used >= sizeof path || rename(p->path, path) != 0) return;
    memcpy(name, visible, sizeof visible - 1); /* the visible name is shorter */
    memmove(name + sizeof visible - 1, random, RANDOM + 1);
}
