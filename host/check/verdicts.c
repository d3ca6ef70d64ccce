/* What first-use checks found. See verdicts.h. */
#include "check/verdicts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

/* A file beyond MOST_BYTES is replaced by an empty one; checks find the lost verdicts again. */
enum { PATH_BYTES = 4096, MOST_BYTES = 4 << 20, LINE = VERDICT_TEXT + 80 };

static const char *const kind_names[N_VERDICTS] = {"right", "struck", "died"};

static status path_of(char out[PATH_BYTES], bool make)
{
    char folder[PATH_BYTES];
    status st = file_user_folder(folder, sizeof folder, FOLDER_CACHE);
    if (st == OK && make) st = file_make_folders(folder);
    return st == OK ? file_join(out, PATH_BYTES, folder, "checked.txt") : st;
}

/* True for a regular file of this user that nobody else may write and that is not too large. */
static bool believable(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() &&
           !(info.st_mode & (S_IWGRP | S_IWOTH)) && info.st_size <= MOST_BYTES;
}

/* ---- reading ---- */

static status append(verdicts *v, verdict_kind kind, hash128 key, const char *words)
{
    status st = memory_grow(&v->items, &v->capacity, v->n + 1, sizeof *v->items);
    if (st != OK) return st;
    verdict *new = &v->items[v->n++];
    *new = (verdict){.kind = kind, .key = key};
    text_copy(new->text, sizeof new->text, words);
    for (char *c = new->text; *c; c++)
        if (*c < ' ' || *c > '~') *c = '?';
    return OK;
}

/* A line of another device or of unknown form is skipped. */
static status read_line(verdicts *v, const char *line)
{
    const char *digits = line + DEVICE_DIGITS + 1, *word = digits + HASH_TEXT;
    hash128 key = {0};
    if (strlen(line) < DEVICE_DIGITS + 1 + HASH_TEXT ||
        strncmp(line, v->device, DEVICE_DIGITS) != 0 ||
        strspn(digits, "0123456789abcdef") != HASH_TEXT - 1)
        return OK;
    for (int i = 0; i < HASH_BYTES; i++) sscanf(digits + 2 * i, "%2hhx", &key.bytes[i]);
    for (int kind = 0; kind < N_VERDICTS; kind++) {
        size_t n = strlen(kind_names[kind]);
        if (!strncmp(word, kind_names[kind], n) && word[n] == ' ')
            return append(v, (verdict_kind)kind, key, word + n + 1);
    }
    return OK;
}

static status read_all(verdicts *v, int fd)
{
    char line[LINE];
    status st = OK;
    FILE *file = fdopen(fd, "r");
    if (!file) {
        close(fd);
        return OK;
    }
    while (st == OK && fgets(line, sizeof line, file)) {
        char *end = strchr(line, '\n');
        if (!end) continue; /* cut short, or the rest of a line that is too long */
        *end = 0;
        st = read_line(v, line);
    }
    fclose(file);
    return st;
}

status verdicts_open(verdicts *v, hash128 device)
{
    char path[PATH_BYTES], digits[HASH_TEXT];
    *v = (verdicts){0};
    hash_text(digits, device);
    text_copy(v->device, sizeof v->device, digits);
    if (path_of(path, false) != OK) {
        fail_clear();
        return OK;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return OK;
    if (!believable(fd)) {
        close(fd);
        return OK;
    }
    return read_all(v, fd);
}

void verdicts_close(verdicts *v)
{
    free(v->items);
    *v = (verdicts){0};
}

const verdict *verdicts_find(const verdicts *v, hash128 key)
{
    for (size_t i = v->n; i > 0; i--)
        if (hash_equal(v->items[i - 1].key, key)) return &v->items[i - 1];
    return NULL;
}

/* ---- writing ---- */

/* Appends the line in one write. A verdict that cannot be written is found again in the next
 * run. */
static void write_down(const verdicts *v, const verdict *new)
{
    char path[PATH_BYTES], line[LINE], digits[HASH_TEXT];
    failure before;
    fail_keep(&before);
    hash_text(digits, new->key);
    int n = snprintf(line, sizeof line, "%s %s %s %s\n", v->device, digits, kind_names[new->kind],
                     new->text);
    if (path_of(path, true) == OK) {
        const int how = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
        int fd = open(path, how, 0600);
        if (fd >= 0 && !believable(fd)) {
            close(fd);
            unlink(path);
            fd = open(path, how | O_EXCL, 0600);
        }
        if (fd >= 0) {
            ssize_t written = write(fd, line, (size_t)n);
            (void)written; /* a reader skips a line that is cut short */
            close(fd);
        }
    }
    fail_put_back(&before);
}

status verdicts_add(verdicts *v, verdict_kind kind, hash128 key, const char *words)
{
    status st = append(v, kind, key, words);
    if (st == OK && v->kept) write_down(v, &v->items[v->n - 1]);
    return st;
}

void verdicts_forget(void)
{
    char path[PATH_BYTES];
    if (path_of(path, false) == OK)
        unlink(path);
    else
        fail_clear();
}
