/* Reads the chunks of a PNG. See png.h.
 *
 * Every chunk's place, length and CRC-32 are verified before anything is decoded. The sizes in the
 * header bound what is allocated, and are themselves bounded here. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "files/exif.h"
#include "files/png.h"
#include "files/png_parts.h"

/* offsets, and bytes of signature and IHDR */
enum { WIDTH_AT = 16, HEIGHT_AT = 20, HEAD_BYTES = 33 };
enum { LARGEST_SIDE = 1 << 14, MOST_PIXELS = 1 << 26, FILE_BYTES = 1 << 29 };

status png_damaged(const png_file *f, const char *fmt, ...)
{
    char what[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return fail(ERR_FORMAT, "%s: damaged PNG picture: %s", f->path, what);
}

png_chunk png_chunk_at(const png_file *f, size_t at)
{
    const unsigned char *p = f->bytes + at;
    return (png_chunk){.name = p + 4, .data = p + 8, .size = png_read_32(p), .at = at};
}

bool png_chunk_is(const png_chunk *c, const char *name)
{
    return memcmp(c->name, name, 4) == 0;
}

/* Checks the sizes in the header before anything is decoded. */
static status check_head(png_file *f)
{
    static const unsigned char head[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
    if (f->size < HEAD_BYTES || memcmp(f->bytes, head, sizeof head - 1) != 0)
        return fail(ERR_FORMAT, "%s: not a PNG picture", f->path);
    uint32_t width = png_read_32(f->bytes + WIDTH_AT), height = png_read_32(f->bytes + HEIGHT_AT);
    if (width < 1 || height < 1 || width > LARGEST_SIDE || height > LARGEST_SIDE ||
        (uint64_t)width * height > MOST_PIXELS)
        return fail(ERR_LIMIT,
                    "%s: a picture of %lu x %lu, expected 1 to %d per side and at most %d "
                    "million pixels",
                    f->path, (unsigned long)width, (unsigned long)height, LARGEST_SIDE,
                    MOST_PIXELS >> 20);
    if (f->size > FILE_BYTES)
        return fail(ERR_LIMIT, "%s: is larger than %d MB", f->path, FILE_BYTES >> 20);
    f->width = (int)width;
    f->height = (int)height;
    return OK;
}

static status take_head(png_file *f, const png_chunk *c)
{
    static const char *const depths[7] = {"\1\2\4\10\20", "", "\10\20", "\1\2\4\10",
                                          "\10\20",       "", "\10\20"};
    enum { DEPTH, COLOUR, COMPRESSION, FILTER, INTERLACE };
    const unsigned char *p = c->data + 8; /* after width and height */
    if (p[COLOUR] > 6 || !p[DEPTH] || !strchr(depths[p[COLOUR]], p[DEPTH]))
        return png_damaged(f, "IHDR has colour type %d with %d bits per sample, which PNG does not",
                           p[COLOUR], p[DEPTH]);
    if (p[COMPRESSION] || p[FILTER] || p[INTERLACE] > 1)
        return png_damaged(f,
                           "IHDR has compression %d, filter %d, interlace %d, expected 0, 0, 0 "
                           "or 1",
                           p[COMPRESSION], p[FILTER], p[INTERLACE]);
    f->depth = p[DEPTH];
    f->colour = p[COLOUR];
    f->interlaced = p[INTERLACE];
    for (int i = 0; i < 256; i++) f->palette[i][3] = 255;
    return OK;
}

static status take_palette(png_file *f, const png_chunk *c, int *n_colours)
{
    if (c->size % 3 || c->size < 3 || c->size > 768 || f->data_at || *n_colours)
        return png_damaged(f,
                           "chunk PLTE at byte %zu: %zu bytes, expected one palette of 1 to 256 "
                           "colours (3 bytes each) before the pixels",
                           c->at, c->size);
    *n_colours = (int)c->size / 3;
    for (int i = 0; i < *n_colours; i++) memcpy(f->palette[i], c->data + 3 * i, 3);
    return OK;
}

/* tRNS: one transparent colour, or the opacity of the first colours of the palette. */
static status take_transparency(png_file *f, const png_chunk *c, int n_colours)
{
    enum { GREY = 0, RGB = 2, PALETTE = 3 };
    size_t most = f->colour == GREY ? 2 : f->colour == RGB ? 6 : (size_t)n_colours;
    bool palette = f->colour == PALETTE;
    if (f->data_at || f->colour > PALETTE || (palette ? c->size > most : c->size != most))
        return png_damaged(f, "chunk tRNS at byte %zu: %zu bytes do not fit this picture", c->at,
                           c->size);
    for (size_t i = 0; palette && i < c->size; i++) f->palette[i][3] = c->data[i];
    for (size_t i = 0; !palette && i < c->size / 2; i++)
        f->key[i] = ((unsigned)c->data[2 * i] << 8 | c->data[2 * i + 1]) & ((1u << f->depth) - 1);
    f->has_key = !palette;
    return OK;
}

/* last: the chunk before this one was IDAT. */
static status take_chunk(png_file *f, const png_chunk *c, int *n_colours, bool last)
{
    enum { PALETTE = 3, ANCILLARY = 0x20 };
    if (c->at == PNG_SIGNATURE) return take_head(f, c); /* check_head has checked its name */
    if (png_chunk_is(c, "PLTE")) return take_palette(f, c, n_colours);
    if (png_chunk_is(c, "tRNS")) return take_transparency(f, c, *n_colours);
    if (png_chunk_is(c, "IEND"))
        return f->data_at ? OK : png_damaged(f, "it has no chunk IDAT, which holds the pixels");
    if (!png_chunk_is(c, "IDAT")) {
        if (c->name[0] & ANCILLARY) return OK;
        return png_damaged(f, "chunk %.4s at byte %zu is an unknown critical chunk", c->name,
                           c->at);
    }
    if (!f->data_at)
        f->data_at = c->at;
    else if (!last)
        return png_damaged(f, "chunk IDAT at byte %zu: other chunks lie between it and the first",
                           c->at);
    if (f->colour == PALETTE && !*n_colours)
        return png_damaged(f, "it has no chunk PLTE, which holds the palette");
    return OK;
}

static bool is_name(const unsigned char *name)
{
    for (int i = 0; i < 4; i++)
        if (!((name[i] | 0x20) >= 'a' && (name[i] | 0x20) <= 'z')) return false;
    return true;
}

/* Checks that a whole chunk begins at `at`, and its checksum. */
static status check_chunk(const png_file *f, size_t at)
{
    if (f->size == at) return png_damaged(f, "ends without chunk IEND: it is cut short");
    if (f->size - at < PNG_FRAME)
        return png_damaged(f, "ends in the middle of a chunk at byte %zu: it is cut short", at);
    png_chunk c = png_chunk_at(f, at);
    if (!is_name(c.name)) return png_damaged(f, "expected a chunk at byte %zu, found none", at);
    if (c.size > f->size - at - PNG_FRAME)
        return png_damaged(f, "ends in the middle of chunk %.4s at byte %zu: it is cut short",
                           c.name, at);
    uint32_t found = (uint32_t)crc32(0, c.name, (uInt)c.size + 4);
    uint32_t stored = png_read_32(c.data + c.size);
    if (found == stored) return OK;
    return png_damaged(f,
                       "chunk %.4s at byte %zu: its content has the checksum 0x%08lx, expected "
                       "0x%08lx",
                       c.name, at, (unsigned long)found, (unsigned long)stored);
}

/* Reads all chunks up to IEND. Bytes after IEND are ignored. */
static status read_chunks(png_file *f)
{
    int n_colours = 0;
    bool last = false;
    status st = OK;
    for (size_t at = PNG_SIGNATURE;;) {
        TRY(check_chunk(f, at));
        png_chunk c = png_chunk_at(f, at);
        TRY(take_chunk(f, &c, &n_colours, last));
        if (png_chunk_is(&c, "IEND")) break;
        last = png_chunk_is(&c, "IDAT");
        at += c.size + PNG_FRAME;
    }
done:
    return st;
}

status png_read(png *p, const char *path)
{
    file_map map = {0};
    int orientation;
    status st = OK;
    *p = (png){0};
    TRY(file_map_begin(&map, path, HEAD_BYTES));
    png_file f = {.path = path, .bytes = map.data, .size = map.size};
    TRY(check_head(&f));
    TRY(file_map_rest(&map, path));
    f.bytes = map.data;
    f.size = map.size;
    TRY(read_chunks(&f));
    TRY(png_orientation(&orientation, &f));
    p->width = f.width;
    p->height = f.height;
    st = memory_alloc(&p->rgb, (size_t)f.width * (size_t)f.height, 3);
    if (st == OK) st = png_pixels(p->rgb, &f);
    if (st == OK && orientation > 1) st = exif_turn(p, orientation);
    if (st == ERR_MEMORY)
        st =
            fail(ERR_MEMORY, "%s: out of memory for a picture of %d x %d", path, f.width, f.height);
done:
    file_map_close(&map);
    if (st != OK) png_free(p);
    return st;
}

status png_sizes(int *width, int *height, const char *path)
{
    file_map map = {0};
    status st = OK;
    TRY(file_map_begin(&map, path, HEAD_BYTES));
    png_file f = {.path = path, .bytes = map.data, .size = map.size};
    TRY(check_head(&f));
    *width = f.width;
    *height = f.height;
done:
    file_map_close(&map);
    return st;
}

status png_read_note(char **words, const char *path, const char *keyword)
{
    file_map map = {0};
    png_text found = {0};
    status st = OK;
    *words = NULL;
    TRY(file_map_begin(&map, path, HEAD_BYTES));
    png_file f = {.path = path, .bytes = map.data, .size = map.size};
    TRY(check_head(&f));
    TRY(file_map_rest(&map, path));
    f.bytes = map.data;
    f.size = map.size;
    TRY(read_chunks(&f));
    for (size_t at = PNG_SIGNATURE;;) {
        png_chunk c = png_chunk_at(&f, at);
        if (png_chunk_is(&c, "IEND")) break;
        TRY(png_take_text(&found, &f, &c, keyword));
        at += c.size + PNG_FRAME;
    }
    if (!found.there) goto done;
    TRY(memory_alloc(words, found.size + 1, 1));
    memcpy(*words, found.data, found.size);
done:
    free(found.data);
    file_map_close(&map);
    return st;
}

void png_free(png *p)
{
    free(p->rgb);
    *p = (png){0};
}
