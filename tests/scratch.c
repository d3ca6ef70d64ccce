/* See scratch.h. */
#include "scratch.h"

#include <dirent.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/source.h"
#include "suites.h"

static char folder[200], path[4096];

void scratch_open(void)
{
    const char *top = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.150s/ditcl-test-XXXXXX", top && *top ? top : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static int remove_one(const char *name, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(name);
}

void scratch_close(void)
{
    unsetenv("DITCL_CL_DIR"); /* DITCL_CL_DIR may name this folder */
    ck_assert_int_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

const char *scratch_folder(void)
{
    return folder;
}

const char *scratch_path(const char *name)
{
    int used = snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert(used > 0 && (size_t)used < sizeof path);
    return path;
}

const char *scratch_write(const char *name, const void *bytes, size_t n)
{
    FILE *stream = fopen(scratch_path(name), "wb");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(n ? fwrite(bytes, 1, n, stream) : 0, n);
    ck_assert_int_eq(fclose(stream), 0);
    return path;
}

static void write_spoilt(const embedded_file *f, const char *marker, const char *spoilt)
{
    const char *at = strstr(f->data, marker);
    ck_assert_msg(at, "cl/%s has no %s", f->name, marker);
    size_t size = f->size + strlen(spoilt) + 1;
    char *out = malloc(size);
    ck_assert_ptr_nonnull(out);
    snprintf(out, size, "%.*s%s%s", (int)(at - f->data), f->data, spoilt, at + strlen(marker));
    scratch_write(f->name, out, strlen(out));
    free(out);
}

void scratch_kernels(const char *name, const char *marker, const char *spoilt)
{
    bool found = false;
    for (const embedded_file *f = embedded_files; f->name; f++) {
        if (strchr(f->name, '/')) continue; /* of devices, not of kernels */
        bool named = !strcmp(f->name, name);
        found |= named;
        if (named)
            write_spoilt(f, marker, spoilt);
        else
            scratch_write(f->name, f->data, f->size);
    }
    ck_assert_msg(found, "there is no cl/%s", name);
    setenv("DITCL_CL_DIR", folder, 1);
}

int scratch_count(void)
{
    int n = 0;
    DIR *d = opendir(folder);
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

unsigned char *scratch_read(const char *name, size_t *size)
{
    file_map map;
    ck_assert_int_eq(file_map_open(&map, name), OK);
    unsigned char *bytes = malloc(map.size + 1);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, map.data, map.size);
    *size = map.size;
    file_map_close(&map);
    return bytes;
}

void scratch_expect_message(const char *name, const char *part)
{
    const char *line = fail_line();
    ck_assert_msg(strncmp(line, name, strlen(name)) == 0, "\"%s\" does not begin with %s", line,
                  name);
    ck_assert_msg(strstr(line, part) != NULL, "\"%s\" does not say \"%s\"", line, part);
    ck_assert_ptr_null(strchr(line, '\n'));
}
