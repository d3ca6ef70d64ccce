/* Files: writing. See file.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/partial.h"
#include "base/target.h"

/* ---- the stream ---- */

struct sink {
    int fd;
    int reason; /* errno of the first write that failed, else 0; stdio does not keep it */
};

static ssize_t sink_write(void *cookie, const char *data, size_t n)
{
    struct sink *s = cookie;
    for (size_t done = 0; done < n && !s->reason;) {
        ssize_t put = write(s->fd, data + done, n - done);
        if (put > 0)
            done += (size_t)put;
        else if (put == 0 || errno != EINTR)
            s->reason = put ? errno : EIO;
    }
    if (!s->reason) return (ssize_t)n;
    errno = s->reason;
    return 0;
}

static int sink_close(void *cookie)
{
    struct sink *s = cookie;
    int fd = s->fd;
    s->fd = -1;
    if (close(fd) == 0 || errno == EINTR) return 0;
    if (!s->reason) s->reason = errno;
    return -1;
}

static status cannot_write(const char *shown, int reason)
{
    return fail(ERR_FILE, "%s: cannot write: %s", shown, strerror(reason));
}

/* Takes ownership of the descriptor. */
static status open_stream(file_out *out, int fd)
{
    enum { BUFFER = 1 << 16 };
    status st = memory_alloc(&out->sink, 1, sizeof *out->sink);
    if (st == OK) {
        out->sink->fd = fd;
        out->stream = fopencookie(
            out->sink, "wb", (cookie_io_functions_t){.write = sink_write, .close = sink_close});
        if (out->stream)
            setvbuf(out->stream, NULL, _IOFBF, BUFFER);
        else
            st = cannot_write(out->shown, errno);
    }
    if (st != OK) close(fd);
    return st;
}

status file_out_state(const file_out *out)
{
    if (!ferror(out->stream)) return OK;
    return cannot_write(out->shown, out->sink->reason ? out->sink->reason : EIO);
}

void file_out_protect(const file_out *out)
{
    fchmod(out->sink->fd, 0600);
}

/* Some file systems do not support fsync and return one of these errors. */
static int flush_to_disk(int fd)
{
    static const int lacking[] = {EINVAL, ENOSYS, EOPNOTSUPP, ENOTSUP, EROFS, ENOTTY};
    while (fsync(fd) != 0) {
        int reason = errno;
        if (reason == EINTR) continue;
        for (size_t i = 0; i < sizeof lacking / sizeof *lacking; i++)
            if (reason == lacking[i]) return 0;
        return reason;
    }
    return 0;
}

static status close_stream(file_out *out, bool synced)
{
    struct sink *s = out->sink;
    errno = EIO;
    int reason = fflush(out->stream) != 0 || ferror(out->stream) ? errno : 0;
    if (!reason && synced) reason = flush_to_disk(s->fd);
    errno = EIO;
    if (fclose(out->stream) != 0 && !reason) reason = errno;
    out->stream = NULL;
    if (s->reason) reason = s->reason;
    return reason ? cannot_write(out->shown, reason) : OK;
}

status file_out_close(file_out *out)
{
    return close_stream(out, false);
}

status file_out_finish(file_out *out)
{
    return close_stream(out, true);
}

/* ---- opening ---- */

/* Gives the new file the owner, group and mode of the file that it replaces, as far as this user
 * may set them. Errors are ignored: some file systems have no owners or modes. */
static void keep_access(int fd, const struct stat *old)
{
    mode_t mode = old->st_mode & 0777;
    if (fchown(fd, old->st_uid, old->st_gid) != 0 && fchown(fd, (uid_t)-1, old->st_gid) != 0)
        /* the group differs, so it gets the rights of others */
        mode = (mode & ~(mode_t)070) | (mode & 07) << 3;
    fchmod(fd, mode);
}

/* The folder of `path` exists. old: the file to replace, or null. */
static status open_temporary(file_out *out, const char *path, const struct stat *old)
{
    status st = memory_strdup(&out->temporary, path);
    if (st != OK) return st;
    sigset_t before = signals_hold();
    mode_t mode = old ? old->st_mode & 0777 : 0666;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        st = cannot_write(out->shown, errno);
        free(out->temporary);
        out->temporary = NULL;
    } else {
        if (old) keep_access(fd, old);
        st = partial_register(out->temporary);
        if (st == OK)
            st = open_stream(out, fd);
        else
            close(fd);
    }
    signals_release(before);
    return st;
}

/* path = a free name in the hidden folder: the final name, unless another output of this process
 * has taken it there. */
static status free_name(char path[TARGET_PATH], const partial *in, const char *name)
{
    enum { MOST = 1000 };
    char numbered[32];
    struct stat info;
    status st = file_join(path, TARGET_PATH, partial_path(in), name);
    for (int i = 0; i < MOST && st == OK && lstat(path, &info) == 0; i++) {
        snprintf(numbered, sizeof numbered, "%d", i);
        st = file_join(path, TARGET_PATH, partial_path(in), numbered);
    }
    return st;
}

