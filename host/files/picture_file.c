/* Picture files of any kind. See picture_file.h. */
#include "files/picture_file.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"

enum { LARGEST_SIDE = 1 << 14, MOST_PIXELS = 1 << 26, FILE_BYTES = 1 << 29, HEAD_BYTES = 64 };

typedef status reader(png *p, const picture_source *s);

/* The reader of a file that begins so; null for PNG and for what no reader knows. */
static reader *reader_of(const file_map *map)
{
    const unsigned char *p = map->data;
    if (map->size >= 3 && !memcmp(p, "\xff\xd8\xff", 3)) return jpeg_read;
    if (map->size >= 12 && !memcmp(p, "RIFF", 4) && !memcmp(p + 8, "WEBP", 4)) return webp_read;
    if (map->size >= 2 && !memcmp(p, "BM", 2)) return bmp_read;
    return NULL;
}

static status check_known(const file_map *map, const char *path)
{
    if (map->size >= 4 && !memcmp(map->data, "\x89PNG", 4)) return OK;
    return fail(ERR_FORMAT, "%s: not a PNG picture, nor JPEG, WebP or BMP", path);
}

status picture_take_size(png *p, const picture_source *s, int64_t width, int64_t height)
{
    p->width = p->height = 0;
    if (width < 1 || height < 1 || width > LARGEST_SIDE || height > LARGEST_SIDE ||
        width * height > MOST_PIXELS)
        return fail(
            ERR_LIMIT,
            "%s: a picture of %lld x %lld, expected 1 to %d per side and at most %d million "
            "pixels",
            s->path, (long long)width, (long long)height, LARGEST_SIDE, MOST_PIXELS >> 20);
    p->width = (int)width;
    p->height = (int)height;
    if (s->sizes_only) return OK;
    status st = memory_alloc(&p->rgb, (size_t)width * (size_t)height, 3);
    if (st == OK) return OK;
    return fail(ERR_MEMORY, "%s: out of memory for a picture of %d x %d", s->path, p->width,
                p->height);
}

static status read_file(png *p, const char *path, bool sizes_only)
{
    file_map map = {0};
    reader *read = NULL;
    status st = OK;
    *p = (png){0};
    TRY(file_map_begin(&map, path, HEAD_BYTES));
    read = reader_of(&map);
    if (read && map.size > FILE_BYTES)
        TRY(fail(ERR_LIMIT, "%s: is larger than %d MB", path, FILE_BYTES >> 20));
    if (!read) {
        TRY(check_known(&map, path));
        st = sizes_only ? png_sizes(&p->width, &p->height, path) : png_read(p, path);
        goto done;
    }
    TRY(file_map_rest(&map, path));
    const picture_source source = {path, map.data, map.size, sizes_only};
    TRY(read(p, &source));
done:
    file_map_close(&map);
    if (st != OK) png_free(p);
    return st;
}

status picture_file_read(png *p, const char *path)
{
    return read_file(p, path, false);
}

status picture_file_sizes(int *width, int *height, const char *path)
{
    png p;
    status st = read_file(&p, path, true);
    if (st != OK) return st;
    *width = p.width;
    *height = p.height;
    return OK;
}

/* ---- writing ---- */

static bool ends_so(const char *name, const char *ending)
{
    const char *dot = strrchr(file_last_part(name), '.');
    return dot && text_equal_nocase(dot, ending);
}

static bool is_jpeg(const char *name)
{
    return ends_so(name, ".jpg") || ends_so(name, ".jpeg");
}

bool picture_file_has_ending(const char *name)
{
    return ends_so(name, ".png") || ends_so(name, ".webp") || is_jpeg(name);
}

status picture_file_write(file_out *out, const char *name, const unsigned char *rgb, int width,
                          int height, const char *const *notes)
{
    if (is_jpeg(name)) return jpeg_write(out, rgb, width, height);
    if (ends_so(name, ".webp")) return webp_write(out, rgb, width, height);
    return png_write(out, rgb, width, height, notes);
}
