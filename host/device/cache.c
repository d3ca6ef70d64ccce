/* Built programs on disk. See cache.h. */
#include "device/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

enum { FORMAT = 1, PATH_BYTES = 4096 };
static const char suffix[] = ".bin";

/* ---- the file's header ---- */

enum {
    MAGIC_AT = 0,
    FORMAT_AT = 8,
    LENGTH_AT = 16,
    KEY_AT = 24,
    HASH_AT = KEY_AT + HASH_BYTES,
    HEADER = HASH_AT + HASH_BYTES
};
static const char magic[8] = "ditclbin";

static void put_number(unsigned char *to, uint64_t value)
{
    for (int i = 0; i < 8; i++) to[i] = (unsigned char)(value >> 8 * i);
}

static void make_header(unsigned char out[HEADER], hash128 key, const unsigned char *binary,
                        size_t n)
{
    memcpy(out + MAGIC_AT, magic, sizeof magic);
    put_number(out + FORMAT_AT, FORMAT);
    put_number(out + LENGTH_AT, n);
    memcpy(out + KEY_AT, key.bytes, HASH_BYTES);
    memcpy(out + HASH_AT, hash_bytes(binary, n).bytes, HASH_BYTES);
}

/* ---- reading ---- */

static status cache_path(char out[PATH_BYTES], hash128 key)
{
    char folder[PATH_BYTES], name[HASH_TEXT + sizeof suffix];
    status st = file_user_folder(folder, sizeof folder, FOLDER_CACHE);
    hash_text(name, key);
    memcpy(name + HASH_TEXT - 1, suffix, sizeof suffix);
    return st == OK ? file_join(out, PATH_BYTES, folder, name) : st;
}

/* Accepts a regular file of this user that nobody else may write, with a possible size. */
static status cache_check_file(const struct stat *info, const char *path)
{
    if (!S_ISREG(info->st_mode)) return fail(ERR_FORMAT, "%s: is no file", path);
    if (info->st_uid != geteuid() || info->st_mode & (S_IWGRP | S_IWOTH))
        return fail(ERR_FORMAT, "%s: others may have written it", path);
    if (info->st_size < HEADER || (uint64_t)info->st_size > CACHE_FILE_BYTES)
        return fail(ERR_FORMAT, "%s: %lld bytes, expected %d to %lld", path,
                    (long long)info->st_size, HEADER, (long long)CACHE_FILE_BYTES);
    return OK;
}

static status cache_read_all(unsigned char *out, size_t n, int fd, const char *path)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = read(fd, out + done, n - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(ERR_FORMAT, "%s: %s", path, strerror(errno));
        if (got == 0) return fail(ERR_FORMAT, "%s: is cut short", path);
        done += (size_t)got;
    }
    return OK;
}

status cache_read(unsigned char **binary, size_t *size, hash128 key)
{
    char path[PATH_BYTES];
    unsigned char *data = NULL, header[HEADER];
    struct stat info;
    status st = OK;
    int fd = -1;
    *binary = NULL;
    TRY(cache_path(path, key));
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;
        st = fail(absent ? ERR_FILE : ERR_FORMAT, "%s: %s", path, strerror(errno));
        goto done;
    }
    if (fstat(fd, &info) != 0) TRY(fail(ERR_FORMAT, "%s: %s", path, strerror(errno)));
    TRY(cache_check_file(&info, path));
    *size = (size_t)info.st_size - HEADER;
    TRY(memory_alloc(&data, *size, 1));
    TRY(cache_read_all(header, HEADER, fd, path));
    TRY(cache_read_all(data, *size, fd, path));
    unsigned char expected[HEADER];
    make_header(expected, key, data, *size);
    if (memcmp(header, expected, HEADER) != 0)
        TRY(fail(ERR_FORMAT, "%s: does not hold what its header says", path));
    futimens(fd, NULL); /* marks the file as used now; fails without harm in a read-only cache */
    *binary = data;
    data = NULL;
done:
    if (fd >= 0) close(fd);
    free(data);
    return st;
}

/* ---- writing ---- */

status cache_write(hash128 key, const unsigned char *binary, size_t n)
{
    char path[PATH_BYTES], folder[PATH_BYTES];
    unsigned char header[HEADER];
    file_out out = {0};
    status st = OK;
    if (n > CACHE_FILE_BYTES - HEADER)
        return fail(ERR_LIMIT, "a program of %zu bytes is too large to be stored", n);
    TRY(file_user_folder(folder, sizeof folder, FOLDER_CACHE));
    TRY(file_make_folders(folder));
    TRY(cache_path(path, key));
    TRY(file_out_open(&out, path));
    make_header(header, key, binary, n);
    out.disposable = true;
    file_out_protect(&out);
    fwrite(header, 1, HEADER, out.stream);
    fwrite(binary, 1, n, out.stream);
    /* file_out_finish would wait for the disk; after a power cut an incomplete file fails its hash
     */
    TRY(file_out_close(&out));
    TRY(file_out_commit(&out, 1));
    cache_trim(CACHE_BYTES);
done:
    file_out_discard(&out);
    return st;
}

void cache_forget(hash128 key)
{
    char path[PATH_BYTES];
    if (cache_path(path, key) == OK) unlink(path);
}

/* ---- the limit ---- */

typedef struct {
    char name[HASH_TEXT + sizeof suffix];
    uint64_t bytes;
    struct timespec used;
} entry;

/* True for KEY.bin. */
static bool is_of_cache(const char *name)
{
    size_t digits = strspn(name, "0123456789abcdef");
    return digits == HASH_TEXT - 1 && !strcmp(name + digits, suffix);
}

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const entry *)a)->used, *y = &((const entry *)b)->used;
    if (x->tv_sec != y->tv_sec) return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* Adds the file to the entries if its name is one of the cache. */
static status add_entry(int folder, const char *name, entry **entries, size_t *n, size_t *capacity)
{
    struct stat info;
    if (!is_of_cache(name) || fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return OK;
    if (!S_ISREG(info.st_mode)) return OK;
    status st = memory_grow(entries, capacity, *n + 1, sizeof **entries);
    if (st != OK) return st;
    entry *e = &(*entries)[(*n)++];
    memcpy(e->name, name, strlen(name) + 1);
    e->bytes = (uint64_t)info.st_size;
    e->used = info.st_mtim;
    return OK;
}

void cache_trim(uint64_t limit)
{
    char path[PATH_BYTES];
    entry *entries = NULL;
    size_t n = 0, capacity = 0;
    uint64_t total = 0;
    DIR *folder = NULL;
    if (file_user_folder(path, sizeof path, FOLDER_CACHE) != OK || !(folder = opendir(path)))
        return;
    for (struct dirent *e; (e = readdir(folder));)
        if (add_entry(dirfd(folder), e->d_name, &entries, &n, &capacity) != OK) break;
    for (size_t i = 0; i < n; i++) total += entries[i].bytes;
    if (total > limit) qsort(entries, n, sizeof *entries, by_use);
    for (size_t i = 0; i < n && total > limit; i++) {
        unlinkat(dirfd(folder), entries[i].name, 0);
        total -= entries[i].bytes;
    }
    closedir(folder);
    free(entries);
}
