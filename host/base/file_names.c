/* Files: names of outputs, checked before any work. See file.h. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/partial.h"
#include "base/target.h"

/* Two names of one file have the same device, inode and name here. Hard links of one file count as
 * one name, as they do for input files. */
struct file_name {
    char *path;   /* as the caller gave it */
    dev_t device; /* this and inode: the file's, or its folder's if the file does not exist */
    ino_t inode;
    char *name; /* the last part, after links; "" if the file exists */
    bool in_place;
};

/* Creates and removes a hidden folder in the folder: access rights alone do not tell whether it can
 * be written. */
static status try_folder(file_names *names, const target *t, const char *path)
{
    partial *in;
    if (names->folder && !strcmp(names->folder, t->folder)) return OK;
    status st = target_partial(&in, t, path);
    if (st != OK) return st;
    partial_close(in);
    free(names->folder);
    return memory_strdup(&names->folder, t->folder);
}

status file_names_add(file_names *names, const char *path)
{
    target t;
    status st = OK;
    TRY(target_find(&t, path));
    TRY(target_check_file(&t, path));
    TRY(try_folder(names, &t, path));
    TRY(memory_grow(&names->items, &names->capacity, names->n + 1, sizeof *names->items));
    const struct stat *where = t.exists ? &t.file : &t.folder_is;
    struct file_name *f = &names->items[names->n++];
    *f =
        (struct file_name){.device = where->st_dev, .inode = where->st_ino, .in_place = t.in_place};
    TRY(memory_strdup(&f->path, path));
    TRY(memory_strdup(&f->name, t.exists ? "" : t.name));
done:
    return st;
}

static int by_file(const void *a, const void *b)
{
    const struct file_name *x = *(struct file_name *const *)a, *y = *(struct file_name *const *)b;
    if (x->device != y->device) return x->device < y->device ? -1 : 1;
    if (x->inode != y->inode) return x->inode < y->inode ? -1 : 1;
    return strcmp(x->name, y->name);
}

status file_names_clash(const file_names *names, size_t *a, size_t *b)
{
    struct file_name **sorted;
    *a = *b = 0;
    status st = memory_alloc(&sorted, names->n, sizeof *sorted);
    if (st != OK) return st;
    for (size_t i = 0; i < names->n; i++) sorted[i] = &names->items[i];
    if (names->n) qsort(sorted, names->n, sizeof *sorted, by_file);
    for (size_t i = 1; i < names->n && *a == *b; i++) {
        if (by_file(&sorted[i - 1], &sorted[i]) != 0) continue;
        *a = (size_t)(sorted[i - 1] - names->items);
        *b = (size_t)(sorted[i] - names->items);
    }
    free(sorted);
    return OK;
}

const char *file_names_path(const file_names *names, size_t i)
{
    return names->items[i].path;
}

bool file_names_in_place(const file_names *names, size_t i)
{
    return names->items[i].in_place;
}

void file_names_free(file_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        free(names->items[i].path);
        free(names->items[i].name);
    }
    free(names->items);
    free(names->folder);
    *names = (file_names){0};
}

status file_out_check(const char *path)
{
    file_names names = {0};
    status st = file_names_add(&names, path);
    file_names_free(&names);
    return st;
}
