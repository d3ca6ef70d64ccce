/* Zip archives (PKWARE's APPNOTE 6.3). See zip.h. */
#include "files/zip.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { LOCAL = 30, CENTRAL = 46, END = 22, LOCATOR = 20, END_64 = 56, COMMENT_MAX = 65535 };

#define NAME(e) (int)((e)->name_length < 200 ? (e)->name_length : 200), (e)->name

typedef struct {
    const unsigned char *data;
    size_t size;
    const char *path;
} archive;

static uint64_t load(const unsigned char *p, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | p[i];
    return value;
}

static bool is(const unsigned char *p, const char *signature)
{
    return memcmp(p, signature, 4) == 0;
}

static status damaged(const archive *a, const char *what)
{
    return fail(ERR_FORMAT, "%s: zip archive: %s; damaged or cut short?", a->path, what);
}

/* *at = the offset of the end record, whose comment must reach the end of the file. */
static status find_end(const archive *a, size_t *at)
{
    size_t least = a->size > END + COMMENT_MAX ? a->size - END - COMMENT_MAX : 0;
    if (a->size < END) return damaged(a, "too short");
    for (size_t i = a->size - END + 1; i-- > least;)
        if (is(a->data + i, "PK\5\6") && load(a->data + i + 20, 2) == a->size - i - END) {
            *at = i;
            return OK;
        }
    return damaged(a, "its directory is not there");
}

typedef struct {
    uint64_t n, size, offset;
} directory;

static status read_end(const archive *a, directory *d)
{
    size_t at = 0;
    status st = find_end(a, &at);
    if (st != OK) return st;
    const unsigned char *end = a->data + at;
    *d = (directory){load(end + 10, 2), load(end + 12, 4), load(end + 16, 4)};
    if (load(end + 4, 2) || load(end + 6, 2)) return damaged(a, "is in several parts");
    if (d->n == 0xffff || d->size == 0xffffffff || d->offset == 0xffffffff) {
        if (at < LOCATOR || !is(end - LOCATOR, "PK\6\7"))
            return damaged(a, "its 64-bit directory is not there");
        uint64_t place = load(end - LOCATOR + 8, 8);
        if (place > at - LOCATOR || at - LOCATOR - place < END_64 || !is(a->data + place, "PK\6\6"))
            return damaged(a, "its 64-bit directory is not where it should be");
        const unsigned char *record = a->data + place;
        *d = (directory){load(record + 32, 8), load(record + 40, 8), load(record + 48, 8)};
        at = (size_t)place;
    }
    if (d->offset > at || d->size > at - d->offset)
        return damaged(a, "its directory leaves the file");
    if (d->n > d->size / CENTRAL) return damaged(a, "its directory lies about its entries");
    return OK;
}

/* Sizes that do not fit 32 bits are in an extra field, in this order. */
static bool read_extra(const unsigned char *extra, size_t length, uint64_t *values[3])
{
    bool needed = false;
    for (int i = 0; i < 3; i++) needed |= *values[i] == 0xffffffff;
    while (needed && length >= 4) {
        size_t id = load(extra, 2), n = load(extra + 2, 2);
        extra += 4;
        length -= 4;
        if (n > length) return false;
        for (int i = 0; id == 1 && i < 3; i++) {
            if (*values[i] != 0xffffffff) continue;
            if (n < 8) return false;
            *values[i] = load(extra, 8);
            extra += 8;
            length -= 8;
            n -= 8;
        }
        if (id == 1) return true;
        extra += n;
        length -= n;
    }
    return !needed;
}

/* The local header before the data must have the same name. Its sizes may instead follow the
 * data. */
static status read_local(const archive *a, zip_entry *e, uint64_t place, uint64_t size,
                         uint64_t limit)
{
    if (place > limit || limit - place < LOCAL || !is(a->data + place, "PK\3\4"))
        return fail(ERR_FORMAT, "%s: zip archive: entry %.*s is not where it should be", a->path,
                    NAME(e));
    const unsigned char *local = a->data + place;
    uint64_t n_name = load(local + 26, 2), before = LOCAL + n_name + load(local + 28, 2);
    if (before > limit - place || size > limit - place - before)
        return fail(ERR_FORMAT, "%s: zip archive: entry %.*s exceeds the file; cut short?", a->path,
                    NAME(e));
    if (n_name != e->name_length || memcmp(local + LOCAL, e->name, e->name_length) != 0)
        return fail(ERR_FORMAT, "%s: zip archive: entry %.*s has two names", a->path, NAME(e));
    e->data = local + before;
    e->size = (size_t)size;
    return OK;
}