status file_out_open(file_out *out, const char *path)
{
    char temporary[TARGET_PATH];
    target t;
    status st = OK;
    *out = (file_out){0};
    TRY(target_find(&t, path));
    TRY(target_check_file(&t, path));
    TRY(memory_strdup(&out->path, t.path));
    TRY(memory_strdup(&out->shown, path));
    out->in_place = t.in_place;
    TRY(target_partial(&out->in, &t, path));
    TRY(free_name(temporary, out->in, t.name));
    TRY(open_temporary(out, temporary, t.exists && !t.in_place ? &t.file : NULL));
done:
    if (st != OK) file_out_discard(out);
    return st;
}

void file_out_discard(file_out *out)
{
    sigset_t before = signals_hold();
    if (out->stream) fclose(out->stream);
    if (out->temporary) {
        unlink(out->temporary);
        partial_forget(out->temporary);
        free(out->temporary);
    }
    signals_release(before);
    partial_close(out->in);
    free(out->sink);
    free(out->path);
    free(out->shown);
    *out = (file_out){0};
}

status file_out_text(const char *path, const char *text)
{
    file_out out = {0};
    status st = OK;
    TRY(file_out_open(&out, path));
    fputs(text, out.stream);
    TRY(file_out_finish(&out));
    TRY(file_out_commit(&out, 1));
done:
    file_out_discard(&out);
    return st;
}

/* ---- commit ---- */

/* Copies one file into another without replacing the inode. Returns 0 or an errno. */
static int copy_into(const char *path, const char *from)
{
    char piece[1 << 16];
    struct sink to = {-1, 0};
    int in = open(from, O_RDONLY | O_CLOEXEC); /* first, so that a failure truncates nothing */
    if (in >= 0) to.fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    int reason = to.fd < 0 ? errno : 0;
    while (!reason) {
        ssize_t n = read(in, piece, sizeof piece);
        if (n == 0) break;
        if (n > 0) sink_write(&to, piece, (size_t)n);
        reason = n > 0 ? to.reason : errno == EINTR ? 0 : errno;
    }
    if (!reason) reason = flush_to_disk(to.fd);
    if (to.fd >= 0 && sink_close(&to) != 0 && !reason) reason = to.reason;
    if (in >= 0) close(in);
    return reason;
}

/* Signals must be held back. Returns 0 or an errno. */
static int commit_one(file_out *out)
{
    int reason = out->in_place ? copy_into(out->path, out->temporary) : 0;
    if (!out->in_place && rename(out->temporary, out->path) != 0) reason = errno;
    if (reason) return reason;
    if (out->in_place) unlink(out->temporary);
    partial_forget(out->temporary);
    free(out->temporary);
    out->temporary = NULL;
    return 0;
}

/* Keeps a finished output that has no final name: its hidden folder gets a visible name. */
static void keep_finished(file_out *out)
{
    if (out->disposable) return;
    partial_keep(out->in);
    partial_forget(out->temporary);
    free(out->temporary);
    out->temporary = NULL;
}

/* Outputs have few folders, usually one. */
static void hint_kept(const file_out *outs, size_t n)
{
    char folders[FAIL_BYTES] = "";
    for (size_t i = 0; i < n; i++) {
        const char *path = partial_path(outs[i].in);
        size_t used = strlen(folders);
        if (!partial_is_kept(outs[i].in) || strstr(folders, path)) continue;
        snprintf(folders + used, sizeof folders - used, "%s%s", used ? " and " : "", path);
    }
    if (*folders) fail_hint("finished files are kept in %s", folders);
}

status file_out_commit(file_out *outs, size_t n)
{
    status st = OK;
    sigset_t before = signals_hold();
    for (size_t i = n; i-- > 0;) { /* reverse order: partial_forget searches from the end */
        int reason = commit_one(&outs[i]);
        if (reason) st = cannot_write(outs[i].shown, reason);
    }
    for (size_t i = n; st != OK && i-- > 0;)
        if (outs[i].temporary) keep_finished(&outs[i]);
    if (st != OK) hint_kept(outs, n);
    signals_release(before);
    return st;
}

/* ---- a folder ---- */

/* The target must be an empty folder, which rename() replaces. */
static status check_empty(const target *t, const char *path)
{
    int n = 0;
    DIR *folder = S_ISDIR(t->file.st_mode) ? opendir(t->path) : NULL;
    if (!folder) return fail(ERR_FILE, "%s: exists already, expected a new folder's name", path);
    for (struct dirent *e; (e = readdir(folder)) && n < 3;) n++;
    closedir(folder);
    if (n > 2) /* "." and ".." */
        return fail(ERR_FILE, "%s: exists and is not empty, expected a new folder's name", path);
    if (!t->in_place) return OK;
    fail(ERR_FILE, "%s: is a mount point, expected a new folder's name", path);
    fail_hint("name a new folder in it: %s/model", path);
    return ERR_FILE;
}

