/* Reading PNG. See png.h.
 *
 * stb_image decodes. What it allocates is bounded by the sizes that the file's head claims, so that
 * a small file cannot make it ask for much more than its picture needs. */
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "files/png.h"

enum { WIDTH_AT = 16, HEIGHT_AT = 20, HEAD_BYTES = 33 }; /* signature and IHDR */
enum { LARGEST_SIDE = 1 << 14, MOST_PIXELS = 1 << 26, FILE_BYTES = 1 << 29 };

/* Of one block: twice the rows of 16-bit RGBA with their filter bytes, and tables. */
static _Thread_local size_t most_bytes;

static void *stb_alloc(size_t size)
{
    return size <= most_bytes ? malloc(size) : NULL;
}

static void *stb_grow(void *data, size_t size)
{
    return size <= most_bytes ? realloc(data, size) : NULL;
}

#define STBI_MALLOC(size) stb_alloc(size)
#define STBI_REALLOC(data, size) stb_grow(data, size)
#define STBI_FREE(data) free(data)
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#ifdef __clang__ /* a chunk without data is 0 bytes at a null pointer */
#define NULL_WITH_NOTHING __attribute__((no_sanitize("pointer-overflow", "nonnull-attribute")))
#pragma clang attribute push(NULL_WITH_NOTHING, apply_to = function)
#endif
#pragma GCC diagnostic ignored "-Wunused-function" /* it declares more than it defines */
#include <stb_image.h>
#ifdef __clang__
#pragma clang attribute pop
#endif

static uint32_t read_32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The sizes in the head, before anything is decoded. */
static status check_head(const file_map *map, const char *path)
{
    static const unsigned char head[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
    if (map->size < HEAD_BYTES || memcmp(map->data, head, sizeof head - 1) != 0)
        return fail(ERR_FORMAT, "%s: not a PNG picture", path);
    uint32_t width = read_32(map->data + WIDTH_AT), height = read_32(map->data + HEIGHT_AT);
    if (width < 1 || height < 1 || width > LARGEST_SIDE || height > LARGEST_SIDE ||
        (uint64_t)width * height > MOST_PIXELS)
        return fail(ERR_LIMIT, "%s: a picture of %lu x %lu, expected 1 to %d a side and at most %d "
                    "million pixels", path, (unsigned long)width, (unsigned long)height,
                    LARGEST_SIDE, MOST_PIXELS >> 20);
    if (map->size > FILE_BYTES)
        return fail(ERR_LIMIT, "%s: is larger than %d MB", path, FILE_BYTES >> 20);
    most_bytes = 2 * ((size_t)width * 8 + 8) * height + (1 << 16);
    return OK;
}

/* One pixel over white. */
static void lay_over_white(unsigned char *rgb, const unsigned char *rgba)
{
    unsigned alpha = rgba[3];
    for (int c = 0; c < 3; c++)
        rgb[c] = (unsigned char)((rgba[c] * alpha + 255 * (255 - alpha) + 127) / 255);
}

status png_read(png *p, const char *path)
{
    file_map map = {0};
    unsigned char *rgba = NULL;
    int channels;
    status st = OK;
    *p = (png){0};
    TRY(file_map_begin(&map, path, HEAD_BYTES));
    TRY(check_head(&map, path));
    TRY(file_map_rest(&map, path));
    rgba = stbi_load_from_memory(map.data, (int)map.size, &p->width, &p->height, &channels, 4);
    if (!rgba)
        TRY(fail(ERR_FORMAT, "%s: a damaged PNG picture: %s", path, stbi_failure_reason()));
    size_t pixels = (size_t)p->width * (size_t)p->height;
    TRY(memory_alloc(&p->rgb, pixels, 3));
    for (size_t i = 0; i < pixels; i++) lay_over_white(p->rgb + 3 * i, rgba + 4 * i);
done:
    free(rgba);
    file_map_close(&map);
    if (st != OK) png_free(p);
    return st;
}

status png_sizes(int *width, int *height, const char *path)
{
    file_map map = {0};
    status st = OK;
    TRY(file_map_begin(&map, path, HEAD_BYTES));
    TRY(check_head(&map, path));
    *width = (int)read_32(map.data + WIDTH_AT);
    *height = (int)read_32(map.data + HEIGHT_AT);
done:
    file_map_close(&map);
    return st;
}

void png_free(png *p)
{
    free(p->rgb);
    *p = (png){0};
}