/* *used = bytes of this entry in the directory. left: bytes left in the directory. */
static status read_entry(const archive *a, zip_entry *e, const unsigned char *central, size_t left,
                         uint64_t limit, size_t *used)
{
    if (left < CENTRAL || !is(central, "PK\1\2")) return damaged(a, "its directory is broken");
    size_t n_name = load(central + 28, 2), n_extra = load(central + 30, 2);
    uint64_t flags = load(central + 8, 2), method = load(central + 10, 2);
    uint64_t packed = load(central + 20, 4), size = load(central + 24, 4);
    uint64_t place = load(central + 42, 4), *values[] = {&size, &packed, &place};
    *used = CENTRAL + n_name + n_extra + load(central + 32, 2);
    if (*used > left) return damaged(a, "its directory is broken");
    e->name = (const char *)central + CENTRAL;
    e->name_length = n_name;
    if (!read_extra(central + CENTRAL + n_name, n_extra, values))
        return damaged(a, "its directory is broken");
    if (flags & 1)
        return fail(ERR_FORMAT, "%s: zip archive: entry %.*s is encrypted", a->path, NAME(e));
    if (method != 0 || packed != size) {
        fail(ERR_FORMAT, "%s: zip archive: entry %.*s is compressed, expected stored ones", a->path,
             NAME(e));
        fail_hint("PyTorch does not compress: save it again with torch.save");
        return ERR_FORMAT;
    }
    return read_local(a, e, place, size, limit);
}

static int entry_by_name(const void *a, const void *b)
{
    const zip_entry *x = a, *y = b;
    size_t n = x->name_length < y->name_length ? x->name_length : y->name_length;
    int order = memcmp(x->name, y->name, n);
    if (order) return order;
    return x->name_length < y->name_length ? -1 : x->name_length > y->name_length;
}

static int entry_by_place(const void *a, const void *b)
{
    const zip_entry *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

static status check_entries(const archive *a, zip *z)
{
    if (z->n) qsort(z->entries, z->n, sizeof *z->entries, entry_by_place);
    for (size_t i = 1; i < z->n; i++)
        if (z->entries[i].data < z->entries[i - 1].data + z->entries[i - 1].size)
            return fail(ERR_FORMAT, "%s: zip archive: entries %.*s and %.*s overlap", a->path,
                        NAME(&z->entries[i - 1]), NAME(&z->entries[i]));
    if (z->n) qsort(z->entries, z->n, sizeof *z->entries, entry_by_name);
    for (size_t i = 1; i < z->n; i++)
        if (entry_by_name(&z->entries[i - 1], &z->entries[i]) == 0)
            return fail(ERR_FORMAT, "%s: zip archive: entry %.*s occurs twice", a->path,
                        NAME(&z->entries[i]));
    return OK;
}

status zip_read(zip *z, const file_map *map, const char *path)
{
    const archive a = {map->data, map->size, path};
    directory d;
    status st = OK;
    *z = (zip){0};
    TRY(read_end(&a, &d));
    TRY(memory_alloc(&z->entries, (size_t)d.n, sizeof *z->entries));
    size_t at = 0, used = 0;
    while (z->n < d.n) {
        TRY(read_entry(&a, &z->entries[z->n], a.data + d.offset + at, (size_t)d.size - at, d.offset,
                       &used));
        z->n++;
        at += used;
    }
    if (at != d.size) TRY(damaged(&a, "its directory lies about its entries"));
    TRY(check_entries(&a, z));
done:
    if (st != OK) zip_free(z);
    return st;
}

void zip_free(zip *z)
{
    free(z->entries);
    *z = (zip){0};
}

const zip_entry *zip_find(const zip *z, const char *name, size_t length)
{
    const zip_entry key = {.name = name, .name_length = length};
    return z->n ? bsearch(&key, z->entries, z->n, sizeof *z->entries, entry_by_name) : NULL;
}