static status check_new_folder(const target *t, const char *path)
{
    status st = OK;
    struct stat info;
    if (!strcmp(t->name, ".") || !strcmp(t->name, "..")) /* rename() cannot replace these */
        return fail(ERR_FILE, "%s: exists already, expected a new folder's name", path);
    if (t->exists)
        TRY(check_empty(t, path));
    else if (lstat(path, &info) == 0) /* a dangling link */
        TRY(fail(ERR_FILE, "%s: exists already, expected a new folder's name", path));
    TRY(target_check_replace(t, path));
done:
    return st;
}

/* Creates a folder in the hidden folder and registers it. */
static status make_folder(char **made, const char *path, const char *shown)
{
    char *copy;
    status st = memory_strdup(&copy, path);
    if (st != OK) return st;
    sigset_t signals = signals_hold();
    if (mkdir(path, 0777) != 0) st = cannot_write(shown, errno);
    if (st == OK && (st = partial_register(copy)) != OK) rmdir(path);
    signals_release(signals);
    if (st == OK)
        *made = copy;
    else
        free(copy);
    return st;
}

status folder_out_open(folder_out *out, const char *path)
{
    char made[TARGET_PATH];
    target t;
    status st = OK;
    size_t n = strlen(path);
    *out = (folder_out){0};
    while (n > 1 && path[n - 1] == '/') n--;
    TRY(memory_strdup(&out->shown, path));
    out->shown[n] = 0;
    TRY(target_find(&t, out->shown));
    TRY(check_new_folder(&t, out->shown));
    TRY(memory_strdup(&out->path, t.path));
    TRY(partial_open(&out->in, t.folder, out->shown));
    TRY(file_join(made, sizeof made, partial_path(out->in), t.name));
    TRY(make_folder(&out->temporary, made, out->shown));
    if (t.exists) out->mode = t.file.st_mode & 07777;
done:
    if (st != OK) folder_out_discard(out);
    return st;
}

status folder_out_add(folder_out *out, const char *name)
{
    char path[TARGET_PATH];
    status st = out->n_parts < FOLDER_PARTS ? file_join(path, sizeof path, out->temporary, name)
                                            : fail(ERR_LIMIT, "%s: too many folders", out->shown);
    if (st == OK) st = make_folder(&out->parts[out->n_parts], path, out->shown);
    if (st == OK) out->n_parts++;
    return st;
}

status folder_out_file(const folder_out *out, file_out *file, int part, const char *name)
{
    char path[TARGET_PATH], shown[TARGET_PATH];
    const char *folder = part < 0 ? out->temporary : out->parts[part];
    status st = OK;
    *file = (file_out){0};
    TRY(file_join(path, sizeof path, folder, name));
    TRY(file_join(shown, sizeof shown, out->shown, path + strlen(out->temporary) + 1));
    TRY(memory_strdup(&file->path, path));
    TRY(memory_strdup(&file->shown, shown));
    TRY(open_temporary(file, path, NULL));
done:
    if (st != OK) file_out_discard(file);
    return st;
}

/* Unregisters the outputs and leaves their files in the folder. */
static void forget_all(folder_out *out, file_out *files, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        partial_forget(files[i].temporary);
        free(files[i].temporary);
        files[i].temporary = NULL;
    }
    for (int i = out->n_parts; i-- > 0;) partial_forget(out->parts[i]);
    partial_forget(out->temporary);
    free(out->temporary);
    out->temporary = NULL;
}

status folder_out_commit(folder_out *out, file_out *files, size_t n)
{
    status st = OK;
    sigset_t before = signals_hold();
    if (rename(out->temporary, out->path) != 0) {
        st = cannot_write(out->shown, errno);
        partial_keep(out->in);
        fail_hint("finished files are kept in %s", partial_path(out->in));
    } else if (out->mode) {
        chmod(out->path, out->mode);
    }
    forget_all(out, files, n);
    signals_release(before);
    return st;
}

void folder_out_discard(folder_out *out)
{
    sigset_t before = signals_hold();
    for (int i = out->n_parts; i-- > 0;) {
        if (out->temporary) {
            rmdir(out->parts[i]);
            partial_forget(out->parts[i]);
        }
        free(out->parts[i]);
    }
    if (out->temporary) {
        rmdir(out->temporary);
        partial_forget(out->temporary);
    }
    signals_release(before);
    partial_close(out->in);
    free(out->temporary);
    free(out->path);
    free(out->shown);
    *out = (folder_out){0};
}
